"""Runs that took different paths, laid over each other: one graph with ``if`` and ``loop`` nodes.

Calls of all runs are paired one by one. Right after a condition whose outcome differed the runs go
their own ways: what each does until they meet again becomes a block. Where they meet is the
first call of one line from which on everything pairs again, and where nothing a Python variable
holds differs that is still read. Values that came to the meeting point by different ways are
outputs of the ``if``. Where runs come to a loop that had other numbers of rounds, the rounds of all
runs are laid over each other in the same way, as the body of a ``loop``. What cannot be laid so
raises :class:`Misfit`; nothing is guessed, and the caller proves the result by replaying every
run on it.

Owns the pairing; runs no model and no torch.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from ..calls.signatures import IF
from ..errors import GraphError
from ..graph import tree
from ..graph.check import finalize, name_values
from ..graph.choice import alike
from ..graph.geometry import setitem
from ..graph.graph import Graph
from ..graph.inputs import same_literal
from ..graph.nodes import Effects, Node, NumberType, Value
from .alike import Misfit, begun_alike, only_a_number
from .assigned_numbers import as_they_are
from .hidden import inside_alike, kept_alike, stand_alike
from .kept_lists import as_joined
from .leaving import written
from .lists_given import ListsGiven
from .looping import drop_unread
from .meeting import key_of, meetings
from .runs import Recorded, Span
from .scopes import Branch, Scope
from .standing import Held
from .ways import close, copied

_PATIENCE = 15  # pairings per recorded call before it is given up; what succeeds takes one
_CHOOSING = ("element", "if", "loop")  # what gives one of several


class Laid(NamedTuple):
    """Runs that are one graph.

    Attributes:
        graph: of all of them.
        fixed: name of a tensor and dimension of it (None: all) -> a size that was the same in all
            runs, and must be.
    """

    graph: Graph
    fixed: Collection[tuple[str, int | None]]


def branched(runs: Sequence[Recorded], confirms: bool = False) -> Laid:
    """One graph of several runs.

    Args:
        runs: straight graphs of one model, the first of which gives the recorded sizes.
        confirms: whether a line through numbers must go through one case more than tells it.

    Raises:
        Misfit: they cannot be laid over each other.
    """
    kept_alike("the end", (run.kept.get(None) for run in runs), ended=True)
    try:
        return _Laying(runs, confirms).laid()
    except (Misfit, GraphError):  # calls of one line that are given other numbers may still be one
        pass
    try:
        return _Laying(runs, confirms, parts_numbers=True).laid()
    except GraphError as error:  # what was tried for one place may stay where it is not to be
        raise Misfit(str(error)) from None


class _Laying(ListsGiven):
    """Runs being laid over each other."""

    def __init__(
        self, runs: Sequence[Recorded], confirms: bool, *, parts_numbers: bool = False
    ) -> None:
        super().__init__(runs)
        self.confirms, self.parts_numbers = confirms, parts_numbers
        self.left = _PATIENCE * sum(1 for run in runs for _ in run.graph.walk())
        first = runs[0].graph
        for r, run in enumerate(runs):
            self.constant(r, run.graph)
        self.inputs = self.given({r: run.graph.inputs for r, run in enumerate(runs)})
        whole = {r: _whole(run.graph.nodes, 0) for r, run in enumerate(runs)}
        self.lay(self.root, whole, self.root.nodes, self._finish)
        self.first = first

    def _finish(self) -> None:
        self.places, kept = self.left_behind(self.runs[: len(self.root.runs)])
        parts = {r: [run.graph.outputs, run.graph.left, kept[r]]
                 for r, run in enumerate(self.runs[: len(kept)])}  # fmt: skip
        self.lose(self.root, {r: self.runs[r].lost.get(None, ()) for r in self.root.runs},
                  self.root.nodes)  # fmt: skip
        self.reading = {r: _last(self.runs[r].standing) for r in self.root.runs}
        self.agree(self.root)
        self.results = self.resolved(self.root, parts, self.root.nodes)
        self.seal(self.root, list(tree.leaves(self.results, Value)))

    def laid(self) -> Laid:
        """The one graph."""
        self.results = as_they_are(self.root, self.results)
        drop_unread(self.root, list(tree.leaves(self.results, Value)), self.derived)
        close(self.root)
        as_joined(self.root.nodes, list(tree.leaves(self.results, Value)))
        first = self.first
        outputs, left, finals = self.results
        mutations, state = written(self.places, finals)
        changes = {one.path: one for run in reversed(self.runs) for one in run.graph.audit.changes}
        made = dataclasses.replace(
            first, inputs=self.inputs, outputs=outputs, left=left, mutations=mutations, state=state,
            audit=dataclasses.replace(first.audit, changes=list(changes.values())),
            nodes=self.root.nodes, constants=self.constants, origins=self.origins,
            layouts={self.env[0][v]: s for v, s in first.layouts.items()},
            differentiable={self.env[0][v] for v in first.differentiable},
        )  # fmt: skip
        for run in self.runs:
            made.modules = {**run.graph.modules, **made.modules}
        name_values(made)
        fixed = {(one[value].name, dim) for value, dim in self.fixed
                 for one in self.env if value in one}  # fmt: skip
        return Laid(finalize(made), fixed)

    # -- pairing

    def lay(
        self,
        scope: Scope,
        spans: dict[int, Span],
        out: list[Node],
        finish: Callable[[], None],
    ) -> None:
        """Pair the calls of the runs of a scope; ``finish`` once all have come to their end."""
        at = {r: span.start for r, span in spans.items()}
        while True:
            for r, span in spans.items():  # numbers are written down where they are read
                while at[r] < span.end and only_a_number(span.nodes[at[r]]):
                    at[r] += 1
            heads = {r: span.nodes[at[r]] for r, span in spans.items() if at[r] < span.end}
            if not heads:
                finish()
                return
            loop = self.loop_at(scope, spans, heads, out)
            if loop:
                self.through(scope, spans, at, loop, out, finish)
                return
            over = [r for r, node in heads.items() if self.is_told(scope, r, node, heads)]
            if over:
                for r in over:
                    at[r] += 1
                continue
            self.spend(len(heads))
            first = next(iter(heads.values()))
            if len(heads) < len(spans) or len({key_of(node) for node in heads.values()}) > 1:
                raise Misfit(f"only some runs come to: {first}   # {first.where}")
            if first.body is not None:
                self._module(scope, heads, out)
            elif _decides(heads) and len({node.result for node in heads.values()}) > 1:
                self._split(scope, spans, at, heads, out, finish)
                return
            else:
                self._call(scope, heads, out)
            for r in spans:
                at[r] += 1

    def _call(self, scope: Scope, heads: dict[int, Node], out: list[Node]) -> None:
        self._stand_alike(scope, heads)
        first = heads[scope.runs[0]]
        args = self._arguments(scope, heads, out)
        node = copied(first, args)
        if node.target is setitem:
            self._refuse_chosen_place(scope, node)
        if any(heads[r].effects.writes for r in scope.runs):
            self._refuse_aliases(scope, heads)
        if any(heads[r].effects.escape != first.effects.escape for r in scope.runs):
            raise Misfit(f"it does something else in another run: {first}")
        shared = {heads[r].effects.memory for r in scope.runs} - {None}
        if len(shared) > 1:
            raise Misfit(f"it is a view in one run, and a copy in another: {first}")
        if any(len(heads[r].outputs) != len(first.outputs) for r in scope.runs):
            self.list_given(scope, heads, node, out)
            return
        outputs = []
        for place, value in enumerate(first.outputs):
            made = self.new(value.type, node, scope)
            outputs.append(made)
            for r in scope.runs:
                other_value = heads[r].outputs[place]
                if not alike(other_value.type, value.type):
                    raise Misfit(f"{value!r} is {other_value!r} in another run")
                self.env[r][other_value] = made
        env = dict(zip(first.outputs, outputs))
        node.outputs = tuple(outputs)
        node.result = tree.substitute(first.result, Value, env.__getitem__)
        if first.effects.escape and not all(
            same_literal(heads[r].result, first.result) for r in scope.runs
        ):
            raise Misfit(f"it gave Python another value in another run: {first}")
        writes = {n: tree.substitute(part, Value, env.__getitem__)
                  for n, part in first.effects.writes.items()}  # fmt: skip
        drawn = begun_alike([heads[r] for r in scope.runs])
        node.effects = drawn._replace(writes=writes, memory=next(iter(shared), None))
        out.append(node)

    def _refuse_chosen_place(self, scope: Scope, node: Node) -> None:
        """Raise Misfit where an element of a tensor is written that a branch or a loop chose."""
        value = node.args.get("value")
        writer = value.producer if isinstance(value, Value) else None
        written = [] if writer is None else [writer.args[name] for name in writer.effects.writes]
        carried = [slot.param for body in scope.bodies for slot in body.loop.slots]
        for one in tree.leaves(written, Value):
            if one in carried or one.producer is not None and one.producer.op in _CHOOSING:
                raise Misfit(f"which element is written was decided before: {node.where}")

    def _refuse_aliases(self, scope: Scope, heads: Mapping[int, Node]) -> None:
        """Raise Misfit where a call writes what other variables hold in some runs alone."""
        found = set()
        for r in scope.runs:
            node, held = heads[r], self.runs[r].standing.get(heads[r])
            written = {*tree.leaves([node.args[name] for name in node.effects.writes], Value)}
            found.add(frozenset(p for p, v in held.read.items() if v in written) if held else None)
        if len(found) > 1:
            raise Misfit(f"variables of one memory are not on all paths: {node.where}")

    def _module(self, scope: Scope, heads: dict[int, Node], out: list[Node]) -> None:
        self._stand_alike(scope, heads)
        first = heads[scope.runs[0]]
        node = copied(first, self._arguments(scope, heads, out))
        node.body = []
        self.written.append({})

        def finish() -> None:
            parts = {r: heads[r].result for r in scope.runs}
            node.result = self.resolved(scope, parts, node.body or [])
            node.outputs = tuple(node.returned)

        spans = {r: _whole(heads[r].body or [], len(self.turns(r, heads[r]))) for r in scope.runs}
        body = node.body
        try:
            self.lay(scope, spans, body, finish)
        finally:
            self.written.pop()
        node.outputs = tuple(node.returned)
        out.append(node)

    def _split(
        self,
        scope: Scope,
        spans: dict[int, Span],
        at: dict[int, int],
        heads: dict[int, Node],
        out: list[Node],
        finish: Callable[[], None],
    ) -> None:
        """Let the runs of a scope go their ways after a condition, and pair what follows."""
        self.may_part(heads)
        self._stand_alike(scope, heads)
        first = heads[scope.runs[0]]
        if scope.after_a_branch:
            kept_alike(first.where, (self.runs[r].kept.get(heads[r]) for r in scope.runs))
            inside_alike(first.where, (self.runs[r].standing.get(heads[r]) for r in scope.runs))
        condition = copied(first, self._arguments(scope, heads, out))
        value = self.new(NumberType(bool, first.result), condition, scope)
        condition.result, condition.outputs = value, (value,)
        condition.effects = Effects(switches=first.effects.switches)
        out.append(condition)
        held = self._variables(scope, heads, out) if scope.after_a_branch else {}
        before = self.before(scope, heads, out)
        sides = [[r for r in scope.runs if heads[r].result is side] for side in (True, False)]
        mark = self.mark(scope, out)
        problem: Misfit | None = None
        for meeting in meetings(spans, at):
            self.back_to(mark, scope, out)
            try:
                self._may_meet(scope, spans, meeting)
                ways = [{r: spans[r]._replace(start=at[r] + 1, end=meeting[r]) for r in side}
                        for side in sides]  # fmt: skip
                then, otherwise = (self._way(scope, held, before, way) for way in ways)
                node = copied(first, {"condition": value, "inputs": ()})
                node.op, node.target, node.signature = "if", None, IF
                node.effects = Effects()
                out.append(node)
                scope.branches.append(Branch(node, then, otherwise, self.tick()))
                rest = {r: spans[r]._replace(start=meeting[r]) for r in scope.runs}
                self.lay(scope, rest, out, finish)
            except Misfit as error:
                problem = problem or error
                continue
            return
        raise problem or Misfit(f"the runs do not meet again after: {first}")

    def _variables(
        self, scope: Scope, heads: dict[int, Node], out: list[Node]
    ) -> dict[tuple[int, Value], dict[Any, Value | None]]:
        """A run and a Value -> variables that hold it at a condition -> what they hold in all."""
        known = {r: self.runs[r].standing.get(heads[r]) for r in scope.runs}
        seen = {r: one.tensors if one else {} for r, one in known.items()}
        held: dict[tuple[int, Value], dict[Any, Value | None]] = {}
        for place in dict.fromkeys(place for tensors in seen.values() for place in tensors):
            parts = {r: tensors[place] for r, tensors in seen.items() if place in tensors}
            meant = None
            if len(parts) == len(seen) and not self.coincides(scope, parts, place):
                with contextlib.suppress(Misfit):
                    meant = self.one(scope, parts, out)
            for r, value in parts.items():
                held.setdefault((r, value), {})[place] = meant
        return held

    def _way(self, scope: Scope, held: Any, before: Any, spans: dict[int, Span]) -> Scope:
        made = Scope(list(spans), scope, self.tick())
        made.held, made.before = held, before
        self.as_shown(made)
        self.written.append({})
        try:
            self.lay(made, spans, made.nodes, lambda: None)
        finally:
            self.written.pop()
        return made

    def _arguments(self, scope: Scope, heads: dict[int, Node], out: list[Node]) -> dict[str, Any]:
        first = heads[scope.runs[0]]
        if any(list(heads[r].args) != list(first.args) for r in scope.runs):
            raise Misfit(f"other arguments are given in another run: {first}")
        self.tells_index(scope, first)
        self.lose(scope, {r: self.lost_at(r, heads[r]) for r in scope.runs}, out)
        self.reading = {r: self.runs[r].standing.get(heads[r]) for r in scope.runs}
        if all(held is not None and held.beneath for held in self.reading.values()):
            self.beneath = heads
        try:
            args = {
                name: self.resolved(scope, {r: heads[r].args[name] for r in scope.runs}, out)
                for name in first.args
            }
            return self.settle(scope, heads, args)
        finally:
            self.reading, self.beneath = {}, {}

    def _stand_alike(self, scope: Scope, heads: dict[int, Node]) -> None:
        """Refuse to go on together where a Python variable that is still read differs."""
        if len(scope.runs) > 1 and scope.after_a_branch:
            self._go_on_alike(scope, heads)

    def _may_meet(self, scope: Scope, spans: dict[int, Span], meeting: dict[int, int]) -> None:
        """Refuse to meet where runs would not go on together, whatever ways led there."""
        heads = {r: spans[r].nodes[at] for r, at in meeting.items() if at < spans[r].end}
        if len(heads) == len(meeting) and all(
            len(self.turns(r, node)) == spans[r].depth and node not in self.runs[r].ends
            for r, node in heads.items()
        ):
            self._go_on_alike(scope, heads)

    def _go_on_alike(self, scope: Scope, heads: dict[int, Node]) -> None:
        held = {r: self.runs[r].standing.get(heads[r]) for r in scope.runs if r in heads}
        first = heads[scope.runs[0]]
        if len({self._left_to_go(r, heads[r]) for r in scope.runs if r in heads}) > 1:
            raise Misfit(f"other rounds of a loop are left at: {first}   # {first.where}")
        stand_alike(first, held, self.known)

    def _left_to_go(self, r: int, node: Node) -> tuple[Any, ...]:
        """In which rounds of loops laid as they come a call stands; no variable holds iterators."""
        return tuple(
            (turn.execution.loop.key, turn.number)
            for turn in self.turns(r, node)
            if turn.execution in self.unrolled
            and not isinstance(turn.execution.loop.node, ast.While)
        )


def _last(standing: Mapping[Node, Held]) -> Held | None:
    """What was held at the last call."""
    return next(reversed(list(standing.values())), None)


def _whole(nodes: Sequence[Node], depth: int) -> Span:
    return Span(nodes, 0, len(nodes), depth)


def _decides(heads: Mapping[int, Node]) -> bool:
    return all(
        node.effects.escape in ("branch", "value") and isinstance(node.result, bool)
        for node in heads.values()
    )
