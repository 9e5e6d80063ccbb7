"""What a function did to its lists between two calls that were recorded: the way it went.

From the one instruction to the other there may be several ways; only those count that make no other
call that is recorded anywhere, come to the round in which the second call stands, and leave the
lists as they then are. If these do not all say the same, nothing is said. Reads instructions and
source; runs nothing.
"""

from __future__ import annotations

import ast
import itertools
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from types import CodeType
from typing import Any, NamedTuple

from .own_lists import Site, place_of, steps_of
from .parsed import span_at
from .rounds import Turn
from .sources import LoopSource, in_test, loops_at

_LIMIT = 4_000  # instructions that are tried
_ENDS = ("RETURN", "RAISE", "RERAISE")
_GOES = ("JUMP_FORWARD", "JUMP_BACKWARD", "JUMP_ABSOLUTE", "JUMP_BACKWARD_NO_INTERRUPT")


class Round(NamedTuple):
    """A round of a loop that a way stands in.

    Attributes:
        loop: as it is written.
        begun: which of the loops that the way came to it is; -1: it stood in it before.
        number: of the round.
    """

    loop: LoopSource
    begun: int
    number: int


class Step(NamedTuple):
    """Attributes: what became of a list on the way; the rounds it stands in, from outside in."""

    site: Site
    rounds: tuple[Round, ...]


class At(NamedTuple):
    """Where a function stands at a call.

    Attributes:
        at: the offset of the instruction, -1 before the first one.
        turns: the rounds of its own loops.
        outcome: what a condition said there.
        is_over: it is what a loop goes over that is at its end there.
    """

    at: int
    turns: tuple[Turn, ...]
    outcome: bool | None = None
    is_over: bool = False


AT_THE_END = At(-2, ())  # of a function, wherever it returns


class Route(NamedTuple):
    """Attributes: what became of lists, in order; the rounds in which it ends."""

    steps: tuple[Step, ...]
    rounds: tuple[Round, ...]


Fits = Callable[[Sequence[Step]], "bool | None"]


