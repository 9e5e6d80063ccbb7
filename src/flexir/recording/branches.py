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
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch

from ..calls.signatures import EMPTY, POSITIONAL, Parameter, Signature
from ..graph import numbers, tree
from ..graph.check import settle
from ..graph.choice import Choice, closed, free_values, values_of
from ..graph.graph import Graph
from ..graph.inputs import same_literal
from ..graph.nodes import Effects, Node, NumberType, TensorType, Value
from .numbers import Laundered
from .standing import Held

_IF = Signature("if", [Parameter(n, n, POSITIONAL, EMPTY, None) for n in ("condition", "inputs")])
_PATIENCE = 60  # pairings per recorded call before runs are given up


class Misfit(Exception):
    """Runs that cannot be laid over each other; the text says where."""


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


class _Scope:
    """What belongs to the same runs: straight calls, and the branches among them."""

    def __init__(self, runs: Sequence[int], parent: _Scope | None, born: int) -> None:
        self.runs, self.parent, self.born = tuple(runs), parent, born
        self.made: dict[Value, int] = {}
        self.branches: list[_Branch] = []
        self.nodes: list[Node] = []
        # A run and a Value of it from before this scope -> what the variables that held it mean.
        self.held: dict[tuple[int, Value], set[Value | None]] = {}

    def age(self, value: Value) -> int:
        """When a Value was made; never, for one from inside a branch."""
        scope: _Scope | None = self
        while scope is not None:
            if value in scope.made:
                return scope.made[value]
            scope = scope.parent
        return -1

    def sees(self, value: Value) -> bool:
        """Whether a Value exists here: made in this scope, or around it before it began."""
        scope: _Scope | None = self
        limit: float = float("inf")
        while scope is not None:
            if scope.made.get(value, limit) < limit:
                return True
            limit, scope = scope.born, scope.parent
        return False

    @property
    def after_a_branch(self) -> bool:
        """Whether the runs here took different ways before."""
        scope: _Scope | None = self
        while scope is not None:
            if scope.branches:
                return True
            scope = scope.parent
        return False


class _Branch:
    """An ``if`` node to be: its two scopes, and the outputs asked for so far."""

    def __init__(self, node: Node, then: _Scope, otherwise: _Scope, born: int) -> None:
        self.node, self.then, self.otherwise, self.born = node, then, otherwise, born
        self.outputs: dict[tuple[Value, Value], Value] = {}


class _Span(NamedTuple):
    nodes: Sequence[Node]
    start: int
    end: int


