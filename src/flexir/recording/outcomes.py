"""What becomes of the outcome of a condition: does it only lead on, or does somebody keep it?

``if x.sum() > 0`` leads on, and both ways are seen. ``n += x.item() > 0`` keeps a number that is in
no variable when the next condition is asked: which condition it came of is then a guess. Read from
the instructions that follow; runs nothing.
"""

from __future__ import annotations

import ast
import dis
from collections.abc import Sequence
from types import CodeType

from .parsed import function_of, of_code, parents_of
from .sources import called
from .variables import expressions_at

_SKIPPED = ("CACHE", "NOP", "EXTENDED_ARG", "TO_BOOL", "UNARY_NOT", "NOT_TAKEN", "RESUME")
_LEADS_ON = ("POP_JUMP", "POP_TOP")
_SET = ("STORE_FAST", "STORE_DEREF", "STORE_NAME", "STORE_GLOBAL", "STORE_ATTR")
_ASKS = ("POP_JUMP", "JUMP_IF")  # of the tensor itself, which is what is kept
_CHANGING = frozenset({
    "add", "append", "appendleft", "clear", "extend", "insert", "pop", "remove", "update",
})  # fmt: skip
Stack = Sequence[tuple[CodeType, int]]


def is_kept(stack: Stack) -> bool:
    """Whether an outcome goes into something that is no variable.

    Args:
        stack: the functions that led to the condition from the inside out, each with the offset of
            the instruction it is at.
    """
    for depth, (code, at) in enumerate(stack):
        if depth and not _is_given_by(code, at, stack[depth - 1][0]):
            return True
        goes = _goes(code, at)
        if goes != "returned":
            return goes == "kept"
    return False


def _is_given_by(code: CodeType, at: int, inner: CodeType) -> bool:
    """Whether what a function returns is what an instruction gives: no C stands in between."""
    name, (instructions, k) = inner.co_name, _found(code, at)
    if name in ("forward", "__call__") or "CALL" not in instructions[k].opname:
        return True  # an operator or an attribute that is a function
    for node in expressions_at(code, at):
        func = getattr(node, "func", None)
        if isinstance(func, ast.Name) and func.id in (*code.co_varnames, *code.co_freevars):
            return True
        if name == getattr(func, "id", getattr(func, "attr", None)):
            return True
    return False


def _found(code: CodeType, at: int) -> tuple[list[dis.Instruction], int]:
    """The instructions of a function, and which one a frame is at: also in what it remembers."""
    found = _instructions(code)
    return found, max(k for k, one in enumerate(found) if one.offset <= at)


@of_code(maxsize=1024)
def _instructions(code: CodeType) -> list[dis.Instruction]:
    return list(dis.get_instructions(code))


@of_code(maxsize=8192)
def _goes(code: CodeType, at: int) -> str:
    """Where what an instruction gives goes: ``"on"``, ``"returned"``, or ``"kept"``."""
    all_, k = _found(code, at)
    if all_[k].opname.startswith(_ASKS):
        return "on"
    place, copied = {one.offset: k for k, one in enumerate(all_)}, False
    k += 2 if all_[k].opname == "PRECALL" else 1
    while k < len(all_):
        name = all_[k].opname
        if name == "COPY":
            copied = True
        elif name.startswith("JUMP_IF") or copied and name.startswith("POP_JUMP"):
            k, copied = place[all_[k].argval], False
            continue
        elif name.startswith(_LEADS_ON + _SET):
            return "on"
        elif name.startswith("RETURN"):
            return "returned"
        elif not name.startswith(_SKIPPED):
            return "kept"
        k += 1
    return "kept"


def asks_each(code: CodeType, at: int) -> bool:
    """Whether an instruction is an ``any`` or ``all`` that goes over a container by itself."""
    found = [n for n in expressions_at(code, at) if called(n) in ("any", "all")]
    return any(not isinstance(over, (ast.GeneratorExp, ast.List, ast.Tuple))
               for n in found for over in n.args[:1])  # type: ignore[attr-defined]  # fmt: skip


@of_code(maxsize=8192)
def chooses_place(code: CodeType, at: int) -> bool:
    """Whether a condition chooses, in one expression, the place of a list that is changed."""
    own = function_of(code)
    around = parents_of(own) if own is not None else {}
    for node in expressions_at(code, at):
        chosen = False
        while node in around and not isinstance(node, ast.stmt):
            inner, node = node, around[node]
            chosen = chosen or isinstance(node, (ast.IfExp, ast.BoolOp))
            method = getattr(getattr(node, "func", None), "attr", None)
            if chosen and inner is getattr(node, "func", None) and method in _CHANGING:
                return True  # (a if x else b).append(y)
            if not chosen or inner is getattr(node, "func", None):
                continue
            stored = isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load)
            if method in ("insert", "pop") or stored and inner is node.slice:  # type: ignore[attr-defined]
                return True
    return False
