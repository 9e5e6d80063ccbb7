"""Reading and writing at indices: numbers, slices, tensors of places and of bools."""

from __future__ import annotations

from typing import Any

import torch

from ..arguments import fail_unless, split_index
from .handlers import given, known, op, rank, shape_of
from .network import dtype_of
from .shapes import FAR, reshaped, sliced
from .values import Arithmetic, greatest


@op("getitem")
def getitem(ctx: Any, input: Any, indices: Any) -> Any:
    out = ctx.out
    made, size, tensors = basic(out, input, indices)
    return _taken_at(out, made, size, tensors) if tensors else made


def lone(value: Any) -> bool:
    """Whether a value is of one element, at any size."""
    return all(isinstance(n, int) and n == 1 for n in shape_of(value))


def rank_known(value: Any, shape: tuple[int, ...]) -> bool:
    """Whether a value is known to have a shape."""
    return value.shape is not None and shape_of(value) == shape


def parts_of(out: Any, indices: Any, rank: int) -> list[Any]:
    """One part for each dimension and each new one: int, slice, None, or a tensor of int64."""
    parts: list[Any] = []
    for part in split_index(indices):
        part = known(part)
        if isinstance(part, (list, tuple, range)):
            if any(isinstance(one, Arithmetic) for one in part):
                part = out.row(part)
            else:
                made = torch.tensor(part)
                part = out.constant(made, made.dtype)
        if isinstance(part, bool):
            fail_unless(False, "a bool as an index")
        if given(part) and dtype_of(part) in (torch.bool, torch.uint8):
            size = len(shape_of(part))
            fail_unless(size > 0, "a bool as an index")
            found = out.add("NonZero", out.cast(part, torch.bool), dtype=torch.int64)
            rows = out.many("Split", size, found, [1] * size, axis=0) if size > 1 else [found]
            parts += [out.add("Squeeze", row, [0]) for row in rows]
        else:
            parts.append(out.cast(part, torch.int64) if given(part) else part)
    used = sum(part is not None and part is not ... for part in parts)
    if not any(part is ... for part in parts):
        parts.append(...)
    place = next(i for i, part in enumerate(parts) if part is ...)
    parts[place : place + 1] = [slice(None)] * (rank - used)
    return parts


def basic(out: Any, input: Any, indices: Any) -> tuple[Any, int, dict[int, Any]]:
    """The slices and numbers of an index applied.

    Returns:
        what is left, its rank, and dimension -> tensor that is still to be applied.
    """
    parts = parts_of(out, indices, rank(input))
    mixed = any(given(part) for part in parts)
    shape, cuts = shape_of(input), {}
    kept: list[Any] = []  # of each dimension of what is left: True, None for a new one, or a tensor
    gone: list[int] = []
    dim = 0
    for part in parts:
        if part is None:
            kept.append(None)
            continue
        if given(part) or (mixed and not isinstance(part, slice)):
            # torch takes a number beside tensors for a tensor of no dimensions
            kept.append(part if given(part) else place_of(out, part))
        elif isinstance(part, slice):
            kept.append(True)
            cut = bounds(part, shape[dim])
            if cut != (0, shape[dim], 1):
                cuts[dim] = cut
        else:
            gone.append(dim)
            if isinstance(part, Arithmetic):
                input = out.add("Gather", input, out.row([part]), axis=dim)
            else:
                cuts[dim] = part, part + 1 or FAR, 1
        dim += 1
    made = sliced(out, input, cuts)
    made = out.add("Squeeze", made, gone) if gone else made
    new = [place for place, part in enumerate(kept) if part is None]
    made = out.add("Unsqueeze", made, new) if new else made
    return made, len(kept), {place: part for place, part in enumerate(kept) if given(part)}


