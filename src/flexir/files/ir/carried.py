"""What calls in a row begin with (``graph.carried``), as constants of a graph on disk.

A graph in memory keeps the very tensors; a message knows templates of Values, and constants. Owns
the way there and back; how either is written belongs to ``encode`` and ``save``.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from ...errors import FormatError
from ...graph import tree
from ...graph.account import NOTHING
from ...graph.check import free_name
from ...graph.geometry import tensor_type
from ...graph.graph import HELD, Graph
from ...graph.nodes import Value


def lowered(graph: Graph) -> Graph:
    """The graph with the tensors of ``carried`` among its constants, and Values in their place."""
    if graph.carried is None:
        return graph
    constants = dict(graph.constants.items())
    taken = {value.name for value in (*constants, *graph.input_values)}

    def leaf(tensor: torch.Tensor) -> Value:
        value = Value(free_name(HELD, taken), tensor_type(tensor))
        constants[value] = tensor
        return value

    parts = {
        name: str(part) if part is NOTHING else tree.template(part, leaf, deep=True)
        for name, part in graph.carried.items()
    }
    return dataclasses.replace(graph, constants=constants, carried=parts)


def raised(graph: Graph) -> None:
    """The inverse, in place.

    Raises:
        FormatError: it names what is no constant.
    """

    def look(value: Value) -> Any:
        if value not in graph.constants:
            raise FormatError(f"carried: {value!r} is no constant")
        return graph.constants[value]

    if graph.carried is not None:
        own = set(tree.leaves(graph.carried, Value))
        graph.carried = tree.build(graph.carried, Value, look)
        for value in own:
            del graph.constants[value]
