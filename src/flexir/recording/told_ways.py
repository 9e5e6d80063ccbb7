"""Ways of an ``if`` in a loop of which the source says what they leave, though none was followed.

Where no statement ran, as the condition was false and there is no ``else``, it is what the round
began with. Where the statements only write memory, no variable stands for another since, and what
was written is seen when the loop is over. Neither holds if a variable that rounds set anew may
stand for memory that they write: which that is depends on the way. Runs nothing.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable
from typing import Any

import torch

from ..graph.source import Source
from .sources import LoopSource, called

_JUMPS = (ast.Break, ast.Continue, ast.Return, ast.Raise, ast.Yield, ast.YieldFrom, ast.Await)
_BY_SIZE = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
_ASKED = (
    ast.Name, ast.Attribute, ast.Subscript, ast.Constant, ast.BinOp, ast.Call, ast.Slice,
    ast.Tuple, ast.UnaryOp, ast.operator, ast.unaryop, ast.expr_context, ast.keyword,
)  # fmt: skip
_PLAIN = frozenset({"abs", "bool", "float", "int", "len"})
_KNOWN = _PLAIN | {"enumerate", "range", "zip"}
_LISTS = frozenset({"append", "extend"})


def way_is_told(loop: LoopSource, source: Source | None, taken: bool) -> bool:
    """Whether what rounds leave that went one way is plain, though no round followed any.

    Args:
        loop: as it is written.
        source: where the condition is asked.
        taken: whether what the way has was recorded, or none of it.
    """
    if source is None or source.file != loop.file or not _is_plain(loop):
        return False
    tests = [n for n in _walk(loop.body) if isinstance(n, ast.If) and _has(n.test, source.line)]
    if len(tests) != 1 or _has(tests[0].test, tests[0].body[0].lineno):
        return False
    (asked,) = tests
    inside = {*_walk([*asked.body, *asked.orelse])}
    if any(isinstance(n, _JUMPS) for n in inside):
        return False
    if not _set(inside):
        return True
    parts = _walk(loop.body)
    if taken or asked.orelse or _written(parts) or not _is_all_of(asked.test):
        return False
    return not _set(inside) & _set([n for n in parts if n not in inside])


def _is_plain(loop: LoopSource) -> bool:
    """Whether what rounds write in place is what no round sets anew, and they call torch alone."""
    parts = _walk(loop.body)
    calls = [n for n in parts if isinstance(n, ast.Call)]
    functions = {call.func for call in calls}
    attributes = [n for n in parts if isinstance(n, ast.Attribute) and n not in functions]
    read = [n for n in attributes if _root(n) != "torch"]
    if not all(map(_is_of_torch, calls)) or not all(hasattr(torch.Tensor, n.attr) for n in read):
        return False  # what others keep
    dropped = [n.value for n in parts if isinstance(n, ast.Expr) and isinstance(n.value, ast.Call)]
    if not all(map(_writes, dropped)):
        return False  # it changes something else
    return not _written(parts) & (_set(parts) | {*loop.targets})


def _is_of_torch(call: ast.Call) -> bool:
    if any(one.arg is None or one.arg == "out" for one in call.keywords):
        return False
    if not isinstance(call.func, ast.Attribute):
        return called(call) in _KNOWN
    over, name = call.func.value, call.func.attr
    if isinstance(over, ast.Name) and over.id == "self":
        return False
    return _root(over) == "torch" or name in _LISTS or hasattr(torch.Tensor, name)


def _writes(call: ast.Call) -> bool:
    func = call.func
    return isinstance(func, ast.Attribute) and (func.attr.endswith("_") or func.attr in _LISTS)


def _is_all_of(test: ast.expr) -> bool:
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        return all(map(_is_all_of, test.values))
    if isinstance(test, ast.Compare):
        constants = any(isinstance(n, ast.Constant) for n in (test.left, *test.comparators))
        told = (*_BY_SIZE, ast.Is, ast.IsNot, *([ast.Eq, ast.NotEq] if constants else []))
        parts = [test.left, *test.comparators]
        return all(isinstance(op, told) for op in test.ops) and all(map(_asks_nothing, parts))
    return _asks_nothing(test)


def _asks_nothing(part: ast.expr) -> bool:
    """Whether an expression asks no tensor or number on the way."""
    for node in ast.walk(part):
        if not isinstance(node, _ASKED) or isinstance(node, ast.Not):
            return False
        if isinstance(node, ast.Call) and not _gives_one(node):
            return False
    return True


def _gives_one(call: ast.Call) -> bool:
    """Whether a call is no method of a list that compares: index, count, remove."""
    if not isinstance(call.func, ast.Attribute):
        return called(call) in _PLAIN
    of_torch = isinstance(call.func.value, ast.Name) and call.func.value.id == "torch"
    return of_torch or not call.args


def _set(parts: Collection[ast.AST]) -> set[str]:
    """The variables that get something else, or whose attributes do."""
    counted = {n.target for n in parts if isinstance(n, ast.AugAssign)}
    stored = (n for n in parts if _is_stored(n) and n not in counted)
    return {_root(n) for n in stored if not isinstance(n, ast.Subscript)}


def _written(parts: Collection[ast.AST]) -> set[str]:
    """The variables whose tensors, lists or numbers are changed where they are."""
    found = set()
    for node in parts:
        if isinstance(node, ast.Subscript) and _is_stored(node):
            found.add(_root(node))
        elif isinstance(node, ast.AugAssign):
            found.add(_root(node.target))
        elif isinstance(node, ast.Call) and _writes(node):
            found |= {_root(one) for one in (node.func, *node.args[:1])}
    return found


def _is_stored(node: ast.AST) -> bool:
    return isinstance(getattr(node, "ctx", None), (ast.Store, ast.Del))


def _root(node: Any) -> str:
    """The variable that an expression is a part of; "" where it is a part of none."""
    while isinstance(node, (ast.Attribute, ast.Subscript, ast.Call, ast.Starred)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def _walk(parts: Iterable[Any]) -> list[ast.AST]:
    return [node for part in parts for node in ast.walk(part)]


def _has(part: ast.expr, line: int) -> bool:
    return part.lineno <= line <= (part.end_lineno or 0)
