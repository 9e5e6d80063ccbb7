"""Branches and loops that values decide: ``lax.cond`` and ``lax.while_loop``."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import lax

from flexir import Unsupported

from ..arguments import fail_unless
from .handlers import call_of, op, target
from .program import Body, Call, Number, given, number


@op("item", "to_float")
def item(call: Call, input: Any) -> Any:
    """Numbers alone: the door of all handlers computes them."""
    raise Unsupported(f"{call.op} that gives no number")


def _arrays(call: Call, made: Any) -> tuple[Any, ...]:
    """Results of a block as arrays of the types of the call."""
    return tuple(
        one.astype(dtype) if given(one) else number(one, dtype)
        for one, (_, dtype) in zip(made, call.types)
    )


def _cond(call: Call, condition: Any, then: Any, otherwise: Any) -> Any:
    first, other = (lambda block=block: _arrays(call, block()) for block in (then, otherwise))
    return lax.cond(_truth(condition), first, other)


def _truth(value: Any) -> Any:
    return jnp.asarray(value.array if isinstance(value, Number) else value).astype(bool)


def _while(call: Call, count: Any, carried: Any, body: Any) -> Any:
    """Rounds until the body says no, or as many as there are."""
    zeros = [jnp.zeros(*one) for one in call.types]
    begun = [zero if one is None else one for one, zero in zip(carried, zeros)]
    limit = None if count is None else number(count, jnp.int64)

    def goes_on(state: Any) -> Any:
        rounds, more, _ = state
        return more if limit is None else more & (rounds < limit)

    def once(state: Any) -> Any:
        rounds, _, held = state
        more, *made = body(rounds, *held)
        return rounds + 1, _truth(more), _arrays(call, made)

    start = jnp.zeros((), jnp.int64), jnp.asarray(True), _arrays(call, begun)
    return lax.while_loop(goes_on, once, start)[2]


def _results(made: Any) -> tuple[Any, ...]:
    fail_unless(all(one is not None for one in made), "no example showed one of its results")
    return tuple(made)


@target.op("if")
def branch(ctx: Any, condition: Any, inputs: Any, then: Any, otherwise: Any) -> Any:
    """``lax.cond``, whose blocks read what stands around them."""
    bodies = []
    for block in (then, otherwise):
        with ctx.out.apart() as steps:
            made = ctx.convert(block, inputs)
        bodies.append(Body((), steps, _results(made)))
    return ctx.out.add(_cond, call_of(ctx), (condition, *bodies), {}, str(ctx.node.where))


@target.op("loop")
def loop(ctx: Any, count: Any, carried: Any, inputs: Any, body: Any) -> Any:
    """``lax.while_loop``; how examples showed it to end is how it ends, for XLA cannot raise."""
    ends, least, call = ctx.node.target.ends, ctx.node.target.least, call_of(ctx)
    fail_unless(len(call.types) == len(carried), "as many elements of a list as values say")
    fail_unless(count is None or not least, "no example showed that it has no rounds")
    given = [ctx.out.new_var((), jnp.int64, int)]
    given += [ctx.out.new_var(*one, kind) for one, kind in zip(call.types, call.kinds)]
    with ctx.out.apart() as steps:
        more, *made = _results(ctx.convert(body, (*given, *inputs)))
    fail_unless(count is None or more is True or set(ends) == {"count", "condition"},
                f"no example showed it to end but by its {ends[0]}")  # fmt: skip
    inner = Body(tuple(given), steps, (more, *made))
    return ctx.out.add(_while, call, (count, carried, inner), {}, str(ctx.node.where))
