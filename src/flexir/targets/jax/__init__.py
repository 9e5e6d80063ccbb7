"""Models as functions for JAX, run by XLA: a worked target on flexir's public API alone.

``convert`` gives a :class:`Program`, a pure function of weights and inputs that ``jax.jit``,
``vmap`` and ``grad`` take; ``run`` runs it on tensors, ``save`` writes it as StableHLO for
``jax.export.deserialize``: a function from inputs by name to outputs by name, or, of a model with
state, from inputs and state to outputs and state. The handlers are in the modules beside this one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax

import flexir
from flexir import passes

from ..backend import Backend, Tensors
from . import (  # noqa: F401  they declare handlers
    control,
    counted,
    elementwise,
    indexing,
    layers,
    reductions,
    shapes,
)  # fmt: skip
from .arrays import array_of, tensor_of, wide
from .handlers import target
from .program import Program

__all__ = ["Program", "convert", "run", "save", "start", "target"]


def engine(output: Program, tensors: Tensors) -> Tensors:
    """Through XLA, compiled once."""
    return carry(output, tensors, {})[0]


def carry(output: Program, tensors: Tensors, state: Tensors) -> tuple[Tensors, Tensors]:
    """One of several calls in a row: outputs, and the state after it."""
    arrays = {name: array_of(tensors[name]) for name in output.inputs}
    held = {output.state[path]: array_of(tensor) for path, tensor in state.items()}
    with wide():
        made, left, told = output.compiled({**output.weights, **held}, arrays)
    for holds, (text, _) in zip(told, output.conditions):
        if not holds:
            raise flexir.Diverged(f"what the program takes for granted does not hold: {text}")
    outputs, kept = ({name: tensor_of(array) for name, array in part.items()}
                     for part in (made, left))  # fmt: skip
    return outputs, kept


def write(output: Program, path: str) -> None:
    """StableHLO of the recorded sizes, weights included; state is taken and given."""
    from jax import export

    def alone(inputs: dict[str, Any], state: dict[str, Any]) -> Any:
        held = {output.state[path]: array for path, array in state.items()}
        made = output.compute({**output.weights, **held}, inputs)
        return made[:2] if output.left else made[0]

    types = {name: output.types[var] for name, var in output.inputs.items()}
    kept = {path: output.types[output.stored[output.state[path]]] for path in output.left}
    with wide():
        one = jax.jit(alone if kept else lambda inputs: alone(inputs, {}))
        made = export.export(one)(types, *([kept] if kept else []))
        Path(path).write_bytes(made.serialize())


backend = Backend(target, engine, write, prepare=[passes.simplify], carry=carry)
convert, run, save, start = backend.convert, backend.run, backend.save, backend.start
Program.sized = backend.at
