"""Torch's tensors as outputs of OpenVINO's nodes: the target, dtypes, constants, inputs, outputs.

Owns what every handler shares; has no op.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import openvino
import torch
from openvino import opset13 as ops

import flexir

from ..arguments import fail_unless

# What the CPU plug-in computes in as torch does; whole numbers of 64 bits it keeps in 32.
DTYPES = {
    torch.float32: np.float32, torch.int64: np.int64, torch.int32: np.int32, torch.bool: np.bool_,
    torch.uint8: np.uint8, torch.int8: np.int8,
}  # fmt: skip


@dataclass(eq=False)
class Network:
    """What handlers add to: OpenVINO keeps the nodes by what reads them.

    Attributes:
        inputs: parameters, by name.
        outputs: by name.
        sinks: what keeps state from call to call.
        conditions: what must hold for the outputs to be right, and a bool: whether it does.
        blocks: within how many handlers are now; what is made there is not seen outside.
        name: of the graph.
    """

    inputs: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    sinks: list[Any] = field(default_factory=list)
    conditions: list[tuple[str, Any]] = field(default_factory=list)
    blocks: int = 0
    name: str = "net"

    def finished(self) -> openvino.Model:
        """The OpenVINO model; its last results are the conditions, without which others are NaN."""
        values = list(self.outputs.values())
        if self.conditions:
            told = [one for _, one in self.conditions]
            holds = functools.reduce(ops.logical_and, told)
            values = [_unless(holds, value) for value in values] + told
        results = [ops.result(value) for value in values]
        return openvino.Model(results, self.sinks, list(self.inputs.values()), self.name)

    @functools.cached_property
    def request(self) -> Any:
        """What runs the model, on the CPU, in f32 and on torch's number of threads."""
        settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS":
                    torch.get_num_threads()}  # fmt: skip
        compiled = openvino.Core().compile_model(self.finished(), "CPU", settings)
        return compiled.create_infer_request()


def _unless(holds: Any, value: Any) -> Any:
    """An output, or what cannot be taken for one: NaN, the least of whole numbers."""
    dtype = value.get_element_type().to_dtype()
    if dtype == np.bool_:
        return ops.logical_and(holds, value)
    lost = np.nan if dtype == np.float32 else max(np.iinfo(dtype).min, np.iinfo(np.int32).min)
    return ops.select(holds, value, ops.constant(np.asarray(lost, dtype)))


target = flexir.Target("openvino", out=Network, dtypes=DTYPES)


