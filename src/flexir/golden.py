"""Which layer is wrong: an engine's values beside torch's, call by call.

``check_handlers`` converts and runs every call alone, on inputs recorded from the model, so an
error names only its culprit. ``compare`` takes the values of one whole run of an engine and finds
the first call at which they leave torch's. Both look for an explanation: other arguments or layouts
under which torch itself would give what the engine gave. Golden values can be written to a folder
for engines that live elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from . import structure
from .causes import causes, distance
from .convert import Result, convert
from .errors import Error
from .graph import Graph
from .interpreter import Environment, replay
from .nodes import Node, Value
from .rewrite import copy_node, form
from .target import Target


@dataclass(slots=True)
class Row:
    """One call compared.

    Attributes:
        node: the call.
        max_abs: largest absolute difference; infinite for a wrong shape or NaN.
        max_rel: the same over the largest magnitude torch gave.
        ok: within tolerance.
        note: why there is nothing to compare, or what the engine raised.
        causes: what would explain the difference, likeliest first.
    """

    node: Node
    max_abs: float = 0.0
    max_rel: float = 0.0
    ok: bool = True
    note: str = ""
    causes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        head = f"{'ok ' if self.ok else 'BAD'} {self.max_rel:9.2e}  {self.node.op}"
        lines = [f"{head}   # {self.node.where}" + (f"   {self.note}" if self.note else "")]
        lines += [f"      as if {cause}" for cause in self.causes]
        return "\n".join(lines)


@dataclass(slots=True)
class Comparison:
    """All calls compared, in order of execution."""

    rows: list[Row]

    @property
    def bad(self) -> list[Row]:
        """What is out of tolerance."""
        return [row for row in self.rows if not row.ok]

    @property
    def first(self) -> Row | None:
        """The first call that is out of tolerance: where to look."""
        return self.bad[0] if self.bad else None

    def __bool__(self) -> bool:
        return not self.bad

    def __str__(self) -> str:
        lines = [str(row) for row in self.bad]
        if self.first is None:
            return f"{len(self.rows)} calls compared, all within tolerance"
        lines.append(f"{len(self.bad)} of {len(self.rows)} calls differ; the first is "
                     f"{self.first.node.op} at {self.first.node.where}")  # fmt: skip
        return "\n".join(lines)


def check_handlers(
    target: Target,
    graph: Graph,
    args: Sequence[Any],
    *,
    run: Callable[[Result, list[torch.Tensor]], Any],
    out: Callable[[], Any] | None = None,
    rtol: float = 1e-4,
    kwargs: dict[str, Any] | None = None,
) -> Comparison:
    """Convert every handled call alone and compare what your engine makes of it with torch.

    Args:
        target: your handlers.
        graph: the model's graph.
        args: inputs; each call is given what it is given in a run on these.
        run: ``run(result, tensors)`` runs what a conversion made on the values of its inputs and
            returns the outputs, in order: tensors, NumPy arrays or a lone one.
        out: makes a builder for every conversion, if your handlers need one.
        rtol: difference allowed, over the largest magnitude of torch's result.
        kwargs: keyword inputs.

    Returns:
        a :class:`Comparison`; calls that were given equal arguments and types are checked once.
    """
    rows: list[Row] = []
    seen: set[Any] = set()

    def check(node: Node, tensors: tuple[torch.Tensor, ...]) -> None:
        handled = node.body is None and node.outputs and target.handler(node) is not None
        if not handled or node.effects.random or (key := form(node)) in seen:
            return
        seen.add(key)
        inputs = {v: env[v] for v in dict.fromkeys(node.inputs) if v not in graph.constants}
        rows.append(_alone(graph, node, inputs, tensors, target, run, out, rtol))

    env = Environment(graph.constants)
    replay(graph, args, kwargs, watch=check, env=env)
    return Comparison(rows)


def compare(
    expected: Graph | str | os.PathLike[str],
    values: Mapping[str, Any] | str | os.PathLike[str],
    args: Sequence[Any] | None = None,
    *,
    rtol: float = 1e-3,
    kwargs: dict[str, Any] | None = None,
) -> Any:
    """Compare the values of one whole run of an engine with torch's, in order of execution.

    Args:
        expected: the model's graph, or a folder that ``graph.golden`` wrote.
        values: Value name -> what the engine computed (tensors or arrays; those missing are
            skipped), or a folder like the first.
        args: the inputs the engine was given; without, ``values`` holds them by name.
        rtol: difference allowed, over the largest magnitude of torch's value.
        kwargs: keyword inputs.

    Returns:
        a :class:`Comparison`; for two folders, a line per value that differs, the first first.

    Raises:
        Error: ``values`` names nothing the graph computes.
    """
    if not isinstance(expected, Graph):
        from .ir import values as folders

        return folders.compare(expected, values, rtol)  # type: ignore[arg-type]
    assert isinstance(values, Mapping), "a graph is compared with values by name"
    graph = expected
    if args is None:
        kwargs = {n: structure.build(p, Value, lambda v: row_tensor(values[v.name]))
                  for n, p in graph.inputs.items()}  # fmt: skip
    rows: list[Row] = []
    env = Environment(graph.constants)

    def check(node: Node, tensors: tuple[torch.Tensor, ...]) -> None:
        pairs = [(t, values[v.name]) for v, t in zip(node.outputs, tensors) if v.name in values]
        if pairs:
            row = _row(node, [t for t, _ in pairs], [made for _, made in pairs], rtol)
            if not row.ok and all(earlier.ok for earlier in rows):
                row.causes = list(causes(node, env, tensors, row_tensor(pairs[0][1]), rtol))
            rows.append(row)

    replay(graph, args or (), kwargs, watch=check, env=env)
    if not rows:
        raise Error("none of these names is a value of the graph; names are those it prints: %12")
    return Comparison(rows)


# --- one call alone -----------------------------------------------------------------------------


def alone(graph: Graph, node: Node) -> Graph:
    """A graph of one call, whose inputs are the call's own."""
    small = Graph(f"{node.op}")
    env: dict[Value, Value] = {}
    for value in dict.fromkeys(node.inputs):
        if value in graph.constants:
            env[value] = value
            small.constants[value] = graph.constants[value]
        else:
            env[value] = Value(f"x{len(small.inputs)}", value.type)
            small.inputs[env[value].name] = env[value]
    small.parameters = [(name, 1) for name in small.inputs]
    copy = copy_node(node, lambda v: env.get(v, v))
    small.nodes = [copy]
    small.outputs = list(copy.outputs)
    return small.check()


