"""What the handlers build: ONNX nodes in order over typed values, and the weights they read.

It knows ONNX's words and which element types the kernels of onnxruntime take; of torch it knows
dtypes alone. It never looks at a graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx_ir as ir
import torch
from onnx_ir import tensor_adapters

from flexir import Error, Unsupported

DTYPES = {
    torch.float32: ir.DataType.FLOAT, torch.float64: ir.DataType.DOUBLE,
    torch.float16: ir.DataType.FLOAT16, torch.int64: ir.DataType.INT64,
    torch.int32: ir.DataType.INT32, torch.int16: ir.DataType.INT16,
    torch.int8: ir.DataType.INT8, torch.uint8: ir.DataType.UINT8, torch.bool: ir.DataType.BOOL,
}  # fmt: skip
TORCH = {made: dtype for dtype, made in DTYPES.items()}
_LETTERS = {
    "f": torch.float32, "d": torch.float64, "l": torch.int64, "i": torch.int32, "b": torch.bool,
    "h": torch.float16, "s": torch.int16, "c": torch.int8, "u": torch.uint8,
}  # fmt: skip
# Element types that onnxruntime's CPU kernels take; ops that are not here take all of them.
_KERNELS = {
    kind: types
    for types, kinds in {
        "b": "And Not Or Xor",
        "f": "Celu",
        "fdh": "BatchNormalization Ceil Cos Exp Floor Gemm GridSample IsNaN "
        "LayerNormalization Log LogSoftmax Reciprocal Round Sigmoid Sin Softmax "
        "Sqrt Tanh",
        "fdhcu": "MaxPool",
        "fdihc": "Relu",
        "fdlibh": "Trilu",
        "fdlibhcu": "Pad ReduceMax ReduceMin",
        "fdlibhscu": "Compress Equal Expand Tile",
        "fdlih": "CumSum MatMul Pow ReduceL1 ReduceL2 ReduceLogSumExp ReduceMean ReduceProd "
        "ReduceSum",
        "fdlihcu": "ArgMax ArgMin Clip Max Min Where",
        "fdlihsc": "Neg",
        "fdlihscu": "Abs Add Div Greater GreaterOrEqual Less LessOrEqual Mod Mul Sign Sub TopK",
        "fh": "Acos Acosh Asin Asinh Atan Atanh AveragePool Conv ConvTranspose Cosh Elu "
        "Erf Gelu HardSigmoid HardSwish InstanceNormalization LeakyRelu Mish PRelu "
        "Selu Sinh Softplus Softsign Tan",
        "fihcu": "Resize",
        "flibhu": "NonZero",
        "liscu": "BitwiseAnd BitwiseNot BitwiseOr BitwiseXor",
    }.items()
    for kind in kinds.split()
}  # fmt: skip
# Ops whose result has the shape of their inputs broadcast.
_ELEMENTWISE = frozenset(
    "Abs Add And Clip Div Equal Exp Floor Greater Less Log Max Min Mod Mul Neg Not Or Pow "
    "Reciprocal Round Sigmoid Sign Sqrt Sub Where Xor".split()
)
_FEW = 1024  # elements of a constant that is compared with others
# Where a kernel lacks a type: those that hold all its values, nearest first.
_WIDER = {"b": "uil", "u": "ilf", "c": "ilf", "s": "ilf", "i": "l", "h": "f"}


class Network:
    """An ONNX graph being built.

    Args:
        opset: version of the operator set.

    Attributes:
        nodes: in order.
        inputs: in order.
        path: module path of the call under way; nodes are named after it.
        source: its line.
        kept: what handlers made once for several calls.
    """

    def __init__(self, opset: int = 20) -> None:
        self.opset, self.path, self.source = opset, "", ""
        self.nodes: list[ir.Node] = []
        self.inputs: list[ir.Value] = []
        self.kept: dict[Any, ir.Value] = {}
        self._numbers: dict[Any, ir.Value] = {}
        self._taken: dict[str, int] = {}

    def name(self, wish: str) -> str:
        """A name that nothing else has."""
        count = self._taken[wish] = self._taken.get(wish, -1) + 1
        return wish if not count else self.name(f"{wish}_{count}")

    def input(self, name: str, dtype: torch.dtype, shape: Sequence[int]) -> ir.Value:
        """One more input."""
        made = ir.Value(name=self.name(name), type=tensor_type(dtype), shape=ir.Shape(shape))
        self.inputs.append(made)
        return made

    def weight(self, name: str, tensor: torch.Tensor) -> ir.Value:
        """A tensor that goes into the file, without a copy."""
        element_type(tensor.dtype)
        made = tensor_adapters.TorchTensor(tensor.detach(), name=self.name(name))
        return self._stored(made, tensor.dtype, tensor.shape)

    def constant(self, part: Any, dtype: torch.dtype = torch.int64) -> ir.Value:
        """A number, or a list of numbers; equal ones are one."""
        tensor = torch.as_tensor(part, dtype=dtype).contiguous()
        name = "numbers" if tensor.ndim else "number"
        if tensor.numel() > _FEW:
            return self.weight(name, tensor)
        key = tuple(tensor.shape), dtype, tensor.numpy().tobytes()
        if key not in self._numbers:
            self._numbers[key] = self.weight(name, tensor)
        return self._numbers[key]

    def _stored(self, tensor: Any, dtype: torch.dtype, shape: Sequence[int]) -> ir.Value:
        return ir.Value(
            name=tensor.name, type=tensor_type(dtype), shape=ir.Shape(shape), const_value=tensor
        )

    def cast(self, value: ir.Value, dtype: torch.dtype) -> ir.Value:
        """The value in another dtype; itself if it has it."""
        if dtype_of(value) == dtype:
            return value
        if value.const_value is not None and value.shape is not None and not value.shape:
            return self.constant(value.const_value.numpy().item(), dtype)
        made = self._node("Cast", [value], 1, dtype, "", {"to": element_type(dtype)})[0]
        made.shape = value.shape
        return made

    def add(
        self, kind: str, *inputs: Any, dtype: torch.dtype | None = None, **attributes: Any
    ) -> ir.Value:
        """A node of one output; see :meth:`many`."""
        return self.many(kind, 1, *inputs, dtype=dtype, **attributes)[0]

    def many(
        self,
        kind: str,
        outputs: int,
        *inputs: Any,
        dtype: torch.dtype | None = None,
        domain: str = "",
        **attributes: Any,
    ) -> list[ir.Value]:
        """A node.

        Args:
            kind: its ONNX op.
            outputs: how many.
            inputs: values; a number is a constant of the first value's dtype, a list one of int64.
            dtype: of the outputs; without, that of the first input.
            domain: of the op.
            attributes: of the op; None is left out.

        Raises:
            Unsupported: onnxruntime has no kernel for that dtype, nor one that is as exact.
        """
        ruling = inputs[1:] if kind == "Where" else inputs
        main = next(v for v in ruling if isinstance(v, ir.Value))
        own = dtype_of(main)
        work = own if domain else kernel_dtype(kind, own)
        given: list[ir.Value | None] = []
        for place, value in enumerate(inputs):
            steers = kind == "Where" and not place
            if isinstance(value, (list, tuple)):
                value = self.constant(list(value))
            elif isinstance(value, (bool, int, float)):
                value = self.constant(value, work)
            elif value is not None and work != own and dtype_of(value) == own and not steers:
                value = self.cast(value, work)
            given.append(value)
        while given[-1] is None:  # some of onnxruntime's fusions read what is said to be empty
            given.pop()
        result, inner = (own, work) if dtype is None else (dtype, dtype)
        attributes = {name: part for name, part in attributes.items() if part is not None}
        made = self._node(kind, given, outputs, inner, domain, attributes)
        shapes = [value.shape.numpy() for value in given if value is not None and value.shape]
        if kind in _ELEMENTWISE and all(v is None or v.shape is not None for v in given):
            made[0].shape = ir.Shape(broadcast(*shapes))
        return [self.cast(value, result) for value in made]

    def _node(
        self,
        kind: str,
        inputs: list[ir.Value | None],
        outputs: int,
        dtype: torch.dtype,
        domain: str,
        attributes: dict[str, Any],
    ) -> list[ir.Value]:
        name = self.name(f"{self.path}/{kind}" if self.path else kind)
        made = [
            ir.Value(name=self.name(f"{name}:{i}" if i else f"{name}:"), type=tensor_type(dtype))
            for i in range(outputs)
        ]
        kept = ir.convenience.convert_attributes(attributes)
        node = ir.Node(domain, kind, inputs, kept, outputs=made, name=name)
        node.metadata_props["flexir.path"] = self.path
        node.metadata_props["flexir.source"] = self.source
        self.nodes.append(node)
        return made

    def model(self, name: str, outputs: dict[str, ir.Value]) -> ir.Model:
        """The whole, with what its outputs need and no more.

        Args:
            name: of the graph.
            outputs: name -> value.
        """
        results, taken = [], {id(value) for value in self.inputs}
        for wish, value in outputs.items():
            if id(value) in taken or value.producer() is None:
                value = self.add("Identity", value)
                value.shape = outputs[wish].shape
            taken.add(id(value))
            results.append(value)
        nodes, alive = [], {id(value) for value in results}
        for node in reversed(self.nodes):
            if any(id(value) in alive for value in node.outputs):
                nodes.append(node)
                alive.update(id(value) for value in node.inputs)
        nodes.reverse()
        read = {id(v): v for node in nodes for v in node.inputs if v is not None}
        weights = [v for v in read.values() if v.const_value is not None and v.producer() is None]
        for wish, value in zip(outputs, results):
            value.name = self.name(wish)
        versions = {"": self.opset, **{n.domain: 1 for n in nodes if n.domain}}
        graph = ir.Graph(
            self.inputs, results, nodes=nodes, initializers=weights, opset_imports=versions,
            name=name,
        )  # fmt: skip
        return ir.Model(graph, ir_version=10 if self.opset < 23 else 11, producer_name="flexir")


def tensor_type(dtype: torch.dtype) -> ir.TensorType:
    """ONNX's type of a tensor."""
    return ir.TensorType(element_type(dtype))