def op(
    *names: str, empty: bool = False, counted: bool = False
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare a handler of calls whose tensors OpenVINO can hold; its results are checked.

    Args:
        names: of the ops.
        empty: it copes with arguments without elements.
        counted: values decide how many elements it makes, so that it is asked also where it made
            none; for the others a result without elements is what it is.
    """

    def declare(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def checked(ctx: Any, *args: Any, **named: Any) -> Any:
            lists = any(value.is_list for value in (*ctx.node.inputs, *ctx.node.returned))
            fail_unless(not lists, "a list of as many as values or sizes say")
            types = [type_of(value.type) for value in ctx.node.returned]
            none = bool(types) and all(0 in type.shape for type in types)
            for value in ctx.node.inputs:
                check(type_of(value.type), empty or none)
            for type in types:
                check(type, none)
            if none and not counted:
                made: Any = tuple(map(nothing, types))
                (made,) = made if isinstance(ctx.node.result, flexir.Value) else (made,)
            else:
                made = function(ctx, *args, **named)
            several = isinstance(made, (tuple, list))
            parts = [port(part) for part in made] if several else [port(made)]
            for part, type in zip(parts, types):
                check_result(part, type)
            return tuple(parts) if several else parts[0]

        for name in names:
            target.op(name)(checked)
        return function

    return declare


def nothing(type: flexir.TensorType) -> Any:
    """A tensor without elements."""
    return ops.constant(np.empty(type.shape, DTYPES[type.dtype])).output(0)


def type_of(type: flexir.TensorType) -> flexir.TensorType:
    """The type of what stands for a tensor, or for a number that values are."""
    kind = getattr(type, "kind", None)
    if kind is None:
        return type
    if kind is float:
        raise flexir.Unsupported("a number that values are, of 64 bits: the plug-in has 32")
    return flexir.TensorType(torch.bool if kind is bool else torch.int64, (), type.device)


def port(made: Any) -> Any:
    """An output, also of a node of one."""
    return made.output(0) if hasattr(made, "get_output_size") else made


def check_result(port: Any, type: flexir.TensorType) -> None:
    """Raise TypeError unless a result has torch's dtype and shape."""
    made = port.get_element_type().to_dtype().type, tuple(port.get_shape())
    if made != (DTYPES[type.dtype], tuple(type.shape)):
        raise TypeError(f"the handler made {made}, torch {type}")


def check(type: flexir.TensorType, empty: bool = False) -> None:
    """Raise Unsupported for what no output holds."""
    if type.dtype not in DTYPES:
        raise flexir.Unsupported(f"{type.dtype}: not computed as torch does")
    if any(n < 0 for n in type.shape):
        raise flexir.Unsupported("rows of several lengths")
    if 0 in type.shape and not empty:
        raise flexir.Unsupported("a tensor without elements")


def constant(value: Any, dtype: Any) -> Any:
    """Numbers as an output.

    Raises:
        flexir.Unsupported: whole ones that the CPU plug-in, which keeps 32 bits, would change.
    """
    array = np.asarray(value, dtype)
    if too_wide(array):
        raise flexir.Unsupported("whole numbers beyond 32 bits, which the plug-in does not keep")
    return ops.constant(array, dtype=dtype)


def too_wide(array: Any) -> bool:
    """Whether there are whole numbers of more than 32 bits among them."""
    limit = np.iinfo(np.int32)
    return bool(array.dtype == np.int64 and array.size and (
        array.max() > limit.max or array.min() < limit.min))  # fmt: skip


def ints(values: Any) -> Any:
    """Sizes, axes and the like."""
    return ops.constant(np.asarray(values, np.int64), dtype=np.int64)


def cast(value: Any, dtype: torch.dtype) -> Any:
    """A value in another dtype; to bool is a comparison, as in torch."""
    own = value.get_element_type().to_dtype().type
    if own is DTYPES[dtype]:
        return value
    if dtype == torch.bool:
        return ops.not_equal(value, constant(0, own)).output(0)
    return ops.convert(value, DTYPES[dtype]).output(0)


def dtype_of(value: Any) -> torch.dtype:
    """Torch's dtype of an output or a node of one."""
    made = port(value).get_element_type().to_dtype().type
    return next(dtype for dtype, own in DTYPES.items() if own is made)


def is_number(value: Any) -> bool:
    return isinstance(value, (bool, int, float))


def operands(*parts: Any, dtype: torch.dtype) -> list[Any]:
    """Tensors and numbers in one dtype."""
    if dtype not in DTYPES:
        raise flexir.Unsupported(f"{dtype}: not computed as torch does")
    return [constant(p, DTYPES[dtype]) if is_number(p) else cast(p, dtype) for p in parts]


@target.input
def model_input(ctx: Any, name: str, type: flexir.TensorType) -> Any:
    check(type, empty=True)
    parameter = ops.parameter(list(type.shape), DTYPES[type.dtype], name)
    ctx.out.inputs[name] = parameter
    return parameter.output(0)


@target.constant
def model_weight(ctx: Any, weight: Any) -> Any:
    array = ctx.array(weight)
    ctx.dtype(weight.tensor.dtype)
    made = constant(np.array(array), array.dtype.type)
    made.set_friendly_name(weight.name)
    if weight.state:
        made = ops.read_value(made, weight.state, array.dtype.type, list(array.shape))
    return made.output(0)


@target.output
def model_output(ctx: Any, outputs: dict[str, Any]) -> Network:
    made: Network = ctx.out
    made.outputs, made.name = outputs, ctx.graph.name
    return made


@target.placeholder
def placeholder(ctx: Any, inputs: list[Any]) -> Any:
    """A parameter of the output's type stands for it; the network does not run."""
    made = []
    for value in ctx.node.outputs:
        dtype = DTYPES.get(value.type.dtype, np.float32)
        made.append(ops.parameter(list(value.type.shape), dtype, "placeholder").output(0))
    return tuple(made)
