"""Resizing and adaptive pools, one dimension after another.

Both are linear along each dimension, or take one element for another: what torch itself makes of
ones, or of numbers in a row, says how. There is no recipe to resize by sizes that vary.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .shapes import cut
from .table import only_if, recipe

_BINS = 256  # of an adaptive pool that are taken one by one


def _spatial(input: Tensor, shape: tuple[int, ...], rank: int) -> list[tuple[int, int]]:
    """Sizes before and after of the last dimensions, all of them fixed."""
    sizes = list(zip(input.shape[-rank:], shape[-rank:]))
    only_if(all(type(n) is int for pair in sizes for n in pair), "a size that varies")
    return sizes


def _has_elements(input: Tensor) -> bool:
    return all(n for n in input.shape if type(n) is int)


def _separated(input: Tensor, matrices: list[Tensor]) -> Tensor:
    """The last dimensions, each times a matrix."""
    for dim, matrix in zip(range(-len(matrices), 0), matrices):
        turned = input if dim == -1 else input.transpose(dim, -1)
        turned = torch.matmul(turned, matrix.to(input.dtype))
        input = turned if dim == -1 else turned.transpose(dim, -1)
    return input


def _eye(input: Tensor, size: int) -> Tensor:
    return torch.eye(size, dtype=torch.float64, device=input.device)


# -- adaptive pools: bin i of n inputs over m bins is floor(i n / m) to ceil((i + 1) n / m)


def _one(mean: bool, rank: int) -> Callable[..., Any]:
    """Into one bin."""

    def pooled(input: Tensor, output_size: Any, *, shape: tuple[int, ...]) -> Any:
        """torch.nn.functional.adaptive_avg_pool2d and its kind: one bin is a mean or maximum."""
        only_if(all(n == 1 for n in shape[-rank:]))
        dims = tuple(range(-rank, 0))
        return input.mean(dims, keepdim=True) if mean else input.amax(dims, keepdim=True)

    return pooled


def _even(pool: Callable[..., Any], rank: int) -> Callable[..., Any]:
    """By windows side by side, where the bins are equal."""

    def pooled(input: Tensor, output_size: Any, *, shape: tuple[int, ...]) -> Any:
        """torch.nn.functional.adaptive_avg_pool2d and its kind: equal bins are windows."""
        sizes = _spatial(input, shape, rank)
        only_if(all(n % m == 0 for n, m in sizes))
        kernel = [n // m for n, m in sizes]
        return pool(input, kernel, kernel)

    return pooled


def _products(rank: int) -> Callable[..., Any]:
    """Each dimension times what becomes of ones."""

    def pooled(input: Tensor, output_size: Any, *, shape: tuple[int, ...]) -> Any:
        """torch.nn.functional.adaptive_avg_pool2d and its kind: a matrix for each dimension."""
        sizes = _spatial(input, shape, rank)
        return _separated(input, [F.adaptive_avg_pool1d(_eye(input, n), m) for n, m in sizes])

    return pooled


def _binned(mean: bool, rank: int) -> Callable[..., Any]:
    """Bin by bin, also of sizes that vary."""

    def pooled(input: Tensor, output_size: Any, *, shape: tuple[int, ...]) -> Any:
        """torch.nn.functional.adaptive_avg_pool2d and its kind: bin ``i`` of ``m`` holds the
        elements from ``floor(i n / m)`` to ``ceil((i + 1) n / m)`` (ATen/native/AdaptivePooling.h).
        """
        only_if(_has_elements(input) and math.prod(shape[-rank:]) <= _BINS, "too many bins")
        for dim in range(-rank, 0):
            n, m = input.shape[dim], shape[dim]
            bins = [(i * n // m, -(-(i + 1) * n // m)) for i in range(m)]
            cuts = [cut(input, dim, a, b - a) for a, b in bins]
            input = torch.cat([(c.mean if mean else c.amax)(dim, keepdim=True) for c in cuts], dim)
        return input

    return pooled


for _rank in (1, 2, 3):
    _mean, _most = recipe(f"adaptive_avg_pool{_rank}d"), recipe(f"adaptive_max_pool{_rank}d")
    _mean(_one(True, _rank))
    _most(_one(False, _rank))
    _mean(_even(getattr(F, f"avg_pool{_rank}d"), _rank))
    _most(_even(getattr(F, f"max_pool{_rank}d"), _rank))
    _mean(_products(_rank))
    _mean(_binned(True, _rank))
    _most(_binned(False, _rank))


# -- resizing


@recipe("interpolate")
def interpolate(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: Any = None,
    recompute_scale_factor: Any = None,
    antialias: bool = False,
    *,
    shape: tuple[int, ...],
) -> Any:
    """torch.nn.functional.interpolate, one dimension after another."""
    sizes = _spatial(input, shape, input.ndim - 2)
    if mode == "area":
        return _separated(input, [F.adaptive_avg_pool1d(_eye(input, n), m) for n, m in sizes])
    factors: Any = [None] * len(sizes)
    if scale_factor is not None and not recompute_scale_factor:
        several = isinstance(scale_factor, (tuple, list))
        factors = scale_factor if several else [scale_factor] * len(sizes)
    if mode.startswith("nearest"):
        for dim, ((n, m), factor) in enumerate(zip(sizes, factors), 2):
            row = torch.arange(n, dtype=torch.float64, device=input.device)[None]
            input = input.index_select(dim, _resized(row, m, factor, mode)[0].long())
        return input
    only_if(input.is_floating_point(), "resizing whole numbers")
    how = {"align_corners": bool(align_corners), "antialias": antialias}
    kind = "bicubic" if mode == "bicubic" else "bilinear"
    return _separated(
        input, [_resized(_eye(input, n), m, f, kind, **how) for (n, m), f in zip(sizes, factors)]
    )


def _resized(rows: Tensor, size: int, factor: Any, mode: str, **how: Any) -> Tensor:
    """What torch makes of rows along one dimension."""
    goal = {"size": (1, size)} if factor is None else {"scale_factor": (1, factor)}
    return F.interpolate(rows[None, :, None], **goal, mode=mode, **how)[0, :, 0]


# -- samples


@recipe("grid_sample")
def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: Any = None,
) -> Any:
    """torch.nn.functional.grid_sample of images: bilinear or nearest, as its page says."""
    only_if(input.ndim == 4 and mode in ("bilinear", "nearest"), f"{mode} of volumes or cubes")
    only_if(padding_mode in ("zeros", "border"), f"padding_mode={padding_mode!r}")
    places = []
    for part, n in ((grid[..., 0], input.shape[3]), (grid[..., 1], input.shape[2])):
        place = (part + 1) / 2 * (n - 1) if align_corners else ((part + 1) * n - 1) / 2
        places.append(place.clamp(0, n - 1) if padding_mode == "border" else place)
    if mode == "nearest":
        return _pixels(input, places[0].round(), places[1].round())
    made: Any = 0
    x, y = (place.floor() for place in places)
    for right in (0, 1):
        for below in (0, 1):
            share = (1 - (places[0] - x - right).abs()) * (1 - (places[1] - y - below).abs())
            made = made + _pixels(input, x + right, y + below) * share[:, None]
    return made


def _pixels(input: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Those at places [N, H, W]; zero outside."""
    inside = (x >= 0) & (x < input.shape[3]) & (y >= 0) & (y < input.shape[2])
    column, row = (torch.where(inside, part, 0).long() for part in (x, y))
    batch = torch.arange(input.shape[0], device=input.device)[:, None, None]
    made = input[batch, :, row, column].permute(0, 3, 1, 2)
    return torch.where(inside[:, None], made, 0)


