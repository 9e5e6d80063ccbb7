"""The random generators during a run: which call drew, and from which state.

Reads their states around calls; never sets one. The generators of Python and NumPy are only
compared before and after the run: what they gave is frozen.
"""

from __future__ import annotations

import importlib
import random
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch

from ..calls.signatures import Signature
from ..graph.account import Begun, Change, Text
from ..graph.generators import default_generator, defaults
from ..graph.geometry import hash_of, same_bytes
from .innards import bits_of


class Draws:
    """The random generators, watched around every call that may draw from them.

    Args:
        held: the generators the model holds.
    """

    def __init__(self, held: Iterable[torch.Generator] = ()) -> None:
        # Hashes, not states: a block of 5 KB kept alive among activations fragments the heap.
        # id of a generator -> (it, the state it began the run with, the state it was left in)
        self.known: dict[int, tuple[torch.Generator, int | None, int]] = {}
        for source in (*defaults(), *held):
            now = hash_of(source.get_state())
            self.known[id(source)] = (source, now, now)
        self.drawn: set[int] = set()
        # Those drawn from in the state before the run, and those put back to where they were in it.
        self.gone_on: dict[int, torch.Tensor] = {}  # with that state
        self.restored: set[int] = set()
        self.passed: set[tuple[int, int]] = set()  # generator, and a state that draws began from

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
        state = source.get_state()
        if id(source) not in self.known:  # of an accelerator that this run is the first to use
            self.known[id(source)] = (source, hash_of(state), hash_of(state))
        return source, state

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
        begins, goes_on = id(source) not in self.drawn, first == begun
        self.drawn.add(id(source))
        if goes_on:
            self.gone_on[id(source)] = start
        if not follows and (goes_on and not begins or (id(source), begun) in self.passed):
            self.restored.add(id(source))
        self.passed |= {(id(source), begun), (id(source), self.known[id(source)][2])}
        return Draw(None if follows else start, begins and goes_on)

    def changes(self) -> list[Change]:
        """The generators of torch and of the model that were set back, or after their last draw."""
        found = []
        for number, start in self.gone_on.items():
            source, _, last = self.known[number]
            if number in self.restored or hash_of(source.get_state()) != last:
                default, device = source in defaults(), source.device
                of = "" if device.type == "cpu" else f" of {device}"
                whose = f"torch's default generator{of}" if default else "a generator of the model"
                drawn, since = Text("moved by draws"), Text("set by something else")
                found.append(Change(f"the state of {whose}", drawn, since, Begun(source, start)))
        return found

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
    if "numpy" in sys.modules:  # which loads it when it is first asked for
        numpy = importlib.import_module("numpy.random")
        states["numpy.random"] = bits_of(numpy.get_bit_generator())
    return states


def drawn_elsewhere(before: dict[str, Any]) -> list[str]:
    """What generators that are not torch's gave since they had these states, a line each."""
    return [
        f"numbers were drawn from Python's {name!r}: they, and what they decided, are frozen"
        for name, after in foreign_draws().items()
        if before.get(name, after) != after
    ]


def device_of(named: dict[str, Any], tensors: list[torch.Tensor]) -> torch.device:
    """The device a call computes on."""
    device = named.get("device")
    if device is not None and not isinstance(device, torch.Tensor):
        return torch.device(device)
    return tensors[0].device if tensors else torch.get_default_device()