class Between:
    """Ways through one function."""

    def __init__(self, code: CodeType, sites: Mapping[int, Site], calls: Collection[int]) -> None:
        """Begin.

        Args:
            code: the function.
            sites: place of an instruction -> what it does to a list.
            calls: offsets of instructions that make calls that are recorded.
        """
        self._code, self._sites = code, sites
        self._steps = steps_of(code)
        self._place = place_of(code)
        known = {self._place[at] for at in calls if at in self._place}
        # what a loop goes over makes a call where it is at its end
        self._calls = {one for one in known if self._steps[one].opname != "FOR_ITER"}
        self._loops = [loops_at(code, one.offset) for one in self._steps]

    def way(self, start: At, end: At, names: Collection[str], fits: Fits) -> Route | None:
        """The way from one call to another; None where that is not certain.

        Args:
            start: where it begins.
            end: where it ends.
            names: the variables of the lists that matter.
            fits: whether the lists are as steps leave them; None: more steps may do it.
        """
        goals = self._goals(end)
        begun = itertools.count()
        known = tuple(Round(turn.execution.loop, -1, turn.number) for turn in start.turns)
        many: dict[Any, int] = {}
        for turn in (*start.turns, *end.turns):
            key = turn.execution.loop.key
            many[key] = max(many.get(key, 0), turn.number)
        at = self._place.get(start.at, -1)
        none: tuple[Step, ...] = ()
        waiting = deque((one, at, known, none) for one in self._first(at, start))
        seen: set[Any] = set()
        found: dict[Any, Route] = {}
        while waiting:
            place, last, rounds, steps = waiting.popleft()
            if span_at(self._code, self._steps[place].offset)[0]:
                rounds, last = self._moved(rounds, last, place, begun), place
            if any(one.number > many.get(one.loop.key, one.number) for one in rounds):
                continue
            shown = tuple((one.loop.key, one.number) for one in rounds if one.loop.key in many)
            if (key := (place, shown, _said(steps))) in seen:
                continue
            seen.add(key)
            if len(seen) > _LIMIT:
                return None
            if place in goals and _is_there(rounds, start, end) and fits(steps):
                found.setdefault(key[-1], Route(steps, rounds[: len(end.turns)]))
            if place in goals or place in self._calls:
                continue
            if place in self._sites and self._sites[place].name in names:
                here = rounds[: len(self._loops[place])]
                steps = (*steps, Step(self._sites[place], here))
                if fits(steps) is False:
                    continue
            waiting.extend((one, last, rounds, steps) for one in self._following(place))
        return next(iter(found.values())) if len(found) == 1 else None

    def _goals(self, end: At) -> set[int]:
        """The instructions at which a way may end."""
        if end is AT_THE_END:
            return {k for k, one in enumerate(self._steps) if one.opname.startswith("RETURN_")}
        place = self._place.get(end.at)
        return {place} if place is not None and self._loops[place] == _written(end.turns) else set()

    def _first(self, place: int, start: At) -> list[int]:
        """The instructions that may follow a call."""
        if place < 0:
            return [0]
        outcome = start.outcome
        if start.is_over and self._steps[place].opname == "FOR_ITER":
            return [self._place[self._steps[place].argval]]
        for one in (place, place + 1):
            name = self._steps[one].opname if one < len(self._steps) else ""
            if outcome is not None and "JUMP" in name and name.endswith(("IF_FALSE", "IF_TRUE")):
                jumps = outcome is name.endswith("IF_TRUE")
                return [self._place[self._steps[one].argval] if jumps else one + 1]
        return self._following(place)

    def _following(self, place: int) -> list[int]:
        one = self._steps[place]
        if one.opname.startswith(_ENDS):
            return []
        found = [] if one.opname in _GOES else [place + 1]
        if "JUMP" in one.opname or one.opname in ("FOR_ITER", "SEND"):
            found.append(self._place[one.argval])
        return found

    def _moved(
        self, rounds: tuple[Round, ...], last: int, place: int, begun: Any
    ) -> tuple[Round, ...]:
        """The rounds at an instruction, from those at the one before; what is over may go on."""
        before = self._loops[last] if last >= 0 else ()
        here = self._loops[place]
        found: list[Round] = []
        for depth, loop in enumerate(here):
            one = rounds[depth] if depth < len(rounds) else None
            if one is None or one.loop.key != loop.key:
                found += [Round(inner, next(begun), 0) for inner in here[depth:]]
                return tuple(found)
            if self._is_next(loop, loop in before, last, place):
                found.append(one._replace(number=one.number + 1))
                found += [Round(inner, next(begun), 0) for inner in here[depth + 1 :]]
                return tuple(found)
            found.append(one)
        return (*found, *rounds[len(here) :])

    def _is_next(self, loop: LoopSource, was_in: bool, last: int, place: int) -> bool:
        """Whether a round of a loop begins, of which there was one before."""
        if not isinstance(loop.node, ast.While):
            return not was_in
        return self._in_test(loop, place) and not (was_in and self._in_test(loop, last))

    def _in_test(self, loop: LoopSource, place: int) -> bool:
        return in_test(loop, span_at(self._code, self._steps[place].offset))


def _written(turns: Sequence[Turn]) -> tuple[LoopSource, ...]:
    return tuple(turn.execution.loop for turn in turns)


def _is_there(rounds: Sequence[Round], start: At, end: At) -> bool:
    """Whether a way has come to the rounds in which a call stands."""
    if len(rounds) < len(end.turns):
        return False
    before = [turn.execution for turn in start.turns]
    for depth, (one, turn) in enumerate(zip(rounds, end.turns)):
        same = depth < len(before) and before[depth] is turn.execution
        if (one.loop.key, one.number) != (turn.execution.loop.key, turn.number):
            return False
        if same is not (one.begun < 0):
            return False
    return True


def _said(steps: Sequence[Step]) -> Any:
    """What steps say, whichever loop on the way it was."""
    return tuple(
        (one.site, tuple((r.loop.key, r.begun < 0, r.number) for r in one.rounds)) for one in steps
    )
