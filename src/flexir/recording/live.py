"""Ints and floats that know where they come from.

What a model asks a tensor for (a size, a stride, the number of elements) is handed to it as a
subclass of ``int`` or ``float`` with an :class:`Expr`. Arithmetic makes more of them; a comparison
gives a plain ``bool`` and is recorded as a guard. They have the right values, so whatever runs with
plain numbers runs with them. Owns these classes and the expressions; those of one run, and how they
are written down, are the matter of :mod:`.numbers`.

Lost on the way, because Python asks no method of a subclass: ``range``, indices, ``[0] * n``,
``operator.index``. What can be seen (``int()``, ``float()``, ``len()``) is noted with its
line.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..graph import numbers as calls
from ..graph.nodes import Value

if TYPE_CHECKING:
    from .numbers import Numbers


class Expr:
    """Where a number comes from: a call of :mod:`flexir.graph.numbers`.

    A number may be made of another in several ways, and so on: each is hashed once.

    Attributes:
        function: what was called.
        args: Values, numbers and further expressions.
        kinds: classes of the arguments and the result, since 1, 1.0 and True are equal.
        recorded: what came of it in this run.
    """

    __slots__ = ("_hash", "args", "function", "kinds", "recorded")

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kinds: tuple[type, ...],
        recorded: Any,
    ) -> None:
        self.function, self.args, self.kinds, self.recorded = function, args, kinds, recorded
        self._hash = hash((function, args, kinds, recorded))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Expr) or self._hash != other._hash:
            return False
        mine = self.function, self.kinds, self.recorded, self.args
        return mine == (other.function, other.kinds, other.recorded, other.args)


def expression(function: Callable[..., Any], args: tuple[Any, ...], recorded: Any) -> Expr:
    """The Expr of one call."""
    return Expr(function, args, (*map(type, args), type(recorded)), recorded)


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
    found: list[Value] = []
    stack: list[Any] = [number.expr if number.__class__ in OURS else number]
    seen: set[int] = set()
    while stack:
        part = stack.pop()
        if part.__class__ is Value:
            found.append(part)
        elif part.__class__ in (Expr, tuple) and id(part) not in seen:
            seen.add(id(part))
            stack += part.args if isinstance(part, Expr) else part
    return found


class Int(int):
    """An int that knows where it comes from."""

    expr: Expr | Value
    home: Numbers

    def __new__(cls, value: Any = 0, *whence: Any, **how: Any) -> Int:
        if len(whence) != 2:  # the model's own, of the class that a number has
            return int(value, *whence, **how)  # type: ignore[return-value]
        expr, home = whence
        made = int.__new__(cls, value)
        made.expr, made.home = expr, home
        return made


class Float(float):
    """A float that knows where it comes from."""

    expr: Expr | Value
    home: Numbers

    def __new__(cls, value: Any = 0.0, *whence: Any) -> Float:
        if len(whence) != 2:
            return float(value)  # type: ignore[return-value]
        expr, home = whence
        made = float.__new__(cls, value)
        made.expr, made.home = expr, home
        return made


OURS = (Int, Float)


def assigned(input: Any) -> Any:
    """A number that a variable of a function is set to, as a call of a run."""
    return input


def is_assigned(part: Any) -> bool:
    """Whether it is a number that a variable was set to, which is a Value of its own."""
    if part.__class__ not in OURS or part.expr.__class__ is not Value:
        return False
    return part.expr.producer is not None and part.expr.producer.target is assigned


def is_taken(part: Any) -> bool:
    """Whether it is a number that a call took out of a tensor, which is a Value of its own."""
    if part.__class__ not in OURS or part.expr.__class__ is not Value:
        return False
    return part.expr.producer is not None and part.expr.producer.target is not assigned


_KNOWN = (int, float, bool, Int, Float)


def _binary(function: Callable[..., Any], reflected: bool) -> Callable[..., Any]:
    def method(self: Any, other: Any, *more: Any) -> Any:
        if other.__class__ not in _KNOWN or more:
            if more or isinstance(other, (list, tuple, str, bytes)):  # repeated
                self.home.lost("*", self, sys._getframe(1))
            return NotImplemented
        pair = (other, self) if reflected else (self, other)
        result = function(*map(plain, pair))
        home = self.home
        if not home.hears():
            return result
        home.hear(sys._getframe(1))
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
            home.hear(sys._getframe(1))
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


ARITHMETIC = {
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
COMPARISONS = {
    "lt": calls.lt, "le": calls.le, "gt": calls.gt, "ge": calls.ge, "eq": calls.eq, "ne": calls.ne,
}  # fmt: skip


def _pickled(self: Any, protocol: int) -> Any:
    """A plain number stands in what is pickled."""
    self.home.lost("pickle", self, sys._getframe(1))
    return type(plain(self)), (plain(self),)


def _equip(cls: Any, base: type) -> None:
    """Give a subclass its arithmetic."""
    for word, function in (ARITHMETIC | (_BITS if base is int else {})).items():
        setattr(cls, f"__{word}__", _binary(function, False))
        setattr(cls, f"__r{word}__", _binary(function, True))
    for word, unary in _UNARY.items():
        setattr(cls, f"__{word}__", _unary(unary))
    for word, function in COMPARISONS.items():
        setattr(cls, f"__{word}__", _comparison(function))
    cls.__pos__ = lambda self: self
    cls.__divmod__, cls.__rdivmod__, cls.__bool__ = _divmod, _rdivmod, _truth
    for word in ("int", "float", "hash", "index"):
        if hasattr(base, f"__{word}__"):  # what Python asks for by name
            setattr(cls, f"__{word}__", _losing(word, base, f"__{word}__"))
    cls.real, cls.conjugate = property(lambda self: self), lambda self: self
    cls.__copy__ = lambda self: self
    cls.__deepcopy__ = lambda self, memo: self
    cls.__reduce_ex__ = _pickled


_equip(Int, int)
_equip(Float, float)
Int.numerator = property(lambda self: self)  # type: ignore[assignment]
Int.__invert__ = lambda self: -self - 1  # type: ignore[method-assign]
Int.bit_length = _unary(calls.bit_length)  # type: ignore[method-assign]
