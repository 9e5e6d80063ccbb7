"""What a handler is given besides the arguments of its call: the Context; a Weight, a Placeholder.

Plain data over a graph; nothing here runs a handler.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import torch

from ..errors import Error, Unsupported
from ..graph.choice import Block
from ..graph.graph import Graph
from ..graph.nodes import Node, TensorType, Value
from .dtypes import array, promoted
from .folding import folded

if TYPE_CHECKING:
    from .target import Target

_LITERALS = (bool, int, float, complex, str, type(None), torch.dtype, torch.device, torch.layout,
             torch.memory_format, slice, type(...))  # fmt: skip


class _NamedTensor(NamedTuple):
    """The three things that a :class:`Weight` unpacks into."""

    name: str
    tensor: torch.Tensor
    names: tuple[str, ...]


class Weight(_NamedTensor):
    """A constant of the model; unpacks into name, tensor, names.

    Attributes:
        name: its state_dict key, or its path.
        tensor: what it holds.
        names: all its names; more than one if it is tied.
        state: path, where the model keeps it from call to call and leaves another tensor there:
            then this is only what the first call reads. Empty for what stays.
    """

    state: str

    def __new__(
        cls, name: str, tensor: torch.Tensor, names: tuple[str, ...], state: str = ""
    ) -> Weight:
        # Detached, so that it can become an array, which what requires grad cannot.
        made = super().__new__(cls, name, tensor.detach(), names)
        made.state = state
        return made


@dataclass(frozen=True, slots=True)
class Placeholder:
    """What flows on where nothing handled a call.

    Attributes:
        op: canonical name of the call.
        inputs: its tensor arguments, converted.
        type: dtype, shape and device of the output it stands for.
        reason: why it is a placeholder.
    """

    op: str
    inputs: tuple[Any, ...] = field(repr=False)
    type: TensorType
    reason: str


class OutputType(TensorType):
    """The type of a call's first output; called with an argument, it gives that one's type."""

    ask: Callable[[Any], TensorType]

    def __call__(self, argument: Any) -> TensorType:
        return self.ask(argument)


Out = TypeVar("Out")


@dataclass(frozen=True, slots=True)
class Context(Generic[Out]):
    """What a handler is given besides the arguments; ``Context[Builder]`` to a type checker.

    Attributes:
        out: the user's builder, as passed to ``convert(out=...)``.
        node: the call: ``node.op``, ``node.args``, ``node.outputs`` with types, ``node.path``,
            ``node.source``.
        graph: the whole graph.
        reason: for the placeholder handler: why.
        values: what stands for each Value so far.
        state: Value -> path, of the constants that are only what the first call reads.
        takes_state: whether the target has a handler for state, so that these are no weights.
        target: whose handlers these are.
        config: ``{"opset": 18}``: the target's, with what ``convert(config=...)`` chose.
        folded: what :meth:`constant` computed so far.
        bound: parameter of a block -> the Value outside that stands for it.
        block: what :meth:`convert` does.
    """

    out: Out
    node: Node
    graph: Graph
    reason: str = ""
    values: Mapping[Value, Any] = field(default_factory=dict, repr=False)
    state: Mapping[Value, str] = field(default_factory=dict, repr=False)
    takes_state: bool = False
    target: Target | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    folded: dict[Value, torch.Tensor] = field(default_factory=dict, repr=False)
    bound: Mapping[Value, Value] = field(default_factory=dict, repr=False)
    block: Callable[..., tuple[Any, ...]] | None = field(default=None, repr=False)

    def convert(self, block: Block, inputs: Sequence[Any]) -> tuple[Any, ...]:
        """Convert a block of this call, with the same handlers, here and now.

        The handler of ``if`` is given its ``condition``, ``inputs`` and the blocks ``then`` and
        ``otherwise``. What the handlers write to ``ctx.out`` for a block is written while this
        runs, so a builder that keeps it apart is told before and after.

        Args:
            block: of this call.
            inputs: what stands for each of ``block.parameters``, usually ``inputs`` as handed.

        Returns:
            what stands for each output of the block: made by a handler, or a number.

        Raises:
            HandlerError: there are more or fewer inputs than parameters.
        """
        if self.block is None:
            raise Error(f"nothing is being converted: {self.node.op} has no blocks here")
        return self.block(self.node, block, inputs)

    @property
    def module(self) -> torch.nn.Module | None:
        """The module called, if this is a module call."""
        return self.node.target if self.node.body is not None else None

    @property
    def type(self) -> OutputType:
        """Type of the first output: ``ctx.type.dtype``, ``ctx.type.shape``.

        ``ctx.type(argument)`` is the type of an argument; see :meth:`type_of`.
        """
        made = OutputType(*self.node.outputs[0].type)
        made.ask = self.type_of
        return made

    def type_of(self, argument: Any) -> TensorType:
        """Type of a tensor argument, as it was handed to the handler, or of a Value.

        Raises:
            Error: it stands for no tensor argument of this call, or for two of different types.
        """
        if isinstance(argument, Value):
            return argument.type
        inputs = self.node.inputs
        found = {v.type: v for v in inputs if self.values.get(v, v) is argument}
        if len(found) == 1:
            return next(iter(found))
        if found:
            both = " and ".join(map(str, found))
            raise Error(f"arguments of types {both} have one stand-in; ask for the type of "
                        "ctx.node.args[name]")  # fmt: skip
        raise Error(f"{argument!r} is no tensor argument of {self.node.op}")

    def weight(self, value: Any) -> Any:
        """The name and tensor of a constant argument; None stays None.

        Args:
            value: the argument as the handler got it, also where a constant handler made it.

        Raises:
            Unsupported: it is no constant, or one that changes from call to call while the target
                has a state handler.
        """
        if value is None or isinstance(value, Weight):
            return value
        found = self._outside(value)
        if self.takes_state and found is not None and found in self.state:
            raise Unsupported(
                f"{self.state[found]!r} is state, no weight: it changes from call to call. A "
                "constant handler sees it by weight.state"
            )
        if found is None or found not in self.graph.constants:
            given = found in self.graph.input_values
            what = "an input of the model" if given else "computed by the model"
            raise Unsupported(f"an argument that must be a weight is {what}")
        tensor, path = self.graph.constants[found], self.state.get(found, "")
        return Weight(found.name, tensor, found.names, path)

    def array(self, value: Any) -> Any:
        """A weight, or a tensor computed of constants alone, as NumPy; None stays None.

        It lies on the tensor's own memory, so it is not to be written. bfloat16 and float8 have the
        dtypes of ``ml_dtypes``.

        Raises:
            Unsupported: it depends on an input or on state, or has no elements (meta device).
        """
        if isinstance(value, Weight):
            return array(value.tensor)
        made = self.constant(value)
        return array(made) if isinstance(made, torch.Tensor) else made

    def constant(self, argument: Any) -> Any:
        """The number or tensor that an argument is, if it is the same in every call of the model.

        Numbers, words and None are what they are; of a list, each part. A tensor is computed with
        torch, of the model's constants, when first asked for.

        Args:
            argument: as the handler got it.

        Raises:
            Unsupported: it depends on an input, a random number or memory that the model writes.
        """
        found = self._outside(argument)
        if found is not None:
            if self.takes_state and found in self.state:
                raise Unsupported(f"{self.state[found]!r} is state, no constant")
            return folded(found, self.graph, self.folded)
        if isinstance(argument, (list, tuple)):
            made = [self.constant(part) for part in argument]
            return made if isinstance(argument, list) else tuple(made)
        if isinstance(argument, Weight):
            return argument.tensor
        if isinstance(argument, (*_LITERALS, torch.Tensor)):
            return argument
        raise Error(f"{argument!r} is no argument of {self.node.op}")

    def promoted(self, *arguments: Any) -> torch.dtype:
        """The dtype in which torch computes with these arguments: tensors as handed, or numbers.

        ``ctx.promoted(input, other)`` is float32 for f32[3] and 2, or f32[3] and f64[]. Where the
        call's result is of another dtype (``eq``, ``div`` of whole numbers), ``ctx.type.dtype`` has
        that.
        """
        numbers = (bool, int, float, complex)
        found = self._converted
        return promoted(
            a if type(a) in numbers and found(a) is None else self.type_of(a) for a in arguments
        )

    def dtype(self, what: Any) -> Any:
        """What the target calls a dtype: that of a tensor argument, of a type, or a dtype itself.

        Raises:
            Unsupported: the target's table (``Target(dtypes=...)``) lacks it.
        """
        found = what if isinstance(what, (torch.dtype, TensorType)) else self.type_of(what)
        found = found.dtype if isinstance(found, TensorType) else found
        table = None if self.target is None else self.target.words
        if self.target is None or table is None:
            return found
        if found not in table:
            name = str(found).removeprefix("torch.")
            raise Unsupported(f"{self.target.name} has no {name}")
        return table[found]

    def _outside(self, made: Any) -> Value | None:
        """Which Value an argument is; of a parameter of a block, what stands outside for it."""
        found = made if isinstance(made, Value) else self._converted(made)
        return None if found is None else self.bound.get(found, found)

    def _converted(self, made: Any) -> Value | None:
        """Which of the Values the call reads a handler or hook made this of."""
        read = [v for v in dict.fromkeys(self.node.inputs) if v in self.values]
        found = [v for v in read if self.values[v] is made]
        if len(found) > 1:
            names = " and ".join(v.name for v in found)
            raise Unsupported(f"one and the same thing was made of {names}: which is meant?")
        return found[0] if found else None
