"""Arguments of a module call, or of the whole model, by the names its ``forward`` gives them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch


def bind_inputs(
    model: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]
) -> tuple[list[tuple[str, int]], dict[str, Any]]:
    """Parameters of a model's call and its arguments by name, defaults filled in."""
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
    bound.apply_defaults()
    names = [(p.name, int(p.kind)) for p in signature.parameters.values()]
    return names, dict(bound.arguments)


_forward_signatures: dict[Any, inspect.Signature | None] = {}


def bind_forward(module: torch.nn.Module, args: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Arguments of a module call by the names its ``forward`` gives them."""
    shared = getattr(type(module), "forward", None)
    forward = shared if shared is not None and "forward" not in vars(module) else module.forward
    signature = _forward_signatures.get(forward)
    if signature is None and forward not in _forward_signatures:
        try:
            signature = inspect.signature(forward)
            if forward is shared:
                parameters = list(signature.parameters.values())[1:]
                signature = signature.replace(parameters=parameters)
        except (TypeError, ValueError):
            signature = None
        if forward is shared:
            _forward_signatures[forward] = signature
    if signature is not None:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError:
            pass
        else:
            bound.apply_defaults()
            return dict(bound.arguments)
    return {**{f"arg{i}": a for i, a in enumerate(args)}, **kwargs}
