"""Whether a tensor is referenced outside a table; one that is not may be overwritten.

Counts references to the tensor, in Python and in C++, and to its storage. Where these counts are
not available, a tensor counts as referenced.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import torch

_storage_uses = getattr(torch._C, "_storage_Use_Count", None)
_tensor_uses = getattr(torch.Tensor, "_use_count", None)


def _holders(key: Any, one: Mapping[Any, Any], other: Mapping[Any, Any]) -> tuple[int, int, int]:
    """References to what both tables have under a key: in Python, in C++, and to its storage."""
    storage = one[key].untyped_storage()._cdata
    return sys.getrefcount(one[key]), _tensor_uses(one[key]), _storage_uses(storage)  # type: ignore[misc]


def _alone() -> tuple[int, int, int] | None:
    """What :func:`_holders` gives for an object without other references; None if unavailable."""
    if _storage_uses is None or _tensor_uses is None:
        return None
    one = {0: torch.empty(1)}
    return _holders(0, one, dict(one))


_ALONE = _alone()


def only_held_by(key: Any, one: Mapping[Any, Any], other: Mapping[Any, Any]) -> bool:
    """Whether nothing but two tables, which both have it under ``key``, leads to a tensor."""
    cls = type(one[key])
    if _ALONE is None or cls is not torch.Tensor or torch.is_grad_enabled():  # a graph of gradients
        return False
    if one[key].is_nested or one[key].layout is not torch.strided:
        return False
    # Memory that torch did not allocate belongs to another library or a file.
    return one[key].untyped_storage().resizable() and _holders(key, one, other) == _ALONE
