"""What values decide: numbers taken out of tensors, and the branches and loops these lead.

The others are decided by sizes, so that at given sizes it is known which way they go. A question
over a whole graph; nothing here runs or changes anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from . import numbers
from .choice import blocks_of, every, given, is_loop
from .graph import Graph
from .nodes import Node, Value


def by_values(graph: Graph) -> tuple[set[Value], set[Node]]:
    """What the elements of tensors decide.

    Returns:
        the numbers, and the branches, loops and conditions. A loop whose rounds values count has a
        number of the round, and carries numbers, that are among the numbers.
    """
    found: set[Value] = set()
    led: set[Node] = set()
    while True:
        before = len(found) + len(led)
        for node in every(graph.nodes):
            if blocks_of(node):
                _blocks(node, found, led)
            elif any(value.is_number for value in node.outputs):
                if _from_values(node, found):
                    found.update(value for value in node.outputs if value.is_number)
            elif node.effects.escape and _from_values(node, found):
                led.add(node)
        if before == len(found) + len(led):
            return found, led


def _from_values(node: Node, found: set[Value]) -> bool:
    """Whether what a call tells Python is of tensors' elements, or of numbers that are."""
    if node.target in numbers.QUESTIONS:
        return False
    return any(not value.is_number or value in found for value in node.inputs)


def _blocks(node: Node, found: set[Value], led: set[Node]) -> None:
    inner = (block.outputs[0] for _, block in blocks_of(node)) if is_loop(node) else ()
    leads = (node.args["count"] if is_loop(node) else node.args["condition"], *inner)
    if any(isinstance(one, Value) and one in found for one in leads):
        led.add(node)
    always = node in led
    first = 1 + len(node.args["carried"]) if is_loop(node) else 0
    for number, (value, outer) in enumerate(given(node)):
        if value.is_number and (outer in found or always and number < first):
            found.add(value)
    if is_loop(node):  # what a round makes, the next one begins with
        body = node.target.body
        for value, again in zip(body.parameters[1:first], body.outputs[1:]):
            if value.is_number and isinstance(again, Value) and again in found:
                found.add(value)
    for value, *results in _results(node):
        if value.is_number or value.is_list:
            if always or any(isinstance(one, Value) and one in found for one in results):
                found.add(value)


def _results(node: Node) -> Iterator[tuple[Any, ...]]:
    """Outputs of a call, each with what its blocks give for it."""
    skip = 1 if is_loop(node) else 0
    yield from zip(node.outputs, *(block.outputs[skip:] for _, block in blocks_of(node)))
