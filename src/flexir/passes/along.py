"""Calls that join and take apart along a dimension, on tensors with slots.

What is joined to a tensor that grows is put where it ends; what is taken from it is taken from
where it is. Owns these two; that a rewrite is right is checked by the caller, :mod:`.padded`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ..graph.nodes import Value
from .rewrite import NoRewrite, Rewrite
from .slots import Filled, at, fitted, is_filled


def join(rewrite: Rewrite) -> None:
    """A ``cat`` with one part that grows: the parts after it are written behind what it holds."""
    parts, dim = list(rewrite.node.args["tensors"]), rewrite.node.args["dim"]
    shapes = [rewrite.draft.shape(part) for part in parts]
    dim %= len(shapes[0])  # handlers of what is written are given no negative one
    growing = [i for i, shape in enumerate(shapes) if isinstance(shape[dim], Filled)]
    if len(growing) != 1:
        raise NoRewrite(f"{len(growing)} of the tensors it joins grow with the cache")
    (middle,) = growing
    before = sum(shape[dim] for shape in shapes[:middle])
    offset = shapes[middle][dim].offset + before
    count = sum(shape[dim] for shape in shapes[middle + 1 :])
    made = rewrite.look(parts[middle])
    if middle:
        made = rewrite.call(torch.cat, [*map(rewrite.look, parts[:middle]), made], dim)
    made = _resized(rewrite, made, dim, rewrite.draft.slots.capacity(Filled(offset + count)))
    after = [rewrite.look(part) for part in parts[middle + 1 :]]
    if count:
        new = after[0] if len(after) == 1 else rewrite.call(torch.cat, after, dim)
        made = rewrite.call(torch.index_copy, made, dim, rewrite.positions(offset, count), new)
    rewrite.gives(made)


def pad(rewrite: Rewrite) -> None:
    """A ``pad`` with a number, up to the end of the slots; those of its input hold it, too."""
    args = rewrite.node.args
    value, after = args["input"], rewrite.draft.shape(rewrite.node.outputs[0])
    if args.get("mode", "constant") != "constant":
        raise NoRewrite("it pads with what stands in the slots")
    made = rewrite.only(value, args.get("value") or 0)
    ends = list(args["pad"])
    positions = rewrite.draft.slots.positions
    for place in range(0, len(ends), 2):
        dim = len(after) - 1 - place // 2
        first = fitted(_over(rewrite, ends[place]), positions)
        if not isinstance(first, int):
            raise NoRewrite("what it puts before grows with the cache")
        whole = rewrite.draft.slots.capacity(after[dim])
        ends[place : place + 2] = first, whole - made.type.shape[dim] - first
    rewrite.again({**args, "input": made, "pad": tuple(ends)}, same=False)


def _resized(rewrite: Rewrite, value: Value, dim: int, size: int) -> Value:
    """A tensor with so many slots; the last ones are left out, or zero."""
    shape = value.type.shape
    if shape[dim] > size:
        return rewrite.call(torch.narrow, value, dim, 0, size)
    if shape[dim] < size:
        more = list(shape)
        more[dim] = size - shape[dim]
        zeros = torch.zeros(more, dtype=value.type.dtype, device=value.type.device)
        return rewrite.call(torch.cat, [value, rewrite.constant("zeros", zeros)], dim)
    return value


def take(rewrite: Rewrite) -> None:
    """A ``getitem``: what it takes by place is taken from where that is at this position."""
    node = rewrite.node
    value, indices = node.args["input"], node.args["indices"]
    listed = list(indices) if isinstance(indices, tuple) else [indices]
    made, shape = rewrite.look(value), rewrite.draft.shape(value)
    taken: list[Any] = []
    dim = 0
    for place, part in enumerate(listed):
        if part is Ellipsis:
            dim = len(shape) - sum(map(_width, listed[place + 1 :]))
            taken.append(part)
        elif isinstance(part, slice) or part.__class__ in (int, Value) and _is_place(part):
            made, rest = _at(rewrite, made, dim, shape[dim], part)
            taken.append(rest)
            dim += 1
        else:
            taken.append(rewrite.look(part) if isinstance(part, Value) else part)
            dim += _width(part)
    rest = tuple(taken) if isinstance(indices, tuple) else taken[0]
    rewrite.again({**node.args, "input": made, "indices": rest}, same=made is rewrite.look(value))


def _is_place(part: Any) -> bool:
    return part.__class__ is int or bool(part.is_number)


def _width(part: Any) -> int:
    """How many dimensions an index is for."""
    if part is None or isinstance(part, bool):
        return 0
    if isinstance(part, Value) and part.type.dtype is torch.bool:
        return len(part.type.shape)
    return 1


def _at(rewrite: Rewrite, made: Value, dim: int, size: Any, part: Any) -> tuple[Value, Any]:
    """A tensor and what is still to be taken of it along one dimension."""
    slots, positions = rewrite.draft.slots, rewrite.draft.slots.positions
    sizes = [at(size, p) for p in positions]
    if not isinstance(part, slice):
        where = [n + of if n < 0 else n for n, of in zip(_over(rewrite, part), sizes)]
        start = fitted(where, positions)
        if isinstance(start, int):
            return made, start
        return rewrite.call(torch.index_select, made, dim, _from(rewrite, start, 1)), 0
    ends = [_over(rewrite, end) for end in (part.start, part.stop, part.step)]
    found = [slice(*three).indices(of) for *three, of in zip(*ends, sizes)]
    if {step for _, _, step in found} != {1}:
        if is_filled((size,)) or any(map(rewrite.draft.varies, (part.start, part.stop, part.step))):
            raise NoRewrite("steps other than 1 along a dimension that grows")
        return made, part
    start = fitted([first for first, _, _ in found], positions)
    count = fitted([max(stop - first, 0) for first, stop, _ in found], positions)
    if isinstance(count, int) and isinstance(start, int):
        return made, slice(start, start + count) if is_filled((size,)) else _plain(rewrite, part)
    if isinstance(count, int):
        return rewrite.call(torch.index_select, made, dim, _from(rewrite, start, count)), slice(
            None
        )
    if count is None or not isinstance(start, int):
        raise NoRewrite("what it takes along a dimension that grows is neither a start nor an end")
    wanted, there = slots.capacity(count), made.type.shape[dim]
    if start:
        index = torch.arange(start, start + wanted).clamp(max=there - 1)
        shifted = rewrite.constant("shifted", index.to(made.type.device))
        return rewrite.call(torch.index_select, made, dim, shifted), slice(None)
    if there < wanted:
        raise NoRewrite(f"it takes up to {wanted} of {there}")
    return made, slice(None) if there == wanted else slice(None, wanted)


def _from(rewrite: Rewrite, start: Any, count: int) -> Value:
    if not isinstance(start, Filled):
        raise NoRewrite("where it begins to take is no sum of the position and a number")
    return rewrite.positions(start.offset, count)


def _plain(rewrite: Rewrite, part: slice) -> slice:
    ends = (part.start, part.stop, part.step)
    return slice(*[rewrite.look(end) if isinstance(end, Value) else end for end in ends])


def _over(rewrite: Rewrite, part: Any) -> Sequence[Any]:
    """An index at every position."""
    if isinstance(part, Value):
        if part not in rewrite.draft.over:
            raise NoRewrite("a number taken out of a tensor says where it takes")
        return rewrite.draft.over[part]
    return [part] * len(rewrite.draft.slots.positions)
