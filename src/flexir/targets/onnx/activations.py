"""Activation functions that are more than a name."""

from __future__ import annotations

from typing import Any

import torch

from ..arguments import fail_unless
from .elementwise import in_double
from .handlers import op


@op("gelu")
def gelu(ctx: Any, input: Any, approximate: str = "none") -> Any:
    fail_unless(ctx.out.opset >= 20, "Gelu came with opset 20")
    return ctx.out.add("Gelu", input, approximate=approximate)


@op("silu")
def silu(ctx: Any, input: Any) -> Any:
    return ctx.out.add("Mul", input, ctx.out.add("Sigmoid", input))


@op("elu")
def elu(ctx: Any, input: Any, alpha: float = 1.0, scale: float = 1, input_scale: float = 1) -> Any:
    fail_unless(scale == input_scale == 1, "a scaled elu")
    return ctx.out.add("Elu", input, alpha=float(alpha))


@op("celu")
def celu(ctx: Any, input: Any, alpha: float = 1.0) -> Any:
    return ctx.out.add("Celu", input, alpha=float(alpha))


@op("selu")
def selu(ctx: Any, input: Any) -> Any:
    return ctx.out.add(
        "Selu",
        input,
        alpha=1.6732632423543772848170429916717,
        gamma=1.0507009873554804934193349852946,
    )


@op("leaky_relu")
def leaky_relu(ctx: Any, input: Any, negative_slope: float = 0.01) -> Any:
    return ctx.out.add("LeakyRelu", input, alpha=float(negative_slope))


@op("prelu")
def prelu(ctx: Any, input: Any, weight: Any) -> Any:
    """Of channel 1, whose slopes ONNX wants to be broadcast from the right."""
    size, slope = len(ctx.type.shape), weight
    if not size:
        slope = ctx.out.add("Reshape", weight, ctx.out.constant([]))
    if len(ctx.type.shape) > 2 and tuple(weight.shape) != (1,):
        slope = ctx.out.add("Reshape", weight, [-1] + [1] * (size - 2))
    return ctx.out.add("PRelu", input, slope)


@op("hardtanh")
def hardtanh(ctx: Any, input: Any, min_val: Any = -1.0, max_val: Any = 1.0) -> Any:
    return ctx.out.add("Clip", input, min_val, max_val)


@op("relu6")
def relu6(ctx: Any, input: Any) -> Any:
    return ctx.out.add("Clip", input, 0, 6)


@op("hardsigmoid")
def hardsigmoid(ctx: Any, input: Any) -> Any:
    return ctx.out.add("HardSigmoid", input, alpha=1 / 6, beta=0.5)


@op("softplus")
def softplus(ctx: Any, input: Any, beta: float = 1, threshold: float = 20) -> Any:
    out = ctx.out
    if beta == 1 and threshold == 20:  # beyond which it is what it is of, to the last bit
        return out.add("Softplus", input)
    scaled = out.add("Mul", input, float(beta))
    above = out.add("Greater", scaled, float(threshold), dtype=torch.bool)
    curve = in_double(ctx, out.add("Exp", scaled), lambda o, x: o.add("Log", o.add("Add", x, 1)))
    return out.add("Where", above, input, out.add("Div", curve, float(beta)))


@op("logsigmoid")
def logsigmoid(ctx: Any, input: Any) -> Any:
    return ctx.out.add("Neg", ctx.out.add("Softplus", ctx.out.add("Neg", input)))


@op("threshold")
def threshold(ctx: Any, input: Any, threshold: Any, value: Any) -> Any:
    above = ctx.out.add("Greater", input, threshold, dtype=torch.bool)
    return ctx.out.add("Where", above, input, value)
