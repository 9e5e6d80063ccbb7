"""Numbers among the inputs of a call: they know where they come from while it runs, no longer.

A driver goes on with the very objects that it gave (a cache, a list, a dictionary), so numbers are
put into these, not into copies of them, and taken out again when the call ends, however it ends.
Owns that exchange; what such a number is belongs to :mod:`.numbers`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from ..graph import tree
from .live import OURS, plain


def lend(part: Any, number: Callable[[Any], Any]) -> Any:
    """Put ``number(n)`` in the place of every int and float that a graph can have as an input.

    Returns:
        what stands for ``part``: itself, unless it is a number or a tuple that holds one.
    """
    return _exchanged(part, lambda n: number(plain(n)), set())


def take_back(part: Any) -> Any:
    """Put plain numbers in the place of those that knew where they come from."""
    return _exchanged(part, plain, set())


def _exchanged(part: Any, number: Callable[[Any], Any], seen: set[int]) -> Any:
    cls = part.__class__
    if cls is int or cls is float or cls in OURS:
        return number(part)
    if cls in tree.LITERALS or isinstance(part, torch.Tensor) or not tree.opens(part):
        return part
    if isinstance(part, tuple):
        inner = [_exchanged(one, number, seen) for one in tuple.__iter__(part)]
        if all(one is old for one, old in zip(inner, tuple.__iter__(part))):
            return part
        return tuple.__new__(cls, inner)
    if id(part) in seen:
        return part
    seen.add(id(part))
    for held, put in _places(part):
        for key, old in held:
            new = _exchanged(old, number, seen)
            if new is not old:
                put(key, new)
    return part


def _places(part: Any) -> Iterator[tuple[list[tuple[Any, Any]], Callable[[Any, Any], None]]]:
    """What a container or object holds by key, and how another thing is put there."""
    if isinstance(part, dict):
        yield list(dict.items(part)), lambda key, new: dict.__setitem__(part, key, new)
    elif isinstance(part, list):
        yield list(enumerate(list.__iter__(part))), lambda i, new: list.__setitem__(part, i, new)
    attributes = tree.attributes_of(part)
    if attributes:
        yield list(attributes.items()), attributes.__setitem__
    cls: Any = type(part)
    slots = tree.slots_of(cls)
    if slots:
        held = [(name, one) for name, one in tree.parts_of(part).items() if name in slots]
        yield held, lambda name, new: slots[name].__set__(part, new)
