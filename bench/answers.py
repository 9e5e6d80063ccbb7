"""What a graph answers to inputs that may not have been shown: right, refused or wrong."""

from __future__ import annotations

import copy
from typing import Any

import flexir
from flexir.recording.proof import equal


def outcome(graph: flexir.Graph, model: Any, inputs: flexir.Inputs) -> str:
    """Whether the graph gives what the model gives, bit for bit, or refuses by name."""
    (args, kwargs), (own, named) = copy.deepcopy(tuple(inputs)), copy.deepcopy(tuple(inputs))
    try:
        return "right" if equal(graph(*args, **kwargs), model(*own, **named)) else "wrong"
    except flexir.Diverged:
        return "refused"
