"""How many rounds a ``for`` will have, from what it is written to go over.

``range(n)`` makes plain numbers of ``n``, but the source says that it was ``n``, and the variable
still knows where it comes from. So the expression after ``in`` is looked at when a loop begins,
with the values its variables have: variables, attributes, sizes, arithmetic, ``range``,
``enumerate``, ``zip``, ``reversed``, ``len``. What else stands there is not run. Owns that one
question.
"""

from __future__ import annotations

import ast
import builtins
import functools
import itertools
import types
from collections.abc import Callable, Sized
from types import FrameType
from typing import Any

import torch

from ..graph import numbers as calls
from ..graph.nodes import Value
from ..graph.source import caller_of
from .counting import many_in, name_of_loop
from .live import OURS, Float, Int, expression, origins_of, plain
from .numbers import Numbers
from .parsed import span_at
from .sources import LoopSource, called, names_in, stored_before


class _Unknown(Exception):
    """The source does not say it."""


class Iterables:
    """Answers for one run."""

    def __init__(self, numbers: Numbers, known: Callable[[torch.Tensor], Any]) -> None:
        """Begin.

        Args:
            numbers: of the run.
            known: the Value of a tensor, if it has one.
        """
        self._numbers, self._known = numbers, known

    def count(self, loop: LoopSource, frame: FrameType) -> Any:
        """How many rounds a loop that begins will have.

        Returns:
            a number; a list of Values, as many as rounds; None if nothing says so.
        """
        if loop.iterable is None:
            return None
        around = caller_of(frame) if loop.is_comprehension and ".0" in frame.f_locals else frame
        if around is None:
            return None
        changed = set(loop.targets)
        if around is frame:
            changed |= stored_before(loop, span_at(frame.f_code, frame.f_lasti))
        evaluator, before = _Evaluator(self, around, changed), self._numbers.many_made()
        try:
            found = self._length(evaluator.read(loop.iterable))
        except _Unknown:
            self._numbers.unmake(before)
            found = self._of_range(loop, frame)
            if found is None:
                return self._rows(loop, frame, evaluator)
        begun = self._begun(loop, frame)
        if begun and isinstance(found, int):  # the rounds before did nothing that is recorded
            found = self.compute(calls.sub, found, begun)
        return self._numbers.lower(found)

    def _of_range(self, loop: LoopSource, frame: FrameType) -> Any:
        """How many numbers a range has that a loop goes over, and nothing else; None if unknown."""
        over: Any = loop.iterable
        if called(over) in ("enumerate", "reversed"):
            over = over.args[0]
        begun, count = self._numbers.begun.get(name_of_loop(loop.key), (None, None))
        return count if begun is frame and called(over) == "range" else None

    def _begun(self, loop: LoopSource, frame: FrameType) -> int:
        """How many rows of a tensor stand before the one that the variable of a loop holds."""
        if loop.iterable is None or "reversed" in names_in(loop.iterable):
            return 0
        for name in loop.targets:
            value = self._held(frame.f_locals.get(name))
            node = None if value is None else value.producer
            if node is not None and node.op == "unbind":
                return node.outputs.index(value)
        return 0

    def _rows(self, loop: LoopSource, frame: FrameType, evaluator: _Evaluator) -> Any:
        """How many there are of what the variables of a loop hold one of; None if it is not told.

        Args:
            loop: what it goes over cannot be read.
            frame: of the loop.
            evaluator: reads parts of what it goes over.
        """
        held = frame.f_locals
        zips = [one for one in ast.walk(loop.iterable or loop.node) if called(one) == "zip"]
        if not zips:
            values = [self._held(held.get(name)) for name in loop.targets]
            rows = {value.producer: one for value in values
                    if value is not None and (one := self._rows_of(value)) is not None}  # fmt: skip
            # Of several lists it may be the longest, or all pairs.
            return self._numbers.lower(*rows.values()) if len(rows) == 1 else None
        told: list[Any] = []
        for part, name in _parts_of_zip(loop):
            before = self._numbers.many_made()
            try:
                over = evaluator.read(part)
                told += [] if over is _ENDLESS else [self._length(over)]
            except _Unknown:
                self._numbers.unmake(before)
                told.append(self._rows_of(self._held(held.get(name))))
        if not told or None in told:
            return None
        return self._numbers.lower(self._shortest(told))

    def _rows_of(self, value: Value | None) -> Any:
        """The elements of the list that a Value is the first of; else how many there are from it
        on; None if it is not in a list."""
        node = None if value is None else value.producer
        if value is None or node is None or node.op not in _LISTS:
            return None
        place = node.outputs.index(value)
        if node.op == "tolist":
            return _column(node.result, value)
        if not place:
            return list(node.outputs)
        of, dim = node.args["input"], node.args["dim"]
        if node.op == "unbind" and of.__class__ is Value:
            rows = self._numbers.answer("size", of, (dim,), len(node.outputs))
            return self.compute(calls.sub, rows, place)
        return None

    def _held(self, part: Any) -> Value | None:
        """The Value of a tensor, or of the first number of those that a call took out of one."""
        if part.__class__ is list and part:
            part = part[0]
        if part.__class__ in OURS:
            return part.expr if part.expr.__class__ is Value else None
        return self._known(part) if isinstance(part, torch.Tensor) else None

    def _length(self, over: Any) -> Any:
        if isinstance(over, _LiveRange):
            return over.length(self)
        if isinstance(over, _Zipped):
            return self._shortest([self._length(one) for one in over if one is not _ENDLESS])
        if isinstance(over, torch.Tensor):
            return self.size(over, 0)
        if isinstance(over, (list, tuple)):
            values = [self._value(one) for one in over]
            return values if values and all(v is not None for v in values) else len(over)
        if isinstance(over, (dict, str, torch.nn.Module)) and isinstance(over, Sized):
            return len(over)
        raise _Unknown

    def _shortest(self, lengths: list[Any]) -> Any:
        """The smallest of some lengths: one of them, unless another may be the smallest."""
        if not lengths:
            raise _Unknown
        told = [one for one in lengths if isinstance(one, (Int, list))]
        if not told or len(told) == len(lengths) and len(set(map(_many, lengths))) == 1:
            return next((one for one in told if isinstance(one, Int)), min(lengths, key=_many))
        return functools.reduce(functools.partial(self.compute, calls.minimum),
                                map(self.many, lengths))  # fmt: skip

    def _value(self, part: Any) -> Value | None:
        """The Value of a tensor, or of the one tensor whose sizes a number is made of."""
        if part.__class__ in OURS:
            origins = set(origins_of(part))
            return origins.pop() if len(origins) == 1 else None
        return self._known(part) if isinstance(part, torch.Tensor) else None

    def size(self, tensor: torch.Tensor, dim: Any) -> Any:
        """The size of a tensor, as a number that knows where it comes from."""
        value = self._known(tensor)
        if value is None or not tensor.dim():
            raise _Unknown
        return self._numbers.answer("size", value, (dim,), torch.Tensor.size(tensor, dim))

    def many(self, length: Any) -> Any:
        """A length as a number, also where it is told by Values, as many."""
        if not isinstance(length, list):
            return length
        return self._numbers.number(
            len(length), expression(calls.length, (tuple(length),), len(length))
        )

    def compute(self, function: Callable[..., Any], one: Any, other: Any) -> Any:
        """Arithmetic with numbers that may know where they come from."""
        if not all(type(part) in (int, float, Int, Float) for part in (one, other)):
            raise _Unknown
        return self._numbers.computed(function, one, other)


