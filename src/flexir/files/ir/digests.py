"""Checksums of stored bytes: BLAKE3 where it is installed, else SHA-256.

BLAKE3 takes about half as long as writing to the page cache, SHA-256 twice as long. Both are
cryptographic, so the chain from the manifest to the last byte is worth the same with either. The
``ir`` extra has the ``blake3`` package; it is imported when the first checksum is made or compared.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

from ...errors import Error, FormatError

NAMES = ("blake3", "sha256")  # the first is preferred


class Digest(NamedTuple):
    """The checksum of some bytes, and by which function."""

    name: str
    value: bytes


def algorithm(checksums: bool | str) -> str | None:
    """Which function the option ``checksums`` of ``save`` means; None for no checksums.

    Raises:
        Error: there is no such function, or it is not installed.
    """
    if checksums is False:
        return None
    if checksums is True:
        return "sha256" if _blake3() is None else "blake3"
    if checksums not in NAMES:
        raise Error(f"checksums is True, False, 'blake3' or 'sha256'; got {checksums!r}")
    if checksums == "blake3" and _blake3() is None:
        raise Error("checksums='blake3' needs the package: pip install 'flextorchir[ir]'")
    return checksums


class Running:
    """A checksum of bytes that come piece by piece.

    Raises:
        FormatError: the function is not installed here.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        made = hashlib.sha256 if name == "sha256" else _blake3()
        if made is None:
            raise FormatError(
                "the weights have BLAKE3 checksums, which this Python has no function for: "
                "pip install 'flextorchir[ir]' (or save them with checksums='sha256')"
            )
        self.state = made()
        self.update: Callable[[memoryview], object] = self.state.update

    def digest(self) -> Digest:
        """The checksum of all that came."""
        return Digest(self.name, self.state.digest())


def digest_of(data: memoryview, name: str) -> Digest:
    """The checksum of some bytes, as by :class:`Running`."""
    running = Running(name)
    running.update(data)
    return running.digest()


def kept_in(part: Any) -> Digest | None:
    """The checksum that a ``Part`` of a file has."""
    for name in NAMES:
        value: bytes = getattr(part, name)
        if value:
            return Digest(name, value)
    return None


@functools.lru_cache(maxsize=1)
def _blake3() -> Callable[[], Any] | None:
    try:
        from blake3 import blake3
    except ImportError:
        return None
    made: Callable[[], Any] = blake3
    return made
