"""Why an engine's output differs: what torch would have to be told to give the same.

Simple transformations of the expected output are tried first (layout, shift, rounding, factor),
then the call itself with one argument changed. No list of bugs is kept: any argument of any op.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from . import structure
from .nodes import Node, Value

_EPS = (0.0, 1e-12, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2)


def distance(want: torch.Tensor, got: torch.Tensor) -> tuple[float, float]:
    """Largest difference (infinite where only one is finite) and largest magnitude."""
    if not want.numel():
        return 0.0, 1.0
    wide = torch.complex128 if want.is_complex() else torch.float64
    a, b = want.detach().to(wide), got.detach().to(wide)
    same = (a == b) | (a.isnan() & b.isnan())
    off = torch.where(same, 0.0, (a - b).abs()).nan_to_num(nan=float("inf"))
    finite = a[a.isfinite()].abs()
    scale = finite.max().item() if finite.numel() else 1.0
    return off.max().item(), max(scale, 1e-12)


def causes(
    node: Node,
    env: Mapping[Value, torch.Tensor],
    expected: Sequence[torch.Tensor],
    got: torch.Tensor,
    rtol: float,
) -> Iterator[str]:
    """What would explain an output: simple transformations first, then other arguments."""
    want = expected[0]
    yield from _shapes(want, got, rtol)
    found = 0
    for cause, args in _others(node, env):
        try:
            # Copies: told otherwise, a call may write what it only read before.
            own = {n: p.clone() if isinstance(p, torch.Tensor) else p for n, p in args.items()}
            positional, keywords = node.signature.unbind(own)
            with torch.no_grad():
                made = node.target(*positional, **keywords)
        except Exception:  # noqa: BLE001  not every other argument makes a call
            continue
        made = made[0] if isinstance(made, (tuple, list)) and made else made
        if not isinstance(made, torch.Tensor) or made.shape != got.shape:
            continue
        off, scale = distance(made, got)
        if off <= rtol * scale / 10:
            yield cause
            found += 1
            if found == 3:
                return


def _shapes(want: torch.Tensor, got: torch.Tensor, rtol: float) -> Iterator[str]:
    """Explanations that need no other call."""
    if want.numel() != got.numel() or not want.numel() or want.is_complex():
        return
    a, b = want.detach().double(), got.detach().double()
    scale = max(a.abs().max().item(), 1e-12)

    def close(x: torch.Tensor, y: torch.Tensor) -> bool:
        return x.shape == y.shape and (x - y).abs().max().item() <= rtol * scale

    if b.ndim == 4 and close(a.permute(0, 2, 3, 1).reshape(b.shape), b):
        yield "the output was laid out NHWC"
    for one in range(b.ndim):
        for other in range(one + 1, b.ndim):
            if close(a.transpose(one, other).reshape(b.shape), b):
                yield f"dimensions {one} and {other} were exchanged"
    if a.shape == b.shape:
        for dim in range(a.ndim):
            for step in (1, -1):
                inner = a.shape[dim] - 1
                if inner and close(a.narrow(dim, max(0, -step), inner),
                                   b.narrow(dim, max(0, step), inner)):  # fmt: skip
                    yield f"the output was shifted by {step} along dimension {dim}"
        if close(a.to(torch.bfloat16).double(), b):
            yield "it was rounded to bfloat16"
        if close(a.trunc(), b) or close(a.floor(), b):
            yield "it was rounded to whole numbers"
        large = a.abs() > 1e-3 * scale
        if large.any():
            ratio = (b[large] / a[large]).median()
            if abs(ratio - 1) > rtol and close(a * ratio, b):
                yield f"it was multiplied by {ratio.item():.6g}"
        shift = (b - a).median()
        if abs(shift) > rtol * scale and close(a + shift, b):
            yield f"{shift.item():.6g} was added"


def _others(node: Node, env: Mapping[Value, torch.Tensor]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The call with one argument changed, and how to say so."""
    args = {n: structure.build(p, Value, env.__getitem__) for n, p in node.args.items()}
    for name, part in args.items():
        for shown, other in _instead(name, part, node):
            yield f"{name} were {shown}", {**args, name: other}
    tensors = [n for n, p in args.items() if isinstance(p, torch.Tensor)]
    for i, one in enumerate(tensors):
        for two in tensors[i + 1 :]:
            yield f"{one} and {two} were exchanged", {**args, one: args[two], two: args[one]}


def _instead(name: str, part: Any, node: Node) -> Iterator[tuple[str, Any]]:
    if isinstance(part, torch.Tensor):
        if part.ndim >= 2:
            turned = part.transpose(-1, -2)
            yield "transposed", turned.reshape(part.shape)
            if part.ndim > 2:
                yield "transposed in its first dimensions", part.transpose(0, 1).reshape(part.shape)
                yield "flipped", part.flip((-1, -2))
        if part.ndim == 1:
            yield "missing", None
            yield "ignored (0)", torch.zeros_like(part)
            yield "ignored (1)", torch.ones_like(part)
    elif isinstance(part, bool):
        yield repr(not part), not part
    elif isinstance(part, float) or name == "eps":
        near = (0.0, 1.0, -part, part / 10, part * 10, 1 - part) if part else (0.0, 1.0)
        for other in (*_EPS, *near) if name == "eps" else near:
            if other != part:
                yield repr(other), other
    elif isinstance(part, int):
        for other in (0, 1, part + 1, part - 1, -part, -1, 2, part * 2, part // 2):
            if other != part:
                yield repr(other), other
    elif isinstance(part, (tuple, list)) and part and all(type(v) is int for v in part):
        for other in ([0] * len(part), [1] * len(part), part[::-1], [v + 1 for v in part],
                      [v - 1 for v in part]):  # fmt: skip
            if list(other) != list(part):
                yield repr(type(part)(other)), type(part)(other)
    elif isinstance(part, str):
        for other in ("none", "tanh", "nearest", "bilinear", "bicubic", "zeros", "border",
                      "reflect", "replicate", "constant", "circular", "same", "valid"):  # fmt: skip
            if other != part:
                yield repr(other), other
    default = node.signature.defaults.get(name, part)
    if default is not part and not isinstance(default, torch.Tensor):
        yield f"left at its default {default!r}", default
