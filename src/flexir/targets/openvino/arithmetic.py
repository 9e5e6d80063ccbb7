"""Handlers of arithmetic: element by element, comparisons, attention.

The plug-in's ``relu``, ``clamp``, ``maximum``, ``minimum``, ``exp`` and ``greater`` lose NaN; its
``less`` does not, and what is chosen by it keeps NaN as torch does, fused into a layer or not.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from openvino import opset13 as ops

import flexir

from ..arguments import fail_unless
from .remainders import rest_of
from .values import (
    DTYPES,
    cast,
    constant,
    dtype_of,
    ints,
    is_number,
    op,
    operands,
    port,
    type_of,
)

_UNARY = {  # op -> builder; computed in floating point, as torch does
    "sigmoid": ops.sigmoid, "tanh": ops.tanh, "log": ops.log, "relu": lambda x: at_least(x, 0),
    "exp": lambda x: ops.select(ops.is_nan(x), x, ops.exp(x)),
    "sqrt": ops.sqrt, "sin": ops.sin, "cos": ops.cos, "tan": ops.tan, "asin": ops.asin,
    "acos": ops.acos, "atan": ops.atan, "sinh": ops.sinh, "cosh": ops.cosh, "asinh": ops.asinh,
    "atanh": ops.atanh, "erf": ops.erf, "mish": ops.mish, "silu": ops.swish,
    "hardswish": ops.hswish, "softsign": ops.softsign,
    "floor": ops.floor, "ceil": ops.ceiling, "round": ops.round,
}  # fmt: skip
_SAME = {"abs": ops.abs, "neg": ops.negative, "sign": lambda x: _signed(x)}
_BINARY = {"add": ops.add, "sub": ops.subtract, "mul": ops.multiply}
_COMPARE = {"eq": ops.equal, "ne": ops.not_equal, "lt": ops.less, "le": ops.less_equal,
            "gt": lambda a, b: ops.less(b, a), "ge": lambda a, b: ops.less_equal(b, a)}  # fmt: skip
_LOGICAL = {"logical_and": ops.logical_and, "logical_or": ops.logical_or,
            "logical_xor": ops.logical_xor}  # fmt: skip
_BITS = {"bitwise_and": ops.bitwise_and, "bitwise_or": ops.bitwise_or,
         "bitwise_xor": ops.bitwise_xor}  # fmt: skip


def floating(ctx: Any, *parts: Any) -> list[Any]:
    """Operands in f32, if that is what torch computes in."""
    if ctx.type.dtype != torch.float32:
        raise flexir.Unsupported(f"{ctx.type.dtype}")
    return operands(*parts, dtype=torch.float32)


def at_least(input: Any, bound: Any) -> Any:
    """The greater of two; NaN of either."""
    return _chosen(ops.less, input, bound)


def at_most(input: Any, bound: Any) -> Any:
    """The smaller of two; NaN of either."""
    return _chosen(lambda a, b: ops.less(b, a), input, bound)


def _chosen(less: Any, input: Any, bound: Any) -> Any:
    """``bound`` where ``input`` is less, or where ``bound`` is NaN."""
    (bound,) = operands(bound, dtype=dtype_of(input)) if is_number(bound) else [bound]
    taken, source = less(input, bound), port(bound).get_node()
    fixed = source.get_type_name() == "Constant" and not np.isnan(source.data).any()
    if dtype_of(input) == torch.float32 and not fixed:
        taken = ops.logical_or(taken, ops.is_nan(bound))
    return ops.select(taken, bound, input)


def _signed(input: Any) -> Any:
    """Of NaN it is 0, as torch has it."""
    made = ops.sign(input)
    if dtype_of(input) != torch.float32:
        return made
    return ops.select(ops.is_nan(input), constant(0, np.float32), made)


for _name, _build in _UNARY.items():

    @op(_name)
    def unary(ctx: Any, input: Any, *, build: Any = _build) -> Any:
        return build(*floating(ctx, input))


for _name, _build in _SAME.items():

    @op(_name)
    def same(ctx: Any, input: Any, *, build: Any = _build) -> Any:
        if ctx.type.dtype not in (torch.float32, torch.int64, torch.int32):
            raise flexir.Unsupported(f"{ctx.type.dtype}")
        return build(input)


@op("gelu")
def gelu(ctx: Any, input: Any, approximate: str) -> Any:
    return ops.gelu(*floating(ctx, input), "tanh" if approximate == "tanh" else "erf")


@op("elu")
def elu(ctx: Any, input: Any, alpha: float) -> Any:
    return ops.elu(*floating(ctx, input), float(alpha))


@op("clamp")
def clamp(ctx: Any, input: Any, min: Any, max: Any) -> Any:
    for bound, within in ((min, at_least), (max, at_most)):
        if bound is not None:
            input = port(within(*operands(input, bound, dtype=numeric(ctx))))
    return cast(input, ctx.type.dtype)


for _name, _build in _BINARY.items():

    @op(_name)
    def binary(ctx: Any, input: Any, other: Any, *, name: str = _name, build: Any = _build) -> Any:
        if ctx.type.dtype == torch.bool:
            build = {"add": ops.logical_or, "mul": ops.logical_and}.get(name)
            if build is None:
                raise flexir.Unsupported("bool")
        return build(*operands(input, other, dtype=ctx.type.dtype))


@op("div")
def divide(ctx: Any, input: Any, other: Any, rounding_mode: Any = None) -> Any:
    if rounding_mode is None:
        return ops.divide(*floating(ctx, input, other))
    return _whole_divided(ctx, input, other, floor=rounding_mode == "floor")


@op("floor_divide")
def _whole_divided(ctx: Any, input: Any, other: Any, *, floor: bool = True) -> Any:
    """What goes into a whole, by what is left over."""
    a, b = operands(input, other, dtype=_whole(ctx))
    return ops.divide(ops.subtract(a, (ops.floor_mod if floor else ops.mod)(a, b)), b)


def _whole(ctx: Any) -> torch.dtype:
    fail_unless(numeric(ctx) != torch.float32, "torch.float32")
    return numeric(ctx)


@op("remainder")
def remainder(ctx: Any, input: Any, other: Any) -> Any:
    return ops.floor_mod(*operands(input, other, dtype=_whole(ctx)))


@op("fmod")
def fmod(ctx: Any, input: Any, other: Any) -> Any:
    a, b = operands(input, other, dtype=numeric(ctx))
    return rest_of(ctx, a, b) if numeric(ctx) == torch.float32 else ops.mod(a, b)


@op("pow")
def power(ctx: Any, input: Any, exponent: Any) -> Any:
    return ops.power(*floating(ctx, input, exponent))


@op("maximum")
def maximum(ctx: Any, input: Any, other: Any) -> Any:
    return at_least(*operands(input, other, dtype=numeric(ctx)))


@op("minimum")
def minimum(ctx: Any, input: Any, other: Any) -> Any:
    return at_most(*operands(input, other, dtype=numeric(ctx)))


def numeric(ctx: Any) -> torch.dtype:
    if ctx.type.dtype not in (torch.float32, torch.int64, torch.int32):
        raise flexir.Unsupported(f"{ctx.type.dtype}")
    dtype: torch.dtype = ctx.type.dtype
    return dtype


for _name, _build in _COMPARE.items():

    @op(_name)
    def comparison(ctx: Any, input: Any, other: Any, *, build: Any = _build) -> Any:
        return build(*operands(input, other, dtype=ctx.promoted(input, other)))


for _name, _build in _LOGICAL.items():

    @op(_name)
    def logical(ctx: Any, input: Any, other: Any, *, build: Any = _build) -> Any:
        return build(*operands(input, other, dtype=torch.bool))


for _name, _build in _BITS.items():

    @op(_name)
    def bits(ctx: Any, input: Any, other: Any, *, build: Any = _build) -> Any:
        return build(*operands(input, other, dtype=ctx.type.dtype))


@op("bitwise_not")
def bitwise_not(ctx: Any, input: Any) -> Any:
    return ops.bitwise_not(input)


@op("logical_not")
def logical_not(ctx: Any, input: Any) -> Any:
    return ops.logical_not(cast(input, torch.bool))


@op("masked_fill")
def masked_fill(ctx: Any, input: Any, mask: Any, value: Any) -> Any:
    other, own = operands(value, input, dtype=ctx.type.dtype)
    return ops.select(mask, other, own)


@op("to")
def to(ctx: Any, input: Any, **_: Any) -> Any:
    source = input.get_element_type().to_dtype().type
    if (
        source is np.float32
        and DTYPES[ctx.type.dtype] is not source
        and ctx.type.dtype != torch.bool
    ):
        input = ops.convert(input, "i32").output(0)  # towards zero, and within 32 bits
    return cast(input, ctx.type.dtype)


@op("bool")
def truth(ctx: Any, input: Any) -> Any:
    return ops.reshape(cast(input, torch.bool), ints(ctx.type.shape), False)


@op("item")
def item(ctx: Any, input: Any) -> Any:
    """A whole number or a bool; others have 64 bits."""
    return ops.reshape(cast(input, type_of(ctx.node.outputs[0].type).dtype), ints([]), False)


for _name in ("float", "long", "int"):

    @op(_name)
    def converted(ctx: Any, input: Any) -> Any:
        return to(ctx, input)


def softmax_of(input: Any, dim: int) -> Any:
    """Shares along a dimension."""
    return lost_rows(input, dim, ops.softmax(input, dim))


def lost_rows(input: Any, dim: int, made: Any) -> Any:
    """NaN along a dimension where there is NaN or inf, which the plug-in takes for zero."""
    fine = ops.less(input, constant(np.inf, np.float32))
    fine = ops.reduce_logical_and(fine, ints(dim), True)
    return ops.select(fine, made, constant(np.nan, np.float32))
