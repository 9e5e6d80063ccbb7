"""ONNX files of models, run by onnxruntime: a worked target on flexir's public API alone.

``convert`` gives an ``onnx_ir.Model``, ``run`` runs it and gives what the model would, ``save``
writes it. The handlers are in the modules beside this one. ``torch.onnx`` is not used.
"""

from __future__ import annotations

import os
from typing import Any

import onnx
import onnx_ir as ir
import torch

import flexir
from flexir import passes

from . import activations, elementwise, indexing, layers, normalisation, reductions, shapes  # noqa: F401  they declare the handlers
from .handlers import target
from .network import Network

__all__ = ["convert", "run", "save", "target"]
_LARGE = 2**30  # bytes of weights from which they go beside the file; a message is below 2 GiB
_GRAPH, _ENGINE = "flexir.graph", "flexir.engine"


def convert(
    model: Any,
    args: Any = (),
    kwargs: dict[str, Any] | None = None,
    *,
    opset: int = 20,
    strict: bool = False,
) -> Any:
    """Convert a model, or a Graph, to ONNX.

    Args:
        model: a module, a callable or a Graph.
        args: inputs of the model, nothing for a Graph.
        kwargs: keyword inputs.
        opset: version of the operator set, 18 or later.
        strict: raise if anything is not in the file.

    Returns:
        a Result; ``output`` is an ``onnx_ir.Model`` of the same inputs and outputs, named after
        their place in what the model takes and returns.
    """
    with torch.no_grad():
        graph = model if isinstance(model, flexir.Graph) else flexir.capture(model, args, kwargs)
        graph = passes.simplify(graph)
        result = flexir.convert(graph, target=target, out=Network(opset), strict=strict)
    outputs = {name: result.values[v] for v, name in graph.output_names.items()}
    result.output = result.output.model(graph.name, outputs)
    result.output.meta[_GRAPH] = graph
    return result


@target.run
def computed(result: Any, tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    """What ``Result.run`` asks: the outputs in onnxruntime, in the order of the graph's."""
    graph = result.graph
    if isinstance(result.output, Network):
        outputs = {name: result.values[v] for v, name in graph.output_names.items()}
        result.output = result.output.model(graph.name, outputs)
    names = [value.name for value in graph.input_values]
    return _fed(result.output, dict(zip(names, tensors)))


def check(output: ir.Model) -> None:
    """Raise what onnx's own checker finds wrong."""
    onnx.checker.check_model(ir.to_proto(output), full_check=True)


def save(output: ir.Model, path: str | os.PathLike[str]) -> None:
    """Write a file; weights of more than 1 GiB go into ``path.data`` beside it."""
    size = sum(
        v.const_value.nbytes
        for v in output.graph.initializers.values()
        if v.const_value is not None
    )
    ir.save(output, path, external_data=f"{os.path.basename(path)}.data" if size > _LARGE else None)


def session(output: ir.Model) -> Any:
    """The onnxruntime session of a model; made once."""
    import onnxruntime

    if _ENGINE not in output.meta:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        output.meta[_ENGINE] = onnxruntime.InferenceSession(
            ir.to_proto(output).SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    return output.meta[_ENGINE]


def run(output: ir.Model, *args: Any, **kwargs: Any) -> Any:
    """Run a converted model in onnxruntime.

    Args:
        output: what ``convert`` made.
        args: as for the model.
        kwargs: as for the model.

    Returns:
        what the model returns, in its structure.
    """
    graph = output.meta[_GRAPH]
    lacking = sorted({node.op_type for node in output.graph if node.domain == "flexir"})
    if lacking:
        raise flexir.UnsupportedError(
            f"placeholders do not run: {', '.join(lacking)}. print(result.report) says why"
        )
    made = _fed(output, graph.bind(*args, **kwargs))
    return graph.arrange(dict(zip(graph.output_names.values(), made)))


def _fed(output: ir.Model, tensors: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    """The outputs for inputs by name."""
    names = [str(value.name) for value in output.graph.outputs]
    if not names:
        return []
    engine = session(output)
    wanted = {i.name for i in engine.get_inputs()}
    feeds = {n: t.detach().contiguous().numpy() for n, t in tensors.items() if n in wanted}
    return [torch.from_numpy(array) for array in engine.run(names, feeds)]
