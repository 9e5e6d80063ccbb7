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
    "sigmoid": "Sigmoid", "sin": "Sin", "sinh": "Sinh", "softsign": "Softsign",
    "sqrt": "Sqrt", "tan": "Tan", "tanh": "Tanh", "mish": "Mish", "hardswish": "HardSwish",
}  # fmt: skip
_WHOLE = ("ceil", "floor", "round", "trunc")  # nothing to do to whole numbers
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


@op("rsub")
def rsub(ctx: Any, input: Any, other: Any, alpha: Any = 1) -> Any:
    a, b = brought(ctx, ctx.type.dtype, input, other)
    return ctx.out.add("Sub", b, a if alpha == 1 else ctx.out.add("Mul", a, alpha))


@op("ne")
def ne(ctx: Any, input: Any, other: Any) -> Any:
    pair = brought(ctx, promoted(input, other), input, other)
    return ctx.out.add("Not", ctx.out.add("Equal", *pair, dtype=torch.bool))


@op("sign")
def sign(ctx: Any, input: Any) -> Any:
    """Of NaN it is 0, as torch has it."""
    made = ctx.out.add("Sign", ctx.out.cast(input, ctx.type.dtype))
    if not ctx.type.dtype.is_floating_point:
        return made
    return ctx.out.add("Where", ctx.out.add("IsNaN", made, dtype=torch.bool), 0.0, made)


@op("round")
def round_(ctx: Any, input: Any) -> Any:
    return ctx.out.add("Round", input) if ctx.type.dtype.is_floating_point else input


@op("trunc")
def trunc(ctx: Any, input: Any) -> Any:
    return _truncated(ctx.out, input) if ctx.type.dtype.is_floating_point else input


def _truncated(out: Any, value: Any) -> Any:
    return out.add("Mul", out.add("Sign", value), out.add("Floor", out.add("Abs", value)))


@op("isinf")
def isinf(ctx: Any, input: Any) -> Any:
    out = ctx.out
    if not dtype_of(input).is_floating_point:
        return out.add("Not", out.add("Equal", input, input, dtype=torch.bool))
    return out.add("Equal", out.add("Abs", input), math.inf, dtype=torch.bool)


@op("isfinite")
def isfinite(ctx: Any, input: Any) -> Any:
    out = ctx.out
    if not dtype_of(input).is_floating_point:
        return out.add("Equal", input, input, dtype=torch.bool)
    return out.add("Less", out.add("Abs", input), math.inf, dtype=torch.bool)


@op("div")
def div(ctx: Any, input: Any, other: Any, rounding_mode: Any = None) -> Any:
    out, dtype = ctx.out, ctx.type.dtype
    a, b = brought(ctx, dtype, input, other)
    fail_unless(dtype is not torch.bool, "div of bools")
    if rounding_mode == "floor":
        return _floor_divided(out, a, b)
    made = out.add("Div", a, b)
    if rounding_mode is None or not dtype.is_floating_point:  # ONNX truncates whole numbers
        return made
    return _truncated(out, made)


@op("floor_divide")
def floor_divide(ctx: Any, input: Any, other: Any) -> Any:
    fail_unless(ctx.type.dtype is not torch.bool, "floor_divide of bools")
    return _floor_divided(ctx.out, *brought(ctx, ctx.type.dtype, input, other))


def _floor_divided(out: Any, a: Any, b: Any) -> Any:
    """As Python: what goes into ``a`` whole, computed from the remainder, for a/b may round up."""
    if dtype_of(a).is_floating_point:
        rest = out.add("Mod", a, b, fmod=1)
        quotient = out.add("Div", out.add("Sub", a, rest), b)
        quotient = out.add("Where", _crosses(out, rest, b), out.add("Sub", quotient, 1), quotient)
        below = out.add("Floor", quotient)
        off = out.add("Greater", out.add("Sub", quotient, below), 0.5, dtype=torch.bool)
        made = out.add("Where", off, out.add("Add", below, 1), below)
        by_zero = out.add("Equal", b, 0, dtype=torch.bool)
        return out.add("Where", by_zero, out.add("Div", a, b), made)
    quotient = out.add("Div", a, b)
    rest = out.add("Sub", a, out.add("Mul", quotient, b))
    return out.add("Where", _crosses(out, rest, b), out.add("Sub", quotient, 1), quotient)


def _crosses(out: Any, rest: Any, b: Any) -> Any:
    """Whether there is a remainder, of the other sign than the divisor."""
    below = [out.add("Less", value, 0, dtype=torch.bool) for value in (rest, b)]
    some = out.add("Not", out.add("Equal", rest, 0, dtype=torch.bool))
    return out.add("And", some, out.add("Xor", *below))


@op("remainder")
def remainder(ctx: Any, input: Any, other: Any) -> Any:
    out, dtype = ctx.out, ctx.type.dtype
    a, b = brought(ctx, dtype, input, other)
    fail_unless(dtype is not torch.bool, "remainder of bools")
    if not dtype.is_floating_point:
        return out.add("Mod", a, b)
    rest = out.add("Mod", a, b, fmod=1)
    return out.add("Where", _crosses(out, rest, b), out.add("Add", rest, b), rest)


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


@op("square")
def square(ctx: Any, input: Any) -> Any:
    value = ctx.out.cast(input, ctx.type.dtype)
    return ctx.out.add("Mul", value, value)


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


@op("exp2")
def exp2(ctx: Any, input: Any) -> Any:
    made = ctx.out.cast(input, ctx.type.dtype)
    return ctx.out.add("Pow", ctx.out.constant(2, ctx.type.dtype), made)


@op("clamp")
def clamp(ctx: Any, input: Any, min: Any = None, max: Any = None) -> Any:
    out, dtype = ctx.out, ctx.type.dtype
    made = out.cast(input, dtype)
    if any(isinstance(limit, float) and limit != limit for limit in (min, max)):
        fail_unless(False, "limits that are NaN")
    for kind, limit in (("Max", min), ("Min", max)):
        if limit is not None and (given(min) or given(max)):
            made = out.add(kind, made, *brought(ctx, dtype, limit))
    if given(min) or given(max):
        return made
    if dtype.is_floating_point:  # where it is left out, onnxruntime's is the largest finite number
        min, max = -math.inf if min is None else min, math.inf if max is None else max
    limits = [None if n is None else out.constant(n, dtype) for n in (min, max)]
    return out.add("Clip", made, *limits)


@op("clamp_min")
def clamp_min(ctx: Any, input: Any, min: Any) -> Any:
    return clamp(ctx, input, min=min)


@op("clamp_max")
def clamp_max(ctx: Any, input: Any, max: Any) -> Any:
    return clamp(ctx, input, max=max)


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


@op("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout",
    "feature_dropout")  # fmt: skip
def dropout(ctx: Any, input: Any, p: float = 0.5, training: bool = True) -> Any:
    fail_unless(not training or p == 0, "dropout while training")
    return input
