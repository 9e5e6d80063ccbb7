"""One graph for other sizes: numbers become literals, sizes become names.

``static`` gives the graph of one size; ``rewritten`` is what it, and the merging of examples, are
made of. Pure functions of graphs; the one run that ``static`` needs is a replay.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from . import numbers, tree
from .account import Mutation, State
from .check import settle
from .choice import Block, Choice, every, is_choice
from .geometry import shape_of
from .graph import Graph
from .inputs import bind_inputs, dense_stride
from .nodes import Effects, Node, TensorType, Value
from .replay import fitting, replay


def static(graph: Graph, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None) -> Graph:
    """The graph of the sizes of these inputs: no number is a Value, no size has a name.

    Args:
        graph: a graph whose sizes vary.
        args: inputs by position.
        kwargs: inputs by name.

    Returns:
        a graph that takes inputs of these sizes alone; the same graph if nothing in it varies.

    Raises:
        Diverged: the graph does not take these inputs.
    """
    if not (graph.live or graph.variants or any(map(is_choice, every(graph.nodes)))):
        return graph
    graph, found = measured(graph, args, kwargs or {})
    types = {v: TensorType(v.type.dtype, n, v.type.device) for v, n in found.items()
             if not v.is_number}  # fmt: skip
    literals = {v: n for v, n in found.items() if v.is_number}
    made = rewritten(graph, literals, types)
    made.live, made.variants = [], []
    return made


def measured(
    graph: Graph, args: Sequence[Any], kwargs: dict[str, Any]
) -> tuple[Graph, dict[Value, Any]]:
    """What every Value is on these inputs: sizes of tensors, numbers themselves.

    Returns:
        the variant of the graph that takes the inputs, and Value -> its shape or number.
    """
    graph = fitting(graph, args, kwargs)
    found: dict[Value, Any] = {}

    def watch(node: Node, made: Sequence[Any]) -> None:
        found.update((v, one if v.is_number else shape_of(one))
                     for v, one in zip(node.outputs, made))  # fmt: skip

    given: dict[Value, Any] = {}
    bind_inputs(graph, args, kwargs, given, as_given=True)
    found.update((v, n if v.is_number else shape_of(n)) for v, n in given.items())
    replay(graph, args, kwargs, watch=watch, tell_numbers=True)
    return graph, found


def rewritten(
    graph: Graph, literals: Mapping[Value, Any], types: Mapping[Value, TensorType]
) -> Graph:
    """A copy of a graph with numbers replaced by literals and with other types.

    Calls that only computed such a number, and conditions on such numbers alone, are left out; what
    took one out of a tensor checks it from then on.
    """
    made = _Copy(graph, literals, types)
    return settle(made.graph)


class _Copy:
    """A graph being copied."""

    def __init__(
        self, graph: Graph, literals: Mapping[Value, Any], types: Mapping[Value, TensorType]
    ) -> None:
        self.literals, self.types = literals, types
        self.env: dict[Value, Any] = {}
        self.asked: set[Any] = set()  # conditions on numbers that hold from here on
        for value in graph.input_values:
            self.env[value] = self._copy(value, None)
        inputs = {name: self.look(part) for name, part in graph.inputs.items()}
        nodes = self._nodes(graph.nodes)
        outputs = self.look(graph.outputs)
        mutations = [Mutation(m.name, self.one(m.initial), self.one(m.final))
                     for m in graph.mutations]  # fmt: skip
        state = [State(s.path, self.one(s.initial), self.one(s.final)) for s in graph.state]
        self.graph = dataclasses.replace(
            graph, inputs=inputs, outputs=outputs, mutations=mutations, state=state,
            constants=dict(graph.constants.items()), origins=dict(graph.origins),
            layouts={self.one(v): self._layout(v, s) for v, s in graph.layouts.items()},
            differentiable={self.one(v) for v in graph.differentiable},
            status={}, unknown={},
        )  # fmt: skip
        needed = set(self.graph.results)
        self.graph.nodes = _needed(nodes, needed)

    def one(self, value: Value) -> Value:
        """The copy of a Value that is no literal."""
        made = self.env.get(value, value)
        assert isinstance(made, Value)
        return made

    def look(self, part: Any) -> Any:
        """A template over the copies."""
        return tree.substitute(part, Value, lambda v: self.env.get(v, v))

    def _layout(self, value: Value, stride: tuple[int, ...]) -> tuple[int, ...]:
        shape = self.one(value).type.shape
        return stride if shape == value.type.shape else dense_stride(shape, stride)

    def _copy(self, value: Value, producer: Node | None) -> Any:
        if value in self.literals:
            return self.literals[value]
        made = Value(value.name, self.types.get(value, value.type), producer)
        made.names = value.names
        return made

    def _nodes(self, nodes: Sequence[Node]) -> list[Node]:
        made = []
        for node in nodes:
            args = {name: self.look(part) for name, part in node.args.items()}
            body = None if node.body is None else self._nodes(node.body)
            if is_choice(node):
                made += self._branch(node, args)
                continue
            copy = Node(
                node.op, node.target, args, signature=node.signature, body=body, path=node.path,
                call=node.call, source=node.source,
            )  # fmt: skip
            if body is None:
                for value in node.outputs:
                    self.env[value] = self._copy(value, copy)
                if node.outputs and all(v in self.literals for v in node.outputs):
                    if node.target in numbers.FUNCTIONS:
                        continue  # it only computed numbers
            copy.result = self.look(node.result)
            copy.effects = self._effects(node)
            if body is None:
                copy.outputs = tuple(self.env[v] for v in node.outputs
                                     if self.env[v].__class__ is Value)  # fmt: skip
                if copy.effects.escape and node.target in numbers.FUNCTIONS:
                    key = (node.target, node.result, *((type(v), v) for v in args.values()))
                    if not copy.inputs or key in self.asked:
                        continue  # a condition that cannot be otherwise, or was met before
                    self.asked.add(key)
            else:
                copy.outputs = tuple(copy.returned)
            made.append(copy)
        return made

    def _branch(self, node: Node, args: dict[str, Any]) -> list[Node]:
        """A copied branch; where its condition is known, what the block of that outcome does."""
        if not isinstance(args["condition"], Value):
            block = node.target.block(args["condition"])
            self.env.update(zip(block.parameters, args["inputs"]))
            nodes = self._nodes(block.nodes)
            self.env.update(zip(node.outputs, self.look(block.outputs)))
            return nodes
        blocks, asked = [], self.asked
        for _, block in node.target.blocks:
            self.asked = set(asked)
            for value, given in zip(block.parameters, args["inputs"]):
                type = given.type if isinstance(given, Value) else value.type
                self.env[value] = Value(value.name, type)
            parameters = tuple(self.env[v] for v in block.parameters)
            nodes = self._nodes(block.nodes)
            outputs = self.look(block.outputs)
            needed = set(tree.leaves(outputs, Value))
            blocks.append(Block(parameters, _needed(nodes, needed), outputs))
        self.asked = asked
        copy = Node(
            node.op, Choice(*blocks), args, signature=node.signature, path=node.path,
            call=node.call, source=node.source,
        )  # fmt: skip
        for value in node.outputs:
            self.env[value] = self._copy(value, copy)
        copy.result = copy.outputs = tuple(self.env[v] for v in node.outputs)
        return [copy]

    def _effects(self, node: Node) -> Effects:
        effects = node.effects
        if node.body is None and any(v in self.literals for v in node.outputs):
            return Effects(effects.writes, effects.switches, escape="value")
        if effects.writes:
            writes = {name: self.look(part) for name, part in effects.writes.items()}
            return effects._replace(writes=writes)
        return effects


def _needed(nodes: list[Node], needed: set[Value]) -> list[Node]:
    """Nodes without those that compute an unread number; ``needed`` gains what the others read."""
    kept = []
    for node in reversed(nodes):
        unread = node.target in numbers.FUNCTIONS and not needed.intersection(node.outputs)
        if unread and not node.effects.escape:
            continue
        if node.body is not None:
            needed.update(node.outputs)
            node.body = _needed(node.body, needed)
        needed.update(node.inputs)
        kept.append(node)
    kept.reverse()
    return kept
