"""What a replay finds out of a graph before it runs.

A graph that was handed out does not change, so its replays find it out once.
"""

from __future__ import annotations

import functools
from inspect import Parameter
from typing import TYPE_CHECKING, Any, NamedTuple

from . import collector, numbers
from .choice import WITH_BLOCKS, every
from .nodes import Node, Value
from .query import last_readers

if TYPE_CHECKING:
    from .graph import Graph


class Prepared(NamedTuple):
    """How a call of tensors is made; the Values among its arguments are still to be looked up."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class Outline:
    """What holds for all replays of a graph.

    Attributes:
        drawing: the calls that draw random numbers, in order.
        parts: whether some calls have blocks.
        asks: whether it asks how its inputs lie in memory.
        nodes: its calls in order; ``in_full``, without the modules around them.
        free: function node -> the Values unused after it; of an outline ``in_full``.
        calls: those of which nothing is asked but what they make; of an outline ``in_full``.
    """

    __slots__ = ("asks", "calls", "drawing", "free", "nodes", "parts")

    def __init__(self, graph: Graph) -> None:
        nodes = list(every(graph.nodes))
        effects = [node.effects for node in nodes]
        self.drawing = [node for node in nodes if node.effects.random]
        self.parts = any([node.target.__class__ in WITH_BLOCKS for node in nodes])
        strides = any([node.target is numbers.stride for node in nodes])
        self.asks = strides or any([one.escape == "about" for one in effects])
        self.nodes = graph.nodes
        self.free: dict[Node, list[Value]] = {}
        self.calls: dict[Node, Prepared] = {}

    @classmethod
    @collector.paused()
    def in_full(cls, graph: Graph) -> Outline:
        """One that takes longer to make, and replays shorter."""
        made = cls(graph)
        made.nodes, made.free = list(graph), last_readers(graph)
        if not made.parts:
            found = ((node, _prepared(node)) for node in made.nodes)
            made.calls = {node: call for node, call in found if call is not None}
        return made


def _prepared(node: Node) -> Prepared | None:
    """How a call is made; None if more is to be done than to make it with tensors."""
    effects = node.effects
    if effects.escape or effects.random or effects.memory is not None:
        return None
    if any(node.args[name].__class__ is not Value for name in effects.writes):
        return None
    if any(value.is_number for value in node.inputs):  # may be what an argument is by default
        return None
    if any(node.args.get(name).__class__ is Value for name in _stars(node.signature)):
        return None
    args, kwargs = node.signature.unbind(node.args)
    return Prepared(tuple(args), kwargs)


@functools.lru_cache(maxsize=1024)
def _stars(signature: Any) -> tuple[str, ...]:
    """The parameters that take any number of positional arguments."""
    return tuple(p.name for p in signature.parameters if p.kind is Parameter.VAR_POSITIONAL)