# -- regions


@recipe("roi_align")
def roi_align(
    input: Tensor,
    rois: Tensor,
    spatial_scale: float,
    pooled_height: int,
    pooled_width: int,
    sampling_ratio: int,
    aligned: bool,
) -> Any:
    """torchvision.ops.roi_align: means of bilinear samples on a grid in every region.

    Zero outside of the image. From He et al., Mask R-CNN, 2017.
    """
    only_if(sampling_ratio > 0, "as many samples as a region is large")
    images = rois[:, 0].long()[:, None, None]
    places = []
    for dim, bins in enumerate((pooled_height, pooled_width)):
        low, high = (rois[:, at] * spatial_scale - 0.5 * aligned for at in (2 - dim, 4 - dim))
        extent = high - low if aligned else (high - low).clamp(min=1)
        count = bins * sampling_ratio
        steps = (torch.arange(count, device=input.device) + 0.5) / count
        places.append(low[:, None] + steps.to(input.dtype) * extent[:, None])
    made: Any = 0
    corners = [_between(place, n) for place, n in zip(places, input.shape[-2:])]
    for row, part in corners[0]:
        for column, other in corners[1]:
            taken = input[images, :, row[:, :, None], column[:, None, :]]
            made = made + taken * (part[:, :, None] * other[:, None, :])[..., None]
    sizes = (len(rois), pooled_height, sampling_ratio, pooled_width, sampling_ratio, input.shape[1])
    return made.reshape(sizes).mean((2, 4)).permute(0, 3, 1, 2)


def _between(place: Tensor, size: int) -> list[tuple[Tensor, Tensor]]:
    """The two elements a place lies between, each with its part."""
    inside = ((place >= -1) & (place <= size)).to(place.dtype)
    place = place.clamp(0, size - 1)
    low = place.floor()
    part = place - low
    high = (low + 1).clamp(max=size - 1)
    return [(low.long(), (1 - part) * inside), (high.long(), part * inside)]
