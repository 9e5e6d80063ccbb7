"""Things that keep something from one call of a model to the next: what each held, and how to put
it back.

A holder is a module, a container, a plain object, a closure's cell, the globals a function names,
a scripted module or a generator. Each kind knows how to read its contents as a dictionary or list
and how to make it hold other ones. What is found in them is no matter of this module.
"""

from __future__ import annotations

import builtins
import collections
import ctypes
import functools
import operator
import random
import sys
import types
import weakref
from collections.abc import Iterator
from typing import Any

import torch

# What never changes and holds nothing that does.
FIXED = frozenset({
    int, float, complex, bool, str, bytes, type(None), type(Ellipsis), type(NotImplemented),
    range, slice, torch.dtype, torch.device, torch.Size, torch.layout, torch.memory_format,
    types.ModuleType, types.BuiltinFunctionType, types.MethodDescriptorType,
    types.GetSetDescriptorType, types.MemberDescriptorType, types.WrapperDescriptorType,
    weakref.ReferenceType, torch.jit.ScriptFunction,
})  # fmt: skip
# Bookkeeping that every module has.
BOOKKEEPING = frozenset(vars(torch.nn.Module())) - {"training"}
_STANDARD = frozenset(sys.stdlib_module_names) - {"collections", "types", "argparse"}
_BUILTINS = frozenset(vars(builtins))
_LARGE = 1 << 20  # bytes; of larger arrays a hash is kept, so they cannot be put back


class Holder:
    """One thing that can be changed, and what it held when it was looked at.

    Attributes:
        thing: the thing itself, kept alive.
        path: where it was found first.
        before: its contents then.
    """

    __slots__ = ("before", "path", "thing")

    def __init__(self, thing: Any, path: str) -> None:
        self.thing, self.path = thing, path
        self.before = self.read()

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

    There are many, and few change: the groups are copied as they are and told apart by identity.
    """

    __slots__ = ("kept", "own")

    def __init__(self, thing: Any, path: str) -> None:
        self.thing, self.path, self.own = thing, path, thing.__dict__.copy()
        self.kept = [
            (group, dict(group))
            for group in (thing._parameters, thing._buffers, thing._modules)
            if group
        ]

    @property
    def before(self) -> dict[str, Any]:
        """Its contents then."""
        found: dict[str, Any] = self.own.copy()
        for _, kept in self.kept:
            found.update(kept)
        return found

    def read(self) -> dict[str, Any]:
        module = self.thing
        found: dict[str, Any] = vars(module).copy()
        for group in (module._parameters, module._buffers, module._modules):
            found.update(group.items())
        return found

    def stands(self) -> bool:
        thing, own = self.thing, self.own
        now = thing.__dict__
        if len(now) != len(own) or not all(map(operator.is_, now.values(), own.values())):
            return False
        for group, kept in self.kept:
            if len(group) != len(kept):
                return False
            if not all(map(operator.is_, group.values(), kept.values())):
                return False
        filled = bool(thing._parameters) + bool(thing._buffers) + bool(thing._modules)
        return filled == len(self.kept)

    def put(self, contents: dict[str, Any]) -> None:
        module, now = self.thing, self.read()
        groups = (module._parameters, module._buffers, module._modules, vars(module))
        for name in now.keys() - contents.keys():
            for group in groups:
                group.pop(name, None)
        for name, part in contents.items():
            if name in BOOKKEEPING or now.get(name) is part and name in now:
                continue
            owner = next((g for g in groups if name in g), None)
            if owner is None:
                setattr(module, name, part)
            else:
                owner[name] = part


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
    """A plain object, slots included."""

    __slots__ = ()

    def read(self) -> dict[str, Any]:
        found = dict(vars(self.thing)) if hasattr(self.thing, "__dict__") else {}
        cls: Any = type(self.thing)
        for name in _slots(cls):
            if hasattr(self.thing, name):
                found[name] = getattr(self.thing, name)
        return found

    def put(self, contents: dict[str, Any]) -> None:
        for name in self.read().keys() - contents.keys():
            object.__delattr__(self.thing, name)
        for name, part in contents.items():
            object.__setattr__(self.thing, name, part)


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
    """A dictionary of any class."""

    __slots__ = ()

    def read(self) -> dict[Any, Any]:
        return dict(dict.items(self.thing))

    def put(self, contents: dict[Any, Any]) -> None:
        dict.clear(self.thing)
        dict.update(self.thing, contents)


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
    """The variables of a Python module that functions name."""

    __slots__ = ("names",)

    def __init__(self, thing: dict[str, Any]) -> None:
        self.names: set[str] = set()
        super().__init__(thing, "")

    def watch(self, names: frozenset[str]) -> list[str]:
        """Look at these variables, too; those that are there and were not looked at yet."""
        fresh = names - self.names
        self.names |= fresh
        there = [name for name in fresh if name in self.thing]
        self.before.update((name, self.thing[name]) for name in there)
        return there

    def read(self) -> dict[str, Any]:
        return {name: self.thing[name] for name in self.names if name in self.thing}

    def put(self, contents: dict[str, Any]) -> None:
        for name in self.read().keys() - contents.keys():
            del self.thing[name]
        self.thing.update(contents)


class Opaque(Holder):
    """Something whose contents are bytes: a generator of random numbers, an array, an iterator."""

    __slots__ = ()

    def read(self) -> dict[str, Any]:
        return {"": _bytes_of(self.thing)}

    def put(self, contents: dict[str, Any]) -> None:
        kept = contents[""]
        if isinstance(self.thing, torch.Generator):
            self.thing.set_state(torch.frombuffer(bytearray(kept), dtype=torch.uint8))
        elif isinstance(self.thing, random.Random):
            self.thing.setstate(kept)
        elif _is_array(self.thing) and isinstance(kept, bytes) and self.thing.nbytes:
            memoryview(self.thing).cast("B")[:] = kept


_CODE = (types.FunctionType, classmethod, staticmethod, property, functools.cached_property,
         types.MemberDescriptorType, types.GetSetDescriptorType)  # fmt: skip


_Remembered = type(functools.lru_cache(len))


def holder_of(part: Any, path: str) -> Holder | None:
    """The Holder for a part of some kind, or None if it can hold nothing that changes."""
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
    if isinstance(part, type):
        return Classes(part, path) if is_users(part.__module__) else None
    cls: Any = type(part)
    moves = isinstance(part, Iterator) and _is_standard(cls)
    if moves or isinstance(part, (torch.Generator, random.Random)) or _is_array(part):
        return Opaque(part, path)
    open_to_all = hasattr(part, "__dict__") or bool(_slots(cls))
    return Attributes(part, path) if open_to_all and not _is_standard(cls) else None


def is_users(module: str | None) -> bool:
    """Whether a Python module is neither torch, the standard library nor this package."""
    top = (module or "").partition(".")[0]
    return top not in ("torch", "flexir") and top not in sys.stdlib_module_names


@functools.lru_cache(maxsize=None)
def names_in(code: types.CodeType) -> frozenset[str]:
    """The names a function's code, and the functions inside it, take from elsewhere."""
    names = set(code.co_names) - _BUILTINS
    for part in code.co_consts:
        if isinstance(part, types.CodeType):
            names |= names_in(part)
    return frozenset(names)


