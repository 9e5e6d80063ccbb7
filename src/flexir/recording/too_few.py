"""Where Python finds that there are too few rows, or takes no more than so many: no call says so.

Runs nothing.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

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
