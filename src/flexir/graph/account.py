"""What a graph tells of its run besides the calls: memory written, state kept, origins, the audit.

Plain data; how it is found out is the recorder's matter.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch

from .nodes import Value
from .source import Source


class Mutation(NamedTuple):
    """The final value of memory that existed before the run and was written during it.

    Attributes:
        name: of the input or constant that held the initial value.
        initial: that input or constant.
        final: its value after the run.
    """

    name: str
    initial: Value
    final: Value


class State(NamedTuple):
    """A tensor that one call of the model leaves behind and the next one reads.

    Attributes:
        path: where the model keeps it: ``h``, ``encoder.cache.0``.
        initial: the Value the recorded run began with, a constant of the graph.
        final: its Value after the run; the next call begins with it.
    """

    path: str
    initial: Value
    final: Value

    def __str__(self) -> str:
        return f"state {self.path}: {self.initial} -> {self.final}"


class Text(str):
    """What stands in a :class:`Change` for what is no literal."""

    def __repr__(self) -> str:
        return str(self)


NOTHING = Text("nothing")


class Begun(NamedTuple):
    """Where a random generator was before a run."""

    generator: torch.Generator
    state: torch.Tensor


class Change(NamedTuple):
    """What one call left behind that is no tensor of fixed type: the next call is another one.

    Attributes:
        path: where the model keeps it.
        before: what was there before the run, as far as it can be told: a literal, or a text.
        after: what is there since.
        kept: what was there before itself, to put it back with, or a Begun; not saved.
    """

    path: str
    before: Any
    after: Any
    kept: Any = None

    def __str__(self) -> str:
        return f"{self.path} was {self.before!r} before the call and is {self.after!r} after it"


class Live(NamedTuple):
    """A size or number that varies from call to call, and is explained.

    Attributes:
        name: as it is printed.
        values: what it was in each example.
        places: where it stands: ``x.shape[0]``.
    """

    name: str
    values: tuple[Any, ...]
    places: tuple[str, ...]

    def __str__(self) -> str:
        shown = ", ".join(map(str, self.values))
        return f"{self.name} = {shown}   # {', '.join(self.places)}"


class Frozen(NamedTuple):
    """What varied between the examples and could not be explained: it stays as it was.

    Attributes:
        example: the number of the example that showed it, from 1.
        reason: what happened on the graph of the first example.
        source: the line, where it is known.
    """

    example: int
    reason: str
    source: Source | None = None

    def __str__(self) -> str:
        where = f"   # {self.source}" if self.source else ""
        return f"example {self.example}: {self.reason}{where}"


class Origin(NamedTuple):
    """Where a constant came from.

    Attributes:
        kind: ``"parameter"``, ``"buffer"`` or ``"attribute"`` of a module, ``"default"`` of an
            argument, ``"global"`` (reached from a function's globals or closure), ``"cached"``
            (made before the run, kept where the search did not look), ``"python"`` (made of Python
            numbers by a legacy constructor), or ``"unseen"`` (made during the run by code that no
            watcher sees; the graph holds it frozen).
        source: the line that first used it.
        escaped: lines where values left torch for Python before; an unseen constant may
            depend on them.
    """

    kind: str
    source: Source | None = None
    escaped: tuple[Source, ...] = ()


@dataclass(slots=True)
class Audit:
    """What the witness beneath the recording saw.

    Attributes:
        witnessed: whether it was on.
        fallback: number of nodes that only the witness saw (ATen level).
        problems: one line per thing the graph cannot vouch for; empty means nothing was lost.
        changes: what the run changed in the model that no Value can carry: this graph is of the
            one call, the next would be another.
        unwatched: paths below which there is too much to see what a call changes.
        laundered: where a size that varies became a plain number, or values a text: what Python
            decided by it is as recorded, and no replay can tell.
    """

    witnessed: bool = True
    fallback: int = 0
    problems: list[str] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    unwatched: list[str] = field(default_factory=list)
    laundered: list[str] = field(default_factory=list)

    @property
    def unaccounted(self) -> int:
        """How many things were seen to happen that no node accounts for."""
        return len(self.problems)

    def __str__(self) -> str:
        head = f"unaccounted: {self.unaccounted}"
        if self.fallback:
            head += f"  (ATen-level nodes: {self.fallback})"
        if not self.witnessed:
            head += "  (without witness)"
        lines = [head, *self.problems]
        lines += [f"a next call would be another one: {change}" for change in self.changes]
        lines += [f"too much to look at below {path}" for path in self.unwatched]
        lines += [f"as recorded, whatever it is now: {one}" for one in self.laundered]
        return "\n  ".join(lines)
