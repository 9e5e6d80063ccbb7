"""A message to its Graph. Trusts nothing: every index, kind and name is looked at.

The nodes of bodies and blocks stand behind the call they belong to, which must still be open. What
this leaves to the grammar of graphs (:mod:`flexir.graph.check`): that Values are made once, before
they are read, and that blocks read what they are given. Repeated numbers are read as ``field[:]``,
which protobuf does in one go; it iterates four times slower.
"""

from __future__ import annotations

import functools
from collections import OrderedDict
from typing import Any, NamedTuple

import torch

from ...calls.signatures import IF, LOOP, Signature, documented
from ...errors import FormatError
from ...graph import tree
from ...graph.account import Mutation, Origin
from ...graph.choice import WITH_BLOCKS, Block, Choice, Loop, bodies, walk
from ...graph.graph import Graph
from ...graph.nodes import Effects, Node, Switches, Value
from ...graph.source import Source
from . import functions, schema
from .account import read_audit, read_live, read_state, read_type
from .data import TableReader, Unstorable, Vocabulary, torch_constant

_DEEP = 300  # modules within modules, and twice the branches within branches
# What the fields of a node refer to.
_REFERENCES = {
    "op": "strings", "path": "strings", "arg_names": "strings", "write_names": "strings",
    "target_plus1": "strings", "same_plus1": "strings", "arg_data": "data", "write_data": "data",
    "result_plus1": "data", "outputs": "values", "module_plus1": "modules",
    "source_plus1": "sources", "state_plus1": "states",
}  # fmt: skip
_ESCAPES = ("", "branch", "value", "memory", "text", "about", "error")


def decode(message: Any, known: Vocabulary) -> tuple[Graph, list[Value]]:
    """The graph of a message, without its variants and without the tensors of its constants.

    Args:
        message: the message.
        known: what it may name.

    Returns:
        the graph, and the Value of each of the message's ``constants``.

    Raises:
        FormatError: something in it is not as it should be.
    """
    return _GraphReader(message, known).read()


class _Callee(NamedTuple):
    """What nodes that call the same thing with arguments of the same names share.

    Attributes:
        op: canonical name.
        target: the callable, or the module; None for what has blocks.
        signature: of the call; None for a module.
        names: of the arguments.
    """

    op: str
    target: Any
    signature: Signature | None
    names: tuple[str, ...]


