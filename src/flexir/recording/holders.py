"""Things that keep something from one call of a model to the next: what each held, and how to put
it back.

A holder is a module, a container, a plain object, a closure's cell, the globals a function names
or a scripted module. Each kind knows how to read its contents as a dictionary or list and how to
make it hold other ones. What is found in them is no matter of this module; what is no Python
container (generators, buffers, iterators) is in ``innards``.
"""

from __future__ import annotations

import collections
import functools
import operator
import sys
import types
from typing import Any

import torch

from ..graph.tree import attributes_of, dict_class, parts_of, refill, slots_of
from .live import OURS
from .stand_ins import behind

# What never changes and holds nothing that does.
FIXED = frozenset({
    int, float, complex, bool, str, bytes, type(None), type(Ellipsis), type(NotImplemented),
    range, slice, torch.dtype, torch.device, torch.Size, torch.layout, torch.memory_format,
    types.ModuleType, types.MethodDescriptorType,
    types.GetSetDescriptorType, types.MemberDescriptorType, types.WrapperDescriptorType,
    types.CodeType, types.FrameType, types.TracebackType, torch.jit.ScriptFunction, *OURS,
})  # fmt: skip
# Bookkeeping that every module has.
BOOKKEEPING = frozenset(vars(torch.nn.Module())) - {"training"}
# What a module keeps its tensors and children in.
GROUPS = ("_parameters", "_buffers", "_modules")


class Holder:
    """One thing that can be changed, and what it held when it was looked at.

    Attributes:
        thing: the thing itself, kept alive.
        path: where it was found first.
        before: its contents then.
    """

    __slots__ = ("before", "path", "thing")

    def __init__(self, thing: Any, path: str, before: Any = None) -> None:
        self.thing, self.path = thing, path
        self.before = self.read() if before is None else before

    def read(self) -> Any:
        """The contents now: a new dict (key -> part) or list."""
        raise NotImplementedError

    def stands(self) -> bool:
        """Whether it holds the very same things as it did."""
        before, now = self.before, self.read()
        parts = (now.values(), before.values()) if isinstance(now, dict) else (now, before)
        return len(before) == len(now) and all(map(operator.is_, *parts))

    def put(self, contents: Any) -> None:
        """Make it hold exactly these contents again, as far as that can be done."""
        raise NotImplementedError


class Modules(Holder):
    """A module: attributes, parameters, buffers and children under one name each.

    Of the attributes the order does not count; what a group holds is iterated over.
    """

    __slots__ = ()

    def read(self) -> dict[str, Any]:
        own = vars(self.thing)
        found = {name: own[name] for name in own if name not in BOOKKEEPING}
        for group in GROUPS:
            found.update(own[group])
        found["__class__"] = type(self.thing)
        return found

    def put(self, contents: dict[str, Any]) -> None:
        own, now = vars(self.thing), self.read()
        groups = [own[name] for name in GROUPS]
        for name, part in contents.items():
            if name == "__class__":
                if type(self.thing) is not part:
                    self.thing.__class__ = part
            elif name not in now:
                setattr(self.thing, name, part)
            elif now[name] is not part:
                next((g for g in groups if name in g), own)[name] = part
        for group in (*groups, own):
            for name in now.keys() - contents.keys():
                group.pop(name, None)
        for group in groups:
            kept = {name: group[name] for name in contents if name in group}
            if list(kept) != list(group):
                group.clear()
                group.update(kept)


class Scripted(Holder):
    """A scripted module, whose attributes live in C++."""

    __slots__ = ()

    def read(self) -> dict[str, Any]:
        module = self.thing
        names = module._concrete_type.get_attributes()
        return {name: module._c.getattr(name) for name in names if name not in BOOKKEEPING}

    def put(self, contents: dict[str, Any]) -> None:
        for name, part in contents.items():
            self.thing._c.setattr(name, part)


class Attributes(Holder):
    """A plain object, slots included; or what a container has beside its items."""

    __slots__ = ()

    def read(self) -> dict[str, Any]:
        return {**parts_of(self.thing), "__class__": type(self.thing)}

    def put(self, contents: dict[str, Any]) -> None:
        thing, now, cls = self.thing, self.read(), self.before["__class__"]
        if type(thing) is not cls:
            object.__setattr__(thing, "__class__", cls)
        own, slots = attributes_of(thing), slots_of(cls)
        for name in now.keys() - contents.keys():
            if name in slots:
                slots[name].__delete__(thing)
            elif own is not None:
                del own[name]
        for name, part in contents.items():
            if name == "__class__" or name in now and now[name] is part:
                continue
            if name in slots:
                slots[name].__set__(thing, part)
            elif own is not None:
                own[name] = part


