"""One size more than was shown, made of two examples: what varies there, too, is not fixed.

A size that was the same in all examples is fixed and checked. By chance it may be one that follows
from others that varied: 25 and 30 rows, both padded to 32. So the graph is run once more, as far
from one example as that one is from another; a size that is another there varies. What comes out is
compared with nothing: the model is not run, and may not take such a size.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import torch

from ..graph import tree
from ..graph.inputs import Inputs


def extrapolated(shown: Sequence[Inputs], keeps: int | None = None) -> Inputs | None:
    """Inputs of a size that lies beyond two that were shown; None where none can be made.

    Args:
        shown: examples that fit one graph.
        keeps: 0 or 1: every second of the sizes that vary stays as in the first example, beginning
            with the first or the second one. Sizes that are equal in both examples are one.
    """
    for other in reversed(shown[1:]):
        pairs = _pairs(shown[0], other)
        if pairs is None:
            return None
        columns = dict.fromkeys(c for a, b in pairs for c in zip(a.shape, b.shape) if c[0] != c[1])
        if not columns:
            continue
        kept = set() if keeps is None else set(list(columns)[keeps::2])
        if len(kept) == len(columns) or keeps is not None and not kept:
            return None
        made = (_beyond(a, b, kept) for a, b in pairs)
        args, kwargs = _with(shown[0], made)
        return Inputs(*args, **kwargs)
    return None


def between(one: Inputs, other: Inputs) -> Inputs | None:
    """Inputs whose sizes lie halfway between two that were shown; None where none can be made."""
    pairs = _pairs(one, other)
    if pairs is None or all(abs(n - m) < 2 for a, b in pairs for n, m in zip(a.shape, b.shape)):
        return None
    made = (_of_size(a, [(n + m) // 2 for n, m in zip(a.shape, b.shape)]) for a, b in pairs)
    args, kwargs = _with(one, made)
    return Inputs(*args, **kwargs)


def _pairs(one: Inputs, other: Inputs) -> list[tuple[torch.Tensor, torch.Tensor]] | None:
    """The tensors of two examples; None where their sizes cannot be compared or changed."""
    pairs = list(zip(_tensors(one), _tensors(other)))
    if any(len(a.shape) != len(b.shape) or a.layout is not torch.strided for a, b in pairs):
        return None
    return pairs


def _with(inputs: Inputs, tensors: Iterator[torch.Tensor]) -> Any:
    """Inputs with other tensors, in reading order."""
    return tree.rebuilt(tuple(inputs), lambda _: next(tensors))


def _tensors(inputs: Inputs) -> Iterator[torch.Tensor]:
    found: list[torch.Tensor] = []
    tree.template(tuple(inputs), found.append, deep=True)
    return iter(found)


def _beyond(one: torch.Tensor, other: torch.Tensor, kept: Collection[tuple[int, int]]) -> Any:
    """As far from the larger of two tensors as that is from the smaller; elements come again."""
    pairs = zip(one.shape, other.shape)
    return _of_size(one, [a if (a, b) in kept else max(a, b) + abs(a - b) for a, b in pairs])


def _of_size(tensor: torch.Tensor, sizes: Sequence[int]) -> torch.Tensor:
    """A tensor of other sizes, but for those that are 0; elements come again."""
    made = tensor.detach()
    for dim, (old, new) in enumerate(zip(tensor.shape, sizes)):
        if new != old and old:
            made = made.index_select(dim, torch.arange(new, device=tensor.device) % old)
    return made.clone()
