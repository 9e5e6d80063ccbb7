"""The target, and the door every handler goes through: who is called, what it must give back.

The handlers themselves are in the modules beside this one; they import ``op`` from here.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import onnx_ir as ir
import torch

import flexir
from flexir import Unsupported

from .network import Network
from .network import dtype_of as dtype_of

target = flexir.Target("onnx", out=Network, config={"opset": 20})
Context = flexir.Context[Network]


def op(*names: str) -> Callable[[Callable[..., Any]], Any]:
    """Declare a handler of ops; what it makes is named after the call, and must have its types."""

    def declare(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def handler(ctx: Any, *args: Any, **named: Any) -> Any:
            ctx.out.path, ctx.out.source = ctx.node.path, str(ctx.node.source or "")
            made = function(ctx, *args, **named)
            values = made if isinstance(made, (list, tuple)) else [made]
            for value, one in zip(values, ctx.node.returned or ctx.node.outputs):
                settle(value, one.type)
            return made

        for name in names:
            target.op(name)(handler)
        return function

    return declare


def settle(value: ir.Value, type: flexir.TensorType) -> None:
    """Give a value the shape torch's result had; its dtype it must have."""
    if dtype_of(value) != type.dtype:
        raise TypeError(f"the handler made {dtype_of(value)}, torch {type.dtype}")
    if value.shape is None:
        value.shape = ir.Shape(type.shape)
    elif shape_of(value) != tuple(type.shape):
        raise TypeError(f"the handler made {shape_of(value)}, torch {tuple(type.shape)}")


def shape_of(value: Any) -> tuple[int, ...]:
    """The sizes of an argument."""
    assert value.shape is not None
    return tuple(int(n) for n in value.shape)


def rank(value: Any) -> int:
    """How many dimensions an argument has."""
    return len(shape_of(value))


def count(value: Any) -> int:
    """How many elements an argument has."""
    made = 1
    for n in shape_of(value):
        made *= n
    return made


def dims(dim: Any, rank: int) -> list[int]:
    """Dimensions counted from the front; all of them for None or none."""
    given = [] if dim is None else [dim] if isinstance(dim, int) else list(dim)
    return sorted(d % max(rank, 1) for d in given) if given else list(range(rank))


def given(value: Any) -> bool:
    """Whether an argument is a tensor."""
    return isinstance(value, ir.Value)


def promoted(*operands: Any) -> torch.dtype:
    """The dtype in which torch computes with these tensors and numbers."""
    parts = [
        torch.empty([1] * rank(part), dtype=dtype_of(part), device="meta") if given(part) else part
        for part in operands
    ]
    made = parts[0]
    for part in parts[1:]:
        made = torch.empty_like(torch.as_tensor(made), dtype=torch.result_type(made, part))
    return torch.result_type(parts[0], parts[1]) if len(parts) == 2 else made.dtype


def brought(ctx: Any, dtype: torch.dtype, *operands: Any) -> list[ir.Value]:
    """Operands as values of one dtype."""
    return [
        ctx.out.cast(part, dtype) if given(part) else ctx.out.constant(part, dtype)
        for part in operands
    ]


def known(part: Any) -> Any:
    """An argument with the numbers in it that are constants of the model as numbers."""
    if isinstance(part, slice):
        return slice(*map(known, (part.start, part.stop, part.step)))
    if isinstance(part, (tuple, list)):
        return type(part)(map(known, part)) if type(part) in (tuple, list) else part
    if given(part) and part.const_value is not None and not part.shape:
        return part.const_value.numpy().item()
    return part


def fail_unless(condition: Any, reason: str) -> None:
    """Decline the call."""
    if not condition:
        raise Unsupported(reason)


@target.input
def enter(ctx: Context, name: str, type: flexir.TensorType) -> ir.Value:
    return ctx.out.input(name, type.dtype, type.shape)


@target.constant
def stored(ctx: Context, weight: Any) -> ir.Value:
    return ctx.out.weight(weight.name, weight.tensor)


@target.placeholder
def missing(ctx: Any, inputs: list[Any]) -> Any:
    """A node of a domain of our own: the file shows what is missing, and does not run."""
    net = ctx.out
    net.path, net.source = ctx.node.path, str(ctx.node.source or "")
    read = [value for value in inputs if given(value)] or [net.constant(0)]
    made = net.many(ctx.node.op, len(ctx.node.outputs), *read, domain="flexir", reason=ctx.reason)
    for value, one in zip(made, ctx.node.outputs):
        value.type = ir.TensorType(ir.DataType.FLOAT) if one.type.dtype.is_complex else None
        if one.type.dtype in _TYPES:
            value.type = ir.TensorType(_TYPES[one.type.dtype])
        value.shape = ir.Shape(one.type.shape)
    return made


from .network import DTYPES as _TYPES  # noqa: E402
