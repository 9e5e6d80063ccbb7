"""Handlers that move numbers: reshape, permute, cut, join, gather, make."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from openvino import opset13 as ops

import flexir

from ..arguments import fail_unless, scattered, split_index
from .counted import true_indices
from .layers import reshaped, shape
from .values import DTYPES, cast, constant, dtype_of, ints, nothing, op, operands, port

_FREE = ("reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "contiguous", "clone", "detach",
         "view_as", "ravel", "reshape_as")  # fmt: skip

for _name in _FREE:

    @op(_name)
    def free(ctx: Any, input: Any, **_: Any) -> Any:
        """A reshape: the same numbers in the same order."""
        return reshaped(input, ctx.type.shape)


@op("view")
def view(ctx: Any, input: Any, size: Any) -> Any:
    return reshaped(input, ctx.type.shape)


@op("permute")
def permute(ctx: Any, input: Any, dims: Any) -> Any:
    rank = len(shape(input))
    return ops.transpose(input, ints([d % rank for d in dims])) if rank else reshaped(input, [])


@op("transpose")
def transpose(ctx: Any, input: Any, dim0: int, dim1: int) -> Any:
    order = list(range(len(shape(input))))
    if order:
        order[dim0], order[dim1] = order[dim1], order[dim0]
    return ops.transpose(input, ints(order)) if order else reshaped(input, [])


def cut(input: Any, dim: int, start: int, stop: int, step: int = 1) -> Any:
    """A stretch of one dimension."""
    parts = (ints([start]), ints([stop]), ints([step]), ints([dim % len(shape(input))]))
    return ops.slice(input, *parts).output(0)


@op("split", "chunk", "unbind", "tensor_split", "split_with_sizes")
def split(ctx: Any, input: Any, dim: int, **_: Any) -> tuple[Any, ...]:
    start, made = 0, []
    for value in ctx.node.returned:
        size = 1 if ctx.node.op == "unbind" else value.type.shape[dim]
        made.append(reshaped(cut(input, dim, start, start + size), value.type.shape))
        start += size
    return tuple(made)


@op("getitem", counted=True)
def getitem(ctx: Any, input: Any, indices: Any) -> Any:
    """Numbers and slices first, as in torch; then tensors, together."""
    parts = split_index(indices)
    at = next((i for i, one in enumerate(parts) if one is ...), len(parts))
    counted = sum(_width(one) for one in parts)
    parts[at : at + 1] = [slice(None)] * (len(shape(input)) - counted)
    sizes: list[int] = []
    tensors: dict[int, Any] = {}  # dimension -> index
    dim = 0
    for one in parts:
        if one is None:
            sizes.append(1)
            continue
        size = shape(input)[dim]
        if isinstance(one, slice):
            start, stop, step = _bounded(ctx, one).indices(size)
            if (start, stop, step) != (0, size, 1):
                input = cut(input, dim, start, stop, step)
        elif type(one) is int:
            input = cut(input, dim, one % size, one % size + 1)
            dim += 1
            continue
        else:
            listed = isinstance(one, list) and one and all(type(n) is int for n in one)
            rows = [ints(one).output(0)] if listed else [one]
            if is_mask(one):
                alone = sum(is_tensor(part) for part in parts) == 1
                fail_unless(alone, "a mask beside other tensors as an index")
                rows = true_indices(ctx, one, ctx.type.shape[len(sizes)])
            tensors |= {len(sizes) + number: row for number, row in enumerate(rows)}
        width = _width(one)
        sizes += shape(input)[dim : dim + width]
        dim += width
    if 0 in ctx.type.shape:
        return nothing(ctx.type)
    input = reshaped(input, sizes).output(0)
    return reshaped(_together(input, tensors) if tensors else input, ctx.type.shape)


def _bounded(ctx: Any, part: Any) -> Any:
    """A slice with the numbers its bounds are."""
    if not isinstance(part, slice):
        return part
    return slice(*(ctx.constant(n) for n in (part.start, part.stop, part.step)))


def is_tensor(part: Any) -> bool:
    return hasattr(part, "get_element_type")


def is_mask(part: Any) -> bool:
    return is_tensor(part) and dtype_of(part) == torch.bool


def _width(part: Any) -> int:
    """How many dimensions a part of an index stands for: a mask for all of its own."""
    return len(shape(part)) if is_mask(part) else int(part is not None and part is not ...)


def _together(input: Any, tensors: dict[int, Any]) -> Any:
    """Elements by several tensors at once: their dimensions become one, of rows."""
    own, at = shape(input), list(tensors)
    rest = [dim for dim in range(len(own)) if dim not in tensors]
    rows: Any = ints(0)
    for dim, index in tensors.items():
        _must_be_whole(index)
        index = cast(index, torch.int64)
        index = ops.select(ops.less(index, ints(0)), ops.add(index, ints(own[dim])), index)
        rows = ops.add(ops.multiply(rows, ints(own[dim])), index)
    flat = [math.prod(own[dim] for dim in at), *(own[dim] for dim in rest)]
    input = reshaped(ops.transpose(input, ints(at + rest)), flat)
    made = ops.gather(input, rows, ints(0))
    if at != list(range(at[0], at[0] + len(at))):
        return made  # not side by side: in front, as in torch
    new = len(shape(rows.output(0)))
    order = list(range(new + len(rest)))
    return ops.transpose(made, ints(order[new : new + at[0]] + order[:new] + order[new + at[0] :]))


def _must_be_whole(index: Any) -> None:
    fail_unless(is_tensor(index), f"an index {index!r}")
    fail_unless(dtype_of(index) in (torch.int64, torch.int32), f"an index of {dtype_of(index)}")


@op("setitem", empty=True)
def setitem(ctx: Any, input: Any, indices: Any, value: Any) -> Any:
    """The tensor with some places from elsewhere: a mask says which, whole numbers from where."""
    if is_tensor(value) and 0 in shape(value):
        return ops.broadcast(input, ints(shape(input)))
    parts = split_index(indices)
    (given,) = operands(value, dtype=ctx.type.dtype)
    if len(parts) == 1 and is_mask(parts[0]):
        if shape(given):
            raise flexir.Unsupported("several values at a mask")
        sides = shape(parts[0]) + [1] * (len(shape(input)) - len(shape(parts[0])))
        return ops.select(reshaped(parts[0], sides), given, input)
    if all(map(_is_place, parts)) and not all(type(part) is int for part in parts):
        return _scattered(input, parts, given)
    parts = [_bounded(ctx, part) for part in parts]
    if not all(p is None or p is ... or isinstance(p, slice) or type(p) is int for p in parts):
        raise flexir.Unsupported("slices beside tensors as an index")
    mask = np.zeros(shape(input), np.bool_)
    mask[tuple(parts)] = True
    region = mask[tuple(parts)].shape
    if not shape(given):
        return ops.select(constant(mask, np.bool_), given, input)
    source = np.zeros(shape(input), np.int64)
    source[tuple(parts)] = np.arange(math.prod(region)).reshape(region)
    lead = len(shape(given)) - len(region)
    given = reshaped(given, shape(given)[lead:]) if lead > 0 else given
    rows = reshaped(ops.broadcast(given, ints(region)), [-1])
    return ops.select(constant(mask, np.bool_), ops.gather(rows, ints(source), ints(0)), input)


def _is_place(part: Any) -> bool:
    """Whether it is a number or several; a list may hold tensors of one."""
    if isinstance(part, (list, tuple)):
        return len(part) > 0 and all(type(n) is int or is_tensor(n) for n in part)
    return type(part) is int or is_tensor(part) and not is_mask(part)


def _scattered(input: Any, parts: list[Any], value: Any) -> Any:
    """Rows put at places, which may be counted from the end."""
    own, at = shape(input), []
    for size, part in zip(own, parts):
        if isinstance(part, (list, tuple)):
            part = port(ops.concat([reshaped(_places(n), [1]) for n in part], 0))
        part = _places(part)
        at.append(port(ops.select(ops.less(part, ints(0)), ops.add(part, ints(size)), part)))
    sizes = list(np.broadcast_shapes(*map(tuple, map(shape, at))))
    where = [ops.unsqueeze(ops.broadcast(part, ints(sizes)), ints(-1)) for part in at]
    rows = ops.broadcast(value, ints([*sizes, *own[len(at) :]]))
    return ops.scatter_nd_update(input, ops.concat(where, -1), rows)


def _places(part: Any) -> Any:
    return ints(part) if type(part) is int else cast(part, torch.int64)


@op("index_put")
def index_put(ctx: Any, input: Any, indices: Any, values: Any, accumulate: bool = False) -> Any:
    if accumulate or not all(map(_is_place, indices)):
        raise flexir.Unsupported("sums, or an index that is no tensor")
    return _scattered(input, list(indices), operands(values, dtype=ctx.type.dtype)[0])


_MET = {None: "none", "sum": "sum", "prod": "prod", "amax": "max", "amin": "min"}


@op("scatter", "scatter_add", "scatter_reduce")
def scatter(ctx: Any, input: Any, dim: int, index: Any, src: Any = None, **how: Any) -> Any:
    value, reduce = how.get("value"), scattered(ctx.node.op, how)
    fail_unless(shape(input) and len(shape(index)) == len(shape(input)), "into a number")
    fail_unless(reduce is None or ctx.type.dtype != torch.bool, "reductions of bools")
    (given,) = operands(value if src is None else src, dtype=ctx.type.dtype)
    for at, size in enumerate(shape(index)):
        if shape(given) and shape(given)[at] != size:
            given = cut(given, at, 0, size)
    given = given if shape(given) else ops.broadcast(given, ints(shape(index)))
    return ops.scatter_elements_update(
        input, index, given, ints(dim % len(shape(input))), _MET[reduce], True
    )


def gathered(input: Any, dim: int, index: Any) -> Any:
    """Rows by a tensor; negative numbers count from the end."""
    if not shape(input):
        raise flexir.Unsupported("rows of a number")
    _must_be_whole(index)
    return ops.gather(input, index, ints(dim)).output(0)


@op("gather")
def gather(ctx: Any, input: Any, dim: int, index: Any) -> Any:
    own, taken = shape(input), shape(index)
    if not own or any(a != b for i, (a, b) in enumerate(zip(own, taken)) if i != dim % len(own)):
        raise flexir.Unsupported(f"{taken} of {own}")
    return ops.gather_elements(input, index, dim % len(own))


@op("cat", empty=True)
def cat(ctx: Any, tensors: Any, dim: int) -> Any:
    """Tensors without elements are left out: a cache is empty before the first call."""
    types = [value.type for value in ctx.node.args["tensors"]]
    given = [one for one, type in zip(tensors, types) if 0 not in type.shape]
    parts = operands(*given, dtype=ctx.type.dtype)
    return ops.concat(parts, dim % len(ctx.type.shape))


@op("flip")
def flip(ctx: Any, input: Any, dims: Any) -> Any:
    for dim in [dims] if isinstance(dims, int) else dims:
        order: Any = np.arange(shape(input)[dim])[::-1] if shape(input) else []
        if len(order):
            input = ops.gather(input, ints(order), ints(dim % len(shape(input)))).output(0)
    return reshaped(input, ctx.type.shape)


@op("expand")
def expand(ctx: Any, input: Any, **_: Any) -> Any:
    return ops.broadcast(input, ints(ctx.type.shape))


_FILL = {"zeros_like": 0, "ones_like": 1, "new_zeros": 0, "new_ones": 1, "zeros": 0, "ones": 1,
         "empty": 0, "empty_like": 0, "new_empty": 0}  # fmt: skip

for _name, _value in _FILL.items():

    @op(_name)
    def fill(ctx: Any, *, value: int = _value, **_: Any) -> Any:
        return constant(np.full(ctx.type.shape, value), DTYPES[ctx.type.dtype])
