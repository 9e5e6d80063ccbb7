"""The tensor that a Value is for any inputs: computed from constants when asked for.

For handlers of engines that want numbers where torch takes tensors. Changes no graph; the pass
:func:`flexir.passes.fold_constants` does that.
"""

from __future__ import annotations

from collections.abc import MutableMapping

import torch

from ..errors import Unsupported
from ..graph.graph import Graph
from ..graph.nodes import Node, Value
from ..graph.replay import Environment, Replay, interpret


def folded(value: Value, graph: Graph, known: MutableMapping[Value, torch.Tensor]) -> torch.Tensor:
    """What a Value is in every call of the model.

    Args:
        value: of the graph.
        graph: whose constants there are.
        known: what was folded before; gains what is folded now.

    Raises:
        Unsupported: it depends on an input, on a random number, or on memory that the model writes.
    """
    if value in graph.constants and value not in _changing(graph):
        return graph.constants[value].detach()
    if value not in known:
        nodes = _makers(value, graph, known)
        env = Environment(graph.constants)
        env.update(known)
        replay = Replay(Graph("constants", nodes=nodes), check=False)
        try:
            interpret(nodes, env, replay)
        finally:
            replay.restore()
        known.update((made, env[made].detach()) for node in nodes for made in node.outputs)
    return known[value]


def _changing(graph: Graph) -> set[Value]:
    return {one.initial for one in graph.kept}


def _makers(value: Value, graph: Graph, known: MutableMapping[Value, torch.Tensor]) -> list[Node]:
    """The calls that make a Value of constants, in an order in which they can be run."""
    changing = _changing(graph)
    order: dict[Node, None] = {}
    stack: list[tuple[Value, bool]] = [(value, False)]
    while stack:
        one, ready = stack.pop()
        node = one.producer
        if one in known or node in order:
            continue
        if node is None:
            _must_stay(one, graph, changing)
            continue
        if ready:
            order[node] = None
            continue
        if node.effects.random:
            raise Unsupported(f"an argument that must be constant draws random numbers ({node.op})")
        if one.type.device.type == "meta":
            raise Unsupported("an argument that must be constant is on the meta device")
        stack.append((one, True))
        stack.extend((read, False) for read in node.inputs)
    return list(order)


def _must_stay(value: Value, graph: Graph, changing: set[Value]) -> None:
    """Raise Unsupported for an input, or what another call of the model finds changed."""
    if value in changing:
        raise Unsupported(f"an argument that must be constant depends on {value}, which is written")
    if value not in graph.constants:
        raise Unsupported(f"an argument that must be constant depends on the input {value}")
