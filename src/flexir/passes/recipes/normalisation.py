"""Normalisation layers from means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .table import only_if, recipe


def _wide(input: Tensor) -> Tensor:
    return input.float() if input.dtype in (torch.float16, torch.bfloat16) else input


def _normalized(input: Tensor, dims: Any, eps: float) -> Tensor:
    """Mean 0 and variance 1, of numbers of 16 bits in 32."""
    wide = _wide(input)
    away = wide - wide.mean(dims, keepdim=True)
    made = away * torch.rsqrt((away * away).mean(dims, keepdim=True) + eps)
    return made if wide is input else made.to(input.dtype)


def _affine(made: Tensor, weight: Any, bias: Any, shape: Sequence[int]) -> Tensor:
    made = made if weight is None else made * weight.reshape(shape)
    return made if bias is None else made + bias.reshape(shape)


@recipe("layer_norm")
def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Any:
    """torch.nn.LayerNorm: its formula."""
    made = _normalized(input, tuple(range(-len(normalized_shape), 0)), eps)
    made = made if weight is None else made * weight
    return made if bias is None else made + bias


@recipe("rms_norm")
def rms_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Any = None, eps: Any = None
) -> Any:
    """torch.nn.RMSNorm: its formula; without ``eps``, the dtype's."""
    dims = tuple(range(-len(normalized_shape), 0))
    small, wide = torch.finfo(input.dtype).eps if eps is None else eps, _wide(input)
    made = wide * torch.rsqrt((wide * wide).mean(dims, keepdim=True) + small)
    made = made if wide is input else made.to(input.dtype)
    return made if weight is None else made * weight


@recipe("group_norm")
def group_norm(
    input: Tensor, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """torch.nn.GroupNorm: its formula."""
    n, c = input.shape[:2]
    made = _normalized(input.reshape(n, num_groups, -1), (2,), eps).reshape(input.shape)
    return _affine(made, weight, bias, [1, c] + [1] * (input.ndim - 2))


@recipe("instance_norm")
def instance_norm(
    input: Tensor,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """torch.nn.InstanceNorm2d: its formula, for any number of dimensions."""
    only_if(use_input_stats and running_mean is None)
    made = _normalized(input, tuple(range(2, input.ndim)), eps)
    return _affine(made, weight, bias, [1, input.shape[1]] + [1] * (input.ndim - 2))


@recipe("batch_norm")
def batch_norm(
    input: Tensor,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """torch.nn.BatchNorm2d: its formula, for any number of dimensions."""
    shape = [1, -1] + [1] * (input.ndim - 2)
    if training:
        only_if(running_mean is None, "it updates its statistics")
        return _affine(_normalized(input, (0, *range(2, input.ndim)), eps), weight, bias, shape)
    made = (input - running_mean.reshape(shape)) * torch.rsqrt(running_var + eps).reshape(shape)
    return _affine(made, weight, bias, shape)
