"""As many elements as values say: masks, ``unique``, ``nms``.

Sizes stay fixed, since the plug-in gives numbers from unused memory, and no error, where sizes that
it finds while it runs do not fit (2026.4). So there are as many as were recorded, and that there
are is a condition of the network.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from openvino import opset13 as ops

from ..arguments import fail_unless
from .layers import reshaped, shape
from .reductions import ordered
from .values import cast, constant, ints, nothing, op, operands

_ALL = 2**31 - 1  # as many boxes as there are


def _demand(ctx: Any, holds: Any, text: str) -> None:
    fail_unless(not ctx.out.blocks, "in a branch or loop")
    ctx.out.conditions.append((f"{ctx.node.op}: {text}, {ctx.node.where}", holds.output(0)))


def true_indices(ctx: Any, mask: Any, count: int) -> list[Any]:
    """Where a mask is true, for each of its dimensions."""
    own = shape(mask)
    fail_unless(own, "a mask that is a number")
    rows = cast(reshaped(cast(mask, torch.bool), [-1]).output(0), torch.int32)
    found = ops.reduce_sum(rows, ints(0), False)
    _demand(ctx, ops.equal(found, constant(count, np.int32)), f"{count} when recorded")
    if not count:
        return [ints([]).output(0)] * len(own)
    flat: Any = ops.topk(rows, ints(count), 0, "max", "value", "i64", True).output(1)
    made = []
    for dim, size in enumerate(own):
        step = math.prod(own[dim + 1 :])
        made.append(ops.floor_mod(ops.divide(flat, ints(step)), ints(size)).output(0))
    return made


@op("nonzero", counted=True)
def nonzero(ctx: Any, input: Any, as_tuple: bool = False) -> Any:
    made = true_indices(ctx, input, ctx.type.shape[0])
    if not as_tuple and 0 in ctx.type.shape:
        return nothing(ctx.type)
    return tuple(made) if as_tuple else ops.concat([ops.unsqueeze(row, ints(1)) for row in made], 1)


@op("where", counted=True)
def where(ctx: Any, condition: Any, input: Any = None, other: Any = None) -> Any:
    if input is None:
        return tuple(true_indices(ctx, condition, ctx.type.shape[0]))
    if 0 in ctx.type.shape:
        return nothing(ctx.type)
    return ops.select(condition, *operands(input, other, dtype=ctx.type.dtype))


@op("masked_select", counted=True)
def masked_select(ctx: Any, input: Any, mask: Any) -> Any:
    sizes = ints(np.broadcast_shapes(shape(input), shape(mask)))
    return _selected(ctx, *(reshaped(ops.broadcast(part, sizes), [-1]) for part in (input, mask)))


def _selected(ctx: Any, rows: Any, mask: Any) -> Any:
    (found,) = true_indices(ctx, mask.output(0), ctx.type.shape[0])
    return ops.gather(rows, found, ints(0)) if ctx.type.shape[0] else nothing(ctx.type)


@op("unique", counted=True)
def unique(ctx: Any, input: Any, sorted: bool) -> Any:
    """The first of every run of equal ones."""
    fail_unless(sorted, "in whatever order torch finds them")
    size = math.prod(shape(input))
    rows, _ = ordered(ctx, reshaped(input, [-1]).output(0), 0, size, False)
    before, after = (ops.slice(rows, ints([a]), ints([a + size - 1]), ints([1])) for a in (0, 1))
    first = ops.concat([constant([True], np.bool_), ops.not_equal(before, after)], 0)
    return _selected(ctx, rows, first)


@op("torchvision::nms", counted=True)
def nms(ctx: Any, dets: Any, scores: Any, iou_threshold: float) -> Any:
    """The plug-in's own; it drops what overlaps by the threshold, too, and mends crossed boxes."""
    count = ctx.type.shape[0]
    threshold = np.float32(iou_threshold)
    if float(threshold) <= iou_threshold:
        threshold = np.nextafter(threshold, np.float32(np.inf))
    low, high = (ops.slice(dets, ints([a]), ints([a + 2]), ints([1]), ints([1])) for a in (0, 2))
    in_order = ops.reduce_logical_and(ops.less_equal(low, high), ints([0, 1]), False)
    _demand(ctx, in_order, "boxes whose first corner is the lesser")
    found = ops.non_max_suppression(
        ops.unsqueeze(dets, ints(0)), reshaped(scores, [1, 1, -1]), ints(_ALL),
        constant(threshold, np.float32), constant(-np.inf, np.float32),
    )  # fmt: skip
    kept = reshaped(found.output(2), [])
    _demand(ctx, ops.equal(kept, constant(count, kept.get_element_type().to_dtype())),
            f"{count} when recorded")  # fmt: skip
    if not count:
        return nothing(ctx.type)
    rows = ops.gather(found.output(0), ints(2), ints(1))  # as many as there are; some more fit
    rows = ops.concat([rows, ints(np.zeros(count))], 0)
    return reshaped(ops.slice(rows, ints([0]), ints([count]), ints([1])), [count])
