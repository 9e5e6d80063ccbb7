"""Which tensor lies where: the tables that tell tensors, and the storages they lie on, apart.

Owns identity and lifetime: an object is the one that was met if it lies where that lay, and ids
are used again once what they named is gone. Makes no Values and emits nothing.
"""

from __future__ import annotations

import weakref
from typing import Any

import torch

from ..graph import tree
from ..graph.geometry import ADDRESSED, Geometry, digest, storage_of, where_of
from ..graph.nodes import Value
from .memory import ALONE, UNKNOWN, Alias, Lone, LoneConstant, Memory, View, nothing


class Tensors:
    """All live tensors of a run, and what they lie on."""

    def __init__(self) -> None:
        self.aliases: dict[int, Alias] = {}
        # id of a storage -> (weak, its memory or the one tensor there)
        self.memories: dict[int, tuple[Any, Memory | Alias]] = {}
        # so many memories and aliases at most before those that are gone are forgotten
        self.crowd = self.crowd_of_aliases = 32
        self.shared: list[tuple[int, int, Memory]] = []  # (first byte, end, what lies there)
        self.roots: list[tuple[Alias, Value, Memory]] = []  # inputs and constants
        self.weights: list[LoneConstant] = []

    def close(self) -> None:
        """Forget all tensors; without this they would live until the garbage collector runs."""
        for _, memory in self.memories.values():
            if memory.__class__ is Memory:
                memory.known = None  # memories and aliases know each other
        self.aliases.clear()
        self.memories.clear()
        self.roots.clear()
        self.weights.clear()

    def memory(self, storage: torch.UntypedStorage | None) -> Memory | None:
        """What is known of a storage."""
        found = self._lies_at(storage)
        if found is None or isinstance(found, Memory):
            return found
        memory = self._new_memory(storage, found.kind, found.where, found.value)
        found.memory = memory
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
                if isinstance(alias, LoneConstant):
                    alias.where = where_of(tensor)
                alias.memory = Memory(None, alias.kind, alias.where, alias.value)
                if alias.kind != "made":
                    self._found(alias, alias.value)
        return alias.memory

    def _alone(self, tensor: torch.Tensor, value: Value, storage: torch.UntypedStorage) -> None:
        """A tensor made by the run, on a storage nothing else is known to lie on."""
        home = weakref.ref(storage)
        alias = self.aliases[id(tensor)] = Lone(tensor, value, home)
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

    def _new_alias(
        self, tensor: torch.Tensor, memory: Memory, where: Geometry, value: Value, view: View | None
    ) -> Alias:
        alias = self.aliases[id(tensor)] = Alias(tensor, memory, where, value, view)
        return alias

    def _know(self, alias: Alias) -> Alias:
        """One of several tensors on a memory: other tensors may be found equal to it."""
        known = alias.memory.known
        if known is None:
            known = alias.memory.known = {}
        if not alias.is_loose or alias.where not in known:
            known[alias.where] = alias
        return alias

    def owe(self, tensor: torch.Tensor) -> None:
        """A custom autograd Function wrote this memory; as it ends the write may count again."""
        self.own(self.aliases[id(tensor)], tensor).owed += 1

    def forget_versions(self, result: Any) -> None:
        """Distrust the write counters of tensors made beneath autograd, which sets them later."""

        def forget(tensor: torch.Tensor) -> None:
            if (alias := self.aliases.get(id(tensor))) is not None:
                alias.version = UNKNOWN

        tree.template(result, forget)

    def _found(self, alias: Alias, value: Value) -> Alias:
        """An input or a constant: what becomes of it is a result of the run."""
        alias.memory.values += (value,)
        self.roots.append((alias, value, alias.memory))
        return alias

    def swapped(self) -> list[LoneConstant]:
        """Tensors from before the run that hold something else now (``swap_tensors``)."""
        weights = self.weights
        try:
            return [w for w in weights if w.tensor.untyped_storage() is not w.storage]
        except (NotImplementedError, RuntimeError):  # one of them has no storage any more
            return [w for w in weights if storage_of(w.tensor) is not w.storage]

    def known(self, tensor: torch.Tensor) -> Value | None:
        """The Value of a tensor, unless its memory was written since; nothing is written down."""
        alias = self.aliases.get(id(tensor))
        return alias.value if alias and alias.is_of(tensor) and alias.is_current else None

    def is_written(self, tensor: torch.Tensor) -> bool:
        """Whether a tensor had a Value, and its memory was written through another name since."""
        alias = self.aliases.get(id(tensor))
        return alias is not None and alias.is_of(tensor) and not alias.is_current

    # -- memory that NumPy and the like can reach

    def _watch(self, tensor: torch.Tensor, memory: Memory) -> None:
        """Tell by a digest of its bytes whether a memory was written."""
        storage = storage_of(tensor)
        if storage is None or tensor.device.type not in ADDRESSED:
            return
        if memory.shared is None:
            start = storage.data_ptr()
            self.shared.append((start, start + storage.nbytes(), memory))
        memory.shared = digest(tensor)

    def redigest(self, tensor: torch.Tensor) -> None:
        """Take the digest of memory that a recorded call wrote: its bytes are known again."""
        memory = self.aliases[id(tensor)].memory
        if memory.shared is not None:
            memory.shared = digest(tensor)

    def _shared(self, storage: torch.UntypedStorage) -> tuple[Memory | None, int]:
        """The watched memory that a storage is a part of, and how many bytes from its start."""
        if self.shared and storage.device.type in ADDRESSED:
            start = storage.data_ptr()
            for low, high, memory in self.shared:
                if low <= start and start + storage.nbytes() <= high:
                    return memory, start - low
        return None, 0


_ABSENT: tuple[Any, None] = (nothing, None)
