"""Why an engine's output differs: what torch would have to be told to give the same.

The order of the outputs and simple transformations of each (layout, shift, rounding, factor) are
tried first, then the call itself with one argument changed. No list of bugs is kept: any argument
of any op. An explanation holds for all outputs of the call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch

from ..graph import tree
from ..graph.geometry import dense
from ..graph.nodes import Node, Value
from ..graph.tree import tensors_in

# Values of ``eps`` that layers of torch and of other libraries have, tried in place of the call's.
_EPS = (0.0, 1e-12, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2)
_TINY = 1e-12  # stands for a magnitude of 0, which is divided by


def difference(want: torch.Tensor, got: torch.Tensor) -> torch.Tensor:
    """Difference of each element, infinite where only one of the two is finite."""
    wide = torch.complex128 if want.is_complex() or got.is_complex() else torch.float64
    want, got = dense(want.detach()), dense(got.detach()).to(want.device)
    a, b = want.to(wide), got.to(wide)
    if not (want.is_floating_point() or want.is_complex() or got.is_floating_point()):
        return torch.where(want == got, 0.0, (a - b).abs().clamp(min=1.0))
    same = (a == b) | (a.isnan() & b.isnan())
    return torch.where(same, 0.0, (a - b).abs()).nan_to_num(float("inf"), float("inf"))


def magnitude(tensor: torch.Tensor) -> float:
    """The largest finite one of a tensor's elements."""
    sizes = dense(tensor.detach())
    sizes = sizes.abs() if sizes.is_complex() else sizes.double().abs()
    finite = sizes[sizes.isfinite()]
    return max(finite.max().item(), _TINY) if finite.numel() else 1.0


def distance(want: torch.Tensor, got: torch.Tensor) -> tuple[float, float]:
    """Largest difference (infinite where only one is finite) and largest magnitude."""
    return (difference(want, got).max().item() if want.numel() else 0.0), magnitude(want)


def causes(
    node: Node,
    env: Mapping[Value, torch.Tensor],
    expected: Sequence[torch.Tensor],
    got: Sequence[torch.Tensor | None],
    rtol: float,
) -> Iterator[str]:
    """What would explain a call's outputs: the order of them, what they look like, other arguments.

    Args:
        node: the call.
        env: what it was given.
        expected: what torch made of it.
        got: what the engine made, for each of the outputs; None for an unknown one.
        rtol: how near an explanation must come, over the largest magnitude.
    """
    known = [i for i, made in enumerate(got) if made is not None]
    pairs = [(expected[i], got[i]) for i in known]
    if order := _order(node, pairs, rtol):
        yield order
        return
    yield from _alike(known, pairs, rtol, _shapes)
    if node.body is None:
        yield from _told_otherwise(node, env, known, got, rtol)
    yield from _alike(known, pairs, rtol, _values)


def _told_otherwise(
    node: Node,
    env: Mapping[Value, torch.Tensor],
    known: Sequence[int],
    got: Sequence[torch.Tensor | None],
    rtol: float,
) -> Iterator[str]:
    """Other arguments with which torch gives the same."""
    found = 0
    for cause, args in _others(node, env):
        try:
            # Copies: told otherwise, a call may write what it only read before.
            own = {n: p.clone() if isinstance(p, torch.Tensor) else p for n, p in args.items()}
            positional, keywords = node.signature.unbind(own)
            with torch.no_grad():
                made = tensors_in(node.target(*positional, **keywords))
        except Exception:  # noqa: BLE001  not every other argument makes a call
            continue
        if len(made) == len(node.returned) and all(
            _is_near(made[i], got[i], rtol) for i in known if i < len(made)
        ):
            yield cause
            found += 1
            if found == 3:
                return


def _is_near(want: torch.Tensor, got: Any, rtol: float) -> bool:
    if want.shape != got.shape:
        return False
    off, scale = distance(want, got)
    return off <= rtol * scale if want.is_floating_point() or want.is_complex() else not off


