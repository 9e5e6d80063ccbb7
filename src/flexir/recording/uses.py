"""Where a plain variable goes: into calls that are recorded, or elsewhere, unseen.

A whole number that counts rounds, or the length of a list, may differ between runs that go on alike
only if all that is made of it reaches a recorded call as it is: there it is seen. What goes into a
test, a table, a function of the user's or arithmetic that is not linear decides something that no
example may have shown. Follows a variable through the source from each place where it is read: up
through linear arithmetic, into other variables, out of a function to where it was called. Runs
nothing; what is not known to be harmless counts as unseen.
"""

from __future__ import annotations

import ast
import builtins
import functools
from collections.abc import Collection, Container, Iterable, Mapping, Sequence, Set
from types import CodeType
from typing import Any, NamedTuple

from ..graph.nodes import Value
from .comparable import MANY
from .liveness import live_after_span
from .lookups import DECIDING
from .parsed import Span, contains, function_of, is_over, nodes_of, parents_of, span_at, span_of
from .sources import LoopSource, called, is_guarded, jumps
from .standing import Held

PARTS = (ast.Tuple, ast.List, ast.Starred, ast.keyword, ast.Slice, ast.FormattedValue,
          ast.JoinedStr, ast.UnaryOp)  # fmt: skip
_NESTED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_HARMLESS = frozenset({"enumerate", "list", "print", "range", "reversed", "slice", "sum", "tuple",
                       "zip"})  # fmt: skip
_OF_NUMBERS = frozenset((*dir(int), *dir(float), *dir(list)))
_GROWS = frozenset({"append", "clear", "extend", "insert", "pop", "reverse"})


class Known(NamedTuple):
    """What is known of the runs besides their source.

    Attributes:
        guarded: file and line of comparisons that were recorded.
        kinds: per function: expression that looks up or calls -> what, as in ``lookups``.
        tensors: per function: variables that hold tensors.
        lists: per function: variables that hold lists of tensors, of which ``len`` is a number that
            tells.
        own: per function: variables of which the lists are Values.
    """

    guarded: Collection[Any]
    kinds: Mapping[CodeType, Mapping[ast.AST, str]]
    tensors: Mapping[CodeType, Set[str]]
    lists: Mapping[CodeType, Set[str]] = {}
    own: Mapping[CodeType, Set[str]] = {}


def united(
    many: Iterable[Mapping[CodeType, Mapping[ast.AST, str]]],
) -> dict[CodeType, dict[ast.AST, str]]:
    """What several runs say of the expressions of functions, as one."""
    found: dict[CodeType, dict[ast.AST, str]] = {}
    for one in many:
        for code, parts in one.items():
            found.setdefault(code, {}).update(parts)
    return found


def variables_of_tensors(seen: Iterable[Held]) -> dict[CodeType, set[str]]:
    """Function -> variables that held tensors at some call, and nothing plain at any."""
    found: dict[CodeType, set[str]] = {}
    plain: dict[CodeType, set[str]] = {}
    for held in seen:
        for (number, name), told in held.plain.items():
            code = held.frames[number]
            if told[0]:
                plain.setdefault(code, set()).add(name)
            elif (code.co_name, name) in held.tensors:
                found.setdefault(code, set()).add(name)
        for place in held.taken:  # by a call that is the last to read it
            if len(place) == 2 and held.frames and held.frames[0].co_name == place[0]:
                found.setdefault(held.frames[0], set()).add(place[1])
    return {code: names - plain.get(code, set()) for code, names in found.items()}


def variables_of_lists(
    seen: Iterable[Held], constants: Container[Value]
) -> dict[CodeType, set[str]]:
    """Function -> variables that held lists of tensors whenever they held something plain.

    Args:
        seen: what was held at calls.
        constants: tensors that belong to the model; of a list of such alone, ``len`` is plain.
    """
    found: dict[CodeType, set[str]] = {}
    other: dict[CodeType, set[str]] = {}
    for held in seen:
        for (number, name), told in held.plain.items():
            if not told[0]:
                continue
            code, many = held.frames[number], told[1] if told[0] == "list" else 0
            rows = [held.tensors.get((code.co_name, name, k)) for k in range(many)]
            live = rows and None not in rows and any(one not in constants for one in rows)
            (found if live and many <= MANY else other).setdefault(code, set()).add(name)
    return {code: names - other.get(code, set()) for code, names in found.items()}


