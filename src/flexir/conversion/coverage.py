"""What a target would take of a graph, found without running a handler.

A conversion in which Values stand for themselves. What a handler declines only when it is run is
not seen.
"""

from __future__ import annotations

from typing import Any

from ..graph.nodes import Node, Value
from .claims import Conversion
from .keys import Handler
from .target import Keep, kept_whole


class Coverage(Conversion):
    """The meaning 'would a handler be called': Values stand for themselves."""

    def hook(self, name: str) -> Any:
        there = name in ("guard", "state") and self.target.hook(name) is not None
        return _taken if there else None

    def look(self, value: Value) -> Any:
        return value

    def _call(self, node: Node, handler: Handler) -> None:
        self._arguments(node, handler)
        if handler.function is kept_whole:
            raise Keep


def _taken(*_: Any) -> None:
    """Stands for a hook that would be called."""
