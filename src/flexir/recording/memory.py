"""What is known of the memory of a run: storages, the pieces they hold, the tensors on them.

Data types only. A storage holds pieces (geometry -> the Value that stands there now); a tensor
object is an alias of one, its Value true as of an epoch of the storage's.

What always holds, and which functions change it:

===================== ========================================================== ==================
field                 means                                                      changed by
===================== ========================================================== ==================
``Memory.epoch``      writes so far; an alias with a smaller one is stale        ``ssa`` writes
``Memory.pieces``     cover every live tensor; disjoint once written, unless     ``ssa`` writes
                      a constant's                                               and ``define``
``Memory.known``      geometry -> one tensor there; those made equal are found   ``Tensors._know``,
                      by it; None while there is one tensor                      ``_bury``
``Memory.loose``      True once a tensor moved from or to here: counters are     ``ssa``, ``_move``
                      read anew, not compared
``Memory.owed``       how far a counter may have moved unseen (``mark_dirty``)   ``Tensors.owe``
``Alias.memory``      ``ALONE`` until something else looks at the storage        ``Tensors.memory``
``Alias.value``       what the tensor held at ``Alias.epoch``                    ``ssa``
``Alias.version``     torch's write counter as of the value; -1 where there is   ``ssa`` reads
                      none (inference); ``UNKNOWN`` until the next read sets it
``Alias.home``/``ref`` one of both: the storage while alone, else the tensor     ``Alias.share``
===================== ========================================================== ==================
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from ..graph.geometry import Geometry, storage_of, where_of
from ..graph.nodes import Node, TensorType, Value

_INTEGERS = frozenset({torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64})
UNKNOWN = -2  # autograd has yet to give the tensor its counter: below it, a view starts anew


def version(tensor: torch.Tensor) -> int:
    """The write counter torch keeps, or -1 for tensors that have none (inference mode)."""
    try:
        return tensor._version
    except RuntimeError:
        return -1


class Piece:
    """A part of a memory and the Value that stands there."""

    __slots__ = ("value", "where")

    def __init__(self, where: Geometry, value: Value) -> None:
        self.where, self.value = where, value


class Memory(Piece):
    """One storage: the piece it is, the further ones it seldom has, how often it was written.

    Most hold one tensor and are never written; those own nothing but a weak reference.
    """

    __slots__ = (
        "epoch", "kind", "known", "loose", "more", "nbytes", "owed", "shared", "storage", "values",
    )  # fmt: skip

    def __init__(
        self, storage: torch.UntypedStorage | None, kind: str, where: Geometry, value: Value
    ) -> None:
        self.where, self.value = where, value
        # Weak on the Python side: what keeps torch's own struct alive would lie scattered among
        # the activations and fragment the heap.
        self.storage = weakref.ref(storage) if storage is not None else nothing
        self.nbytes = storage.nbytes() if storage is not None else 0
        self.kind = kind  # "made", "input" or "constant"
        self.epoch = 0
        self.loose = False  # a tensor moved from or to here; its write counter counts elsewhere
        self.owed = 0  # writes that autograd counts once more, when its Function ends (mark_dirty)
        self.more: tuple[Piece, ...] = ()
        self.known: dict[Geometry, Alias] | None = None  # its tensors, if it has several
        self.values: tuple[Value, ...] = ()  # inputs and constants that lie here
        self.shared: str | None = None  # digest of the bytes when NumPy got hold of them

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """What the memory is made of; they may overlap if it is a constant's."""
        return (self, *self.more)

    def become(self, where: Geometry, value: Value) -> None:
        """Hold one piece, this one."""
        self.where, self.value, self.more = where, value, ()

    def forget(self, alias: Alias) -> None:
        """A tensor lies elsewhere from now on."""
        if self.known is not None and self.known.get(alias.where) is alias:
            del self.known[alias.where]

    def holder(self, where: Geometry) -> Piece | None:
        """The piece that holds this geometry, an equal one first."""
        if self.where == where:
            return self
        for piece in self.more:
            if piece.where == where:
                return piece
        start, end = where.span()
        for piece in self.pieces:
            low, high = piece.where.span()
            if low <= start and end <= high:
                return piece
        return None


def nothing() -> None:
    """What stands for a weak reference where there is no storage."""


class View:
    """The node that made one or more tensors as views, and the tensors it viewed.

    Kept by the tensors it made; it does not keep them. Where the tensors that say where it lies
    (``x[i]``, ``x.narrow(0, i, 2)``) hold something else, it lies elsewhere.
    """

    __slots__ = ("aliases", "bases", "loose", "memory", "node", "placed", "places")

    def __init__(
        self,
        node: Node,
        memory: Memory,
        bases: dict[Value, Alias],
        tensors: Sequence[tuple[torch.Tensor, Alias]] = (),
        live: bool = False,
    ) -> None:
        """``tensors``: those that the node was given; ``live``: sizes may turn out to vary."""
        self.node, self.memory, self.bases = node, memory, bases
        self.placed: list[tuple[Value, int]] = []  # tensors that say where, and what they are
        if len(tensors) > 1:  # one is what is viewed
            self.placed += _numbers_among(tensors, memory)
        # Whether it may lie elsewhere in what it views, or be less of it, than in this run.
        self.loose = live or bool(self.placed) or any(one.is_loose for one in bases.values())
        self.places = [base.where for base in bases.values()]
        self.aliases: list[weakref.ref[Alias]] = []

    def stands(self) -> bool:
        """Whether what was viewed lies where it lay: not so after ``t_``, or a new ``.data``."""
        return all(
            base.memory is self.memory and base.where == where
            for base, where in zip(self.bases.values(), self.places)
        )


