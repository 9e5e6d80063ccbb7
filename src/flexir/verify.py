"""Is the graph the model? ``verify(graph, model, args)`` runs both and compares.

The model runs eagerly and unwatched, from the tensors' state and the random state the capture
began with; the graph is replayed; every output and every written buffer is compared. Then both
run again on perturbed inputs, which a graph that froze something cannot follow unnoticed.
Model state is put back afterwards.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch

from . import structure
from .capture import record
from .errors import Diverged, Error
from .geometry import copy_like, dense, shape_of
from .graph import Graph
from .interpreter import bind_inputs, replay
from .nodes import Node, Value
from .origins import survey


class Difference(NamedTuple):
    """How one tensor of the replay compares with the model's own.

    Attributes:
        name: which output, written buffer or node.
        equal: bit-equal, NaN counted as equal to NaN.
        max_abs: largest absolute difference; inf where shapes, dtypes or NaNs differ.
        max_rel: largest difference relative to the model's own value.
        note: what differs if it is not the elements.
    """

    name: str
    equal: bool
    max_abs: float = 0.0
    max_rel: float = 0.0
    note: str = ""

    def __str__(self) -> str:
        if self.equal:
            return f"{self.name}: bit-equal"
        return (
            f"{self.name}: {self.note or f'max abs {self.max_abs:.3g}, max rel {self.max_rel:.3g}'}"
        )


@dataclass(slots=True)
class Check:
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
    args: Sequence[Any] | torch.Tensor = (),
    kwargs: dict[str, Any] | None = None,
    *,
    values: bool = False,
    perturb: bool = True,
    tolerance: float = 1e-5,
) -> Check:
    """Compare a graph with the model it was captured from.

    Args:
        graph: the graph.
        model: the model itself.
        args: inputs; the captured ones, or others of the same shapes.
        kwargs: keyword inputs.
        values: also run both in step and name the first node that differs; needs memory for
            all activations.
        perturb: also compare on inputs changed at random.
        tolerance: largest relative difference that still counts as close.

    Returns:
        a :class:`Check`; true if the graph is exact or close.

    Example:
        >>> from flexir import capture
        >>> model, x = torch.nn.Linear(3, 2), torch.ones(1, 3)
        >>> verify(capture(model, x), model, x).verdict
        'exact'
    """
    if isinstance(args, torch.Tensor):
        args = (args,)
    args, kwargs = tuple(args), dict(kwargs or {})
    check = Check("exact", graph)
    _compare(check, graph, model, args, kwargs, tolerance)
    if check.verdict == "diverged":
        return check
    if values or check.verdict != "exact":
        check.first = _first_difference(graph, model, args, kwargs)
        if check.verdict != "exact" and check.first is None:
            slow = Check("exact", graph)
            with _no_fast_path():
                _compare(slow, graph, model, args, kwargs, tolerance)
            why = "the model computes otherwise when nobody watches, or is not repeatable"
            if slow.verdict == "exact":
                why = "exact with torch.backends.mha.set_fastpath_enabled(False)"
            check.notes.append(f"every recorded call agrees; {why}")
    if perturb and check.verdict in ("exact", "close"):
        _perturb(check, graph, model, args, kwargs, tolerance)
    return check


def _compare(
    check: Check, graph: Graph, model: Any, args: Any, kwargs: Any, tolerance: float
) -> None:
    expected, written = run_model(graph, model, args, kwargs)
    final: dict[str, torch.Tensor] = {}
    try:
        made = replay(graph, *_copies(args, kwargs), final=final)
    except Diverged as error:
        check.verdict, check.divergence = "diverged", error
        return
    check.differences = compare_outputs(expected, made)
    for name, tensor in written.items():
        check.differences.append(compare_tensors(name, tensor, final[name]))
    check.verdict = _verdict(check.differences, tolerance)


def _verdict(differences: Sequence[Difference], tolerance: float) -> str:
    if all(d.equal for d in differences):
        return "exact"
    close = all(d.equal or (not d.note and d.max_rel <= tolerance) for d in differences)
    return "close" if close else "wrong"


def run_model(
    graph: Graph, model: Callable[..., Any], args: Any, kwargs: Any
) -> tuple[Any, dict[str, torch.Tensor]]:
    """Run a model eagerly from the state its capture began with, and put its state back.

    Returns:
        its outputs, and name -> final value of the memory the graph says it writes.
    """
    args, kwargs = _copies(args, kwargs)
    with _initial_state(graph, model) as live:
        result = model(*args, **kwargs)
        inputs: dict[Value, torch.Tensor] = {}
        with contextlib.suppress(Diverged):  # the replay will say it again
            bind_inputs(graph, args, kwargs, inputs)
        written = {}
        for mutation in graph.mutations:
            tensor = live.get(mutation.name, inputs.get(mutation.initial))
            if tensor is not None:
                written[mutation.name] = copy_like(tensor.detach())
        result = structure.template(result, lambda t: t.detach().clone(), deep=True)
        result = structure.build(result, _Never, lambda leaf: leaf)
    return result, written


class _Never:
    """A leaf type nothing has."""


@contextlib.contextmanager
def _no_fast_path() -> Iterator[None]:
    """Within, attention and transformer layers call the functions they are written with."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@contextlib.contextmanager
