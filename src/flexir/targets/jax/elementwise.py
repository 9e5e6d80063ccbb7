"""Element by element: tables of names, and what differs from torch."""

from __future__ import annotations

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
        "ceil": jnp.ceil, "floor": jnp.floor, "round": jnp.round}.items()},
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
    "add": jnp.add, "sub": jnp.subtract, "mul": jnp.multiply, "maximum": jnp.maximum,
    "minimum": jnp.minimum, "fmax": jnp.fmax, "fmin": jnp.fmin, "hypot": jnp.hypot,
    "atan2": jnp.arctan2, "bitwise_and": jnp.bitwise_and, "bitwise_or": jnp.bitwise_or,
    "bitwise_xor": jnp.bitwise_xor, "logaddexp": jnp.logaddexp, "copysign": jnp.copysign,
    "fmod": lambda a, b: lax.rem(*jnp.broadcast_arrays(a, b)),
    "remainder": lambda a, b: jnp.remainder(*_wholes(a, b)),
    "floor_divide": lambda a, b: jnp.floor_divide(*_wholes(a, b)),
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


def _wholes(a: Any, b: Any) -> list[Any]:
    fail_unless(jnp.issubdtype(a.dtype, jnp.integer), f"of {a.dtype}")
    return jnp.broadcast_arrays(a, b)


@op("div")
def div(call: Any, input: Any, other: Any, rounding_mode: Any = None) -> Any:
    a, b = call.cast(input), call.cast(other)
    if rounding_mode is None:
        return a / b
    return (jnp.floor_divide if rounding_mode == "floor" else lax.div)(*_wholes(a, b))


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
