"""Numbers that C++ gives to calls, as sizes in the graph.

``vmap`` and autograd call ATen ops from C++, where sizes are plain ints. Owns how such an int that
differs between runs is found among the sizes of the call's own tensors.
"""

from __future__ import annotations

from typing import Any

from ..graph import numbers
from ..graph.nodes import Node, NumberType, Value
from .beneath import Sizes, sizes_that_are, tensor_inputs
from .kept_lists import KeptLists
from .scopes import Scope
from .ways import guarded


class Sized(KeptLists):
    """Loops and ways, with calls that C++ makes."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.beneath: dict[int, Node] = {}  # the call that is being read, if C++ makes it

    def literal(self, scope: Scope, literals: dict[int, Any], out: list[Node]) -> Any:
        if literals.keys() <= self.beneath.keys():
            found = [self._product(scope, one, out)
                     for one in sizes_that_are(self.beneath, literals)]  # fmt: skip
            found += [value for plain, value in self.lost_in(scope, literals) if plain == literals]
            for other in dict.fromkeys(found[1:]):
                out.append(guarded(numbers.eq, found[0], other, self.beneath[scope.runs[0]]))
            if found:
                return found[0]
        return super().literal(scope, literals, out)

    def _product(self, scope: Scope, sizes: Sizes, out: list[Node]) -> Value:
        """Sizes of a tensor that a call made by C++ is given, multiplied."""
        tensors = {r: tensor_inputs(self.beneath[r])[sizes.tensor] for r in scope.runs}
        whole, shape = self.one(scope, tensors, out), tensors[scope.runs[0]].type.shape
        made: Value | None = None
        recorded = 1
        for dim in sizes.dims:
            recorded *= int(shape[dim])
            args = {"input": whole, "dim": dim}
            one = self.emitted(scope, numbers.size, args, NumberType(int, int(shape[dim])), out)
            if made is None:
                made = one
            else:
                args = {"input": made, "other": one}
                made = self.emitted(scope, numbers.mul, args, NumberType(int, recorded), out)
        assert made is not None
        return made
