"""What left torch for Python instead of a tensor: numbers and words, or facts about a tensor.

Pure functions of such values; which call gave them, and what that decides, is said by its node.
"""

from __future__ import annotations

from typing import Any

import torch

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


def as_literal(result: Any) -> Any:
    """What was answered about a tensor, as a literal: of objects, whether there is one."""
    if isinstance(result, (list, tuple)):
        return tuple(map(as_literal, result))
    return result if is_plain(result) else type(result).__name__
