"""torchvision's compiled operators, where the installed wheel cannot load them.

The wheel of torchvision is built for CUDA. Beside a CPU build of torch its library does not
load, and ``import torchvision`` fails because the operator schemas are missing. ``ensure()``
defines the missing schemas, with kernels written in plain PyTorch for ``nms`` and ``roi_align``;
where the compiled operators exist it does nothing.
"""

from __future__ import annotations

import importlib
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
        alive[i + 1 :] &= inter / (area[i] + area[i + 1 :] - inter) <= iou_threshold
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
    made = input.new_zeros((len(rois), input.shape[1], pooled_height, pooled_width))
    height, width = input.shape[-2:]
    for k, roi in enumerate(rois):
        x1, y1, x2, y2 = (float(v) * spatial_scale - 0.5 * aligned for v in roi[1:])
        box_w, box_h = x2 - x1, y2 - y1
        if not aligned:
            box_w, box_h = max(box_w, 1.0), max(box_h, 1.0)
        bin_h, bin_w = box_h / pooled_height, box_w / pooled_width
        rows = sampling_ratio if sampling_ratio > 0 else max(-(-box_h // pooled_height), 1)
        cols = sampling_ratio if sampling_ratio > 0 else max(-(-box_w // pooled_width), 1)
        rows, cols = int(rows), int(cols)
        y = y1 + (torch.arange(pooled_height * rows) + 0.5) * (bin_h / rows)
        x = x1 + (torch.arange(pooled_width * cols) + 0.5) * (bin_w / cols)
        inside_y = ((y >= -1) & (y <= height)).to(input)
        inside_x = ((x >= -1) & (x <= width)).to(input)
        y, x = y.clamp(0, height - 1), x.clamp(0, width - 1)
        y0, x0 = y.long(), x.long()
        yb, xb = (y0 + 1).clamp(max=height - 1), (x0 + 1).clamp(max=width - 1)
        fy, fx = (y - y0).to(input), (x - x0).to(input)
        image = input[int(roi[0])]
        top = image[:, y0][:, :, x0] * (1 - fx) + image[:, y0][:, :, xb] * fx
        low = image[:, yb][:, :, x0] * (1 - fx) + image[:, yb][:, :, xb] * fx
        grid = top * (1 - fy)[:, None] + low * fy[:, None]
        grid = grid * inside_y[:, None] * inside_x
        made[k] = grid.reshape(-1, pooled_height, rows, pooled_width, cols).mean((2, 4))
    return made


def ensure() -> None:
    """Make ``import torchvision`` work whether or not its compiled library loads."""
    global _library
    if _library is not None or "torchvision" in sys.modules:
        return
    try:
        importlib.import_module("torchvision")
        return
    except RuntimeError:  # "operator torchvision::nms does not exist"
        for name in [n for n in sys.modules if n.split(".")[0] == "torchvision"]:
            del sys.modules[name]
    _library = torch.library.Library("torchvision", "FRAGMENT")
    for schema in _SCHEMAS:
        if not hasattr(torch.ops.torchvision, schema.split("(")[0]):
            _library.define(schema)
    _library.impl("nms", nms, "CPU")
    _library.impl("roi_align", roi_align, "CPU")
    importlib.import_module("torchvision")
    for name, module in list(sys.modules.items()):
        if name.startswith("torchvision") and hasattr(module, "_has_ops"):
            module._has_ops = lambda: True  # type: ignore[attr-defined]
