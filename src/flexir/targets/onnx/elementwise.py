"""Element by element: tables of names, and what has none in ONNX."""

from __future__ import annotations

import math
from typing import Any

import torch

from ..arguments import fail_unless
from .handlers import brought, given, op, promoted
from .indexing import nonzero

_UNARY = {  # computed in the dtype of the result
    "abs": "Abs", "acos": "Acos", "acosh": "Acosh", "asin": "Asin", "asinh": "Asinh",
    "atan": "Atan", "atanh": "Atanh", "ceil": "Ceil", "cos": "Cos", "cosh": "Cosh", "erf": "Erf",
    "exp": "Exp", "floor": "Floor", "log": "Log", "neg": "Neg", "reciprocal": "Reciprocal",
    "relu": "Relu", "round": "Round", "sigmoid": "Sigmoid", "sin": "Sin", "sinh": "Sinh",
    "softsign": "Softsign", "sqrt": "Sqrt", "tan": "Tan", "tanh": "Tanh", "mish": "Mish",
    "hardswish": "HardSwish",
}  # fmt: skip
_BINARY = {  # so, too; of bools it is the second
    "add": ("Add", "Or"), "mul": ("Mul", "And"), "sub": ("Sub", None), "maximum": ("Max", "Or"),
    "minimum": ("Min", "And"), "bitwise_and": ("BitwiseAnd", "And"),
    "bitwise_or": ("BitwiseOr", "Or"), "bitwise_xor": ("BitwiseXor", "Xor"),
}  # fmt: skip
_LOGICAL = {"logical_and": "And", "logical_or": "Or", "logical_xor": "Xor"}
_COMPARED = {"eq": "Equal", "gt": "Greater", "ge": "GreaterOrEqual", "lt": "Less",
             "le": "LessOrEqual"}  # fmt: skip

for _name, _kind in _UNARY.items():

    @op(_name)
    def unary(ctx: Any, input: Any, *, kind: str = _kind) -> Any:
        return ctx.out.add(kind, ctx.out.cast(input, ctx.type.dtype))


for _name, _kinds in _BINARY.items():

    @op(_name)
    def binary(ctx: Any, input: Any, other: Any, *, kinds: Any = _kinds) -> Any:
        kind = kinds[ctx.type.dtype is torch.bool]
        fail_unless(kind, f"{ctx.node.op} of bools")
        return ctx.out.add(kind, *brought(ctx, ctx.type.dtype, input, other))


for _name, _kind in _LOGICAL.items():

    @op(_name)
    def logical(ctx: Any, input: Any, other: Any, *, kind: str = _kind) -> Any:
        return ctx.out.add(kind, *brought(ctx, torch.bool, input, other))


for _name, _kind in _COMPARED.items():

    @op(_name)
    def compared(ctx: Any, input: Any, other: Any, *, kind: str = _kind) -> Any:
        pair = brought(ctx, promoted(input, other), input, other)
        return ctx.out.add(kind, *pair, dtype=torch.bool)


@op("isnan")
def isnan(ctx: Any, input: Any) -> Any:
    return ctx.out.add("IsNaN", input, dtype=torch.bool)


@op("logical_not")
def logical_not(ctx: Any, input: Any) -> Any:
    return ctx.out.add("Not", ctx.out.cast(input, torch.bool))


@op("bitwise_not")
def bitwise_not(ctx: Any, input: Any) -> Any:
    return ctx.out.add("Not" if ctx.type.dtype is torch.bool else "BitwiseNot", input)


@op("sign")
def sign(ctx: Any, input: Any) -> Any:
    """Of NaN it is 0, as torch has it."""
    made = ctx.out.add("Sign", ctx.out.cast(input, ctx.type.dtype))
    if not ctx.type.dtype.is_floating_point:
        return made
    return ctx.out.add("Where", ctx.out.add("IsNaN", made, dtype=torch.bool), 0.0, made)


@op("div")
def div(ctx: Any, input: Any, other: Any, rounding_mode: Any = None) -> Any:
    dtype = ctx.type.dtype if rounding_mode is None else _whole(ctx)
    a, b = brought(ctx, dtype, input, other)
    if rounding_mode == "floor":
        return _floor_divided(ctx.out, a, b)
    return ctx.out.add("Div", a, b)  # which truncates whole numbers