class _GraphReader:
    """One message becoming a Graph."""

    def __init__(self, message: Any, known: Vocabulary) -> None:
        self.message, self.known = message, known
        self.strings: list[str] = list(message.strings)
        self.types = [read_type(t) for t in message.types]
        self.values = self._values(message.values)
        self.sources = [None] + [
            Source(self.string(s.file, "file"), s.line, self.string(s.function, "function"))
            for s in message.sources
        ]  # by index + 1, as everybody refers to them
        self.states = [self._state(s) for s in message.states]
        self.effects: list[Effects] = [
            Effects(),
            *(Effects(switches=state) for state in self.states),
        ]
        self.functions: dict[str, Any] = {}
        self.calls: dict[tuple[int, ...], _Callee] = {}
        self.data = TableReader(message.data, self.values, known)
        self.modules = [self._module(m) for m in message.modules]
        self.status: dict[Node, tuple[str, str]] = {}

    def read(self) -> tuple[Graph, list[Value]]:
        """The graph, and the Values of its constants."""
        message = self.message
        graph = Graph(message.name)
        graph.parameters = [(p.name, _kind(p.kind)) for p in message.parameters]
        graph.inputs = {e.name: self.data.get(e.data) for e in message.inputs}
        graph.modules = {m[0]: type(m[1]) for m in self.modules}
        graph.nodes = self._nodes()
        graph.outputs = self.data.get(message.outputs)
        graph.left = {e.name: self.data.get(e.data) for e in message.left}
        if message.HasField("carried"):
            graph.carried = {e.name: self.data.get(e.data) for e in message.carried.parts}
        graph.mutations = [
            Mutation(self.value(m.initial, "mutations").name,
                     self.value(m.initial, "mutations"), self.value(m.final, "mutations"))
            for m in message.mutations
        ]  # fmt: skip
        graph.state = read_state(message.kept, self.string, self.value)
        graph.audit = read_audit(message.audit)
        graph.live, graph.frozen = read_live(message, self.source)
        for layout in message.layouts:
            value, stride = self.value(layout.value, "layouts"), tuple(layout.stride[:])
            if len(stride) != len(value.type.shape) or any(s < 0 for s in stride):
                raise FormatError(f"layouts: {stride} does not fit {value!r}")
            graph.layouts[value] = stride
            if layout.requires_grad:
                graph.differentiable.add(value)
        constants = [self.value(e.value, f"constants[{i}]")
                     for i, e in enumerate(message.constants)]  # fmt: skip
        for value, entry in zip(constants, message.constants):
            value.names = value.names or (value.name,)
            escaped = [self.source(i + 1) for i in entry.escaped[:]]
            source = self.source(entry.source_plus1)
            graph.origins[value] = Origin(entry.origin, source, tuple(s for s in escaped if s))
        graph.status, graph.history = self.status, list(message.history)
        self.data.charge()
        if self.known.newer:
            whole: list[Any] = [(None, message), *zip(walk(graph.nodes), message.nodes)]
            whole += zip(constants, message.constants)
            found = {key: schema.unknown_fields(part) for key, part in whole}
            graph.unknown = {key: rest for key, rest in found.items() if rest}
        return graph, constants

    def _nodes(self) -> list[Node]:
        top: list[Node] = []
        stack: list[tuple[int, int, list[Node]]] = [(0, 0, top)]
        parent, block, here = stack[0]
        number, read = 0, self._node
        try:
            for number, entry in enumerate(self.message.nodes):
                if entry.parent_plus1 != parent or entry.block != block:
                    place = (entry.parent_plus1, entry.block)
                    while stack and stack[-1][:2] != place:
                        stack.pop()
                    if not stack:
                        raise FormatError("its parent is no module or block still open")
                    parent, block, here = stack[-1]
                node = read(entry)
                here.append(node)
                if node.body is not None or node.target.__class__ in WITH_BLOCKS:
                    if len(stack) > _DEEP:
                        raise FormatError(f"modules nested over {_DEEP} deep")
                    inner = enumerate(bodies(node))
                    stack += [(number + 1, i, one) for i, one in inner][::-1]
                    parent, block, here = stack[-1]
        except FormatError as error:
            raise FormatError(f"nodes[{number}]: {error}") from error.__cause__
        except IndexError as error:
            raise FormatError(f"nodes[{number}].{self._blame(entry)}") from error
        return top

    def _node(self, entry: Any) -> Node:
        """A node without its body; IndexError if it refers to what is not there."""
        values, things = self.values, self.data.things
        op, target, signature, names = self._call(entry)
        indices = entry.arg_data[:]
        if len(names) != len(indices):
            raise FormatError("arg_data: not one per name")
        args = dict(zip(names, [things[index] for index in indices]))
        self.data.used += indices
        body: list[Node] | None = None
        if signature is None:
            body = []
        elif target is None:
            target = self._with_blocks(op, entry)
        elif self.data.lost and (lost := self._lost(args)) is not None:
            why = f"it was given {lost}, which no file can hold"
            target = functions.MissingFunction(self._target_name(entry), why)
            signature = functions.recorded_signature(target, entry.form, args, op)
        node = Node(
            op, target, args, signature=signature, body=body, path=self.strings[entry.path],
            call=entry.call, source=self.sources[entry.source_plus1],
        )  # fmt: skip
        node.outputs = tuple([values[index] for index in entry.outputs[:]])
        if body is None:
            for value in node.outputs:
                if value.producer is not None:
                    raise FormatError(f"outputs: {value!r} is made twice")
                value.producer = node
        if entry.result_plus1:
            node.result = self.data.get(entry.result_plus1 - 1)
        if entry.status:
            self.status[node] = (entry.status, entry.reason)
        node.effects = self._effects(entry)
        return node

    def _lost(self, args: dict[str, Any]) -> Unstorable | None:
        """What among some arguments no file can hold."""
        self.data.charge()  # before something is walked
        return next(tree.leaves(args, Unstorable), None)

    def _call(self, entry: Any) -> _Callee:
        """What a node has in common with all that call the same thing with the same names."""
        key = (
            entry.op, entry.target_plus1, entry.module_plus1, entry.form, len(entry.blocks),
            *entry.arg_names[:],
        )  # fmt: skip
        made = self.calls.get(key)
        if made is None:
            made = self.calls[key] = self._new_call(entry)
        return made

    def _new_call(self, entry: Any) -> _Callee:
        op = self.strings[entry.op]
        names = tuple([self.strings[name] for name in entry.arg_names])
        if len(entry.blocks):
            return _Callee(op, None, IF if op == "if" else LOOP, names)
        if entry.module_plus1:
            return _Callee(op, self.modules[entry.module_plus1 - 1][1], None, names)
        # Older versions saved the names that each spelling has: `split_size`.
        names = tuple([documented(op, name) for name in names])
        target = self._function(self._target_name(entry))
        return _Callee(
            op, target, functions.recorded_signature(target, entry.form, names, op), names
        )

    def _target_name(self, entry: Any) -> str:
        return self.strings[entry.target_plus1 - 1] if entry.target_plus1 else ""

    def _with_blocks(self, op: str, entry: Any) -> Choice | Loop:
        """The target of a branch or a loop, its blocks without their nodes."""
        made = []
        for block in entry.blocks:
            parameters = [self.value(index, "blocks.parameters") for index in block.parameters]
            outputs = [self.data.get(index) for index in block.outputs]
            made.append(Block(tuple(parameters), [], tuple(outputs)))
        if entry.module_plus1 or entry.target_plus1 or len(made) != {"if": 2, "loop": 1}.get(op):
            raise FormatError(f"blocks: {len(made)} of {op!r}; 'if' has two, 'loop' has one")
        if op == "if":
            return Choice(*made)
        if unknown := set(entry.ends) - {"count", "condition"}:
            raise FormatError(f"ends: {unknown} are unknown")
        return Loop(made[0], tuple(entry.ends), entry.least)

    def _function(self, name: str) -> Any:
        found = self.functions.get(name)
        if found is None:
            found = self.functions[name] = functions.callable_of(name, self.known.functions)
        return found

    def _effects(self, entry: Any) -> Effects:
        plain: Effects = self.effects[entry.state_plus1]
        writes = entry.write_names or entry.write_data
        if not (writes or entry.escape or entry.same_plus1 or entry.random or entry.generator
                or entry.memory):  # fmt: skip
            return plain
        if entry.memory not in ("", "view", "copy"):
            raise FormatError(f"memory: {entry.memory!r} is unknown")
        if len(entry.write_names) != len(entry.write_data):
            raise FormatError("write_data: not one per name")
        if entry.escape not in _ESCAPES:
            raise FormatError(f"escape: {entry.escape!r} is unknown")
        op = self.strings[entry.op]
        writes = {
            documented(op, self.strings[name]): self.data.get(index)
            for name, index in zip(entry.write_names, entry.write_data)
        }
        generator = None
        if entry.generator:
            generator = torch.frombuffer(bytearray(entry.generator), dtype=torch.uint8)
        same = documented(op, self.strings[entry.same_plus1 - 1]) if entry.same_plus1 else None
        return Effects(
            writes, plain.switches, same, entry.escape or None, entry.random, generator,
            entry.goes_on, entry.memory or None,
        )  # fmt: skip

    def _blame(self, entry: Any) -> str:
        """Which field of a node refers to what is not there."""
        sizes = {"strings": len(self.strings), "values": len(self.values),
                 "data": len(self.data.things), "modules": len(self.modules),
                 "sources": len(self.sources) - 1, "states": len(self.states)}  # fmt: skip
        for field, table in _REFERENCES.items():
            given = getattr(entry, field)
            for index in given if hasattr(given, "__len__") else [given]:
                at = index - field.endswith("_plus1")
                if at >= sizes[table]:
                    return f"{field}: refers to {table}[{at}]; there are {sizes[table]}"
        return "refers to what is not there"

    # -- tables

    def string(self, index: int, where: str) -> str:
        """The text of an index; FormatError, beginning with ``where``, if there is none."""
        if index >= len(self.strings):
            raise FormatError(f"{where}: refers to strings[{index}]; there are {len(self.strings)}")
        return self.strings[index]

    def value(self, index: int, where: str) -> Value:
        """The Value of an index; FormatError, beginning with ``where``, if there is none."""
        if index >= len(self.values):
            raise FormatError(f"{where}: refers to values[{index}]; there are {len(self.values)}")
        return self.values[index]

    def source(self, plus1: int) -> Source | None:
        """The source line of an index + 1; 0 is None."""
        if plus1 >= len(self.sources):
            raise FormatError(f"refers to sources[{plus1 - 1}]; there are {len(self.sources) - 1}")
        return self.sources[plus1]

    def _values(self, entries: Any) -> list[Value]:
        made: list[Value] = []
        types = self.types
        try:
            for entry in entries:
                value = Value(entry.name, types[entry.type])
                if names := entry.names:
                    value.names = tuple(names)
                made.append(value)
        except IndexError:
            raise FormatError(f"values[{len(made)}].type: there are {len(types)} types") from None
        return made

    def _state(self, message: Any) -> Switches:
        autocast = tuple(
            (a.device, torch_constant(a.dtype, torch.dtype), a.cache) for a in message.autocast
        )
        default = torch_constant(message.default_dtype, torch.dtype)
        return Switches(message.grad, message.inference, default, autocast)

    def _module(self, message: Any) -> tuple[str, Any]:
        """Path, and an instance that has the class and the plain attributes of the module."""
        cls = self.data.find_class(message.cls, "module", ())
        made: Any = torch.nn.Module.__new__(cls)
        own = made.__dict__  # whatever the class has put in its way
        own.update(_blank())
        for entry in message.attributes:
            name = entry.name
            if name.isidentifier() and name[0] != "_":
                own[name] = self.data.get(entry.data)
        return self.string(message.path, "modules.path"), made


class _Nothing(dict[str, Any]):
    """The parameters, buffers, modules and hooks of a module that was read: none.

    All share one, as a file may hold many modules that nobody looks into; so it takes nothing in.
    """

    def _refuse(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(
            "a module of a loaded graph holds its class and its settings alone: weights are in "
            "graph.constants, and it takes no parameters, modules or hooks"
        )

    __setitem__ = setdefault = update = __ior__ = _refuse

    def __reduce__(self) -> Any:
        return OrderedDict, ()  # a copy is its owner's


class _NoNames(frozenset[str]):
    """As :class:`_Nothing`, of what torch keeps as a set of names."""

    def __reduce__(self) -> Any:
        return set, ()


@functools.lru_cache(maxsize=1)
def _blank() -> dict[str, Any]:
    """What torch gives a module that holds nothing yet."""
    made = vars(torch.nn.Module())
    del made["training"]  # among the attributes, unless the module had none
    shared: dict[type, Any] = {set: _NoNames(), dict: _Nothing(), OrderedDict: _Nothing()}
    return {name: shared.get(type(part), part) for name, part in made.items()}


def _kind(kind: int) -> int:
    if kind > 4:
        raise FormatError(f"parameters.kind: {kind} is unknown")
    return kind
