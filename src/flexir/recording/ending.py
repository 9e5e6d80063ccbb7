"""What ends a loop: what it goes over, or a condition that a round met; and how many rounds it has.

Owns these questions for loops whose rounds have been laid over each other.
"""

from __future__ import annotations

import ast
from typing import Any

from ..graph import numbers
from ..graph.nodes import Node, NumberType, Value
from .alike import Misfit, only_a_number
from .carried import Loops
from .followed import ways_are_followed
from .looping import ANY, Looping, recorded_count
from .runs import Recorded, Span, Stretches
from .scopes import Branch, Scope
from .sources import may_leave
from .ways import guarded


class Ending(Loops):
    """Loops, and what ends them."""

    runs: list[Recorded]

    def ended_by_conditions(self, spans: dict[int, Span], stretches: Stretches) -> bool:
        """Whether it is conditions alone that let a loop have other numbers of rounds."""
        executions = [turn.execution for turn, _, _ in stretches.values()]
        if isinstance(executions[0].loop.node, ast.While):
            return True
        if len(stretches) < len(spans) or any(one.count is None for one in executions):
            return False
        return len({recorded_count(one.count) for one in executions}) == 1

    def ends_otherwise(self, stretches: Stretches) -> bool:
        """Whether runs would go on together as if a loop had as many rounds, which it had not.

        What it goes over is at its end in one of them, and is longer or shorter in another.
        """
        executions = [turn.execution for turn, _, _ in stretches.values()]
        if any(one.count is None for one in executions):
            return False
        counts = [recorded_count(one.count) for one in executions]
        return len(set(counts)) > 1 and any(
            len(one.rows) == count for one, count in zip(executions, counts)
        )

    def count(self, scope: Scope, counts: dict[int, Any], out: list[Node]) -> Any:
        """How many rounds what a loop goes over says it has."""
        if any(one is None for one in counts.values()):
            return None
        count = self.resolved(scope, counts, out)
        if count.__class__ is Value and count.is_list:
            kind = NumberType(int, count.type.shape[0])
            return self.emitted(scope, numbers.length, {"input": count}, kind, out)
        return len(count) if isinstance(count, list) else count

    def stand_in_a_row(self, scope: Scope, stretches: Stretches, out: list[Node]) -> None:
        """Of a loop whose rounds are laid as they come: that it has them."""
        counts = counts_of(stretches)
        if not all(isinstance(count, Value) for count in counts.values()):
            return
        count, shown = self.count(scope, counts, out), set(map(recorded_count, counts.values()))
        begun = min(one.number + len(rounds) for one, rounds, _ in stretches.values())
        compare, many = (numbers.eq, shown.pop()) if len(shown) == 1 else (numbers.ge, begun)
        if count.__class__ is Value:
            out.append(guarded(compare, count, many))

    def find_ends(
        self, loop: Looping, counts: dict[int, Any], skipped: int, spans: dict[int, Span],
        stretches: Stretches,
    ) -> None:  # fmt: skip
        """What says whether another round follows."""
        executions = [turn.execution for turn, _, _ in stretches.values()]
        ways_are_followed(loop, executions, self.in_scope)
        loop.least = 1 if all(r in stretches for r in spans) else 0
        over = {r for r in stretches if self._is_over(r, spans[r], stretches[r][2], loop.name)}
        entries: dict[int, Any] = dict.fromkeys(loop.body.runs, True)
        through: list[int] = []
        broken: list[int] = []
        written = next(iter(stretches.values()))[0].execution.loop.node
        if loop.count is None and not isinstance(written, ast.While):
            raise Misfit("how much a loop goes over is not known")
        for r, last in loop.lasts.items():
            said = None if loop.count is None else recorded_count(counts[r]) - skipped
            if said is not None and len(loop.rounds[r]) > said:
                raise Misfit("a loop had more rounds than what it goes over says")
            told = not over or r in over  # else it was left in the last round that there was
            (through if told and said == len(loop.rounds[r]) else broken).append(last)
        if not over and may_leave(stretches[next(iter(stretches))][0].execution.loop):
            self._sides(loop.body, set(through))
        if not broken:
            loop.goes_on, loop.ends = True, ("count",)
            return
        entries.update(dict.fromkeys(broken, False))
        entries.update(dict.fromkeys(through, ANY))  # they may have been ended in the last round
        loop.goes_on = self.mixed(loop.body, entries, loop.body.nodes)
        if not isinstance(loop.goes_on, Value):
            raise Misfit("nothing says how a loop ends")
        shown = [self.outcome(loop.body, loop.goes_on, one) for one in through]
        known = {_ways_to(loop.body, one) for one in broken}
        if any(goes_on is False and _ways_to(loop.body, one) not in known
               for one, goes_on in zip(through, shown)):  # fmt: skip
            raise Misfit("no example shows whether a loop goes on after a way of its last round")
        loop.ends = ("count", "condition") if True in shown else ("condition",)

    def _is_over(self, r: int, span: Span, end: int, loop: str) -> bool:
        """Whether a run says after the rounds of a loop that what it went over was at its end."""
        while end < span.end and only_a_number(span.nodes[end]):
            end += 1
        return end < span.end and self.runs[r].ends.get(span.nodes[end]) == loop

    def _sides(self, scope: Scope, last: set[int]) -> None:
        """Raise Misfit where one way of a branch was taken in last rounds alone: it may leave."""
        for branch in scope.branches:
            for way in (branch.then, branch.otherwise) if branch.__class__ is Branch else ():
                if way.members <= last:
                    raise Misfit("a loop may have been left in its last round")
                self._sides(way, last)


def _ways_to(scope: Scope, run: int) -> tuple[int, ...]:
    """The ways that a round took, from the outside in."""
    found: list[int] = []
    for branch in scope.branches:
        if branch.__class__ is Branch:
            for way in (branch.then, branch.otherwise):
                if run in way.members:
                    found += [way.born, *_ways_to(way, run)]
    return tuple(found)


def counts_of(stretches: Stretches) -> dict[int, Any]:
    """Run -> how many rounds what the loop goes over says it has."""
    return {r: turn.execution.count for r, (turn, _, _) in stretches.items()}
