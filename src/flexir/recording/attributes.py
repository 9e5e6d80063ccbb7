"""The attributes of a tree of modules, and what its tensors hold beside their elements, noted
before a run and compared after it in bulk.

There are many of them and few change. What is noted are references, in flat lists that C code
compares; only if something is other is each module looked at by itself (``holders.Modules``).
What is found in the attributes is no matter of this file.
"""

from __future__ import annotations

import collections
import functools
import itertools
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch

from .holders import BOOKKEEPING, GROUPS, Holder, Mapping, Modules

HOOKS = ("_forward_hooks", "_forward_pre_hooks")
_flat = itertools.chain.from_iterable
dictionary = operator.attrgetter("__dict__")
_groups = operator.itemgetter(*GROUPS, *HOOKS)
_WIDTH = len(GROUPS) + len(HOOKS)


class ModulesOfClass:
    """The modules of one class whose dictionaries have the same keys.

    Attributes:
        names: the keys that are no bookkeeping of torch's.
        size: how many keys there are; where as many are and ``get`` finds its own, all are the
            same.
        owns: the dictionaries.
        values: what stood there.
    """

    __slots__ = ("get", "names", "owns", "size", "values")

    def __init__(self, owns: list[dict[str, Any]]) -> None:
        self.names = tuple(name for name in owns[0] if name not in BOOKKEEPING)
        self.get = _getter(self.names)
        self.size = len(owns[0])
        self.owns = owns
        self.values = list(map(self.get, owns))

    def types(self) -> Iterator[type]:
        """The classes of what stood there."""
        return map(type, _flat(self.values))

    def stands(self) -> bool:
        """Whether the same things stand there now."""
        if list(map(len, self.owns)).count(self.size) != len(self.owns):
            return False
        try:
            return _same(_flat(map(self.get, self.owns)), _flat(self.values))
        except KeyError:
            return False


def _getter(names: tuple[str, ...]) -> Callable[[dict[str, Any]], tuple[Any, ...]]:
    """What takes the parts of these names from a dictionary."""
    if len(names) > 1:
        return operator.itemgetter(*names)
    return operator.itemgetter(*names, *names) if names else lambda own: ()  # a tuple, always


