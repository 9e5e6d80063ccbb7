"""Layers: products, convolutions, pools, attention, resizing."""

from __future__ import annotations

import math
from typing import Any

import flexir

from ..arguments import Windows, around, each, fail_unless, windows
from .handlers import brought, empty, fixed, given, op, rank, result_shape, shape_of
from .shapes import swapped
from .values import Arithmetic

# -- products


@op("linear")
def linear(ctx: Any, input: Any, weight: Any, bias: Any = None) -> Any:
    out = ctx.out
    if rank(input) == 2 and rank(weight) == 2:
        return out.add("Gemm", input, weight, bias, transB=1)
    made = out.add("MatMul", input, _turned(ctx, weight))
    return made if bias is None else out.add("Add", made, bias)


def _turned(ctx: Any, weight: Any) -> Any:
    """A matrix turned; a weight is stored so."""
    if rank(weight) < 2:
        return weight
    try:
        name, tensor, _ = ctx.weight(weight)
    except flexir.Unsupported:
        return swapped(ctx.out, weight, -1, -2)
    key = ("turned", name)
    if key not in ctx.out.kept:
        ctx.out.kept[key] = ctx.out.weight(f"{name}.T", tensor.mT)
    return ctx.out.kept[key]


@op("matmul", "bmm", "mm", "mv", "dot")
def matmul(ctx: Any, input: Any, **how: Any) -> Any:
    (other,) = [v for v in how.values() if given(v)]
    return ctx.out.add("MatMul", *brought(ctx, ctx.type.dtype, input, other))


@op("einsum")
def einsum(ctx: Any, equation: str, operands: Any) -> Any:
    """``Einsum``, only where sizes vary: elsewhere products of matrices are faster."""
    parts = operands[0] if isinstance(operands[0], (list, tuple)) else operands
    sizes = [n for part in parts for n in shape_of(part)]
    fail_unless(any(isinstance(n, Arithmetic) for n in sizes), "its products are faster")
    fail_unless(isinstance(equation, str), "an equation of numbers")
    made = brought(ctx, ctx.type.dtype, *parts)
    return ctx.out.add("Einsum", *made, equation=equation.replace(" ", ""))


@op("addmm")
def addmm(ctx: Any, input: Any, mat1: Any, mat2: Any, beta: Any = 1, alpha: Any = 1) -> Any:
    fail_unless(rank(input) <= 2 and ctx.type.dtype.is_floating_point and beta, "no Gemm")
    return ctx.out.add("Gemm", mat1, mat2, input, alpha=float(alpha), beta=float(beta))


# -- convolutions


def _batched(ctx: Any, input: Any, size: int, work: Any) -> Any:
    """Work on a batch; of one, where there is none."""
    if rank(input) == size + 2:
        return work(input)
    made = work(ctx.out.add("Unsqueeze", input, [0]))
    return ctx.out.add("Squeeze", made, [0])


@op("conv1d", "conv2d", "conv3d")
def conv(
    ctx: Any, input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
    dilation: Any = 1, groups: int = 1,
) -> Any:  # fmt: skip
    size = rank(weight) - 2
    kernel, dilation = shape_of(weight)[2:], each(dilation, size)
    fail_unless(not empty(input) and not empty(weight), "a convolution of nothing")
    pads = [n for side in zip(*around(padding, kernel, dilation)) for n in side]

    def work(value: Any) -> Any:
        return ctx.out.add(
            "Conv", value, weight, bias, kernel_shape=list(kernel), strides=each(stride, size),
            pads=pads, dilations=dilation, group=groups,
        )  # fmt: skip

    return _batched(ctx, input, size, work)


@op("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def conv_transpose(
    ctx: Any, input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
    output_padding: Any = 0, groups: int = 1, dilation: Any = 1,
) -> Any:  # fmt: skip
    size = rank(weight) - 2
    fail_unless(not empty(input) and not empty(weight), "a convolution of nothing")
    added, strides = each(output_padding, size), each(stride, size)
    fail_unless(all(a < s for a, s in zip(added, strides)), "output_padding beyond the stride")

    def work(value: Any) -> Any:
        return ctx.out.add(
            "ConvTranspose", value, weight, bias, kernel_shape=list(shape_of(weight)[2:]),
            strides=strides, pads=each(padding, size) * 2, group=groups,
            output_padding=added, dilations=each(dilation, size),
        )  # fmt: skip

    return _batched(ctx, input, size, work)


# -- pools


def _windows(ctx: Any, input: Any, ceil_mode: bool, *how: Any) -> Windows:
    size = int(ctx.node.op[-2])
    sizes, made = shape_of(input)[-size:], result_shape(ctx)[-size:]
    fail_unless(not empty(input), "a pool of nothing")
    if ceil_mode:
        fixed(*sizes)
    return windows(sizes, made, *how)


@op("max_pool1d", "max_pool2d", "max_pool3d")
def max_pool(
    ctx: Any, input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Any:  # fmt: skip
    size = int(ctx.node.op[-2])
    found = _windows(ctx, input, ceil_mode, kernel_size, stride, padding, dilation)
    fail_unless(all(e < k for e, k in zip(found.behind, found.kernel)),
                f"windows that hang over by {found.behind}")  # fmt: skip
    batched = rank(input) == size + 2
    value = input if batched else ctx.out.add("Unsqueeze", input, [0])
    results = ctx.out.many(
        "MaxPool", 2 if return_indices else 1, value, kernel_shape=found.kernel,
        strides=found.stride, pads=found.before + found.behind, dilations=found.dilation,
    )  # fmt: skip
    if return_indices:  # ONNX counts through the whole tensor, torch in each plane
        results[1].type = ctx.out.constant(0).type
        plane = shape_of(input)[-size:]
        fixed(*plane)
        results[1] = ctx.out.add("Mod", results[1], math.prod(plane))
    results = results if batched else [ctx.out.add("Squeeze", r, [0]) for r in results]
    return results if return_indices else results[0]


@op("avg_pool1d", "avg_pool2d", "avg_pool3d")
def avg_pool(
    ctx: Any, input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0,
    ceil_mode: bool = False, count_include_pad: bool = True, **how: Any,
) -> Any:  # fmt: skip
    size = int(ctx.node.op[-2])
    fail_unless(how.get("divisor_override") is None, "a divisor of its own")
    kernel, stride, _, pads, ends = _windows(ctx, input, ceil_mode, kernel_size, stride, padding)

    def work(value: Any) -> Any:
        front = pads
        behind = ends
        if count_include_pad and any(pads):  # what is padded counts, what rounding adds does not
            value = ctx.out.add("Pad", value, [0, 0, *pads, 0, 0, *pads], 0, mode="constant")
            front = [0] * size
            behind = [max(e - p, 0) for e, p in zip(ends, pads)]
        return ctx.out.add("AveragePool", value, kernel_shape=kernel, strides=stride,
                           pads=front + behind, count_include_pad=0)  # fmt: skip

    return _batched(ctx, input, size, work)
