"""Activation functions that are more than a name."""

from __future__ import annotations

from typing import Any

from ..arguments import fail_unless
from .handlers import op


@op("gelu")
def gelu(ctx: Any, input: Any, approximate: str = "none") -> Any:
    fail_unless(ctx.out.opset >= 20, "Gelu came with opset 20")
    return ctx.out.add("Gelu", input, approximate=approximate)


@op("silu")
def silu(ctx: Any, input: Any) -> Any:
    return ctx.out.add("Mul", input, ctx.out.add("Sigmoid", input))


_NAMED = {
    "celu": ("Celu", {"alpha": 1.0}), "elu": ("Elu", {"alpha": 1.0}),
    "leaky_relu": ("LeakyRelu", {"negative_slope": 0.01}),
    "selu": ("Selu", {"alpha": 1.6732632423543772848, "gamma": 1.0507009873554804935}),
    "hardsigmoid": ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
}  # fmt: skip
_WORDS = {"negative_slope": "alpha"}  # where ONNX says otherwise than torch


@op(*_NAMED)
def named(ctx: Any, input: Any, **how: Any) -> Any:
    """A name and its settings; torch's own where it has some."""
    kind, settings = _NAMED[ctx.node.op]
    fail_unless(how.keys() <= settings.keys(), "a scaled elu")
    found = {_WORDS.get(word, word): float(how.get(word, n)) for word, n in settings.items()}
    return ctx.out.add(kind, input, **found)


@op("prelu")
def prelu(ctx: Any, input: Any, weight: Any) -> Any:
    """``PRelu``; torch has a slope for each channel, ONNX broadcasts slopes from the right."""
    size, slope = len(ctx.type.shape), weight
    if not size:
        slope = ctx.out.add("Reshape", weight, ctx.out.constant([]))
    if len(ctx.type.shape) > 2 and tuple(weight.shape) != (1,):
        slope = ctx.out.add("Reshape", weight, [-1] + [1] * (size - 2))
    return ctx.out.add("PRelu", input, slope)


@op("softplus")
def softplus(ctx: Any, input: Any, beta: float = 1, threshold: float = 20) -> Any:
    fail_unless(
        beta == 1 and threshold == 20, "another curve"
    )  # torch returns the input above the threshold
    return ctx.out.add("Softplus", input)
