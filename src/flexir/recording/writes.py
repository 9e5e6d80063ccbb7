"""What a call writes: told before it runs by torch's marks, afterwards by the write counters.

Owns the copies of constants that are about to be written; changes no tensor.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from ..graph.geometry import copy_like, storage_of
from ..graph.tree import tensors_in
from .call import Call
from .constants import Origins
from .effects import changes_view_only
from .ssa import ValueTable


def written_by(schema: Any, args: Any, kwargs: dict[str, Any]) -> Iterator[Any]:
    """The arguments that an ATen op writes, as its schema says."""
    for position, argument in enumerate(schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            yield args[position] if position < len(args) else kwargs.get(argument.name)


def save_initial(part: Any, func: Any, table: ValueTable, found: Origins) -> None:
    """Keep the initial value of constants that a call is about to write."""
    for tensor in tensors_in(part):
        alias = table.aliases.get(id(tensor))
        alone = alias is not None and table.is_alone(alias, storage_of(tensor))
        if alone and not changes_view_only(func):
            continue
        memory = table.memory(storage_of(tensor))
        if memory is None or memory.kind != "constant":
            continue
        for value in memory.values:
            kept = found.constants.get(value)
            if kept is not None and table.memory(storage_of(kept)) is memory:
                found.constants[value] = copy_like(kept.detach())


def marked(call: Call, written: dict[int, torch.Tensor]) -> dict[int, torch.Tensor]:
    """Which tensors a call wrote: torch's marks where there are any, else the write counters.

    ``inplace=True`` of a Python function is a wish, not a mark: the counters say whether it
    was heard, but for tensors of inference mode, which have none.

    Args:
        call: that has run.
        written: the tensors whose counters have moved, by their ids.
    """
    signature, named = call.signature, call.named
    if len(written) == 1 == len(call.marked) and id(named.get(*call.marked)) in written:
        return written  # the common case: it is marked, and was written
    certain = signature.writes.union(signature.unmarked_writes(named), ("out",))
    sure = {
        id(t): t
        for name in call.marked
        for t in tensors_in(named.get(name))
        if name in certain or id(t) in written or t.is_inference()
    }
    return sure if signature.schema else {**written, **sure}
