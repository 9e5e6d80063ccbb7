"""State as inputs and outputs, for engines that keep nothing between calls.

Owns the rewriting of ``graph.state`` into one input and a part of the outputs. Changes no call.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import overload

from ..graph.account import State
from ..graph.check import finalize, free_name
from ..graph.graph import Graph
from ..graph.inputs import with_keyword
from ..graph.nodes import Value
from ..graph.program import Program


@overload
def explicit_state(graph: Graph) -> Graph: ...
@overload
def explicit_state(graph: Program) -> Program: ...
def explicit_state(graph: Graph | Program) -> Graph | Program:
    """Let what one call leaves for the next go in as an input and come out as an output.

    1. The new graph takes a further argument ``state``, a dictionary: path -> tensor. Its Values
       are named by these paths (``encoder.h``).
    2. It returns ``(outputs, state)``: what it returned before, and the same dictionary after the
       call. ``graph.state`` is empty, and what was written in its places is no mutation any more.
    3. A call begins with the tensors that the model held: ``{s.path: old.constants[s.initial]
       for s in old.state}``.
    4. Entry points of a Program take what others of them write, and return what they write.

    Example:
        >>> import torch, flexir
        >>> net = torch.nn.BatchNorm1d(3)
        >>> old = flexir.capture(net, (torch.rand(4, 3),))
        >>> graph = flexir.passes.explicit_state(old)
        >>> held = {s.path: old.constants[s.initial] for s in old.state}
        >>> for _ in range(2):
        ...     output, held = graph(torch.rand(4, 3), state=held)
        >>> held["num_batches_tracked"]
        tensor(2)
    """
    if isinstance(graph, Program):
        kept = graph.state
        graphs = {name: _explicit(one, kept) for name, one in graph.items()}
        return Program(graph.name, graphs, graph.modules)
    return _explicit(graph, {})


def _explicit(graph: Graph, others: Mapping[str, State]) -> Graph:
    """One graph; ``others`` has paths that other entry points write."""
    given: dict[str, Value] = {state.path: state.initial for state in graph.state}
    known = set(given.values())
    for value in graph.constants:
        path = next((name for name in (value.name, *value.names) if name in others), None)
        if path is not None and value not in known:
            given.setdefault(path, value)
    if not given:
        return graph
    word = free_name("state", set(graph.inputs))
    known = set(given.values())
    constants = {v: t for v, t in graph.constants.items() if v not in known}
    made = dataclasses.replace(
        graph,
        parameters=with_keyword(graph.parameters, word),
        inputs={**graph.inputs, word: given},
        outputs=(graph.outputs, {state.path: state.final for state in graph.state}),
        constants=constants,
        origins={v: origin for v, origin in graph.origins.items() if v in constants},
        mutations=[m for m in graph.mutations if m.initial not in known],
        state=[],
        layouts={**graph.layouts, **{v: graph.constants[v].stride() for v in known}},
        history=[*graph.history, f"explicit_state: {', '.join(given)}"],
        variants=[_explicit(one, others) for one in graph.variants],
        status={},
        unknown={},
    )
    return finalize(made)
