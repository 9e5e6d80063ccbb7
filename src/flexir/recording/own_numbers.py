"""Variables in which a function keeps numbers of its own, as the source says.

``n = 0``, then ``n += 1`` in a round or on one way of a branch: what such a variable holds is
decided by the function alone. It can be a Value of the graph, like a tensor, if all that is made of
it tells: it goes into calls of torch, comparisons, arithmetic, and variables of which the same
holds. In a table, a list or a function of the user's it would decide something unseen. Runs
nothing.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping, Sequence
from types import CodeType
from typing import Any

from ..graph.nodes import Value
from .listening import TELLS_CALLS
from .lookups import ROWS
from .parsed import FUNCTIONS, SUSPENDED, function_of, of_code, parents_of
from .sources import called
from .standing import Held
from .uses import Known, Telling

Stack = Sequence[tuple[CodeType, int]]

_PARTED = (ast.If, ast.For, ast.While, ast.Try, ast.With)
_PLAIN = frozenset({"int", "float", "number"})
_CONVERTS = frozenset({"float", "int"} if TELLS_CALLS else ())  # asked what a number is made of
_STACKS = 16  # ways that lead to a function which are looked at


def own_numbers(seen: Sequence[Held], known: Known) -> dict[CodeType, frozenset[str]]:
    """Function -> variables in which it keeps numbers of its own.

    Args:
        seen: what was held at calls, in all runs.
        known: of the runs.
    """
    kinds = _kinds(seen)
    found: dict[CodeType, set[str]] = {}
    for code, ways in stacks_of(seen).items():
        for name in assigned_at_times(code) & kinds.get(code, set()):
            made = [_Assigned(way, known, 0) for way in ways]
            if all(one.through(0, name) is None for one in made):
                for inner, other in (place for one in made for place in one.places):
                    found.setdefault(inner, set()).add(other)
    return {code: frozenset(names) for code, names in found.items()}


def stacks_of(seen: Sequence[Held]) -> dict[CodeType, list[Stack]]:
    """Function -> the ways that led to it, some of them if there are many."""
    found: dict[CodeType, dict[Stack, None]] = {}
    for held in seen:
        for depth, code in enumerate(held.frames):
            if len(known := found.setdefault(code, {})) < _STACKS:
                known.setdefault(held.stack[depth:])
    return {code: list(ways) for code, ways in found.items()}


def tells(node: ast.AST, ways: Sequence[Stack], known: Known) -> bool:
    """Whether all that is made of a number which an expression gives tells.

    Args:
        node: the expression.
        ways: that led to its function.
        known: of the runs.
    """
    own = function_of(ways[0][0][0])
    return own is not None and all(
        _Assigned(way, known, 0).follow(0, own, node) is None for way in ways
    )


def _kinds(seen: Sequence[Held]) -> dict[CodeType, set[str]]:
    """Function -> variables that held numbers, and nothing else."""
    found: dict[CodeType, set[str]] = {}
    other: dict[CodeType, set[str]] = {}
    for held in seen:
        told = [(held.frames[number], name, one) for (number, name), one in held.plain.items()]
        told += [(held.frames[0], name, one) for (_, name), one in held.spent.items()]
        for code, name, one in told:
            is_number = one.is_number if isinstance(one, Value) else one[0] in _PLAIN
            (found if is_number else other).setdefault(code, set()).add(name)
    return {code: names - other.get(code, set()) for code, names in found.items()}


def assigned_at_times(code: CodeType) -> frozenset[str]:
    """Variables that a function sets in statements of its own alone, some in rounds or branches."""
    alone, parted = _assigned_in(code)
    return alone & parted


@of_code(maxsize=1024)
def _assigned_in(code: CodeType) -> tuple[frozenset[str], frozenset[str]]:
    """Variables that a function sets in statements alone; those that it sets at times."""
    own = function_of(code)
    if not isinstance(own, ast.FunctionDef) or code.co_flags & SUSPENDED:
        return frozenset(), frozenset()
    around = parents_of(own)
    left = {*code.co_varnames} - {*code.co_cellvars}
    parted: set[str] = set()
    for node in nodes_outside_functions(own):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            statement = around[node]
            if isinstance(statement, ast.Tuple):
                statement = around[statement]
            if not isinstance(statement, (ast.Assign, ast.AugAssign, ast.AnnAssign)):
                left.discard(node.id)
            elif any(isinstance(one, _PARTED) for one in _outwards(around, statement, own)):
                parted.add(node.id)
        elif isinstance(node, (ast.Global, ast.Nonlocal)):
            left.difference_update(node.names)
        elif isinstance(node, (ast.ExceptHandler, ast.alias)):
            left -= {getattr(node, "asname", None) or node.name}
    return frozenset(left), frozenset(parted)


@of_code(maxsize=1024)
def set_on_some_ways(code: CodeType) -> frozenset[str]:
    """Variables that some rounds of a loop set and others do not, and those made of them."""
    own = function_of(code)
    if own is None:
        return frozenset()
    around = parents_of(own)
    found: set[str] = set()
    made: list[tuple[set[str], set[str]]] = []  # by one statement: variables set, variables read
    for node in nodes_outside_functions(own):
        if isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign)):
            parts = [one for one in ast.walk(node) if isinstance(one, ast.Name)]
            into = {one.id for one in parts if not isinstance(one.ctx, ast.Load)}
            made.append((into, {one.id for one in parts} - into))
            for outer in _outwards(around, node, own):
                if isinstance(outer, (ast.If, ast.Try, ast.Match)):
                    found |= into
                if isinstance(outer, (ast.For, ast.While)):
                    break
    while more := {name for into, read in made if read & found for name in into} - found:
        found |= more
    return frozenset(found)


def nodes_outside_functions(own: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function, without those of functions inside."""
    stack = list(ast.iter_child_nodes(own))
    while stack:
        node = stack.pop()
        yield node
        if not isinstance(node, FUNCTIONS):
            stack += ast.iter_child_nodes(node)


