"""Ints and floats that know where they come from.

What a model asks a tensor for (a size, a stride, the number of elements) is handed to it as a
subclass of ``int`` or ``float`` with an :class:`Expr`. Arithmetic makes more of them; a comparison
gives a plain ``bool`` and is recorded as a guard. They have the right values, so whatever runs with
plain numbers runs with them. Owns these classes and the expressions; how a call is written
down is the recorder's matter.

Lost on the way, because Python asks no method of a subclass: ``range``, indices, ``[0] * n``,
``operator.index``. What can be seen (``int()``, ``float()``, ``len()``) is noted with its
line.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, NamedTuple

import torch

from ..graph import numbers as calls
from ..graph.nodes import Node, NumberType, Value
from ..graph.source import Source, locate
from ..graph.tree import Record


class Expr(NamedTuple):
    """Where a number comes from: a call of :mod:`flexir.graph.numbers`.

    Attributes:
        function: what was called.
        args: Values, numbers and further expressions.
        kinds: classes of the arguments and the result, since 1, 1.0 and True are equal.
        recorded: what came of it in this run.
    """

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kinds: tuple[type, ...]
    recorded: Any


def expression(function: Callable[..., Any], args: tuple[Any, ...], recorded: Any) -> Expr:
    """The Expr of one call."""
    return Expr(function, args, (*map(type, args), type(recorded)), recorded)


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
    """

    def __init__(
        self,
        emit: Callable[[Callable[..., Any], dict[str, Any], NumberType], Value],
        guard: Callable[[Callable[..., Any], dict[str, Any], bool, Any], Any],
        listening: Callable[[], bool],
        over: Callable[[Callable[..., Any], dict[str, Any], Any], Node] | None = None,
        many: Callable[[], int] = int,
    ) -> None:
        """Begin.

        Args:
            emit: ``emit(function, arguments, type) -> Value`` records a call on numbers.
            guard: ``guard(function, arguments, outcome, frame)`` records a comparison.
            listening: whether it is the model that computes, not torch or this package.
            over: ``over(function, arguments, frame)`` records that one which holds ends a loop.
            many: how many Values there are so far.
        """
        self._emit, self._guard, self.listening = emit, guard, listening
        self._over, self.many = over, many
        self._scopes: list[dict[Any, Value]] = [{}]
        self.laundered: dict[tuple[str, Any], Laundered] = {}
        self.ends: dict[Node, str] = {}
        self.open = True
        # Numbers that became plain since this was emptied, after what gave them; None: not noted.
        self.noted: list[tuple[Value, Any]] | None = None

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
        """``len`` of a tensor, which Python makes a plain number whatever it is given."""
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

    def lower(self, part: Any) -> Any:
        """A template with Values in the place of numbers that know their origin."""
        cls = part.__class__
        if cls is Int or cls is Float:
            return self._value(part.expr, plain(part)) if part.home is self else plain(part)
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
            name: self._value(arg, arg.recorded) if arg.__class__ is Expr else arg
            for name, arg in zip(names, args)
        }

    # -- what the subclasses tell

    def hears(self) -> bool:
        """Whether what is computed now is to be recorded."""
        return self.open and self.listening()

    def compared(self, function: Callable[..., Any], args: tuple[Any, ...], outcome: bool) -> None:
        """A comparison decided something; each counts, for another run may meet only some."""
        self._guard(function, self._arguments(function, args), outcome, sys._getframe(2))

    def ended(self, loop: str, count: Int, many: int, frame: FrameType) -> None:
        """A loop is over after ``many`` rounds, since ``count`` said so."""
        if self.hears() and self._over is not None:
            function = calls.eq if many else calls.le
            args = self._arguments(function, (count.expr, many))
            self.ends[self._over(function, args, frame)] = loop

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


SIZES = frozenset({"shape", "size", "numel", "nelement", "stride"})


def _holds(part: Any) -> bool:
    return part.__class__ in (Int, Float, tuple, list, slice, torch.Size, Record, dict)


def plain(number: Any) -> Any:
    """The int or float itself."""
    if isinstance(number, Int):
        return int.__int__(number)
    return float.__float__(number) if isinstance(number, Float) else number


def expr_of(number: Any, home: Numbers) -> Any:
    """Where a number comes from; a plain one, or one of another run, stands for itself."""
    ours = number.__class__ in OURS and number.home is home
    return number.expr if ours else plain(number)


def origins_of(number: Any) -> list[Value]:
    """The tensors and numbers of the graph that a number was computed from."""
    found, stack = [], [number.expr if number.__class__ in OURS else number]
    while stack:
        part = stack.pop()
        if part.__class__ is Value:
            found.append(part)
        elif part.__class__ is Expr:
            stack.extend(part.args)
    return found


