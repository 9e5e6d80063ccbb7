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


def each(value: Any, count: int) -> list[int]:
    """A setting of every spatial dimension, where one number may stand for all of them."""
    made = [value] if isinstance(value, int) else list(value)
    return made * count if len(made) == 1 else made


def scaled_by_sizes(before: Any, after: Any, factor: Any, recomputed: Any) -> None:
    """Decline to resize by another scale than that of the sizes, which is all an engine knows."""
    if factor is None or recomputed:
        return
    factors = factor if isinstance(factor, (tuple, list)) else [factor] * len(before)
    same = all(n * f == m for n, f, m in zip(before, factors, after))
    fail_unless(same, f"scale {factor}, which is not that of the sizes")
