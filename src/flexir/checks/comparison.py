"""What came of comparing an engine with torch: a Row for each call, a Comparison of all.

Plain data, and how one row is made of two lists of tensors; runs neither.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from ..graph.nodes import Node
from .diagnose import difference, magnitude


@dataclass(slots=True)
class Row:
    """One call.

    Attributes:
        node: the call.
        max_abs: largest absolute difference; infinite for a wrong shape or NaN.
        max_rel: the same over the largest magnitude torch gave.
        ok: within tolerance.
        note: why there is nothing to compare, or what the engine raised.
        causes: what would explain the difference, likeliest first.
    """

    node: Node
    max_abs: float = 0.0
    max_rel: float = 0.0
    ok: bool = True
    note: str = ""
    causes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        head = f"{'ok ' if self.ok else 'BAD'} {self.max_rel:9.2e}  {self.node.op}"
        lines = [f"{head}   # {self.node.where}" + (f"   {self.note}" if self.note else "")]
        lines += [f"      as if {cause}" for cause in self.causes]
        return "\n".join(lines)


@dataclass(slots=True)
class Comparison:
    """All calls compared, in order of execution, and those that were not. True if all is well.

    Attributes:
        rows: the calls compared.
        refused: calls whose handler declined; ``row.note`` says why.
        not_reached: calls that no handler is given; ``row.note`` says why.
    """

    rows: list[Row]
    refused: list[Row] = field(default_factory=list)
    not_reached: list[Row] = field(default_factory=list)

    @property
    def bad(self) -> list[Row]:
        """What is out of tolerance."""
        return [row for row in self.rows if not row.ok]

    @property
    def first(self) -> Row | None:
        """The first call that is out of tolerance: where to look."""
        return self.bad[0] if self.bad else None

    def __bool__(self) -> bool:
        return bool(self.rows) and not self.bad

    def __str__(self) -> str:
        lines = [str(row) for row in self.bad]
        for kind, rows in (("refused", self.refused), ("not reached", self.not_reached)):
            counts = Counter((row.node.op, row.note) for row in rows)
            places = {(row.node.op, row.note): row.node.where for row in reversed(rows)}
            for (op, note), count in counts.items():
                lines.append(f"{kind}  {op} ×{count}   # {places[op, note]}   {note}")
        lines.append(self._verdict())
        return "\n".join(lines)

    def _verdict(self) -> str:
        rest = ""
        if self.refused or self.not_reached:
            rest = f"; {len(self.refused)} refused, {len(self.not_reached)} not reached"
        if not self.rows:
            return f"no call compared{rest}"
        if self.first is None:
            return f"{len(self.rows)} calls compared, all within tolerance{rest}"
        return (f"{len(self.bad)} of {len(self.rows)} calls differ; the first is "
                f"{self.first.node.op} at {self.first.node.where}{rest}")  # fmt: skip


def row_tensor(made: Any) -> torch.Tensor:
    """What an engine gave, as a tensor."""
    if isinstance(made, torch.Tensor):
        return made
    # A copy: torch takes no array that is read backwards, and warns of one that cannot be written.
    return torch.as_tensor(made.copy() if hasattr(made, "__array__") else made)


def near(row: Row, rtol: float) -> float:
    """How near an explanation must come: what is allowed, or well below what is to be explained."""
    return max(min(rtol, row.max_rel / 10), 1e-12)  # rounding in float64, and more


def row_of(
    node: Node,
    expected: Sequence[torch.Tensor],
    made: Sequence[torch.Tensor],
    free: Sequence[torch.Tensor | float],
) -> Row:
    """One call's outputs beside torch's.

    Args:
        node: the call.
        expected: what torch made.
        made: what the engine made.
        free: how far off each may be, in all elements or each; whole numbers never are.
    """
    row = Row(node)
    if len(made) != len(expected):
        return Row(node, float("inf"), float("inf"), False, f"{len(made)} outputs came back")
    for want, got, limit in zip(expected, made, free):
        if want.shape != got.shape:
            shapes = f"shape {tuple(got.shape)}, expected {tuple(want.shape)}"
            return Row(node, float("inf"), float("inf"), False, shapes)
        off = difference(want, got)
        if not off.numel():
            continue
        most = off.max().item()
        row.max_abs = max(row.max_abs, most)
        row.max_rel = max(row.max_rel, most / magnitude(want))
        exact = not (want.is_floating_point() or want.is_complex() or want.is_quantized)
        row.ok = row.ok and bool((off <= (0.0 if exact else limit)).all())
        if most == float("inf"):
            count = f"{off.isinf().sum()} of {off.numel()}"
            row.note = f"{count} elements are NaN or infinite on one side only"
    return row
