"""What the handlers build: ONNX nodes in order over typed values, and the weights they read.

It knows ONNX's words; of torch it knows dtypes alone. It never looks at a graph.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import onnx_ir as ir
import torch
from onnx_ir import tensor_adapters

from flexir import Error, TensorType, Unsupported

from .kernels import kernel_dtype
from .values import Arithmetic, Size, Tensor

DTYPES = {
    torch.float32: ir.DataType.FLOAT, torch.float64: ir.DataType.DOUBLE,
    torch.float16: ir.DataType.FLOAT16, torch.int64: ir.DataType.INT64,
    torch.int32: ir.DataType.INT32, torch.int16: ir.DataType.INT16,
    torch.int8: ir.DataType.INT8, torch.uint8: ir.DataType.UINT8, torch.bool: ir.DataType.BOOL,
}  # fmt: skip
_DENSE = (torch.Tensor, torch.nn.Parameter, torch.nn.Buffer)
TORCH = {made: dtype for dtype, made in DTYPES.items()}
# Ops whose result has the shape of their inputs broadcast.
_ELEMENTWISE = frozenset(
    "Abs Add And Clip Div Equal Exp Floor Greater Less Log Max Min Mod Mul Neg Not Or Pow "
    "Reciprocal Round Sigmoid Sign Sqrt Sub Where Xor".split()
)
_FEW = 1024  # elements of a constant that is compared with others
DEMANDS = "flexir: "  # how the name of a node begins that fails where the graph is not the model
STATES = "flexir.states"  # path of a state -> name of its input; their outputs come last, in order
WISHES = "flexir.outputs"  # what the outputs of a model stand for; an input may have that name


class Network:
    """An ONNX graph being built.

    Args:
        opset: version of the operator set.
        functions: paths or classes of modules that become functions of the file.

    Attributes:
        nodes: in order.
        inputs: in order.
        states: path -> what a call finds there, its recorded tensor, and what it leaves there.
        path: module path of the call under way; nodes are named after it.
        source: its line.
        kept: what handlers made once for several calls.
    """

    def __init__(self, opset: int = 20, functions: Sequence[str] = ()) -> None:
        self.opset, self.path, self.source = opset, "", ""
        self.functions = functions
        self.nodes: list[ir.Node] = []
        self.inputs: list[ir.Value] = []
        self.states: dict[str, tuple[Tensor, torch.Tensor, Tensor | None]] = {}
        self.kept: dict[Any, Any] = {}
        self._numbers: dict[Any, Tensor] = {}
        self._taken: dict[str, int] = {}

    def name(self, wish: str) -> str:
        """A name that nothing else has."""
        count = self._taken[wish] = self._taken.get(wish, -1) + 1
        return wish if not count else self.name(f"{wish}_{count}")

    def input(self, name: str, type: TensorType) -> Tensor:
        """One more input; its sizes that vary have names in the file."""
        shape = ir.Shape([n if n.__class__ is int else str(n) for n in type.shape])
        made = Tensor(self, name=self.name(name), type=tensor_type(type.dtype), shape=shape)
        made.number = getattr(type, "kind", None)
        self.inputs.append(made)
        return made

    def state(self, path: str, tensor: torch.Tensor, type: TensorType) -> Tensor:
        """An input for what an earlier call left; without it, a call begins with the tensor."""
        made = self.input(path, type)
        self.inputs.remove(made)
        self.states[path] = made, tensor.detach(), None
        return made

    def left(self, path: str, initial: Tensor, final: Tensor) -> None:
        """What a call leaves, for the next one to begin with."""
        known, tensor, _ = self.states[path]
        assert known is initial
        self.states[path] = known, tensor, final

    def once(self, key: Any, make: Callable[[], Tensor]) -> Tensor:
        """What was made for a key before, here or in what stands around; made now if it was not."""
        if key not in self.kept:
            self.kept[key] = make()
        made: Tensor = self.kept[key]
        return made

    def parameter(self, dtype: torch.dtype) -> Tensor:
        """What a block is given."""
        name = self.name(f"{self.path}/given" if self.path else "given")
        return Tensor(self, name=name, type=tensor_type(dtype), shape=ir.Shape([]))

    def demanded(self, value: Tensor, holds: Tensor, why: str) -> Tensor:
        """A value, where something holds; else the file fails in a node of that name."""
        place = self.cast(self.add("Not", holds), torch.int64)
        made = self.add("Gather", self.add("Unsqueeze", value, [0]), place, axis=0)
        made.shape = value.shape
        node = made.producer()
        assert node is not None
        node.name = self.name(f"{DEMANDS}{why}, at {self.source}")
        return made

    def number(self, value: Tensor, kind: type | None = None) -> Tensor:
        """A value without dimensions that stands for a Python number."""
        value.number = kind or (int if dtype_of(value) is torch.int64 else float)
        value.shape = ir.Shape([])
        return value

    def row(self, parts: Sequence[Any]) -> Tensor:
        """Whole numbers side by side, some of which may be known only when the file is run."""
        if not any(isinstance(part, Arithmetic) for part in parts):
            return self.constant(list(parts))
        key = ("row", *((id(n.of), n.dim) if isinstance(n, Size) else n if isinstance(n, int)
                        else str(n.name) for n in parts))  # fmt: skip
        rows: list[Any] = []
        for part in parts:
            if isinstance(part, Size):
                rows.append(part.row)
            elif isinstance(part, Arithmetic):
                rows.append(self.add("Reshape", self.cast(part.scalar, torch.int64), [1]))
            elif rows and isinstance(rows[-1], list):
                rows[-1].append(part)
            else:
                rows.append([part])
        made = [self.constant(r) if isinstance(r, list) else r for r in rows]
        if len(made) == 1:
            return made[0]
        whole: Tensor = self.once(key, lambda: self.add("Concat", *made, axis=0))
        return whole

    @contextlib.contextmanager
    def block(self) -> Iterator[list[ir.Node]]:
        """Where the nodes of a block are collected; what it makes is not seen outside."""
        nodes, kept, self.nodes, self.kept = self.nodes, self.kept, [], dict(self.kept)
        try:
            yield self.nodes
        finally:
            self.nodes, self.kept = nodes, kept

    def weight(self, name: str, tensor: torch.Tensor) -> Tensor:
        """A tensor that goes into the file, without a copy."""
        element_type(tensor.dtype)
        if tensor.layout is not torch.strided or type(tensor) not in _DENSE:
            raise Unsupported(f"it is a {type(tensor).__name__} of layout {tensor.layout}")
        made = tensor_adapters.TorchTensor(tensor.detach(), name=self.name(name))
        return self._stored(made, tensor.dtype, tensor.shape)

    def constant(self, part: Any, dtype: torch.dtype = torch.int64) -> Tensor:
        """A number, or a list of numbers; equal ones are one."""
        tensor = torch.as_tensor(part, dtype=dtype).contiguous()
        name = "numbers" if tensor.ndim else "number"
        if tensor.numel() > _FEW:
            return self.weight(name, tensor)
        key = tuple(tensor.shape), dtype, tensor.numpy().tobytes()
        if key not in self._numbers:
            self._numbers[key] = self.weight(name, tensor)
        return self._numbers[key]

    def _stored(self, tensor: Any, dtype: torch.dtype, shape: Sequence[int]) -> Tensor:
        return Tensor(
            self, name=tensor.name, type=tensor_type(dtype), shape=ir.Shape(shape),
            const_value=tensor,
        )  # fmt: skip

    def cast(self, value: Tensor, dtype: torch.dtype) -> Tensor:
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
    ) -> Tensor:
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
    ) -> list[Tensor]:
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
        tensors = [v for v in ruling if isinstance(v, ir.Value)]
        main = next((v for v in tensors if not value_is_number(v)), None) or tensors[0]
        own = dtype_of(main)
        work = own if domain else kernel_dtype(kind, own)
        given: list[ir.Value | None] = []
        for place, value in enumerate(inputs):
            steers = kind == "Where" and not place
            if isinstance(value, (list, tuple)):
                value = self.row(value)
            elif kind in _ELEMENTWISE and value_is_number(value) and not steers:
                value = self.cast(value.scalar, work)
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
        if kind in _ELEMENTWISE and all(v is None or v.shape is not None for v in given):
            made[0].shape = _broadcast([v.shape for v in given if v is not None])
        return [self.cast(value, result) for value in made]

    def _node(
        self,
        kind: str,
        inputs: list[ir.Value | None],
        outputs: int,
        dtype: torch.dtype,
        domain: str,
        attributes: dict[str, Any],
    ) -> list[Tensor]:
        name = self.name(f"{self.path}/{kind}" if self.path else kind)
        made = [
            Tensor(
                self, name=self.name(f"{name}:{i}" if i else f"{name}:"), type=tensor_type(dtype)
            )
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
        kept = {p: (first, last) for p, (first, _, last) in self.states.items() if last is not None}
        found = {**outputs, **{f"{path}.next": last for path, (_, last) in kept.items()}}
        inputs = [*self.inputs, *(first for first, _, _ in self.states.values())]
        results, taken = [], {id(value) for value in inputs}
        for value in found.values():
            if id(value) in taken or value.producer() is None:
                shape, value = value.shape, self.add("Identity", value)
                value.shape = shape
            taken.add(id(value))
            results.append(value)
        nodes, read = live(self.nodes, results)
        for value, tensor, _ in self.states.values():  # only now: no handler may look into it
            value.const_value = tensor_adapters.TorchTensor(tensor, name=value.name)
        weights = [v for v in read if v.const_value is not None and v.producer() is None]
        weights += [one for one, _, _ in self.states.values() if one not in weights]
        for wish, value in zip(found, results):
            value.name = self.name(wish)
        versions = {"": self.opset, **{n.domain: 1 for n in nodes if n.domain}}
        graph = ir.Graph(
            inputs, results, nodes=nodes, initializers=weights, opset_imports=versions,
            name=name,
        )  # fmt: skip
        version = 10 if self.opset < 23 else 11  # of the file format; 11 came with opset 23
        made = ir.Model(graph, ir_version=version, producer_name="flexir")
        made.meta[WISHES] = tuple(outputs)
        made.meta[STATES] = {path: str(first.name) for path, (first, _) in kept.items()}
        return made


def value_is_number(value: Any) -> bool:
    """Whether it stands for a number that is known when the file is run."""
    return isinstance(value, Size) or (isinstance(value, Tensor) and value.number is not None)


def live(
    nodes: Sequence[ir.Node], results: Sequence[ir.Value]
) -> tuple[list[ir.Node], list[ir.Value]]:
    """The nodes that results need, and all that these read, in blocks too."""
    alive = {id(value) for value in results}
    kept: list[ir.Node] = []
    read: dict[int, ir.Value] = {}
    for node in reversed(nodes):
        if any(id(value) in alive for value in node.outputs):
            kept.append(node)
            inputs = [v for v in node.inputs if v is not None]
            for attribute in node.attributes.values():
                if attribute.type == ir.AttributeType.GRAPH:
                    inputs += live(list(attribute.value), attribute.value.outputs)[1]
            alive.update(map(id, inputs))
            read.update((id(v), v) for v in inputs)
    return kept[::-1], list(read.values())


def _broadcast(shapes: list[Any]) -> ir.Shape:
    """The shape of values brought together; a size that is not known stays so."""
    made: list[Any] = []
    for place in range(1, max((len(shape) for shape in shapes), default=0) + 1):
        sizes = [shape[-place] for shape in shapes if len(shape) >= place and shape[-place] != 1]
        fixed = [n for n in sizes if isinstance(n, int)]
        made.append(fixed[0] if fixed else None if sizes else 1)
    return ir.Shape(made[::-1])


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