def bounds(part: slice, size: Any) -> tuple[Any, Any, Any]:
    """First, end and step of a slice; where they vary, as ONNX reads them, which is as torch."""
    plain = (size, part.start, part.stop, part.step)
    if not any(isinstance(n, Arithmetic) for n in plain):
        return part.indices(size)
    first = 0 if part.start is None else part.start
    return first, size if part.stop is None else part.stop, part.step or 1


def place_of(out: Any, number: Any) -> Any:
    return number.scalar if isinstance(number, Arithmetic) else out.constant(number)


def _taken_at(out: Any, value: Any, rank: int, tensors: dict[int, Any]) -> Any:
    """What index tensors take; their dimensions come first unless they stand side by side."""
    axes = list(tensors)
    if len(axes) == 1:
        return out.add("Gather", value, tensors[axes[0]], axis=axes[0])
    together = axes == list(range(axes[0], axes[0] + len(axes)))
    rest = [d for d in range(rank) if d not in tensors]
    if axes != list(range(len(axes))):
        value = out.add("Transpose", value, perm=[*axes, *rest])
    places, size = places_of(out, list(tensors.values()))
    made = out.add("GatherND", value, places)
    if together and axes[0]:
        front = axes[0]
        total = size + len(rest)
        order = [*range(size, size + front), *range(size), *range(size + front, total)]
        made = out.add("Transpose", made, perm=order)
    return made


def places_of(out: Any, tensors: list[Any]) -> tuple[Any, int]:
    """Index tensors broadcast and laid side by side, and how many dimensions they have."""
    ranks = [1 if t.shape is None else rank(t) for t in tensors]
    if all(t.shape is not None for t in tensors):
        common = together([shape_of(t) for t in tensors])
        shape = out.row(common)
    else:  # of bools: as many as there are
        known = [t for t in tensors if t.shape is None]
        shape, common = out.add("Shape", known[0], dtype=torch.int64), [0] * max(ranks)
        fail_unless(
            all(n <= 1 for n in ranks), "an index of bools beside one of several dimensions"
        )
    wide = [out.add("Unsqueeze", out.add("Expand", t, shape), [-1]) for t in tensors]
    return out.add("Concat", *wide, axis=-1), len(common)


def together(shapes: list[tuple[Any, ...]]) -> list[Any]:
    """Shapes broadcast; of two sizes that vary, one is 1 or both are equal, so the larger."""
    made: list[Any] = []
    for place in range(1, max(map(len, shapes), default=0) + 1):
        sizes = [s[-place] for s in shapes if len(s) >= place and s[-place] != 1]
        found = next((n for n in sizes if isinstance(n, int)), None)
        if found is None and sizes:
            found = sizes[0]
            for other in sizes[1:]:
                if other != found:
                    found = greatest(found, other)
        made.append(1 if found is None else found)
    return made[::-1]


@op("gather")
def gather(ctx: Any, input: Any, dim: int, index: Any) -> Any:
    fail_unless(rank(input) and rank(index) == rank(input), "gather of a number")
    return ctx.out.add("GatherElements", input, ctx.out.cast(index, torch.int64), axis=dim)


@op("nonzero")
def nonzero(ctx: Any, input: Any, as_tuple: bool = False) -> Any:
    out = ctx.out
    fail_unless(rank(input), "nonzero of a number")
    asked = out.cast(input, torch.bool)
    found = out.add("NonZero", asked, dtype=torch.int64)
    if not as_tuple:
        return out.add("Transpose", found, perm=[1, 0])
    size = rank(input)
    rows = out.many("Split", size, found, [1] * size, axis=0) if size > 1 else [found]
    return [out.add("Squeeze", row, [0]) for row in rows]


@op("masked_select")
def masked_select(ctx: Any, input: Any, mask: Any) -> Any:
    out, shape = ctx.out, together([shape_of(input), shape_of(mask)])
    wide = [reshaped(out, out.add("Expand", v, shape), [-1]) for v in (input, mask)]
    return out.add("Compress", *wide, axis=0)
