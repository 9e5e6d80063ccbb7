"""Passes that remove: what changes nothing, what is computed twice, what is unused.

Exact to the last bit; calls that draw random numbers or give values to Python stay.
"""

from __future__ import annotations

from typing import Any

import torch

from ..graph import tree
from ..graph.geometry import geometry, storage_of
from ..graph.graph import Graph
from ..graph.nodes import Node, Value
from .constants import fold_constants
from .edit import Edit


def simplify(graph: Graph) -> Graph:
    """For every target: constants folded, equal calls merged, no-ops and unused calls out."""
    before = None
    while graph is not before:
        before = graph
        for rule in (merge_common, fold_constants, remove_noops, remove_dead):
            graph = rule(graph)
    return graph


def remove_noops(graph: Graph) -> Graph:
    """Remove calls that return what they were given.

    1. A call that returned its very argument (dropout in eval mode, ``to`` of the same dtype).
    2. A view with the shape, strides and place of what it views (``reshape`` to the same shape,
       ``contiguous`` of a contiguous tensor, ``expand`` to the same size, ``detach``).
    3. A copy laid out like its original (``clone``): Values never change, so nothing tells them
       apart.

    Layouts are found by running the graph on the meta device; calls that cannot run there stay.
    """
    edit = Edit(graph)
    env: dict[Value, torch.Tensor] = {}
    for value in (*graph.input_values, *graph.constants):
        if -1 not in value.type.shape:
            env[value] = _meta(value, graph)
    for node in graph:
        original = _original(node, env)
        if original is not None and not node.effects.random:
            edit.replace(node.outputs[0], original)
            edit.drop(node)
            edit.lines.append(f"{node.op} at {node.path or '(top)'}")
    return edit.build("remove_noops")


def _meta(value: Value, graph: Graph) -> torch.Tensor:
    stride = graph.layouts.get(value)
    tensor = graph.constants.get(value)
    if tensor is not None and tensor.layout is torch.strided:
        stride = tensor.stride()
    if stride is None:
        return torch.empty(value.type.shape, dtype=value.type.dtype, device="meta")
    return torch.empty_strided(value.type.shape, stride, dtype=value.type.dtype, device="meta")


def _original(node: Node, env: dict[Value, torch.Tensor]) -> Value | None:
    """The argument a call returned unchanged; also keeps ``env`` up to date."""
    if any(v not in env for v in node.inputs) or node.effects.escape:
        return None  # also where it reads a number: at other sizes it may change something
    if node.effects.same is not None:
        value: Value = node.args[node.effects.same]
        env[node.outputs[0]] = env[value]
        return value
    named = tree.build(node.args, Value, env.__getitem__)
    for name, part in named.items():
        if isinstance(part, torch.device):
            named[name] = torch.device("meta")
    for name in node.effects.writes:
        if isinstance(named[name], torch.Tensor):
            named[name] = named[name].clone()
    args, kwargs = node.signature.unbind(named)
    try:
        with torch.no_grad():
            result = node.target(*args, **kwargs)
    except Exception:  # noqa: BLE001  data decides its shape, or it has no meta kernel
        return None
    if isinstance(result, torch.Tensor) and isinstance(node.result, Value):
        env[node.result] = result
        if node.outputs == (node.result,) and not node.effects.writes:
            return _same(node, result, env)
        return None
    made: list[torch.Tensor] = []
    tree.template(result, made.append)
    places = list(tree.leaves(node.result, Value))
    if len(made) == len(places):
        env.update(zip(places, made))
    return None


def _same(node: Node, result: torch.Tensor, env: dict[Value, torch.Tensor]) -> Value | None:
    for value in node.inputs:
        given = env[value]
        if value.type != node.outputs[0].type or geometry(given) != geometry(result):
            continue
        before, after = storage_of(given), storage_of(result)
        if before is not None and after is not None and before._cdata == after._cdata:
            return value
        if node.op == "clone":
            return value
    return None


def merge_common(graph: Graph) -> Graph:
    """Compute once what is computed twice: equal calls on equal Values give one result.

    Calls that draw random numbers, write, or give values to Python are left alone; so are those
    whose results are written, for no other tensor may then be the same one.
    """
    edit = Edit(graph)
    written = {
        value
        for node in graph
        for name in node.effects.writes
        for value in tree.leaves(node.args[name], Value)
    }
    seen: dict[Any, Node] = {}
    same: dict[Value, Value] = {}
    for node in graph:
        effects = node.effects
        if effects.random or effects.writes or effects.escape or not node.outputs:
            continue
        if not written.isdisjoint(node.outputs):
            continue
        args = tree.substitute(node.args, Value, lambda v: _Ref(same.get(v, v)))
        key = (node.target, repr(args), effects.switches and repr(effects.switches))
        first = seen.setdefault(key, node)
        if first is not node and len(first.outputs) == len(node.outputs):
            same.update(zip(node.outputs, first.outputs))
            for value, other in zip(node.outputs, first.outputs):
                edit.replace(value, other)
            edit.drop(node)
            edit.lines.append(f"{node.op} at {node.path or '(top)'}")
    return edit.build("merge_common")


class _Ref:
    """Prints the identity of a Value."""

    def __init__(self, value: Value) -> None:
        self.value = value

    def __repr__(self) -> str:
        return f"%{id(self.value)}"


def remove_dead(graph: Graph) -> Graph:
    """Remove calls whose results are unused.

    What gives values to Python stays (a replay must check it), and so does what draws random
    numbers (the draws after it depend on it).
    """
    edit = Edit(graph)
    alive = set(edit.results)
    for node in reversed(list(graph)):
        if node.effects.escape or node.effects.random or any(v in alive for v in node.outputs):
            alive.update(node.inputs)
        elif not node.outputs and node.effects.escape is None and node.inputs:
            alive.update(node.inputs)  # it returned nothing; it is there for what it does
        else:
            edit.drop(node)
            edit.lines.append(f"{node.op} at {node.path or '(top)'}")
    return edit.build("remove_dead")
