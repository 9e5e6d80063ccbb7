"""Things that keep something where no Python container shows it: a suspended generator, an
iterator, a buffer, what a function remembers, a variable of a context.

Owns what tells one state of such a thing from another, and which things it leads to: those that
Python's own garbage collector finds in it; what else it refers to says nothing of its state. Owns
also ``holder_of``, which finds the kind of any part of a model.
"""

from __future__ import annotations

import contextvars
import ctypes
import functools
import gc
import io
import operator
import random
import sys
import types
import warnings
from collections.abc import Collection, Iterator
from typing import Any

import torch

from ..graph.tree import attributes_of
from .holders import (
    FIXED,
    Attributes,
    Holder,
    container_of,
    has_attributes,
)
from .stand_ins import CACHED

# Standard modules whose objects keep what the user puts into them; in those of others (loggers,
# locks, paths) it is their own bookkeeping that changes.
_KEEPING = frozenset({
    "collections", "types", "argparse", "queue", "weakref", "_thread", "functools", "itertools",
    "builtins", "_io", "array", "contextlib", "copy", "enum",
})  # fmt: skip
_STANDARD = frozenset(sys.stdlib_module_names) - _KEEPING
_LARGE = 1 << 20  # bytes; of larger buffers a hash is kept, so they cannot be put back
_SUSPENDED = (types.GeneratorType, types.CoroutineType, types.AsyncGeneratorType)
_TOLD = (io.BytesIO, io.StringIO)  # whose contents are what tells one state from another
_IMMUTABLE = 1 << 8  # Py_TPFLAGS_IMMUTABLETYPE: classes of C code, none of Python's


class Opaque(Holder):
    """Something whose state is told by bytes, or by where it stands in what it goes over."""

    __slots__ = ()

    def read(self) -> dict[str, Any]:
        return {"": _state_of(self.thing)}

    def stands(self) -> bool:
        return bool(self.before == self.read())

    def parts(self) -> list[Any]:
        """The things it leads to, types aside."""
        found = gc.get_referents(self.thing)
        return [one for one in found if one.__class__ not in FIXED and one.__class__ is not type]

    def put(self, contents: dict[str, Any]) -> None:
        kept, thing = contents[""], self.thing
        if isinstance(thing, torch.Generator):
            thing.set_state(torch.frombuffer(bytearray(kept), dtype=torch.uint8))
        elif isinstance(thing, random.Random):
            thing.setstate(kept)
        elif isinstance(kept, bytes) and _size_of(thing) == len(kept) > 0:
            memory = memoryview(thing)
            if not memory.readonly:
                memory.cast("B")[:] = kept


class Suspended(Holder):
    """A generator or coroutine: where it stands, and its variables."""

    __slots__ = ()

    def read(self) -> dict[str, Any]:
        thing = self.thing
        kind = next(k for k in ("gi", "cr", "ag") if hasattr(thing, f"{k}_frame"))
        frame = getattr(thing, f"{kind}_frame")
        if frame is None:
            return {"": None}
        waits = None
        if not getattr(thing, f"{kind}_running"):  # else Python reads what is not there
            waits = getattr(thing, "gi_yieldfrom" if kind == "gi" else f"{kind}_await")
        return {**frame.f_locals, "": (frame.f_lasti, waits)}

    def put(self, contents: dict[str, Any]) -> None:
        """Do nothing: Python cannot set a generator back."""


class CachedResults(Holder):
    """What ``functools.lru_cache`` keeps of a function's results.

    A function that is remembered gives the same whether it runs again or not, so a result that is
    new there matters only if it can be changed.
    """

    __slots__ = ()

    def read(self) -> list[Any]:
        found: list[Any] = []
        own = attributes_of(self.thing)
        for part in gc.get_referents(self.thing):
            if part.__class__ is dict:
                found += () if part is own else part.values()
            elif part is not self.thing.__wrapped__ and not isinstance(part, type):
                found.append(part)
        return found

    def since(self) -> list[tuple[Any, Any]]:
        """What can be changed of the results that are new, each after what it is of."""
        known, parts = set(map(id, self.before)), gc.get_referents(self.thing)
        kept = next((one for one in parts if one.__class__ is dict and one is not
                     attributes_of(self.thing)), {})  # fmt: skip
        pairs = list(kept.items())
        if self.thing.cache_parameters()["maxsize"] is not None:  # in C, each after its key
            keys = set(map(id, kept))
            pairs = [pair for pair in zip(parts, parts[1:]) if id(pair[0]) in keys]
        return [pair for pair in pairs if id(pair[1]) not in known and _may_change(pair[1])]

    def stands(self) -> bool:
        known = set(map(id, self.before))
        return not any(id(part) not in known and _may_change(part) for part in self.read())

    def put(self, contents: list[Any]) -> None:
        if not self.stands():
            self.thing.cache_clear()


