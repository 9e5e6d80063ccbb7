"""Fourier transforms of several dimensions, one dimension at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .table import recipe


def dims_of(input: Any, s: Any, dim: Any) -> list[tuple[int, int | None]]:
    """Dimensions in order, and the length each is cut or padded to."""
    if dim is None:
        dims = list(range(input.ndim))[-len(s) :] if s is not None else list(range(input.ndim))
    else:
        dims = [d % input.ndim for d in ((dim,) if isinstance(dim, int) else dim)]
    lengths = list(s) if s is not None else [None] * len(dims)
    return list(zip(dims, (None if n == -1 else n for n in lengths)))


def _each(transform: Callable[..., Tensor], input: Tensor, over: Any, norm: Any) -> Tensor:
    for dim, length in over:
        input = transform(input, length, dim, norm)
    return input


@recipe("fft_fft2")
def fft2(input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: Any = None) -> Any:
    """torch.fft.fft2: the two last dimensions."""
    return _each(torch.fft.fft, input, dims_of(input, s, dim), norm)


@recipe("fft_fftn")
def fftn(input: Tensor, s: Any = None, dim: Any = None, norm: Any = None) -> Any:
    """torch.fft.fftn: every dimension."""
    return fft2(input, s, dim, norm)


@recipe("fft_ifft2")
def ifft2(input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: Any = None) -> Any:
    """torch.fft.ifft2: the two last dimensions."""
    return _each(torch.fft.ifft, input, dims_of(input, s, dim), norm)


@recipe("fft_ifftn")
def ifftn(input: Tensor, s: Any = None, dim: Any = None, norm: Any = None) -> Any:
    """torch.fft.ifftn: every dimension."""
    return ifft2(input, s, dim, norm)


@recipe("fft_rfft2")
def rfft2(input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: Any = None) -> Any:
    """torch.fft.rfft2 of real numbers: the last dimension, then the other."""
    *rest, (last, length) = dims_of(input, s, dim)
    return _each(torch.fft.fft, torch.fft.rfft(input, length, last, norm), rest, norm)


@recipe("fft_rfftn")
def rfftn(input: Tensor, s: Any = None, dim: Any = None, norm: Any = None) -> Any:
    """torch.fft.rfftn of real numbers: the last dimension, then the others."""
    return rfft2(input, s, dim, norm)


@recipe("fft_irfft2")
def irfft2(input: Tensor, s: Any = None, dim: Any = (-2, -1), norm: Any = None) -> Any:
    """torch.fft.irfft2: the first dimension, then the last, to real numbers."""
    *rest, (last, length) = dims_of(input, s, dim)
    return torch.fft.irfft(_each(torch.fft.ifft, input, rest, norm), length, last, norm)


@recipe("fft_irfftn")
def irfftn(input: Tensor, s: Any = None, dim: Any = None, norm: Any = None) -> Any:
    """torch.fft.irfftn: all but the last dimension, then that, to real numbers."""
    return irfft2(input, s, dim, norm)


@recipe("fft_fftshift")
def fftshift(input: Tensor, dim: Any = None) -> Any:
    """torch.fft.fftshift: a roll by half."""
    dims = [d for d, _ in dims_of(input, None, dim)]
    return torch.roll(input, [input.shape[d] // 2 for d in dims], dims)


@recipe("fft_ifftshift")
def ifftshift(input: Tensor, dim: Any = None) -> Any:
    """torch.fft.ifftshift: a roll by half, back."""
    dims = [d for d, _ in dims_of(input, None, dim)]
    return torch.roll(input, [-(input.shape[d] // 2) for d in dims], dims)
