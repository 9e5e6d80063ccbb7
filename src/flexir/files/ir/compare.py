"""``compare``: values of an engine beside torch's, from a run or from folders.

Only chooses between :mod:`flexir.checks.whole` and :mod:`.values` by what it is given.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, overload

from ...checks.comparison import Comparison
from ...checks.whole import compare_values
from ...graph.graph import Graph
from ...graph.program import one_graph
from . import values as folders


@overload
def compare(
    expected: Graph,
    values: Mapping[str, Any],
    args: Sequence[Any] | None = None,
    *,
    rtol: float = 1e-3,
    kwargs: dict[str, Any] | None = None,
) -> Comparison: ...
@overload
def compare(
    expected: str | os.PathLike[str],
    values: str | os.PathLike[str],
    args: None = None,
    *,
    rtol: float = 1e-3,
    kwargs: None = None,
) -> list[str]: ...
def compare(
    expected: Graph | str | os.PathLike[str],
    values: Mapping[str, Any] | str | os.PathLike[str],
    args: Sequence[Any] | None = None,
    *,
    rtol: float = 1e-3,
    kwargs: dict[str, Any] | None = None,
) -> Comparison | list[str]:
    """Compare the values of one whole run of an engine with torch's, in order of execution.

    Args:
        expected: the model's graph, or a folder that ``graph.golden`` wrote.
        values: Value name -> what the engine computed (tensors or arrays; those missing are
            skipped), or a folder like the first.
        args: the inputs the engine was given; without, ``values`` holds them by name.
        rtol: difference allowed, over the largest magnitude of torch's value.
        kwargs: keyword inputs.

    Returns:
        a :class:`Comparison`; for two folders, a line per value that differs, the first first.

    Raises:
        Error: ``values`` names nothing the graph computes.
    """
    if isinstance(expected, (str, os.PathLike)):
        return folders.differing(expected, values, rtol)  # type: ignore[arg-type]
    assert isinstance(values, Mapping), "a graph is compared with values by name"
    return compare_values(one_graph(expected, "compare"), values, args, rtol=rtol, kwargs=kwargs)
