"""Numbers that C++ gives to calls it makes: computed from sizes, which no Python number shows.

``torch.vmap`` runs other ops than are written, on tensors with one dimension more, and takes their
sizes from the tensors at hand. Such a number that differs from run to run is a size of what its
own call is given, or several sizes in a row multiplied; what else it may be must then agree.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from types import FrameType
from typing import Any, NamedTuple

from torch._ops import OpOverload

from ..graph import tree
from ..graph.nodes import Node, Value

_FROM_PYTHON = OpOverload.__call__.__code__


class Sizes(NamedTuple):
    """Dimensions in a row of one of the tensors that a call is given, as they were recorded."""

    tensor: int
    dims: range


def is_beneath(node: Node, frame: FrameType | None) -> bool:
    """Whether it is C++ that makes a call, at a frame."""
    direct = frame is not None and frame.f_code is _FROM_PYTHON
    return isinstance(node.target, OpOverload) and not direct


def tensor_inputs(node: Node) -> list[Value]:
    """The tensors that a call is given, in reading order."""
    return [one for one in tree.leaves(list(node.args.values()), Value) if not one.is_number]


def sizes_that_are(nodes: Mapping[int, Node], numbers: Mapping[int, Any]) -> Iterator[Sizes]:
    """What is a number in all runs, single sizes first.

    Args:
        nodes: the call in each run.
        numbers: that it is given in each.
    """
    shapes = [[tuple(map(int, one.type.shape)) for one in tensor_inputs(nodes[r])] for r in numbers]
    wanted = list(numbers.values())
    if len({tuple(map(len, one)) for one in shapes}) > 1:  # others, or of other ranks
        return
    rows = [
        Sizes(k, range(start, start + many))
        for many in range(1, 1 + max(map(len, shapes[0]), default=0))
        for k, shape in enumerate(shapes[0])
        for start in range(len(shape) - many + 1)
    ]
    for row in rows:
        if [math.prod(one[row.tensor][d] for d in row.dims) for one in shapes] == wanted:
            yield row
