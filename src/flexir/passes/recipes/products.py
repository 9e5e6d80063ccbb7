"""Matrix products, attention and lookups from matmul and indexing."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from .indexing import along
from .table import only_if, recipe


@recipe("linear")
def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Any:
    """torch.nn.functional.linear: ``input weight^T + bias``."""
    made = torch.matmul(input, weight.transpose(-1, -2))
    return made if bias is None else made + bias


@recipe("mm", "bmm")
def mm(input: Tensor, mat2: Tensor) -> Any:
    """torch.mm and torch.bmm: matmul."""
    return torch.matmul(input, mat2)


@recipe("mv")
def mv(input: Tensor, vec: Tensor) -> Any:
    """torch.mv: matmul."""
    return torch.matmul(input, vec)


@recipe("dot")
def dot(input: Tensor, tensor: Tensor) -> Any:
    """torch.dot: the sum of the products."""
    return (input * tensor).sum()


@recipe("outer", "ger")
def outer(input: Tensor, vec2: Tensor) -> Any:
    """torch.outer: every product."""
    return input.unsqueeze(1) * vec2


@recipe("tensordot")
def tensordot(a: Tensor, b: Tensor, dims: Any = 2) -> Any:
    """torch.tensordot: one product of matrices, of dimensions kept and dimensions summed over."""
    if isinstance(dims, int):
        dims = (range(a.ndim - dims, a.ndim), range(dims))
    one, other = ([d % t.ndim for d in part] for part, t in zip(dims, (a, b)))
    only_if(all(a.shape[i] == b.shape[j] for i, j in zip(one, other)))
    rest, more = ([d for d in range(t.ndim) if d not in part] for t, part in ((a, one), (b, other)))
    kept = [a.shape[d] for d in rest], [b.shape[d] for d in more]
    summed = math.prod(a.shape[d] for d in one)
    left = a.permute(*rest, *one).reshape(math.prod(kept[0]), summed)
    right = b.permute(*other, *more).reshape(summed, math.prod(kept[1]))
    return torch.matmul(left, right).reshape([*kept[0], *kept[1]])


@recipe("addmm")
def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, beta: float = 1, alpha: float = 1) -> Any:
    """torch.addmm: ``beta input + alpha (mat1 mat2)``."""
    product = torch.matmul(mat1, mat2)
    return _mixed(input, product, beta, alpha)


@recipe("baddbmm")
def baddbmm(
    input: Tensor, batch1: Tensor, batch2: Tensor, beta: float = 1, alpha: float = 1
) -> Any:
    """torch.baddbmm: ``beta input + alpha (batch1 batch2)``."""
    return _mixed(input, torch.matmul(batch1, batch2), beta, alpha)


@recipe("addbmm")
def addbmm(input: Tensor, batch1: Tensor, batch2: Tensor, beta: float = 1, alpha: float = 1) -> Any:
    """torch.addbmm: ``beta input + alpha sum(batch1 batch2)``."""
    return _mixed(input, torch.matmul(batch1, batch2).sum(0), beta, alpha)


def _mixed(input: Tensor, product: Tensor, beta: float, alpha: float) -> Tensor:
    product = product if alpha == 1 else product * alpha
    if beta == 0:
        return product
    return (input if beta == 1 else input * beta) + product


@recipe("scaled_dot_product_attention")
def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """torch.nn.functional.scaled_dot_product_attention: the code on its page, and zeros for rows
    that see nothing, as torch has them.
    """
    only_if(not dropout_p, "it draws random numbers")
    if enable_gqa:
        groups = query.shape[-3] // key.shape[-3]
        if groups > 1:
            key, value = (t.repeat_interleave(groups, -3) for t in (key, value))
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    weight = torch.matmul(query * factor, key.transpose(-1, -2))
    if is_causal:
        ones = torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool, device=query.device)
        weight = torch.where(ones.tril(), weight, float("-inf"))
    if attn_mask is None:
        return torch.matmul(torch.softmax(weight, -1), value)
    if attn_mask.dtype == torch.bool:
        seen, weight = attn_mask, torch.where(attn_mask, weight, float("-inf"))
    else:
        seen, weight = attn_mask != float("-inf"), weight + attn_mask
    # A row that sees nothing is zero; softmax makes NaN of it.
    weight = torch.where(seen.any(-1, keepdim=True), torch.softmax(weight, -1), 0.0)
    return torch.matmul(weight, value)


@recipe("cdist")
def cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: Any = None) -> Any:
    """torch.cdist with ``p=2``: the root of the summed squares of the differences."""
    only_if(p == 2)
    away = x1.unsqueeze(-2) - x2.unsqueeze(-3)
    return (away * away).sum(-1).sqrt()


@recipe("embedding")
def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: Any = None,
    max_norm: Any = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    """torch.nn.functional.embedding: rows of the weight."""
    only_if(max_norm is None)
    return weight[input]


@recipe("index_select")
def index_select(input: Tensor, dim: int, index: Tensor) -> Any:
    """torch.index_select: by indexing."""
    if not input.ndim:
        return input
    return input[along(dim, input.ndim, index.reshape(-1))]


@recipe("conv1d")
def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """torch.nn.functional.conv1d: a conv2d of height 1."""
    only_if(not isinstance(padding, str) and input.ndim == 3)
    s, p, d = (v if isinstance(v, int) else v[0] for v in (stride, padding, dilation))
    made = torch.conv2d(
        input.unsqueeze(2), weight.unsqueeze(2), bias, (1, s), (0, p), (1, d), groups
    )
    return made.squeeze(2)


@recipe("convolution", "_convolution")
def convolution(
    input: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any, dilation: Any,
    transposed: bool, output_padding: Any, groups: int, **_: Any,
) -> Any:  # fmt: skip
    """aten::convolution, which scripted modules call: the function for this many dimensions."""
    rank = weight.ndim - 2
    only_if(rank in (1, 2, 3) and input.ndim == weight.ndim)
    if transposed:
        spread = (torch.conv_transpose1d, torch.conv_transpose2d, torch.conv_transpose3d)[rank - 1]
        return spread(input, weight, bias, stride, padding, output_padding, groups, dilation)
    plain = (torch.conv1d, torch.conv2d, torch.conv3d)[rank - 1]
    return plain(input, weight, bias, stride, padding, dilation, groups)


@recipe("_grouped_mm")
def grouped_mm(
    input: Tensor, mat2: Tensor, offs: Any = None, bias: Any = None, out_dtype: Any = None
) -> Any:
    """aten::_grouped_mm: rows up to ``offs[g]`` times ``mat2[g]``, chosen out of every product.

    Up to 64 groups: each costs a whole product.
    """
    only_if(input.ndim == 2 and mat2.ndim == 3 and offs is not None and bias is None)
    only_if(out_dtype in (None, input.dtype) and mat2.shape[0] <= 64)
    row = torch.arange(input.shape[0], device=input.device)
    made = torch.zeros(input.shape[0], mat2.shape[2], dtype=input.dtype, device=input.device)
    for group in reversed(range(mat2.shape[0])):
        inside = (row < offs[group]).reshape(-1, 1)
        made = torch.where(inside, torch.matmul(input, mat2[group]), made)
    return made
