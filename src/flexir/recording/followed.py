"""Ways through a round that no other round follows in any example.

What such a way leaves for the next round, which variables it makes one memory, and which of them
that round reads, nobody has seen. Where rounds may leave something, such a loop is not laid; a way
that leaves the loop is always the last.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Sequence
from typing import Any

from ..graph import numbers
from ..graph.nodes import Node, Value
from .alike import Misfit
from .looping import Looping, recorded_count
from .rounds import Execution
from .scopes import Branch, Scope
from .sources import LoopSource, called, may_leave, names_in, stored_in
from .told_ways import way_is_told

_LEAVES = (ast.Break, ast.Return, ast.Raise)
_PLACES = (ast.Attribute, ast.Subscript)


def ways_are_followed(
    loop: Looping, executions: Sequence[Execution], in_scope: Callable[[Scope, int], int | None]
) -> None:
    """Raise Misfit where rounds went a way that no round followed, and may leave something.

    Args:
        loop: of which the body is laid.
        executions: of it, in the order of its runs.
        in_scope: the round of a scope that a run, or a round inside, is part of.
    """
    source = executions[0].loop
    if all(len(rounds) < 2 for rounds in loop.rounds.values()):
        return  # more rounds are refused
    carried = {name for one in executions for name in one.after} | {name for _, name in loop.live}
    if leaves_nothing(source, carried):
        return
    lasts = loop.lasts
    leaves = source.is_comprehension or may_leave(source, *_LEAVES)  # else rounds made no calls
    early = {lasts[r] for r, one in zip(loop.rounds, executions) if leaves and _is_left(one)}
    is_shown = not any(one.is_unread for one in executions)
    stack: list[Scope] = [loop.body]
    while stack:
        for one in stack.pop().branches:
            if one.__class__ is not Branch:
                stack.append(one.body)
                continue
            for way in (one.then, one.otherwise):
                stack.append(way)
                rounds = {in_scope(loop.body, r) for r in way.members} - {None}
                if rounds and rounds <= {*lasts.values()} and not rounds & early:
                    taken = way is one.then or bool(way.nodes or way.branches)
                    if is_shown and way_is_told(source, one.node.source, taken):
                        continue
                    if not (_ends(source, one.node) or _is_of_rounds(one.node.args["condition"])):
                        raise Misfit(f"no example showed a round after this way: {one.node.where}")


def _is_left(one: Execution) -> bool:
    """Whether a loop was left before it had all rounds that what it goes over says."""
    return one.count is not None and len(one.held) < recorded_count(one.count)


def _is_of_rounds(condition: Value) -> bool:
    """Whether the number of the round and sizes alone decide: what is the last is so by them."""
    stack, seen = [condition], set[Value]()
    while stack:
        value = stack.pop()
        node = value.producer
        if value in seen or node is None and value.is_number:
            continue
        seen.add(value)
        if node is None or node.target not in numbers.FUNCTIONS:
            return False
        stack += [] if node.target in numbers.QUESTIONS else node.inputs
    return True


def _ends(loop: LoopSource, condition: Node) -> bool:
    """Whether a condition may end the loop, as it is written."""
    if condition.source is None:
        return False
    line, tests = condition.source.line, set[str]()
    if isinstance(loop.node, ast.While):
        tests = set(names_in(loop.node.test))
        if loop.node.test.lineno <= line <= (loop.node.test.end_lineno or 0):
            return True
    for node in (n for part in loop.body for n in ast.walk(part) if isinstance(n, ast.If)):
        if node.test.lineno <= line <= (node.test.end_lineno or 0):
            inside = [n for part in (*node.body, *node.orelse) for n in ast.walk(part)]
            if any(isinstance(n, _LEAVES) for n in inside) or tests & stored_in([node]):
                return True
    return False


def leaves_nothing(loop: LoopSource, carried: Collection[str]) -> bool:
    """Whether a round leaves nothing for the next but what it adds to the end of lists.

    Args:
        loop: as it is written.
        carried: the variables that go from round to round, or are read after it.
    """
    if loop.stored & {*carried} - {*loop.targets}:
        return False
    return not any(_may_leave(node) for part in loop.body for node in ast.walk(part))


def _may_leave(node: Any) -> bool:
    if isinstance(node, _PLACES):
        return not isinstance(node.ctx, ast.Load)
    if isinstance(node, ast.AugAssign):
        return True
    if not isinstance(node, ast.Call):
        return isinstance(node, (ast.Yield, ast.Await, ast.NamedExpr, ast.Global, ast.Nonlocal))
    if called(node):
        return called(node) in ("setattr", "next", "exec", "eval")
    func = node.func
    if not isinstance(func, ast.Attribute):
        return True  # a function of the user's
    if isinstance(func.value, ast.Name) and func.value.id == "torch":
        return func.attr.endswith("_")
    held = isinstance(func.value, ast.Name) and func.value.id == "self"
    if func.attr in ("append", "extend") and not isinstance(func.value, ast.Name):
        return True
    return held or func.attr.endswith("_") or func.attr in _CHANGING


_CHANGING = frozenset({
    "add", "appendleft", "clear", "extend", "insert", "pop", "popleft", "remove", "reverse",
    "send", "setdefault", "sort", "update",
})  # fmt: skip
