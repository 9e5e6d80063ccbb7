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

from ..door import Door, Tensors
from . import (  # noqa: F401  they declare the handlers
    activations,
    control,
    elementwise,
    indexing,
    layers,
    normalisation,
    reductions,
    resizing,
    shapes,
    writing,
)
from .handlers import target
from .network import DEMANDS, WISHES

__all__ = ["convert", "run", "save", "target"]
_LARGE = 2**30  # bytes of weights from which they go beside the file; a message is below 2 GiB
_ENGINE = "flexir.engine"


@target.output
def leave(ctx: Any, outputs: dict[str, ir.Value]) -> ir.Model:
    """The file, with what its outputs need."""
    values = {name: getattr(made, "scalar", made) for name, made in outputs.items()}
    made: ir.Model = ctx.out.model(ctx.graph.name, values)
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
        options.log_severity_level = 4  # what it would say is raised
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
    wanted = {i.name: i.shape for i in made.get_inputs()}
    feeds = {n: t.contiguous().numpy() for n, t in tensors.items() if n in wanted}
    _same_sizes({name: (wanted[name], array.shape) for name, array in feeds.items()})
    try:
        arrays = [torch.from_numpy(array) for array in made.run(names, feeds)]
    except Exception as error:
        _, shown, why = str(error).partition(f"'{DEMANDS}")
        if shown:  # onnxruntime names the node that failed
            raise flexir.Diverged(why.partition("'")[0]) from error
        raise
    return dict(zip(output.meta[WISHES], arrays))


def _same_sizes(inputs: dict[str, Any]) -> None:
    """Raise Diverged where sizes of one name differ; onnxruntime would take them for equal."""
    seen: dict[str, tuple[str, int]] = {}
    for name, (sizes, given) in inputs.items():
        for size, n in zip(sizes, given):
            first, known = seen.setdefault(size, (name, n)) if isinstance(size, str) else (name, n)
            if known != n:
                raise flexir.Diverged(
                    f"{size} is {known} in {first} and {n} in {name}; in all examples they were "
                    "equal: show one in which they are not"
                )


door = Door(target, engine, write, prepare=[passes.simplify], sizes=True, partial=True)
convert, run, save = door.convert, door.run, door.save
