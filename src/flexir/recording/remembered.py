"""Long calls of torch that were made before, with the same arguments: what they gave then.

Several examples are recorded, run by the model, and replayed until a graph is proved, and the same
convolutions of the same images would be computed each time. A call that took long is remembered
with its arguments; one in a later run whose arguments are the same, bit for bit, gets what it gave.
All else of a run is as ever. Only calls of torch that wrote nothing and drew no random numbers are
remembered, up to a gigabyte, and none from when something may be written that tells nobody. Owns
that memory.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from ..calls.binding import layout_of
from ..calls.names import MEMORY
from ..graph.geometry import same_bytes
from .live import plain

_LONG = 1e-3  # seconds; what is shorter is not worth the comparison
_MOST = 1 << 30  # bytes of arguments and results
_MEMORY = 3e-10  # seconds that a byte of new memory takes, for what must be longer to be worth it
_TRIES = 4  # arguments that are compared in full
_CALLS = 500  # after so many it shows whether it is worth it: a tenth of the time
_WIDTHS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
_LITERALS = frozenset({
    int, float, complex, bool, str, type(None), slice, torch.dtype, torch.device,
    torch.memory_format,
})  # fmt: skip
_level = torch._C._functorch.maybe_current_level  # of vmap and the like, within them
_Tensor, _Parameter = torch.Tensor, torch.nn.Parameter


# A write to what these give does not tell that what they were asked of is written.
_ALIASES = (_Tensor.data.__get__, _Tensor.data.__set__)  # type: ignore[attr-defined]
_UNTOLD = MEMORY | {*_ALIASES, _Tensor.numpy, _Tensor.__array__, _Tensor.__dlpack__}


class _Answer:
    """One call, as long as nothing is written to what it was given and gave."""

    __slots__ = ("named", "result", "run", "seconds", "versions")

    def __init__(self, named: dict[str, Any], result: Any, seconds: float, run: int) -> None:
        self.named, self.result, self.seconds, self.run = named, result, seconds, run
        self.versions = _versions((named, result))

    def is_unwritten(self) -> bool:
        return _versions((self.named, self.result)) == self.versions


_current: ContextVar[Remembered | None] = ContextVar("remembered", default=None)


class Remembered:
    """A memory of long calls. While it is open, captures, replays of a proof, and what runs in
    ``remembering``, ask it.

    Attributes:
        saved: seconds that replays did not take.
    """

    def __init__(self) -> None:
        self._calls, self._begun = 0, time.perf_counter()
        self.saved = 0.0
        self._seconds = 0.0  # that what was remembered took
        self._known: dict[Any, list[_Answer]] = {}
        self._next: dict[Any, int] = {}  # where among those the next one may be
        self._long: set[Any] = set()  # functions that once took long
        self._bytes, self._counted = 0, set[int]()
        self._idle = False
        self._run = 0

    @staticmethod
    @contextlib.contextmanager
    def opened() -> Iterator[None]:
        """Context manager: one that is forgotten in the end."""
        token = _current.set(Remembered())
        try:
            yield
        finally:
            _current.reset(token)

    def making(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """A function that stands for another, and is answered by :meth:`make`."""
        return lambda *args, **kwargs: self.make(func, args, kwargs)

    def make(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Make a call, or copy what it gave before; what it gives is remembered if it took long."""
        self._calls += 1
        if self._calls == _CALLS and self._seconds < (time.perf_counter() - self._begun) / 10:
            self._idle = True
        if func in _UNTOLD:
            self._forget()
        if self._idle:
            return func(*args, **kwargs)
        known, key, named = None, None, dict[str, Any]()
        if func in self._long:
            key, named = self._asked(func, args, dict(kwargs))
            known = None if key is None else self._find(key, named)
        if known is not None and known.run != self._run:
            return _copied(known.result)
        drawn = None if key is None else torch.get_rng_state()
        versions = [] if key is None else _versions(named)
        begun = time.perf_counter()
        result = func(*args, **kwargs)
        seconds = time.perf_counter() - begun
        if seconds > _LONG and key is None:
            self._long.add(func)
        elif seconds > _LONG and versions == _versions(named):
            if known is not None and not _is_same(known.result, result):
                self._forget()  # something was written that tells nobody
            elif known is None and drawn is not None and same_bytes(drawn, torch.get_rng_state()):
                self._keep(key, named, result, seconds)
        return result

    def _forget(self) -> None:
        """What is remembered may not hold any more; nothing is from now on."""
        self._known.clear()
        self._idle = True

    def recall(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Make a call, or give what it gave before itself, to somebody who does not write to it."""
        if func in self._long and not self._idle:
            key, named = self._asked(func, args, dict(kwargs))
            known = None if key is None else self._find(key, named)
            if known is not None:
                self.saved += known.seconds
                given = map(_memory, _tensors(named))  # what another call gave may be an argument
                lies_there = not {*map(_memory, _tensors(known.result))}.isdisjoint(given)
                return _copied(known.result) if lies_there else known.result
        return func(*args, **kwargs)

    def _asked(
        self, func: Any, args: Sequence[Any], kwargs: dict[str, Any]
    ) -> tuple[Any, dict[str, Any]]:
        """What calls that may be the same have in common, and the arguments by name.

        None for a call that cannot be remembered.
        """
        layout = layout_of(func, args, kwargs)
        tensors = _tensors((args, tuple(kwargs.values())))
        if not (layout.trusted and all(map(_is_plain, tensors))) or _level() is not None:
            return None, {}
        if torch.is_grad_enabled() and any(t.requires_grad for t in tensors):
            return None, {}
        named = _plainly(layout.named(args, kwargs))
        drawing = layout.signature.random is not False  # it shows from the CPU's generator alone
        if not _is_told(named) or drawing and any(t.device.type != "cpu" for t in tensors):
            return None, {}
        shapes = tuple([(t.shape, t.dtype, t.device) for t in tensors])
        autocast = torch.is_autocast_enabled("cpu"), torch.is_autocast_enabled("cuda")
        key = func, shapes, autocast, torch.get_default_dtype(), torch.is_inference_mode_enabled()
        return key, named

    def _find(self, key: Any, named: dict[str, Any]) -> _Answer | None:
        found, tries = self._known.get(key, ()), 0
        for step in range(len(found)):
            at = (self._next.get(key, 0) + step) % len(found)
            if not (_may_be(found[at].named, named) and found[at].is_unwritten()):
                continue
            if _is_same(found[at].named, named):
                self._next[key] = at + 1
                return found[at]
            tries += 1
            if tries == _TRIES:
                break
        return None

    def _keep(self, key: Any, named: dict[str, Any], result: Any, seconds: float) -> None:
        made, given = _tensors(result), _tensors(named)
        if not made or not all(map(_is_plain, made)) or any(t.requires_grad for t in made):
            return
        if any(torch.empty_like(one).stride() != one.stride() for one in made):
            return  # a copy would lie in memory in another way
        if not {_memory(one) for one in made}.isdisjoint(map(_memory, given)):
            return  # a view, or what it was given
        fresh = {_memory(one): one.untyped_storage().nbytes()
                 for one in (*given, *made) if type(one) is not _Parameter}  # fmt: skip
        more = sum(size for at, size in fresh.items() if at not in self._counted)
        if self._bytes + more > _MOST or seconds < more * _MEMORY:
            return
        self._bytes += more
        self._counted.update(fresh)
        self._seconds += seconds
        self._known.setdefault(key, []).append(_Answer(named, result, seconds, self._run))


class _Watch(TorchFunctionMode):
    """Calls are made by a memory."""

    def __init__(self, memory: Remembered) -> None:
        super().__init__()
        self._make = memory.make

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Make a call."""
        return self._make(func, args, kwargs or {})


def current() -> Remembered | None:
    """The memory that is open and worth its cost, if one is."""
    memory = _current.get()
    return None if memory is None or memory._idle else memory


def begun() -> Remembered | None:
    """As :func:`current`, for a run of the model that begins."""
    memory = current()
    if memory is not None:
        memory._run += 1
    return memory


def remembering() -> contextlib.AbstractContextManager[Any]:
    """Context manager: calls of torch are made by the memory that is open, if one is."""
    memory = begun()
    return contextlib.nullcontext() if memory is None else _Watch(memory)


def _is_plain(tensor: torch.Tensor) -> bool:
    """Whether a tensor has elements, in memory, and tells when it is written."""
    plain = type(tensor) is _Tensor or type(tensor) is _Parameter
    return plain and (
        tensor.layout is torch.strided
        and tensor.device.type != "meta"
        and not (tensor.is_inference() or tensor.is_nested or tensor.is_conj() or tensor.is_neg())
    )


def _is_told(part: Any) -> bool:
    """Whether arguments are tensors and literals alone: no generators, functions or objects."""
    if isinstance(part, dict):
        part = tuple(part.values())
    if type(part) in (list, tuple, torch.Size):
        return all(map(_is_told, part))
    return isinstance(part, _Tensor) or type(part) in _LITERALS


def _versions(part: Any) -> list[int]:
    return [tensor._version for tensor in _tensors(part)]


def _tensors(part: Any) -> list[torch.Tensor]:
    """All tensors among arguments, in order."""
    if isinstance(part, _Tensor):
        return [part]
    if isinstance(part, dict):
        part = tuple(part.values())
    if isinstance(part, (list, tuple)):
        return [tensor for inner in part for tensor in _tensors(inner)]
    return []


def _copied(result: Any) -> Any:
    """A result of its own: a tensor, or a tuple or list of tensors and what is none."""
    if type(result) in (tuple, list):
        return type(result)(map(_copied, result))
    return result.clone() if isinstance(result, _Tensor) else result


def _plainly(part: Any) -> Any:
    """Arguments with plain numbers in the place of those that know where they come from."""
    if isinstance(part, dict):
        return {name: _plainly(inner) for name, inner in part.items()}
    if type(part) in (list, tuple):
        return type(part)(map(_plainly, part))
    return plain(part)


def _memory(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _may_be(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether arguments may be the same, as far as it can be seen without their elements."""
    return all(
        a is b or type(a) is type(b) is not _Parameter and a.stride() == b.stride()
        for a, b in zip(_tensors(one), _tensors(other))
    )


def _is_same(one: Any, other: Any) -> bool:
    """Whether arguments are the same, bit for bit."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, _Tensor):
        width = _WIDTHS.get(one.element_size())
        if width is None or not (one.is_floating_point() or one.is_complex()):
            return torch.equal(one, other)
        return torch.equal(one.detach().view(width), other.detach().view(width))
    if isinstance(one, dict):
        return list(one) == list(other) and all(_is_same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(_is_same, one, other))
    return type(one) in _LITERALS and bool(one == other)
