"""One size more than was shown, made of two examples: what varies there, too, is not fixed.

A size that was the same in all examples is fixed and checked. By chance it may be one that follows
from others that varied: 25 and 30 rows, both padded to 32. So the graph is run once more, as far
from one example as that one is from another; a size that is another there varies. What comes out is
compared with nothing: the model is not run, and may not take such a size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from ..graph import tree
from ..graph.inputs import Inputs


def extrapolated(shown: Sequence[Inputs]) -> Inputs | None:
    """Inputs of a size that lies beyond two that were shown; None where none can be made.

    Args:
        shown: examples that fit one graph.
    """
    for other in reversed(shown[1:]):
        pairs = list(zip(_tensors(shown[0]), _tensors(other)))
        if any(len(a.shape) != len(b.shape) or a.layout is not torch.strided for a, b in pairs):
            return None
        if all(a.shape == b.shape for a, b in pairs):
            continue
        made = map(_beyond, *zip(*pairs))
        args, kwargs = _with(shown[0], made)
        return Inputs(*args, **kwargs)
    return None


def _with(inputs: Inputs, tensors: Iterator[torch.Tensor]) -> Any:
    """Inputs with other tensors, in reading order."""
    return tree.rebuilt(tuple(inputs), lambda _: next(tensors))


def _tensors(inputs: Inputs) -> Iterator[torch.Tensor]:
    found: list[torch.Tensor] = []
    tree.template(tuple(inputs), found.append, deep=True)
    return iter(found)


def _beyond(one: torch.Tensor, other: torch.Tensor) -> Any:
    """As far from the larger of two tensors as that is from the smaller; elements come again."""
    made = one.detach()
    for dim, (a, b) in enumerate(zip(one.shape, other.shape)):
        many = max(a, b) + abs(a - b)
        if a != b and a:
            made = made.index_select(dim, torch.arange(many, device=one.device) % a)
    return made.clone()
