"""A call that wrote arguments, drew numbers, or returned not just one new tensor.

Owns what becomes of such a call's node: its results, the arguments it wrote, its effects, its
place before the derived calls that its writes need.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ..graph import tree
from ..graph.geometry import storage_of, tensor_type
from ..graph.nodes import Effects, Escape, Value
from ..graph.tree import is_literal
from .call import Call
from .effects import changes_view_only
from .escapes import Escapes
from .memory import ALONE, Memory, View
from .randomness import Draw
from .ssa import ValueTable
from .trace import Trace

Writes = dict[int, torch.Tensor]  # by their ids
NewValues = Sequence[tuple[torch.Tensor, Value]]  # of what a call returned or wrote


def told(
    call: Call, written: Writes, draw: Draw | None, table: ValueTable, escapes: Escapes
) -> NewValues:
    """Say in the node of a call what it returned and changed, and what tensors mean now."""
    if len(written) == 1 == len(call.tensors) and draw is None:
        if (value := _rewritten(call, table)) is not None:
            return [(call.result, value)]
    new = returned(call, written, table.trace)
    say_effects(call, written, new, draw, escapes)
    define(call, written, new, table, table.trace)
    return new


def _rewritten(call: Call, table: ValueTable) -> Value | None:
    """The common case of a write: the one tensor of a call, where it lay, and returned."""
    tensor, alias = call.tensors[0]
    node, trace = call.node, table.trace
    if tensor is not call.result or changes_view_only(node.target):
        return None
    name = next((name for name, part in call.named.items() if part is tensor), None)
    home = alias.home if alias.memory is ALONE else alias.memory.storage
    if name is None or home() is not storage_of(tensor) or trace.in_autograd_function(call.frame):
        return None
    value = node.result = Value(trace.number(), tensor_type(tensor), node)
    node.outputs, node.effects = (value,), Effects({name: value}, node.effects.switches)
    trace.frames[-1].nodes.append(node)
    table.write(tensor, value)
    table.redigest(tensor)
    return value


def returned(call: Call, written: Writes, trace: Trace) -> NewValues:
    """Make Values of what a call returned and wrote, and say in its node where they stand."""
    node = call.node
    fresh: dict[int, tuple[torch.Tensor, Value]] = {}

    def make(tensor: torch.Tensor) -> Value:
        known = fresh.get(id(tensor))
        if known is None:
            value = Value(trace.number(), tensor_type(tensor), node)
            fresh[id(tensor)] = known = (tensor, value)
        return known[1]

    def make_written(tensor: torch.Tensor) -> Value | None:
        return make(tensor) if id(tensor) in written else None

    node.result = tree.template(call.result, make)
    if written:
        exact = call.marked if call.marked and call.signature.schema else call.named
        writes: dict[str, Any] = {}
        for name, part in call.named.items():
            if name in exact and not is_literal(part):
                made = tree.template(part, make_written)
                if made.__class__ is Value or next(tree.leaves(made, Value), None):
                    writes[name] = made
        node.effects = Effects(writes, node.effects.switches)
    node.outputs = tuple(value for _, value in fresh.values())
    return list(fresh.values())


def say_effects(
    call: Call, written: Writes, fresh: NewValues, draw: Draw | None, escapes: Escapes
) -> None:
    """Say on the node of a call what it did besides returning tensors."""
    node, result = call.node, call.result
    same: str | None = None
    escape: Escape | None = None
    getter = getattr(node.target, "__name__", "") == "__get__"
    if not fresh and call.tensors and (result is not None or getter):
        escape = escapes.kind(node, [t for t, _ in call.tensors], result)
    elif not written and draw is None and isinstance(result, torch.Tensor):
        same = next((name for name, part in call.named.items() if part is result), None)
    writes = node.effects.writes if written else {}
    drawn = () if draw is None else (True, draw.start, draw.goes_on)
    node.effects = Effects(writes, node.effects.switches, same, escape, *drawn)


def failed(call: Call, error: Exception, trace: Trace) -> None:
    """A call raised: where the model goes on, that it did is a condition like any other.

    Calls of arguments that torch never takes fail whatever is in these, and leave nothing behind.
    """
    call.explain(error)
    node = call.node
    if isinstance(error, _NEVER):
        if trace.standing is not None:
            trace.standing.forget(node)
        return
    node.result = type(error).__name__
    node.effects = Effects(switches=node.effects.switches, escape="error")
    trace.frames[-1].nodes.append(node)
    if trace.standing is not None:
        trace.standing.decided(node)


def _say_storages(call: Call, table: ValueTable, trace: Trace) -> None:
    """Say that memory which a tensor is put on was filled by none of the calls of this run."""
    for name in call.layout.structured:
        part = call.named[name]
        storage = part._untyped_storage if isinstance(part, torch.TypedStorage) else part
        if isinstance(storage, torch.UntypedStorage) and table.memory(storage) is None:
            trace.found.problems.append(
                f"the memory given to {call.node.op}() at {call.node.source} was filled by code no "
                "watcher sees; what is in it is frozen"
            )


def define(call: Call, written: Writes, fresh: NewValues, table: ValueTable, trace: Trace) -> None:
    """Tell what tensors mean now, and put the node of the call where it belongs."""
    node, effects = call.node, call.node.effects
    only_view = bool(written) and changes_view_only(node.target)
    nodes = trace.frames[-1].nodes
    place = len(nodes)
    asks = call.tensors and call.result is None and not written
    needed = bool(effects.escape or effects.random or asks)
    views: dict[Memory, View] = {}
    if written:
        _say_storages(call, table, trace)
    for tensor, value in fresh:
        if id(tensor) in written:
            needed |= table.write(tensor, value, only_view=only_view)
            table.redigest(tensor)
        else:
            table.define(tensor, value, node, () if effects.writes else call.tensors, views)
            needed = True
    if needed:  # before what its writes made follow from it
        nodes.insert(place, node)
    if written and trace.in_autograd_function(call.frame):
        for tensor in written.values():
            table.owe(tensor)


_NEVER = (TypeError, AttributeError, NotImplementedError)