def _initial_state(graph: Graph, model: Any) -> Iterator[dict[str, torch.Tensor]]:
    """The model with its written tensors and the random generator as the capture found them."""
    _, tensors = survey(model)
    by_name = {}
    if isinstance(model, torch.nn.Module):
        for tensor, _, names in tensors.values():
            for name in names:
                by_name[name] = tensor
    live = {}
    saved = []
    for mutation in graph.mutations:
        tensor = by_name.get(mutation.name)
        initial = graph.constants.get(mutation.initial)
        if tensor is None or initial is None or tensor.shape != initial.shape:
            continue
        saved.append((tensor, copy_like(tensor.detach())))
        live[mutation.name] = tensor
        tensor.data.copy_(initial)
    first = next((n.effects.generator for n in graph if n.effects.generator is not None), None)
    try:
        with torch.random.fork_rng(devices=[]):
            if first is not None and first.numel() == torch.get_rng_state().numel():
                torch.set_rng_state(first)
            yield live
    finally:
        for tensor, before in saved:
            tensor.data.copy_(before)


def _copies(args: Any, kwargs: Any) -> tuple[Any, Any]:
    """The inputs with every tensor copied, one copy for one tensor."""
    made: dict[int, torch.Tensor] = {}

    def copy(tensor: torch.Tensor) -> torch.Tensor:
        if id(tensor) not in made:
            fresh = (
                copy_like(tensor.detach())
                if tensor.layout is torch.strided and not tensor.is_nested
                else tensor.detach().clone()
            )
            if type(tensor) is not torch.Tensor:
                fresh = tensor.detach().clone()
            made[id(tensor)] = fresh.requires_grad_(tensor.requires_grad)
        return made[id(tensor)]

    parts = structure.template((args, kwargs), copy, deep=True)
    return structure.build(parts, _Never, lambda leaf: leaf)


def compare_outputs(expected: Any, made: Any) -> list[Difference]:
    """Compare two results tensor by tensor, and everything else in them by equality."""
    left, right = _flat(expected), _flat(made)
    if left.keys() != right.keys():
        return [Difference("outputs", False, float("inf"), float("inf"), "other structure")]
    found = []
    for name, a in left.items():
        b = right[name]
        if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
            found.append(compare_tensors(name, a, b))
        elif isinstance(a, torch.Tensor) or isinstance(b, torch.Tensor) or not _equal(a, b):
            found.append(Difference(name, False, float("inf"), float("inf"), f"{b!r}, not {a!r}"))
    return found


def _equal(a: Any, b: Any) -> bool:
    if type(a) in (int, float, str, bool, type(None), complex):
        return bool(a == b or (a != a and b != b))
    return True  # objects of unknown classes are carried along, not computed


