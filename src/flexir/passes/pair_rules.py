"""What calls on complex numbers are on pairs of real ones, written as torch code.

A rule takes a call and its arguments by name, a :class:`Pair` for each complex tensor, and gives
Pairs for complex results. Where a call is not this one, it raises Unsupported.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..errors import Unsupported
from ..graph import tree
from ..graph.nodes import Node
from .recipes.spectral import dims_of

_LENGTH = 4096  # of a transform by products, whose work grows with its square


class Pair(NamedTuple):
    """The parts of a complex tensor."""

    re: Any
    im: Any

    @property
    def ndim(self) -> int:
        return int(self.re.ndim)


_Rule = Callable[[Node, dict[str, Any]], Any]
RULES: dict[str, _Rule] = {}


def _rule(*ops: str) -> Callable[[_Rule], _Rule]:
    def declare(function: _Rule) -> _Rule:
        RULES.update(dict.fromkeys(ops, function))
        return function

    return declare


def _called(node: Node, named: Any, choose: Callable[[Pair], Tensor]) -> Any:
    """The call itself, of one part of each Pair."""
    named = tree.build(named, Pair, choose)
    args, kwargs = node.signature.unbind(named)
    return node.target(*args, **kwargs)


def _paired(operand: Any) -> Pair:
    """An operand as a Pair, of zeros where it has no imaginary part."""
    if isinstance(operand, Pair):
        return operand
    if isinstance(operand, Tensor):
        return Pair(operand, torch.zeros_like(operand))
    return Pair(complex(operand).real, complex(operand).imag)


@_rule("reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "permute", "transpose",
       "movedim", "expand", "expand_as", "repeat", "roll", "flip", "getitem", "select",
       "narrow", "split", "split_with_sizes", "chunk", "unbind", "sum", "mean", "cumsum", "clone",
       "contiguous", "detach", "neg", "index_select", "gather", "fft_fftshift", "fft_ifftshift",
       "resolve_conj", "resolve_neg", "diagonal", "t", "mT", "T")  # fmt: skip
def _each_part(node: Node, named: dict[str, Any]) -> Any:
    """What treats both parts alike."""
    parts = [_called(node, named, choose) for choose in (lambda p: p.re, lambda p: p.im)]
    return Pair(*parts) if isinstance(parts[0], Tensor) else [Pair(*both) for both in zip(*parts)]


@_rule("view", "view_as")
def _viewed(node: Node, named: dict[str, Any]) -> Any:
    """The parts may lie in memory otherwise than the whole did."""
    return Pair(*(part.reshape(node.outputs[0].type.shape) for part in named["input"]))


@_rule("cat", "stack", "add", "sub", "where", "setitem")
def _joined(node: Node, named: dict[str, Any]) -> Any:
    """Part by part, with zeros for the imaginary parts of real operands."""
    names = {"cat": ("tensors",), "stack": ("tensors",), "setitem": ("input", "value")}
    if named.get("alpha", 1) != 1:
        raise Unsupported("alpha")
    for name in names.get(node.op, ("input", "other")):
        part = named.get(name)
        if part is None:
            raise Unsupported(f"{node.op} without {name}")
        named[name] = [_paired(p) for p in part] if name == "tensors" else _paired(part)
    if node.op != "setitem":
        return _each_part(node, named)
    return Pair(*(_written(b, named["indices"], v) for b, v in zip(named["input"], named["value"])))


def _written(base: Tensor, indices: Any, value: Any) -> Tensor:
    base = base.clone()
    base[indices] = value
    return base


@_rule("mul", "matmul", "mm", "bmm", "einsum", "tensordot", "outer")
def _product(node: Node, named: dict[str, Any]) -> Any:
    """Four real products: each part of one with each part of the other."""
    if node.op == "einsum":
        listed = named["operands"]
        operands = list(listed if isinstance(listed[0], (Pair, Tensor)) else listed[0])
        if len(operands) != 2:
            raise Unsupported("a product of more than two")
        times: Any = lambda a, b: torch.einsum(named["equation"], a, b)
    else:
        names = [name for name, part in named.items() if isinstance(part, (Pair, Tensor))]
        numbers = [n for n, part in named.items() if isinstance(part, (int, float, complex))]
        if node.op == "mul" and len(names) == 1 and len(numbers) == 1:
            names += numbers
        if len(names) != 2:
            raise Unsupported("another product")
        operands = [named[name] for name in names]
        times = lambda a, b: _called(node, {**named, **dict(zip(names, (a, b)))}, lambda p: p.re)
    a, b = (_paired(one) if isinstance(one, complex) else one for one in operands)
    if not isinstance(a, Pair):
        return Pair(times(a, b.re), times(a, b.im))
    if not isinstance(b, Pair):
        return Pair(times(a.re, b), times(a.im, b))
    return _both(times, a, b)


def _both(times: Callable[[Any, Any], Any], a: Pair, b: Pair) -> Pair:
    return Pair(times(a.re, b.re) - times(a.im, b.im), times(a.re, b.im) + times(a.im, b.re))


@_rule("div")
def _quotient(node: Node, named: dict[str, Any]) -> Any:
    a, b = named["input"], named["other"]
    if named.get("rounding_mode") is not None or isinstance(b, (Pair, complex)):
        raise Unsupported("by a complex number")
    return Pair(a.re / b, a.im / b)


@_rule("view_as_complex")
def _seen(node: Node, named: dict[str, Any]) -> Any:
    return Pair(*named["input"].unbind(-1))


@_rule("complex")
def _made(node: Node, named: dict[str, Any]) -> Any:
    return Pair(named["real"], named["imag"])


@_rule("polar")
def _polar(node: Node, named: dict[str, Any]) -> Any:
    length, angle = named["abs"], named["angle"]
    return Pair(length * torch.cos(angle), length * torch.sin(angle))


@_rule("view_as_real")
def _shown(node: Node, named: dict[str, Any]) -> Any:
    return torch.stack(named["input"], -1)


@_rule("real")
def _real(node: Node, named: dict[str, Any]) -> Any:
    return named["input"].re


@_rule("imag")
def _imag(node: Node, named: dict[str, Any]) -> Any:
    return named["input"].im


@_rule("conj")
def _conj(node: Node, named: dict[str, Any]) -> Any:
    return Pair(named["input"].re, -named["input"].im)


@_rule("abs")
def _abs(node: Node, named: dict[str, Any]) -> Any:
    return torch.hypot(*named["input"])


@_rule("zeros", "zeros_like", "new_zeros")
def _zeros(node: Node, named: dict[str, Any]) -> Any:
    type = node.outputs[0].type
    like = next(tree.leaves(named, Pair), None)
    device = torch.device("meta") if like is None else like.re.device
    made = torch.zeros(type.shape, dtype=_PART[type.dtype], device=device)
    return Pair(made, made)


_PART = {torch.complex64: torch.float32, torch.complex128: torch.float64}

# --- Fourier transforms --------------------------------------------------------------------------


def _waves(rows: int, columns: int, count: int, like: Tensor) -> Pair:
    """Cosine and sine of 2 pi j k / n, for j of rows and k of columns."""
    j = torch.arange(rows, dtype=torch.float64, device=like.device)
    k = torch.arange(columns, dtype=torch.float64, device=like.device)
    turns = torch.remainder(j[:, None] * k, count) * (2 * math.pi / count)
    return Pair(torch.cos(turns), torch.sin(turns))


def _scale(norm: Any, count: int, inverse: bool) -> float:
    divided = {None: inverse, "backward": inverse, "forward": not inverse}
    return 1 / math.sqrt(count) if norm == "ortho" else 1 / count if divided[norm] else 1.0


def _last(part: Tensor, dim: int, length: int) -> Tensor:
    """With a dimension last, cut or padded to a length."""
    part = part if dim in (-1, part.ndim - 1) else part.transpose(dim, -1)
    size = part.shape[-1]
    if length > size:
        return torch.nn.functional.pad(part, (0, length - size))
    return part if length == size else part[..., :length]


def _back(part: Tensor, dim: int) -> Tensor:
    return part if dim in (-1, part.ndim - 1) else part.transpose(dim, -1)


def _length(length: int) -> int:
    if length > _LENGTH:
        raise Unsupported("a long transform")
    return length


def _transform(
    input: Any, n: int | None, dim: int, norm: Any, inverse: bool, half: bool = False
) -> Pair:
    """One dimension times cosines and sines; the first half of the result, if asked for."""
    parts = list(input) if isinstance(input, Pair) else [input]
    count = _length(n or parts[0].shape[dim])
    rows = [_last(part, dim, count) for part in parts]
    waves = _waves(count, count // 2 + 1 if half else count, count, rows[0])
    scale = _scale(norm, count, inverse)
    cos, sin = ((wave * scale).to(rows[0].dtype) for wave in waves)
    sin = sin if inverse else -sin
    made = Pair(rows[0] @ cos, rows[0] @ sin)
    if len(rows) == 2:
        made = Pair(made.re - rows[1] @ sin, made.im + rows[1] @ cos)
    return Pair(_back(made.re, dim), _back(made.im, dim))


def _to_real(input: Pair, n: int | None, dim: int, norm: Any) -> Tensor:
    """What half of a spectrum stands for; each part of it but the ends counts twice."""
    count = _length(n or 2 * (input.re.shape[dim] - 1))
    half = count // 2 + 1
    rows = [_last(part, dim, half) for part in input]
    times = torch.full((half, 1), 2.0, dtype=torch.float64, device=rows[0].device)
    ends = torch.arange(half, device=rows[0].device)[:, None]
    single = (ends == 0) | (ends * 2 == count)
    times = torch.where(single, 1.0, times) * _scale(norm, count, True)
    cos, sin = ((wave * times).to(rows[0].dtype) for wave in _waves(half, count, count, rows[0]))
    return _back(rows[0] @ cos - rows[1] @ sin, dim)


def _over(named: dict[str, Any]) -> list[tuple[int, int | None]]:
    """The dimensions of a call, of one or of several, and their lengths."""
    input = named["input"]
    if "n" in named:
        return [(named["dim"] % input.ndim, named["n"])]
    return dims_of(input, named["s"], named["dim"])


@_rule("fft_fft", "fft_fft2", "fft_fftn", "fft_ifft", "fft_ifft2", "fft_ifftn")
def _whole(node: Node, named: dict[str, Any]) -> Any:
    made = named["input"]
    for dim, n in _over(named):
        made = _transform(made, n, dim, named["norm"], "ifft" in node.op)
    return made


@_rule("fft_rfft", "fft_rfft2", "fft_rfftn")
def _half(node: Node, named: dict[str, Any]) -> Any:
    *rest, (last, length) = _over(named)
    made = _transform(named["input"], length, last, named["norm"], False, half=True)
    for dim, n in rest:
        made = _transform(made, n, dim, named["norm"], False)
    return made


@_rule("fft_irfft", "fft_irfft2", "fft_irfftn")
def _from_half(node: Node, named: dict[str, Any]) -> Any:
    *rest, (last, length) = _over(named)
    made = _paired(named["input"])
    for dim, n in rest:
        made = _transform(made, n, dim, named["norm"], True)
    return _to_real(made, length, last, named["norm"])
