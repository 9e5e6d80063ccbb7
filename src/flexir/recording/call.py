"""One torch call as it passes by: read, run, and told of afterwards.

A record and no more: each step of the recorder's fills in what the next ones need.
"""

from __future__ import annotations

from types import FrameType
from typing import Any

import torch

from ..calls.binding import layout_of
from ..errors import add_note
from ..graph.nodes import Node
from .memory import Alias


class Call:
    """A torch call, its arguments and what has become known of it.

    Attributes:
        func, args, kwargs, frame: the call as it was made, and where.
        layout, signature: how its arguments have names.
        tensors: every place a tensor stands among the arguments, and what it meant.
        node: what is recorded; it has no result yet.
        marked: names of the arguments that torch's own marks say it writes.
        generator: the random generator it may draw from, and that one's state before.
        result: what it returned.
    """

    __slots__ = (
        "_named", "args", "frame", "func", "generator", "kwargs", "layout", "marked", "node",
        "result", "signature", "tensors",
    )  # fmt: skip
    node: Node
    result: Any

    def __init__(self, func: Any, args: Any, kwargs: dict[str, Any], frame: FrameType) -> None:
        self.func, self.args, self.kwargs, self.frame = func, args, kwargs, frame
        layout = self.layout = layout_of(func, args, kwargs)
        self.signature = layout.signature
        self.tensors: list[tuple[torch.Tensor, Alias]] = []
        self.marked: frozenset[str] = NO_NAMES
        self.generator: Any = None
        self._named: dict[str, Any] | None = None

    @property
    def named(self) -> dict[str, Any]:
        """The arguments by name, as they were given: tensors, not Values."""
        if self._named is None:
            self._named = self.layout.named(self.args, self.kwargs)
        return self._named

    def explain(self, error: Exception) -> None:
        """Say that an error arose in this call, once."""
        if not vars(error).get("_flexir_noted"):
            vars(error)["_flexir_noted"] = True
            where = f"   # {self.node.where}" if self.node.where else ""
            add_note(error, f"in the call  {self.node}{where}")


NO_NAMES: frozenset[str] = frozenset()