@op("floor_divide")
def floor_divide(ctx: Any, input: Any, other: Any) -> Any:
    return _floor_divided(ctx.out, *brought(ctx, _whole(ctx), input, other))


def _whole(ctx: Any) -> Any:
    dtype = ctx.type.dtype
    fail_unless(not dtype.is_floating_point and dtype is not torch.bool, f"of {dtype}")
    return dtype


def _floor_divided(out: Any, a: Any, b: Any) -> Any:
    """As Python: what goes into ``a`` whole."""
    return out.add("Div", out.add("Sub", a, out.add("Mod", a, b)), b)


@op("remainder")
def remainder(ctx: Any, input: Any, other: Any) -> Any:
    return ctx.out.add("Mod", *brought(ctx, _whole(ctx), input, other))


@op("fmod")
def fmod(ctx: Any, input: Any, other: Any) -> Any:
    fail_unless(ctx.type.dtype is not torch.bool, "fmod of bools")
    return ctx.out.add("Mod", *brought(ctx, ctx.type.dtype, input, other), fmod=1)


@op("pow", "float_power")
def power(ctx: Any, input: Any, exponent: Any) -> Any:
    out, dtype = ctx.out, ctx.type.dtype
    a = brought(ctx, dtype, input)[0]
    if exponent == 2 and not given(exponent):
        return out.add("Mul", a, a)
    if exponent == 3 and not given(exponent) and not dtype.is_floating_point:
        return out.add("Mul", out.add("Mul", a, a), a)
    fail_unless(dtype.is_floating_point, "powers of whole numbers")
    if exponent == 0.5 and not given(exponent):
        return out.add("Sqrt", a)
    return out.add("Pow", a, *brought(ctx, dtype, exponent))


@op("rsqrt")
def rsqrt(ctx: Any, input: Any) -> Any:
    out = ctx.out
    return out.add("Reciprocal", out.add("Sqrt", out.cast(input, ctx.type.dtype)))


# Through float64, where what ONNX lacks is computed without losing what float32 has.
_IN_DOUBLE = {
    "expm1": lambda out, x: out.add("Sub", out.add("Exp", x), 1),
    "log1p": lambda out, x: out.add("Log", out.add("Add", x, 1)),
    "log2": lambda out, x: out.add("Mul", out.add("Log", x), 1 / math.log(2)),
    "log10": lambda out, x: out.add("Mul", out.add("Log", x), 1 / math.log(10)),
}
for _name, _work in _IN_DOUBLE.items():

    @op(_name)
    def in_double(ctx: Any, input: Any, *, work: Any = _work) -> Any:
        dtype = ctx.type.dtype
        fail_unless(dtype is not torch.float64, f"{ctx.node.op} of float64")
        return ctx.out.cast(work(ctx.out, ctx.out.cast(input, torch.float64)), dtype)


@op("clamp")
def clamp(ctx: Any, input: Any, min: Any = None, max: Any = None) -> Any:
    dtype, limits = ctx.type.dtype, [-math.inf if min is None else min,
                                     math.inf if max is None else max]  # fmt: skip
    fail_unless(not any(given(n) or n != n for n in limits), "limits of each element, or NaN")
    if not dtype.is_floating_point:  # one that is left out is onnxruntime's largest finite number
        limits = [min, max]
    limits = [None if n is None else ctx.out.constant(n, dtype) for n in limits]
    return ctx.out.add("Clip", ctx.out.cast(input, dtype), *limits)


@op("where")
def where(ctx: Any, condition: Any, input: Any = None, other: Any = None) -> Any:
    if input is None:
        return nonzero(ctx, condition, as_tuple=True)
    asked = ctx.out.cast(condition, torch.bool)
    return ctx.out.add("Where", asked, *brought(ctx, ctx.type.dtype, input, other))


_SAME = ("contiguous", "clone", "detach", "positive", "requires_grad")
_CASTS = ("to", "type", "float", "double", "half", "bfloat16", "int", "long", "short", "char",
          "byte", "bool")  # fmt: skip


@op(*_SAME, *_CASTS)
def cast(ctx: Any, input: Any, **how: Any) -> Any:
    """How a tensor lies in memory is nothing to ONNX."""
    return ctx.out.cast(input, ctx.type.dtype)
