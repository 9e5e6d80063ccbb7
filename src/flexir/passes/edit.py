"""Graphs from graphs: copy nodes on other Values, put calls before others, replace Values.

A graph is never changed. An :class:`Edit` collects what should be different and builds a new one,
checked. A module node whose inside is no longer what its module computes gets a stand-in for its
target, so that no handler claims it for the module it was.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch

from ..calls.schemas import op_of, signatures
from ..errors import GraphError
from ..graph import collector, tree
from ..graph.account import Mutation, Origin, State
from ..graph.check import finalize, free_name, value_names
from ..graph.geometry import tensor_type
from ..graph.graph import Graph
from ..graph.nodes import Effects, Node, TensorType, Value
from .traced import traced_call

_FOLDED = Origin("folded")


class Rewritten:
    """Stands for a module whose inside was rewritten; it has the name, and no handler claims it."""

    def __init__(self, module: Any) -> None:
        self.cls = getattr(module, "cls", type(module))
        self.__name__ = self.cls.__name__

    def __repr__(self) -> str:
        return f"<{self.__name__}, rewritten>"


def call_node(
    function: Callable[..., Any],
    args: dict[str, Any],
    type: TensorType,
    name: str,
    like: Node,
) -> tuple[Node, Value]:
    """A new call of ``function`` that stands where ``like`` stands, and its one output."""
    signature = next(s for s in signatures(function) if set(args) <= set(s.names))
    full = {**{n: d for n, d in signature.defaults.items()}, **args}
    ordered = {n: full[n] for n in signature.names if n in full}
    node = Node(
        op_of(function), function, ordered, signature=signature,
        path=like.path, call=like.call, source=like.source,
    )  # fmt: skip
    value = Value(name, type, node)
    node.result, node.outputs = value, (value,)
    node.effects = Effects(switches=like.effects.switches)
    return node, value


def copy_node(
    node: Node, look: Callable[[Value], Value], rename: Callable[[str], str] = str
) -> Node:
    """A function node once more, reading what ``look`` says; its outputs are new."""
    args = tree.substitute(node.args, Value, look)
    copy = Node(
        node.op, node.target, args, signature=node.signature,
        path=node.path, call=node.call, source=node.source,
    )  # fmt: skip
    fresh = {value: Value(rename(value.name), value.type, copy) for value in node.outputs}

    def see(value: Value) -> Value:
        return fresh.get(value) or look(value)

    if node._meta:
        copy.meta.update(node._meta)
    copy.result = tree.substitute(node.result, Value, see)
    copy.outputs = tuple(fresh.values())
    copy.effects = node.effects
    if node.effects.writes:
        writes = tree.substitute(node.effects.writes, Value, see)
        copy.effects = node.effects._replace(writes=writes)
    return copy


def stand_at(node: Node, other: Node) -> None:
    """Let a call stand in the module and on the line of another."""
    node.path, node.call, node.source = other.path, other.call, other.source


def call_key(node: Node) -> tuple[str, str, str]:
    """Calls of equal key compute alike and come apart alike, if they run under equal switches."""
    order: dict[Value, int] = {}

    def show(value: Value) -> Any:
        return (order.setdefault(value, len(order)), *value.type)

    args = tree.substitute(node.args, Value, show)
    return node.op, getattr(node.target, "__name__", ""), repr(args)


def edit(graph: Graph) -> Edit:
    """Begin to change a graph; ``build()`` gives the new one, the old one stays as it is.

    Example:
        >>> import torch, flexir
        >>> net = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU())
        >>> graph = flexir.capture(net, (torch.ones(1, 2),))
        >>> edit = flexir.edit(graph)
        >>> (relu,) = graph.find(op="relu")
        >>> edit.replace(relu.outputs[0], edit.call(torch.tanh, relu.args["input"], after=relu))
        >>> edit.drop(relu)
        >>> [node.op for node in edit.build("tanh for relu")]
        ['linear', 'tanh']
    """
    return Edit(graph)


class Edit:
    """A graph with changes still to be made; see :func:`edit`.

    Attributes:
        graph: the graph, which stays as it is.
        readers: Value -> the function nodes that read it.
        results: Values the graph returns or leaves in memory; they must keep existing.
        lines: what was changed, a line each; they go to ``graph.history``.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph, self.readers = graph, graph.users
        self.results = set(graph.results)
        self.written = {kept.initial for kept in graph.kept}
        self.lines: list[str] = []
        self._replaced: dict[Value, Value] = {}
        self._dropped: set[Node] = set()
        self._before: dict[Node, list[Node]] = {}
        self._after: dict[Node, list[Node]] = {}
        self._new: dict[Value, torch.Tensor] = {}
        self._names = value_names(graph)

    def only_reader(self, value: Value) -> Node | None:
        """The one call that reads a Value of a single use, else None."""
        readers = self.readers.get(value, ())
        return readers[0] if len(readers) == 1 and value not in self.results else None

    def tensor(self, part: Any) -> torch.Tensor | None:
        """The tensor of a constant the run did not write."""
        if isinstance(part, Value) and part not in self.written:
            return self._new.get(part, self.graph.constants.get(part))
        return None

    def name(self, wish: str) -> str:
        """A name that is still free."""
        return free_name(wish, self._names)

    def constant(self, wish: str, tensor: torch.Tensor) -> Value:
        """A new constant."""
        made = tensor.detach()  # kernels look at whether a weight requires grad
        tensor = torch.nn.Parameter(made) if tensor.requires_grad else made
        value = Value(self.name(wish), tensor_type(tensor))
        value.names = (value.name,)
        self._new[value] = tensor
        return value

    def adopt(self, value: Value, tensor: torch.Tensor) -> None:
        """A constant whose Value was made elsewhere."""
        value.name = self.name(value.name) if value not in self._new else value.name
        value.names = (value.name,)
        self._new[value] = tensor

    def is_dropped(self, node: Node) -> bool:
        """Whether a call is already left out."""
        return node in self._dropped

    def call(
        self,
        function: Callable[..., Any],
        *args: Any,
        before: Node | None = None,
        after: Node | None = None,
        **kwargs: Any,
    ) -> Any:
        """A new call, written as in code, with Values where tensors stand.

        Args:
            function: any torch function, or one of your own.
            args: by position.
            before: the node of the graph in front of which the call stands; it gets its module
                path and source line. A module node stands for the whole module.
            after: or the node behind which it stands.
            kwargs: by name.

        Returns:
            what the call returns, with a Value for each tensor. Its types are worked out by
            running the function on meta tensors.

        Raises:
            GraphError: not one of ``before`` and ``after`` is given, or the function refuses
                arguments of these types.
        """
        if (before is None) == (after is None):
            raise GraphError("say where the call stands: before=node or after=node")
        anchor = before or after
        assert anchor is not None
        node = traced_call(function, args, kwargs, anchor, self.name)
        (self._after if before is None else self._before).setdefault(anchor, []).append(node)
        return tree.build(node.result, Value, lambda value: value)

    def call_before(
        self, before: Node, function: Callable[..., Any], args: dict[str, Any], type: TensorType
    ) -> Value:
        """A new call of known type in front of ``before``, its arguments by canonical name."""
        name = self.name(f"{before.outputs[0].name}.{op_of(function)}")
        node, value = call_node(function, args, type, name, before)
        self._before.setdefault(before, []).append(node)
        return value

    def insert(self, before: Node, nodes: Iterable[Node]) -> None:
        """Ready-made nodes in front of ``before``."""
        self._before.setdefault(before, []).extend(nodes)

    def replace(self, value: Value, other: Value) -> None:
        """Let every reader of ``value`` read ``other`` instead.

        New calls that stand before ``other`` is made go on reading ``value``. The types of the
        recorded calls that read it stay as they are: ``other`` needs the type of ``value``, unless
        only the graph's outputs read it.
        """
        self._replaced[value] = other

    def drop(self, node: Node) -> None:
        """Leave a call out; what reads its outputs must have been given something else."""
        self._dropped.add(node)

    @property
    def changed(self) -> bool:
        """Whether there is anything to build."""
        return bool(self._replaced or self._dropped or self._before or self._after)

    @collector.paused()
    def build(self, title: str = "edit") -> Graph:
        """The new graph, checked; the old one if nothing was changed.

        Args:
            title: what the lines added to ``graph.history`` begin with.

        Raises:
            GraphError: something reads a Value that no call makes any more, or not yet there.
        """
        if not self.changed:
            return self.graph
        old = self.graph
        self._check_anchors()
        self.env: dict[Value, Value] = {}
        self.made = {*old.constants, *old.input_values, *self._new}
        nodes, _ = self._nodes(old.nodes)
        outputs, left = self._look_all([old.outputs, old.left])  # they share objects
        constants = {**old.constants, **self._new}
        lines = [f"{title}: {line}" for line in self.lines] or [title]
        graph = dataclasses.replace(
            old,
            nodes=nodes,
            outputs=outputs,
            left=left,
            mutations=[Mutation(m.name, m.initial, self._look(m.final)) for m in old.mutations],
            state=[State(s.path, s.initial, self._look(s.final)) for s in old.state],
            constants=constants,
            origins={v: old.origins.get(v, _FOLDED) for v in constants},
            history=[*old.history, *lines],
            status={},
            unknown={},
        )
        return finalize(graph)

    def _check_anchors(self) -> None:
        """Raise where a change refers to a node of another graph, which would be ignored."""
        known = set(self.graph.walk())
        for node in (*self._before, *self._after, *self._dropped):
            if node not in known:
                raise GraphError(
                    f"not a node of graph {self.graph.name}: {node}   # {node.where}\n"
                    "An edit takes nodes of the graph it was begun with; build it, then edit again."
                )

    def _look(self, value: Value) -> Value:
        while value in self._replaced:
            value = self._replaced[value]
        return self.env.get(value, value)

    def _look_new(self, value: Value) -> Value:
        """As :meth:`_look`, for a new call: the last replacement that is made already."""
        found = value
        while value in self._replaced:
            value = self._replaced[value]
            if self.env.get(value, value) in self.made:
                found = value
        return self.env.get(found, found)

    def _look_all(self, part: Any) -> Any:
        return tree.substitute(part, Value, self._look)

    def _nodes(self, nodes: Sequence[Node]) -> tuple[list[Node], bool]:
        """Copies of nodes, and whether anything among them is different."""
        made: list[Node] = []
        different = False
        for node in nodes:
            made += [self._copy(new, self._look_new) for new in self._before.get(node, ())]
            if node in self._dropped:
                different = True
            elif node.body is not None:
                copies, inner = self._module(node)
                made += copies
                different |= inner
            else:
                different |= any(v in self._replaced for v in node.inputs)
                made.append(self._copy(node, self._look))
            made += [self._copy(new, self._look_new) for new in self._after.get(node, ())]
            different |= node in self._before or node in self._after
        return made, different

    def _copy(self, node: Node, look: Callable[[Value], Value]) -> Node:
        copy = copy_node(node, look)
        self.env.update(zip(node.outputs, copy.outputs))
        self.made.update(copy.outputs)
        return copy

    def _module(self, node: Node) -> tuple[list[Node], bool]:
        """The module call with its new body; the body alone if what it took or gave is gone."""
        args = self._look_all(node.args)
        whole = self.made.issuperset(tree.leaves(args, Value))
        body, different = self._nodes(node.body or [])
        result = tree.substitute(node.result, Value, self._look_new)
        if not whole or not self.made.issuperset(tree.leaves(result, Value)):
            return body, True
        target = Rewritten(node.target) if different else node.target
        copy = Node(
            node.op, target, args, body=body, path=node.path, call=node.call, source=node.source
        )
        copy.result = result
        copy.outputs = tuple(copy.returned)
        if node._meta:
            copy.meta.update(node._meta)
        return [copy], different
