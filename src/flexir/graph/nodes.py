"""What a graph is made of: TensorType, Value, Node, and what a call does besides.

The grammar stands in :mod:`flexir.graph`. Identity decides equality of Values and Nodes. Nothing
here runs a model or calls torch beyond reading dtypes.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch

from . import tree
from .source import Source

_SHORT = {
    torch.float32: "f32", torch.float64: "f64", torch.float16: "f16", torch.bfloat16: "bf16",
    torch.int64: "i64", torch.int32: "i32", torch.int16: "i16", torch.int8: "i8",
    torch.uint8: "u8", torch.bool: "bool", torch.complex64: "c64", torch.complex128: "c128",
}  # fmt: skip


class TensorType(NamedTuple):
    """What is known of a tensor without its elements; a size is -1 where a nested one varies."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    device: torch.device

    def __str__(self) -> str:
        short = _SHORT.get(self.dtype) or str(self.dtype).removeprefix("torch.")
        where = "" if self.device.type == "cpu" else f"@{self.device}"
        return f"{short}[{','.join(map(str, self.shape))}]{where}"

    @property
    def sizes(self) -> str:
        """The shape as pictures, logs and INPUT words have it: ``1x3x224x224``, ``scalar``."""
        return "x".join(map(str, self.shape)) or "scalar"


class Value:
    """One immutable tensor of the graph.

    Attributes:
        name: unique in its graph; the state_dict key for weights, a number for activations.
        type: dtype, shape and device.
        names: all names of a constant; more than one when a weight is tied.
    """

    __slots__ = ("_producer", "name", "names", "type")

    def __init__(self, name: str, type: TensorType, producer: Node | None = None) -> None:
        self.name, self.type = name, type
        # Weak, so that a graph is a tree of objects and dies when it is let go of.
        self._producer = None if producer is None else weakref.ref(producer)
        self.names: tuple[str, ...] = ()

    @property
    def producer(self) -> Node | None:
        """The Node that makes this Value, while its graph lives; None for inputs and constants."""
        return None if self._producer is None else self._producer()

    @producer.setter
    def producer(self, node: Node | None) -> None:
        self._producer = None if node is None else weakref.ref(node)

    def __str__(self) -> str:
        return f"%{self.name}"

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


@dataclass(slots=True, eq=False)
class Effects:
    """What a call does beyond returning values; never changed, many nodes share one.

    Attributes:
        writes: argument name -> template of the new Values of the tensors written there.
        switches: those it ran under.
        same: the result is the very tensor passed as this argument; the call changed nothing.
        escape: a value left torch for Python: ``"branch"`` (decided a bool), ``"value"``,
            ``"memory"`` (shared with NumPy and the like), ``"about"`` (how a tensor lies in memory
            or is differentiated, which other inputs may answer otherwise) or ``"text"`` (was
            only printed).
        random: it draws from a random generator.
        generator: state the generator must be set to before the call, where the recorded order
            of draws alone does not lead there.
        goes_on: that state is the one the run began with; a next call goes on from where this run
            left the generator instead.
    """

    writes: dict[str, Any] = field(default_factory=dict)
    switches: Switches | None = None
    same: str | None = None
    escape: str | None = None
    random: bool = False
    generator: torch.Tensor | None = None
    goes_on: bool = False


NO_EFFECTS = Effects()


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
        "__weakref__", "args", "body", "call", "effects", "op", "outputs", "path", "result",
        "signature", "source", "target",
    )  # fmt: skip

    def __init__(
        self,
        op: str,
        target: Any,
        args: dict[str, Any],
        *,
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
    def where(self) -> str:
        """Module path and source line, for messages."""
        return "  ".join(str(part) for part in (self.path, self.source) if part)

    def __str__(self) -> str:
        args = ", ".join(
            f"{'' if i == 0 and isinstance(v, Value) else name + '='}{show_part(v)}"
            for i, (name, v) in enumerate(self.args.items())
        )
        left = ", ".join(map(repr, self.outputs))
        return f"{left} = {self.op}({args})" if left else f"{self.op}({args})"

    __repr__ = __str__


def show_part(part: Any) -> str:
    return tree.show(part, Value)
