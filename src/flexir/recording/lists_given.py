"""Calls that give lists of other lengths in other runs: of tensors, or of numbers.

``unbind`` and ``tolist`` give as many as a size says. Such a call gives one Value, which is a list,
and what runs had are its elements. Numbers of a matrix come in rows; each of its columns is a list.
"""

from __future__ import annotations

from collections.abc import Collection

import torch

from ..graph.choice import alike
from ..graph.nodes import ListType, Node, TensorType, Value
from .alike import Misfit
from .beginning import Beginning
from .scopes import Scope
from .ways import copied


class ListsGiven(Beginning):
    """Loops and ways, with such calls."""

    def list_given(self, scope: Scope, heads: dict[int, Node], node: Node, out: list[Node]) -> None:
        """A call that gave lists of other lengths."""
        first = heads[scope.runs[0]]
        width = _width(heads.values())
        if width and first.op == "tolist":
            self._table(scope, heads, node, width, out)
            return
        kind = max((one.outputs for one in heads.values()), key=len)[0].type
        for one in heads.values():
            whole = one.result.__class__ in (tuple, list) and one.outputs == tuple(one.result)
            if not whole or not all(alike(v.type, kind) for v in one.outputs):
                raise Misfit(f"it does something else in another run: {first}")
        made = self.new(ListType(len(first.outputs), kind), node, scope)
        node.result, node.outputs = made, (made,)
        node.effects = first.effects._replace(writes={})
        self.list_of(made, (one.outputs for one in heads.values()))
        out.append(node)

    def _table(
        self, scope: Scope, heads: dict[int, Node], node: Node, width: int, out: list[Node]
    ) -> None:
        """``tolist`` of a matrix with other numbers of rows: each column is a list of numbers."""
        first, of = heads[scope.runs[0]], node.args["input"]
        for k in range(width):
            lists = [[row[k] for row in one.result] for one in heads.values()]
            kind = max(lists, key=len)[0].type
            type = TensorType(of.type.dtype, (len(first.result),), of.type.device)
            args = {"input": of, "dim": 1, "index": k}
            column = copied(first, {"input": self.emitted(scope, torch.select, args, type, out)})
            made = self.new(ListType(len(first.result), kind), column, scope)
            column.result, column.outputs = made, (made,)
            column.effects = first.effects._replace(writes={})
            self.list_of(made, lists)
            out.append(column)


def _width(heads: Collection[Node]) -> int:
    """How many numbers are in each row of what calls gave; 0 if that are no rows of as many."""
    rows = [row for one in heads if one.result.__class__ is list for row in one.result]
    widths = {len(row) if row.__class__ is list else 0 for row in rows}
    numbers = all(one.__class__ is Value and one.is_number for row in rows if row.__class__ is list
                  for one in row)  # fmt: skip
    return widths.pop() if len(widths) == 1 and numbers else 0
