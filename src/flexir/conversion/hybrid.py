"""By halves: the calls a target handles run on its engine, the others in torch between them.

Owns how calls are gathered into regions and what crosses their borders. Converts each region with
``convert`` and runs it with the target's ``@ir.run``; knows no engine.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from ..errors import HandlerError, TargetError
from ..graph import tree
from ..graph.generators import drawing_aside
from ..graph.graph import Graph
from ..graph.inputs import bind_inputs
from ..graph.nodes import Node, Value
from ..graph.replay import Environment, Replay, interpret
from ..passes.extract import calls, extract, reads
from .convert import Result, convert
from .returns import tensors_of

Engine = Callable[[Result, list[torch.Tensor]], Any]  # as ``@ir.run`` declares one
_ON_ENGINE = ("handled", "decomposed")


@dataclass(slots=True)
class Region:
    """Calls that run in one place, one after another.

    Attributes:
        nodes: the calls, in order; a module call that a handler took whole is one.
        result: what the target made of them; None in torch.
        reads: Values that come in from outside, weights aside.
        makes: Values that are read after it.
        drops: Values that nothing reads after it.
        runs: how often it ran.
        seconds: how long it took in all these runs.
    """

    nodes: list[Node]
    result: Result | None = None
    reads: list[Value] = field(default_factory=list)
    makes: list[Value] = field(default_factory=list)
    drops: list[Value] = field(default_factory=list)
    runs: int = 0
    seconds: float = 0.0

    @property
    def place(self) -> str:
        """``"engine"`` or ``"torch"``."""
        return "torch" if self.result is None else "engine"

    @property
    def bytes(self) -> int:
        """How much crosses the border of a region on the engine, both ways, in one run."""
        if self.result is None:
            return 0
        types = [v.type for v in (*self.reads, *self.makes)]
        return sum(torch.Size(t.shape).numel() * t.dtype.itemsize for t in types)


@dataclass(slots=True)
class HybridReport:
    """Where the calls of a hybrid run.

    Attributes:
        name: of the graph and of the target.
        regions: in order of execution.
    """

    name: str
    regions: list[Region]

    @property
    def bytes(self) -> int:
        """How much crosses borders between engine and torch in one run."""
        return sum(region.bytes for region in self.regions)

    def __str__(self) -> str:
        """A line per region; times are means of the runs so far."""
        lines = []
        for number, region in enumerate(self.regions, 1):
            counts: dict[str, int] = {}
            for node in region.nodes:
                counts[node.op] = counts.get(node.op, 0) + 1
            ops = ", ".join(f"{op} ×{n}" if n > 1 else op for op, n in counts.items())
            shown = ops if len(ops) <= 60 else f"{ops[:57]}..."
            mean = (
                f"{1e3 * region.seconds / region.runs:9.3f} ms" if region.runs else " not run yet"
            )
            across = f"{region.bytes:>12,} B across" if region.result is not None else " " * 21
            count = f"{len(region.nodes):4} calls"
            lines.append(f"{number:3} {region.place:6} {count} {across} {mean}  {shown}")
        on = [r for r in self.regions if r.result is not None]
        done = sum(len(r.nodes) for r in on)
        total = sum(len(r.nodes) for r in self.regions)
        lines.append(f"{self.name}: {done} of {total} calls in {len(on)} regions on the engine, "
                     f"{self.bytes:,} bytes across borders")  # fmt: skip
        return "\n".join(lines)


class Hybrid:
    """A model of which what is handled runs on an engine; called like the model.

    Attributes:
        graph: the model's graph.
        report: regions, bytes across borders, time in each; ``print(hybrid.report)``.
    """

    def __init__(self, graph: Graph, regions: list[Region], name: str, run: Engine) -> None:
        self.graph, self.report, self._run = graph, HybridReport(name, regions), run

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run it; returns what the model returns.

        Raises:
            Diverged: the inputs do not fit the recorded ones, or lead elsewhere at a condition that
                is checked in torch.
            HandlerError: the engine returned tensors of other types than torch does.
        """
        env = Environment(self.graph.constants)
        replay = Replay(self.graph)
        replay.alike = bind_inputs(self.graph, args, kwargs, env, as_given=replay.asks)
        forked = drawing_aside() if replay.drawing else contextlib.nullcontext()
        try:
            with forked:
                for region in self.report.regions:
                    start = time.perf_counter()
                    if region.result is None:
                        interpret(region.nodes, env, replay)
                    else:
                        replay.restore()
                        replay.switches = None
                        self._on_engine(region, region.result, env)
                    for value in region.drops:
                        env.pop(value, None)
                    region.seconds += time.perf_counter() - start
                    region.runs += 1
        finally:
            replay.restore()
        return tree.build(self.graph.outputs, Value, env.__getitem__)

    def _on_engine(self, region: Region, result: Result, env: dict[Value, Any]) -> None:
        given = [env[v].detach().resolve_conj().resolve_neg() for v in region.reads]
        made = tensors_of(self._run(result, given))
        if len(made) != len(region.makes):
            raise HandlerError(f"the engine returned {len(made)} tensors of {len(region.makes)}")
        for value, tensor in zip(region.makes, made):
            if not value.type.takes(tuple(tensor.shape), tensor.dtype):
                where = value.producer.where if value.producer is not None else ""
                got = f"{tuple(tensor.shape)} {tensor.dtype}"
                raise HandlerError(f"the engine returned {got} for {value!r}   # {where}")
            env[value] = tensor.to(value.type.device)


