"""Who belongs together while runs are laid over each other: scopes, and the branches among them.

A scope belongs to the runs that went the same way, or to the rounds of a loop. Plain data.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from typing import Any

from ..graph.nodes import Node, Value


class Scope:
    """What belongs to the same runs: straight calls, and the branches among them."""

    def __init__(self, runs: Sequence[int], parent: Scope | None, born: int) -> None:
        self.runs, self.parent, self.born = tuple(runs), parent, born
        self.members = frozenset(runs)
        self.made: dict[Value, int] = {}
        self.branches: list[Any] = []  # a Branch, or a Looping
        self.nodes: list[Node] = []
        self.loop: Any = None  # the Looping whose body this is
        self.lost: list[tuple[dict[int, int], Value]] = []  # numbers that became plain
        # A run and a Value of it from before -> variables that held it -> what they hold in all.
        self.held: dict[tuple[int, Value], dict[Any, Value | None]] = {}
        self.before: Any = None  # of a way: what variables held at the condition, if they differ

    def age(self, value: Value) -> int:
        """When a Value was made; never, for one from inside a branch."""
        return next((one.made[value] for one in self.outwards if value in one.made), -1)

    def sees(self, value: Value) -> bool:
        """Whether a Value exists here: made in this scope, or around it before it began."""
        limit: float = float("inf")
        for scope in self.outwards:
            if scope.made.get(value, limit) < limit:
                return True
            limit = scope.born
        return False

    @property
    def outwards(self) -> Iterator[Scope]:
        """This scope and those around it, from the inside out."""
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.parent

    @property
    def bodies(self) -> Iterator[Scope]:
        """The bodies of the loops that this is part of, from the inside out."""
        return (scope for scope in self.outwards if scope.loop is not None)

    @property
    def after_a_branch(self) -> bool:
        """Whether the runs here took different ways before, or are rounds of a loop."""
        return any(scope.branches or scope.loop is not None for scope in self.outwards)

    @property
    def is_parted(self) -> bool:
        """Whether the runs here took different ways before."""
        return any(one.__class__ is Branch for scope in self.outwards for one in scope.branches)

    @property
    def body(self) -> Scope | None:
        """The body of the innermost loop that this is part of."""
        return next(self.bodies, None)


class Branch:
    """An ``if`` node to be: its two scopes, and the outputs asked for so far."""

    def __init__(self, node: Node, then: Scope, otherwise: Scope, born: int) -> None:
        self.node, self.then, self.otherwise, self.born = node, then, otherwise, born
        self.before = then.before
        # What comes by the two ways, each with its class since 1 and True are equal -> the output.
        self.outputs: dict[Any, tuple[Any, Any, Value]] = {}

    def drop_unread(self, read: Set[Value]) -> bool:
        """Drop unused outputs; returns whether there were any."""
        kept = {key: one for key, one in self.outputs.items() if one[2] in read}
        dropped = len(kept) < len(self.outputs)
        self.outputs = kept
        return dropped
