"""``capture``: a model and its inputs to a Graph.

What this room is called by; how one run is watched is :mod:`.recorder`'s matter, how several
become one graph that of :mod:`.examples`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from ..errors import CaptureError
from ..graph.graph import Graph
from ..graph.inputs import Inputs, inputs_of
from .examples import examples_of, merged
from .naming import Dims
from .recorder import record_run
from .rows import in_a_row
from .session import collector_at_rest


def capture(
    model: Callable[..., Any],
    args: Sequence[Any] | torch.Tensor | Inputs = (),
    kwargs: dict[str, Any] | None = None,
    *,
    also: Sequence[Any] = (),
    calls: Sequence[Any] = (),
    dims: Dims | None = None,
    audit: bool = True,
) -> Graph:
    """Run ``model(*args, **kwargs)`` once and record it.

    Args:
        model: a module, or any callable that computes with tensors.
        args: positional arguments, any nesting of containers; a lone tensor stands for one, and
            :class:`Inputs` for positional and keyword arguments.
        kwargs: keyword arguments.
        also: further examples, each as ``args``: sizes and numbers that differ between them are
            live in the graph, all others stay as recorded and are checked at every call. An
            example that takes another path, or is not understood, becomes a variant.
        calls: instead of all of these, calls in a row, each as ``args``: what one leaves in the
            model, the next begins with, and what so varies (a counter, a buffer that is None at
            first, a cache that grows) is live. ``graph.start()`` goes on from call to call.
        dims: names of sizes that vary: input -> dimension -> name (``{"x": {0: "batch"}}``);
            without, letters.
        audit: keep the witness on, which sees what the function mode cannot; without it such
            things are only noticed by their traces.

    Returns:
        the Graph. ``graph(*args)`` replays it.

    Raises:
        CaptureError: a capture is already running in this thread; an example is no inputs.
        Exception: what the model raises, with a note naming the module and line.

    Example:
        >>> graph = capture(torch.nn.Linear(3, 2), (torch.ones(1, 3),))
        >>> [node.op for node in graph]
        ['linear']
        >>> graph = capture(torch.nn.Linear(3, 2), torch.ones(1, 3), also=[torch.ones(4, 3)])
        >>> graph(torch.ones(7, 3)).shape
        torch.Size([7, 2])
    """
    if not callable(model):
        raise CaptureError(f"the model must be callable; got {type(model).__name__}")
    if calls:
        if also or kwargs or (isinstance(args, torch.Tensor) or args):
            raise CaptureError("calls are all examples: give no args, kwargs or also beside them")
        with collector_at_rest():
            return in_a_row(model, examples_of(inputs_of(calls[0]), calls[1:]), dims, witness=audit)
    first = inputs_of(args, kwargs)
    if not also:
        if dims:
            raise CaptureError("dims names sizes that vary; show some by also=[other inputs]")
        return record_run(model, *first, witness=audit)
    with collector_at_rest():
        return merged(model, examples_of(first, also), dims, witness=audit)
