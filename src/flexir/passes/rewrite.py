"""A rewrite of one call for tensors with slots: calls in its place, and what they give.

Owns how a number that varies becomes a tensor, and how empty slots are set to a value. Whether a
rewrite is right is found by running it, in :mod:`.padded`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch

from ..graph import tree
from ..graph.check import free_name
from ..graph.geometry import tensor_type
from ..graph.nodes import Node, TensorType, Value
from .slots import Filled, Shape, Slots, fitted
from .traced import traced_call


class NoRewrite(Exception):
    """The call cannot be rewritten so."""


class Draft:
    """What is written of the new graph so far, as far as a call can refer to it.

    Attributes:
        slots: what sizes depend on.
        shapes: tensor of the recorded graph -> its sizes.
        over: number of the recorded graph -> what it is at every position.
        env: Value of the recorded graph -> what stands for it.
        position: the input that says how many slots are filled.
        names: what is taken.
        constants: new constants.
        known: what was made for one call and serves others, too.
    """

    def __init__(self, slots: Slots, position: Value, names: set[str]) -> None:
        self.slots, self.position, self.names = slots, position, names
        self.shapes: dict[Value, Shape] = {}
        self.over: dict[Value, list[Any]] = {}
        self.env: dict[Value, Any] = {}
        self.constants: dict[Value, torch.Tensor] = {}
        self.known: dict[Any, Value] = {}

    def shape(self, value: Value) -> Shape:
        """The sizes of a tensor of the recorded graph."""
        return self.shapes.get(value) or value.type.shape

    def varies(self, part: Any) -> bool:
        """Whether a part of an argument is a number that depends on the position."""
        return part.__class__ is Value and part in self.over and len(set(self.over[part])) > 1


class Rewrite:
    """Calls in place of one.

    Attributes:
        nodes: the calls, in order.
        made: Value of the recorded call -> what stands for it.
        constants: new ones they read.
        known: what they make that may serve other calls.
    """

    def __init__(self, draft: Draft, node: Node) -> None:
        self.draft, self.node = draft, node
        self.nodes: list[Node] = []
        self.made: dict[Value, Value] = {}
        self.constants: dict[Value, torch.Tensor] = {}
        self.known: dict[Any, Value] = {}
        self._names: list[str] = []

    def look(self, value: Value) -> Any:
        """What stands for a Value of the recorded graph."""
        over = self.draft.over.get(value)
        if over is None:
            return self.draft.env.get(value, value)
        if len(set(over)) > 1:
            raise NoRewrite(f"{value} varies")
        return over[0]

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Value:
        """A new call of one result."""
        node = traced_call(function, args, kwargs, self.node, self._name)
        self.nodes.append(node)
        return node.outputs[0]

    def again(self, args: dict[str, Any], same: bool = True) -> None:
        """The recorded call on other arguments; ``same`` if what it gives may be one of them."""
        node, slots = self.node, self.draft.slots
        copy = Node(
            node.op, node.target, args, signature=node.signature,
            path=node.path, call=node.call, source=node.source,
        )  # fmt: skip
        for value in node.outputs:
            type = value.type
            if not value.is_number:
                type = TensorType(type.dtype, slots.static(self.draft.shape(value)), type.device)
            self.made[value] = Value(value.name, type, copy)

        def see(value: Value) -> Any:
            return self.made.get(value) or self.look(value)

        copy.result = tree.substitute(node.result, Value, see)
        copy.outputs = tuple(self.made.values())
        copy.effects = node.effects if same else node.effects._replace(same=None)
        if node.effects.writes:
            writes = tree.substitute(node.effects.writes, Value, see)
            copy.effects = copy.effects._replace(writes=writes)
        copy.meta.update(node.meta)
        self.nodes.append(copy)

    def gives(self, value: Value) -> None:
        """What stands for the one result of the recorded call."""
        self.made[self.node.outputs[0]] = value

    def constant(self, wish: str, tensor: torch.Tensor) -> Value:
        """A new constant."""
        key = (wish, tensor.dtype, tuple(tensor.flatten().tolist()), tuple(tensor.shape))
        return self._once(key, lambda: self._constant(wish, tensor))

    def number(self, value: Value) -> Value:
        """A number that varies, as a tensor without dimensions."""
        over, slots = self.draft.over[value], self.draft.slots
        found = fitted(over, slots.positions)
        if isinstance(found, Filled):
            return self.position(found.offset)
        exact = torch.tensor([over[0], *over])
        index = self._flat(self.position(0))
        table = self.constant("by_position", exact)
        return self._once(("number", tuple(over)), lambda: self.call(
            torch.reshape, self.call(torch.index_select, table, 0, index), ()))  # fmt: skip

    def position(self, offset: int) -> Value:
        """``position + offset``."""
        position = self.draft.position
        if not offset:
            return position
        return self._once(("position", offset), lambda: self.call(torch.add, position, offset))

    def positions(self, offset: int, count: int) -> Value:
        """The ``count`` positions from ``position + offset`` on."""
        if count == 1:
            return self._flat(self.position(offset))
        steps = self.constant("steps", self._range(count))
        key = ("positions", offset, count)
        return self._once(key, lambda: self.call(torch.add, steps, self.position(offset)))

    def only(self, value: Value, fill: Any) -> Value:
        """The twin of a recorded tensor with ``fill`` in its empty slots."""
        shape = self.draft.shape(value)
        made: Value = self.look(value)
        for dim, size in enumerate(shape):
            if isinstance(size, Filled):
                empty = self._empty(size, len(shape) - dim)
                make = functools.partial(self.call, torch.masked_fill, made, empty, fill)
                made = self._once((made, "only", dim, fill), make)
        return made

    def _empty(self, size: Filled, width: int) -> Value:
        """Which slots of a dimension are empty, as ``masked_fill`` takes it."""
        shape = (self.draft.slots.capacity(size), *[1] * (width - 1))
        slots = self.constant("slots", self._range(shape[0]).reshape(shape))
        key = ("empty", size, width)
        return self._once(key, lambda: self.call(torch.ge, slots, self.position(size.offset)))

    def _flat(self, value: Value) -> Value:
        return self._once(("flat", value), lambda: self.call(torch.reshape, value, (1,)))

    def _range(self, count: int) -> torch.Tensor:
        return torch.arange(count, device=self.draft.position.type.device)

    def _constant(self, wish: str, tensor: torch.Tensor) -> Value:
        value = Value(self._name(wish), tensor_type(tensor))
        value.names = (value.name,)
        self.constants[value] = tensor
        return value

    def _once(self, key: Any, make: Callable[[], Value]) -> Value:
        found = self.draft.known.get(key) or self.known.get(key)
        if found is None:
            found = self.known[key] = make()
        return found

    def _name(self, wish: str) -> str:
        self._names.append(free_name(wish, self.draft.names))
        return self._names[-1]

    def undo(self) -> None:
        """Drop this rewrite: its names are free again."""
        self.draft.names.difference_update(self._names)
