"""The target, and the door every handler goes through: what it is told, what becomes of it.

A handler is a function of arrays, written with jax.numpy and lax. Converting a call keeps it with
its arguments and works out its types; it computes when the program runs.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import torch

import flexir

from ..arguments import fail_unless
from . import numbers
from .arrays import DTYPES, TORCH
from .program import (
    Call,
    Number,
    Program,
    Unhandled,
    Var,
    given,
    number,
)  # fmt: skip

target = flexir.Target("jax", out=Program, dtypes=DTYPES)


def op(*names: str) -> Callable[[Callable[..., Any]], Any]:
    """Declare a function ``(call, <arguments by name>)`` of arrays as the handler of ops."""

    def declare(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def handler(ctx: Any, *args: Any, **named: Any) -> Any:
            does = numbers.of if ctx.node.makes_number else function
            named = {name: cuts_known(ctx, part) for name, part in named.items()}
            return ctx.out.add(does, call_of(ctx), args, named, str(ctx.node.where))

        for name in names:
            target.op(name)(handler)
        return function

    return declare


def cuts_known(ctx: Any, part: Any) -> Any:
    """Slices with the numbers that their bounds are, which XLA must know."""
    if isinstance(part, slice):
        bounds = (part.start, part.stop, part.step)
        return slice(*(None if n is None else int(ctx.constant(n)) for n in bounds))
    return tuple(cuts_known(ctx, one) for one in part) if type(part) is tuple else part


def call_of(ctx: Any) -> Call:
    """What a function is told of the call."""
    node = ctx.node
    outputs = node.returned or node.outputs
    kinds = tuple(v.type.kind if v.is_number else None for v in outputs)
    types = tuple(
        (tuple(v.type.shape), ctx.dtype(v.type) if kind is None else numbers.DTYPES[kind])
        for v, kind in zip(outputs, kinds)
    )
    return Call(node.op, types, isinstance(node.result, (tuple, list)) or len(types) > 1, kinds)


def table(functions: dict[str, Callable[..., Any]]) -> None:
    """Declare functions of one array, brought to the dtype of the result, by the names of ops."""
    for name, function in functions.items():
        op(name)(lambda call, input, *, function=function: function(call.cast(input)))


def promoted(*operands: Any) -> Any:
    """The dtype in which torch computes with two arrays or numbers."""
    parts = [
        torch.empty([1] * part.ndim, dtype=TORCH[part.dtype], device="meta") if given(part)
        else part.kind(1) if isinstance(part, Number) else part
        for part in operands
    ]  # fmt: skip
    return DTYPES[torch.result_type(*parts)]


def pair(a: Any, b: Any) -> tuple[Any, Any]:
    """Two operands in the dtype in which torch computes with them."""
    dtype = promoted(a, b)
    made = [one.astype(dtype) if given(one) else number(one, dtype) for one in (a, b)]
    return made[0], made[1]


def is_whole(value: Any) -> bool:
    """Whether the elements are integers or bools."""
    return not jnp.issubdtype(value.dtype, jnp.inexact)


@target.input
def model_input(ctx: Any, name: str, type: flexir.TensorType) -> Var:
    made: Var = ctx.out.new_var(type.shape, ctx.dtype(type))
    ctx.out.inputs[name] = made
    return made


@target.placeholder
def placeholder(ctx: Any, inputs: Any) -> tuple[Any, ...]:
    """A variable that nothing sets, so that calls that read it are converted, too."""
    ctx.out.lacking.append(ctx.node.op)
    types = [value.type for value in ctx.node.outputs]
    return tuple(ctx.out.new_var(t.shape, DTYPES[t.dtype]) if t.dtype in DTYPES
                 else Unhandled(ctx.node.op) for t in types)  # fmt: skip


@target.constant
def model_weight(ctx: flexir.Context[Program], weight: Any) -> Var:
    dtype, net = ctx.dtype(weight.tensor.dtype), ctx.out
    if weight.name not in net.stored:
        net.stored[weight.name] = net.new_var(weight.tensor.shape, dtype)
        net.weights[weight.name] = ctx.array(weight)
    if weight.state:
        net.state[weight.state] = weight.name
    return net.stored[weight.name]


@target.state
def model_state(ctx: Any, path: str, initial: Any, final: Any) -> None:
    """One more result, which the next call takes."""
    fail_unless(ctx.node.op == "state", "a pure function leaves what it is given as it was")
    ctx.out.left[path] = final


@target.output
def model_output(ctx: Any, outputs: dict[str, Var]) -> Program:
    made: Program = ctx.out
    made.graph, made.outputs = ctx.graph, outputs
    return made
