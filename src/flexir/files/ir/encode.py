"""A Graph to its message: everything but where the weights are.

Nodes are written in order of execution, those inside a module or a block behind the call they
belong to. Nothing is written twice: what many calls mention stands in a table.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ...calls.schemas import signatures
from ...errors import Error
from ...graph.choice import blocks_of, bodies, is_loop
from ...graph.graph import Graph
from ...graph.nodes import Dim, ListType, Node, NumberType, TensorType, Value
from ...graph.source import Source
from . import functions
from .account import write_audit, write_live
from .data import TableWriter, class_name

_FIXED = frozenset({int})  # class of a size that does not vary
_class = type
_WORDS = frozenset({type(None), bool, int, float, str})


def encode(graph: Graph, message: Any, status: Mapping[Node, tuple[str, str]]) -> None:
    """Fill the message of a graph, whose ``constants`` are there already, one for each.

    Args:
        graph: the graph; its variants are messages of their own.
        message: the message.
        status: node -> (status, reason) of a conversion.

    Raises:
        Error: a type that cannot be stored.
    """
    _GraphWriter(graph, message, status).write()


class IndexTable(dict[Any, int]):
    """Things by their index; one that is new is written when its index is asked for."""

    def __init__(self, write: Callable[[Any], object]) -> None:
        self.write = write

    def __missing__(self, thing: Any) -> int:
        index = self[thing] = len(self)
        self.write(thing)
        return index


def _one_of(type: TensorType) -> TensorType:
    """The type of an element of a list; any other as it is."""
    return type.element if isinstance(type, ListType) else type


class _GraphWriter:
    """Fills the message of one graph.

    ``value(value)`` and ``string(text)`` are the index of a Value, of a text; ``source(source)`` is
    that of a source line + 1.
    """

    def __init__(self, graph: Graph, message: Any, status: Mapping[Node, tuple[str, str]]) -> None:
        self.graph, self.message, self.status = graph, message, status
        self.strings = IndexTable(message.strings.append)
        self.types = IndexTable(self._new_type)
        self.values = IndexTable(self._new_value)
        self.sources = IndexTable(self._new_source)
        self.sources[None] = 0  # so that the others are index + 1, as everybody refers to them
        self.states: dict[Any, int] = {}
        self.modules: dict[str, int] = {}
        self.value, self.string, self.source = (
            one.__getitem__ for one in (self.values, self.strings, self.sources)
        )
        self.data = TableWriter(message.data, self.value)

    def write(self) -> None:
        """Write everything but where the weights are."""
        graph, message = self.graph, self.message
        message.name = graph.name
        message.MergeFromString(graph.unknown.get(None, b""))
        self.string("")
        for value, entry in zip(graph.constants, message.constants):
            origin = graph.origins.get(value)
            entry.value = self.value(value)
            if value in graph.unknown:
                entry.MergeFromString(graph.unknown[value])
            if origin is not None:
                entry.origin, entry.source_plus1 = origin.kind, self.source(origin.source)
                entry.escaped.extend(self.source(s) - 1 for s in origin.escaped)
        for name, kind in graph.parameters:
            message.parameters.add(name=name, kind=kind)
        for name, part in graph.inputs.items():
            message.inputs.add(name=name, data=self.data.put(part))
        for path, cls in graph.modules.items():
            self.modules[path] = len(message.modules)
            message.modules.add(path=self.string(path), cls=class_name(cls))
        self._nodes()
        message.outputs = self.data.put(graph.outputs)
        for name, part in graph.left.items():
            message.left.add(name=name, data=self.data.put(part))
        if graph.carried is not None:
            message.carried.SetInParent()
            for name, part in graph.carried.items():
                message.carried.parts.add(name=name, data=self.data.put(part))
        for mutation in graph.mutations:
            initial, final = self.value(mutation.initial), self.value(mutation.final)
            message.mutations.add(initial=initial, final=final)
        for state in graph.state:
            initial, final = self.value(state.initial), self.value(state.final)
            message.kept.add(path=self.string(state.path), initial=initial, final=final)
        write_audit(message.audit, graph.audit)
        write_live(message, graph, self.source)
        message.history.extend(graph.history)
        for value, stride in graph.layouts.items():
            grad = value in graph.differentiable
            message.layouts.add(value=self.value(value), stride=stride, requires_grad=grad)

    def _nodes(self) -> None:
        stack: list[tuple[int, int, Iterator[Node]]] = [(0, 0, iter(self.graph.nodes))]
        number = 0
        while stack:
            parent, block, nodes = stack[-1]
            for node in nodes:
                self._node(node, parent, block)
                number += 1
                if inner := bodies(node):
                    stack += [(number, i, iter(one)) for i, one in enumerate(inner)][::-1]
                    break
            else:
                stack.pop()

    def _node(self, node: Node, parent: int, block: int) -> None:
        string, put = self.string, self.data.put
        # Values that a call makes are numbered before anything that mentions them.
        outputs = [self.value(v) for v in node.outputs]
        entry = self.message.nodes.add(
            op=string(node.op), parent_plus1=parent, block=block, path=string(node.path),
            call=node.call, source_plus1=self.source(node.source),
        )  # fmt: skip
        entry.outputs.extend(outputs)
        if node.body is not None:
            entry.module_plus1 = self._module(node) + 1
        elif blocks := blocks_of(node):
            for _, one in blocks:
                parameters = [self.value(v) for v in one.parameters]
                entry.blocks.add(parameters=parameters, outputs=map(put, one.outputs))
            if is_loop(node):
                entry.ends.extend(node.target.ends)
                entry.least = node.target.least
        else:
            entry.target_plus1 = string(functions.stored_name(node.target)) + 1
            entry.form = _signature_index(node)
        entry.arg_names.extend([string(name) for name in node.args])
        entry.arg_data.extend([put(part) for part in node.args.values()])
        if node.result is not None:
            entry.result_plus1 = put(node.result) + 1
        if node in self.graph.unknown:
            entry.MergeFromString(self.graph.unknown[node])
        if node in self.status:
            entry.status, entry.reason = self.status[node]
        effects = node.effects
        if effects.switches is not None:
            entry.state_plus1 = self._state(effects.switches) + 1
        if effects.writes:
            entry.write_names.extend([string(name) for name in effects.writes])
            entry.write_data.extend([put(part) for part in effects.writes.values()])
        if effects.same is not None:
            entry.same_plus1 = string(effects.same) + 1
        if effects.escape is not None:
            entry.escape = effects.escape
        if effects.random:
            entry.random = True
        if effects.generator is not None:
            entry.generator = effects.generator.numpy().tobytes()
            entry.goes_on = effects.goes_on
        if effects.memory is not None:
            entry.memory = effects.memory

    def _new_value(self, value: Value) -> None:
        type = value.type
        cls, names = type.__class__, value.names if len(value.names) > 1 else ()
        key: tuple[Any, ...] = (type,)
        if cls is not TensorType or not _FIXED.issuperset(map(_class, type.shape)):
            dims = [n.name if isinstance(n, Dim) else "" for n in type.shape]
            one = _one_of(type)
            number = (one.kind, one.recorded) if isinstance(one, NumberType) else ()
            key = (type, cls, *dims, *number)
        index = self.types[key]
        self.message.values.add(name=value.name, type=index, names=names)

    def _new_source(self, source: Source) -> None:
        file, function = self.string(_portable(source.file)), self.string(source.function)
        self.message.sources.add(file=file, line=source.line, function=function)

    def _new_type(self, key: tuple[Any, ...]) -> None:
        type = key[0]
        device = "" if str(type.device) == "cpu" else str(type.device)
        dtype = str(type.dtype).removeprefix("torch.")
        if -1 in type.shape:
            raise Error(f"{type}: shapes of nested tensors cannot be saved")
        entry = self.message.types.add(dtype=dtype, shape=type.shape, device=device)
        names = [n.name if isinstance(n, Dim) else "" for n in type.shape]
        entry.names.extend(names if any(names) else ())
        entry.list = isinstance(type, ListType)
        number = _one_of(type)
        if isinstance(number, NumberType):
            entry.number = number.kind.__name__
            if number.kind is float:
                entry.real = number.recorded
            else:
                entry.integer = int(number.recorded)

    def _state(self, state: Any) -> int:
        key = (state.grad, state.inference, state.default_dtype, state.autocast)
        known = self.states.get(key)
        if known is None:
            known = self.states[key] = len(self.states)
            entry = self.message.states.add(grad=state.grad, inference=state.inference)
            entry.default_dtype = str(state.default_dtype).removeprefix("torch.")
            for device, dtype, cache in state.autocast:
                name = str(dtype).removeprefix("torch.")
                entry.autocast.add(device=device, dtype=name, cache=cache)
        return known

    def _module(self, node: Node) -> int:
        index = self.modules.get(node.path)
        if index is None:
            index = self.modules[node.path] = len(self.message.modules)
            cls = class_name(type(node.target))
            self.message.modules.add(path=self.string(node.path), cls=cls)
        attributes = self.message.modules[index].attributes
        if not attributes:
            put = self.data.put
            for name, part in vars(node.target).items():
                if not name.startswith("_") and _is_literal(part):
                    attributes.add(name=name, data=put(part))
        return index


def _signature_index(node: Node) -> int:
    """Which of its callable's signatures a call follows; past the last one if none is known."""
    known, made_of = signatures(node.target), node.signature.parameters
    return next((i for i, one in enumerate(known) if one.parameters is made_of), len(known))


def _is_literal(part: Any) -> bool:
    cls = type(part)
    if cls in (tuple, list):
        return len(part) <= 64 and all(map(_is_literal, part))  # settings, no data
    return cls in _WORDS


def _portable(file: str) -> str:
    """A path without the machine's part: relative to where Python found it."""
    roots = [root for root in sys.path if root and file.startswith(root + os.sep)]
    if roots:
        return file[len(max(roots, key=len)) + 1 :].replace(os.sep, "/")
    return os.path.basename(file)
