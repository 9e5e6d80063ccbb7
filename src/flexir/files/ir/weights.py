"""Tensors in safetensors files: streamed out, mapped in, every one checked by its own SHA-256.

Writing never holds a second copy of the weights: a tensor's bytes go from its memory to the file.
What shares memory is stored once, as one stored tensor with strided windows on it. Reading maps
the files; a tensor is touched, and its checksum compared, when it is first asked for.
"""

from __future__ import annotations

import collections
import ctypes
import hashlib
import json
import os
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from ...errors import Error, FormatError
from ...graph.geometry import Geometry, geometry
from ...graph.nodes import TensorType, Value

_NAMES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8",
    torch.uint64: "U64", torch.uint32: "U32", torch.uint16: "U16", torch.uint8: "U8",
    torch.bool: "BOOL", torch.complex64: "C64", torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
}  # fmt: skip
_DTYPES = {text: dtype for dtype, text in _NAMES.items()}
_COMPONENTS = {
    torch.sparse_coo: ("_indices", "_values"),
    torch.sparse_csr: ("crow_indices", "col_indices", "values"),
    torch.sparse_csc: ("ccol_indices", "row_indices", "values"),
    torch.sparse_bsr: ("crow_indices", "col_indices", "values"),
    torch.sparse_bsc: ("ccol_indices", "row_indices", "values"),
}
_COMPRESSED = {str(layout).removeprefix("torch."): layout for layout in _COMPONENTS}
_THREADS = min(8, os.cpu_count() or 1)
_ALIGNED = 64  # bytes; what torch's CPU allocator aligns to
_SMALL = 1 << 24  # bytes up to which a tensor that lies badly is copied
_LARGE = 1 << 20  # bytes from which a checksum is left to another thread


# --- what to store ------------------------------------------------------------------------------


class Stored:
    """One tensor of a file; ``tensor`` is contiguous, or made so when it is written."""

    __slots__ = ("digest", "file", "key", "tensor")

    def __init__(self, key: str, tensor: torch.Tensor) -> None:
        self.key, self.tensor = key, tensor
        self.digest, self.file = b"", 0

    @property
    def nbytes(self) -> int:
        return self.tensor.numel() * self.tensor.element_size()


class Window(NamedTuple):
    """A constant, or one component of a sparse one, as a strided view of a stored tensor."""

    stored: Stored
    where: Geometry
    offset: int


def plan(constants: Sequence[tuple[str, torch.Tensor]]) -> tuple[list[Stored], list[list[Window]]]:
    """Decide what is stored: memory that constants share is stored once.

    Returns:
        the stored tensors, and for every constant its windows (none on the meta device).
    """
    pieces: list[tuple[int, str, torch.Tensor]] = []  # (constant, key, plain strided tensor)
    for number, (name, tensor) in enumerate(constants):
        for key, part in _components(name, tensor):
            pieces.append((number, key, part))
    groups: dict[int, list[tuple[int, str, torch.Tensor, Geometry]]] = {}
    for number, key, part in pieces:
        storage = part.untyped_storage()
        groups.setdefault(storage._cdata, []).append((number, key, part, geometry(part)))
    windows: list[list[Window]] = [[] for _ in constants]
    stored: list[Stored] = []
    found: list[tuple[int, int, Window]] = []
    position = {key: place for place, (_, key, _) in enumerate(pieces)}
    for members in groups.values():
        for overlapping in _overlapping(members):
            one = _store(overlapping)
            stored.append(one)
            low = overlapping[0][3].span()[0]
            for number, key, _, where in overlapping:
                window = Window(one, where, where.span()[0] - low)
                found.append((position[key], number, window))
    for _, number, window in sorted(found, key=lambda item: item[0]):
        windows[number].append(window)
    return stored, windows