def _alone(
    graph: Graph,
    node: Node,
    inputs: dict[Value, torch.Tensor],
    expected: Sequence[torch.Tensor],
    target: Target,
    run: Callable[[Result, list[torch.Tensor]], Any],
    out: Callable[[], Any] | None,
    rtol: float,
) -> Row:
    small = alone(graph, node)
    result = convert(small, target=target, out=None if out is None else out(), decompose=False)
    if result.report.placeholders:
        return Row(node, note=f"not handled: {result.report.entries[0].reason}")
    try:
        made = run(result, list(inputs.values()))
    except Exception as error:  # noqa: BLE001  the engine's failure is the finding
        return Row(node, float("inf"), float("inf"), False, f"{type(error).__name__}: {error}")
    parts = list(made) if isinstance(made, (tuple, list)) else [made]
    row = _row(node, list(expected), parts, rtol)
    if not row.ok:
        env: Any = dict(inputs)
        env.update({v: graph.constants[v] for v in node.inputs if v in graph.constants})
        row.causes = list(causes(node, env, expected, row_tensor(parts[0]), rtol))
    return row


def row_tensor(made: Any) -> torch.Tensor:
    """What an engine gave, as a tensor."""
    return made if isinstance(made, torch.Tensor) else torch.as_tensor(made)


def _row(node: Node, expected: Sequence[torch.Tensor], made: Sequence[Any], rtol: float) -> Row:
    row = Row(node)
    if len(made) != len(expected):
        return Row(node, float("inf"), float("inf"), False, f"{len(made)} outputs came back")
    for want, got in zip(expected, map(row_tensor, made)):
        if want.shape != got.shape:
            shapes = f"shape {tuple(got.shape)}, expected {tuple(want.shape)}"
            return Row(node, float("inf"), float("inf"), False, shapes)
        off, scale = distance(want, got)
        row.max_abs = max(row.max_abs, off)
        row.max_rel = max(row.max_rel, off / scale)
    row.ok = row.max_rel <= rtol
    return row


__all__ = ["Comparison", "Row", "alone", "check_handlers", "compare"]
