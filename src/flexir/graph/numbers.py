"""Numbers as values: what calls on ints and floats mean.

A size that a model asked for, and what it computed from it, are Values of type ``int`` or ``float``
whose producers are ordinary Nodes calling the functions below. Pure functions; no tables, no torch
beyond asking a tensor for its sizes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch


def size(input: torch.Tensor, dim: int) -> int:
    """The size of one dimension."""
    return input.size(dim)


def stride(input: torch.Tensor, dim: int) -> int:
    """The stride of one dimension, in elements."""
    return input.stride(dim)


def numel(input: torch.Tensor) -> int:
    """How many elements a tensor has."""
    return input.numel()


def length(input: Sequence[Any]) -> int:
    """How many tensors or numbers a list holds."""
    return len(input)


def total(input: Sequence[Any]) -> Any:
    """``sum(input)`` of a list of numbers."""
    return sum(input)


def largest(input: Sequence[Any]) -> Any:
    """``max(input)`` of a list of numbers."""
    return max(input)


def smallest(input: Sequence[Any]) -> Any:
    """``min(input)`` of a list of numbers."""
    return min(input)


def add(input: Any, other: Any) -> Any:
    """``input + other``."""
    return input + other


def sub(input: Any, other: Any) -> Any:
    """``input - other``."""
    return input - other


def mul(input: Any, other: Any) -> Any:
    """``input * other``."""
    return input * other


def div(input: Any, other: Any) -> Any:
    """``input / other``."""
    return input / other


def floor_divide(input: Any, other: Any) -> Any:
    """``input // other``."""
    return input // other


def remainder(input: Any, other: Any) -> Any:
    """``input % other``."""
    return input % other


def pow(input: Any, exponent: Any) -> Any:
    """``input ** exponent``."""
    return input**exponent


def bitwise_and(input: Any, other: Any) -> Any:
    """``input & other``."""
    return input & other


def bitwise_or(input: Any, other: Any) -> Any:
    """``input | other``."""
    return input | other


def bitwise_xor(input: Any, other: Any) -> Any:
    """``input ^ other``."""
    return input ^ other


def bitwise_left_shift(input: Any, other: Any) -> Any:
    """``input << other``."""
    return input << other


def bitwise_right_shift(input: Any, other: Any) -> Any:
    """``input >> other``."""
    return input >> other


def neg(input: Any) -> Any:
    """``-input``."""
    return -input


def abs(input: Any) -> Any:
    """``abs(input)``."""
    return -input if input < 0 else input


def ceil(input: float) -> int:
    """The smallest whole number not below."""
    return math.ceil(input)


def floor(input: float) -> int:
    """The largest whole number not above."""
    return math.floor(input)


def trunc(input: float) -> int:
    """Without what follows the point; what ``int()`` does to a float."""
    return math.trunc(input)


def round(input: Any, decimals: int | None = None) -> Any:
    """The nearest number with so many decimals, ties to even; whole without any."""
    return input.__round__() if decimals is None else input.__round__(decimals)


def maximum(input: Any, other: Any) -> Any:
    """``max(input, other)``: the first one, unless the other is greater."""
    return other if other > input else input


def minimum(input: Any, other: Any) -> Any:
    """``min(input, other)``: the first one, unless the other is smaller."""
    return other if other < input else input


def sqrt(input: Any) -> float:
    """``math.sqrt(input)``."""
    return math.sqrt(input)


def isqrt(input: int) -> int:
    """``math.isqrt(input)``: the root of a whole number, rounded down."""
    return math.isqrt(input)


def exp(input: Any) -> float:
    """``math.exp(input)``."""
    return math.exp(input)


def log(input: Any) -> float:
    """``math.log(input)``: the natural logarithm."""
    return math.log(input)


def log2(input: Any) -> float:
    """``math.log2(input)``."""
    return math.log2(input)


def log10(input: Any) -> float:
    """``math.log10(input)``."""
    return math.log10(input)


def gcd(input: int, other: int) -> int:
    """``math.gcd(input, other)``: the greatest common divisor."""
    return math.gcd(input, other)


def bit_length(input: int) -> int:
    """``input.bit_length()``: how many binary digits a whole number has."""
    return input.bit_length()


def plain(input: Any) -> Any:
    """A number that Python was given as a plain one: what that then decided is not in the graph."""
    return input


def turn(number: int, loop: str) -> int:
    """The number of a round, of a loop that is written there."""
    return number


def to_float(input: Any) -> float:
    """``float(input)``."""
    return float(input)


def lt(input: Any, other: Any) -> bool:
    """``input < other``."""
    return bool(input < other)


def le(input: Any, other: Any) -> bool:
    """``input <= other``."""
    return bool(input <= other)


def gt(input: Any, other: Any) -> bool:
    """``input > other``."""
    return bool(input > other)


def ge(input: Any, other: Any) -> bool:
    """``input >= other``."""
    return bool(input >= other)


def eq(input: Any, other: Any) -> bool:
    """``input == other``."""
    return bool(input == other)


def ne(input: Any, other: Any) -> bool:
    """``input != other``."""
    return bool(input != other)


# What is asked of a tensor, and says nothing of its elements.
QUESTIONS: tuple[Callable[..., Any], ...] = (size, stride, numel)
FUNCTIONS: tuple[Callable[..., Any], ...] = (
    *QUESTIONS, length, total, largest, smallest, add, sub, mul, div, floor_divide, remainder, pow,
    bitwise_and, bitwise_or, bitwise_xor, bitwise_left_shift, bitwise_right_shift, neg, abs, ceil,
    floor, trunc, round, maximum, minimum, sqrt, isqrt, exp, log, log2, log10, gcd, bit_length,
    plain, turn, to_float, lt, le, gt, ge, eq, ne,
)  # fmt: skip
