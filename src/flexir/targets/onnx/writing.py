"""Writing at indices: what is written is a value of its own, what was there another."""

from __future__ import annotations

import math
from typing import Any

import torch

from ..arguments import fail_unless, scattered
from .handlers import brought, count, given, op, rank, shape_of
from .indexing import bounds, lone, parts_of, place_of, places_of, rank_known, together
from .network import dtype_of
from .shapes import FAR, reshaped, sliced
from .values import Arithmetic, Tensor, greatest, least


@op("setitem")
def setitem(ctx: Any, input: Any, indices: Any, value: Any) -> Any:
    out = ctx.out
    value = brought(ctx, dtype_of(input), value)[0]
    return _written(ctx, input, indices, parts_of(out, indices, rank(input)), value)


def _written(ctx: Any, input: Any, indices: Any, parts: list[Any], value: Any) -> Any:
    """Write a value; a place that varies is a tensor of no dimensions."""
    places = [_scalar(ctx.out, p) if isinstance(p, Arithmetic) and not given(p) else p
              for p in parts]  # fmt: skip
    if any(given(part) for part in places):
        return _written_at(ctx, input, indices, places, value)
    return _put(ctx.out, input, places, value)


def _scalar(out: Any, number: Any) -> Any:
    made = out.add("Identity", number.scalar)
    made.shape = number.scalar.shape
    return made


def _put(out: Any, input: Any, parts: list[Any], value: Any) -> Any:
    """Write a value at numbers and slices."""
    shape = shape_of(input)
    dims = [part for part in parts if part is not None]
    if any(isinstance(n, Arithmetic) for n in (*shape, *_numbers(dims))):
        return _put_block(out, input, parts, value)
    places = torch.arange(count(input)).reshape(shape)[tuple(parts)]
    return _put_at(out, input, places, value)


def _numbers(parts: list[Any]) -> list[Any]:
    return [n for p in parts for n in ((p.start, p.stop, p.step) if isinstance(p, slice) else (p,))]


def _put_block(out: Any, input: Any, parts: list[Any], value: Any) -> Any:
    """Write a value at a block some sizes of which vary."""
    block, goal, dim = [], [], 0
    for part in parts:
        if part is None:
            goal.append(1)
            continue
        size = shape_of(input)[dim]
        first, end, step = bounds(part, size) if isinstance(part, slice) else (part, part, 1)
        fail_unless(isinstance(step, int) and step == 1, "writing at steps where sizes vary")
        a, b = _within(first, size), _within(end, size)
        if not isinstance(part, slice):
            b = a + 1
        else:
            b = _end(a, b)
            goal.append(b - a)
        block.append((a, b))
        dim += 1
    fits = list(shape_of(value))
    while len(fits) > len(goal) and isinstance(fits[0], int) and fits[0] == 1:
        fits.pop(0)
    wide = value if tuple(fits) == shape_of(value) else reshaped(out, value, fits)
    wide = wide if tuple(goal) == shape_of(wide) else out.add("Expand", wide, goal)
    return _joined(out, input, block, wide)


def _within(place: Any, size: Any) -> Any:
    """A place counted from the front, within the size."""
    if isinstance(place, int) and place < 0:
        return size + place
    if isinstance(place, int) and place > 0 and isinstance(size, Arithmetic):
        return least(size, place)
    if place == size or not isinstance(place, Arithmetic):
        return place
    net = place.scalar.net
    below = net.add("Less", place.scalar, 0, dtype=torch.bool)
    made = net.number(net.add("Where", below, (place + size).scalar, place.scalar))
    return least(greatest(made, 0), size)


def _put_at(out: Any, input: Any, places: torch.Tensor, value: Any) -> Any:
    """Write a value, broadcast, at places of the flat tensor; whole blocks are joined instead."""
    if places.numel() == 0:
        return input
    wide = value
    if not rank_known(value, tuple(places.shape)):
        fits = [n for n in shape_of(value)]
        while len(fits) > places.ndim and fits[0] == 1:
            fits.pop(0)
        wide = out.add("Expand", reshaped(out, value, fits), list(places.shape))
    block = _block(places, shape_of(input))
    if block is not None:
        return _joined(out, input, block, wide)
    flat = [reshaped(out, v, [-1]) for v in (input, wide)]
    at = out.constant(places.reshape(-1))
    made = out.add("ScatterElements", flat[0], at, flat[1], axis=0)
    return reshaped(out, made, shape_of(input))


def _block(places: torch.Tensor, shape: tuple[int, ...]) -> list[tuple[int, int]] | None:
    """First and end of each dimension, if the places are a block in reading order."""
    if not shape:
        return None
    corners = [torch.tensor(torch.unravel_index(places.reshape(-1)[i], shape)) for i in (0, -1)]
    block = [(int(a), int(b) + 1) for a, b in zip(*corners)]
    if math.prod(max(b - a, 0) for a, b in block) != places.numel():
        return None
    whole = torch.arange(math.prod(shape)).reshape(shape)[tuple(slice(a, b) for a, b in block)]
    return block if torch.equal(whole.reshape(-1), places.reshape(-1)) else None


