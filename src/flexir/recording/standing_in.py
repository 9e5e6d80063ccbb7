"""Where functions of the library have another in their place during runs, in all threads.

Owns when those are put there and taken away; what they are is :mod:`.stand_ins`' matter.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

# Id of a dictionary, name -> the dictionary, the name, the function, what stands in for it.
PLACES: dict[tuple[int, str], tuple[dict[str, Any], str, Any, Any]] = {}
_lock = threading.Lock()
_users = 0


@contextlib.contextmanager
def standing_in(look: Callable[[], None]) -> Iterator[None]:
    """Context manager: they stand in until the last block ends.

    Args:
        look: fills ``PLACES`` before the first of them begins.
    """
    global _users
    with _lock:
        _users += 1
        if _users == 1:
            look()
            _put_in()
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                _put_back()


@contextlib.contextmanager
def originals() -> Iterator[None]:
    """Context manager: none stands in meanwhile, for modules that ask what a function is."""
    with _lock:
        _put_back()
    try:
        yield
    finally:
        with _lock:
            if _users:
                _put_in()


def _put_in() -> None:
    for held, name, function, made in PLACES.values():
        if held.get(name) is function:
            held[name] = made


def _put_back() -> None:
    for held, name, function, made in PLACES.values():
        if held.get(name) is made:
            held[name] = function