def hybrid(
    result: Result, *, run: Engine | None = None, out: Callable[[], Any] | None = None
) -> Hybrid:
    """Run what a target handles on its engine, and in torch what is missing.

    Calls are gathered into as few regions as data flow allows: a call runs in the earliest region
    of its kind that comes after all it reads. Each is converted as one unit.

    Args:
        result: of a conversion, with placeholders or not.
        run: ``run(result, tensors)``, as for ``@ir.run``, where the target has none.
        out: makes a builder for each region, where the target has none.

    Returns:
        a :class:`Hybrid`, to be called like the model.

    Raises:
        TargetError: nothing says how the output is run.

    Example:
        >>> import torch, flexir
        >>> ir = flexir.Target("double")
        >>> @ir.op("add")
        ... def add(ctx, input, other):
        ...     return "add"
        >>> @ir.run
        ... def run(result, tensors):
        ...     return tensors[0] + tensors[0]
        >>> half = flexir.hybrid(flexir.convert(lambda x: (x + x).exp(), (torch.ones(2),), ir))
        >>> half(torch.zeros(2))
        tensor([1., 1.])
    """
    target = result.target
    if target is None:
        raise TargetError("a hybrid is made of what convert returned")
    run = run or target.hook("run")
    if run is None:
        raise TargetError(f"target {target.name!r} does not say how its output is run: "
                          "hybrid(result, run=...) or @ir.run")  # fmt: skip
    stages = _Stages(result)
    while True:
        regions = stages.regions()
        refused = [node for region in regions for node in _convert(region, result, out)]
        if not refused:
            return Hybrid(result.graph, regions, f"{result.graph.name} -> {target.name}", run)
        stages.in_torch.update(refused)


def _convert(region: Region, whole: Result, out: Callable[[], Any] | None) -> list[Node]:
    """Convert a region that is for the engine; returns the calls its target does not take there."""
    if region.result is None:
        return []
    small, region.reads = extract(whole.graph, region.nodes, region.makes, whole.graph.name)
    assert whole.target is not None
    builder = None if out is None else out()
    region.result = made = convert(small, (), whole.target, builder, config=dict(whole.config))
    refused = []
    for node, copy in zip(region.nodes, small.nodes):
        status = made.status.get(copy)
        gone_into = copy.body is not None and status not in _ON_ENGINE
        if gone_into or status in ("placeholder", "refused"):
            refused.append(node)
    if made.report.entries and not refused:
        refused = list(region.nodes)
    return refused


class _Stages:
    """Which call runs in which stage: even ones on the engine, odd ones in torch."""

    def __init__(self, result: Result) -> None:
        self.graph, self.status = result.graph, result.status
        self.in_torch: set[Node] = set()  # that the target took, but not alone

    def regions(self) -> list[Region]:
        """Stages in order, those without calls left out."""
        nodes = self._alive(self._units(self.graph.nodes))
        stage = self._stages(nodes)
        made = {v: stage[n] for n in nodes for one in calls(n) for v in one.outputs}
        last = {v: max(stage.values(), default=0) + 1 for v in self.graph.output_values}
        for node in nodes:
            for value in reads(node):
                last[value] = max(last.get(value, 0), stage[node])
        found = []
        for number in sorted({*stage.values()}):
            region = Region([n for n in nodes if stage[n] == number])
            region.makes = [v for v, s in made.items() if s == number and last.get(v, 0) > number]
            region.drops = [v for v, end in last.items() if end == number]
            if number % 2 == 0:
                region.result = _UNMADE
            found.append(region)
        return found

    def _units(self, nodes: Sequence[Node]) -> list[Node]:
        """The calls that run as one: of functions, and of modules that a handler took whole."""
        units: list[Node] = []
        for node in nodes:
            if node.body is None or self._is_taken(node):
                units.append(node)
            else:
                units += self._units(node.body)
        return units

    def _is_taken(self, node: Node) -> bool:
        return self.status.get(node) in _ON_ENGINE and node not in self.in_torch

    def _alive(self, nodes: list[Node]) -> list[Node]:
        """The calls that the outputs or a condition need; draws all stay, for their order."""
        needed = set(self.graph.output_values)
        alive = []
        for node in reversed(nodes):
            makes = {v for one in calls(node) for v in one.outputs}
            effects = [one.effects for one in calls(node)]
            if any(e.escape or e.random for e in effects) or not needed.isdisjoint(makes):
                alive.append(node)
                needed.update(reads(node))
        return alive[::-1]

    def _stages(self, nodes: list[Node]) -> dict[Node, int]:
        made: dict[Value, int] = {}
        stage: dict[Node, int] = {}
        drawn = 0
        for node in nodes:
            earliest = max((made.get(v, 0) for v in reads(node)), default=0)
            draws = any(one.effects.random for one in calls(node))
            if draws:
                earliest = max(earliest, drawn)
            if self.status.get(node) != "passed":  # that is nothing to do in either place
                earliest += earliest % 2 == self._is_taken(node)
            stage[node] = earliest
            made.update((v, earliest) for one in calls(node) for v in one.outputs)
            if draws:
                drawn = earliest
        return stage


_UNMADE: Any = object()  # stands for a Result until the region is converted
