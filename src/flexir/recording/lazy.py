"""Lazy modules (``torch.nn.LazyLinear``): their weights are made before the run that is watched.

They are made by the first call a model gets. Were that the watched one, the graph would draw new
weights at every call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.nn.parameter import is_lazy

from .eager import copies_of


class NotInitialised(Exception):
    """The model holds weights that its first call makes."""


def those_made(held: Sequence[torch.Tensor], initialised: bool) -> list[torch.Tensor]:
    """The tensors of a model, without the uninitialised parameters of lazy modules.

    Args:
        held: what the model holds.
        initialised: a weight that is not there is that of an unused module, not one that the call
            under way may yet make.
    """
    found = [t for t in held if t.__class__ is torch.nn.Parameter or not is_lazy(t)]
    if len(found) < len(held) and not initialised:
        raise NotInitialised
    return found


def initialise(model: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Call a model once, for its weights to be made.

    On copies of the inputs and in evaluation mode: running statistics and dropout take no part.
    """
    root = getattr(model, "__self__", model)
    modules = list(root.modules()) if isinstance(root, torch.nn.Module) else []
    training = [module.training for module in modules]
    for module in modules:
        module.training = False
    try:
        with torch.no_grad():
            args, kwargs = copies_of(args, kwargs)
            model(*args, **kwargs)
    finally:
        for module, mode in zip(modules, training):
            module.training = mode
