"""Nested Python containers with tensors at their leaves: open them, map them, build them again.

Arguments and results of a call are *templates*: plain lists, tuples, dicts and slices stay what
they are, every other container (named tuple, dataclass, ``ModelOutput``, a cache object) becomes
a :class:`Record`. A template holds Values where the original held tensors. This module knows
nothing of graphs: a leaf is whatever the caller says it is.
"""

from __future__ import annotations

import builtins
import dataclasses
import re
import types
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch

_PLAIN = (str, bytes, int, float, complex, bool, type(None), torch.dtype, torch.device, torch.Size)
LITERALS = frozenset(_PLAIN) - {torch.Size}
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
)


def is_literal(part: Any) -> bool:
    """Whether a part of a template holds only words and numbers, as far as a glance tells."""
    cls = part.__class__
    return cls in LITERALS or cls is tuple and LITERALS.issuperset(map(type, part))


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

    def build(self, build: Callable[[Any], Any]) -> Any:
        """Make an instance again, with ``build`` applied to every part."""
        cls: Any = self.cls
        if hasattr(cls, "n_sequence_fields"):  # torch.return_types.*
            return cls([build(v) for v in self.items])
        if issubclass(cls, tuple):
            made = tuple.__new__(cls, [build(v) for v in self.items])
        else:
            made = cls.__new__(cls)
            if issubclass(cls, dict):
                put = OrderedDict.__setitem__ if issubclass(cls, OrderedDict) else dict.__setitem__
                for key, value in self.items.items():
                    put(made, key, build(value))
            elif issubclass(cls, list):
                list.extend(made, (build(v) for v in self.items))
        for key, value in self.attributes.items():
            object.__setattr__(made, key, build(value))
        return made


def template(obj: Any, leaf: Callable[[torch.Tensor], Any], *, deep: bool = False) -> Any:
    """Copy ``obj`` with every tensor replaced by ``leaf(tensor)``.

    Args:
        obj: any nesting of containers.
        leaf: called once per place a tensor stands, in reading order.
        deep: also open objects of unknown classes that hold tensors somewhere (cache objects).
    """
    return _take(obj, leaf, deep, None)


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


def _open(obj: Any, deep: bool) -> tuple[Any, dict[str, Any]] | None:
    """The parts of an instance that can be taken apart and rebuilt, or None."""
    attributes = dict(getattr(obj, "__dict__", None) or {})
    if dataclasses.is_dataclass(obj):
        for field in dataclasses.fields(obj):
            if hasattr(obj, field.name):
                attributes.setdefault(field.name, getattr(obj, field.name))
    elif not isinstance(obj, (tuple, list, dict)):
        return (None, attributes) if deep and holds_tensor(attributes) else None
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
    attributes = getattr(obj, "__dict__", None)
    if isinstance(attributes, dict):
        parts = [*parts, *attributes.values()]
    return any(holds_tensor(part, seen) for part in parts)


def build(template: Any, leaf: type, value: Callable[[Any], Any]) -> Any:
    """The inverse of :func:`template`: replace every instance of ``leaf`` by ``value(it)``."""
    return _put(template, leaf, value, {}, True)


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
        made[id(part)] = part.build(lambda inner: _put(inner, leaf, value, made, True))
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


def leaves(template: Any, leaf: type) -> Iterator[Any]:
    """Every instance of ``leaf`` in a template, in reading order, repetitions included."""
    seen: set[int] = set()
    stack = [template]
    while stack:
        part = stack.pop()
        cls = part.__class__
        if cls is leaf:
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


Places = Iterator[tuple[str, tuple[Any, ...]]]


def zip(*parts: Any, leaf: type, path: str = "", strict: bool = False) -> Places:
    """Walk templates side by side: every place of the first, with what stands there in all.

    A place is where the walk ends: at a ``leaf`` of the first, at what is no container, and where
    the others have no container of as many parts, or of these keys. What it means that a place
    does not fit is the caller's to say.

    Args:
        parts: templates, of which the first leads.
        leaf: what the first has at its leaves.
        path: where they stand; below it keys, fields and positions, joined by dots.
        strict: tell lists from tuples, the classes of objects and orders of keys apart.

    Yields:
        path and parts, in the order of :func:`leaves`; an object met before is not opened again.
    """
    return _zip(path, parts, leaf, strict, set())


