"""Numbers that depend on the position, at every position there is.

Owns what a call on sizes gives where so many slots are filled, and that a condition on sizes has
one outcome. Runs nothing on tensors.
"""

from __future__ import annotations

import math
from typing import Any

from ..errors import Error
from ..graph import numbers, tree
from ..graph.inputs import same_literal
from ..graph.nodes import Node, Value
from .rewrite import Draft, NoRewrite
from .slots import at


class _ShapeOnly:
    """A tensor of which only sizes are asked."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def size(self, dim: int) -> int:
        return self.shape[dim]

    def numel(self) -> int:
        return math.prod(self.shape)

    def stride(self, dim: int) -> int:
        raise NoRewrite("it asks how a tensor that grows lies in memory")


def is_known(draft: Draft, node: Node) -> bool:
    """Whether a call on numbers computes only with sizes."""
    asks = node.target in numbers.QUESTIONS
    return all(v in draft.over if v.is_number else asks for v in node.inputs)


def at_positions(draft: Draft, node: Node) -> list[Any]:
    """What a call on numbers gives at every position.

    Raises:
        Error: it decides which way the recorded run went, and at a position it would go another.
    """
    found = []
    for place, position in enumerate(draft.slots.positions):
        found.append(_at(draft, node, place, position))
        if not node.outputs and not same_literal(found[-1], node.result):
            raise Error(
                f"{node} is {found[-1]} where {position} slots are filled, and was {node.result} "
                f"when recorded: another path than this graph's\n  at: {node.where}"
            )
    return found


def _at(draft: Draft, node: Node, place: int, position: int) -> Any:
    def look(value: Value) -> Any:
        if value.is_number:
            return draft.over[value][place]
        return _ShapeOnly(tuple(at(n, position) for n in draft.shape(value)))

    named = {name: tree.substitute(part, Value, look) for name, part in node.args.items()}
    args, kwargs = node.signature.unbind(named)
    try:
        return node.target(*args, **kwargs)
    except NoRewrite as error:
        raise refused(node, str(error)) from None


def refused(node: Node, reason: str) -> Error:
    """A call that does not go with slots."""
    return Error(
        f"a cache of fixed length cannot stand here: {reason}\n  {node}\n  at: {node.where}"
    )
