"""Decompose a graph for a target, as conversion would."""

from __future__ import annotations

from collections.abc import Callable

from .. import structure
from ..decompose import Decomposer
from ..graph import Graph
from ..nodes import Node, Value
from ..rewrite import Edit


def decompose(graph: Graph, takes: Callable[[Node], bool]) -> Graph:
    """Take apart every call for which ``takes(node)`` is false, where its pieces are all taken.

    Example:
        >>> small = decompose(graph, lambda node: node.op in {"matmul", "add", "permute"})
    """
    edit = Edit(graph)
    apart = Decomposer(takes)
    for node in graph:
        if takes(node) or node.effects.same is not None:
            continue
        pieces = apart(node)
        if pieces is None:
            continue
        for value, tensor in pieces.constants.items():
            edit.adopt(value, tensor)
        edit.insert(node, pieces.nodes)
        for value, made in zip(node.returned, structure.leaves(pieces.result, Value)):
            edit.replace(value, made)
        edit.drop(node)
        edit.lines.append(f"{node.op} at {node.path or '(top)'}: {len(pieces.nodes)} calls")
    return edit.build("decompose")
