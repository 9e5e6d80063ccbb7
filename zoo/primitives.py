"""A target of some forty primitive ops that computes what it converts.

What flows between its handlers are tensors, so the outputs of a conversion are the model's outputs
as the primitives compute them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

import flexir
from flexir.conversion.context import Placeholder

OPS = (
    "matmul", "conv2d", "conv3d", "conv_transpose2d", "max_pool2d", "avg_pool2d",
    "add", "mul", "sub", "div", "exp", "log", "sqrt", "pow", "tanh", "erf", "sin", "cos",
    "clamp", "where", "gt", "ge", "lt", "le", "eq", "ne", "bitwise_and", "bitwise_not",
    "sum", "mean", "amax", "cumsum", "reshape", "permute", "getitem", "setitem", "cat", "pad",
    "to", "gather", "scatter", "flip", "topk", "sort",
)  # fmt: skip


def target(inputs: Sequence[torch.Tensor]) -> flexir.Target:
    """The target, bound to the tensors that the graph's inputs stand for, in their order."""
    made = flexir.Target("primitives")
    given = iter(inputs)

    @made.input
    def enter(ctx: Any, name: str, type: flexir.TensorType) -> torch.Tensor:
        return next(given)

    @made.constant
    def constant(ctx: Any, weight: Any) -> torch.Tensor:
        return weight.tensor.detach()

    for op in OPS:

        @made.op(op)
        def compute(ctx: Any, **named: Any) -> Any:
            parts = [p for v in named.values() for p in (v if type(v) in (tuple, list) else (v,))]
            if any(isinstance(part, Placeholder) for part in parts):
                raise flexir.Unsupported("an argument is a placeholder")
            if ctx.node.effects.writes:
                named = {n: v.clone() if n in ctx.node.effects.writes else v
                         for n, v in named.items()}  # fmt: skip
            args, kwargs = ctx.node.signature.unbind(named)
            result = ctx.node.target(*args, **kwargs)
            written = [named[name] for name in ctx.node.effects.writes]
            return written[0] if result is None and written else result

    return made


def run(graph: flexir.Graph, tensors: Sequence[torch.Tensor]) -> flexir.Result:
    """Convert and compute."""
    with torch.no_grad():
        return flexir.convert(flexir.passes.fold_constants(graph), target=target(tensors))
