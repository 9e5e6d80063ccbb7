"""Where elements stand: shapes, joins and cuts. Sizes are ints, or known when the file is run."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir
import torch

from ..arguments import fail_unless, pairs_of
from .handlers import (
    brought,
    count,
    fixed,
    known,
    known_or,
    op,
    rank,
    result_shape,
    shape_of,
)
from .values import Arithmetic, Size, Tensor, least

FAR = 2**62  # beyond the end of any dimension


def reshaped(out: Any, value: Any, shape: Any) -> Any:
    """A value in another shape.

    A size that is the value's own at that place is copied, a single one that varies is found by
    counting; only what is left is computed when the file is run.
    """
    goal = [
        0 if isinstance(n, Size) and n.of is value and n.dim == place else n
        for place, n in enumerate(shape)
    ]
    open_ = [place for place, n in enumerate(goal) if isinstance(n, Arithmetic)]
    if len(open_) == 1 and -1 not in goal:
        goal[open_[0]] = -1
    copies = any(isinstance(n, Size) and not goal[place] for place, n in enumerate(shape)
                 if isinstance(goal[place], int))  # fmt: skip
    nothing = any(isinstance(n, int) and n == 0 for n in shape)
    made = out.add("Reshape", value, goal, allowzero=1 if nothing and not copies else None)
    made.shape = ir.Shape([n if isinstance(n, int) and n != -1 else None for n in shape])
    return made


@op("reshape", "view", "flatten", "unflatten", "squeeze", "unsqueeze", "view_as", "reshape_as",
    "ravel")  # fmt: skip
def reshape(ctx: Any, input: Any, **how: Any) -> Any:
    fail_unless(not isinstance(how.get("dtype"), torch.dtype), "bytes seen as another dtype")
    shape, made = list(shape_of(input)), list(result_shape(ctx))
    if any(isinstance(n, Arithmetic) for n in made):
        made = known_or(ctx, _goal(ctx.node.op, shape, len(made), how))
    return input if shape == made else reshaped(ctx.out, input, made)


def _goal(kind: str, shape: list[Any], size: int, how: dict[str, Any]) -> list[Any]:
    """The shape that a call asks for, in terms of that of its input."""
    if kind in ("view_as", "reshape_as"):
        return list(shape_of(how["other"]))
    if kind == "unflatten":
        place = how["dim"] % len(shape)
        return [*shape[:place], *how["sizes"], *shape[place + 1 :]]
    if kind in ("flatten", "ravel"):
        place = how.get("start_dim", 0) % max(len(shape), 1)
        return [*shape[:place], -1, *shape[len(shape) - (size - place - 1) :]]
    if kind == "unsqueeze":
        place = how["dim"] % size
        return [*shape[:place], 1, *shape[place:]]
    if kind == "squeeze":
        axes = how.get("dim")
        given = range(len(shape)) if axes is None else [axes] if isinstance(axes, int) else axes
        gone = {d % len(shape) for d in given if shape[d] == 1}
        return [n for d, n in enumerate(shape) if d not in gone]
    asked: Any = how.get("shape", how.get("size"))
    return [asked] if isinstance(asked, int) else list(asked)


@op("permute")
def permute(ctx: Any, input: Any, dims: Any) -> Any:
    return ctx.out.add("Transpose", input, perm=[d % rank(input) for d in dims])


@op("transpose")
def transpose(ctx: Any, input: Any, dim0: int, dim1: int) -> Any:
    return swapped(ctx.out, input, dim0, dim1)


def swapped(out: Any, value: Any, a: int, b: int, size: int | None = None) -> Any:
    """A value with two dimensions swapped."""
    order = list(range(size or rank(value)))
    if not order:
        return value
    order[a], order[b] = order[b], order[a]
    return out.add("Transpose", value, perm=order)


@op("expand", "expand_as", "broadcast_to")
def expand(ctx: Any, input: Any, **how: Any) -> Any:
    asked = shape_of(how["other"]) if "other" in how else how["size"]
    goal = [1 if isinstance(n, int) and n == -1 else n for n in known_or(ctx, asked)]
    return input if shape_of(input) == tuple(goal) else ctx.out.add("Expand", input, goal)


@op("repeat", "tile")
def repeat(ctx: Any, input: Any, **how: Any) -> Any:
    times, size = how["repeats" if "repeats" in how else "dims"], len(ctx.type.shape)
    times = [times] if isinstance(times, (int, Arithmetic)) else list(times)
    made = reshaped(ctx.out, input, [1] * (size - rank(input)) + list(shape_of(input)))
    return ctx.out.add("Tile", made, [1] * (size - len(times)) + times)


@op("cat")
def cat(ctx: Any, tensors: Any, dim: int = 0) -> Any:
    if isinstance(tensors, Tensor):
        return concatenated(ctx.out, tensors, dim)
    parts = [t for t in tensors if shape_of(t) != (0,)] or list(tensors[:1])
    return ctx.out.add("Concat", *brought(ctx, ctx.type.dtype, *parts), axis=dim)


@op("stack")
def stack(ctx: Any, tensors: Any, dim: int = 0) -> Any:
    if isinstance(tensors, Tensor):
        return stacked(ctx.out, tensors, dim)
    dim = dim % len(ctx.type.shape)
    parts = [ctx.out.add("Unsqueeze", t, [dim]) for t in brought(ctx, ctx.type.dtype, *tensors)]
    return ctx.out.add("Concat", *parts, axis=dim)


def stacked(out: Any, rows: Any, dim: int) -> Any:
    """A list that a loop made, stacked: its first dimension goes elsewhere."""
    order = list(range(1, rank(rows)))
    order.insert(dim % (len(order) + 1), 0)
    return rows if order == sorted(order) else out.add("Transpose", rows, perm=order)


def concatenated(out: Any, rows: Any, dim: int) -> Any:
    """A list that a loop made, concatenated: its first dimension becomes one with another."""
    dim = dim % (rank(rows) - 1)
    shape = list(shape_of(rows))[1:]
    shape[dim] = shape[dim] * shape_of(rows)[0]
    return reshaped(out, stacked(out, rows, dim), shape)


@op("split", "split_with_sizes", "chunk", "tensor_split", "unsafe_split", "unsafe_chunk")
def split(ctx: Any, input: Any, dim: int = 0, **how: Any) -> Any:
    """Cut as torch cut it; where the size varies, by what was asked for."""
    total = shape_of(input)[dim]
    sizes: list[Any] = [value.type.shape[dim] for value in ctx.node.result]
    if len(sizes) == 1:
        return [input]
    if isinstance(total, Arithmetic):
        asked = next(iter(how.values()))
        fail_unless(ctx.node.op != "tensor_split", "even pieces of a size that varies")
        if "chunk" in ctx.node.op:
            asked = (total + (asked - 1)) // asked
        if isinstance(asked, (list, tuple)):
            sizes = list(asked)
        else:
            first = [asked] * (len(sizes) - 1)
            # of as many pieces as were recorded: of others the engine says that they do not fit
            sizes = [*first, least(total - asked * len(first), asked)]
    return ctx.out.many("Split", len(sizes), input, sizes, axis=dim)


@op("unbind")
def unbind(ctx: Any, input: Any, dim: int = 0) -> Any:
    size = shape_of(input)[dim]
    if ctx.node.outputs[0].is_list:
        order = list(range(rank(input)))
        order.insert(0, order.pop(dim))
        return ctx.out.add("Transpose", input, perm=order) if order[0] else input
    fixed(size)
    parts = ctx.out.many("Split", size, input, [1] * size, axis=dim) if size > 1 else [input]
    return [ctx.out.add("Squeeze", part, [dim]) for part in parts]


@op("flip")
def flip(ctx: Any, input: Any, dims: Any) -> Any:
    axes = [dims] if isinstance(dims, int) else list(dims)
    if not axes or not rank(input):
        return input
    n = len(axes)
    return ctx.out.add("Slice", input, [-1] * n, [-FAR] * n, axes, [-1] * n)


@op("narrow")
def narrow(ctx: Any, input: Any, dim: int, start: Any, length: Any) -> Any:
    fail_unless(isinstance(start, (int, Arithmetic)), "a start that is a tensor")
    if isinstance(start, int) and start < 0:
        start = start + shape_of(input)[dim]
    return sliced(ctx.out, input, {dim: (start, start + length, 1)})


@op("select")
def select(ctx: Any, input: Any, dim: int, index: Any) -> Any:
    fail_unless(isinstance(index, (int, Arithmetic)), "an index that is a tensor")
    place = index.scalar if isinstance(index, Arithmetic) else ctx.out.constant(index)
    return ctx.out.add("Gather", input, place, axis=dim)


def sliced(out: Any, value: Any, cuts: dict[int, tuple[Any, Any, int]]) -> Any:
    """A value cut along some dimensions: dimension -> first, end, step."""
    if not cuts:
        return value
    first, end, step = (list(part) for part in zip(*cuts.values()))
    return out.add("Slice", value, first, end, list(cuts), step)


@op("as_strided")
def as_strided(ctx: Any, input: Any, size: Any, stride: Any, storage_offset: Any = None) -> Any:
    """A gather from the flat input, whose memory must be in reading order."""
    size, stride, offset = known(size), known(stride), known(storage_offset) or 0
    fixed(*shape_of(input), *size, *stride, offset)
    places = torch.arange(count(input)).as_strided(size, stride, offset)
    producer = ctx.node.args["input"].producer
    laid = producer is None or producer.op in ("contiguous", "clone", "reshape", "assemble")
    fail_unless(laid, "as_strided of memory whose order is not known")
    flat = reshaped(ctx.out, input, [-1])
    return ctx.out.add("Gather", flat, ctx.out.constant(places))


@op("tril", "triu")
def triangle(ctx: Any, input: Any, diagonal: Any = 0) -> Any:
    return triangular(ctx.out, input, diagonal, ctx.node.op == "triu")


def triangular(out: Any, value: Any, diagonal: Any = 0, upper: bool = False) -> Any:
    """What is on one side of a diagonal, and zeros."""
    k = diagonal.scalar if isinstance(diagonal, Arithmetic) else out.constant(diagonal)
    return out.add("Trilu", value, k, upper=int(upper))


@op("pad")
def pad(ctx: Any, input: Any, pad: Any, mode: str = "constant", value: Any = None) -> Any:
    """Pairs from the last dimension on; ONNX: all firsts, then all ends."""
    kinds = {"constant": "constant", "reflect": "reflect", "replicate": "edge"}
    fail_unless(mode == "constant" or min(pad, default=0) >= 0, f"negative padding, {mode}")
    firsts, ends = zip(*pairs_of(pad, rank(input)))
    fail_unless(mode in kinds, f"{mode} padding")
    fill = (value or 0,) if mode == "constant" else ()
    return ctx.out.add("Pad", input, [*firsts, *ends], *fill, mode=kinds[mode])


@op("zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full", "new_empty",
    "empty_like", "zeros", "ones", "full", "empty")  # fmt: skip
def filled(ctx: Any, **how: Any) -> Any:
    value = how.get("fill_value", int("ones" in ctx.node.op))
    asked = how["size"] if "size" in how else shape_of(how["input"])
    fill = brought(ctx, ctx.type.dtype, value)[0]
    return ctx.out.add("Expand", fill, known_or(ctx, asked))


@op("arange")
def arange(ctx: Any, end: Any, start: Any = 0, step: Any = 1, dtype: Any = None) -> Any:
    """Up to a number that varies; others are constants of the model."""
    parts = brought(ctx, ctx.type.dtype, start, end, step)
    return ctx.out.add("Range", *parts)
