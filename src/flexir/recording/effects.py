"""Facts about a torch call that neither its arguments nor its result show.

Whether an autograd Function makes it, whether it changes geometry alone, whether ATen ops beneath
it draw or write. Asks torch and the stack; records nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

import torch

from ..calls.names import name_of, overloads

_APPLY = torch.autograd.Function.apply.__code__


def inside_autograd_function(frame: FrameType | None, until: CodeType | None) -> bool | None:
    """Whether the ``forward`` of a custom ``torch.autograd.Function`` is under way.

    Args:
        frame: where to begin to look, outwards.
        until: the code whose frame ends the search undecided.

    Returns:
        None if it was not found before ``until``.
    """
    while frame is not None:
        code = frame.f_code
        if code is _APPLY:
            return True
        if code is until:
            return None
        frame = frame.f_back
    return False


@functools.lru_cache(maxsize=None)
def changes_view_only(func: Callable[..., Any]) -> bool:
    """Whether an in-place call changes a tensor's geometry and leaves its memory alone."""
    name = name_of(func)
    packet = getattr(torch.ops.aten, name, None)
    if packet is None or name == "set_data":  # which has no tag
        return packet is not None
    return any(torch.Tag.inplace_view in overload.tags for overload in overloads(packet))


@functools.lru_cache(maxsize=None)
def beneath(func: Any) -> tuple[bool, Any]:
    """Whether an ATen op draws random numbers, and its schema if it writes."""
    schema = func._schema
    return torch.Tag.nondeterministic_seeded in func.tags, schema if schema.is_mutable else None
