"""Is the graph the model? ``verify(graph, model, args)`` runs both and compares.

The model runs eagerly and unwatched, from the tensors' state and the random state the capture
began with; the graph is replayed; every output and every written buffer is compared. Then both
run again on perturbed inputs, which a graph that froze something cannot follow unnoticed.
Model state is put back afterwards.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from ..errors import Diverged, Error
from ..graph import tree
from ..graph.choice import alike, blocks_of
from ..graph.graph import Graph
from ..graph.inputs import Inputs, inputs_of
from ..graph.nodes import Node
from ..graph.program import one_graph
from ..graph.replay import replay
from ..recording.eager import copies_of, initial_state, no_fast_path, run_model, run_once
from ..recording.recorder import record_run
from .differences import Difference, compare_outputs, compare_tensors, flat, verdict_of


@dataclass(slots=True)
class Verification:
    """The answer of :func:`verify`.

    Attributes:
        verdict: ``"exact"``, ``"close"`` (within tolerance), ``"diverged"`` (these inputs take
            another branch) or ``"wrong"``.
        differences: one per output and per written buffer.
        divergence: the Diverged error that ended the replay, if any.
        first: the first node whose values differ when model and graph run in step, if asked for.
        perturbed: what became of the perturbed inputs: ``"exact"``, ``"close"``,
            ``"diverged"``, ``"wrong"`` or why they could not be tried.
        frozen: outputs that should have changed with the inputs and did not.
        notes: what else was noticed.
        graph: the graph checked.
    """

    verdict: str
    graph: Graph
    differences: list[Difference] = field(default_factory=list)
    divergence: Diverged | None = None
    first: tuple[Node, Difference] | None = None
    perturbed: str = ""
    frozen: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def max_abs(self) -> float:
        """Largest absolute difference of any output."""
        return max((d.max_abs for d in self.differences), default=0.0)

    def __bool__(self) -> bool:
        return self.verdict in ("exact", "close")

    def __str__(self) -> str:
        lines = [str(d) for d in self.differences if not d.equal]
        if self.divergence is not None:
            lines.append(str(self.divergence))
        if self.first is not None:
            node, difference = self.first
            lines.append(f"first difference: {node}   # {node.where}\n  {difference}")
        lines += [f"frozen: {name} did not change with the inputs" for name in self.frozen]
        lines += self.notes
        lines.append(f"guards: {len(self.graph.guards)}, escapes: {len(self.graph.escapes)}")
        lines.append(str(self.graph.audit))
        tail = f"; perturbed inputs: {self.perturbed}" if self.perturbed else ""
        lines.append(f"verdict: {self.verdict}{tail}")
        return "\n".join(lines)


def verify(
    graph: Graph,
    model: Callable[..., Any],
    args: Sequence[Any] | torch.Tensor | Inputs = (),
    kwargs: dict[str, Any] | None = None,
    *,
    calls: Sequence[Any] | None = None,
    values: bool = False,
    perturb: bool = True,
    tolerance: float = 1e-5,
) -> Verification:
    """Compare a graph with the model it was captured from.

    Args:
        graph: the graph.
        model: the model itself.
        args: inputs; the captured ones, or others of the same shapes.
        kwargs: keyword inputs.
        calls: instead of ``args``, the inputs of several calls in a row, each a tuple of arguments,
            a lone tensor or :class:`~flexir.Inputs`. Model and graph carry their state from one
            to the next.
        values: also run both in step and name the first node that differs; needs memory for
            all activations.
        perturb: also compare on inputs changed at random: floats by up to a tenth; on the CPU,
            where a wrong index only raises, integers in another order.
        tolerance: largest relative difference that still counts as close.

    Returns:
        a :class:`Verification`; true if the graph is exact or close.

    Raises:
        Error: no graph, or a Program of several; give one of its graphs.
        Exception: what the model raises.

    Example:
        >>> from flexir import capture
        >>> model, x = torch.nn.Linear(3, 2), torch.ones(1, 3)
        >>> verify(capture(model, x), model, x).verdict
        'exact'
    """
    answer = Verification("exact", one_graph(graph, "verify"))
    if calls is not None:
        _compare_calls(answer, graph, model, list(map(inputs_of, calls)), tolerance)
        return answer
    args, kwargs = inputs_of(args, kwargs)
    _compare(answer, graph, model, args, kwargs, tolerance)
    if answer.verdict == "diverged":
        return answer
    if values or answer.verdict != "exact":
        answer.first = _first_difference(graph, model, args, kwargs)
        if answer.verdict != "exact" and answer.first is None:
            why = _why_unwatched(graph, model, args, kwargs, tolerance)
            answer.notes.append(f"every recorded call agrees; {why}")
    if perturb and answer.verdict in ("exact", "close"):
        _perturb(answer, graph, model, args, kwargs, tolerance)
    return answer


def _compare(
    answer: Verification, graph: Graph, model: Any, args: Any, kwargs: Any, tolerance: float
) -> None:
    with initial_state(graph, model) as lost:
        expected, written = run_once(graph, model, *copies_of(args, kwargs))
    final: dict[str, torch.Tensor] = {}
    try:
        made = replay(graph, *copies_of(args, kwargs), final=final, isolate=True)
    except Diverged as error:
        answer.verdict, answer.divergence = "diverged", error
        return
    answer.differences = compare_outputs(expected, made)
    answer.differences += _left(graph, written, final)
    answer.verdict = verdict_of(answer.differences, tolerance)
    if lost and answer.verdict != "exact":
        answer.verdict = "diverged"
        answer.notes.append(f"the model cannot be put back to where the capture began: {lost}")


def _left(
    graph: Graph, written: dict[str, torch.Tensor], final: dict[str, torch.Tensor]
) -> list[Difference]:
    """What a model leaves compared with what the graph does; a path may leave it as it was."""
    found = []
    for name, tensor in written.items():
        left = final.get(name)
        for one in (graph, *graph.variants) if left is None else ():
            places = {**{m.name: m.initial for m in one.mutations},
                      **{s.path: s.initial for s in one.state}}  # fmt: skip
            left = one.constants.get(places.get(name)) if left is None else left  # type: ignore[arg-type]
        if left is not None:
            found.append(compare_tensors(name, tensor, left))
    return found


def _compare_calls(
    answer: Verification, graph: Graph, model: Any, calls: Sequence[Inputs], tolerance: float
) -> None:
    """Compare calls in a row, and what is left behind after the last."""
    run = graph.start()
    with initial_state(graph, model):
        for number, (args, kwargs) in enumerate(calls, 1):
            expected, written = run_once(graph, model, *copies_of(args, kwargs))
            try:
                args, kwargs = copies_of(args, kwargs)
                made = run(*args, **kwargs)
            except Diverged as error:
                answer.verdict, answer.divergence = "diverged", error
                answer.notes.append(f"call {number} of {len(calls)} diverged")
                return
            found = compare_outputs(expected, made)
            found += [
                compare_tensors(path, written[path], tensor)
                for path, tensor in run.state.items()
                if path in written
            ]
            answer.differences += [d._replace(name=f"call {number}: {d.name}") for d in found]
    answer.verdict = verdict_of(answer.differences, tolerance)


def _why_unwatched(graph: Graph, model: Any, args: Any, kwargs: Any, tolerance: float) -> str:
    """Why outputs differ although every call agrees while the model is watched."""
    slow = Verification("exact", graph)
    with no_fast_path():
        _compare(slow, graph, model, args, kwargs, tolerance)
    if slow.verdict == "exact":
        return "exact with torch.backends.mha.set_fastpath_enabled(False)"
    return "the model computes otherwise while unwatched, or is not repeatable"


def _first_difference(
    graph: Graph, model: Any, args: Any, kwargs: Any
) -> tuple[Node, Difference] | None:
    """Run model and graph in step and return the first node whose values differ."""
    kept: list[tuple[Node, list[torch.Tensor]]] = []

    def keep(node: Node, made: Sequence[Any]) -> None:
        if not blocks_of(node) and all(isinstance(one, torch.Tensor) for one in made):
            kept.append((node, [one.detach().clone() for one in made]))

    with contextlib.suppress(Diverged):
        replay(graph, *copies_of(args, kwargs), check=False, watch=keep)
    found: list[tuple[Node, Difference]] = []
    position = 0

    def match_step(node: Node, tensors: Sequence[torch.Tensor]) -> None:
        nonlocal position
        if found or not tensors:
            return
        while position < len(kept) and not _alike(kept[position][0], node):
            position += 1
        if position >= len(kept):
            return
        mine, ours = kept[position]
        position += 1
        for value, a, b in zip(mine.outputs, tensors, ours):
            difference = compare_tensors(repr(value), a, b)
            if not difference.equal:
                found.append((mine, difference))
                return

    copies = copies_of(args, kwargs)
    with initial_state(graph, model), contextlib.suppress(Error):
        record_run(model, *copies, witness=graph.audit.witnessed, watch=match_step)
    return found[0] if found else None


def _alike(a: Node, b: Node) -> bool:
    same = a.op == b.op and a.path == b.path and len(a.outputs) == len(b.outputs)
    return same and all(alike(v.type, w.type) for v, w in zip(a.outputs, b.outputs))


def _perturb(
    answer: Verification, graph: Graph, model: Any, args: Any, kwargs: Any, tolerance: float
) -> None:
    """Compare on inputs of the same shapes and other elements."""
    changed: list[torch.Tensor] = []
    generator = torch.Generator().manual_seed(0)

    def change(tensor: torch.Tensor) -> torch.Tensor:
        other = _other(tensor, generator)
        if other is not None and not torch.equal(tensor, other):
            changed.append(other)
        return tensor if other is None else other

    args, kwargs = tree.rebuilt((args, kwargs), change)
    if not changed:
        answer.perturbed = "nothing in them to change"
        return
    try:
        expected, written = run_model(graph, model, args, kwargs)
    except Exception as error:  # noqa: BLE001  the model itself may refuse such inputs
        answer.perturbed = f"the model refuses them ({type(error).__name__})"
        return
    final: dict[str, torch.Tensor] = {}
    try:
        made = replay(graph, *copies_of(args, kwargs), final=final, isolate=True)
    except Diverged as error:
        answer.perturbed = "diverged"
        answer.notes.append(f"on perturbed inputs: {error}")
        return
    differences = compare_outputs(expected, made)
    differences += _left(graph, written, final)
    answer.perturbed = verdict_of(differences, tolerance)
    if answer.perturbed == "wrong":
        answer.verdict = "wrong"
        base = flat(replay(graph, *copies_of(args, kwargs), check=False))
        answer.frozen = [d.name for d in differences if not d.equal and d.name in base]
        answer.notes.append("exact on the inputs given, but not on perturbed ones")


def _other(tensor: torch.Tensor, generator: torch.Generator) -> torch.Tensor | None:
    """A tensor of other elements; None if there is none that a model can be expected to take.

    Integers on an accelerator stay: where they are wrong indices, a kernel ends the process.
    """
    strided = tensor.layout is torch.strided and not tensor.is_nested
    if not strided or tensor.device.type == "meta":
        return None
    if tensor.is_floating_point():
        # By up to a tenth and of the same sign, so that most branches stay as they were.
        noise = torch.rand(tensor.shape, generator=generator, dtype=torch.float32)
        by = (0.9 + 0.2 * noise).to(tensor.device)
        return (tensor.detach() * by).to(tensor.dtype).as_subclass(type(tensor))
    integer = tensor.dtype in (torch.int64, torch.int32) and tensor.numel() > 1
    if integer and tensor.device.type == "cpu":
        flat = tensor.detach().reshape(-1)
        return flat[torch.randperm(len(flat), generator=generator)].reshape(tensor.shape)
    return None
