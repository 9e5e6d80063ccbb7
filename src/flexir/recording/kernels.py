"""Graphs of kernels that a model launches: torch sees none of the kernels run.

What ``torch.cuda.CUDAGraph.replay`` reads and writes was fixed when it was captured, by address.
Owns the lines of the audit that say so.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import torch

from ..graph.source import locate

_lock = threading.Lock()
_told: dict[int, list[str]] = {}  # thread that records -> the lines it is told
_own: list[tuple[Any, Callable[..., Any]]] = []  # class -> its method, while any thread records


@contextlib.contextmanager
def telling_kernels(told: list[str]) -> Iterator[None]:
    """Context manager: in this thread, each launch adds a line."""
    thread = threading.get_ident()
    with _lock:
        if not _told:
            for one in _classes():
                _own.append((one, one.replay))
                one.replay = _telling(one.__name__, one.replay)
        _told[thread] = told
    try:
        yield
    finally:
        with _lock:
            del _told[thread]
            while not _told and _own:
                one, replay = _own.pop()
                one.replay = replay


def _classes() -> Iterator[Any]:
    for device, name in (("cuda", "CUDAGraph"), ("xpu", "XPUGraph")):
        one = getattr(getattr(torch, device, None), name, None)
        if one is not None:
            yield one


def _telling(name: str, replay: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(replay)
    def telling(*args: Any, **kwargs: Any) -> Any:
        lines = _told.get(threading.get_ident())
        if lines is not None:
            lines.append(f"what {name}.replay() read and wrote, at {locate(sys._getframe(1))}")
        return replay(*args, **kwargs)

    return telling
