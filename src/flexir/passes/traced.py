"""One new call from code-like arguments: its types are told by running it on meta tensors.

Owns the step from ``f(value, 2)`` to a Node. Where it stands and what reads it is the edit's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from ..calls.binding import bind
from ..calls.schemas import op_of
from ..errors import GraphError
from ..graph import tree
from ..graph.nodes import Dim, Effects, Node, NumberType, TensorType, Value

_STEP = 7  # live sizes are changed by multiples of this, to see which results change with them


class _Arguments:
    """The arguments of a call with meta tensors for Values."""

    def __init__(self, args: Sequence[Any], kwargs: dict[str, Any], other: dict[str, int]) -> None:
        self.values: dict[int, Value] = {}
        self.other = other  # name of a live size -> what is added to it
        self.alive: list[torch.Tensor] = []  # so that ids mean something
        self.args, self.kwargs = tree.substitute((tuple(args), kwargs), Value, self._stand_in)

    def _stand_in(self, value: Value) -> Any:
        if isinstance(value.type, NumberType):
            return value.type.recorded
        shape = [
            int(n) + self.other.get(n.name, 0) if isinstance(n, Dim) else n
            for n in value.type.shape
        ]
        made = torch.empty(shape, dtype=value.type.dtype, device="meta")
        self.alive.append(made)
        self.values[id(made)] = value
        return made

    def run(self, function: Callable[..., Any]) -> Any:
        with torch.no_grad():
            return function(*self.args, **self.kwargs)


def traced_call(
    function: Callable[..., Any],
    args: Sequence[Any],
    kwargs: dict[str, Any],
    like: Node,
    name: Callable[[str], str],
) -> Node:
    """A new call that stands where ``like`` stands.

    Args:
        function: what is called.
        args: by position, with Values for tensors.
        kwargs: by name.
        like: gives module path, source line and torch's switches.
        name: makes a name unique.

    Raises:
        GraphError: the function refuses arguments of these types.
    """
    read = list(tree.leaves((tuple(args), kwargs), Value))
    device = next((v.type.device for v in read if not v.is_number), None)
    given = _Arguments(args, kwargs, {})
    try:
        made = given.run(function)
    except Exception as error:
        raise GraphError(f"{op_of(function)} refuses these arguments: {error}") from error
    signature, named = bind(function, given.args, given.kwargs)
    values = given.values
    parts = {
        key: tree.template(part, lambda t: values.get(id(t), t)) for key, part in named.items()
    }
    node = Node(
        signature.op, function, parts, signature=signature,
        path=like.path, call=like.call, source=like.source,
    )  # fmt: skip
    shapes = iter(_shapes(function, args, kwargs, read, made, name))

    def output(tensor: torch.Tensor) -> Value:
        type = TensorType(tensor.dtype, next(shapes), device or tensor.device)
        return Value(name(signature.op), type, node)

    node.result = tree.template(made, output)
    node.outputs = tuple(node.returned)
    node.effects = Effects(switches=like.effects.switches)
    return node


def _shapes(
    function: Callable[..., Any],
    args: Sequence[Any],
    kwargs: dict[str, Any],
    read: Sequence[Value],
    made: Any,
    name: Callable[[str], str],
) -> list[tuple[int, ...]]:
    """The shapes of what a call made; a size is live if it changes when live sizes of inputs do."""
    shapes = [tuple(t.shape) for t in tree.tensors_in(made)]
    dims = {n.name: n for v in read for n in v.type.shape if isinstance(n, Dim)}
    if not dims:
        return shapes
    other = {key: _STEP * (place + 1) for place, key in enumerate(dims)}
    try:
        again = tree.tensors_in(_Arguments(args, kwargs, other).run(function))
    except Exception as error:
        raise GraphError(
            f"{op_of(function)} takes the recorded sizes of these arguments, but not others: "
            f"{error}\nFix them first: graph.at(inputs) is the graph of one size."
        ) from error

    def live(size: int, changed: int) -> int:
        if size == changed:
            return size
        for key, dim in dims.items():
            if size == dim and changed == dim + other[key]:
                return dim
        return Dim(size, name("size"))

    return [
        tuple(map(live, shape, tensor.shape)) for shape, tensor in zip(shapes, again, strict=True)
    ]
