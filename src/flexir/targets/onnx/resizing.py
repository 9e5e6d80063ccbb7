"""Resizing and sampling: images to other sizes, boxes of images."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..arguments import fail_unless
from .handlers import op, rank, result_shape, shape_of
from .shapes import reshaped, sliced
from .values import Arithmetic


@op("interpolate")
def interpolate(
    ctx: Any, input: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
    align_corners: Any = None, recompute_scale_factor: Any = None, antialias: bool = False,
) -> Any:  # fmt: skip
    out, spatial = ctx.out, rank(input) - 2
    shape, made = shape_of(input)[2:], result_shape(ctx)[2:]
    fail_unless(mode != "area", "area: an adaptive pool")
    factors: Any = [None] * spatial
    if scale_factor is not None and not recompute_scale_factor:
        factors = (
            scale_factor if isinstance(scale_factor, (tuple, list)) else [scale_factor] * spatial
        )
    if any(isinstance(n, Arithmetic) for n in (*shape, *made)):
        return _resized_live(ctx, input, size, factors, mode, align_corners, antialias)
    fail_unless(not mode.startswith("nearest"), "ONNX rounds otherwise")
    fail_unless(not antialias and factors[0] is None, "another scale than that of the sizes")
    kind = "cubic" if mode == "bicubic" else "linear"
    corners = "align_corners" if align_corners else "half_pixel"
    return out.add(
        "Resize", input, None, None, list(made), mode=kind, axes=list(range(2, rank(input))),
        coordinate_transformation_mode=corners, cubic_coeff_a=-0.75 if kind == "cubic" else None,
    )  # fmt: skip


def _resized_live(
    ctx: Any, input: Any, size: Any, factors: Any, mode: str, corners: Any, antialias: bool
) -> Any:
    """To a size that varies, where ONNX's rule is torch's: a whole factor, or the size given."""
    out, axes = ctx.out, list(range(2, rank(input)))
    shape, whole = shape_of(input)[2:], [f is not None and f == int(f) >= 1 for f in factors]
    fail_unless(not antialias and mode != "nearest-exact", "resizing a size that varies so")
    if mode == "nearest":
        fail_unless(all(whole), "a nearest neighbour by no whole factor, of a size that varies")
        goal = [n * int(f) for n, f in zip(shape, factors)]
        return out.add(
            "Resize", input, None, None, goal, mode="nearest", axes=axes,
            coordinate_transformation_mode="asymmetric", nearest_mode="floor",
        )  # fmt: skip
    goal = [n * int(f) for n, f in zip(shape, factors)] if all(whole) else size
    fail_unless(goal is not None, "a factor that is not whole, of a size that varies")
    kind = "cubic" if mode == "bicubic" else "linear"
    goal = [goal] * len(axes) if isinstance(goal, (int, Arithmetic)) else list(goal)
    return out.add(
        "Resize", input, None, None, goal, mode=kind, axes=axes,
        coordinate_transformation_mode="align_corners" if corners else "half_pixel",
        cubic_coeff_a=-0.75 if kind == "cubic" else None,
    )  # fmt: skip


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
        out.constant(2**31 - 1), out.constant(float(threshold), torch.float32), dtype=torch.int64,
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
