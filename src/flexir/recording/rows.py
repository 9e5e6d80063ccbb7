"""Calls in a row as examples of one graph: what one leaves in the model, the next begins with.

Counters, a buffer that is ``None`` at first, lists and caches that grow are attributes of modules.
Those that the calls change become an input of the graph, ``held``, and what the call leaves in it
is what the next one is given; so numbers, sizes and paths that depend on them are live like those
of any other input. Owns which attributes these are and how they are put into the model and read.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch

from ..errors import CaptureError, Diverged
from ..graph.account import NOTHING, Text
from ..graph.generators import drawing_aside
from ..graph.geometry import copy_like
from ..graph.graph import HELD, Graph
from ..graph.inputs import Inputs
from .eager import copies_of
from .examples import merged
from .naming import Dims
from .proof import equal
from .state import Holdings


def in_a_row(
    model: Callable[..., Any], calls: Sequence[Inputs], dims: Dims | None, **options: Any
) -> Graph:
    """One graph of several calls in a row; see :func:`flexir.capture`.

    Raises:
        CaptureError: the model is no module, or has an argument of the name that state gets.
        Exception: what the model raises.
    """
    if not isinstance(model, torch.nn.Module):
        raise CaptureError("calls in a row go on from what a module holds; this is no module")
    places = _changed(model, calls)
    row = _Stateless(model, places)
    examples, results, first = [], [], copies_of(row.held(), {})[0]
    try:
        for inputs in calls:
            args, kwargs = copies_of(*inputs)
            examples.append(Inputs(*args, **kwargs, held=copies_of(row.held(), {})[0]))
            args, kwargs = copies_of(*inputs)
            results.append(model(*args, **kwargs))
        graph = merged(row, examples, dims, within=model, carried=tuple(places), **options)
    except BaseException:
        row.put(first)
        raise
    graph.carried = first
    for one in (graph, *graph.variants):
        one.name = type(model).__name__
    _prove(graph, calls, results)
    return graph


def _prove(graph: Graph, calls: Sequence[Inputs], results: Sequence[Any]) -> None:
    """Call the graph as the model was called; what is not the same is a problem of the audit."""
    run = graph.start()
    for number, (inputs, result) in enumerate(zip(calls, results)):
        try:
            args, kwargs = copies_of(*inputs)
            if equal(run(*args, **kwargs), result):
                continue
            why = "the graph gives something else than the model"
        except Diverged as error:
            why = str(error)
        graph.audit.problems.append(f"call {number} in a row: {why}")
        return


class _Stateless:
    """A model whose changing attributes are an argument.

    Attributes:
        places: path of an attribute -> the module that has it, and its name there.
    """

    def __init__(self, model: torch.nn.Module, places: dict[str, tuple[Any, str]]) -> None:
        self.model, self.places = model, places
        own = inspect.signature(model.forward).parameters
        if HELD in own:
            raise CaptureError(f"what calls leave behind is given as {HELD!r}; the model has that")
        held = inspect.Parameter(HELD, inspect.Parameter.KEYWORD_ONLY)
        last = [p for p in own.values() if p.kind is p.VAR_KEYWORD]
        parameters = [p for p in own.values() if p.kind is not p.VAR_KEYWORD]
        self.__signature__ = inspect.Signature([*parameters, held, *last])

    def __call__(self, *args: Any, held: dict[str, Any], **kwargs: Any) -> Any:
        before = self.held()
        self.put(held)
        try:
            result = self.model(*args, **kwargs)
            held.update(self.held())
        finally:
            self.put(before)
        return result

    def held(self) -> dict[str, Any]:
        """What stands at each place now."""
        return {
            path: next((group[name] for group in _groups(module) if name in group), NOTHING)
            for path, (module, name) in self.places.items()
        }

    def put(self, held: dict[str, Any]) -> None:
        """Make the model hold these things."""
        for path, (module, name) in self.places.items():
            groups = [group for group in _groups(module) if name in group]
            part = held[path]
            if isinstance(part, Text) and part == NOTHING:  # a copy of it, maybe
                for group in groups:
                    del group[name]
            elif groups:
                groups[0][name] = part
            else:
                vars(module)[name] = part


def _groups(module: torch.nn.Module) -> tuple[dict[str, Any], ...]:
    return module._buffers, module._parameters, vars(module)


def _changed(model: torch.nn.Module, calls: Sequence[Inputs]) -> dict[str, tuple[Any, str]]:
    """The attributes of modules that the calls change; the model is left as it was."""
    held = Holdings(model)
    kept = {id(t): (t, t._version, copy_like(t.detach()) if kind != "parameter" else None)
            for t, kind, _ in held.tensors.values() if not t.is_inference()}  # fmt: skip
    found: dict[str, tuple[Any, str]] = {}
    try:
        with drawing_aside():
            for inputs in calls:
                args, kwargs = copies_of(*inputs)
                model(*args, **kwargs)
                other = held.changes()
                paths = {one.path for one in other.replaced} | {one.path for one in other.changes}
                paths.update(held.tensors[one][2][0] for one in kept if _is_written(*kept[one]))
                found.update(_places(model, paths))  # what a call leaves, the next may remove
        return dict(sorted(found.items()))
    finally:
        held.restore()
        for tensor, version, copy in kept.values():
            if copy is not None and _is_written(tensor, version, copy):
                if tensor.shape != copy.shape:
                    tensor.data = copy
                tensor.data.copy_(copy)


def _is_written(tensor: torch.Tensor, version: int, copy: torch.Tensor | None) -> bool:
    """Whether calls wrote a tensor; torch counts not all that it does (``batch_norm``)."""
    return tensor._version != version or copy is not None and not equal(tensor, copy)


def _places(model: torch.nn.Module, paths: set[str]) -> dict[str, tuple[Any, str]]:
    """The attribute of a module in which each path lies; what lies elsewhere stays a change."""
    found: dict[str, tuple[Any, str]] = {}
    modules = sorted(model.named_modules(), key=lambda pair: -len(pair[0]))
    for path in sorted(paths):
        for prefix, module in modules:
            if prefix and not path.startswith(f"{prefix}."):
                continue
            name = path[len(prefix) + 1 if prefix else 0 :].partition(".")[0]
            if any(name in group for group in _groups(module)) or prefix:
                found.setdefault(f"{prefix}.{name}".lstrip("."), (module, name))
            break
    return found