class _Laying:
    """Runs being laid over each other."""

    def __init__(self, runs: Sequence[Recorded]) -> None:
        self.runs = runs
        self.env: list[dict[Value, Value]] = [{} for _ in runs]
        self.clock = 0
        self.left = _PATIENCE * sum(1 for run in runs for _ in run.graph.walk())
        self.written: list[dict[Any, Value]] = [{}]  # numbers, by body that is open
        self.root = _Scope(range(len(runs)), None, 0)
        first = runs[0].graph
        self.constants: dict[Value, torch.Tensor] = {}
        self.origins: dict[Value, Any] = {}
        for r, run in enumerate(runs):
            self._constants(r, run.graph)
        self.inputs = self._given({r: run.graph.inputs for r, run in enumerate(runs)})
        whole = {r: _Span(run.graph.nodes, 0, len(run.graph.nodes)) for r, run in enumerate(runs)}
        self._lay(self.root, whole, self.root.nodes, self._finish)
        self.first = first

    def _finish(self) -> None:
        parts = {r: run.graph.outputs for r, run in enumerate(self.runs)}
        self.outputs = self._resolved(self.root, parts, self.root.nodes)

    def graph(self) -> Graph:
        """The one graph."""
        _close(self.root)
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
                one = self._new(value.type, None, self.root)
                one.name, one.names = value.name, value.names
                self.constants[one], self.origins[one] = tensor, graph.origins[value]
            elif not _same_constant(self.constants[one], tensor):
                raise Misfit(f"{value!r} is another constant in another run")
            self.env[r][value] = one

    def _given(self, parts: dict[int, Any]) -> Any:
        def leaf(values: dict[int, Any]) -> Value:
            first = values[0]
            known = self.env[0].get(first)
            if known is None:
                known = self._new(first.type, None, self.root)
                known.name = first.name
            for r, value in values.items():
                if not _alike(value.type, first.type) or self.env[r].get(value, known) is not known:
                    raise Misfit(f"{first!r} is {value!r} in another run")
                self.env[r][value] = known
            return known

        return _zipped(parts, leaf)

    # -- pairing

    def _lay(
        self,
        scope: _Scope,
        spans: dict[int, _Span],
        out: list[Node],
        finish: Callable[[], None],
    ) -> None:
        """Pair the calls of the runs of a scope; ``finish`` once all have come to their end."""
        at = {r: span.start for r, span in spans.items()}
        while True:
            for r, span in spans.items():  # numbers are written down where they are read
                while at[r] < span.end and _only_a_number(span.nodes[at[r]]):
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

    def _call(self, scope: _Scope, heads: dict[int, Node], out: list[Node]) -> None:
        self._stand_alike(scope, heads)
        first = heads[scope.runs[0]]
        args = self._arguments(scope, heads, out)
        node = _copy(first, args)
        for r in scope.runs:
            other = heads[r]
            if len(other.outputs) != len(first.outputs) or other.effects.escape != (
                first.effects.escape
            ):
                raise Misfit(f"it does something else in another run: {first}")
        outputs = []
        for place, value in enumerate(first.outputs):
            made = self._new(value.type, node, scope)
            outputs.append(made)
            for r in scope.runs:
                other_value = heads[r].outputs[place]
                if not _alike(other_value.type, value.type):
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
        node.effects = dataclasses.replace(first.effects, writes=writes)
        out.append(node)

    def _module(self, scope: _Scope, heads: dict[int, Node], out: list[Node]) -> None:
        self._stand_alike(scope, heads)
        first = heads[scope.runs[0]]
        node = _copy(first, self._arguments(scope, heads, out))
        node.body = []
        self.written.append({})

        def finish() -> None:
            parts = {r: heads[r].result for r in scope.runs}
            node.result = self._resolved(scope, parts, node.body or [])
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
        scope: _Scope,
        spans: dict[int, _Span],
        at: dict[int, int],
        heads: dict[int, Node],
        out: list[Node],
        finish: Callable[[], None],
    ) -> None:
        """Let the runs of a scope go their ways after a condition, and pair what follows."""
        self._stand_alike(scope, heads)
        first = heads[scope.runs[0]]
        condition = _copy(first, self._arguments(scope, heads, out))
        value = self._new(NumberType(bool, first.result), condition, scope)
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
                node = _copy(first, {"condition": value, "inputs": ()})
                node.op, node.target, node.signature = "if", None, _IF
                node.effects = Effects()
                out.append(node)
                scope.branches.append(_Branch(node, then, otherwise, self._tick()))
                rest = {r: spans[r]._replace(start=meeting[r]) for r in scope.runs}
                self._lay(scope, rest, out, finish)
            except Misfit as error:
                problem = problem or error
                continue
            return
        raise problem or Misfit(f"the runs do not meet again after: {first}")

    def _variables(
        self, scope: _Scope, heads: dict[int, Node], out: list[Node]
    ) -> dict[tuple[int, Value], set[Value | None]]:
        """A run and a Value that variables hold at a condition -> what they hold in all runs."""
        known = {r: self.runs[r].standing.get(heads[r]) for r in scope.runs}
        seen = {r: one.tensors if one else {} for r, one in known.items()}
        held: dict[tuple[int, Value], set[Value | None]] = {}
        for place in dict.fromkeys(place for tensors in seen.values() for place in tensors):
            parts = {r: tensors[place] for r, tensors in seen.items() if place in tensors}
            try:
                meant = self._one(scope, parts, out) if len(parts) == len(seen) else None
            except Misfit:
                meant = None
            for r, value in parts.items():
                held.setdefault((r, value), set()).add(meant)
        return held

    def _way(self, scope: _Scope, held: Any, spans: dict[int, _Span]) -> _Scope:
        made = _Scope(list(spans), scope, self._tick())
        made.held = held
        self.written.append({})
        try:
            self._lay(made, spans, made.nodes, lambda: None)
        finally:
            self.written.pop()
        return made

    def _stand_alike(self, scope: _Scope, heads: dict[int, Node]) -> None:
        """Refuse to go on together where a Python variable that is still read differs."""
        if len(scope.runs) < 2 or not scope.after_a_branch:
            return
        first = heads[scope.runs[0]]
        held = [self.runs[r].standing.get(heads[r]) for r in scope.runs]
        seen = [one and one.plain for one in held]  # of a call nobody wrote nothing is noted
        if any(one != seen[0] for one in seen):
            raise Misfit(f"Python variables differ at: {first}   # {first.where}")

    # -- values

    def _tick(self) -> int:
        self.clock += 1
        return self.clock

    def _new(self, type: TensorType, producer: Node | None, scope: _Scope) -> Value:
        made = Value("", type, producer)
        scope.made[made] = self._tick()
        return made

    def _arguments(self, scope: _Scope, heads: dict[int, Node], out: list[Node]) -> dict[str, Any]:
        first = heads[scope.runs[0]]
        if any(list(heads[r].args) != list(first.args) for r in scope.runs):
            raise Misfit(f"other arguments are given in another run: {first}")
        return {
            name: self._resolved(scope, {r: heads[r].args[name] for r in scope.runs}, out)
            for name in first.args
        }

    def _resolved(self, scope: _Scope, parts: dict[int, Any], out: list[Node]) -> Any:
        return _zipped(parts, lambda values: self._one(scope, values, out))

    def _one(self, scope: _Scope, values: dict[int, Any], out: list[Node]) -> Value:
        """The Value that stands for what each run has in one place."""
        made = {r: self.env[r].get(value) for r, value in values.items()}
        first = next(iter(made.values()))
        if first is not None and all(one is first for one in made.values()) and scope.sees(first):
            return self._certain(scope, values, first)
        producers = {r: value.producer for r, value in values.items()}
        if all(node is not None and _only_a_number(node) for node in producers.values()):
            try:
                return self._number(scope, producers, out)
            except Misfit:
                pass
        return self._certain(scope, values, self._came(scope, values))

    def _came(self, scope: _Scope, values: dict[int, Any]) -> Value | None:
        """The output of the last branch by which these Values can have come."""
        around: _Scope | None = scope
        limit: float = float("inf")
        while around is not None:
            for branch in reversed(around.branches):
                if branch.born < limit:
                    try:
                        return self._output(around, branch, values)
                    except Misfit:
                        continue
            limit, around = min(limit, around.born), around.parent
        return None

    def _certain(self, scope: _Scope, values: dict[int, Any], found: Value | None) -> Value:
        """What a Value from before a block is in runs that came there by other ways.

        A block that only some runs show may read a variable that an earlier branch sets on the way
        they did not take. What the variables held at the condition, in all runs, decides.
        """
        if found is not None and not self._one_sided(scope, values, scope.age(found)):
            return found
        meant: set[Value | None] = set()
        for r, value in values.items():
            meant |= scope.held.get((r, value), set())
        if not meant and found in self.constants:
            return found
        if len(meant) == 1 and None not in meant:
            return meant.pop()  # type: ignore[return-value]
        names = ", ".join(map(str, values.values()))
        raise Misfit(f"it is not certain what one place holds: {names}")

    def _one_sided(self, scope: _Scope, runs: Collection[int], age: int) -> bool:
        """Whether the runs are all of one side of a branch that came after a Value was made."""
        around: _Scope | None = scope
        limit: float = float("inf")
        while around is not None:
            for branch in around.branches:
                if age < branch.born < limit:
                    sides = [any(r in way.runs for r in runs)
                             for way in (branch.then, branch.otherwise)]  # fmt: skip
                    if sides.count(True) == 1:
                        return True
            limit, around = min(limit, around.born), around.parent
        return False

    def _number(self, scope: _Scope, nodes: dict[int, Node], out: list[Node]) -> Value:
        """A number computed alike in all runs, written down here."""
        first = next(iter(nodes.values()))
        if len({node.target for node in nodes.values()}) > 1:
            raise Misfit(f"a number is computed otherwise: {first}")
        args = {
            name: self._resolved(scope, {r: node.args[name] for r, node in nodes.items()}, out)
            for name in first.args
        }
        key = (first.target, *((name, type(part), part) for name, part in args.items()))
        for body in reversed(self.written):
            known = body.get(key)
            if known is not None and scope.sees(known):
                return known
        node = _copy(first, args)
        made = self._new(first.outputs[0].type, node, scope)
        node.result, node.outputs = made, (made,)
        node.effects = first.effects
        out.append(node)
        self.written[-1][key] = made
        return made

    def _output(self, scope: _Scope, branch: _Branch, values: dict[int, Any]) -> Value:
        """The output of a branch for what came to it by both ways."""
        ways = (branch.then, branch.otherwise)
        pair = [
            self._one(way, came, way.nodes) if came else None
            for way in ways
            if (came := {r: value for r, value in values.items() if r in way.runs}) or True
        ]
        then, otherwise = pair
        if then is None or otherwise is None:
            raise Misfit("what comes by the other way is not known")
        if then is otherwise:
            return then
        known = branch.outputs.get((then, otherwise))
        if known is not None:
            return known
        if not _alike(then.type, otherwise.type):
            raise Misfit(f"{then!r} and {otherwise!r} come to the same place")
        lead = branch.then if scope.runs[0] in branch.then.runs else branch.otherwise
        made = Value("", (then if lead is branch.then else otherwise).type, branch.node)
        scope.made[made] = branch.born
        branch.outputs[then, otherwise] = made
        return made


