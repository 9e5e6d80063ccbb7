"""OpenVINO models, run by its CPU plug-in: a worked target on flexir's public API alone.

``convert`` gives a :class:`Network`, ``run`` compiles it for f32 and gives what the model would,
``save`` writes ``.xml`` and ``.bin``. Sizes are those recorded. OpenVINO's own front end for torch
is not used. The plug-in keeps whole numbers in 32 bits, and NaN not in ``relu``, ``clamp`` and
extremes: numbers are right to rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import openvino
import torch

import flexir
from flexir import passes

from ..door import Door, Tensors
from . import arithmetic, control, layers, reductions, shapes  # noqa: F401  they declare handlers
from .values import Network, target, too_wide

__all__ = ["Network", "convert", "run", "save", "start", "target"]


def engine(output: Network, tensors: Tensors) -> Tensors:
    """Through the CPU plug-in, compiled once."""
    request = output.request
    if not output.carries:
        request.reset_state()
    arrays = {name: tensors[name].contiguous().numpy() for name in output.inputs}
    for name, array in arrays.items():
        if too_wide(array):
            raise flexir.Error(f"input {name!r} has numbers beyond 32 bits: the CPU plug-in "
                               "keeps no more of whole numbers")  # fmt: skip
    made = request.infer(list(arrays.values()))
    return {name: torch.from_numpy(made[number].copy())
            for number, name in enumerate(output.outputs)}  # fmt: skip


def write(output: Network, path: str) -> None:
    """``net.xml``, and ``net.bin`` beside it, in f32."""
    openvino.save_model(output.finished(), path, compress_to_fp16=False)


door = Door(target, engine, write, prepare=[passes.simplify, passes.fold_constants])
convert, run, save = door.convert, door.run, door.save


def start(output: Network) -> Callable[..., Any]:
    """Calls in a row: what one leaves behind as state, the next begins with.

    Args:
        output: what ``convert`` made.

    Returns:
        a function to be called as the model is, with inputs of the sizes of the first.
    """
    output.request.reset_state()

    def call(*args: Any, **kwargs: Any) -> Any:
        if door.at(output, *args, **kwargs) is not output:
            raise flexir.Diverged("calls in a row are of one size: another has a state of its own")
        output.carries = True
        try:
            return run(output, *args, **kwargs)
        finally:
            output.carries = False

    return call
