"""Calls of a graph in a row: what one leaves behind, the next begins with.

Owns what is carried: the tensors of ``graph.state`` and where the generators of random numbers
stand. How one call is run is :mod:`.replay`'s matter.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Any

import torch

from ..errors import Diverged
from . import tree
from .generators import Generators
from .geometry import shape_of
from .graph import HELD, Graph
from .left import put_back
from .nodes import Value
from .replay import Environment, replay


class RunMemory:
    """What calls in a row leave behind, of one graph or of the entry points of a Program.

    Attributes:
        calls: how many calls there were.
        tensors: path -> the tensor that stands there now.
        generators: where the generators of random numbers stand.
        other: the graph of the last call, if it left behind what no graph can carry.
        held: attribute of a module -> what stands there now, of a graph of calls in a row.
    """

    def __init__(self) -> None:
        self.calls = 0
        self.tensors: dict[str, torch.Tensor] = {}
        self.generators = Generators()
        self.other: Graph | None = None
        self.held: dict[str, Any] | None = None


class Run:
    """A graph with a memory, as ``graph.start()`` makes it.

    Attributes:
        graph: the graph.
        memory: what its calls leave behind.

    Example:
        >>> import torch, flexir
        >>> net = torch.nn.BatchNorm1d(3)
        >>> run = flexir.capture(net, (torch.rand(4, 3),)).start()
        >>> for _ in range(2):
        ...     _ = run(torch.rand(4, 3))
        >>> run.state["num_batches_tracked"]
        tensor(2)
    """

    def __init__(
        self, graph: Graph, memory: RunMemory | None = None, kept: Collection[str] = ()
    ) -> None:
        """A run of one graph.

        Args:
            graph: the graph.
            memory: one that other runs share.
            kept: paths of state that others of these runs write.
        """
        self.graph = graph
        self.memory = RunMemory() if memory is None else memory
        self._places: dict[Value, str] = {s.initial: s.path for s in graph.state}
        kept = {*kept, *(s.path for one in (graph, *graph.variants) for s in one.state)}
        for value in graph.constants:
            path = next((name for name in (value.name, *value.names) if name in kept), None)
            if path is not None:
                self._places.setdefault(value, path)
        self._others = [Run(one, self.memory, kept) for one in graph.variants]

    @property
    def calls(self) -> int:
        """How many calls there were."""
        return self.memory.calls

    @property
    def state(self) -> dict[str, torch.Tensor]:
        """Path -> what the model would hold there now."""
        held, constants = self.memory.tensors, self.graph.constants
        return {
            s.path: held[s.path] if s.path in held else constants[s.initial]
            for s in self.graph.state
        }

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The next call.

        Raises:
            Diverged: as a replay does; and at the second call, where the first left behind what the
                graph cannot carry (``graph.audit.changes``), or a state of another size.
        """
        return self._first(args, kwargs, False)

    def _first(self, args: tuple[Any, ...], kwargs: dict[str, Any], answers: bool) -> Any:
        """The next call, on the first path that takes it."""
        if self.graph.carried is not None:
            kwargs = {**kwargs, HELD: self.memory.held or self.graph.carried}
        first: Diverged | None = None
        for run in (self, *self._others):  # each path has Values of its own
            drawn = {g: g.get_state() for g in self.memory.generators.own.values()}
            try:
                return run._call(args, kwargs, answers)
            except Diverged as error:
                first = first or error
                for generator, state in drawn.items():
                    generator.set_state(state)
        assert first is not None
        raise first

    def answer(self, *args: Any, **kwargs: Any) -> Any:
        """The next call as the model would make it: what it changes in its inputs is changed."""
        return self._first(args, kwargs, True)

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any], answers: bool) -> Any:
        """The next call, on the path of this graph alone."""
        memory = self.memory
        graph = dataclasses.replace(self.graph, variants=[])
        held = kwargs.get(HELD)
        env = Environment(graph.constants)
        if memory.calls:
            _refuse_after(memory.other)
        for value, path in self._places.items():
            if path in memory.tensors:
                env[value] = memory.tensors[path]
                if memory.calls:
                    _check_size(path, value, memory)
        outline = self.graph.outline if memory.calls else None
        result = replay(graph, args, kwargs, env=env, generators=memory.generators, outline=outline)
        memory.tensors.update((state.path, env[state.final]) for state in graph.state)
        memory.other = self.graph if graph.audit.changes else memory.other
        memory.calls += 1
        if HELD in graph.left and isinstance(held, dict):
            memory.held = tree.build(graph.left[HELD], Value, env.__getitem__)
        return put_back(graph, args, kwargs, env) if answers else result


def _refuse_after(other: Graph | None) -> None:
    """Raise where an earlier call left behind what no graph can carry."""
    if other is not None:
        lines = [f"  {change}" for change in other.audit.changes]
        raise Diverged(
            "the graph is of one call, and a next one would be another: that call changed\n"
            + "\n".join(lines)
            + "\nIf it settles after a first call, run the model once before capturing it."
        )


def _check_size(path: str, value: Value, memory: RunMemory) -> None:
    tensor, type = memory.tensors[path], value.type
    if not type.takes(shape_of(tensor), tensor.dtype):
        raise Diverged(
            f"the state {path!r} is {shape_of(tensor)} {tensor.dtype} after "
            f"{memory.calls} calls; the graph takes {type.shape} {type.dtype}"
        )
