"""Places in what a model holds, by their paths: what stood there, and something else put there.

Goes through holders (``holders``); what lies inside of tuples is reached by ``tuple_parts``.
"""

from __future__ import annotations

import collections
from collections.abc import Collection, Iterable
from typing import Any

from ..graph.account import NOTHING, Text
from .changed import Inside, Items, path_of
from .holders import Holder, Sequences
from .innards import CachedResults, Opaque
from .tuple_parts import keyed_by, steps_to, ways_to, with_part, within


def places_of(holders: Iterable[Holder], tensors: Collection[int]) -> dict[int, list[str]]:
    """Where each of these tensors, by their ids, stood."""
    found: dict[int, list[str]] = {one: [] for one in tensors}
    for holder in holders:
        if not isinstance(holder, Opaque):
            for key, part in keyed_by(holder.before).items():
                for one, rest in ways_to(part, found):
                    found[one].append(path_of(holder, key) + rest)
    return found


def part_at(holders: Iterable[Holder], path: str) -> Any:
    """What stood at a path; NOTHING where there is no such place."""
    for holder in holders:
        if isinstance(holder, Opaque):
            continue
        for key, part in keyed_by(holder.before).items():
            found = within(part, steps_to(path, path_of(holder, key)))
            if found is not NOTHING:
                return found
    return NOTHING


def put_at(holders: Iterable[Holder], path: str, part: Any) -> bool:
    """Put something in the place of this path; False where there is no such place."""
    holders = list(holders)
    if isinstance(part, Items):  # of a list that others may hold, under other names
        known = (one.thing for one in holders if isinstance(one, Sequences) and one.path == path)
        stands = next(known, part_at(holders, path))
        if isinstance(stands, (list, collections.deque)):
            Sequences(stands, path).put(list(part))
            return True
    for holder in holders:
        contents = holder.read()
        if holder.path == path and isinstance(part, Inside) and isinstance(holder, Opaque):
            holder.put({"": part.state})
            return bool(holder.read() == {"": part.state})
        if isinstance(part, Inside):
            continue
        keyed = keyed_by(contents)
        for key, now in keyed.items():
            rest = steps_to(path, path_of(holder, key))
            if rest is None or isinstance(holder, Opaque) or within(now, rest) is NOTHING:
                continue
            keyed[key] = with_part(now, rest, part)
            if isinstance(part, Text) and part == NOTHING:
                del keyed[key]
            holder.put(list(keyed.values()) if isinstance(contents, list) else keyed)
            return True
    return False


def forget_at(holders: Iterable[Holder], path: str) -> bool:
    """Empty what a function at a path remembers of its results; False if it remembers none."""
    found = [one for one in holders if isinstance(one, CachedResults) and one.path == path]
    for one in found:
        one.thing.cache_clear()
    return bool(found)
