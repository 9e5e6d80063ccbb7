"""Elementwise arithmetic from add, mul, exp, log and powers."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from .table import only_if, recipe


@recipe("add")
def add_scaled(input: Any, other: Any, alpha: float = 1) -> Any:
    only_if(alpha != 1)
    return input + other * alpha


@recipe("sub")
def sub(input: Any, other: Any, alpha: float = 1) -> Any:
    if isinstance(other, (int, float)):
        return input + -alpha * other
    return input + other * -alpha


@recipe("rsub")
def rsub(input: Tensor, other: Any, alpha: float = 1) -> Any:
    return input * -alpha + other


@recipe("div")
def div(input: Any, other: Any, rounding_mode: str | None = None) -> Any:
    only_if(rounding_mode is None)
    if isinstance(other, (int, float)):
        only_if(input.is_floating_point())
        return input * (1 / other)
    return input * other.pow(-1)


@recipe("div")
def div_rounded(input: Any, other: Any, rounding_mode: str | None = None) -> Any:
    only_if(rounding_mode is not None)
    if rounding_mode == "floor":
        return torch.floor_divide(input, other)
    return torch.trunc(torch.div(input, other))


@recipe("floor_divide")
def floor_divide(input: Any, other: Any, type: Any) -> Any:
    """As Python: what goes into it whole, found by the remainder, for the quotient may round up."""
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
    """Of the sign of the divisor."""
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
    if not input.is_floating_point():
        return input
    return torch.where(input < 0, input.ceil(), input.floor())


@recipe("ne")
def differs(input: Tensor, other: Any) -> Any:
    return torch.logical_not(input == other)


@recipe("reciprocal")
def reciprocal(input: Tensor) -> Any:
    return 1 / input


@recipe("reciprocal")
def reciprocal_power(input: Tensor) -> Any:
    return input.pow(-1)


@recipe("neg")
def neg(input: Tensor) -> Any:
    return input * -1


@recipe("square")
def square(input: Tensor) -> Any:
    return input * input


@recipe("pow")
def power(input: Any, exponent: Any) -> Any:
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
    """Of a positive number, as rotary embeddings have it."""
    only_if(isinstance(input, (int, float)) and input > 0)
    return torch.exp(exponent * math.log(input))


@recipe("sqrt")
def sqrt(input: Tensor) -> Any:
    return input.pow(0.5)


@recipe("rsqrt")
def rsqrt(input: Tensor) -> Any:
    return input.pow(-0.5)


@recipe("rsqrt")
def rsqrt_div(input: Tensor) -> Any:
    return 1 / input.sqrt()


@recipe("exp2")
def power_of_two(input: Tensor, type: Any) -> Any:
    return torch.pow(2, input.to(type.dtype))


@recipe("exp2")
def exp2(input: Tensor) -> Any:
    return torch.exp(input * math.log(2))


@recipe("expm1")
def expm1(input: Tensor) -> Any:
    return input.exp() - 1


@recipe("log1p")
def log1p(input: Tensor) -> Any:
    return torch.log(input + 1)


@recipe("log2")
def log2(input: Tensor) -> Any:
    return input.log() * (1 / math.log(2))


@recipe("log10")
def log10(input: Tensor) -> Any:
    return input.log() * (1 / math.log(10))


@recipe("addcmul")
def addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, value: float = 1) -> Any:
    product = tensor1 * tensor2
    return input + (product if value == 1 else product * value)


@recipe("addcdiv")
def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, value: float = 1) -> Any:
    return input + tensor1 / tensor2 * value


@recipe("lerp")
def lerp(input: Tensor, end: Tensor, weight: Any) -> Any:
    return input + (end - input) * weight


@recipe("clamp")
def clamp_each(input: Tensor, min: Any = None, max: Any = None, *, type: Any) -> Any:
    """Limits of each element; of numbers, those of NaN."""
    only_if(any(isinstance(n, Tensor) or n is not None and n != n for n in (min, max)))
    made, dtype = input.to(type.dtype), type.dtype
    for limit, within in ((min, torch.maximum), (max, torch.minimum)):
        if limit is not None:
            one = limit if isinstance(limit, Tensor) else torch.full((), limit)
            made = within(made, one.to(dtype))
    return made


@recipe("clamp")
def clamp(input: Tensor, min: Any = None, max: Any = None) -> Any:
    """With relu: ``max(x, a) = relu(x - a) + a``."""
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
    return torch.clamp(input, min=min)


@recipe("clamp_max")
def clamp_max(input: Tensor, max: Any) -> Any:
    return torch.clamp(input, max=max)


@recipe("maximum")
def maximum(input: Tensor, other: Tensor) -> Any:
    return torch.where(input > other, input, other)


@recipe("minimum")
def minimum(input: Tensor, other: Tensor) -> Any:
    return torch.where(input < other, input, other)


@recipe("max")
def greater_of(input: Tensor, other: Tensor) -> Any:
    return torch.maximum(input, other)


@recipe("min")
def lesser_of(input: Tensor, other: Tensor) -> Any:
    return torch.minimum(input, other)


@recipe("ceil", "floor", "round")
def of_whole_numbers(input: Tensor) -> Any:
    only_if(not input.is_floating_point())
    return input


@recipe("isnan")
def isnan(input: Tensor) -> Any:
    return input != input


@recipe("abs")
def absolute(input: Tensor) -> Any:
    return torch.relu(input) + torch.relu(-input)


@recipe("masked_fill")
def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Any:
    return torch.where(mask, value, input)


@recipe("where")
def where_arithmetic(condition: Tensor, input: Any, other: Any) -> Any:
    """Finite numbers only."""
    only_if(isinstance(input, Tensor) and isinstance(other, Tensor))
    chosen = condition.to(input.dtype)
    return input * chosen + other * (1 - chosen)


@recipe("atan2")
def atan2(input: Tensor, other: Tensor, type: Any) -> Any:
    """The angle of the ratio, turned by half where ``x`` is negative; zeros have signs."""
    y, x = (t.to(type.dtype) for t in (input, other))
    below = [torch.where(t == 0, 1 / t, t) < 0 for t in (y, x)]
    both = (y.abs() == x.abs()) & ((y == 0) | (y.abs() == math.inf))  # where there is no ratio
    ratio = torch.where(both, torch.where(y == 0, y, torch.sign(y) * torch.sign(x)), y / x)
    angle = torch.atan(ratio)
    turned = torch.where(below[0], angle - math.pi, angle + math.pi)
    return torch.where(below[1], turned, angle)


@recipe("hypot")
def hypot(input: Tensor, other: Tensor) -> Any:
    """Of the larger and a ratio, so that no square is too large or too small."""
    a, b = input.abs(), other.abs()
    large = torch.maximum(a, b)
    ratio = torch.where(large == 0, 0.0, torch.minimum(a, b) / large)
    infinite = (a == math.inf) | (b == math.inf)
    return torch.where(infinite, math.inf, large * torch.sqrt(1 + ratio * ratio))
