"""The live numbers of one run: where they are written down, and where they become plain ones.

What they are is said in :mod:`.live`; how a call is written down is the recorder's matter.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from types import CodeType, FrameType
from typing import Any, NamedTuple

import torch

from ..graph import numbers as calls
from ..graph.nodes import Node, NumberType, Value
from ..graph.source import Source, locate
from ..graph.tree import Record
from .call import Call
from .live import OURS, Expr, Float, Int, expr_of, expression, plain
from .told_lists import NO_LISTS, ToldLists


class Laundered(NamedTuple):
    """A number that became a plain one.

    Attributes:
        how: what was asked: ``int``, ``float``, ``hash``.
        number: the number.
        source: the line.
    """

    how: str
    number: Any
    source: Source | None


class Numbers:
    """The numbers of one run.

    Attributes:
        laundered: where numbers became plain ones.
        ends: condition -> the loop that was over when it was written down, by its name.
        heard: the operators that asked one of them: id of the code, offset -> the code.
    """

    def __init__(
        self,
        emit: Callable[[Callable[..., Any], dict[str, Any], NumberType], Value],
        guard: Callable[[Callable[..., Any], dict[str, Any], bool, Any], Any],
        listening: Callable[[], bool],
        over: Callable[[Callable[..., Any], dict[str, Any], Any], Node] | None = None,
        many: Callable[[], int] = int,
        lists: ToldLists = NO_LISTS,
    ) -> None:
        """Begin.

        Args:
            emit: ``emit(function, arguments, type) -> Value`` records a call on numbers.
            guard: ``guard(function, arguments, outcome, frame)`` records a comparison.
            listening: whether it is the model that computes, not torch or this package.
            over: ``over(function, arguments, frame)`` records that one which holds ends a loop.
            many: how many Values there are so far.
            lists: of the run.
        """
        self._emit, self._guard, self.listening = emit, guard, listening
        self._over, self.many = over, many
        self._scopes: list[dict[Any, Value]] = [{}]
        self.laundered: dict[tuple[str, Any], Laundered] = {}
        self.ends: dict[Node, str] = {}
        self.begun: dict[str, tuple[FrameType, Any]] = {}
        self.heard: dict[tuple[int, int], CodeType] = {}
        self.open = True
        # Numbers that became plain since this was emptied, after what gave them; None: not noted.
        self.noted: list[tuple[Value, Any]] | None = None
        self.known: Callable[[Any], Value | None] | None = None  # the Value of a tensor, if noted
        self.lists = lists
        # All that were computed; and those that were given to calls, or compared.
        self.made: dict[Expr, None] = {}
        self.used: set[Any] = set()

    # -- scopes: what was computed inside a module is not seen outside

    def enter(self) -> None:
        """Begin a module call."""
        self._scopes.append({})

    def leave(self) -> None:
        """End a module call."""
        self._scopes.pop()

    # -- numbers out

    def number(self, value: Any, expr: Expr | Value) -> Any:
        """A number that knows its origin; anything else as it is."""
        if expr.__class__ is Expr:
            self.made[expr] = None
        if value.__class__ is int:
            return Int(value, expr, self)
        if value.__class__ is float:
            return Float(value, expr, self)
        return value

    def _made(self, function: Callable[..., Any], args: tuple[Any, ...], result: Any) -> Any:
        return self.number(result, expression(function, args, result))

    def computed(self, function: Callable[..., Any], *args: Any) -> Any:
        """What a call on numbers gives, for one that the model did not make itself."""
        result = function(*map(plain, args))
        if not any(isinstance(one, OURS) for one in args):
            return result
        return self._made(function, tuple(expr_of(one, self) for one in args), result)

    def answer(self, func_name: str, value: Value, args: tuple[Any, ...], result: Any) -> Any:
        """What torch answered to a question about a tensor, as numbers with an origin."""
        if func_name in ("numel", "nelement"):
            return self._made(calls.numel, (value,), result)
        function = calls.stride if func_name == "stride" else calls.size
        rank = len(value.type.shape)
        if isinstance(result, tuple):
            made = [self._made(function, (value, d), n) for d, n in enumerate(result)]
            return torch.Size(made) if isinstance(result, torch.Size) else tuple(made)
        if not args or not isinstance(args[0], int):
            return result
        return self._made(function, (value, plain(args[0]) % max(rank, 1)), result)

    def counted(self, value: Value, result: int, frame: FrameType) -> None:
        """``len`` of a tensor, of which Python makes a plain number in any case."""
        self.lost("len", self._made(calls.size, (value, 0), result), frame)

    def given(self, number: Any) -> Any:
        """A number among the arguments of the model, as an input of the graph."""
        return self.number(number, Value("", NumberType(type(number), number)))

    def taken(self, part: Any, node: Any, name: Callable[[], str]) -> tuple[Any, Any]:
        """Numbers that a call took out of tensors: as the model gets them, and as a template."""
        if part.__class__ is list:
            pairs = [self.taken(inner, node, name) for inner in part]
            return [p for p, _ in pairs], [t for _, t in pairs]
        if part.__class__ is not int and part.__class__ is not float:
            return part, part
        value = Value(name(), NumberType(type(part), part), node)
        return self.number(part, value), value

    # -- numbers in

    def arguments(self, template: dict[str, Any], call: Call) -> dict[str, Any]:
        """The arguments of a call as :meth:`lower` makes them; of its lists it is noted."""
        found: dict[str, Any] = self.lower(template)
        if self.lists:
            self.lists.given(call.named, found)
        return found

    def with_lists(self, template: Any, part: Any) -> Any:
        """What was made of something, with the Values of the lists in it."""
        if part.__class__ is list and (whole := self.lists.whole(part, template)):
            return whole
        if part.__class__ in (tuple, list) and template.__class__ is part.__class__:
            return part.__class__(map(self.with_lists, template, part))
        return template

    def lower(self, part: Any) -> Any:
        """A template with Values in the place of numbers that know their origin."""
        cls = part.__class__
        if cls is Int or cls is Float:
            if part.home is not self:
                return plain(part)
            self.used.add(part.expr)
            return self.value_of(part)
        if cls is tuple or cls is torch.Size:
            if any(_holds(p) for p in part):
                return tuple([self.lower(p) for p in part])
            return part
        if cls is list:
            return [self.lower(p) for p in part] if any(_holds(p) for p in part) else part
        if cls is dict:
            return {key: self.lower(p) for key, p in part.items()}
        if cls is slice:
            return slice(self.lower(part.start), self.lower(part.stop), self.lower(part.step))
        if cls is Record:
            part.items, part.attributes = self.lower(part.items), self.lower(part.attributes)
        return part

    def value_of(self, number: Any) -> Value:
        """What stands for a number of this run."""
        return self._value(number.expr, plain(number))

    def _value(self, expr: Expr | Value, recorded: Any) -> Value:
        if expr.__class__ is Value:
            return expr
        assert isinstance(expr, Expr)
        scope: dict[Any, Value]
        for scope in reversed(self._scopes):
            if expr in scope:
                return scope[expr]
        args = self._arguments(expr.function, expr.args)
        made = self._emit(expr.function, args, NumberType(type(recorded), recorded))
        self._scopes[-1][expr] = made
        return made

    def _arguments(self, function: Callable[..., Any], args: tuple[Any, ...]) -> dict[str, Any]:
        names = function.__code__.co_varnames[: len(args)]
        return {
            name: self._value(arg, arg.recorded) if arg.__class__ is Expr
            else list(arg) if arg.__class__ is tuple else arg
            for name, arg in zip(names, args)
        }  # fmt: skip

    @contextlib.contextmanager
    def unheard(self) -> Iterator[None]:
        """Context manager: nothing that is computed or compared is recorded."""
        before, self.open = self.open, False
        try:
            yield
        finally:
            self.open = before

    def close(self) -> None:
        """The run has ended."""
        self.open = False
        self.begun.clear()

    # -- what the subclasses tell

    def hears(self) -> bool:
        """Whether what is computed now is to be recorded."""
        return self.open and self.listening()

    def hear(self, frame: FrameType) -> None:
        """An operator asked a number."""
        code = frame.f_code  # to hash code, Python reads all of it
        self.heard[id(code), frame.f_lasti] = code

    def compared(self, function: Callable[..., Any], args: tuple[Any, ...], outcome: bool) -> None:
        """A comparison decided something; each counts, for another run may meet only some."""
        self.used.update(args)
        self._guard(function, self._arguments(function, args), outcome, sys._getframe(2))

    def begins(self, loop: str, count: Any, frame: FrameType) -> None:
        """A loop over a range begins in a frame."""
        self.begun[loop] = frame, count

    def ended(self, loop: str, count: Int, many: int, frame: FrameType) -> None:
        """A loop is over after ``many`` rounds, since ``count`` said so."""
        if self.hears() and self._over is not None:
            function = calls.eq if many else calls.le
            self.used.add(count.expr)
            args = self._arguments(function, (count.expr, many))
            self.ends[self._over(function, args, frame)] = loop

    def had(self, count: Any, least: int, frame: FrameType) -> None:
        """A loop was left in a round, and so has as many; where runs are laid, rounds say so."""
        if count.__class__ is Int and self.noted is None and self.hears():
            self.used.add(count.expr)
            self._guard(calls.ge, self._arguments(calls.ge, (count.expr, least)), True, frame)

    def agrees(self, one: Any, other: Any, frame: FrameType) -> None:
        """Two numbers must be equal, or the model raises."""
        if self.hears() and plain(one) == plain(other):
            self.used.update((one.expr, other.expr))
            self._guard(calls.eq, self._arguments(calls.eq, (one.expr, other.expr)), True, frame)

    def lost(self, how: str, number: Any, frame: FrameType, made: Any = None) -> None:
        """A number became a plain one: ``made``, if that is another than it was."""
        if self.hears():
            source = locate(frame)
            self.laundered.setdefault((how, source), Laundered(how, number, source))
            made = number if made is None else made
            known = plain(made)
            given = self._value(expression(calls.plain, (made.expr,), known), known)
            if given.producer is not None:
                given.producer.source = given.producer.source or source
            if self.noted is not None:
                self.noted.append((given, known))

    def many_made(self) -> int:
        """How many numbers were computed so far."""
        return len(self.made)

    def unmake(self, before: int) -> None:
        """Forget the numbers that were computed since, for a question that has no answer."""
        while len(self.made) > before:
            self.made.popitem()

    def unused(self) -> list[Expr]:
        """Numbers that were computed and went nowhere that is recorded: Python has them."""
        parts = {arg for one in self.made for arg in one.args if arg.__class__ is Expr}
        return [one for one in self.made if one not in self.used and one not in parts]

    def keep(self, numbers: Sequence[Expr]) -> None:
        """Write down numbers that Python has, as some that became plain.

        What stands for numbers elsewhere may have been made after the module that this is of.
        """
        before, self._scopes = self._scopes, [{}]
        for one in numbers:
            self._value(expression(calls.plain, (one,), one.recorded), one.recorded)
        self._scopes = before


SIZES = frozenset({"shape", "size", "numel", "nelement", "stride"})


def _holds(part: Any) -> bool:
    return part.__class__ in (Int, Float, tuple, list, slice, torch.Size, Record, dict)