def _flat(result: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    _name_parts("", structure.template(result, lambda t: t, deep=True), found)
    return found


def _name_parts(name: str, part: Any, found: dict[str, Any]) -> None:
    if isinstance(part, structure.Record):
        _name_parts(name, part.items, found)
        rest = part.attributes
        if isinstance(part.items, dict):
            rest = {k: v for k, v in rest.items() if k not in part.items}
        _name_parts(name, rest, found)
    elif type(part) is dict:
        for key, inner in part.items():
            _name_parts(f"{name}.{key}" if name else str(key), inner, found)
    elif type(part) in (list, tuple):
        for i, inner in enumerate(part):
            _name_parts(f"{name}[{i}]", inner, found)
    elif part is not None:
        found[name or "output"] = part


def compare_tensors(name: str, expected: torch.Tensor, made: torch.Tensor) -> Difference:
    """Compare two tensors, NaN equal to NaN."""
    infinite = float("inf")
    shape, other = shape_of(expected), shape_of(made)
    if shape != other or expected.dtype != made.dtype:
        note = f"{made.dtype} {other}, not {expected.dtype} {shape}"
        return Difference(name, False, infinite, infinite, note)
    if expected.device.type == "meta":
        return Difference(name, True)
    a, b = expected.detach(), made.detach()
    if a.layout is not torch.strided or a.is_nested or a.is_quantized:
        a, b = dense(a), dense(b)
    if a.dtype is torch.complex32:  # torch compares no half complex numbers
        a, b = torch.view_as_real(a), torch.view_as_real(b)
    if torch.equal(a, b):
        return Difference(name, True)
    if a.shape != b.shape:
        return Difference(name, False, infinite, infinite, "other structure")
    if not (a.is_floating_point() or a.is_complex()):
        gap = (a.double() - b.double()).abs().max().item()
        return Difference(name, False, gap, infinite, "")
    nan_a, nan_b = a.isnan(), b.isnan()
    if not torch.equal(nan_a, nan_b):
        return Difference(name, False, infinite, infinite, "NaN in other places")
    same = nan_a | (a == b)
    if same.all():
        return Difference(name, True)
    wide = torch.complex128 if a.is_complex() else torch.float64
    gap = (a.to(wide) - b.to(wide)).abs()[~same]
    scale = a.to(wide)[~nan_a].abs()
    scale = scale[scale.isfinite()].max().clamp(min=1e-30)
    return Difference(name, False, gap.max().item(), (gap.max() / scale).item())


def _first_difference(
    graph: Graph, model: Any, args: Any, kwargs: Any
) -> tuple[Node, Difference] | None:
    """Run model and graph in step and return the first node whose values differ."""
    kept: list[tuple[Node, list[torch.Tensor]]] = []
    with contextlib.suppress(Diverged):
        replay(
            graph,
            *_copies(args, kwargs),
            check=False,
            watch=lambda node, out: kept.append((node, [t.detach().clone() for t in out])),
        )
    found: list[tuple[Node, Difference]] = []
    position = 0

    def compare(node: Node, tensors: Sequence[torch.Tensor]) -> None:
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

    copies = _copies(args, kwargs)
    with _initial_state(graph, model), contextlib.suppress(Error):
        record(model, *copies, witness=graph.audit.witnessed, watch=compare)
    return found[0] if found else None


def _alike(a: Node, b: Node) -> bool:
    return (
        a.op == b.op
        and a.path == b.path
        and [v.type for v in a.outputs] == [v.type for v in b.outputs]
    )


def _perturb(
    check: Check, graph: Graph, model: Any, args: Any, kwargs: Any, tolerance: float
) -> None:
    """Compare on inputs of the same shapes and other elements."""
    generator = torch.Generator().manual_seed(0)

    def change(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.device.type != "cpu" or tensor.layout is not torch.strided or tensor.is_nested:
            return tensor
        if tensor.is_floating_point():
            noise = torch.rand(tensor.shape, generator=generator, dtype=torch.float32)
            return (
                (tensor.detach() * (0.9 + 0.2 * noise)).to(tensor.dtype).as_subclass(type(tensor))
            )
        if tensor.dtype in (torch.int64, torch.int32) and tensor.numel() > 1:
            flat = tensor.detach().reshape(-1)
            return flat[torch.randperm(len(flat), generator=generator)].reshape(tensor.shape)
        return tensor

    parts = structure.template((args, kwargs), change, deep=True)
    args, kwargs = structure.build(parts, _Never, lambda leaf: leaf)
    try:
        expected, written = run_model(graph, model, args, kwargs)
    except Exception as error:  # noqa: BLE001  the model itself may refuse such inputs
        check.perturbed = f"the model refuses them ({type(error).__name__})"
        return
    final: dict[str, torch.Tensor] = {}
    try:
        made = replay(graph, *_copies(args, kwargs), final=final)
    except Diverged as error:
        check.perturbed = "diverged"
        check.notes.append(f"on perturbed inputs: {error}")
        return
    differences = compare_outputs(expected, made)
    differences += [compare_tensors(n, t, final[n]) for n, t in written.items()]
    check.perturbed = _verdict(differences, tolerance)
    if check.perturbed == "wrong":
        check.verdict = "wrong"
        base = _flat(replay(graph, *_copies(args, kwargs), check=False))
        check.frozen = [d.name for d in differences if not d.equal and d.name in base]
        check.notes.append("exact on the inputs given, but not on perturbed ones")
