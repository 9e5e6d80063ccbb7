"""A Graph to a directory: ``graph.pb``, ``graph.txt``, weights in safetensors, ``manifest.json``.

The directory appears whole or not at all: everything is written beside it and put in its place
by one rename. Nothing depends on the time or the machine; saving twice gives the same bytes.
"""

from __future__ import annotations

import glob
import hashlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from ...errors import Error
from ...graph.choice import every, is_choice
from ...graph.graph import Graph
from ...graph.nodes import Dim, Node, NumberType, Value
from ...graph.source import Source
from . import functions, manifest, schema
from .account import write_audit, write_live
from .data import Table, class_name
from .digests import chosen
from .directory import appearing_whole
from .mapped import File
from .weights import Stored, Window, share, write

_SHARD = 5 << 30  # bytes of one weights file


def save(
    graph: Graph,
    path: str | os.PathLike[str],
    *,
    weights: str | None = "copy",
    status: Mapping[Node, tuple[str, str]] | None = None,
    checksums: bool | str = True,
    shard: int = _SHARD,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Save a graph as a directory that needs neither Python nor the model's source to be read.

    Args:
        graph: a captured or loaded graph.
        path: the directory; one that holds a saved graph is replaced, all at once.
        weights: ``"copy"`` stores them; ``None`` leaves them out; ``"reference:FILES"`` notes
            where existing safetensors files (a pattern, or several separated by commas) hold
            them, by their state_dict names, and stores only what is not there.
        status: node -> (status, reason) of a conversion; ``Result.save`` fills it.
        checksums: keep a checksum of every stored tensor: BLAKE3, or SHA-256 where that is not
            installed; a name chooses (``"sha256"`` for readers without BLAKE3, at a core's second
            per GB). Without, damage to the weights goes unnoticed.
        shard: largest size of one weights file, in bytes.
        progress: called with bytes written and bytes in all.

    Raises:
        Error: a constant of a kind that cannot be stored, a weight that is in no referenced file,
            or something at ``path`` that is no saved graph.
    """
    if graph.variants:
        raise Error(
            f"{len(graph.variants)} variants of this graph cannot be saved with it yet; save the "
            "graph of one size, graph.at(args), or each of graph.variants"
        )
    if any(map(is_choice, every(graph.nodes))):
        raise Error(
            "a graph with branches cannot be saved yet; save the graph of one path, graph.at(args)"
        )
    path = Path(path)
    if path.exists() and not (path.is_dir() and (path / "manifest.json").exists()):
        raise Error(f"{path} exists and is no saved graph; nothing was written")
    with appearing_whole(path) as folder:
        message = schema.Graph()
        sums = chosen(checksums)
        files = _write_weights(graph, message, folder, weights, sums, shard, progress)
        _Writer(graph, message, status or graph.status).write()
        data = {
            "graph.pb": message.SerializeToString(deterministic=True),
            "graph.txt": (graph.text(defaults=True) + "\n").encode(),
        }
        for name, content in data.items():
            (folder / name).write_bytes(content)
            files[name] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        manifest.write(folder, files, _minimum_reader(graph, sums))


def _minimum_reader(graph: Graph, checksums: str | None) -> int:
    """The oldest version that understands all that a graph says; older ones refuse it."""
    if checksums == "blake3":
        return 4
    if graph.live or graph.frozen:
        return 3
    kept = graph.state or graph.audit.changes
    return 2 if kept or any(node.effects.escape == "about" for node in graph) else 1


# --- weights ------------------------------------------------------------------------------------


def _write_weights(
    graph: Graph,
    message: Any,
    folder: Path,
    weights: str | None,
    checksums: str | None,
    shard: int,
    progress: Callable[[int, int], None] | None,
) -> dict[str, Any]:
    """Fill ``constants`` and ``weight_files``; returns the manifest's entries."""
    referenced: dict[str, tuple[int, str]] = {}
    if weights is not None and weights.startswith("reference:"):
        referenced = _referenced(weights.removeprefix("reference:"), message)
    elif weights not in ("copy", None):
        raise Error(f"weights is 'copy', None or 'reference:FILES'; got {weights!r}")
    stored, windows = share(_chosen(graph, referenced, weights))
    total, done = sum(one.nbytes for one in stored), 0

    def count(bytes_written: int) -> None:
        nonlocal done
        done += bytes_written
        if progress is not None:
            progress(done, total)

    first = len(message.weight_files)
    names = write(folder, stored, checksums, shard, count)
    message.weight_files.extend(name for name, _ in names)
    for (value, tensor), parts in zip(graph.constants.items(), windows):
        entry = message.constants.add()
        _describe(entry, tensor)
        for window in parts:
            _part(entry, window, first + window.stored.file)
        where = next((referenced[n] for n in (value.name, *value.names) if n in referenced), None)
        if where is not None:
            part = entry.parts.add(file=where[0], key=where[1])
            part.dtype = str(tensor.dtype).removeprefix("torch.")
            part.size.extend(tensor.shape)
            part.stride.extend(torch.empty(tensor.shape, device="meta").stride())
    return {
        name: {"size": (folder / name).stat().st_size, "header_sha256": digest}
        for name, digest in names
    }


def _chosen(
    graph: Graph, referenced: Mapping[str, Any], weights: str | None
) -> list[tuple[str, torch.Tensor]]:
    """The constants to store; what is left out has no data, like a tensor on the meta device."""
    chosen: list[tuple[str, torch.Tensor]] = []
    for value, tensor in graph.constants.items():
        known = any(name in referenced for name in (value.name, *value.names))
        if referenced and not known and tensor.device.type == "meta":
            raise Error(f"no referenced file holds {value.name!r}, and it has no data to store")
        left_out = weights is None or known
        chosen.append((value.name, tensor.to("meta") if left_out else tensor))
    return chosen


def _describe(entry: Any, tensor: torch.Tensor) -> None:
    """What a constant is, besides where its elements are."""
    entry.requires_grad = tensor.requires_grad
    if tensor.layout is not torch.strided:
        entry.layout = str(tensor.layout).removeprefix("torch.")
        entry.coalesced = tensor.layout is torch.sparse_coo and tensor.is_coalesced()


def _part(entry: Any, window: Window, file: int) -> None:
    stored: Stored = window.stored
    part = entry.parts.add(file=file, key=stored.key, offset=window.offset)
    if stored.digest is not None:
        setattr(part, *stored.digest)
    part.dtype = str(window.where.dtype).removeprefix("torch.")
    part.size.extend(window.where.size)
    part.stride.extend(window.where.stride)


def _referenced(files: str, message: Any) -> dict[str, tuple[int, str]]:
    """Tensor name -> (index of its file, key) in existing safetensors files."""
    found: dict[str, tuple[int, str]] = {}
    for pattern in files.split(","):
        paths = sorted(glob.glob(pattern.strip()))
        if not paths:
            raise Error(f"weights='reference:...' names no file: {pattern.strip()!r}")
        for path in paths:
            index = len(message.weight_files)
            message.weight_files.append(os.path.abspath(path))
            found.update({key: (index, key) for key in File(Path(path)).keys})
    return found


# --- the graph ----------------------------------------------------------------------------------


class _Writer:
    """Fills the message of one graph."""

    def __init__(self, graph: Graph, message: Any, status: Mapping[Node, tuple[str, str]]) -> None:
        self.graph, self.message, self.status = graph, message, status
        self.values: dict[Value, int] = {}
        self.types: dict[Any, int] = {}
        self.strings: dict[str, int] = {}
        self.sources: dict[Source, int] = {}
        self.states: dict[Any, int] = {}
        self.modules: dict[str, int] = {}
        self.data = Table(message.data, self.value)

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
        stack: list[tuple[int, Iterator[Node]]] = [(0, iter(self.graph.nodes))]
        number = 0
        while stack:
            parent, nodes = stack[-1]
            for node in nodes:
                self._node(node, parent)
                number += 1
                if node.body is not None:
                    stack.append((number, iter(node.body)))
                    break
            else:
                stack.pop()

    def _node(self, node: Node, parent: int) -> None:
        string, put = self.string, self.data.put
        # Values that a call makes are numbered before anything that mentions them.
        outputs = [self.value(v) for v in node.outputs]
        entry = self.message.nodes.add(
            op=string(node.op), parent_plus1=parent, path=string(node.path), call=node.call,
            source_plus1=self.source(node.source),
        )  # fmt: skip
        entry.outputs.extend(outputs)
        if node.body is None:
            entry.target_plus1 = string(functions.name_of(node.target)) + 1
            entry.form = _form(node)
        else:
            entry.module_plus1 = self._module(node) + 1
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

    def value(self, value: Value) -> int:
        known = self.values.get(value)
        if known is None:
            known = self.values[value] = len(self.values)
            names = value.names if len(value.names) > 1 else ()
            self.message.values.add(name=value.name, type=self._type(value.type), names=names)
        return known

    def string(self, text: str) -> int:
        known = self.strings.get(text)
        if known is None:
            known = self.strings[text] = len(self.strings)
            self.message.strings.append(text)
        return known

    def source(self, source: Source | None) -> int:
        """Index + 1 of a source line."""
        if source is None:
            return 0
        known = self.sources.get(source)
        if known is None:
            known = self.sources[source] = len(self.sources) + 1
            file, function = self.string(_portable(source.file)), self.string(source.function)
            self.message.sources.add(file=file, line=source.line, function=function)
        return known

    def _type(self, type: Any) -> int:
        names = [n.name if isinstance(n, Dim) else "" for n in type.shape]
        key = (type, *names, type.__class__, getattr(type, "recorded", None))
        known = self.types.get(key)
        if known is None:
            known = self.types[key] = len(self.types)
            device = "" if str(type.device) == "cpu" else str(type.device)
            dtype = str(type.dtype).removeprefix("torch.")
            if -1 in type.shape:
                raise Error(f"{type}: shapes of nested tensors cannot be saved")
            entry = self.message.types.add(dtype=dtype, shape=type.shape, device=device)
            entry.names.extend(names if any(names) else ())
            if isinstance(type, NumberType):
                entry.number = type.kind.__name__
                setattr(entry, "integer" if type.kind is int else "real", type.recorded)
        return known

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
        entry = self.message.modules[index]
        if not entry.attributes:
            for name, part in vars(node.target).items():
                if not name.startswith("_") and _is_literal(part):
                    entry.attributes.add(name=name, data=self.data.put(part))
        return index


def _form(node: Node) -> int:
    """Which of its callable's signatures a call follows; past the last one if none is known."""
    from ...calls.schemas import signatures

    forms, made_of = signatures(node.target), node.signature.parameters
    return next((i for i, form in enumerate(forms) if form.parameters is made_of), len(forms))


def _is_literal(part: Any) -> bool:
    if type(part) in (tuple, list):
        return len(part) <= 64 and all(map(_is_literal, part))
    return part is None or type(part) in (bool, int, float, str)


def _portable(file: str) -> str:
    """A path without the machine's part: relative to where Python found it."""
    roots = [root for root in sys.path if root and file.startswith(root + os.sep)]
    if roots:
        return file[len(max(roots, key=len)) + 1 :].replace(os.sep, "/")
    return os.path.basename(file)
