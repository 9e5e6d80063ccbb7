"""Entry points of one model to a Program: ``program(model, {"prefill": ..., "decode": ...})``.

Each is captured from the state the one before left, as it would be called. What the graphs hold of
state is what stood there when their own run began.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch

from ..errors import CaptureError, add_note
from ..graph.answering import answered_by
from ..graph.graph import Graph
from ..graph.inputs import Inputs, inputs_of
from ..graph.program import Program, structure_of
from . import recorder
from .eager import copied_inputs, copies_of, no_fast_path
from .examples import Merging, merged, whole
from .leaving import forget_unread, hold
from .runs import Recorded
from .session import collector_at_rest
from .standing import Standing
from .state import Holdings


def program(model: Callable[..., Any], entries: Mapping[str, Any]) -> Program:
    """Capture several calls of a model as the entry points of one Program.

    Args:
        model: a module, or any callable that computes with tensors.
        entries: name -> inputs of that entry point, as :func:`flexir.capture` takes them; or a list
            of several :class:`Inputs`, which are examples of it; or ``(function, inputs)`` where it
            is not the model itself that is called (``(model.encode, Inputs(x))``). They are
            recorded in this order, one call after the other: what one leaves behind, the next
            begins with. Further examples of an entry point leave nothing behind.

    Returns:
        the Program.

    Raises:
        CaptureError: there are no entry points, or inputs that are none.
        Exception: what the model raises, with a note naming the entry point.

    Example:
        >>> import torch
        >>> net = torch.nn.Linear(3, 2)
        >>> program(net, {"one": (torch.ones(1, 3),), "two": (torch.ones(2, 3),)})
        <Program Linear: one, two; 2 constants>
    """
    if not entries:
        raise CaptureError("a program needs entry points: program(model, {'forward': (x,)})")
    graphs: dict[str, Graph] = {}
    for name, entry in entries.items():
        function, examples = _called(model, entry)
        try:
            if len(examples) > 1:
                graphs[name] = merged(function, examples, None, witness=True, among=True)
            else:
                graphs[name] = recorder.record_run(function, *examples[0], witness=True, among=True)
        except Exception as error:
            add_note(error, f"in the entry point {name!r}")
            raise
    forget_unread(graphs.values())
    keep_initial(graphs)
    title = type(model).__name__
    if not isinstance(model, torch.nn.Module):
        title = getattr(model, "__name__", title)
    return Program(title, graphs)


class _EntryPoint:
    """Calls of one kind: the graph of the first, and those that were shown to it.

    Attributes:
        path: of the module that is called.
        forward: what is called.
        merging: the graph and its examples.
        facts: sizes and numbers of the first call's inputs.
        varied: which of them were others in a call that was shown.
    """

    def __init__(
        self, path: str, forward: Callable[..., Any], merging: Merging, facts: Sequence[Any]
    ) -> None:
        self.path, self.forward, self.merging, self.facts = path, forward, merging, facts
        self.varied: set[int] = set()

    def is_new(self, facts: Sequence[Any], shown: int) -> bool:
        """Whether a call is to be shown: one of the first, or something else varies in it."""
        other = {i for i, (n, m) in enumerate(zip(self.facts, facts)) if n != m}
        if len(self.merging.shown) >= shown and other <= self.varied:
            return False
        self.varied |= other
        return True


class Recording:
    """What a user's own code calls a model with, gathered into entry points.

    Calls of one module whose inputs are built alike (containers, dtypes, ranks, words) are one
    entry point; the first is recorded as it happens, those after it are shown to its graph.
    """

    def __init__(self, model: torch.nn.Module, names: Sequence[str], shown: int) -> None:
        self.model, self.names, self.shown = model, names, shown
        self.entries: dict[tuple[str, str], _EntryPoint] = {}
        self.calls = 0
        self.held: Holdings | None = None

    def __call__(
        self, path: str, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """One call of the model, or of a part of it."""
        kind, facts = structure_of(Inputs(*args, **kwargs))
        key, number = (path, kind), self.calls
        known = self.entries.get(key)
        self.calls += 1
        if known is not None and not known.is_new(facts, self.shown):
            return forward(*args, **kwargs)
        before = copied_inputs(Inputs(*args, **kwargs))
        if known is not None:
            with no_fast_path():  # as the call that was recorded
                result = forward(*args, **kwargs)
            with collector_at_rest():
                known.merging.show(number, before, before, *_kept(result, args, kwargs))
            return result
        returned: list[Any] = []
        standing = Standing(False)
        graph = recorder.record_run(
            forward, args, kwargs, numbers=True, standing=standing, returned=returned.append,
            **self._options(),
        )  # fmt: skip
        run = Recorded(graph, {}, standing.laundered, {})
        with collector_at_rest():
            merging = Merging(run, number, before, *_kept(returned[0], args, kwargs))
        self.entries[key] = _EntryPoint(path, forward, merging, facts)
        return returned[0]

    def _options(self) -> dict[str, Any]:
        """Options of the recorder.

        A look at the model takes as long as some calls of it, so it is kept while it still holds.
        """
        with collector_at_rest():
            if self.held is None or not self.held.stands():
                self.held = Holdings(self.model)
        return {"witness": True, "among": True, "within": self.model, "held": self.held}

    def _graph(self, entry: _EntryPoint) -> Graph:
        """The one graph of an entry point; with branches and variants, if not all calls fit one."""
        merging = entry.merging
        if merging.is_one_of_a_row:
            return merging.concluded(entry.forward, {}, {})[0]
        return whole(merging, entry.forward, {}, self._options() if merging.unfit else {})

    def fill(self, made: Program) -> None:
        """Give a Program the entry points, in the order in which they were first called."""
        names = _names([one.path for one in self.entries.values()], self.names)
        graphs = {n: self._graph(one) for n, one in zip(names, self.entries.values())}
        forget_unread(graphs.values())
        keep_initial(graphs)
        made.graphs.update(graphs)
        called = zip(names, self.entries.values())
        made.modules.update({name: one.path for name, one in called if one.path})
        made.check()


def _kept(result: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Inputs]:
    """What a call returned and left in its inputs, as it is now: the driver goes on with both."""
    (result, args), kwargs = copies_of((result, args), kwargs)
    return result, Inputs(*args, **kwargs)


def _names(paths: Sequence[str], wished: Sequence[str]) -> list[str]:
    """A name for each entry point: the wished ones for those of the model, paths for its parts."""
    names: list[str] = []
    own = (*wished, *(f"call{n}" for n in range(len(wished), len(wished) + len(paths))))
    free = iter(own)
    for path in paths:
        name = path or next(free)
        more = (f"{name}-{n}" for n in range(2, len(paths) + 2))
        names.append(name if name not in names else next(n for n in more if n not in names))
    return names


@contextlib.contextmanager
def record(
    model: torch.nn.Module, names: Sequence[str] = ("prefill", "decode"), shown: int = 2
) -> Iterator[Program]:
    """Gather every call of a model inside a user's own code into a Program.

    Calls of the model itself are gathered, and those of its parts that such code makes from outside
    (``model.encoder(x)``, as drivers of encoder-decoder models do).

    Args:
        model: the module; it answers through another ``forward`` while the block runs.
        names: of the model's own entry points, in the order in which they are first called; those
            of a part are named by its path.
        shown: how many calls of each after the first are examples in any case; further ones are if
            a size or number in their inputs varies that did not before, and are else only run.

    Yields:
        a Program that has its graphs when the block ends.

    Example:
        >>> import torch
        >>> net = torch.nn.Linear(3, 2)
        >>> with record(net, names=("step",)) as program:
        ...     outputs = [net(torch.rand(n, 3)) for n in (1, 2, 4)]
        >>> program["step"].live[0].values
        (1, 2, 4)
    """
    gathered = Recording(model, names, shown)
    made = Program(type(model).__name__, {})
    with answered_by(model, gathered):
        yield made
    gathered.fill(made)


def _called(model: Callable[..., Any], entry: Any) -> tuple[Callable[..., Any], list[Inputs]]:
    """What an entry point calls, and with what in each example."""
    if isinstance(entry, tuple) and len(entry) == 2 and callable(entry[0]):
        if not isinstance(entry[0], torch.Tensor):
            model, entry = entry
    if isinstance(entry, list) and entry and all(isinstance(one, Inputs) for one in entry):
        return model, entry
    return model, [inputs_of(entry)]


def keep_initial(graphs: Mapping[str, Graph]) -> None:
    """Let each graph hold the state its own run began with.

    A graph that only reads a place refers to the tensor that stands there; where a later entry
    point writes that tensor, what it began with is what the earlier one read.
    """
    later: dict[str, torch.Tensor] = {}
    for graph in reversed(list(graphs.values())):
        hold(graph, later)
        later.update((state.path, graph.constants[state.initial]) for state in graph.state)
