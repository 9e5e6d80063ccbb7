"""The call that puts a part of a tensor back into the whole, as the call that took it out says.

Where sizes may vary, a part is told by what was asked for (a dimension, a start and a length, which
may be numbers of sizes), and not by where it lies in memory. Emits calls; changes no table.
"""

from __future__ import annotations

from typing import Any

import torch

from ..graph import numbers
from ..graph.geometry import Geometry, setitem
from ..graph.nodes import Node, NumberType, Value
from .trace import Trace

SPLITS = frozenset({
    "chunk", "dsplit", "hsplit", "split", "split_with_sizes", "tensor_split", "unbind",
    "unsafe_chunk", "unsafe_split", "vsplit",
})  # fmt: skip


def part_written(
    trace: Trace, node: Node, whole: Value, where: Geometry, part: Geometry, value: Value
) -> Value | None:
    """The whole after the part has become ``value``; None where nothing is known of the call.

    Args:
        trace: where it is written down.
        node: the call that took the part out.
        whole: what it took it out of, as it is now.
        where: how the whole lies in memory.
        part: how the part does.
        value: what the part is now.
    """
    args, kind = node.args, whole.type
    if node.op == "diagonal":
        named = {name: args[name] for name in ("offset", "dim1", "dim2")}
        return trace.emit(torch.diagonal_scatter, {"input": whole, "src": value, **named}, kind)
    dim = args.get("dim", {"hsplit": 1, "vsplit": 0, "dsplit": 2}.get(node.op))
    if dim.__class__ is not int or not kind.shape:
        return None
    dim %= len(kind.shape)
    place: Any = None
    if node.op == "select":
        place = args["index"]
    elif node.op == "narrow":
        start = args["start"]
        if not _is_number(start):  # a tensor
            live = trace.live
            many = _size(trace, node.args["input"], dim) if live else kind.shape[dim]
            start = trace.emit(torch.remainder, {"input": start, "other": many}, start.type)
        elif _recorded(start) < 0:
            start = _sum(trace, _size(trace, node.args["input"], dim), start)
        place = _stretch(trace, start, args["length"])
    elif node.op in SPLITS and where.stride[dim]:
        begins = (part.offset - where.offset) // where.stride[dim]
        place = _place(trace, node, dim, begins, part.size)
    if place is None:
        return None
    indices = (slice(None),) * dim + (place,)
    return trace.emit(setitem, {"input": whole, "indices": indices, "value": value}, kind)


def _place(trace: Trace, node: Node, dim: int, begins: int, shape: tuple[int, ...]) -> Any:
    """Which rows of the whole a part is, of one that was cut; ``begins``: the first of them."""
    if node.op == "unbind":
        return begins
    start: Any = 0
    for one in node.outputs:
        size = _size(trace, one, dim)
        if _recorded(start) == begins and one.type.shape == shape:  # one before it may be empty
            return _stretch(trace, start, size)
        start = _sum(trace, start, size)
    return None


def _stretch(trace: Trace, start: Any, length: Any) -> slice | None:
    """So many rows from a first one; None where a tensor says how many."""
    if not _is_number(length):
        return None
    if _is_number(start):
        return slice(start, _sum(trace, start, length))
    return slice(start, trace.emit(torch.add, {"input": start, "other": length}, start.type))


def _is_number(part: Any) -> bool:
    return part.__class__ is int or isinstance(part, Value) and part.is_number


def _size(trace: Trace, of: Value, dim: int) -> Value:
    return trace.emit(numbers.size, {"input": of, "dim": dim}, _kind(of.type.shape[dim]))


def _sum(trace: Trace, one: Any, other: Any) -> Any:
    if one.__class__ is int and (other.__class__ is int or not one):
        return one + other if other.__class__ is int else other
    total = _kind(_recorded(one) + _recorded(other))
    return trace.emit(numbers.add, {"input": one, "other": other}, total)


def _kind(number: int) -> NumberType:
    return NumberType(int, int(number))


def _recorded(number: Any) -> int:
    return int(number if number.__class__ is int else number.type.recorded)
