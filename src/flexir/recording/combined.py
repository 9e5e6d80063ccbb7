"""Numbers that Python makes of what several conditions of one statement decided.

``(1 if a else 0) + (1 if b else 0)`` is 1 whichever of the two holds, and what a call is given then
looks like a constant. It is known only for outcomes that examples showed together.
"""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from types import CodeType
from typing import Any

from ..graph import numbers, tree
from ..graph.inputs import same_literal
from ..graph.nodes import Node, Value
from .alike import Misfit
from .parsed import Span, contains, function_of, nodes_of, of_code, span_at, span_of
from .rounds import Turn
from .runs import Recorded
from .scopes import Branch, Scope
from .sized import Sized
from .sources import stored_in
from .standing import Held
from .variables import expressions_at

_PLAIN = (int, float, bool, str)
Asked = tuple[ast.stmt, tuple[Any, ...]]  # a statement, and the rounds around it


class Combined(Sized):
    """Ways, and what conditions decided together."""

    runs: list[Recorded]

    def made_of(self, function: str, name: str) -> set[tuple[str, str]]:
        """The variables, each with its function, of which one is made."""
        raise NotImplementedError

    def refuse_combined(
        self, scope: Scope, node: Node, args: Mapping[str, Any], held: Held,
        read: Collection[tuple[str, str]], held_in: Sequence[Mapping[tuple[str, str], Any]],
    ) -> None:  # fmt: skip
        """Raise Misfit where a number may be made of what several conditions decided.

        Args:
            scope: of the call.
            node: the call, of one run.
            args: as all runs have them.
            held: what stands at it.
            read: the variables that it reads.
            held_in: the numbers that variables hold, of each run.
        """
        met = self._met(scope, held)
        several = [one for one, asked in met.items() if asked.is_open(scope.runs)]
        if any(is_a_test(one[0]) or met[one].decide_together(one[0]) for one in several):
            raise Misfit("it may be chosen by what several conditions decided together")
        here, function = statement_at(*held.stack[0]), held.frames[0].co_name
        now = rounds_around(here, self.turns(scope.runs[0], node), held.frames[0])
        names = {name for of, name in read if of == function and (of, name) not in held.tensors}
        names |= {other for name in names for _, other in self.made_of(function, name)}
        chosen = any(one == (here, now) or names & names_set(one[0]) for one in several)
        if not chosen:  # several variables that conditions decided
            told = [{_key(one.get(place)) for one in held_in} for place in read]
            chosen = sum(len(one) > 1 and all(kind in _PLAIN for kind, _ in one)
                         for one in told) > 1  # fmt: skip
        written = [*expressions_at(*held.stack[0]), *([] if here is None else [here])]
        inside = self.runs[scope.runs[0]].graph.modules.get(node.path)
        given = node.body is not None or not is_of_torch(inside)
        if chosen and given and unexplained(node, args, written) is not None:
            raise Misfit("a number may be made of what several conditions decided")

    def _met(self, scope: Scope, held: Held) -> dict[Asked, Conditions]:
        """Statement of a call's function -> the conditions that were met in it."""
        met: dict[Asked, Conditions] = {}
        for around in scope.outwards:
            if (asked := _asked_in(around.before, held)) is not None:
                met.setdefault(asked, Conditions([], [])).ways_of += 1
                met[asked].places.append(_place_of(around.before, held))
            for branch in (one for one in around.branches if one.__class__ is Branch):
                if (asked := _asked_in(branch.before, held)) is None:
                    continue
                runs = {r: self.in_scope(around, r) for r in scope.runs}
                outcomes = {r: run in branch.then.runs for r, run in runs.items()}
                met.setdefault(asked, Conditions([], [])).over.append(outcomes)
                met[asked].places.append(_place_of(branch.before, held))
        return met


@dataclasses.dataclass
class Conditions:
    """What was asked in one statement, where examples came out of it both ways.

    Attributes:
        over: of each condition after which the ways met again, what it decided in each run.
        places: where they stand in the call's function.
        ways_of: how many there are on one way of which a call stands.
    """

    over: list[Mapping[int, bool]]
    places: list[Span]
    ways_of: int = 0

    def is_open(self, runs: Iterable[int]) -> bool:
        """Whether conditions may come out together as no run shows."""
        shown = {tuple(one[r] for one in self.over) for r in runs}
        return len(self.over) + self.ways_of > 1 and len(shown) < 2 ** len(self.over)

    def decide_together(self, statement: ast.stmt) -> bool:
        """Whether several of them are what an ``if`` within the statement asks."""
        tests = (span_of(n.test) for n in ast.walk(statement) if isinstance(n, ast.IfExp))
        return any(sum(contains(test, one) for one in self.places) > 1 for test in tests)