def unseen(
    stack: Sequence[tuple[CodeType, int]],
    depth: int,
    name: str,
    known: Known,
    loop: LoopSource | None = None,
    *,
    tells: bool = False,
    is_none: bool = True,
) -> str | None:
    """What may be decided by a variable without a recorded call, as it is written; None if nothing.

    Args:
        stack: functions, each with the offset of the instruction it is at, from the inside out; the
            last one is the model's own.
        depth: which of them has the variable.
        name: of the variable.
        known: of the runs.
        loop: only what is read in it, or after it before it is set again.
        tells: it holds numbers that know where they come from, and tell when they are compared.
        is_none: it may also be None.
    """
    following = (Telling if tells else Following)(stack, known, depth, loop)
    following.is_none = is_none
    return following.through(depth, name)


class Following:
    """One variable, and all that are made of it.

    Attributes:
        is_none: the variable may also be None.
    """

    is_none = True

    _arithmetic: tuple[type, ...] = (ast.Add, ast.Sub, ast.Mult)
    _kept: Collection[str] = ("list", "tuple")  # what gives a container, or a number, to follow

    def __init__(
        self,
        stack: Sequence[tuple[CodeType, int]],
        known: Known,
        depth: int,
        loop: LoopSource | None = None,
    ) -> None:
        self._stack, self._known, self._depth, self._loop = stack, known, depth, loop
        self._live = live_after_span(stack[depth][0], loop.span) if loop is not None else ()
        self._seen: set[tuple[int, str]] = set()

    def through(self, depth: int, name: str) -> str | None:
        """What is decided by a variable of one function."""
        if (depth, name) in self._seen:
            return None
        self._seen.add((depth, name))
        own = function_of(self._stack[depth][0])
        if own is None:
            return name
        loop = self._loop if depth == self._depth and name not in self._live else None
        code, at = self._stack[depth]
        here = span_at(code, at) if self._loop is None and len(self._seen) == 1 else None
        again = self._set_again(own, name) if len(self._seen) == 1 else None
        for node in _loads(own).get(name, ()):
            if loop is not None and not contains(loop.span, span_of(node)):
                continue
            if again is not None and span_of(node) > again:
                continue
            if here is not None and is_over(own, node, here):
                continue
            found = self.follow(depth, own, node)
            if found is not None:
                return found
        return None

    def _set_again(self, own: ast.AST, name: str) -> Span | None:
        """Where the first statement ends that sets the variable to another in any case."""
        code, at = self._stack[self._depth]
        span = span_at(code, at) if self._loop is None else self._loop.span
        around = parents_of(own)
        inside = [n for n in around if isinstance(n, ast.stmt) and contains(span_of(n), span)]
        for statement in sorted(inside, key=lambda n: span_of(n)[:2], reverse=True):
            if jumps(statement) or isinstance(around[statement], ast.Try):
                return None
            for later in getattr(around[statement], "body", ()):
                if span_of(later)[:2] < span_of(statement)[2:]:
                    continue
                if isinstance(later, ast.Assign):
                    if [getattr(one, "id", None) for one in later.targets] == [name]:
                        return (*span_of(later)[2:], 0, 0)
                if jumps(later):
                    return None
        return None

    def follow(self, depth: int, own: ast.AST, node: ast.AST) -> str | None:
        """What is decided by an expression of one function."""
        around, code = parents_of(own), self._stack[depth][0]
        while True:
            inner, node = node, around[node]
            if called(node) == "len" and isinstance(inner, ast.Name):
                if inner.id in self._known.lists.get(code, ()):
                    return Telling(self._stack, self._known, depth).follow(depth, own, node)
            if isinstance(node, _NESTED) or node is own:
                gives = isinstance(own, ast.Lambda) or self._lists(node, inner)
                return self._back(depth) if gives else ast.unparse(inner)
            if isinstance(node, (ast.NamedExpr, ast.Assign, ast.AugAssign, ast.AnnAssign)):
                found = self._into(depth, node)
                if found is not None or not isinstance(node, ast.NamedExpr):
                    return found
            elif isinstance(node, ast.BinOp):
                if self._is_tensor(code, node.left) or self._is_tensor(code, node.right):
                    return None
                other = node.right if inner is node.left else node.left
                if not self._is_linear(node.op, other) or self._reads(code, node, inner):
                    return self._computed(node)
            elif isinstance(node, ast.Return):
                inside = _function_around(around, node) is not own
                return ast.unparse(node) if inside else self._back(depth)
            elif self._cuts(node, inner):
                return ast.unparse(node)
            elif self._lists(node, inner) or self._goes_on(node, inner):
                continue
            else:
                return None if self._is_seen(code, node, inner) else ast.unparse(node)

    def _lists(self, node: ast.AST, inner: ast.AST) -> bool:
        """Whether a comprehension makes a list of it that can be followed."""
        return False

    def _cuts(self, node: ast.AST, inner: ast.AST) -> bool:
        """Whether it is a part of a list that holds more or less as the list is long or short.

        ``rows[1:]`` and ``rows[:-1]`` are the list but for one; ``rows[-3:]`` is all of a short
        one and a window of a long one.
        """
        if not isinstance(node, ast.Subscript) or inner is not node.value:
            return False
        if not isinstance(node.slice, ast.Slice):
            return False
        ends = node.slice.lower, node.slice.upper
        lower, upper = ("" if end is None else ast.unparse(end) for end in ends)
        return lower not in ("", "0", "1") or upper not in ("", "-1")

    def _is_linear(self, op: ast.operator, other: ast.AST) -> bool:
        """Whether arithmetic with something else is followed: it is not with what varies, too."""
        if not isinstance(op, ast.Mult) or ast.Mult not in self._arithmetic:
            return isinstance(op, self._arithmetic)
        varies = {name for _, name in self._seen}
        varies |= set() if self._loop is None else {*self._loop.stored, *self._loop.targets}
        return varies.isdisjoint(n.id for n in ast.walk(other) if isinstance(n, ast.Name))

    def _reads(self, code: CodeType, node: ast.AST, inner: ast.AST) -> bool:
        """Whether what is on the left of an operator reads a number on its right, and asks it
        nothing."""
        return False

    def _computed(self, node: ast.expr) -> str | None:
        """What is decided by arithmetic that is not followed."""
        return ast.unparse(node)

    def _is_seen(self, code: CodeType, node: ast.AST, inner: ast.AST) -> bool:
        """Whether what goes into an expression or statement is seen there, or decides nothing."""
        if isinstance(node, ast.Subscript):
            table = isinstance(inner, (ast.Tuple, ast.List)) and inner is node.value
            return not table and self._kind(code, node) not in DECIDING
        if isinstance(node, ast.Call):
            if (name := called(node)) in vars(builtins):
                made = vars(builtins)[name]
                raised = isinstance(made, type) and issubclass(made, BaseException)
                return raised or name in _HARMLESS
            return inner is not node.func and self._kind(code, node) not in DECIDING
        if isinstance(node, ast.Attribute):  # of a tensor, unless a number or a list has it too
            return node.attr in _GROWS or node.attr not in _OF_NUMBERS
        if isinstance(node, ast.Compare):
            sides = (node.left, *node.comparators)
            if not self.is_none and _asks_for_none(node):
                return True  # it never is
            return is_guarded(node, code.co_filename, self._known.guarded) or any(
                self._is_tensor(code, side) for side in sides
            )
        if isinstance(node, (ast.For, ast.AsyncFor, ast.comprehension)):
            return inner is node.iter
        if isinstance(node, ast.Assert):
            return inner is node.msg
        return isinstance(node, (ast.Expr, ast.Delete, ast.Raise))

    def _goes_on(self, node: ast.AST, inner: ast.AST) -> bool:
        """Whether an expression is a number or container made of a part of it, deciding nothing."""
        if isinstance(node, ast.IfExp):
            return inner is not node.test
        if name := called(node):
            return name in self._kept
        if isinstance(node, ast.Subscript):
            return inner is node.value and isinstance(node.slice, ast.Slice)
        return isinstance(node, PARTS) and not isinstance(getattr(node, "op", None), ast.Not)

    def _kind(self, code: CodeType, node: ast.AST) -> str | None:
        return self._known.kinds.get(code, {}).get(node)

    def _into(self, depth: int, node: Any) -> str | None:
        """What is decided by the variables that an assignment sets."""
        code = self._stack[depth][0]
        linear = not isinstance(node, ast.AugAssign) or self._is_linear(node.op, node.target)
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            for one in target.elts if isinstance(target, (ast.Tuple, ast.List)) else [target]:
                if self._is_tensor(code, one):
                    continue
                if not linear or not isinstance(one, ast.Name):
                    return ast.unparse(node)
                found = self.through(depth, one.id)
                if found is not None:
                    return found
        return None

    def _back(self, depth: int) -> str | None:
        """What is decided by what a function returns."""
        if depth + 1 == len(self._stack):
            return None  # it is an output of the model
        code, at = self._stack[depth + 1]
        own = function_of(code)
        span = span_at(code, at)
        found = [n for n in nodes_of(own)
                 if isinstance(n, (ast.Call, ast.ListComp)) and span_of(n) == span] \
            if own is not None else []  # fmt: skip
        given = isinstance(function_of(self._stack[depth][0]), ast.GeneratorExp)
        if own is None or len(found) != 1 or given and called(found[0]) != "sum":
            return f"what {self._stack[depth][0].co_name} returns"
        return self.follow(depth + 1, own, found[0])

    def _is_tensor(self, code: CodeType, node: ast.AST) -> bool:
        if isinstance(node, ast.Subscript):
            node = node.value
        return isinstance(node, ast.Name) and node.id in self._known.tensors.get(code, ())


