"""Which variables an expression reads, and of which others one is made, as the source says.

Runs nothing.
"""

from __future__ import annotations

import ast
import dis
from collections.abc import Collection
from types import CodeType

from .parsed import END, contains, function_of, nodes_of, of_code, span_at, span_of
from .sources import called, names_in, stored_in


def made_of(code: CodeType, name: str, seen: Collection[str]) -> set[str]:
    """The variables of which a function makes one, itself or of others in between.

    Args:
        code: the function.
        name: the variable.
        seen: variables whose making is seen, so that it does not matter.
    """
    given = _given(code)
    found: set[str] = set()
    stack = [name]
    while stack:
        for one in given.get(stack.pop(), frozenset()) - found - {*seen}:
            found.add(one)
            stack.append(one)
    return found


@of_code(maxsize=1024)
def _given(code: CodeType) -> dict[str, frozenset[str]]:
    """Variable -> those that stand in what a function sets it to."""
    own = function_of(code)
    found: dict[str, frozenset[str]] = {}
    kinds = (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.NamedExpr, ast.For, ast.comprehension)
    for node in nodes_of(own) if own is not None else ():
        value = getattr(node, "iter" if hasattr(node, "iter") else "value", None)
        if isinstance(node, kinds) and value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for one in stored_in(targets):
                found[one] = found.get(one, frozenset()) | names_in(value)
    return found


@of_code(maxsize=8192)
def names_at(code: CodeType, at: int) -> frozenset[str]:
    """The variables in the expression of an instruction; in its lines, before Python 3.11."""
    return frozenset(name for node in expressions_at(code, at) for name in names_in(node))


@of_code(maxsize=8192)
def expressions_at(code: CodeType, at: int) -> tuple[ast.AST, ...]:
    """The expressions that an instruction is; all in its lines, before Python 3.11."""
    span, own = span_at(code, at), function_of(code)
    is_line = span[1] == 0 and span[3] == END
    nodes = [n for n in nodes_of(own) if hasattr(n, "lineno")] if own is not None else []
    return tuple(
        n for n in nodes if (contains(span, span_of(n)) if is_line else span_of(n) == span)
    )


@of_code(maxsize=1024)
def returned_by(code: CodeType) -> frozenset[str]:
    """The variables that stand alone, or in a tuple or list, where a function returns."""
    own = function_of(code)
    found: set[str] = set()
    stack = [n.value for n in nodes_of(own) if isinstance(n, ast.Return)] if own else []
    while stack:
        part = stack.pop()
        if isinstance(part, (ast.Tuple, ast.List)):
            stack += part.elts
        elif isinstance(part, ast.Dict):
            stack += part.values
        elif isinstance(part, ast.Name):
            found.add(part.id)
    return frozenset(found)


_CALL = "CALL"  # Python 3.11 also calls in what stands before one, once it has run often
# Instructions that ask for truth and hold nothing else.
_TESTS = ("POP_JUMP", "JUMP_IF", "TO_BOOL", "UNARY_NOT", "COMPARE_OP", "CONTAINS_OP")


def compares_in_c(code: CodeType, at: int) -> bool:
    """Whether an instruction runs a function written in C that compares numbers: ``sorted``."""
    return _CALL in dis.opname[code.co_code[at]] and is_inside_c(code, at)


@of_code(maxsize=8192)
def is_inside_c(code: CodeType, at: int) -> bool:
    """Whether an instruction runs a function written in C that asks for truth and keeps count.

    ``max(rows, key=f)``, or a round over ``filter(f, rows)``. Before Python 3.11 any call of the
    line may be meant.
    """
    name = dis.opname[code.co_code[at]]
    if name.startswith(_TESTS):
        return False
    if _CALL not in name:
        return True
    found = [n for n in expressions_at(code, at) if isinstance(n, ast.Call)]
    return not found or not all(called(n) in ("all", "any", "bool") for n in found)
