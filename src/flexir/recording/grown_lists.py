"""Lists that only some rounds of a loop add to, and what is read of them, as the source says.

What such a list holds at a place is what some round added, and which one it was no example may have
shown. Runs nothing.
"""

from __future__ import annotations

import ast
from collections.abc import Collection
from types import CodeType
from typing import Any

from .parsed import function_of, nodes_of
from .sources import LoopSource, may_leave
from .too_few import cut_lists

_ADD = frozenset({"append", "extend", "insert"})
_REORDER = frozenset({"appendleft", "extendleft", "insert", "reverse", "rotate", "sort"})
_COPIERS = frozenset({"dict", "list", "reversed", "sorted", "sum", "tuple", "zip", "enumerate"})


def grown_at_times(loop: LoopSource) -> set[str]:
    """Variables whose list some rounds of a loop add to and others do not, as far as is written."""
    cut = may_leave(loop, ast.Break, ast.Continue)
    found: set[str] = set()
    for part in loop.body:
        simple = isinstance(part, (ast.Expr, ast.Assign, ast.AugAssign)) and not cut
        if not simple:
            found |= {n.func.value.id for n in ast.walk(part)
                      if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)
                      and n.func.attr in ("append", "extend", "insert", "pop")
                      and isinstance(n.func.value, ast.Name)}  # fmt: skip
            found |= {n.target.id for n in ast.walk(part)
                      if isinstance(n, ast.AugAssign) and isinstance(n.target, ast.Name)
                      and isinstance(n.value, ast.List)}  # fmt: skip
    return found


def may_reorder(loop: LoopSource) -> bool:
    """Whether some rounds put what they add to a list anywhere but at its end, or sort it."""
    ways = (node for part in loop.body for node in ast.walk(part)
            if isinstance(node, (ast.If, ast.IfExp, ast.Match, ast.Try)))  # fmt: skip
    return any(getattr(getattr(node, "func", None), "attr", None) in _REORDER
               for way in ways for node in ast.walk(way))  # fmt: skip


def may_cut(loop: LoopSource, tensors: Collection[str]) -> bool:
    """Whether rounds cut off what is longer than some number, of lists that they change.

    Args:
        loop: as it is written.
        tensors: variables that hold tensors.
    """
    return any(True for _ in cut_lists(loop.node, tensors))


def copied_elsewhere(code: CodeType, names: Collection[str]) -> bool:
    """Whether a function makes other containers of what variables hold."""
    own = function_of(code)
    if own is None:
        return bool(names)
    for node in nodes_of(own):
        parts: list[Any] = []
        if isinstance(node, ast.Starred):
            parts = [node.value]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            parts = node.args if node.func.id in _COPIERS else []
        elif isinstance(node, ast.BinOp):
            parts = [node.left, node.right]
        elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice):
            parts = [node.value]
        if any(isinstance(one, ast.Name) and one.id in names for one in parts):
            return True
    return False


def looked_at(loop: LoopSource) -> set[str]:
    """Variables that rounds of a loop read otherwise than to add to what they hold."""
    parts = [n for part in loop.body for n in ast.walk(part)]
    added = {n.value for n in parts if isinstance(n, ast.Attribute) and n.attr in _ADD}
    names = (n for n in parts if isinstance(n, ast.Name) and n not in added)
    return {n.id for n in names if isinstance(n.ctx, ast.Load)}


def picked_from(loop: LoopSource) -> set[str]:
    """Variables of which rounds of a loop read single elements, or one after the other."""
    found: set[str] = set()
    for node in (n for part in loop.body for n in ast.walk(part)):
        over = node.value if isinstance(node, ast.Subscript) else getattr(node, "iter", None)
        if isinstance(over, ast.Name):
            found.add(over.id)
    return found


def read_from_the_end(code: CodeType) -> set[str]:
    """Variables of which a function reads an element counted from the end, ``rows[-1]``."""
    own = function_of(code)
    found: set[str] = set()
    for node in nodes_of(own) if own is not None else ():
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.UnaryOp):
            if isinstance(node.value, ast.Name):
                found.add(node.value.id)
    return found
