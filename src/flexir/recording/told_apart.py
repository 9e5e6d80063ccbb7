"""Variables of a loop that no example tells from each other.

``best = cur`` under a condition: as long as it holds in every round that another one follows, what
rounds read may be one as well as the other. Such a loop is not laid.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from types import CodeType
from typing import Any

from ..graph.geometry import as_strided_scatter, assemble, setitem
from ..graph.nodes import Node, Value
from .alike import Misfit, alike_numbers, only_a_number
from .live import assigned
from .looping import Looping
from .rounds import UNREAD, Execution
from .sources import LoopSource, stored_in
from .standing import Held

_WHOLES = (setitem, as_strided_scatter, assemble)  # a memory after a part of it was written
_DECIDING = (ast.If, ast.IfExp, ast.BoolOp, ast.While, ast.For, ast.Try, ast.With, ast.Match)


def not_told_apart(loop: Looping, executions: Sequence[Execution]) -> None:
    """Raise Misfit where two variables hold the same whenever a round begins, and need not.

    Args:
        loop: of which the rounds are known.
        executions: of it.
    """
    source, code = executions[0].loop, executions[0].code
    if all(len(rounds) < 2 for rounds in loop.rounds.values()):
        return  # more rounds are refused
    carried = {name for one in executions for name in one.after} | {name for _, name in loop.live}
    names = sorted(carried & source.stored.difference(source.targets))
    starts = [loop.starts[p] for rounds in loop.rounds.values() for p in rounds]
    begun = {name: [_held(one, code, name) for one in starts] for name in names}
    decided = _set_on_some_ways(source)
    for one, other in combinations(names, 2):
        if None in begun[one] or not all(map(_same, begun[one], begun[other])):
            continue
        if one in decided or other in decided:
            raise Misfit(f"no example tells {one!r} from {other!r} in a round after the first")


def one_memory(execution: Execution, calls: Iterable[tuple[Node, Held | None]]) -> None:
    """Raise Misfit where it depends on the rounds of which memory a variable is a part.

    A part of a memory that another name wrote is cut out of that anew where it is read. If only
    some ways set the variable, rounds that come to the call by others may cut it out of another;
    so may the first round if it is what the one before left.

    Args:
        execution: of a loop.
        calls: of its rounds, each with what was held.
    """
    name = execution.code.co_name
    carried = execution.after.keys() & execution.loop.stored
    decided = {(name, one) for one in _set_on_some_ways(execution.loop) | carried}
    for place in _cut_anew(execution, calls) if decided else ():
        if place[:2] in decided:
            raise Misfit(f"it depends on the rounds of which memory {place[1]!r} is a part")


def _cut_anew(execution: Execution, calls: Iterable[tuple[Node, Held | None]]) -> Iterator[Any]:
    """The variables whose memory another name wrote: read again in rounds, or to be after it."""
    for one in (execution.left, *execution.begun):
        yield from (place for place, value in one.items() if value is UNREAD)
    anew: set[Value] = set()
    for node, held in calls:
        if held is None and node.target not in _WHOLES and not only_a_number(node):
            anew.update(node.outputs)
        elif held is not None and anew:
            yield from (place for place, value in held.read.items() if value in anew)


def _held(held: Held | None, code: CodeType, name: str) -> Any:
    """What a variable of a function holds; None if it is not known."""
    if held is None or code not in held.frames:
        return None
    place, plain = (code.co_name, name), held.plain.get((held.frames.index(code), name))
    return held.read.get(place) or held.spent.get(place) or plain


def _same(one: Any, other: Any) -> bool:
    """Whether two variables hold the same, whatever was said of how they were set."""
    return one == other or alike_numbers(_set_to(one), _set_to(other), _is_set_alike)


def _is_set_alike(one: Value, other: Value) -> bool:
    inner, its = _set_to(one), _set_to(other)
    if inner is one or its is other:
        return one is other
    return alike_numbers(inner, its, _is_set_alike)


def _set_to(held: Any) -> Any:
    """What a variable was set to that holds a number of which its function told."""
    node = held.producer if held.__class__ is Value else None
    return held if node is None or node.target is not assigned else _set_to(node.args["input"])


def _set_on_some_ways(loop: LoopSource) -> set[str]:
    """The variables that a round sets, or to what, only if something holds."""
    found: set[str] = set()
    for node in loop.body:
        if isinstance(node, _DECIDING) or any(isinstance(n, _DECIDING) for n in ast.walk(node)):
            found |= set(stored_in([node]))
    return found
