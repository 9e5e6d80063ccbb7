"""Where tensors lie in memory, and the few torch functions that nodes derived from writes call.

Pure functions of tensors and geometries; no tables, no graph.
"""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from .nodes import TensorType

ADDRESSED = frozenset({"cpu", "cuda", "xpu"})  # devices on which a pointer is an address


class Geometry(NamedTuple):
    """Where in a storage a tensor lies; ``stride`` and ``offset`` count elements."""

    dtype: torch.dtype
    size: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int
    flags: int = 0  # 1 conjugated, 2 negated

    def span(self) -> tuple[int, int]:
        """First byte and end byte."""
        start = self.offset * self.dtype.itemsize
        if 0 in self.size:
            return start, start
        reach = sum((n - 1) * s for n, s in zip(self.size, self.stride)) + 1
        return start, start + reach * self.dtype.itemsize

    def is_contiguous(self) -> bool:
        """Whether the elements lie one after another in reading order."""
        expected = 1
        for n, s in zip(reversed(self.size), reversed(self.stride)):
            if n != 1 and s != expected:
                return False
            expected *= n
        return True

    def overlaps(self) -> bool:
        """Whether two elements may share memory (``expand``, sliding windows)."""
        reach = 0
        for stride, size in sorted((s, n) for s, n in zip(self.stride, self.size) if n > 1):
            if stride <= reach:
                return True
            reach += stride * (size - 1)
        return False


def geometry(tensor: torch.Tensor, shape: tuple[int, ...] | None = None) -> Geometry:
    """Where a tensor lies in its storage; ``shape`` is its own, if the caller has it at hand."""
    dtype, flags = tensor.dtype, 0
    if dtype.is_complex or tensor.is_neg():
        flags = tensor.is_conj() + 2 * tensor.is_neg()
    if shape is None:
        shape = tuple(tensor.shape)
    return _new(Geometry, (dtype, shape, tensor.stride(), tensor.storage_offset(), flags))


def tensor_type(tensor: torch.Tensor) -> TensorType:
    """The TensorType of a tensor; one object for all that are alike, as most of a graph are."""
    shape = shape_of(tensor) if tensor.is_nested else tuple(tensor.shape)
    key = tensor.dtype, shape, tensor.device
    known = _types.get(key)
    if known is None:
        if len(_types) >= _MANY:
            _types.clear()
        known = _types[key] = _new(TensorType, key)
    return known


_MANY = 4096
_types: dict[Any, TensorType] = {}


def shape_of(tensor: torch.Tensor) -> tuple[int, ...]:
    """The sizes of any tensor; -1 where the parts of a nested one differ."""
    if not tensor.is_nested:
        return tuple(tensor.shape)
    if tensor.layout is torch.strided:
        rows = tensor._nested_tensor_size().tolist()
        return len(rows), *(column[0] if len({*column}) == 1 else -1 for column in zip(*rows))
    return tuple(n if isinstance(n, int) else -1 for n in tensor.shape)


def dense(tensor: torch.Tensor) -> torch.Tensor:
    """All elements of a tensor of any kind as a plain one; those of a nested one in a row."""
    if tensor.is_nested:
        return torch.cat([t.reshape(-1) for t in tensor.unbind()])
    if tensor.is_quantized:
        return tensor.dequantize()
    return tensor.to_dense()


_new = tuple.__new__  # what the generated constructors of named tuples come down to


def copy_like(tensor: torch.Tensor, stride: Sequence[int] | None = None) -> torch.Tensor:
    """A copy of its own memory with the same strides, holes between elements included.

    One of a class of its own is copied as that class does it.
    """
    own = tensor.__class__ not in (torch.Tensor, torch.nn.Parameter)
    if own or tensor.is_nested or tensor.layout is not torch.strided:
        return tensor.clone()
    stride = tensor.stride() if stride is None else tuple(stride)
    if any(s == 0 and n > 1 for n, s in zip(tensor.shape, stride)):
        return tensor.clone()  # elements share memory: no layout of its own to keep
    made = torch.empty_strided(tensor.shape, stride, dtype=tensor.dtype, device=tensor.device)
    return made.copy_(tensor)


def _cut(storage: torch.UntypedStorage, where: Geometry, device: torch.device) -> torch.Tensor:
    made = torch.empty(0, dtype=where.dtype, device=device)
    made.set_(storage, where.offset, where.size, where.stride)
    if where.flags & 1:
        made = torch._conj(made)
    if where.flags & 2:
        made = torch._neg_view(made)
    return made


