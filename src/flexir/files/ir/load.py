"""A saved directory to a Graph or a Program. Trusts nothing it reads, runs nothing it names.

Everything that is not as ``docs/format.md`` says is a :class:`FormatError` that names the file and
the field: sizes and checksums first, then every index, name, type and window, at last the graph's
own grammar. Weights are mapped; their checksums are compared when they are first used, or all at
once where there are few.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from ...errors import Error, FormatError
from ...graph import collector
from ...graph.geometry import Geometry
from ...graph.graph import Graph
from ...graph.nodes import Value
from ...graph.program import Program, same_tensor
from . import manifest as manifests
from . import schema
from .carried import raised
from .data import Vocabulary, torch_constant
from .decode import decode
from .digests import kept_in
from .directory import aside_of
from .mapped import Assembly, File, Part, Weights

_SMALL = 64 << 20  # bytes of weights up to which all are checked at once


def load(
    path: str | os.PathLike[str],
    *,
    check: bool | None = None,
    weights: str | os.PathLike[str] | None = None,
    functions: Mapping[str, Callable[..., Any]] | None = None,
    imports: Collection[str] = (),
) -> Graph | Any:
    """Read a graph or a Program that ``save`` wrote. Needs none of the model's code.

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
        the Graph, ``graph(*inputs)`` replays it; or the Program, if that is what was saved.

    Raises:
        FormatError: anything about the files is not as it should be.
    """
    path, manifest, kind = _opened(Path(path))
    known = Vocabulary(dict(functions or {}), imports)
    file = f"{kind}.pb"
    with collector.paused():
        with _inside(f"{path.name}/{file}"):
            message = _parsed(path / file, kind, known)
            stored = _StoredWeights(path, manifest, message, weights)
            loaded = (_graph if kind == "graph" else _program)(message, known, stored)
        total = sum(e["size"] for n, e in manifest["files"].items() if n.endswith(".safetensors"))
        if check or (check is None and total <= _SMALL):
            for constants in stored.made:
                constants.check()
    return loaded


@contextlib.contextmanager
def _inside(where: str) -> Iterator[None]:
    """Whatever is wrong in the block is a FormatError that begins with ``where``."""
    try:
        yield
    except FormatError as error:
        raise FormatError(f"{where}: {error}") from error.__cause__
    except (Error, RecursionError) as error:
        raise FormatError(f"{where}: {error}") from error


def _opened(path: Path) -> tuple[Path, dict[str, Any], str]:
    """Where the files are, their manifest, and whether they hold a graph or a program."""
    if not path.exists() and aside_of(path.absolute()).exists():  # a save was cut off here
        path = aside_of(path.absolute())
    manifest, kind = manifests.read(path)
    for name, entry in manifest["files"].items():
        manifests.check_file(path, name, entry)
    return path, manifest, kind


def _parsed(file: Path, kind: str, known: Vocabulary) -> Any:
    """The message of a file; ``known`` is told whether that is newer, and how large it is."""
    data = file.read_bytes()
    try:
        message, known.newer = schema.parse_message(kind, data)
    except Exception as error:  # the parser's own error type differs between protobuf versions
        raise FormatError(str(error)) from error
    # A part takes a byte or more; parts that several entries mention are counted for each of them.
    known.budget = 1000 + 16 * len(data)
    return message


def _program(message: Any, known: Vocabulary, stored: _StoredWeights) -> Program:
    program = Program(message.name, {})
    for entry in message.entries:
        with _inside(f"the entry point {entry.name!r}"):
            if entry.name in program.graphs:
                raise FormatError("it is there twice")
            if len(entry.graph.weight_files):
                raise FormatError("weight_files: they are those of the whole program")
            program.graphs[entry.name] = _graph(entry.graph, known, stored)
            if entry.module:
                program.modules[entry.name] = entry.module
    program.check(stored.same)
    return program


def _graph(message: Any, known: Vocabulary, stored: _StoredWeights) -> Graph:
    """A graph with its variants and constants."""
    graph, values = decode(message, known)
    graph.constants = stored.constants(message, values)
    for number, other in enumerate(message.variants):
        with _inside(f"variants[{number}]"):
            if len(other.variants) or len(other.weight_files):
                raise FormatError("it has variants or weight_files of its own")
            graph.variants.append(_graph(other, known, stored))
    raised(graph)
    return graph.check()


# --- weights --------------------------------------------------------------------------------------


class _StoredWeights:
    """The weights of a directory, mapped and not yet read; graphs share them.

    Attributes:
        made: the constants of each graph.
    """

    def __init__(self, path: Path, manifest: dict[str, Any], message: Any, given: Any) -> None:
        self.files: list[File | None] = []
        self.made: list[Weights] = []
        self.windows: dict[tuple[Any, ...], tuple[Geometry, int]] = {}  # with where each ends
        self.hint = ""
        for name in message.weight_files:
            if name in manifest["files"]:
                self.files.append(File(path / name))
            elif given is None:
                self.files.append(None)
                self.hint = f", but in {name}: load(path, weights=<its folder, or 'recorded'>)"
            else:
                there = Path(name) if given == "recorded" else Path(given, os.path.basename(name))
                self.files.append(File(there))

    def constants(self, message: Any, values: list[Value]) -> Weights:
        """The constants of one graph."""
        made = Weights(beside=self.made[0] if self.made else None)
        made.hint = self.hint
        kept = made.parts
        try:
            for value, entry in zip(values, message.constants):
                if value in kept:
                    raise FormatError(f"{value!r} is there twice")
                parts = self._parts(entry.parts)
                assembly = Assembly(entry.layout, entry.requires_grad, entry.coalesced)
                _check_parts(value, parts, assembly.layout)
                kept[value] = (parts, assembly)
        except FormatError as error:
            raise FormatError(f"constants[{len(kept)}]: {error}") from error.__cause__
        self.made.append(made)
        return made

    def _parts(self, entries: Any) -> list[Part]:
        parts: list[Part] = []
        for entry in entries:
            if entry.file >= len(self.files):
                raise FormatError(f"parts: there are {len(self.files)} weights files")
            key = entry.dtype, tuple(entry.size[:]), tuple(entry.stride[:])
            where, end = self.windows.get(key) or self._window(key)
            file, offset = self.files[entry.file], entry.offset
            if file is not None:
                if offset + end > file.size(entry.key):
                    raise FormatError(f"its window leaves the stored tensor {entry.key!r}")
                parts.append(Part(file, entry.key, kept_in(entry), where, offset))
        return parts

    def _window(self, key: tuple[Any, ...]) -> tuple[Geometry, int]:
        """A window that no part had yet, and its end in bytes."""
        name, size, stride = key
        if len(size) != len(stride):
            raise FormatError("parts: size and stride differ in length")
        where = Geometry(torch_constant(name, torch.dtype), size, stride, 0)
        made = self.windows[key] = where, where.span()[1]
        return made

    def same(self, one: Graph, value: Value, other: Graph, twin: Value) -> bool:
        """Whether two constants are the same; those that lie in one place are, unread."""
        left, right = (self._lies(g, v) for g, v in ((one, value), (other, twin)))
        return left == right or same_tensor(one, value, other, twin)

    def _lies(self, graph: Graph, value: Value) -> list[Part]:
        """Where a constant lies."""
        weights = graph.constants
        assert isinstance(weights, Weights)
        return weights.parts[value][0]


def _check_parts(value: Value, parts: list[Part], layout: str) -> None:
    if not parts:
        return
    if layout:
        if len(parts) not in (2, 3):
            raise FormatError(f"{len(parts)} parts of a {layout} tensor")
        return
    window = parts[0].where
    if len(parts) != 1 or window.size != value.type.shape or window.dtype != value.type.dtype:
        raise FormatError(f"the stored tensor is not a {value.type}")
