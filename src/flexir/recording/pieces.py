"""The Value of a part of a memory from the Value of the whole, and the whole from a part.

Owns in which ops a view is cut out and a write through a view is put back; knows which tensors
view which only by what :mod:`.ssa` hands it, and changes no table but the pieces of a memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from ..graph import tree
from ..graph.geometry import Geometry, as_strided, as_strided_scatter, assemble, setitem
from ..graph.nodes import Node, NumberType, TensorType, Value
from .memory import Alias, Memory, Piece, View
from .no_compiler import no_compiler
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
        inverse = _way_back(alias.view, alias.where, base)
        if inverse is not None:
            function, args = inverse
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


def _way_back(view: View, where: Geometry, base: Alias) -> tuple[Callable[..., Any], Any] | None:
    """The torch function that turns a view of *all* of a base back into the base's shape."""
    if not view.loose:
        return _inverse(where, base.where)
    if view.placed or where.dtype != base.where.dtype or where.flags or base.where.flags:
        return None
    rank = len(base.where.size)
    turned = _turned(view.node, rank)
    if turned is None:  # it takes sizes, and so keeps the order
        known = _inverse(where, base.where)
        turned = () if known is None or known[0] is not torch.reshape else range(rank)
    if len(turned) < rank:
        return None
    if list(turned) == sorted(turned):  # to whatever size the base has
        return torch.Tensor.reshape_as, {"other": base.value}
    return torch.permute, {"dims": tuple(list(turned).index(d) for d in range(rank))}


def _turned(node: Node, rank: int) -> Sequence[int] | None:
    """Which dimensions of what it is given a view has, in its order, whatever their sizes.

    Told by sizes that differ, on the meta device, and by others once more: a literal may be one of
    them. Of a view that turns some and has others as well, or is not of all, nothing is told; None
    where it does not take such sizes.
    """
    told = [_turned_at(node, range(least, least + rank)) for least in (2, 31)]
    if None in told:
        return () if () in told else None
    return told[0] if told[0] == told[1] else ()


def _turned_at(node: Node, sizes: Sequence[int]) -> Sequence[int] | None:
    """The same, told by these sizes."""
    given = torch.empty(tuple(sizes), device="meta")

    def look(value: Value) -> Any:
        return value.type.recorded if isinstance(value.type, NumberType) else given

    try:
        named = {name: tree.build(part, Value, look) for name, part in node.args.items()}
        args, kwargs = node.signature.unbind(named)
        with no_compiler():
            made = node.target(*args, **kwargs)
    except (RuntimeError, IndexError, TypeError, ValueError):
        return None
    if not isinstance(made, torch.Tensor) or made.numel() != given.numel():
        return ()
    if made.is_contiguous():  # of sizes that differ: in whatever shape, nothing is turned
        return range(len(sizes))
    strides = list(given.stride())
    known = made.dim() == len(sizes) and strides == sorted(made.stride(), reverse=True)
    return [strides.index(stride) for stride in made.stride()] if known else ()


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
