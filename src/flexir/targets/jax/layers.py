"""Layers: products, convolutions, pools, normalisations, attention, resizing."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from ..arguments import Windows, around, each, fail_unless, windows
from .handlers import is_whole, op
from .program import given, number

# -- products


@op("matmul", "bmm", "mm")
def matmul(call: Any, input: Any, **how: Any) -> Any:
    (other,) = [value for value in how.values() if given(value)]
    return jnp.matmul(call.cast(input), call.cast(other))


@op("einsum")
def einsum(call: Any, equation: Any, operands: Any) -> Any:
    fail_unless(isinstance(equation, str), "an einsum without an equation")
    listed = operands if isinstance(operands, (tuple, list)) else [operands]
    return jnp.einsum(equation, *listed)


# -- convolutions


def _batched(input: Any, size: int, work: Any) -> Any:
    """Work on a batch; of one, where there is none."""
    return work(input) if input.ndim == size + 2 else work(input[None])[0]


def _convolved(value: Any, weight: Any, bias: Any, **how: Any) -> Any:
    spatial = "DHW"[-(weight.ndim - 2) :]
    made = lax.conv_general_dilated(
        value, weight, dimension_numbers=(f"NC{spatial}", f"OI{spatial}", f"NC{spatial}"), **how
    )
    return made if bias is None else made + bias.reshape([-1] + [1] * len(spatial))


@op("conv1d", "conv2d", "conv3d")
def conv(call: Any, input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
         dilation: Any = 1, groups: int = 1) -> Any:  # fmt: skip
    size = weight.ndim - 2
    fail_unless(not is_whole(input), "a convolution of whole numbers")
    dilation = each(dilation, size)
    pads = around(padding, weight.shape[2:], dilation)
    return _batched(input, size, lambda value: _convolved(
        value, weight, bias, window_strides=each(stride, size), padding=pads,
        rhs_dilation=dilation, feature_group_count=groups))  # fmt: skip


@op("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def conv_transpose(call: Any, input: Any, weight: Any, bias: Any = None, stride: Any = 1,
                   padding: Any = 0, output_padding: Any = 0, groups: int = 1,
                   dilation: Any = 1) -> Any:  # fmt: skip
    """A convolution of the input spread by the stride, with the kernel turned around."""
    size = weight.ndim - 2
    fail_unless(not is_whole(input), "a convolution of whole numbers")
    dilation, kernel = each(dilation, size), weight.shape[2:]
    pads = [
        (d * (k - 1) - p, d * (k - 1) - p + extra)
        for d, k, p, extra in zip(dilation, kernel, each(padding, size), each(output_padding, size))
    ]
    made = weight.reshape(groups, weight.shape[0] // groups, *weight.shape[1:])
    made = jnp.swapaxes(made, 1, 2).reshape(-1, weight.shape[0] // groups, *kernel)
    made = jnp.flip(made, tuple(range(2, size + 2)))
    return _batched(input, size, lambda value: _convolved(
        value, made, bias, window_strides=[1] * size, padding=pads, rhs_dilation=dilation,
        lhs_dilation=each(stride, size), feature_group_count=groups))  # fmt: skip


# -- pools


def _windows(call: Any, input: Any, *how: Any) -> tuple[Windows, Any]:
    """Windows of all dimensions, and their padding."""
    size = int(call.op[-2])
    found = windows(input.shape[-size:], call.shape[-size:], *how)
    one, none = [1] * (input.ndim - size), [0] * (input.ndim - size)
    fronts = one, one, one, none, none
    found = Windows(*(front + part for front, part in zip(fronts, found)))
    return found, list(zip(found.before, found.behind))


@op("max_pool1d", "max_pool2d", "max_pool3d")
def max_pool(call: Any, input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0,
             dilation: Any = 1, ceil_mode: bool = False,
             return_indices: bool = False) -> Any:  # fmt: skip
    found, pads = _windows(call, input, kernel_size, stride, padding, dilation)
    kernel, strides, dilations = found[:3]
    fail_unless(not is_whole(input), "a pool of whole numbers")
    fill = jnp.array(-jnp.inf, input.dtype)
    if not return_indices:
        made = lax.reduce_window(
            input, fill, lax.max, kernel, strides, pads, window_dilation=dilations
        )
        return made[tuple(slice(0, n) for n in call.shape)]
    return _with_places(call, input, kernel, strides, dilations, pads, fill)


def _with_places(call: Any, input: Any, kernel: Any, strides: Any, dilations: Any, pads: Any,
                 fill: Any) -> Any:  # fmt: skip
    """Each element of the windows as an array of its own, and the first of the largest."""
    size = int(call.op[-2])
    shape = input.shape[-size:]
    counted = jnp.arange(math.prod(shape)).reshape((1,) * (input.ndim - size) + shape)
    counted = jnp.broadcast_to(counted, input.shape)
    parts: list[list[Any]] = [[], []]
    for at in np.ndindex(*kernel):
        first = [a * d for a, d in zip(at, dilations)]
        ends = [f + (m - 1) * s + 1 for f, m, s in zip(first, call.shape, strides)]
        for held, value, empty in zip(parts, (input, counted), (fill, -1)):
            held.append(
                lax.slice(jnp.pad(value, pads, constant_values=empty), first, ends, strides)
            )
    values, places = jnp.stack(parts[0]), jnp.stack(parts[1])
    found = jnp.argmax(jnp.where(places < 0, -jnp.inf, values), 0)[None]
    return [jnp.take_along_axis(part, found, 0)[0] for part in (values, places)]


@op("avg_pool1d", "avg_pool2d", "avg_pool3d")
def avg_pool(call: Any, input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0,
             ceil_mode: bool = False, count_include_pad: bool = True,
             **how: Any) -> Any:  # fmt: skip
    """Sums of windows by how many elements count: padding may, what rounding up adds does not."""
    found, pads = _windows(call, input, kernel_size, stride, padding)
    size, rank = int(call.op[-2]), input.ndim
    fail_unless(not is_whole(input), "a pool of whole numbers")

    def summed(value: Any, pads: Any) -> Any:
        zero = number(0, input.dtype)
        made = lax.reduce_window(value, zero, lax.add, found.kernel, found.stride, pads)
        return made[(..., *(slice(0, n) for n in call.shape[-size:]))]

    if how.get("divisor_override") is not None:
        return summed(input, pads) / how["divisor_override"]
    ones = jnp.ones([1] * (rank - size) + list(input.shape[-size:]), input.dtype)
    behind = pads
    if count_include_pad:
        ones = jnp.pad(ones, [(p, p) for p in found.before], constant_values=1)
        behind = [(0, max(end - a, 0)) for a, end in pads]
    return summed(input, pads) / summed(ones, behind)


# -- Fourier transforms


for _name, _function in {"fft_fft": jnp.fft.fft, "fft_ifft": jnp.fft.ifft, "fft_rfft": jnp.fft.rfft,
                         "fft_irfft": jnp.fft.irfft}.items():  # fmt: skip

    @op(_name)
    def fourier(call: Any, input: Any, n: Any = None, dim: int = -1, norm: Any = None, *,
                function: Any = _function) -> Any:  # fmt: skip
        return function(input, n, dim, norm)
