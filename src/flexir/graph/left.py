"""What a call leaves in the objects it was given, put there: a cache that grew, a list, a count.

A graph takes tensors and gives tensors, and a replay leaves the caller's objects as they are.
Where it stands for the model in a user's own code, that code goes on with these very objects. Owns
how they get what ``graph.left`` says; what that is, is found while recording.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch

from ..errors import Diverged
from . import places, tree
from .graph import Graph
from .inputs import bind_inputs, bind_part, bound_arguments
from .nodes import Value

_ABSENT = object()


class Answered(NamedTuple):
    """What an engine gives that also tells what a call leaves in its inputs.

    Attributes:
        outputs: what the model would return.
        left: argument name -> what stands in it after the call, as ``graph.left`` has it.
    """

    outputs: Any
    left: dict[str, Any]


def put_back(graph: Graph, args: Any, kwargs: Any, env: Mapping[Value, Any]) -> Any:
    """Leave in the inputs of a call what the model would have left there.

    Args:
        graph: whose call it was; without variants.
        args: by position.
        kwargs: by name.
        env: what its results are.

    Returns:
        what the model returned; objects it was given are the given ones.
    """
    given: dict[Value, Any] = {}
    bind_inputs(graph, args, kwargs, given, as_given=True)
    finals: dict[Value, Any] = {}
    for _, initial, final in graph.mutations:
        if isinstance(tensor := given.get(initial), torch.Tensor):
            finals[final] = _overwritten(tensor, env[final])

    def look(value: Value) -> Any:
        return finals[value] if value in finals else env[value]

    arguments = bound_arguments(graph, args, kwargs)
    known: dict[int, Any] = {}
    for name, part in graph.left.items():
        _into(arguments.get(name, _ABSENT), part, look, known)
    return tree.build(graph.outputs, Value, look, known)


def results_in(graph: Graph, made: Any) -> dict[Value, Any]:
    """What the results of a graph are, read from what an engine gave in its stead.

    Raises:
        Diverged: the model leaves something in its inputs that it does not return.
    """
    found: dict[Value, Any] = {}
    outputs, left = made if isinstance(made, Answered) else (made, {})
    outputs, left = tree.template([outputs, left], lambda t: t, deep=True)
    bind_part("the output", graph.outputs, outputs, found)
    for name, part in left.items():
        bind_part(name, graph.left[name], part, found)
    inputs = set(graph.input_values)
    wanted = [(m.name, m.final) for m in graph.mutations if m.initial in inputs]
    for path, value in (*places.paths(graph.left, Value), *wanted):
        if value not in found and value not in inputs:
            raise Diverged(
                f"the model leaves a new tensor in {path!r}, which it does not return; an engine "
                "that gives what the model returns cannot tell it. Let it give both: "
                "Answered(outputs, left)"
            )
    return found


def _overwritten(tensor: torch.Tensor, final: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        if tensor.shape == final.shape:
            return tensor.copy_(final)
        tensor.data = final.detach()  # it was resized
    return tensor


def _into(old: Any, part: Any, look: Any, known: dict[int, Any]) -> Any:
    """A template built into what stands there, as far as that is of its kind."""
    cls = part.__class__
    if cls is tuple and isinstance(old, tuple) and len(old) == len(part):
        return tuple([_into(one, inner, look, known) for one, inner in zip(old, part)])
    if cls is dict and old.__class__ is dict:
        made = {key: _into(old.get(key), inner, look, known) for key, inner in part.items()}
        old.clear()
        old.update(made)
        return old
    if cls is list and old.__class__ is list:
        old[:] = _items(old, part, look, known)
        return old
    if cls is not tree.Record or part.cls is not type(old) or issubclass(part.cls, tuple):
        return tree.build(part, Value, look, known)
    if id(part) in known:
        return known[id(part)]
    known[id(part)] = old
    if isinstance(part.items, dict):
        held = {key: _into(dict.get(old, key), inner, look, known)
                for key, inner in part.items.items()}  # fmt: skip
        tree.refill(old, held)
    elif part.items is not None:
        list.__setitem__(old, slice(None), _items(old, part.items, look, known))
    for key in tree.parts_of(old).keys() - part.attributes.keys():
        object.__delattr__(old, key)
    for key, inner in part.attributes.items():  # slots among them
        object.__setattr__(old, key, _into(getattr(old, key, None), inner, look, known))
    return old


def _items(old: list[Any], part: list[Any], look: Any, known: dict[int, Any]) -> list[Any]:
    before = [*list.__iter__(old), *[None] * len(part)]
    return [_into(one, inner, look, known) for one, inner in zip(before, part)]