def _order(node: Node, pairs: Sequence[Any], rtol: float) -> str:
    """How the outputs were ordered, if all are right and came in another order."""
    if len(pairs) < 2 or len(pairs) != len(node.outputs):
        return ""
    free, order = list(range(len(pairs))), []
    for place, (_, got) in enumerate(pairs):
        fits = [i for i in free if _is_near(pairs[i][0], got, rtol)]
        if not fits:
            return ""
        order.append(place if place in fits else fits[0])
        free.remove(order[-1])
    moved = [i for i, place in enumerate(order) if place != i]
    if len(moved) == 2:
        return f"outputs {moved[0]} and {moved[1]} were exchanged"
    return f"the outputs came in the order {', '.join(map(str, order))}" if moved else ""


def _alike(
    known: Sequence[int], pairs: Sequence[Any], rtol: float, look: Callable[..., Iterator[str]]
) -> Iterator[str]:
    """What ``look`` says of every output that is wrong."""
    wrong = [i for i, (want, got) in zip(known, pairs) if not _is_near(want, got, rtol)]
    told = [list(look(a, b, rtol)) for i, (a, b) in zip(known, pairs) if i in wrong]
    if not told:
        return
    where = "" if len(wrong) == len(pairs) else f"in output {', '.join(map(str, wrong))}, "
    for cause in told[0]:
        if all(cause in other for other in told[1:]):
            yield where + cause


def _shapes(want: torch.Tensor, got: torch.Tensor, rtol: float) -> Iterator[str]:
    """Whether the elements of one output are right and stand elsewhere."""
    if want.numel() != got.numel() or not want.numel() or want.is_complex():
        return
    a, b = want.detach().double(), got.detach().double()
    close = _closeness(a, rtol)
    if b.ndim == 4 and close(a.permute(0, 2, 3, 1).reshape(b.shape), b):
        yield "the output was laid out NHWC"
    for one in range(b.ndim):
        for other in range(one + 1, b.ndim):
            if close(a.transpose(one, other).reshape(b.shape), b):
                yield f"dimensions {one} and {other} were exchanged"
    for dim in range(a.ndim if a.shape == b.shape else 0):
        for step in (1, -1):
            inner = a.shape[dim] - 1
            if inner and close(a.narrow(dim, max(0, -step), inner),
                               b.narrow(dim, max(0, step), inner)):  # fmt: skip
                yield f"the output was shifted by {step} along dimension {dim}"


def _values(want: torch.Tensor, got: torch.Tensor, rtol: float) -> Iterator[str]:
    """Whether all elements of one output are wrong in the same way."""
    if want.shape != got.shape or not want.numel() or want.is_complex():
        return
    a, b = want.detach().double(), got.detach().double()
    close, most = _closeness(a, rtol), a.abs().max().item()
    if close(a.to(torch.bfloat16).double(), b):
        yield "it was rounded to bfloat16"
    if close(a.trunc(), b) or close(a.floor(), b):
        yield "it was rounded to whole numbers"
    large = a.abs() > 1e-3 * most  # the quotient of small elements is mostly rounding
    if large.any():
        ratio = (b[large] / a[large]).median()
        if abs(ratio - 1) > rtol and close(a * ratio, b):
            yield f"it was multiplied by {ratio.item():.6g}"
    shift = (b - a).median()
    if abs(shift) > rtol * most and close(a + shift, b):
        yield f"{shift.item():.6g} was added"


def _closeness(a: torch.Tensor, rtol: float) -> Callable[[torch.Tensor, torch.Tensor], bool]:
    scale = max(a.abs().max().item(), _TINY)
    return lambda x, y: x.shape == y.shape and (x - y).abs().max().item() <= rtol * scale


def _others(node: Node, env: Mapping[Value, torch.Tensor]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The call with one argument changed, and how to say so."""
    args = {n: tree.build(p, Value, env.__getitem__) for n, p in node.args.items()}
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
        for other in dict.fromkeys((*_EPS, *near) if name == "eps" else near):
            if other != part:
                yield repr(other), other
    elif isinstance(part, int):
        others = (0, 1, part + 1, part - 1, -part, -1, 2, part * 2, part // 2)
        for other in dict.fromkeys(others):
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
