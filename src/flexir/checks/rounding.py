"""How far off a right result may be: by what rounding explains, and not more.

A call is repeated in float64, and again with its inputs moved by their own rounding. How far
torch's result lies from the first, and how far those lie from each other, is the rounding error
that the call has by its nature, element by element; another order of the same sums differs by a
small multiple.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ..calls.names import is_torch
from ..graph import tree
from ..graph.geometry import dense
from ..graph.graph import Graph
from ..graph.nodes import Node, Value
from ..graph.replay import Replay, interpret

FACTOR = 64  # how many times its rounding error a result may be off
LOOSE = 1e-4  # at most, and where nothing better is known: of the largest magnitude
_WIDER = {
    torch.float16: torch.float64, torch.bfloat16: torch.float64, torch.float32: torch.float64,
    torch.complex32: torch.complex128, torch.complex64: torch.complex128,
}  # fmt: skip


def run_alone(
    graph: Graph, inputs: Sequence[torch.Tensor], constants: Mapping[Value, torch.Tensor]
) -> list[torch.Tensor]:
    """Outputs of a small graph on inputs and constants of any dtype, unchecked."""
    env: dict[Value, Any] = {v: t.detach() for v, t in constants.items()}
    env.update(zip(graph.input_values, inputs))
    meaning = Replay(graph, check=False)
    try:
        interpret(graph.nodes, env, meaning)
    finally:
        meaning.restore()
    return [env[value].detach() for value in graph.output_values]


def allowed(
    graph: Graph,
    inputs: Sequence[torch.Tensor],
    constants: Mapping[Value, torch.Tensor],
    expected: Sequence[torch.Tensor],
) -> list[torch.Tensor | float]:
    """How far off each output may be, element by element; 0 for what is not rounded.

    Args:
        graph: one call, as :mod:`flexir.passes.extract` makes it; its dtypes are changed.
        inputs: what it was given.
        constants: the constants it read.
        expected: what torch made of them.
    """
    if not any(map(_rounded, expected)):
        return [0.0] * len(expected)
    others = _repeated(graph, inputs, constants) if all(map(_is_known, graph)) else []
    return [_allowed(want, [made[i] for made in others]) for i, want in enumerate(expected)]


def _rounded(tensor: torch.Tensor) -> bool:
    return bool(tensor.is_floating_point() or tensor.is_complex() or tensor.is_quantized)


def _is_known(node: Node) -> bool:
    """Whether a call may be given other dtypes: torch's own complain, others may crash."""
    return is_torch(node.target) and not node.effects.random


def _repeated(
    graph: Graph, inputs: Sequence[torch.Tensor], constants: Mapping[Value, torch.Tensor]
) -> list[list[torch.Tensor]]:
    """The outputs in float64, then twice those of inputs moved by their rounding."""
    for node in graph:
        node.args = tree.substitute(node.args, torch.dtype, lambda d: _WIDER.get(d, d))
    generator = torch.Generator().manual_seed(0)
    found = []
    try:
        for moved in (False, True, True):
            wide = [_widen(t, generator if moved else None) for t in inputs]
            fixed = {v: _widen(t, generator if moved else None) for v, t in constants.items()}
            found.append(run_alone(graph, wide, fixed))
    except Exception:  # noqa: BLE001  not every kernel knows float64
        return []
    return found


def _widen(tensor: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
    wider = _WIDER.get(tensor.dtype)
    if wider is None or tensor.layout is not torch.strided:
        return tensor
    wide = tensor.detach().to(wider)
    if generator is None:
        return wide
    signs = torch.randint(0, 2, wide.shape, generator=generator).to(wide.device) * 2 - 1
    return wide * (1 + torch.finfo(tensor.dtype).eps * signs.double())


def _allowed(want: torch.Tensor, others: Sequence[torch.Tensor]) -> torch.Tensor | float:
    """``FACTOR`` times the largest of the differences, within bounds."""
    if not _rounded(want):
        return 0.0
    eps = 2.0**-7 if want.is_quantized else torch.finfo(want.dtype).eps
    want = dense(want.detach())
    wide = want.to(torch.complex128 if want.is_complex() else torch.float64)
    magnitude = wide.abs().nan_to_num(0.0, 0.0)
    scale = magnitude.max().item() if magnitude.numel() else 0.0
    bound = max(LOOSE, 8 * eps) * max(scale, 1e-12)
    if not others or any(other.shape != want.shape for other in others):
        return bound
    exact = others[0]
    off = eps * magnitude
    for other in (wide, *others[1:]):
        off = torch.maximum(off, (other - exact).abs().nan_to_num(0.0, 0.0))
    own = (wide - exact).abs().nan_to_num(0.0, 0.0).max().item() if wide.numel() else 0.0
    usual = off[off > 0]
    if usual.numel():  # by chance, or at a zero, an element may move less than those around it
        off = off.clamp(min=usual.kthvalue(1 + usual.numel() // 4).values.item())
    return (FACTOR * off).clamp(max=max(bound, 8 * own))