class Contexts(Holder):
    """A variable of ``contextvars``; what stands in it has a path of its own."""

    __slots__ = ()

    def read(self) -> dict[str, Any]:
        missing = object()
        found = self.thing.get(missing)
        return {} if found is missing else {"value": found}

    def put(self, contents: dict[str, Any]) -> None:
        if contents:
            self.thing.set(contents["value"])


def holder_of(part: Any, path: str) -> Holder | None:
    """The Holder for a part of any kind, or None if it can hold nothing that changes."""
    holder = container_of(part, path)
    if holder is not None or isinstance(part, (type, torch.nn.Module)):
        return holder
    if isinstance(part, _SUSPENDED):
        return Suspended(part, path)
    if isinstance(part, CACHED):
        return CachedResults(part, path)
    if isinstance(part, contextvars.ContextVar):
        return Contexts(part, path)
    if isinstance(part, (torch.Generator, random.Random)) or _size_of(part) is not None:
        return Opaque(part, path)
    cls: Any = type(part)
    if _is_standard(cls) or cls.__module__.partition(".")[0] == __package__.partition(".")[0]:
        return None  # of this package: a number that the model kept, which leads to the recorder
    if isinstance(part, _TOLD) or isinstance(part, Iterator) and _is_c(cls) or _draws(part):
        return Opaque(part, path)
    return Attributes(part, path) if has_attributes(part) else None


def has_more(part: Any, holder: Holder) -> bool:
    """Whether a container may have attributes beside its items."""
    return not isinstance(holder, (Attributes, Suspended)) and not isinstance(
        part, (type, types.CellType, torch.nn.Module)) and has_attributes(part)  # fmt: skip


def _state_of(part: Any) -> Any:
    """What tells one state of an opaque thing from another, by equality."""
    if isinstance(part, torch.Generator):
        state = part.get_state()
        return ctypes.string_at(state.data_ptr(), state.numel())
    if isinstance(part, random.Random):
        return part.getstate()
    if _size_of(part) is not None:
        return _bytes_of(part)
    if isinstance(part, _TOLD):
        return None if part.closed else (part.getvalue(), part.tell())
    if _draws(part):
        source = getattr(part, "bit_generator", None) or getattr(part, "_bit_generator", part)
        if hasattr(source, "ctypes"):  # a seed sequence, a lock of one have none
            return bits_of(source)
    return _position(part, 4)


def bits_of(generator: Any) -> Any:
    """The state of one of NumPy's generators of bits."""
    if type(generator).__name__ == "MT19937":  # 624 words and a position; `state` takes long
        return ctypes.string_at(generator.ctypes.state_address, 625 * 4)
    return repr(generator.state)


def _draws(part: Any) -> bool:
    """Whether a thing is one of NumPy's generators."""
    return type(part).__module__.startswith("numpy.random")


def _position(part: Any, deep: int, own: Collection[int] = ()) -> Any:
    """Where an iterator stands, as numbers and the things it goes over.

    ``own`` are those it has; a list that it made to answer is told by what is in it.
    """
    if part.__class__ in (int, float, bool, type(None)):
        return part
    if part.__class__ is tuple:
        return tuple(_position(inner, deep, own) for inner in part)
    if part.__class__ is range:  # made to answer, each time another
        return part.start, part.stop, part.step
    if part.__class__ is list and id(part) not in own:
        return tuple(map(id, part))
    if not isinstance(part, Iterator) or deep == 0 or not _is_c(type(part)):
        return id(part)
    hint = operator.length_hint(part, -1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            parts = part.__reduce__()[1:]
        except (TypeError, AttributeError):  # it cannot be copied, in newer Pythons
            return hint, repr(part)
    own = set(map(id, gc.get_referents(part)))
    return hint, *(_position(inner, deep - 1, own) for inner in parts)


def _size_of(part: Any) -> int | None:
    """Bytes of the buffer that a thing is; None if it is none."""
    if type(part).__module__.startswith("torch"):
        return None
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(part, numpy.ndarray):
        return int(part.nbytes)
    try:
        return memoryview(part).nbytes
    except (TypeError, ValueError, BufferError):
        return None


def _bytes_of(part: Any) -> Any:
    if str(getattr(part, "dtype", "")) == "object":
        content = repr(part).encode()
    else:
        content = memoryview(part).tobytes()  # a masked array's own method writes to it
    return content if len(content) <= _LARGE else hash(content)


def _may_change(part: Any) -> bool:
    """Whether a thing can be changed by code that holds it."""
    if part.__class__ in FIXED or isinstance(part, (type, types.FunctionType, torch.nn.Module)):
        return False
    if isinstance(part, torch.Tensor):
        return part.is_inference() or part._version > 0
    if isinstance(part, tuple):
        return any(map(_may_change, part))
    return holder_of(part, "") is not None


@functools.lru_cache(maxsize=None)
def _is_standard(cls: Any) -> bool:
    return cls.__module__.partition(".")[0] in _STANDARD


@functools.lru_cache(maxsize=None)
def _is_c(cls: Any) -> bool:
    """Whether a class was made by C code."""
    return bool(cls.__flags__ & _IMMUTABLE)
