"""Several calls of a model to one graph: what varies between them is live, all else is frozen.

The first example is recorded with numbers that know where they come from. The cheapest proof that
another one takes the same path is to replay it: if the graph gives what the model gives, bit for
bit, the example fits. Sizes that differ among the examples that fit get a name; all others become
literals again and are checked at every call. Examples that do not fit are the first of a graph of
their own, a variant. Nothing is handed out that was not replayed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch

from ..errors import CaptureError, Diverged, add_note
from ..graph import tree
from ..graph.account import Frozen
from ..graph.geometry import shape_of
from ..graph.graph import Graph
from ..graph.inputs import Inputs, bind_inputs, inputs_of
from ..graph.nodes import Dim, Node, TensorType, Value
from ..graph.replay import replay
from ..graph.sizes import rewritten
from .branches import Recorded, branched
from .eager import copies_of, initial_state, run_model
from .naming import Dims, Table, named, values_in
from .numbers import origins_of
from .recorder import record
from .standing import Standing
from .ways import Misfit


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
    copies = [Inputs(*args, **kwargs) for args, kwargs in (copies_of(*one) for _, one in examples)]
    number, first = examples[0]
    returned: list[Any] = []
    run = _recorded(model, number, first, returned=returned.append, **options)
    merging = Merging(run.graph, number, copies[0], returned[0])
    for (n, inputs), copy in zip(examples[1:], copies[1:]):
        merging.show(n, inputs, copy, _truth(run.graph, model, n, copy))
    runs = merging.branch(model, run, options) if merging.unfit else [run]
    result = merging.result(dims)
    result.audit.laundered = _laundered(result, runs)
    return result, [(one.number, one.inputs) for one in merging.unfit]


class Merging:
    """The graph of one call, and further calls that it fits or does not.

    Attributes:
        unfit: the calls that it does not fit.
    """

    def __init__(self, graph: Graph, number: int, inputs: Inputs, returned: Any) -> None:
        """Begin with the call that was recorded.

        Args:
            graph: recorded with ``numbers=True``.
            number: of the example.
            inputs: its inputs as they were before the call.
            returned: what the model returned.
        """
        self._trials = [_Trial(number, inputs, inputs, returned)]
        self._loose = _loosened(graph)
        self._table, self.unfit = _proved(self._loose, self._trials)

    @property
    def shown(self) -> list[tuple[int, Inputs]]:
        """The calls after the first."""
        return [(one.number, one.inputs) for one in self._trials[1:]]

    def show(self, number: int, inputs: Inputs, copy: Inputs, truth: Any) -> bool:
        """One more call; returns whether the graph fits it.

        Args:
            number: of the example.
            inputs: its inputs, kept if it does not fit.
            copy: its inputs as they were before the call.
            truth: what the model gave.
        """
        trial = _Trial(number, inputs, copy, truth)
        self._trials.append(trial)
        unfit = _tried(self._loose, self._table, trial)
        self.unfit += [] if unfit is None else [unfit]
        return unfit is None

    def branch(
        self, model: Callable[..., Any], run: Recorded, options: dict[str, Any]
    ) -> list[Recorded]:
        """Lay calls that took another path over the first; what is proved is the graph from then.

        Returns:
            the runs that are in the graph.
        """
        runs = [run]
        trial_of = {trial.number: trial for trial in self._trials}
        for number in [one.number for one in self.unfit]:
            unfit = {one.number for one in self.unfit}
            if number not in unfit:
                continue  # the paths found meanwhile are enough for it
            args, kwargs = copies_of(*trial_of[number].copy)
            with initial_state(run.graph, model):
                other = _recorded(model, number, Inputs(*args, **kwargs), **options)
            try:
                loose = _loosened(branched([*runs, other]))
            except Misfit:
                continue
            table, left = _proved(loose, self._trials)
            if {one.number for one in left} < unfit:
                runs.append(other)
                self._loose, self._table, self.unfit = loose, table, left
        return runs

    def result(self, dims: Dims) -> Graph:
        """The graph of the calls that fit; all of the others are then in ``unfit``."""
        result = named(self._loose, self._table, dims)
        if any(not one.refused and _takes(result, one.inputs) for one in self.unfit):
            # What these sizes decide is not understood: it would take a call it is wrong on.
            self._table.keep_first()
            result = named(self._loose, self._table, dims)
            known = {one.number for one in self.unfit}
            why = "another example of such sizes is not understood"
            self.unfit += [_Unfit(one.number, one.inputs, Frozen(one.number, why))
                           for one in self._trials[1:] if one.number not in known]  # fmt: skip
            self.unfit.sort(key=lambda one: one.number)
        result.frozen = [one.frozen for one in self.unfit]
        return result


class _Unfit(NamedTuple):
    """An example that does not fit the graph of the first; ``refused``: a replay says so."""

    number: int
    inputs: Inputs
    frozen: Frozen
    refused: bool = False


class _Trial(NamedTuple):
    """An example to be proved.

    Attributes:
        number: from 0.
        inputs: as given; a run may write them.
        copy: the same, never written.
        truth: what the model gives.
    """

    number: int
    inputs: Inputs
    copy: Inputs
    truth: Any


def _laundered(graph: Graph, runs: Sequence[Recorded]) -> list[str]:
    """Where numbers that vary in a graph became plain ones, a line each."""
    if not graph.live:
        return []
    fixed = set()
    if len(runs) == 1:  # its Values have the names they had
        fixed = {v.name for v in values_in(graph) if not v.is_number and not v.type.is_live}
    found: dict[str, None] = {}
    for run in runs:
        for how, number, source in run.laundered:
            if not all(v.name in fixed for v in origins_of(number)):
                found[f"{how}() at {source}, which was {number}"] = None
    return list(found)


def _loosened(graph: Graph) -> Graph:
    """A graph that takes any sizes of the recorded ranks."""
    tensors = (v for v in values_in(graph) if not v.is_number)
    return rewritten(graph, {}, {v: _loose(v.type) for v in tensors})


def _proved(loose: Graph, trials: Sequence[_Trial]) -> tuple[Table, list[_Unfit]]:
    """Replay every example and compare it with the model.

    Returns:
        what every Value was in those that fit, and those that do not.
    """
    table = Table(loose)
    first, *others = trials
    made, found = _measured(loose, first.copy)
    table.add(found)
    problem = f"example {first.number}: the graph does not give what the model gave"
    if not equal(made, first.truth) and problem not in loose.audit.problems:
        loose.audit.problems.append(problem)
    tried = [_tried(loose, table, trial) for trial in others]
    return table, [one for one in tried if one is not None]


def _tried(loose: Graph, table: Table, trial: _Trial) -> _Unfit | None:
    """Replay one example; the table gains it if it fits."""
    n = trial.number
    try:
        made, found = _measured(loose, trial.copy)
    except Diverged as error:
        return _Unfit(n, trial.inputs, _frozen(n, error), refused=True)
    except _TORCHS as error:
        return _Unfit(n, trial.inputs, Frozen(n, f"{type(error).__name__}: {_line(error)}"))
    if not equal(made, trial.truth):
        return _Unfit(n, trial.inputs, Frozen(n, "the graph gives something else than the model"))
    table.add(found)
    return None


_TORCHS = (RuntimeError, TypeError, ValueError, IndexError)  # what torch raises at other sizes


def _recorded(model: Callable[..., Any], number: int, inputs: Inputs, **options: Any) -> Recorded:
    standing = Standing()
    try:
        graph = record(model, *inputs, numbers=True, standing=standing, **options)
        return Recorded(graph, standing.seen, standing.laundered)
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
    opened = [tree.template(part, lambda t: t, deep=True) for part in (one, other)]
    return all(_same(*parts) for _, parts in tree.zip(*opened, leaf=torch.Tensor, strict=True))


def _same(one: Any, other: Any) -> bool:
    if not isinstance(one, torch.Tensor) or not isinstance(other, torch.Tensor):
        return repr(one) == repr(other)
    if shape_of(one) != shape_of(other) or one.dtype != other.dtype:
        return False
    if one.is_nested:
        return all(map(_same, one.unbind(), other.unbind()))
    if one.layout is not torch.strided:
        return torch.equal(one.to_dense(), other.to_dense())
    if one.device.type == "meta":
        return True
    return torch.equal(torch.nan_to_num(one.detach()), torch.nan_to_num(other.detach())) and (
        not one.dtype.is_floating_point or torch.equal(one.isnan(), other.isnan())
    )


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