def _components(name: str, tensor: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
    """The plain strided tensors a constant is made of."""
    if tensor.device.type == "meta":
        return
    tensor = tensor.detach()
    if tensor.layout in _COMPONENTS:
        for part in _COMPONENTS[tensor.layout]:
            yield f"{name}.{part.strip('_')}", getattr(tensor, part)()
        return
    odd = tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_nested
    if odd or is_traceable_wrapper_subclass(tensor):
        raise Error(f"the constant {name!r} is a {tensor.layout} {type(tensor).__name__}; only "
                    "plain dense and sparse tensors can be saved")  # fmt: skip
    if type(tensor) not in (torch.Tensor, torch.nn.Parameter):
        tensor = tensor.as_subclass(torch.Tensor)
    yield name, tensor.resolve_conj().resolve_neg()


def _overlapping(members: list[Any]) -> Iterator[list[Any]]:
    """Members of one storage in groups whose byte ranges overlap."""
    group: list[Any] = []
    reach = -1
    for member in sorted(members, key=lambda m: m[3].span()):
        low, high = member[3].span()
        if group and low >= reach:
            yield group
            group = []
        group.append(member)
        reach = max(reach, high)
    if group:
        yield group


def _store(group: list[Any]) -> Stored:
    """The one tensor that holds a group."""
    _, key, tensor, where = group[0]
    if len(group) == 1:
        if tensor.is_contiguous():
            return Stored(key, tensor)
        order = sorted(range(tensor.ndim), key=lambda d: -where.stride[d])
        if tensor.permute(order).is_contiguous():  # dense, laid out otherwise: channels_last
            return Stored(key, tensor.permute(order))
    low = where.span()[0]
    high = max(member[3].span()[1] for member in group)
    dtype = tensor.dtype if all(m[3].dtype == tensor.dtype for m in group) else torch.uint8
    size = dtype.itemsize
    if low % size or (high - low) % size:
        dtype, size = torch.uint8, 1
    block = torch.empty(0, dtype=dtype, device=tensor.device)
    block.set_(tensor.untyped_storage(), low // size, ((high - low) // size,), (1,))
    return Stored(key, block)


# --- writing ------------------------------------------------------------------------------------


def write(
    folder: Path,
    stored: Sequence[Stored],
    checksums: bool,
    shard: int,
    progress: Callable[[int], None],
) -> list[tuple[str, str]]:
    """Write shards of at most ``shard`` bytes.

    Returns:
        (file name, SHA-256 of its header) of every file.
    """
    shards: list[list[Stored]] = []
    room = -1
    # Multiples of 64 bytes first, so that they lie as torch's allocator would put them, where
    # kernels are fastest and give the same bits; then the widest types, each at its item size.
    for one in sorted(stored, key=lambda s: (s.nbytes % _ALIGNED > 0, -s.tensor.element_size())):
        if not shards or one.nbytes > room:
            shards.append([])
            room = shard
        shards[-1].append(one)
        one.file = len(shards) - 1
        room -= one.nbytes
    files = []
    with ThreadPoolExecutor(_THREADS) as pool:
        for number, group in enumerate(shards, 1):
            name = f"weights-{number:05}.safetensors"
            header = _header(group)
            with open(folder / name, "wb", buffering=0) as file:
                file.write(header)
                _write_all(file, group, pool if checksums else None, progress)
            files.append((name, hashlib.sha256(header).hexdigest()))
    return files


def _header(group: Sequence[Stored]) -> bytes:
    entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for one in group:
        entries[one.key] = {
            "dtype": _NAMES.get(one.tensor.dtype, "U8"),
            "shape": list(one.tensor.shape) if one.tensor.dtype in _NAMES else [one.nbytes],
            "data_offsets": [offset, offset + one.nbytes],
        }
        offset += one.nbytes
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 8) % _ALIGNED)
    return len(text).to_bytes(8, "little") + text


def _write_all(
    file: Any,
    group: Sequence[Stored],
    pool: ThreadPoolExecutor | None,
    progress: Callable[[int], None],
) -> None:
    waiting: collections.deque[tuple[Stored, torch.Tensor, Future[bytes]]] = collections.deque()

    def settle(most: int) -> None:
        while len(waiting) > most:
            one, _, digest = waiting.popleft()  # the tensor is kept until here
            one.digest = digest.result()

    for one in group:
        tensor = one.tensor.cpu().contiguous()
        data = bytes_of(tensor)
        if pool is None:
            pass
        elif len(data) >= _LARGE:
            waiting.append((one, tensor, pool.submit(_sha256, data)))
        else:
            one.digest = _sha256(data)
        written = 0
        while written < len(data):  # the kernel takes at most 2 GiB at a time
            written += file.write(data[written : written + (1 << 28)])
        progress(len(data))
        settle(_THREADS)
    settle(0)


def bytes_of(tensor: torch.Tensor) -> memoryview:
    """The memory of a contiguous CPU tensor; valid while the tensor lives."""
    size = tensor.numel() * tensor.element_size()
    if not size:
        return memoryview(b"")
    return memoryview((ctypes.c_char * size).from_address(tensor.data_ptr())).cast("B")


def _sha256(data: memoryview) -> bytes:
    return hashlib.sha256(data).digest()


# --- reading ------------------------------------------------------------------------------------


class File:
    """One mapped safetensors file."""

    def __init__(self, path: Path) -> None:
        from safetensors import SafetensorError, safe_open

        self.path = path
        try:
            self.handle = safe_open(str(path), "pt")
            self.keys = set(self.handle.keys())
        except (SafetensorError, OSError) as error:
            raise FormatError(f"{path.name}: {error}") from error

    def slice(self, key: str) -> Any:
        """What the header says of a key: ``get_shape()``, ``get_dtype()``."""
        if key not in self.keys:
            raise FormatError(f"{self.path.name} holds no tensor {key!r}")
        return self.handle.get_slice(key)

    def tensor(self, key: str) -> torch.Tensor:
        """The mapped tensor."""
        self.slice(key)
        return self.handle.get_tensor(key)