def _relative(dtype: torch.dtype, size: Any, stride: Any, offset: int, flags: int) -> Geometry:
    return Geometry(dtype, tuple(size), tuple(stride), offset, flags)


def as_strided(
    input: torch.Tensor,
    size: Sequence[int],
    stride: Sequence[int],
    storage_offset: int,
    input_stride: Sequence[int],
    dtype: torch.dtype,
    flags: int = 0,
) -> torch.Tensor:
    """The view of ``input``'s memory with this geometry.

    Unlike ``torch.as_strided``, the offset counts from the first element of ``input``, in units
    of ``dtype``, and ``input_stride`` says how the elements of ``input`` lie, whatever the
    strides of the tensor that arrives here.
    """
    base = input
    if (
        base.stride() != tuple(input_stride)
        or base.storage_offset()
        or base.is_conj()
        or base.is_neg()
    ):
        base = copy_like(base, input_stride)
    where = _relative(dtype, size, stride, storage_offset, flags)
    return _cut(base.untyped_storage(), where, base.device)


def as_strided_scatter(
    input: torch.Tensor,
    src: torch.Tensor,
    size: Sequence[int],
    stride: Sequence[int],
    storage_offset: int,
    input_stride: Sequence[int],
    dtype: torch.dtype,
    flags: int = 0,
) -> torch.Tensor:
    """A copy of ``input`` whose part with this geometry holds ``src``; see :func:`as_strided`."""
    made = copy_like(input, input_stride)
    where = _relative(dtype, size, stride, storage_offset, flags)
    _cut(made.untyped_storage(), where, made.device).copy_(src)
    return made


def assemble(
    tensors: Sequence[torch.Tensor], geometries: Sequence[tuple[Any, ...]], nbytes: int
) -> torch.Tensor:
    """One flat block of bytes in which every tensor lies at its geometry."""
    made = torch.zeros(nbytes, dtype=torch.uint8, device=tensors[0].device)
    for tensor, where in zip(tensors, geometries):
        _cut(made.untyped_storage(), Geometry(*where), made.device).copy_(tensor)
    return made


def setitem(input: torch.Tensor, indices: Any, value: Any) -> torch.Tensor:
    """A copy of ``input`` in which ``input[indices]`` is ``value``."""
    made = copy_like(input)
    made[indices] = value
    return made


def storage_of(tensor: torch.Tensor) -> torch.UntypedStorage | None:
    """The storage of a tensor, or None where there is none (sparse, and some subclasses)."""
    try:
        return tensor.untyped_storage()
    except (NotImplementedError, RuntimeError):
        return None


def where_of(tensor: torch.Tensor, shape: tuple[int, ...] | None = None) -> Geometry:
    """As :func:`geometry`, for tensors of any kind."""
    try:
        return geometry(tensor, shape)
    except (NotImplementedError, RuntimeError):  # no strides: sparse and nested tensors
        return Geometry(tensor.dtype, (), (), 0)


def digest(tensor: torch.Tensor) -> str:
    """A hash of all bytes of the tensor's storage."""
    storage = tensor.untyped_storage()
    block = torch.empty(0, dtype=torch.uint8, device=storage.device).set_(storage)
    return fingerprint(block)


def fingerprint(tensor: torch.Tensor) -> str:
    """A hash of a tensor's elements; empty where they cannot be read."""
    if tensor.device.type == "meta" or tensor.layout is not torch.strided or tensor.is_nested:
        return ""
    block = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous()
    block = torch.empty(0, dtype=torch.uint8).set_(
        block.untyped_storage(),
        block.storage_offset() * block.element_size(),
        (block.numel() * block.element_size(),),
        (1,),
    )
    return hashlib.blake2b(memoryview(_bytes(block)), digest_size=16).hexdigest()


def _bytes(block: torch.Tensor) -> bytes:
    if block.numel() == 0:
        return b""
    return ctypes.string_at(block.data_ptr(), block.numel())


def same_bytes(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Whether two contiguous CPU byte tensors are equal, found without calling torch."""
    return _bytes(a) == _bytes(b)


def hash_of(block: torch.Tensor) -> int:
    """A hash of a contiguous CPU byte tensor, made without calling torch; for this process only."""
    return hash(_bytes(block))
