"""Sizes that grow with a position, the slots they become, and runs of both side by side.

A size that is ``position + offset`` becomes a capacity: what the tensor holds stands in the first
``position + offset`` slots of that dimension; in the others stands anything finite. Owns how such
sizes are told from measured ones, and whether a tensor with slots holds what one without does.
Knows no op.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch

from ..errors import Error
from ..graph.graph import Graph
from ..graph.inputs import dense_stride
from ..graph.nodes import Value
from ..graph.query import last_readers
from ..graph.replay import Environment, Replay, interpret

_GARBAGE = 8.0  # how large what stands in empty slots is
_ROOM = 512  # roundings by which results may differ, in units of the dtype's own


class Filled(NamedTuple):
    """A size that is ``position + offset``."""

    offset: int


Shape = tuple[Any, ...]  # each an int, or Filled


class Slots(NamedTuple):
    """What the sizes of one graph depend on.

    Attributes:
        length: slots of a cache.
        step: how many of them one call fills.
    """

    length: int
    step: int

    @property
    def positions(self) -> range:
        """Every number of slots that may be filled before a call."""
        return range(1, self.length - self.step + 1)

    def capacity(self, size: Any) -> int:
        """How many slots a dimension has."""
        if not isinstance(size, Filled):
            return int(size)
        return self.length + max(0, size.offset - self.step)

    def static(self, shape: Shape) -> tuple[int, ...]:
        """A shape with capacities for sizes."""
        return tuple(map(self.capacity, shape))


def at(size: Any, position: int) -> int:
    """A size at a position."""
    return position + size.offset if isinstance(size, Filled) else int(size)


def fitted(numbers: Sequence[int], positions: Sequence[int]) -> int | Filled | None:
    """What numbers measured at some positions are: one number, or Filled; None if neither."""
    if len(set(numbers)) == 1:
        return numbers[0]
    offsets = {number - position for number, position in zip(numbers, positions)}
    return Filled(offsets.pop()) if len(offsets) == 1 else None


def is_filled(shape: Shape) -> bool:
    """Whether a tensor of this shape has slots that may be empty."""
    return any(isinstance(size, Filled) for size in shape)


class World:
    """A run of the recorded graph, and one of the graph with slots, on inputs of one position.

    Attributes:
        position: slots that are filled before the call.
        words: what whole numbers among the inputs are: 0 or 1 at random, or one number.
        loud: how large the other inputs are: to a softmax of large ones a zero is as good as
            nothing, to one of small ones it is one of them.
        recorded: Value -> what it is where tensors grow.
        fixed: new Value -> what it is where they have slots.
    """

    def __init__(
        self,
        graph: Graph,
        position: int,
        words: int | None,
        loud: float,
        seed: int,
        more: Mapping[Value, torch.Tensor],
    ) -> None:
        self.position, self.words, self.loud = position, words, loud
        self._seed, self._graph = seed, graph
        self._constants = ChainMap(more, graph.constants)  # type: ignore[arg-type]
        self.recorded, self.fixed = Environment(self._constants), Environment(self._constants)

    def begin(
        self, shapes: Mapping[Value, Shape], slots: Slots, twins: Mapping[Value, Value]
    ) -> None:
        """Make up inputs of the recorded graph, on which it runs, and their twins with slots.

        Args:
            shapes: input of the recorded graph -> its sizes; those of a number are its only size.
            slots: what sizes depend on.
            twins: input -> that of the graph with slots; numbers have none.

        Raises:
            Error: the graph does not run with so many slots filled.
        """
        failed: Exception | None = None
        for words in dict.fromkeys((self.words, None, 0)):
            self.recorded = Environment(self._constants)
            self.fixed = Environment(self._constants)
            for value, shape in shapes.items():
                if value.is_number:
                    self.recorded[value] = at(shape[0], self.position)  # type: ignore[assignment]
                else:
                    self._feed(value, shape, slots, twins[value], words)
            meaning = Replay(self._graph, False, None, last_readers(self._graph))
            scratch = Environment(self._constants)
            scratch.update(self.recorded)
            try:
                interpret(self._graph.nodes, scratch, meaning)
                return
            except Exception as error:  # noqa: BLE001  other words may do: an index of a small table
                failed = error
            finally:
                meaning.restore()
        raise Error(
            f"graph {self._graph.name} does not run with {self.position} slots filled: {failed}"
        ) from failed

    def _feed(
        self, value: Value, shape: Shape, slots: Slots, twin: Value, words: int | None
    ) -> None:
        generator = torch.Generator().manual_seed(self._seed + len(self.recorded))
        sizes = [at(n, self.position) for n in shape]
        made = _drawn(value.type.dtype, sizes, words, self.loud, generator)
        stride = self._graph.layouts.get(value)
        if stride is not None:
            laid = torch.empty_strided(
                made.shape, dense_stride(tuple(made.shape), stride), dtype=made.dtype
            )
            made = laid.copy_(made)
        self.recorded[value] = made.to(value.type.device)
        wide = _drawn(value.type.dtype, slots.static(shape), words, _GARBAGE, generator)
        wide = wide.to(value.type.device)
        self.fixed[twin] = self.filled(wide, self.recorded[value], shape)

    def filled(self, wide: torch.Tensor, made: torch.Tensor, shape: Shape) -> torch.Tensor:
        """A tensor with slots that holds what one without does."""
        if not is_filled(shape):
            return made
        result = wide.clone()
        result[self._part(shape)] = made
        return result

    def _part(self, shape: Shape) -> tuple[slice, ...]:
        return tuple(
            slice(at(n, self.position)) if isinstance(n, Filled) else slice(None) for n in shape
        )

    def agree(self, wide: torch.Tensor, made: torch.Tensor, shape: Shape, slots: Slots) -> bool:
        """Whether a tensor with slots holds what one without does."""
        if tuple(wide.shape) != slots.static(shape) or wide.dtype != made.dtype:
            return False
        part = wide[self._part(shape)] if is_filled(shape) else wide
        if part.shape != made.shape:
            return False
        if not made.dtype.is_floating_point:
            return bool(torch.equal(part, made))
        finite = made[made.isfinite()]
        scale = float(finite.abs().max()) if finite.numel() else 0.0
        off = _ROOM * torch.finfo(made.dtype).eps
        return bool(torch.allclose(part, made, rtol=off, atol=off * scale, equal_nan=True))


def _drawn(
    dtype: torch.dtype,
    shape: Sequence[int],
    words: int | None,
    loud: float,
    generator: torch.Generator,
) -> torch.Tensor:
    """Made up elements; whole numbers are ``words``, or 0 and 1 at random."""
    shape = tuple(shape)
    if dtype.is_floating_point or dtype.is_complex:
        return (loud * torch.randn(shape, generator=generator)).to(dtype)
    if words is None or dtype is torch.bool:
        return torch.randint(0, 2, shape, generator=generator).to(dtype)
    return torch.full(shape, words).to(dtype)


def worlds_of(graph: Graph, slots: Slots, more: Mapping[Value, torch.Tensor]) -> list[World]:
    """Positions at both ends and between, with several kinds of words and small and large inputs.

    Args:
        graph: the recorded one.
        slots: what its sizes depend on.
        more: constants of the new one alone; they may become more.
    """
    first, last = slots.positions[0], slots.positions[-1]
    middle = (first + last) // 2
    chosen = (
        (middle, None, 1.0), (last, None, 0.01), (first, None, 1.0), (middle, middle, _GARBAGE),
        (first, slots.length - 1, 0.01), ((first + middle + 1) // 2, None, _GARBAGE),
    )  # fmt: skip
    return [World(graph, *one, 100 * k, more) for k, one in enumerate(chosen, 1)]
