"""Reading and writing at indices: numbers, slices, tensors of places and of bools."""

from __future__ import annotations

import math
from typing import Any

import torch

from .handlers import brought, count, dtype_of, fail_unless, given, known, op, rank, shape_of
from .network import broadcast
from .shapes import reshaped, sliced


@op("getitem")
def getitem(ctx: Any, input: Any, indices: Any) -> Any:
    out = ctx.out
    made, shape, tensors = basic(out, input, indices)
    if tensors:
        made = _taken_at(out, made, shape, tensors)
    if tuple(ctx.type.shape) == shape and not tensors:
        return made if rank_known(made, shape) else reshaped(out, made, shape)
    return made


def rank_known(value: Any, shape: tuple[int, ...]) -> bool:
    """Whether a value is known to have a shape."""
    return value.shape is not None and shape_of(value) == shape


def parts_of(out: Any, indices: Any, rank: int) -> list[Any]:
    """One part for each dimension and each new one: int, slice, None, or a tensor of int64."""
    parts: list[Any] = []
    if isinstance(indices, list) and all(isinstance(p, (int, list)) for p in indices):
        indices = (indices,)
    for part in indices if isinstance(indices, (tuple, list)) else [indices]:
        part = known(part)
        if isinstance(part, (list, range)):
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


def basic(out: Any, input: Any, indices: Any) -> tuple[Any, tuple[int, ...], dict[int, Any]]:
    """The slices and numbers of an index applied.

    Returns:
        what is left, its shape, and dimension -> tensor that is still to be applied.
    """
    parts = parts_of(out, indices, rank(input))
    mixed = any(given(part) for part in parts)
    cuts: dict[int, tuple[int, int, int]] = {}
    shape: list[int] = []
    tensors: dict[int, Any] = {}
    dim = 0
    for part in parts:
        if part is None:
            shape.append(1)
            continue
        size = shape_of(input)[dim]
        if given(part):
            tensors[len(shape)] = part
            shape.append(size)
        elif isinstance(part, slice):
            first, end, step = part.indices(size)
            if (first, end, step) != (0, size, 1):
                cuts[dim] = (first, end, step)
            shape.append(len(range(first, end, step)))
        elif mixed:  # torch takes it for an index tensor of no dimensions
            tensors[len(shape)] = out.constant(part % size)
            shape.append(size)
        else:
            cuts[dim] = (part % size, part % size + 1, 1)
        dim += 1
    made = sliced(out, input, cuts)
    if None in parts or (any(isinstance(p, int) for p in parts) and not mixed):
        made = reshaped(out, made, shape)
    return made, tuple(shape), tensors


def _taken_at(out: Any, value: Any, shape: tuple[int, ...], tensors: dict[int, Any]) -> Any:
    """What index tensors take; their dimensions come first unless they stand side by side."""
    axes = list(tensors)
    if len(axes) == 1:
        return out.add("Gather", value, tensors[axes[0]], axis=axes[0])
    together = axes == list(range(axes[0], axes[0] + len(axes)))
    rest = [d for d in range(len(shape)) if d not in tensors]
    if axes != list(range(len(axes))):
        value = out.add("Transpose", value, perm=[*axes, *rest])
    places, size = _places_of(out, list(tensors.values()))
    made = out.add("GatherND", value, places)
    if together and axes[0]:
        front = axes[0]
        total = size + len(rest)
        order = [*range(size, size + front), *range(size), *range(size + front, total)]
        made = out.add("Transpose", made, perm=order)
    return made


def _places_of(out: Any, tensors: list[Any]) -> tuple[Any, int]:
    """Index tensors broadcast and laid side by side, and how many dimensions they have."""
    ranks = [1 if t.shape is None else rank(t) for t in tensors]
    if all(t.shape is not None for t in tensors):
        common = broadcast(*(shape_of(t) for t in tensors))
        shape = out.constant(common)
    else:  # of bools: as many as there are
        known = [t for t in tensors if t.shape is None]
        shape, common = out.add("Shape", known[0], dtype=torch.int64), [0] * max(ranks)
        fail_unless(
            all(n <= 1 for n in ranks), "an index of bools beside one of several dimensions"
        )
    wide = [out.add("Unsqueeze", out.add("Expand", t, shape), [-1]) for t in tensors]
    return out.add("Concat", *wide, axis=-1), len(common)


@op("index_select")
def index_select(ctx: Any, input: Any, dim: int, index: Any) -> Any:
    if not rank(input):
        return input
    places = index if rank(index) else reshaped(ctx.out, index, [1])
    return ctx.out.add("Gather", input, places, axis=dim)


