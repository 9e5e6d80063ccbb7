"""PyTorch's own example set for torch.export, as cases: modules some of which export refuses."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import torch


def names() -> list[str]:
    """Names of all examples."""
    return sorted(_examples())


def dynamic() -> list[str]:
    """Names of those of dynamic shapes or values, and of control flow, as they are tagged."""
    words = ("dynamic", "control-flow", "cond", "map", "assert")
    examples = _examples()
    return [n for n in names() if any(w in tag for w in words for tag in examples[n].tags)]


def make(name: str) -> tuple[torch.nn.Module, tuple[Any, ...], dict[str, Any]]:
    """An example's model in eval mode and fresh inputs."""
    case = _examples()[name]
    args = copy.deepcopy(case.example_args)
    kwargs = copy.deepcopy(getattr(case, "example_kwargs", None) or {})
    return case.model.eval(), args, kwargs


def _examples() -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch._export.db.examples import all_examples

        return dict(all_examples())
