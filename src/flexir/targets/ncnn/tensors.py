"""Torch's tensors as ncnn's blobs: the target, how inputs and outputs go in and out, dimensions.

Owns what every handler shares; has no op.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

import flexir

from .network import Blob, Dims, Network

target = flexir.Target("ncnn", out=Network)
Context = flexir.Context[Network]


def natural(shape: Sequence[int]) -> Dims:
    """A shape without its batch of 1, if that fits into four dimensions; else in one."""
    dims = tuple(shape)
    while len(dims) > 1 and dims[0] == 1:
        dims = dims[1:]
    return (dims or (1,)) if len(dims) <= 4 else (math.prod(dims),)


def around(shape: Sequence[int], dim: int) -> tuple[Dims, int]:
    """Dimensions in which ``dim`` stands alone, and where it stands."""
    dim %= max(len(shape), 1)
    if not shape:
        return (1,), 0
    whole = natural(shape)
    if len(shape) - len(whole) <= dim and whole == tuple(shape[len(shape) - len(whole) :]):
        return whole, dim - (len(shape) - len(whole))
    before, after = math.prod(shape[:dim]), math.prod(shape[dim + 1 :])
    return (before, shape[dim], after), 1


def image(ctx: Context, input: Any, spatial: int) -> Blob:
    """A tensor as channels and ``spatial`` more, without its batch.

    Raises:
        flexir.Unsupported: the batch is not 1.
    """
    shape = ctx.type(input).shape
    if math.prod(shape[: -spatial - 1]) != 1 or len(shape) <= spatial:
        raise flexir.Unsupported(f"a batch of {shape[0]}: ncnn has none")
    return ctx.out.shaped(blob(ctx, input), tuple(shape[-spatial - 1 :]))


def blob(ctx: Context, value: Any) -> Blob:
    """A tensor argument, constants included."""
    if isinstance(value, Blob):
        return value
    if hasattr(value, "tensor"):  # a weight
        return ctx.out.constant(value.name, ctx.array(value), natural(value.tensor.shape))
    raise flexir.Unsupported(f"{value!r} is no tensor")


def op(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare a handler for calls on f32 tensors that have elements."""

    def declare(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def checked(ctx: Context, *args: Any, **named: Any) -> Any:
            for value in (*ctx.node.inputs, *ctx.node.outputs):
                check(value.type)
            return function(ctx, *args, **named)

        for name in names:
            target.op(name)(checked)
        return function

    return declare


def check(type: Any) -> None:
    """Raise Unsupported for a type, or tensor, that a blob cannot hold."""
    if type.dtype != torch.float32:
        raise flexir.Unsupported(f"{type.dtype}: blobs are f32")
    if not math.prod(type.shape):
        raise flexir.Unsupported("a tensor without elements")


@target.input
def model_input(ctx: Context, name: str, type: flexir.TensorType) -> Blob:
    check(type)
    made: Blob = ctx.out.add_input(name, natural(type.shape))
    return made


@target.constant
def model_weight(ctx: Context, weight: Any) -> Any:
    """As it is: most layers hold their weights themselves, of others :func:`blob` makes a layer."""
    check(weight.tensor)
    return weight


@target.output
def model_output(ctx: Context, outputs: dict[str, Any]) -> Network:
    made: Network = ctx.out
    for name, one in outputs.items():
        made.add_output(name, blob(ctx, one))
    return made


@target.placeholder
def placeholder(ctx: Context, inputs: list[Any]) -> Any:
    """A layer ncnn does not know: the file shows what is missing, and does not run."""
    read = [one for one in inputs if isinstance(one, Blob)]
    return tuple(
        ctx.out.add(f"flexir.{ctx.node.op}", read, natural(value.type.shape))
        for value in ctx.node.outputs
    )
