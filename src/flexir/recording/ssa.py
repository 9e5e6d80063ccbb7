"""Writes and views become immutable values.

Every tensor lives in a *memory* (its storage). A memory holds one or more *pieces*: a geometry
(dtype, size, stride, offset) and the Value that stands there now. A write replaces a piece and
moves the memory's epoch on; every other tensor on that memory is then stale, and the next time
it is read its Value is derived anew: the recorded view is emitted again on the new base, or, where
there is no such view, cut out of the piece with ``as_strided``.

This module owns those tables and the few functions such derived nodes call. It runs no model code
and decides nothing about ops: what wrote what is told to it.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch

from ..graph import tree
from ..graph.geometry import (
    Geometry,
    as_strided,
    as_strided_scatter,
    assemble,
    digest,
    setitem,
    storage_of,
    where_of,
)
from ..graph.nodes import Node, TensorType, Value
from .memory import ALONE, UNKNOWN, Alias, Memory, Piece, View, Weight, nothing, version

Emit = Callable[[Callable[..., Any], dict[str, Any], TensorType], Value]


class Memories:
    """All live tensors of a run and what they mean.

    Args:
        emit: ``emit(function, named arguments, type of its output) -> Value`` records one node.
        origin: ``origin(tensor, written) -> Value`` names a tensor never seen before, whose
            memory the run has or has not written.
        again: ``again(node, args) -> Node`` records a node once more with other arguments.
        unseen: told when a memory changed and nobody saw the write.
    """

    def __init__(
        self,
        emit: Emit,
        origin: Callable[[torch.Tensor, bool], Value],
        again: Callable[[Node, dict[str, Any]], Node],
        unseen: Callable[[torch.Tensor, Alias], None],
    ) -> None:
        self.emit, self.origin, self.again, self.unseen = emit, origin, again, unseen
        self.aliases: dict[int, Alias] = {}
        # id of a storage -> (weak, its memory or the one tensor there)
        self.memories: dict[int, tuple[Any, Memory | Alias]] = {}
        # so many memories and aliases at most before those that are gone are forgotten
        self.crowd = self.crowd_of_aliases = 32
        self.shared: list[tuple[int, int, Memory]] = []
        self.roots: list[tuple[Alias, Value, Memory]] = []
        self.weights: list[Weight] = []
        self.touched: set[Memory] = set()  # memories of inputs and constants that were written
        self.undo: list[dict[Alias, tuple[Value, int]]] = [{}]

    def close(self) -> None:
        """Forget all tensors; without this they would live until the garbage collector runs."""
        for _, memory in self.memories.values():
            if memory.__class__ is Memory:
                memory.known = None  # memories and aliases know each other
        self.aliases.clear()
        self.memories.clear()
        self.roots.clear()
        self.weights.clear()
        self.undo.clear()
        del self.emit, self.origin, self.again, self.unseen

    # -- reading

    def read(self, tensor: torch.Tensor) -> Value:
        """The Value a tensor holds now."""
        return self.alias(tensor).value

    def alias(self, tensor: torch.Tensor) -> Alias:
        """What a tensor means now, its Value and write counter up to date."""
        alias = self.aliases.get(id(tensor))
        if alias is None:
            return self._meet(tensor)
        memory = alias.memory
        if memory is ALONE:  # as Alias.is_of, for the many
            try:
                stands = alias.home() is tensor.untyped_storage()
            except (NotImplementedError, RuntimeError):  # another tensor, which has none
                stands = False
            if not stands:
                return self._meet(tensor)
        elif not alias.is_of(tensor):
            return self._meet(tensor)
        if memory.shared is not None and memory.shared != digest(tensor):
            self._changed(tensor, alias)
        elif alias.epoch != memory.epoch:
            self.current(alias)
            alias.version = version(tensor)
        elif alias.version == UNKNOWN or memory.loose:
            alias.version = version(tensor)
        elif alias.version != -1 and alias.version != tensor._version:
            if 0 < tensor._version - alias.version <= memory.owed:
                alias.version = tensor._version
            else:
                self._changed(tensor, alias)
        return alias

    def _meet(self, tensor: torch.Tensor) -> Alias:
        """A tensor object nobody has recorded: an alias of known memory, or a new constant."""
        storage = storage_of(tensor)
        where = where_of(tensor)
        memory = self.memory(storage)
        if memory is None and storage is not None:
            memory = self._shared(storage)
            if memory is not None:
                shift = storage.data_ptr() - self._start(memory)
                if shift % where.dtype.itemsize == 0:
                    where = where._replace(offset=where.offset + shift // where.dtype.itemsize)
                self.memories[id(storage)] = (weakref.ref(storage), memory)
        if memory is None:  # the common case: a weight
            value = self.origin(tensor, False)
            memory = self._new_memory(storage, "constant", where, value)
            return self._found(self._enter(tensor, memory, where, value, None), value)
        known = memory.known.get(where) if memory.known else None
        if known is not None:
            value = self.current(known)
            return self._know(self._enter(tensor, memory, where, value, known.view))
        holder = memory.holder(where)
        same = holder is not None and holder.where == where
        if holder is not None and (same or memory.kind != "constant" or memory.epoch):
            value = self._derive(memory, holder, where)
            return self._know(self._enter(tensor, memory, where, value, None))
        value = self.origin(tensor, memory.epoch > 0)
        memory.more += (Piece(where, value),)
        return self._found(self._know(self._enter(tensor, memory, where, value, None)), value)

    def current(self, alias: Alias) -> Value:
        """The Value of an alias at its memory's present epoch."""
        memory = alias.memory
        if alias.epoch == memory.epoch:
            return alias.value
        holder = memory.holder(alias.where)
        if holder is not None and holder.where == alias.where:
            self._set(alias, holder.value)
        elif alias.view is not None and alias.view.stands():
            self._review(alias.view)
        elif holder is not None:
            self._set(alias, self._derive(memory, holder, alias.where))
        else:
            raise AssertionError("a live tensor lies outside every piece of its memory")
        return alias.value

    def _review(self, view: View) -> None:
        """Emit a view again on what its bases hold now, for all tensors it made."""
        fresh = {old: self.current(base) for old, base in view.bases.items()}
        args = tree.substitute(view.node.args, Value, lambda v: fresh.get(v, v))
        node = self.again(view.node, args)
        for weak, value in zip(view.aliases, node.outputs):
            if (alias := weak()) is not None:
                self._set(alias, value)

    def _derive(self, memory: Memory, holder: Piece, where: Geometry) -> Value:
        if holder.where == where:
            return holder.value
        args = {"input": holder.value, **_place(holder, where)}
        kind = TensorType(where.dtype, where.size, holder.value.type.device)
        return self.emit(as_strided, args, kind)

    def _set(self, alias: Alias, value: Value) -> None:
        self.undo[-1].setdefault(alias, (alias.value, alias.epoch))
        alias.value, alias.epoch = value, alias.memory.epoch
        live = alias.ref()
        alias.version = UNKNOWN if live is None else version(live)

    # -- scopes

    def enter(self) -> None:
        """Begin a module call."""
        self.undo.append({})

    def leave(self, keep: Sequence[Value]) -> None:
        """End a module call: what was only derived inside is not seen outside.

        Args:
            keep: the Values the module returned.
        """
        inner = self.undo.pop()
        outer = self.undo[-1]
        for alias, (value, epoch) in inner.items():
            if alias.value in keep:
                outer.setdefault(alias, (value, epoch))
            else:
                alias.value, alias.epoch = value, epoch

    # -- defining and writing

    def define(
        self,
        tensor: torch.Tensor,
        value: Value,
        node: Node | None = None,
        tensors: Sequence[tuple[torch.Tensor, Alias]] = (),
        views: dict[Memory, View] | None = None,
        kind: str = "made",
    ) -> None:
        """A call returned ``tensor``.

        Args:
            tensor: what it returned.
            value: its Value.
            node: the call; None for an input of the graph.
            tensors: the call's tensor arguments; on the memory of one of them, it is a view.
            views: the Views this call has made so far, which its other results share.
            kind: ``"made"`` by the call, or ``"input"``.
        """
        known = self.aliases.get(id(tensor))
        if known is not None and known.is_of(tensor) and known.epoch == known.memory.epoch:
            if known.value.type == value.type:
                self.own(known, tensor)
                self._set(known, value)  # the call returned its argument as it was
                return
        storage = storage_of(tensor)
        where = where_of(tensor, value.type.shape)
        if kind == "made" and storage is not None and self._lies_at(storage) is None:
            home = weakref.ref(storage)
            self._alone(Alias(tensor, ALONE, where, value, home=home), tensor, home, storage)
            return
        memory = self.memory(storage)
        if memory is None:
            memory = self._new_memory(storage, kind, where, value)
            alias = self._enter(tensor, memory, where, value, None)
        else:
            view = None if views is None else views.get(memory)
            if view is None and node is not None:
                bases = {}
                for other, alias in tensors:
                    if alias.memory is memory:
                        alias.share(other)
                        bases[alias.value] = alias
                view = View(node, memory, bases) if bases else None
                for base in bases.values():
                    self._know(base)
                if views is not None and view is not None:
                    views[memory] = view
            alias = self._know(self._enter(tensor, memory, where, value, view))
            if view is not None:
                view.aliases.append(weakref.ref(alias))
            elif memory.holder(where) is None or kind != "made":
                memory.more += (Piece(where, value),)
        if kind != "made":
            self._found(alias, value)

    def _found(self, alias: Alias, value: Value) -> Alias:
        """An input or a constant: what becomes of it is a result of the run."""
        alias.memory.values += (value,)
        self.roots.append((alias, value, alias.memory))
        return alias

    def written(self) -> list[tuple[Value, Value]]:
        """(initial, final) of every input and constant whose tensor or memory was written."""
        touched = self.touched
        roots = [root for root in self.roots if root[2] in touched] if touched else []
        pairs = [(value, self.current(alias)) for alias, value, _ in roots]
        return [(value, final) for value, final in pairs if final is not value]

    def swapped(self) -> list[Weight]:
        """Tensors from before the run that hold something else now (``swap_tensors``)."""
        weights = self.weights
        try:
            return [w for w in weights if w.tensor.untyped_storage() is not w.storage]
        except (NotImplementedError, RuntimeError):  # one of them has no storage any more
            return [w for w in weights if storage_of(w.tensor) is not w.storage]

    def write(self, tensor: torch.Tensor, value: Value, *, only_view: bool = False) -> bool:
        """A call wrote ``tensor``, which holds ``value`` now.

        Args:
            tensor: what was written.
            value: its Value according to the call.
            only_view: the call changed the tensor's geometry, not its memory (``t_``).

        Returns:
            whether ``value`` is what the tensor means; not so if the call only made it look at
            other memory that is known.
        """
        alias = self.aliases[id(tensor)]
        where, storage = where_of(tensor, value.type.shape), storage_of(tensor)
        if where == alias.where and self.is_alone(alias, storage):
            alias.value, alias.version = value, version(tensor)
            return True
        memory = self.own(alias, tensor)
        memory.owed = 0
        if memory.kind != "made":
            self.touched.add(memory)
        moved = (
            storage is not None
            and storage is not memory.storage()
            and self.memory(storage) is not memory
        )
        if moved:  # set_, .data = ...
            found = self.memory(storage)
            holder = None if found is None else found.holder(where)
            if found is None:
                found = self._new_memory(storage, "made", where, value)
            elif holder is None:
                found.more += (Piece(where, value),)
            elif only_view:
                value = self._derive(found, holder, where)
            memory.loose = found.loose = True
            memory.forget(alias)
            memory = alias.memory = found
            if found.kind != "made":
                self.touched.add(found)
            alias.where, alias.view, alias.epoch = where, None, found.epoch
            if only_view or holder is None:
                alias.value, alias.version = value, version(tensor)
                self._know(alias)
                return holder is None
        grown = storage is not None and storage.nbytes() != memory.nbytes
        same = where == alias.where
        if only_view and not grown:
            self._counted(memory, alias.version, version(tensor))
        elif same and not grown:
            self._write(alias, value)
        else:  # resized: what lay there before is gone
            memory.nbytes = storage.nbytes() if storage is not None else 0
            memory.epoch += 1
            memory.become(where, value)
            memory.known = None
        if not same or grown:
            memory.forget(alias)
            alias.view, alias.where = None, where
            self._know(alias)
        alias.value, alias.epoch, alias.version = value, memory.epoch, version(tensor)
        if memory.known is not None:
            memory.known[where] = alias
        return True

    def _counted(self, memory: Memory, before: int, after: int) -> None:
        """A call counted as a write of this memory and left it as it was (``t_``)."""
        for other in self.aliases.values():
            if other.memory is memory and other.version == before:
                if (live := other.ref()) is not None and version(live) == after:
                    other.version = after  # not so for `.data`, which counts on its own

    def _write(self, alias: Alias, value: Value) -> None:
        memory, where = alias.memory, alias.where
        if not memory.more and memory.where == where:  # the common case: all there is
            piece: Piece = memory
        else:
            piece = self._piece(memory, where)
            value = self._scatter(alias, value, piece)
        memory.epoch += 1
        piece.value = value
        if not memory.known:
            return
        for p in memory.pieces:
            known = memory.known.get(p.where)
            if known is not None:
                known.value, known.epoch = p.value, memory.epoch
                live = known.ref()
                known.version = UNKNOWN if live is None else version(live)

    def _piece(self, memory: Memory, where: Geometry) -> Piece:
        """The one piece that a write to ``where`` changes."""
        piece = memory.holder(where)
        start, end = where.span()
        for other in memory.pieces:
            low, high = other.where.span()
            if piece is None or other is not piece and low < end and start < high:
                return self._merge(memory)
        assert piece is not None
        return piece

    def _merge(self, memory: Memory) -> Piece:
        """Lay all pieces of a memory into one flat block, so that one Value holds it all."""
        args = {
            "tensors": [p.value for p in memory.pieces],
            "geometries": [tuple(p.where) for p in memory.pieces],
            "nbytes": memory.nbytes,
        }
        flat = Geometry(torch.uint8, (memory.nbytes,), (1,), 0)
        device = memory.value.type.device
        memory.become(flat, self.emit(assemble, args, TensorType(torch.uint8, flat.size, device)))
        return memory

    def _scatter(self, alias: Alias, value: Value, piece: Piece) -> Value:
        """The piece's Value after ``alias`` has become ``value``, in the plainest op there is."""
        if piece.where == alias.where:
            return value
        base = self._base(alias)
        if base is not None and alias.view is not None:
            if base.where == alias.where:
                return self._scatter(base, value, piece)
            node = alias.view.node
            literal = not any(not v.is_number for v in tree.leaves(node.args.get("indices"), Value))
            if node.op == "getitem" and literal:
                args = {
                    "input": self.current(base), "indices": node.args["indices"], "value": value,
                }  # fmt: skip
                return self._scatter(base, self.emit(setitem, args, base.value.type), piece)
            if (inverse := _inverse(alias.where, base.where)) is not None:
                function, args = inverse
                back = self.emit(function, {"input": value, **args}, base.value.type)
                return self._scatter(base, back, piece)
        args = {"input": piece.value, "src": value, **_place(piece, alias.where)}
        return self.emit(as_strided_scatter, args, piece.value.type)

    def _base(self, alias: Alias) -> Alias | None:
        """The one tensor an alias is a recorded view of, if a write can go back through it."""
        view = alias.view
        if view is None or len(view.bases) != 1 or len(view.aliases) != 1 or not view.stands():
            return None
        (base,) = view.bases.values()
        return None if base.where.overlaps() else base

    # -- tables

    def expect(self, tensor: torch.Tensor) -> None:
        """A tensor from before the run, which the run may read."""
        storage = storage_of(tensor)
        if storage is None or id(storage) in self.memories:
            self.alias(tensor)  # shares its memory with another
        else:
            weight = Weight(tensor, storage, self.origin(tensor, False))
            self.weights.append(weight)
            self._alone(weight, tensor, weight.home, storage)

    def memory(self, storage: torch.UntypedStorage | None) -> Memory | None:
        """What is known of a storage."""
        found = self._lies_at(storage)
        if found is None or isinstance(found, Memory):
            return found
        where = found.where
        if isinstance(found, Weight) and where is ALONE.where:
            where = found.where = found.lies()
        memory = found.memory = self._new_memory(storage, found.kind, where, found.value)
        if found.kind != "made":
            self._found(found, found.value)
        return memory

    def _lies_at(self, storage: torch.UntypedStorage | None) -> Memory | Alias | None:
        """The memory of a storage, or the one tensor there; ids of storages are used again."""
        weak, found = self.memories.get(id(storage), _ABSENT)
        return found if weak() is storage else None

    def is_alone(self, alias: Alias, storage: torch.UntypedStorage | None) -> bool:
        """Whether the run made this storage and only this tensor was ever seen there."""
        if alias.memory is not ALONE or alias.kind != "made":
            return False
        return self._lies_at(storage) is alias

    def own(self, alias: Alias, tensor: torch.Tensor) -> Memory:
        """The memory of a tensor, which may have been alone until now."""
        if alias.memory is ALONE:
            self.memory(storage_of(tensor))
            alias.share(tensor)
            if alias.memory is ALONE:  # it has moved away from where it was alone
                if alias.where is ALONE.where:
                    alias.where = where_of(tensor)
                alias.memory = Memory(None, alias.kind, alias.where, alias.value)
                if alias.kind != "made":
                    self._found(alias, alias.value)
        return alias.memory

    def _alone(
        self, alias: Alias, tensor: torch.Tensor, home: Any, storage: torch.UntypedStorage
    ) -> None:
        self.aliases[id(tensor)] = alias
        if len(self.memories) >= self.crowd:
            self._bury()
        self.memories[id(storage)] = (home, alias)

    def _new_memory(
        self, storage: torch.UntypedStorage | None, kind: str, where: Geometry, value: Value
    ) -> Memory:
        memory = Memory(storage, kind, where, value)
        if storage is not None:
            self.memories[id(storage)] = (memory.storage, memory)
        return memory

    def _bury(self) -> None:
        """Forget storages and tensors that are gone; their remains would fragment the heap."""
        entries = self.memories.items()
        gone = [k for k, (weak, m) in entries if weak() is None and m.kind == "made"]
        for key in gone:
            memory = self.memories.pop(key)[1]
            if memory.__class__ is Memory:
                memory.known = None
        self.crowd = max(32, 2 * len(self.memories))
        if len(self.aliases) >= self.crowd_of_aliases:
            self.aliases = {
                k: a for k, a in self.aliases.items() if (a.home or a.ref)() is not None
            }
            self.crowd_of_aliases = max(32, 2 * len(self.aliases))

    def _enter(
        self, tensor: torch.Tensor, memory: Memory, where: Geometry, value: Value, view: View | None
    ) -> Alias:
        alias = self.aliases[id(tensor)] = Alias(tensor, memory, where, value, view)
        return alias

    def _know(self, alias: Alias) -> Alias:
        """One of several tensors on a memory: other tensors may be found equal to it."""
        known = alias.memory.known
        if known is None:
            known = alias.memory.known = {}
        known[alias.where] = alias
        return alias

    def owe(self, tensor: torch.Tensor) -> None:
        """A custom autograd Function wrote this memory; as it ends the write may count again."""
        self.own(self.aliases[id(tensor)], tensor).owed += 1

    def forget_versions(self, result: Any) -> None:
        """These tensors were made beneath autograd, which has not set their counters yet."""

        def forget(tensor: torch.Tensor) -> None:
            if (alias := self.aliases.get(id(tensor))) is not None:
                alias.version = UNKNOWN

        tree.template(result, forget)

    # -- memory that NumPy and the like can reach

    def share(self, tensor: torch.Tensor) -> None:
        """Foreign code got hold of a tensor's memory; watch its bytes from now on."""
        memory = self.own(self.alias(tensor), tensor)
        storage = storage_of(tensor)
        if storage is None or tensor.device.type != "cpu":
            return
        if memory.shared is None:
            start = storage.data_ptr()
            self.shared.append((start, start + storage.nbytes(), memory))
        memory.shared = digest(tensor)

    def settle(self, tensor: torch.Tensor) -> None:
        """A recorded call wrote this memory: its bytes are known again."""
        memory = self.aliases[id(tensor)].memory
        if memory.shared is not None:
            memory.shared = digest(tensor)

    def _shared(self, storage: torch.UntypedStorage) -> Memory | None:
        if not self.shared or storage.device.type != "cpu":
            return None
        start = storage.data_ptr()
        for low, high, memory in self.shared:
            if low <= start and start + storage.nbytes() <= high:
                return memory
        return None

    def _start(self, memory: Memory) -> int:
        return next(low for low, _, m in self.shared if m is memory)

    def _changed(self, tensor: torch.Tensor, alias: Alias) -> None:
        """Nobody saw this memory being written: what stands there now is a new constant."""
        memory, where, now = self.own(alias, tensor), alias.where, tensor
        self.unseen(tensor, alias)
        low, high = where.span()
        spans = [piece.where.span() for piece in memory.pieces]
        storage = storage_of(tensor)
        if storage is not None and any(s < low or high < e for s, e in spans):
            # A part, and other parts may still be read: it is as if all was written.
            now = torch.empty(0, dtype=torch.uint8, device=tensor.device).set_(storage)
            where = Geometry(torch.uint8, tuple(now.shape), (1,), 0)
        value = self.origin(now, True)
        if memory.shared is not None:
            memory.shared = digest(tensor)
        memory.epoch += 1
        memory.become(where, value)
        self.touched.add(memory)
        alias.value = self._derive(memory, memory, alias.where)
        alias.epoch, alias.version = memory.epoch, version(tensor)


_ABSENT: tuple[Any, None] = (nothing, None)


def _place(piece: Piece, where: Geometry) -> dict[str, Any]:
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
    if sorted(zip(view.stride, view.size)) == sorted(zip(base.stride, base.size)):
        if len(set(base.stride)) == len(base.stride):
            return torch.permute, {"dims": tuple(view.stride.index(s) for s in base.stride)}
    if view.span() == base.span() and view.is_contiguous() and base.is_contiguous():
        return torch.reshape, {"shape": base.size}
    return None
