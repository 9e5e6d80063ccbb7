"""What runs begin with, as what one graph does: their inputs, and the constants of the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..graph.choice import alike
from ..graph.graph import Graph
from ..graph.nodes import Value
from .alike import Misfit, same_constant, zipped
from .leaving import Leaving
from .runs import Recorded
from .scopes import Scope


class Beginning(Leaving):
    """Runs being laid over each other, with what they begin with.

    Attributes:
        root: the scope of all of them.
        origins: constant -> where it comes from.
    """

    def __init__(self, runs: Sequence[Recorded]) -> None:
        super().__init__(runs)
        self.root = Scope(range(len(runs)), None, 0)
        self.origins: dict[Value, Any] = {}

    def constant(self, r: int, graph: Graph) -> None:
        """Take the constants of a run.

        Raises:
            Misfit: one of them is another tensor than in the runs before.
        """
        known = {value.name: value for value in self.constants}
        for value, tensor in graph.constants.items():
            one = known.get(value.name)
            if one is None:
                one = self.new(value.type, None, self.root)
                one.name, one.names = value.name, value.names
                self.constants[one], self.origins[one] = tensor, graph.origins[value]
            elif not same_constant(self.constants[one], tensor):
                raise Misfit(f"{value!r} is another constant in another run")
            self.env[r][value] = one

    def given(self, parts: dict[int, Any]) -> Any:
        """The inputs of all runs as those of one graph."""

        def leaf(values: dict[int, Any]) -> Value:
            first = values[0]
            known: Value | None = self.env[0].get(first)
            if known is None:
                known = self.new(first.type, None, self.root)
                known.name = first.name
            for r, value in values.items():
                if not alike(value.type, first.type) or self.env[r].get(value, known) is not known:
                    raise Misfit(f"{first!r} is {value!r} in another run")
                self.env[r][value] = known
            return known

        return zipped(parts, leaf)
