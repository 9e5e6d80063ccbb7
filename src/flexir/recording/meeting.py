"""Where runs that went their ways may meet again: calls of one line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..graph.nodes import Node
from .alike import only_a_number
from .runs import Span


def meetings(spans: dict[int, Span], at: dict[int, int]) -> Iterator[dict[int, int]]:
    """Where runs may meet again: calls of one line, nearest first; at last, their ends.

    Args:
        spans: of each run.
        at: where each is.
    """
    places: dict[int, dict[Any, int]] = {}
    for r, span in spans.items():
        found: dict[Any, int] = {}
        for place in range(at[r] + 1, span.end):
            node = span.nodes[place]
            if not only_a_number(node):
                found.setdefault(key_of(node), place)
        places[r] = found
    lead = next(iter(spans))
    for key in places[lead]:
        if all(key in found for found in places.values()):
            yield {r: found[key] for r, found in places.items()}
    yield {r: span.end for r, span in spans.items()}


def key_of(node: Node) -> Any:
    """What calls that may be one have in common."""
    return node.op, node.path, node.source, node.body is None
