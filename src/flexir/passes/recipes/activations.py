"""Activation functions from relu, clamp, exp and each other."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from .shapes import cut
from .table import recipe


@recipe("relu")
def relu(input: Tensor) -> Any:
    """torch.nn.ReLU: ``max(0, x)``."""
    return torch.clamp(input, min=0)


@recipe("relu6")
def relu6(input: Tensor) -> Any:
    """torch.nn.ReLU6: ``min(max(0, x), 6)``."""
    return torch.clamp(input, 0, 6)


@recipe("hardtanh")
def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Any:
    """torch.nn.Hardtanh: ``x`` between two limits."""
    return torch.clamp(input, min_val, max_val)


@recipe("sigmoid")
def sigmoid(input: Tensor) -> Any:
    """torch.nn.Sigmoid: ``1 / (1 + exp(-x))``."""
    return 1 / (1 + torch.exp(-input))


@recipe("tanh")
def tanh(input: Tensor) -> Any:
    """torch.nn.Tanh, as ``2 sigmoid(2x) - 1``, which overflows nowhere."""
    return 2 / (1 + torch.exp(-2 * input)) - 1


@recipe("silu")
def silu(input: Tensor) -> Any:
    """torch.nn.SiLU: ``x sigmoid(x)``."""
    return input * torch.sigmoid(input)


@recipe("gelu")
def gelu(input: Tensor, approximate: str = "none") -> Any:
    """torch.nn.GELU, both formulas: with the error function, and approximated with ``tanh``."""
    if approximate == "tanh":
        inner = math.sqrt(2 / math.pi) * (input + 0.044715 * (input * input * input))
        return 0.5 * input * (1 + torch.tanh(inner))
    return 0.5 * input * (1 + torch.erf(input * math.sqrt(0.5)))


@recipe("softplus")
def softplus(input: Tensor, beta: float = 1, threshold: float = 20) -> Any:
    """torch.nn.Softplus, as ``max(0, x) + log(1 + exp(-|x|))``, which overflows nowhere.

    The threshold only saves work if it is 15 or more: beyond, float32 has no difference to ``x``.
    """
    scaled = input if beta == 1 else input * beta
    found = torch.relu(scaled) + torch.log1p(torch.exp(-torch.abs(scaled)))
    found = found if beta == 1 else found * (1 / beta)
    return found if threshold >= 15 else torch.where(scaled > threshold, input, found)


@recipe("mish")
def mish(input: Tensor) -> Any:
    """torch.nn.Mish: ``x tanh(softplus(x))``."""
    return input * torch.tanh(torch.nn.functional.softplus(input))


@recipe("hardsigmoid")
def hardsigmoid(input: Tensor) -> Any:
    """torch.nn.Hardsigmoid: ``relu6(x + 3) / 6``."""
    return torch.clamp(input + 3, 0, 6) * (1 / 6)


@recipe("hardswish")
def hardswish(input: Tensor) -> Any:
    """torch.nn.Hardswish: ``x relu6(x + 3) / 6``."""
    return input * torch.clamp(input + 3, 0, 6) * (1 / 6)


@recipe("leaky_relu")
def leaky_relu(input: Tensor, negative_slope: float = 0.01) -> Any:
    """torch.nn.LeakyReLU: ``max(0, x) + slope min(0, x)``."""
    return torch.relu(input) - negative_slope * torch.relu(-input)


@recipe("prelu", "_prelu_kernel")
def prelu(input: Tensor, weight: Tensor) -> Any:
    """torch.nn.PReLU: ``max(0, x) + weight min(0, x)``, a weight for each channel."""
    shaped = weight
    if input.ndim > 1 and weight.ndim == 1:
        shaped = weight.reshape([1, -1] + [1] * (input.ndim - 2))
    return torch.relu(input) - shaped * torch.relu(-input)


@recipe("elu")
def elu(input: Tensor, alpha: float = 1, scale: float = 1, input_scale: float = 1) -> Any:
    """torch.nn.ELU: ``max(0, x) + alpha (exp(min(0, x)) - 1)``."""
    low = (torch.exp(-torch.relu(-input * input_scale)) - 1) * alpha
    return (torch.relu(input) + low) * scale if scale != 1 else torch.relu(input) + low


@recipe("selu")
def selu(input: Tensor) -> Any:
    """torch.nn.SELU: an ELU with these two constants, which are the page's."""
    alpha, scale = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946
    return scale * (torch.relu(input) + alpha * (torch.exp(-torch.relu(-input)) - 1))


@recipe("celu")
def celu(input: Tensor, alpha: float = 1.0) -> Any:
    """torch.nn.CELU: ``max(0, x) + alpha (exp(min(0, x) / alpha) - 1)``."""
    return torch.relu(input) + alpha * (torch.exp(-torch.relu(-input) * (1 / alpha)) - 1)


@recipe("logsigmoid", "log_sigmoid")
def logsigmoid(input: Tensor) -> Any:
    """torch.nn.LogSigmoid: ``-softplus(-x)``."""
    return -torch.nn.functional.softplus(-input)


@recipe("threshold")
def threshold(input: Tensor, threshold: Any, value: Any) -> Any:
    """torch.nn.Threshold: ``x`` above the threshold, else the value."""
    return torch.where(input <= threshold, value, input)


@recipe("glu")
def glu(input: Tensor, dim: int = -1) -> Any:
    """torch.nn.GLU: the first half times the sigmoid of the second."""
    half = input.shape[dim] // 2
    return cut(input, dim, 0, half) * torch.sigmoid(cut(input, dim, half, half))
