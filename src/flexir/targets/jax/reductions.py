"""Along dimensions: sums, extremes, their places, orders."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from ..arguments import fail_unless
from .handlers import dims, is_whole, op


def _reduction(function: Any) -> Any:
    def handler(call: Any, input: Any, dim: Any = None, keepdim: bool = False,
                dtype: Any = None) -> Any:  # fmt: skip
        return function(call.cast(input), axis=dims(dim, input.ndim), keepdims=keepdim)

    return handler


for _name, _function in {"sum": jnp.sum, "mean": jnp.mean, "prod": jnp.prod, "nansum": jnp.nansum,
                         "nanmean": jnp.nanmean}.items():  # fmt: skip
    op(_name)(_reduction(_function))


@op("amax", "amin")
def extreme(call: Any, input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    function = jnp.max if call.op == "amax" else jnp.min
    return function(input, axis=dims(dim, input.ndim), keepdims=keepdim)


@op("max", "min")
def extremes(call: Any, input: Any, dim: Any = None, keepdim: bool = False,
             other: Any = None) -> Any:  # fmt: skip
    most = call.op == "max"
    if other is not None:
        return (jnp.maximum if most else jnp.minimum)(call.cast(input), call.cast(other))
    made = (jnp.max if most else jnp.min)(input, axis=dims(dim, input.ndim), keepdims=keepdim)
    return made if dim is None else [made, _place(most, input, dim, keepdim)]


def _place(most: bool, input: Any, dim: Any, keepdim: bool) -> Any:
    if not input.ndim:
        return jnp.zeros((), jnp.int64)
    found = (jnp.argmax if most else jnp.argmin)(input, axis=dim, keepdims=keepdim)
    return found.astype(jnp.int64)


@op("argmax", "argmin")
def place(call: Any, input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    return _place(call.op == "argmax", input, dim, keepdim).reshape(call.shape)


@op("any", "all")
def asked(call: Any, input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    function = jnp.any if call.op == "any" else jnp.all
    return function(input, axis=dims(dim, input.ndim), keepdims=keepdim).astype(call.dtype)


@op("count_nonzero")
def count_nonzero(call: Any, input: Any, dim: Any = None) -> Any:
    return jnp.count_nonzero(input, axis=dims(dim, input.ndim)).astype(call.dtype)


@op("logsumexp")
def logsumexp(call: Any, input: Any, dim: Any, keepdim: bool = False) -> Any:
    return jax.nn.logsumexp(call.cast(input), axis=dims(dim, input.ndim), keepdims=keepdim)


def _norm(call: Any, input: Any, order: Any, dim: Any, keepdim: bool) -> Any:
    sizes = jnp.abs(input).astype(call.dtype)
    how: Any = {"axis": dims(dim, input.ndim), "keepdims": keepdim}
    if order == 2:
        return jnp.sqrt(jnp.sum(sizes * sizes, **how))
    if order == 1:
        return jnp.sum(sizes, **how)
    if order == 0:
        return jnp.sum((sizes != 0).astype(call.dtype), **how)
    if abs(order) == math.inf:
        return (jnp.max if order > 0 else jnp.min)(sizes, **how)
    return jnp.power(jnp.sum(jnp.power(sizes, order), **how), 1 / order)


@op("linalg_vector_norm")
def vector_norm(call: Any, input: Any, ord: Any = 2, dim: Any = None, keepdim: bool = False,
                dtype: Any = None) -> Any:  # fmt: skip
    return _norm(call, input, ord, dim, keepdim)


@op("norm")
def norm(call: Any, input: Any, p: Any = "fro", dim: Any = None, keepdim: bool = False,
         dtype: Any = None) -> Any:  # fmt: skip
    fail_unless(p != "nuc", "the nuclear norm")
    return _norm(call, input, 2 if p in ("fro", None) else p, dim, keepdim)


@op("var", "std", "var_mean", "std_mean")
def spread(call: Any, input: Any, dim: Any = None, correction: Any = 1, keepdim: bool = False,
           unbiased: Any = None) -> Any:  # fmt: skip
    correction = (1 if correction is None else correction) if unbiased is None else int(unbiased)
    axes = dims(dim, input.ndim)
    size = math.prod(input.shape[d] for d in axes)
    fail_unless(size > correction, "a variance of too few elements")
    made = jnp.var(input, axis=axes, keepdims=keepdim) * (size / (size - correction))
    made = jnp.sqrt(made) if "std" in call.op else made
    made = made.astype(call.dtype)
    return [made, jnp.mean(input, axis=axes, keepdims=keepdim)] if "mean" in call.op else made


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


@op("cummax", "cummin")
def running(call: Any, input: Any, dim: int) -> Any:
    fail_unless(False, "the places of running extremes")


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
