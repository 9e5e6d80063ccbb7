"""The target, and what every call of a handler goes through before and after.

The handlers themselves are in the modules beside this one; they import ``op`` from here.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import onnx_ir as ir
import torch

import flexir

from ..arguments import fail_unless
from .network import DTYPES, Network, dtype_of, element_type
from .values import UNKNOWN, Arithmetic, Size, Tensor, Varying, pair, plain

target = flexir.Target("onnx", out=Network, config={"opset": 20, "functions": ()})
# In what a number of Python's is computed.
KINDS = {int: torch.int64, float: torch.float64, bool: torch.bool}


def op(*names: str) -> Callable[[Callable[..., Any]], Any]:
    """Declare a handler of ops; what it makes is named after the call, and must have its types."""

    def declare(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def handler(ctx: Any, **named: Any) -> Any:
            ctx.out.path, ctx.out.source = ctx.node.path, str(ctx.node.source or "")
            named = {word: plain(part) for word, part in named.items()}
            if ctx.node.makes_number:
                return number(ctx, named)
            held(ctx.node)
            made = function(ctx, **named)
            values = made if isinstance(made, (list, tuple)) else [made]
            for value, one in zip(values, ctx.node.returned or ctx.node.outputs):
                give_shape(value, one.type)
            return made

        for name in names:
            target.op(name)(handler)
        return function

    return declare


# What reads and makes lists of as many tensors as a size or the rounds of a loop say.
_LISTS = ("cat", "element", "joined", "length", "stack", "unbind")


def held(node: flexir.Node) -> None:
    """Decline a call with tensors that no value of a file stands for, or lists it cannot read."""
    for value in (*node.inputs, *node.returned):
        fail_unless(not value.is_list or node.op in _LISTS, "a list of as many as there are rounds")
        fail_unless(not value.is_list_of_numbers, "a list of numbers")
        if not value.is_number:
            element_type(value.type.dtype)


_COMPARED = {"eq": "Equal", "gt": "Greater", "ge": "GreaterOrEqual", "lt": "Less",
             "le": "LessOrEqual", "ne": "Equal"}  # fmt: skip


_CHOSEN = {"maximum": "Greater", "minimum": "Less"}
_ROOTS = {"sqrt": "Sqrt", "isqrt": "Sqrt", "exp": "Exp", "log": "Log"}


def number(ctx: Any, named: dict[str, Any]) -> Any:
    """A call that makes a number: Python's own arithmetic, on values that know it."""
    out, name = ctx.out, ctx.node.op
    first, *rest = named.values()
    kind = ctx.node.outputs[0].type.kind
    if name == "size":
        return shape_of(first)[rest[0]]
    if name in ("length", "numel"):
        return shape_of(first)[0] if name == "length" else count(first)
    if name in _COMPARED and len(named) == 2:
        a, b = pair(first, rest[0])
        made = out.add(_COMPARED[name], a, b, dtype=torch.bool)
        return out.number(out.add("Not", made) if name == "ne" else made, bool)
    if name in ("item", "bool", "to_float") or isinstance(first, Tensor) and not first.number:
        fail_unless(name in ("item", "bool", "to_float"), f"{name} as a number")
        value = first.scalar if isinstance(first, Arithmetic) else first
        value = value if not rank(value) else out.add("Reshape", value, out.constant([]))
        return out.number(out.cast(value, KINDS[kind]), kind)
    if name in _ROOTS:
        made = out.add(_ROOTS[name], out.cast(first.scalar, torch.float64))
        return out.number(made) if name != "isqrt" else out.number(out.cast(made, torch.int64))
    if name in _CHOSEN:
        a, b = pair(first, rest[0])
        taken = out.add(_CHOSEN[name], b, a, dtype=torch.bool)
        return out.number(out.add("Where", taken, b, a), kind)
    made = ctx.node.target(first, *rest)
    fail_unless(made is not NotImplemented, f"{name} of numbers")
    return made


def give_shape(value: ir.Value, type: flexir.TensorType) -> None:
    """Give a value the shape torch's result had; its dtype it must have."""
    if dtype_of(value) != type.dtype:
        raise TypeError(f"the handler made {dtype_of(value)}, torch {type.dtype}")
    known = [None] * len(type.shape) if value.shape is None else list(value.shape)
    fixed = [n for n in type.shape if n.__class__ is int]
    if len(known) != len(type.shape) or any(
        isinstance(n, int) and m.__class__ is int and n != m for n, m in zip(known, type.shape)
    ):
        raise TypeError(f"the handler made {value.shape}, torch {tuple(type.shape)}")
    for n, m in zip(known, type.shape):
        fail_unless(not isinstance(n, int) or m.__class__ is int, "the handler takes one size")
        varies = value.shape is not None and not isinstance(n, int) and m.__class__ is int
        fail_unless(not varies, "its size varies, and here examples showed one: show another")
    if value.shape is None or len(fixed) != len(known):
        value.shape = ir.Shape([n if n.__class__ is int else None for n in type.shape])


