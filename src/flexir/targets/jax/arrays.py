"""Tensors as arrays and back: dtypes, 64 bits, memory."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

DTYPES = {
    getattr(torch, name): jnp.dtype(name)
    for name in ("float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8",
                 "uint8", "bool", "complex64", "complex128")
}  # fmt: skip
TORCH = {made: dtype for dtype, made in DTYPES.items()}
WIDER = {torch.int32: torch.int64, torch.float32: torch.float64, torch.complex64: torch.complex128}


def wide() -> Any:
    """Context manager: arrays of 64 bits stay what they are, whatever JAX is configured to."""
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(True)
    from jax.experimental import enable_x64  # type: ignore[attr-defined]  # before JAX 0.8

    return enable_x64(True)


def array_of(tensor: torch.Tensor) -> Any:
    """A tensor as a NumPy array over its memory."""
    tensor = tensor.detach().cpu().resolve_conj().resolve_neg()
    if tensor.dtype is torch.bfloat16:
        return tensor.contiguous().view(torch.int16).numpy().view(jnp.bfloat16)
    return tensor.numpy()


def tensor_of(array: Any) -> torch.Tensor:
    """An array as a tensor of its own."""
    made = np.array(array)
    if made.dtype == jnp.bfloat16:
        return torch.from_numpy(made.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(made)
