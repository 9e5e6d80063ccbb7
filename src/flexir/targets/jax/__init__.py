"""Models as functions for JAX, run by XLA: a worked target on flexir's public API alone.

``convert`` gives a :class:`Program`, a pure function of weights and inputs that ``jax.jit``,
``vmap`` and ``grad`` take; ``run`` runs it on tensors, ``save`` writes it as StableHLO for
``jax.export.deserialize``: a function from inputs by name to outputs by name. The handlers are in
the modules beside this one.
"""

from __future__ import annotations

from pathlib import Path

import jax

from flexir import passes

from ..door import Door, Tensors
from . import (  # noqa: F401  they declare handlers
    control,
    elementwise,
    indexing,
    layers,
    reductions,
    shapes,
)  # fmt: skip
from .handlers import target
from .program import Program, array_of, tensor_of, wide

__all__ = ["Program", "convert", "run", "save", "target"]


def engine(output: Program, tensors: Tensors) -> Tensors:
    """Through XLA, compiled once."""
    arrays = {name: array_of(tensors[name]) for name in output.inputs}
    with wide():
        made = output.compiled(output.weights, arrays)
    return {name: tensor_of(array) for name, array in made.items()}


def write(output: Program, path: str) -> None:
    """StableHLO of the recorded sizes, weights included."""
    from jax import export

    types = {name: output.types[place] for name, place in output.inputs.items()}
    with wide():
        made = export.export(jax.jit(lambda inputs: output.compute(output.weights, inputs)))(types)
        Path(path).write_bytes(made.serialize())


door = Door(target, engine, write, prepare=[passes.simplify])
convert, run, save = door.convert, door.run, door.save
Program.sized = door.at
