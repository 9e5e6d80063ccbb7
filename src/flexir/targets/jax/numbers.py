"""Numbers that values are: what Python computed from ``item()``, computed by XLA when it runs."""

from __future__ import annotations

import operator
from typing import Any

import jax.numpy as jnp

from ..arguments import fail_unless
from .program import Call, Number

DTYPES = {int: jnp.dtype("int64"), float: jnp.dtype("float64"), bool: jnp.dtype("bool")}
_FUNCTIONS: dict[str, Any] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": operator.truediv,
    "neg": operator.neg, "abs": jnp.abs, "lt": jnp.less, "le": jnp.less_equal, "gt": jnp.greater,
    "ge": jnp.greater_equal, "eq": jnp.equal, "ne": jnp.not_equal, "ceil": jnp.ceil,
    "floor": jnp.floor, "trunc": jnp.trunc, "round": jnp.round, "bitwise_and": jnp.bitwise_and,
    "bitwise_or": jnp.bitwise_or, "bitwise_xor": jnp.bitwise_xor, "item": lambda x: x,
    "bool": lambda x: x != 0, "to_float": lambda x: x, "floor_divide": jnp.floor_divide,
    "remainder": jnp.remainder, "maximum": lambda a, b: jnp.where(b > a, b, a),
    "minimum": lambda a, b: jnp.where(b < a, b, a),
}  # fmt: skip


def of(call: Call, *operands: Any, **named: Any) -> Any:
    """The number that a call makes; XLA cannot raise, so what may be a division by 0 is refused."""
    counts = call.op in ("add", "sub", "mul", "neg", "abs")  # in which True is 1
    parts = [_array(part, counts) for part in (*operands, *named.values()) if part is not None]
    fail_unless(call.op in _FUNCTIONS, f"{call.op} of numbers that values are")
    fail_unless(call.op != "round" or len(parts) == 1, "a number rounded to some digits")
    if call.op in ("div", "floor_divide", "remainder"):
        fail_unless(not hasattr(parts[1], "ndim") and parts[1], "a division that may be by 0")
    if call.op in ("floor_divide", "remainder"):
        fail_unless(call.kinds == (int,), "a division of floats with a remainder")
    return _FUNCTIONS[call.op](*parts).reshape(()).astype(call.dtype)


def _array(part: Any, counts: bool) -> Any:
    """With 64 bits, as Python has."""
    if not isinstance(part, Number):
        return part
    return part.array.astype(jnp.int64) if counts and part.kind is bool else part.array
