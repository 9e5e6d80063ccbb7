"""Handlers along dimensions: sums, extremes, their places, orders."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from openvino import opset13 as ops

import flexir

from ..arguments import dims
from .arithmetic import at_least, at_most, floating, lost_rows, numeric, softmax_of
from .values import cast, constant, ints, op, operands

_REDUCE = {"sum": ops.reduce_sum, "mean": ops.reduce_mean}
_EXTREME = {"amax": (ops.reduce_max, -np.inf), "amin": (ops.reduce_min, np.inf)}


for _name, _build in _REDUCE.items():

    @op(_name)
    def reduction(ctx: Any, input: Any, dim: Any = None, keepdim: Any = False, *,
                  build: Any = _build) -> Any:  # fmt: skip
        rank = len(input.get_shape())
        input = cast(input, numeric(ctx))
        return build(input, ints(dims(dim, rank)), keepdim) if rank else input


for _name, (_build, _least) in _EXTREME.items():

    @op(_name)
    def extreme(ctx: Any, input: Any, dim: Any = None, keepdim: Any = False, *,
                build: Any = _build, least: float = _least) -> Any:  # fmt: skip
        return extreme_of(ctx, input, dim, keepdim, build, least)


def extreme_of(ctx: Any, input: Any, dim: Any, keepdim: Any, build: Any, least: float) -> Any:
    """The plug-in begins at the last finite number and skips NaN; torch does neither."""
    dtype, rank = numeric(ctx), len(input.get_shape())
    if not rank:
        return input
    axes = ints(dims(dim, rank))
    made = build(input, axes, keepdim)
    if dtype != torch.float32:
        return made
    beyond, nan = constant(least, np.float32), constant(np.nan, np.float32)
    all_beyond = ops.reduce_logical_and(ops.equal(input, beyond), axes, keepdim)
    one_nan = ops.reduce_logical_or(ops.is_nan(input), axes, keepdim)
    return ops.select(one_nan, nan, ops.select(all_beyond, beyond, made))


@op("all", "any")
def any_all(ctx: Any, input: Any, dim: Any = None, keepdim: Any = False) -> Any:
    build = ops.reduce_logical_and if ctx.node.op == "all" else ops.reduce_logical_or
    input, rank = cast(input, torch.bool), len(input.get_shape())
    return build(input, ints(dims(dim, rank)), keepdim) if rank else input


@op("cumsum")
def cumsum(ctx: Any, input: Any, dim: int, dtype: Any = None) -> Any:
    return ops.cum_sum(cast(input, numeric(ctx)), ints(_axis(input, dim)))


def _axis(input: Any, dim: int) -> int:
    if not input.get_shape():
        raise flexir.Unsupported("of a number")
    return int(dim % len(input.get_shape()))


def ordered(ctx: Any, input: Any, dim: int, count: int, descending: bool) -> list[Any]:
    """The first of an order, equal ones as they came, and their places."""
    kind = "max" if descending else "min"
    if input.get_element_type().to_dtype().type not in (np.float32, np.int64, np.int32):
        raise flexir.Unsupported("an order of other numbers")
    made = ops.topk(input, ints(count), _axis(input, dim), kind, "value", "i64", True)
    return [made.output(0), made.output(1)]


@op("topk")
def topk(ctx: Any, input: Any, k: int, dim: int, largest: bool, sorted: bool) -> Any:
    return tuple(ordered(ctx, input, dim, k, largest))


@op("sort", "argsort")
def sort(ctx: Any, input: Any, dim: int = -1, descending: bool = False,
         stable: Any = False) -> Any:  # fmt: skip
    count = input.get_shape()[_axis(input, dim)]
    values, places = ordered(ctx, input, dim, count, descending)
    return (values, places) if ctx.node.op == "sort" else places


def _first(ctx: Any, input: Any, dim: int, most: bool) -> list[Any]:
    """The extreme along a dimension and its place; NaN, the first of them, goes before all."""
    values, places = ordered(ctx, input, dim, 1, most)
    if input.get_element_type().to_dtype().type is not np.float32:
        return [values, places]
    lost = ops.convert(ops.is_nan(input), np.float32).output(0)
    one, at = ordered(ctx, lost, dim, 1, True)
    some = ops.less(constant(0, np.float32), one)
    nan = constant(np.nan, np.float32)
    return [ops.select(some, nan, values), ops.select(some, at, places)]


@op("max", "min")
def extremes(ctx: Any, input: Any, dim: Any = None, keepdim: Any = False, other: Any = None) -> Any:
    most = ctx.node.op == "max"
    if other is not None:
        return (at_least if most else at_most)(*operands(input, other, dtype=numeric(ctx)))
    if dim is None:
        return extreme_of(ctx, input, None, False, *_EXTREME["amax" if most else "amin"])
    shape = ints(ctx.type.shape)
    return tuple(ops.reshape(part, shape, False) for part in _first(ctx, input, dim, most))


@op("argmax", "argmin")
def arg_extreme(ctx: Any, input: Any, dim: Any = None, keepdim: Any = False) -> Any:
    rows = input if dim is not None else ops.reshape(input, ints([-1]), False).output(0)
    _, places = _first(ctx, rows, 0 if dim is None else dim, ctx.node.op == "argmax")
    return ops.reshape(places, ints(ctx.type.shape), False)


@op("softmax", "log_softmax")
def softmax(ctx: Any, input: Any, dim: int, dtype: Any) -> Any:
    build = softmax_of if ctx.node.op == "softmax" else _log_softmax
    (input,) = floating(ctx, input)
    rank = len(input.get_shape())
    return build(input, dim % rank) if rank else ops.reshape(
        build(ops.reshape(input, ints([1]), False), 0), ints([]), False)  # fmt: skip


def _log_softmax(input: Any, dim: int) -> Any:
    return lost_rows(input, dim, ops.log_softmax(input, dim))
