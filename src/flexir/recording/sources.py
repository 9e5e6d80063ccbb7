"""What the source of a function says: which loops an instruction stands in, what a line reads.

A loop is found by place: an instruction stands in a loop if its span in the source lies in the body
(of a ``while`` also in the test; of a comprehension in its element). CPython compiles a test twice
and moves handlers to the end of a function, so spans tell what offsets do not. Where there is no
source there are no loops. Runs nothing.
"""

from __future__ import annotations

import ast
import builtins
import functools
from collections.abc import Collection, Iterator
from types import CodeType
from typing import Any, NamedTuple

from ..graph.source import Source
from .parsed import (
    COMPREHENSIONS,
    END,
    FUNCTIONS,
    Span,
    around_line,
    contains,
    function_of,
    nodes_of,
    of_code,
    span_at,
    span_of,
    tree_of,
)  # fmt: skip

_RUNS = (ast.Call, ast.Await, ast.Yield, ast.YieldFrom, ast.NamedExpr)
_WITH_STATEMENTS = (ast.stmt, ast.ExceptHandler, ast.match_case)


class LoopSource(NamedTuple):
    """A loop as it is written.

    Attributes:
        file: of the source.
        node: ``For``, ``While``, ``comprehension``, or the ``Call`` of ``sum`` or ``zip``.
        span: where it stands.
        targets: variables that it sets at the beginning of a round, and nothing else in it does.
        stored: all variables that it sets.
        body: what a round does.
    """

    file: str
    node: Any
    span: Span
    targets: tuple[str, ...]
    stored: frozenset[str]
    body: tuple[Any, ...]

    @property
    def key(self) -> Any:
        """What identifies the loop: the same in all runs."""
        if (
            self.is_one_call
            and self.targets
            and isinstance(over := self.iterable, ast.GeneratorExp)
        ):
            return self.file, span_of(over.generators[0].target)  # as in the generator itself
        return self.file, self.span

    @property
    def iterable(self) -> ast.expr | None:
        """What a ``for``, a ``sum``, or a ``zip`` of all rows, goes over."""
        if not self.is_one_call:
            return getattr(self.node, "iter", None)
        over: ast.expr = self.node.args[0]
        return over.value if isinstance(over, ast.Starred) else over

    def alone_has(self, source: Source | None) -> bool:
        """Whether a list made at a source is one that only the loop has: it goes over a tensor."""
        over = self.iterable
        plain = isinstance(self.node, (ast.For, ast.comprehension))
        if source is None or not plain or over is None:
            return False
        calls = [node for node in ast.walk(over) if isinstance(node, (ast.Call, ast.NamedExpr))]
        if any(node is not over or called(node) in vars(builtins) for node in calls):
            return False  # one of them may keep it
        return source.file == self.file and over.lineno <= source.line <= (over.end_lineno or 0)

    @property
    def is_one_call(self) -> bool:
        """Whether it is a builtin that calls torch again and again from one instruction."""
        return isinstance(self.node, ast.Call)

    @property
    def filters(self) -> bool:
        """Whether it is a comprehension with an ``if``."""
        return self.is_comprehension and bool(self.node.ifs)

    @property
    def is_comprehension(self) -> bool:
        """Whether what it goes over is computed in the function around."""
        return isinstance(self.node, ast.comprehension)


@of_code(maxsize=65536)
def loops_at(code: CodeType, at: int) -> tuple[LoopSource, ...]:
    """The loops of a function that the instruction at an offset stands in, from the outside in."""
    span = span_at(code, at)
    own = function_of(code)
    if own is None:
        return ()
    found: list[LoopSource] = []
    for node in _around(own, span):
        if isinstance(node, FUNCTIONS) and node is not own:
            found.clear()  # of a function around
        elif isinstance(node, (ast.For, ast.AsyncFor)):
            if _in(span, node.body):
                found.append(_written(code.co_filename, node, node, (node.target,), node.body))
        elif isinstance(node, ast.While):
            if _in(span, [node.test, *node.body]):
                found.append(_written(code.co_filename, node, node, (), node.body))
        elif isinstance(node, COMPREHENSIONS):
            found += _comprehension(code.co_filename, node, span)
        elif isinstance(node, ast.Call) and span_of(node) == span:
            if called(node) == "sum" and node.args:
                found.append(_added_up(code.co_filename, node))
            elif called(node) == "zip" and len(node.args) == 1 and not node.keywords:
                if isinstance(node.args[0], ast.Starred):
                    found.append(_written(code.co_filename, node, node, (), (node.func,)))
    return tuple(found)


