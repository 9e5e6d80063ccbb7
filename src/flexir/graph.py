"""The intermediate representation: TensorType, Value, Node, Graph, and nothing else.

    Graph  ::= inputs, constants, nodes, outputs, mutations
    Node   ::= op(args) -> outputs                        a torch function call
             | op(args) -> outputs { Node* }              a module call, with its body
    args   ::= {name: template}       template: literals and Values in nested containers
    Value  ::= one immutable tensor: a graph input, a constant, or an output of one node

Every write of the original program has become a new Value, so a Value never changes. One name
space spans the whole graph: a body reads values made outside it, and a module's outputs *are*
the values its body made. Claiming a module means skipping its body; descending means running it.

Identity decides equality of Values and Nodes. This module never runs a model and never calls
torch beyond reading dtypes.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch

from . import structure
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
class State:
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
        state: the switches it ran under.
        same: the result is the very tensor passed as this argument; the call changed nothing.
        escape: a value left torch for Python: ``"branch"`` (decided a bool), ``"value"``,
            ``"memory"`` (shared with NumPy and the like) or ``"text"`` (was only printed).
        random: it draws from a random generator.
        generator: state the generator must be set to before the call, where the recorded order
            of draws alone does not lead there.
    """

    writes: dict[str, Any] = field(default_factory=dict)
    state: State | None = None
    same: str | None = None
    escape: str | None = None
    random: bool = False
    generator: torch.Tensor | None = None


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
            elif not structure.is_literal(part):
                found.extend(structure.leaves(part, Value))
        return found

    @property
    def returned(self) -> list[Value]:
        """The Values in ``result``, in order, each once."""
        return list(dict.fromkeys(structure.leaves(self.result, Value)))

    @property
    def where(self) -> str:
        """Module path and source line, for messages."""
        return "  ".join(str(part) for part in (self.path, self.source) if part)

    def __str__(self) -> str:
        args = ", ".join(
            f"{'' if i == 0 and isinstance(v, Value) else name + '='}{_show(v)}"
            for i, (name, v) in enumerate(self.args.items())
        )
        left = ", ".join(map(repr, self.outputs))
        return f"{left} = {self.op}({args})" if left else f"{self.op}({args})"

    __repr__ = __str__


def _show(part: Any) -> str:
    return structure.show(part, Value)


class Mutation(NamedTuple):
    """The final value of memory that existed before the run and was written during it.

    Attributes:
        name: of the input or constant that held the initial value.
        initial: that input or constant.
        final: its value after the run.
    """

    name: str
    initial: Value
    final: Value


class Origin(NamedTuple):
    """Where a constant came from.

    Attributes:
        kind: ``"parameter"``, ``"buffer"`` or ``"attribute"`` of a module, ``"default"`` of an
            argument, ``"global"`` (reached from a function's globals or closure), ``"cached"``
            (made before the run, kept where nobody looked), ``"python"`` (made of Python numbers
            by a legacy constructor), or ``"unseen"`` (made during the
            run by code no watcher could see; the graph holds it frozen).
        source: the line that first used it.
        escaped: lines where values left torch for Python before; an unseen constant may
            depend on them.
    """

    kind: str
    source: Source | None = None
    escaped: tuple[Source, ...] = ()


@dataclass(slots=True)
class Audit:
    """What the witness beneath the recording saw.

    Attributes:
        witnessed: whether it was on.
        fallback: number of nodes that only the witness saw (ATen level).
        problems: one line per thing the graph cannot vouch for; empty means nothing was lost.
    """

    witnessed: bool = True
    fallback: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def unaccounted(self) -> int:
        """How many things were seen to happen that no node accounts for."""
        return len(self.problems)

    def __str__(self) -> str:
        head = f"unaccounted: {self.unaccounted}"
        if self.fallback:
            head += f"  (ATen-level nodes: {self.fallback})"
        if not self.witnessed:
            head += "  (without witness)"
        return "\n  ".join([head, *self.problems])


