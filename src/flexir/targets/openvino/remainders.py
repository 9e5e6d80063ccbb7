"""What is left of a division of floating-point numbers, to the last bit.

The plug-in subtracts a rounded multiple. Here the multiple is four exact products of halves, so
that nothing is rounded as long as the quotient has 24 bits: that it has is a condition.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from openvino import opset13 as ops

from ..arguments import fail_unless
from .values import constant

_SPLIT = 4097  # 2**12 + 1: parts a number of 24 bits into two of 12
_BITS = 2.0**24  # float32 holds whole numbers up to here
_RANGE = 1e-20, 1e20  # of the divisor, and up to which a dividend; products of halves stay within


def _number(value: float) -> Any:
    return constant(value, np.float32)


def _towards_zero(value: Any) -> Any:
    """Whole, by leaving out what follows the point."""
    return ops.select(ops.less(value, _number(0)), ops.ceiling(value), ops.floor(value))


def _halves(value: Any) -> tuple[Any, Any]:
    """Two numbers of 12 bits each whose sum it is."""
    wide = ops.multiply(value, _number(_SPLIT))
    high = ops.subtract(wide, ops.subtract(wide, value))
    return high, ops.subtract(value, high)


def rest_of(ctx: Any, a: Any, b: Any) -> Any:
    """What is left of ``a``, of its sign."""
    fail_unless(not ctx.out.blocks, "torch.float32 in a branch or loop")
    times = _towards_zero(ops.divide(a, b))
    _hold(ctx, a, b, times)
    rest = a
    for part in _halves(times):
        for factor in _halves(b):
            rest = ops.subtract(rest, ops.multiply(part, factor))
    # The quotient was rounded: it may be one too many or too few.
    size = ops.multiply(ops.abs(b), ops.sign(a))
    below = ops.less(ops.multiply(rest, ops.sign(a)), _number(0))
    rest = ops.select(below, ops.add(rest, size), rest)
    above = ops.less_equal(ops.abs(b), ops.abs(rest))
    rest = ops.select(above, ops.subtract(rest, size), rest)
    nothing = ops.equal(b, _number(0))
    return ops.select(nothing, _number(np.nan), rest)


def _hold(ctx: Any, a: Any, b: Any, times: Any) -> None:
    """The condition that all of it is within bounds, or divided by zero."""
    least, most = map(_number, _RANGE)
    size = ops.abs(b)
    within = ops.logical_and(ops.less(ops.abs(times), _number(_BITS)), ops.less(ops.abs(a), most))
    within = ops.logical_and(within, ops.logical_and(ops.less(least, size), ops.less(size, most)))
    within = ops.logical_or(within, ops.equal(b, _number(0)))
    axes = constant(np.arange(len(ctx.type.shape)), np.int64)
    holds = ops.reduce_logical_and(within, axes, False) if ctx.type.shape else within
    text = f"{ctx.node.op}: a quotient of more than 24 bits, {ctx.node.where}"
    ctx.out.conditions.append((text, holds.output(0)))
