"""Branches, loops and state: ``If``, ``Loop``, ``ReadValue`` and ``Assign``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import openvino
from openvino import opset13 as ops

import flexir
from flexir import Unsupported

from ..arguments import fail_unless
from .values import DTYPES, check, check_result, constant, ints, port, target, type_of


class Body:
    """A block as a model of its own: what it reads from around it comes in as parameters.

    Weights stay what they are, so that handlers still see them as constants.
    """

    def __init__(self, ctx: Any, block: Any, given: Sequence[Any], types: Sequence[Any]) -> None:
        count = len(given) - len(ctx.node.args["inputs"])
        self.parameters = [_parameter(value.type) for value in block.parameters[:count]]
        self.read: list[tuple[Any, Any]] = []  # what stands around it -> parameter
        inner = [parameter.output(0) for parameter in self.parameters]
        for value, outer in zip(block.parameters[count:], given[count:]):
            if _is_fixed(outer):
                inner.append(outer)
                continue
            parameter = _parameter(value.type)
            self.read.append((outer, parameter))
            inner.append(parameter.output(0))
        ctx.out.blocks += 1
        try:
            made = list(ctx.convert(block, inner))
        finally:
            ctx.out.blocks -= 1
        self.more = made.pop(0) if len(made) > len(types) else True
        fail_unless(all(one is not None for one in made), "no example showed one of its results")
        self.results = [ops.result(_typed(one, type)) for one, type in zip(made, types)]

    def model(self, *first: Any) -> openvino.Model:
        """With further results before its own."""
        parameters = [*self.parameters, *(parameter for _, parameter in self.read)]
        return openvino.Model([*first, *self.results], parameters, "block")


def _is_fixed(outer: Any) -> bool:
    """Whether it is a weight or a number."""
    return not isinstance(outer, openvino.Output) or outer.get_node().get_type_name() == "Constant"


def _parameter(type: flexir.TensorType) -> Any:
    type = type_of(type)
    check(type)
    return ops.parameter(list(type.shape), DTYPES[type.dtype])


def _typed(made: Any, type: flexir.TensorType) -> Any:
    """A result of a block, which may be a number, as an output of its type."""
    found = port(made if hasattr(made, "get_node") else constant(made, DTYPES[type.dtype]))
    check_result(found, type)
    return found


def _types(ctx: Any) -> list[flexir.TensorType]:
    types = [type_of(value.type) for value in ctx.node.outputs]
    for type in types:
        check(type)
    return types


@target.op("if")
def branch(ctx: Any, condition: Any, inputs: Any, then: Any, otherwise: Any) -> Any:
    """``If``, whose two blocks each have parameters of their own."""
    types = _types(ctx)
    bodies = [Body(ctx, block, inputs, types) for block in (then, otherwise)]
    node = ops.if_op(condition)
    node.set_then_body(bodies[0].model())
    node.set_else_body(bodies[1].model())
    for (outer, first), (_, other) in zip(bodies[0].read, bodies[1].read):
        node.set_input(outer, first, other)
    return tuple(node.set_output(*pair) for pair in zip(*(body.results for body in bodies)))


@target.op("loop")
def loop(ctx: Any, count: Any, carried: Any, inputs: Any, body: Any) -> Any:
    """``Loop``; how examples showed it to end is how it ends, for the plug-in cannot raise."""
    ends, types = ctx.node.target.ends, _types(ctx)
    fail_unless(len(types) == len(carried), "as many elements of a list as values say")
    fail_unless(count is None or not ctx.node.target.least, "no example showed it without rounds")
    whole = Body(ctx, body, (0, *carried, *inputs), types)
    fail_unless(count is None or whole.more is True or set(ends) == {"count", "condition"},
                f"no example showed it to end but by its {ends[0]}")  # fmt: skip
    more = ops.result(port(constant(True, np.bool_)) if whole.more is True else whole.more)
    limit = constant(-1 if count is None else count, np.int64) if _is_fixed(count) else count
    node = ops.loop(limit, constant(True, np.bool_))
    node.set_function(whole.model(more))
    node.set_special_body_ports([0, 0])
    for parameter, begun, result, type in zip(whole.parameters[1:], carried, whole.results, types):
        start = np.zeros(type.shape) if begun is None else begun
        start = _typed(start, type) if _is_fixed(start) else start
        node.set_merged_input(parameter, start, result.output(0))
    for outer, parameter in whole.read:
        node.set_invariant_input(parameter, outer)
    return tuple(node.get_iter_value(result.output(0), -1) for result in whole.results)


@target.state
def model_state(ctx: Any, path: str, initial: Any, final: Any) -> None:
    """``Assign``, of what the next call reads."""
    if ctx.node.op == "input":
        raise Unsupported("a written input: the plug-in writes no tensor of the caller's")
    fail_unless(initial.get_target_inputs(), "a state that nothing computes with")
    node = ops.reshape(
        final, ints(list(final.get_shape())), False
    )  # of one output, as is asked for
    ctx.out.sinks.append(ops.assign(node, path))
