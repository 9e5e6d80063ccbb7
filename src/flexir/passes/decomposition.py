"""``decompose``: a graph in which calls that a target lacks are taken apart, as conversion would.

How one call is taken apart is :mod:`.decomposer`'s.
"""

from __future__ import annotations

from collections.abc import Callable

from ..graph import collector, tree
from ..graph.graph import Graph
from ..graph.nodes import Node, Value
from .decomposer import Decomposer
from .edit import Edit


@collector.paused()
def decompose(graph: Graph, takes: Callable[[Node], bool]) -> Graph:
    """Take apart every call for which ``takes(node)`` is false, where its pieces are all taken.

    Example:
        >>> import torch, flexir
        >>> net = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU())
        >>> whole = flexir.capture(net, (torch.ones(1, 2),))
        >>> small = decompose(whole, lambda node: node.op in {"matmul", "add", "permute", "relu"})
        >>> sorted({node.op for node in small})
        ['add', 'matmul', 'permute', 'relu']
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
        for value, made in zip(node.returned, tree.leaves(pieces.result, Value)):
            edit.replace(value, made)
        edit.drop(node)
        edit.lines.append(f"{node.op} at {node.path or '(top)'}: {len(pieces.nodes)} calls")
    return edit.build("decompose")
