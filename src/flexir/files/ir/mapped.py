"""Tensors from safetensors files: mapped, never copied whole, each checked by its own checksum.

A file's header says where the bytes of each tensor lie; they are touched, and their checksum
compared, when the tensor is first asked for. Comparing all checksums makes no tensor.
"""

from __future__ import annotations

import ctypes
import json
import math
from collections.abc import Iterator, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ...errors import FormatError
from ...graph.geometry import Geometry
from ...graph.nodes import TensorType, Value
from .digests import Digest, digest_of
from .weights import ALIGNED, COMPRESSED, DTYPES, LARGE, THREADS

_INT = frozenset({int})
_SMALL = 1 << 24  # bytes up to which a tensor that lies badly is copied


class File:
    """One mapped safetensors file.

    Attributes:
        path: where it is.
        entries: what its header says of every tensor, by its key; not looked at yet.
        sizes: bytes of the tensors that were looked at, by their keys.
        unharmed: key and checksum of those whose bytes have it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sizes: dict[str, int] = {}
        self.unharmed: set[tuple[str, Digest]] = set()
        try:
            with path.open("rb") as file:
                length = path.stat().st_size
                header = int.from_bytes(file.read(8), "little")
                if header > length - 8:
                    raise FormatError(f"{path.name}: its header is longer than the file")
                found = json.loads(file.read(header))
            # Private: what is written to a tensor does not reach the file.
            self.memory = torch.UntypedStorage.from_file(str(path), False, length)
        except (OSError, ValueError, RecursionError, RuntimeError) as error:
            raise FormatError(f"{path.name}: {error}") from error
        if not isinstance(found, dict):
            raise FormatError(f"{path.name}: its header is no table")
        found.pop("__metadata__", None)
        self.entries: dict[str, Any] = found
        self.start = 8 + header
        whole = (ctypes.c_char * length).from_address(self.memory.data_ptr())
        self.data = memoryview(whole).cast("B")

    def size(self, key: str) -> int:
        """How many bytes a stored tensor has, all of them in the file."""
        size = self.sizes.get(key)
        if size is None:
            size = self.sizes[key] = self._size(key)
        return size

    def _size(self, key: str) -> int:
        if key not in self.entries:
            raise FormatError(f"{self.path.name} holds no tensor {key!r}")
        try:
            entry = self.entries[key]
            dtype, shape, (low, high) = entry["dtype"], entry["shape"], entry["data_offsets"]
            sound = _INT.issuperset(map(type, (low, high, *shape)))
            sound = sound and 0 <= low <= high <= len(self.data) - self.start
            sound = sound and (not shape or 0 <= min(shape) <= max(shape) < 1 << 63)
            known = DTYPES.get(dtype)
        except (TypeError, ValueError, KeyError) as error:
            raise FormatError(f"{self.path.name}: {key!r} is described wrongly") from error
        if known is None:
            raise FormatError(f"{self.path.name}: {key!r} has an unknown dtype")
        if not sound or math.prod(shape) * known.itemsize != high - low:
            raise FormatError(f"{self.path.name}: the bytes of {key!r} are not where it says")
        return int(high - low)

    def compare(self, key: str, digest: Digest) -> None:
        """FormatError if a tensor's bytes do not have this checksum."""
        if (key, digest) in self.unharmed:
            return
        size, low = self.size(key), self.start + self.entries[key]["data_offsets"][0]
        if digest_of(self.data[low : low + size], digest.name) != digest:
            raise FormatError(
                f"{self.path.name}: the bytes of {key!r} do not match their {digest.name} checksum"
            )
        self.unharmed.add((key, digest))

    def tensor(self, key: str) -> torch.Tensor:
        """The mapped tensor."""
        size, entry = self.size(key), self.entries[key]
        low = self.start + entry["data_offsets"][0]
        made: Any = torch.empty(0, dtype=DTYPES[entry["dtype"]])
        try:
            found: torch.Tensor = made.set_(self.memory[low : low + size], 0, tuple(entry["shape"]))
            return found
        except RuntimeError as error:  # the product of sizes is small, but not that of some of them
            raise FormatError(f"{self.path.name}: {key!r} has no such shape: {error}") from error


class Part(NamedTuple):
    """Where one part of a constant is."""

    file: File
    key: str
    digest: Digest | None
    where: Geometry
    offset: int


class Assembly(NamedTuple):
    """How a constant is made of its parts: one is the tensor, several are a sparse one's."""

    layout: str
    requires_grad: bool
    coalesced: bool


_PLAIN = Assembly("", False, False)


