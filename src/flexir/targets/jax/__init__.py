"""Models as functions for JAX, run by XLA: a worked target on flexir's public API alone.

``convert`` gives a :class:`Program`, a pure function of weights and inputs that ``jax.jit``,
``vmap`` and ``grad`` take; ``run`` runs it on tensors, ``save`` writes it as StableHLO. The
handlers are in the modules beside this one.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import jax
import torch

import flexir
from flexir import passes

from . import elementwise, indexing, layers, reductions, shapes  # noqa: F401  they declare handlers
from .handlers import target
from .program import Program, array_of, tensor_of, wide

__all__ = ["Program", "convert", "run", "save", "target"]


def convert(
    model: Any,
    args: Any = (),
    kwargs: dict[str, Any] | None = None,
    *,
    also: Any = (),
    strict: bool = False,
) -> flexir.Result:
    """Convert a model, or a Graph, to a function for JAX.

    Args:
        model: a module, a callable or a Graph.
        args: inputs of the model, nothing for a Graph.
        kwargs: keyword inputs.
        also: further examples; XLA takes one size, so they are refused.
        strict: raise if anything is not in the program.

    Returns:
        a Result; ``output`` is a :class:`Program`.

    Raises:
        Error: ``also`` was given.
    """
    if also:
        raise flexir.Error("XLA compiles one size: convert each example by itself, without also=")
    with torch.no_grad():
        graph = model if isinstance(model, flexir.Graph) else flexir.capture(model, args, kwargs)
        graph = passes.simplify(graph)
        program = Program(graph=graph)
        result = flexir.convert(graph, target=target, out=program, strict=strict)
    found = {name: result.values.get(value) for value, name in graph.output_names.items()}
    for name, value in zip(found, graph.output_names):
        if found[name] is None and value in graph.constants:  # a weight is returned as it is
            found[name] = program.places.setdefault(
                value.name, program.place(value.type.shape, _stored(program, graph, value))
            )
    program.outputs = found  # type: ignore[assignment]
    result.output = program
    return result


def _stored(program: Program, graph: flexir.Graph, value: flexir.Value) -> Any:
    program.weights[value.name] = array_of(graph.constants[value])
    return program.weights[value.name].dtype


def run(output: Program, *args: Any, **kwargs: Any) -> Any:
    """Run a converted model in XLA.

    Args:
        output: what ``convert`` made.
        args: as for the model.
        kwargs: as for the model.

    Returns:
        what the model returns, in its structure.

    Raises:
        UnsupportedError: there are placeholders in it.
    """
    assert output.graph is not None
    _whole(output)
    bound = output.graph.bind(*args, **kwargs)
    arrays = {name: array_of(bound[name]) for name in output.inputs}
    with wide():
        made = output.compiled(output.weights, arrays)
    return output.graph.arrange({name: tensor_of(array) for name, array in made.items()})


def _whole(output: Program) -> None:
    lacking = [p for p in output.outputs.values() if not isinstance(p, int)]
    if lacking:
        raise flexir.UnsupportedError(
            f"placeholders do not run: {', '.join(sorted({str(p) for p in lacking}))}. "
            "print(result.report) says why"
        )


def save(output: Program, path: str | os.PathLike[str]) -> None:
    """Write a file of StableHLO, weights included, for ``jax.export.deserialize``.

    What it holds is a function from inputs by name to outputs by name, of the recorded sizes.
    """
    from jax import export

    _whole(output)
    types = {name: output.types[place] for name, place in output.inputs.items()}
    with wide():
        made = export.export(jax.jit(lambda inputs: output.compute(output.weights, inputs)))(types)
        Path(path).write_bytes(made.serialize())