@of_code(maxsize=4096)
def loop_over(code: CodeType, at: int) -> Any:
    """The key of the loop whose rounds are numbered by what an instruction makes, if it is one."""
    span, own = span_at(code, at), function_of(code)
    found = []
    for node in ast.walk(own) if own is not None else ():
        if isinstance(node, (ast.For, ast.AsyncFor)) and _numbers_rounds(node.iter, span):
            found.append((code.co_filename, span_of(node)))
        elif isinstance(node, ast.comprehension) and _numbers_rounds(node.iter, span):
            found.append((code.co_filename, span_of(node.target)))
    return found[0] if len(found) == 1 else None


def _numbers_rounds(over: ast.expr, span: Span) -> bool:
    """Whether a call at a span is what a loop goes over, or one of what is zipped to that."""
    while isinstance(over, ast.Call) and isinstance(over.func, ast.Name):
        if span_of(over) == span or span[1] == 0 and span[3] == END and over.lineno == span[0]:
            return True
        inner = [one for one in over.args if contains(span_of(one), span)]
        if over.func.id not in _SAME_ROUNDS or len(inner) != 1:
            return False
        over = inner[0]
    return False


def _added_up(file: str, node: ast.Call) -> LoopSource:
    """The rounds of ``sum``; of a generator that computes something, those of that."""
    over = node.args[0]
    if isinstance(over, ast.GeneratorExp) and not isinstance(over.elt, ast.Name):
        one, *more = over.generators
        if not more and not one.ifs:
            return _written(file, node, node, (one.target,), (over.elt,))
    return _written(file, node, node, (), (node.func,))


def in_test(loop: LoopSource, span: Span) -> bool:
    """Whether a span lies in the test of a ``while``."""
    return isinstance(loop.node, ast.While) and _in(span, [loop.node.test])


def stored_before(loop: LoopSource, span: Span) -> set[str]:
    """Variables that a round sets before it comes to a span, in statements of their own."""
    found: set[str] = set()
    for statement in getattr(loop.node, "body", ()):
        if (statement.end_lineno, statement.end_col_offset) <= span[:2]:
            found |= stored_in([statement])
    return found


@of_code(maxsize=1024)
def is_read(code: CodeType, name: str) -> bool:
    """Whether a variable is read but to be counted up, ``n += 1`` or ``n = n + x.shape[0]``."""
    own = function_of(code)
    if own is None:
        return True
    counting: set[ast.AST] = set()
    for node in nodes_of(own):
        if isinstance(node, ast.Assign) and not any(isinstance(n, _RUNS) for n in ast.walk(node)):
            if [getattr(one, "id", None) for one in node.targets] == [name]:
                counting.update(ast.walk(node))
    return any(isinstance(n, ast.Name) and n.id == name and isinstance(n.ctx, ast.Load)
               for n in nodes_of(own) if n not in counting)  # fmt: skip


def may_leave(loop: LoopSource, *kinds: type) -> bool:
    """Whether a loop may be left in a round, or go on to the next one, before the round is over."""
    wanted = kinds or (ast.Break, ast.Return)
    return any(isinstance(n, wanted) for part in loop.body for n in ast.walk(part))


_PLAIN = frozenset({"all", "any", "bool", "float", "int", "len", "repr", "str"})


def gives_plain(loop: LoopSource) -> bool:
    """Whether it is a comprehension that may give something else than tensors, as is written."""
    return loop.is_comprehension and _is_plain(loop.body[0])


def _is_plain(part: Any) -> bool:
    if isinstance(part, ast.IfExp):
        return _is_plain(part.body) or _is_plain(part.orelse)
    if isinstance(part, (ast.Tuple, ast.List)):
        return any(map(_is_plain, part.elts))
    if isinstance(part, ast.Call):
        return called(part) in _PLAIN
    if isinstance(part, ast.UnaryOp):
        return isinstance(part.op, ast.Not) or _is_plain(part.operand)
    return isinstance(part, (ast.Constant, ast.BoolOp))


def set_at_times(loop: LoopSource) -> set[str]:
    """Variables that some rounds of a loop set otherwise than others, as far as is written."""
    found: set[str] = set()
    cut = False
    for part in loop.body:
        parts = list(ast.walk(part))
        simple = isinstance(part, (ast.Expr, ast.Assign, ast.AugAssign, ast.AnnAssign))
        if cut or not simple or any(isinstance(n, (ast.IfExp, ast.BoolOp)) for n in parts):
            found |= stored_in([part])
        cut = cut or any(isinstance(n, (ast.Break, ast.Continue)) for n in parts)
    return found


