"""Two results laid side by side: structures, tensors, and the words for how they differ.

Owns the verdicts exact, close and wrong. Knows no graph and runs no model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from ..graph import places, tree
from ..graph.geometry import dense, shape_of


class Difference(NamedTuple):
    """How one tensor of the replay compares with the model's own.

    Attributes:
        name: which output, written buffer or node.
        equal: bit-equal, NaN counted as equal to NaN.
        max_abs: largest absolute difference; inf where shapes, dtypes or NaNs differ.
        max_rel: largest difference relative to the model's own value.
        note: what differs if it is not the elements.
    """

    name: str
    equal: bool
    max_abs: float = 0.0
    max_rel: float = 0.0
    note: str = ""

    def __str__(self) -> str:
        if self.equal:
            return f"{self.name}: bit-equal"
        return (
            f"{self.name}: {self.note or f'max abs {self.max_abs:.3g}, max rel {self.max_rel:.3g}'}"
        )


def compare_outputs(expected: Any, made: Any) -> list[Difference]:
    """Compare two results tensor by tensor, and everything else in them by equality."""
    left, right = flat(expected), flat(made)
    if left.keys() != right.keys():
        return [Difference("outputs", False, float("inf"), float("inf"), "other structure")]
    found = []
    for name, a in left.items():
        b = right[name]
        if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
            found.append(compare_tensors(name, a, b))
        elif isinstance(a, torch.Tensor) or isinstance(b, torch.Tensor) or not _equal(a, b):
            found.append(Difference(name, False, float("inf"), float("inf"), f"{b!r}, not {a!r}"))
    return found


def _equal(a: Any, b: Any) -> bool:
    if type(a) in (int, float, str, bool, type(None), complex):
        return bool(a == b or (a != a and b != b))
    return True  # objects of unknown classes are carried along, not computed


def flat(result: Any) -> dict[str, Any]:
    """Every part of a result by its place, named as ``graph.output_names`` names outputs."""
    opened = tree.template(result, lambda t: t, deep=True)
    parts = [(path, part) for path, (part,) in places.zip(opened, leaf=torch.Tensor)]
    return {places.output_name(path): part for path, part in parts if part is not None}


def compare_tensors(name: str, expected: torch.Tensor, made: torch.Tensor) -> Difference:
    """Compare two tensors, NaN equal to NaN."""
    infinite = float("inf")
    shape, other = shape_of(expected), shape_of(made)
    if shape != other or expected.dtype != made.dtype:
        note = f"{made.dtype} {other}, not {expected.dtype} {shape}"
        return Difference(name, False, infinite, infinite, note)
    if expected.device.type == "meta":
        return Difference(name, True)
    a, b = expected.detach(), made.detach()
    if a.layout is not torch.strided or a.is_nested or a.is_quantized:
        a, b = dense(a), dense(b)
    if a.dtype is torch.complex32:  # torch compares no half complex numbers
        a, b = torch.view_as_real(a), torch.view_as_real(b)
    if torch.equal(a, b):
        return Difference(name, True)
    if a.shape != b.shape:
        return Difference(name, False, infinite, infinite, "other structure")
    if not (a.is_floating_point() or a.is_complex()):
        off = (a.double() - b.double()).abs().max().item()
        return Difference(name, False, off, infinite, "")
    nan_a, nan_b = a.isnan(), b.isnan()
    if not torch.equal(nan_a, nan_b):
        return Difference(name, False, infinite, infinite, "NaN in other places")
    same = nan_a | (a == b)
    if same.all():
        return Difference(name, True)
    wide = torch.complex128 if a.is_complex() else torch.float64
    gap = (a.to(wide) - b.to(wide)).abs()[~same]
    scale = a.to(wide)[~nan_a].abs()
    scale = scale[scale.isfinite()].max().clamp(min=1e-30)
    return Difference(name, False, gap.max().item(), (gap.max() / scale).item())


def verdict_of(differences: Sequence[Difference], tolerance: float) -> str:
    """``"exact"``, ``"close"`` or ``"wrong"``."""
    if all(d.equal for d in differences):
        return "exact"
    close = all(d.equal or (not d.note and d.max_rel <= tolerance) for d in differences)
    return "close" if close else "wrong"
