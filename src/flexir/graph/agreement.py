"""What a replay must agree with: types, values that left torch, how loops ended.

Each check raises :class:`Diverged` with the line where these inputs lead elsewhere than those of
the examples did. Runs nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from ..errors import Diverged
from .choice import blocks_of
from .escaped import as_literal
from .geometry import fingerprint, shape_of
from .inputs import same_literal
from .nodes import Dim, ListType, Node, NumberType, TensorType, Value
from .tree import LITERALS, tensors_in

if TYPE_CHECKING:
    from .graph import Graph
    from .replay import Replay

# What torch, and arithmetic, raise at other sizes and numbers.
TORCHS = (RuntimeError, TypeError, ValueError, IndexError, ArithmeticError)


@contextlib.contextmanager
def as_shown(graph: Graph, meaning: Replay) -> Iterator[None]:
    """Context manager: what torch refuses where no example was shown is Diverged."""
    try:
        yield
    except TORCHS as error:
        node = meaning.now
        varies = graph.live or meaning.parts or isinstance(error, ArithmeticError)
        if node is None or isinstance(error, Diverged) or meaning.numbers or not varies:
            raise
        raise Diverged(
            f"a call fails on these inputs, and no example showed such: "
            f"{type(error).__name__}: {error}\n  in: {node}   # {node.where}",
            node,
        ) from error


def check_type(node: Node, value: Value, tensor: torch.Tensor) -> None:
    """Raise Diverged if a replayed tensor has another shape or dtype than the recorded one."""
    if type(tensor) is torch.Tensor and not tensor.is_nested:
        known = value.type  # a number's or a list's answers as a tensor's does
        if tensor.shape == known.shape and tensor.dtype == known.dtype:
            if known.__class__ is TensorType:
                return
    if tensor is None and blocks_of(node):
        return  # no example showed what stands there this way; the call that reads it says so
    if isinstance(value.type, NumberType):
        return _check_number(node, repr(value), value.type.kind, tensor)
    if value.type.__class__ is ListType and isinstance(tensor, (list, tuple)):
        element = value.type.element
        for one in tensor:
            if element.__class__ is NumberType:
                _check_number(node, f"an element of {value!r}", element.kind, one)
            elif not element.takes(shape_of(one), one.dtype):
                raise _other_size(f"an element of {value!r}", one, node)
        if value.type.shape[0].__class__ is not Dim and len(tensor) != value.type.shape[0]:
            raise Diverged(f"{value!r} has {len(tensor)} elements\n  in: {node}", node)
        return
    if not isinstance(tensor, torch.Tensor):
        raise Diverged(f"{value!r} is {tensor!r} on these inputs\n  in: {node}", node)
    if not value.type.takes(shape_of(tensor), tensor.dtype):
        raise _other_size(repr(value), tensor, node)


def check_memory(node: Node, given: Mapping[str, Any], result: Any) -> None:
    """Raise Diverged if a result lies in memory of an argument where it was a copy, or not so."""
    if shares(given, result) not in (None, node.effects.memory == "view"):
        other = "a copy" if node.effects.memory == "view" else "in memory of an argument"
        raise Diverged(
            f"the result of a call is {other} on these inputs and was none in the examples, and "
            f"memory is written to\n  in: {node}   # {node.where}",
            node,
        )


def shares(given: Mapping[str, Any], result: Any) -> bool | None:
    """Whether a result lies in memory of what a call was given; None if it has no elements."""
    made = {_storage(one) for one in _tensors(result)} - {None}
    if not made:
        return None
    return any(_storage(one) in made for part in given.values() for one in _tensors(part))


def _tensors(part: Any) -> Sequence[torch.Tensor]:
    if isinstance(part, torch.Tensor):
        return (part,)
    return () if part.__class__ in LITERALS else tensors_in(part)


def _storage(tensor: torch.Tensor) -> int | None:
    """What tells the memory of a tensor; None if it has no elements, or none of its own."""
    if tensor.layout is not torch.strided or tensor.is_nested or 0 in tensor.shape:
        return None
    return int(tensor.untyped_storage()._cdata)


def _check_number(node: Node, what: str, kind: type, made: Any) -> None:
    if isinstance(made, bool) != (kind is bool) or not isinstance(made, (int, float)):
        raise Diverged(f"{what} is {made!r} on these inputs\n  in: {node}", node)


def _other_size(what: str, tensor: torch.Tensor, node: Node) -> Diverged:
    return Diverged(
        f"{what} has shape {shape_of(tensor)}, dtype {tensor.dtype} on these inputs; "
        f"the sizes of the recorded run are part of the graph\n  in: {node}   # {node.where}",
        node,
    )


def check_there(values: Iterable[Value], env: Mapping[Value, Any], node: Any = None) -> None:
    """Raise Diverged where a Value is read that no example showed to be there this way."""
    for value in values:
        if env[value] is None:
            where = "" if node is None else f"\n  in: {node}   # {node.where}"
            raise Diverged(f"no example showed what {value!r} is on these inputs{where}", node)


def check_round(node: Node, rounds: int, last: bool, goes_on: bool | None, carried: Any) -> None:
    """Raise Diverged if no example showed what follows such a round of a loop."""
    if last or goes_on is False:
        return
    begun = node.args["carried"]
    if goes_on is None or any(a is None and b is not None for a, b in zip(carried, begun)):
        raise Diverged(
            f"no example showed what follows a round of the loop like number {rounds - 1}\n"
            f"  at: {node.where}",
            node,
        )


def check_carried(node: Node, begun: Sequence[Any], made: Sequence[Any]) -> None:
    """Raise Diverged if what a round gives on has another shape than what it was given."""
    for before, after in zip(begun, made):
        if isinstance(before, torch.Tensor) and shape_of(before) != shape_of(after):
            raise Diverged(
                f"a round of the loop carries {shape_of(before)} and gives {shape_of(after)}\n"
                f"  at: {node.where}",
                node,
            )


def check_rounds(node: Node, rounds: int, goes_on: bool | None) -> None:
    """Raise Diverged if a loop ended as no example showed it to end."""
    if rounds < node.target.least:
        raise Diverged(
            f"the loop has {rounds} rounds on these inputs; no example showed so few\n"
            f"  at: {node.where}",
            node,
        )
    if (
        rounds
        and goes_on is not None
        and ("count" if goes_on else "condition") not in node.target.ends
    ):
        how = "ran through" if goes_on else "ended by its condition"
        raise Diverged(
            f"the loop {how} after {rounds} rounds; no example showed that\n  at: {node.where}",
            node,
        )


def check_error(node: Node, call: Callable[[], Any]) -> None:
    """Raise Diverged unless a call that raised, and the model went on, does so again."""
    try:
        call()
    except Exception as error:  # noqa: BLE001  it is what is asked
        now = f"raises {type(error).__name__}"
        if type(error).__name__ == node.result:
            return
    else:
        now = "does not fail"
    raise Diverged(
        f"{node.op}() raised {node.result} when recorded and {now} on these inputs; the graph "
        f"holds only the recorded path\n  at: {node.where}",
        node,
    )


def check_escape(node: Node, named: dict[str, Any], result: Any) -> None:
    """Raise Diverged if a value that left torch for Python is not the recorded one."""
    if node.effects.escape == "text":
        return
    if node.effects.escape == "about":
        result = as_literal(result)
    if node.effects.escape == "memory":
        tensor = tensors_in(named)[0]
        if fingerprint(tensor) != node.result:
            raise Diverged(
                f"{node.op}() gave this tensor's memory to Python code, and its elements are "
                f"others on these inputs; what was computed from them is not in the graph\n"
                f"  at: {node.where}",
                node,
            )
        return
    if same_literal(node.result, result):
        return
    what = {"branch": "branch", "about": "answer"}.get(node.effects.escape or "", "value")
    raise Diverged(
        f"the {what} taken by {node.op}() was {node.result!r} when recorded and is {result!r} on "
        f"these inputs; the graph holds only the recorded path\n  at: {node.where}",
        node,
    )
