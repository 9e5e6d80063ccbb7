"""A recorded run, and stretches of it: what is laid over other runs. Plain data."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence, Set
from types import CodeType
from typing import Any, NamedTuple

import torch

from ..graph.graph import Graph
from ..graph.nodes import Node, Value
from .live import Expr
from .numbers import Laundered
from .rounds import Turn
from .standing import Held
from .state import Holdings


class Recorded(NamedTuple):
    """One run.

    Attributes:
        graph: its straight graph.
        standing: call -> what the user's functions held that they may still read.
        laundered: where a number lost its origin.
        turns: call -> the rounds of loops it stands in.
        lost: call -> numbers that became plain before it, with their Values.
        ends: condition that says that a loop is over -> the name of the loop.
        kinds: function -> expression that looks up or calls -> what, as in ``lookups``.
        kept: what the model keeps, as in ``Standing``.
        unused: numbers that Python computed and kept to itself, as there.
        held: what the model holds, if the run left everything as it was.
        lists: Value that is a list of a function's -> its elements.
        own: function -> variables of which the lists are Values.
        begun: the random generators, and where they were before the run.
    """

    graph: Graph
    standing: Mapping[Node, Held]
    laundered: Sequence[Laundered] = ()
    turns: Mapping[Node, tuple[Turn, ...]] = {}
    lost: Mapping[Node | None, tuple[tuple[Value, Any], ...]] = {}
    ends: Mapping[Node, str] = {}
    kinds: Mapping[CodeType, Mapping[ast.AST, str]] = {}
    kept: Mapping[Node | None, Mapping[str, Any]] = {}
    unused: Sequence[Expr] = ()
    held: Holdings | None = None
    lists: Mapping[Value, tuple[Value, ...]] = {}
    own: Mapping[CodeType, Set[str]] = {}
    begun: Sequence[tuple[torch.Generator, torch.Tensor]] = ()


class Span(NamedTuple):
    """A stretch of a run: the calls from ``start`` to before ``end`` of a list of nodes."""

    nodes: Sequence[Node]
    start: int
    end: int
    depth: int  # rounds around the list of nodes


# Run -> the round it stands in, the rounds of that loop, and where they end.
Stretches = dict[int, tuple[Turn, list[Span], int]]


def calls_in(span: Span) -> Iterator[Node]:
    """All calls of a stretch, those inside of modules too, in order."""
    stack = [*span.nodes[span.start : span.end]][::-1]
    while stack:
        node = stack.pop()
        if node.body is None:
            yield node
        else:
            stack += node.body[::-1]


def made_in(span: Span) -> Iterator[Value]:
    """All Values that the calls of a stretch make."""
    return (value for node in calls_in(span) for value in node.outputs)
