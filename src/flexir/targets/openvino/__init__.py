"""OpenVINO models, run by its CPU plug-in: a worked target on flexir's public API alone.

``convert`` gives a :class:`Network`, ``run`` compiles it for f32 and gives what the model would,
``save`` writes ``.xml`` and ``.bin``. Sizes are those recorded. OpenVINO's own front end for torch
is not used. The plug-in keeps whole numbers in 32 bits, and NaN not in ``max_pool`` and orders:
numbers are right to rounding.
"""

from __future__ import annotations

import openvino
import torch

import flexir
from flexir import passes

from ..backend import Backend, Tensors
from . import (  # noqa: F401  they declare handlers
    arithmetic,
    control,
    counted,
    layers,
    reductions,
    shapes,
)
from .values import Network, target, too_wide

__all__ = ["Network", "convert", "run", "save", "start", "target"]


def engine(output: Network, tensors: Tensors) -> Tensors:
    """Through the CPU plug-in, compiled once; every run begins with the state that was recorded."""
    return carry(output, tensors, {})[0]


def carry(output: Network, tensors: Tensors, state: Tensors) -> tuple[Tensors, Tensors]:
    """One of several calls in a row: outputs, and the state after it."""
    request = output.request
    arrays = {name: tensors[name].contiguous().numpy() for name in output.inputs}
    for name, array in arrays.items():
        if too_wide(array):
            raise flexir.Error(f"input {name!r} has numbers beyond 32 bits: the CPU plug-in "
                               "keeps no more of whole numbers")  # fmt: skip
    request.reset_state()
    kept = {one.name: one for one in request.query_state()}
    for path, tensor in state.items():
        kept[path].state = openvino.Tensor(tensor.contiguous().numpy())
    made = request.infer(list(arrays.values()))
    for number, (told, _) in enumerate(output.conditions, len(output.outputs)):
        if not made[number]:
            raise flexir.Diverged(f"what the network takes for granted does not hold: {told}")
    outputs = {name: torch.from_numpy(made[number].copy())
               for number, name in enumerate(output.outputs)}  # fmt: skip
    left = {path: torch.from_numpy(one.state.data.copy()) for path, one in kept.items()}
    return outputs, left


def write(output: Network, path: str) -> None:
    """``net.xml``, and ``net.bin`` beside it, in f32."""
    openvino.save_model(output.finished(), path, compress_to_fp16=False)


backend = Backend(
    target,
    engine,
    write,
    prepare=[passes.simplify, passes.real_pairs, passes.fold_constants],
    carry=carry,
)
convert, run, save, start = backend.convert, backend.run, backend.save, backend.start
