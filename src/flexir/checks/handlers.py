"""``check_handlers``: which handler is wrong, found by converting and running each call alone.

The inputs of a call are those recorded from the model, then random weights, so an error names only
its culprit. Owns which calls and modules are tried and why others are not; how far off a result may
be is :mod:`.rounding`'s matter, and what would explain it :mod:`.diagnose`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from ..conversion.convert import Result, convert, coverage
from ..conversion.hybrid import Engine
from ..conversion.target import Target
from ..errors import TargetError
from ..graph.geometry import dense
from ..graph.graph import Graph
from ..graph.inputs import bind_inputs
from ..graph.nodes import Node, Value
from ..graph.program import one_graph
from ..graph.replay import Environment, replay
from ..passes.edit import call_key
from ..passes.extract import calls, reads, single_call
from .comparison import Comparison, Row, near, row_of, row_tensor
from .diagnose import causes, magnitude
from .rounding import allowed, run_alone


def check_handlers(
    target: Target,
    graph: Graph,
    args: Sequence[Any],
    *,
    run: Engine | None = None,
    out: Callable[[], Any] | None = None,
    rtol: float | None = None,
    kwargs: dict[str, Any] | None = None,
) -> Comparison:
    """Convert every handled call alone and compare what your engine makes of it with torch.

    Each is given what it is given in a run of the model, then once more with random values for its
    weights: a bias of zeros that an engine forgets does not show otherwise.

    Args:
        target: your handlers.
        graph: the model's graph.
        args: inputs of the model.
        run: ``run(result, tensors)`` runs what a conversion made on the values of its inputs and
            returns the outputs, in order: tensors, NumPy arrays or a lone one. Without, the
            target's ``@ir.run`` does.
        out: makes a builder for every conversion, if your handlers need one.
        rtol: difference allowed, over the largest magnitude of torch's result. Without, 64 times
            the rounding error that the call has by its nature (see :mod:`flexir.checks.rounding`).
            Whole numbers and bools must be equal in any case.
        kwargs: keyword inputs.

    Returns:
        a :class:`Comparison`; calls that were given equal arguments and types are checked once.

    Raises:
        TargetError: nothing says how an output is run.
    """
    graph = one_graph(graph, "check_handlers")
    engine: Engine | None = run or target.hook("run")
    if engine is None:
        raise TargetError(f"target {target.name!r} does not say how its output is run: "
                          "check_handlers(..., run=engine) or @ir.run")  # fmt: skip
    runs = _HandlerRuns(target, graph, engine, out, rtol)
    runs.claim(graph.nodes)
    bind_inputs(graph, args, kwargs or {}, runs.kept)
    env = Environment(graph.constants)
    replay(graph, args, kwargs, watch=lambda node, made: runs.see(node, made, env), env=env)
    return runs.found


# --- one call alone -----------------------------------------------------------------------------


class _HandlerRuns:
    """Every call of a graph, converted and run alone while the graph is replayed."""

    def __init__(
        self, target: Target, graph: Graph, run: Engine, out: Any, rtol: float | None
    ) -> None:
        self.target, self.graph, self.run, self.out, self.rtol = target, graph, run, out, rtol
        report = coverage(graph, target)
        self.reasons = {node: row.reason for row in report.entries for node in row.nodes}
        self.descended, self.apart = dict(report.descended), set(report.taken_apart)
        self.found = Comparison([])
        self.seen: set[Any] = set()
        self.inside: set[Node] = set()  # calls in modules that handlers take whole
        self.ends: dict[Node, list[Node]] = {}  # the last call in such modules -> these
        self.kept: dict[Value, torch.Tensor] = {}  # what they read and make, and inputs
        self.wanted: set[Value] = set()

    def claim(self, nodes: Sequence[Node]) -> None:
        """Find the modules that handlers take whole."""
        for node in nodes:
            if node.body is None:
                continue
            if node in self.reasons:  # kept whole
                self._miss(self.found.not_reached, node, self.reasons[node])
                self.inside.update(calls(node))
            elif self.target.handler(node) is None:
                self.claim(node.body)
            elif reason := self.descended.get(node) or self._refusal(node):
                self._miss(self.found.refused, node, reason)
                self.claim(node.body)
            else:
                inner = calls(node)
                self.inside.update(inner)
                if any(one.effects.random for one in inner):
                    self._miss(self.found.not_reached, node, "it draws random numbers")
                    continue
                self.wanted.update(reads(node), node.outputs)
                if inner:
                    self.ends.setdefault(inner[-1], []).append(node)

    def _refusal(self, node: Node) -> str:
        _, reason = self._convert(single_call(self.graph, node))
        return reason

    def _convert(self, small: Graph) -> tuple[Result, str]:
        """What the handler of a graph's one call makes, and why it makes nothing."""
        out = None if self.out is None else self.out()
        result = convert(small, target=self.target, out=out, decompose=False)
        if result.status.get(small.nodes[0]) == "handled":
            return result, ""
        if small.nodes[0].body is not None:
            return result, result.report.descended[0][1]
        entries = result.report.entries
        return result, entries[0].reason if entries else "it changes nothing"

    def _miss(self, rows: list[Row], node: Node, reason: str) -> None:
        if self._is_new(node, reason):
            rows.append(Row(node, note=reason))

    def _is_new(self, node: Node, *more: Any) -> bool:
        """Whether no call like this one was seen: of equal types and numbers, and equally fixed."""
        fixed = tuple(map(self.graph.constants.__contains__, node.inputs))
        module = id(node.target) if node.body is not None else None
        key = (call_key(node), fixed, module, node.effects.switches, *more)
        new = key not in self.seen
        self.seen.add(key)
        return new

    def see(self, node: Node, made: Sequence[torch.Tensor], env: Mapping[Value, Any]) -> None:
        """A call was replayed: check it, and the modules it is the last call of."""
        self.kept.update((v, t) for v, t in zip(node.outputs, made) if v in self.wanted)
        if node not in self.inside and node.outputs:
            self._function(node, made, env)
        for module in self.ends.get(node, ()):
            if self._is_new(module):
                read = Environment(self.graph.constants)
                read.update(self.kept)
                self._compare(module, [read[v] for v in module.outputs], read)

    def _function(self, node: Node, made: Sequence[torch.Tensor], env: Mapping[Value, Any]) -> None:
        if self.target.handler(node) is None:
            if node.effects.same is None:
                pieces = "; converted in pieces" if node.op in self.apart else ""
                reason = self.reasons.get(node, f"no handler{pieces}")
                self._miss(self.found.not_reached, node, reason)
        elif node.effects.random:
            self._miss(self.found.not_reached, node, "it draws random numbers")
        elif self._is_new(node):
            self._compare(node, made, env)

    def _compare(self, node: Node, made: Sequence[torch.Tensor], env: Mapping[Value, Any]) -> None:
        small = single_call(self.graph, node)
        result, reason = self._convert(small)
        if reason:
            self.found.refused.append(Row(node, note=reason))
            return
        inputs = [env[v] for v in reads(node) if v not in self.graph.constants]
        row = self._measure(node, small, result, inputs, made)
        if row.ok and node.body is None:
            row = self._with_random_constants(node, inputs) or row
        self.found.rows.append(row)

    def _with_random_constants(self, node: Node, inputs: Sequence[torch.Tensor]) -> Row | None:
        """The row of a call whose weights are random, if it is a bad one."""
        small = single_call(self.graph, node)
        generator = torch.Generator().manual_seed(0)
        constants = {v: _random(t, generator) for v, t in small.constants.items()}
        if all(constants[v] is small.constants[v] for v in constants):
            return None
        small.constants = constants
        try:
            made = run_alone(small, [t.detach() for t in inputs], constants)
        except Exception:  # noqa: BLE001  not every call takes any values
            return None
        result, reason = self._convert(small)
        if reason or not all(t.isfinite().all() for t in map(dense, made)):
            return None
        row = self._measure(node, small, result, inputs, made)
        row.note = f"with random values for its constants {row.note}".rstrip()
        return None if row.ok else row

    def _measure(
        self,
        node: Node,
        small: Graph,
        result: Result,
        inputs: Sequence[torch.Tensor],
        expected: Sequence[torch.Tensor],
    ) -> Row:
        try:
            made = self.run(result, [_given(t) for t in inputs])
        except Exception as error:  # noqa: BLE001  the engine's failure is the finding
            return Row(node, float("inf"), float("inf"), False, f"{type(error).__name__}: {error}")
        parts = [row_tensor(part) for part in (made if isinstance(made, (tuple, list)) else [made])]
        if self.rtol is None:
            free = allowed(single_call(self.graph, node), inputs, small.constants, expected)
        else:
            free = [self.rtol * magnitude(t) for t in expected]
        row = row_of(node, expected, parts, free)
        if not row.ok and len(parts) == len(expected):
            env = dict(zip((v for v in reads(node) if v not in small.constants), inputs))
            env.update(small.constants)
            limits = (torch.as_tensor(f).max().item() for f in free if torch.as_tensor(f).numel())
            rtol = max(limits, default=0.0) / max(map(magnitude, expected))
            row.causes = list(causes(node, env, expected, parts, near(row, rtol)))
        return row


def _given(tensor: torch.Tensor) -> torch.Tensor:
    """What an engine is given: a tensor of its own that it may turn into an array, or write."""
    return tensor.detach().resolve_conj().resolve_neg().clone()


def _random(tensor: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Other values where a constant holds finite numbers: of either sign if it has both.

    A list of numbers stays in the order it is in (borders of bins). None is near zero, so that none
    can be forgotten unseen.
    """
    if not tensor.is_floating_point() or tensor.layout is not torch.strided or tensor.is_nested:
        return tensor
    old = tensor.detach()
    new = torch.rand(old.shape, generator=generator).to(old.device, old.dtype) + 0.5
    if (old < 0).any():
        signs = torch.randint(0, 2, old.shape, generator=generator).to(old.device, old.dtype)
        new = new * (2 * signs - 1)
    if old.ndim == 1:
        new = new.sort().values[old.argsort().argsort()]
    return torch.where(old.isfinite(), new, old)


__all__ = ["Comparison", "Row", "check_handlers"]
