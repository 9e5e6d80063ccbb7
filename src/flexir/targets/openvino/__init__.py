"""OpenVINO models, run by its CPU plug-in: a worked target on flexir's public API alone.

``convert`` gives a :class:`Network`, ``run`` compiles it for f32 and gives what the model would,
``save`` writes ``.xml`` and ``.bin``. Sizes are those recorded. OpenVINO's own front end for torch
is not used.
"""

from __future__ import annotations

import openvino
import torch

from flexir import passes

from ..door import Door, Tensors
from . import arithmetic, layers, shapes  # noqa: F401  they declare the handlers
from .values import Network, target

__all__ = ["Network", "convert", "run", "save", "target"]


def engine(output: Network, tensors: Tensors) -> Tensors:
    """Through the CPU plug-in, compiled once."""
    compiled = output.compiled()
    made = compiled([tensors[name].contiguous().numpy() for name in output.inputs])
    ports = zip(output.outputs, compiled.outputs)
    return {name: torch.from_numpy(made[port].copy()) for name, port in ports}


def write(output: Network, path: str) -> None:
    """``net.xml``, and ``net.bin`` beside it, in f32."""
    openvino.save_model(output.finished(), path, compress_to_fp16=False)


door = Door(target, engine, write, prepare=[passes.simplify, passes.fold_constants])
convert, run, save = door.convert, door.run, door.save
