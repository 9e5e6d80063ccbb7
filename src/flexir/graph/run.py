"""Calls of a graph in a row: what one leaves behind, the next begins with.

Owns what is carried: the tensors of ``graph.state`` and where the generators of random numbers
stand. How one call is run is ``interpreter``'s matter.
"""

from __future__ import annotations

from typing import Any

import torch

from ..errors import Diverged
from .geometry import shape_of
from .graph import Graph
from .nodes import Value
from .replay import Environment, Generators, replay


class Run:
    """A graph with a memory, as ``graph.start()`` makes it.

    Attributes:
        graph: the graph.
        calls: how many calls there were.

    Example:
        >>> import torch, flexir
        >>> net = torch.nn.BatchNorm1d(3)
        >>> run = flexir.capture(net, (torch.rand(4, 3),)).start()
        >>> for _ in range(2):
        ...     _ = run(torch.rand(4, 3))
        >>> run.state["num_batches_tracked"]
        tensor(2)
    """

    def __init__(self, graph: Graph) -> None:
        self.graph, self.calls = graph, 0
        self._held: dict[Value, torch.Tensor] = {}
        self._generators = Generators()

    @property
    def state(self) -> dict[str, torch.Tensor]:
        """Path -> what the model would hold there now."""
        constants = self.graph.constants
        return {
            s.path: self._held[s.initial] if s.initial in self._held else constants[s.initial]
            for s in self.graph.state
        }

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The next call.

        Raises:
            Diverged: as a replay does; and at the second call, where the first left behind what the
                graph cannot carry (``graph.audit.changes``), or a state of another size.
        """
        graph = self.graph
        if self.calls:
            self._refuse_other_calls()
        env = Environment(graph.constants)
        env.update(self._held)
        result = replay(graph, args, kwargs, env=env, isolate=False, generators=self._generators)
        self._held = {state.initial: env[state.final] for state in graph.state}
        self.calls += 1
        return result

    def _refuse_other_calls(self) -> None:
        if self.graph.audit.changes:
            lines = [f"  {change}" for change in self.graph.audit.changes]
            raise Diverged(
                "the graph is of one call, and a next one would be another: that call changed\n"
                + "\n".join(lines)
                + "\nIf it settles after a first call, run the model once before capturing it."
            )
        for state in self.graph.state:
            tensor, type = self._held[state.initial], state.initial.type
            if (shape_of(tensor), tensor.dtype) != (type.shape, type.dtype):
                raise Diverged(
                    f"the state {state.path!r} is {shape_of(tensor)} {tensor.dtype} after "
                    f"{self.calls} calls; the graph takes {type.shape} {type.dtype}"
                )
