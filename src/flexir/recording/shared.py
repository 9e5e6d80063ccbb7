"""Which calls gave what lies in memory of their arguments; at other sizes it may be otherwise.

``reshape`` of a part is a copy, and of the whole a view: what is then written to one of them is
seen in the other, or is not. So a call of which either side is written later says what examples
showed, and a replay compares.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..graph import tree
from ..graph.agreement import shares
from ..graph.choice import every
from ..graph.nodes import Node, Value


class Shared:
    """The calls of one run."""

    def __init__(self) -> None:
        self._views: dict[Node, bool] = {}

    def note(self, node: Node, named: Mapping[str, Any], result: Any) -> None:
        """A call was made."""
        if (view := shares(named, result)) is not None:
            self._views[node] = view

    def say(self, nodes: Sequence[Node]) -> None:
        """Let the calls of a run say so that were given, or gave, what was written after them."""
        calls = list(every(nodes))
        if not any(node.effects.writes for node in calls):
            return
        groups, written = _Groups(), dict[Value, int]()  # a group -> when it was last written
        for node in calls:
            if self._views.get(node, True):  # a derived call may well be a view
                groups.join((*node.inputs, *node.outputs))
            for name, part in node.effects.writes.items():
                groups.join((*tree.leaves(node.args[name], Value), *tree.leaves(part, Value)))
        for at, node in enumerate(calls):
            for name in node.effects.writes:
                for value in tree.leaves(node.args[name], Value):
                    written[groups.of(value)] = at
        for at, node in enumerate(calls):
            view = self._views.get(node)
            if view is None or not node.outputs or node.effects.writes or node.effects.escape:
                continue
            if any(written.get(groups.of(v), -1) > at for v in (*node.inputs, *node.outputs)):
                node.effects = node.effects._replace(memory="view" if view else "copy")


class _Groups:
    """Values that lie in one memory."""

    def __init__(self) -> None:
        self._above: dict[Value, Value] = {}

    def of(self, value: Value) -> Value:
        """What stands for the group of a Value."""
        while (above := self._above.get(value, value)) is not value:
            self._above[value] = self._above.get(above, above)
            value = above
        return value

    def join(self, values: Iterable[Value]) -> None:
        """Let these be of one group."""
        first: Value | None = None
        for value in values:
            if first is not None:
                self._above[self.of(value)] = self.of(first)
            first = value
