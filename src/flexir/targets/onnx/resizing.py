"""Resizing and sampling: images to other sizes, boxes of images."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..arguments import each, fail_unless
from .handlers import op, rank, result_shape, shape_of
from .shapes import reshaped, sliced
from .values import Arithmetic

_ALL = 2**31 - 1  # as many boxes as there are


@op("interpolate")
def interpolate(
    ctx: Any, input: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
    align_corners: Any = None, recompute_scale_factor: Any = None,
) -> Any:  # fmt: skip
    """Where ONNX's rule is torch's: by a whole factor, or to the size given."""
    axes, shape = list(range(2, rank(input))), shape_of(input)[2:]
    goal: Any = list(result_shape(ctx)[2:])
    factors: list[Any] = []
    if scale_factor is not None and not recompute_scale_factor:
        factors = each(scale_factor, len(axes))
    whole = bool(factors) and all(f == int(f) >= 1 for f in factors)
    fail_unless(whole or not factors, "by a scale that is no whole factor")
    if any(isinstance(n, Arithmetic) for n in (*shape, *goal)):
        fail_unless(whole or size is not None, "a factor of a size that varies")
        goal = [n * int(f) for n, f in zip(shape, factors)] or each(size, len(axes))
    how: dict[str, Any] = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    if align_corners:
        how["coordinate_transformation_mode"] = "align_corners"
    if mode == "nearest":
        fail_unless(whole, "ONNX rounds otherwise")
        how = {"mode": mode, "coordinate_transformation_mode": "asymmetric"}
        how["nearest_mode"] = "floor"
    elif mode == "bicubic":
        how |= {"mode": "cubic", "cubic_coeff_a": -0.75}
    else:
        fail_unless("linear" in mode, mode)
    return ctx.out.add("Resize", input, None, None, goal, axes=axes, **how)


@op("grid_sample")
def grid_sample(
    ctx: Any, input: Any, grid: Any, mode: str = "bilinear", padding_mode: str = "zeros",
    align_corners: Any = None,
) -> Any:  # fmt: skip
    fail_unless(ctx.out.opset >= 20 and rank(input) == 4, "grid_sample of volumes")
    kinds = {"bilinear": "linear", "bicubic": "cubic", "nearest": "nearest"}
    return ctx.out.add("GridSample", input, grid, mode=kinds[mode], padding_mode=padding_mode,
                       align_corners=int(bool(align_corners)))  # fmt: skip


@op("torchvision::nms")
def nms(ctx: Any, dets: Any, scores: Any, iou_threshold: float) -> Any:
    out, threshold = ctx.out, np.float32(iou_threshold)
    if float(threshold) > iou_threshold:  # torch compares in 64 bits
        threshold = np.nextafter(threshold, np.float32(-np.inf))
    found = out.add(
        "NonMaxSuppression", reshaped(out, dets, [1, -1, 4]), reshaped(out, scores, [1, 1, -1]),
        out.constant(_ALL), out.constant(float(threshold), torch.float32), dtype=torch.int64,
    )  # fmt: skip
    return out.add("Gather", found, out.constant(2), axis=1)


@op("torchvision::roi_align")
def roi_align(
    ctx: Any, input: Any, rois: Any, spatial_scale: float, pooled_height: int, pooled_width: int,
    sampling_ratio: int, aligned: bool,
) -> Any:  # fmt: skip
    out = ctx.out
    images = out.cast(out.add("Gather", rois, out.constant(0), axis=1), torch.int64)
    boxes = sliced(out, rois, {1: (1, 5, 1)})
    mode = "half_pixel" if aligned else "output_half_pixel"
    return out.add(
        "RoiAlign", input, boxes, images, mode="avg", output_height=pooled_height,
        output_width=pooled_width, sampling_ratio=max(sampling_ratio, 0),
        spatial_scale=float(spatial_scale), coordinate_transformation_mode=mode,
    )  # fmt: skip
