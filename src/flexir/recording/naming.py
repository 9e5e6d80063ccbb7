"""Sizes that vary get names: from what every Value was in each example.

A size that was the same in all examples is fixed; one that differed is a :class:`Dim` with a
letter, the same letter for sizes that were equal throughout. Numbers that cannot vary become
literals. Runs nothing; the table is filled by :mod:`.examples`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from operator import itemgetter
from typing import Any

from ..graph import numbers, places
from ..graph.account import Live
from ..graph.choice import blocks_of, every, values_of
from ..graph.graph import Graph
from ..graph.inputs import same_literal
from ..graph.nodes import Dim, ListType, Node, TensorType, Value
from ..graph.sizes import rewritten

Beyond = tuple[tuple[int, ...], ...]  # each time that sizes were tried: what one was, if it came
Dims = Mapping[str, Mapping[int, str]]
# Names of the sizes of inputs, by rank: batch, height, width, sequence, depth.
_LETTERS = {1: "N", 2: "BS", 3: "BSL", 4: "BCHW", 5: "BCDHW"}
_MORE = "NMKPQRTUV"


def values_in(graph: Graph) -> list[Value]:
    """The inputs of a graph, and all that its calls make."""
    return [*graph.input_values, *values_of(graph.nodes)]


class Table:
    """What every Value was in each example that fits, as often as it was made."""

    def __init__(self, graph: Graph) -> None:
        self.rows: list[dict[Value, list[Any]]] = []
        self.beyond: list[dict[Value, list[Any]]] = []  # the same at sizes that no example has
        self.values = values_in(graph)
        self.seconds = 0.0  # that the first example took
        self.problem = ""  # with the first example
        self.fixed: Collection[tuple[str, int | None]] = ()  # sizes that do not vary, by name

    def add(self, row: dict[Value, list[Any]]) -> None:
        """One more example."""
        self.rows.append(row)

    def keep_first(self) -> None:
        """Forget all examples but the first."""
        del self.rows[1:]
        self.beyond = []

    def column(self, value: Value) -> tuple[Any, ...]:
        """What a Value was, whenever it was made."""
        return tuple(one for row in self.rows for one in row.get(value, ()))

    def elements(self, value: Value) -> tuple[Any, ...]:
        """The sizes of all tensors of a list, whenever it was made."""
        return tuple(shape for one in self.column(value) for shape in one)

    def elsewhere(self, value: Value, dim: int) -> Beyond:
        """What a size of a tensor, or of the elements of a list, is beyond the examples."""
        if len(self.rows) < 2 or self._is_fixed(value, dim):
            return ()
        found = []
        for row in self.beyond:
            seen = row.get(value, ())
            shapes = [shape for one in seen for shape in one] if value.is_list else seen
            found.append(tuple(dict.fromkeys(shape[dim] for shape in shapes)))
        return tuple(found)

    def _is_fixed(self, value: Value, dim: int) -> bool:
        return (value.name, dim) in self.fixed or (value.name, None) in self.fixed

    def breaks(self) -> Value | None:
        """A tensor of which a size is fixed and was not the same."""
        for value in self.values if self.fixed else ():
            for dim in range(len(value.type.shape)):
                if self._is_fixed(value, dim) and len({n[dim] for n in self.column(value)}) > 1:
                    return value
        return None

    def alone(self) -> list[Value]:
        """The Values that one example alone came to, and that are unknown beyond."""
        return [v for v in self.values
                if sum(v in row for row in self.rows) == 1
                and not any(v in row for row in self.beyond)]  # fmt: skip

    def ways_alone(self) -> list[tuple[int, int]]:
        """An example that alone came to such Values, and another one: all such pairs."""
        alone = {next(r for r, row in enumerate(self.rows) if v in row) for v in self.alone()}
        return [(r, other) for r in sorted(alone) for other in range(len(self.rows)) if other != r]

    def coincides(self, nodes: Sequence[Node]) -> bool:
        """Whether a number was always the same, though one that it is made of was not."""
        return any(
            node.target in numbers.FUNCTIONS
            and node.target not in numbers.QUESTIONS
            and self._is_same(node.outputs[0])
            and not all(map(self._is_same, node.inputs))
            for node in nodes
            if node.makes_number
        )

    def _is_same(self, value: Value) -> bool:
        """Whether a number was the same whenever it was made."""
        seen = tuple(one for row in (*self.rows, *self.beyond) for one in row.get(value, ()))
        return not value.is_number or not seen or type(seen[0]) is bool or _constant(seen)

    def rows_with(self, value: Value) -> tuple[int, ...]:
        """Which examples came to a Value; none stands for all."""
        rows = tuple(r for r, row in enumerate(self.rows) if row.get(value))
        return () if len(rows) == len(self.rows) else rows

    def per_example(self, value: Value, look: Callable[[Any], Any]) -> tuple[Any, ...]:
        """What something of a Value was in each example that came to it.

        Where it was not the same whenever it was made in one example, all of it.
        """
        found = []
        for row in self.rows:
            seen = [look(one) for one in row.get(value, ())]
            if seen:
                found.append(seen[0] if all(one == seen[0] for one in seen) else tuple(seen))
        return tuple(found)


def with_names(graph: Graph, table: Table, dims: Dims) -> Graph:
    """The graph with a name for every size that varies, and literals for numbers that cannot."""
    names = _SizeNames(dims, len(table.rows))
    paths = {v: path for path, v in places.paths(graph.inputs, Value)}
    types: dict[Value, TensorType] = {}
    for value in table.values:
        column = table.column(value)
        if value.is_number:
            if value in paths and not _constant(column):
                names.number(paths[value], column)
        elif isinstance(value.type, ListType):
            types[value] = _list_type(value.type, table, value, names)
        elif not column:  # no example that fits came here: as recorded
            types[value] = value.type._replace(shape=tuple(map(int, value.type.shape)))
        else:
            rank = len(value.type.shape)
            rows = table.rows_with(value)
            shape = [names.dim(table.per_example(value, itemgetter(d)), paths.get(value), d, rank,
                               table.elsewhere(value, d), rows) for d in range(rank)]  # fmt: skip
            types[value] = value.type._replace(shape=tuple(shape))
    for node in every(graph.nodes):
        for _, block in blocks_of(node):
            inputs = node.args["inputs"]
            given = zip(block.parameters[len(block.parameters) - len(inputs) :], inputs)
            types.update((v, types.get(one, one.type)) for v, one in given)
    made = rewritten(graph, _literals(graph, table, types), types)
    made.live = names.live()
    return made


def _list_type(type: ListType, table: Table, value: Value, names: _SizeNames) -> ListType:
    """The type of a list: its length, and the sizes that its elements have in common."""
    if not table.column(value):
        return type
    length = names.dim(table.per_example(value, len), None, 0, 0)
    shape = []
    for d, recorded in enumerate(type.element.shape):
        sizes = table.per_example(value, partial(_common, d))
        known = tuple(one for size in sizes if (one := _of_some(size)) != ())
        beyond = table.elsewhere(value, d)
        shape.append(names.dim(known, None, d, 0, beyond) if known else int(recorded))
    return ListType(length, type.element.resized(tuple(shape)))


def _of_some(size: Any) -> Any:
    """A size of what was a list more than once, but for when it was empty."""
    if not isinstance(size, tuple):
        return size
    known = [one for one in size if one != ()]
    return known[0] if known and all(one == known[0] for one in known) else tuple(known)


def _common(dim: int, shapes: Sequence[tuple[int, ...]]) -> Any:
    """The size that all of these have in one dimension; all of them, if they differ."""
    sizes = [shape[dim] for shape in shapes]
    if not sizes:
        return ()
    return sizes[0] if len(set(sizes)) == 1 else tuple(sizes)


def _constant(column: Sequence[Any]) -> bool:
    first = column[0]
    return all(same_literal(n, first) and type(n) is type(first) for n in column)


def _literals(graph: Graph, table: Table, types: Mapping[Value, TensorType]) -> dict[Value, Any]:
    """Numbers that cannot vary: what is computed from sizes that did not, and those themselves.

    A number that was the same in all examples, although sizes it is computed from were not, is none
    of them; it may differ in the next call. One that Python was given is: it must not.
    """
    found = {v: table.column(v)[0] for v in graph.input_values
             if v.is_number and _constant(table.column(v))}  # fmt: skip
    for node in every(graph.nodes):
        if not node.makes_number or not all(table.column(v) for v in node.outputs):
            continue
        if node.target is numbers.size:  # it is checked where its tensor is made
            of, dim = node.args["input"], node.args["dim"]
            fixed = types.get(of, of.type).shape[dim].__class__ is not Dim
        elif node.target is numbers.length:  # of so many tensors, or of a list that is one Value
            fixed = not isinstance(node.args["input"], Value)
        elif node.target in numbers.QUESTIONS:
            fixed = not any(types[v].is_live for v in node.inputs if v in types)
        elif node.target in numbers.FUNCTIONS:
            fixed = all(v in found for v in node.inputs)
            if node.target is numbers.plain and _constant(table.column(node.outputs[0])):
                fixed = True  # as what Python then did with it: it is a guard
        else:  # what leaves a tensor is checked where it does
            fixed = all(_constant(table.column(v)) for v in node.outputs)
        if fixed:
            found.update((v, table.column(v)[0]) for v in node.outputs)
    return found


class _SizeNames:
    """Names of sizes: the same for sizes that were equal in all examples, of which there are
    ``many``."""

    def __init__(self, dims: Dims, many: int = 0) -> None:
        self.dims, self.many = dims, many
        self.known: dict[tuple[Any, ...], str] = {}
        self.places: dict[str, list[str]] = {}
        self.columns: dict[str, tuple[Any, ...]] = {}
        self.beyond: dict[str, Beyond] = {}

    def dim(
        self, sizes: tuple[Any, ...], path: str | None, dim: int, rank: int,
        beyond: Beyond = (), rows: tuple[int, ...] = (),
    ) -> int:  # fmt: skip
        """A size: a number if it was the same throughout, else one with a name.

        If it is another ``beyond`` what was shown, it varies all the same. Of what some ``rows``
        alone came to, it is the one that all came to and that is no other there.
        """
        first = sizes[0]
        while isinstance(first, tuple):
            first = first[0] if first else 0
        varies = sizes
        if all(one == first for one in sizes):
            if all(one == first for seen in beyond for one in seen):
                return int(first)
            varies = (*sizes, beyond)
        if rows and (known := self._known_of(rows, sizes, beyond)):
            return Dim(first, known)
        name = self.size(varies, path, dim, rank)
        if not rows and len(sizes) >= self.many:
            self.beyond.setdefault(name, beyond)
        return Dim(first, name)

    def _known_of(
        self, rows: tuple[int, ...], sizes: tuple[Any, ...], beyond: Beyond
    ) -> str | None:
        """The name of a size that was the same in these examples, and wherever it is beyond."""
        for name, others in self.beyond.items():
            column = self.columns[name]
            if all(column[r] == one for r, one in zip(rows, sizes)) and all(
                one == other for one, other in zip(beyond, others) if one
            ):
                return name
        return None

    def size(self, sizes: tuple[int, ...], path: str | None, dim: int, rank: int) -> str:
        """The name of one size."""
        name = self.known.get(sizes)
        wish = self.dims.get(path or "", {}).get(dim)
        if name is None:
            name = self.known[sizes] = wish or self._free(path, dim, rank)
            self.columns[name] = sizes
        if path is not None:
            self.places.setdefault(name, []).append(f"{path}.shape[{dim}]")
        return name

    def number(self, path: str, column: tuple[Any, ...]) -> None:
        """An input that is a number."""
        self.columns[path] = column
        self.places[path] = [path]

    def _free(self, path: str | None, dim: int, rank: int) -> str:
        taken = set(self.columns)
        if path is None:
            return next(f"s{i}" for i in range(1, len(taken) + 2) if f"s{i}" not in taken)
        letters = _LETTERS.get(rank, "") or "B"
        wishes: list[str] = [*letters[dim : dim + 1], *_MORE]
        wishes += [f"{letter}{i}" for i in range(1, 2 + len(taken)) for letter in wishes[:1]]
        return next(w for w in wishes if w not in taken)

    def live(self) -> list[Live]:
        """What varies, inputs first."""
        return [Live(n, c, tuple(self.places[n])) for n, c in self.columns.items()
                if n in self.places]  # fmt: skip
