"""Tensors to safetensors files: what is stored, and streaming it out with a checksum of each.

Never holds a second copy of the weights: a tensor's bytes go from its memory to the file.
What shares memory is stored once, as one stored tensor with strided windows on it. Reading them is
:mod:`.mapped`.
"""

from __future__ import annotations

import collections
import ctypes
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from ...errors import Error
from ...graph.check import free_name
from ...graph.geometry import Geometry, geometry
from .digests import Digest, Running

_NAMES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8",
    torch.uint64: "U64", torch.uint32: "U32", torch.uint16: "U16", torch.uint8: "U8",
    torch.bool: "BOOL", torch.complex64: "C64", torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
}  # fmt: skip
DTYPES = {text: dtype for dtype, text in _NAMES.items()}
_COMPONENTS = {
    torch.sparse_coo: ("_indices", "_values"),
    torch.sparse_csr: ("crow_indices", "col_indices", "values"),
    torch.sparse_csc: ("ccol_indices", "row_indices", "values"),
    torch.sparse_bsr: ("crow_indices", "col_indices", "values"),
    torch.sparse_bsc: ("ccol_indices", "row_indices", "values"),
}
COMPRESSED = {str(layout).removeprefix("torch."): layout for layout in _COMPONENTS}
THREADS = min(8, os.cpu_count() or 1)
ALIGNED = 64  # bytes; what torch's CPU allocator aligns to
LARGE = 1 << 20  # bytes from which a tensor is left to another thread
_CHUNK = 1 << 18  # bytes summed and then written while they are in the processor's cache


# --- what to store ------------------------------------------------------------------------------


class Stored:
    """One tensor of a file; ``tensor`` is contiguous, or made so when it is written."""

    __slots__ = ("digest", "file", "key", "tensor")

    def __init__(self, key: str, tensor: torch.Tensor) -> None:
        self.key, self.tensor = key, tensor
        self.digest: Digest | None = None
        self.file = 0

    @property
    def nbytes(self) -> int:
        return self.tensor.numel() * self.tensor.element_size()


class Window(NamedTuple):
    """A constant, or one component of a sparse one, as a strided view of a stored tensor."""

    stored: Stored
    where: Geometry
    offset: int


def share(
    constants: Sequence[tuple[str, torch.Tensor]],
) -> tuple[list[Stored], list[list[Window]]]:
    """Decide what is stored: memory that constants share is stored once, under the first's name.

    Args:
        constants: (name, tensor) of each; of several graphs, what bears one name may be another
            tensor in each, and is stored under a name of its own.

    Returns:
        the stored tensors, and for every constant its windows (none on the meta device).
    """
    pieces: list[tuple[int, str, torch.Tensor]] = []  # (constant, key, plain strided tensor)
    for number, (name, tensor) in enumerate(constants):
        for key, part in _components(name, tensor):
            pieces.append((number, key, part))
    groups: dict[int, list[tuple[int, str, torch.Tensor, Geometry]]] = {}
    for place, (_, key, part) in enumerate(pieces):
        storage = part.untyped_storage()
        groups.setdefault(storage._cdata, []).append((place, key, part, geometry(part)))
    windows: list[list[Window]] = [[] for _ in constants]
    stored: list[Stored] = []
    found: dict[int, Window] = {}
    taken, given = {key for _, key, _ in pieces}, set[str]()
    for members in groups.values():
        for overlapping in _overlapping(members):
            one = _store(overlapping)
            if one.key in given:
                one.key = free_name(one.key, taken)
            given.add(one.key)
            stored.append(one)
            low = overlapping[0][3].span()[0]
            for place, _, _, where in overlapping:
                found[place] = Window(one, where, where.span()[0] - low)
    for place, (number, _, _) in enumerate(pieces):
        windows[number].append(found[place])
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


def write_shards(
    folder: Path,
    stored: Sequence[Stored],
    checksums: str | None,
    shard: int,
    progress: Callable[[int], None],
) -> list[tuple[str, str]]:
    """Write shards of at most ``shard`` bytes.

    Args:
        folder: where.
        stored: what; it is told its checksum and file.
        checksums: which function makes them, or None.
        shard: bytes.
        progress: told how many bytes more are written.

    Returns:
        (file name, SHA-256 of its header) of every file.
    """
    shards: list[list[Stored]] = []
    room = -1
    # Multiples of 64 bytes first, so that they lie as torch's allocator would put them, where
    # kernels are fastest and give the same bits; then the widest types, each at its item size.
    for one in sorted(stored, key=lambda s: (s.nbytes % ALIGNED > 0, -s.tensor.element_size())):
        if not shards or one.nbytes > room:
            shards.append([])
            room = shard
        shards[-1].append(one)
        one.file = len(shards) - 1
        room -= one.nbytes
    files = []
    with ThreadPoolExecutor(THREADS) as pool:
        for number, group in enumerate(shards, 1):
            name = f"weights-{number:05}.safetensors"
            header = _header(group)
            with open(folder / name, "wb", buffering=0) as file:
                # A file that has its length already is written faster than one that grows.
                file.truncate(len(header) + sum(one.nbytes for one in group))
                file.write(header)
                _write_all(file.fileno(), group, pool, checksums, progress)
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
    text += b" " * (-(len(text) + 8) % ALIGNED)
    return len(text).to_bytes(8, "little") + text


def _write_all(
    file: int,
    group: Sequence[Stored],
    pool: ThreadPoolExecutor,
    checksums: str | None,
    progress: Callable[[int], None],
) -> None:
    """Write tensors one after the other, from where the file stands, large ones side by side."""
    waiting: collections.deque[tuple[Stored, torch.Tensor, Future[Digest | None]]] = (
        collections.deque()
    )

    def collect(most: int) -> None:
        while len(waiting) > most:
            one, tensor, digest = waiting.popleft()  # the tensor is kept until here
            one.digest = digest.result()
            progress(tensor.nbytes)

    place = os.lseek(file, 0, os.SEEK_CUR)
    for one in group:
        tensor = one.tensor.cpu().contiguous()
        data = bytes_of(tensor)
        if len(data) >= LARGE:
            waiting.append((one, tensor, pool.submit(_write_one, file, data, place, checksums)))
        else:
            one.digest = _write_one(file, data, place, checksums)
            progress(len(data))
        place += len(data)
        collect(THREADS)
    collect(0)


def _write_one(file: int, data: memoryview, place: int, checksums: str | None) -> Digest | None:
    """Write bytes at a place of a file; their checksum."""
    running = None if checksums is None else Running(checksums)
    for start in range(0, len(data), _CHUNK):
        chunk = data[start : start + _CHUNK]
        if running is not None:
            running.update(chunk)
        written = 0
        while written < len(chunk):
            written += os.pwrite(file, chunk[written:], place + start + written)
    return None if running is None else running.digest()


def bytes_of(tensor: torch.Tensor) -> memoryview:
    """The memory of a contiguous CPU tensor; valid while the tensor lives."""
    size = tensor.numel() * tensor.element_size()
    if not size:
        return memoryview(b"")
    return memoryview((ctypes.c_char * size).from_address(tensor.data_ptr())).cast("B")