@dataclass(eq=False, slots=True)
class Graph:
    """A captured model.

    Attributes:
        name: class name of the model.
        inputs: argument name -> template; the graph's own arguments.
        outputs: template of what the model returned.
        nodes: top-level nodes in order of execution.
        constants: Value -> tensor, for every weight and constant that is read.
        origins: Value -> where that constant came from.
        mutations: memory that existed before and was written.
        modules: path -> class of every module that was entered.
        audit: what the witness saw.
        layouts: input Value -> strides it had; a replay lays new inputs out alike.
        parameters: how ``graph(*args)`` binds positional arguments (names; ``*name``, ``**name``).
        status: of a loaded conversion: node -> (status, reason); see ``Result.status``.
        history: what passes changed, a line each.
        unknown: of a graph saved by a newer version: what this one does not know, kept for saving;
            by Node, by Value of a constant, or None for the graph itself.
    """

    name: str
    parameters: list[tuple[str, int]] = field(default_factory=list)
    inputs: dict[str, Any] = field(default_factory=dict)
    outputs: Any = None
    nodes: list[Node] = field(default_factory=list)
    constants: MutableMapping[Value, torch.Tensor] = field(default_factory=dict)
    origins: dict[Value, Origin] = field(default_factory=dict)
    mutations: list[Mutation] = field(default_factory=list)
    modules: dict[str, type] = field(default_factory=dict)
    audit: Audit = field(default_factory=Audit)
    layouts: dict[Value, tuple[int, ...]] = field(default_factory=dict)
    status: dict[Node, tuple[str, str]] = field(default_factory=dict)
    history: list[str] = field(default_factory=list)
    unknown: dict[Node | Value | None, bytes] = field(default_factory=dict)

    def walk(self) -> Iterator[Node]:
        """All nodes, module nodes before the nodes of their bodies."""
        stack: list[Iterator[Node]] = [iter(self.nodes)]
        while stack:
            for node in stack[-1]:
                yield node
                if node.body is not None:
                    stack.append(iter(node.body))
                    break
            else:
                stack.pop()

    def __iter__(self) -> Iterator[Node]:
        """The function calls in order of execution, module boundaries flattened away."""
        return (node for node in self.walk() if node.body is None)

    @property
    def input_values(self) -> list[Value]:
        """The Values of the graph's arguments, each once."""
        return list(dict.fromkeys(structure.leaves(self.inputs, Value)))

    @property
    def output_values(self) -> list[Value]:
        """The Values the model returned, in reading order, each once."""
        return list(dict.fromkeys(structure.leaves(self.outputs, Value)))

    @property
    def escapes(self) -> list[Node]:
        """Calls whose result left torch for Python; ``node.result`` is the value taken."""
        return [node for node in self if node.effects.escape]

    @property
    def guards(self) -> list[Node]:
        """The escapes that decided a branch."""
        return [node for node in self if node.effects.escape == "branch"]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Replay on new inputs; see :func:`flexir.replay`."""
        from .interpreter import replay

        return replay(self, args, kwargs)

    def save(self, path: str, **options: Any) -> None:
        """Save as a directory any language can read; see :func:`flexir.ir.save`."""
        from .ir import save

        save(self, path, **options)

    def draw(self, path: str, **options: Any) -> str:
        """Draw into a picture or a page; see :func:`flexir.draw.draw`."""
        from .draw import draw

        return draw(self, path, **options)

    def golden(self, path: str, args: Sequence[Any], **options: Any) -> None:
        """Write every value of a run on ``args`` to a folder; see :mod:`flexir.ir.values`."""
        from .ir.values import dump

        dump(self, path, args, **options)

    def check(self) -> Graph:
        """Raise GraphError at the first thing that breaks the grammar.

        Returns:
            the graph itself, so producers can end with ``return graph.check()``.
        """
        from .grammar import check

        check(self)
        return self

    def text(self, *, bodies: bool = True) -> str:
        """The printed graph, types first, source last.

        Args:
            bodies: print what is inside modules; False prints the top level only.
        """
        lines = [f"graph {self.name}({', '.join(map(repr, self.input_values))}):"]

        def visit(nodes: Sequence[Node], depth: int) -> None:
            for node in nodes:
                text = "    " * depth + str(node)
                where = f"   # {node.where}" if node.where else ""
                if node.body and bodies:
                    lines.append(text + ":" + where)
                    visit(node.body, depth + 1)
                else:
                    lines.append(text + where)

        visit(self.nodes, 1)
        lines.append(f"    return {_show(self.outputs)}")
        lines += [f"    # writes {m.name}: {m.final}" for m in self.mutations]
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        count = sum(1 for _ in self)
        return f"<Graph {self.name}: {count} calls, {len(self.constants)} constants>"
