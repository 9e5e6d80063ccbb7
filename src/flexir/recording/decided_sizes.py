"""Sizes that values decide: of what ``x[mask]``, ``nonzero``, ``unique`` and the like give.

They may be the same in all examples by chance. A call that cannot be made without elements is made
once more on zeros, on ones and on numbers that are all different; a size that is another there is
decided by values and varies, and so does what follows from it. Owns which sizes these are.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from ..calls.names import is_torch
from ..graph import tree
from ..graph.choice import WITH_BLOCKS
from ..graph.nodes import Node, Value
from .no_compiler import no_compiler
from .on_meta import META

_works: dict[Any, bool] = {}  # whether a call of torch's can be made on the meta device


def may_decide(nodes: Iterable[Node]) -> set[Node]:
    """The calls of torch that cannot be made without elements.

    Args:
        nodes: of a graph and all blocks in it.
    """
    with no_compiler():
        return {node for node in nodes if _gives_tensors(node) and not _works_there(node)}


def lengthened(node: Node, env: Mapping[Value, Any]) -> dict[Value, torch.Tensor]:
    """What a call gave, with one element more wherever values decide how many there are.

    Args:
        node: one that may decide sizes.
        env: what its inputs and outputs are.
    """
    made = {value: env[value] for value in node.outputs if isinstance(env[value], torch.Tensor)}
    shapes = [[tuple(tensor.shape) for tensor in made.values()]]
    for fill in (torch.zeros_like, torch.ones_like, _counted_like):
        others = {value: fill(env[value]) if isinstance(env[value], torch.Tensor) else env[value]
                  for value in node.inputs}  # fmt: skip
        shapes += [] if (found := _shapes(node, others)) is None else [found]
    longer = {}
    for (value, tensor), seen in zip(
        made.items(), zip(*(s for s in shapes if len(s) == len(made)))
    ):
        for dim, sizes in enumerate(zip(*seen)):
            if len(set(sizes)) > 1:
                last = tensor.narrow(dim, -1, 1) if tensor.shape[dim] else None
                one = list(tensor.shape[:dim]) + [1] + list(tensor.shape[dim + 1 :])
                more = tensor.new_zeros(one) if last is None else last
                tensor = longer[value] = torch.cat([tensor, more], dim)
    return longer


def _counted_like(tensor: torch.Tensor) -> torch.Tensor:
    return torch.arange(tensor.numel(), device=tensor.device).reshape(tensor.shape).to(tensor.dtype)


def _gives_tensors(node: Node) -> bool:
    effects = node.effects
    plain = not (effects.escape or effects.random or effects.writes)
    return plain and node.body is None and node.target.__class__ not in WITH_BLOCKS and (
        is_torch(node.target) and any(not v.is_number and not v.is_list for v in node.outputs)
    )  # fmt: skip


def _works_there(node: Node) -> bool:
    kinds = tuple([getattr(v.type, "dtype", None) for v in node.inputs])
    key = node.target, kinds, tuple(node.args)
    if key not in _works:
        empty = {value: _empty(value) for value in node.inputs if not value.is_list}
        _works[key] = len(empty) < len(node.inputs) or _shapes(node, empty) is not None
    return _works[key]


def _empty(value: Value) -> Any:
    """Something without elements of the type of a Value."""
    if value.is_number:
        return getattr(value.type, "recorded", None)
    shape = [int(n) for n in value.type.shape]
    return torch.empty(shape, dtype=value.type.dtype, device=META)


def _shapes(node: Node, env: Mapping[Value, Any]) -> list[tuple[int, ...]] | None:
    """The shapes of what a call gives; None if it cannot be made."""
    named = tree.build(node.args, Value, env.__getitem__)
    args, kwargs = node.signature.unbind(named)
    found: list[torch.Tensor] = []
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            tree.template(node.target(*args, **kwargs), found.append, deep=True)
    except Exception:  # noqa: BLE001  it is asked whether it can
        return None
    return [tuple(one.shape) for one in found]
