"""``range`` and ``enumerate`` whose numbers know in which round of which loop they were given.

Both make plain numbers of what they are given. While examples are recorded these stand in for them:
where a loop that is written down goes over one that depends on a size, or over the rows of a
tensor, each number says that it is that of the round, so that ``if i == 0`` is a condition of the
graph and not of the examples. Everything else gets the real ones. Owns that; which rounds there
are is the matter of :mod:`.rounds`, what becomes of the numbers that of :mod:`.gathered`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any

import torch

from ..graph import numbers as calls
from .live import Int, expression, is_taken, plain
from .sources import loop_over

REAL_RANGE, REAL_ENUMERATE, REAL_ZIP = range, enumerate, zip


def _loop(frame: FrameType) -> str | None:
    """The loop over what is made at a frame, if it is written down."""
    key = loop_over(frame.f_code, frame.f_lasti)
    return None if key is None else name_of_loop(key)


def name_of_loop(key: Any) -> str:
    """A loop's key as a word."""
    file, span = key
    return ":".join(map(str, (file, *span)))


def many_in(start: Any, stop: Any, step: int, compute: Callable[..., Any]) -> Any:
    """How many numbers a range has; not more than none if it is empty.

    Args:
        start: where it begins.
        stop: before where it ends.
        step: not 0.
        compute: ``compute(function, one, other)`` on numbers that may know where they come from.
    """
    first, last = (start, stop) if step > 0 else (stop, start)
    found, step = last if _is_zero(first) else compute(calls.sub, last, first), abs(step)
    if step > 1:
        found = compute(calls.floor_divide, compute(calls.add, found, step - 1), step)
    return found


def _is_zero(number: Any) -> bool:
    return number.__class__ is int and number == 0


class Counting:
    """A range of numbers that know their round; in all else it is the range it stands for."""

    __slots__ = ("_home", "_loop", "_number", "_range", "_start", "_step", "_stop")

    def __init__(self, parts: tuple[Any, ...], number: Int, loop: str) -> None:
        """Begin.

        Args:
            parts: what ``range`` was given, the step a plain number.
            number: one of them that knows where it comes from.
            loop: the name of the loop.
        """
        self._range = REAL_RANGE(*map(plain, parts))
        self._number, self._home, self._loop = number, number.home, loop
        whole = (0, parts[0], 1) if len(parts) == 1 else (*parts, 1)[:3]
        self._start, self._stop, self._step = whole

    @property  # type: ignore[misc]
    def __class__(self) -> Any:  # `isinstance` of a range says yes
        return REAL_RANGE

    def _from(self, first: Any, step: int) -> Iterator[Any]:
        home, begun = self._home, self._home.many()
        home.begins(self._loop, self._many(), sys._getframe(1))
        for number in REAL_RANGE(len(self._range)):
            turn = home.number(number, expression(calls.turn, (number, self._loop), number))
            gone = turn if step == 1 else home.computed(calls.mul, turn, step)
            try:
                yield gone if _is_zero(first) else home.computed(calls.add, gone, first)
            except GeneratorExit:  # the loop was left
                home.had(self._many(), number + 1, sys._getframe(1))
                raise
        frame, many = sys._getframe(1), self._many()
        if many is not None and (home.many() > begun or not self._range):
            home.ended(self._loop, many, len(self._range), frame)
        else:  # what its rounds did was not recorded
            home.lost("range", self._number, frame)

    def _many(self) -> Int | None:
        """How many numbers there are, or no more than none; None if they are always as many."""
        found = many_in(self._start, self._stop, self._step, self._home.computed)
        return found if found.__class__ is Int else None

    def __iter__(self) -> Iterator[Any]:
        return self._from(self._start, self._step)

    def __reversed__(self) -> Iterator[Any]:
        if abs(self._step) != 1:
            return reversed(self._range)
        return self._from(self._home.computed(calls.sub, self._stop, self._step), -self._step)

    def __len__(self) -> int:
        return len(self._range)

    def __bool__(self) -> bool:
        return bool(self._range)

    def __getitem__(self, key: Any) -> Any:
        return self._range[key]

    def __contains__(self, one: Any) -> bool:
        return one in self._range

    def __eq__(self, other: object) -> bool:
        return self._range == (other._range if type(other) is Counting else other)

    def __hash__(self) -> int:
        return hash(self._range)

    def __repr__(self) -> str:
        return repr(self._range)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._range, name)


