"""The table of recipes, and how one enters it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...errors import Unsupported

RECIPES: dict[str, list[Callable[..., Any]]] = {}


def recipe(*ops: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare a recipe for canonical ops; tried in the order of declaration."""

    def declare(function: Callable[..., Any]) -> Callable[..., Any]:
        for op in ops:
            RECIPES.setdefault(op, []).append(function)
        return function

    return declare


def only_if(condition: Any, why: str = "not this configuration") -> None:
    """Decline a call."""
    if not condition:
        raise Unsupported(why)
