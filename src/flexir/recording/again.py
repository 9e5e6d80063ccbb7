"""Examples recorded once more, with what Python holds on the way, and laid over each other.

Each begins where the first one began. Where the runs cannot be laid so, functions that keep numbers
of their own tell of them (:mod:`.telling_code`), and all are recorded anew. Owns these records;
proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import CodeType
from typing import Any

import torch

from ..errors import add_note
from ..graph.generators import States, states
from ..graph.graph import Graph
from ..graph.inputs import Inputs
from ..graph.nodes import TensorType
from .alike import Misfit
from .branches import Laid, branched
from .eager import copied_inputs, initial_state
from .leaving import begin_alike
from .listening import codes_run_for, original_of
from .own_lists import own_lists
from .own_numbers import own_numbers
from .proof import Trial
from .recorder import record_run
from .rolled import known_of
from .runs import Recorded
from .standing import Standing
from .state import Holdings
from .telling_code import place_of, telling, telling_copy

Names = dict[CodeType, dict[str, TensorType | None]]  # of lists, the type of their elements


NUMBERS, NOTHING, LISTS = "numbers", "", "lists and numbers"
TELLS = (NUMBERS, NOTHING, LISTS)  # in what order it is tried: engines do without lists


class Again:
    """The calls of one model, recorded once more as they are needed.

    Attributes:
        runs: those that were laid over each other last.
        problem: why those that were tried last cannot be.
    """

    def __init__(
        self,
        model: Callable[..., Any],
        first: Graph,
        trials: Sequence[Trial],
        options: dict[str, Any],
        begun: States,
        known: dict[Any, Recorded],
    ) -> None:
        """Begin.

        Args:
            model: what is called.
            first: the graph of the first call, which says where all begin.
            trials: the calls.
            options: of the recorder.
            begun: where random generators were when the first call began.
            known: what was recorded so before, from the same beginning; it grows.
        """
        self._begun = begun
        self._model, self._first, self._options = model, first, options
        self._trials = {trial.number: trial for trial in trials}
        self._known = known
        self.runs: list[Recorded] = []
        self.problem = ""

    def branched(self, numbers: Sequence[int], tells: str) -> Laid | None:
        """One graph of some of the calls; None if there is none.

        Args:
            numbers: of the calls.
            tells: of what functions tell, one of :data:`TELLS`.
        """
        try:
            runs = [self._run(number, {}) for number in numbers]
            names = _names(runs, tells)
            if tells and not names:
                return None
            if names:
                runs = [self._run(number, names) for number in numbers]
            begin_alike([run.graph for run in runs])
            made = branched(runs, confirms=not tells and bool(_names(runs, NUMBERS)))
        except (Misfit, RecursionError) as error:
            self.problem = str(error) or type(error).__name__
            return None
        self.runs = runs
        return made

    def _run(self, number: int, names: Names) -> Recorded:
        """A call recorded with what Python holds on the way, from where the first began.

        Raises:
            Misfit: that cannot be put back.
        """
        key = number, frozenset((code, frozenset(one.items())) for code, one in names.items())
        if key not in self._known:
            inputs, options = copied_inputs(self._trials[number].copy), self._options
            whole = options.get("within") or self._model
            held = options.get("held")
            with initial_state(self._first, whole, held, self._begun) as lost, telling(names):
                if lost:
                    what = ", ".join(lost)
                    raise Misfit(f"what the model keeps cannot be put back: {what}")
                standing = Standing(tells={place_of(code): one for code, one in names.items()})
                run = recorded(self._model, number, inputs, standing, **options)
                self._known[key] = run._replace(lists=standing.lists, own=_lists_in(names))
        return self._known[key]


def _names(runs: Sequence[Recorded], tells: str) -> Names:
    """The variables of which functions are to tell."""
    if not tells:
        return {}
    seen, known = [held for run in runs for held in run.standing.values()], known_of(runs)
    names: Names = {}
    for code, one in own_numbers(seen, known).items():
        names.setdefault(original_of(code), {}).update(dict.fromkeys(one))
    if tells == LISTS:
        lists = own_lists(seen, known)
        for code, mine in lists.items():
            names.setdefault(original_of(code), {}).update(mine)
        return names if lists else {}
    return names


def _lists_in(names: Names) -> dict[CodeType, set[str]]:
    """The variables of lists, of the copies of functions that tell of them."""
    found = {}
    for code, one in names.items():
        made = telling_copy(code, frozenset(one))
        lists = {name for name, kind in one.items() if kind is not None}
        found.update(dict.fromkeys(() if made is None else codes_run_for(made), lists))
    return found


def recorded(
    model: Callable[..., Any],
    number: int,
    inputs: Inputs,
    standing: Standing,
    **options: Any,
) -> Recorded:
    """One call, recorded; with where Python stood, which costs, if it is to be laid over others."""
    default = states()
    try:
        graph = record_run(model, *inputs, numbers=True, standing=standing, **options)
        return Recorded(
            graph, standing.seen, standing.laundered, standing.turns, standing.lost,
            standing.ends, standing.lookups.kinds, standing.kept,
            standing.unused, None if options.get("carried") else _unchanged(graph, standing.held),
            begun=[*default, *_begun(standing.held)],
        )  # fmt: skip
    except Exception as error:
        add_note(error, f"in example {number}")
        raise


def _begun(held: Holdings | None) -> States:
    """Where the random generators that a model holds were before a run."""
    return [(generator, torch.frombuffer(bytearray(state), dtype=torch.uint8))
            for generator, state in (() if held is None else held.generators)]  # fmt: skip


def _unchanged(graph: Graph, held: Holdings | None) -> Holdings | None:
    """What a model held before a run, if it holds the same things after it."""
    if held is None or graph.state or graph.audit.changes or any(held.generators):
        return None
    return held
