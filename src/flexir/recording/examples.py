"""Several calls of a model to one graph: what varies between them is live, all else is frozen.

The first example is recorded with numbers that know where they come from. The cheapest proof that
another one takes the same path is to replay it: if the graph gives what the model gives, bit for
bit, the example fits. Sizes that differ among the examples that fit get a name; all others become
literals again and are checked at every call. Examples that do not fit are the first of a graph of
their own, a variant. Nothing is handed out that was not replayed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch

from ..errors import CaptureError, Diverged, add_note
from ..graph import numbers, tree
from ..graph.account import Frozen, Live
from ..graph.geometry import shape_of
from ..graph.graph import Graph
from ..graph.inputs import Inputs, bind_inputs, inputs_of, same_literal
from ..graph.nodes import Dim, Node, TensorType, Value
from ..graph.replay import replay
from ..graph.sizes import rewritten
from .eager import copies_of, run_model
from .recorder import record

Dims = Mapping[str, Mapping[int, str]]
# Names of the sizes of inputs, by rank: batch, height, width, sequence, depth.
_LETTERS = {1: "N", 2: "BS", 3: "BSL", 4: "BCHW", 5: "BCDHW"}
_MORE = "NMKPQRTUV"


def merged(
    model: Callable[..., Any], examples: Sequence[Inputs], dims: Dims | None, **options: Any
) -> Graph:
    """One graph of several calls.

    Args:
        model: what is called.
        examples: inputs of each call, the first one the one that is recorded.
        dims: input name -> dimension -> name of that size.
        options: of the recorder.

    Returns:
        the graph, with variants for examples that do not fit it.

    Raises:
        Exception: whatever the model raises, with a note that says in which example.
    """
    graphs: list[Graph] = []
    rest = list(enumerate(examples))
    while rest:
        graph, rest = _fit(model, rest, dims or {}, options)
        graphs.append(graph)
    first, *others = graphs
    first.variants = others
    for other in others:
        first.frozen += other.frozen
    return first


def _fit(
    model: Callable[..., Any],
    examples: list[tuple[int, Inputs]],
    dims: Dims,
    options: dict[str, Any],
) -> tuple[Graph, list[tuple[int, Inputs]]]:
    """The graph of the first example and those that fit it, and the examples that do not."""
    (number, first), *others = examples
    copies = [Inputs(*args, **kwargs) for args, kwargs in (copies_of(*one) for _, one in examples)]
    returned: list[Any] = []
    graph = _recorded(model, number, first, returned=returned.append, numbers=True, **options)
    merging = Merging(graph, number, copies[0], returned[0])
    for (n, inputs), copy in zip(others, copies[1:]):
        merging.show(n, inputs, copy, _truth(graph, model, n, copy))
    result = merging.result(dims)
    return result, [(one.number, one.inputs) for one in merging.unfit]


class Merging:
    """The graph of one call, and further calls that it fits or does not.

    Attributes:
        unfit: the calls that it does not fit.
        shown: the calls after the first.
    """

    def __init__(self, graph: Graph, number: int, inputs: Inputs, returned: Any) -> None:
        """Begin with the call that was recorded.

        Args:
            graph: recorded with ``numbers=True``.
            number: of the example.
            inputs: its inputs as they were before the call.
            returned: what the model returned.
        """
        tensors = (v for v in _values(graph) if not v.is_number)
        self._loose = rewritten(graph, {}, {v: _loose(v.type) for v in tensors})
        self._table = _Table(self._loose)
        self.unfit: list[_Unfit] = []
        self.shown: list[tuple[int, Inputs]] = []
        made, found = _measured(self._loose, inputs)
        if not equal(made, returned):
            text = f"example {number}: the graph does not give what the model gave"
            self._loose.audit.problems.append(text)
        self._table.add(found)

    def show(self, number: int, inputs: Inputs, copy: Inputs, truth: Any) -> bool:
        """One more call; returns whether the graph fits it.

        Args:
            number: of the example.
            inputs: its inputs, kept if it does not fit.
            copy: its inputs as they were before the call.
            truth: what the model gave.
        """
        self.shown.append((number, inputs))
        try:
            made, found = _measured(self._loose, copy)
        except Diverged as error:
            self.unfit.append(_Unfit(number, inputs, _frozen(number, error), refused=True))
            return False
        except _TORCHS as error:
            why = f"{type(error).__name__}: {_line(error)}"
            self.unfit.append(_Unfit(number, inputs, Frozen(number, why)))
            return False
        if not equal(made, truth):
            why = "the graph of the first example gives something else"
            self.unfit.append(_Unfit(number, inputs, Frozen(number, why)))
            return False
        self._table.add(found)
        return True

    def result(self, dims: Dims) -> Graph:
        """The graph of the calls that fit; all of the others are then in ``unfit``."""
        result = _named(self._loose, self._table, dims)
        if any(not one.refused and _takes(result, one.inputs) for one in self.unfit):
            # What these sizes decide is not understood: it would take a call it is wrong on.
            self._table.keep_first()
            result = _named(self._loose, self._table, dims)
            known = {one.number for one in self.unfit}
            why = "another example of such sizes is not understood"
            self.unfit += [_Unfit(n, one, Frozen(n, why))
                           for n, one in self.shown if n not in known]  # fmt: skip
            self.unfit.sort(key=lambda one: one.number)
        result.frozen = [one.frozen for one in self.unfit]
        return result


class _Unfit(NamedTuple):
    """An example that does not fit the graph of the first; ``refused``: a replay says so."""

    number: int
    inputs: Inputs
    frozen: Frozen
    refused: bool = False


_TORCHS = (RuntimeError, TypeError, ValueError, IndexError)  # what torch raises at other sizes


def _recorded(model: Callable[..., Any], number: int, inputs: Inputs, **options: Any) -> Graph:
    try:
        return record(model, *inputs, **options)
    except Exception as error:
        add_note(error, f"in example {number}")
        raise


def _truth(graph: Graph, model: Callable[..., Any], number: int, inputs: Inputs) -> Any:
    """What the model gives, from the state in which the graph began."""
    try:
        return run_model(graph, model, *inputs)[0]
    except Exception as error:
        add_note(error, f"in example {number}")
        raise


def _values(graph: Graph) -> list[Value]:
    found = [v for node in graph for v in node.outputs]
    return [*graph.input_values, *found]


def _loose(type: TensorType) -> TensorType:
    """A type any size of the rank fits."""
    return type._replace(shape=tuple(n if n < 0 else Dim(n, "?") for n in type.shape))


def _measured(graph: Graph, inputs: Inputs) -> tuple[Any, dict[Value, Any]]:
    """What a graph gives, and the shape or number each of its Values is on these inputs."""
    found: dict[Value, Any] = {}

    def note(values: Sequence[Value], made: Sequence[Any]) -> None:
        for value, one in zip(values, made):
            found[value] = one if value.is_number else shape_of(one)

    args, kwargs = copies_of(*inputs)
    given: dict[Value, Any] = {}
    bind_inputs(graph, args, kwargs, given, as_given=True)
    note(list(given), list(given.values()))

    def watch(node: Node, made: Sequence[Any]) -> None:
        note(node.outputs, made)

    return replay(graph, args, kwargs, watch=watch, tell_numbers=True), found


def _takes(graph: Graph, inputs: Inputs) -> bool:
    """Whether a graph takes these inputs."""
    try:
        replay(graph, *copies_of(*inputs))
    except Diverged:
        return False
    except _TORCHS:  # it tried
        return True
    return True


def _frozen(number: int, error: Diverged) -> Frozen:
    node = error.node
    return Frozen(number, _line(error), node.source if node is not None else None)


def _line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def equal(one: Any, other: Any) -> bool:
    """Whether two results are the same, bit for bit; NaN equals NaN."""
    left: list[Any] = []
    right: list[Any] = []
    shape = [
        tree.template(part, lambda t, into=into: into.append(t) or _LEAF, deep=True)  # type: ignore[misc]
        for part, into in ((one, left), (other, right))
    ]
    if len(left) != len(right) or repr(shape[0]) != repr(shape[1]):
        return False
    return all(map(_same, left, right))


_LEAF = "tensor"


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if one.layout is not torch.strided or one.is_nested:
        return torch.equal(one.to_dense(), other.to_dense()) if not one.is_nested else True
    if one.device.type == "meta":
        return True
    return torch.equal(torch.nan_to_num(one.detach()), torch.nan_to_num(other.detach())) and (
        not one.dtype.is_floating_point or torch.equal(one.isnan(), other.isnan())
    )


class _Table:
    """What every Value was in each example that fits."""

    def __init__(self, graph: Graph) -> None:
        self.rows: list[dict[Value, Any]] = []
        self.values = _values(graph)

    def add(self, row: dict[Value, Any]) -> None:
        """One more example."""
        self.rows.append(row)

    def keep_first(self) -> None:
        """Forget all examples but the first."""
        del self.rows[1:]

    def column(self, value: Value) -> tuple[Any, ...]:
        """What a Value was in each example."""
        return tuple(row[value] for row in self.rows)


def _named(graph: Graph, table: _Table, dims: Dims) -> Graph:
    """The graph with a name for every size that varies, and literals for numbers that cannot."""
    names = _Names(dims)
    paths = {v: path for path, v in tree.paths(graph.inputs, Value)}
    types: dict[Value, TensorType] = {}
    for value in table.values:
        column, rank, shape = table.column(value), len(value.type.shape), []
        if value.is_number:
            if value in paths and not _constant(column):
                names.number(paths[value], column)
            continue
        for dim in range(rank):
            sizes = tuple(row[dim] for row in column)
            if len(set(sizes)) == 1:
                shape.append(sizes[0])
            else:
                shape.append(Dim(sizes[0], names.size(sizes, paths.get(value), dim, rank)))
        types[value] = value.type._replace(shape=tuple(shape))
    made = rewritten(graph, _literals(graph, table, types), types)
    made.live = names.live()
    return made


def _constant(column: Sequence[Any]) -> bool:
    first = column[0]
    return all(same_literal(n, first) and type(n) is type(first) for n in column)


def _literals(graph: Graph, table: _Table, types: Mapping[Value, TensorType]) -> dict[Value, Any]:
    """Numbers that cannot vary: what is computed from sizes that did not, and those themselves.

    A number that was the same in all examples, although sizes it is computed from were not, is none
    of them; it may differ in the next call.
    """
    found = {v: table.column(v)[0] for v in graph.input_values
             if v.is_number and _constant(table.column(v))}  # fmt: skip
    for node in graph:
        if not node.makes_number:
            continue
        if node.target in (numbers.numel, numbers.stride):
            fixed = not any(types[v].is_live for v in node.inputs if v in types)
        elif node.target in numbers.FUNCTIONS and node.target is not numbers.size:
            fixed = all(v in found for v in node.inputs)
        else:  # a size is checked where its tensor is made, what leaves a tensor where it does
            fixed = all(_constant(table.column(v)) for v in node.outputs)
        if fixed:
            found.update((v, table.column(v)[0]) for v in node.outputs)
    return found


class _Names:
    """Names of sizes: the same for sizes that were equal in all examples."""

    def __init__(self, dims: Dims) -> None:
        self.dims = dims
        self.known: dict[tuple[Any, ...], str] = {}
        self.places: dict[str, list[str]] = {}
        self.columns: dict[str, tuple[Any, ...]] = {}

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
        wishes = [*letters[dim : dim + 1], *_MORE]
        wishes += [f"{letter}{i}" for i in range(1, 2 + len(taken)) for letter in wishes[:1]]
        return next(w for w in wishes if w not in taken)

    def live(self) -> list[Live]:
        """What varies, inputs first."""
        return [Live(n, c, tuple(self.places[n])) for n, c in self.columns.items()
                if n in self.places]  # fmt: skip


def examples_of(first: Inputs, also: Sequence[Any]) -> list[Inputs]:
    """The examples as Inputs.

    Raises:
        CaptureError: one of them is no inputs; the message says which.
    """
    found = [first]
    for number, one in enumerate(also):
        try:
            found.append(inputs_of(one))
        except CaptureError as error:
            raise CaptureError(f"also[{number}]: {error}") from error
    return found
