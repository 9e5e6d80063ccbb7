"""OpenVINO models, run by its CPU plug-in: a worked target on flexir's public API alone.

``convert`` gives a :class:`Network`, ``run`` compiles it for f32 and gives what the model would,
``save`` writes ``.xml`` and ``.bin``. Sizes are those recorded. OpenVINO's own front end for torch
is not used.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import openvino
import torch

import flexir
from flexir import passes

from . import arithmetic, layers, shapes  # noqa: F401  they declare the handlers
from .values import Network, target

__all__ = ["Network", "convert", "run", "save", "target"]


def convert(
    model: Any, args: Any = (), kwargs: dict[str, Any] | None = None, *, strict: bool = False
) -> Any:
    """Convert a model, or a Graph, to OpenVINO.

    Args:
        model: a module, a callable or a Graph.
        args: inputs of the model, nothing for a Graph.
        kwargs: keyword inputs.
        strict: raise if anything is not in the model.

    Returns:
        a Result; ``output`` is a :class:`Network`, whose ``model`` is an ``openvino.Model``.
    """
    with torch.no_grad():
        graph = model if isinstance(model, flexir.Graph) else flexir.capture(model, args, kwargs)
        graph = passes.fold_constants(passes.simplify(graph))
        return flexir.convert(graph, target=target, strict=strict)


def save(output: Network, path: str | os.PathLike[str]) -> None:
    """Write ``net.xml``, and ``net.bin`` beside it, in f32."""
    openvino.save_model(output.finished(), os.fspath(path), compress_to_fp16=False)


def run(output: Network, *args: Any, **kwargs: Any) -> Any:
    """Run a converted model on OpenVINO's CPU plug-in.

    Args:
        output: what ``convert`` made.
        args: as for the model.
        kwargs: as for the model.

    Returns:
        what the model returns, in its structure.

    Raises:
        flexir.UnsupportedError: something in it is a placeholder.
    """
    output.compiled()
    graph = output.graph
    assert graph is not None
    return graph.arrange(_through(output, graph, graph.bind(*args, **kwargs)))


@target.run
def engine(result: Any, tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """What ``result.run``, ``flexir.hybrid`` and ``flexir.check_handlers`` call."""
    graph = result.graph
    feeds = {value.name: tensor for value, tensor in zip(graph.input_values, tensors)}
    made = _through(result.output, graph, feeds)
    return [made[name] for name in graph.output_names.values()]


def _through(
    output: Network, graph: flexir.Graph, feeds: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Tensors by name in and out; torch's dtypes and shapes are given back."""
    compiled = output.compiled()
    made = compiled([feeds[name].detach().contiguous().numpy() for name in output.inputs])
    types = {name: value.type for value, name in graph.output_names.items()}
    tensors = {}
    for name, port in zip(output.outputs, compiled.outputs):
        tensor = torch.from_numpy(made[port].copy())
        tensors[name] = tensor.to(types[name].dtype).reshape(types[name].shape)
    return tensors
