"""ncnn networks of models, run by the ncnn wheel: a worked target on flexir's public API alone.

``convert`` gives a :class:`Network`, ``run`` runs it and gives what the model would, ``save``
writes its ``.param`` and ``.bin``. ncnn is a small static engine: f32, no batch, four dimensions.
What it cannot say is refused with a reason; finite numbers are right to rounding, NaN is not kept.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ncnn  # noqa: F401  a missing engine is told at the import
import torch

import flexir
from flexir import passes

from . import layers, shapes  # noqa: F401  they declare the handlers
from .network import Network
from .tensors import target

__all__ = ["Network", "convert", "run", "save", "target"]


def convert(
    model: Any, args: Any = (), kwargs: dict[str, Any] | None = None, *, strict: bool = False
) -> Any:
    """Convert a model, or a Graph, to ncnn.

    Args:
        model: a module, a callable or a Graph.
        args: inputs of the model, nothing for a Graph.
        kwargs: keyword inputs.
        strict: raise if anything is not in the network.

    Returns:
        a Result; ``output`` is a :class:`Network`.
    """
    with torch.no_grad():
        graph = model if isinstance(model, flexir.Graph) else flexir.capture(model, args, kwargs)
        graph = passes.fold_batch_norm(passes.fold_constants(passes.simplify(graph)))
        return flexir.convert(graph, target=target, strict=strict)


def save(output: Network, path: str | os.PathLike[str]) -> None:
    """Write ``net.param``, and ``net.bin`` beside it."""
    param = Path(path).with_suffix(".param")
    output.write(param, param.with_suffix(".bin"))


def run(output: Network, *args: Any, **kwargs: Any) -> Any:
    """Run a converted model in ncnn.

    Args:
        output: what ``convert`` made.
        args: as for the model.
        kwargs: as for the model.

    Returns:
        what the model returns, in its structure.

    Raises:
        flexir.UnsupportedError: something in it is a placeholder.
    """
    _whole(output)
    graph = output.graph
    assert graph is not None
    made = _through(output, graph, graph.bind(*args, **kwargs))
    return graph.arrange(made)


@target.run
def engine(result: Any, tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """What ``result.run``, ``flexir.hybrid`` and ``flexir.check_handlers`` call."""
    _whole(result.output)
    graph = result.graph
    feeds = {value.name: tensor for value, tensor in zip(graph.input_values, tensors)}
    made = _through(result.output, graph, feeds)
    return [made[name] for name in graph.output_names.values()]


def _whole(output: Network) -> None:
    if output.graph is None:
        raise flexir.UnsupportedError(
            f"placeholders do not run: {', '.join(sorted(set(output.lacking)))}. "
            "print(result.report) says why"
        )


def _through(
    output: Network, graph: flexir.Graph, feeds: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Tensors by name in and out; torch's shapes are given back."""
    made = output.run({name: feeds[name].detach().numpy() for name in output.inputs})
    types = {name: value.type for value, name in graph.output_names.items()}
    return {name: torch.from_numpy(a).reshape(types[name].shape) for name, a in made.items()}
