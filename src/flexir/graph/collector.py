"""The cyclic collector, out of the way while a graph is made.

A graph is many small objects, none of them garbage, and the collector would look through all of
them each time their number has grown by a quarter: on long graphs, half of the time that making one
takes. Recording rests it in a way of its own, which tells what is young.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def paused() -> Iterator[None]:
    """Collect nothing in this block, unless it was off before; also a decorator."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextlib.contextmanager
def young() -> Iterator[None]:
    """Look at young objects alone in this block: what a handler drops is let go of."""
    often, seldom, all_of_them = gc.get_threshold()
    gc.set_threshold(often, seldom, 1 << 30)
    try:
        yield
    finally:
        gc.set_threshold(often, seldom, all_of_them)
