"""Several calls of a model to one graph: what varies between them is live, all else is frozen.

The first example is recorded with numbers that know where they come from. The cheapest proof that
another one takes the same path is to replay it: if the graph gives what the model gives, bit for
bit, the example fits. Sizes that differ among the examples that fit get a name; all others become
literals again and are checked at every call. Examples that do not fit are the first of a graph of
their own, a variant. Nothing is handed out that was not replayed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import CaptureError, Diverged, add_note
from ..graph import numbers
from ..graph.account import Frozen
from ..graph.agreement import TORCHS
from ..graph.generators import States
from ..graph.graph import Graph
from ..graph.inputs import Inputs, inputs_of
from ..graph.nodes import Dim, ListType, TensorType
from ..graph.sizes import rewritten
from .again import TELLS, Again, recorded
from .compilers import eager_compilers
from .eager import copied_inputs, initial_state, no_fast_path, run_model
from .leaving import begin_alike, forget_unread
from .live import origins_of
from .naming import Dims, values_in, with_names
from .overlooked import overlooked
from .proof import Trial, UnfitExample, measured_beyond, proved, takes, tried
from .remembered import Remembered, remembering
from .runs import Recorded
from .standing import Standing
from .state import Holdings
from .uses import united

log = logging.getLogger("flexir.examples")  # what is done, for who waits


def merged(
    model: Callable[..., Any],
    examples: Sequence[Inputs],
    dims: Dims | None,
    *,
    among: bool = False,
    **options: Any,
) -> Graph:
    """One graph of several calls.

    Args:
        model: what is called.
        examples: inputs of each call, the first one the one that is recorded.
        dims: input name -> dimension -> name of that size.
        among: others than this graph may read what a call leaves behind.
        options: of the recorder.

    Returns:
        the graph, with variants for examples that do not fit it.

    Raises:
        Exception: what the model raises, with a note that says in which example.
    """
    options["among"] = True  # what one path leaves behind, another one may read
    with Remembered.opened():
        begun = _begun(model, list(enumerate(examples)), options)
        graph = whole(begun, model, dims or {}, options)
    if not among:
        forget_unread([graph, *graph.variants])
    return graph


def whole(
    merging: Merging, model: Callable[..., Any], dims: Dims, options: dict[str, Any]
) -> Graph:
    """The graph of the examples that fit it, with variants for the others."""
    first, rest = merging.concluded(model, dims, options)
    while rest:
        held = options.get("within") or model, merging.held(options)
        with initial_state(first, *held, merging.began):
            begun = _begun(model, rest, options, merging.known)
        graph, rest = begun.concluded(model, dims, options)
        first.variants.append(graph)
        first.frozen += graph.frozen
        told = first.audit.laundered  # the first speaks for all
        told += [one for one in graph.audit.laundered if one not in told]
    begin_alike([first, *first.variants])
    return first


def _begun(
    model: Callable[..., Any],
    examples: list[tuple[int, Inputs]],
    options: dict[str, Any],
    known: dict[Any, Recorded] | None = None,
) -> Merging:
    """The first example recorded, and the others shown to its graph."""
    copies = [copied_inputs(inputs) for _, inputs in examples]
    number, first = examples[0]
    log.info("example %d is recorded", number)
    returned: list[Any] = []
    run = recorded(model, number, first, Standing(False), returned=returned.append, **options)
    merging = Merging(run, number, copies[0], returned[0], known=known)
    for (n, inputs), copy in zip(examples[1:], copies[1:]):
        log.info("example %d is shown to the graph of example %d", n, number)
        truth = _truth(run, model, n, copy, options.get("within"), merging.held(options))
        merging.show(n, inputs, copy, truth)
    return merging


class Merging:
    """The graph of one call, and further calls that it fits or does not.

    Attributes:
        unfit: the calls that it does not fit.
        known: what was recorded anew, of use for the next graph.
    """

    def __init__(
        self,
        run: Recorded,
        number: int,
        inputs: Inputs,
        returned: Any,
        after: Inputs | None = None,
        known: dict[Any, Recorded] | None = None,
    ) -> None:
        """Begin with the call that was recorded.

        Args:
            run: recorded with ``numbers=True``.
            number: of the example.
            inputs: its inputs as they were before the call.
            returned: what the model returned.
            after: its inputs as they were after the call.
            known: calls that were recorded anew for a graph that they did not fit.
        """
        self.known = {} if known is None else known
        self._trials = [Trial(number, inputs, inputs, returned, after)]
        self._runs = [run]
        self._loose = _loosened(run.graph)
        self._table, self.unfit = proved(self._loose, self._trials)

    @property
    def is_one_of_a_row(self) -> bool:
        """Whether a call goes on from what the one before left, so that none can be made again."""
        in_a_row = self._trials[0].after is not None  # all others begin where the first one began
        return in_a_row and bool(self._loose.state or self._loose.audit.changes)

    @property
    def began(self) -> States:
        """Where random generators were when the first call began."""
        return self._runs[0].begun

    def held(self, options: dict[str, Any]) -> Holdings | None:
        """What the model holds, as far as it is known already."""
        return options.get("held") or self._runs[0].held

    @property
    def shown(self) -> list[tuple[int, Inputs]]:
        """The calls after the first."""
        return [(one.number, one.inputs) for one in self._trials[1:]]

    def show(
        self, number: int, inputs: Inputs, copy: Inputs, truth: Any, after: Inputs | None = None
    ) -> bool:
        """One more call; returns whether the graph fits it.

        Args:
            number: of the example.
            inputs: its inputs, kept if it does not fit.
            copy: its inputs as they were before the call.
            truth: what the model gave.
            after: its inputs as they were after the call.
        """
        trial = Trial(number, inputs, copy, truth, after)
        self._trials.append(trial)
        unfit = tried(self._loose, self._table, trial)
        self.unfit += [] if unfit is None else [unfit]
        return unfit is None

    def concluded(
        self, model: Callable[..., Any], dims: Dims, options: dict[str, Any]
    ) -> tuple[Graph, list[tuple[int, Inputs]]]:
        """The graph, and the examples that do not fit it even after their paths were laid over it.

        Of calls in a row nothing is laid over: none can be made again.
        """
        if self.unfit and not self.is_one_of_a_row:
            self._branch(model, options)
        result = self.result(dims)
        result.audit.laundered += _laundered(result, self._runs)
        return result, [(one.number, one.inputs) for one in self.unfit]

    def _branch(self, model: Callable[..., Any], options: dict[str, Any]) -> None:
        """Lay calls that took another path over the first; the graph is what is then proved."""
        options = {**options, "held": self.held(options)}
        first = self._runs[0].graph
        again = Again(model, first, self._trials, options, self.began, self.known)
        laid = [self._trials[0].number]
        problems: dict[int, str] = {}
        for number in [one.number for one in self.unfit]:
            for tells in TELLS:
                if number in {one.number for one in self.unfit}:  # else paths found are enough
                    again.problem = ""
                    log.info("example %d is laid over example %d", number, laid[0])
                    laid = self._laid(again, laid, number, tells)
                    if again.problem:
                        problems.setdefault(number, again.problem)
        self.unfit = [one.explained(problems.get(one.number)) for one in self.unfit]

    def _laid(self, again: Again, laid: list[int], number: int, tells: str) -> list[int]:
        """Lay one more call over those that are; the numbers of those that now are.

        Args:
            again: records them.
            laid: the numbers of those that are.
            number: of the one more.
            tells: of what functions tell.
        """
        unfit, more = {one.number for one in self.unfit}, [number]
        while more:
            made = again.branched([*laid, *more], tells)
            if made is None:
                break
            loose = _loosened(made.graph)
            try:
                table, left = proved(loose, self._trials)
            except (Diverged, *TORCHS):  # not one of the first example
                break
            table.fixed = made.fixed
            if table.problem and not self._table.problem:
                break
            if (value := table.breaks()) is not None:
                again.problem = f"a size of {value!r} may have chosen an element"
                break
            lost = [one.number for one in left if one.number not in (*unfit, *more)]
            if not lost and {one.number for one in left} < unfit:
                self._loose, self._table, self.unfit = loose, table, left
                self._runs = again.runs
                return [*laid, *more]
            more = [*more, lost[0]] if lost else []  # it fitted by chance, on another path
        return laid

    def result(self, dims: Dims) -> Graph:
        """The graph of the calls that fit; all of the others are then in ``unfit``."""
        unfit = {one.number for one in self.unfit}
        fits = [trial.copy for trial in self._trials if trial.number not in unfit]
        measured_beyond(self._loose, self._table, fits)
        result = with_names(self._loose, self._table, dims)
        if any(not one.refused and takes(result, one.inputs) for one in self.unfit):
            # What these sizes decide is not understood: it would take a call it is wrong on.
            self._table.keep_first()
            result = with_names(self._loose, self._table, dims)
            known = {one.number: one for one in self.unfit}
            why = "another example of such sizes is not understood"
            self.unfit = [
                known.get(n) or UnfitExample(n, inputs, Frozen(n, why)) for n, inputs in self.shown
            ]
        result.frozen = [one.frozen for one in self.unfit]
        if (problem := self._table.problem) and problem not in result.audit.problems:
            result.audit.problems.append(problem)
        return result


def _laundered(graph: Graph, runs: Sequence[Recorded]) -> list[str]:
    """Where numbers that vary in a graph became plain ones, a line each."""
    taken = any(value.is_number and node.target not in numbers.FUNCTIONS
                for node in graph.walk() for value in node.outputs)  # fmt: skip
    if not graph.live and not taken:
        return []
    fixed = set()
    if len(runs) == 1:  # its Values have the names they had
        fixed = {v.name for v in values_in(graph) if not v.is_number and not v.type.is_live}
    found: dict[str, None] = {}
    for run in runs:
        for how, number, source in run.laundered:
            if not all(v.name in fixed for v in origins_of(number)):
                found[f"{how}() at {source}, which was {number}"] = None
    for what, where in overlooked(united(run.kinds for run in runs), bool(graph.live)):
        found[f"{what} at {where}"] = None
    return list(found)


def _loosened(graph: Graph) -> Graph:
    """A graph that takes any sizes of the recorded ranks."""
    tensors = (v for v in values_in(graph) if not v.is_number)
    return rewritten(graph, {}, {v: _loose(v.type) for v in tensors}, plain=True)


def _truth(
    run: Recorded,
    model: Callable[..., Any],
    number: int,
    inputs: Inputs,
    within: Any,
    held: Holdings | None = None,
) -> Any:
    """What the model gives, from the state in which the graph began, on the watched run's path."""
    try:
        with no_fast_path(), eager_compilers(), remembering():  # as it is recorded
            args, kwargs = inputs
            return run_model(run.graph, model, args, kwargs, within, held, run.begun)[0]
    except Exception as error:
        add_note(error, f"in example {number}")
        raise


def _loose(type: TensorType) -> TensorType:
    """A type any size of the rank fits."""
    if isinstance(type, ListType):
        return ListType(Dim(type.shape[0], "?"), _loose(type.element))
    return type.resized(tuple(n if n < 0 else Dim(n, "?") for n in type.shape))


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