def element_type(dtype: torch.dtype) -> ir.DataType:
    """ONNX's name of a dtype.

    Raises:
        Unsupported: it has none that onnxruntime computes in.
    """
    if dtype not in DTYPES:
        raise Unsupported(f"ONNX tensors of {dtype} are not computed with")
    return DTYPES[dtype]


def broadcast(*shapes: Sequence[int]) -> list[int]:
    """The shape in which tensors of these shapes meet."""
    return list(torch.broadcast_shapes(*shapes))  # type: ignore[no-untyped-call]


def dtype_of(value: Any) -> torch.dtype:
    """The dtype of a value."""
    if value.dtype is None:
        raise Error(f"{value.name!r} has no dtype")
    return TORCH[value.dtype]


def kernel_dtype(kind: str, dtype: torch.dtype) -> torch.dtype:
    """The dtype in which an op computes what it would in ``dtype``.

    Raises:
        Unsupported: there is none.
    """
    letter = next(name for name, known in _LETTERS.items() if known is dtype)
    taken = _KERNELS.get(kind)
    if taken is None or letter in taken:
        return dtype
    for wider in _WIDER.get(letter, ""):
        if wider in taken:
            return _LETTERS[wider]
    raise Unsupported(f"onnxruntime has no {kind} of {dtype}")
