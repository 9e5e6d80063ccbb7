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
from .values import Arithmetic, Perhaps, Tensor, plain


@op("size", "numel", "length", "item", "to_float", "isqrt", "trunc")
def number(ctx: Any, input: Any, **how: Any) -> Any:
    """Numbers alone: ``op`` computes them, as for every handler."""
    raise Unsupported(f"{ctx.node.op} that gives no number")


@target.op("if")
def branch(ctx: Any, condition: Any, inputs: Any, then: Any, otherwise: Any) -> Any:
    """``If``, whose blocks read what stands around them."""
    out, outputs = ctx.out, ctx.node.outputs
    _here(ctx)
    truth = out.cast(plain(condition).scalar, torch.bool)
    blocks = []
    for block, name in ((then, "then"), (otherwise, "else")):
        with out.block() as nodes:
            results, there = _results(ctx, nodes, ctx.convert(block, inputs))
        blocks.append((name, nodes, results, there))
    open_ = [k for k in range(len(outputs)) if any(there[k] is not True for *_, there in blocks)]
    graphs = []
    for name, nodes, results, there in blocks:
        with out.block() as more:
            flags = [_own(out, more, out.constant(True, torch.bool) if there[k] is True
                          else there[k]) for k in open_]  # fmt: skip
        graphs.append(_graph(out, name, [*nodes, *more], [*results, *flags]))
    _here(ctx)
    count = len(outputs) + len(open_)
    made = out.many("If", count, truth, then_branch=graphs[0], else_branch=graphs[1])
    values: list[Any] = [_typed(out, value, dtype_of(result), one.type)
                         for value, one, result in zip(made, outputs, blocks[0][2])]  # fmt: skip
    flags = [_typed(out, flag, torch.bool, _TRUTH) for flag in made[len(outputs) :]]
    for k, flag in zip(open_, flags):
        values[k] = Perhaps(values[k], flag)
    return values


@target.op("loop")
def loop(ctx: Any, count: Any, carried: Any, inputs: Any, body: Any) -> Any:
    """``Loop``, whose scan outputs are what its rounds collect; what some do not give is left out.

    The file itself refuses fewer rounds than examples showed, and an end that none showed.
    """
    out, outputs = ctx.out, ctx.node.outputs
    params = body.parameters[1 : 1 + len(carried)]
    _here(ctx)
    count = _at_least(out, plain(count), ctx.node.target.least)
    begun = [_begun(ctx, plain(one), param, body) for one, param in zip(carried, params)]
    index, goes = out.number(out.parameter(torch.int64), int), out.parameter(torch.bool)
    held = [_typed(out, out.parameter(dtype_of(value)), dtype_of(value), param.type)
            for value, param in zip(begun, params)]  # fmt: skip
    with out.block() as nodes:
        goes_on, *made = ctx.convert(body, [index, *held, *inputs])
        _here(ctx)
        more = _own(out, nodes, _follows(out, plain(goes_on), index, count, ctx.node.target.ends))
        made[: len(held)] = map(plain, made[: len(held)])
        results, there = _results(ctx, nodes, made)
        open_ = [k for k, flag in enumerate(there) if flag is not True]
        flags = [_own(out, nodes, there[k]) for k in open_]
    graph = _graph(out, "body", nodes, [more, *results, *flags], [index, goes, *held])
    most = count if count is None or isinstance(count, Tensor) else out.constant(count)
    first, total = out.constant(True, torch.bool), len(outputs) + len(open_)
    made = out.many("Loop", total, most, first, *begun, body=graph)
    values = [_typed(out, value, dtype_of(result), one.type)
              for value, one, result in zip(made, outputs, results)]  # fmt: skip
    for k, flag in zip(open_, made[len(outputs) :]):
        flag.type, flag.shape = tensor_type(torch.bool), ir.Shape([None])
        kept = out.add("Compress", values[k], flag, axis=0)
        values[k] = _typed(out, kept, dtype_of(kept), outputs[k].type)
    return values


_TRUTH = flexir.TensorType(torch.bool, (), torch.device("cpu"))


def _here(ctx: Any) -> None:
    """What is added next belongs to this call; others were converted meanwhile."""
    ctx.out.path, ctx.out.source = ctx.node.path, str(ctx.node.source or "")


def _typed(out: Any, value: Tensor, dtype: torch.dtype, type: flexir.TensorType) -> Tensor:
    """A value, typed as what it stands for; a list as its elements side by side."""
    value.type = tensor_type(dtype)
    value.shape = ir.Shape([n if n.__class__ is int else None for n in type.shape])
    kind = getattr(type, "kind", None)
    return value if kind is None else out.number(value, kind)


def _results(ctx: Any, nodes: list[ir.Node], made: Sequence[Any]) -> tuple[list[Tensor], list[Any]]:
    """What a block gives, each made in it and of the dtype the call has it in.

    Returns:
        the values; and of each whether it is there: True, or a value.
    """
    _here(ctx)
    out = ctx.out
    results: list[Tensor] = []
    there: list[Any] = []
    for one, value in zip(made, ctx.node.outputs):
        dtype = KINDS[value.type.kind] if value.is_number else value.type.dtype
        there.append(out.constant(False, torch.bool) if one is None
                     else one.there if isinstance(one, Perhaps) else True)  # fmt: skip
        if one is None:
            gained = value.is_list and ctx.node.op == "loop"  # an element of what comes out
            one = _nothing(out, value.type.element if gained else value.type, dtype)
        one = one.value if isinstance(one, Perhaps) else one
        whole = isinstance(one, Tensor) and not one.number
        found = one if whole else brought(ctx, dtype, one)[0]
        fail_unless(dtype_of(found) is dtype, "blocks of different dtypes")
        found = _own(out, nodes, found)
        twice = any(found is other for other in results)
        results.append(out.add("Identity", found) if twice else found)
    return results, there


def _nothing(out: Any, type: flexir.TensorType, dtype: torch.dtype) -> Any:
    """An unused value for a place without one."""
    shape = [n if n.__class__ is int else 1 for n in type.shape]
    return out.constant(torch.zeros(shape, dtype=dtype), dtype)


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
        return _nothing(ctx.out, param.type, param.type.dtype)
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
    if not parts:
        kind = ctx.node.outputs[0].type
        fixed = all(n.__class__ is int for n in kind.element.shape)
        fail_unless(fixed, "an empty list of tensors whose sizes vary")
        return ctx.out.constant(torch.zeros((0, *kind.element.shape), dtype=kind.dtype), kind.dtype)
    lists = [value.is_list for value in ctx.node.args["parts"]]
    rows = [one if many else ctx.out.add("Unsqueeze", one, [0]) for one, many in zip(parts, lists)]
    return ctx.out.add("Concat", *rows, axis=0)
