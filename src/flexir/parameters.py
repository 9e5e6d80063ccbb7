"""Arguments of a module call, or of the whole model, by the names its ``forward`` gives them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch


def bind_inputs(
    model: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]
) -> tuple[list[tuple[str, int]], dict[str, Any], dict[str, torch.Tensor]]:
    """Parameters of a model's call, its arguments by name, and defaults that are tensors.

    Other defaults are filled in among the arguments.
    """
    function = model.forward if isinstance(model, torch.nn.Module) else model
    try:
        signature = inspect.signature(function)
        bound = signature.bind(*args, **kwargs)
    except (TypeError, ValueError):
        parameters = [
            inspect.Parameter("args", inspect.Parameter.VAR_POSITIONAL),
            inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD),
        ]
        signature = inspect.Signature(parameters)
        bound = signature.bind(*args, **kwargs)
    given = set(bound.arguments)
    bound.apply_defaults()
    named = dict(bound.arguments)
    defaults = {}
    for name in named.keys() - given:
        if isinstance(named[name], torch.Tensor):  # a constant of the model, not an input
            defaults[name] = named.pop(name)
    names = [(p.name, int(p.kind)) for p in signature.parameters.values()]
    return names, named, defaults


_forwards: dict[Any, tuple[inspect.Signature | None, tuple[str, ...], dict[str, Any]]] = {}


def bind_forward(module: torch.nn.Module, args: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Arguments of a module call by the names its ``forward`` gives them, defaults filled in."""
    shared = getattr(type(module), "forward", None)
    if shared is None or "forward" in vars(module):
        signature, names, defaults = _read_forward(module.forward, bound=True)
    elif shared in _forwards:
        signature, names, defaults = _forwards[shared]
    else:
        signature, names, defaults = _forwards[shared] = _read_forward(shared, bound=False)
    if names and not kwargs and len(args) <= len(names):  # plain positional arguments
        named = dict(zip(names, args))
        if len(args) == len(names):
            return named
        named.update((n, defaults[n]) for n in names[len(args) :] if n in defaults)
        if len(named) == len(names):
            return named
    if signature is not None:
        try:
            filled = signature.bind(*args, **kwargs)
        except TypeError:
            pass
        else:
            filled.apply_defaults()
            return dict(filled.arguments)
    return {**{f"arg{i}": a for i, a in enumerate(args)}, **kwargs}


def _read_forward(
    forward: Any, *, bound: bool
) -> tuple[inspect.Signature | None, tuple[str, ...], dict[str, Any]]:
    """Signature, and names and defaults if all parameters may be given by position."""
    try:
        signature = inspect.signature(forward)
    except (TypeError, ValueError):
        return None, (), {}
    parameters = list(signature.parameters.values())[0 if bound else 1 :]
    signature = signature.replace(parameters=parameters)
    simple = all(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters)
    names = tuple(p.name for p in parameters) if simple else ()
    return signature, names, {p.name: p.default for p in parameters if p.default is not p.empty}
