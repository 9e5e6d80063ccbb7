"""What Python remembers while a call runs: the plain variables of the user's functions.

Two runs that took different branches may go on alike only if nothing that decides what comes
later differs between them. Tensors and the numbers made from them are in the graph; a counter, a
flag or the length of a list is not. This module notes such variables at each call, those alone that
the function may still read, and in which round of which loops the call stands. It never compares;
that is :mod:`.hidden`'s matter. What hangs on the model itself is seen by :mod:`.holders`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from types import CodeType, FrameType
from typing import Any, NamedTuple

import torch

from ..graph.nodes import Node, Value
from ..graph.source import is_foreign
from .beneath import is_beneath
from .changed import KeptResults
from .comparable import IN_GRAPH, NUMBER, identity, summary, tensors_by_path
from .inside import Contents
from .iterables import Iterables
from .live import OURS, Expr, is_assigned, is_taken
from .liveness import live_after
from .lookups import Lookups
from .numbers import Laundered, Numbers
from .rounds import UNREAD, Rounds, Turn
from .state import Holdings
from .tensors import Tensors
from .variables import names_at

_RECORDER = os.path.join(os.path.dirname(__file__), "recorder.py")  # its frame calls the model


def _unplain(part: Any) -> Any:
    if part.__class__ in OURS:
        return NUMBER
    if callable(part) and not isinstance(part, torch.Tensor):
        return "object", identity(part)
    return IN_GRAPH


def _users(frame: FrameType | None) -> Iterator[FrameType]:
    """The user's functions that led to a call, from the inside out."""
    while frame is not None and frame.f_code.co_filename != _RECORDER:
        if not is_foreign(frame.f_code.co_filename):
            yield frame
        frame = frame.f_back


class ResultOf(NamedTuple):
    """The place of a result that a function remembers: of the function, and what it is of."""

    path: str
    given: Any


class Held(NamedTuple):
    """What the functions that led to a call hold and may still read.

    Attributes:
        frames: the functions, from the inside out.
        at: the offsets of the instructions they are at.
        plain: number of the function and variable -> what it plainly holds, for comparison.
        tensors: function and variable -> the Value of the tensor it holds.
        spent: function and variable -> what one that the call reads, and nothing after it, holds:
            as in ``plain``, or the Value of a number.
        taken: the same of tensors, as in ``tensors``.
        beneath: it is C++ that makes the call.
        inside: of a condition, or where rounds begin or end: as ``plain``, all that a variable
            leads to.
        activations: which call of each function it is, of all functions that were called.
        numbers: function, variable and keys -> the Value of a number in a container.
    """

    frames: tuple[CodeType, ...]
    at: tuple[int, ...]
    plain: dict[tuple[int, str], Any]
    tensors: dict[tuple[Any, ...], Value]
    spent: Mapping[tuple[str, str], Any] = {}
    taken: Mapping[tuple[Any, ...], Value] = {}
    beneath: bool = False
    inside: Mapping[tuple[int, str], Any] = {}
    activations: tuple[int, ...] = ()
    numbers: Mapping[tuple[Any, ...], Value] = {}

    @property
    def read(self) -> dict[tuple[Any, ...], Value]:
        """The tensors that the call may read: those that are read later, too, and those spent."""
        return {**self.tensors, **self.taken}

    @property
    def stack(self) -> tuple[tuple[CodeType, int], ...]:
        """The functions, each with the offset of the instruction it is at."""
        return tuple(zip(self.frames, self.at))


