"""A Graph or a Program to a directory: messages, text, weights in safetensors, ``manifest.json``.

The directory appears whole or not at all: everything is written beside it and put in its place
by one rename. Nothing depends on the time or the machine; saving twice gives the same bytes.
"""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ...errors import Error
from ...graph import collector
from ...graph.graph import Graph
from ...graph.nodes import Node
from ...graph.program import Program
from . import manifest, schema
from .carried import lowered
from .digests import algorithm
from .directory import appearing_whole
from .encode import encode
from .mapped import File
from .weights import Stored, Window, share, write_shards

_SHARD = 5 << 30  # bytes of one weights file


def save(
    graph: Graph | Program,
    path: str | os.PathLike[str],
    *,
    weights: str | None = "copy",
    status: Mapping[Node, tuple[str, str]] | None = None,
    checksums: bool | str = True,
    shard: int = _SHARD,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Save as a directory that needs neither Python nor the model's source to be read.

    Args:
        graph: a captured or loaded graph, with its variants; or a Program, whose graphs share what
            weights are the same memory.
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
    path = Path(path)
    if path.exists() and not (path.is_dir() and (path / "manifest.json").exists()):
        raise Error(f"{path} exists and is no saved graph; nothing was written")
    kind = "graph" if isinstance(graph, Graph) else "program"
    message, graphs = _messages(graph)
    with collector.paused(), appearing_whole(path) as folder:
        sums = algorithm(checksums)
        files = _write_weights(graphs, message, folder, weights, sums, shard, progress)
        for one, its in graphs:
            encode(one, its, status or one.status)
        data = {
            f"{kind}.pb": message.SerializeToString(deterministic=True),
            f"{kind}.txt": (graph.text(defaults=True) + "\n").encode(),
        }
        for name, content in data.items():
            (folder / name).write_bytes(content)
            files[name] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        oldest = max((_minimum_reader(its) for _, its in graphs), default=5)
        manifest.write_manifest(folder, files, oldest if kind == "graph" else 5)


def _messages(graph: Graph | Program) -> tuple[Any, list[tuple[Graph, Any]]]:
    """The message of the whole, empty, and each graph with the part of it that is its own."""
    found: list[tuple[Graph, Any]] = []

    def gather(one: Graph, message: Any) -> None:
        found.append((lowered(one), message))
        for variant in one.variants:
            gather(variant, message.variants.add())

    if isinstance(graph, Graph):
        message = schema.Graph()
        gather(graph, message)
        return message, found
    message = schema.MESSAGES["program"](name=graph.name)
    for name, one in graph.items():
        entry = message.entries.add(name=name, module=graph.modules.get(name, ""))
        gather(one, entry.graph)
    return message, found


def _minimum_reader(message: Any) -> int:
    """The oldest version that understands all that a graph says; older ones refuse it."""
    numbers = {type.number for type in message.types}
    blocks = any(len(node.blocks) for node in message.nodes)
    more = len(message.variants) or len(message.left) or message.HasField("carried")
    more = more or blocks or "bool" in numbers
    if blocks and any(node.generator and node.goes_on for node in message.nodes):
        return 8
    if any(type.list and type.number for type in message.types) or any(
        node.memory for node in message.nodes
    ):
        return 7
    if any(node.escape == "error" for node in message.nodes):
        return 6
    if more or any(t.list for t in message.types):
        return 5
    if any(part.blake3 for constant in message.constants for part in constant.parts):
        return 4
    if len(message.live) or len(message.frozen) or numbers - {""}:
        return 3
    kept = len(message.kept) or len(message.audit.changes)
    return 2 if kept or any(node.escape == "about" for node in message.nodes) else 1


# --- weights ------------------------------------------------------------------------------------


def _write_weights(
    graphs: Sequence[tuple[Graph, Any]],
    message: Any,
    folder: Path,
    weights: str | None,
    checksums: str | None,
    shard: int,
    progress: Callable[[int, int], None] | None,
) -> dict[str, Any]:
    """Fill ``weight_files``, and ``constants`` of every graph; returns the manifest's entries."""
    referenced: dict[str, tuple[int, str]] = {}
    if weights is not None and weights.startswith("reference:"):
        referenced = _referenced(weights.removeprefix("reference:"), message)
    elif weights not in ("copy", None):
        raise Error(f"weights is 'copy', None or 'reference:FILES'; got {weights!r}")
    stored_here = [one for graph, _ in graphs for one in _chosen(graph, referenced, weights)]
    stored, windows = share(stored_here)
    total, done = sum(one.nbytes for one in stored), 0

    def count(bytes_written: int) -> None:
        nonlocal done
        done += bytes_written
        if progress is not None:
            progress(done, total)

    first = len(message.weight_files)
    names = write_shards(folder, stored, checksums, shard, count)
    message.weight_files.extend(name for name, _ in names)
    constants = [(value, tensor, its) for graph, its in graphs
                 for value, tensor in graph.constants.items()]  # fmt: skip
    for (value, tensor, its), parts in zip(constants, windows):
        entry = its.constants.add()
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
            found.update({key: (index, key) for key in File(Path(path)).entries})
    return found
