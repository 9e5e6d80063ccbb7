"""What a model keeps from one call to the next: looked at before a run and again after it.

Owns the walk over what a model can reach (modules, attributes, containers, plain objects, closures,
the globals its functions name), the names of the tensors found there, and how all is
put back. It runs nothing and knows nothing of graphs; kinds of things are in ``holders``, how
before and after are compared in ``changed``.
"""

from __future__ import annotations

import itertools
import operator
import types
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch

from ..graph.account import NOTHING, Change, Text
from .changed import Comparison, Replaced, join, show
from .holders import (
    BOOKKEEPING,
    FIXED,
    Attributes,
    Cells,
    Globals,
    Holder,
    Modules,
    Opaque,
    Scripted,
    Sequences,
    functions_of,
    holder_of,
    names_in,
)

_LIMIT = 20_000  # things looked at in one model; more would cost more than the run


class Inside(NamedTuple):
    """The state of something opaque, which is not the thing itself."""

    state: Any


class Holdings:
    """What a model holds, as it was when this was made.

    Attributes:
        paths: id of a module -> (path, module).
        tensors: id of a tensor -> (tensor, kind, names); kind as in ``account.Origin``.
        unwatched: paths of what was not looked at because there is too much of it.
    """

    def __init__(self, model: Any) -> None:
        self.paths: dict[int, tuple[str, Any]] = {}
        self.tensors: dict[int, tuple[torch.Tensor, str, tuple[str, ...]]] = {}
        self.unwatched: list[str] = []
        self._holders: dict[int, Holder] = {}
        # lists of numbers and words, many and seldom changed: path, list, what it held
        self._plain: dict[int, tuple[str, list[Any], list[Any]]] = {}
        self._todo: list[tuple[str, str, Any]] = []  # (kind, path, part), last first
        self._classes: dict[type, None] = {}
        if isinstance(model, torch.nn.Module):
            self._modules(model)
        else:
            self._todo.append(("attribute", "", model))
        for cls in self._classes:
            self._class(cls)
        self._walk()

    # -- before

    def _modules(self, model: torch.nn.Module) -> None:
        """The tree of modules; what else they hold waits, so that weights get their names first."""
        stack: list[tuple[str, Any]] = [("", model)]
        while stack:
            path, module = stack.pop()
            prefix = path + "." if path else ""
            known = self._holders.get(id(module))
            if known is None:
                scripted = isinstance(module, torch.jit.ScriptModule)
                known = Scripted(module, path) if scripted else Modules(module, path)
                self._holders[id(module)] = known
                self.paths[id(module)] = (path, module)
                self._classes[module.__class__] = None
                for name, child in reversed(module._modules.items() if module._modules else ()):
                    if child is not None:
                        stack.append((prefix + name, child))
                if module._forward_hooks or module._forward_pre_hooks:
                    hooks = (*module._forward_hooks.values(), *module._forward_pre_hooks.values())
                    self._todo += [("attribute", prefix + "hook", hook) for hook in hooks]
            if module._parameters:
                self._name_all("parameter", prefix, module._parameters)
            if module._buffers:
                self._name_all("buffer", prefix, module._buffers)
            own = known.before if isinstance(known, Scripted) else module.__dict__
            for name in itertools.filterfalse(BOOKKEEPING.__contains__, own):
                part = own[name]
                if part.__class__ in FIXED:
                    continue
                if isinstance(part, torch.Tensor):
                    if own is module.__dict__ or id(part) not in self.tensors:
                        self._name_all("attribute", prefix, {name: part})
                elif part.__class__ in (list, tuple) and FIXED.issuperset(map(type, part)):
                    if part.__class__ is list:
                        self._plain[id(part)] = (prefix + name, part, part.copy())
                else:
                    self._todo.append(("attribute", prefix + name, part))

    def _name_all(self, kind: str, prefix: str, group: Any) -> None:
        for name, tensor in group.items():
            if tensor is None:
                continue
            known = self.tensors.get(id(tensor))
            if known is None:
                self.tensors[id(tensor)] = (tensor, kind, (prefix + name,))
            else:  # tied: one tensor, several names
                self.tensors[id(tensor)] = (tensor, known[1], (*known[2], prefix + name))

    def _walk(self) -> None:
        """Look at everything that waits and at what it holds."""
        todo = self._todo
        while todo:
            kind, path, part = todo.pop()
            if part.__class__ in FIXED:
                continue
            if isinstance(part, torch.Tensor):
                if id(part) not in self.tensors:
                    self.tensors[id(part)] = (part, kind, (path,))
            elif isinstance(part, tuple):
                inside = enumerate(tuple.__iter__(part))
                todo += [(kind, f"{path}.{i}", inner) for i, inner in inside]
            elif len(self._holders) > _LIMIT:
                self.unwatched.append(path)
            elif id(part) not in self._holders:
                self._look(kind, path, part)

    def _look(self, kind: str, path: str, part: Any) -> None:
        """Remember what one thing holds; its parts wait."""
        if isinstance(part, types.MethodType):
            self._todo.append((kind, path, part.__self__))
        if not isinstance(part, type):
            self._class(type(part))
        for function in functions_of(part):
            self._function(function)
        if callable(part) and isinstance(part, (types.FunctionType, types.MethodType)):
            return
        holder = holder_of(part, path)
        if holder is None:
            return
        self._holders[id(part)] = holder
        self._children(holder, kind)

    def _children(self, holder: Holder, kind: str) -> None:
        contents = holder.before
        if isinstance(holder, Opaque):
            return
        prefix = holder.path + "." if holder.path else ""
        pairs = contents.items() if isinstance(contents, dict) else enumerate(contents)
        skipped = BOOKKEEPING if isinstance(holder, Modules) else ()
        for key, inner in pairs:
            if inner.__class__ not in FIXED and key not in skipped:
                path = holder.path if isinstance(holder, Cells) else f"{prefix}{key}"
                self._todo.append((kind, path, inner))

    def _class(self, cls: type) -> None:
        """What a class of the user's own keeps, and what its methods can reach."""
        for base in cls.__mro__:
            holder = None if id(base) in self._holders else holder_of(base, base.__name__)
            if holder is not None:
                self._holders[id(base)] = holder
                self._children(holder, "attribute")
                for function in functions_of(base):
                    self._function(function)

    def _function(self, function: types.FunctionType) -> None:
        """What a function keeps in its closure, its defaults, its attributes and its globals."""
        if id(function) in self._holders:
            return
        holder = self._holders[id(function)] = Attributes(function, function.__name__)
        self._children(holder, "global")
        names = function.__code__.co_freevars
        for name, cell in zip(names, function.__closure__ or ()):
            if name != "__class__" and id(cell) not in self._holders:
                inside = self._holders[id(cell)] = Cells(cell, name)
                self._children(inside, "global")
        code, given = function.__code__, function.__defaults__ or ()
        last = code.co_varnames[: code.co_argcount][-len(given) :] if given else ()
        for name, part in (*zip(last, given), *(function.__kwdefaults__ or {}).items()):
            self._todo.append(("default", name, part))
        scope = self._holders.get(id(function.__globals__))
        if scope is None:
            scope = self._holders[id(function.__globals__)] = Globals(function.__globals__)
        assert isinstance(scope, Globals)
        for name in scope.watch(names_in(function.__code__)):
            self._todo.append(("global", name, scope.before[name]))

    @property
    def generators(self) -> Iterator[torch.Generator]:
        """The generators of random numbers that the model holds."""
        things = (holder.thing for holder in self._holders.values())
        return (thing for thing in things if isinstance(thing, torch.Generator))

    # -- after

    def compare(
        self, carried: Callable[[Any], bool] = lambda thing: False
    ) -> tuple[list[Replaced], list[Change]]:
        """What is other than it was.

        Args:
            carried: whether the state of a generator is known to the caller.

        Returns:
            the places that hold another tensor, and everything else that changed.
        """
        found = Comparison(self._holders)
        for holder in list(self._holders.values()):
            if holder.stands():
                continue
            before, now = holder.before, holder.read()
            if isinstance(holder, Opaque):
                if before != now and not carried(holder.thing):
                    text = Text(f"one state of {show(holder.thing)}")
                    kept = Inside(before[""])
                    found.changes.append(Change(holder.path, text, Text("another"), kept))
                continue
            found.contents(holder, before, now)
        for path, part, before in self._plain.values():
            if len(before) != len(part) or not all(map(operator.is_, before, part)):
                found.items(path, before, part)
        return found.replaced, found.changes

    def stands(self) -> bool:
        """Whether nothing is other than it was."""
        replaced, changes = self.compare()
        return not replaced and not changes

    def restore(self) -> None:
        """Put everything back that was replaced, added or removed; memory that was written is
        the caller's to put back."""
        for holder in list(self._holders.values()):
            if not holder.stands():
                holder.put(holder.before)
        for _, part, before in self._plain.values():
            part[:] = before

    def get(self, path: str) -> Any:
        """What stood at a path; NOTHING where the model has no such place."""
        for holder in self._holders.values():
            if isinstance(holder, Opaque):
                continue
            for key, part in _keyed(holder.before).items():
                found = _within(part, _rest(path, join(holder, key)))
                if found is not NOTHING:
                    return found
        return NOTHING

    def put(self, path: str, part: Any) -> bool:
        """Put something in the place of this path; False where the model has no such place."""
        for holder in self._holders.values():
            contents = holder.read()
            if holder.path == path and isinstance(part, Inside) and isinstance(holder, Opaque):
                holder.put({"": part.state})
                return bool(holder.read() == {"": part.state})
            if isinstance(part, Inside):
                continue
            if holder.path == path and isinstance(holder, Sequences) and isinstance(part, list):
                holder.put(part)
                return True
            keyed = _keyed(contents)
            for key, now in keyed.items():
                rest = _rest(path, join(holder, key))
                if rest is None or isinstance(holder, Opaque) or _within(now, rest) is NOTHING:
                    continue
                keyed[key] = _with(now, rest, part)
                if isinstance(part, Text) and part == NOTHING:
                    del keyed[key]
                holder.put(list(keyed.values()) if isinstance(contents, list) else keyed)
                return True
        return False


def _rest(path: str, place: str) -> list[str] | None:
    """The steps from a place to a path, or None if it does not lie there."""
    if path == place:
        return []
    return path[len(place) + 1 :].split(".") if path.startswith(place + ".") else None


def _within(part: Any, steps: list[str] | None) -> Any:
    """What lies these steps inside of tuples; NOTHING if they lead elsewhere."""
    if steps is None:
        return NOTHING
    for step in steps:
        if not isinstance(part, tuple) or not step.isdigit() or int(step) >= len(part):
            return NOTHING
        part = part[int(step)]
    return part


def _keyed(contents: Any) -> dict[Any, Any]:
    return contents if isinstance(contents, dict) else dict(enumerate(contents))


def _with(part: Any, path: list[str], inner: Any) -> Any:
    """A tuple with one part replaced."""
    if not path:
        return inner
    position = int(path[0])
    made = _with(part[position], path[1:], inner)
    parts = [*part[:position], made, *part[position + 1 :]]
    return type(part)(parts) if type(part) is tuple else type(part)(*parts)
