"""Where in the user's own code a call stands: the innermost frame outside torch and this package.

Owns the cache that makes this cheap; never reads a source file.
"""

from __future__ import annotations

import functools
import os
from types import FrameType
from typing import NamedTuple

import torch

# Where this package lies: its frames are not the model's.
PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep

_FOREIGN = (
    os.path.dirname(os.path.abspath(torch.__file__)) + os.sep,
    PACKAGE,
    "<frozen ",
)


class Source(NamedTuple):
    """A place in the user's code."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{_basename(self.file)}:{self.line}"


@functools.lru_cache(maxsize=4096)
def _basename(file: str) -> str:
    return os.path.basename(file)


# Keyed by strings and numbers, not by code objects: hashing a code object reads its constants.
_is_foreign: dict[str, bool] = {}
_sources: dict[tuple[str, str, int, int], Source] = {}


def caller_of(frame: FrameType) -> FrameType | None:
    """The frame that called one; what stands in for functions of Python's is left out."""
    found = frame.f_back
    while found is not None and found.f_code.co_filename.startswith(PACKAGE):
        found = found.f_back
    return found


def locate(frame: FrameType | None) -> Source | None:
    """The place where ``frame`` or the nearest caller outside torch and this package stands."""
    while frame is not None:
        code = frame.f_code
        file = code.co_filename
        foreign = _is_foreign.get(file)
        if foreign is None:
            foreign = is_foreign(file)
        if not foreign:
            key = (file, code.co_name, code.co_firstlineno, frame.f_lasti)
            source = _sources.get(key)
            if source is None:
                source = Source(file, frame.f_lineno, code.co_name)
                _sources[key] = source
            return source
        frame = frame.f_back
    return None


def is_foreign(file: str) -> bool:
    """Whether a file is torch's or this package's, not the user's."""
    known = _is_foreign.get(file)
    if known is None:
        known = _is_foreign[file] = file.startswith(_FOREIGN)
    return known
