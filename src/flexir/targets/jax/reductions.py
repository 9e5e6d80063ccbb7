"""Along dimensions: sums, extremes, their places, orders."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from ..arguments import dims, fail_unless
from .handlers import is_whole, op


def _reduction(function: Any) -> Any:
    def handler(call: Any, input: Any, dim: Any = None, keepdim: bool = False,
                dtype: Any = None) -> Any:  # fmt: skip
        return function(call.cast(input), axis=tuple(dims(dim, input.ndim)), keepdims=keepdim)

    return handler


for _name, _function in {"sum": jnp.sum, "mean": jnp.mean, "prod": jnp.prod}.items():
    op(_name)(_reduction(_function))


@op("amax", "amin")
def extreme(call: Any, input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    function = jnp.max if call.op == "amax" else jnp.min
    return function(input, axis=tuple(dims(dim, input.ndim)), keepdims=keepdim)


@op("max", "min")
def extremes(call: Any, input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    most = call.op == "max"
    made = (jnp.max if most else jnp.min)(
        input, axis=tuple(dims(dim, input.ndim)), keepdims=keepdim
    )
    return made if dim is None else [made, _arg_extreme(most, input, dim, keepdim)]


def _arg_extreme(most: bool, input: Any, dim: Any, keepdim: bool) -> Any:
    if not input.ndim:
        return jnp.zeros((), jnp.int64)
    found = (jnp.argmax if most else jnp.argmin)(input, axis=dim, keepdims=keepdim)
    return found.astype(jnp.int64)


@op("argmax", "argmin")
def arg_extreme(call: Any, input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    return _arg_extreme(call.op == "argmax", input, dim, keepdim).reshape(call.shape)


@op("any", "all")
def any_all(call: Any, input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    function = jnp.any if call.op == "any" else jnp.all
    return function(input, axis=tuple(dims(dim, input.ndim)), keepdims=keepdim).astype(call.dtype)


@op("softmax", "log_softmax")
def softmax(call: Any, input: Any, dim: Any, dtype: Any = None) -> Any:
    fail_unless(dim is not None, "softmax along a dimension that torch guesses")
    function = jax.nn.softmax if call.op == "softmax" else jax.nn.log_softmax
    value = jnp.atleast_1d(call.cast(input))
    # Of a row of -inf torch makes NaN.
    return function(value, axis=dim).reshape(call.shape)


@op("cumsum", "cumprod")
def cumulative(call: Any, input: Any, dim: int, dtype: Any = None) -> Any:
    value = call.cast(input)
    return (
        (jnp.cumsum if call.op == "cumsum" else jnp.cumprod)(value, axis=dim)
        if value.ndim
        else value
    )


@op("topk")
def topk(call: Any, input: Any, k: int, dim: int = -1, largest: bool = True,
         sorted: bool = True) -> Any:  # fmt: skip
    fail_unless(input.ndim, "an order of a number")
    values, places = _ordered(input, dim, largest)
    return [lax.slice_in_dim(part, 0, k, axis=dim) for part in (values, places)]


def _ordered(input: Any, dim: int, descending: bool) -> list[Any]:
    fail_unless(input.ndim, "an order of a number")
    turned = descending and is_whole(input)  # so that equal ones stay in order
    places = jnp.argsort(~input if turned else input, axis=dim, stable=True,
                         descending=descending and not turned)  # fmt: skip
    return [jnp.take_along_axis(input, places, axis=dim), places.astype(jnp.int64)]


@op("sort", "argsort")
def sort(call: Any, input: Any, dim: int = -1, descending: bool = False,
         stable: bool = False) -> Any:  # fmt: skip
    values, places = _ordered(input, dim, descending)
    return [values, places] if call.op == "sort" else places


@op("searchsorted")
def searchsorted(call: Any, sorted_sequence: Any, input: Any, out_int32: bool = False,
                 right: bool = False, side: Any = None, sorter: Any = None) -> Any:  # fmt: skip
    fail_unless(
        sorted_sequence.ndim == 1 and sorter is None and given_rank(input), "rows of orders"
    )
    side = side or ("right" if right else "left")
    return jnp.searchsorted(sorted_sequence, input, side=side).astype(call.dtype)


@op("bucketize")
def bucketize(call: Any, input: Any, boundaries: Any, out_int32: bool = False,
              right: bool = False) -> Any:  # fmt: skip
    side = "right" if right else "left"
    return jnp.searchsorted(boundaries, jnp.asarray(input), side=side).astype(call.dtype)


def given_rank(value: Any) -> bool:
    """Whether it is an array."""
    return hasattr(value, "ndim")
