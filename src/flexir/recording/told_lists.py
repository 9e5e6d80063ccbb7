"""The lists that functions of a run keep: as Values, from where they are made.

A function that tells of its lists (:mod:`.telling_code`) does so where it makes one and wherever it
adds to one. Each time that is a call of the run, whose Value stands for the list from then on. Owns
which list is which Value; a list that is not as it was told is none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from ..graph.choice import alike
from ..graph.lists import joined
from ..graph.nodes import ListType, TensorType, Value
from .comparable import MANY

Elements = tuple[Value, ...]
Call = tuple[Callable[..., Any], dict[str, Any], TensorType]


def appended(input: Sequence[Any], other: Any) -> list[Any]:
    """A list with one more element."""
    return [*input, other]


class ToldLists:
    """The lists of one run.

    Attributes:
        elements: Value of a list -> its elements.
    """

    def __init__(self, read: Callable[[torch.Tensor], Value], known: Callable[[Any], Any]) -> None:
        """Begin.

        Args:
            read: the Value of a tensor; it is given one if it has none.
            known: the Value of a tensor, if it has one.
        """
        self._read, self._known = read, known
        self._now: dict[int, tuple[list[Any], Value]] = {}  # lists are kept: no other has their id
        self.elements: dict[Value, Elements] = {}
        self._next: Elements = ()
        self._given: list[tuple[dict[str, Any], str, Value]] = []

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._now)

    def tell(self, part: list[Any], kind: TensorType) -> Call | None:
        """A list is made, or longer than it was; the call that says so, if it can be told.

        Args:
            part: the list.
            kind: of its elements.
        """
        before = self._now.pop(id(part), None)
        if len(part) > MANY or not all(isinstance(one, torch.Tensor) for one in part):
            return None
        values = tuple([self._read(one) for one in part])
        if not all(alike(value.type, kind) for value in values):
            return None
        self._next = values
        if before is not None and self.elements[before[1]] == values[:-1]:
            args: dict[str, Any] = {"input": before[1], "other": values[-1]}
            return appended, args, ListType(len(values), kind)
        return joined, {"parts": values}, ListType(len(values), kind)

    def keep(self, part: list[Any], value: Value) -> None:
        """The call that was told last has this Value."""
        self._now[id(part)] = part, value
        self.elements[value] = self._next

    def whole(self, part: list[Any], template: Any) -> Value | None:
        """The Value of a list of which this was made, if it was told as it is."""
        known = self._now.get(id(part))
        same = known is not None and template == list(self.elements[known[1]])
        return known[1] if known is not None and same else None

    def given(self, named: Mapping[str, Any], args: dict[str, Any]) -> None:
        """A call is given arguments: of those that are lists their Values matter, in the end.

        Args:
            named: as they are given.
            args: as they are written down, while the model runs.
        """
        for name, part in named.items():
            if part.__class__ is list and (whole := self.whole(part, args[name])):
                self._given.append((args, name, whole))

    def put(self) -> None:
        """The run is over: let calls be given lists."""
        for args, name, whole in self._given:
            args[name] = whole

    def value_of(self, part: Any) -> Value | None:
        """The Value of a list, if it is as it was told."""
        known = self._now.get(id(part))
        if known is None or tuple(map(self._known, part)) != self.elements[known[1]]:
            return None
        return known[1]


NO_LISTS = ToldLists(lambda tensor: None, lambda tensor: None)  # type: ignore[arg-type, return-value]
