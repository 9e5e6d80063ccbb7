"""The Value of a part of a memory from the Value of the whole, and the whole from a part.

Owns in which ops a view is cut out and a write through a view is put back; knows which tensors
view which only by what :mod:`.ssa` hands it, and changes no table but the pieces of a memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ..graph.geometry import Geometry, as_strided, as_strided_scatter, assemble, setitem
from ..graph.nodes import TensorType, Value
from .memory import Alias, Memory, Piece
from .part_written import SPLITS, part_written
from .trace import Trace

Current = Callable[[Alias], Value]


def derive(trace: Trace, holder: Piece, where: Geometry) -> Value:
    """The Value of a part of a piece, cut out of it."""
    if holder.where == where:
        return holder.value
    args = {"input": holder.value, **_strided(holder, where)}
    kind = TensorType(where.dtype, where.size, holder.value.type.device)
    return trace.emit(as_strided, args, kind)


def written_piece(trace: Trace, memory: Memory, where: Geometry) -> Piece:
    """The one piece that a write to ``where`` changes."""
    piece = memory.holder(where)
    start, end = where.span()
    for other in memory.pieces:
        low, high = other.where.span()
        if piece is None or other is not piece and low < end and start < high:
            return _merge(trace, memory)
    assert piece is not None
    return piece


def _merge(trace: Trace, memory: Memory) -> Piece:
    """Lay all pieces of a memory into one flat block, so that one Value holds it all."""
    args = {
        "tensors": [p.value for p in memory.pieces],
        "geometries": [tuple(p.where) for p in memory.pieces],
        "nbytes": memory.nbytes,
    }
    flat = Geometry(torch.uint8, (memory.nbytes,), (1,), 0)
    device = memory.value.type.device
    memory.become(flat, trace.emit(assemble, args, TensorType(torch.uint8, flat.size, device)))
    return memory


def scatter(trace: Trace, alias: Alias, value: Value, piece: Piece, current: Current) -> Value:
    """The piece's Value after ``alias`` has become ``value``, in the plainest op there is.

    Args:
        trace: where it is written down.
        alias: a tensor on the memory, which may be a view of another.
        value: what it holds now.
        piece: the part of the memory it lies in.
        current: reads the present Value of a tensor.
    """
    if alias.lies_at(piece.where):
        return value
    base = _base(alias)
    if base is not None and alias.view is not None:
        if alias.lies_at(base.where):
            return scatter(trace, base, value, piece, current)
        node = alias.view.node
        if node.op == "getitem":
            args = {
                "input": current(base), "indices": node.args["indices"], "value": value,
            }  # fmt: skip
            whole = trace.emit(setitem, args, base.value.type)
            return scatter(trace, base, whole, piece, current)
        if alias.view.loose:
            known = part_written(trace, node, current(base), base.where, alias.where, value)
            if known is not None:
                return scatter(trace, base, known, piece, current)
        inverse = None if alias.view.placed else _inverse(alias.where, base.where)
        if inverse is not None:
            function, args = inverse
            if trace.live and function is torch.reshape:  # to whatever size the base has
                function, args = torch.Tensor.reshape_as, {"other": base.value}
            back = trace.emit(function, {"input": value, **args}, base.value.type)
            return scatter(trace, base, back, piece, current)
    tell_places(trace, alias)
    args = {"input": piece.value, "src": value, **_strided(piece, alias.where)}
    return trace.emit(as_strided_scatter, args, piece.value.type)


def tell_places(trace: Trace, alias: Alias) -> None:
    """Write down what says where a tensor lies, if tensors do: with others it lies elsewhere."""
    if alias.view is not None:
        for value, number in alias.view.placed:
            trace.told(value, number)
        for base in alias.view.bases.values():
            tell_places(trace, base)


def _base(alias: Alias) -> Alias | None:
    """The one tensor an alias is a recorded view of, if a write can go back through it."""
    view = alias.view
    if view is None or len(view.bases) != 1 or not view.stands():
        return None
    if len(view.aliases) != 1 and view.node.op not in SPLITS:
        return None
    (base,) = view.bases.values()
    return None if base.where.overlaps() else base


def _strided(piece: Piece, where: Geometry) -> dict[str, Any]:
    """Arguments of :func:`as_strided` that cut ``where`` out of ``piece``."""
    shift = where.offset * where.dtype.itemsize - piece.where.offset * piece.where.dtype.itemsize
    return {
        "size": where.size,
        "stride": where.stride,
        "storage_offset": shift // where.dtype.itemsize,
        "input_stride": piece.where.stride,
        "dtype": where.dtype,
        "flags": where.flags,
    }


def _inverse(view: Geometry, base: Geometry) -> tuple[Callable[..., Any], dict[str, Any]] | None:
    """The torch function that turns a view of *all* of a base back into the base's shape."""
    if view[0] != base[0] or view.offset != base.offset or view.flags or base.flags:
        return None
    if view != base and sorted(zip(view.stride, view.size)) == sorted(zip(base.stride, base.size)):
        if len(set(base.stride)) == len(base.stride):
            return torch.permute, {"dims": tuple(view.stride.index(s) for s in base.stride)}
    if view == base or view.span() == base.span() and view.is_contiguous() and base.is_contiguous():
        return torch.reshape, {"shape": base.size}
    return None
