"""The attributes of a tree of modules, and what its tensors hold beside their elements, noted
before a run and compared after it in bulk.

There are many of them and few change. What is noted are references, in flat lists that C code
compares; only if something is other is each module looked at by itself (``holders.Modules``).
What is found in the attributes is no matter of this file.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterable, Sequence
from typing import Any

import torch

from .holders import BOOKKEEPING, GROUPS, Holder, Mapping, Modules

HOOKS = ("_forward_hooks", "_forward_pre_hooks")
_flat = itertools.chain.from_iterable
dictionary = operator.attrgetter("__dict__")
_groups = operator.itemgetter(slice(-len(GROUPS) - len(HOOKS), None))


class Alike:
    """The modules of one class whose dictionaries have the same keys.

    Attributes:
        names: the keys that are no bookkeeping of torch's.
        get: what stands there, then the groups and the hooks.
        size: how many keys there are; where as many are and ``get`` finds its own, all are the
            same.
        owns: the dictionaries.
        values: what stood there.
    """

    __slots__ = ("get", "names", "owns", "size", "values")

    def __init__(self, own: dict[str, Any]) -> None:
        self.names = tuple(name for name in own if name not in BOOKKEEPING)
        self.get = operator.itemgetter(*self.names, *GROUPS, *HOOKS)
        self.size = len(own)
        self.owns: list[dict[str, Any]] = []
        self.values: list[tuple[Any, ...]] = []

    def attributes(self) -> Iterable[Any]:
        """What stood there, groups and hooks aside, of all modules."""
        return _flat(map(operator.itemgetter(slice(len(self.names))), self.values))

    def stands(self) -> bool:
        """Whether the same things stand there now."""
        if list(map(len, self.owns)).count(self.size) != len(self.owns):
            return False
        try:
            return _same(_flat(map(self.get, self.owns)), _flat(self.values))
        except KeyError:
            return False


class Tree:
    """Modules, and what each held when it was added.

    Attributes:
        modules, paths: in the order in which they were added.
        kinds: class -> its modules by the keys they have.
    """

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.modules: list[Any] = []
        self.alike: list[Alike] = []
        self.kinds: dict[tuple[type, Any], Alike] = {}

    def add(self, path: str, module: Any) -> tuple[Alike, tuple[Any, ...]]:
        """Note a module; those alike, and what it holds, its groups and hooks last."""
        own, key = module.__dict__, (module.__class__, len(module.__dict__))
        try:
            alike = self.kinds[key]
            values = alike.get(own)
        except KeyError:
            alike = self.kinds[key] = self.kinds.setdefault((key[0], frozenset(own)), Alike(own))
            values = alike.get(own)
        alike.owns.append(own)
        alike.values.append(values)
        self.paths.append(path)
        self.modules.append(module)
        self.alike.append(alike)
        return alike, values

    def close(self) -> None:
        """All modules have been added."""
        self.classes = list(map(type, self.modules))
        self.owns = list(map(dictionary, self.modules))
        self.sorts = list(dict.fromkeys(self.kinds.values()))
        groups = list(_flat(map(_groups, _flat([alike.values for alike in self.sorts]))))
        self.filled = list(filter(None, groups))  # groups and hooks that hold something
        self.copies = [group.copy() for group in self.filled]
        self.empty = list(itertools.filterfalse(None, groups))

    def stands(self) -> bool:
        """Whether all modules hold the very same things as they did."""
        before, after = self.copies, self.filled
        return (
            not any(self.empty)
            and list(map(len, after)) == list(map(len, before))
            and _same(_flat(after), _flat(before))
            and _same(_flat(map(dict.values, after)), _flat(map(dict.values, before)))
            and _same(map(type, self.modules), self.classes)
            and _same(map(dictionary, self.modules), self.owns)
            and all(alike.stands() for alike in self.sorts)
        )

    def held(self) -> Iterable[tuple[str, Any, Alike, tuple[Any, ...]]]:
        """Every module with its path, those alike and what it held."""
        values = {alike: iter(alike.values) for alike in self.sorts}
        for path, module, alike in zip(self.paths, self.modules, self.alike):
            yield path, module, alike, next(values[alike])

    def holders(self) -> list[Holder]:
        """Every module by itself, and the hooks that it gained."""
        kept = {id(group): copy for group, copy in zip(self.filled, self.copies)}
        found: list[Holder] = []
        for (path, module, alike, held), cls in zip(self.held(), self.classes):
            before = dict(zip(alike.names, held))
            groups = _groups(held)
            for group in groups[: len(GROUPS)]:
                before.update(kept.get(id(group), {}))
            before["__class__"] = cls
            found.append(Modules(module, path, before))
            for name, hooks in zip(HOOKS, groups[len(GROUPS) :]):
                if hooks and id(hooks) not in kept:
                    found.append(Mapping(hooks, f"{path}.{name}" if path else name, {}))
        return found


class Beside:
    """What tensors hold beside their elements: attributes, a gradient, whether they want one."""

    def __init__(self, tensors: Sequence[torch.Tensor]) -> None:
        self.tensors = tensors
        self.held = len(list(filter(None, map(dictionary, tensors))))
        with torch._C.DisableTorchFunction():
            self.wanted = list(map(_wants, tensors))
            self.leaves = [t for t in itertools.compress(tensors, self.wanted) if t.is_leaf]
            self.grads = list(map(_grad, self.leaves))

    def gained(self) -> Iterable[torch.Tensor]:
        """The tensors that have attributes, if there are more of them than there were."""
        found = list(filter(dictionary, self.tensors))
        return found if len(found) != self.held else ()

    def changes(self) -> Iterable[tuple[torch.Tensor, str, Any, Any]]:
        """Tensors that want a gradient now and did not, or the reverse, or have another one."""
        with torch._C.DisableTorchFunction():
            wants, grads = list(map(_wants, self.tensors)), list(map(_grad, self.leaves))
        if wants != self.wanted:
            for tensor, before, after in zip(self.tensors, self.wanted, wants):
                if before != after:
                    yield tensor, "requires_grad", before, after
        for tensor, old, new in zip(self.leaves, self.grads, grads):
            if old is not new:
                yield tensor, "grad", old, new


_wants, _grad = operator.attrgetter("requires_grad"), operator.attrgetter("grad")


def _same(now: Iterable[Any], before: Iterable[Any]) -> bool:
    return all(map(operator.is_, now, before))
