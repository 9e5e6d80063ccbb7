"""Shapes are known, so many ops are one reshape or one permute; slices and joins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .table import only_if, recipe


@recipe("view", "flatten", "unflatten", "squeeze", "unsqueeze", "_unsafe_view", "view_as",
        "reshape_as", "ravel")  # fmt: skip
def to_reshape(input: Tensor, *, shape: tuple[int, ...], **_: Any) -> Any:
    return input.reshape(shape)


@recipe("reshape", "view_as", "flatten", "squeeze", "unsqueeze")
def to_view(input: Tensor, *, shape: tuple[int, ...], **_: Any) -> Any:
    return input.view(shape)


@recipe("reshape", "view")
def to_flatten(input: Tensor, *, shape: tuple[int, ...], **_: Any) -> Any:
    only_if(len(shape) == 2 and shape[0] == input.shape[0] or len(shape) == 1)
    return torch.flatten(input, len(shape) - 1)


@recipe("transpose")
def transpose(input: Tensor, dim0: int, dim1: int) -> Any:
    dims = list(range(input.ndim))
    dims[dim0], dims[dim1] = dims[dim1], dims[dim0]
    return input.permute(dims)


@recipe("t", "T", "adjoint", "mT")
def turn(input: Tensor) -> Any:
    only_if(input.ndim == 2 and not input.is_complex())
    return input.permute(1, 0)


@recipe("mT", "adjoint")
def turn_last(input: Tensor) -> Any:
    only_if(not input.is_complex())
    return input.permute(*range(input.ndim - 2), -1, -2)


@recipe("movedim")
def movedim(input: Tensor, source: Any, destination: Any) -> Any:
    moved = [source] if isinstance(source, int) else list(source)
    places = [destination] if isinstance(destination, int) else list(destination)
    moved, places = [d % input.ndim for d in moved], [d % input.ndim for d in places]
    dims = [d for d in range(input.ndim) if d not in moved]
    for place, dim in sorted(zip(places, moved)):
        dims.insert(place, dim)
    return input.permute(dims)


@recipe("permute")
def to_transposes(input: Tensor, dims: Sequence[int]) -> Any:
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
    made = input.reshape((1,) * (len(shape) - input.ndim) + tuple(input.shape))
    for dim, size in enumerate(shape):
        if made.shape[dim] != size:
            made = torch.cat([made] * size, dim)
    return made


@recipe("repeat", "tile")
def repeat(input: Tensor, *, shape: tuple[int, ...], **_: Any) -> Any:
    made = input.reshape((1,) * (len(shape) - input.ndim) + tuple(input.shape))
    for dim, size in enumerate(shape):
        if made.shape[dim] != size:
            made = torch.cat([made] * (size // made.shape[dim]), dim)
    return made


@recipe("repeat_interleave")
def repeat_interleave(input: Tensor, repeats: Any, dim: Any = None, output_size: Any = None) -> Any:
    only_if(not isinstance(repeats, Tensor), "a number of repeats for each element")
    if dim is None:
        input, dim = input.reshape(-1), 0
    dim, shape = dim % input.ndim, list(input.shape)
    made = input.unsqueeze(dim + 1).expand(*shape[: dim + 1], repeats, *shape[dim + 1 :])
    shape[dim] = shape[dim] * repeats
    return made.reshape(shape)


@recipe("split")
def split(input: Tensor, split_size_or_sections: Any, dim: int = 0) -> Any:
    sizes = split_size_or_sections
    if isinstance(sizes, int):
        whole = input.shape[dim]
        sizes = [min(sizes, whole - i) for i in range(0, whole, sizes)]
    return tuple(cut(input, dim, start, size) for start, size in _starts(sizes))


@recipe("split_with_sizes")
def split_with_sizes(input: Tensor, split_sizes: Any, dim: int = 0) -> Any:
    return split(input, list(split_sizes), dim)


@recipe("chunk")
def chunk(input: Tensor, chunks: int, dim: int = 0) -> Any:
    return split(input, -(-input.shape[dim] // chunks), dim)


@recipe("unbind")
def unbind(input: Tensor, dim: int = 0) -> Any:
    return tuple(pick(input, dim, i) for i in range(input.shape[dim]))


@recipe("narrow")
def narrow(input: Tensor, dim: int, start: int, length: int) -> Any:
    return cut(input, dim, start, length)


@recipe("select")
def select(input: Tensor, dim: int, index: int) -> Any:
    return pick(input, dim, index)


@recipe("slice")
def slice_(input: Tensor, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Any:
    return input[(slice(None),) * (dim % input.ndim) + (slice(start, end, step),)]


@recipe("slice_scatter")
def slice_scatter(
    input: Tensor, src: Tensor, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> Any:
    return _written(input, dim, slice(start, end, step), src)


@recipe("select_scatter")
def select_scatter(input: Tensor, src: Tensor, dim: int, index: int) -> Any:
    return _written(input, dim, index, src)


def _written(input: Tensor, dim: int, part: Any, src: Tensor) -> Tensor:
    made = input.clone()
    made[(slice(None),) * (dim % input.ndim) + (part,)] = src
    return made


@recipe("getitem")
def getitem(input: Tensor, indices: Any) -> Any:
    """Basic indexing as narrow and reshape."""
    parts = list(indices) if isinstance(indices, tuple) else [indices]
    only_if(all(p is None or p is ... or type(p) in (int, slice) for p in parts))
    used = sum(p is not None and p is not ... for p in parts)
    if ... in parts:
        place = parts.index(...)
        parts[place : place + 1] = [slice(None)] * (input.ndim - used)
    made, shape, dim = input, [], 0
    for part in parts:
        if part is None:
            shape.append(1)
            continue
        size = input.shape[dim]
        if isinstance(part, int):
            made = made.narrow(dim, part % size, 1)
        else:
            start, stop, step = part.indices(size)
            only_if(step == 1)
            if (start, stop) != (0, size):
                made = made.narrow(dim, start, max(0, stop - start))
            shape.append(max(0, stop - start))
        dim += 1
    return made.reshape([*shape, *input.shape[dim:]])


@recipe("index", "_unsafe_index")
def index(input: Tensor, indices: Any) -> Any:
    return input[tuple(slice(None) if part is None else part for part in indices)]


@recipe("stack")
def stack(tensors: Sequence[Tensor], dim: int = 0) -> Any:
    return torch.cat([t.unsqueeze(dim) for t in tensors], dim)


@recipe("unfold")
def unfold(input: Tensor, dimension: int, size: int, step: int, *, shape: tuple[int, ...]) -> Any:
    """Windows along one dimension, which come last."""
    only_if(input.ndim and type(shape[dimension % input.ndim]) is int, "a size that varies")
    dimension %= input.ndim
    first = torch.arange(shape[dimension], device=input.device) * step
    windows = first[:, None] + torch.arange(size, device=input.device)
    made = input[(slice(None),) * dimension + (windows,)]
    return made.movedim(dimension + 1, -1)


@recipe("diagonal")
def diagonal(
    input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1, *, shape: tuple[int, ...]
) -> Any:
    """The two dimensions go last and become one, of which some places are taken."""
    only_if(type(shape[-1]) is int, "a size that varies")
    a, b = dim1 % input.ndim, dim2 % input.ndim
    rest, columns = [d for d in range(input.ndim) if d not in (a, b)], input.shape[b]
    flat = input.permute(*rest, a, b).flatten(-2)
    places = torch.arange(shape[-1], device=input.device) * (columns + 1)
    return flat.index_select(-1, places + (offset if offset >= 0 else -offset * columns))


@recipe("meshgrid")
def meshgrid(tensors: Any, indexing: str = "ij") -> Any:
    """Each along its own dimension; the first two change places for ``xy``."""
    tensors = tensors[0] if isinstance(tensors[0], (list, tuple)) else tensors
    rank = len(tensors)
    places = [1, 0, *range(2, rank)] if indexing == "xy" and rank > 1 else list(range(rank))
    sizes = [tensors[place].shape[0] if tensors[place].ndim else 1 for place in places]
    lone = [[-1 if d == place else 1 for d in range(rank)] for place in places]
    return tuple(t.reshape(shape).expand(sizes) for t, shape in zip(tensors, lone))


@recipe("roll")
def roll(input: Tensor, shifts: Any, dims: Any = ()) -> Any:
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
    r, (*batch, c, h, w) = upscale_factor, input.shape
    n, made = len(batch), input.reshape(*batch, c // r**2, r, r, h, w)
    made = made.permute(*range(n), n, n + 3, n + 1, n + 4, n + 2)
    return made.reshape(*batch, c // r**2, h * r, w * r)


@recipe("pixel_unshuffle")
def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Any:
    r, (*batch, c, h, w) = downscale_factor, input.shape
    n, made = len(batch), input.reshape(*batch, c, h // r, r, w // r, r)
    made = made.permute(*range(n), n, n + 2, n + 4, n + 1, n + 3)
    return made.reshape(*batch, c * r**2, h // r, w // r)


@recipe("channel_shuffle", "native_channel_shuffle")
def channel_shuffle(input: Tensor, groups: int) -> Any:
    n, c, *rest = input.shape
    made = input.reshape(n, groups, c // groups, *rest).transpose(1, 2)
    return made.reshape(input.shape)


def _starts(sizes: Sequence[int]) -> list[tuple[int, int]]:
    return [(sum(sizes[:i]), size) for i, size in enumerate(sizes)]


def cut(input: Tensor, dim: int, start: int, size: int) -> Tensor:
    return input[(slice(None),) * (dim % input.ndim) + (slice(start, start + size),)]


def pick(input: Tensor, dim: int, index: int) -> Tensor:
    return input[(slice(None),) * (dim % input.ndim) + (index,)]


@recipe("dropout", "alpha_dropout", "feature_dropout", "feature_alpha_dropout", "dropout1d",
        "dropout2d", "dropout3d", "native_dropout")  # fmt: skip
def no_dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    only_if(not training or p == 0, "it draws random numbers")
    return input


@recipe("contiguous", "clone", "detach", "alias", "lift_fresh", "positive")
def same(input: Tensor, **_: Any) -> Any:
    return input


@recipe("to", "type_as", "float", "double", "half", "bfloat16", "_to_copy")
def same_type(input: Tensor, *, type: Any, **_: Any) -> Any:
    only_if(type.dtype == input.dtype, f"it converts to {type.dtype}")
    return input


@recipe("int", "long", "short", "char", "byte", "bool", "float", "double", "half", "bfloat16",
        "type_as", "type", "_to_copy")  # fmt: skip
def cast(input: Tensor, *, type: Any, **_: Any) -> Any:
    return input.to(type.dtype)


@recipe("zeros_like", "new_zeros", "zero")
def zeros_like(input: Tensor, *, shape: tuple[int, ...], type: Any, **_: Any) -> Any:
    return torch.zeros(shape, dtype=type.dtype)


@recipe("ones_like", "new_ones")
def ones_like(input: Tensor, *, shape: tuple[int, ...], type: Any, **_: Any) -> Any:
    return torch.ones(shape, dtype=type.dtype)


@recipe("full_like", "new_full", "fill")
def full_like(
    input: Tensor, fill_value: Any = None, value: Any = None, *, shape: Any, type: Any, **_: Any
) -> Any:
    number = fill_value if value is None else value
    only_if(isinstance(number, (bool, int, float)))
    return torch.full(shape, number, dtype=type.dtype)


@recipe("copy")
def copy(input: Tensor, src: Tensor) -> Any:
    made = src if src.dtype == input.dtype else src.to(input.dtype)
    return made if src.shape == input.shape else made.expand_as(input)


@recipe("pad_sequence")
def pad_sequence(
    sequences: Sequence[Tensor], batch_first: bool = False, padding_value: float = 0.0,
    padding_side: str = "right",
) -> Any:  # fmt: skip
    longest = max(one.shape[0] for one in sequences)
    made = []
    for one in sequences:
        lacking = longest - one.shape[0]
        pad = [0, lacking] if padding_side == "right" else [lacking, 0]
        sides = [0, 0] * (one.ndim - 1) + pad  # of the last dimension first
        made.append(torch.nn.functional.pad(one, sides, "constant", padding_value))
    return torch.stack(made, 0 if batch_first else 1)


@recipe("scatter_reduce")
def scatter_reduce(
    input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, include_self: bool = True
) -> Any:
    """Without the input's own elements: what changes nothing takes their place."""
    only_if(not include_self and reduce in ("sum", "prod", "amax", "amin"))
    only_if(input.dtype is not torch.bool and not input.is_complex())
    ends = {"amax": float("-inf"), "amin": float("inf")}
    if not input.is_floating_point():
        ends = {"amax": torch.iinfo(input.dtype).min, "amin": torch.iinfo(input.dtype).max}
    neutral = {"sum": 0, "prod": 1, **ends}[reduce]
    return input.scatter(dim, index, neutral).scatter_reduce(dim, index, src, reduce)