class Place(NamedTuple):
    """Where one part of a constant is."""

    file: File
    key: str
    sha256: bytes
    where: Geometry
    offset: int


class Weights(MutableMapping[Value, torch.Tensor]):
    """Value -> tensor, read and checked when first asked for."""

    def __init__(self) -> None:
        self.places: dict[Value, tuple[list[Place], Any]] = {}
        self.made: dict[Value, torch.Tensor] = {}
        self.opened: dict[tuple[Path, str], torch.Tensor] = {}
        self.hint = ""

    def __getitem__(self, value: Value) -> torch.Tensor:
        made = self.made.get(value)
        if made is None:
            places, rest = self.places[value]
            made = self.made[value] = self._make(value, places, rest)
        return made

    def __setitem__(self, value: Value, tensor: torch.Tensor) -> None:
        self.places.setdefault(value, ([], None))
        self.made[value] = tensor

    def __delitem__(self, value: Value) -> None:
        del self.places[value]
        self.made.pop(value, None)

    def __iter__(self) -> Iterator[Value]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)

    def __contains__(self, value: object) -> bool:
        return value in self.places

    def digest(self, value: Value) -> bytes | None:
        """The stored checksum of a constant that is one whole stored tensor."""
        places, _ = self.places[value]
        return places[0].sha256 if len(places) == 1 and value not in self.made else None

    def check(self) -> None:
        """Compare every checksum now; FormatError at the first that differs."""
        for places, _ in self.places.values():
            for place in places:
                self._stored(place)

    def _make(self, value: Value, places: list[Place], rest: Any) -> torch.Tensor:
        type = value.type
        if not places:
            if type.device.type != "meta":
                raise FormatError(f"the data of {value!r} is not in this directory{self.hint}")
            return torch.empty(type.shape, dtype=type.dtype, device="meta")
        parts = [_window(self._stored(place), place) for place in places]
        tensor = parts[0]
        if rest.layout in _COMPRESSED:
            tensor = _sparse(type, parts, rest)
        if type.device.type not in ("cpu", "meta"):
            tensor = tensor.to(type.device)
        # No view of the file's memory: views of a leaf require grad, and kernels look at that.
        return torch.nn.Parameter(tensor) if rest.requires_grad else tensor

    def _stored(self, place: Place) -> torch.Tensor:
        known = (place.file.path, place.key)
        tensor = self.opened.get(known)
        if tensor is None:
            tensor = place.file.tensor(place.key)
            if place.sha256 and _sha256(bytes_of(tensor)) != place.sha256:
                raise FormatError(
                    f"{place.file.path.name}: the bytes of {place.key!r} do not match their SHA-256"
                )
            if tensor.data_ptr() % _ALIGNED and tensor.nbytes < _SMALL:
                tensor = tensor.clone()  # kernels round otherwise on memory that lies otherwise
            self.opened[known] = tensor  # mapped, so it costs nothing to keep
        return tensor


def check_place(place: Place) -> None:
    """FormatError if a window does not lie inside its stored tensor."""
    stored = place.file.slice(place.key)
    count = 1
    for n in stored.get_shape():
        count *= n
    dtype = _DTYPES.get(stored.get_dtype())
    if dtype is None:
        raise FormatError(f"{place.file.path.name}: {place.key!r} has an unknown dtype")
    if place.offset + place.where.span()[1] > count * dtype.itemsize:
        raise FormatError(f"its window leaves the stored tensor {place.key!r}")


def _window(stored: torch.Tensor, place: Place) -> torch.Tensor:
    where = place.where
    if stored.dtype == where.dtype and stored.shape == where.size:
        if stored.stride() == where.stride and not where.offset and not place.offset:
            return stored
    size = where.dtype.itemsize
    start = stored.storage_offset() * stored.element_size() + place.offset
    if start % size:
        stored, start = stored.clone(), place.offset
        if start % size:
            block = stored.reshape(-1).view(torch.uint8)
            stored, start = block[start:].clone(), 0
    made = torch.empty(0, dtype=where.dtype)
    return made.set_(stored.untyped_storage(), start // size, where.size, where.stride)


def _sparse(type: TensorType, parts: list[torch.Tensor], rest: Any) -> torch.Tensor:
    layout = _COMPRESSED[rest.layout]
    if layout is torch.sparse_coo:
        made = torch.sparse_coo_tensor(parts[0], parts[1], type.shape, check_invariants=True)
        return made.coalesce() if rest.coalesced else made
    return torch.sparse_compressed_tensor(*parts, type.shape, layout=layout, check_invariants=True)
