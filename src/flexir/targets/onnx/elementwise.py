"""Element by element: tables of names, and what has none in ONNX."""

from __future__ import annotations

import math
from typing import Any

import torch

from ..arguments import fail_unless
from .handlers import brought, given, op, promoted
from .indexing import nonzero
from .network import dtype_of

_UNARY = {
    "abs": "Abs", "acos": "Acos", "acosh": "Acosh", "asin": "Asin", "asinh": "Asinh",
    "atan": "Atan", "atanh": "Atanh", "bitwise_not": "BitwiseNot", "ceil": "Ceil", "cos": "Cos",
    "cosh": "Cosh", "erf": "Erf", "exp": "Exp", "floor": "Floor", "isnan": "IsNaN", "log": "Log",
    "logical_not": "Not", "neg": "Neg", "reciprocal": "Reciprocal", "relu": "Relu",
    "round": "Round", "sigmoid": "Sigmoid", "sin": "Sin", "sinh": "Sinh", "softsign": "Softsign",
    "sqrt": "Sqrt", "tan": "Tan", "tanh": "Tanh", "mish": "Mish", "hardswish": "HardSwish",
}  # fmt: skip
_WHOLE = ("ceil", "floor", "round")  # nothing to do to whole numbers
_BINARY = {"add": "Add", "mul": "Mul", "sub": "Sub", "maximum": "Max", "minimum": "Min"}
_OF_BOOLS = {"mul": "And", "minimum": "And", "maximum": "Or"}
_COMPARED = {"eq": "Equal", "gt": "Greater", "ge": "GreaterOrEqual", "lt": "Less",
             "le": "LessOrEqual"}  # fmt: skip
_LOGICAL = {"logical_and": "And", "logical_or": "Or", "logical_xor": "Xor"}
_BITWISE = {"bitwise_and": "And", "bitwise_or": "Or", "bitwise_xor": "Xor"}


def _unary(name: str, kind: str) -> None:
    @op(name)
    def handler(ctx: Any, input: Any) -> Any:
        out, dtype = ctx.out, ctx.type.dtype
        if name in ("isnan", "logical_not"):
            if name == "isnan" and not dtype_of(input).is_floating_point:
                return out.add("Not", out.add("Equal", input, input, dtype=torch.bool))
            taken = out.cast(input, torch.bool) if name == "logical_not" else input
            return out.add(kind, taken, dtype=torch.bool)
        if name in _WHOLE and not dtype.is_floating_point:
            return input
        if name == "bitwise_not" and dtype is torch.bool:
            return out.add("Not", input)
        return out.add(kind, out.cast(input, dtype))


for _name, _kind in _UNARY.items():
    _unary(_name, _kind)


def _binary(name: str, kind: str) -> None:
    @op(name)
    def handler(ctx: Any, input: Any, other: Any) -> Any:
        dtype = ctx.type.dtype
        made = _OF_BOOLS[name] if dtype is torch.bool else kind
        return ctx.out.add(made, *brought(ctx, dtype, input, other))


def _compared(name: str, kind: str) -> None:
    @op(name)
    def handler(ctx: Any, input: Any, other: Any) -> Any:
        pair = brought(ctx, promoted(input, other), input, other)
        return ctx.out.add(kind, *pair, dtype=torch.bool)


def _logical(name: str, kind: str) -> None:
    @op(name)
    def handler(ctx: Any, input: Any, other: Any) -> Any:
        dtype = ctx.type.dtype
        if name in _LOGICAL or dtype is torch.bool:
            return ctx.out.add(kind, *brought(ctx, torch.bool, input, other))
        return ctx.out.add(f"Bitwise{kind}", *brought(ctx, dtype, input, other))


for _name, _kind in _BINARY.items():
    if _name not in ("add", "sub"):
        _binary(_name, _kind)
for _name, _kind in _COMPARED.items():
    _compared(_name, _kind)
for _name, _kind in {**_LOGICAL, **_BITWISE}.items():
    _logical(_name, _kind)


@op("add", "sub")
def add(ctx: Any, input: Any, other: Any, alpha: Any = 1) -> Any:
    out, dtype = ctx.out, ctx.type.dtype
    a, b = brought(ctx, dtype, input, other)
    if dtype is torch.bool:
        fail_unless(ctx.node.op == "add" and alpha == 1, "sub of bools")
        return out.add("Or", a, b)
    if alpha != 1:
        b = out.add("Mul", b, alpha)
    return out.add(_BINARY[ctx.node.op], a, b)


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


def in_double(ctx: Any, input: Any, work: Any) -> Any:
    """Through float64, where what ONNX lacks can be computed without losing what float32 has."""
    dtype = ctx.type.dtype
    fail_unless(dtype is not torch.float64, f"{ctx.node.op} of float64")
    return ctx.out.cast(work(ctx.out, ctx.out.cast(input, torch.float64)), dtype)


@op("expm1")
def expm1(ctx: Any, input: Any) -> Any:
    return in_double(ctx, input, lambda out, x: out.add("Sub", out.add("Exp", x), 1))


@op("log1p")
def log1p(ctx: Any, input: Any) -> Any:
    return in_double(ctx, input, lambda out, x: out.add("Log", out.add("Add", x, 1)))


@op("log2", "log10")
def log_of(ctx: Any, input: Any) -> Any:
    scale = 1 / math.log(2 if ctx.node.op == "log2" else 10)
    return in_double(ctx, input, lambda out, x: out.add("Mul", out.add("Log", x), scale))


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


@op("masked_fill")
def masked_fill(ctx: Any, input: Any, mask: Any, value: Any) -> Any:
    asked = ctx.out.cast(mask, torch.bool)
    return ctx.out.add("Where", asked, *brought(ctx, ctx.type.dtype, value, input))


_SAME = ("contiguous", "clone", "detach", "positive", "requires_grad")
_CASTS = ("to", "type", "float", "double", "half", "bfloat16", "int", "long", "short", "char",
          "byte", "bool")  # fmt: skip


@op(*_SAME, *_CASTS)
def cast(ctx: Any, input: Any, **how: Any) -> Any:
    """How a tensor lies in memory is nothing to ONNX."""
    return ctx.out.cast(input, ctx.type.dtype)
