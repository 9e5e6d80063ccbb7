"""Along dimensions: sums, extremes, their places, orders."""

from __future__ import annotations

import math
from typing import Any

import onnx_ir as ir
import torch

from ..arguments import dims, fail_unless
from .handlers import empty, op, rank, shape_of
from .network import dtype_of
from .shapes import reshaped

_REDUCED = {"sum": "ReduceSum", "mean": "ReduceMean", "prod": "ReduceProd", "amax": "ReduceMax",
            "amin": "ReduceMin"}  # fmt: skip


def reduced(ctx: Any, kind: str, value: Any, dim: Any, keepdim: bool, **how: Any) -> Any:
    """A reduction over some dimensions, none of them empty unless it is a sum."""
    fail_unless(not empty(value) or kind == "ReduceSum", "a reduction of nothing")
    if not rank(value):
        return value
    axes = dims(dim, rank(value))
    made = ctx.out.add(kind, value, axes, keepdims=int(keepdim), **how)
    if kind in ("ReduceMax", "ReduceMin") and dtype_of(value).is_floating_point:
        nan = _nan_among(ctx.out, value, axes, keepdim)  # onnxruntime's kernels may pass over it
        made = ctx.out.add("Where", nan, math.nan, made)
    kept = [1 if d in axes else n if isinstance(n, int) else None
            for d, n in enumerate(value.shape)]  # fmt: skip
    made.shape = ir.Shape(kept if keepdim else [n for d, n in enumerate(kept) if d not in axes])
    return made


def _nan_among(out: Any, value: Any, axes: list[int], keepdim: bool) -> Any:
    found = out.cast(out.add("IsNaN", value, dtype=torch.bool), torch.int32)
    return out.cast(out.add("ReduceMax", found, axes, keepdims=int(keepdim)), torch.bool)


@op("sum", "mean", "prod")
def total(ctx: Any, input: Any, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
    value = ctx.out.cast(input, ctx.type.dtype)
    return reduced(ctx, _REDUCED[ctx.node.op], value, dim, keepdim)


@op("amax", "amin")
def extreme(ctx: Any, input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    return reduced(ctx, _REDUCED[ctx.node.op], input, dim, keepdim)


@op("max", "min")
def extremes(ctx: Any, input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    name = ctx.node.op.title()
    made = reduced(ctx, f"Reduce{name}", input, dim, keepdim)
    if dim is None:
        return made
    return [made, _arg_extreme(ctx, f"Arg{name}", input, dim, keepdim)]


def _arg_extreme(ctx: Any, kind: str, value: Any, dim: int, keepdim: bool) -> Any:
    fail_unless(not empty(value), "a reduction of nothing")
    if not rank(value):
        return ctx.out.constant(0)
    return _arg_along(ctx.out, kind, value, dim, keepdim)


def _arg_along(out: Any, kind: str, value: Any, dim: int, keepdim: bool) -> Any:
    """The first of the extremes along a dimension; the first NaN, if there is one."""
    how = {"axis": dim, "keepdims": int(keepdim), "dtype": torch.int64}
    made = out.add(kind, value, **how)
    if not dtype_of(value).is_floating_point:
        return made
    nan = out.cast(out.add("IsNaN", value, dtype=torch.bool), torch.int32)
    among = _nan_among(out, value, [dim], keepdim)
    return out.add("Where", among, out.add("ArgMax", nan, **how), made)


@op("argmax", "argmin")
def arg_extreme(ctx: Any, input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    kind = "ArgMax" if ctx.node.op == "argmax" else "ArgMin"
    if dim is not None:
        return _arg_extreme(ctx, kind, input, dim, keepdim)
    fail_unless(not empty(input), "a reduction of nothing")
    flat = reshaped(ctx.out, input, [-1])
    made = _arg_along(ctx.out, kind, flat, 0, False)
    return reshaped(ctx.out, made, [1] * rank(input)) if keepdim else made


@op("any", "all")
def any_all(ctx: Any, input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """Whether there are some, counted: also of nothing."""
    out, every = ctx.out, ctx.node.op == "all"
    truth = out.cast(input, torch.bool)
    if not rank(input):
        return out.cast(truth, ctx.type.dtype)
    counted = out.cast(out.add("Not", truth) if every else truth, torch.int32)
    axes = dims(dim, rank(input))
    some = out.cast(out.add("ReduceSum", counted, axes, keepdims=int(keepdim)), torch.bool)
    return out.cast(out.add("Not", some) if every else some, ctx.type.dtype)


@op("linalg_vector_norm")
def vector_norm(
    ctx: Any, input: Any, ord: Any = 2, dim: Any = None, keepdim: bool = False, dtype: Any = None
) -> Any:
    fail_unless(ord in (1, 2) and rank(input), "a norm that ONNX has not")
    value = ctx.out.cast(input, ctx.type.dtype)
    return reduced(ctx, f"ReduceL{int(ord)}", value, dim, keepdim)


@op("softmax", "log_softmax")
def softmax(ctx: Any, input: Any, dim: Any, dtype: Any = None) -> Any:
    fail_unless(dim is not None, "softmax along a dimension that torch guesses")
    value = ctx.out.cast(input, ctx.type.dtype)
    kind = "LogSoftmax" if "log" in ctx.node.op else "Softmax"
    if not rank(value):
        value = reshaped(ctx.out, value, [1])
        return reshaped(ctx.out, ctx.out.add(kind, value, axis=0), [])
    return ctx.out.add(kind, value, axis=dim)


@op("cumsum")
def cumsum(ctx: Any, input: Any, dim: int, dtype: Any = None) -> Any:
    value = ctx.out.cast(input, ctx.type.dtype)
    return ctx.out.add("CumSum", value, ctx.out.constant(dim)) if rank(value) else value


@op("topk")
def topk(
    ctx: Any, input: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True
) -> Any:
    fail_unless(dtype_of(input).is_floating_point, "of equal numbers, torch takes any")
    return _ordered(ctx, input, k, dim, largest)


def _ordered(ctx: Any, input: Any, k: int, dim: int, largest: bool) -> list[Any]:
    fail_unless(rank(input), "an order of a number")
    fail_unless(dtype_of(input) is not torch.bool, "an order of bools")
    values, places = ctx.out.many("TopK", 2, input, [k], axis=dim, largest=int(largest), sorted=1)
    places.type = ctx.out.constant(0).type
    return [values, places]


@op("sort", "argsort")
def sort(
    ctx: Any, input: Any, dim: int = -1, descending: bool = False, stable: bool = False
) -> Any:
    fail_unless(rank(input), "an order of a number")
    values, places = _ordered(ctx, input, shape_of(input)[dim], dim, descending)
    return [values, places] if ctx.node.op == "sort" else places


@op("unique")
def unique(
    ctx: Any, input: Any, sorted: bool = True, return_inverse: bool = False,
    return_counts: bool = False, dim: Any = None,
) -> Any:  # fmt: skip
    out = ctx.out
    value = input if dtype_of(input).is_floating_point else out.cast(input, torch.int64)
    values, first, inverse, counts = out.many("Unique", 4, value, axis=dim, sorted=1)
    values = out.cast(values, dtype_of(input))
    for places in (first, inverse, counts):
        places.type = out.constant(0).type
    made = [values]
    if return_inverse:
        made.append(inverse if dim is not None else reshaped(out, inverse, shape_of(input)))
    return [*made, counts] if return_counts else made if return_inverse else values
