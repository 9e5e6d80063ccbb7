"""A saved directory to a Graph. Trusts nothing it reads, runs nothing it names.

Everything that is not as ``docs/format.md`` says is a :class:`FormatError` that names the file and
the field: sizes and checksums first, then every index, name, type and window, at last the graph's
own grammar. Weights are mapped; their checksums are compared when they are first used, or all at
once where there are few.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, get_args

import torch

from ...calls.signatures import documented
from ...errors import FormatError, GraphError
from ...graph import tree
from ...graph.account import Mutation, Origin
from ...graph.geometry import Geometry
from ...graph.graph import Graph
from ...graph.nodes import Effects, Escape, Node, Switches, Value
from ...graph.source import Source
from . import functions, schema
from . import manifest as manifests
from .account import read_audit, read_live, read_state, read_type
from .data import Opaque, Reader, torch_constant
from .directory import aside_of
from .mapped import File, Part, Weights, check_part

_SMALL = 64 << 20  # bytes of weights up to which all are checked at once
_DEEP = 300  # modules within modules
# What the fields of a node refer to.
_REFERENCES = {
    "op": "strings", "path": "strings", "arg_names": "strings", "write_names": "strings",
    "target_plus1": "strings", "same_plus1": "strings", "arg_data": "data", "write_data": "data",
    "result_plus1": "data", "outputs": "values", "module_plus1": "modules",
    "source_plus1": "sources", "state_plus1": "states",
}  # fmt: skip


def load(
    path: str | os.PathLike[str],
    *,
    check: bool | None = None,
    weights: str | os.PathLike[str] | None = None,
    functions: Mapping[str, Callable[..., Any]] | None = None,
    imports: Collection[str] = (),
) -> Graph:
    """Read a graph that ``graph.save`` wrote. Needs none of the model's code.

    Args:
        path: the directory.
        check: compare the checksums of all weights now (True) or of each when it is first used
            (False); by default now, if they are small. Weights saved without checksums, or by
            reference, have none to compare.
        weights: for a graph saved with ``weights="reference:..."``: the folder with those files,
            or ``"recorded"`` for where they were. Other files than the saved ones are only read
            if you say so.
        functions: functions of your own that the graph calls (``flexir.opaque``), by the name the
            error message gives.
        imports: top-level packages that may be imported for the classes of inputs and outputs
            (``["transformers"]``). Without, classes already loaded are used, and for others a
            stand-in with the same name and fields.

    Returns:
        the Graph; ``graph(*inputs)`` replays it.

    Raises:
        FormatError: anything about the files is not as it should be.
    """
    path, manifest, message = _opened(Path(path))
    collecting = gc.isenabled()
    gc.disable()  # a graph is many small objects, none of them garbage
    try:
        reader = _Reader(message, dict(functions or {}), imports)
        graph = reader.read()
        graph.constants = mapped = _weights(path, manifest, message, reader, weights)
        graph.check()
    except FormatError as error:
        raise FormatError(f"{path.name}/graph.pb: {error}") from error.__cause__
    except (GraphError, RecursionError) as error:
        raise FormatError(f"{path.name}/graph.pb: {error}") from error
    finally:
        if collecting:
            gc.enable()
    total = sum(e["size"] for n, e in manifest["files"].items() if n.endswith(".safetensors"))
    if check or (check is None and total <= _SMALL):
        mapped.check()
    return graph


def _opened(path: Path) -> tuple[Path, dict[str, Any], Any]:
    """Where the files are, their manifest and the parsed message."""
    if not path.exists() and aside_of(path.absolute()).exists():  # a save was cut off here
        path = aside_of(path.absolute())
    manifest = manifests.read(path)
    for name, entry in manifest["files"].items():
        manifests.check_file(path, name, entry)
    message = schema.Graph()
    try:
        message.ParseFromString((path / "graph.pb").read_bytes())
    except Exception as error:  # the parser's own error type differs between protobuf versions
        raise FormatError(f"graph.pb: {error}") from error
    return path, manifest, message


# --- weights --------------------------------------------------------------------------------------


def _weights(
    path: Path, manifest: dict[str, Any], message: Any, reader: _Reader, given: Any
) -> Weights:
    """The constants, mapped and not yet read."""
    made = Weights()
    files: list[File | None] = []
    for name in message.weight_files:
        if name in manifest["files"]:
            files.append(File(path / name))
        elif given is None:
            files.append(None)
            made.hint = f", but in {name}: load(path, weights=<its folder, or 'recorded'>)"
        else:
            there = Path(name) if given == "recorded" else Path(given, os.path.basename(name))
            files.append(File(there))
    for number, entry in enumerate(message.constants):
        try:
            value = reader.value(entry.value, "value")
            if value in made.parts:
                raise FormatError(f"{value!r} is there twice")
            parts = _parts(entry, files)
            _check_parts(value, parts, entry)
        except FormatError as error:
            raise FormatError(f"constants[{number}]: {error}") from error.__cause__
        made.parts[value] = (parts, entry)
    return made


def _parts(entry: Any, files: list[File | None]) -> list[Part]:
    parts: list[Part] = []
    for part in entry.parts:
        if part.file >= len(files):
            raise FormatError(f"parts: there are {len(files)} weights files")
        size, stride = tuple(part.size), tuple(part.stride)
        if len(size) != len(stride):
            raise FormatError("parts: size and stride differ in length")
        file = files[part.file]
        window = Geometry(torch_constant(part.dtype, torch.dtype), size, stride, 0)
        if file is not None:
            parts.append(Part(file, part.key, part.sha256, window, part.offset))
            check_part(parts[-1])
    return parts


def _check_parts(value: Value, parts: list[Part], entry: Any) -> None:
    if not parts:
        return
    if entry.layout:
        if len(parts) not in (2, 3):
            raise FormatError(f"{len(parts)} parts of a {entry.layout} tensor")
        return
    window = parts[0].where
    if len(parts) != 1 or window.size != value.type.shape or window.dtype != value.type.dtype:
        raise FormatError(f"the stored tensor is not a {value.type}")


# --- the graph ----------------------------------------------------------------------------------


class _Reader:
    """One message becoming a Graph."""

    def __init__(
        self, message: Any, extra: dict[str, Callable[..., Any]], imports: Collection[str]
    ) -> None:
        self.message, self.extra = message, extra
        self.strings: list[str] = list(message.strings)
        self.types = [read_type(t) for t in message.types]
        self.values = [self._value(v, i) for i, v in enumerate(message.values)]
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
        budget = 1000 + 16 * message.ByteSize()
        self.data = Reader(message.data, self.values, extra, imports, budget)
        self.modules = [self._module(m) for m in message.modules]
        self.status: dict[Node, tuple[str, str]] = {}

    def read(self) -> Graph:
        """The graph, without its constants' tensors."""
        message = self.message
        graph = Graph(message.name)
        graph.parameters = [(p.name, _kind(p.kind)) for p in message.parameters]
        graph.inputs = {e.name: self.data.get(e.data) for e in message.inputs}
        graph.modules = {m[0]: type(m[1]) for m in self.modules}
        graph.nodes = self._nodes()
        graph.outputs = self.data.get(message.outputs)
        graph.mutations = [
            Mutation(self.value(m.initial, "mutations").name,
                     self.value(m.initial, "mutations"), self.value(m.final, "mutations"))
            for m in message.mutations
        ]  # fmt: skip
        graph.state = read_state(message.kept, self.string, self.value)
        graph.audit = read_audit(message.audit)
        graph.live, graph.frozen = read_live(message, self.source)
        for layout in message.layouts:
            value, stride = self.value(layout.value, "layouts"), tuple(layout.stride)
            if len(stride) != len(value.type.shape) or any(s < 0 for s in stride):
                raise FormatError(f"layouts: {stride} does not fit {value!r}")
            graph.layouts[value] = stride
            if layout.requires_grad:
                graph.differentiable.add(value)
        for entry in message.constants:
            value = self.value(entry.value, "constants")
            value.names = value.names or (value.name,)
            escaped = [self.source(i + 1) for i in entry.escaped]
            source = self.source(entry.source_plus1)
            graph.origins[value] = Origin(entry.origin, source, tuple(s for s in escaped if s))
        graph.status, graph.history = self.status, list(message.history)
        if schema.has_unknown_fields(message):
            whole: list[Any] = [(None, message), *zip(graph.walk(), message.nodes)]
            whole += [(self.value(e.value, "constants"), e) for e in message.constants]
            found = {key: schema.unknown_fields(part) for key, part in whole}
            graph.unknown = {key: rest for key, rest in found.items() if rest}
        return graph

    def _nodes(self) -> list[Node]:
        top: list[Node] = []
        stack: list[tuple[int, list[Node]]] = [(0, top)]
        for number, entry in enumerate(self.message.nodes, 1):
            while stack and stack[-1][0] != entry.parent_plus1:
                stack.pop()
            try:
                if not stack:
                    raise FormatError("its parent is no module still open")
                node = self._node(entry)
            except FormatError as error:
                raise FormatError(f"nodes[{number - 1}]: {error}") from error.__cause__
            except IndexError as error:
                raise FormatError(f"nodes[{number - 1}].{self._blame(entry)}") from error
            stack[-1][1].append(node)
            if node.body is not None:
                if len(stack) > _DEEP:
                    raise FormatError(f"nodes[{number - 1}]: modules nested over {_DEEP} deep")
                stack.append((number, node.body))
        return top

    def _node(self, entry: Any) -> Node:
        """A node without its body; IndexError if it refers to what is not there."""
        strings, values, get = self.strings, self.values, self.data.get
        names, data = entry.arg_names, entry.arg_data
        if len(names) != len(data) or len(entry.write_names) != len(entry.write_data):
            raise FormatError("arg_data or write_data: not one per name")
        op, signature = strings[entry.op], None
        args = {strings[name]: get(index) for name, index in zip(names, data)}
        body: list[Node] | None = None
        if entry.module_plus1:
            target: Any = self.modules[entry.module_plus1 - 1][1]
            body = []
        else:
            # Older versions saved the names that each spelling has: `split_size`.
            args = {documented(op, name): part for name, part in args.items()}
            name = strings[entry.target_plus1 - 1] if entry.target_plus1 else ""
            target = self._function(name)
            if self.data.lost and (lost := next(tree.leaves(args, Opaque), None)):
                target = functions.Missing(name, f"it was given {lost}, which no file can hold")
            signature = functions.signature_of(target, entry.form, args, op)
        node = Node(
            op, target, args, signature=signature, body=body, path=strings[entry.path],
            call=entry.call, source=self.sources[entry.source_plus1],
        )  # fmt: skip
        node.outputs = tuple([values[index] for index in entry.outputs])
        if body is None:
            for value in node.outputs:
                if value.producer is not None:
                    raise FormatError(f"outputs: {value!r} is made twice")
                value.producer = node
        if entry.result_plus1:
            node.result = get(entry.result_plus1 - 1)
        if entry.status:
            self.status[node] = (entry.status, entry.reason)
        node.effects = self._effects(entry)
        return node

    def _function(self, name: str) -> Any:
        found = self.functions.get(name)
        if found is None:
            found = self.functions[name] = functions.resolve(name, self.extra)
        return found

    def _effects(self, entry: Any) -> Effects:
        plain: Effects = self.effects[entry.state_plus1]
        rare = entry.escape or entry.write_names or entry.same_plus1 or entry.random
        if not rare and not entry.generator:
            return plain
        if entry.escape not in ("", *get_args(Escape)):
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
            entry.goes_on,
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
        if index >= len(self.strings):
            raise FormatError(f"{where}: refers to strings[{index}]; there are {len(self.strings)}")
        return self.strings[index]

    def value(self, index: int, where: str) -> Value:
        if index >= len(self.values):
            raise FormatError(f"{where}: refers to values[{index}]; there are {len(self.values)}")
        return self.values[index]

    def source(self, plus1: int) -> Source | None:
        if plus1 >= len(self.sources):
            raise FormatError(f"refers to sources[{plus1 - 1}]; there are {len(self.sources) - 1}")
        return self.sources[plus1]

    def _value(self, message: Any, number: int) -> Value:
        if message.type >= len(self.types):
            raise FormatError(f"values[{number}].type: there are {len(self.types)} types")
        value = Value(message.name, self.types[message.type])
        value.names = tuple(message.names)
        return value

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
        torch.nn.Module.__init__(made)
        made.__dict__.pop("training", None)  # among the attributes, unless the module had none
        for entry in message.attributes:
            part = self.data.get(entry.data)
            if entry.name.isidentifier() and not entry.name.startswith("_"):
                made.__dict__[entry.name] = part
        return self.string(message.path, "modules.path"), made


def _kind(kind: int) -> int:
    if kind > 4:
        raise FormatError(f"parameters.kind: {kind} is unknown")
    return kind
