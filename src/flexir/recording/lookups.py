"""What functions look up by plain numbers, or call with them: tables, and functions of the user's.

``scale[i]`` is a number that nothing in torch says. For the numbers that examples showed it may be
always the same, or follow a line, and for others not. So what plain numbers that differ go into
must be tensors or modules, or belong to torch. This module looks, while the model runs, at what
stands before the brackets; it calls nothing.
"""

from __future__ import annotations

import ast
import builtins
import functools
import math
import sys
import types
from collections.abc import Mapping
from types import CodeType, FrameType
from typing import Any, NamedTuple

import torch

from .live import OURS, Float, Int
from .parsed import (
    Span,
    contains,
    function_of,
    nodes_of,
    of_code,
    parents_of,
    span_at,
    span_of,
    spans,
)
from .sources import LoopSource, called


class Lookup(NamedTuple):
    """Something that is looked up, or called, with variables.

    Attributes:
        node: the whole expression.
        of: the expression before the brackets.
        is_call: whether it is called.
        over: what a comprehension goes over that sets it, if it is the variable of one.
    """

    node: ast.expr
    of: ast.expr
    is_call: bool
    over: ast.expr | None = None


_BUILTINS = vars(builtins)
TENSORS, ROWS, USERS, ASKING, STRANGE, TABLE, FLOAT, NUMBERS = (
    "tensors", "rows", "users", "asking", "strange", "table", "float", "numbers",
)  # fmt: skip
_ROUNDING = (math.ceil, math.floor, math.trunc)
DECIDING = frozenset({USERS, ASKING, STRANGE, TABLE})  # what they make of a number is not seen


class Lookups:
    """What the functions of a run look up.

    Attributes:
        kinds: function -> expression that looks up or calls -> what: TENSORS and what belongs to
            torch; ROWS, containers of tensors, modules or sizes; functions and classes of the
            USERS; functions ASKING a number for its origin, which stand in for those of Python;
            STRANGE functions, of other libraries or written in C; or a TABLE. Also: operator ->
        ASKING if it asked a number for its origin; what stands on the left of one -> FLOAT if it
        is a plain float or bool, which asks nothing. Variable, where it is read -> NUMBERS if it
        held one that knows where it comes from, or a list of such.
    """

    def __init__(self) -> None:
        self.kinds: dict[CodeType, dict[ast.AST, str]] = {}
        self._open: dict[CodeType, list[Lookup]] = {}  # what was not there yet

    def visit(self, frame: FrameType) -> None:
        """Look, at a call in a frame, at what the function in it looks up by number."""
        code = frame.f_code
        todo = self._open.get(code)
        if todo is None:
            todo = list(_lookups(code))
            self.kinds[code] = {}
        elif not todo:
            return
        for name, part in frame.f_locals.items():
            first = part[0] if part.__class__ is list and part else part
            if first.__class__ in OURS:
                self.kinds[code].update(dict.fromkeys(_uses_of(code, name), NUMBERS))
        names = _Namespaces(frame.f_locals, frame.f_globals, (code.co_varnames, code.co_cellvars))
        self._open[code] = left = []
        for one in todo:
            kind = names.operand(one) if one.node is one.of else names.kind(one.of, one.is_call)
            if kind is None:
                left.append(one)
            else:
                self.kinds[code][one.node] = kind

    def hear(self, places: Mapping[tuple[int, int], CodeType]) -> None:
        """These operators asked a number: offsets in functions."""
        for (_, at), code in places.items():
            if code in self.kinds:
                operators = _operators(code).get(span_at(code, at), ())
                self.kinds[code].update(dict.fromkeys(operators, ASKING))


def is_row(part: Any) -> bool:
    """Whether something is made of tensors and modules, or of numbers that know their origin."""
    if isinstance(part, (list, tuple)):
        return all(map(is_row, part))
    if isinstance(part, dict):
        return all(map(is_row, part.values()))
    return isinstance(part, (torch.Tensor, torch.nn.Module, Int, Float, torch.Size))


