"""Lists of functions that are Values of their own, in one graph.

Loops carry them and branches give them like any Value. Owns what is read of them by its place, and
what becomes of the calls that make them: one list of what was in it, and of what was added.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..graph import tree
from ..graph.choice import blocks_of, bodies, every
from ..graph.lists import joined
from ..graph.nodes import Node, Value
from .rolled import Rolled
from .scopes import Scope
from .told_lists import appended
from .trace import signature_of


class KeptLists(Rolled):
    """Loops and ways, with lists that functions keep."""

    def one(self, scope: Scope, values: dict[int, Any], out: list[Node]) -> Value:
        found = super().one(scope, values, out)
        if found.is_list and scope.body is None:  # in a round it is another list each time
            lists = [self.runs[r].lists.get(value) for r, value in values.items()]
            if None not in lists:
                self.list_of(found, [one for one in lists if one is not None])
        return found


def as_joined(nodes: list[Node], results: Sequence[Value]) -> None:
    """Let calls that add to lists be what graphs know: one list of several.

    Args:
        nodes: of a graph, changed in place.
        results: what is read after it.
    """
    stack = [nodes]
    while stack:
        here = stack.pop()
        for node in here:
            stack += bodies(node)
            if node.target is appended:
                whole, other = node.args["input"], node.args["other"]
                before = whole.producer
                fresh = (
                    before is not None and before.target is joined and before in here
                    and before.args["parts"].__class__ is tuple
                )  # fmt: skip
                parts = (*before.args["parts"], other) if fresh else (whole, other)
                _become(node, parts)
    unread = True
    while unread:
        read = set(results)
        for node in every(nodes):
            read.update(node.inputs)
            for _, block in blocks_of(node):
                read.update(tree.leaves(block.outputs, Value))
        unread = _dropped(nodes, read)


def _become(node: Node, parts: tuple[Value, ...]) -> None:
    node.op, node.target, node.args = "joined", joined, {"parts": parts}
    node.signature = signature_of(joined, ("parts",))


def _dropped(nodes: list[Node], read: set[Value]) -> bool:
    """Drop unused lists; returns whether there were any."""
    found = False
    for node in nodes:
        for inner in bodies(node):
            found |= _dropped(inner, read)
    kept = [node for node in nodes if node.target is not joined or node.outputs[0] in read]
    found |= len(kept) < len(nodes)
    nodes[:] = kept
    return found
