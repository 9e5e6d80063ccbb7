"""ncnn networks of models, run by the ncnn wheel: a worked target on flexir's public API alone.

``convert`` gives a :class:`Network`, ``run`` runs it and gives what the model would, ``save``
writes its ``.param`` and ``.bin``. ncnn is a small static engine: f32, no batch, four dimensions.
What it cannot say is refused with a reason; finite numbers are right to rounding, NaN is not kept.
"""

from __future__ import annotations

from pathlib import Path

import ncnn  # noqa: F401  a missing engine is told at the import
import torch

from flexir import passes

from ..backend import Backend, Tensors
from . import layers, shapes  # noqa: F401  they declare the handlers
from .network import Network
from .tensors import target

__all__ = ["Network", "convert", "run", "save", "target"]


def engine(output: Network, tensors: Tensors) -> Tensors:
    """Through the wheel, which reads the two files from a folder of a moment."""
    made = output.run({name: tensors[name].numpy() for name in output.inputs})
    return {name: torch.from_numpy(array) for name, array in made.items()}


def write(output: Network, path: str) -> None:
    """``net.param``, and ``net.bin`` beside it."""
    param = Path(path).with_suffix(".param")
    output.write(param, param.with_suffix(".bin"))


backend = Backend(target, engine, write, partial=True,
            prepare=[passes.simplify, passes.fold_constants, passes.fold_batch_norm])  # fmt: skip
convert, run, save = backend.convert, backend.run, backend.save
