"""What a graph is made of: TensorType, Value, Node, and what a call does besides.

The grammar stands in :mod:`flexir.graph`. Identity decides equality of Values and Nodes. Nothing
here runs a model or calls torch beyond reading dtypes.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch

from . import tree
from .source import Source

_SHORT = {
    torch.float32: "f32", torch.float64: "f64", torch.float16: "f16", torch.bfloat16: "bf16",
    torch.int64: "i64", torch.int32: "i32", torch.int16: "i16", torch.int8: "i8",
    torch.uint8: "u8", torch.bool: "bool", torch.complex64: "c64", torch.complex128: "c128",
}  # fmt: skip


class Dim(int):
    """A size that varies from call to call: an int, as recorded first, that prints as its name.

    Attributes:
        name: a letter, or what the user called it; sizes of one name were equal in all examples.
    """

    name: str

    def __new__(cls, recorded: int, name: str) -> Dim:
        made = super().__new__(cls, recorded)
        made.name = name
        return made

    def __repr__(self) -> str:
        return self.name

    __str__ = __repr__

    def __reduce__(self) -> Any:
        return Dim, (int(self), self.name)


class TensorType(NamedTuple):
    """What is known of a tensor without its elements.

    Attributes:
        dtype: of its elements.
        shape: its sizes; a :class:`Dim` where it varies from call to call, -1 where the parts of
            a nested tensor differ.
        device: where it lies.
    """

    dtype: torch.dtype
    shape: tuple[int, ...]
    device: torch.device

    def __str__(self) -> str:
        short = _SHORT.get(self.dtype) or str(self.dtype).removeprefix("torch.")
        where = "" if self.device.type == "cpu" else f"@{self.device}"
        return f"{short}[{','.join(map(str, self.shape))}]{where}"

    @property
    def sizes(self) -> str:
        """The shape as logs and INPUT words have it, as recorded: ``1x3x224x224``, ``scalar``."""
        return "x".join(str(int(n)) for n in self.shape) or "scalar"

    @property
    def is_live(self) -> bool:
        """Whether any size varies from call to call."""
        return any(n.__class__ is Dim for n in self.shape)

    def resized(self, shape: tuple[int, ...]) -> TensorType:
        """The same with other sizes; a number, which has none, as it is."""
        return self._replace(shape=shape)

    def takes(self, shape: tuple[int, ...], dtype: torch.dtype) -> bool:
        """Whether a tensor of this shape and dtype can stand here."""
        return (
            dtype == self.dtype
            and len(shape) == len(self.shape)
            and all(n == m or n.__class__ is Dim for n, m in zip(self.shape, shape))
        )


_CPU = torch.device("cpu")


class NumberType(TensorType):
    """The type of a Value that is a number: a size, or what was computed from sizes.

    Where a tensor's type is asked for, it answers as a tensor without dimensions would.

    Attributes:
        kind: ``int`` or ``float``.
        recorded: what it was in the first run.
    """

    kind: type
    recorded: Any

    def __new__(cls, kind: type, recorded: Any) -> NumberType:
        dtype = torch.int64 if kind is int else torch.float64
        made = super().__new__(cls, dtype, (), _CPU)
        made.kind, made.recorded = kind, recorded
        return made

    def resized(self, shape: tuple[int, ...]) -> TensorType:
        return self

    def __str__(self) -> str:
        return self.kind.__name__

    __repr__ = __str__


class ListType(TensorType):
    """The type of a Value that is a list of tensors or numbers, of a length that varies.

    Where a tensor's type is asked for, it answers as its elements stacked along dimension 0 would.

    Attributes:
        element: the type of each.
    """

    element: TensorType

    def __new__(cls, length: int, element: TensorType) -> ListType:
        made = super().__new__(cls, element.dtype, (length, *element.shape), element.device)
        made.element = element
        return made

    def __str__(self) -> str:
        return f"list[{self.shape[0]}] of {self.element}"

    __repr__ = __str__


class Value:
    """One immutable tensor of the graph, a number, or a list of either.

    Attributes:
        name: unique in its graph; the state_dict key for weights, a number for activations.
        type: dtype, shape and device; a :class:`NumberType` or a :class:`ListType` for what is no
            tensor.
        names: all names of a constant; more than one when a weight is tied.
    """

    __slots__ = ("_producer", "name", "names", "type")

    def __init__(self, name: str, type: TensorType, producer: Node | None = None) -> None:
        self.name, self.type = name, type
        # Weak, so that a graph is a tree of objects and dies when it is let go of.
        self._producer = None if producer is None else weakref.ref(producer)
        self.names: tuple[str, ...] = ()

    @property
    def is_number(self) -> bool:
        """Whether it is an int or a float and no tensor."""
        return self.type.__class__ is NumberType

    @property
    def is_list(self) -> bool:
        """Whether it is a list, of tensors or of numbers."""
        return self.type.__class__ is ListType

    @property
    def is_list_of_numbers(self) -> bool:
        """Whether it is a list of numbers."""
        return isinstance(self.type, ListType) and self.type.element.__class__ is NumberType

    @property
    def producer(self) -> Node | None:
        """The Node that makes this Value, while its graph lives; None for inputs and constants."""
        return None if self._producer is None else self._producer()

    @producer.setter
    def producer(self, node: Node | None) -> None:
        self._producer = None if node is None else weakref.ref(node)

    def __str__(self) -> str:
        return show_number(self) if self.is_number else f"%{self.name}"

    def __repr__(self) -> str:
        return f"%{self.name}: {self.type}"


@dataclass(frozen=True, slots=True, eq=False)
class Switches:
    """The switches of torch that decide what a call means; restored around it on replay.

    Attributes:
        grad: whether grad mode was on.
        inference: whether inference mode was on.
        default_dtype: what ``torch.get_default_dtype()`` said.
        autocast: (device type, dtype, cache enabled) of every enabled autocast region.
    """

    grad: bool = False
    inference: bool = False
    default_dtype: torch.dtype = torch.float32
    autocast: tuple[tuple[str, torch.dtype, bool], ...] = ()


Escape = Literal["branch", "value", "memory", "about", "text", "error"]
_NO_WRITES: Mapping[str, Any] = {}


class Effects(NamedTuple):
    """What a call does beyond returning values; immutable, many nodes share one.

    Attributes:
        writes: argument name -> template of the new Values of the tensors written there.
        switches: those it ran under.
        same: the result is the very tensor passed as this argument; the call changed nothing.
        escape: a value left torch for Python: ``"branch"`` (decided a bool), ``"value"``,
            ``"memory"`` (shared with NumPy and the like), ``"about"`` (how a tensor lies in memory
            or is differentiated, which other inputs may answer otherwise), ``"text"`` (was
            only printed) or ``"error"`` (it raised, and the model went on).
        random: it draws from a random generator.
        generator: state the generator must be set to before the call, where the recorded order
            of draws alone does not lead there.
        goes_on: that state is the one the run began with; a next call goes on from where this run
            left the generator instead.
        memory: ``"view"`` if the result must lie in memory of an argument, ``"copy"`` if not.
    """

    writes: Mapping[str, Any] = _NO_WRITES
    switches: Switches | None = None
    same: str | None = None
    escape: Escape | None = None
    random: bool = False
    generator: torch.Tensor | None = None
    goes_on: bool = False
    memory: str | None = None

    # By identity: a generator's state is a tensor, which has no truth.
    def __eq__(self, other: object) -> bool:
        return self is other

    def __ne__(self, other: object) -> bool:
        return self is not other

    def __hash__(self) -> int:
        return id(self)


NO_EFFECTS = Effects()
_BLOCKS = ("if", "loop")  # what has blocks computes whatever they do


class Node:
    """One call, of a torch function or (with a body) of a module.

    Attributes:
        op: canonical name; the class name for a module call.
        target: the callable that was called, or the module.
        signature: turns ``args`` back into a call of ``target``; None for a module.
        args: argument name -> template over Values.
        result: template of what the call returned.
        outputs: the Values this node defines: those in ``result``, then those in ``writes``.
        body: the nodes inside a module call; None for a function.
        path: path of the innermost module the call stands in (a module's own path).
        call: how many times the module at ``path`` had been entered before, from 0.
        source: the line of the user's code.
        effects: see :class:`Effects`.
    """

    __slots__ = (
        "__weakref__", "_meta", "args", "body", "call", "effects", "op", "outputs", "path",
        "result", "signature", "source", "target",
    )  # fmt: skip

    def __init__(
        self,
        op: str,
        target: Any,
        args: dict[str, Any],
        signature: Any = None,
        body: list[Node] | None = None,
        path: str = "",
        call: int = 0,
        source: Source | None = None,
    ) -> None:
        self.op, self.target, self.args, self.signature = op, target, args, signature
        self.body, self.path, self.call, self.source = body, path, call, source
        self.result: Any = None
        self.outputs: tuple[Value, ...] = ()
        self.effects = NO_EFFECTS
        self._meta: dict[str, Any] | None = None

    @property
    def inputs(self) -> list[Value]:
        """The Values among the arguments, in order, repetitions included."""
        found = []
        for part in self.args.values():
            if part.__class__ is Value:
                found.append(part)
            elif not tree.is_literal(part):
                found.extend(tree.leaves(part, Value))
        return found

    @property
    def returned(self) -> list[Value]:
        """The Values in ``result``, in order, each once."""
        return list(dict.fromkeys(tree.leaves(self.result, Value)))

    @property
    def makes_number(self) -> bool:
        """Whether the call only computes numbers from sizes and numbers."""
        if self.body is not None or not self.outputs or self.op in _BLOCKS:
            return False
        return all(v.is_number for v in self.outputs)

    @property
    def where(self) -> str:
        """Module path and source line, for messages."""
        return "  ".join(str(part) for part in (self.path, self.source) if part)

    @property
    def failure(self) -> str:
        """Of a call that raised, ``"raises RuntimeError"``; else nothing."""
        return f"raises {self.result}" if self.effects.escape == "error" else ""

    @property
    def meta(self) -> dict[str, Any]:
        """Notes of your own. Passes and edits keep them with the node; saving does not."""
        if self._meta is None:
            self._meta = {}
        return self._meta

    def text(self, *, defaults: bool = False) -> str:
        """The printed call, types first.

        Args:
            defaults: print arguments that have torch's default, too.
        """
        args = ", ".join(
            f"{'' if i == 0 and isinstance(v, Value) else name + '='}{show_part(v)}"
            for i, (name, v) in enumerate(self.args.items())
            if defaults or self.signature is None or not self.signature.leaves_out(name, v)
        )
        left = ", ".join(map(repr, self.outputs))
        text = f"{left} = {self.op}({args})" if left else f"{self.op}({args})"
        return f"{text} {self.failure}" if self.failure else text

    def __str__(self) -> str:
        return self.text()

    __repr__ = __str__


def show_part(part: Any) -> str:
    """An argument as a printed call has it."""
    return tree.show(part, Value)


# Signs of the calls on numbers that are written with one, and how tight it binds.
_SIGNS = {
    "add": (" + ", 1), "sub": (" - ", 1), "mul": ("*", 2), "div": ("/", 2),
    "floor_divide": ("//", 2), "remainder": ("%", 2), "neg": ("-", 3), "pow": ("**", 4),
}  # fmt: skip
_ATOM = 9  # of what needs no brackets: above every sign


def show_number(part: Any) -> str:
    """A number as an expression over sizes: ``4*(H//2)``."""
    return _expression(part)[0]


def _expression(part: Any) -> tuple[str, int]:
    """A number as it reads in code, and how tight its last sign binds."""
    if part.__class__ is not Value:
        return str(part), 3 if isinstance(part, (int, float)) and part < 0 else _ATOM
    node = part.producer
    if node is None or node.op in _BLOCKS:
        named = part.is_number and not part.name.isdecimal()
        return part.name if named else f"%{part.name}", _ATOM
    args = [given for given in node.args.values() if given is not None]
    if node.op == "size" and isinstance(args[0], Value):
        shape, dim = args[0].type.shape, args[1]
        if isinstance(dim, int) and dim < len(shape) and shape[dim].__class__ is Dim:
            return str(shape[dim]), _ATOM
    if not part.is_number:
        return f"%{part.name}", _ATOM
    parts = [_expression(given) for given in args]
    if node.op not in _SIGNS or len(parts) > 2:
        return f"{node.op}({', '.join(text for text, _ in parts)})", _ATOM
    sign, binds = _SIGNS[node.op]
    if len(parts) == 1:
        return (f"{sign}({parts[0][0]})" if parts[0][1] < binds else sign + parts[0][0]), binds
    left, right = parts
    first = f"({left[0]})" if left[1] < binds else left[0]
    second = f"({right[0]})" if right[1] <= binds else right[0]
    return first + sign + second, binds
