"""What a Python variable holds, as something that can be compared with what it holds elsewhere.

Tensors, and numbers that know where they come from, are in the graph; what else there is decides
what no call says. Pure functions.
"""

from __future__ import annotations

import collections
import functools
import itertools
import types
from collections.abc import Callable, Iterator
from typing import Any

import torch

from ..graph.tree import attributes_of
from .live import OURS

_PLAIN = frozenset({int, float, bool, str, bytes, type(None), complex})
NUMBER = ("number", None)
NONE = ("NoneType", "None")
IN_GRAPH = ("", None)  # nothing plain: calls say what becomes of it
SCALARS = frozenset({"int", "float", "bool", "str"})  # kinds that a call can be given as they are
_HAVE_NONE = (int, float, str, bytes, type(None))
_OF_TORCH = frozenset(vars(torch.nn.Module()))
_CONTAINERS = (list, tuple, dict, collections.deque)
MANY = 64  # elements of a container that are looked at


def _unknown(part: Any) -> None:
    """Nothing but tensors has a Value."""


def comparable(part: Any, known: Callable[[Any], Any] = _unknown) -> Any:
    """As :func:`summary`, for any object: what holds nothing plain is its ``id``.

    Args:
        part: what a variable holds.
        known: the Value of a number or list, if it has one as a tensor has.
    """
    if isinstance(part, torch.Tensor) or known(part) is not None:
        return IN_GRAPH
    if part.__class__ in OURS:
        return NUMBER
    return summary(part) or ("object", id(part))


def identity(part: Any) -> Any:
    """What a function, a class or a module is: the same for one that is made anew in each run."""
    if isinstance(part, types.FunctionType):
        return id(part.__code__)
    if isinstance(part, types.MethodType):
        return identity(part.__func__), id(part.__self__)
    if isinstance(part, functools.partial):
        return identity(part.func), len(part.args), tuple(part.keywords)
    return id(part)


def summary(part: Any, deep: bool = True) -> Any:
    """What a variable plainly holds, as tuples to compare; None if only tensors or objects."""
    cls = part.__class__
    if cls in _PLAIN:
        return cls.__name__, repr(part)
    if isinstance(part, (torch.Tensor, torch.nn.Module, int, float)) or callable(part):
        return None
    if isinstance(part, (list, tuple, dict, set, collections.deque)) and deep:
        inner = [*part.keys(), *part.values()] if isinstance(part, dict) else list(part)
        return cls.__name__, len(part), tuple([summary(one, False) for one in inner[:MANY]])
    kept = attributes_of(part)
    if kept and deep:
        return cls.__name__, tuple([(k, summary(v, False)) for k, v in list(kept.items())[:MANY]])
    return None


def tensors_by_path(
    part: Any, place: tuple[Any, ...], known: Callable[[Any], Any] = _unknown
) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """The tensors a variable holds, and what is told like one, down to four containers.

    Args:
        part: what it holds.
        place: function and variable, and the keys of the containers around ``part``.
        known: as in :func:`comparable`.
    """
    if isinstance(part, torch.Tensor) or known(part) is not None:
        yield place, part
    elif isinstance(part, _HAVE_NONE) or len(place) > 5:  # more would cost more than the run
        return
    elif isinstance(part, torch.nn.Module):
        own = {key: one for key, one in vars(part).items() if key not in _OF_TORCH}
        for name, inner in {**own, **part._buffers}.items():
            if isinstance(inner, (torch.Tensor, *_CONTAINERS)) or inner.__class__ in OURS:
                yield from tensors_by_path(inner, (*place, name), known)
    elif isinstance(part, (list, tuple, collections.deque)):
        for key, inner in enumerate(itertools.islice(part, MANY)):
            if inner.__class__ not in _PLAIN:
                yield from tensors_by_path(inner, (*place, key), known)
    else:
        kept = part if isinstance(part, dict) else attributes_of(part)
        if isinstance(kept, dict) and not callable(part):
            for key, inner in list(kept.items())[:MANY]:
                if inner.__class__ not in _PLAIN:
                    yield from tensors_by_path(inner, (*place, str(key)), known)