def _outwards(around: Mapping[ast.AST, ast.AST], node: ast.AST, own: ast.AST) -> Iterator[ast.AST]:
    while node is not own:
        node = around[node]
        yield node


class _Assigned(Telling):
    """A number that tells, and that no container holds but the arguments of a call."""

    is_none = False
    _kept: Collection[str] = (*Telling._kept, *_CONVERTS)

    @property
    def places(self) -> list[tuple[CodeType, str]]:
        """The variables that it and what is made of it may be in: all of them have to tell.

        Else a number made of it would be read where the variable holds another one by then.
        """
        return [(self._stack[depth][0], name) for depth, name in self._seen]

    def _set_again(self, own: ast.AST, name: str) -> None:
        """Whatever it is set to next is told, too."""

    def _into(self, depth: int, node: Any) -> str | None:
        alone, _ = _assigned_in(self._stack[depth][0])
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        names = {one.id for target in targets for one in (target, *ast.walk(target))
                 if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)}  # fmt: skip
        return super()._into(depth, node) if names <= alone else ast.unparse(node)

    def follow(self, depth: int, own: ast.AST, node: ast.AST) -> str | None:
        """What is decided by an expression of one function, or cannot be told."""
        around, inner = parents_of(own), node
        part = around[inner]
        while isinstance(part, _NUMBERS) or called(part) in _OF_NUMBERS:
            inner, part = part, around[part]
            if isinstance(inner, _CONTAINERS) and not _takes_apart(part, inner):
                return ast.unparse(part)
        if isinstance(part, ast.Call) and _is_kept_by(part):
            return ast.unparse(part)
        return super().follow(depth, own, node)

    def _is_seen(self, code: CodeType, node: ast.AST, inner: ast.AST) -> bool:
        if isinstance(node, ast.Subscript) and self._kind(code, node) == ROWS:
            return False  # a list asks an index nothing
        return super()._is_seen(code, node, inner)


_CONTAINERS = (ast.Tuple, ast.List, ast.Starred)
_NUMBERS = (*_CONTAINERS, ast.BinOp, ast.UnaryOp, ast.IfExp)
_OF_NUMBERS = frozenset({"abs", "divmod", "max", "min", "pow", "round"}) | _CONVERTS
_KEEP = frozenset({"add", "append", "extend", "insert", "setdefault", "update"})
_KEEPERS = frozenset({"dict", "enumerate", "list", "reversed", "set", "sum", "tuple", "zip"})


def _takes_apart(part: ast.AST, inner: ast.AST) -> bool:
    """Whether a tuple or list with the number in it is taken apart where it stands."""
    if isinstance(part, ast.Call):
        return inner in part.args
    if isinstance(part, ast.Assign):
        return all(isinstance(one, ast.Tuple) for one in part.targets)
    return isinstance(part, (*_CONTAINERS, ast.keyword, ast.Return)) or (
        isinstance(part, ast.Subscript) and inner is part.slice
    )


def _is_kept_by(call: ast.Call) -> bool:
    """Whether a container may keep what it is called with."""
    if isinstance(call.func, ast.Attribute):
        return call.func.attr in _KEEP
    return isinstance(call.func, ast.Name) and call.func.id in _KEEPERS