@op("embedding")
def embedding(ctx: Any, input: Any, weight: Any, padding_idx: Any = None, **how: Any) -> Any:
    fail_unless(how.get("max_norm") is None, "max_norm, which changes the weight")
    return ctx.out.add("Gather", weight, input)


@op("gather")
def gather(ctx: Any, input: Any, dim: int, index: Any) -> Any:
    fail_unless(rank(input) and rank(index), "gather of a number")
    return ctx.out.add("GatherElements", input, ctx.out.cast(index, torch.int64), axis=dim)


@op("take_along_dim")
def take_along_dim(ctx: Any, input: Any, indices: Any, dim: Any = None) -> Any:
    fail_unless(dim is not None and rank(input), "of a flat tensor")
    shape = [shape_of(input), shape_of(indices)]
    wide = [broadcast(s[:dim % len(s)] + (1,) + s[dim % len(s) + 1 :],
            o[:dim % len(s)] + (s[dim],) + o[dim % len(s) + 1 :])
            for s, o in (shape, shape[::-1])]  # fmt: skip
    made = [ctx.out.add("Expand", v, s) for v, s in zip((input, indices), wide)]
    return ctx.out.add("GatherElements", *made, axis=dim)


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
    out, shape = ctx.out, broadcast(shape_of(input), shape_of(mask))
    wide = [reshaped(out, out.add("Expand", v, shape), [-1]) for v in (input, mask)]
    return out.add("Compress", *wide, axis=0)


# -- writing at indices


@op("setitem")
def setitem(ctx: Any, input: Any, indices: Any, value: Any) -> Any:
    out = ctx.out
    value = brought(ctx, dtype_of(input), value)[0]
    parts = parts_of(out, indices, rank(input))
    if any(given(part) for part in parts):
        return _written_at(ctx, input, indices, parts, value)
    places = torch.arange(count(input)).reshape(shape_of(input))[indices]
    return _put(out, input, places, value)


def _put(out: Any, input: Any, places: torch.Tensor, value: Any, reduction: Any = None) -> Any:
    """Write a value, broadcast, at places of the flat tensor; whole blocks are joined instead."""
    if places.numel() == 0:
        return input
    wide = value
    if not rank_known(value, tuple(places.shape)):
        fits = [n for n in shape_of(value)]
        while len(fits) > places.ndim and fits[0] == 1:
            fits.pop(0)
        wide = out.add("Expand", reshaped(out, value, fits), list(places.shape))
    block = _block(places, shape_of(input)) if reduction is None else None
    if block is not None:
        return _joined(out, input, block, wide)
    flat = [reshaped(out, v, [-1]) for v in (input, wide)]
    at = out.constant(places.reshape(-1))
    made = out.add("ScatterElements", flat[0], at, flat[1], axis=0, reduction=reduction)
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
    made = reshaped(out, value, [b - a for a, b in block])
    shape = shape_of(input)
    for dim in reversed(range(len(block))):
        a, b = block[dim]
        if (a, b) == (0, shape[dim]):
            continue
        around = sliced(out, input, {d: (*block[d], 1) for d in range(dim)})
        before = [out.add("Slice", around, [0], [a], [dim], [1])] if a else []
        after = [out.add("Slice", around, [b], [shape[dim]], [dim], [1])] if b < shape[dim] else []
        made = out.add("Concat", *before, made, *after, axis=dim)
    return made


def _written_at(
    ctx: Any, input: Any, indices: Any, parts: list[Any], value: Any, reduction: Any = None
) -> Any:
    """``input[indices] = value`` with index tensors."""
    out, shape = ctx.out, shape_of(input)
    if not isinstance(indices, (tuple, list)) or len(indices) == 1:
        mask = indices if given(indices) else indices[0]
        if given(mask) and dtype_of(mask) is torch.bool and count(value) == 1 and not reduction:
            wide = reshaped(out, mask, [*shape_of(mask), *[1] * (len(shape) - rank(mask))])
            return out.add("Where", wide, reshaped(out, value, [1] * len(shape)), input)
    fail_unless(None not in parts, "writing at a new dimension beside index tensors")
    block = [p.indices(n) if isinstance(p, slice) else (0, n, 1) for p, n in zip(parts, shape)]
    fail_unless(all(step == 1 for _, _, step in block), "writing at steps beside index tensors")
    whole = [(a, max(a, b)) for a, b, _ in block]
    cuts = {d: (*w, 1) for d, (w, n) in enumerate(zip(whole, shape)) if w != (0, n)}
    made = _scattered(out, sliced(out, input, cuts), whole, parts, value, reduction)
    return _joined(out, input, whole, made) if cuts else made


