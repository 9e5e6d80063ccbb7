"""Handlers of layers with weights, of pooling and resizing."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from openvino import opset13 as ops

import flexir

from ..arguments import around, each, fail_unless, pairs_of, scaled_by_sizes, windows
from .values import constant, ints, op, operands


def shape(value: Any) -> list[int]:
    return list(value.get_shape())


def f32(ctx: Any) -> None:
    """Layers are of f32."""
    if any(v.type.dtype != torch.float32 for v in (*ctx.node.inputs, *ctx.node.outputs)):
        raise flexir.Unsupported("layers are of f32")


def biased(made: Any, bias: Any, spatial: int) -> Any:
    """A bias for each channel added."""
    return made if bias is None else ops.add(made, reshaped(bias, [1, -1] + [1] * spatial))


def reshaped(value: Any, sizes: Any) -> Any:
    return ops.reshape(value, ints(sizes), False)


def batched(ctx: Any, input: Any, spatial: int) -> Any:
    """With a batch, if it has none."""
    return input if len(shape(input)) == spatial + 2 else reshaped(input, [1, *shape(input)])


for _rank in (1, 2, 3):

    @op(f"conv{_rank}d")
    def conv(ctx: Any, input: Any, weight: Any, bias: Any, stride: Any, padding: Any,
             dilation: Any, groups: int, *, rank: int = _rank) -> Any:  # fmt: skip
        f32(ctx)
        dilation, kernel = each(dilation, rank), shape(weight)[2:]
        before, after = zip(*around(padding, kernel, dilation))
        build = ops.convolution
        if groups > 1:
            out, own = shape(weight)[:2]
            weight = reshaped(weight, [groups, out // groups, own, *kernel])
            build = ops.group_convolution
        made = build(batched(ctx, input, rank), weight, each(stride, rank), before, after, dilation)
        return reshaped(biased(made, bias, rank), ctx.type.shape)

    @op(f"conv_transpose{_rank}d")
    def conv_transpose(ctx: Any, input: Any, weight: Any, bias: Any, stride: Any, padding: Any,
                       output_padding: Any, groups: int, dilation: Any, *,
                       rank: int = _rank) -> Any:  # fmt: skip
        f32(ctx)
        pads, build = each(padding, rank), ops.convolution_backprop_data
        if groups > 1:
            own, *rest = shape(weight)
            weight = reshaped(weight, [groups, own // groups, *rest])
            build = ops.group_convolution_backprop_data
        made = build(batched(ctx, input, rank), weight, each(stride, rank), None, pads, pads,
                     each(dilation, rank), "EXPLICIT", each(output_padding, rank))  # fmt: skip
        return reshaped(biased(made, bias, rank), ctx.type.shape)

    @op(f"max_pool{_rank}d")
    def max_pool(ctx: Any, input: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any,
                 ceil_mode: bool, *, rank: int = _rank) -> Any:  # fmt: skip
        f32(ctx)
        sizes, made = shape(input)[-rank:], ctx.type.shape[-rank:]
        found = windows(sizes, made, kernel_size, stride, padding, dilation)
        x = batched(ctx, input, rank)
        zeros, both = [0] * rank, [0, 0]
        low = constant(-np.inf, np.float32)
        x = ops.pad(x, ints(both + found.before), ints(both + found.behind), "constant", low)
        pooled = ops.max_pool(x, found.stride, found.dilation, zeros, zeros, found.kernel).output(0)
        return reshaped(pooled, ctx.type.shape)

    @op(f"avg_pool{_rank}d")
    def avg_pool(ctx: Any, input: Any, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool,
                 count_include_pad: bool, *, rank: int = _rank) -> Any:  # fmt: skip
        f32(ctx)
        sizes, made = shape(input)[-rank:], ctx.type.shape[-rank:]
        kernel, steps, _, pads, behind = windows(sizes, made, kernel_size, stride, padding)
        over = [b - p for b, p in zip(behind, pads)]
        fail_unless(not ceil_mode or max(over) <= 0, "ceil_mode with windows that hang over")
        x = batched(ctx, input, rank)
        pooled = ops.avg_pool(x, steps, pads, pads, kernel, not count_include_pad)
        return reshaped(pooled, ctx.type.shape)


@op("linear")
def linear(ctx: Any, input: Any, weight: Any, bias: Any) -> Any:
    f32(ctx)
    if len(shape(weight)) != 2 or not ctx.type.shape:
        raise flexir.Unsupported("a weight of one row without a dimension")
    made = ops.matmul(input, weight, False, True)
    return made if bias is None else ops.add(made, bias)


@op("matmul")
def matmul(ctx: Any, input: Any, other: Any) -> Any:
    f32(ctx)
    return ops.matmul(input, other, False, False)


@op("bmm", "mm")
def bmm(ctx: Any, input: Any, mat2: Any) -> Any:
    f32(ctx)
    return ops.matmul(input, mat2, False, False)


@op("batch_norm")
def batch_norm(ctx: Any, input: Any, running_mean: Any, running_var: Any, weight: Any, bias: Any,
               training: bool, momentum: Any, eps: float) -> Any:  # fmt: skip
    f32(ctx)
    if training or running_mean is None:
        raise flexir.Unsupported("statistics of the batch")
    size = shape(running_mean)
    weight = constant(np.ones(size), np.float32) if weight is None else weight
    bias = constant(np.zeros(size), np.float32) if bias is None else bias
    return ops.batch_norm_inference(input, weight, bias, running_mean, running_var, float(eps))


@op("layer_norm")
def layer_norm(ctx: Any, input: Any, normalized_shape: Any, weight: Any, bias: Any,
               eps: float) -> Any:  # fmt: skip
    f32(ctx)
    rank = len(shape(input))
    axes = ints(list(range(rank - len(normalized_shape), rank)))
    made = ops.mvn(input, axes, True, float(eps), "inside_sqrt")
    made = made if weight is None else ops.multiply(made, weight)
    return made if bias is None else ops.add(made, bias)


@op("group_norm")
def group_norm(ctx: Any, input: Any, num_groups: int, weight: Any, bias: Any, eps: float) -> Any:
    f32(ctx)
    batch, channels, *rest = shape(input)
    rows = reshaped(input, [batch, num_groups, -1])
    made = reshaped(ops.mvn(rows, ints([2]), True, float(eps), "inside_sqrt"), shape(input))
    sides = [1, channels] + [1] * len(rest)
    made = made if weight is None else ops.multiply(made, reshaped(weight, sides))
    return made if bias is None else ops.add(made, reshaped(bias, sides))


@op("embedding")
def embedding(ctx: Any, input: Any, weight: Any, **_: Any) -> Any:
    if _.get("max_norm") is not None:
        raise flexir.Unsupported("max_norm")
    return ops.gather(weight, input, ints(0))


@op("interpolate")
def interpolate(ctx: Any, input: Any, size: Any, scale_factor: Any, mode: str, align_corners: Any,
                recompute_scale_factor: Any) -> Any:  # fmt: skip
    f32(ctx)
    before, after = shape(input)[2:], list(ctx.type.shape[2:])
    kinds = {"nearest": "nearest", "bilinear": "linear_onnx", "bicubic": "cubic"}
    if mode not in kinds or len(before) != 2:
        raise flexir.Unsupported(f"{mode} over {len(before)} dimensions")
    scaled_by_sizes(before, after, scale_factor, recompute_scale_factor)
    where = "align_corners" if align_corners else "half_pixel"
    if mode == "nearest":
        where = "asymmetric"
    return ops.interpolate(input, ints(after), kinds[mode], "sizes", None, None, where, "floor",
                           False, -0.75, ints([2, 3]))  # fmt: skip


@op("pad")
def pad(ctx: Any, input: Any, pad: Any, mode: str, value: Any) -> Any:
    kind = {"constant": "constant", "replicate": "edge", "reflect": "reflect"}.get(mode)
    if kind is None:
        raise flexir.Unsupported(f"{mode} padding")
    rank = len(shape(input))
    pairs = pairs_of(pad, rank)
    if any(n < 0 for pair in pairs for n in pair):
        if kind != "constant":
            raise flexir.Unsupported(f"negative padding, {mode}")
        cuts = [(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(shape(input), pairs)]
        starts, stops = zip(*cuts)
        input = ops.slice(input, ints(starts), ints(stops), ints([1] * rank))
        pairs = [(max(a, 0), max(b, 0)) for a, b in pairs]
    (fill,) = operands(value or 0, dtype=ctx.type.dtype)
    before, after = zip(*pairs)
    return ops.pad(input, ints(before), ints(after), kind, fill if kind == "constant" else None)


@op("torchvision::roi_align")
def roi_align(ctx: Any, input: Any, rois: Any, spatial_scale: float, pooled_height: int,
              pooled_width: int, sampling_ratio: int, aligned: bool) -> Any:  # fmt: skip
    f32(ctx)
    fail_unless(not aligned, "samples half a pixel off; the plug-in puts them elsewhere")
    images = ops.convert(ops.gather(rois, ints(0), ints(1)), np.int32)
    boxes = ops.gather(rois, ints(range(1, 5)), ints(1))
    return ops.roi_align(input, boxes, images, pooled_height,
                         pooled_width, max(sampling_ratio, 0), spatial_scale, "avg")  # fmt: skip
