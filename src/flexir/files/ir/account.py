"""Types, audit, state and live sizes of a graph, to and from their messages.

Owns these messages alone; nodes and tables are :mod:`.encode`'s and :mod:`.decode`'s. Reading
trusts nothing.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

import torch

from ...errors import FormatError
from ...graph.account import Audit, Change, Frozen, Live, State, Text
from ...graph.graph import Graph
from ...graph.nodes import Dim, ListType, NumberType, TensorType, Value
from ...graph.source import Source
from .data import torch_constant

_KINDS = {kind.__name__: kind for kind in (int, float, bool)}  # of numbers


def write_audit(message: Any, audit: Audit) -> None:
    """Fill the message of an audit."""
    message.witnessed, message.fallback = audit.witnessed, audit.fallback
    message.problems.extend(audit.problems)
    message.unwatched.extend(audit.unwatched)
    message.laundered.extend(audit.laundered)
    for change in audit.changes:
        before, after = repr(change.before), repr(change.after)
        message.changes.add(path=change.path, before=before, after=after)


def read_audit(message: Any) -> Audit:
    """The audit of a message."""
    changes = [Change(c.path, _literal(c.before), _literal(c.after)) for c in message.changes]
    problems, unwatched = list(message.problems), list(message.unwatched)
    laundered = list(message.laundered)
    return Audit(message.witnessed, message.fallback, problems, changes, unwatched, laundered)


def read_state(
    kept: Any, string: Callable[[int, str], str], value: Callable[[int, str], Value]
) -> list[State]:
    """The state of the messages ``kept``, through the reader's tables."""
    return [
        State(string(one.path, "kept"), value(one.initial, "kept"), value(one.final, "kept"))
        for one in kept
    ]


def write_live(message: Any, graph: Graph, source: Callable[[Source | None], int]) -> None:
    """Fill in what varies from call to call, through the writer's table of sources."""
    for live in graph.live:
        values = list(map(repr, live.values))
        message.live.add(name=live.name, values=values, places=live.places)
    for frozen in graph.frozen:
        message.frozen.add(
            example=frozen.example, reason=frozen.reason, source_plus1=source(frozen.source)
        )


def read_live(
    message: Any, source: Callable[[int], Source | None]
) -> tuple[list[Live], list[Frozen]]:
    """What varies from call to call, through the reader's table of sources."""
    live = [Live(m.name, tuple(map(_literal, m.values)), tuple(m.places)) for m in message.live]
    frozen = [Frozen(m.example, m.reason, source(m.source_plus1)) for m in message.frozen]
    return live, frozen


def read_type(message: Any) -> TensorType:
    """The type of a Value.

    Raises:
        FormatError: an unknown dtype, device or kind of number, or a size too large.
    """
    number: NumberType | None = None
    if message.number:
        kind = _KINDS.get(message.number)
        if kind is None:
            raise FormatError(f"types: {message.number!r} is no kind of number")
        number = NumberType(kind, kind(message.real if kind is float else message.integer))
        if not message.list:
            return number
    try:
        device = torch.device(message.device or "cpu")
    except RuntimeError as error:
        raise FormatError(f"types: the device {message.device!r} is unknown") from error
    shape: tuple[int, ...] = tuple(message.shape)
    if any(n >= 1 << 63 for n in shape):
        raise FormatError("types: a dimension over 2**63")
    if message.names:
        if len(message.names) != len(shape):
            raise FormatError(f"types: {len(message.names)} names of {len(shape)} sizes")
        shape = tuple(Dim(n, name) if name else n for n, name in zip(shape, message.names))
    dtype = torch_constant(message.dtype, torch.dtype)
    if message.list:
        if not shape:
            raise FormatError("types: a list without a length")
        return ListType(shape[0], number or TensorType(dtype, shape[1:], device))
    return TensorType(dtype, shape, device)


def _literal(text: str) -> Any:
    """A literal as Python prints it, or the text if it is none."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return Text(text)