def _joined(out: Any, input: Any, block: list[tuple[int, int]], value: Any) -> Any:
    """The block in the middle of what was around it, dimension by dimension."""
    made = reshaped(out, value, [b if a == 0 else b - a for a, b in block])
    shape = shape_of(input)
    for dim in reversed(range(len(block))):
        a, b = block[dim]
        if (a, b) == (0, shape[dim]):
            continue
        around = sliced(out, input, {d: (*block[d], 1) for d in range(dim)})
        first, last = a == 0, b == shape[dim]
        before = [] if first else [out.add("Slice", around, [0], [a], [dim], [1])]
        after = [] if last else [out.add("Slice", around, [b], [FAR], [dim], [1])]
        made = out.add("Concat", *before, made, *after, axis=dim)
    return made


def _written_at(
    ctx: Any, input: Any, indices: Any, parts: list[Any], value: Any, reduction: Any = None
) -> Any:
    """``input[indices] = value`` with index tensors."""
    out, shape = ctx.out, shape_of(input)
    if not isinstance(indices, (tuple, list)) or len(indices) == 1:
        mask = indices[0] if isinstance(indices, (tuple, list)) else indices
        if given(mask) and dtype_of(mask) is torch.bool and lone(value) and not reduction:
            wide = reshaped(out, mask, [*shape_of(mask), *[1] * (len(shape) - rank(mask))])
            return out.add("Where", wide, reshaped(out, value, [1] * len(shape)), input)
    fail_unless(None not in parts, "writing at a new dimension beside index tensors")
    block = [bounds(p, n) if isinstance(p, slice) else (0, n, 1) for p, n in zip(parts, shape)]
    fail_unless(all(step == 1 for _, _, step in block), "writing at steps beside index tensors")
    whole = [(a, b) if (a, b) == (0, n) else (_within(a, n), _end(_within(a, n), _within(b, n)))
             for (a, b, _), n in zip(block, shape)]  # fmt: skip
    cuts = {d: (*w, 1) for d, (w, n) in enumerate(zip(whole, shape)) if w != (0, n)}
    made = _scattered(out, sliced(out, input, cuts), whole, parts, value, reduction)
    return _joined(out, input, whole, made) if cuts else made


def _end(first: Any, end: Any) -> Any:
    if isinstance(first, Tensor) or isinstance(end, Tensor):  # no size: whatever a value says
        return greatest(first, end)
    return end if isinstance(first - end, Arithmetic) else max(first, end)


def _scattered(
    out: Any, input: Any, whole: Any, parts: list[Any], value: Any, reduction: Any
) -> Any:
    """Write at index tensors of some dimensions and at all of the others."""
    axes = [d for d, part in enumerate(parts) if not isinstance(part, slice)]
    rest = [d for d in range(len(parts)) if d not in axes]
    sizes = [b if a == 0 else b - a for a, b in (whole[d] for d in rest)]
    tensors = [p if given(p) else place_of(out, p) for d, p in enumerate(parts) if d in axes]
    front = axes[0] if axes == list(range(axes[0], axes[0] + len(axes))) else 0
    places, size = places_of(out, tensors)
    if any(t.shape is None for t in tensors):
        alone = lone(value)
        fail_unless(alone or (not front and rank(value) == 1 + len(rest)), "values at bools")
        many = out.add("Shape", next(t for t in tensors if t.shape is None), dtype=torch.int64)
        goal = out.add("Concat", many, out.row(sizes), axis=0) if rest else many
        wide = out.add("Expand", reshaped(out, value, [1]) if alone else value, goal)
    else:
        common = together([shape_of(t) for t in tensors])
        wide = out.add("Expand", value, [*sizes[:front], *common, *sizes[front:]])
        if front:
            order = list(range(front + size + len(rest) - front))
            wide = out.add("Transpose", wide, perm=[*order[front : front + size], *order[:front],
                                                    *order[front + size :]])  # fmt: skip
    order = [*axes, *rest]
    turned = out.add("Transpose", input, perm=order) if order != sorted(order) else input
    made = out.add("ScatterND", turned, places, wide, reduction=reduction)
    if turned is not input:
        made = out.add("Transpose", made, perm=[order.index(d) for d in range(len(order))])
    return made


@op("index_put")
def index_put(ctx: Any, input: Any, indices: Any, values: Any, accumulate: bool = False) -> Any:
    given_ = [slice(None) if part is None else part for part in indices]
    parts = parts_of(ctx.out, given_, rank(input))
    fail_unless(not accumulate or ctx.type.dtype is not torch.bool, "sums of bools")
    value = brought(ctx, dtype_of(input), values)[0]
    return _written_at(ctx, input, given_, parts, value, "add" if accumulate else None)


@op("scatter", "scatter_add", "scatter_reduce")
def scatter(ctx: Any, input: Any, dim: int, index: Any, **how: Any) -> Any:
    out, value = ctx.out, how.get("src", how.get("value"))
    kind = scattered(ctx.node.op, how)
    reduction = {None: None, "sum": "add", "prod": "mul", "amax": "max", "amin": "min"}[kind]
    fail_unless(not kind or ctx.type.dtype is not torch.bool, "reductions of bools")
    fail_unless(rank(input) and rank(index), "scatter into a number")
    if given(value) and rank(value):
        value = sliced(out, value, {d: (0, n, 1) for d, n in enumerate(shape_of(index))
                                    if n != shape_of(value)[d]})  # fmt: skip
    else:
        value = out.add("Expand", brought(ctx, ctx.type.dtype, value)[0], list(shape_of(index)))
    value = out.cast(value, ctx.type.dtype)
    made = out.cast(index, torch.int64)
    return out.add("ScatterElements", input, made, value, axis=dim, reduction=reduction)
