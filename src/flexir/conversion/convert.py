"""``convert``: a model or a graph, a target, and what comes of them.

The work is :mod:`flexir.conversion`'s.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, overload

import torch

from ..errors import TargetError, add_note
from ..graph import collector
from ..graph.graph import Graph
from ..graph.inputs import Inputs, inputs_of
from ..graph.nodes import Node, Value
from ..graph.program import Program
from ..recording.capture import capture
from .claims import Conversion, Status
from .coverage import Coverage
from .entries import Results
from .report import Report
from .returns import tensors_of
from .target import Target

if TYPE_CHECKING:
    from ..passes.decomposer import WaysDown


@dataclass(slots=True)
class Result:
    """What a conversion made.

    Attributes:
        output: what the target's output handler made; without one, your builder ``out``; without
            that, the same as ``outputs``.
        outputs: what the handlers returned for the model's outputs, in the model's containers.
        report: what was handled and what was not.
        graph: the captured graph.
        status: node -> ``"handled"``, ``"decomposed"`` (into calls that were handled),
            ``"placeholder"``, ``"refused"`` (a placeholder whose handler declined), ``"passed"``
            (a call that changed nothing) or ``"escape"`` (a value left torch there). Calls that
            nothing in the output reads and no handler took have none.
        values: Value -> what stands for it in your representation.
        target: whose handlers made it.
        config: with what configuration.
    """

    output: Any
    outputs: Any
    report: Report
    graph: Graph
    status: dict[Node, Status] = field(default_factory=dict)
    values: dict[Value, Any] = field(default_factory=dict, repr=False)
    target: Target | None = None
    config: Mapping[str, Any] = field(default_factory=dict)

    def run(self, *args: Any, **kwargs: Any) -> Any:
        """Run what was made, with the target's ``@ir.run``; returns what the model returns.

        Raises:
            Diverged: the inputs do not fit those recorded.
            TargetError: the target does not say how its output is run.
            UnsupportedError: something is not in the output.
        """
        run = None if self.target is None else self.target.hook("run")
        if run is None:
            raise TargetError(
                f"target {self.report.target!r} does not say how its output is run; add\n"
                "  @ir.run\n  def run(result, tensors): ..."
            )
        if self.report.entries:
            self.report.raise_if_unsupported()
        given = self.graph.bind(*args, **kwargs)
        tensors = [given[value.name] for value in self.graph.input_values]
        names = self.graph.output_names.values()
        return self.graph.arrange(dict(zip(names, tensors_of(run(self, tensors)))))

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        weights: str | None = "copy",
        checksums: bool | str = True,
        shard: int = 5 << 30,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Save the graph with every call's status; see :func:`flexir.save`."""
        self.graph.save(path, weights=weights, status=self.told, checksums=checksums, shard=shard,
                        progress=progress)  # fmt: skip

    @property
    def told(self) -> dict[Node, tuple[str, str]]:
        """Node -> its status and the reason the report gives."""
        reasons = {node: row.reason for row in self.report.entries for node in row.nodes}
        return {node: (text, reasons.get(node, "")) for node, text in self.status.items()}

    def draw(
        self,
        path: str | os.PathLike[str],
        *,
        limit: int = 300,
        beside: Graph | Result | None = None,
        overlays: Mapping[str, Mapping[str, float]] | None = None,
        golden: str | os.PathLike[str] | None = None,
        weights: bool = True,
        graphviz: bool = True,
    ) -> str:
        """Draw the graph, placeholders red; see :func:`flexir.draw`."""
        return self.graph.draw(path, status=self.status, limit=limit, beside=beside,
                               overlays=overlays, golden=golden, weights=weights,
                               graphviz=graphviz)  # fmt: skip


