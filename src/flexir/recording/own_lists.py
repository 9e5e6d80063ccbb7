"""Lists that one function alone has: where it makes them and adds to them, as the source says.

A list is a function's own if the function makes it itself (``rows = [h]``), adds to it by
``append`` alone, and hands it to nothing but calls of torch: then no other name leads to it, and
all that becomes of it stands in the source. What is not known to be harmless makes it shared.
Runs nothing.
"""

from __future__ import annotations

import ast
from collections.abc import Container, Mapping, Sequence
from types import CodeType

from ..graph.choice import alike
from ..graph.nodes import TensorType
from .comparable import MANY
from .lookups import TENSORS
from .own_numbers import stacks_of, tells
from .parsed import SUSPENDED, function_of, nodes_of, of_code, parents_of
from .sources import called, names_in
from .standing import Held
from .uses import Known


def own_lists(seen: Sequence[Held], known: Known) -> dict[CodeType, dict[str, TensorType]]:
    """Function -> variables in which it keeps lists of its own -> the type of their elements.

    Args:
        seen: what was held at calls, in all runs.
        known: of the runs.
    """
    found: dict[CodeType, dict[str, TensorType]] = {}
    inner = {code for held in seen for code in held.frames[:-1]}
    for code, ways in stacks_of(seen).items():
        names = lists_of_its_own(code, known.kinds.get(code, {}), is_called=code in inner)
        names -= {name for name, asked in _asked(code) if not tells(asked, ways, known)}
        types = {name: _element(code, name, seen) for name in names}
        found[code] = {name: kind for name, kind in types.items() if kind is not None}
    return {code: names for code, names in found.items() if names}


def _asked(code: CodeType) -> list[tuple[str, ast.Call]]:
    """Where a function asks how long what a variable holds is."""
    own = function_of(code)
    calls = [n for n in nodes_of(own) if isinstance(n, ast.Call)] if own is not None else []
    return [(one.args[0].id, one) for one in calls
            if called(one) == "len" and one.args and isinstance(one.args[0], ast.Name)]  # fmt: skip


def _element(code: CodeType, name: str, seen: Sequence[Held]) -> TensorType | None:
    """The type of all elements that the lists of a variable had; None if there is no such."""
    kind: TensorType | None = None
    for held in (held for held in seen if code in held.frames):
        told = held.plain.get((held.frames.index(code), name), ("list", 0))
        if told[0] != "list" or told[1] > MANY:
            return None
        for value in (held.read.get((code.co_name, name, k)) for k in range(told[1])):
            if value is None or value.is_number or not alike(value.type, kind or value.type):
                return None
            kind = value.type
    return kind


def lists_of_its_own(
    code: CodeType, kinds: Mapping[ast.AST, str], *, is_called: bool = False
) -> frozenset[str]:
    """The variables of a function that hold lists of its own.

    Args:
        code: the function.
        kinds: expression that calls -> what, as in ``lookups``.
        is_called: by another one, to which a list that it returns belongs, too.
    """
    own = function_of(code)
    names = set(_made(code))
    around = parents_of(own) if names and own is not None else {}
    for node in nodes_of(own) if names and own is not None else ():
        if isinstance(node, ast.Name) and node.id in names and isinstance(node.ctx, ast.Load):
            is_looked_at = _only_looks(around, node, kinds, code.co_names, is_called)
            if not is_added_to(around, node) and not is_looked_at:
                names.discard(node.id)
    return frozenset(names)


@of_code(maxsize=1024)
def _made(code: CodeType) -> frozenset[str]:
    """Variables that hold only lists which the function makes."""
    own = function_of(code)
    if own is None or code.co_flags & SUSPENDED or not isinstance(own, ast.FunctionDef):
        return frozenset()
    first = code.co_argcount + code.co_kwonlyargcount
    mine = {*code.co_varnames[first:]}.difference(code.co_cellvars)
    around = parents_of(own)
    for node in nodes_of(own):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            if not _is_new(_value(around, node)):
                mine.discard(node.id)
    return frozenset(mine)


def _value(around: Mapping[ast.AST, ast.AST], target: ast.Name) -> ast.expr | None:
    """What a variable is set to where it stands, if that is written there: ``a, b = [], [h]``."""
    part: ast.AST = target
    node = around[part]
    if not isinstance(node, ast.Tuple):
        alone = isinstance(node, ast.Assign) and node.targets == [target]
        return node.value if alone else None  # type: ignore[attr-defined]
    whole = around[node]
    if not isinstance(whole, ast.Assign) or whole.targets != [node]:
        return None
    if not isinstance(whole.value, ast.Tuple) or len(whole.value.elts) != len(node.elts):
        return None
    if any(isinstance(one, ast.Starred) for one in (*node.elts, *whole.value.elts)):
        return None
    return whole.value.elts[node.elts.index(target)]


def _is_new(value: ast.expr | None) -> bool:
    """Whether it is a new list."""
    return isinstance(value, (ast.List, ast.ListComp)) or bool(value) and called(value) == "list"  # type: ignore[arg-type]


def is_added_to(around: Mapping[ast.AST, ast.AST], node: ast.Name) -> bool:
    """Whether a variable is added to where it stands, in a statement of its own."""
    part, call = around[node], around.get(around[node])
    if not isinstance(part, ast.Attribute) or part.attr != "append":
        return False
    if not isinstance(call, ast.Call) or call.func is not part or len(call.args) != 1:
        return False
    if call.keywords or node.id in names_in(call.args[0]):
        return False
    return isinstance(around[call], ast.Expr)


def _only_looks(
    around: Mapping[ast.AST, ast.AST], node: ast.Name, kinds: Mapping[ast.AST, str],
    globals_of: Container[str], is_called: bool,
) -> bool:  # fmt: skip
    """Whether what is done with a variable changes nothing and keeps nothing of the list itself.

    Of functions it is those of torch's modules alone: ``torch.stack``, not ``self.layers``.
    """
    part = around[node]
    if isinstance(part, ast.Call) and node in part.args:
        if name := called(part):
            return name == "len"
        return kinds.get(part) == TENSORS and _root(part.func) in globals_of
    while isinstance(part, (ast.Tuple, ast.List)):
        part = around[part]
    return isinstance(part, ast.Return) and not is_called


def _root(func: ast.expr) -> str | None:
    """The variable of which something called is an attribute."""
    while isinstance(func, ast.Attribute):
        func = func.value
        if isinstance(func, ast.Name):
            return func.id
    return None