class Telling(Following):
    """A number that tells when it is compared, or when something is computed from it."""

    _arithmetic = (ast.operator,)
    _kept: Collection[str] = ("abs", "divmod", "list", "max", "min", "pow", "round", "tuple")

    def _lists(self, node: ast.AST, inner: ast.AST) -> bool:
        return isinstance(node, (ast.ListComp, ast.GeneratorExp)) and inner is node.elt

    def _is_seen(self, code: CodeType, node: ast.AST, inner: ast.AST) -> bool:
        own = function_of(code)
        if isinstance(node, ast.FormattedValue) and own is not None:  # a text tells nothing
            depth = [one for one, _ in self._stack].index(code)
            return Following(self._stack, self._known, depth).follow(depth, own, node) is None
        if isinstance(node, ast.Compare):
            if all(isinstance(op, _BY_SIZE) for op in node.ops):
                return True
            places = [side for op, side in zip(node.ops, node.comparators)
                      if isinstance(op, (ast.In, ast.NotIn))]  # fmt: skip
            return len(places) == len(node.ops) and all(
                isinstance(one, (ast.Tuple, ast.List)) for one in places
            )
        is_test = isinstance(node, (ast.If, ast.While, ast.IfExp, ast.Assert, ast.UnaryOp))
        return is_test or super()._is_seen(code, node, inner)

    def _goes_on(self, node: ast.AST, inner: ast.AST) -> bool:
        if isinstance(node, ast.FormattedValue):
            return False
        return isinstance(node, ast.BoolOp) or super()._goes_on(node, inner)


def _asks_for_none(node: ast.Compare) -> bool:
    """Whether a comparison is ``is None`` or ``is not None``."""
    one = node.comparators[0]
    return (
        isinstance(node.ops[0], (ast.Is, ast.IsNot))
        and len(node.ops) == 1
        and (isinstance(one, ast.Constant) and one.value is None)
    )


_BY_SIZE = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE)


def _function_around(around: Mapping[ast.AST, ast.AST], node: ast.AST) -> ast.AST:
    while not isinstance(node, _NESTED):
        node = around[node]
    return node


@functools.lru_cache(maxsize=1024)
def _loads(own: ast.AST) -> dict[str, list[ast.Name]]:
    """Variable -> where it is read."""
    found: dict[str, list[ast.Name]] = {}
    for node in nodes_of(own):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            found.setdefault(node.id, []).append(node)
    return found
