"""Normalisation layers, with the statistics of a batch or of an example."""

from __future__ import annotations

from typing import Any

import torch

from ..arguments import fail_unless
from .handlers import empty, fixed, op, shape_of
from .network import dtype_of
from .shapes import reshaped


def _scaled(out: Any, value: Any, weight: Any, bias: Any, shape: Any) -> Any:
    """Times weight, plus bias, both along dimension 1."""
    if weight is not None:
        value = out.add("Mul", value, reshaped(out, weight, shape))
    return value if bias is None else out.add("Add", value, reshaped(out, bias, shape))


@op("batch_norm")
def batch_norm(
    ctx: Any, input: Any, running_mean: Any, running_var: Any, weight: Any = None, bias: Any = None,
    training: bool = False, momentum: Any = 0.1, eps: float = 1e-5,
) -> Any:  # fmt: skip
    out, dtype = ctx.out, dtype_of(input)
    fail_unless(not training, "it updates its statistics")
    width = shape_of(input)[1:2]
    fixed(*width)
    fail_unless(width, "a batch_norm of one dimension")
    ones, zeros = (out.constant(torch.full(list(width), n, dtype=dtype), dtype) for n in (1, 0))
    scale, shift = ones if weight is None else weight, zeros if bias is None else bias
    return out.add("BatchNormalization", input, scale, shift, running_mean, running_var,
                   epsilon=float(eps))  # fmt: skip


@op("layer_norm")
def layer_norm(
    ctx: Any, input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None,
    eps: float = 1e-5,
) -> Any:  # fmt: skip
    out, dtype = ctx.out, dtype_of(input)
    fail_unless(not empty(input), "a layer_norm of nothing")
    fixed(*normalized_shape)
    ones = out.constant(torch.ones(list(normalized_shape), dtype=dtype), dtype)
    scale = ones if weight is None else weight
    return out.add("LayerNormalization", input, scale, bias, axis=-len(normalized_shape),
                   epsilon=float(eps))  # fmt: skip


@op("group_norm")
def group_norm(
    ctx: Any, input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    shape = shape_of(input)
    fail_unless(not empty(input), "a group_norm of nothing")
    made = _instances(ctx, reshaped(ctx.out, input, [shape[0], num_groups, -1]), num_groups, eps)
    made = reshaped(ctx.out, made, shape)
    return _scaled(ctx.out, made, weight, bias, [1, -1] + [1] * (len(shape) - 2))


def _instances(ctx: Any, value: Any, width: int, eps: float) -> Any:
    dtype = dtype_of(value)
    plain = [ctx.out.constant(torch.full([width], n, dtype=dtype), dtype) for n in (1, 0)]
    return ctx.out.add("InstanceNormalization", value, *plain, epsilon=float(eps))


@op("instance_norm")
def instance_norm(
    ctx: Any, input: Any, running_mean: Any = None, running_var: Any = None, weight: Any = None,
    bias: Any = None, use_input_stats: bool = True, momentum: Any = 0.1, eps: float = 1e-5,
) -> Any:  # fmt: skip
    shape = shape_of(input)
    fail_unless(use_input_stats and running_mean is None, "an instance_norm with statistics")
    fail_unless(not empty(input), "an instance_norm of nothing")
    fixed(shape[1])
    made = _instances(ctx, input, shape[1], eps)
    return _scaled(ctx.out, made, weight, bias, [1, -1] + [1] * (len(shape) - 2))
