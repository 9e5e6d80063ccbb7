"""Whether a rewrite of a call is right for numbers of either sign, and not by chance.

A zero in an empty slot is the largest of negative numbers and the smallest of positive ones: among
few numbers made up at random, each may have both signs along a dimension, so that it goes unseen.
So a call that reads slots is made once more of numbers that all have one sign.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch

from ..graph.nodes import Node, Value
from ..graph.replay import Environment, Replay
from .constants import run_defined
from .rewrite import Rewrite
from .slots import World, is_filled

_FEW = 3  # worlds that are asked: positions at both ends and between


class Overlay(Environment):
    """What a rewrite makes, over what is known."""

    def __init__(self, below: Environment, constants: Mapping[Value, torch.Tensor]) -> None:
        super().__init__(constants)
        self.below = below

    def __missing__(self, value: Value) -> torch.Tensor:
        return self.constants[value] if value in self.constants else self.below[value]


def holds(
    rewrite: Rewrite, grows: Sequence[Value], worlds: Sequence[World], meaning: Replay
) -> bool:
    """Whether a rewrite gives what the call gives, where all that grows is of one sign.

    Args:
        rewrite: right for the numbers in the worlds.
        grows: what the call reads that has slots.
        worlds: where it was tried.
        meaning: runs a call.
    """
    node = rewrite.node
    if not grows or node.effects.writes or node.effects.random:
        return True
    made = [value for value in node.outputs if not value.is_number]
    for world in worlds[:_FEW]:
        for narrow, wide in _of_one_sign(rewrite, grows, world):
            try:
                run_defined(meaning, node, narrow)
            except Exception:  # noqa: BLE001  it takes no such numbers: negative places, say
                continue
            try:
                for one in _calls(rewrite, wide):
                    run_defined(meaning, one, wide)
            except Exception:  # noqa: BLE001  a rewrite that fails is none
                return False
            shape, slots = rewrite.draft.shape, rewrite.draft.slots
            if not all(
                world.agree(wide[rewrite.made[v]], narrow[v], shape(v), slots) for v in made
            ):
                return False
    return True


def _of_one_sign(
    rewrite: Rewrite, grows: Sequence[Value], world: World
) -> Iterator[tuple[Environment, Environment]]:
    """What the call and what the rewrite reads: all positive (or True), then all negative."""
    for sign in (1, -1):
        narrow, wide = Overlay(world.recorded, {}), Overlay(world.fixed, rewrite.constants)
        for value in grows:
            twin = rewrite.look(value)
            narrow[value] = _signed(world.recorded[value], sign)
            garbage = world.fixed[twin]
            if is_filled(rewrite.draft.shape(value)):
                wide[twin] = world.filled(garbage, narrow[value], rewrite.draft.shape(value))
        yield narrow, wide


def _signed(tensor: torch.Tensor, sign: int) -> torch.Tensor:
    if tensor.dtype is torch.bool:
        return torch.full_like(tensor, sign > 0)
    if tensor.is_complex():
        return tensor * sign
    if not tensor.is_floating_point():
        return tensor.abs() * sign if tensor.dtype.is_signed else tensor
    plain = tensor.abs() < torch.finfo(tensor.dtype).max / 2  # what masks with an extreme stays
    return torch.where(plain, tensor.abs() * sign, tensor)


def _calls(rewrite: Rewrite, wide: Environment) -> Iterator[Node]:
    """The calls of a rewrite, after those that set slots for other calls and that it reads."""
    for key, value in rewrite.draft.known.items():
        if isinstance(key, tuple) and "only" in key[1:2] and key[0] in wide:
            if value.producer is not None:
                yield value.producer
    yield from rewrite.nodes


__all__ = ["Overlay", "holds"]
