"""What calls other calls: branches. And numbers that only other handlers compute with."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir
import torch

from flexir import Unsupported

from ..arguments import fail_unless
from .handlers import KINDS, brought, op, target
from .network import dtype_of, live
from .values import Tensor


@op("size", "numel", "item", "to_float", "isqrt")
def number(ctx: Any, input: Any, **how: Any) -> Any:
    """Numbers alone: the door of all handlers computes them."""
    raise Unsupported(f"{ctx.node.op} that gives no number")


@target.op("if")
def branch(ctx: Any, condition: Any, inputs: Any, then: Any, otherwise: Any) -> Any:
    """``If``, whose blocks read what stands around them."""
    out = ctx.out
    dtypes = [value.type.dtype if not value.is_number else KINDS[value.type.kind]
              for value in ctx.node.outputs]  # fmt: skip
    blocks = [_block(ctx, block, inputs, dtypes, name)
              for name, block in (("then", then), ("else", otherwise))]  # fmt: skip
    out.path, out.source = ctx.node.path, str(ctx.node.source or "")
    made = out.many(
        "If", len(dtypes), out.cast(condition.scalar, torch.bool),
        then_branch=blocks[0], else_branch=blocks[1],
    )  # fmt: skip
    for value, one, dtype in zip(made, ctx.node.outputs, dtypes):
        value.type = blocks[0].outputs[made.index(value)].type
        fail_unless(dtype_of(value) is dtype, "blocks of different dtypes")
        value.shape = ir.Shape([n if n.__class__ is int else None for n in one.type.shape])
        if one.is_number:
            out.number(value, one.type.kind)
    return made


def _block(ctx: Any, block: Any, inputs: Any, dtypes: Any, name: str) -> ir.Graph:
    out = ctx.out
    with out.block() as nodes:
        made = ctx.convert(block, inputs)
        results: list[Tensor] = []
        for value, dtype in zip(brought_each(ctx, made, dtypes), dtypes):
            fail_unless(dtype_of(value) is dtype, "blocks of different dtypes")
            own = any(value is one for node in nodes for one in node.outputs)
            if not own or any(value is one for one in results):
                value = out.add("Identity", value)
            results.append(value)
        kept = live(nodes, results)[0]
    return ir.Graph([], results, nodes=kept, name=out.name(name))


def brought_each(ctx: Any, made: Any, dtypes: Any) -> list[Any]:
    """Values, and numbers as values, of these dtypes."""
    return [value if isinstance(value, Tensor) and not value.number
            else brought(ctx, dtype, value)[0] for value, dtype in zip(made, dtypes)]  # fmt: skip
