"""Arguments of a module call, or of the whole model, by the names its ``forward`` gives them.

Reads signatures and the frame of the call; calls nothing and changes no argument.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from types import FrameType, FunctionType
from typing import Any

import torch


def bind_model_call(
    model: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]
) -> tuple[list[tuple[str, int]], dict[str, Any], dict[str, torch.Tensor]]:
    """Parameters of a model's call, its arguments by name, and defaults that are tensors.

    Other defaults are filled in among the arguments.
    """
    try:
        if isinstance(model, torch.nn.Module):
            found, _, _ = _forward_of(model)
        else:
            found = inspect.signature(model)
        signature = _ANYTHING if found is None else found
        bound = signature.bind(*args, **kwargs)
    except (TypeError, ValueError):
        signature = _ANYTHING
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


_ANYTHING = inspect.Signature(
    [
        inspect.Parameter("args", inspect.Parameter.VAR_POSITIONAL),
        inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD),
    ]
)
_forwards: dict[Any, tuple[inspect.Signature | None, tuple[str, ...], dict[str, Any]]] = {}


def bind_forward(module: torch.nn.Module, args: Any, caller: FrameType) -> dict[str, Any]:
    """Arguments of a module call by the names its ``forward`` gives them, defaults filled in.

    ``caller`` is the frame that runs the hooks. Global pre-hooks are not given the keywords; it
    holds them.
    """
    signature, names, defaults = _forward_of(module)
    if names and len(args) == len(names):  # no room for keywords
        return dict(zip(names, args))
    kwargs = caller.f_locals.get("kwargs") or {}
    if names and not kwargs and len(args) < len(names):  # plain positional arguments
        named = dict(zip(names, args))
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


def _forward_of(
    module: torch.nn.Module,
) -> tuple[inspect.Signature | None, tuple[str, ...], dict[str, Any]]:
    """What :func:`_read_forward` says of a module's ``forward``; methods are read once."""
    method = getattr(type(module), "forward", None)
    if "forward" in vars(module) or not isinstance(method, FunctionType):
        return _read_forward(module.forward, bound=True)
    known = _forwards.get(method)
    if known is None:
        if isinstance(inspect.getattr_static(type(module), "forward"), staticmethod):
            return _read_forward(method, bound=True)
        known = _forwards[method] = _read_forward(method, bound=False)
    return known


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
