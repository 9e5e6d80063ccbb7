"""Where elements stand: shapes, joins, cuts, indexing and writing at indices. Sizes are known."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir
import torch

from .handlers import brought, count, fail_unless, known, op, rank, shape_of


def reshaped(out: Any, value: Any, shape: Any) -> Any:
    """A value in another shape."""
    made = out.add("Reshape", value, [int(n) for n in shape], allowzero=1 if 0 in shape else None)
    if -1 not in shape:
        made.shape = ir.Shape(shape)
    return made


@op("reshape", "view", "flatten", "unflatten", "squeeze", "unsqueeze", "view_as", "reshape_as",
    "ravel")  # fmt: skip
def reshape(ctx: Any, input: Any, **how: Any) -> Any:
    fail_unless(not isinstance(how.get("dtype"), torch.dtype), "bytes seen as another dtype")
    if shape_of(input) == tuple(ctx.type.shape):
        return input
    return reshaped(ctx.out, input, ctx.type.shape)


@op("permute")
def permute(ctx: Any, input: Any, dims: Any) -> Any:
    return ctx.out.add("Transpose", input, perm=[d % rank(input) for d in dims])


@op("transpose")
def transpose(ctx: Any, input: Any, dim0: int, dim1: int) -> Any:
    return swapped(ctx.out, input, dim0, dim1)


@op("t", "T", "mT")
def turn(ctx: Any, input: Any) -> Any:
    return input if rank(input) < 2 else swapped(ctx.out, input, -1, -2)


def swapped(out: Any, value: Any, a: int, b: int, size: int | None = None) -> Any:
    """A value with two dimensions swapped."""
    order = list(range(size or rank(value)))
    if not order:
        return value
    order[a], order[b] = order[b], order[a]
    return out.add("Transpose", value, perm=order)


@op("expand", "expand_as", "broadcast_to")
def expand(ctx: Any, input: Any, **how: Any) -> Any:
    if shape_of(input) == tuple(ctx.type.shape):
        return input
    return ctx.out.add("Expand", input, list(ctx.type.shape))


@op("repeat", "tile")
def repeat(ctx: Any, input: Any, **how: Any) -> Any:
    times, size = how["repeats" if "repeats" in how else "dims"], len(ctx.type.shape)
    times = [times] if isinstance(times, int) else list(times)
    made = reshaped(ctx.out, input, [1] * (size - rank(input)) + list(shape_of(input)))
    return ctx.out.add("Tile", made, [1] * (size - len(times)) + times)


@op("repeat_interleave")
def repeat_interleave(ctx: Any, input: Any, repeats: Any, dim: Any = None) -> Any:
    fail_unless(isinstance(repeats, int), "a number of repeats for each element")
    out, shape = ctx.out, list(shape_of(input))
    if dim is None:
        input, shape, dim = reshaped(out, input, [-1]), [count(input)], 0
    places = torch.arange(shape[dim]).repeat_interleave(repeats).tolist()
    return out.add("Gather", input, places, axis=dim)


@op("cat")
def cat(ctx: Any, tensors: Any, dim: int = 0) -> Any:
    parts = [t for t in tensors if shape_of(t) != (0,)] or list(tensors[:1])
    return ctx.out.add("Concat", *brought(ctx, ctx.type.dtype, *parts), axis=dim)


@op("stack")
def stack(ctx: Any, tensors: Any, dim: int = 0) -> Any:
    dim = dim % len(ctx.type.shape)
    parts = [ctx.out.add("Unsqueeze", t, [dim]) for t in brought(ctx, ctx.type.dtype, *tensors)]
    return ctx.out.add("Concat", *parts, axis=dim)


def _pieces(ctx: Any, input: Any, dim: int) -> Any:
    """Cut as torch cut it."""
    sizes = [value.type.shape[dim] for value in _places(ctx)]
    if len(sizes) == 1:
        return [input]
    return ctx.out.many("Split", len(sizes), input, sizes, axis=dim)


def _places(ctx: Any) -> Any:
    return list(ctx.node.result)


@op("split", "split_with_sizes", "chunk", "tensor_split", "unsafe_split", "unsafe_chunk")
def split(ctx: Any, input: Any, dim: int = 0, **how: Any) -> Any:
    return _pieces(ctx, input, dim)


@op("unbind")
def unbind(ctx: Any, input: Any, dim: int = 0) -> Any:
    size = shape_of(input)[dim]
    parts = ctx.out.many("Split", size, input, [1] * size, axis=dim) if size > 1 else [input]
    return [ctx.out.add("Squeeze", part, [dim]) for part in parts]


@op("flip")
def flip(ctx: Any, input: Any, dims: Any) -> Any:
    axes = [dims] if isinstance(dims, int) else list(dims)
    if not axes or not rank(input):
        return input
    far, n = [-(2**62)] * len(axes), len(axes)
    return ctx.out.add("Slice", input, [-1] * n, far, axes, [-1] * n)


@op("narrow")
def narrow(ctx: Any, input: Any, dim: int, start: Any, length: int) -> Any:
    fail_unless(isinstance(start, int), "a start that is a tensor")
    start = start % shape_of(input)[dim] if start < 0 else start
    return sliced(ctx.out, input, {dim: (start, start + length, 1)})


@op("select")
def select(ctx: Any, input: Any, dim: int, index: int) -> Any:
    fail_unless(isinstance(index, int), "an index that is a tensor")
    return ctx.out.add("Gather", input, ctx.out.constant(index), axis=dim)


def sliced(out: Any, value: Any, cuts: dict[int, tuple[int, int, int]]) -> Any:
    """A value cut along some dimensions: dimension -> first, end, step."""
    if not cuts:
        return value
    first, end, step = (list(part) for part in zip(*cuts.values()))
    return out.add("Slice", value, first, end, list(cuts), step)


@op("unfold")
def unfold(ctx: Any, input: Any, dimension: int, size: int, step: int) -> Any:
    """Windows along one dimension, which come last."""
    fail_unless(rank(input), "windows of a number")
    windows = torch.arange(shape_of(input)[dimension]).unfold(0, size, step)
    made = ctx.out.add("Gather", input, windows.tolist(), axis=dimension)
    order = list(range(rank(input) + 1))
    order.append(order.pop(dimension % rank(input) + 1))
    return ctx.out.add("Transpose", made, perm=order)


@op("as_strided")
def as_strided(ctx: Any, input: Any, size: Any, stride: Any, storage_offset: Any = None) -> Any:
    """Of memory in reading order, the elements at places that are known."""
    places = torch.arange(count(input)).as_strided(
        known(size), known(stride), known(storage_offset) or 0
    )
    producer = ctx.node.args["input"].producer
    laid = producer is None or producer.op in ("contiguous", "clone", "reshape", "assemble")
    fail_unless(laid, "as_strided of memory whose order is not known")
    flat = reshaped(ctx.out, input, [-1])
    return ctx.out.add("Gather", flat, ctx.out.constant(places))


@op("diagonal")
def diagonal(ctx: Any, input: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    shape = shape_of(input)
    places = torch.arange(count(input)).reshape(shape).diagonal(offset, dim1, dim2)
    return ctx.out.add("Gather", reshaped(ctx.out, input, [-1]), places.tolist())


@op("tril", "triu")
def triangle(ctx: Any, input: Any, diagonal: int = 0) -> Any:
    k = ctx.out.constant(diagonal)
    return ctx.out.add("Trilu", input, k, upper=int(ctx.node.op == "triu"))


@op("pad")
def pad(ctx: Any, input: Any, pad: Any, mode: str = "constant", value: Any = None) -> Any:
    """Pairs from the last dimension on; ONNX: all firsts, then all ends."""
    kinds = {"constant": "constant", "reflect": "reflect", "replicate": "edge"}
    fail_unless(mode == "constant" or min(pad, default=0) >= 0, f"negative padding, {mode}")
    size, half = rank(input), len(pad) // 2
    firsts = [0] * (size - half) + list(pad[-2::-2])
    ends = [0] * (size - half) + list(pad[::-1][::2])
    if mode == "circular":
        for dim, n in enumerate(shape_of(input)):
            places = torch.arange(-firsts[dim], n + ends[dim]) % n
            input = ctx.out.add("Gather", input, places.tolist(), axis=dim)
        return input
    fill = (value or 0,) if mode == "constant" else ()
    return ctx.out.add("Pad", input, firsts + ends, *fill, mode=kinds[mode])


@op("zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full", "new_empty",
    "empty_like", "zeros", "ones", "full", "empty")  # fmt: skip
def filled(ctx: Any, **how: Any) -> Any:
    value = how.get("fill_value", int("ones" in ctx.node.op))
    fill = brought(ctx, ctx.type.dtype, value)[0]
    return ctx.out.add("Expand", fill, list(ctx.type.shape))
