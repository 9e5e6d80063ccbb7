"""Constant folding: calls that depend on no input are computed now.

Folds nothing that draws, escapes, or reads memory that the run writes.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from ..calls.names import is_torch, qualified_name
from ..graph.graph import Graph
from ..graph.nodes import Node, Value
from ..graph.replay import Environment, Replay
from .edit import Edit

_ROOM = 1 << 20  # elements a result may have beyond what it is computed from


def fold_constants(graph: Graph) -> Graph:
    """Replace calls whose arguments are all constants by their results.

    1. Weight and spectral norm and other parametrizations become plain weights, masks and position
       tables become tensors.
    2. Calls that draw random numbers, give values to Python, or read memory the run writes stay.
    3. So does what is far larger than what it is made of (over a million elements more): a file
       should not grow because a small tensor was expanded.
    4. Of an input ``x``, ``torch.zeros_like(x)``, ``x.new_ones(2)`` and their kind read the type
       alone.
    """
    edit = Edit(graph)
    env: dict[Value, Any] = Environment(graph.constants)
    known = {v for v in graph.constants if v not in edit.written}
    replay = Replay(graph, check=False)
    folded: list[Node] = []
    try:
        for node in graph:
            if _folds(node, known):
                for value in set(node.inputs) - known:
                    env[value] = torch.zeros((), dtype=value.type.dtype).expand(value.type.shape)
                run_defined(replay, node, env)
                known.update(node.outputs)
                folded.append(node)
    finally:
        replay.restore()
    gone = set(folded)
    for node in folded:
        edit.drop(node)
        edit.lines.append(f"{node.op} at {node.path or '(top)'}")
        for value in node.outputs:
            if value in edit.results or any(n not in gone for n in edit.readers.get(value, ())):
                name = f"{node.path}.{node.op}".lstrip(".")
                tensor = env[value]
                edit.replace(value, edit.constant(name, tensor))
    return edit.build("fold_constants")


def run_defined(replay: Replay, node: Node, env: dict[Value, Any]) -> None:
    """Run a call; where its elements would be whatever lay there, they are zeros."""
    replay(node, env)
    if "empty" in node.op and _is_torchs(node):
        env.update((v, torch.zeros_like(env[v])) for v in node.outputs)


def _is_torchs(node: Node) -> bool:
    """Whether a call is of torch's own, whose names mean what torch's names mean."""
    qualified = qualified_name(node.target)
    return is_torch(node.target) and (qualified is None or qualified.startswith("aten::"))


def _only_typed(value: Value, node: Node) -> bool:
    """Whether a call reads no more of a Value than its type."""
    typed = node.op.endswith("_like") or node.op.startswith("new_")
    others = [part for name, part in node.args.items() if name != "input"]
    return (
        typed
        and _is_torchs(node)
        and value is node.args.get("input")
        and not any(part is value for part in others)
        and all(type(n) is int for n in value.type.shape)
        and value.type.device.type == "cpu"
    )


def _folds(node: Node, known: set[Value]) -> bool:
    effects = node.effects
    if effects.random or effects.escape or not node.outputs:
        return False
    if any(v.is_list for v in node.outputs):
        return False  # a constant is a tensor
    if not known.issuperset(v for v in node.inputs if not _only_typed(v, node)):
        return False
    if any(v.type.device.type == "meta" for v in (*node.inputs, *node.outputs)):
        return False
    made = sum(math.prod(v.type.shape) for v in node.outputs)
    given = sum(math.prod(v.type.shape) for v in dict.fromkeys(node.inputs))
    return made <= given + _ROOM
