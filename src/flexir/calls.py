"""What can be told of a call from its callable, its arguments and its result."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

import torch

from . import structure
from .names import name_of

_ABOUT = (type(NotImplemented), torch.dtype, torch.device, torch.layout, torch.memory_format)


def is_about(result: Any) -> bool:
    """Whether a value says something about a tensor that its elements do not decide."""
    if isinstance(result, (list, tuple)):
        return any(map(is_about, result)) and all(is_about(v) or is_plain(v) for v in result)
    return isinstance(result, _ABOUT)


def is_plain(result: Any) -> bool:
    """Whether a value is numbers and texts through and through."""
    if isinstance(result, (list, tuple)):
        return all(map(is_plain, result))
    return result is None or isinstance(result, (int, float, complex, str))


def answer(result: Any) -> Any:
    """What was answered about a tensor, as a literal: of objects, whether there is one."""
    if isinstance(result, (list, tuple)):
        return tuple(map(answer, result))
    return result if is_plain(result) else type(result).__name__


def inside_autograd_function(frame: FrameType | None, until: CodeType | None) -> bool | None:
    """Whether the ``forward`` of a custom ``torch.autograd.Function`` is under way.

    Args:
        frame: where to begin to look, outwards.
        until: the code whose frame ends the search undecided.

    Returns:
        None if it was not found before ``until``.
    """
    apply = torch.autograd.Function.apply.__func__.__code__
    while frame is not None:
        code = frame.f_code
        if code is apply:
            return True
        if code is until:
            return None
        frame = frame.f_back
    return False


def tensors_in(part: Any) -> list[torch.Tensor]:
    if isinstance(part, torch.Tensor):
        return [part]
    found: list[torch.Tensor] = []
    structure.template(part, found.append)
    return found


@functools.lru_cache(maxsize=None)
def changes_view_only(func: Callable[..., Any]) -> bool:
    """Whether an in-place call changes a tensor's geometry and leaves its memory alone."""
    name = name_of(func)
    packet = getattr(torch.ops.aten, name, None)
    if packet is None or name == "set_data":  # which has no tag
        return packet is not None
    tags = (getattr(packet, overload).tags for overload in packet.overloads())
    return any(torch.Tag.inplace_view in found for found in tags)


@functools.lru_cache(maxsize=None)
def beneath(func: Any) -> tuple[bool, Any]:
    """Whether an ATen op draws random numbers, and its schema if it writes."""
    schema = func._schema
    return torch.Tag.nondeterministic_seeded in func.tags, schema if schema.is_mutable else None
