"""Torch functions in terms of smaller torch functions, written as torch code.

One entry of ``RECIPES`` per canonical op, with alternatives where a target may have one or the
other. A recipe takes the op's arguments by their names, and ``shape`` and ``type`` of the result if
it asks for them, and returns what the op returns; ``raise Unsupported`` where it does not apply.
A docstring begins with the page of torch's documentation (or the ATen op) that has the formula.

This package only says what equals what; :mod:`flexir.passes.decomposer` decides when to use it.
"""

from . import (
    activations,
    arithmetic,
    indexing,
    normalisation,
    products,
    recurrent,
    reductions,
    resizing,
    shapes,
    spectral,
)
from .table import RECIPES

__all__ = [
    "RECIPES", "activations", "arithmetic", "indexing", "normalisation", "products", "recurrent",
    "reductions", "resizing", "shapes", "spectral",
]  # fmt: skip
