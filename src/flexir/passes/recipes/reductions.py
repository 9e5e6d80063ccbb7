"""Means, variances, norms and softmax from sums and maxima."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from .shapes import cut
from .table import only_if, recipe


def _count(input: Tensor, dim: Any) -> int:
    dims = range(input.ndim) if dim is None or dim == () else [dim] if type(dim) is int else dim
    return math.prod(input.shape[d] for d in dims)


@recipe("mean")
def mean(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """torch.mean: the sum over the count."""
    total = input.sum() if dim is None else input.sum(dim, keepdim)
    return total * (1 / _count(input, dim))


@recipe("sum")
def total(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """torch.sum: the mean times the count."""
    only_if(input.is_floating_point())
    middle = input.mean() if dim is None else input.mean(dim, keepdim)
    return middle * _count(input, dim)


@recipe("var")
def variance(
    input: Tensor, dim: Any = None, correction: Any = 1, keepdim: bool = False, unbiased: Any = None
) -> Any:
    """torch.var: the squared distances from the mean, summed, over ``count - correction``."""
    away = input - input.mean(dim, keepdim=True)
    count = _count(input, dim) - _corrected(correction, unbiased)
    only_if(type(count) is not int or count > 0, "of too few elements")
    return (away * away).sum(dim, keepdim) / count


def _corrected(correction: Any, unbiased: Any) -> int:
    return (1 if correction is None else correction) if unbiased is None else int(unbiased)


@recipe("std")
def deviation(
    input: Tensor, dim: Any = None, correction: Any = 1, keepdim: bool = False, unbiased: Any = None
) -> Any:
    """torch.std: the root of the variance."""
    correction = _corrected(correction, unbiased)
    return torch.var(input, dim, correction=correction, keepdim=keepdim).sqrt()


@recipe("var_mean")
def variance_with_mean(
    input: Tensor, dim: Any = None, correction: Any = 1, keepdim: bool = False, unbiased: Any = None
) -> Any:
    """torch.var_mean: the variance and the mean."""
    correction = _corrected(correction, unbiased)
    found = torch.var(input, dim, correction=correction, keepdim=keepdim)
    return found, input.mean(dim, keepdim=keepdim)


@recipe("std_mean")
def deviation_with_mean(
    input: Tensor, dim: Any = None, correction: Any = 1, keepdim: bool = False, unbiased: Any = None
) -> Any:
    """torch.std_mean: the root of the variance, and the mean."""
    found, mean = variance_with_mean(input, dim, correction, keepdim, unbiased)
    return found.sqrt(), mean


@recipe("linalg_vector_norm")
def vector_norm(
    input: Tensor, ord: Any = 2, dim: Any = None, keepdim: bool = False, dtype: Any = None, *,
    type: Any,
) -> Any:  # fmt: skip
    """torch.linalg.vector_norm: the table of its page."""
    if ord == 2 and not input.is_complex():
        wide = input.to(type.dtype)
        return (wide * wide).sum(dim, keepdim).sqrt()
    sizes = input.abs().to(type.dtype)
    if abs(ord) == math.inf:
        dims = tuple(range(input.ndim)) if dim is None else dim
        return sizes.amax(dims, keepdim) if ord > 0 else sizes.amin(dims, keepdim)
    if ord in (0, 1):
        return (sizes if ord else (sizes != 0).to(type.dtype)).sum(dim, keepdim)
    return (sizes**ord).sum(dim, keepdim) ** (1 / ord)


@recipe("norm")
def norm(
    input: Tensor, p: Any = "fro", dim: Any = None, keepdim: bool = False, dtype: Any = None
) -> Any:
    """torch.norm: the norm of vectors, but for the nuclear one."""
    only_if(p != "nuc", "the nuclear norm")
    order = 2 if p in ("fro", None) else p
    return torch.linalg.vector_norm(input, order, dim, keepdim, dtype=dtype)


@recipe("count_nonzero")
def count_nonzero(input: Tensor, dim: Any = None) -> Any:
    """torch.count_nonzero: a sum of bools."""
    found = input != 0
    return found.sum() if dim is None else found.sum(dim)


@recipe("logsumexp")
def logsumexp(input: Tensor, dim: Any, keepdim: bool = False) -> Any:
    """torch.logsumexp, of distances to the maximum; also of a row of -inf, or with inf."""
    top = input.amax(dim, keepdim=True)
    top = torch.where(top.abs() == torch.inf, 0.0, top)
    found = (input - top).exp().sum(dim, keepdim=True).log() + top
    return found if keepdim else found.squeeze(dim)


@recipe("amax")
def amax(input: Tensor, dim: Any = (), keepdim: bool = False) -> Any:
    """torch.amax along one dimension: the values of torch.max."""
    dims = [dim] if isinstance(dim, int) else list(dim)
    only_if(len(dims) == 1)
    return torch.max(input, dims[0], keepdim)[0]


@recipe("softmax", "_softmax")
def softmax(input: Tensor, dim: int, dtype: Any = None, half_to_float: bool = False) -> Any:
    """torch.nn.Softmax, of the distances to the maximum, so that nothing overflows."""
    only_if(dtype in (None, input.dtype) and not half_to_float)
    raised = (input - input.amax(dim, keepdim=True)).exp()
    return raised / raised.sum(dim, keepdim=True)


@recipe("log_softmax", "_log_softmax")
def log_softmax(input: Tensor, dim: int, dtype: Any = None, half_to_float: bool = False) -> Any:
    """torch.nn.LogSoftmax, of the distances to the maximum, so that nothing overflows."""
    only_if(dtype in (None, input.dtype) and not half_to_float)
    away = input - input.amax(dim, keepdim=True)
    return away - away.exp().sum(dim, keepdim=True).log()


@recipe("cumsum")
def cumsum(input: Tensor, dim: int, dtype: Any = None) -> Any:
    """torch.cumsum, of up to 64 elements: a sum each."""
    size = input.shape[dim]
    only_if(size <= 64 and dtype in (None, input.dtype))
    parts = [cut(input, dim, 0, 1)]
    for i in range(1, size):
        parts.append(parts[-1] + cut(input, dim, i, 1))
    return torch.cat(parts, dim)


@recipe("max")
def max_of_all(input: Tensor) -> Any:
    """torch.max of one tensor: the maximum along all dimensions."""
    return input.amax(tuple(range(input.ndim)))


@recipe("histc")
def histc(input: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Any:
    """torch.histc: how many elements lie in each of ``bins`` equal parts; max counts to the last.

    Up to 1024 parts: every element is compared with the border of each.
    """
    only_if(min < max and bins <= 1024)
    step = (max - min) / bins
    low = torch.arange(bins, dtype=input.dtype, device=input.device) * step + min
    flat = input.reshape(1, -1)
    above = (flat >= low.reshape(-1, 1)).to(input.dtype).sum(1)  # a difference of two such counts
    beyond = (flat > max).to(input.dtype).sum(1)
    return above - torch.cat([above[1:], beyond])


@recipe("isin")
def isin(
    elements: Any, test_elements: Any, assume_unique: bool = False, invert: bool = False
) -> Any:
    """torch.isin: equal to any."""
    only_if(isinstance(elements, Tensor) and isinstance(test_elements, Tensor))
    found = (elements.unsqueeze(-1) == test_elements.flatten()).any(-1)
    return ~found if invert else found


@recipe("diff")
def diff(input: Tensor, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """torch.diff: each element less the one before, ``n`` times; of bools, whether they differ."""
    parts = [part for part in (prepend, input, append) if part is not None]
    made = input if len(parts) == 1 else torch.cat(parts, dim)
    for _ in range(n):
        size = made.shape[dim] - 1
        later, earlier = made.narrow(dim, 1, size), made.narrow(dim, 0, size)
        made = later ^ earlier if made.dtype is torch.bool else later - earlier
    return made


@recipe("one_hot")
def one_hot(input: Tensor, num_classes: int = -1) -> Any:
    """torch.nn.functional.one_hot: equal to the number of the class."""
    only_if(num_classes > 0, "how many classes there are depends on the data")
    return (input.unsqueeze(-1) == torch.arange(num_classes, device=input.device)).long()