class _StandsIn(type):
    """Classes that stand for one of Python's own: in `isinstance`, `==` and all they have."""

    real: Any

    def __instancecheck__(cls, one: Any) -> bool:
        return isinstance(one, cls.real)

    def __subclasscheck__(cls, one: Any) -> bool:
        return issubclass(one, cls.real)

    def __eq__(cls, other: object) -> bool:
        return other is cls or other is cls.real

    def __hash__(cls) -> int:
        return hash(cls.real)

    def __repr__(cls) -> str:
        return repr(cls.real)

    def __getattr__(cls, name: str) -> Any:
        return getattr(cls.real, name)


class Range(metaclass=_StandsIn):
    """``range``."""

    real = REAL_RANGE
    __module__ = "builtins"  # asked for its module, it answers as what it stands for

    def __new__(cls, *parts: Any, **none: Any) -> Any:
        number = next((one for one in parts if one.__class__ is Int), None)
        if number is not None and not none and len(parts) < 4 and number.home.hears():
            loop = _loop(sys._getframe(1))
            if loop is not None and (len(parts) < 3 or parts[2].__class__ is int and parts[2]):
                return Counting(parts, number, loop)
            for one in parts:
                if one.__class__ is Int:
                    number.home.lost("range", one, sys._getframe(1))
        return REAL_RANGE(*parts, **none)


class Enumerate(metaclass=_StandsIn):
    """``enumerate``."""

    real = REAL_ENUMERATE
    __module__ = "builtins"

    def __new__(cls, iterable: Any, start: Any = 0) -> Any:
        number = _asked(iterable)
        if number is None or start.__class__ not in (int, Int):
            return REAL_ENUMERATE(iterable, start)
        loop = _loop(sys._getframe(1))
        if loop is None:
            number.home.lost("enumerate", number, sys._getframe(1))
            return REAL_ENUMERATE(iterable, start)
        return REAL_ZIP(Counting((start, start + _many(iterable)), number, loop), iterable)


class Zip(metaclass=_StandsIn):
    """``zip``, which begins to go over each of its arguments before it returns.

    Of ``zip(*x)`` that is a call of torch for each row, all from one instruction.
    """

    real = REAL_ZIP
    __module__ = "builtins"

    def __new__(cls, *parts: Any, **how: Any) -> Any:
        if how.get("strict"):
            known = [one for one in map(_asked, parts) if one is not None]
            for other in known[1:]:
                known[0].home.agrees(known[0], other, sys._getframe(1))
        return REAL_ZIP(*parts, **how)


def _asked(iterable: Any) -> Any:
    """A number of the run that rows belong to: a range's, a tensor's, those that a call gave."""
    if type(iterable) is Counting:
        return iterable._number
    asked = None
    if is_tensor(iterable) and iterable.dim():
        asked = iterable.size(0)  # what the run answers knows of which run it is
    elif type(iterable) is tuple and iterable and all(map(is_tensor, iterable)):
        asked = many_in_list(iterable, len(iterable))
        if asked.__class__ is int and iterable[0].dim():
            asked = iterable[0].size(0)
    elif type(iterable) is list and iterable:
        asked = _many_taken([row[0] if type(row) is list and row else row for row in iterable])
    return asked if asked.__class__ is Int and asked.home.hears() else None


def _many_taken(numbers: list[Any]) -> Any:
    """How many numbers a call took out of a tensor; None if it is no list of such."""
    if not all(map(is_taken, numbers)):
        return None
    values, many = tuple(one.expr for one in numbers), len(numbers)
    return numbers[0].home.number(many, expression(calls.length, (values,), many))


def many_in_list(rows: Sequence[Any], many: int) -> Any:
    """How many tensors a list holds, as a number of the run they belong to, if they do to one."""
    asked = (one.numel() for one in rows)  # what the run answers knows of which run it is
    home = next((one.home for one in asked if one.__class__ is Int), None)
    if home is None or home.known is None or not home.hears():
        return many
    with torch._C.DisableTorchFunction():
        values = tuple(map(home.known, rows))
    if None in values:
        return many
    return home.number(many, expression(calls.length, (values,), many))


def _many(iterable: Any) -> Any:
    if type(iterable) is Counting:
        many = iterable._many()
        return len(iterable._range) if many is None else many
    return iterable.size(0) if is_tensor(iterable) else len(list(iterable))


def is_tensor(part: Any) -> bool:
    """Whether something is a tensor."""
    return isinstance(part, torch.Tensor)
