"""The generators of random numbers that a replay draws from, from call to call.

A draw that the recorded run began with is no matter of that call, which may stand on one path or in
a round: its state is set before any call runs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from .nodes import Node

States = Sequence[tuple[torch.Generator, torch.Tensor]]  # generators, and where they are


def default_generator(device: torch.device) -> torch.Generator:
    """The default generator of a device; the CPU's where it has none of its own.

    An accelerator that was not used yet is made ready, as the first call on it would.
    """
    own: Any = getattr(torch, device.type, None)
    if not hasattr(own, "default_generators"):
        return torch.default_generator
    found: Sequence[torch.Generator] = own.default_generators
    if not found and own.is_available():
        own.init()
        found = own.default_generators
    index = device.index
    if index is None:
        index = own.current_device() if found else 0
    return found[index] if index < len(found) else torch.default_generator


def default_of(node: Node) -> torch.Generator:
    """The default generator that a call draws from."""
    return default_generator(node.outputs[0].type.device if node.outputs else torch.device("cpu"))


def defaults() -> list[torch.Generator]:
    """The default generators of the CPU and of all accelerators that are in use."""
    own = torch._C._get_privateuse1_backend_name()
    modules = [getattr(torch, name, None) for name in ("cuda", "xpu", own)]
    return [
        torch.default_generator,
        *(one for each in modules for one in getattr(each, "default_generators", ())),
    ]


def states() -> States:
    """Where the default generators are."""
    return [(one, one.get_state()) for one in defaults()]


@contextlib.contextmanager
def drawing_aside() -> Iterator[None]:
    """What is drawn inside leaves the default generators where they are."""
    before = states()
    try:
        yield
    finally:
        for generator, state in before:
            generator.set_state(state)


class Generators:
    """Where calls in a row leave the generators of random numbers.

    Attributes:
        default: default generator of a device -> its state; empty before the first call.
        own: id of a generator that stands in the graph -> the one the calls draw from instead.
    """

    def __init__(self) -> None:
        self.default: dict[torch.Generator, torch.Tensor] = {}
        self.own: dict[int, torch.Generator] = {}

    def begin(self, nodes: Sequence[Node]) -> None:
        """Put generators where the call before left them, else where the recorded run began."""
        for node in nodes:
            start, given = node.effects.generator, node.args.get("generator")
            if start is None or not node.effects.goes_on:
                continue
            if not isinstance(given, torch.Generator):
                self.default.setdefault(default_of(node), start)
            elif id(given) not in self.own:
                self._own(given).set_state(start)
        for generator, state in self.default.items():
            generator.set_state(state)

    def end(self) -> None:
        """Note where this call leaves them."""
        self.default.update(states())

    def prepare(self, node: Node, named: dict[str, Any]) -> None:
        """What a call that draws is to draw from, in the state the graph says."""
        start, given = node.effects.generator, named.get("generator")
        start = None if node.effects.goes_on else start
        if isinstance(given, torch.Generator):
            made = named["generator"] = self._own(given)
            if start is not None:
                made.set_state(start)
        elif start is not None:
            default_of(node).set_state(start)

    def _own(self, given: torch.Generator) -> torch.Generator:
        if id(given) not in self.own:
            self.own[id(given)] = torch.Generator(given.device)
        return self.own[id(given)]
