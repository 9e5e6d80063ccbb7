"""Where elements stand: shapes, joins, cuts, padding, and what is made of nothing."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import torch

from ..arguments import fail_unless, pairs_of
from .handlers import op
from .program import number


@op("reshape", "view", "flatten", "unflatten", "squeeze", "unsqueeze", "view_as", "reshape_as",
    "ravel")  # fmt: skip
def reshape(call: Any, input: Any, **how: Any) -> Any:
    fail_unless(not isinstance(how.get("dtype"), torch.dtype), "bytes seen as another dtype")
    return input.reshape(call.shape)


@op("permute")
def permute(call: Any, input: Any, dims: Any) -> Any:
    return jnp.transpose(input, dims)


@op("transpose")
def transpose(call: Any, input: Any, dim0: int, dim1: int) -> Any:
    return jnp.swapaxes(input, dim0, dim1) if input.ndim else input


@op("expand")
def expand(call: Any, input: Any, **how: Any) -> Any:
    return jnp.broadcast_to(input, call.shape)


@op("repeat")
def repeat(call: Any, input: Any, repeats: Any) -> Any:
    return jnp.tile(input, repeats)


@op("cat")
def cat(call: Any, tensors: Any, dim: int = 0) -> Any:
    parts = [t for t in tensors if t.shape != (0,)] or list(tensors[:1])
    return jnp.concatenate([call.cast(part) for part in parts], axis=dim)


@op("split", "split_with_sizes", "chunk", "tensor_split", "unsafe_split", "unsafe_chunk")
def split(call: Any, input: Any, dim: int = 0, **how: Any) -> Any:
    """Cut as torch cut it."""
    ends = np.cumsum([shape[dim] for shape, _ in call.types])[:-1]
    return jnp.split(input, ends.tolist(), axis=dim)


@op("unbind")
def unbind(call: Any, input: Any, dim: int = 0) -> Any:
    return list(jnp.moveaxis(input, dim, 0))


@op("flip")
def flip(call: Any, input: Any, dims: Any) -> Any:
    return jnp.flip(input, dims if isinstance(dims, int) else tuple(dims)) if input.ndim else input


@op("pad")
def pad(call: Any, input: Any, pad: Any, mode: str = "constant", value: Any = None) -> Any:
    """Pairs from the last dimension on."""
    pairs = pairs_of(pad, input.ndim)
    if min(pad, default=0) < 0:
        fail_unless(mode == "constant", f"negative padding, {mode}")
        cut = [slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(input.shape, pairs)]
        input, pairs = input[tuple(cut)], [(max(a, 0), max(b, 0)) for a, b in pairs]
    if mode == "constant":
        return jnp.pad(input, pairs, constant_values=number(value or 0, input.dtype))
    return jnp.pad(
        input, pairs, {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}[mode]
    )


@op("zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full", "zeros", "ones",
    "full", "empty", "empty_like", "new_empty")  # fmt: skip
def filled(call: Any, **how: Any) -> Any:
    value = how.get("fill_value", int("ones" in call.op))
    return jnp.broadcast_to(call.cast(value), call.shape)


@op("view_as_complex")
def view_as_complex(call: Any, input: Any) -> Any:
    return (input[..., 0] + 1j * input[..., 1]).astype(call.dtype)


@op("view_as_real")
def view_as_real(call: Any, input: Any) -> Any:
    return jnp.stack([input.real, input.imag], -1)
