"""Elements read and written at places: slices, windows, diagonals, scatters."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .table import only_if, recipe


def along(dim: int, rank: int, part: Any) -> tuple[Any, ...]:
    """What takes a part of one dimension, and all of those before it."""
    return (slice(None),) * (dim % rank) + (part,)


@recipe("slice")
def slice_(input: Tensor, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Any:
    """aten::slice: ``input[start:end:step]`` along one dimension."""
    return input[along(dim, input.ndim, slice(start, end, step))]


@recipe("slice_scatter")
def slice_scatter(
    input: Tensor, src: Tensor, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> Any:
    """torch.slice_scatter: a copy in which the slice is written."""
    return _written(input, dim, slice(start, end, step), src)


@recipe("select_scatter")
def select_scatter(input: Tensor, src: Tensor, dim: int, index: int) -> Any:
    """torch.select_scatter: a copy in which the row is written."""
    return _written(input, dim, index, src)


def _written(input: Tensor, dim: int, part: Any, src: Tensor) -> Tensor:
    made = input.clone()
    made[along(dim, input.ndim, part)] = src
    return made


@recipe("getitem")
def getitem(input: Tensor, indices: Any) -> Any:
    """torch.Tensor.__getitem__ with numbers, slices, ``None`` and ``...``: narrow and reshape.

    With lists of places: with tensors of them.
    """
    parts = _parts(indices)
    if any(map(_is_listed, parts)):
        return input[tuple(_as_tensor(part, input) for part in parts)]
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


def _parts(indices: Any) -> list[Any]:
    """What an index holds for each dimension; a list of more than numbers is taken for a tuple."""
    listed = isinstance(indices, list) and not all(isinstance(p, (int, list)) for p in indices)
    return list(indices) if listed or isinstance(indices, tuple) else [indices]


def _is_listed(part: Any) -> bool:
    return isinstance(part, (list, tuple, range)) and len(part) > 0


def _as_tensor(part: Any, input: Tensor) -> Any:
    """The places in a list as a tensor; they are numbers, or tensors that hold one."""
    if not _is_listed(part):
        return part
    if all(type(one) is int for one in part):
        return torch.tensor(list(part), device=input.device)
    only_if(all(isinstance(one, Tensor) and one.ndim == 0 for one in part), "a list of lists")
    return torch.stack(list(part))


@recipe("index", "_unsafe_index")
def index(input: Tensor, indices: Any) -> Any:
    """aten::index: ``input[indices]``."""
    return input[tuple(slice(None) if part is None else part for part in indices)]


@recipe("unfold")
def unfold(input: Tensor, dimension: int, size: int, step: int, *, shape: tuple[int, ...]) -> Any:
    """torch.Tensor.unfold: windows along one dimension, which come last."""
    only_if(input.ndim and type(shape[dimension % input.ndim]) is int, "a size that varies")
    dimension %= input.ndim
    first = torch.arange(shape[dimension], device=input.device) * step
    windows = first[:, None] + torch.arange(size, device=input.device)
    made = input[along(dimension, input.ndim, windows)]
    return made.movedim(dimension + 1, -1)


@recipe("diagonal")
def diagonal(
    input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1, *, shape: tuple[int, ...]
) -> Any:
    """torch.diagonal: the two dimensions become one, the last, of which some elements are taken."""
    only_if(type(shape[-1]) is int, "a size that varies")
    a, b = dim1 % input.ndim, dim2 % input.ndim
    rest, columns = [d for d in range(input.ndim) if d not in (a, b)], input.shape[b]
    flat = input.permute(*rest, a, b).flatten(-2)
    places = torch.arange(shape[-1], device=input.device) * (columns + 1)
    return flat.index_select(-1, places + (offset if offset >= 0 else -offset * columns))


@recipe("scatter_reduce")
def scatter_reduce(
    input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, include_self: bool = True
) -> Any:
    """torch.scatter_reduce without the input's own elements: neutral ones take their place."""
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
    """torch.as_strided_scatter: elements of the memory, which the input fills as it lies."""
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


@recipe("scatter_add")
def scatter_bools(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Any:
    """torch.scatter_add of bools: any."""
    only_if(input.dtype is torch.bool)
    return input.int().scatter_add(dim, index, src.int()) != 0


@recipe("index_add")
def index_add(input: Tensor, dim: int, index: Tensor, source: Any, alpha: float = 1) -> Any:
    """torch.index_add: a scatter_add of whole rows."""
    source = source if alpha == 1 else source * alpha
    return input.scatter_add(dim, _rows(input, dim, index, source), source)


@recipe("index_copy")
def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Any:
    """torch.index_copy: a scatter of whole rows."""
    return input.scatter(dim, _rows(input, dim, index, source), source)


def _rows(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """Places of whole rows as places of their elements."""
    only_if(input.ndim)
    places = index.long().reshape([-1 if d == dim % input.ndim else 1 for d in range(input.ndim)])
    return places.expand(source.shape)
