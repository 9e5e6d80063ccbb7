"""Element by element: tables of names, and what differs from torch."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
from jax import lax, nn
from jax.scipy import special

from ..arguments import fail_unless
from .handlers import is_whole, op, pair, table
from .program import given

table({
    "abs": jnp.abs, "acos": jnp.arccos, "acosh": jnp.arccosh, "asin": jnp.arcsin,
    "asinh": jnp.arcsinh, "atan": jnp.arctan, "atanh": jnp.arctanh, "cos": jnp.cos,
    "cosh": jnp.cosh, "erf": special.erf, "erfc": special.erfc, "exp": jnp.exp, "exp2": jnp.exp2,
    "expm1": jnp.expm1, "log": jnp.log, "log1p": jnp.log1p, "log2": jnp.log2, "log10": jnp.log10,
    "neg": jnp.negative, "reciprocal": jnp.reciprocal, "rsqrt": lax.rsqrt, "sigmoid": nn.sigmoid,
    "sin": jnp.sin, "sinh": jnp.sinh, "sqrt": jnp.sqrt, "tan": jnp.tan, "tanh": jnp.tanh,
    "erfinv": special.erfinv, "lgamma": special.gammaln,
    "sign": lambda x: jnp.where(jnp.isnan(x), 0, jnp.sign(x)).astype(x.dtype),
    "bitwise_not": jnp.invert, "relu": lambda x: jnp.maximum(x, 0).astype(x.dtype),
    "silu": lambda x: x * nn.sigmoid(x), "real": jnp.real, "conj": jnp.conj,
    "resolve_conj": lambda x: x, "resolve_neg": lambda x: x, "positive": lambda x: x,
    **{name: lambda x, f=f: x if is_whole(x) else f(x) for name, f in {
        "ceil": jnp.ceil, "floor": jnp.floor, "trunc": jnp.trunc, "round": jnp.round}.items()},
})  # fmt: skip


def _asked(function: Any) -> Any:
    return lambda call, input: function(input)


for _name, _function in {
    "isnan": jnp.isnan, "isinf": jnp.isinf, "isfinite": jnp.isfinite, "signbit": jnp.signbit,
    "logical_not": jnp.logical_not, "imag": jnp.imag,
    "angle": lambda x: jnp.angle(jnp.where(x == 0, jnp.abs(x), x)),
}.items():  # fmt: skip
    op(_name)(_asked(_function))


def _binary(function: Any) -> Any:
    return lambda call, input, other: function(call.cast(input), call.cast(other))


for _name, _arithmetic in {
    "mul": jnp.multiply, "maximum": jnp.maximum, "minimum": jnp.minimum, "fmax": jnp.fmax,
    "fmin": jnp.fmin, "hypot": jnp.hypot, "atan2": jnp.arctan2, "bitwise_and": jnp.bitwise_and,
    "bitwise_or": jnp.bitwise_or, "bitwise_xor": jnp.bitwise_xor, "logaddexp": jnp.logaddexp,
    "copysign": jnp.copysign, "fmod": lambda a, b: _fmod(a, b),
    "remainder": lambda a, b: _rest(a, b),
    "floor_divide": lambda a, b: _floor_divided(a, b),
}.items():  # fmt: skip
    op(_name)(_binary(_arithmetic))


def _compared(function: Any) -> Any:
    return lambda call, input, other: function(*pair(input, other))


for _name, _comparison in {
    "eq": jnp.equal, "ne": jnp.not_equal, "gt": jnp.greater, "ge": jnp.greater_equal,
    "lt": jnp.less, "le": jnp.less_equal, "logical_and": jnp.logical_and,
    "logical_or": jnp.logical_or, "logical_xor": jnp.logical_xor,
}.items():  # fmt: skip
    op(_name)(_compared(_comparison))


def _no_zero(a: Any, b: Any) -> None:
    fail_unless(a.dtype != jnp.bool_, "a division of bools")


def _fmod(a: Any, b: Any) -> Any:
    _no_zero(a, b)
    return lax.rem(*jnp.broadcast_arrays(a, b))


def _rest(a: Any, b: Any) -> Any:
    rest = _fmod(a, b)
    return jnp.where((rest != 0) & ((rest < 0) != (b < 0)), rest + b, rest)


def _floor_divided(a: Any, b: Any) -> Any:
    """As Python: computed from the remainder, for a / b may round up."""
    _no_zero(a, b)
    if is_whole(a):
        return jnp.floor_divide(a, b)
    rest = _fmod(a, b)
    quotient = (a - rest) / b
    quotient = jnp.where((rest != 0) & ((b < 0) != (rest < 0)), quotient - 1, quotient)
    below = jnp.floor(quotient)
    made = jnp.where(quotient - below > 0.5, below + 1, below)
    made = jnp.where(quotient == 0, jnp.copysign(jnp.zeros_like(made), a / b), made)
    return jnp.where(b == 0, a / b, made)


@op("div")
def div(call: Any, input: Any, other: Any, rounding_mode: Any = None) -> Any:
    a, b = call.cast(input), call.cast(other)
    if rounding_mode == "floor":
        return _floor_divided(a, b)
    if rounding_mode == "trunc":
        return lax.div(*jnp.broadcast_arrays(a, b)) if is_whole(a) else jnp.trunc(a / b)
    return a / b


@op("add", "sub")
def add(call: Any, input: Any, other: Any, alpha: Any = 1) -> Any:
    a, b = call.cast(input), call.cast(other)
    b = b if alpha == 1 else b * call.cast(alpha)
    return a + b if call.op == "add" else a - b


@op("pow")
def power(call: Any, input: Any, exponent: Any) -> Any:
    a = call.cast(input)
    fail_unless(a.dtype != jnp.bool_, "powers of bools")
    if not given(exponent):
        if exponent == 0.5:
            return jnp.sqrt(a)
        if isinstance(exponent, int) and 0 <= exponent <= 64:
            return lax.integer_pow(a, exponent)
    b = call.cast(exponent)
    if not is_whole(a):
        return jnp.power(a, b)
    sign = jnp.where(b % 2 == 0, 1, a).astype(a.dtype)  # 1 and -1 have powers below zero
    return jnp.where(b < 0, jnp.where(jnp.abs(a) == 1, sign, 0), jnp.power(a, jnp.maximum(b, 0)))


@op("clamp")
def clamp(call: Any, input: Any, min: Any = None, max: Any = None) -> Any:
    made = call.cast(input)
    made = made if min is None else jnp.maximum(made, call.cast(min))
    return made if max is None else jnp.minimum(made, call.cast(max))


@op("masked_fill")
def masked_fill(call: Any, input: Any, mask: Any, value: Any) -> Any:
    return jnp.where(mask.astype(bool), call.cast(value), input)


@op("gelu")
def gelu(call: Any, input: Any, approximate: str = "none") -> Any:
    if approximate == "tanh":
        return nn.gelu(input, approximate=True)
    return 0.5 * input * (1 + special.erf(input * math.sqrt(0.5)))


@op("complex")
def complex_(call: Any, real: Any, imag: Any) -> Any:
    return lax.complex(*jnp.broadcast_arrays(real, imag))


@op("polar")
def polar(call: Any, abs: Any, angle: Any) -> Any:
    return lax.complex(abs * jnp.cos(angle), abs * jnp.sin(angle))


@op("to", "float", "double", "half", "bfloat16", "int", "long", "short", "char", "byte", "bool",
    "type", "clone", "contiguous", "detach", "dropout", "cpu")  # fmt: skip
def cast(call: Any, input: Any, **how: Any) -> Any:
    if call.op == "dropout":
        fail_unless(not how.get("training") or not how.get("p"), "dropout while training")
    if is_whole(input) or not jnp.issubdtype(call.dtype, jnp.integer):
        return input.astype(call.dtype)
    return _whole_of(call, input)


def _whole_of(call: Any, input: Any) -> Any:
    """Floating to whole; beyond the range XLA saturates where torch wraps, so via int64."""
    return jnp.trunc(input.astype(jnp.float64 if input.dtype == jnp.float64 else jnp.float32)
                     ).astype(jnp.int64).astype(call.dtype)  # fmt: skip
