"""What sizes Values have on inputs of other sizes, without computing elements: on the meta device.

Much faster where a model computes long; where a call wants elements (``item``, a size that values
decide), or has no meaning there, nothing is known. Owns how a replay is moved to another device.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch.overrides import TorchFunctionMode

from ..graph import tree
from ..graph.graph import Graph
from ..graph.inputs import Inputs, bind_inputs
from ..graph.nodes import Node, Value
from ..graph.replay import Environment, replay
from .no_compiler import no_compiler

META = torch.device("meta")
_LONG = 5e-5  # seconds
_LITERALS = frozenset({int, float, bool, str, type(None), torch.dtype, torch.device})


class OnMeta(TorchFunctionMode):
    """Every call that names a device makes its tensors on the meta device.

    Many a call is dozens of lines of Python there. Those that are given tensors of the same sizes
    and the same literals give the same sizes, and layers come again and again.
    """

    def __init__(self) -> None:
        super().__init__()
        self._slow: set[Any] = set()  # functions that once took long
        self._known: dict[Any, Any] = {}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call it there."""
        args = tuple(map(_there, args))
        given = {name: _there(part) for name, part in (kwargs or {}).items()}
        if func not in self._slow:
            begun = time.perf_counter()
            result = func(*args, **given)
            if time.perf_counter() - begun > _LONG:
                self._slow.add(func)
            return result
        tensors: list[torch.Tensor] = []
        try:
            key = func, torch.get_default_dtype(), _outline((args, given), tensors)
        except _Unlike:
            return func(*args, **given)
        if key in self._known:
            return _made(self._known[key])
        before = [tensor._version for tensor in tensors]
        result = func(*args, **given)
        if before == [tensor._version for tensor in tensors]:
            with contextlib.suppress(_Unlike):
                self._known[key] = _outline(result, [])
        return result


class _Unlike(Exception):
    """It is more than tensors and plain literals."""


class _Empty(NamedTuple):
    """A tensor without elements."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype


def _outline(part: Any, tensors: list[torch.Tensor]) -> Any:
    """What tells a nest of tensors and literals from others; ``tensors`` gains the tensors."""
    cls = part.__class__
    if cls is torch.Tensor or cls is torch.nn.Parameter:
        tensors.append(part)
        return _Empty(tuple(part.shape), part.stride(), part.dtype)
    if cls is tuple or cls is list or cls is torch.Size:
        return cls, *[_outline(inner, tensors) for inner in part]
    if cls is dict:
        return cls, *[(name, _outline(inner, tensors)) for name, inner in part.items()]
    if cls in _LITERALS:
        return cls, part
    raise _Unlike


def _made(outline: Any) -> Any:
    """What an outline is of, its tensors anew."""
    if outline.__class__ is _Empty:
        shape, stride, dtype = outline
        return torch.empty_strided(shape, stride, dtype=dtype, device=META)
    cls, *parts = outline
    if cls in _LITERALS:
        return parts[0]
    if cls is dict:
        return {name: _made(part) for name, part in parts}
    return cls([_made(part) for part in parts])


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
        with torch.device(META), OnMeta(), no_compiler():
            replay(graph, args, kwargs, check=False, watch=watch, begin=note,
                   tell_numbers=True, env=env)  # fmt: skip
    except Exception:  # noqa: BLE001  any call may have no meaning there
        return False
    return True