def _close(scope: _Scope) -> None:
    """Turn branches into nodes, from the inside out."""
    for branch in scope.branches:
        _close(branch.then)
        _close(branch.otherwise)
        ways = [(branch.then.nodes, [a for a, _ in branch.outputs]),
                (branch.otherwise.nodes, [b for _, b in branch.outputs])]  # fmt: skip
        inputs = list(dict.fromkeys(v for way in ways for v in free_values(*way)))
        node = branch.node
        node.target = Choice(*(closed(nodes, outputs, inputs) for nodes, outputs in ways))
        node.args = {"condition": node.args["condition"], "inputs": tuple(inputs)}
        node.outputs = node.result = tuple(branch.outputs.values())


def _meetings(spans: dict[int, _Span], at: dict[int, int]) -> Iterator[dict[int, int]]:
    """Where runs may meet again: calls of one line, nearest first; at last, their ends."""
    places: dict[int, dict[Any, int]] = {}
    for r, span in spans.items():
        found: dict[Any, int] = {}
        for place in range(at[r] + 1, span.end):
            node = span.nodes[place]
            if not _only_a_number(node):
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


def _only_a_number(node: Node) -> bool:
    return node.body is None and bool(node.outputs) and node.target in numbers.FUNCTIONS


def _copy(node: Node, args: dict[str, Any]) -> Node:
    return Node(
        node.op, node.target, args, signature=node.signature, path=node.path, call=node.call,
        source=node.source,
    )  # fmt: skip