def mentions(file: str, line: int, name: str) -> bool:
    """Whether the statement at a line reads a variable, but for the statements inside it."""
    tree = tree_of(file)
    if tree is None:
        return True
    around = [n for n in around_line(tree, line) if isinstance(n, ast.stmt) and n.lineno <= line]
    inner = max(around, key=lambda n: (n.lineno, -(n.end_lineno or 0)), default=None)
    if inner is None:
        return True
    parts = (n for n in ast.iter_child_nodes(inner) if not isinstance(n, _WITH_STATEMENTS))
    return any(name in names_in(part) for part in parts)


def compares_once(file: str, line: int) -> bool:
    """Whether a line has one comparison, of two things by size, and calls none."""
    tree = tree_of(file)
    return tree is not None and _compares_once(tree, line)


@functools.lru_cache(maxsize=1024)
def _compares_once(tree: ast.Module, line: int) -> bool:
    nodes = [n for n in around_line(tree, line) if getattr(n, "lineno", 0) == line]
    found = [n for n in nodes if isinstance(n, ast.Compare)]
    called = {n.func.attr for n in nodes
              if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)}  # fmt: skip
    by_size = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE)
    return (
        len(found) == 1 and len(found[0].ops) == 1 and isinstance(found[0].ops[0], by_size)
        and called.isdisjoint({"eq", "ge", "gt", "le", "lt", "ne", "greater", "less", "not_equal",
                               "greater_equal", "less_equal"})
    )  # fmt: skip


def called(node: ast.AST) -> str:
    """The name that an expression calls; "" where it is no call, or of no name."""
    is_named = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    return node.func.id if is_named else ""  # type: ignore[attr-defined]


def names_in(node: ast.AST) -> set[str]:
    """The variables in an expression or statement."""
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}


@functools.lru_cache(maxsize=1024)
def read_in(loop: LoopSource) -> frozenset[str]:
    """The variables in the body of a loop."""
    return frozenset().union(*map(names_in, loop.body))


def is_guarded(part: Any, file: str, guarded: Collection[Any]) -> bool:
    """Whether an expression is a comparison that was recorded."""
    return isinstance(part, ast.Compare) and (file, part.lineno) in guarded


def _in(span: Span, parts: list[Any]) -> bool:
    return any(contains(span_of(part), span) for part in parts)


def _around(node: ast.AST, span: Span) -> Iterator[Any]:
    """The nodes that hold a span, from the outside in."""
    yield node
    for child in ast.iter_child_nodes(node):
        if hasattr(child, "lineno"):
            if contains(span_of(child), span):
                yield from _around(child, span)
                return
        elif isinstance(child, ast.comprehension):
            for part in ast.iter_child_nodes(child):
                if contains(span_of(part), span):
                    yield from _around(part, span)
                    return


def stored_in(nodes: Any) -> set[str]:
    """The variables that statements set."""
    return {n.id for node in nodes for n in ast.walk(node)
            if isinstance(n, ast.Name) and isinstance(n.ctx, (ast.Store, ast.Del))}  # fmt: skip


@functools.lru_cache(maxsize=4096)
def _loop(file: str, node: Any, place: Any, targets: Any, body: Any) -> LoopSource:
    inside = stored_in(body)
    names = stored_in(targets)
    return LoopSource(
        file, node, span_of(place), tuple(sorted(names - inside)), frozenset(names | inside), body
    )  # fmt: skip


def _written(file: str, node: Any, place: Any, targets: Any, body: Any) -> LoopSource:
    return _loop(file, node, place, tuple(targets), tuple(body))


def _comprehension(file: str, node: Any, span: Span) -> list[LoopSource]:
    parts = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
    found = []
    for number, one in enumerate(node.generators):
        later = node.generators[number + 1 :]
        inner = [*parts, *one.ifs, *(p for g in later for p in (g.iter, *g.ifs))]
        if _in(span, inner):
            found.append(_written(file, one, one.target, (one.target,), inner))
    return found


_SAME_ROUNDS = frozenset({"enumerate", "list", "reversed", "tuple", "zip"})


def jumps(statement: ast.stmt) -> bool:
    """Whether a statement may leave, or go on with, a loop around it."""
    is_loop = isinstance(statement, (ast.For, ast.AsyncFor, ast.While))
    return not is_loop and any(
        isinstance(n, (ast.Break, ast.Continue)) for n in ast.walk(statement)
    )