def shape_of(value: Any) -> tuple[Any, ...]:
    """The sizes of an argument: ints, or Sizes where they vary."""
    assert value.shape is not None
    return tuple(n if isinstance(n, int) else Size(value, d) for d, n in enumerate(value.shape))


def result_shape(ctx: Any) -> tuple[Any, ...]:
    """The sizes of the first result, where they are known."""
    return tuple(n if n.__class__ is int else Varying() for n in ctx.type.shape)


def known_or(ctx: Any, sizes: Any) -> list[Any]:
    """The sizes of the first result: where they vary, those given."""
    return [n if n.__class__ is int else other for n, other in zip(ctx.type.shape, sizes)]


def fixed(*sizes: Any) -> None:
    """Decline a call in which one of these varies."""
    varies = any(isinstance(n, Arithmetic) for n in sizes)
    fail_unless(not varies, UNKNOWN)


def empty(value: Any) -> bool:
    """Whether an argument has no elements at any size."""
    return any(isinstance(n, int) and n == 0 for n in value.shape)


def rank(value: Any) -> int:
    """How many dimensions an argument has."""
    return len(value.shape)


def count(value: Any) -> Any:
    """How many elements an argument has."""
    return math.prod(shape_of(value))


def given(value: Any) -> bool:
    """Whether an argument is a tensor."""
    return isinstance(value, Tensor) and not value.number


def promoted(*operands: Any) -> torch.dtype:
    """The dtype in which torch computes with these two, tensors or numbers."""
    parts: list[Any] = [
        1 if isinstance(part, Size)
        else torch.empty([1] * rank(part), dtype=dtype_of(part), device="meta") if given(part)
        else (part.number or int)(1) if isinstance(part, Tensor) else part for part in operands
    ]  # fmt: skip
    return torch.result_type(*parts)


def brought(ctx: Any, dtype: torch.dtype, *operands: Any) -> list[Any]:
    """Operands as values of one dtype."""
    return [
        ctx.out.cast(part.scalar, dtype) if isinstance(part, Arithmetic)
        else ctx.out.constant(part, dtype) for part in operands
    ]  # fmt: skip


def known(part: Any) -> Any:
    """An argument with the numbers in it that are constants of the model as numbers."""
    if isinstance(part, slice):
        return slice(*map(known, (part.start, part.stop, part.step)))
    if isinstance(part, (tuple, list)):
        return type(part)(map(known, part)) if type(part) in (tuple, list) else part
    if given(part) and part.const_value is not None and not part.shape:
        return part.const_value.numpy().item()
    return part


@target.input
def model_input(ctx: Any, name: str, type: flexir.TensorType) -> ir.Value:
    made: ir.Value = ctx.out.input(name, type)
    return made


@target.constant
def model_weight(ctx: Any, weight: Any) -> Any:
    """A weight; what calls leave for the next ones is an input."""
    if not weight.state:
        return ctx.out.weight(weight.name, weight.tensor)
    kept = {path: first for path, first, _ in (*ctx.graph.mutations, *ctx.graph.state)}
    return ctx.out.state(weight.state, weight.tensor, kept[weight.state].type)


@target.state
def model_state(ctx: Any, path: str, initial: Any, final: Any) -> None:
    """One more output, which the next call takes."""
    fail_unless(ctx.node.op == "state", "a file leaves what it is given as it was")
    ctx.out.left(path, initial, plain(final))


@target.placeholder
def placeholder(ctx: Any, inputs: list[Any]) -> Any:
    """A node of a domain of our own: the file shows what is missing, and does not run."""
    net = ctx.out
    net.path, net.source = ctx.node.path, str(ctx.node.source or "")
    read = [value for value in inputs if given(value)] or [net.constant(0)]
    made = net.many(ctx.node.op, len(ctx.node.outputs), *read, domain="flexir", reason=ctx.reason)
    for value, one in zip(made, ctx.node.outputs):
        value.type = ir.TensorType(ir.DataType.FLOAT) if one.type.dtype.is_complex else None
        if one.type.dtype in DTYPES:
            value.type = ir.TensorType(DTYPES[one.type.dtype])
        value.shape = ir.Shape([n if n.__class__ is int else None for n in one.type.shape])
    return made