def functions_of(part: Any) -> list[types.FunctionType]:
    """The functions behind a callable, a descriptor or a class of the user's own."""
    if isinstance(part, type):
        inside = (_unwrapped(inner) for inner in vars(part).values())
        return [f for inner in inside if not isinstance(inner, type) for f in functions_of(inner)]
    part = _unwrapped(part)
    if isinstance(part, types.FunctionType) and is_users(part.__module__):
        return [part]
    return []


def _unwrapped(part: Any) -> Any:
    if isinstance(part, (classmethod, staticmethod, types.MethodType)):
        return part.__func__
    if isinstance(part, property):
        return part.fget
    if isinstance(part, functools.cached_property):
        return part.func
    return part.__wrapped__ if isinstance(part, _Remembered) else part


@functools.lru_cache(maxsize=None)
def _slots(cls: Any) -> tuple[str, ...]:
    found: list[str] = []
    for base in cls.__mro__:
        slots = vars(base).get("__slots__", ())
        found += [slots] if isinstance(slots, str) else list(slots)
    return tuple(name for name in found if name not in ("__dict__", "__weakref__"))


@functools.lru_cache(maxsize=None)
def _is_standard(cls: Any) -> bool:
    return cls.__module__.partition(".")[0] in _STANDARD


def _is_array(part: Any) -> bool:
    return type(part).__module__ == "numpy" and type(part).__name__ == "ndarray"


def _bytes_of(part: Any) -> Any:
    """What tells one state of an opaque thing from another."""
    if isinstance(part, torch.Generator):
        state = part.get_state()
        return ctypes.string_at(state.data_ptr(), state.numel())
    if isinstance(part, random.Random):
        return part.getstate()
    if isinstance(part, types.GeneratorType):
        return part.gi_frame.f_lasti if part.gi_frame is not None else None
    if _is_array(part):
        content = part.tobytes() if part.dtype != object else repr(part).encode()
        return content if len(content) <= _LARGE else hash(content)
    return repr(part), operator.length_hint(part, -1)
