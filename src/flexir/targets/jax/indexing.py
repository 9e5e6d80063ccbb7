"""Reading and writing at indices. A place that does not exist reads as NaN or as an extreme."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from ..arguments import fail_unless, scattered, split_index
from .counted import true_indices
from .handlers import call_of, cuts_known, op, target
from .program import Var, given


def _parts(indices: Any) -> tuple[Any, ...]:
    """An index as a tuple of what JAX takes, uint8 as bools."""
    parts = []
    for part in split_index(indices):
        fail_unless(not isinstance(part, bool), "a bool as an index")
        if isinstance(part, (list, tuple, range)):
            listed = jnp.stack if any(map(given, part)) else np.asarray
            part = listed(part, dtype=None if len(part) else int)
        elif given(part) and part.dtype == jnp.uint8:
            part = part.astype(bool)
        parts.append(part)
    return tuple(parts)


def _width(part: Any) -> int:
    """How many dimensions a part of an index stands for: a tensor of bools for all of its own."""
    if part is None or part is ...:
        return 0
    return int(part.ndim) if hasattr(part, "ndim") and part.dtype == bool else 1


def _selected(input: Any, parts: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """The index in two: numbers, slices and new dimensions first, as torch does, then tensors."""
    advanced = [p for p in parts if given(p) or isinstance(p, np.ndarray)]
    if not advanced:
        return parts, ()
    used = sum(_width(part) for part in parts)
    full: list[Any] = []
    for part in parts if any(p is ... for p in parts) else (*parts, ...):
        full += [slice(None)] * (input.ndim - used) if part is ... else [part]
    first: list[Any] = []
    then: list[Any] = []
    for part in full:
        if given(part) or isinstance(part, np.ndarray):
            first += [slice(None)] * _width(part)
            then.append(part)
        else:
            first.append(part)
            then += [] if isinstance(part, int) else [slice(None)]
    return tuple(first), tuple(then)


def _getitem(call: Any, input: Any, indices: Any) -> Any:
    first, then = _selected(input, _parts(indices))
    made = input[first]
    return made.at[then].get(mode="fill") if then else made


@op("setitem")
def setitem(call: Any, input: Any, indices: Any, value: Any) -> Any:
    parts, value = _parts(indices), call.cast(value)
    if len(parts) == 1 and given(parts[0]) and parts[0].dtype == bool and value.size == 1:
        mask = parts[0].reshape(parts[0].shape + (1,) * (input.ndim - parts[0].ndim))
        return jnp.where(mask, value.reshape(()), input)
    first, then = _selected(input, parts)
    if not then:
        return input.at[first].set(_fitting(value, np.empty(input.shape, bool)[first].ndim))
    inner = input[first]
    made = inner.at[then].set(_fitting(value, inner[then].ndim), mode="drop")
    return input.at[first].set(made)


def _fitting(value: Any, rank: int) -> Any:
    """Without the leading ones that torch leaves out."""
    while value.ndim > rank and value.shape[0] == 1:
        value = value[0]
    return value


@op("index_put")
def index_put(call: Any, input: Any, indices: Any, values: Any, accumulate: bool = False) -> Any:
    whole = [slice(None) if part is None else part for part in indices]
    if not accumulate:
        return setitem(call, input, whole, values)
    fail_unless(call.dtype != bool, "sums of bools")
    return input.at[_parts(whole)].add(call.cast(values), mode="drop")


def _along(index: Any, dim: int) -> tuple[Any, ...]:
    """An index of one dimension, with all others as they are."""
    grid = np.meshgrid(*[np.arange(n) for n in index.shape], indexing="ij", sparse=True)
    return tuple(index if d == dim % index.ndim else part for d, part in enumerate(grid))


@op("gather")
def gather(call: Any, input: Any, dim: int, index: Any) -> Any:
    fail_unless(input.ndim == index.ndim > 0, "an index of other dimensions, or a number")
    return input.at[_along(index, dim)].get(mode="fill")


@target.op("getitem")
def getitem(ctx: Any, input: Any, indices: Any) -> Any:
    """A mask is the places where it is true: as many as were recorded, which is a condition."""
    parts = split_index(indices)
    masks = [part for part in parts if _is_mask(ctx, part)]
    if masks:
        fail_unless(sum(map(_is_place, parts)) == 1, "a mask beside other tensors as an index")
        at = next(i for i, part in enumerate(parts) if part is masks[0])
        before = sum(part is not ... and type(part) is not int for part in parts[:at])
        if any(part is ... for part in parts[:at]):
            others = sum(p is not None and p is not ... for p in parts) - 1
            before += len(ctx.type_of(input).shape) - others - len(ctx.type_of(masks[0]).shape)
        parts[at : at + 1] = true_indices(ctx, masks[0], ctx.type.shape[before])
        indices = tuple(parts)
    return ctx.out.add(_getitem, call_of(ctx), (input, cuts_known(ctx, indices)), {},
                       str(ctx.node.where))  # fmt: skip


def _is_place(part: Any) -> bool:
    return isinstance(part, (Var, list, tuple))


def _is_mask(ctx: Any, part: Any) -> bool:
    return isinstance(part, Var) and ctx.out.types[part].dtype == bool


@op("scatter", "scatter_add", "scatter_reduce")
def scatter(call: Any, input: Any, dim: int, index: Any, **how: Any) -> Any:
    kind = scattered(call.op, how)
    method = {None: "set", "sum": "add", "prod": "multiply", "amax": "max", "amin": "min"}[kind]
    fail_unless(call.dtype != bool or kind is None, "reductions of bools")
    fail_unless(input.ndim == index.ndim > 0, "an index of other dimensions, or a number")
    what: Any = how.get("src") if how.get("src") is not None else how.get("value")
    if given(what) and what.ndim:
        what = what[tuple(slice(0, n) for n in index.shape)]
    index_at = _along(index.astype(jnp.int64), dim)
    return getattr(input.at[index_at], method)(call.cast(what), mode="drop")


def _at(index: Any, dim: int, rank: int) -> tuple[Any, ...]:
    fail_unless(rank and index.ndim, "an index that is a number")
    return (slice(None),) * (dim % rank) + (index,)
