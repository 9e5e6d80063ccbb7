"""Shapes are known, so many ops are one reshape or one permute; slices and joins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .indexing import along
from .table import only_if, recipe


@recipe("view", "flatten", "unflatten", "squeeze", "unsqueeze", "_unsafe_view", "view_as",
        "reshape_as", "ravel")  # fmt: skip
def to_reshape(input: Tensor, *, shape: tuple[int, ...], **_: Any) -> Any:
    """torch.reshape: the shape of the result is known."""
    return input.reshape(shape)


@recipe("reshape", "view_as", "flatten", "squeeze", "unsqueeze")
def to_view(input: Tensor, *, shape: tuple[int, ...], **_: Any) -> Any:
    """torch.Tensor.view: the shape of the result is known."""
    return input.view(shape)


@recipe("reshape", "view")
def to_flatten(input: Tensor, *, shape: tuple[int, ...], **_: Any) -> Any:
    """torch.flatten, for a reshape to one or two dimensions that does it."""
    only_if(len(shape) == 2 and shape[0] == input.shape[0] or len(shape) == 1)
    return torch.flatten(input, len(shape) - 1)


@recipe("transpose")
def transpose(input: Tensor, dim0: int, dim1: int) -> Any:
    """torch.transpose: a permute."""
    dims = list(range(input.ndim))
    dims[dim0], dims[dim1] = dims[dim1], dims[dim0]
    return input.permute(dims)


@recipe("t", "T", "adjoint", "mT")
def turn(input: Tensor) -> Any:
    """torch.t, of a matrix: a permute."""
    only_if(input.ndim == 2 and not input.is_complex())
    return input.permute(1, 0)


@recipe("mT", "adjoint")
def turn_last(input: Tensor) -> Any:
    """torch.adjoint, of real numbers: a permute."""
    only_if(not input.is_complex())
    return input.permute(*range(input.ndim - 2), -1, -2)


@recipe("movedim")
def movedim(input: Tensor, source: Any, destination: Any) -> Any:
    """torch.movedim: a permute."""
    moved = [source] if isinstance(source, int) else list(source)
    places = [destination] if isinstance(destination, int) else list(destination)
    moved, places = [d % input.ndim for d in moved], [d % input.ndim for d in places]
    dims = [d for d in range(input.ndim) if d not in moved]
    for place, dim in sorted(zip(places, moved)):
        dims.insert(place, dim)
    return input.permute(dims)


@recipe("permute")
def to_transposes(input: Tensor, dims: Sequence[int]) -> Any:
    """torch.permute: one transpose for each dimension out of its place."""
    order, made = [d % input.ndim for d in dims], input
    at = list(range(input.ndim))
    for place, dim in enumerate(order):
        where = at.index(dim)
        if where != place:
            made = made.transpose(place, where)
            at[place], at[where] = at[where], at[place]
    return made


@recipe("expand", "expand_as", "broadcast_to")
def expand(input: Tensor, *, shape: tuple[int, ...], **_: Any) -> Any:
    """torch.Tensor.expand: copies side by side."""
    made = input.reshape((1,) * (len(shape) - input.ndim) + tuple(input.shape))
    for dim, size in enumerate(shape):
        if made.shape[dim] != size:
            made = torch.cat([made] * size, dim)
    return made


@recipe("repeat", "tile")
def repeat(input: Tensor, *, shape: tuple[int, ...], **_: Any) -> Any:
    """torch.Tensor.repeat: copies side by side."""
    made = input.reshape((1,) * (len(shape) - input.ndim) + tuple(input.shape))
    for dim, size in enumerate(shape):
        if made.shape[dim] != size:
            made = torch.cat([made] * (size // made.shape[dim]), dim)
    return made


@recipe("repeat_interleave")
def repeat_interleave(input: Tensor, repeats: Any, dim: Any = None, output_size: Any = None) -> Any:
    """torch.repeat_interleave, equally often for each: a new dimension, expanded."""
    only_if(not isinstance(repeats, Tensor), "a number of repeats for each element")
    if dim is None:
        input, dim = input.reshape(-1), 0
    dim, shape = dim % input.ndim, list(input.shape)
    made = input.unsqueeze(dim + 1).expand(*shape[: dim + 1], repeats, *shape[dim + 1 :])
    shape[dim] = shape[dim] * repeats
    return made.reshape(shape)


@recipe("split")
def split(input: Tensor, split_size_or_sections: Any, dim: int = 0) -> Any:
    """torch.split: slices."""
    sizes = split_size_or_sections
    if isinstance(sizes, int):
        whole = input.shape[dim]
        sizes = [min(sizes, whole - i) for i in range(0, whole, sizes)]
    return tuple(cut(input, dim, start, size) for start, size in _starts(sizes))


@recipe("split_with_sizes")
def split_with_sizes(input: Tensor, split_sizes: Any, dim: int = 0) -> Any:
    """torch.split_with_sizes: slices."""
    return split(input, list(split_sizes), dim)


@recipe("chunk")
def chunk(input: Tensor, chunks: int, dim: int = 0) -> Any:
    """torch.chunk: slices of the size rounded up."""
    return split(input, -(-input.shape[dim] // chunks), dim)


@recipe("unbind")
def unbind(input: Tensor, dim: int = 0) -> Any:
    """torch.unbind: every row."""
    return tuple(pick(input, dim, i) for i in range(input.shape[dim]))


@recipe("narrow")
def narrow(input: Tensor, dim: int, start: int, length: int) -> Any:
    """torch.narrow: a slice."""
    return cut(input, dim, start, length)


@recipe("select")
def select(input: Tensor, dim: int, index: int) -> Any:
    """torch.select: a row."""
    return pick(input, dim, index)


@recipe("stack")
def stack(tensors: Sequence[Tensor], dim: int = 0) -> Any:
    """torch.stack: a cat of a new dimension."""
    return torch.cat([t.unsqueeze(dim) for t in tensors], dim)


@recipe("meshgrid")
def meshgrid(tensors: Any, indexing: str = "ij") -> Any:
    """torch.meshgrid: each along its own dimension; the first two change places for ``xy``."""
    tensors = tensors[0] if isinstance(tensors[0], (list, tuple)) else tensors
    rank = len(tensors)
    places = [1, 0, *range(2, rank)] if indexing == "xy" and rank > 1 else list(range(rank))
    sizes = [tensors[place].shape[0] if tensors[place].ndim else 1 for place in places]
    lone = [[-1 if d == place else 1 for d in range(rank)] for place in places]
    return tuple(t.reshape(shape).expand(sizes) for t, shape in zip(tensors, lone))


@recipe("roll")
def roll(input: Tensor, shifts: Any, dims: Any = ()) -> Any:
    """torch.roll: what goes beyond the end comes first."""
    amounts = [shifts] if isinstance(shifts, int) else list(shifts)
    axes = [dims] if isinstance(dims, int) else list(dims)
    if not axes:
        return roll(input.reshape(-1), amounts, 0).reshape(input.shape)
    made = input
    for shift, dim in zip(amounts, axes):
        size = made.shape[dim]
        first = -shift % size
        if type(first) is not int or first:
            parts = cut(made, dim, first, size - first), cut(made, dim, 0, first)
            made = torch.cat(parts, dim)
    return made


@recipe("pixel_shuffle")
def pixel_shuffle(input: Tensor, upscale_factor: int) -> Any:
    """torch.nn.PixelShuffle: ``(c r r, h, w)`` to ``(c, h r, w r)``."""
    r, (*batch, c, h, w) = upscale_factor, input.shape
    n, made = len(batch), input.reshape(*batch, c // r**2, r, r, h, w)
    made = made.permute(*range(n), n, n + 3, n + 1, n + 4, n + 2)
    return made.reshape(*batch, c // r**2, h * r, w * r)


@recipe("pixel_unshuffle")
def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Any:
    """torch.nn.PixelUnshuffle: ``(c, h r, w r)`` to ``(c r r, h, w)``."""
    r, (*batch, c, h, w) = downscale_factor, input.shape
    n, made = len(batch), input.reshape(*batch, c, h // r, r, w // r, r)
    made = made.permute(*range(n), n, n + 2, n + 4, n + 1, n + 3)
    return made.reshape(*batch, c * r**2, h // r, w // r)


@recipe("channel_shuffle", "native_channel_shuffle")
def channel_shuffle(input: Tensor, groups: int) -> Any:
    """torch.nn.ChannelShuffle: groups and the channels of a group change places."""
    n, c, *rest = input.shape
    made = input.reshape(n, groups, c // groups, *rest).transpose(1, 2)
    return made.reshape(input.shape)


def _starts(sizes: Sequence[int]) -> list[tuple[int, int]]:
    return [(sum(sizes[:i]), size) for i, size in enumerate(sizes)]


def cut(input: Tensor, dim: int, start: int, size: int) -> Tensor:
    return input[along(dim, input.ndim, slice(start, start + size))]


def pick(input: Tensor, dim: int, index: int) -> Tensor:
    return input[along(dim, input.ndim, index)]


@recipe("dropout", "alpha_dropout", "feature_dropout", "feature_alpha_dropout", "dropout1d",
        "dropout2d", "dropout3d", "native_dropout")  # fmt: skip
def no_dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """torch.nn.Dropout and its kind, in evaluation: the input."""
    only_if(not training or p == 0, "it draws random numbers")
    return input


@recipe("contiguous", "clone", "detach", "alias", "lift_fresh", "positive")
def same(input: Tensor, **_: Any) -> Any:
    """torch.clone and its kind: values do not change, so a copy is the same."""
    return input


@recipe("to", "type_as", "float", "double", "half", "bfloat16", "_to_copy")
def same_type(input: Tensor, *, type: Any, **_: Any) -> Any:
    """torch.Tensor.to and its kind, to the dtype it has: the same."""
    only_if(type.dtype == input.dtype, f"it converts to {type.dtype}")
    return input


@recipe("int", "long", "short", "char", "byte", "bool", "float", "double", "half", "bfloat16",
        "type_as", "type", "_to_copy")  # fmt: skip
def cast(input: Tensor, *, type: Any, **_: Any) -> Any:
    """torch.Tensor.to, for the methods named after dtypes."""
    return input.to(type.dtype)


@recipe("zeros_like", "new_zeros", "zero")
def zeros_like(input: Tensor, *, shape: tuple[int, ...], type: Any, **_: Any) -> Any:
    """torch.zeros of the shape and dtype of the result."""
    return torch.zeros(shape, dtype=type.dtype)


@recipe("ones_like", "new_ones")
def ones_like(input: Tensor, *, shape: tuple[int, ...], type: Any, **_: Any) -> Any:
    """torch.ones of the shape and dtype of the result."""
    return torch.ones(shape, dtype=type.dtype)


@recipe("full_like", "new_full", "fill")
def full_like(
    input: Tensor, fill_value: Any = None, value: Any = None, *, shape: Any, type: Any, **_: Any
) -> Any:
    """torch.full of the shape and dtype of the result."""
    number = fill_value if value is None else value
    only_if(isinstance(number, (bool, int, float)))
    return torch.full(shape, number, dtype=type.dtype)


@recipe("copy")
def copy(input: Tensor, src: Tensor) -> Any:
    """torch.Tensor.copy_: the source, in the dtype and shape of the input."""
    made = src if src.dtype == input.dtype else src.to(input.dtype)
    return made if src.shape == input.shape else made.expand_as(input)


@recipe("pad")
def pad_around(input: Tensor, pad: Sequence[int], mode: str = "constant") -> Any:
    """torch.nn.functional.pad with ``circular``: behind an end comes the other one."""
    only_if(mode == "circular" and min(pad, default=0) >= 0)
    for place in range(len(pad) // 2):
        dim, before, after = -1 - place, pad[2 * place], pad[2 * place + 1]
        size = input.shape[dim]
        places = torch.arange(-before, size + after, device=input.device) % size
        input = input.index_select(dim, places)
    return input


@recipe("pad_sequence")
def pad_sequence(
    sequences: Sequence[Tensor], batch_first: bool = False, padding_value: float = 0.0,
    padding_side: str = "right",
) -> Any:  # fmt: skip
    """torch.nn.utils.rnn.pad_sequence: a pad of each, then a stack."""
    longest = max(one.shape[0] for one in sequences)
    made = []
    for one in sequences:
        lacking = longest - one.shape[0]
        pad = [0, lacking] if padding_side == "right" else [lacking, 0]
        sides = [0, 0] * (one.ndim - 1) + pad  # of the last dimension first
        made.append(torch.nn.functional.pad(one, sides, "constant", padding_value))
    return torch.stack(made, 0 if batch_first else 1)
