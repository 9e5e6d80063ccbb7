"""One model of the zoo."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Entry:
    """A model and inputs it runs on.

    Attributes:
        name: unique in its family, such as ``resnet50``.
        factory: makes the model, in eval mode, weights random.
        example: makes (args, kwargs).
        family: ``torchvision``, ``timm`` or ``transformers``.
    """

    name: str
    factory: Callable[[], torch.nn.Module]
    example: Callable[[], tuple[tuple[Any, ...], dict[str, Any]]]
    family: str = ""

    def make(self, seed: int = 0) -> tuple[torch.nn.Module, tuple[Any, ...], dict[str, Any]]:
        """The model in eval mode and its inputs, the same on every call."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = self.factory().eval()
            args, kwargs = self.example()
        return model, args, kwargs
