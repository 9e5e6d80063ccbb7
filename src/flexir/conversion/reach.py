"""How far Values reach: out of their module, into the output, from what may change.

Questions over a whole graph, answered in one pass each; nothing here runs or changes anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ..graph import tree
from ..graph.choice import blocks_of, every, given, is_loop, walk
from ..graph.graph import Graph
from ..graph.nodes import Node, Value


def needed(
    nodes: Sequence[Node], results: Iterable[Value], whole: Callable[[Node], bool]
) -> set[Value]:
    """The Values that must exist for ``results`` to exist.

    Args:
        nodes: of a graph, or of one block.
        results: what is wanted.
        whole: whether a module may be called as a whole, and so reads all it is given.
    """
    alive = set(results)
    for node in reversed(list(walk(nodes, blocks=False))):
        if node.body is not None:
            if whole(node):
                alive.update(node.inputs)
        elif not node.effects.escape and is_needed(node, alive):
            alive.update(node.inputs)
    return alive


def is_needed(node: Node, alive: set[Value]) -> bool:
    """Whether a call makes what is needed; one that makes nothing is there for what it does."""
    return not node.outputs or not alive.isdisjoint(node.outputs)


def varying(graph: Graph) -> set[Value]:
    """The Values that another call of the same model may have other elements in.

    That is what follows from inputs, from what an earlier call left behind, from random numbers and
    from constants whose making was not recorded.
    """
    found = {*graph.input_values, *(s.initial for s in graph.state)}
    found.update(m.initial for m in graph.mutations)
    found.update(value for value, origin in graph.origins.items() if origin.kind == "unseen")
    for node in every(graph.nodes):
        # comes before the calls in its blocks; what a loop carries is another thing in each round
        found.update(inner for inner, first in given(node) if first in found or is_loop(node))
        if node.effects.random or not found.isdisjoint(node.inputs):
            found.update(node.outputs)
    return found


def escaping_values(graph: Graph) -> dict[Node, list[Value]]:
    """Module node -> Values made inside it that are read outside and are not its results."""
    found: dict[Node, list[Value]] = {}
    _escaping(graph.nodes, [*graph.output_values, *final_values(graph)], found)
    for node in every(graph.nodes):
        for _, block in blocks_of(node):
            _escaping(block.nodes, tree.leaves(block.outputs, Value), found)
    return found


def _escaping(
    nodes: Sequence[Node], results: Iterable[Value], found: dict[Node, list[Value]]
) -> None:
    last: dict[Value, int] = {}
    position = 0
    for node in walk(nodes, blocks=False):
        if node.body is None:
            position += 1
            for value in node.inputs:
                last[value] = position
    for value in results:
        last[value] = position + 1
    _alive(nodes, last, 0, found)


def _alive(
    nodes: Sequence[Node], last: dict[Value, int], position: int, found: dict[Node, list[Value]]
) -> tuple[list[Value], int]:
    """Values made by ``nodes`` that are used, and the position of the last call."""
    alive: list[Value] = []
    for node in nodes:
        if node.body is None:
            position += 1
            alive += [v for v in node.outputs if v in last]
            continue
        made, position = _alive(node.body, last, position, found)
        inner = [v for v in made if last[v] > position]
        results = set(node.returned)
        if outside := [v for v in inner if v not in results]:
            found[node] = outside
        alive += inner
    return alive, position


def final_values(graph: Graph) -> list[Value]:
    """What is left behind: the last Values of state and of memory the run wrote."""
    return [kept.final for kept in graph.kept]
