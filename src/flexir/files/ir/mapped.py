"""Tensors from safetensors files: mapped, never copied whole, each checked by its own checksum.

A tensor is touched, and its checksum compared, when it is first asked for.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ...errors import FormatError
from ...graph.geometry import Geometry
from ...graph.nodes import TensorType, Value
from .digests import Digest, digest_of
from .weights import ALIGNED, COMPRESSED, DTYPES, bytes_of

_SMALL = 1 << 24  # bytes up to which a tensor that lies badly is copied


class File:
    """One mapped safetensors file.

    Attributes:
        sizes: bytes of every tensor by its key; None where its dtype is unknown.
    """

    def __init__(self, path: Path) -> None:
        from safetensors import SafetensorError, safe_open

        self.path = path
        try:
            handle: Any = safe_open(str(path), "pt")
            self.handle = handle
            self.sizes = {key: _size(handle.get_slice(key)) for key in handle.keys()}
        except (SafetensorError, OSError) as error:
            raise FormatError(f"{path.name}: {error}") from error

    def size(self, key: str) -> int:
        """How many bytes a stored tensor has."""
        size = self.sizes.get(key)
        if size is None:
            raise FormatError(
                f"{self.path.name}: {key!r} has an unknown dtype" if key in self.sizes
                else f"{self.path.name} holds no tensor {key!r}"
            )  # fmt: skip
        return size

    def tensor(self, key: str) -> torch.Tensor:
        """The mapped tensor."""
        self.size(key)
        made: torch.Tensor = self.handle.get_tensor(key)
        return made


def _size(stored: Any) -> int | None:
    """Bytes of what the header says of a tensor."""
    dtype = DTYPES.get(stored.get_dtype())
    return None if dtype is None else math.prod(stored.get_shape()) * dtype.itemsize


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
        for parts, _ in self.parts.values():
            for part in parts:
                self._stored(part)

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
            tensor = part.file.tensor(part.key)
            kept = part.digest
            if kept is not None and digest_of(bytes_of(tensor), kept.name) != kept:
                raise FormatError(
                    f"{part.file.path.name}: the bytes of {part.key!r} do not match their "
                    f"{kept.name} checksum"
                )
            if tensor.data_ptr() % ALIGNED and tensor.nbytes < _SMALL:
                tensor = tensor.clone()  # kernels round otherwise on memory that lies otherwise
            self.opened[known] = tensor  # mapped, so it costs nothing to keep
        return tensor


def check_part(part: Part) -> None:
    """FormatError if a window does not lie inside its stored tensor."""
    if part.offset + part.where.span()[1] > part.file.size(part.key):
        raise FormatError(f"its window leaves the stored tensor {part.key!r}")


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
