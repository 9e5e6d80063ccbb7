"""Writes and views become immutable values.

Every tensor lives in a *memory* (its storage). A memory holds one or more *pieces*: a geometry
(dtype, size, stride, offset) and the Value that stands there now. A write replaces a piece and
moves the memory's epoch on; every other tensor on that memory is then stale, and the next time
it is read its Value is derived anew: the recorded view is emitted again on the new base, or, where
there is no such view, cut out of the piece with ``as_strided``.

This module owns what reads and writes mean; which tensor lies where is :mod:`.tensors`' matter. It
runs no model code and decides nothing about ops: what wrote what is told to it.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Sequence

import torch

from ..graph import tree
from ..graph.geometry import (
    Geometry,
    digest,
    storage_of,
    where_of,
)
from ..graph.nodes import Node, Value
from .constants import Origins
from .memory import ALONE, UNKNOWN, Alias, LoneConstant, Memory, Piece, View, version
from .pieces import derive, scatter, tell_places, written_piece
from .tensors import Tensors
from .trace import Trace


class ValueTable(Tensors):
    """What the live tensors of a run mean: the Value that each holds now.

    Args:
        trace: where derived calls are written down.
        found: names tensors never seen before.
    """

    def __init__(self, trace: Trace, found: Origins) -> None:
        self.trace, self.found = trace, found
        super().__init__()
        self.touched: set[Memory] = set()  # memories of inputs and constants that were written
        self.undo: list[dict[Alias, tuple[Value, int]]] = [{}]

    def close(self) -> None:
        """Forget all tensors; without this they would live until the garbage collector runs."""
        super().close()
        self.undo.clear()
        del self.trace, self.found

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
        """An unrecorded tensor object: an alias of known memory, or a new constant."""
        storage = storage_of(tensor)
        where = where_of(tensor)
        memory = self.memory(storage)
        if memory is None and storage is not None:
            memory, shift = self._shared(storage)
            if memory is not None:
                if shift % where.dtype.itemsize == 0:
                    where = where._replace(offset=where.offset + shift // where.dtype.itemsize)
                self.memories[id(storage)] = (weakref.ref(storage), memory)
        if memory is None:  # the common case: a weight
            value = self.found.origin(tensor, False)
            memory = self._new_memory(storage, "constant", where, value)
            return self._found(self._new_alias(tensor, memory, where, value, None), value)
        known = memory.known.get(where) if memory.known else None
        if known is not None:
            value = self.current(known)
            return self._know(self._new_alias(tensor, memory, where, value, known.view))
        holder = memory.holder(where)
        same = holder is not None and holder.where == where
        if holder is not None and (same or memory.kind != "constant" or memory.epoch):
            value = derive(self.trace, holder, where)
            return self._know(self._new_alias(tensor, memory, where, value, None))
        value = self.found.origin(tensor, memory.epoch > 0)
        memory.more += (Piece(where, value),)
        return self._found(self._know(self._new_alias(tensor, memory, where, value, None)), value)

    def current(self, alias: Alias) -> Value:
        """The Value of an alias at its memory's present epoch."""
        memory = alias.memory
        if alias.is_current:
            return alias.value
        holder = memory.holder(alias.where)
        if holder is not None and alias.lies_at(holder.where):
            self._set(alias, holder.value)
        elif alias.view is not None and alias.view.stands():
            self._review(alias.view)
        elif holder is not None:
            tell_places(self.trace, alias)
            self._set(alias, derive(self.trace, holder, alias.where))
        else:
            raise AssertionError("a live tensor lies outside every piece of its memory")
        return alias.value

    def _review(self, view: View) -> None:
        """Emit a view again on what its bases hold now, for all tensors it made."""
        fresh = {old: self.current(base) for old, base in view.bases.items()}
        args = tree.substitute(view.node.args, Value, lambda v: fresh.get(v, v))
        node = self.trace.again(view.node, args)
        for weak, value in zip(view.aliases, node.outputs):
            if (alias := weak()) is not None:
                self._set(alias, value)

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
        storage, new = storage_of(tensor), False
        if kind == "made" and storage is not None:
            lies = self.memories.get(id(storage))
            new = lies is None or lies[0]() is not storage
        known = self.aliases.get(id(tensor))
        if known is not None and (not new or known.ref() is tensor):
            if known.is_of(tensor) and known.is_current:
                if known.value.type == value.type:
                    self.own(known, tensor)
                    self._set(known, value)  # the call returned its argument as it was
                    return
        if new and storage is not None:  # the common case: nothing lies there
            self._alone(tensor, value, storage)
            return
        where = where_of(tensor, value.type.shape)
        memory = self.memory(storage)
        if memory is None:
            memory = self._new_memory(storage, kind, where, value)
            alias = self._new_alias(tensor, memory, where, value, None)
        else:
            view = self._view(node, memory, tensors, views)
            alias = self._know(self._new_alias(tensor, memory, where, value, view))
            if view is not None:
                view.aliases.append(weakref.ref(alias))
            elif memory.holder(where) is None or kind != "made":
                memory.more += (Piece(where, value),)
        if kind != "made":
            self._found(alias, value)

    def _view(
        self,
        node: Node | None,
        memory: Memory,
        tensors: Sequence[tuple[torch.Tensor, Alias]],
        views: dict[Memory, View] | None,
    ) -> View | None:
        """What a call viewed, if arguments of it lie on the memory its result lies on."""
        if node is None or views is not None and memory in views:
            return None if views is None else views.get(memory)
        bases = {}
        for other, alias in tensors:
            if alias.memory is memory:
                alias.share(other)
                bases[alias.value] = alias
        if not bases:
            return None
        view = View(node, memory, bases, tensors, self.trace.live)
        for base in bases.values():
            self._know(base)
        if views is not None:
            views[memory] = view
        return view

    def written(self) -> list[tuple[Value, Value]]:
        """(initial, final) of every input and constant whose tensor or memory was written."""
        touched = self.touched
        roots = [root for root in self.roots if root[2] in touched] if touched else []
        pairs = [(value, self.current(alias)) for alias, value, _ in roots]
        return [(value, final) for value, final in pairs if final is not value]

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
        moved = storage is not None and storage is not memory.storage()
        if moved and self.memory(storage) is not memory:
            holder = self._move(alias, where, storage, value)
            if only_view or holder is None:
                if holder is not None:
                    value = derive(self.trace, holder, where)
                alias.value, alias.version = value, version(tensor)
                self._know(alias)
                return holder is None
        self._replace(alias, tensor, where, value, only_view)
        return True

    def _move(
        self, alias: Alias, where: Geometry, storage: torch.UntypedStorage | None, value: Value
    ) -> Piece | None:
        """A tensor lies on another storage from now on (``set_``, ``.data = ...``).

        Returns:
            the piece there that holds it already.
        """
        found = self.memory(storage)
        holder = None if found is None else found.holder(where)
        if found is None:
            found = self._new_memory(storage, "made", where, value)
        elif holder is None:
            found.more += (Piece(where, value),)
        alias.memory.loose = found.loose = True
        alias.memory.forget(alias)
        alias.memory = found
        if found.kind != "made":
            self.touched.add(found)
        alias.where, alias.view, alias.epoch = where, None, found.epoch
        return holder

    def _replace(
        self, alias: Alias, tensor: torch.Tensor, where: Geometry, value: Value, only_view: bool
    ) -> None:
        """A tensor holds something else on the storage it lies on, or is another part of it."""
        memory, storage = alias.memory, storage_of(tensor)
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
            self._know(alias)

    def _counted(self, memory: Memory, before: int, after: int) -> None:
        """A call counted as a write of this memory and left it as it was (``t_``)."""
        for other in self.aliases.values():
            if other.memory is memory and other.version == before:
                if (live := other.ref()) is not None and version(live) == after:
                    other.version = after  # not so for `.data`, which counts on its own

    def _write(self, alias: Alias, value: Value) -> None:
        memory, where = alias.memory, alias.where
        if not memory.more and alias.lies_at(memory.where):  # the common case: all there is
            piece: Piece = memory
        else:
            piece = written_piece(self.trace, memory, where)
            value = scatter(self.trace, alias, value, piece, self.current)
        memory.epoch += 1
        piece.value = value
        if not memory.known:
            return
        for p in memory.pieces:
            known = memory.known.get(p.where)
            if known is not None and not known.is_loose:
                known.value, known.epoch = p.value, memory.epoch
                live = known.ref()
                known.version = UNKNOWN if live is None else version(live)

    def expect(self, tensors: Iterable[torch.Tensor]) -> None:
        """Tensors from before the run, which the run may read.

        Met now, all at once, they cost less than between convolutions.
        """
        for tensor in tensors:
            storage = storage_of(tensor)
            if storage is None or id(storage) in self.memories:
                self.alias(tensor)  # shares its memory with another
                continue
            weight = LoneConstant(tensor, storage, self.found.origin(tensor, False))
            self.weights.append(weight)
            self.aliases[id(tensor)] = weight
            self.memories[id(storage)] = (weight.home, weight)

    # -- memory that NumPy and the like can reach

    def share(self, tensor: torch.Tensor) -> None:
        """Foreign code got hold of a tensor's memory; watch its bytes from now on."""
        self._watch(tensor, self.own(self.alias(tensor), tensor))

    def _changed(self, tensor: torch.Tensor, alias: Alias) -> None:
        """This memory was written unseen: what stands there now is a new constant."""
        memory, where, now = self.own(alias, tensor), alias.where, tensor
        self.found.unseen(tensor, alias)
        low, high = where.span()
        spans = [piece.where.span() for piece in memory.pieces]
        storage = storage_of(tensor)
        if storage is not None and any(s < low or high < e for s, e in spans):
            # A part, and other parts may still be read: it is as if all was written.
            now = torch.empty(0, dtype=torch.uint8, device=tensor.device).set_(storage)
            where = Geometry(torch.uint8, tuple(now.shape), (1,), 0)
        value = self.found.origin(now, True)
        if memory.shared is not None:
            memory.shared = digest(tensor)
        memory.epoch += 1
        memory.become(where, value)
        self.touched.add(memory)
        alias.value = derive(self.trace, memory, alias.where)
        alias.epoch, alias.version = memory.epoch, version(tensor)
