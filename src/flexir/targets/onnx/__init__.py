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

from flexir import passes

from ..door import Door, Tensors
from . import activations, elementwise, indexing, layers, normalisation, reductions, shapes  # noqa: F401  they declare the handlers
from .handlers import target

__all__ = ["convert", "run", "save", "target"]
_LARGE = 2**30  # bytes of weights from which they go beside the file; a message is below 2 GiB
_ENGINE = "flexir.engine"


@target.output
def leave(ctx: Any, outputs: dict[str, ir.Value]) -> ir.Model:
    """The file, with what its outputs need."""
    made: ir.Model = ctx.out.model(ctx.graph.name, outputs)
    return made


def check(output: ir.Model) -> None:
    """Raise what onnx's own checker finds wrong."""
    onnx.checker.check_model(ir.to_proto(output), full_check=True)


def write(output: ir.Model, path: str) -> None:
    """A file; weights of more than 1 GiB go into ``path.data`` beside it."""
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


def engine(output: ir.Model, tensors: Tensors) -> Tensors:
    """Through onnxruntime."""
    names = [str(value.name) for value in output.graph.outputs]
    if not names:
        return {}
    made = session(output)
    wanted = {i.name for i in made.get_inputs()}
    feeds = {n: t.contiguous().numpy() for n, t in tensors.items() if n in wanted}
    return {n: torch.from_numpy(array) for n, array in zip(names, made.run(names, feeds))}


door = Door(target, engine, write, prepare=[passes.simplify], partial=True)
convert, run, save = door.convert, door.run, door.save