def _numbers_among(
    tensors: Sequence[tuple[torch.Tensor, Alias]], memory: Memory
) -> Iterator[tuple[Value, int]]:
    """The tensors that a call may have taken for numbers, of those elsewhere than a memory."""
    for tensor, alias in tensors:
        if alias.memory is memory or alias.value.type.shape or type(tensor) is not torch.Tensor:
            continue
        if tensor.dtype in _INTEGERS and tensor.device.type != "meta":
            yield alias.value, int(tensor)


class Alias:
    """What one tensor object means: a geometry on a memory and its Value as of an epoch.

    Nearly every tensor is alone on its storage and never written. Its memory is then the one below,
    until something else looks at the storage.

    That an object is the one that was met is told by where it lies (``home``), as long as nothing
    else does: a weak reference to a tensor would keep it from being swapped
    (``torch.utils.swap_tensors``). Tensors of which several share a storage have one (``ref``).
    """

    __slots__ = (
        "__weakref__", "epoch", "home", "memory", "ref", "value", "version", "view", "where",
    )  # fmt: skip
    kind = "made"  # of the memory of a tensor that is alone

    def __init__(
        self,
        tensor: torch.Tensor,
        memory: Memory,
        where: Geometry,
        value: Value,
        view: View | None = None,
    ) -> None:
        self.home: Any = None
        self.ref: Any = weakref.ref(tensor)
        self.memory, self.where, self.value, self.view = memory, where, value, view
        self.epoch, self.version = memory.epoch, version(tensor)

    def is_of(self, tensor: torch.Tensor) -> bool:
        """Whether this object is the tensor that was met, and lies where that lay."""
        if self.home is None:
            return self.ref() is tensor
        if self.home() is not storage_of(tensor):
            return False
        return self.memory is ALONE or self.where == where_of(tensor)

    @property
    def is_current(self) -> bool:
        """Whether its Value is what it holds: its memory was not written since."""
        return self.epoch == self.memory.epoch

    @property
    def is_loose(self) -> bool:
        """Whether it may lie elsewhere than in this run, as tensors or sizes say."""
        return self.view is not None and self.view.loose

    def lies_at(self, where: Geometry) -> bool:
        """Whether it lies there, whatever tensors and sizes say."""
        return self.where == where and not self.is_loose

    def share(self, tensor: torch.Tensor) -> None:
        """Other tensors lie on its storage from now on."""
        if self.home is not None:
            self.home, self.ref = None, weakref.ref(tensor)


class Lone(Alias):
    """A tensor alone on its storage, as nearly all are.

    Noted of where it lies is what only the tensor can tell; a Geometry is made of it when another
    tensor comes to lie there, or it is written.
    """

    __slots__ = ("_where", "offset", "stride")

    def __init__(self, tensor: torch.Tensor, value: Value, home: Any) -> None:
        self.home, self.ref, self.memory, self.epoch = home, nothing, ALONE, 0
        self.value, self.view = value, None
        self.stride: tuple[int, ...] | None = None
        self._where: Geometry | None = None
        try:
            if value.type.dtype.is_complex or tensor.is_neg():
                self._where = where_of(tensor, value.type.shape)
            self.stride, self.offset = tensor.stride(), tensor.storage_offset()
        except (NotImplementedError, RuntimeError):  # no strides: nested tensors
            self._where = where_of(tensor, value.type.shape)
        try:  # as ``version``, for the many
            self.version = tensor._version
        except RuntimeError:
            self.version = -1

    @property
    def where(self) -> Geometry:
        """Where the tensor lay when it was met, or lies since a recorded call moved it."""
        where = self._where
        if where is None:
            type = self.value.type
            assert self.stride is not None
            where = Geometry(type.dtype, type.shape, self.stride, int(self.offset))
            self._where = where
        return where

    @where.setter
    def where(self, where: Geometry) -> None:
        self._where = where


class LoneConstant(Lone):
    """A tensor from before the run.

    Its storage is kept: if the object is swapped, what it held is still a constant of the graph.
    """

    __slots__ = ("storage", "tensor")
    kind = "constant"

    def __init__(self, tensor: torch.Tensor, storage: torch.UntypedStorage, value: Value) -> None:
        super().__init__(tensor, value, weakref.ref(storage))
        self.tensor, self.storage, self.ref = tensor, storage, lambda: tensor

    def share(self, tensor: torch.Tensor) -> None:
        """Nothing to do: it is told by where it lies in any case, for it may be swapped."""

    def as_met(self) -> torch.Tensor:
        """A tensor that holds what the object held."""
        made = torch.empty(0, dtype=self.value.type.dtype, device=self.value.type.device)
        assert self.stride is not None
        return made.set_(self.storage, self.offset, self.value.type.shape, self.stride)


ALONE = Memory(
    None, "made", Geometry(torch.uint8, (), (), 0),
    Value("", TensorType(torch.uint8, (), torch.device("meta"))),
)  # fmt: skip
