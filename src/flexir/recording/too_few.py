"""Where Python finds that there are too few rows, or takes no more than so many: no call says so.

Runs nothing.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator

from .sources import called


def handlers(node: ast.AST) -> Iterator[ast.AST]:
    """What catches that there are not as many rows as a ``try`` takes, which no call says."""
    if isinstance(node, ast.Try) and any(map(_takes_rows, node.body)):
        for handler in node.handlers:
            named = handler.type
            kinds = named.elts if isinstance(named, ast.Tuple) else [named]
            if any(
                one is None or (getattr(one, "id", "") or getattr(one, "attr", "")) in _TOO_FEW
                for one in kinds
            ):
                yield handler


def _takes_rows(part: ast.AST) -> bool:
    """Whether a statement takes elements by their numbers, or a number of elements."""
    return any(
        isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load)
        or isinstance(node, (ast.Tuple, ast.List)) and isinstance(node.ctx, ast.Store)
        or isinstance(node, ast.Call)
        and (called(node) == "next" or getattr(node.func, "attr", "") in ("pop", "popleft"))
        for node in ast.walk(part)
    )  # fmt: skip


_TOO_FEW = frozenset({
    "BaseException", "Exception", "IndexError", "KeyError", "LookupError", "StopIteration",
    "ValueError",
})  # fmt: skip


def cuts_off(node: ast.AST) -> bool:
    """Whether a call takes no more than so many of what it is given."""
    if not isinstance(node, ast.Call):
        return False
    name = getattr(node.func, "id", getattr(node.func, "attr", ""))
    says = any(isinstance(one, ast.Constant) for one in ast.walk(node))
    return name == "islice" or name == "deque" and says


def cut_lists(own: ast.AST, tensors: Collection[str] = ()) -> Iterator[ast.Subscript]:
    """Slices that take no more than so many of a list that a loop made longer.

    Args:
        own: a function, or a loop.
        tensors: variables that hold tensors.
    """
    loops = [node for node in ast.walk(own) if isinstance(node, (ast.For, ast.While))]
    grown = {name for loop in loops for node in ast.walk(loop) for name in _grown_by(node)}
    for node in ast.walk(own):
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice):
            ends = [end for end in (node.slice.lower, node.slice.upper) if end is not None]
            says = any(isinstance(n, ast.Constant) and type(n.value) is int and n.value > 1
                       for end in ends for n in ast.walk(end))  # fmt: skip
            of = node.value
            longer = isinstance(of, ast.BinOp) and _adds_to_list(of)
            if says and (longer or getattr(of, "id", None) in grown.difference(tensors)):
                yield node


def _adds_to_list(node: ast.AST) -> bool:
    displays = (ast.List, ast.Tuple)
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add) and (
        isinstance(node.left, displays) or isinstance(node.right, displays)
    )  # fmt: skip


def _grown_by(node: ast.AST) -> Iterator[str]:
    """The variables whose lists a statement or call makes longer."""
    if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("append", "extend"):
        yield getattr(node.func.value, "id", "")  # type: ignore[attr-defined]
    elif isinstance(node, ast.Assign) and any(map(_adds_to_list, ast.walk(node.value))):
        yield from (one.id for one in node.targets if isinstance(one, ast.Name))
    elif isinstance(node, ast.AugAssign) and isinstance(node.value, (ast.List, ast.Tuple)):
        yield getattr(node.target, "id", "")
