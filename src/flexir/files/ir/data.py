"""Arguments and results as a flat table: nested containers taken apart, and put together again.

An entry refers only to entries before it, so decoding is one pass without recursion. What cannot
be stored (an arbitrary object, a lambda) keeps its printed form as :class:`Unstorable`. Decoding
imports nothing unless told to: classes come from modules already loaded, else a stand-in with the
same name and fields takes their place.
"""

from __future__ import annotations

import importlib
import operator
import sys
from collections.abc import Callable, Collection
from typing import Any

import torch

from ...errors import FormatError
from ...graph.nodes import Value
from ...graph.tree import Record, without_address
from . import functions

_SEQUENCES: dict[type, str] = {
    tuple: "tuple", list: "list", torch.Size: "size", set: "set", frozenset: "frozenset",
    range: "range",
}  # fmt: skip
_BASES = {"tuple": tuple, "list": list, "dict": dict, "module": torch.nn.Module}
_PLAIN = frozenset({"boolean", "integer", "real", "text", "raw"})
_SHARED = frozenset({bool, int, str, type(None)})  # classes whose equal instances are the same
_DEPTH = 100  # of nested containers


class Unstorable:
    """Stands for something a file cannot hold; a call that needs it cannot be replayed."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


class TableWriter:
    """Entries under construction: ``put`` returns the index of a thing, writing it once.

    Numbers, words and Values are shared between all that mention them; containers are not.
    """

    def __init__(self, entries: Any, value_id: Callable[[Value], int]) -> None:
        self.entries, self.value_id = entries, value_id
        self.known: dict[Any, int] = {}
        self.shared: dict[int, int] = {}

    def put(self, thing: Any) -> int:
        """The index of a thing, which is written if it is new."""
        cls = thing.__class__
        if cls is Value:
            key: Any = thing
        elif cls in _SHARED:
            key = (cls, thing)
        elif cls is float:
            key = (cls, thing.hex())
        elif cls is torch.Generator:
            key = (cls, id(thing))
        else:
            return self._add(thing, cls)
        known = self.known.get(key)
        if known is None:
            known = self.known[key] = self._add(thing, cls)
        return known

    def _add(self, thing: Any, cls: type) -> int:
        entry = self._compound(thing, cls)
        if entry is None:
            entry = self.entries.add()
            self._atom(entry, thing, cls)
        return len(self.entries) - 1

    def _compound(self, thing: Any, cls: type) -> Any:
        """The entry of a container, its parts put first; None for anything else."""
        if cls in _SEQUENCES:
            parts = thing if cls is not range else (thing.start, thing.stop, thing.step)
            if cls in (set, frozenset):
                parts = sorted(thing, key=repr)  # in an order that two saves agree on
            items = [self.put(part) for part in parts]
            entry = self.entries.add()
            entry.sequence.type = _SEQUENCES[cls]
            entry.sequence.items.extend(items)
        elif cls is dict:
            keys, values = list(map(self.put, thing)), list(map(self.put, thing.values()))
            entry = self.entries.add()
            entry.mapping.SetInParent()
            entry.mapping.keys.extend(keys)
            entry.mapping.values.extend(values)
        elif cls is slice:
            items = [self.put(part) for part in (thing.start, thing.stop, thing.step)]
            entry = self.entries.add()
            entry.slice.items.extend(items)
        elif cls is Record:
            items_plus1 = 0 if thing.items is None else self.put(thing.items) + 1
            attributes = self.put(thing.attributes) + 1 if thing.attributes else 0
            entry = self.entries.add()
            record = entry.record
            record.cls, record.base = class_name(thing.cls), _base(thing.cls)
            record.fields.extend(getattr(thing.cls, "_fields", ()))
            record.items_plus1, record.attributes_plus1 = items_plus1, attributes
            record.shared = self.shared.setdefault(id(thing), len(self.shared) + 1)
        else:
            return None
        return entry

    def _atom(self, entry: Any, thing: Any, cls: type) -> None:
        if thing is None:
            entry.none = True
        elif cls is Value:
            entry.value = self.value_id(thing)
        elif cls is bool:
            entry.boolean = thing
        elif cls is int:
            if -(1 << 63) <= thing < 1 << 63:
                entry.integer = thing
            else:
                entry.big_integer = thing.to_bytes(
                    thing.bit_length() // 8 + 1, "little", signed=True
                )
        elif cls is float:
            entry.real = thing
        elif cls is complex:
            entry.complex.real, entry.complex.imag = thing.real, thing.imag
        elif cls is str:
            entry.text = thing
        elif cls is bytes:
            entry.raw = thing
        elif cls is torch.Generator:
            entry.generator.device = str(thing.device)
            entry.generator.state = bytes(thing.get_state().tolist())
        elif (
            cls.__module__ == "numpy" and hasattr(thing, "tobytes") and thing.dtype.kind in "biufc"
        ):
            entry.array.dtype, entry.array.data = thing.dtype.str, thing.tobytes()
            entry.array.shape.extend(thing.shape)
            entry.array.scalar = cls.__name__ != "ndarray"
        elif isinstance(thing, (int, float, str)):  # an enum's member, a str of a subclass
            plain: Any = next(base for base in (int, float, str) if isinstance(thing, base))
            self._atom(entry, plain.__add__(thing, plain()), plain)
        elif (named := _named(thing)) is not None:
            entry.name.kind, entry.name.name = named
        else:
            entry.opaque = without_address(thing)[:1000]


def _named(thing: Any) -> tuple[str, str] | None:
    """Kind and name of a thing that torch or Python knows by name."""
    if isinstance(thing, (torch.dtype, torch.layout, torch.memory_format)):
        return type(thing).__name__, str(thing).removeprefix("torch.")
    if isinstance(thing, torch.device):
        return "device", str(thing)
    if thing is ...:
        return "ellipsis", "..."
    if isinstance(thing, Unstorable):
        return None
    if isinstance(thing, type):
        return "class", class_name(thing)
    if callable(thing) and not isinstance(thing, torch.nn.Module):
        return "function", functions.stored_name(thing)
    return None


def class_name(cls: type) -> str:
    """``package.module:Class``."""
    return f"{cls.__module__}:{cls.__qualname__}"


def _base(cls: type) -> str:
    return next((name for name, base in _BASES.items() if issubclass(cls, base)), "object")


class Vocabulary:
    """What a file may name, the same for all graphs in it.

    Attributes:
        functions: given by the user, by name.
        imports: top-level packages whose classes may be imported.
        classes: those found so far, stand-ins among them, by name.
        newer: whether the file holds fields this version does not know.
        budget: into how many parts more all that the file mentions may unfold.
    """

    def __init__(self, functions: dict[str, Callable[..., Any]], imports: Collection[str]) -> None:
        self.functions, self.imports = functions, imports
        self.classes: dict[str, type] = {}
        self.newer, self.budget = False, 0


class TableReader:
    """Decodes a table.

    Args:
        entries: the messages.
        values: what a value index means.
        known: what a file may name.

    Attributes:
        things: what the entries stand for.
        used: the indices of those that were got, for :meth:`charge`.
        lost: whether something among them is only known by its printed form.
    """

    def __init__(self, entries: Any, values: list[Value], known: Vocabulary) -> None:
        self.values, self.known = values, known
        self.things: list[Any] = []
        self.sizes: list[int] = []
        self.depths: list[int] = []
        self.shared: dict[int, Record] = {}
        self.used: list[int] = []
        self.lost = False
        things, sizes, depths, read = self.things, self.sizes, self.depths, self._thing
        try:
            for entry in entries:
                kind = entry.WhichOneof("kind")
                if kind == "value":
                    things.append(values[entry.value])
                elif kind in _PLAIN:
                    things.append(getattr(entry, kind))
                else:
                    self.size, self.depth = 1, 0
                    things.append(read(entry, kind))
                    sizes.append(self.size)
                    depths.append(self.depth)
                    continue
                sizes.append(1)
                depths.append(0)
        except (FormatError, ImportError):
            raise
        except Exception as error:
            raise FormatError(f"data[{len(things)}]: {type(error).__name__}: {error}") from error

    def get(self, index: int) -> Any:
        """What an index stands for."""
        if index >= len(self.things):
            raise FormatError(f"refers to data[{index}]; there are {len(self.things)}")
        self.used.append(index)
        return self.things[index]

    def charge(self) -> None:
        """Take the parts of all that was got so far from the budget; FormatError if that is spent.

        A few entries that mention one another over and over could unfold without end.
        """
        self.known.budget -= sum(map(self.sizes.__getitem__, self.used))
        if self.known.budget < 0:
            most = max(self.used, key=self.sizes.__getitem__)
            raise FormatError(f"data[{most}] unfolds into more parts than the file has room for")
        self.used.clear()

    def _part(self, index: int) -> Any:
        if index >= len(self.things):
            raise FormatError(f"data[{len(self.things)}] refers to data[{index}], not before it")
        self.size += self.sizes[index]
        self.depth = max(self.depth, self.depths[index] + 1)
        if self.depth > _DEPTH or self.size > self.known.budget:
            raise FormatError(f"data[{len(self.things)}] is nested too deeply or too large")
        return self.things[index]

    def _parts(self, indices: Any) -> list[Any]:
        return [self._part(index) for index in indices]

    def _thing(self, entry: Any, kind: str | None) -> Any:
        if kind == "none":
            return None
        if kind == "sequence":
            parts = self._parts(entry.sequence.items[:])
            cls = next((c for c, n in _SEQUENCES.items() if n == entry.sequence.type), None)
            if cls is None:
                raise FormatError(f"data[{len(self.things)}].sequence.type is unknown")
            return cls(*parts) if cls is range else parts if cls is list else cls(parts)
        if kind == "mapping":
            keys, values = self._parts(entry.mapping.keys[:]), self._parts(entry.mapping.values[:])
            if len(keys) != len(values):
                raise FormatError(f"data[{len(self.things)}].mapping has unequal halves")
            return dict(zip(keys, values))
        if kind == "slice":
            start, stop, step = self._parts(entry.slice.items[:])
            return slice(start, stop, step)
        if kind == "record":
            return self._record(entry.record)
        if kind == "big_integer":
            return int.from_bytes(entry.big_integer, "little", signed=True)
        if kind == "complex":
            return complex(entry.complex.real, entry.complex.imag)
        if kind == "name":
            return self._name(entry.name.kind, entry.name.name)
        if kind == "generator":
            made = torch.Generator(torch.device(entry.generator.device))
            made.set_state(torch.tensor(list(entry.generator.state), dtype=torch.uint8))
            return made
        if kind == "array":
            return _array(entry.array)
        self.lost = True
        return Unstorable(entry.opaque if kind == "opaque" else "something a newer version stored")

    def _name(self, kind: str, name: str) -> Any:
        if kind in ("dtype", "layout", "memory_format"):
            return torch_constant(name, getattr(torch, kind))
        if kind == "device":
            return torch.device(name)
        if kind == "ellipsis":
            return ...
        if kind == "function":
            return functions.callable_of(name, self.known.functions)
        if kind == "class":
            return _loaded(name, self.known.imports) or _stand_in(name, "object", ())
        self.lost = True
        return Unstorable(name)

    def _record(self, message: Any) -> Record:
        items = self._part(message.items_plus1 - 1) if message.items_plus1 else None
        attributes = self._part(message.attributes_plus1 - 1) if message.attributes_plus1 else {}
        if message.shared and message.shared in self.shared:
            return self.shared[message.shared]
        cls = self.find_class(message.cls, message.base, message.fields)
        fits = {"tuple": list, "list": list, "dict": dict}.get(message.base, type(None))
        if type(items) is not fits or not isinstance(attributes, dict):
            raise FormatError(f"data[{len(self.things)}].record does not fit its base")
        record = Record(cls, items, attributes)
        if message.shared:
            self.shared[message.shared] = record
        return record

    def find_class(self, name: str, base: str, fields: Collection[str]) -> type:
        """A class by ``module:name``, or a stand-in of the same name."""
        classes = self.known.classes
        cls = classes.get(name)
        if cls is None:
            cls = _loaded(name, self.known.imports)
            if cls is None or _base(cls) != base:
                cls = _stand_in(name, base, tuple(fields))
            classes[name] = cls
        return cls


def torch_constant(name: str, cls: type) -> Any:
    """``torch.float32`` and the like by name."""
    found = getattr(torch, name, None)
    if not isinstance(found, cls):
        raise FormatError(f"torch has no {cls.__name__} {name!r}")
    return found


def _loaded(name: str, imports: Collection[str]) -> type | None:
    module, _, path = name.partition(":")
    if module.split(".")[0] in imports:
        try:
            importlib.import_module(module)
        except ImportError:
            return None
    found: Any = sys.modules.get(module)
    for part in path.split("."):
        found = vars(found).get(part) if hasattr(found, "__dict__") else None
    return found if isinstance(found, type) else None


def _show(self: Any) -> str:
    return f"{type(self).__name__}({vars(self)})"


def _stand_in(name: str, base: str, fields: tuple[str, ...]) -> type:
    """A class that looks like one this process does not have."""
    module, _, path = name.partition(":")
    if "\0" in name:
        raise FormatError(f"{name!r} is no name of a class")
    bases = (_BASES[base],) if base in _BASES else ()
    members: dict[str, Any] = {"__module__": module, "__qualname__": path}
    if base == "tuple" and fields:
        members["_fields"] = fields
        for position, field in enumerate(fields):
            members[field] = property(operator.itemgetter(position))
    if base == "object":
        members["__repr__"] = _show
    return type(path.rpartition(".")[2] or "unnamed", bases, members)


def _array(message: Any) -> Any:
    import numpy

    dtype = numpy.dtype(message.dtype)
    if dtype.hasobject:
        raise FormatError("an array of Python objects")
    made = numpy.frombuffer(message.data, dtype).reshape([int(n) for n in message.shape]).copy()
    return made[()] if message.scalar else made