def round_reads(loop: LoopSource, name: str) -> bool:
    """Whether a round reads a variable."""
    return name in _read(loop)


class _Unresolved(Exception):
    """It cannot be told without running something."""


class _Namespaces(NamedTuple):
    """What the names of a function stand for: its variables, and those of its file.

    Attributes:
        own: names that are its own variables, also while they are not set.
    """

    local: dict[str, Any]
    globals: dict[str, Any]
    own: tuple[tuple[str, ...], ...] = ()

    def kind(self, of: ast.expr, is_called: bool) -> str | None:
        """What an expression is, or gives when it is called.

        None where that cannot be told yet: a part of a tensor, or a variable that is not there.
        """
        if isinstance(of, ast.Call):
            return TABLE if called(of) in vars(builtins) else self.kind(of.func, True)
        if isinstance(of, ast.BinOp):
            return self.kind(of.left, False)
        if isinstance(of, ast.Subscript) and not isinstance(of.slice, ast.Constant):
            return self.kind(of.value, False)
        if isinstance(of, ast.Attribute) and isinstance(
            of.value, (ast.Call, ast.BinOp, ast.Subscript)
        ):
            return self.kind(of.value, False)
        try:
            if isinstance(of, ast.Attribute):  # a method of a container gives what is in it
                holder = self._resolved(of.value)
                if isinstance(holder, (dict, list, tuple, str)):
                    return ROWS if is_row(holder) else TABLE
            found = self._resolved(of)
        except _Unresolved:
            return self.kind(of.value, False) if isinstance(of, ast.Subscript) else None
        if isinstance(found, torch.Tensor):
            return TENSORS
        if is_called and callable(found):
            return _kind_of_function(found)
        return ROWS if is_row(found) else TABLE

    def operand(self, one: Lookup) -> str | None:
        """FLOAT or TABLE; None if it cannot be told yet."""
        try:
            if one.over is None:
                return FLOAT if type(self._resolved(one.of)) in (float, bool) else TABLE
            return FLOAT if self._has_floats(one.over) else TABLE
        except _Unresolved:
            return None

    def _has_floats(self, over: ast.expr) -> bool:
        """Whether what a comprehension goes over has plain floats in it."""
        named = [node for node in ast.walk(over) if isinstance(node, (ast.Name, ast.Attribute))]
        parts = [self._resolved(node) for node in named if isinstance(node.ctx, ast.Load)]
        shown = (getattr(node, "value", None) for node in ast.walk(over))
        return any(map(_holds_floats, (*parts, *shown)))

    def _resolved(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Name):
            around = () if any(node.id in own for own in self.own) else (self.globals, _BUILTINS)
            for names in (self.local, *around):
                if node.id in names:
                    return names[node.id]
        if isinstance(node, ast.Attribute):
            of = self._resolved(node.value)
            kept = {} if isinstance(of, torch.Tensor) else getattr(of, "__dict__", {})
            for held in (kept, kept.get("_modules"), kept.get("_buffers"), kept.get("_parameters")):
                if held and node.attr in held:
                    return held[node.attr]
            for cls in () if isinstance(of, torch.Tensor) else type(of).__mro__:
                if node.attr in vars(cls):
                    return vars(cls)[node.attr]
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            of = self._resolved(node.value)
            if of.__class__ in (list, tuple, dict):
                try:
                    return of[node.slice.value]  # type: ignore[index]
                except (LookupError, TypeError):
                    raise _Unresolved from None
        if isinstance(node, (ast.List, ast.Tuple, ast.Dict, ast.Set, ast.Constant)):
            return "a table"
        raise _Unresolved


