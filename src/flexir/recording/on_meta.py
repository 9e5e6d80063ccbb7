"""What sizes Values have on inputs of other sizes, without computing elements: on the meta device.

Much faster where a model computes long; where a call wants elements (``item``, a size that values
decide), or has no meaning there, nothing is known. Owns how a replay is moved to another device.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from ..graph import tree
from ..graph.graph import Graph
from ..graph.inputs import Inputs, bind_inputs
from ..graph.nodes import Node, Value
from ..graph.replay import Environment, replay

META = torch.device("meta")


class OnMeta(TorchFunctionMode):
    """Every call that names a device makes its tensors on the meta device."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call it there."""
        args = tuple(map(_there, args))
        return func(*args, **{name: _there(part) for name, part in (kwargs or {}).items()})


def _there(part: Any) -> Any:
    return META if part.__class__ is torch.device else part


class _Constants(Environment):
    """Weights, without their elements."""

    def __missing__(self, value: Value) -> torch.Tensor:
        made = self[value] = self.constants[value].detach().to(META)
        return made


def measured_there(
    graph: Graph,
    inputs: Inputs,
    note: Callable[[Sequence[Value], Sequence[Any]], None],
) -> bool:
    """Replay a graph on the meta device, asking no condition.

    Args:
        graph: whose branches and loops no tensor's elements decide, else it stops there.
        inputs: of any sizes.
        note: gets Values with the tensors and numbers that they are.

    Returns:
        whether it came to its end.
    """

    def watch(node: Node, made: Sequence[Any]) -> None:
        note(node.outputs, made)

    args, kwargs = tree.rebuilt(tuple(inputs), lambda tensor: tensor.to(META))
    env, given = _Constants(graph.constants), dict[Value, Any]()
    try:
        bind_inputs(graph, args, kwargs, given, as_given=True)
        note(list(given), list(given.values()))
        with torch.device(META), OnMeta():
            replay(graph, args, kwargs, check=False, watch=watch, begin=note,
                   tell_numbers=True, env=env)  # fmt: skip
    except Exception:  # noqa: BLE001  any call may have no meaning there
        return False
    return True
