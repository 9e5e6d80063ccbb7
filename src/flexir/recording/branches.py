"""Runs that took different paths, laid over each other: one graph with ``if`` nodes.

Calls of all runs are paired one by one. Right after a condition whose outcome differed the runs go
their own ways: what each does until they meet again becomes a block. Where they meet is the
first call of one line from which on everything pairs again, and where nothing a Python variable
holds differs that is still read. Values that came to the meeting point by different ways are
outputs of the ``if``. What cannot be laid so raises :class:`Misfit`; nothing is guessed, and
whoever calls proves the result by replaying every run on it.

Owns the pairing; runs no model and no torch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..calls.kinds import EMPTY, Parameter
from ..calls.signatures import POSITIONAL, Signature
from ..graph import tree
from ..graph.check import settle
from ..graph.choice import values_of
from ..graph.graph import Graph
from ..graph.inputs import same_literal
from ..graph.nodes import Effects, Node, NumberType, Value
from .numbers import Laundered
from .standing import Held
from .ways import (
    Branch,
    Misfit,
    Scope,
    Ways,
    alike,
    close,
    copied,
    only_a_number,
    same_constant,
    zipped,
)

_IF = Signature("if", [Parameter(n, n, POSITIONAL, EMPTY, None) for n in ("condition", "inputs")])
_PATIENCE = 60  # pairings per recorded call before runs are given up


class Recorded(NamedTuple):
    """One run.

    Attributes:
        graph: its straight graph.
        standing: call -> what the user's functions held that they may still read.
        laundered: where a number lost its origin.
    """

    graph: Graph
    standing: Mapping[Node, Held]
    laundered: Sequence[Laundered] = ()


def branched(runs: Sequence[Recorded]) -> Graph:
    """One graph of several runs.

    Args:
        runs: straight graphs of one model, the first of which gives the recorded sizes.

    Raises:
        Misfit: they cannot be laid over each other.
    """
    for run in runs:
        graph = run.graph
        if graph.mutations or graph.state or graph.audit.changes:
            raise Misfit("a run leaves something behind for the next")
        if any(node.effects.random for node in graph):
            raise Misfit("a run draws random numbers")
    return _Laying(runs).graph()


class _Span(NamedTuple):
    nodes: Sequence[Node]
    start: int
    end: int


class _Laying(Ways):
    """Runs being laid over each other."""

    def __init__(self, runs: Sequence[Recorded]) -> None:
        super().__init__(len(runs))
        self.runs = runs
        self.left = _PATIENCE * sum(1 for run in runs for _ in run.graph.walk())
        self.root = Scope(range(len(runs)), None, 0)
        first = runs[0].graph
        self.origins: dict[Value, Any] = {}
        for r, run in enumerate(runs):
            self._constants(r, run.graph)
        self.inputs = self._given({r: run.graph.inputs for r, run in enumerate(runs)})
        whole = {r: _Span(run.graph.nodes, 0, len(run.graph.nodes)) for r, run in enumerate(runs)}
        self._lay(self.root, whole, self.root.nodes, self._finish)
        self.first = first

    def _finish(self) -> None:
        parts = {r: run.graph.outputs for r, run in enumerate(self.runs)}
        self.outputs = self.resolved(self.root, parts, self.root.nodes)

    def graph(self) -> Graph:
        """The one graph."""
        close(self.root)
        first = self.first
        made = dataclasses.replace(
            first, inputs=self.inputs, outputs=self.outputs, nodes=self.root.nodes,
            constants=self.constants, origins=self.origins,
            layouts={self.env[0][v]: s for v, s in first.layouts.items()},
            differentiable={self.env[0][v] for v in first.differentiable},
        )  # fmt: skip
        for run in self.runs:
            made.modules = {**run.graph.modules, **made.modules}
        taken = {v.name for v in (*made.input_values, *made.constants)}
        free = (name for name in map(str, range(1, 1 << 60)) if name not in taken)
        for value, name in zip(values_of(made.nodes), free):
            value.name = name
        return settle(made)

    # -- what stands before the run

    def _constants(self, r: int, graph: Graph) -> None:
        known = {value.name: value for value in self.constants}
        for value, tensor in graph.constants.items():
            one = known.get(value.name)
            if one is None:
                one = self.new(value.type, None, self.root)
                one.name, one.names = value.name, value.names
                self.constants[one], self.origins[one] = tensor, graph.origins[value]
            elif not same_constant(self.constants[one], tensor):
                raise Misfit(f"{value!r} is another constant in another run")
            self.env[r][value] = one

    def _given(self, parts: dict[int, Any]) -> Any:
        def leaf(values: dict[int, Any]) -> Value:
            first = values[0]
            known = self.env[0].get(first)
            if known is None:
                known = self.new(first.type, None, self.root)
                known.name = first.name
            for r, value in values.items():
                if not alike(value.type, first.type) or self.env[r].get(value, known) is not known:
                    raise Misfit(f"{first!r} is {value!r} in another run")
                self.env[r][value] = known
            return known

        return zipped(parts, leaf)

    # -- pairing

    def _lay(
        self,
        scope: Scope,
        spans: dict[int, _Span],
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
            self.left -= len(heads)
            if self.left < 0:
                raise Misfit("too many ways to lay the runs over each other")
            first = next(iter(heads.values()))
            if len(heads) < len(spans) or len({_key(node) for node in heads.values()}) > 1:
                raise Misfit(f"only some runs come to: {first}   # {first.where}")
            if first.body is not None:
                self._module(scope, heads, out)
            elif len({repr(node.result) for node in heads.values()}) > 1 and _decides(heads):
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
        for r in scope.runs:
            other = heads[r]
            if len(other.outputs) != len(first.outputs) or other.effects.escape != (
                first.effects.escape
            ):
                raise Misfit(f"it does something else in another run: {first}")
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
        node.effects = first.effects._replace(writes=writes)
        out.append(node)

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

        spans = {r: _Span(heads[r].body or [], 0, len(heads[r].body or [])) for r in scope.runs}
        body = node.body
        try:
            self._lay(scope, spans, body, finish)
        finally:
            self.written.pop()
        node.outputs = tuple(node.returned)
        out.append(node)

    def _split(
        self,
        scope: Scope,
        spans: dict[int, _Span],
        at: dict[int, int],
        heads: dict[int, Node],
        out: list[Node],
        finish: Callable[[], None],
    ) -> None:
        """Let the runs of a scope go their ways after a condition, and pair what follows."""
        self._stand_alike(scope, heads)
        first = heads[scope.runs[0]]
        condition = copied(first, self._arguments(scope, heads, out))
        value = self.new(NumberType(bool, first.result), condition, scope)
        condition.result, condition.outputs = value, (value,)
        condition.effects = Effects(switches=first.effects.switches)
        out.append(condition)
        held = self._variables(scope, heads, out) if scope.after_a_branch else {}
        sides = [[r for r in scope.runs if heads[r].result is side] for side in (True, False)]
        mark, branches = len(out), len(scope.branches)
        written = [dict(body) for body in self.written]
        problem: Misfit | None = None
        for meeting in _meetings(spans, at):
            del out[mark:], scope.branches[branches:]
            self.written[:] = [dict(body) for body in written]
            try:
                then, otherwise = (
                    self._way(scope, held, {r: spans[r]._replace(start=at[r] + 1, end=meeting[r])
                                      for r in side})
                    for side in sides
                )  # fmt: skip
                node = copied(first, {"condition": value, "inputs": ()})
                node.op, node.target, node.signature = "if", None, _IF
                node.effects = Effects()
                out.append(node)
                scope.branches.append(Branch(node, then, otherwise, self.tick()))
                rest = {r: spans[r]._replace(start=meeting[r]) for r in scope.runs}
                self._lay(scope, rest, out, finish)
            except Misfit as error:
                problem = problem or error
                continue
            return
        raise problem or Misfit(f"the runs do not meet again after: {first}")

    def _variables(
        self, scope: Scope, heads: dict[int, Node], out: list[Node]
    ) -> dict[tuple[int, Value], set[Value | None]]:
        """A run and a Value that variables hold at a condition -> what they hold in all runs."""
        known = {r: self.runs[r].standing.get(heads[r]) for r in scope.runs}
        seen = {r: one.tensors if one else {} for r, one in known.items()}
        held: dict[tuple[int, Value], set[Value | None]] = {}
        for place in dict.fromkeys(place for tensors in seen.values() for place in tensors):
            parts = {r: tensors[place] for r, tensors in seen.items() if place in tensors}
            try:
                meant = self.one(scope, parts, out) if len(parts) == len(seen) else None
            except Misfit:
                meant = None
            for r, value in parts.items():
                held.setdefault((r, value), set()).add(meant)
        return held

    def _way(self, scope: Scope, held: Any, spans: dict[int, _Span]) -> Scope:
        made = Scope(list(spans), scope, self.tick())
        made.held = held
        self.written.append({})
        try:
            self._lay(made, spans, made.nodes, lambda: None)
        finally:
            self.written.pop()
        return made

    def _arguments(self, scope: Scope, heads: dict[int, Node], out: list[Node]) -> dict[str, Any]:
        first = heads[scope.runs[0]]
        if any(list(heads[r].args) != list(first.args) for r in scope.runs):
            raise Misfit(f"other arguments are given in another run: {first}")
        return {
            name: self.resolved(scope, {r: heads[r].args[name] for r in scope.runs}, out)
            for name in first.args
        }

    def _stand_alike(self, scope: Scope, heads: dict[int, Node]) -> None:
        """Refuse to go on together where a Python variable that is still read differs."""
        if len(scope.runs) < 2 or not scope.after_a_branch:
            return
        first = heads[scope.runs[0]]
        held = [self.runs[r].standing.get(heads[r]) for r in scope.runs]
        seen = [one and one.plain for one in held]  # of a call nobody wrote nothing is noted
        if any(one != seen[0] for one in seen):
            raise Misfit(f"Python variables differ at: {first}   # {first.where}")


def _meetings(spans: dict[int, _Span], at: dict[int, int]) -> Iterator[dict[int, int]]:
    """Where runs may meet again: calls of one line, nearest first; at last, their ends."""
    places: dict[int, dict[Any, int]] = {}
    for r, span in spans.items():
        found: dict[Any, int] = {}
        for place in range(at[r] + 1, span.end):
            node = span.nodes[place]
            if not only_a_number(node):
                found.setdefault(_key(node), place)
        places[r] = found
    lead = next(iter(spans))
    for key in places[lead]:
        if all(key in found for found in places.values()):
            yield {r: found[key] for r, found in places.items()}
    yield {r: span.end for r, span in spans.items()}


def _key(node: Node) -> Any:
    return node.op, node.path, node.source, node.body is None


def _decides(heads: Mapping[int, Node]) -> bool:
    return all(
        node.effects.escape in ("branch", "value") and isinstance(node.result, bool)
        for node in heads.values()
    )