def _parts_of_zip(loop: LoopSource) -> list[tuple[ast.expr, str]]:
    """What a loop zips, each with the variable that has an element of it; empty if it does more."""
    over: Any = loop.iterable
    target: Any = getattr(loop.node, "target", None)
    if isinstance(over, (ast.GeneratorExp, ast.ListComp)):
        over, target = over.generators[0].iter, over.generators[0].target
    if called(over) == "enumerate":
        over, target = over.args[0], getattr(target, "elts", [None, None])[1]
    if called(over) != "zip":
        return []
    names = [getattr(one, "id", "") for one in getattr(target, "elts", ())]
    return list(zip(over.args, names if len(names) == len(over.args) else [""] * len(over.args)))


class _Zipped(tuple[Any, ...]):
    """What ``zip`` was given."""


class _LiveRange:
    """A ``range``."""

    def __init__(self, parts: list[Any]) -> None:
        if not parts or not all(isinstance(part, int) for part in parts):
            raise _Unknown
        self.start, self.stop, self.step = (
            (0, parts[0], 1) if len(parts) == 1 else (*parts, 1)[:3]
        )  # fmt: skip

    def length(self, of: Iterables) -> Any:
        step = plain(self.step)
        if self.step.__class__ is not int or not step:
            raise _Unknown
        found = many_in(self.start, self.stop, step, of.compute)
        return found if plain(found) > 0 else 0


def _column(rows: list[Any], value: Value | None) -> list[Value] | None:
    """A list of numbers that one is the first of, or is in the first row of; None if it is not."""
    if not rows or rows[0].__class__ is not list:
        return rows if rows and rows[0] is value else None
    place = next((k for k, one in enumerate(rows[0]) if one is value), None)
    return None if place is None else [row[place] for row in rows]


_LISTS = frozenset({"unbind", "split", "chunk", "tensor_split", "tolist"})
_WITHOUT_END = (itertools.count, itertools.cycle)
_ENDLESS = object()
_CONTAINERS = frozenset({list, tuple, dict})
_ARITHMETIC = {
    ast.Add: calls.add, ast.Sub: calls.sub, ast.Mult: calls.mul, ast.FloorDiv: calls.floor_divide,
    ast.Mod: calls.remainder, ast.Div: calls.div,
}  # fmt: skip


