"""ONNX files of models, run by onnxruntime: a worked target on flexir's public API alone.

``convert`` gives an ``onnx_ir.Model``, ``run`` runs it and gives what the model would, ``start``
runs it call after call, each with what the last one left, ``save`` writes it. The handlers are in
the modules beside this one. ``torch.onnx`` is not used.

What ``convert`` lets one choose: ``opset=18``; ``functions=["encoder.layer.*", "Block"]``, by path
or class, are modules that become local functions of the file.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

import onnx
import onnx_ir as ir
import torch

import flexir
from flexir import passes

from ..backend import Backend, Tensors
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
from .functions import outlined
from .handlers import target
from .network import DEMANDS, STATES, WISHES
from .values import plain

__all__ = ["convert", "run", "save", "start", "target"]
_LARGE = 2**30  # bytes of weights from which they go beside the file; a message is below 2 GiB
_ENGINE = "flexir.engine"


@target.output
def model_output(ctx: Any, outputs: dict[str, ir.Value]) -> ir.Model:
    """The file, with what its outputs need."""
    read = {name: plain(made) for name, made in outputs.items()}
    values = {name: getattr(made, "scalar", made) for name, made in read.items()}
    made: ir.Model = ctx.out.model(ctx.graph.name, values)
    wanted: dict[str, str] = {}
    for path, kind in ctx.graph.modules.items():  # what contains others comes before them
        asked = any(fnmatchcase(path, one) or kind.__name__ == one for one in ctx.out.functions)
        if asked and not any(path.startswith(f"{outer}.") for outer in wanted):
            wanted[path] = kind.__name__
    outlined(made, wanted)
    return made


def told(output: ir.Model, result: Any) -> None:
    """Write into the file under what conditions it is the model, and what state it takes."""
    lacking = [str(one) for one in result.report.omissions]
    state = [f"{path}: {name} -> {path}.next" for path, name in output.meta[STATES].items()]
    for word, lines in (("omissions", lacking), ("state", state)):
        if lines:
            output.metadata_props[f"flexir.{word}"] = "\n".join(lines)


def check(output: ir.Model) -> None:
    """Raise what onnx's own checker finds wrong."""
    with _loadable(output) as whole:
        onnx.checker.check_model(whole, full_check=True)


def write(output: ir.Model, path: str) -> None:
    """A file; weights of more than 1 GiB go into ``path.data`` beside it."""
    beside = f"{os.path.basename(path)}.data" if _is_large(output) else None
    ir.save(output, path, external_data=beside)


def _is_large(output: ir.Model) -> bool:
    weights = (v.const_value for v in output.graph.initializers.values())
    return sum(weight.nbytes for weight in weights if weight is not None) > _LARGE


@contextlib.contextmanager
def _loadable(output: ir.Model) -> Iterator[bytes | str]:
    """The bytes of a model; of a large one, which no message holds, the path of a file."""
    if not _is_large(output):
        yield ir.to_proto(output).SerializeToString()
        return
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "net.onnx")
        write(output, path)
        yield path


def session(output: ir.Model) -> Any:
    """The onnxruntime session of a model; made once."""
    import onnxruntime

    if _ENGINE not in output.meta:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 4  # what it would say is raised
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        with _loadable(output) as whole:
            output.meta[_ENGINE] = onnxruntime.InferenceSession(
                whole, options, providers=["CPUExecutionProvider"]
            )
    return output.meta[_ENGINE]


def engine(output: ir.Model, tensors: Tensors) -> Tensors:
    """Through onnxruntime."""
    return carry(output, tensors, {})[0]


def carry(output: ir.Model, tensors: Tensors, state: Tensors) -> tuple[Tensors, Tensors]:
    """Through onnxruntime, from what the last call left to what this one leaves."""
    names = [str(value.name) for value in output.graph.outputs]
    if not names:
        return {}, {}
    made = session(output)
    wanted = {i.name: i.shape for i in (*made.get_inputs(), *made.get_overridable_initializers())}
    paths = output.meta[STATES]
    named = {**tensors, **{paths[path]: tensor for path, tensor in state.items()}}
    feeds = {n: t.contiguous().numpy() for n, t in named.items() if n in wanted}
    _same_sizes({name: (wanted[name], array.shape) for name, array in feeds.items()})
    try:
        arrays = [torch.from_numpy(array) for array in made.run(names, feeds)]
    except Exception as error:
        _, shown, why = str(error).partition(f"'{DEMANDS}")
        if shown:  # onnxruntime names the node that failed
            raise flexir.Diverged(why.partition("'")[0]) from error
        raise
    count = len(output.meta[WISHES])
    return dict(zip(output.meta[WISHES], arrays)), dict(zip(paths, arrays[count:]))


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


backend = Backend(target, engine, write, prepare=[passes.simplify, passes.real_pairs], sizes=True,
            partial=True, carry=carry, told=told)  # fmt: skip
convert, run, save, start = backend.convert, backend.run, backend.save, backend.start
