"""What decides the meaning of a call besides its arguments: torch's switches and generators."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib.abc
import importlib.util
import random
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import torch

from ..calls.signatures import Signature
from ..graph.geometry import hash_of, same_bytes
from ..graph.nodes import Effects, Switches


class SwitchWatch:
    """torch's switches as of the last call: grad and inference mode, default dtype, autocast."""

    def __init__(self) -> None:
        self.key: Any = None
        self.effects = Effects(switches=Switches())
        self.inference = False

    def now(self) -> Effects:
        """Effects that say what a call runs under; one object while the switches stay."""
        autocast = torch._C._is_any_autocast_enabled()
        inference = torch.is_inference_mode_enabled()
        key = (torch.is_grad_enabled(), inference, torch.get_default_dtype(), autocast)
        if key != self.key or autocast:
            regions = autocast_regions() if autocast else ()
            self.key, self.inference = key, inference
            self.effects = Effects(switches=Switches(key[0], inference, key[2], regions))
        return self.effects


class Draws:
    """The random generators, watched around every call that may draw from them.

    Args:
        held: the generators the model holds.
    """

    def __init__(self, held: Iterable[torch.Generator] = ()) -> None:
        # Hashes, not states: a block of 5 KB kept alive among activations fragments the heap.
        # id of a generator -> (it, the state it began the run with, the state it was left in)
        self.known: dict[int, tuple[torch.Generator, int | None, int]] = {}
        for source in (torch.default_generator, *held):
            now = hash_of(source.get_state())
            self.known[id(source)] = (source, now, now)
        self.drawn: set[int] = set()

    def before(
        self, signature: Signature, named: dict[str, Any], tensors: Sequence[tuple[Any, Any]]
    ) -> Any:
        """The generator a call may draw from and its state; None if it cannot draw."""
        if signature.random is None and signature.schema:
            return None
        given = named.get("generator")
        if isinstance(given, torch.Generator):
            return (given, given.get_state())
        source = default_generator(device_of(named, [t for t, _ in tensors]))
        return None if source is None else (source, source.get_state())

    def after(self, before: Any) -> Draw | None:
        """What a call drew, if it did."""
        if before is None:
            return None
        source, start = before
        state = source.get_state()
        if same_bytes(state, start):
            return None
        begun = hash_of(start)
        _, first, last = self.known.get(id(source), (source, None, None))
        follows = last == begun and id(source) in self.drawn
        self.known[id(source)] = (source, first, hash_of(state))
        self.drawn.add(id(source))
        return Draw(None if follows else start, not follows and first == begun)

    def left(self, source: Any) -> bool:
        """Whether a generator is in the state in which the recorded calls left it."""
        known = self.known.get(id(source)) if isinstance(source, torch.Generator) else None
        return known is not None and known[2] == hash_of(source.get_state())


class Draw(NamedTuple):
    """That a call drew random numbers.

    Attributes:
        start: the state a replay must start it from, if it does not follow from earlier draws.
        goes_on: that state is the one the generator had before the run.
    """

    start: torch.Tensor | None
    goes_on: bool


def foreign_draws() -> dict[str, Any]:
    """The states of the random generators that are not torch's, by module."""
    states: dict[str, Any] = {"random": random.getstate()}
    if (numpy := sys.modules.get("numpy.random")) is not None:
        generator = numpy.get_bit_generator()
        if type(generator) is numpy.MT19937:  # 624 words and a position; `state` takes long
            states["numpy.random"] = ctypes.string_at(generator.ctypes.state_address, 625 * 4)
        else:
            states["numpy.random"] = repr(generator.state)
    return states


def autocast_regions() -> tuple[tuple[str, torch.dtype, bool], ...]:
    """(device type, dtype, cache enabled) of every autocast region that is on."""
    found = []
    for device in ("cpu", "cuda", "xpu", "mps"):
        try:
            if torch.is_autocast_enabled(device):
                dtype = torch.get_autocast_dtype(device)
                found.append((device, dtype, torch.is_autocast_cache_enabled()))
        except RuntimeError:  # a device this build does not have
            continue
    return tuple(found)


def device_of(named: dict[str, Any], tensors: list[torch.Tensor]) -> torch.device:
    """The device a call computes on."""
    device = named.get("device")
    if device is not None and not isinstance(device, torch.Tensor):
        return torch.device(device)
    return tensors[0].device if tensors else torch.get_default_device()


def default_generator(device: torch.device) -> torch.Generator | None:
    """The default generator of a device."""
    if device.type == "cuda":
        if not torch.cuda.is_initialized():
            return None
        index = torch.cuda.current_device() if device.index is None else device.index
        return torch.cuda.default_generators[index]
    return torch.default_generator


@contextlib.contextmanager
def collector_at_rest() -> Iterator[bool]:
    """Within, the garbage collector runs only when it is asked to.

    A graph is many small objects. Left alone they would make the collector walk the whole heap of
    the process, torch included.

    Yields:
        whether what is made within can be told by its youth from what was there before.
    """
    if not gc.isenabled():
        yield False
        return
    gc.disable()
    try:
        gc.collect(0)  # what is there grows up; what is made now stays young
        yield True
    finally:
        gc.enable()


@contextlib.contextmanager
def eager_compilers() -> Iterator[None]:
    """Within, what ``torch.compile`` made runs as plain Python, also if it is made within.

    The compiler takes over a second to import, so it is told only once somebody loads it.
    """
    with contextlib.ExitStack() as stack:

        def tell() -> None:
            stack.enter_context(torch.compiler.set_stance("force_eager"))

        if "torch._dynamo" in sys.modules:
            tell()
        else:
            finder = _WhenLoaded("torch._dynamo", tell)
            sys.meta_path.insert(0, finder)
            stack.callback(finder.leave)
        yield


class _WhenLoaded(importlib.abc.MetaPathFinder):
    """Calls back once a module has been imported, and is gone."""

    def __init__(self, name: str, callback: Any) -> None:
        self.name, self.callback = name, callback

    def leave(self) -> None:
        """Stop waiting."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != self.name:
            return None
        self.leave()
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            return spec
        execute, callback = spec.loader.exec_module, self.callback

        def exec_module(module: Any) -> None:
            execute(module)
            callback()

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec
