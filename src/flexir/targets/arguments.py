"""What handlers of several engines ask of the arguments of a call. Knows no engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from flexir import Unsupported


def fail_unless(condition: Any, reason: str) -> None:
    """Decline the call."""
    if not condition:
        raise Unsupported(reason)


def dims(dim: Any, rank: int) -> list[int]:
    """Dimensions counted from the front, in order; all of them for None or none."""
    given = [] if dim is None else [dim] if isinstance(dim, int) else list(dim)
    return sorted(d % max(rank, 1) for d in given)[:rank] if given else list(range(rank))


def each(value: Any, count: int) -> list[Any]:
    """A setting of every spatial dimension, where one number may stand for all of them."""
    made = list(value) if isinstance(value, (list, tuple)) else [value]
    return made * count if len(made) == 1 else made


def around(padding: Any, kernel: Sequence[int], dilation: Sequence[int]) -> list[tuple[int, int]]:
    """Padding before and behind each spatial dimension of a convolution."""
    if padding == "same":
        whole = [d * (k - 1) for k, d in zip(kernel, dilation)]
        return [(n // 2, n - n // 2) for n in whole]
    return [(n, n) for n in each(0 if padding == "valid" else padding, len(kernel))]


class Windows(NamedTuple):
    """The windows of a pool: a number for each spatial dimension."""

    kernel: list[int]
    stride: list[int]
    dilation: list[int]
    before: list[int]
    behind: list[int]


def windows(
    sizes: Sequence[Any], made: Sequence[Any], kernel: Any, stride: Any, padding: Any,
    dilation: Any = 1,
) -> Windows:  # fmt: skip
    """Windows of a pool, padded behind so that there are as many as torch made.

    Args:
        sizes: spatial, of the input; one that is no number is padded behind as before.
        made: those of the result.
        kernel: as torch has it, like all that follow.
        stride: the kernel, where there is none.
        padding: before.
        dilation: between elements of a window.
    """
    rank = len(sizes)
    kernel, before, dilation = (each(part, rank) for part in (kernel, padding, dilation))
    stride = each(stride, rank) if stride not in (None, (), []) else kernel
    behind = [
        max((m - 1) * s + d * (k - 1) + 1 - n - p, 0) if isinstance(n, int) else p
        for n, m, k, s, p, d in zip(sizes, made, kernel, stride, before, dilation)
    ]
    return Windows(kernel, stride, dilation, before, behind)


def pairs_of(pad: Sequence[int], rank: int) -> list[tuple[int, int]]:
    """What ``pad`` adds before and behind each dimension, the first of them first."""
    return [(0, 0)] * (rank - len(pad) // 2) + list(zip(pad[-2::-2], pad[::-2]))


def split_index(indices: Any) -> list[Any]:
    """The parts of an index; torch takes a list of more than numbers for a tuple, too."""
    listed = isinstance(indices, list) and not all(isinstance(p, (int, list)) for p in indices)
    return list(indices) if listed or isinstance(indices, tuple) else [indices]


def scattered(op: str, how: dict[str, Any]) -> str | None:
    """What becomes of elements that meet: ``sum``, ``prod``, ``amax``, ``amin``; None: the last."""
    asked: Any = "sum" if op == "scatter_add" else how.get("reduce")
    kind: str | None = {"add": "sum", "multiply": "prod"}.get(asked, asked)
    include_self = how.get("include_self", True)
    fail_unless(
        kind in (None, "sum", "prod", "amax", "amin") and include_self,
        f"reduce={kind!r}, include_self={include_self}",
    )
    return kind


def scaled_by_sizes(before: Any, after: Any, factor: Any, recomputed: Any) -> None:
    """Decline to resize by another scale than that of the sizes, which is all an engine knows."""
    if factor is None or recomputed:
        return
    factors = factor if isinstance(factor, (tuple, list)) else [factor] * len(before)
    same = all(n * f == m for n, f, m in zip(before, factors, after))
    fail_unless(same, f"scale {factor}, which is not that of the sizes")
