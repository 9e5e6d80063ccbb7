"""Nested Python containers with tensors at their leaves: open them, map them, build them again.

Arguments and results of a call are *templates*: plain lists, tuples, dicts and slices stay what
they are, every other container (named tuple, dataclass, ``ModelOutput``, a cache object) becomes
a :class:`Record`. A template holds Values where the original held tensors. This module knows
nothing of graphs: a leaf is whatever the caller says it is.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import functools
import re
import threading
import types
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import torch

_PLAIN = (str, bytes, int, float, complex, bool, type(None), torch.dtype, torch.device, torch.Size)
LITERALS = frozenset(_PLAIN) - {torch.Size}
_NUMBERS = frozenset({int, float, bool, type(None)})
_CLOSED = (
    *_PLAIN,
    type,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    types.ModuleType,
    torch.nn.Module,
    torch.Generator,
    torch.layout,
    torch.memory_format,
    enum.Enum,
)
_WORDS = (*_PLAIN, type, torch.layout, torch.memory_format, enum.Enum)


def is_literal(part: Any) -> bool:
    """Whether a part of a template holds only words and numbers, as far as a glance tells."""
    cls = part.__class__
    return cls in LITERALS or cls is tuple and LITERALS.issuperset(map(type, part))


def attributes_of(obj: Any) -> dict[str, Any] | None:
    """The dictionary of an object's attributes, or None; no code of the object's class runs.

    A class with ``__getattr__`` answers ``__dict__`` with anything, or with an error.
    """
    if isinstance(obj, threading.local):  # has one for each thread
        return vars(obj)
    try:
        found = object.__getattribute__(obj, "__dict__")
    except (AttributeError, TypeError):
        return None
    return found if isinstance(found, dict) else None


@functools.lru_cache(maxsize=None)
def slots_of(cls: Any) -> dict[str, types.MemberDescriptorType]:
    """What reads and writes the slots of a class, whatever stands before them in it."""
    found: dict[str, types.MemberDescriptorType] = {}
    for base in cls.__mro__:
        if "__slots__" in vars(base):
            for name, part in vars(base).items():
                if isinstance(part, types.MemberDescriptorType):
                    found.setdefault(name, part)
    return found


def parts_of(obj: Any) -> dict[str, Any]:
    """What an object holds by name, in its dictionary and in slots; no code of its class runs."""
    cls: Any = type(obj)
    found = dict(attributes_of(obj) or {})
    for name, slot in slots_of(cls).items():
        with contextlib.suppress(AttributeError):  # nothing in it yet
            found[name] = slot.__get__(obj)
    return found


class Record:
    """An instance of a class, opened: the class, its items (if it is a container), its attributes.

    ``items`` is a list for sequence classes, a dict for mapping classes, else None.
    """

    __slots__ = ("attributes", "cls", "items")

    def __init__(self, cls: type, items: Any, attributes: dict[str, Any]) -> None:
        self.cls, self.items, self.attributes = cls, items, attributes

    def show(self, show: Callable[[Any], str]) -> str:
        """The record as it reads in code, with ``show`` for its parts."""
        parts = []
        if isinstance(self.items, dict):
            parts = [f"{k}={show(v)}" for k, v in self.items.items()]
        elif self.items is not None:
            parts = [show(v) for v in self.items]
        shown = self.items if isinstance(self.items, dict) else ()
        parts += [f"{k}={show(v)}" for k, v in self.attributes.items() if k not in shown]
        return f"{self.cls.__name__}({', '.join(parts)})"

    def __repr__(self) -> str:
        return self.show(repr)

    def build(self, build: Callable[[Any], Any], made_of: dict[int, Any] | None = None) -> Any:
        """Make an instance again, with ``build`` applied to every part.

        ``made_of`` (id of a Record -> its instance) gains it before its parts are made: they may
        lead back to it.
        """
        cls: Any = self.cls
        if hasattr(cls, "n_sequence_fields"):  # torch.return_types.*
            return cls([build(v) for v in self.items])
        if issubclass(cls, tuple):
            made = tuple.__new__(cls, [build(v) for v in self.items])
        else:
            made = cls.__new__(cls)
            if made_of is not None:
                made_of[id(self)] = made
            if issubclass(cls, dict):
                put = dict_class(made).__setitem__
                for key, value in self.items.items():
                    put(made, key, build(value))
            elif issubclass(cls, list):
                list.extend(made, (build(v) for v in self.items))
        for key, value in self.attributes.items():
            object.__setattr__(made, key, build(value))
        return made


def dict_class(held: dict[Any, Any]) -> type[dict[Any, Any]]:
    """The class whose methods read and write a dictionary, not those a subclass overrides.

    An OrderedDict keeps its order outside of the dictionary, so its own are needed.
    """
    return OrderedDict if isinstance(held, OrderedDict) else dict


def refill(held: dict[Any, Any], contents: dict[Any, Any]) -> None:
    """Make a dictionary hold exactly this, in this order."""
    kind = dict_class(held)
    kind.clear(held)
    for key, part in contents.items():
        kind.__setitem__(held, key, part)


def template(
    obj: Any,
    leaf: Callable[[torch.Tensor], Any],
    *,
    deep: bool = False,
    seen: dict[int, Any] | None = None,
) -> Any:
    """Copy ``obj`` with every tensor replaced by ``leaf(tensor)``.

    Args:
        obj: any nesting of containers.
        leaf: called once per place a tensor stands, in reading order.
        deep: also open objects of unknown classes that hold tensors somewhere, or nothing but
            words and numbers (cache objects, at their first call, too).
        seen: id of an instance -> its Record, so that several templates share them.
    """
    return _take(obj, leaf, deep, seen)


# Plain functions, not closures: a function that calls itself through a closure is a reference
# cycle, and every call of it would keep its tensors until the garbage collector runs.
def _take(obj: Any, leaf: Callable[[Any], Any], deep: bool, seen: dict[int, Any] | None) -> Any:
    cls = obj.__class__
    if cls in LITERALS:
        return obj
    if cls is tuple:
        if LITERALS.issuperset(map(type, obj)):
            return obj
        return tuple([_take(v, leaf, deep, seen) for v in obj])
    if cls is list:
        return [_take(v, leaf, deep, seen) for v in obj]
    if isinstance(obj, torch.Tensor):
        return leaf(obj)
    if cls is dict:
        return {k: _take(v, leaf, deep, seen) for k, v in obj.items()}
    if cls is slice:
        parts = (obj.start, obj.stop, obj.step)
        return slice(*[_take(v, leaf, deep, seen) for v in parts])
    if isinstance(obj, _CLOSED):
        return obj
    opened = _open(obj, deep)
    if opened is None:
        return obj
    seen = {} if seen is None else seen
    if id(obj) in seen:
        return seen[id(obj)]
    items, attributes = opened
    record = seen[id(obj)] = Record(cls, None, {})
    # What stands both as item and as attribute (ModelOutput) is one Value, as it is one tensor:
    # `leaf` decides that, not this walk.
    record.items = _take(items, leaf, deep, seen) if items is not None else None
    record.attributes = {k: _take(v, leaf, deep, seen) for k, v in attributes.items()}
    return record


def opens(obj: Any) -> bool:
    """Whether :func:`template`, going deep, looks into ``obj``."""
    return not isinstance(obj, _CLOSED) and (
        isinstance(obj, (tuple, list, dict)) or _open(obj, True) is not None
    )


def _open(obj: Any, deep: bool) -> tuple[Any, dict[str, Any]] | None:
    """The parts of an instance that can be taken apart and rebuilt, or None."""
    attributes = parts_of(obj)
    if dataclasses.is_dataclass(obj):
        for field in dataclasses.fields(obj):
            if hasattr(obj, field.name):
                attributes.setdefault(field.name, getattr(obj, field.name))
    elif not isinstance(obj, (tuple, list, dict)):
        opens = deep and attributes and (holds_tensor(attributes) or _is_data(obj, set()))
        return (None, attributes) if opens else None
    if isinstance(obj, dict):
        factory = getattr(obj, "default_factory", None)
        if factory is not None:
            attributes.setdefault("default_factory", factory)
        return dict(obj.items()), attributes
    if isinstance(obj, (tuple, list)):
        return list(obj), attributes
    return None, attributes


def holds_tensor(obj: Any, _seen: set[int] | None = None) -> bool:
    """Whether a tensor can be reached from ``obj`` through containers and attributes."""
    seen = set() if _seen is None else _seen
    if isinstance(obj, torch.Tensor):
        return True
    if isinstance(obj, _CLOSED) or id(obj) in seen:
        return False
    seen.add(id(obj))
    if isinstance(obj, dict):
        parts: Any = list(obj.values())
    elif isinstance(obj, (list, tuple, set)):
        parts = list(obj)
    else:
        parts = []
    parts = [*parts, *parts_of(obj).values()]
    return any(holds_tensor(part, seen) for part in parts)


def is_word(part: Any) -> bool:
    """Whether a leaf of a template says all that it means: a literal, a class, a function."""
    functions = (types.FunctionType, types.BuiltinFunctionType)
    return isinstance(part, (*_WORDS, *functions))


def _is_data(obj: Any, seen: set[int]) -> bool:
    """Whether words and numbers, in containers and plain objects, are all there is in ``obj``."""
    if isinstance(obj, _WORDS) or id(obj) in seen:
        return True
    if isinstance(obj, _CLOSED) or callable(obj):
        return False
    seen.add(id(obj))
    parts = list((attributes_of(obj) or {}).values())
    if isinstance(obj, dict):
        parts += [*obj.keys(), *obj.values()]
    elif isinstance(obj, (list, tuple)):
        parts += obj
    elif not parts:
        return False
    return all(_is_data(part, seen) for part in parts)


def build(
    template: Any, leaf: type, value: Callable[[Any], Any], known: dict[int, Any] | None = None
) -> Any:
    """The inverse of :func:`template`: replace every instance of ``leaf`` by ``value(it)``.

    Args:
        template: what was made of the original.
        leaf: class of what stands for tensors.
        value: what each of them becomes.
        known: id of a Record -> the instance that it is; gains those that are made.
    """
    return _put(template, leaf, value, {} if known is None else known, True)


def _put(
    part: Any, leaf: type, value: Callable[[Any], Any], made: dict[int, Any], instances: bool
) -> Any:
    cls = part.__class__
    if cls is leaf:
        return value(part)
    if cls in LITERALS:
        return part
    if cls is tuple:
        if LITERALS.issuperset(map(type, part)):
            return part
        return tuple([_put(v, leaf, value, made, instances) for v in part])
    if cls is list:
        return [_put(v, leaf, value, made, instances) for v in part]
    if cls is dict:
        return {k: _put(v, leaf, value, made, instances) for k, v in part.items()}
    if cls is slice:
        parts = (part.start, part.stop, part.step)
        return slice(*[_put(v, leaf, value, made, instances) for v in parts])
    if cls is not Record:
        return part
    if id(part) in made:
        return made[id(part)]
    if instances:
        made[id(part)] = part.build(lambda inner: _put(inner, leaf, value, made, True), made)
    else:
        record = made[id(part)] = Record(part.cls, None, {})
        record.items = _put(part.items, leaf, value, made, False)
        record.attributes = _put(part.attributes, leaf, value, made, False)
    return made[id(part)]


def tensors_in(part: Any) -> list[torch.Tensor]:
    """Every tensor in a nesting of containers, repetitions included."""
    if isinstance(part, torch.Tensor):
        return [part]
    found: list[torch.Tensor] = []
    template(part, found.append)
    return found


class _Never:
    """A leaf type nothing has."""


def rebuilt(obj: Any, leaf: Callable[[torch.Tensor], Any]) -> Any:
    """``obj`` made again with every tensor replaced by ``leaf(tensor)``, inside objects too."""
    return build(template(obj, leaf, deep=True), _Never, lambda part: part)


def substitute(template: Any, leaf: type, value: Callable[[Any], Any]) -> Any:
    """A template with every instance of ``leaf`` replaced by ``value(it)``; still a template."""
    return _put(template, leaf, value, {}, False)


def leaves(template: Any, leaf: type, *more: type) -> Iterator[Any]:
    """Every instance of these types in a template, in reading order, repetitions included."""
    seen: set[int] = set()
    stack = [template]
    while stack:
        part = stack.pop()
        cls = part.__class__
        if cls is leaf or cls in more:
            yield part
        elif cls is tuple or cls is list:
            stack.extend(reversed(part))
        elif cls is dict:
            stack.extend(reversed(part.values()))
        elif cls is slice:
            stack.extend((part.step, part.stop, part.start))
        elif cls is Record and id(part) not in seen:
            seen.add(id(part))
            stack.extend((part.attributes, part.items))


def show(part: Any, leaf: type) -> str:
    """A literal or template as it reads in code; instances of ``leaf`` print themselves."""
    cls = type(part)
    if cls is leaf:
        return str(part)
    if cls in _NUMBERS:
        return _cut(repr(part))
    if cls is list or cls is tuple:
        inner = ", ".join([show(v, leaf) for v in part])
        if cls is tuple:
            return f"({inner},)" if len(part) == 1 else f"({inner})"
        return f"[{inner}]"
    if cls is dict:
        return "{" + ", ".join(f"{k!r}: {show(v, leaf)}" for k, v in part.items()) + "}"
    if cls is slice:
        parts = (part.start, part.stop, part.step)
        start, stop, step = ("" if v is None else show(v, leaf) for v in parts)
        return f"{start}:{stop}" + (f":{step}" if step else "")
    if cls is Record:
        shown: str = part.show(lambda v: show(v, leaf))
        return shown
    if isinstance(part, torch.nn.Module) or callable(part):
        return getattr(part, "__name__", type(part).__name__)
    return _cut(without_address(part))


def _cut(text: str) -> str:
    return text if len(text) <= 120 else text[:117] + "..."


def without_address(part: Any) -> str:
    """What ``repr`` says, less where in memory the object happens to lie."""
    text = repr(part)
    return re.sub(r" at 0x[0-9a-fA-F]+", "", text) if " at 0x" in text else text
