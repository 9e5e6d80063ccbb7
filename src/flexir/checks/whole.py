"""Where a whole run of an engine leaves torch's: its values beside torch's, in order of execution.

Owns the comparison behind :func:`flexir.compare` for values in memory; runs no engine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ..errors import Error
from ..graph import tree
from ..graph.graph import Graph
from ..graph.nodes import Node, Value
from ..graph.replay import Environment, replay
from .comparison import Comparison, Row, near, row_of, row_tensor
from .diagnose import causes, magnitude


def compare_values(
    graph: Graph,
    values: Mapping[str, Any],
    args: Sequence[Any] | None = None,
    *,
    rtol: float = 1e-3,
    kwargs: dict[str, Any] | None = None,
) -> Comparison:
    """As :func:`flexir.compare`, for a graph and values by name."""
    if args is None:
        kwargs = {n: tree.build(p, Value, lambda v: row_tensor(values[v.name]))
                  for n, p in graph.inputs.items()}  # fmt: skip
    rows: list[Row] = []
    env = Environment(graph.constants)

    def compare_call(node: Node, tensors: tuple[torch.Tensor, ...]) -> None:
        pairs = [(t, values[v.name]) for v, t in zip(node.outputs, tensors) if v.name in values]
        if pairs:
            wanted, made = [t for t, _ in pairs], [row_tensor(made) for _, made in pairs]
            row = row_of(node, wanted, made, [rtol * magnitude(t) for t in wanted])
            if not row.ok and all(earlier.ok for earlier in rows):
                all_made = [row_tensor(values[v.name]) if v.name in values else None
                            for v in node.outputs]  # fmt: skip
                row.causes = list(causes(node, env, tensors, all_made, near(row, rtol)))
            rows.append(row)

    replay(graph, args or (), kwargs, watch=compare_call, env=env)
    if not rows:
        raise Error("none of these names is a value of the graph; names are those it prints: %12")
    return Comparison(rows)
