"""Loops in runs: where their rounds lie, and how those of all runs are laid over each other.

Runs that come to a loop with other numbers of rounds are laid as one: every round of every run is a
run of its own, and what they have in common is the body. Owns where rounds begin and end, how many
there are and what ends them; what a place holds from round to round is :mod:`.carried`'s matter.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from typing import Any

from ..calls.signatures import LOOP
from ..graph import numbers, tree
from ..graph.nodes import Node, NumberType, Value
from .alike import Misfit, only_a_number
from .counting import name_of_loop
from .ending import Ending, counts_of
from .hidden import (
    changing,
    comparisons,
    counters_are_lines,
    inside_alike,
    kept_alike,
    numbers_are_lines,
    rounds_alike,
)
from .looping import Looping, recorded_count
from .overlooked import chosen
from .own_numbers import set_on_some_ways
from .rounds import Execution, Turn
from .runs import Recorded, Span, Stretches, calls_in, made_in
from .scopes import Scope
from .sources import mentions
from .standing import Held
from .told_apart import one_memory
from .unshown import refuse_unshown
from .unused_numbers import choosing, constant, sizes_in
from .uses import Known, united, variables_of_lists, variables_of_tensors
from .ways import copied, guarded


class Rolled(Ending):
    """Loops, found in recorded runs."""

    def __init__(self, runs: Sequence[Recorded]) -> None:
        super().__init__(len(runs))
        self.runs = list(runs)
        self.unrolled: set[Execution] = set()
        self.lost_before: dict[Node, int] = {}  # how many of them were lost before a loop began
        self.known = known_of(runs)
        self.fixed: set[tuple[Value, int | None]] = set()  # sizes that must not vary

    @functools.cached_property
    def _written_choice(self) -> str | None:
        return chosen(self.known)

    def refuse_if_chosen(self, places: Mapping[int, int], lengths: Mapping[int, int]) -> None:
        unused = {r: self.runs[r].unused for r in places}
        number, same = choosing(unused, places, lengths), set[int]()
        if number is not None:
            number = choosing(unused, places, lengths, same := constant(list(unused.values())))
        if number is not None or self._written_choice:
            raise Misfit(f"a size may have chosen an element: {number or self._written_choice}")
        self.fixed.update(*(sizes_in(one[i]) for one in unused.values() for i in same))

    def tells_index(self, scope: Scope, node: Node) -> None:
        """Raise Misfit where a number may be that of the round, and this block shows one alone."""
        body = scope.body
        if body is None or node.source is None:
            return
        if any(node in self.runs[r].ends for r in scope.runs):
            return
        parts = list(node.args.values())
        if not any(True for kind in _SCALARS for _ in tree.leaves(parts, kind)):
            return
        file, line = node.source.file, node.source.line
        here = {self.in_scope(body, r) for r in scope.runs}
        for name, shown in body.loop.changing.items():
            if mentions(file, line, name) and not body.loop.tells(name, here, shown):
                raise Misfit(f"{name!r} may be another: {node}   # {node.where}")
            if mentions(file, line, name) and self._is_by_chance(body.loop, name, shown):
                raise Misfit(f"{name!r} is set by some rounds: {node}   # {node.where}")
        if body is scope or not any(mentions(file, line, name) for name in body.loop.names):
            return
        ends = {r: len(body.loop.rounds[run]) - k for r, (run, k) in body.loop.place.items()}
        starts = {r: k for r, (_, k) in body.loop.place.items()}
        for told in (starts, ends):
            if len({told[r] for r in here if r is not None}) == 1 < len(set(told.values())):
                raise Misfit(f"it may be the number of the round: {node}   # {node.where}")

    def _is_by_chance(self, loop: Looping, name: str, shown: Set[Any]) -> bool:
        """Whether a variable holds whole numbers that may follow the rounds by chance."""
        if loop.code is None or not any(one[0] == "int" for one in shown):
            return False
        return name in set_on_some_ways(loop.code)

    def is_told(self, scope: Scope, r: int, node: Node, heads: dict[int, Node]) -> bool:
        """Whether it only says that a loop is over which is laid as one, and so says it itself."""
        loop = self.runs[r].ends.get(node)
        if loop is None:
            return False
        if any(isinstance(one, Looping) and one.name == loop for one in scope.branches):
            return True
        return any(self.runs[o].ends.get(other) != loop for o, other in heads.items())

    def lost_at(self, r: int, node: Node) -> Sequence[tuple[Value, Any]]:
        """Numbers that became plain between the call before and this one, in the same scope."""
        return self.runs[r].lost.get(node, ())[self.lost_before.get(node, 0) :]

    def lay(
        self,
        scope: Scope,
        spans: dict[int, Span],
        out: list[Node],
        finish: Callable[[], None],
    ) -> None:
        """Pair the calls of the runs of a scope; ``finish`` once all have come to their end."""
        raise NotImplementedError

    def mark(self, scope: Scope, out: list[Node]) -> Any:
        """What has been laid so far, for :meth:`back_to`."""
        return (
            len(out), len(scope.branches), len(scope.lost), [dict(body) for body in self.written],
            dict(self.elements), dict(self.lost_before), set(self.unrolled), set(self.fixed),
            [(loop, loop.mark()) for loop in self.loops], self.clock,
        )  # fmt: skip

    def back_to(self, mark: Any, scope: Scope, out: list[Node]) -> None:
        """Forget what was laid since."""
        nodes, branches, lost, written, elements, lost_before, unrolled, fixed, loops, clock = mark
        del out[nodes:], scope.branches[branches:], scope.lost[lost:]
        self.written[:] = [dict(body) for body in written]
        self.elements, self.lost_before = dict(elements), dict(lost_before)
        self.unrolled, self.fixed = set(unrolled), set(fixed)
        self.loops = [loop for loop, _ in loops]
        for loop, one in loops:
            loop.back_to(one)
        for around in scope.outwards:  # what was made since is not there any more
            around.made = {value: age for value, age in around.made.items() if age <= clock}

    def turns(self, r: int, node: Node) -> tuple[Turn, ...]:
        """The rounds that a call of a run stands in."""
        return self.runs[r].turns.get(node, ())

    def part(self, run: int) -> int:
        self.runs.append(self.runs[run])
        return super().part(run)

    def _turn(self, r: int, node: Node, depth: int) -> tuple[Turn, int] | None:
        """The outermost round that begins or goes on at a call and is laid as one, if any."""
        for place, turn in enumerate(self.turns(r, node)[depth:], depth):
            if turn.execution not in self.unrolled:
                return turn, place
        return None

    def loop_at(
        self, scope: Scope, spans: dict[int, Span], heads: dict[int, Node], out: list[Node]
    ) -> Stretches:
        """The rounds of the loop that runs have come to, if they have other numbers of them."""
        while True:
            found = {r: turn for r, node in heads.items()
                     if (turn := self._turn(r, node, spans[r].depth)) is not None}  # fmt: skip
            if not found:
                return {}
            self.refuse_if_decided(scope, next(iter(found.values()))[0])
            key = next(iter(found.values()))[0].execution.loop.key
            stretches = {
                r: self._stretch(r, spans[r], heads[r], *turn)
                for r, turn in found.items() if turn[0].execution.loop.key == key
            }  # fmt: skip
            many = {len(stretches[r][1]) if r in stretches else 0 for r in spans}
            grown = any(map(self._is_grown, found.values()))
            if len(many) > 1 or grown or self.ends_otherwise(stretches):
                return stretches
            self.unrolled.update(one.execution for one, _, _ in stretches.values())
            self.stand_in_a_row(scope, stretches, out)

    def refuse_if_decided(self, scope: Scope, turn: Turn) -> None:
        """Raise Misfit where an earlier branch may have decided how many rounds a loop has."""
        raise NotImplementedError

    def _is_grown(self, turn: tuple[Turn, int]) -> bool:
        """Whether a loop goes over a list that only some rounds of an earlier one add to."""
        count = turn[0].execution.count
        return isinstance(count, list) and any(
            loop.grows and any(one in loop.made for one in count) for loop in self.loops
        )

    def _stretch(
        self, r: int, span: Span, head: Node, turn: Turn, place: int
    ) -> tuple[Turn, list[Span], int]:
        """The rounds of a loop from a call on, and where they end."""
        rounds: list[Span] = []
        start = at = span.nodes.index(head, span.start)
        number = turn.number
        while at < span.end:
            node = span.nodes[at]
            if not only_a_number(node):
                turns = self.turns(r, node)
                if len(turns) <= place or turns[place].execution is not turn.execution:
                    break
                if turns[place].number != number:
                    rounds.append(Span(span.nodes, start, at, place + 1))
                    start, number = at, turns[place].number
            at += 1
        rounds.append(Span(span.nodes, start, at, place + 1))
        return turn, rounds, at

    def through(
        self,
        scope: Scope,
        spans: dict[int, Span],
        at: dict[int, int],
        stretches: Stretches,
        out: list[Node],
        finish: Callable[[], None],
    ) -> None:
        """Lay a loop as one; where that does not go, but for its first round; or unrolled."""
        mark = self.mark(scope, out)
        rest = {r: spans[r]._replace(start=stretches[r][2] if r in stretches else at[r])
                for r in spans}  # fmt: skip

        def roll(skipped: int) -> None:
            self._roll(scope, spans, stretches, out, skipped)
            self.lay(scope, rest, out, finish)

        try:
            roll(0)
            return
        except Misfit as error:
            problem = error
        if len(stretches) == len(spans):
            self.back_to(mark, scope, out)
            try:
                self._begins(scope, stretches, out)
                firsts = {r: rounds[0] for r, (_, rounds, _) in stretches.items()}
                self.lay(scope, firsts, out, lambda: roll(1))
                return
            except Misfit:
                pass
        if not self.ended_by_conditions(spans, stretches):
            raise problem
        self.back_to(mark, scope, out)
        executions = {turn.execution for turn, _, _ in stretches.values()}
        self.unrolled |= executions
        try:
            self.lay(scope, {r: spans[r]._replace(start=at[r]) for r in spans}, out, finish)
        except Misfit:
            raise problem from None
        finally:
            self.unrolled -= executions

    def _begins(self, scope: Scope, stretches: Stretches, out: list[Node]) -> None:
        """Guard that a loop has a first round, where that round is laid out before the loop."""
        count = self.count(scope, counts_of(stretches), out)
        if count.__class__ is Value:
            out.append(guarded(numbers.ge, count, 1))

    def _roll(
        self,
        scope: Scope,
        spans: dict[int, Span],
        stretches: Stretches,
        out: list[Node],
        skipped: int,
    ) -> None:
        """Lay the rounds of all runs over each other, but for as many as stand before the loop."""
        counts = counts_of(stretches)
        stretches = {
            r: (turn, rounds[skipped:], end)
            for r, (turn, rounds, end) in stretches.items() if rounds[skipped:]
        }  # fmt: skip
        if any(one is None or recorded_count(one) != skipped
               for r, one in counts.items() if r not in stretches):  # fmt: skip
            raise Misfit("nothing but a condition says that no round follows the first")
        lead = next((r for r in spans if r in stretches), None)
        many = max((len(rounds) for _, rounds, _ in stretches.values()), default=0)
        if lead is None or many < 1 + skipped:
            raise Misfit("no example showed what follows the first round")
        first = spans[lead].nodes[stretches[lead][1][0].start]
        self._lose_before(scope, stretches, out)
        count = self.count(scope, counts, out)
        if skipped and count is not None:
            if count.__class__ is not Value:
                raise Misfit("a loop that always has as many rounds")
            kind = NumberType(int, recorded_count(count) - skipped)
            count = self.emitted(scope, numbers.sub, {"input": count, "other": skipped}, kind, out)
        node = copied(first, {"count": count, "carried": (), "inputs": ()})
        node.op, node.target, node.signature = "loop", None, LOOP
        if many == 1 and count.__class__ is Value:  # what follows a round was not shown
            out.append(guarded(numbers.le, count, 1))
        loop, parts = self._begun(scope, spans, stretches, node, count, out)
        body = loop.body
        self._variables_of(loop, [turn.execution for turn, _, _ in stretches.values()], skipped)
        for r, (turn, rounds, _) in stretches.items():
            loop.begins(loop.rounds[r], turn.execution, turn.number + skipped)
            one_memory(turn.execution, self._calls(r, rounds))
        self.written.append({})
        try:
            self.lay(body, parts, body.nodes, lambda: None)
        finally:
            self.written.pop()
        loop.out = []  # from now on, what comes before the loop is put there
        self.find_ends(loop, counts, skipped, spans, stretches)
        loop.born = self.tick()
        out.append(node)
        scope.branches.append(loop)
        self.loops.append(loop)

    def _variables_of(self, loop: Looping, executions: list[Execution], skipped: int) -> None:
        """What goes from round to round in plain variables; Misfit where no call tells of it."""
        first = executions[0]
        loop.names = set().union(*(one.plain for one in executions))
        loop.name, loop.skipped = name_of_loop(first.loop.key), skipped
        loop.live, loop.code, loop.source = first.live_after, first.code, first.loop
        numbers_are_lines(executions, skipped)
        refuse_unshown(loop, executions, skipped, self.known.tensors.get(first.code, ()))
        starts = list(loop.starts.values())
        loop.changing = changing(executions, starts, skipped)
        loop.grown = rounds_alike(executions, starts, loop.changing.keys(), self.known)
        loop.grows = bool(loop.grown) or first.loop.filters
        counters_are_lines(loop, executions)
        inside_alike(loop.name, [*starts, *loop.after.values()])
        kept_alike(loop.name, (kept for one in executions for kept in one.kept[skipped:]))

    def _begun(
        self,
        scope: Scope,
        spans: dict[int, Span],
        stretches: Stretches,
        node: Node,
        count: Any,
        out: list[Node],
    ) -> tuple[Looping, dict[int, Span]]:
        """A loop whose rounds are runs of their own, and where each lies."""
        body = Scope((), scope, self.tick())
        loop = body.loop = Looping(node, scope, body, count)
        loop.nodes, loop.out = out, out
        parts: dict[int, Span] = {}
        for r, (turn, rounds, end) in stretches.items():
            loop.rounds[r], loop.left[r] = [], turn.execution.left
            for number, one in enumerate(rounds):
                part = self.part(r)
                loop.rounds[r].append(part)
                loop.place[part] = r, number
                loop.made.update(dict.fromkeys(made_in(one), part))
                loop.starts[part] = self._held(r, one)
                parts[part] = one
            loop.after[r] = self._held(r, spans[r]._replace(start=end))
        body.made[loop.index] = self.tick()
        body.runs = tuple(parts)
        body.members = frozenset(parts)
        return loop, parts

    def _lose_before(self, scope: Scope, stretches: Stretches, out: list[Node]) -> None:
        """Numbers that became plain before the first call of a loop, but not of each round."""
        heads = {
            r: [next(n for n in one.nodes[one.start : one.end] if not only_a_number(n))
                for one in rounds]
            for r, (_, rounds, _) in stretches.items()
        }  # fmt: skip
        later = [(r, node) for r, firsts in heads.items() for node in firsts[1:]]
        each = min((len(self.runs[r].lost.get(node, ())) for r, node in later), default=0)
        lost: dict[int, Sequence[Any]] = {}
        for r, (first, *_) in heads.items():
            known = self.runs[r].lost.get(first, ())
            self.lost_before[first] = len(known) - min(each, len(known))
            lost[r] = known[: self.lost_before[first]]
        self.lose(scope, lost, out)

    def _calls(self, r: int, rounds: Sequence[Span]) -> Iterator[tuple[Node, Held | None]]:
        """The calls of rounds, each with what Python holds at it."""
        for node in (node for one in rounds for node in calls_in(one)):
            yield node, self.runs[r].standing.get(node)

    def _held(self, r: int, span: Span) -> Held | None:
        """What Python holds at the first call of a stretch."""
        for node in span.nodes[span.start : span.end]:
            held = self.runs[r].standing.get(node)
            if held is not None:
                return held
        return None


def known_of(runs: Sequence[Recorded]) -> Known:
    """What is known of runs besides the source of their functions."""
    seen = [held for run in runs for held in run.standing.values()]
    return Known(
        set().union(*(comparisons(run.graph.escapes) for run in runs)),
        united(run.kinds for run in runs),
        variables_of_tensors(seen),
        variables_of_lists(seen, set().union(*(run.graph.constants for run in runs))),
        runs[0].own,
    )


_SCALARS = (int, float, str)
