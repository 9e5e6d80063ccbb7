"""Where elements stand: shapes, joins, cuts, padding, and what is made of nothing."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import torch

from ..arguments import fail_unless
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


@op("t", "mT")
def turn(call: Any, input: Any) -> Any:
    return input if input.ndim < 2 else jnp.swapaxes(input, -1, -2)


@op("T")
def turned_whole(call: Any, input: Any) -> Any:
    return jnp.transpose(input)


@op("movedim")
def movedim(call: Any, input: Any, source: Any, destination: Any) -> Any:
    return jnp.moveaxis(input, source, destination)


@op("expand", "expand_as", "broadcast_to")
def expand(call: Any, input: Any, **how: Any) -> Any:
    return jnp.broadcast_to(input, call.shape)


@op("broadcast_tensors")
def broadcast_tensors(call: Any, tensors: Any) -> Any:
    return jnp.broadcast_arrays(*tensors)


@op("repeat", "tile")
def repeat(call: Any, input: Any, **how: Any) -> Any:
    return jnp.tile(input, how["repeats" if "repeats" in how else "dims"])


@op("repeat_interleave")
def repeat_interleave(call: Any, input: Any, repeats: Any, dim: Any = None,
                      output_size: Any = None) -> Any:  # fmt: skip
    fail_unless(isinstance(repeats, int), "a number of repeats for each element")
    return jnp.repeat(input, repeats, axis=dim)


@op("cat")
def cat(call: Any, tensors: Any, dim: int = 0) -> Any:
    parts = [t for t in tensors if t.shape != (0,)] or list(tensors[:1])
    return jnp.concatenate([call.cast(part) for part in parts], axis=dim)


@op("stack")
def stack(call: Any, tensors: Any, dim: int = 0) -> Any:
    return jnp.stack([call.cast(part) for part in tensors], axis=dim)


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


@op("roll")
def roll(call: Any, input: Any, shifts: Any, dims: Any = None) -> Any:
    return jnp.roll(input, shifts, None if dims in (None, (), []) else dims)


@op("narrow")
def narrow(call: Any, input: Any, dim: int, start: Any, length: int) -> Any:
    fail_unless(isinstance(start, int), "a start that is a tensor")
    start = start % input.shape[dim] if start < 0 else start
    return input[(slice(None),) * (dim % input.ndim) + (slice(start, start + length),)]


@op("select")
def select(call: Any, input: Any, dim: int, index: Any) -> Any:
    fail_unless(isinstance(index, int), "an index that is a tensor")
    return input[(slice(None),) * (dim % input.ndim) + (index,)]


@op("unfold")
def unfold(call: Any, input: Any, dimension: int, size: int, step: int) -> Any:
    """Windows along one dimension, which come last."""
    fail_unless(input.ndim, "windows of a number")
    windows = np.arange(0, input.shape[dimension] - size + 1, step)[:, None] + np.arange(size)
    dimension %= input.ndim
    return jnp.moveaxis(jnp.take(input, windows, axis=dimension), dimension + 1, -1)


@op("diagonal")
def diagonal(call: Any, input: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    return jnp.diagonal(input, offset, dim1, dim2)


@op("diag")
def diag(call: Any, input: Any, diagonal: int = 0) -> Any:
    return jnp.diag(input, diagonal)


@op("tril", "triu")
def triangle(call: Any, input: Any, diagonal: int = 0) -> Any:
    return (jnp.tril if call.op == "tril" else jnp.triu)(input, diagonal)


@op("meshgrid")
def meshgrid(call: Any, tensors: Any, indexing: Any = None) -> Any:
    return jnp.meshgrid(*[jnp.atleast_1d(t) for t in tensors], indexing=indexing or "ij")


@op("pad")
def pad(call: Any, input: Any, pad: Any, mode: str = "constant", value: Any = None) -> Any:
    """Pairs from the last dimension on."""
    pairs = [(0, 0)] * (input.ndim - len(pad) // 2)
    pairs += [(int(a), int(b)) for a, b in zip(pad[-2::-2], pad[::-2])]
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


@op("pixel_shuffle")
def pixel_shuffle(call: Any, input: Any, upscale_factor: int) -> Any:
    r, (c, h, w) = upscale_factor, input.shape[-3:]
    made = input.reshape(*input.shape[:-3], c // r**2, r, r, h, w)
    order = [*range(input.ndim - 3), *(input.ndim - 3 + i for i in (0, 3, 1, 4, 2))]
    return jnp.transpose(made, order).reshape(call.shape)


@op("view_as_complex")
def view_as_complex(call: Any, input: Any) -> Any:
    return (input[..., 0] + 1j * input[..., 1]).astype(call.dtype)


@op("view_as_real")
def view_as_real(call: Any, input: Any) -> Any:
    return jnp.stack([input.real, input.imag], -1)


@op("one_hot")
def one_hot(call: Any, input: Any, num_classes: Any = -1) -> Any:
    fail_unless(num_classes > 0, "as many classes as the values say")
    return (input[..., None] == jnp.arange(num_classes)).astype(call.dtype)