class _Evaluator:
    """Reads an expression with the values of a frame, where that runs nothing of the user's."""

    def __init__(self, iterables: Iterables, frame: FrameType, changed: set[str]) -> None:
        self.of, self.frame, self.changed = iterables, frame, changed

    def read(self, node: ast.expr) -> Any:
        """The value of an expression.

        Raises:
            _Unknown: it cannot be told.
        """
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name):
            return self._name(node.id)
        if isinstance(node, ast.Attribute):
            return self._attribute(self.read(node.value), node.attr)
        if isinstance(node, ast.Subscript):
            of = self.read(node.value)
            if isinstance(node.slice, ast.Slice):
                return self._slice(of, node.slice)
            return self._element(of, self.read(node.slice))
        if isinstance(node, (ast.Tuple, ast.List)):
            if any(isinstance(one, ast.Starred) for one in node.elts):
                raise _Unknown
            return [None] * len(node.elts)  # how many is all that is asked
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return self.of.compute(calls.sub, 0, self.read(node.operand))
        if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
            sides = self.read(node.left), self.read(node.right)
            if sides[0].__class__ in (list, tuple) and isinstance(node.op, ast.Mult):
                return _LiveRange([self.of.compute(calls.mul, sides[1], len(sides[0]))])
            return self.of.compute(_ARITHMETIC[type(node.op)], *sides)
        if isinstance(node, ast.Call) and not node.keywords:
            return self._call(node)
        if isinstance(node, (ast.ListComp, ast.GeneratorExp)):
            return self._comprehension(node)
        raise _Unknown

    def _comprehension(self, node: ast.ListComp | ast.GeneratorExp) -> Any:
        """Something as long as what a comprehension gives."""
        first, *more = node.generators
        if more or first.ifs:
            raise _Unknown
        return _Zipped([self.read(first.iter)])

    def _name(self, name: str) -> Any:
        if name in self.changed:
            raise _Unknown
        for names in (self.frame.f_locals, self.frame.f_globals, vars(builtins)):
            if name in names:
                return names[name]
        raise _Unknown

    def _attribute(self, of: Any, name: str) -> Any:
        if isinstance(of, torch.Tensor):
            if name == "shape":
                return _Shape(of)
            raise _Unknown
        for names in (getattr(of, "__dict__", {}), getattr(of, "_modules", {}),
                      getattr(of, "_buffers", {}), getattr(of, "_parameters", {})):  # fmt: skip
            if name in names:
                return names[name]
        raise _Unknown

    def _element(self, of: Any, key: Any) -> Any:
        if isinstance(of, _Shape) and isinstance(key, int):
            return self.of.size(of.tensor, key)
        if of.__class__ in _CONTAINERS and key.__class__ in (int, str):
            try:
                return of[key]
            except (LookupError, TypeError):
                raise _Unknown from None
        raise _Unknown

    def _slice(self, of: Any, part: ast.Slice) -> Any:
        """Something as long as a slice: of a list itself, else what is left between its ends."""
        lower, upper = (None if end is None else self.read(end) for end in (part.lower, part.upper))
        if part.step is not None:
            raise _Unknown
        if of.__class__ in (list, tuple):
            if not {type(lower), type(upper)} <= {int, type(None)}:
                raise _Unknown
            return of[lower:upper]
        if not isinstance(of, torch.Tensor):
            raise _Unknown
        many = self.of.size(of, 0)
        ends = [self._end(0 if lower is None else lower, many), many if upper is None
                else self._end(upper, many)]  # fmt: skip
        return _LiveRange(ends)

    def _end(self, end: Any, many: Any) -> Any:
        """Where a slice of so many begins or ends."""
        if plain(end) < 0:
            return self.of.compute(calls.add, many, end)
        return self.of.compute(calls.minimum, many, end) if plain(end) else end

    def _callee(self, func: ast.expr) -> Any:
        """The function that is called, if it is one of a module or has a name."""
        if isinstance(func, ast.Name):
            return self._name(func.id)
        if not isinstance(func, ast.Attribute) or not isinstance(func.value, ast.Name):
            return None
        of = self._name(func.value.id)
        return vars(of).get(func.attr) if isinstance(of, types.ModuleType) else None

    def _call(self, node: ast.Call) -> Any:
        callee = self._callee(node.func)
        if any(callee is one for one in _WITHOUT_END):
            return _ENDLESS
        args = [self.read(one) for one in node.args]
        if isinstance(node.func, ast.Attribute) and node.func.attr == "size" and len(args) < 2:
            of = self.read(node.func.value)
            if isinstance(of, torch.Tensor):
                return self.of.size(of, *args) if args else _Shape(of)
        if callee is range:
            return _LiveRange(args)
        if callee is zip:
            return _Zipped(args)
        if callee is enumerate and args or callee in (reversed, list, tuple) and len(args) == 1:
            return args[0]
        if callee is len and len(args) == 1:
            return self.of.many(self.of._length(args[0]))
        raise _Unknown


def _many(length: Any) -> int:
    """A length, or that of the Values it is told by."""
    return len(length) if isinstance(length, list) else plain(length)


class _Shape:
    """``x.shape``."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor
