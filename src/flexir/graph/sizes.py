"""One graph for other sizes: numbers become literals, sizes become names.

``static`` gives the graph of one size; ``rewritten`` is what it, and the merging of examples, are
made of. Pure functions of graphs; the one run that ``static`` needs is a replay.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from ..errors import Error
from . import numbers, tree
from .account import Mutation, State
from .check import finalize, name_values
from .choice import Block, Choice, Loop, blocks_of, every, is_choice, is_loop
from .decided import by_values
from .geometry import shape_of
from .graph import Graph
from .inputs import bind_inputs, dense_stride
from .lists import counted, element, joined
from .nodes import Effects, ListType, Node, TensorType, Value
from .replay import fitting, replay


def static(
    graph: Graph,
    args: Sequence[Any] = (),
    kwargs: dict[str, Any] | None = None,
    *,
    blocks: bool = False,
) -> Graph:
    """The graph of the sizes of these inputs: no number is a Value, no size has a name.

    Args:
        graph: a graph whose sizes vary.
        args: inputs by position.
        kwargs: inputs by name.
        blocks: keep branches and loops that values decide, and the numbers that they are; without,
            it goes the way of these inputs alone.

    Returns:
        a graph that takes inputs of these sizes alone; the same graph if nothing in it varies.

    Raises:
        Diverged: the graph does not take these inputs.
        Error: the examples took paths that are kept as graphs of their own, and values say which.
    """
    if blocks and any(by_values(one)[1] for one in (graph, *graph.variants) if graph.variants):
        raise Error("values decide which of several graphs it is; there is none of both. Without "
                    "also= it is the graph of one")  # fmt: skip
    several = bool(graph.variants)
    graph = fitting(graph, args, kwargs or {})
    any_blocks = any(map(blocks_of, every(graph.nodes)))
    if not (graph.live or several or any_blocks):
        return graph
    free, led = by_values(graph) if blocks else (set(), set())
    if any_blocks:
        graph = straight(graph, args, kwargs or {}, led)
        free, led = by_values(graph) if blocks else (set(), set())
    graph, found = measured(graph, args, kwargs or {}, led)
    if counted := next((v for v in found if v.is_list and v in free), None):
        raise Error(f"values decide how many tensors {counted!r} holds")
    types: dict[Value, Any] = {
        v: [v.type.element.resized(one) for one in n] if isinstance(v.type, ListType)
        else TensorType(v.type.dtype, n, v.type.device)
        for v, n in found.items() if not v.is_number
    }  # fmt: skip
    literals = {v: n for v, n in found.items() if v.is_number and v not in free}
    made = rewritten(graph, literals, types)
    made.live, made.variants = [], []
    return made


def measured(
    graph: Graph, args: Sequence[Any], kwargs: dict[str, Any], led: Collection[Node] = ()
) -> tuple[Graph, dict[Value, Any]]:
    """What every Value is on these inputs: sizes of tensors, numbers themselves.

    Returns:
        the variant of the graph that takes the inputs, and Value -> its shape or number.
    """
    graph = fitting(graph, args, kwargs)
    found: dict[Value, Any] = {}

    def watch(node: Node, made: Sequence[Any]) -> None:
        found.update((v, measure(v, one)) for v, one in zip(node.outputs, made))

    given: dict[Value, Any] = {}
    bind_inputs(graph, args, kwargs, given, as_given=True)
    found.update((v, measure(v, one)) for v, one in given.items())

    def begin(parameters: Sequence[Value], given: Sequence[Any]) -> None:
        found.update((v, measure(v, n)) for v, n in zip(parameters, given) if n is not None)

    replay(graph, args, kwargs, watch=watch, tell_numbers=True, begin=begin, led=led)
    return graph, found


def measure(value: Value, made: Any) -> Any:
    """A number itself, the sizes of a tensor, or what it is of each element of a list."""
    if value.is_number:
        return made
    if value.is_list_of_numbers:
        return list(made)
    return list(map(shape_of, made)) if value.is_list else shape_of(made)


def straight(
    graph: Graph, args: Sequence[Any], kwargs: dict[str, Any], led: Collection[Node] = ()
) -> Graph:
    """A graph without blocks: those that these inputs run stand in a row, in place of the calls.

    Those in ``led`` stay.
    """
    graph = fitting(graph, args, kwargs)
    taken: list[Any] = []
    replay(graph, args, kwargs, taken=taken, led=led)
    return _Copy(graph, {}, {}, iter(taken)).graph


def rewritten(
    graph: Graph, literals: Mapping[Value, Any], types: Mapping[Value, Any], *, plain: bool = False
) -> Graph:
    """A copy of a graph with numbers replaced by literals and with other types.

    Calls that only computed such a number, and conditions on such numbers alone, are left out; what
    took one out of a tensor, or gave one to Python, checks it from then on.

    Args:
        graph: the graph.
        literals: Value -> its number.
        types: Value -> its type.
        plain: keep what gave Python a number that varies.
    """
    return _Copy(graph, literals, types, plain=plain).graph


class _Copy:
    """A graph being copied; ``taken`` says which blocks stand in a row instead: None for none."""

    def __init__(
        self,
        graph: Graph,
        literals: Mapping[Value, Any],
        types: Mapping[Value, Any],
        taken: Iterator[Any] | None = None,
        plain: bool = False,
    ) -> None:
        self.literals, self.types, self.taken, self.plain = literals, types, taken, plain
        self.env: dict[Value, Any] = {}
        self.asked: set[Any] = set()  # conditions on numbers that hold from here on
        self.given = _given_to_blocks(graph.nodes)  # lists that stay one Value
        for value in graph.input_values:
            self.env[value] = self._copy(value, None)
        inputs = {name: self.look(part) for name, part in graph.inputs.items()}
        nodes = self._nodes(graph.nodes)
        outputs, left = self.look([graph.outputs, graph.left])  # they share objects
        mutations = [Mutation(m.name, self.one(m.initial), self.one(m.final))
                     for m in graph.mutations]  # fmt: skip
        state = [State(s.path, self.one(s.initial), self.one(s.final)) for s in graph.state]
        self.graph = dataclasses.replace(
            graph, inputs=inputs, outputs=outputs, left=left,
            mutations=mutations, state=state,
            constants=dict(graph.constants.items()), origins=dict(graph.origins),
            layouts={self.one(v): self._layout(v, s) for v, s in graph.layouts.items()},
            differentiable={self.one(v) for v in graph.differentiable},
            status={}, unknown={},
        )  # fmt: skip
        needed = set(self.graph.results)
        self.graph.nodes = self._needed(nodes, needed)
        if taken is not None:
            name_values(self.graph)
        finalize(self.graph)

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
        type = self.types.get(value, value.type)
        if type.__class__ is list and value in self.given:
            assert isinstance(value.type, ListType)
            type = ListType(len(type), next(iter(type), value.type.element))
        if type.__class__ is list:  # a list whose length is known is its elements
            return [Value(f"{value.name}.{k}", one, producer) for k, one in enumerate(type)]
        made = Value(value.name, type, producer)
        made.names = value.names
        return made

    def _nodes(self, nodes: Sequence[Node]) -> list[Node]:
        made = []
        for node in nodes:
            args = {name: self.look(part) for name, part in node.args.items()}
            picks = node.target is element and node.outputs and type(args["index"]) is int
            if picks and type(args["input"]) in (list, tuple):  # else a later copy, or a guard
                self.env[node.outputs[0]] = args["input"][args["index"]]
                continue
            if node.target is counted and not any(tree.leaves(list(args.values()), Value)):
                self.env[node.outputs[0]] = counted(**args)
                continue
            if node.target is joined and not self._is_whole(node, args["parts"]):
                self.env[node.outputs[0]] = joined([[part] if isinstance(part, Value) else part
                                                    for part in args["parts"]])  # fmt: skip
                continue
            body = None if node.body is None else self._nodes(node.body)
            if is_choice(node):
                made += self._branch(node, args)
                continue
            if is_loop(node):
                rounds = None if self.taken is None else next(self.taken)
                made += self._unrolled(node, args, rounds)
                continue
            copy = Node(
                node.op, node.target, args, signature=node.signature, body=body, path=node.path,
                call=node.call, source=node.source,
            )  # fmt: skip
            if body is None:
                for value in node.outputs:
                    self.env[value] = self._copy(value, copy)
                if node.outputs and all(v in self.literals for v in node.outputs):
                    if node.target in numbers.FUNCTIONS and node.target is not numbers.plain:
                        continue  # it only computed numbers
            copy.result = self.look(node.result)
            copy.effects = self._effects(node)
            if body is None:
                made_here = [self.env[v] for v in node.outputs]
                copy.outputs = tuple(tree.leaves(made_here, Value))
                if copy.effects.escape and node.target in numbers.FUNCTIONS:
                    key = (node.target, node.result, *((type(v), v) for v in args.values()))
                    if not copy.inputs or key in self.asked:
                        continue  # a condition that cannot be otherwise, or was met before
                    self.asked.add(key)
            else:
                copy.outputs = tuple(copy.returned)
            made.append(copy)
        return made

    def _is_whole(self, node: Node, parts: Any) -> bool:
        """Whether it is not known of which elements a list consists."""
        return _is_list(parts) or any(map(_is_list, parts)) or node.outputs[0] in self.given

    def _branch(self, node: Node, args: dict[str, Any]) -> list[Node]:
        """A copied branch; where its condition is known, what the block of that outcome does."""
        outcome = None if self.taken is None else next(self.taken)
        outcome = args["condition"] if outcome is None else outcome
        if not isinstance(outcome, Value):
            block = node.target.block(outcome)
            self.env.update(zip(block.parameters, args["inputs"]))
            nodes = self._nodes(block.nodes)
            self.env.update(zip(node.outputs, self.look(block.outputs)))
            return nodes
        blocks = [self._block(block, args["inputs"]) for _, block in node.target.blocks]
        return [self._with_blocks(node, Choice(*blocks), args)]

    def _loop(self, node: Node, args: dict[str, Any]) -> Node:
        """A copied loop."""
        loop = node.target
        first = loop.body.parameters[: 1 + len(args["carried"])]
        given = [Value(v.name, self.types.get(v, v.type)) for v in first]
        body = self._block(loop.body, (*given, *args["inputs"]))
        return self._with_blocks(node, Loop(body, loop.ends, loop.least), args)

    def _unrolled(self, node: Node, args: dict[str, Any], rounds: int | None) -> list[Node]:
        """The rounds of a loop one after the other; the loop if it is not said how many."""
        if rounds is None:
            return [self._loop(node, args)]
        body, carried, nodes = node.target.body, args["carried"], []
        lists: list[list[Any]] = [[] for _ in body.outputs[1 + len(carried) :]]
        for number in range(rounds):
            self.env.update(zip(body.parameters, (number, *carried, *args["inputs"])))
            nodes += self._nodes(body.nodes)
            made = self.look(body.outputs)[1:]
            carried = made[: len(carried)]
            for one, gained in zip(lists, made[len(carried) :]):
                one += [] if gained is None else [gained]
        self.env.update(zip(node.outputs, (*carried, *lists)))
        return nodes

    def _block(self, block: Block, given: Sequence[Any]) -> Block:
        """A copied block; what is asked in it holds there alone."""
        asked, self.asked = self.asked, set(self.asked)
        for value, one in zip(block.parameters, given):
            type = one.type if isinstance(one, Value) else value.type
            self.env[value] = Value(value.name, type)
        parameters = tuple(self.env[v] for v in block.parameters)
        nodes = self._nodes(block.nodes)
        outputs = self.look(block.outputs)
        self.asked = asked
        return Block(parameters, self._needed(nodes, set(tree.leaves(outputs, Value))), outputs)

    def _with_blocks(self, node: Node, target: Any, args: dict[str, Any]) -> Node:
        copy = Node(
            node.op, target, args, signature=node.signature, path=node.path,
            call=node.call, source=node.source,
        )  # fmt: skip
        for value in node.outputs:
            self.env[value] = self._copy(value, copy)
        copy.result = copy.outputs = tuple(self.env[v] for v in node.outputs)
        return copy

    def _effects(self, node: Node) -> Effects:
        effects = node.effects
        if node.body is None and any(v in self.literals for v in node.outputs):
            return Effects(effects.writes, effects.switches, escape="value")
        if effects.writes:
            writes = {name: self.look(part) for name, part in effects.writes.items()}
            return effects._replace(writes=writes)
        return effects

    def _needed(self, nodes: list[Node], needed: set[Value]) -> list[Node]:
        """Nodes without those that compute an unread number; ``needed`` gains what they read."""
        kept = []
        for node in reversed(nodes):
            spare = node.target in numbers.FUNCTIONS or _only_lists(node)
            if node.target is numbers.plain and self.plain:
                spare = False
            unread = spare and not needed.intersection(node.outputs)
            if unread and not node.effects.escape:
                continue
            if node.body is not None:
                needed.update(node.outputs)
                node.body = self._needed(node.body, needed)
            needed.update(node.inputs)
            kept.append(node)
        kept.reverse()
        return kept


def _given_to_blocks(nodes: Sequence[Node]) -> set[Value]:
    """The lists that blocks are given, or give."""
    found: set[Value] = set()
    for node in (node for node in every(nodes) if blocks_of(node)):
        parts = [node.args["inputs"], node.args.get("carried", ())]
        parts += [block.outputs for _, block in blocks_of(node)]
        found.update(value for value in tree.leaves(parts, Value) if value.is_list)
    return found


def _is_list(part: Any) -> bool:
    return isinstance(part, Value) and part.is_list


def _only_lists(node: Node) -> bool:
    """Whether a call only takes a tensor apart, or picks one of a list."""
    if node.body is not None or not node.outputs or blocks_of(node):
        return False
    return node.target is element or all(value.is_list for value in node.outputs)
