"""The generators of random numbers that a replay draws from, from call to call.

A draw that the recorded run began with is no matter of that call, which may stand on one path or in
a round: its state is set before any call runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from .nodes import Node


class Generators:
    """Where calls in a row leave the generators of random numbers.

    Attributes:
        default: device -> state of its default generator; empty before the first call.
        own: id of a generator that stands in the graph -> the one the calls draw from instead.
    """

    def __init__(self) -> None:
        self.default: dict[torch.device, torch.Tensor] = {}
        self.own: dict[int, torch.Generator] = {}

    def begin(self, nodes: Sequence[Node]) -> None:
        """Put generators where the call before left them, else where the recorded run began."""
        for node in nodes:
            start, given = node.effects.generator, node.args.get("generator")
            if start is None or not node.effects.goes_on:
                continue
            if not isinstance(given, torch.Generator):
                self.default.setdefault(_device_of(node), start)
            elif id(given) not in self.own:
                self._own(given).set_state(start)
        for device, state in self.default.items():
            _set_default(device, state)

    def end(self, devices: Sequence[torch.device]) -> None:
        """Note where this call leaves them."""
        self.default[torch.device("cpu")] = torch.get_rng_state()
        self.default.update({device: torch.cuda.get_rng_state(device) for device in devices})

    def prepare(self, node: Node, named: dict[str, Any]) -> None:
        """What a call that draws is to draw from, in the state the graph says."""
        start, given = node.effects.generator, named.get("generator")
        start = None if node.effects.goes_on else start
        if isinstance(given, torch.Generator):
            made = named["generator"] = self._own(given)
            if start is not None:
                made.set_state(start)
        elif start is not None:
            _set_default(_device_of(node), start)

    def _own(self, given: torch.Generator) -> torch.Generator:
        if id(given) not in self.own:
            self.own[id(given)] = torch.Generator(given.device)
        return self.own[id(given)]


def _device_of(node: Node) -> torch.device:
    """The device whose default generator a call draws from."""
    device = node.outputs[0].type.device if node.outputs else torch.device("cpu")
    return device if device.type == "cuda" else torch.device("cpu")


def _set_default(device: torch.device, state: torch.Tensor) -> None:
    if device.type == "cuda":
        torch.cuda.set_rng_state(state, device)
    else:
        torch.set_rng_state(state)
