"""Blocks of a call, converted where its handler says: the two of an ``if``, the body of a ``loop``.

Owns what ``ctx.convert`` does. A block is converted by the same loop and the same handlers as what
stands around it; where its parameters are what the call was given, weights among them stay weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import HandlerError
from ..graph import tree
from ..graph.choice import Block, blocks_of
from ..graph.nodes import Node, Value
from ..graph.replay import interpret
from .reach import needed

if TYPE_CHECKING:
    from .claims import Conversion

_WORDS = {"else": "otherwise"}  # what Python has no parameters of


def convert_block(
    conversion: Conversion, node: Node, block: Block, inputs: Sequence[Any]
) -> tuple[Any, ...]:
    """What handlers make of the outputs of a block.

    Args:
        conversion: under way.
        node: the call whose block it is.
        block: of the call.
        inputs: one for each parameter, as handlers make them.

    Raises:
        HandlerError: there are more or fewer inputs than parameters.
    """
    if len(inputs) != len(block.parameters):
        raise HandlerError(
            f"a block of {node.op} has {len(block.parameters)} parameters; "
            f"ctx.convert was given {len(inputs)} inputs"
        )
    env = conversion.env
    for value, made in zip(block.parameters, inputs):
        env[value] = made
    same = node.args["inputs"]  # in every round of a loop, too; they come last
    for value, given in zip(block.parameters[len(block.parameters) - len(same) :], same):
        if isinstance(given, Value) and env.get(given, given) is env[value]:
            conversion.bound[value] = conversion.bound.get(given, given)
    outputs = list(tree.leaves(block.outputs, Value))
    conversion.needed |= needed(block.nodes, outputs, conversion.is_whole)
    interpret(block.nodes, env, conversion.claim)
    made = tree.build(block.outputs, Value, conversion.look)
    return tuple(made)


def blocks_by_name(node: Node) -> dict[str, Block]:
    """The blocks of a call, by the names under which its handler is given them."""
    return {_WORDS.get(word, word): block for word, block in blocks_of(node)}
