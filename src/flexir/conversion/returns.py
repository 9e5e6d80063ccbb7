"""What a handler returned, laid over the outputs of its call, place by place.

Owns which Value gets which part, and the error for a wrong number of them; runs no handler.
"""

from __future__ import annotations

from typing import Any

import torch

from ..errors import HandlerError
from ..graph import places, tree
from ..graph.nodes import Node, Value


def lay(node: Node, made: Any, who: str) -> dict[Value, Any]:
    """Which of the node's Values what a handler returned stands for.

    Args:
        node: the call.
        made: what came back; laid out as the call's own result, or one thing per output.
        who: name of the handler.

    Raises:
        HandlerError: there are more or fewer things than outputs.
    """
    found: dict[Value, Any] = {}
    places = node.returned
    if not places:  # a call that only writes: its Values are what it wrote
        places = list(node.outputs)
    elif _alike(node.result, made, found):
        return found
    if not places:
        return {}
    if len(places) == 1 and not (isinstance(made, (tuple, list)) and len(made) == 1):
        return {places[0]: made}
    if not isinstance(made, (tuple, list)) or len(made) != len(places):
        count = len(made) if isinstance(made, (tuple, list)) else f"one {type(made).__name__}"
        raise HandlerError(
            f"handler {who!r} returned {count}; {node.op} has {len(places)} outputs\n"
            f"  {node}   # {node.where}"
        )
    return dict(zip(places, made))


def lay_each(node: Node, made: Any, who: str) -> dict[Value, Any]:
    """As :func:`lay`, for the placeholder handler, which returns one thing per output in a tuple.

    A tuple of one stands for the one output: code for any number of outputs returns that.
    """
    if type(made) in (tuple, list) and len(made) == len(node.outputs):
        return dict(zip(node.outputs, made))
    return lay(node, made, who)


def _alike(template: Any, made: Any, found: dict[Value, Any]) -> bool:
    """Bind a result laid out as the call's own; False if it is not laid out so."""
    for _, (part, one) in places.zip(template, made, leaf=Value):
        if isinstance(part, Value):
            found[part] = one
        elif isinstance(part, tree.Record) and isinstance(part.items, list):
            if not _alike(part.items, one, found):  # a tuple for a named one
                return False
        elif next(tree.leaves(part, Value), None) is not None:
            return False
    return True


def tensors_of(made: Any) -> list[torch.Tensor]:
    """What an engine returned, as tensors: one of each thing, or of the lone one.

    Arrays share their memory with the tensors where they may be written.
    """
    parts = made if isinstance(made, (tuple, list)) else [made]
    return [part if isinstance(part, torch.Tensor) else _tensor(part) for part in parts]


def _tensor(array: Any) -> torch.Tensor:
    flags = getattr(array, "flags", None)
    if flags is not None and not flags.writeable:
        array = array.copy()
    return torch.as_tensor(array)
