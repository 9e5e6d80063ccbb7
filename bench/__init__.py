"""Measurements. Figures are ratios of medians taken in one run, interleaved, after warm-up."""

from __future__ import annotations

import time
from collections.abc import Callable


def seconds(
    function: Callable[[], object], clock: Callable[[], float] = time.perf_counter
) -> float:
    """How long a call takes; what it returns is let go of after the clock has stopped."""
    start = clock()
    kept = function()
    taken = clock() - start
    del kept
    return taken
