"""The grammar of graphs, executable: every Value is made once, before it is read, by one name.

Owns what makes a graph sound and what makes a name unique; changes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from .errors import GraphError
from .graph import Graph, Node, Value


def check(graph: Graph) -> None:
    """Raise GraphError at the first thing that breaks the grammar; linear in the graph's size."""
    known = {*graph.input_values, *graph.constants}
    for value in known:
        if value.producer is not None:
            raise GraphError(f"{value!r} is an input or constant but has a producer")
    names = [value.name for value in known]
    _body(graph.nodes, known, names)
    if len(set(names)) != len(names):
        twice = next(name for name, count in Counter(names).items() if count > 1)
        raise GraphError(f"two values are named %{twice}")
    for value in [*graph.output_values, *(m.final for m in graph.mutations)]:
        if value not in known:
            raise GraphError(f"{value!r} is a result of the graph but nothing makes it")


def _body(nodes: Sequence[Node], known: set[Value], names: list[str]) -> None:
    """Check the nodes of a body, and add what they make to ``known`` and ``names``."""
    for node in nodes:
        for value in node.inputs:
            if value not in known:
                raise GraphError(f"{value!r} is used before it is made, in: {node}")
        if node.body is not None:
            _body(node.body, known, names)
            if not known.issuperset(node.outputs):
                missing = [v for v in node.outputs if v not in known]
                raise GraphError(f"{missing[0]!r} is returned but not made by: {node}")
            continue
        if node.effects.writes and (unknown := set(node.effects.writes) - set(node.args)):
            raise GraphError(f"writes {sorted(unknown)}, which are no arguments: {node}")
        for value in node.outputs:
            if value.producer is not node:
                raise GraphError(f"{value!r} names another producer than: {node}")
            if value in known:
                raise GraphError(f"{value!r} is made twice, again by: {node}")
            names.append(value.name)
            known.add(value)


def free_name(wish: str, taken: set[str]) -> str:
    """``wish``, with a number if it is taken; it is taken then."""
    name, number = wish, 1
    while name in taken:
        number += 1
        name = f"{wish}_{number}"
    taken.add(name)
    return name