class Weights(MutableMapping[Value, torch.Tensor]):
    """Value -> tensor, read and checked when first asked for."""

    def __init__(self, beside: Weights | None = None) -> None:
        """No constants yet.

        Args:
            beside: those of another graph of the directory: what both name is one tensor.
        """
        self.parts: dict[Value, tuple[list[Part], Assembly]] = {}
        self.made: dict[Value, torch.Tensor] = {}
        self.opened: dict[tuple[Path, str], torch.Tensor] = {} if beside is None else beside.opened
        self.shared: dict[Any, torch.Tensor] = {} if beside is None else beside.shared
        self.hint = ""

    def __getitem__(self, value: Value) -> torch.Tensor:
        made = self.made.get(value)
        if made is None:
            parts, assembly = self.parts[value]
            key = (value.name, value.type, *parts, assembly)
            made = self.shared.get(key)
            if made is None:
                made = self.shared[key] = self._make(value, parts, assembly)
            self.made[value] = made
        return made

    def __setitem__(self, value: Value, tensor: torch.Tensor) -> None:
        self.parts.setdefault(value, ([], _PLAIN))
        self.made[value] = tensor

    def __delitem__(self, value: Value) -> None:
        del self.parts[value]
        self.made.pop(value, None)

    def __iter__(self) -> Iterator[Value]:
        return iter(self.parts)

    def __len__(self) -> int:
        return len(self.parts)

    def __contains__(self, value: object) -> bool:
        return value in self.parts

    def digest(self, value: Value) -> Digest | None:
        """The stored checksum of a constant that is one whole stored tensor."""
        parts, _ = self.parts[value]
        return parts[0].digest if len(parts) == 1 and value not in self.made else None

    def check(self) -> None:
        """Compare every checksum now; FormatError at the first that differs."""
        parts = (part for parts, _ in self.parts.values() for part in parts)
        large = []
        for file, key, digest in dict.fromkeys((p.file, p.key, p.digest) for p in parts):
            if digest is not None and file.size(key) >= LARGE:
                large.append((file, key, digest))
            elif digest is not None:
                file.compare(key, digest)
        with ThreadPoolExecutor(THREADS) as pool:
            for _ in pool.map(lambda one: one[0].compare(*one[1:]), large):
                pass

    def _make(self, value: Value, parts: list[Part], assembly: Assembly) -> torch.Tensor:
        type = value.type
        if not parts:
            if type.device.type != "meta":
                raise FormatError(f"the data of {value!r} is not in this directory{self.hint}")
            return torch.empty(type.shape, dtype=type.dtype, device="meta")
        windows = [_window(self._stored(part), part) for part in parts]
        tensor = windows[0]
        if assembly.layout in COMPRESSED:
            tensor = _sparse(type, windows, assembly)
        if type.device.type not in ("cpu", "meta"):
            tensor = tensor.to(type.device)
        # No view of the file's memory: views of a leaf require grad, and kernels look at that.
        return torch.nn.Parameter(tensor) if assembly.requires_grad else tensor

    def _stored(self, part: Part) -> torch.Tensor:
        known = (part.file.path, part.key)
        tensor = self.opened.get(known)
        if tensor is None:
            if part.digest is not None:
                part.file.compare(part.key, part.digest)
            tensor = part.file.tensor(part.key)
            if tensor.data_ptr() % ALIGNED and tensor.nbytes < _SMALL:
                tensor = tensor.clone()  # kernels round otherwise on memory that lies otherwise
            self.opened[known] = tensor  # mapped, so it costs nothing to keep
        return tensor


def _window(stored: torch.Tensor, part: Part) -> torch.Tensor:
    where = part.where
    if stored.dtype == where.dtype and stored.shape == where.size:
        if stored.stride() == where.stride and not where.offset and not part.offset:
            return stored
    size = where.dtype.itemsize
    start = stored.storage_offset() * stored.element_size() + part.offset
    if start % size:
        stored, start = stored.clone(), part.offset
        if start % size:
            block = stored.reshape(-1).view(torch.uint8)
            stored, start = block[start:].clone(), 0
    made = torch.empty(0, dtype=where.dtype)
    return made.set_(stored.untyped_storage(), start // size, where.size, where.stride)


def _sparse(type: TensorType, parts: list[torch.Tensor], assembly: Assembly) -> torch.Tensor:
    layout = COMPRESSED[assembly.layout]
    if layout is torch.sparse_coo:
        made = torch.sparse_coo_tensor(parts[0], parts[1], type.shape, check_invariants=True)
        return made.coalesce() if assembly.coalesced else made
    compressed, plain, values = parts
    return torch.sparse_compressed_tensor(
        compressed, plain, values, type.shape, layout=layout, check_invariants=True
    )
