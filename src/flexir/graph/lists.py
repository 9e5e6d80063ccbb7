"""Lists of tensors as Values: what calls on them mean.

A loop gives a list with an element for each round. Functions of torch that take lists take it as it
is; what Python does to lists are the calls below. Pure functions.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch


def element(input: Sequence[torch.Tensor], index: int) -> torch.Tensor:
    """``input[index]``."""
    return input[index]


def joined(parts: Sequence[torch.Tensor | Sequence[torch.Tensor]]) -> list[torch.Tensor]:
    """One list of tensors and the elements of lists."""
    found: list[torch.Tensor] = []
    for part in parts:
        found += [part] if isinstance(part, torch.Tensor) else part
    return found


FUNCTIONS = (element, joined)