class Int(int):
    """An int that knows where it comes from."""

    expr: Expr | Value
    home: Numbers

    def __new__(cls, value: int, expr: Expr | Value, home: Numbers) -> Int:
        made = int.__new__(cls, value)
        made.expr, made.home = expr, home
        return made


class Float(float):
    """A float that knows where it comes from."""

    expr: Expr | Value
    home: Numbers

    def __new__(cls, value: float, expr: Expr | Value, home: Numbers) -> Float:
        made = float.__new__(cls, value)
        made.expr, made.home = expr, home
        return made


OURS = (Int, Float)
_KNOWN = (int, float, bool, Int, Float)


def _binary(function: Callable[..., Any], reflected: bool) -> Callable[..., Any]:
    def method(self: Any, other: Any, *more: Any) -> Any:
        if other.__class__ not in _KNOWN or more:
            if isinstance(other, (list, tuple, str, bytes)):  # repeated
                self.home.lost("*", self, sys._getframe(1))
            return NotImplemented
        pair = (other, self) if reflected else (self, other)
        result = function(*map(plain, pair))
        home = self.home
        if not home.hears():
            return result
        return home.number(
            result, expression(function, tuple(expr_of(one, home) for one in pair), result)
        )

    return method


def _unary(function: Callable[..., Any]) -> Callable[..., Any]:
    def method(self: Any, *more: Any) -> Any:
        given = tuple(map(plain, more))
        result = function(plain(self), *given)
        home = self.home
        if not home.hears():
            return result
        return home.number(result, expression(function, (self.expr, *given), result))

    return method


def _comparison(function: Callable[..., Any]) -> Callable[..., Any]:
    def method(self: Any, other: Any) -> Any:
        if other.__class__ not in _KNOWN:
            return NotImplemented
        outcome = function(plain(self), plain(other))
        home = self.home
        if home.hears():
            home.compared(function, (self.expr, expr_of(other, home)), outcome)
        return outcome

    return method


def _divmod(self: Any, other: Any) -> Any:
    return NotImplemented if other.__class__ not in _KNOWN else (self // other, self % other)


def _rdivmod(self: Any, other: Any) -> Any:
    return NotImplemented if other.__class__ not in _KNOWN else (other // self, other % self)


def _truth(self: Any) -> bool:
    outcome: bool = plain(self) != 0
    if self.home.hears():
        self.home.compared(calls.ne, (self.expr, 0), outcome)
    return outcome


def _losing(how: str, base: type, name: str) -> Callable[..., Any]:
    method = getattr(base, name)

    def lose(self: Any) -> Any:
        made, home = method(self), self.home
        whole = base is float and how == "int"
        kept = home.number(made, expression(calls.trunc, (self.expr,), made)) if whole else None
        home.lost(how, self, sys._getframe(1), kept)
        return made

    return lose


_ARITHMETIC = {
    "add": calls.add, "sub": calls.sub, "mul": calls.mul, "truediv": calls.div,
    "floordiv": calls.floor_divide, "mod": calls.remainder, "pow": calls.pow,
}  # fmt: skip
_BITS = {
    "and": calls.bitwise_and, "or": calls.bitwise_or, "xor": calls.bitwise_xor,
    "lshift": calls.bitwise_left_shift, "rshift": calls.bitwise_right_shift,
}  # fmt: skip
_UNARY = {
    "neg": calls.neg, "abs": calls.abs, "ceil": calls.ceil, "floor": calls.floor,
    "trunc": calls.trunc, "round": calls.round,
}  # fmt: skip
_COMPARISONS = {
    "lt": calls.lt, "le": calls.le, "gt": calls.gt, "ge": calls.ge, "eq": calls.eq, "ne": calls.ne,
}  # fmt: skip


def _equip(cls: Any, base: type) -> None:
    """Give a subclass its arithmetic."""
    for word, function in (_ARITHMETIC | (_BITS if base is int else {})).items():
        setattr(cls, f"__{word}__", _binary(function, False))
        setattr(cls, f"__r{word}__", _binary(function, True))
    for word, unary in _UNARY.items():
        setattr(cls, f"__{word}__", _unary(unary))
    for word, function in _COMPARISONS.items():
        setattr(cls, f"__{word}__", _comparison(function))
    cls.__pos__ = lambda self: self
    cls.__divmod__, cls.__rdivmod__, cls.__bool__ = _divmod, _rdivmod, _truth
    for word in ("int", "float", "hash", "index"):
        if hasattr(base, f"__{word}__"):  # what Python asks for by name
            setattr(cls, f"__{word}__", _losing(word, base, f"__{word}__"))
    cls.__copy__ = lambda self: self
    cls.__deepcopy__ = lambda self, memo: self
    cls.__reduce_ex__ = lambda self, protocol: (base, (plain(self),))


_equip(Int, int)
_equip(Float, float)
Int.bit_length = _unary(calls.bit_length)  # type: ignore[method-assign]
