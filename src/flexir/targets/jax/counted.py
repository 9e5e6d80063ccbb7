"""As many elements as values say: masks, ``unique``, ``nms``.

XLA knows sizes before it runs. So there are as many as were recorded, and that there are is a
condition of the program.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from ..arguments import fail_unless
from .handlers import call_of, target
from .program import Call, Var


def _call(op: str, *types: tuple[tuple[int, ...], Any], many: bool = False) -> Call:
    made = tuple((shape, jnp.dtype(dtype)) for shape, dtype in types)
    return Call(op, made, many, (None,) * len(types))


def true_indices(ctx: Any, mask: Any, count: int) -> list[Var]:
    """Where a mask is true, for each of its dimensions."""
    shape, where = ctx.out.types[mask].shape, str(ctx.node.where)
    fail_unless(shape and not ctx.out.blocks, "a mask that is a number, or in a branch or loop")
    truth = ctx.out.add(_as_many, _call("eq", ((), bool)), (mask, count), {}, where)
    ctx.out.conditions.append((f"{ctx.node.op}: {count} when recorded, {where}", truth))
    rows = _call("nonzero", *[((count,), np.int64)] * len(shape), many=True)
    return list(ctx.out.add(_true_at, rows, (mask,), {}, where))


def _as_many(call: Call, mask: Any, count: int) -> Any:
    return jnp.count_nonzero(mask) == count


def _true_at(call: Call, mask: Any) -> Any:
    return [row.astype(jnp.int64) for row in jnp.nonzero(mask, size=call.shape[0], fill_value=0)]


def elements_at(call: Call, input: Any, at: Any) -> Any:
    """The elements of a tensor at these indices."""
    return input.at[tuple(at)].get(mode="fill")


@target.op("nonzero")
def nonzero(ctx: Any, input: Any, as_tuple: bool = False) -> Any:
    found, where = true_indices(ctx, input, ctx.type.shape[0]), str(ctx.node.where)
    return tuple(found) if as_tuple else ctx.out.add(_rows, call_of(ctx), (found,), {}, where)


def _rows(call: Call, rows: Any) -> Any:
    return jnp.stack(rows, 1)


@target.op("where")
def where(ctx: Any, condition: Any, input: Any = None, other: Any = None) -> Any:
    if input is None:
        return tuple(true_indices(ctx, condition, ctx.type.shape[0]))
    return ctx.out.add(_where, call_of(ctx), (condition, input, other), {}, str(ctx.node.where))


def _where(call: Call, condition: Any, input: Any, other: Any) -> Any:
    return jnp.where(condition.astype(bool), call.cast(input), call.cast(other))


@target.op("masked_select")
def masked_select(ctx: Any, input: Any, mask: Any) -> Any:
    fail_unless(ctx.type_of(input).shape == ctx.type_of(mask).shape, "a mask of another shape")
    return _counted(ctx, input, mask)


@target.op("unique")
def unique(ctx: Any, input: Any, sorted: bool) -> Any:
    """The first of every run of equal ones."""
    fail_unless(sorted, "in whatever order torch finds them")
    type, where = ctx.out.types[input], str(ctx.node.where)
    size, bools = (int(np.prod(type.shape)),), jnp.dtype(bool)
    rows, first = ctx.out.add(
        _runs, _call("sort", (size, type.dtype), (size, bools), many=True), (input,), {}, where
    )
    return _counted(ctx, rows, first)


def _runs(call: Call, input: Any) -> Any:
    rows = jnp.sort(input.ravel())
    return rows, jnp.ones(rows.shape, bool).at[1:].set(rows[1:] != rows[:-1])


def _counted(ctx: Any, input: Any, mask: Any) -> Any:
    found = true_indices(ctx, mask, ctx.type.shape[0])
    return ctx.out.add(elements_at, call_of(ctx), (input, found), {}, str(ctx.node.where))


@target.op("torchvision::nms")
def nms(ctx: Any, dets: Any, scores: Any, iou_threshold: float) -> Any:
    """The indices of boxes that overlap no better box that is kept, the best first."""
    size = ctx.out.types[scores].shape
    call = _call("nms", (size, np.int64), (size, bool), many=True)
    given = (dets, scores, iou_threshold)
    order, kept = ctx.out.add(_suppressed, call, given, {}, str(ctx.node.where))
    return _counted(ctx, order, kept)


def _suppressed(call: Call, boxes: Any, scores: Any, threshold: float) -> Any:
    order = jnp.argsort(scores, stable=True, descending=True)
    left, top, right, bottom = boxes[order].T
    area = (right - left) * (bottom - top)

    def width(low: Any, high: Any, i: Any) -> Any:
        return jnp.maximum(jnp.minimum(high[i], high) - jnp.maximum(low[i], low), 0)

    def without(i: Any, kept: Any) -> Any:
        both = width(left, right, i) * width(top, bottom, i)
        over = (both / (area[i] + area - both)).astype(jnp.float64) > threshold
        return kept & ~(kept[i] & over & (jnp.arange(len(kept)) > i))

    kept = lax.fori_loop(0, len(order), without, jnp.ones(order.shape, bool))
    return order.astype(jnp.int64), kept