@recipe("as_strided_scatter")
def as_strided_scatter(
    input: Tensor, src: Tensor, size: Any, stride: Any, storage_offset: int,
    input_stride: Any, dtype: torch.dtype, flags: int = 0,
) -> Any:  # fmt: skip
    """Elements at places of the memory, which are those of the input in the order it lies in."""
    only_if(dtype == input.dtype and not flags, "memory seen as of another dtype")
    order = sorted(range(input.ndim), key=lambda d: (-input_stride[d], d))
    turned = order != list(range(input.ndim))
    laid = input.permute(order) if turned else input
    dense = torch.empty(laid.shape, device="meta").stride()
    only_if(dense == tuple(input_stride[d] for d in order), "memory with gaps")
    reach = 0
    for step, count in sorted((s, n) for s, n in zip(stride, size) if n > 1):
        only_if(step > reach, "a write to memory that overlaps itself")
        reach += step * (count - 1)
    places = torch.full((), storage_offset, dtype=torch.int64, device=input.device)
    for step, count in zip(stride, size):
        places = places.unsqueeze(-1) + torch.arange(count, device=input.device) * step
    values = src.to(input.dtype).expand(tuple(size)).reshape(-1)
    made = laid.reshape(-1).scatter(0, places.reshape(-1), values).reshape(laid.shape)
    return made.permute([order.index(d) for d in range(input.ndim)]) if turned else made


@recipe("index_add")
def index_add(input: Tensor, dim: int, index: Tensor, source: Any, alpha: float = 1) -> Any:
    only_if(input.ndim and index.ndim == 1)
    places = index.long().reshape([-1 if d == dim % input.ndim else 1 for d in range(input.ndim)])
    source = source if alpha == 1 else source * alpha
    return input.scatter_add(dim, places.expand(source.shape), source)