@overload
def convert(
    model: Program,
    target: Target,
    /,
    *,
    out: Mapping[str, Any] | None = None,
    at: Mapping[str, Any] | None = None,
    strict: bool = False,
    decompose: bool = True,
    config: Mapping[str, Any] | None = None,
) -> Results: ...
@overload
def convert(
    model: Graph,
    target: Target,
    /,
    *,
    out: Any = None,
    at: Any = None,
    strict: bool = False,
    decompose: bool = True,
    config: Mapping[str, Any] | None = None,
) -> Result: ...
@overload
def convert(
    model: Callable[..., Any],
    args: Sequence[Any] | torch.Tensor | Inputs = (),
    *,
    target: Target,
    out: Any = None,
    kwargs: dict[str, Any] | None = None,
    also: Sequence[Any] = (),
    at: Any = None,
    strict: bool = False,
    decompose: bool = True,
    config: Mapping[str, Any] | None = None,
) -> Result: ...
@overload
def convert(
    model: Callable[..., Any],
    args: Sequence[Any] | torch.Tensor | Inputs,
    target: Target,
    out: Any = None,
    *,
    kwargs: dict[str, Any] | None = None,
    also: Sequence[Any] = (),
    at: Any = None,
    strict: bool = False,
    decompose: bool = True,
    config: Mapping[str, Any] | None = None,
) -> Result: ...
def convert(
    model: Any,
    args: Any = (),
    target: Target | None = None,
    out: Any = None,
    *,
    kwargs: dict[str, Any] | None = None,
    also: Sequence[Any] = (),
    at: Any = None,
    strict: bool = False,
    decompose: bool = True,
    config: Mapping[str, Any] | None = None,
) -> Result | Results:
    """Capture a model (or take a Graph or a Program) and run a target's handlers over it.

    Args:
        model: a module, a callable, a Graph or a Program, whose entry points are converted one by
            one; ``out`` and ``at`` are then mappings by entry point.
        args: inputs of the model, as for ``capture``; nothing for a Graph or a Program.
        target: the handlers.
        out: your builder; handlers find it as ``ctx.out``. Without, one that the target makes
            (``Target(name, out=MyNet)``), if it can.
        kwargs: keyword inputs of the model.
        also: further examples of a model's inputs, as for ``capture``: sizes that differ are live.
        at: inputs whose sizes the result is for, where sizes are live; for targets that want
            numbers. As for ``capture``: a tuple of arguments, a lone tensor or ``Inputs``.
        strict: raise if anything became a placeholder, or if the model depends on conditions, keeps
            state or writes inputs, and the target does not take these.
        decompose: take a call that no handler takes apart, if the target takes all the pieces.
        config: what to choose otherwise than the target does; handlers find it in ``ctx.config``.

    Returns:
        a :class:`Result`; of a Program, :class:`Results` by entry point.

    Raises:
        UnsupportedError: with ``strict``, listing *all* that nothing handled.
        HandlerError: a handler returned the wrong number of outputs.
        Exception: what a handler raises, with a note naming the call.
    """
    if isinstance(args, Target) and target is None:
        args, target = (), args
    if target is None:
        raise TargetError("convert needs a target: convert(model, args, target)")
    if isinstance(model, Program):
        return _entries(model, target, out, at, strict, decompose, config)
    graph = model if isinstance(model, Graph) else capture(model, args, kwargs, also=also)
    if at is not None:
        graph = graph.at(*inputs_of(at))
    if out is None and target.builder is not None:
        out = target.builder()
    with collector.young():
        made = Conversion(graph, target, out, decompose, config=config)
        outputs = made.run()
        if strict:
            made.report.raise_if_unsupported()
        output = made.finish()
    output = output if output is not None else outputs
    return Result(output, outputs, made.report, graph, made.status, made.env, target, made.config)


def _entries(
    program: Program,
    target: Target,
    out: Mapping[str, Any] | None,
    at: Mapping[str, Any] | None,
    strict: bool,
    decompose: bool,
    config: Mapping[str, Any] | None,
) -> Results:
    """Convert every entry point of a Program."""
    out, at = {} if out is None else out, {} if at is None else at
    for name, given in (("out", out), ("at", at)):
        if not isinstance(given, Mapping) or not set(given) <= set(program):
            entries = ", ".join(program)
            raise TargetError(f"of a Program, {name} is given by entry point: {entries}")
    made: dict[str, Result] = {}
    for entry, graph in program.items():
        try:
            made[entry] = convert(
                graph, target, out=out.get(entry), at=at.get(entry), decompose=decompose,
                config=config,
            )  # fmt: skip
        except Exception as error:
            add_note(error, f"in the entry point {entry!r}")
            raise
    results = Results(program, made)
    if strict:
        results.raise_if_unsupported()
    return results


def coverage(
    graph: Graph,
    target: Target,
    out: Callable[[], Any] | None = None,
    *,
    decompose: bool = True,
    ways: WaysDown | None = None,
) -> Report:
    """What a target would take of a graph.

    Args:
        graph: the graph; its weights may be stand-ins.
        target: the handlers.
        out: makes a builder; without, the target's own does. If neither is there, no handler is
            run: what it refuses only then is not seen. If they are, one that raises has refused.
        decompose: as for :func:`convert`.
        ways: how calls come apart, shared with other graphs.
    """
    builder = out or target.builder
    if builder is not None:
        made = Conversion(graph, target, builder(), decompose, lenient=True, ways=ways)
    else:
        made = Coverage(graph, target, None, decompose, ways=ways)
    made.run()
    return made.report