def _kind_of_function(found: Any) -> str:
    if any(found is one for one in _ROUNDING):  # ask the number itself
        return ASKING
    if isinstance(found, torch.nn.Module):
        found = type(found).forward
    top = (getattr(found, "__module__", None) or "torch").partition(".")[0]
    if top in ("torch", "flexir", "builtins"):
        return ASKING if top == "flexir" else TENSORS
    if top in sys.stdlib_module_names or top == "numpy":
        return STRANGE
    is_users = isinstance(found, (type, types.FunctionType, types.MethodType))
    return USERS if is_users else STRANGE


@of_code(maxsize=1024)
def _lookups(code: CodeType) -> tuple[Lookup, ...]:
    """What a function looks up, or calls, with variables in the brackets."""
    own = function_of(code)
    found = []
    for node in nodes_of(own) if own is not None else ():
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            if _has_names(node.slice):
                found.append(Lookup(node, node.value, False))
        elif isinstance(node, ast.Call):
            if any(map(_has_names, (*node.args, *node.keywords))):
                found.append(Lookup(node, node.func, True))
        else:
            found += [Lookup(one, one, False, _set_by(own, one)) for one in lefts_of(node)
                      if isinstance(one, (ast.Name, ast.Attribute))]  # fmt: skip
    return tuple(found)


def _set_by(own: ast.AST | None, one: ast.expr) -> ast.expr | None:
    """What goes into a variable of a comprehension, or of a lambda that a call is given."""
    around = parents_of(own) if own is not None else {}
    node: Any = one
    while isinstance(one, ast.Name) and node in around:
        node, inner = around[node], node
        for part in getattr(node, "generators", ()):
            if one.id in {n.id for n in ast.walk(part.target) if isinstance(n, ast.Name)}:
                over: ast.expr = part.iter
                return over
        if isinstance(inner, ast.Lambda) and isinstance(node, ast.Call):
            if one.id in {n.arg for n in inner.args.args}:
                return ast.Tuple([n for n in node.args if n is not inner], ast.Load())
    return None


def _holds_floats(part: Any) -> bool:
    """Whether something is a plain float or bool, or a container with such in it."""
    if isinstance(part, (list, tuple, set, frozenset)):
        return any(map(_holds_floats, part))
    if isinstance(part, dict):
        return any(map(_holds_floats, (*part, *part.values())))
    return type(part) in (float, bool)


@of_code(maxsize=4096)
def _uses_of(code: CodeType, name: str) -> tuple[ast.AST, ...]:
    """Where a function reads a variable."""
    own = function_of(code)
    names = (
        (node for node in nodes_of(own) if isinstance(node, ast.Name)) if own is not None else ()
    )
    return tuple(one for one in names if one.id == name and isinstance(one.ctx, ast.Load))


def lefts_of(node: ast.AST) -> list[ast.expr]:
    """What stands on the left in an expression or statement of operators."""
    if isinstance(node, ast.BinOp):
        return [node.left]
    if isinstance(node, ast.AugAssign):
        return [node.target]
    return [node.left, *node.comparators[:-1]] if isinstance(node, ast.Compare) else []


@of_code(maxsize=1024)
def _operators(code: CodeType) -> dict[Span, list[ast.AST]]:
    """Where operators stand -> what they are in; before Python 3.11 all of a line."""
    own, found = function_of(code), dict[Span, list[ast.AST]]()
    lines = dict.fromkeys(spans(code))
    for node in (one for one in nodes_of(own) if lefts_of(one)) if own is not None else ():
        span = span_of(node)
        for one in [span] if span in lines else [line for line in lines if contains(span, line)]:
            found.setdefault(one, []).append(node)
    return found


@functools.lru_cache(maxsize=1024)
def _read(loop: LoopSource) -> frozenset[str]:
    nodes = (n for part in loop.body for n in ast.walk(part))
    return frozenset(n.id for n in nodes
                     if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load))  # fmt: skip


def _has_names(part: ast.AST) -> bool:
    return any(isinstance(node, ast.Name) for node in ast.walk(part))