def _scattered(
    out: Any, input: Any, whole: Any, parts: list[Any], value: Any, reduction: Any
) -> Any:
    """Write at index tensors of some dimensions and at all of the others."""
    axes = [d for d, part in enumerate(parts) if not isinstance(part, slice)]
    rest = [d for d in range(len(parts)) if d not in axes]
    sizes = [whole[d][1] - whole[d][0] for d in rest]
    tensors = [p if given(p) else out.constant(p % whole[d][1])
               for d, p in enumerate(parts) if d in axes]  # fmt: skip
    front = axes[0] if axes == list(range(axes[0], axes[0] + len(axes))) else 0
    places, size = _places_of(out, tensors)
    if any(t.shape is None for t in tensors):
        lone = count(value) == 1
        fail_unless(lone or (not front and rank(value) == 1 + len(rest)), "values at bools")
        many = out.add("Shape", next(t for t in tensors if t.shape is None), dtype=torch.int64)
        goal = out.add("Concat", many, out.constant(sizes), axis=0) if rest else many
        wide = out.add("Expand", reshaped(out, value, [1]) if lone else value, goal)
    else:
        common = broadcast(*(shape_of(t) for t in tensors))
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


@op("slice_scatter")
def slice_scatter(
    ctx: Any, input: Any, src: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> Any:
    index = (slice(None),) * (dim % rank(input)) + (slice(start, end, step),)
    places = torch.arange(count(input)).reshape(shape_of(input))[index]
    return _put(ctx.out, input, places, ctx.out.cast(src, ctx.type.dtype))


@op("select_scatter")
def select_scatter(ctx: Any, input: Any, src: Any, dim: int, index: int) -> Any:
    places = torch.arange(count(input)).reshape(shape_of(input)).select(dim, index)
    return _put(ctx.out, input, places, ctx.out.cast(src, ctx.type.dtype))


@op("scatter", "scatter_add", "scatter_reduce")
def scatter(ctx: Any, input: Any, dim: int, index: Any, **how: Any) -> Any:
    out, value = ctx.out, how.get("src", how.get("value"))
    reduction = {"scatter": how.get("reduce"), "scatter_add": "sum"}.get(
        ctx.node.op, how.get("reduce")
    )
    kinds = {None: None, "add": "add", "sum": "add", "prod": "mul", "multiply": "mul",
             "amax": "max", "amin": "min"}  # fmt: skip
    fail_unless(reduction in kinds, f"reduce={reduction!r}")
    fail_unless(not reduction or ctx.type.dtype is not torch.bool, "reductions of bools")
    fail_unless(how.get("include_self", True), "include_self=False")
    fail_unless(rank(input) and rank(index), "scatter into a number")
    if given(value) and rank(value):
        value = sliced(out, value, {d: (0, n, 1) for d, n in enumerate(shape_of(index))
                                    if n != shape_of(value)[d]})  # fmt: skip
    else:
        value = out.add("Expand", brought(ctx, ctx.type.dtype, value)[0], list(shape_of(index)))
    value = out.cast(value, ctx.type.dtype)
    made = out.cast(index, torch.int64)
    return out.add("ScatterElements", input, made, value, axis=dim, reduction=kinds[reduction])


@op("index_add", "index_copy")
def index_add(ctx: Any, input: Any, dim: int, index: Any, source: Any, **how: Any) -> Any:
    out = ctx.out
    fail_unless(rank(input) and rank(index), "an index that is a number")
    alpha = how.get("alpha", 1)
    value = source if alpha == 1 else out.add("Mul", source, alpha)
    shape = [1] * rank(input)
    shape[dim] = -1
    places = out.add("Expand", reshaped(out, index, shape), list(shape_of(source)))
    reduction = "add" if ctx.node.op == "index_add" else None
    return out.add("ScatterElements", input, places, value, axis=dim, reduction=reduction)


@op("index_fill")
def index_fill(ctx: Any, input: Any, dim: int, index: Any, value: Any) -> Any:
    out, shape = ctx.out, list(shape_of(input))
    fail_unless(rank(input) and rank(index), "an index that is a number")
    shape[dim] = shape_of(index)[0]
    at = [1] * rank(input)
    at[dim] = -1
    places = out.add("Expand", reshaped(out, index, at), shape)
    fill = out.add("Expand", brought(ctx, ctx.type.dtype, value)[0], shape)
    return out.add("ScatterElements", input, places, fill, axis=dim)
