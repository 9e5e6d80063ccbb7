"""What variables hold where something is being read: by a call, or when the runs return.

A Value says which call made it, not where it was kept since. Which variables hold it in all runs is
the next best: what they held earlier tells whether a condition may have put it there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..graph.nodes import Node, Value
from .looping import Looping
from .scopes import Scope
from .standing import Held
from .variables import names_at
from .ways import Ways


class Reading(Ways):
    """Ways, with what variables hold.

    Attributes:
        reading: run -> what is held where something is being read.
        loops: those that were laid.
        is_led_to: what is read is part of a number that variables lead to; none needs to lead to
            what that was made of.
    """

    def __init__(self, runs: int) -> None:
        super().__init__(runs)
        self.reading: dict[int, Held | None] = {}
        self.loops: list[Looping] = []
        self.is_led_to = False

    def _number(self, scope: Scope, nodes: dict[int, Node], out: list[Node]) -> Value:
        before = self.is_led_to
        self.is_led_to = before or self._is_kept({r: one.outputs[0] for r, one in nodes.items()})
        try:
            return super()._number(scope, nodes, out)
        finally:
            self.is_led_to = before

    def _is_kept(self, numbers: Mapping[int, Value]) -> bool:
        """Whether a variable, or a container in one, holds these numbers in all runs."""
        return bool(
            self._held_in(numbers, lambda held: {**held.spent, **held.numbers, **held.read})
        )

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
        return self._held_in(values, lambda held: held.read)

    def _held_in(
        self, values: Mapping[int, Value], kept: Callable[[Held], Mapping[Any, Value]]
    ) -> set[Any]:
        found: set[Any] | None = None
        for r, value in values.items():
            held = self.reading.get(r)
            here = {place for place, one in (kept(held) if held else {}).items() if one is value}
            found = here if found is None else found & here
        return found or set()