def _alike(one: TensorType, other: TensorType) -> bool:
    if isinstance(one, NumberType) or isinstance(other, NumberType):
        return (
            isinstance(one, NumberType) and isinstance(other, NumberType) and one.kind is other.kind
        )
    return (one.dtype, len(one.shape), one.device) == (
        other.dtype, len(other.shape), other.device,
    )  # fmt: skip


def _same_constant(one: torch.Tensor, other: torch.Tensor) -> bool:
    if one is other:
        return True
    plain = one.layout is torch.strided and other.layout is torch.strided
    if not plain or one.dtype != other.dtype or one.shape != other.shape:
        return False
    return one.device.type != "meta" and torch.equal(one, other)


def _zipped(parts: dict[int, Any], leaf: Callable[[dict[int, Any]], Value]) -> Any:
    """Templates of several runs as one; ``leaf`` gets the Values of one place."""
    first = next(iter(parts.values()))
    cls = first.__class__
    if any(part.__class__ is not cls for part in parts.values()):
        raise Misfit(f"{first!r} is of another kind in another run")

    def inner(get: Callable[[Any], Any]) -> Any:
        return _zipped({r: get(part) for r, part in parts.items()}, leaf)

    if cls is Value:
        return leaf(parts)
    if cls in (tuple, list, dict) and any(len(part) != len(first) for part in parts.values()):
        raise Misfit(f"{tree.show(first, Value)} is of another length in another run")
    if cls is tuple or cls is list:
        return cls([inner(lambda part, i=i: part[i]) for i in range(len(first))])  # type: ignore[misc]
    if cls is dict:
        if any(list(part) != list(first) for part in parts.values()):
            raise Misfit("a dict has other keys in another run")
        return {key: inner(lambda part, key=key: part[key]) for key in first}  # type: ignore[misc]
    if cls is slice:
        ends = ("start", "stop", "step")
        return slice(*[inner(lambda part, end=end: getattr(part, end)) for end in ends])  # type: ignore[misc]
    if cls is tree.Record:
        if any(part.cls is not first.cls for part in parts.values()):
            raise Misfit("an object is of another class in another run")
        return tree.Record(
            first.cls, inner(lambda part: part.items), inner(lambda part: part.attributes)
        )
    if not all(part is first or same_literal(part, first) for part in parts.values()):
        shown = ", ".join(tree.show(part, Value) for part in parts.values())
        raise Misfit(f"a number that nothing explains: {shown}")
    return first
