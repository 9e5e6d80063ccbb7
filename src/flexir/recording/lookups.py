"""What a round of a loop looks up by plain numbers: tables of numbers, and functions of the user's.

``scale[i]`` is a number that nothing in torch says. In the rounds that examples showed it may be
always the same, or follow a line, and in later rounds not. So where a loop is to be laid as one,
what its rounds look up by numbers of their own must be tensors or modules, or belong to torch. This
module looks, while the loop runs, at what stands before the brackets; it calls nothing.
"""

from __future__ import annotations

import ast
import builtins
import functools
import types
from collections.abc import Collection, Iterator
from types import FrameType
from typing import Any, NamedTuple

import torch

from ..graph.source import is_foreign
from .numbers import Float, Int
from .sources import Written


class Lookup(NamedTuple):
    """Something that is looked up, or called, with variables.

    Attributes:
        of: the expression before the brackets.
        by: the variables that stand in the brackets.
        is_call: whether it is called.
    """

    of: ast.expr
    by: frozenset[str]
    is_call: bool


def tables(loop: Written, frame: FrameType) -> list[Lookup]:
    """What a round looks up that is neither tensors nor torch's, as far as it can be seen now."""
    return [one for one in _lookups(loop) if not _is_known(one.of, one.is_call, frame)]


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


def by_numbers(found: Collection[Lookup], names: Collection[str]) -> str | None:
    """What is looked up by one of these variables, as it is written; None if nothing is."""
    return next((ast.unparse(one.of) for one in found if one.by & set(names)), None)


class _Unknown(Exception):
    """It cannot be told without running something."""


def _is_known(of: ast.expr, of_call: bool, frame: FrameType) -> bool:
    """Whether what an expression is, or gives when it is called, is tensors, modules or torch's."""
    if isinstance(of, ast.Call):
        name = of.func.id if isinstance(of.func, ast.Name) else ""
        return name not in vars(builtins) and _is_known(of.func, True, frame)
    if isinstance(of, ast.BinOp):
        return _is_known(of.left, False, frame) or _is_known(of.right, False, frame)
    if isinstance(of, ast.Subscript) and not isinstance(of.slice, ast.Constant):
        return _is_known(of.value, False, frame)
    if isinstance(of, ast.Attribute) and isinstance(of.value, (ast.Call, ast.BinOp, ast.Subscript)):
        return _is_known(of.value, False, frame)
    try:
        if isinstance(of, ast.Attribute):  # a method of a container gives what is in it
            holder = _resolved(of.value, frame)
            if isinstance(holder, (dict, list, tuple, str)):
                return is_row(holder)
        found = _resolved(of, frame)
    except _Unknown:
        if isinstance(of, ast.Subscript):
            return _is_known(of.value, False, frame)
        return True  # a part of a tensor, or not there yet: the next round looks again
    if isinstance(found, torch.nn.Module) and of_call:
        found = type(found).forward
    if isinstance(found, (types.FunctionType, types.MethodType)):
        return is_foreign(found.__code__.co_filename)
    return callable(found) or is_row(found)


def _resolved(node: ast.expr, frame: FrameType) -> Any:
    if isinstance(node, ast.Name):
        for names in (frame.f_locals, frame.f_globals, vars(builtins)):
            if node.id in names:
                return names[node.id]
    if isinstance(node, ast.Attribute):
        of = _resolved(node.value, frame)
        kept = {} if isinstance(of, torch.Tensor) else getattr(of, "__dict__", {})
        for held in (kept, kept.get("_modules"), kept.get("_buffers"), kept.get("_parameters")):
            if held and node.attr in held:
                return held[node.attr]
        for cls in () if isinstance(of, torch.Tensor) else type(of).__mro__:
            if node.attr in vars(cls):
                return vars(cls)[node.attr]
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        of = _resolved(node.value, frame)
        if of.__class__ in (list, tuple, dict):
            try:
                return of[node.slice.value]  # type: ignore[index]
            except (LookupError, TypeError):
                raise _Unknown from None
    if isinstance(node, (ast.List, ast.Tuple, ast.Dict, ast.Set, ast.Constant)):
        return "a table"
    raise _Unknown


@functools.lru_cache(maxsize=1024)
def _lookups(loop: Written) -> tuple[Lookup, ...]:
    found = []
    for node in (n for part in loop.body for n in ast.walk(part)):
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            found.append(Lookup(node.value, frozenset(_names(node.slice)), False))
        elif isinstance(node, ast.Call):
            given = [*node.args, *(one.value for one in node.keywords)]
            by = frozenset(name for part in given for name in _names(part))
            found.append(Lookup(node.func, by, True))
    return tuple(one for one in found if one.by)


@functools.lru_cache(maxsize=1024)
def _read(loop: Written) -> frozenset[str]:
    nodes = (n for part in loop.body for n in ast.walk(part))
    return frozenset(n.id for n in nodes
                     if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load))  # fmt: skip


def _names(node: ast.AST) -> Iterator[str]:
    """The variables of an expression, but for those in brackets of their own."""
    if isinstance(node, ast.Name):
        yield node.id
    elif not isinstance(node, (ast.Subscript, ast.Call)):
        for child in ast.iter_child_nodes(node):
            yield from _names(child)