def _zip(
    path: str, parts: tuple[Any, ...], leaf: type, strict: bool, seen: set[tuple[int, ...]]
) -> Places:
    first = parts[0]
    inner = None if first.__class__ is leaf else _side_by_side(parts, strict)
    if inner is None:
        yield path, parts
        return
    if first.__class__ is Record:
        met = tuple(map(id, parts))
        if met in seen:
            return
        seen.add(met)
    for key, found in inner:
        word = None if key is None else re.sub(r"\W", "_", str(key)) or "_"
        below = path if word is None else f"{path}.{word}" if path else word
        yield from _zip(below, found, leaf, strict, seen)


def _side_by_side(
    parts: tuple[Any, ...], strict: bool
) -> Iterable[tuple[Any, tuple[Any, ...]]] | None:
    """What is inside containers of one kind, by keys; None if they are none, or not of one kind."""
    first = parts[0]
    kinds = {part.__class__ for part in parts}
    if kinds == {Record}:
        if strict and any(part.cls is not first.cls for part in parts):
            return None
        attributes = tuple([part.attributes for part in parts])
        return ((None, tuple(map(_items, parts))), (None, attributes))
    if kinds == {dict}:
        if any(part.keys() != first.keys() for part in parts):
            return None
        if strict and any(list(part) != list(first) for part in parts):
            return None
        return [(key, tuple([part[key] for part in parts])) for key in first]
    if kinds == {slice}:
        ends = ("start", "stop", "step")
        return [(end, tuple([getattr(part, end) for part in parts])) for end in ends]
    if kinds <= {tuple, list} and not (strict and len(kinds) > 1):
        if all(len(part) == len(first) for part in parts):
            return enumerate(builtins.zip(*parts))
    return None


def _items(record: Record) -> Any:
    """The items of an instance, by the names of its fields where it is a named tuple."""
    torchs = "__match_args__" if hasattr(record.cls, "n_sequence_fields") else "_fields"
    fields = getattr(record.cls, torchs, ())
    named = isinstance(record.items, list) and len(fields) == len(record.items)
    return dict(builtins.zip(fields, record.items)) if named else record.items


def paths(template: Any, leaf: type) -> Iterator[tuple[str, Any]]:
    """Every instance of ``leaf``, in the order of :func:`leaves`, after its place."""
    for path, (part,) in zip(template, leaf=leaf):
        if part.__class__ is leaf:
            yield path, part


def output_name(path: str) -> str:
    """What a part of a result is called: ``output`` where there is one, ``output.0`` of several."""
    numbered = path.partition(".")[0].isdecimal()
    return f"output.{path}" if numbered else path or "output"


def show(part: Any, leaf: type) -> str:
    """A literal or template as it reads in code; instances of ``leaf`` print themselves."""
    if isinstance(part, leaf):
        return str(part)
    if type(part) in (list, tuple):
        inner = ", ".join([show(v, leaf) for v in part])
        if type(part) is tuple:
            return f"({inner},)" if len(part) == 1 else f"({inner})"
        return f"[{inner}]"
    if type(part) is dict:
        return "{" + ", ".join(f"{k!r}: {show(v, leaf)}" for k, v in part.items()) + "}"
    if type(part) is slice:
        parts = (part.start, part.stop, part.step)
        start, stop, step = ("" if v is None else show(v, leaf) for v in parts)
        return f"{start}:{stop}" + (f":{step}" if step else "")
    if type(part) is Record:
        return part.show(lambda v: show(v, leaf))
    if isinstance(part, torch.nn.Module) or callable(part):
        return getattr(part, "__name__", type(part).__name__)
    text = without_address(part)
    return text if len(text) <= 120 else text[:117] + "..."


def without_address(part: Any) -> str:
    """What ``repr`` says, less where in memory the object happens to lie."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(part))
