"""Values that know arithmetic, and sizes that are known when the file is run.

A size of a value is an ``int``, or a :class:`Size`. Handlers compute with either in the same words:
``n * m`` of two ints is an int, else a node. What would need the number now (a loop, a table of
places, a comparison) is refused, so no handler takes the recorded size for the size.
"""

from __future__ import annotations

from typing import Any, NoReturn

import onnx_ir as ir
import torch

from flexir import Unsupported

UNKNOWN = "it would be another for another size, and that is not known yet"


class Arithmetic:
    """What nodes can compute as Python computes with ints and floats."""

    @property
    def scalar(self) -> Tensor:
        """As a value without dimensions."""
        raise NotImplementedError

    def __add__(self, other: Any) -> Any:
        return self if other.__class__ is int and not other else _node("Add", self, other)

    def __sub__(self, other: Any) -> Any:
        return self if other.__class__ is int and not other else _node("Sub", self, other)

    def __mul__(self, other: Any) -> Any:
        return self if other.__class__ is int and other == 1 else _node("Mul", self, other)

    __radd__, __rmul__ = __add__, __mul__

    def __rsub__(self, other: Any) -> Any:
        return _node("Sub", other, self)

    def __mod__(self, other: Any) -> Any:
        a, b = pair(self, other)
        if a.dtype == ir.DataType.INT64:
            return a.net.number(a.net.add("Mod", a, b))  # of the sign of the divisor, as in Python
        return a - (a // b) * b

    def __rmod__(self, other: Any) -> Any:
        return pair(other, self)[0] % self

    def __floordiv__(self, other: Any) -> Any:
        a, b = pair(self, other)
        if a.dtype == ir.DataType.INT64:
            return a.net.number(a.net.add("Div", a - a % b, b))
        return a.net.number(a.net.add("Floor", a.net.add("Div", a, b)))

    def __rfloordiv__(self, other: Any) -> Any:
        return pair(other, self)[0] // self

    def __truediv__(self, other: Any) -> Any:
        return _node("Div", self, other, torch.float64)

    def __rtruediv__(self, other: Any) -> Any:
        return _node("Div", other, self, torch.float64)

    def __pow__(self, other: Any) -> Any:
        if isinstance(other, int) and 0 < other < 9:  # in whole numbers, which Pow leaves
            return self if other == 1 else self * self ** (other - 1)
        return _node("Pow", self, other, torch.float64)

    def __neg__(self) -> Any:
        return self.scalar.net.number(self.scalar.net.add("Neg", self.scalar))

    def __floor__(self) -> Any:
        return self._whole("Floor")

    def __ceil__(self) -> Any:
        return self._whole("Ceil")

    def __round__(self, digits: Any = None) -> Any:
        if digits is not None:
            raise Unsupported("a number that varies rounded to some digits")
        return self._whole("Round")  # ties to even, as in Python

    def __trunc__(self) -> Any:
        return self.scalar.net.number(self.scalar.net.cast(self.scalar, torch.int64))

    def _whole(self, kind: str) -> Any:
        one = self.scalar
        made = one if one.dtype == ir.DataType.INT64 else one.net.add(kind, one)
        return one.net.number(one.net.cast(made, torch.int64))

    def _unknown(self, *_: Any) -> NoReturn:
        raise Unsupported(UNKNOWN)

    __index__ = __lt__ = __le__ = __gt__ = __ge__ = _unknown


class Tensor(Arithmetic, ir.Value):
    """A value of a network.

    Attributes:
        net: it belongs to.
        number: ``int``, ``float`` or ``bool`` if it stands for a Python number; else None.
    """

    def __init__(self, net: Any, **known: Any) -> None:
        super().__init__(**known)
        self.net = net
        self.number: type | None = None

    @property
    def scalar(self) -> Tensor:
        return self


class Perhaps:
    """A value that is there on some ways only; no example read it on the others.

    Attributes:
        value: what stands there; anything of its dtype where nothing does.
        there: whether it is.
    """

    def __init__(self, value: Tensor, there: Tensor) -> None:
        self.value, self.there = value, there

    @property
    def read(self) -> Tensor:
        """The value; the file fails where it is not there."""
        net, why = self.value.net, "no example read what is not there this way"
        made: Tensor = net.once(("read", id(self)), lambda: net.demanded(
            self.value, self.there, why))  # fmt: skip
        made.number = self.value.number
        return made


def plain(part: Any) -> Any:
    """An argument, with what is read of it: see :class:`Perhaps`."""
    if isinstance(part, Perhaps):
        return part.read
    if type(part) in (tuple, list):
        return type(part)(map(plain, part))
    return part


class Size(Arithmetic):
    """A size of a value that is known when the file is run.

    Attributes:
        of: the value.
        dim: its dimension.
    """

    def __init__(self, of: Tensor, dim: int) -> None:
        self.of, self.dim = of, dim

    @property
    def row(self) -> Tensor:
        """As a value of one dimension with one element."""
        made: Tensor = self.of.net.once(("size", id(self.of), self.dim), lambda: self.of.net.add(
            "Shape", self.of, dtype=torch.int64, start=self.dim, end=self.dim + 1))  # fmt: skip
        return made

    @property
    def scalar(self) -> Tensor:
        net = self.of.net
        made: Tensor = net.once(("scalar", id(self.of), self.dim), lambda: net.number(
            net.add("Squeeze", self.row, [0]), int))  # fmt: skip
        return made

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Size) and (self.of, self.dim) == (other.of, other.dim)

    def __hash__(self) -> int:
        return hash((id(self.of), self.dim))

    __bool__ = Arithmetic._unknown


class Varying(Size):
    """A size of a result that is not yet made."""

    def __init__(self) -> None:
        super().__init__(None, 0)  # type: ignore[arg-type]

    @property
    def row(self) -> Tensor:
        self._unknown()

    scalar = row


def pair(a: Any, b: Any, dtype: torch.dtype | None = None) -> tuple[Tensor, Tensor]:
    """Two numbers as scalars of one dtype, int64 or float64."""
    first = a if isinstance(a, Arithmetic) else b
    net = first.scalar.net
    parts = [n.scalar if isinstance(n, Arithmetic) else n for n in (a, b)]
    whole = all(p.dtype == ir.DataType.INT64 if isinstance(p, Tensor) else isinstance(p, int)
                for p in parts)  # fmt: skip
    dtype = dtype or (torch.int64 if whole else torch.float64)
    made = [net.cast(p, dtype) if isinstance(p, Tensor) else net.constant(p, dtype) for p in parts]
    return made[0], made[1]


def _node(kind: str, a: Any, b: Any, dtype: torch.dtype | None = None) -> Any:
    one, other = pair(a, b, dtype)
    return one.net.number(one.net.add(kind, one, other))


def least(a: Any, b: Any) -> Any:
    """The smaller of two numbers."""
    return _node("Min", a, b)


def greatest(a: Any, b: Any) -> Any:
    """The larger of two numbers."""
    return _node("Max", a, b)
