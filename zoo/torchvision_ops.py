"""torchvision's compiled operators, where the installed wheel cannot load them.

The wheel of torchvision is built for CUDA. Beside a CPU build of torch its library does not
load, and ``import torchvision`` fails because the operator schemas are missing. ``ensure()``
defines the missing schemas, with kernels written in plain PyTorch for ``nms`` and ``roi_align``;
where the compiled operators exist it does nothing.
"""

from __future__ import annotations

import importlib
import math
import sys

import torch

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "roi_align(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, "
    "SymInt pooled_width, int sampling_ratio, bool aligned) -> Tensor",
    "roi_pool(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, "
    "SymInt pooled_width) -> (Tensor, Tensor)",
    "ps_roi_align(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, "
    "SymInt pooled_width, int sampling_ratio) -> (Tensor, Tensor)",
    "ps_roi_pool(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, "
    "SymInt pooled_width) -> (Tensor, Tensor)",
    "deform_conv2d(Tensor input, Tensor weight, Tensor offset, Tensor mask, Tensor bias, "
    "SymInt stride_h, SymInt stride_w, SymInt pad_h, SymInt pad_w, SymInt dilation_h, "
    "SymInt dilation_w, SymInt groups, SymInt offset_groups, bool use_mask) -> Tensor",
)
_library: torch.library.Library | None = None


def nms(dets: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
    """Indices of the boxes greedy non-maximum suppression keeps, best score first.

    Args:
        dets: [N, 4] boxes as x1, y1, x2, y2.
        scores: [N].
        iou_threshold: boxes that overlap a better one by more than this are dropped.
    """
    order = scores.argsort(descending=True, stable=True)
    boxes = dets[order]
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    alive = torch.ones(len(boxes), dtype=torch.bool)
    keep = []
    for i in range(len(boxes)):
        if not alive[i]:
            continue
        keep.append(i)
        low = torch.maximum(boxes[i, :2], boxes[i + 1 :, :2])
        high = torch.minimum(boxes[i, 2:], boxes[i + 1 :, 2:])
        inter = (high - low).clamp(min=0).prod(1)
        overlap = inter / (area[i] + area[i + 1 :] - inter)
        alive[i + 1 :] &= ~(overlap.double() > iou_threshold)  # NaN, of empty boxes, drops nothing
    return order[torch.tensor(keep, dtype=torch.int64)]


def roi_align(
    input: torch.Tensor,
    rois: torch.Tensor,
    spatial_scale: float,
    pooled_height: int,
    pooled_width: int,
    sampling_ratio: int,
    aligned: bool,
) -> torch.Tensor:
    """Mean of bilinear samples on a grid in every region (He et al., Mask R-CNN, 2017).

    Args:
        input: [N, C, H, W].
        rois: [K, 5] as image index, x1, y1, x2, y2 in input pixels / ``spatial_scale``.

    Returns:
        [K, C, pooled_height, pooled_width].
    """
    size = (pooled_height, pooled_width)
    made = input.new_zeros((len(rois), input.shape[1], *size))
    low = rois[:, [2, 1]] * spatial_scale - 0.5 * aligned  # y, x of the first corner
    extent = rois[:, [4, 3]] * spatial_scale - 0.5 * aligned - low
    if not aligned:
        extent = extent.clamp(min=1.0)
    if sampling_ratio > 0:
        for part in torch.arange(len(rois)).split(64):
            made[part] = _pool(
                input, rois[part, 0], low[part], extent[part], size, [sampling_ratio] * 2
            )
        return made
    for k in range(len(rois)):  # as many samples as the region has pixels
        counts = [math.ceil(float(e) / n) for e, n in zip(extent[k], size)]
        if min(counts) <= 0:  # no sample at all: 0
            continue
        one = slice(k, k + 1)
        made[one] = _pool(input, rois[one, 0], low[one], extent[one], size, counts)
    return made


def _pool(
    input: torch.Tensor,
    image: torch.Tensor,
    low: torch.Tensor,
    extent: torch.Tensor,
    size: tuple[int, int],
    counts: list[int],
) -> torch.Tensor:
    """Means of bilinear samples for K regions that take the same number of samples a bin."""
    lower, upper, part, inside = [], [], [], []
    for axis, (bins, count) in enumerate(zip(size, counts)):
        limit = input.shape[2 + axis]
        steps = (torch.arange(bins * count) + 0.5) / (bins * count)
        place = low[:, axis, None] + steps.to(input) * extent[:, axis, None]  # [K, bins * count]
        inside.append(((place >= -1) & (place <= limit)).to(input))
        place = place.clamp(0, limit - 1)
        lower.append(place.long())
        upper.append((place.long() + 1).clamp(max=limit - 1))
        part.append(place - place.long())
    which = image.long()[:, None, None]

    def corner(y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return input[which, :, y[:, :, None], x[:, None, :]]  # [K, Y, X, C]

    fy, fx = part[0][:, :, None, None], part[1][:, None, :, None]
    top = corner(lower[0], lower[1]) * (1 - fx) + corner(lower[0], upper[1]) * fx
    base = corner(upper[0], lower[1]) * (1 - fx) + corner(upper[0], upper[1]) * fx
    grid = top * (1 - fy) + base * fy
    grid = grid * inside[0][:, :, None, None] * inside[1][:, None, :, None]
    channels = input.shape[1]
    grid = grid.reshape(len(low), size[0], counts[0], size[1], counts[1], channels)
    return grid.mean((2, 4)).permute(0, 3, 1, 2)


def ensure() -> None:
    """Make ``import torchvision`` work whether or not its compiled library loads."""
    if _library is not None or "torchvision" in sys.modules:
        return
    try:
        importlib.import_module("torchvision")
        return
    except RuntimeError:  # "operator torchvision::nms does not exist"
        for name in [n for n in sys.modules if n.split(".")[0] == "torchvision"]:
            del sys.modules[name]
    define()
    importlib.import_module("torchvision")
    for name, module in list(sys.modules.items()):
        if name.startswith("torchvision") and hasattr(module, "_has_ops"):
            module._has_ops = lambda: True  # type: ignore[attr-defined]


def define() -> None:
    """Define the operators that are absent, without torchvision itself."""
    global _library
    _library = torch.library.Library("torchvision", "FRAGMENT")
    for schema in _SCHEMAS:
        if not hasattr(torch.ops.torchvision, schema.split("(")[0]):
            _library.define(schema)
    _library.impl("nms", nms, "CPU")
    _library.impl("roi_align", roi_align, "CPU")