class ModuleTree:
    """Modules from the outside in, and what each held when it was met.

    Attributes:
        met: id -> (path, module), without scripted ones.
        scripted: the same, of scripted modules.
        odd: modules met once more, and scripted ones, each with how many others stand before it.
        sorts: the modules by class and keys.
    """

    def __init__(self, model: torch.nn.Module) -> None:
        self.met: dict[int, tuple[str, Any]] = {}
        self.scripted: dict[int, tuple[str, Any]] = {}
        self.odd: list[tuple[int, str, Any]] = []
        self._walk(model)
        self.paths: list[str] = [path for path, _ in self.met.values()]
        self.modules: list[Any] = [module for _, module in self.met.values()]
        self.classes = list(map(type, self.modules))
        self.owns = list(map(dictionary, self.modules))
        self.groups = list(_flat(map(_groups, self.owns)))
        self.empty = list(itertools.filterfalse(None, self.groups))
        self.filled = list(filter(None, self.groups))
        self.sizes = list(map(len, self.filled))
        self.names = list(_flat(self.filled))
        self.parts = list(_flat(map(dict.values, self.filled)))
        self.sorts = self._sorted()

    def _walk(self, model: torch.nn.Module) -> None:
        met, ordinary = self.met, set[type]()
        stack: list[tuple[str, Iterator[tuple[str, Any]]]] = [("", iter([("", model)]))]
        while stack:
            prefix, children = stack[-1]
            for name, module in children:
                path = prefix + name
                if id(module) in met:
                    self.odd.append((len(met), path, module))
                    continue
                if type(module) not in ordinary:
                    if module is None:
                        continue
                    if isinstance(module, torch.jit.ScriptModule):
                        self.odd.append((len(met), path, module))
                        if id(module) in self.scripted:
                            continue
                        self.scripted[id(module)] = path, module
                        stack.append((f"{path}." if path else "", module.named_children()))
                        break
                    ordinary.add(type(module))
                met[id(module)] = path, module
                if inside := module.__dict__["_modules"]:
                    stack.append((f"{path}." if path else "", iter(inside.items())))
                    break
            else:
                stack.pop()

    def _sorted(self) -> list[ModulesOfClass]:
        kinds: dict[Any, list[dict[str, Any]]] = collections.defaultdict(list)
        for key, own in zip(zip(self.classes, map(len, self.owns)), self.owns):
            kinds[key].append(own)
        found = []
        for owns in kinds.values():
            try:
                found.append(ModulesOfClass(owns))
            except KeyError:  # as many keys, but others
                apart: dict[Any, list[dict[str, Any]]] = collections.defaultdict(list)
                for own in owns:
                    apart[frozenset(own)].append(own)
                found += map(ModulesOfClass, apart.values())
        return found

    def held(
        self, start: int = 0, stop: int | None = None
    ) -> Iterator[tuple[str, tuple[dict[str, Any], ...]]]:
        """The paths of modules with their parameters, buffers, children and hooks."""
        groups = self.groups[start * _WIDTH : None if stop is None else stop * _WIDTH]
        return zip(self.paths[start:stop], zip(*[iter(groups)] * _WIDTH))

    def attributes(
        self, sorts: Iterable[ModulesOfClass]
    ) -> Iterator[tuple[str, tuple[str, ...], tuple[Any, ...]]]:
        """The path of each module of these sorts, names and values of its attributes."""
        values = {id(own): (alike.names, held) for alike in sorts
                  for own, held in zip(alike.owns, alike.values)}  # fmt: skip
        for path, own in zip(self.paths, self.owns):
            if id(own) in values:
                yield path, *values[id(own)]

    def _are_built_alike(self) -> bool:
        """Whether the classes, children, tensors and hooks of all modules are what they were."""
        after = self.filled
        try:
            return (
                not any(self.empty)
                and list(map(len, after)) == self.sizes
                and _same(_flat(after), self.names)
                and _same(_flat(map(dict.values, after)), self.parts)
                and _same(map(type, self.modules), self.classes)
                and _same(map(dictionary, self.modules), self.owns)
                and _same(_flat(map(_groups, self.owns)), self.groups)
            )
        except KeyError:  # a group or hooks are gone
            return False

    def suspects(self) -> list[Holder]:
        """Those of :meth:`holders` that may hold other things than they did."""
        if not self._are_built_alike():
            return self.holders()
        moved = {id(own) for alike in self.sorts if not alike.stands() for own in alike.owns}
        if not moved:
            return []
        return [one for one, own in zip(self._modules, self.owns) if id(own) in moved]

    def holders(self) -> list[Holder]:
        """Every module by itself, and the hooks that it gained or that are others now."""
        return [*self._modules, *self._hooks()]

    @functools.cached_property
    def _kept(self) -> dict[int, dict[str, Any]]:
        """What each dictionary of parameters, buffers, children or hooks held."""
        pairs = zip(self.names, self.parts)
        return {id(group): dict(itertools.islice(pairs, size))
                for group, size in zip(self.filled, self.sizes)}  # fmt: skip

    @functools.cached_property
    def _modules(self) -> list[Holder]:
        found: list[Holder] = []
        attributes = self.attributes(self.sorts)
        for (path, groups), (_, names, held), module, cls in zip(
            self.held(), attributes, self.modules, self.classes
        ):
            before = dict(zip(names, held))
            for group in groups[: len(GROUPS)]:
                before.update(self._kept.get(id(group), {}))
            before["__class__"] = cls
            found.append(Modules(module, path, before))
        return found

    def _hooks(self) -> Iterator[Holder]:
        kept = self._kept
        for (path, groups), own in zip(self.held(), self.owns):
            for name, hooks in zip(HOOKS, groups[len(GROUPS) :]):
                now = own.get(name, {})
                if now is not hooks or hooks and id(hooks) not in kept:
                    yield Mapping(now, f"{path}.{name}" if path else name, kept.get(id(hooks), {}))


class TensorAttributes:
    """What tensors hold beside their elements: attributes, a gradient, whether they want one."""

    def __init__(self, tensors: Sequence[torch.Tensor]) -> None:
        self.tensors = tensors
        self.held = len(list(filter(None, map(dictionary, tensors))))
        with torch._C.DisableTorchFunction():
            self.wanted = list(map(_wants, tensors))
            wanting = list(itertools.compress(tensors, self.wanted))
            self.leaves = list(itertools.compress(wanting, map(_leaf, wanting)))
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


_wants, _leaf, _grad = map(operator.attrgetter, ("requires_grad", "is_leaf", "grad"))


def _same(now: Iterable[Any], before: Iterable[Any]) -> bool:
    return all(map(operator.is_, now, before))
