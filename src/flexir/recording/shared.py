"""Which calls gave what lies in memory of their arguments; at other sizes it may be otherwise.

``reshape`` of a part is a copy, and of the whole a view: what is then written to one of them is
seen in the other, or is not. A graph that writes anywhere says for each call what examples
showed, and a replay compares.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..graph.agreement import shares
from ..graph.choice import every
from ..graph.nodes import Node


class Shared:
    """The calls of one run."""

    def __init__(self) -> None:
        self._views: dict[Node, bool] = {}

    def note(self, node: Node, named: Mapping[str, Any], result: Any) -> None:
        """A call was made."""
        if (view := shares(named, result)) is not None:
            self._views[node] = view

    def say(self, nodes: Sequence[Node]) -> None:
        """Let the calls of a run say so, if it wrote anything."""
        if not any(node.effects.writes for node in every(nodes)):
            return
        for node, view in self._views.items():
            if node.outputs and not node.effects.writes and node.effects.escape is None:
                node.effects = node.effects._replace(memory="view" if view else "copy")