class Classes(Holder):
    """The attributes of a class, methods aside."""

    __slots__ = ()

    def read(self) -> dict[str, Any]:
        return {
            name: part
            for name, part in vars(self.thing).items()
            if not name.startswith("__") and not isinstance(part, _CODE)
        }

    def put(self, contents: dict[str, Any]) -> None:
        for name in self.read().keys() - contents.keys():
            delattr(self.thing, name)
        for name, part in contents.items():
            setattr(self.thing, name, part)


class Mapping(Holder):
    """A dictionary of any class, whose order counts."""

    __slots__ = ()

    def stands(self) -> bool:
        return super().stands() and all(map(operator.is_, self.before, self.read()))

    def read(self) -> dict[Any, Any]:
        return dict(dict_class(self.thing).items(self.thing))

    def put(self, contents: dict[Any, Any]) -> None:
        refill(self.thing, contents)


class Sequences(Holder):
    """A list or deque."""

    __slots__ = ()

    def read(self) -> list[Any]:
        return list(_base(self.thing).__iter__(self.thing))

    def put(self, contents: list[Any]) -> None:
        _base(self.thing).clear(self.thing)
        _base(self.thing).extend(self.thing, contents)


def _base(thing: Any) -> Any:
    """The class whose own methods read a list or deque, whatever a subclass makes of them."""
    return list if isinstance(thing, list) else collections.deque


class Sets(Holder):
    """A set; its elements have no place of their own."""

    __slots__ = ()

    def read(self) -> dict[int, Any]:
        return {id(part): part for part in self.thing}

    def put(self, contents: dict[int, Any]) -> None:
        self.thing.clear()
        self.thing.update(contents.values())


class Cells(Holder):
    """A variable that a closure shares with the function around it."""

    __slots__ = ()

    def read(self) -> dict[str, Any]:
        try:
            return {"": self.thing.cell_contents}
        except ValueError:  # not assigned yet
            return {}

    def put(self, contents: dict[str, Any]) -> None:
        if contents:
            self.thing.cell_contents = contents[""]
        elif self.read():
            del self.thing.cell_contents


class Globals(Holder):
    """The variables of a Python module that functions name.

    Attributes:
        names: the variables that are looked at.
        modules: those of them that are modules of the user's own.
        asked: the sets of names that were asked for, and of what lies beyond them.
    """

    __slots__ = ("asked", "modules", "names")

    def __init__(self, thing: dict[str, Any], path: str) -> None:
        self.names: dict[str, None] = {}  # in the order of ``before``
        self.modules: set[str] = set()
        self.asked: set[tuple[frozenset[str], frozenset[str]]] = set()
        super().__init__(thing, path)

    def watch(self, names: frozenset[str]) -> list[str]:
        """Look at these variables, too; those that are there and were not looked at yet."""
        fresh = sorted(names.difference(self.names))
        self.names.update(dict.fromkeys(fresh))
        there = [name for name in fresh if name in self.thing]
        self.before.update((name, behind(self.thing[name])) for name in there)
        return there

    def read(self) -> dict[str, Any]:
        """What they hold, but for Python modules that were imported since."""
        there = ((name, self.thing[name]) for name in self.names if name in self.thing)
        return {name: behind(part) for name, part in there
                if name in self.before or not isinstance(part, types.ModuleType)}  # fmt: skip

    def put(self, contents: dict[str, Any]) -> None:
        for name in self.read().keys() - contents.keys():
            del self.thing[name]
        self.thing.update(contents)


_CODE = (types.FunctionType, classmethod, staticmethod, property, functools.cached_property,
         types.MemberDescriptorType, types.GetSetDescriptorType)  # fmt: skip


def container_of(part: Any, path: str) -> Holder | None:
    """The Holder for a module, a container of Python's, a closure's cell or a class; else None."""
    if isinstance(part, torch.nn.Module):
        return (Scripted if isinstance(part, torch.jit.ScriptModule) else Modules)(part, path)
    if isinstance(part, dict):
        return Mapping(part, path)
    if isinstance(part, (list, collections.deque)):
        return Sequences(part, path)
    if isinstance(part, set):
        return Sets(part, path)
    if isinstance(part, types.CellType):
        return Cells(part, path)
    if isinstance(part, type) and is_users(part.__module__):
        return Classes(part, path)
    return None


def has_attributes(part: Any) -> bool:
    """Whether a thing has a dictionary of attributes, or slots."""
    cls: Any = type(part)
    return attributes_of(part) is not None or bool(slots_of(cls))


@functools.lru_cache(maxsize=None)
def is_users(module: str | None) -> bool:
    """Whether a Python module is neither torch, the standard library nor this package."""
    top = (module or "").partition(".")[0]
    return top not in ("torch", "flexir") and top not in sys.stdlib_module_names
