"""A model run without being watched, from the state its capture began with.

Owns how that state is set up and how the model is put back as it was found.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator
from typing import Any

import torch

from ..errors import Diverged
from ..graph import tree
from ..graph.account import NOTHING, Begun, Text
from ..graph.choice import every
from ..graph.generators import States, default_of, drawing_aside
from ..graph.geometry import copy_like
from ..graph.graph import Graph
from ..graph.inputs import Inputs, bind_inputs
from ..graph.nodes import Value
from .holders import FIXED, Attributes
from .innards import holder_of
from .memory import version
from .state import Holdings


def run_model(
    graph: Graph,
    model: Callable[..., Any],
    args: Any,
    kwargs: Any,
    within: Any = None,
    held: Holdings | None = None,
    begun: States = (),
) -> tuple[Any, dict[str, torch.Tensor]]:
    """Run a model eagerly from the state its capture began with, and put its state back.

    Args:
        graph: what was captured.
        model: what is called.
        args: by position.
        kwargs: by name.
        within: what holds the state, if not the model.
        held: what stands there now, if it is known already.
        begun: where random generators were, if more is known than the graph says.

    Returns:
        its outputs, and name -> final value of what the graph says it writes or replaces.
    """
    args, kwargs = copies_of(args, kwargs)
    with initial_state(graph, within or model, held, begun):
        return run_once(graph, model, args, kwargs, within)


def run_once(
    graph: Graph, model: Callable[..., Any], args: Any, kwargs: Any, within: Any = None
) -> tuple[Any, dict[str, torch.Tensor]]:
    """As :func:`run_model`, from the state the model is in."""
    result = model(*args, **kwargs)
    inputs: dict[Value, torch.Tensor] = {}
    with contextlib.suppress(Diverged):  # the replay will say it again
        bind_inputs(graph, args, kwargs, inputs)
    written = {}
    names = {m.name: m.initial for m in graph.mutations}
    names.update({state.path: state.initial for state in graph.state})
    held = Holdings(within or model) if any(v not in inputs for v in names.values()) else None
    for name, initial in names.items():
        tensor = inputs.get(initial)
        if tensor is None and held is not None:
            tensor = held.get(name)
        if isinstance(tensor, torch.Tensor):
            written[name] = copy_like(tensor.detach())
    return tree.rebuilt(result, lambda t: t.detach().clone()), written


@contextlib.contextmanager
def initial_state(
    graph: Graph, model: Any, held: Holdings | None = None, begun: States = ()
) -> Iterator[list[str]]:
    """The model with what it keeps, and the random generators, as the capture found them.

    What stands there now is put back in the end.

    Args:
        graph: of the capture.
        model: what was captured.
        held: what stands there now, if it is known already.
        begun: where random generators were, if more is known than the graph says.

    Yields:
        paths of what could not be set back, because the graph holds it only as a text.
    """
    held, lost = held or Holdings(model), []
    by_name = {n: tensor for tensor, _, names in held.tensors.values() for n in names}
    saved = [(one, version(one), copy_like(one.detach())) for one, *_ in held.tensors.values()
             if not isinstance(one, torch.nn.Parameter)
             and one.layout is torch.strided]  # fmt: skip
    for mutation in graph.mutations:
        tensor = by_name.get(mutation.name)
        initial = graph.constants.get(mutation.initial)
        if tensor is None or initial is None or tensor.shape != initial.shape:
            continue
        saved.append((tensor, -2, copy_like(tensor.detach())))
        tensor.data.copy_(initial)
    written = {id(tensor) for tensor, number, _ in saved if number == -2}
    for state in graph.state:
        if state.initial in graph.constants and id(by_name.get(state.path)) not in written:
            held.put(state.path, copy_like(graph.constants[state.initial].detach()))
    for change in graph.audit.changes:
        if isinstance(change.kept, Begun):
            begun = (*begun, change.kept)
            continue
        kept = change.before if change.kept is None else change.kept
        known = not isinstance(kept, Text) or kept == NOTHING
        if not (known and held.put(change.path, copy.copy(kept)) or held.forget(change.path)):
            lost.append(change.path)
    try:
        with drawing_aside():
            _rewind(graph)
            for generator, begin in begun:
                generator.set_state(begin)
            yield lost
    finally:
        held.restore()
        for tensor, number, before in saved:
            if number != version(tensor) or not _holds(tensor, before):
                tensor.data.copy_(before)


def _holds(tensor: torch.Tensor, before: torch.Tensor) -> bool:
    """Whether a tensor holds what it held; batch norm writes its statistics and tells nobody."""
    return tensor.device.type == "meta" or torch.equal(tensor, before)


def _rewind(graph: Graph) -> None:
    """Set the generators a graph draws from to where its run began."""
    for node in every(graph.nodes):
        state, given = node.effects.generator, node.args.get("generator")
        if state is not None and node.effects.goes_on:
            source = given if isinstance(given, torch.Generator) else default_of(node)
            source.set_state(state)


def copied_inputs(inputs: Inputs) -> Inputs:
    """Inputs of a call, copied as by :func:`copies_of`."""
    args, kwargs = copies_of(*inputs)
    return Inputs(*args, **kwargs)


def copies_of(args: Any, kwargs: Any) -> tuple[Any, Any]:
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

    opened = tree.template((args, kwargs), copy, deep=True)
    own: tuple[Any, Any] = tree.build(_apart(opened, set()), type(None), lambda none: none)
    return own


def _apart(part: Any, seen: set[int]) -> Any:
    """A template with copies of the plain objects in it that hold no tensor yet: empty caches."""
    cls = part.__class__
    if cls is tuple or cls is list:
        return cls([_apart(inner, seen) for inner in part])
    if cls is dict:
        return {key: _apart(inner, seen) for key, inner in part.items()}
    if cls is tree.Record:
        if id(part) not in seen:
            seen.add(id(part))
            part.items = _apart(part.items, seen)
            part.attributes = _apart(part.attributes, seen)
        return part
    if isinstance(part, (torch.Tensor, int, float, str)) or cls in FIXED or callable(part):
        return part
    return copy.deepcopy(part) if isinstance(holder_of(part, ""), Attributes) else part


@contextlib.contextmanager
def no_fast_path() -> Iterator[None]:
    """Context manager: attention and transformer layers call the functions in their source."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
