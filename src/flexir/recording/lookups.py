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
import types
from types import CodeType, FrameType
from typing import Any, NamedTuple

import torch

from ..graph.source import is_foreign
from .numbers import Float, Int
from .sources import Written, function_of


class Lookup(NamedTuple):
    """Something that is looked up, or called, with variables.

    Attributes:
        node: the whole expression.
        of: the expression before the brackets.
        is_call: whether it is called.
    """

    node: ast.expr
    of: ast.expr
    is_call: bool


class Lookups:
    """What the functions of a run look up.

    Attributes:
        tables: function -> expressions that look up, or call, what is neither tensors nor torch's.
    """

    def __init__(self) -> None:
        self.tables: dict[CodeType, set[ast.AST]] = {}
        self._open: dict[CodeType, list[Lookup]] = {}  # what was not there yet

    def look(self, frame: FrameType, kept: dict[str, Any]) -> None:
        """A function came to a call; ``kept``: its variables."""
        code = frame.f_code
        todo = self._open.get(code)
        if todo is None:
            todo = list(_lookups(code))
        elif not todo:
            return
        names = _Names(kept, frame.f_globals)
        self._open[code] = left = []
        for one in todo:
            known = names.is_known(one.of, one.is_call)
            if known is None:
                left.append(one)
            elif not known:
                self.tables.setdefault(code, set()).add(one.node)


def is_row(part: Any) -> bool:
    """Whether something is made of tensors and modules, or of numbers that know their origin."""
    if isinstance(part, (list, tuple)):
        return all(map(is_row, part))
    if isinstance(part, dict):
        return all(map(is_row, part.values()))
    return isinstance(part, (torch.Tensor, torch.nn.Module, Int, Float, torch.Size))


def reads(loop: Written, name: str) -> bool:
    """Whether a round reads a variable."""
    return name in _read(loop)


class _Unknown(Exception):
    """It cannot be told without running something."""


class _Names(NamedTuple):
    """What the names of a function stand for: its variables, and those of its file."""

    local: dict[str, Any]
    globals: dict[str, Any]

    def is_known(self, of: ast.expr, of_call: bool) -> bool | None:
        """Whether an expression is, or gives when it is called, tensors, modules or torch's.

        None where that cannot be told yet: a part of a tensor, or a variable that is not there.
        """
        if isinstance(of, ast.Call):
            name = of.func.id if isinstance(of.func, ast.Name) else ""
            return name not in vars(builtins) and self.is_known(of.func, True)
        if isinstance(of, ast.BinOp):
            return self.is_known(of.left, False)
        if isinstance(of, ast.Subscript) and not isinstance(of.slice, ast.Constant):
            return self.is_known(of.value, False)
        if isinstance(of, ast.Attribute) and isinstance(
            of.value, (ast.Call, ast.BinOp, ast.Subscript)
        ):
            return self.is_known(of.value, False)
        try:
            if isinstance(of, ast.Attribute):  # a method of a container gives what is in it
                holder = self._resolved(of.value)
                if isinstance(holder, (dict, list, tuple, str)):
                    return is_row(holder)
            found = self._resolved(of)
        except _Unknown:
            return self.is_known(of.value, False) if isinstance(of, ast.Subscript) else None
        if isinstance(found, torch.nn.Module) and of_call:
            found = type(found).forward
        if isinstance(found, (types.FunctionType, types.MethodType)):
            return is_foreign(found.__code__.co_filename)
        return callable(found) or is_row(found)

    def _resolved(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Name):
            for names in (self.local, self.globals, vars(builtins)):
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
                    raise _Unknown from None
        if isinstance(node, (ast.List, ast.Tuple, ast.Dict, ast.Set, ast.Constant)):
            return "a table"
        raise _Unknown


@functools.lru_cache(maxsize=1024)
def _lookups(code: CodeType) -> tuple[Lookup, ...]:
    """What a function looks up, or calls, with variables in the brackets."""
    own = function_of(code)
    found = []
    for node in ast.walk(own) if own is not None else ():
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            if _has_names(node.slice):
                found.append(Lookup(node, node.value, False))
        elif isinstance(node, ast.Call):
            if any(map(_has_names, (*node.args, *node.keywords))):
                found.append(Lookup(node, node.func, True))
    return tuple(found)


@functools.lru_cache(maxsize=1024)
def _read(loop: Written) -> frozenset[str]:
    nodes = (n for part in loop.body for n in ast.walk(part))
    return frozenset(n.id for n in nodes
                     if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load))  # fmt: skip


def _has_names(part: ast.AST) -> bool:
    return any(isinstance(node, ast.Name) for node in ast.walk(part))
