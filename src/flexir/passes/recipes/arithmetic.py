"""Elementwise arithmetic from add, mul, exp, log and powers."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from .table import only_if, recipe


@recipe("add")
def add_scaled(input: Any, other: Any, alpha: float = 1) -> Any:
    """torch.add: ``input + alpha other``."""
    only_if(alpha != 1)
    return input + other * alpha


@recipe("sub")
def sub(input: Any, other: Any, alpha: float = 1) -> Any:
    """torch.sub: ``input - alpha other``."""
    if isinstance(other, (int, float)):
        return input + -alpha * other
    return input + other * -alpha


@recipe("rsub")
def rsub(input: Tensor, other: Any, alpha: float = 1) -> Any:
    """aten::rsub: ``other - alpha input``."""
    return input * -alpha + other


@recipe("div")
def div(input: Any, other: Any, rounding_mode: str | None = None) -> Any:
    """torch.div, as a product with the reciprocal."""
    only_if(rounding_mode is None)
    if isinstance(other, (int, float)):
        only_if(input.is_floating_point())
        return input * (1 / other)
    return input * other.pow(-1)


@recipe("div")
def div_rounded(input: Any, other: Any, rounding_mode: str | None = None) -> Any:
    """torch.div with a rounding mode: the quotient, rounded."""
    only_if(rounding_mode is not None)
    if rounding_mode == "floor":
        return torch.floor_divide(input, other)
    return torch.trunc(torch.div(input, other))


@recipe("floor_divide")
def floor_divide(input: Any, other: Any, type: Any) -> Any:
    """torch.floor_divide, by the remainder: the rounded quotient may be one too many."""
    a, b = _floats(type.dtype, input, other)
    rest, exact = torch.fmod(a, b), a / b
    quotient = (a - rest) / b
    quotient = torch.where(_crosses(rest, b), quotient - 1, quotient)
    below = quotient.floor()
    made = torch.where(quotient - below > 0.5, below + 1, below)
    made = torch.where(quotient == 0, exact * 0, made)  # a zero has a sign
    return torch.where(b == 0, exact, made)


@recipe("remainder")
def remainder(input: Any, other: Any, type: Any) -> Any:
    """torch.remainder: what ``fmod`` leaves, moved to the sign of the divisor."""
    a, b = _floats(type.dtype, input, other)
    rest = torch.fmod(a, b)
    return torch.where(_crosses(rest, b), rest + b, rest)


def _floats(dtype: torch.dtype, *parts: Any) -> list[Tensor]:
    only_if(dtype.is_floating_point, "whole numbers")
    return [p.to(dtype) if isinstance(p, Tensor) else torch.full((), p, dtype=dtype) for p in parts]


def _crosses(rest: Tensor, divisor: Tensor) -> Tensor:
    """Whether there is a rest, of the other sign than the divisor."""
    return (rest != 0) & ((rest < 0) ^ (divisor < 0))


@recipe("trunc")
def trunc(input: Tensor) -> Any:
    """torch.trunc: towards zero."""
    if not input.is_floating_point():
        return input
    return torch.where(input < 0, input.ceil(), input.floor())


@recipe("ne")
def differs(input: Tensor, other: Any) -> Any:
    """torch.ne: not equal."""
    return torch.logical_not(input == other)


@recipe("reciprocal")
def reciprocal(input: Tensor) -> Any:
    """torch.reciprocal: ``1 / x``."""
    return 1 / input


@recipe("reciprocal")
def reciprocal_power(input: Tensor) -> Any:
    """torch.reciprocal: ``x ** -1``."""
    return input.pow(-1)


@recipe("neg")
def neg(input: Tensor) -> Any:
    """torch.neg: ``-1 x``."""
    return input * -1


@recipe("square")
def square(input: Tensor) -> Any:
    """torch.square: ``x x``."""
    return input * input


@recipe("pow")
def power(input: Any, exponent: Any) -> Any:
    """torch.pow, for exponents that are few products, a root or a quotient."""
    only_if(isinstance(exponent, (int, float)))
    if exponent == 0.5:
        return input.sqrt()
    if exponent == -0.5:
        return 1 / input.sqrt()
    if exponent == -1:
        return 1 / input
    only_if(exponent in (1, 2, 3, 4))
    made = input
    for _ in range(int(exponent) - 1):
        made = made * input
    return made


@recipe("pow")
def power_by_exp(input: Any, exponent: Any) -> Any:
    """torch.pow of a positive number (rotary embeddings): ``exp(exponent log(input))``."""
    only_if(isinstance(input, (int, float)) and input > 0)
    return torch.exp(exponent * math.log(input))


@recipe("sqrt")
def sqrt(input: Tensor) -> Any:
    """torch.sqrt: ``x ** 0.5``."""
    return input.pow(0.5)


@recipe("rsqrt")
def rsqrt(input: Tensor) -> Any:
    """torch.rsqrt: ``x ** -0.5``."""
    return input.pow(-0.5)


@recipe("rsqrt")
def rsqrt_div(input: Tensor) -> Any:
    """torch.rsqrt: ``1 / sqrt(x)``."""
    return 1 / input.sqrt()


@recipe("exp2")
def power_of_two(input: Tensor, type: Any) -> Any:
    """torch.exp2: ``2 ** x``."""
    return torch.pow(2, input.to(type.dtype))


@recipe("exp2")
def exp2(input: Tensor) -> Any:
    """torch.exp2: ``exp(x log(2))``."""
    return torch.exp(input * math.log(2))


@recipe("expm1")
def expm1(input: Tensor) -> Any:
    """torch.expm1: ``exp(x) - 1``, less exact near zero."""
    return input.exp() - 1


@recipe("log1p")
def log1p(input: Tensor) -> Any:
    """torch.log1p: ``log(x + 1)``, less exact near zero."""
    return torch.log(input + 1)


@recipe("log2")
def log2(input: Tensor) -> Any:
    """torch.log2: ``log(x) / log(2)``."""
    return input.log() * (1 / math.log(2))


@recipe("log10")
def log10(input: Tensor) -> Any:
    """torch.log10: ``log(x) / log(10)``."""
    return input.log() * (1 / math.log(10))


@recipe("addcmul")
def addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, value: float = 1) -> Any:
    """torch.addcmul: ``input + value tensor1 tensor2``."""
    product = tensor1 * tensor2
    return input + (product if value == 1 else product * value)


@recipe("addcdiv")
def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, value: float = 1) -> Any:
    """torch.addcdiv: ``input + value tensor1 / tensor2``."""
    return input + tensor1 / tensor2 * value


@recipe("lerp")
def lerp(input: Tensor, end: Tensor, weight: Any) -> Any:
    """torch.lerp: ``input + weight (end - input)``."""
    return input + (end - input) * weight


@recipe("clamp")
def clamp_each(input: Tensor, min: Any = None, max: Any = None, *, type: Any) -> Any:
    """torch.clamp, of limits for each element, and of numbers that are NaN."""
    only_if(any(isinstance(n, Tensor) or n is not None and n != n for n in (min, max)))
    made, dtype = input.to(type.dtype), type.dtype
    for limit, within in ((min, torch.maximum), (max, torch.minimum)):
        if limit is not None:
            one = limit if isinstance(limit, Tensor) else torch.full((), limit)
            made = within(made, one.to(dtype))
    return made


@recipe("clamp")
def clamp(input: Tensor, min: Any = None, max: Any = None) -> Any:
    """torch.clamp, of numbers: ``max(x, a) = relu(x - a) + a``."""
    made = input
    for limit, sign in ((min, 1), (max, -1)):
        if limit is not None:
            only_if(isinstance(limit, (int, float)))
            if sign == 1:
                made = torch.relu(made - limit) + limit if limit else torch.relu(made)
            else:
                made = limit - torch.relu(limit - made)
    return made


@recipe("clamp_min")
def clamp_min(input: Tensor, min: Any) -> Any:
    """torch.clamp_min: a clamp of one limit."""
    return torch.clamp(input, min=min)


@recipe("clamp_max")
def clamp_max(input: Tensor, max: Any) -> Any:
    """torch.clamp_max: a clamp of one limit."""
    return torch.clamp(input, max=max)


@recipe("maximum")
def maximum(input: Tensor, other: Tensor) -> Any:
    """torch.maximum, but for NaN."""
    return torch.where(input > other, input, other)


@recipe("minimum")
def minimum(input: Tensor, other: Tensor) -> Any:
    """torch.minimum, but for NaN."""
    return torch.where(input < other, input, other)


@recipe("max")
def greater_of(input: Tensor, other: Tensor) -> Any:
    """torch.max of two tensors: their maximum."""
    return torch.maximum(input, other)


@recipe("min")
def lesser_of(input: Tensor, other: Tensor) -> Any:
    """torch.min of two tensors: their minimum."""
    return torch.minimum(input, other)


@recipe("ceil", "floor", "round")
def of_whole_numbers(input: Tensor) -> Any:
    """torch.round and its kind, of whole numbers: these."""
    only_if(not input.is_floating_point())
    return input


@recipe("isnan")
def isnan(input: Tensor) -> Any:
    """torch.isnan: NaN alone differs from itself."""
    return input != input


@recipe("abs")
def absolute(input: Tensor) -> Any:
    """torch.abs: ``max(0, x) + max(0, -x)``."""
    return torch.relu(input) + torch.relu(-input)


@recipe("masked_fill")
def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Any:
    """torch.Tensor.masked_fill: the value where the mask is true."""
    return torch.where(mask, value, input)


@recipe("where")
def where_arithmetic(condition: Tensor, input: Any, other: Any) -> Any:
    """torch.where, of finite numbers: ``condition input + (1 - condition) other``."""
    only_if(isinstance(input, Tensor) and isinstance(other, Tensor))
    chosen = condition.to(input.dtype)
    return input * chosen + other * (1 - chosen)


@recipe("atan2")
def atan2(input: Tensor, other: Tensor, type: Any) -> Any:
    """torch.atan2: the angle of the ratio, half a turn on where ``x`` is negative or -0."""
    y, x = (t.to(type.dtype) for t in (input, other))
    below = [torch.where(t == 0, 1 / t, t) < 0 for t in (y, x)]
    both = (y.abs() == x.abs()) & ((y == 0) | (y.abs() == math.inf))  # where there is no ratio
    ratio = torch.where(both, torch.where(y == 0, y, torch.sign(y) * torch.sign(x)), y / x)
    angle = torch.atan(ratio)
    turned = torch.where(below[0], angle - math.pi, angle + math.pi)
    return torch.where(below[1], turned, angle)


@recipe("hypot")
def hypot(input: Tensor, other: Tensor) -> Any:
    """torch.hypot, of the larger and a ratio: no square is too large or too small."""
    a, b = input.abs(), other.abs()
    large = torch.maximum(a, b)
    ratio = torch.where(large == 0, 0.0, torch.minimum(a, b) / large)
    infinite = (a == math.inf) | (b == math.inf)
    return torch.where(infinite, math.inf, large * torch.sqrt(1 + ratio * ratio))
