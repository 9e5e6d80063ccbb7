"""What variables hold where something is being read: by a call, or when the runs return.

A Value says which call made it, not where it was kept since. Which variables hold it in all runs is
the next best: what they held earlier tells whether a condition may have put it there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..graph.nodes import Value
from .looping import Looping
from .standing import Held
from .variables import names_at
from .ways import Ways


class Reading(Ways):
    """Ways, with what variables hold.

    Attributes:
        reading: run -> what is held where something is being read.
        loops: those that were laid.
    """

    def __init__(self, runs: int) -> None:
        super().__init__(runs)
        self.reading: dict[int, Held | None] = {}
        self.loops: list[Looping] = []

    def is_held_in_a_list(self, values: Mapping[int, Value]) -> bool:
        """Whether a variable holds a list with these in it that no condition has made."""
        grown = {
            (loop.code.co_name, name) for loop in self.loops if loop.code for name in loop.grown
        }
        found: set[Any] | None = None
        for r, value in values.items():
            held = self.reading.get(r)
            if held is None:
                return False
            kept = held.read
            here = set()
            for place in (p for p, one in kept.items() if one is value and p[:2] not in grown):
                if len(place) == 3 and isinstance(place[2], int) and value.producer is not None:
                    whole = value.producer.outputs
                    if all(kept.get((*place[:2], k)) is one for k, one in enumerate(whole)):
                        here.add(place[:2])
            found = here if found is None else found & here
        return bool(found)

    def may_be_read(self, place: Any) -> bool:
        """Whether the call being read may read a variable; those of other functions always."""
        for held in self.reading.values():
            if held is None or not held.frames or held.frames[0].co_name != place[0]:
                return True
            if place[1] in names_at(*held.stack[0]):
                return True
        return not self.reading

    def places_read(self, values: Mapping[int, Value]) -> set[Any]:
        """The variables that hold these in all runs and may be read by the call being read."""
        return {place for place in self.held_in(values) if self.may_be_read(place)}

    def held_in(self, values: Mapping[int, Value]) -> set[Any]:
        """The variables that hold these in all runs."""
        found: set[Any] | None = None
        for r, value in values.items():
            held = self.reading.get(r)
            kept = {} if held is None else held.read
            here = {place for place, one in kept.items() if one is value}
            found = here if found is None else found & here
        return found or set()
