"""What handlers of several engines ask of the arguments of a call. Knows no engine."""

from __future__ import annotations

from typing import Any

from flexir import Unsupported


def fail_unless(condition: Any, reason: str) -> None:
    """Decline the call."""
    if not condition:
        raise Unsupported(reason)


def dims(dim: Any, rank: int) -> list[int]:
    """Dimensions counted from the front, in order; all of them for None or none."""
    given = [] if dim is None else [dim] if isinstance(dim, int) else list(dim)
    return sorted(d % max(rank, 1) for d in given) if given else list(range(rank))