class Standing:
    """The variables at each call, by node.

    Attributes:
        seen: call -> what was held at it.
        kept: condition -> what the model keeps that is other than before the run: path -> as
            ``comparable`` makes it. None -> at the end.
        laundered: where a number lost its origin.
        ends: condition that says that a loop is over -> the name of the loop.
        turns: call -> the rounds of loops it stands in, from the outside in.
        rounds: watches them while the model runs.
        lost: call -> numbers that became plain before it, since the call before, with their Values;
            None -> those after the last one.
        losing: those since the last call.
        lookups: what functions look up by numbers.
        lists: Values of lists that functions told of -> their elements.
        unused: numbers that were computed, and that no call was given.
        held: what the model held before the run.
    """

    def __init__(self, notes: bool = True, tells: Mapping[Any, Any] | None = None) -> None:
        """Begin.

        Args:
            notes: whether variables and rounds are noted, which costs at each call.
            tells: where a function is written -> variables of which it tells -> the type of their
                elements, if these are lists.
        """
        self.notes, self.tells = notes, tells or {}
        self.held: Holdings | None = None
        self.seen: dict[Node, Held] = {}
        self.kept: dict[Node | None, Mapping[str, Any]] = {}
        self._state: dict[str, Value | None] = {}  # tensors kept since the run began
        self.laundered: list[Laundered] = []
        self.ends: dict[Node, str] = {}
        self.unused: list[Expr] = []
        self.turns: dict[Node, tuple[Turn, ...]] = {}
        self.rounds: Rounds | None = None
        self.lost: dict[Node | None, tuple[tuple[Value, Any], ...]] = {}
        self.losing: list[tuple[Value, Any]] = []
        self.lookups = Lookups()
        self.lists: Mapping[Value, tuple[Value, ...]] = {}
        self._turns: tuple[Turn, ...] = ()
        self._turned = False
        self._frame: FrameType | None = None  # that made the last call

    def begin(
        self,
        held: Holdings,
        numbers: Numbers | None,
        table: Tensors,
        entry: CodeType,
    ) -> None:
        """The run begins: watch its rounds, and what becomes of its numbers.

        Args:
            held: what the model holds.
            numbers: of the run, if sizes may turn out to vary.
            table: the Values of tensors.
            entry: the code that calls the model.
        """
        self.held = held
        if numbers is None or not self.notes:
            return
        numbers.noted, numbers.known = self.losing, table.known
        self._known, self._is_written, self._numbers = table.known, table.is_written, numbers
        count = Iterables(numbers, table.known).count
        self.rounds = Rounds(entry, count, self._value, self._left)

    def come_to(self, frame: FrameType | None) -> None:
        """A call is made at a frame; nothing of it is written down yet."""
        if self.rounds is not None:
            self.rounds.come_to(frame)

    def over(self, frame: FrameType) -> None:
        """A loop is over, at a frame."""
        if self.rounds is not None:
            self.rounds.over(frame)

    def forget(self, node: Node) -> None:
        """A call was noted that is none: nothing is written down of it."""
        for table in (self.seen, self.turns, self.lost, self.kept):
            table.pop(node, None)

    def decided(self, node: Node) -> None:
        """A condition was met."""
        if self.held is not None and node in self.seen:
            self.kept[node] = self._kept()
            self.seen[node] = self.seen[node]._replace(inside=self._inside())

    def note_rounds(self, node: Node) -> None:
        """Note which rounds a new node belongs to: those of the call the run came to last."""
        if self.rounds is not None and self.rounds.now:
            self.turns[node] = self.rounds.now
        if self.rounds is not None and self.rounds.now != self._turns:
            self._turn(self.rounds.now)

    def _turn(self, now: tuple[Turn, ...]) -> None:
        """Rounds begin, or loops are over."""
        kept, going = self._kept(), {one.execution for one in now}
        over = [one for one in self._turns if one.execution not in going]
        for turn in (*over, *(one for one in now if one not in self._turns)):
            turn.execution.kept.append(kept)
            turn.execution.state.append(self._state)
        self._turns, self._turned = now, True

    def end(self, numbers: Numbers) -> None:
        """The run has ended."""
        self.laundered, self.ends = list(numbers.laundered.values()), numbers.ends
        self.lost[None] = tuple(self.losing)
        self.unused, self.lists = numbers.unused(), numbers.lists.elements
        numbers.lists.put()
        self.lookups.hear(numbers.heard)
        if self.rounds is not None:
            self.kept[None] = self._kept()
            self._turn(())
            self._frame = None
            self.rounds.leave()
            self.rounds = None
            del self._known, self._is_written, self._numbers

    def note(self, node: Node, frame: FrameType | None) -> None:
        """Note what the functions that led to a call may still read.

        Args:
            node: the call.
            frame: that made it.
        """
        if not self.notes:
            if frame is not None and not is_foreign(frame.f_code.co_filename):
                self.lookups.visit(frame)
            return
        self.note_rounds(node)
        if self.losing:
            self.lost[node] = tuple(self.losing)
            self.losing.clear()
        frames: list[CodeType] = []
        at: list[int] = []
        plain: dict[tuple[int, str], Any] = {}
        tensors: dict[tuple[Any, ...], Value] = {}
        spent: dict[tuple[str, str], Any] = {}
        taken: dict[tuple[Any, ...], Value] = {}
        within: dict[tuple[Any, ...], Value] = {}
        beneath = is_beneath(node, frame)
        self._frame = frame
        numbers = {} if self.rounds is None else self.rounds.activations
        called: list[int] = []
        for user in _users(frame):
            code, kept = user.f_code, user.f_locals
            live = live_after(code, user.f_lasti)
            if not frames:
                for name in names_at(code, user.f_lasti).intersection(kept).difference(live):
                    self._spend(kept[name], (code.co_name, name), spent, taken)
            for name in (name for name in live if name in kept):
                told = None if self._value(kept[name]) is None else IN_GRAPH
                plain[len(frames), name] = told or summary(kept[name]) or _unplain(kept[name])
                self._look(kept[name], (code.co_name, name), tensors, within)
            self.lookups.visit(user)
            frames.append(code)
            at.append(user.f_lasti)
            called.append(numbers.get(user, -1))
        inside = self._inside() if self._turned else {}
        self._turned = False
        self.seen[node] = Held(
            tuple(frames), tuple(at), plain, tensors, spent, taken, beneath, inside, tuple(called),
            within,
        )  # fmt: skip

    def _look(
        self, part: Any, place: tuple[str, str], tensors: dict[Any, Value], within: dict[Any, Value]
    ) -> None:
        """Note the Values in a variable: of tensors, of the number it is, of numbers in it."""
        if value := self._number(part):
            tensors[place] = value
        for inner, held in tensors_by_path(part, place, self._any):
            if value := self._any(held):
                (within if self._part(held) is None else tensors)[inner] = value

    def _spend(
        self, part: Any, place: tuple[str, str], spent: dict[Any, Any], taken: dict[Any, Value]
    ) -> None:
        """Note what a variable holds that a call reads and nothing after it."""
        one = summary(part) or self._number(part)
        if one and self._value(part) is None:
            spent[place] = one
        for inner, held in tensors_by_path(part, place, self._value):
            if value := self._value(held):
                taken[inner] = value

    def _inside(self) -> dict[tuple[int, str], Any]:
        """What the variables lead to that the functions which led to the last call may read."""
        assert self.held is not None
        found: dict[tuple[int, str], Any] = {}
        with self._numbers.unheard():
            for number, frame in enumerate(_users(self._frame)):
                look, kept = Contents(self.held.knows), frame.f_locals
                for name in (n for n in live_after(frame.f_code, frame.f_lasti) if n in kept):
                    # A comprehension's own iterator says the round; what is plain says it all.
                    if name[0] != "." and summary(kept[name], False) is None:
                        found[number, name] = look.variable(kept[name])
        return found

    def _kept(self) -> dict[Any, Any]:
        """What the model keeps that is other than before; generators of random numbers aside."""
        assert self.held is not None
        with self._numbers.unheard():
            found = self.held.changes(lambda thing: isinstance(thing, torch.Generator))
            self._state = {path: self._known(one) for path, _, one in found.replaced}
            look = Contents(self.held.knows)
            kept: dict[Any, Any] = {}
            for path, one in found.now.items():
                if one.__class__ is not KeptResults:
                    kept[path] = look.of(one)
                    continue
                for given, result in one.pairs:
                    kept[ResultOf(path, look.of(given))] = look.of(result)
            return kept

    def _value(self, part: Any) -> Value | None:
        """The Value of a tensor, or of a number or list that has one as a tensor has."""
        if part.__class__ is list:
            return self._numbers.lists.value_of(part)
        if is_assigned(part):
            return self._number(part)
        return self._known(part) if isinstance(part, torch.Tensor) else None

    def _left(self, part: Any) -> Value | None:
        """The same; UNREAD where memory was written through another name."""
        value = self._value(part)
        if value is None and isinstance(part, torch.Tensor) and self._is_written(part):
            return UNREAD
        return value

    def _part(self, part: Any) -> Value | None:
        """The same, also of a number that a call took out of a tensor."""
        return self._number(part) if is_taken(part) else self._value(part)

    def _any(self, part: Any) -> Value | None:
        """The same, of any number of this run."""
        return self._number(part) or self._value(part)

    def _number(self, part: Any) -> Value | None:
        ours = part.__class__ in OURS and part.home is self._numbers
        return self._numbers.value_of(part) if ours else None  # to look is no use of it
