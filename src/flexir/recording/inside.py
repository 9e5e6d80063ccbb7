"""All that a Python variable leads to, as something that can be compared between runs.

A flag may lie in an object in a dictionary of a local variable, or be where an iterator stands.
What the model held before the run is left out: its changes are found by :mod:`.state`. Reads, and
calls nothing of the user's.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import Any

import torch

from ..graph.tree import attributes_of
from .comparable import IN_GRAPH, NUMBER
from .holders import BOOKKEEPING, FIXED, Modules, Sets, is_users
from .innards import Opaque, holder_of
from .live import OURS, is_assigned

_LIMIT = 5_000  # things that one variable may lead to; of more nothing is said to be the same


class Contents:
    """Looks into variables at one moment.

    Attributes:
        known: whether the model held a thing before the run.
    """

    def __init__(self, known: Callable[[Any], bool]) -> None:
        self.known = known
        self._seen: dict[int, int] = {}
        self._alive: list[Any] = []  # so that no two things have one id

    def variable(self, part: Any) -> Any:
        """What a variable leads to; :func:`.comparable.summary` is enough of a list of tensors."""
        self._seen.clear()
        found = self.of(part)
        rows = isinstance(part, (list, tuple)) and all(map(_is_in_graph, found[1:]))
        return IN_GRAPH if rows else found

    def of(self, part: Any) -> Any:
        """What can be compared; for a list or tuple, what its elements are from the second on."""
        cls = part.__class__
        if cls in OURS:
            return IN_GRAPH if is_assigned(part) else NUMBER
        if cls in (tuple, torch.Size):
            return (cls.__name__, *map(self.of, part))
        if cls is slice:
            return "slice", *map(self.of, (part.start, part.stop, part.step))
        if cls in FIXED:
            plain = not isinstance(part, (types.ModuleType, types.CodeType, types.FrameType))
            return cls.__name__, repr(part) if plain else id(part)
        if isinstance(part, torch.Tensor) and not attributes_of(part):
            return IN_GRAPH
        if self.known(part):
            return "held", id(part)
        if id(part) in self._seen:
            return "again", self._seen[id(part)]
        if len(self._seen) > _LIMIT:
            return "one of many", id(part)
        self._seen[id(part)] = len(self._seen)
        self._alive.append(part)
        return (cls.__qualname__, *self._parts(part))

    def _parts(self, part: Any) -> Any:
        if isinstance(part, torch.Tensor):
            return self._pairs(attributes_of(part) or {})
        if isinstance(part, types.FunctionType):
            cells = [cell.cell_contents for cell in part.__closure__ or () if _is_set(cell)]
            own = (part.__defaults__, part.__kwdefaults__, *cells)
            return id(part.__code__), *map(self.of, own), *self._pairs(vars(part))
        if isinstance(part, types.MethodType):
            return self.of(part.__func__), self.of(part.__self__)
        if isinstance(part, functools.partial):
            return [self.of(one) for one in (part.func, part.args, part.keywords)]
        if isinstance(part, tuple):
            return [self.of(one) for one in tuple.__iter__(part)]
        if isinstance(part, type) and not is_users(part.__module__):
            return (id(part),)
        holder = holder_of(part, "")
        if holder is None:
            return ()
        if isinstance(holder, Opaque):
            return (repr(holder.before),)
        contents = holder.before
        if isinstance(contents, list):
            return [self.of(one) for one in contents]
        if isinstance(holder, Sets):
            return (frozenset(map(self.of, contents.values())),)
        skipped = BOOKKEEPING if isinstance(holder, Modules) else ("__class__",)
        return self._pairs({key: one for key, one in contents.items() if key not in skipped})

    def _pairs(self, contents: dict[Any, Any]) -> list[Any]:
        return [(self.of(key), self.of(one)) for key, one in contents.items()]


def _is_set(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


def _is_in_graph(found: Any) -> bool:
    """Whether something is a tensor, a number of the graph, or a tuple of such."""
    if found in (IN_GRAPH, NUMBER):
        return True
    is_tuple = isinstance(found, tuple) and found[0] == "tuple"
    return is_tuple and all(map(_is_in_graph, found[1:]))
