"""What was held before a run laid over what is held after: tensors replaced, other changes.

Owns what counts as a change and how it is told; what is held is read by :mod:`.holders`.
"""

from __future__ import annotations

import types
from collections.abc import Collection
from typing import Any, NamedTuple

import torch

from ..graph.account import NOTHING, Change, Text
from ..graph.geometry import tensor_type
from .holders import BOOKKEEPING, FIXED, Cells, Holder, Mapping, Modules, Sets
from .innards import CachedResults, Opaque, Suspended, holder_of
from .live import plain

_SHOWN = 8  # parts of a container that a message shows


class Inside(NamedTuple):
    """The state of something opaque, which is not the thing itself."""

    state: Any


class Items(list[Any]):
    """What a list held that has been the same list all the time, whoever else holds it."""


class KeptResults(NamedTuple):
    """What a function that remembers its results has gained: each with what it is of."""

    pairs: list[tuple[Any, Any]]


class Replaced(NamedTuple):
    """A place that held one tensor before the run and another after it."""

    path: str
    before: torch.Tensor
    after: torch.Tensor


class Changes:
    """Before and after laid over each other.

    Attributes:
        replaced: places that held one tensor and hold another.
        changes: everything else.
        now: what stands at each place of a change, or what tells its state from another.
    """

    def __init__(self, holders: dict[int, Holder]) -> None:
        self.holders = holders
        self.now: dict[str, Any] = {}
        self.replaced: list[Replaced] = []
        self.changes: list[Change] = []
        self.seen: set[tuple[int, int]] = set()

    def contents(self, holder: Holder, before: Any, now: Any) -> None:
        """The contents of one holder."""
        moved = isinstance(holder, Suspended) and before[""] != now[""]
        if moved or isinstance(holder, (Opaque, CachedResults)):
            text = Text(f"one state of {word_for(holder.thing)}")
            kept = Inside(before[""]) if isinstance(holder, Opaque) else None
            now = KeptResults(holder.since()) if isinstance(holder, CachedResults) else now
            self._changed(Change(holder.path, text, Text("another"), kept), now)
            return
        if isinstance(before, list):
            self.items(holder.path, before, now)
            return
        for key in dict.fromkeys((*before, *now)):
            if isinstance(holder, Modules) and key in BOOKKEEPING:
                continue
            if isinstance(holder, Sets) and (key not in before or key not in now):
                sizes = (Text(f"set of {len(parts)}") for parts in (before, now))
                self._changed(Change(holder.path, *sizes), set(now))
                return
            self.pair(path_of(holder, key), before.get(key, NOTHING), now.get(key, NOTHING))
        orders = [ordered(holder, contents) for contents in (before, now)]
        if orders[0] != orders[1] and set(orders[0]) == set(orders[1]):
            texts = (Text(f"in the order {', '.join(map(str, keys))}") for keys in orders)
            self._changed(Change(holder.path, *texts), list(now))

    def items(self, path: str, before: list[Any], now: list[Any]) -> None:
        """The items of one list."""
        if len(before) != len(now):
            self._changed(Change(path, frozen(before), frozen(now), Items(before)), now)
            return
        for position, (old, new) in enumerate(zip(before, now)):
            self.pair(f"{path}.{position}", old, new)

    def pair(self, path: str, old: Any, new: Any) -> None:
        """One place, before and after."""
        stands = new
        old, new = plain(old), plain(new)
        if old is new:
            return
        if isinstance(old, torch.Tensor) and isinstance(new, torch.Tensor):
            self.replaced.append(Replaced(path, old, new))
            return
        if type(old) not in FIXED or type(new) not in FIXED:  # those are one object in many places
            if (id(old), id(new)) in self.seen:
                return
            self.seen.add((id(old), id(new)))
        if isinstance(old, type) or isinstance(new, type):
            self._changed(Change(path, frozen(old), frozen(new), old), stands)
            return
        if type(old) is type(new):
            if type(old) in FIXED:
                if old == new or old != old and new != new:
                    return
            elif isinstance(old, types.FunctionType):
                if old.__code__ is new.__code__:
                    return
            elif (parts := self._parts(old, new)) is not None:
                if len(parts[0]) == len(parts[1]) and parts[0].keys() == parts[1].keys():
                    for key, part in parts[0].items():
                        self.pair(f"{path}.{key}" if key != "" else path, part, parts[1][key])
                    return
        self._changed(Change(path, frozen(old), frozen(new), old), stands)

    def _changed(self, change: Change, now: Any) -> None:
        self.changes.append(change)
        self.now[change.path] = now

    def _parts(self, old: Any, new: Any) -> tuple[dict[Any, Any], dict[Any, Any]] | None:
        """The parts of two things of one class, as they were and as they are."""
        if isinstance(old, tuple):
            return dict(enumerate(old)), dict(enumerate(new))
        known = self.holders.get(id(old)) or holder_of(old, "")
        fresh = holder_of(new, "")
        if known is None or fresh is None:
            return None
        before, now = known.before, fresh.before
        if isinstance(before, list):
            return dict(enumerate(before)), dict(enumerate(now))
        return before, now


def ordered(holder: Holder, contents: dict[Any, Any]) -> list[Any]:
    """The keys whose order counts."""
    if isinstance(holder, Modules):
        return [key for key, part in contents.items() if isinstance(part, torch.nn.Module)]
    return list(contents) if isinstance(holder, Mapping) else []


def lies_in(path: str, places: Collection[str]) -> bool:
    """Whether a path is one of these places or lies in one."""
    return any(path == place or path.startswith(f"{place}.") for place in places)


def path_of(holder: Holder, key: Any) -> str:
    """The path of a part of a holder."""
    if isinstance(holder, Cells) or key == "":
        return holder.path
    return f"{holder.path}.{key}" if holder.path else str(key)


def frozen(part: Any) -> Any:
    """A part as it is now, for a message: literals as they are, texts for the rest."""
    if isinstance(part, torch.Tensor):
        return Text(tensor_type(part))
    if type(part) in (int, float, complex, bool, str, type(None), Text):
        return part
    if type(part) in (list, tuple):
        if len(part) > _SHOWN:
            return Text(f"{type(part).__name__} of {len(part)}")
        return type(part)(map(frozen, part))
    if type(part) is dict:
        if len(part) > _SHOWN:
            return Text(f"dict of {len(part)}")
        return {key: frozen(inner) for key, inner in part.items()}
    return Text(word_for(part))


def word_for(part: Any) -> str:
    """A word for a thing that is no literal."""
    return getattr(part, "__name__", None) or f"a {type(part).__name__}"
