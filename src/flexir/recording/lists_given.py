"""Calls that give lists: of other lengths in other runs, of tensors, or of numbers.

``unbind`` and ``tolist`` give as many as a size says. Such a call gives one Value, which is a list,
and what runs had are its elements. Numbers of a matrix come in rows; each of its columns is a list.
Lists that Python made (``list(range(n))``, ``[0] * n``) are given to calls as they are; one
whose numbers are each as far from the one before is told by how many there are.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch

from ..graph import numbers
from ..graph.choice import alike
from ..graph.lists import counted, element, joined
from ..graph.nodes import ListType, Node, NumberType, TensorType, Value
from .alike import Misfit
from .beginning import Beginning
from .scopes import Scope
from .ways import copied


class ListsGiven(Beginning):
    """Loops and ways, with such calls."""

    def element(self, scope: Scope, values: dict[int, Any], out: list[Node]) -> Value | None:
        """The element of a list by its number, also of one that always has as many."""
        found = super().element(scope, values, out)
        return self._of_one_call(scope, values, out) if found is None else found

    def _of_one_call(self, scope: Scope, values: dict[int, Any], out: list[Node]) -> Value | None:
        """An element, by the number of a round, of as many as a call gave in every run."""
        made = [self.env[r].get(value) for r, value in values.items()]
        first = made[0].producer if made[0] is not None else None
        if first is None or any(one not in first.outputs for one in made):
            return None
        places = {r: first.outputs.index(one) for r, one in zip(values, made)}
        if not self.follows_rounds(scope, places):
            return None
        outputs, kind = first.outputs, first.outputs[0].type
        if not all(alike(one.type, kind) and scope.sees(one) for one in outputs):
            return None
        index = self.on_a_line(scope, places, out)
        if first.op == "unbind":
            args = {"input": first.args["input"], "dim": first.args["dim"], "index": index}
            return self.emitted(scope, torch.select, args, kind, out)
        parts = {"parts": tuple(outputs)}
        whole = self.emitted(scope, joined, parts, ListType(len(outputs), kind), out)
        args = {"input": whole, "index": index}
        return self.emitted(scope, element, args, next(iter(values.values())).type, out)

    def listed(self, scope: Scope, lists: dict[int, Any], out: list[Node]) -> Value | None:
        """One list Value for lists of Values, or of numbers that Python made; None if none is."""
        made = super().listed(scope, lists, out)
        return self._counted(scope, lists, out) if made is None else made

    def _counted(self, scope: Scope, lists: dict[int, Any], out: list[Node]) -> Value | None:
        """Lists of other lengths in which each number is as far from the one before."""
        lists = {r: _plain(one) for r, one in lists.items()}
        lengths = {r: len(one) for r, one in lists.items()}
        step = step_of(list(lists.values()))
        if step is None or len(set(lengths.values())) == 1:
            return None
        many = self.on_a_line(scope, lengths, out)
        first, last = ({r: one[k] for r, one in lists.items() if one} for k in (0, -1))
        kind = NumberType(type(next(iter(first.values()))), next(iter(first.values())))
        if len(set(first.values())) == 1:
            start: Any = next(iter(first.values()))
        elif len(set(last.values())) == 1:  # counted down
            args = {"input": many, "other": -step}
            start = self.emitted(scope, numbers.mul, args, kind, out)
            args = {"input": start, "other": next(iter(last.values())) + step}
            start = self.emitted(scope, numbers.add, args, kind, out)
        else:
            start = self.on_a_line(scope, first, out)
        args = {"start": start, "step": step, "length": many}
        length = lengths[scope.runs[0]]
        return self.emitted(scope, counted, args, ListType(length, kind), out)

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


def _plain(given: Any) -> Any:
    """A list of numbers that are made of those of rounds alone, as plain ones; else as it is."""
    if given.__class__ is not list or not all(map(_is_of_rounds, given)):
        return given
    return [getattr(one.type, "recorded", None) if one.__class__ is Value else one
            for one in given]  # fmt: skip


def _is_of_rounds(part: Any) -> bool:
    """Whether a number is the same in every run, being made of numbers of rounds alone."""
    if part.__class__ is not Value:
        return part.__class__ is int
    node = part.producer
    if node is None or not part.is_number:
        return False
    return node.target is numbers.turn or (
        node.target in numbers.FUNCTIONS and all(map(_is_of_rounds, node.inputs))
    )


def step_of(lists: Sequence[Any]) -> int | None:
    """How far each number is from the one before, in all of these lists; None if that varies.

    Of floats, and of bools, all must be the same.
    """
    if any(one.__class__ is not list for one in lists) or max(map(len, lists)) < 3:
        return None
    kinds = {part.__class__ for one in lists for part in one}
    if len(kinds) != 1 or not kinds <= {int, float, bool}:
        return None
    steps = {b - a for one in lists for a, b in zip(one, one[1:])}
    step = steps.pop()
    known = not steps and (kinds == {int} or not step)
    return int(step) if known else None


def _width(heads: Collection[Node]) -> int:
    """How many numbers are in each row of what calls gave; 0 if that are no rows of as many."""
    rows = [row for one in heads if one.result.__class__ is list for row in one.result]
    widths = {len(row) if row.__class__ is list else 0 for row in rows}
    numbers = all(one.__class__ is Value and one.is_number for row in rows if row.__class__ is list
                  for one in row)  # fmt: skip
    return widths.pop() if len(widths) == 1 and numbers else 0