def _place_of(before: Any, call: Held) -> Span:
    at = next(iter(before.held.values()))
    return span_at(*at.stack[len(at.frames) - len(call.frames)])


def _asked_in(before: Any, call: Held) -> Asked | None:
    """The statement of a call's function in which a condition was met, and in which round."""
    at = next(iter(before.held.values()), None) if before else None
    statement = None if at is None else decided_in(at, call)
    if statement is None:
        return None
    return statement, rounds_around(statement, before.turns, call.frames[0])


def rounds_around(
    statement: ast.stmt | None, turns: Sequence[Turn], code: CodeType
) -> tuple[Any, ...]:
    """The numbers of the rounds of those loops of a function that stand around a statement."""
    return tuple(
        (turn.execution.loop.key, turn.number) for turn in turns
        if statement is not None and turn.execution.code is code
        and isinstance(turn.execution.loop.node, ast.stmt)
        and contains(span_of(turn.execution.loop.node), span_of(statement))
    )  # fmt: skip


@of_code(maxsize=8192)
def statement_at(code: CodeType, at: int) -> ast.stmt | None:
    """The innermost statement that an instruction is of."""
    own, span = function_of(code), span_at(code, at)
    found = [n for n in nodes_of(own) if isinstance(n, ast.stmt)] if own is not None else []
    around = [n for n in found if contains(span_of(n), span)]
    return around[-1] if around else None  # those inside come later


def decided_in(condition: Held, call: Held) -> ast.stmt | None:
    """The statement of a call's function in which a condition was met; None if it is of none."""
    deeper = len(condition.frames) - len(call.frames)
    if deeper < 0 or condition.frames[deeper:] != call.frames:
        return None
    if condition.activations[deeper:] != call.activations:
        return None
    return statement_at(*condition.stack[deeper])


def names_set(statement: ast.stmt) -> set[str]:
    """The variables that a statement sets."""
    if isinstance(statement, ast.Assign):
        return set(stored_in(statement.targets))
    if isinstance(statement, (ast.AugAssign, ast.AnnAssign)):
        return set(stored_in([statement.target]))
    return set()


def is_of_torch(module: type | None) -> bool:
    """Whether it is a module of torch's that makes a call: what it gives it, it holds."""
    return module is not None and module.__module__.partition(".")[0] == "torch"


def is_a_test(statement: ast.stmt) -> bool:
    """Whether what a statement decides is which way Python goes on."""
    return isinstance(statement, (ast.If, ast.While, ast.Assert, ast.Match))


def unexplained(node: Node, args: Mapping[str, Any], calls: Sequence[ast.AST]) -> Any:
    """A plain number or text that a call is given, and that the source does not give it as it is.

    Args:
        node: the call.
        args: as all runs have them.
        calls: the expressions that it may be.
    """
    known = {_key(one) for call in calls for one in _constants(call)}
    defaults = {} if node.signature is None else node.signature.defaults  # of a module: none
    given = [part for name, part in args.items()
             if name not in defaults or not same_literal(part, defaults[name])]  # fmt: skip
    leaves = [leaf for kind in _PLAIN for leaf in tree.leaves(given, kind)]
    counted = (leaf for leaf in tree.leaves(given, Value) if _is_of_a_display(leaf))
    return next((one for one in (*leaves, *counted) if _key(one) not in known), None)


def _is_of_a_display(value: Value) -> bool:
    """Whether a number is how many things a list of Python's had."""
    node = value.producer
    counted = node is not None and node.target is numbers.length
    return node is not None and counted and node.args["input"].__class__ is not Value


_PARTS = (ast.Tuple, ast.List, ast.Slice, ast.Starred, ast.keyword, ast.Dict)


def _constants(call: ast.AST) -> Iterator[Any]:
    """The constants that stand as arguments of an expression, or in displays of such."""
    stack = list(ast.iter_child_nodes(call))
    while stack:
        one = stack.pop()
        if isinstance(one, ast.Constant):
            yield one.value
        elif isinstance(one, ast.UnaryOp) and isinstance(one.operand, ast.Constant):
            if isinstance(one.op, ast.USub) and one.operand.value.__class__ in (int, float):
                yield -one.operand.value
        elif isinstance(one, _PARTS):
            stack += ast.iter_child_nodes(one)


def _key(part: Any) -> Any:
    return part.__class__, part if part.__class__ in _PLAIN else id(part)
