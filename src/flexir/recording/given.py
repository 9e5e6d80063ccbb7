"""The containers a call is given, before and after it: a list that grew, a cache of new tensors.

Owns which arguments hold something else after the run (the recorder keeps what, as ``graph.left``)
and a line of the audit for each changed container that the model does not return. Compares
containers and objects by identity only: writes into the memory of tensors are :mod:`.writes`'.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from ..graph import tree
from ..graph.geometry import copy_like
from .changed import Changes
from .holders import FIXED, Holder
from .innards import Opaque, holder_of

_CLOSED = (torch.Tensor, torch.nn.Module, type, int, float, str)
_DEEP = 10_000  # containers looked at in the inputs of one call; more would cost more than the run


class Given:
    """The containers among the inputs of a call, as they were when this was made."""

    def __init__(self, inputs: dict[str, Any]) -> None:
        self._inputs = inputs
        self._holders = {id(h.thing): h for h in _containers(inputs, limit=_DEEP)}

    def parts(self) -> list[tuple[str, Any]]:
        """The arguments, by name, in which a container or object holds something else now."""
        names = {h.path.partition(".")[0] for h in self._holders.values() if not h.stands()}
        return [(name, part) for name, part in self._inputs.items() if name in names]

    def changed(self, result: Any, carried: str = "") -> list[str]:
        """A line for every container that holds something else now and is not in ``result``.

        Args:
            result: what the model returned.
            carried: an argument of which the next call is given what this one left in it.
        """
        found = Changes(self._holders)
        others = [holder for holder in self._holders.values()
                  if not holder.stands() and holder.path.partition(".")[0] != carried]  # fmt: skip
        if not others:
            return []
        returned = {id(holder.thing) for holder in _containers({"": result}, limit=_DEEP)}
        for holder in others:
            if id(holder.thing) not in returned:
                found.contents(holder, holder.before, holder.read())
        lines = [str(change) for change in found.changes]
        lines += [f"{path} was another tensor before the call" for path, _, _ in found.replaced]
        return [f"the call changed an input and does not return it, nor does the graph: {line}"
                for line in lines]  # fmt: skip


def _containers(parts: dict[str, Any], limit: int) -> Iterator[Holder]:
    """Every container and plain object in a nesting of them, each once, by its path."""
    seen: set[int] = set()
    todo = list(parts.items())
    while todo and len(seen) < limit:
        path, part = todo.pop()
        if part.__class__ in FIXED or isinstance(part, _CLOSED):
            continue
        if isinstance(part, tuple):
            todo += [(f"{path}.{i}", inner) for i, inner in enumerate(tuple.__iter__(part))]
            continue
        if id(part) in seen or callable(part):
            continue
        seen.add(id(part))
        holder = holder_of(part, path)
        if holder is None or isinstance(holder, Opaque):
            continue
        yield holder
        held = holder.before
        pairs = held.items() if isinstance(held, dict) else enumerate(held)
        todo += [(f"{path}.{key}" if path else str(key), inner) for key, inner in pairs]


def unshared(inputs: Any, known: Mapping[int, Any]) -> Any:
    """The inputs, copied where the model holds the very same tensor: another call's inputs will
    not be what the model holds.

    Args:
        inputs: any nesting of containers.
        known: id of a tensor that the model holds.
    """
    if not any(id(tensor) in known for tensor in tree.tensors_in(inputs)):
        return inputs
    copies: dict[int, torch.Tensor] = {}

    def copied(tensor: torch.Tensor) -> torch.Tensor:
        if id(tensor) not in known:
            return tensor
        if id(tensor) not in copies:
            copy = copy_like(tensor.detach()).requires_grad_(tensor.requires_grad)
            copies[id(tensor)] = copy
        return copies[id(tensor)]

    return tree.rebuilt(inputs, copied)
