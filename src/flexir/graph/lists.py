"""Lists of tensors or numbers as Values: what calls on them mean.

A loop gives a list with an element for each round. Functions of torch that take lists take it as it
is; what Python does to lists are the calls below. Pure functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def element(input: Sequence[Any], index: int) -> Any:
    """``input[index]``."""
    return input[index]


def joined(parts: Sequence[Any]) -> list[Any]:
    """One list of tensors or numbers, and the elements of lists of such."""
    found: list[Any] = []
    for part in parts:
        found += part if isinstance(part, (list, tuple)) else [part]
    return found


def counted(start: Any, step: int, length: int) -> list[Any]:
    """``[start, start + step, ...]``: so many numbers, each as far from the one before."""
    return [start + step * k if step else start for k in range(length)]


FUNCTIONS = (element, joined, counted)
