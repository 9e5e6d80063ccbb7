"""In which round of which loops a call stands: watched while a model runs.

Every recorded call has a stack of Python frames. As long as a frame goes forward it is in the same
round of the loops it stands in; going back inside one begins a round, and so does another value of
the loop's own variable. Owns what is remembered of the last call
for that; what the loops are is said by :mod:`.sources`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from types import CodeType, FrameType
from typing import Any, NamedTuple

import torch

from ..graph.nodes import TensorType, Value
from ..graph.source import PACKAGE, caller_of, is_foreign
from .comparable import comparable, tensors_by_path
from .counting import Zip
from .live import Int
from .liveness import carried_by, live_after_span
from .lookups import is_row
from .parsed import span_at
from .sources import LoopSource, called, in_test, loops_at, read_in

# What stands for memory that was written through another name, and not read since.
UNREAD = Value("", TensorType(torch.float32, (), torch.device("cpu")))

Counts = Callable[[LoopSource, FrameType], Any]
Known = Callable[[Any], "Value | None"]


class Execution:
    """A loop that ran once, with however many rounds.

    Attributes:
        loop: as it is written.
        code: of the function it stands in.
        plain: its own variables that hold no tensor, and no number that knows its round.
        numbered: those that hold such numbers.
        count: how many rounds what it goes over says it has: a Value or an int; a list of Values
            that are its elements; None if nothing says so.
        held: what its own variables held in each round, as far as those are whole numbers.
        odd: its own variables that held neither those nor tensors.
        before: what the variables that go from round to round held, as ``comparable`` makes it.
        after: the same when it was over.
        rows: the Values that its own variables had in each round.
        set: what variables that rounds set held when one began, and at the end.
        kept: what the model kept then, as in ``Standing``.
        state: the tensors that it kept then and did not before the run.
        begun: the same of those that are read after it, when each round began.
        left: which Values their tensors had then, by place as in ``Held.tensors``, or UNREAD.
        is_unread: whether another round would read variables whose memory was written through
            other names since they were read.
    """

    __slots__ = ("after", "before", "begun", "code", "count", "held", "is_unread", "kept", "left",
                 "loop", "numbered", "odd", "plain", "rows", "set", "state")  # fmt: skip

    def __init__(self, loop: LoopSource, code: CodeType, held: tuple[Any, ...]) -> None:
        self.loop, self.code = loop, code
        self.count: Any = None
        self.plain = {name for name, one in zip(loop.targets, held)
                      if not isinstance(one, (torch.Tensor, Int))}  # fmt: skip
        self.numbered = {name for name, one in zip(loop.targets, held) if isinstance(one, Int)}
        self.held: list[dict[str, int]] = []
        self.odd: set[str] = set()
        self.before: dict[str, Any] = {}
        self.after: dict[str, Any] = {}
        self.left: dict[Any, Value] = {}
        self.is_unread = False
        self.rows: list[list[Value]] = []
        self.begun: list[dict[Any, Value]] = []
        self.set: dict[str, set[Any]] = {}
        self.kept: list[Mapping[Any, Any]] = []
        self.state: list[Mapping[str, Value | None]] = []

    @property
    def live_after(self) -> frozenset[tuple[str, str]]:
        """Function and variable, of those that may be read after it."""
        names = live_after_span(self.code, self.loop.span)
        return frozenset((self.code.co_name, name) for name in names)

    def sees(self, kept: dict[str, Any], known: Known) -> None:
        """What variables that rounds set hold now."""
        for name in self.loop.stored.difference(self.loop.targets):
            if name in kept:
                self.set.setdefault(name, set()).add(comparable(kept[name], known))

    def begins(
        self, held: tuple[Any, ...], kept: dict[str, Any], known: Known, left: Known
    ) -> None:
        """A round begins.

        Args:
            held: by the loop's own variables.
            kept: by all variables of the function.
            known: the Value of a tensor, or of what has one as a tensor has, if it has one.
            left: the same; UNREAD where memory was written through another name.
        """
        self.sees(kept, known)
        self.begun.append(_held_in(kept, self.live_after, left))
        rows = [known(one) for one in held if isinstance(one, torch.Tensor)]
        self.rows.append([value for value in rows if value is not None])
        own = dict(zip(self.loop.targets, held))
        self.held.append({name: one for name, one in own.items() if type(one) is int})
        self.odd |= {name for name, one in own.items()
                     if type(one) is not int and not is_row(one)}  # fmt: skip


class Turn(NamedTuple):
    """One round of a loop."""

    execution: Execution
    number: int


class _Open:
    """A loop that a function stands in."""

    __slots__ = ("execution", "held", "number")

    def __init__(self, execution: Execution, held: tuple[Any, ...]) -> None:
        self.execution, self.held, self.number = execution, held, 0


class _Activation:
    """A frame that was on the stack at the last call."""

    __slots__ = ("at", "direct", "frame", "number", "open")

    def __init__(self, frame: FrameType, number: int) -> None:
        self.frame, self.at, self.number = frame, -1, number
        self.direct = False  # it made the last call itself
        self.open: list[_Open] = []

    def close(self, depth: int, known: Known, left: Known) -> None:
        """Loops are over; what they left in variables of the function is there, even if it is."""
        for one in self.open[depth:]:
            execution, kept, code = one.execution, self.frame.f_locals, self.frame.f_code
            stored = execution.loop.stored
            execution.after = _carried(execution.loop, self.frame, known)
            execution.sees(kept, known)
            names = {n for f, n in execution.live_after if n in stored}.union(execution.after)
            again = read_in(execution.loop).difference(stored).union(execution.after)
            held = _held_in(kept, {(code.co_name, name) for name in names | again}, left)
            execution.left = {place: one for place, one in held.items() if place[1] in names}
            unread = {place[1] for place, one in held.items() if one is UNREAD}
            execution.is_unread = not unread.isdisjoint(again)
        del self.open[depth:]


class Rounds:
    """Where the run stands.

    Attributes:
        now: the rounds the call under way stands in, from the outside in.
    """

    def __init__(self, entry: Any, counts: Counts, known: Known, left: Known) -> None:
        """Begin.

        Args:
            entry: the code that calls the model; frames below it are not looked at.
            counts: says how many rounds a loop that begins will have.
            known: the Value of a tensor, or of what has one as a tensor has, if it has one.
            left: the same; UNREAD where memory was written through another name.
        """
        self.now: tuple[Turn, ...] = ()
        self._entry, self._counts, self._known, self._left = entry, counts, known, left
        self._stack: list[_Activation] = []
        self._frames: list[FrameType] = []  # that lead to the call under way
        self._zipped: tuple[Any, ...] = ()  # what ``zip`` goes over that makes it
        self._many = 0  # functions that were called

    def come_to(self, frame: FrameType | None) -> None:
        """A call is made at a frame."""
        frames: list[FrameType] = []
        self._zipped = ()
        while frame is not None and frame.f_code is not self._entry:
            if not frame.f_code.co_filename.startswith(PACKAGE):  # what stands in is as C code
                frames.append(frame)
            elif frame.f_code is _ZIP:
                self._zipped = frame.f_locals["parts"]
            frame = frame.f_back
        frames.reverse()
        self._frames = frames
        stack, common = self._stack, 0
        while common < min(len(stack), len(frames)) and stack[common].frame is frames[common]:
            common += 1
        for depth in range(common):
            one, goes_deeper = stack[depth], depth + 1 < common
            if one.at != frames[depth].f_lasti or not goes_deeper:
                self._moved(one)
                if one.at != frames[depth].f_lasti:
                    one.at, common = frames[depth].f_lasti, depth + 1
                    break
        self._drop(common)
        for new in frames[common:]:
            self._many += 1
            stack.append(_Activation(new, self._many))
            self._moved(stack[-1])
            stack[-1].at = new.f_lasti
        own = stack
        if self._zipped:  # rows are asked by a function of torch's that is written in Python
            own = [one for one in stack if not is_foreign(one.frame.f_code.co_filename)] or stack
        for one in stack:
            one.direct = one is own[-1]
        self.now = self._turns()

    def over(self, frame: FrameType) -> None:
        """A loop is over, which is known where it would have gone on: before its rounds."""
        loops = loops_at(frame.f_code, frame.f_lasti)
        if _is_generator(frame) and (adds := caller_of(frame)) is not None:
            written = loops_at(adds.f_code, adds.f_lasti)
            if written and written[-1].is_one_call and written[-1].targets:  # what adds it up
                frame, loops = adds, written[:-1]
        place = next((i for i, one in enumerate(self._stack) if one.frame is frame), None)
        around = len(loops)
        if place is None or len(self._stack[place].open) <= around:  # it had no round
            self.come_to(frame)
            return
        self._drop(place + 1)
        self._stack[place].close(around, self._known, self._left)
        self._stack[place].direct = True
        self.now = self._turns()

    def _turns(self) -> tuple[Turn, ...]:
        return tuple(
            [Turn(loop.execution, loop.number) for one in self._stack for loop in one.open]
        )

    @property
    def activations(self) -> dict[FrameType, int]:
        """The functions that led to the last call -> which of all that were called each is."""
        return {one.frame: one.number for one in self._stack}

    def leave(self) -> None:
        """The run has ended."""
        self._drop(0)
        self._frames = []

    def _drop(self, depth: int) -> None:
        """Functions have returned."""
        for one in self._stack[depth:]:
            one.close(0, self._known, self._left)
        del self._stack[depth:]

    def _moved(self, one: _Activation) -> None:
        """A function came to another call, or to the same one again."""
        frame, code = one.frame, one.frame.f_code
        if is_foreign(code.co_filename):
            return
        loops = loops_at(code, frame.f_lasti)
        if loops and loops[-1].is_one_call and called(loops[-1].node) == "zip":
            loops = loops if self._zipped else loops[:-1]  # else it is given its arguments
        if not loops and not one.open:
            return
        if _is_generator(frame):  # what adds it up begins its rounds
            others = [each for each in self._stack if each is not one]
            around = {now.execution.loop.key for each in others for now in each.open}
            loops = tuple(loop for loop in loops if loop.key not in around)
        same = 0
        while same < min(len(loops), len(one.open)) and (
            one.open[same].execution.loop is loops[same]
        ):
            same += 1
        one.close(same, self._known, self._left)
        if same:
            again = self._again(one, loops[:same])
            if again is not None:
                one.close(again + 1, self._known, self._left)
                loop = one.open[again]
                loop.number += 1
                loop.held = self._held(loops[again], frame)
                loop.execution.begins(loop.held, frame.f_locals, self._known, self._left)
                same = again + 1
        for loop_written in loops[same:]:
            held = self._held(loop_written, frame)
            begun = Execution(loop_written, code, held)
            one.open.append(_Open(begun, held))
            rows = [self._known(one) for one in self._zipped]
            zips = rows and None not in rows and loop_written.is_one_call
            begun.count = rows if zips else self._counts(loop_written, frame)
            begun.before = _carried(loop_written, frame, self._known)
            begun.begins(held, frame.f_locals, self._known, self._left)

    def _held(self, loop: LoopSource, frame: FrameType) -> tuple[Any, ...]:
        """What the variables that a loop sets itself hold."""
        if not loop.targets:
            return ()
        if loop.is_one_call:  # those of the generator that is added up
            frames = iter(self._frames)
            inside = next((f for one in frames if one is frame for f in frames), frame)
            frame = inside if _is_generator(inside) else frame
        kept = frame.f_locals
        return tuple([kept.get(name) for name in loop.targets])

    def _again(self, one: _Activation, loops: tuple[LoopSource, ...]) -> int | None:
        """The loop of which a new round begins, if one does."""
        frame, inner = one.frame, loops[-1]
        before, now = one.at, frame.f_lasti
        if before == now and inner.is_one_call:
            return len(loops) - 1 if one.direct else None
        for depth, loop in enumerate(loops):  # what it goes over may say so even going forward
            if loop.targets and not _same(self._held(loop, frame), one.open[depth].held):
                return depth
        back = _order_in_round(inner, frame.f_code, now) < _order_in_round(
            inner, frame.f_code, before
        )
        if not back and before != now:
            return None
        if before == now:
            return None  # one instruction may make several calls
        depth = len(loops) - 1
        while depth and _is_over(one.open[depth]):
            depth -= 1
        return depth


def _held_in(kept: Mapping[str, Any], places: Collection[Any], known: Known) -> dict[Any, Value]:
    """What variables hold, by place as in ``Held.tensors``."""
    found = {}
    for place in places:
        if place[1] in kept:
            for inner, part in tensors_by_path(kept[place[1]], place, known):
                if (value := known(part)) is not None:
                    found[inner] = value
    return found


def _carried(loop: LoopSource, frame: FrameType, known: Known) -> dict[str, Any]:
    """What the variables that go from round to round of a loop hold."""
    if loop.is_comprehension or loop.is_one_call:
        return {}
    kept = frame.f_locals
    names = carried_by(frame.f_code, loop.span).difference(loop.targets)
    return {name: comparable(kept[name], known) for name in names if name in kept}


def _is_over(loop: _Open) -> bool:
    count = loop.execution.count
    return isinstance(count, int) and loop.number + 1 >= count


def _order_in_round(loop: LoopSource, code: Any, at: int) -> tuple[int, ...]:
    """Where an instruction comes in a round: the test of a ``while`` first, then by offset."""
    span = span_at(code, at)
    return (0, *span[2:]) if in_test(loop, span) else (1, at)


def _is_generator(frame: FrameType) -> bool:
    return frame.f_code.co_name == "<genexpr>"


def _same(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    return all(
        a is b or (type(a) is type(b) and type(a) in _EQUAL and a == b) for a, b in zip(one, other)
    )


_ZIP = Zip.__new__.__code__
_EQUAL = (int, float, str)  # numbers that know where they come from are others in each round
