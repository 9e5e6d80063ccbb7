"""Measurements. Figures are ratios of medians taken in one run, interleaved, after warm-up."""

from __future__ import annotations

import time
from collections.abc import Callable


def seconds(function: Callable[[], object]) -> float:
    """How long a call takes; what it returns is let go of after the clock has stopped."""
    start = time.perf_counter()
    kept = function()
    taken = time.perf_counter() - start
    del kept
    return taken
