"""What calls other calls: branches and loops, and the lists that loops make. And numbers that only
other handlers compute with.

A list with an element for each round is its elements one after the other along a new first
dimension, as a ``Loop`` collects them: a value like others. Only what is declared here as reading
such lists is given one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx_ir as ir
import torch

import flexir
from flexir import Unsupported

from ..arguments import fail_unless
from .handlers import KINDS, brought, op, target
from .network import dtype_of, live, tensor_type
from .values import Arithmetic, Tensor


@op("size", "numel", "length", "item", "to_float", "isqrt")
def number(ctx: Any, input: Any, **how: Any) -> Any:
    """Numbers alone: the door of all handlers computes them."""
    raise Unsupported(f"{ctx.node.op} that gives no number")


@target.op("if")
def branch(ctx: Any, condition: Any, inputs: Any, then: Any, otherwise: Any) -> Any:
    """``If``, whose blocks read what stands around them."""
    out, outputs = ctx.out, ctx.node.outputs
    blocks = []
    for block, name in ((then, "then"), (otherwise, "else")):
        with out.block() as nodes:
            results = _results(ctx, nodes, ctx.convert(block, inputs))
        blocks.append(_graph(out, name, nodes, results))
    _here(ctx)
    made = out.many(
        "If", len(outputs), out.cast(condition.scalar, torch.bool),
        then_branch=blocks[0], else_branch=blocks[1],
    )  # fmt: skip
    return [_typed(out, value, dtype_of(result), one.type)
            for value, one, result in zip(made, outputs, blocks[0].outputs)]  # fmt: skip


@target.op("loop")
def loop(ctx: Any, count: Any, carried: Any, inputs: Any, body: Any) -> Any:
    """``Loop``, whose scan outputs are what its rounds collect.

    The file itself refuses fewer rounds than examples showed, and an end that none showed.
    """
    out, outputs = ctx.out, ctx.node.outputs
    params = body.parameters[1 : 1 + len(carried)]
    _here(ctx)
    count = _at_least(out, count, ctx.node.target.least)
    begun = [_begun(ctx, one, param, body) for one, param in zip(carried, params)]
    index, goes = out.number(out.parameter(torch.int64), int), out.parameter(torch.bool)
    held = [_typed(out, out.parameter(dtype_of(value)), dtype_of(value), param.type)
            for value, param in zip(begun, params)]  # fmt: skip
    with out.block() as nodes:
        goes_on, *made = ctx.convert(body, [index, *held, *inputs])
        _here(ctx)
        more = _follows(out, goes_on, index, count, ctx.node.target.ends)
        results = [_own(out, nodes, more), *_results(ctx, nodes, made)]
    graph = _graph(out, "body", nodes, results, [index, goes, *held])
    most = count if count is None or isinstance(count, Tensor) else out.constant(count)
    made = out.many("Loop", len(outputs), most, out.constant(True, torch.bool), *begun, body=graph)
    return [_typed(out, value, dtype_of(result), one.type)
            for value, one, result in zip(made, outputs, results[1:])]  # fmt: skip


def _here(ctx: Any) -> None:
    """What is added next belongs to this call; others were converted meanwhile."""
    ctx.out.path, ctx.out.source = ctx.node.path, str(ctx.node.source or "")


def _typed(out: Any, value: Tensor, dtype: torch.dtype, type: flexir.TensorType) -> Tensor:
    """A value, typed as what it stands for; a list as its elements side by side."""
    value.type = tensor_type(dtype)
    value.shape = ir.Shape([n if n.__class__ is int else None for n in type.shape])
    kind = getattr(type, "kind", None)
    return value if kind is None else out.number(value, kind)


def _results(ctx: Any, nodes: list[ir.Node], made: Sequence[Any]) -> list[Tensor]:
    """What a block gives, each made in it and of the dtype the call has it in."""
    _here(ctx)
    results: list[Tensor] = []
    for one, value in zip(made, ctx.node.outputs):
        fail_unless(one is not None, "a block without a result that no example has read")
        dtype = KINDS[value.type.kind] if value.is_number else value.type.dtype
        whole = isinstance(one, Tensor) and not one.number
        found = one if whole else brought(ctx, dtype, one)[0]
        fail_unless(dtype_of(found) is dtype, "blocks of different dtypes")
        found = _own(ctx.out, nodes, found)
        twice = any(found is other for other in results)
        results.append(ctx.out.add("Identity", found) if twice else found)
    return results


def _own(out: Any, nodes: list[ir.Node], value: Any) -> Any:
    """A value that a block itself makes."""
    mine = any(value.producer() is node for node in nodes)
    return value if mine else out.add("Identity", value)


def _graph(
    out: Any, name: str, nodes: list[ir.Node], results: Sequence[Any], inputs: Sequence[Any] = ()
) -> ir.Graph:
    return ir.Graph(inputs, results, nodes=live(nodes, results)[0], name=out.name(name))


def _at_least(out: Any, count: Any, least: int) -> Any:
    """The number of rounds; fewer than examples showed are refused."""
    if not isinstance(count, Arithmetic):
        fail_unless(count is None or count >= least, "fewer rounds than examples showed")
        return count
    if not least:
        return count.scalar
    enough = out.add("GreaterOrEqual", count.scalar, least, dtype=torch.bool)
    return out.demanded(count.scalar, enough, f"no example showed fewer than {least} rounds")


def _begun(ctx: Any, one: Any, param: Any, body: Any) -> Any:
    """What the first round begins with; nothing, where no round reads it."""
    if one is None:
        read = param in body.outputs or any(param in node.inputs for node in body.nodes)
        fail_unless(not read, "a first round that begins with nothing")
        fail_unless(ctx.node.target.least, "a loop of no rounds, which leaves nothing behind")
        shape = [n if n.__class__ is int else 1 for n in param.type.shape]
        one = torch.zeros(shape, dtype=param.type.dtype)
    whole = isinstance(one, Tensor) and not one.number
    dtype = KINDS[param.type.kind] if param.is_number else param.type.dtype
    return one if whole else brought(ctx, dtype, one)[0]


def _follows(out: Any, goes_on: Any, index: Any, count: Any, ends: Sequence[str]) -> Any:
    """Whether another round follows; an end that no example showed is refused."""
    fail_unless(goes_on is not None, "no example showed what follows such a round")
    if not isinstance(goes_on, Tensor):
        return out.constant(bool(goes_on), torch.bool)
    goes_on = out.cast(goes_on, torch.bool)
    if "condition" not in ends:
        return out.demanded(goes_on, goes_on, "no example showed an end before the last round")
    if "count" not in ends and count is not None:
        last = out.add("GreaterOrEqual", (index + 1).scalar, count, dtype=torch.bool)
        fine = out.add("Not", out.add("And", goes_on, last))
        return out.demanded(goes_on, fine, "no example showed an end after the last round")
    return goes_on


@op("element")
def element(ctx: Any, input: Any, index: Any) -> Any:
    """One of the first dimension; -1 is the last, in ONNX too."""
    place = index.scalar if isinstance(index, Arithmetic) else ctx.out.constant(index)
    return ctx.out.add("Gather", input, place, axis=0)


@op("joined")
def joined(ctx: Any, parts: Any) -> Any:
    """Lists, and what becomes an element of one."""
    lists = [value.is_list for value in ctx.node.args["parts"]]
    rows = [one if many else ctx.out.add("Unsqueeze", one, [0]) for one, many in zip(parts, lists)]
    return ctx.out.add("Concat", *rows, axis=0)
