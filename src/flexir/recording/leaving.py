"""What runs leave behind, as what one graph does: memory they wrote, tensors that the model keeps.

A run that does not write a place leaves there what it found.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch

from ..graph.account import Mutation, State
from ..graph.check import finalize
from ..graph.graph import Graph
from ..graph.nodes import Value
from .alike import Misfit
from .deciding import Deciding
from .runs import Recorded


class Leaving(Deciding):
    """Runs being laid over each other, with what they leave behind."""

    def left_behind(
        self, runs: Sequence[Recorded]
    ) -> tuple[dict[Any, Value], dict[int, list[Value]]]:
        """What any of the runs leaves behind.

        Args:
            runs: all of them, without rounds of loops.

        Returns:
            kind and name of each place -> what stands there first, in the one graph; and run ->
            what it leaves in each of them.
        """
        initial: dict[Any, Value] = {}
        finals: list[dict[Any, Value]] = []
        for r, run in enumerate(runs):
            places = {(one.__class__, one[0]): one for one in run.graph.kept}
            finals.append({key: one.final for key, one in places.items()})
            for key, one in places.items():
                known = self.env[r].get(one.initial)
                if known is None or initial.setdefault(key, known) is not known:
                    raise Misfit(f"other tensors stand at {one[0]!r} in other runs")
        parts = {
            r: [known.get(key) or self._found(r, one) for key, one in initial.items()]
            for r, known in enumerate(finals)
        }
        return initial, parts

    def _found(self, r: int, initial: Value) -> Value:
        """What a run has for a tensor that stands there first, met or not."""
        for own, one in self.env[r].items():
            if one is initial:
                return own
        own = Value("", initial.type)
        self.env[r][own] = initial
        return own


def written(
    initial: Mapping[Any, Value], finals: Sequence[Value]
) -> tuple[list[Mutation], list[State]]:
    """What a graph writes and what it keeps, from what stands there first and in the end."""
    mutations: list[Mutation] = []
    state: list[State] = []
    for (kind, name), first, final in zip(initial, initial.values(), finals):
        if kind is Mutation:
            mutations.append(Mutation(name, first, final))
        else:
            state.append(State(name, first, final))
    return mutations, state


def begin_alike(graphs: Collection[Graph]) -> None:
    """Let the graphs of runs that began in one state all hold that state.

    A graph that only reads a place refers to the tensor that stands there, which another one's run
    has written.
    """
    first = {one[0]: graph.constants[one.initial] for graph in graphs for one in graph.kept
             if one.initial in graph.constants}  # fmt: skip
    for graph in graphs:
        hold(graph, first)


def hold(graph: Graph, initial: Mapping[str, torch.Tensor]) -> None:
    """Let a graph hold other tensors in places that it only reads.

    Args:
        graph: changed in place.
        initial: path -> the tensor.
    """
    written = {one.initial for one in graph.kept}
    for value in graph.constants:
        if value not in written and value.name in initial:
            graph.constants[value] = initial[value.name]


def forget_unread(graphs: Collection[Graph]) -> None:
    """Forget tensors that entry points of a model leave behind and none of them reads."""
    read: set[str] = set()
    for graph in graphs:
        used = {value for node in graph for value in node.inputs}
        used.update(graph.output_values, (m.initial for m in graph.mutations))
        read.update(name for value in used for name in (value.name, *value.names))
        # what goes on into another place is used by what uses that
        read.update(s.final.name for s in graph.state if s.final in graph.constants)
    for graph in graphs:
        graph.state = [state for state in graph.state if state.path in read]
        finalize(graph)
