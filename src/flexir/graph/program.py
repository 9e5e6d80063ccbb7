"""Several graphs of one model: entry points over one set of weights and one state.

    Program ::= {entry point: Graph}

Weights are shared by identity: the same tensor is a constant of each graph that reads it, under its
own name. State is shared by path. This module runs no model; how entry points are recorded
is :mod:`flexir.recording.programs`'s matter.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch

from ..errors import Diverged, Error
from . import tree
from .account import State
from .graph import Graph
from .inputs import Inputs, bind_inputs
from .run import Memory, Run

_NAMED = ("parameter", "buffer", "attribute")  # origins whose names mean one place of the model


class Program(Mapping[str, Graph]):
    """Entry points of a model by name, in the order in which they were recorded.

    Attributes:
        name: class name of the model.
        graphs: name -> Graph.

    Example:
        >>> import torch, flexir
        >>> net = torch.nn.BatchNorm1d(3)
        >>> x = torch.rand(4, 3)
        >>> program = flexir.program(net, {"step": (x,), "pair": (x[:2],)})
        >>> run = program.start()
        >>> _ = run.step(x), run.pair(x[:2])
        >>> run.state["num_batches_tracked"]
        tensor(2)
    """

    def __init__(self, name: str, graphs: Mapping[str, Graph]) -> None:
        """Entry points that belong together.

        Args:
            name: class name of the model.
            graphs: name -> Graph, in the order in which they were recorded.

        Raises:
            Error: two of them disagree on the value of a weight.
        """
        self.name, self.graphs = name, dict(graphs)
        self.check()

    def __getitem__(self, name: str) -> Graph:
        if name not in self.graphs:
            raise KeyError(f"no entry point {name!r}; there are {', '.join(self.graphs)}")
        return self.graphs[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.graphs)

    def __len__(self) -> int:
        return len(self.graphs)

    @property
    def state(self) -> dict[str, State]:
        """Path -> the first State of that path; a run begins with its initial value."""
        found: dict[str, State] = {}
        for graph in self.graphs.values():
            for state in graph.state:
                found.setdefault(state.path, state)
        return found

    @property
    def weights(self) -> dict[str, torch.Tensor]:
        """Name -> tensor of every constant, each once; state as the first call read it."""
        found: dict[str, torch.Tensor] = {}
        for graph in self.graphs.values():
            for value, tensor in graph.constants.items():
                found.setdefault(value.name, tensor)
        return found

    def start(self) -> ProgramRun:
        """Calls of entry points in a row: what one leaves behind, the next begins with."""
        return ProgramRun(self)

    def answering(
        self, model: torch.nn.Module, run: Callable[..., Any] | None = None
    ) -> AbstractContextManager[ProgramRun]:
        """Run a user's own code with every call of the model answered by this Program.

        Args:
            model: the module whose calls are answered; its weights are not read.
            run: an engine: ``run(entry point, *args, **kwargs)`` gives its outputs; without, the
                graphs are replayed.

        Returns:
            a context manager; in its block ``model(...)`` is answered. It yields the run whose
            state the calls carry on.

        Raises:
            Diverged: in the block, at a call whose inputs no entry point takes.

        Example:
            >>> import torch, flexir
            >>> net = torch.nn.Linear(3, 2)
            >>> program = flexir.program(net, {"step": (torch.ones(1, 3),)})
            >>> with program.answering(torch.nn.Linear(3, 2, device="meta")) as run:
            ...     pass
        """
        return _answering(self, model, run)

    def check(self) -> None:
        """Raise Error where two entry points disagree on the value of a weight."""
        kept = self.state
        known: dict[str, tuple[str, torch.Tensor]] = {}
        for entry, graph in self.graphs.items():
            for value, tensor in graph.constants.items():
                origin = graph.origins.get(value)
                if origin is None or origin.kind not in _NAMED or value.name in kept:
                    continue
                other, before = known.setdefault(value.name, (entry, tensor))
                if before is not tensor and not _same(before, tensor):
                    raise Error(
                        f"the weight {value.name!r} is one thing in {other!r} and another in "
                        f"{entry!r}: they are not entry points of one model. Record them from "
                        "one model, or keep two Programs"
                    )

    def text(self) -> str:
        """All graphs as text, one after the other."""
        parts = [f"program {self.name}: {', '.join(self.graphs)}"]
        parts += [f"\n{entry} = {graph.text()}" for entry, graph in self.graphs.items()]
        return "\n".join(parts)

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f"<Program {self.name}: {', '.join(self.graphs)}; {len(self.weights)} constants>"


class ProgramRun:
    """Calls of a Program's entry points in a row: ``run.decode(x)`` or ``run["decode"](x)``.

    Attributes:
        program: the Program.
        memory: what the calls leave behind.
    """

    def __init__(self, program: Program) -> None:
        self.program, self.memory = program, Memory()
        kept = program.state
        for graph in program.graphs.values():
            for state in graph.state:
                self.memory.tensors.setdefault(state.path, graph.constants[state.initial])
        self._runs = {n: Run(g, self.memory, kept) for n, g in program.graphs.items()}

    def __getitem__(self, entry: str) -> Run:
        self.program[entry]  # says which there are
        return self._runs[entry]

    def __getattr__(self, entry: str) -> Run:
        if entry.startswith("_") or entry not in self._runs:
            raise AttributeError(f"no entry point {entry!r}; there are {', '.join(self.program)}")
        return self._runs[entry]

    @property
    def state(self) -> dict[str, torch.Tensor]:
        """Path -> what the model would hold there now."""
        return dict(self.memory.tensors)


def _same(one: Any, other: Any) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype or one.device != other.device:
        return False
    if one.device.type == "meta" or one.data_ptr() == other.data_ptr() != 0:
        return True
    return bool(torch.equal(one, other))


def kind_of(inputs: Inputs) -> str:
    """What calls of one entry point have in common: how their inputs are built."""

    def tensor(one: torch.Tensor) -> str:
        return f"{one.dtype}[{one.ndim}]"

    return _shape(tree.template(dict(enumerate(inputs.args)) | inputs.kwargs, tensor, deep=True))


def _shape(part: Any) -> str:
    """A template in words, numbers without their values."""
    if isinstance(part, (int, float)) and not isinstance(part, bool):
        return type(part).__name__
    if isinstance(part, dict):
        return "{" + ", ".join(f"{k}: {_shape(v)}" for k, v in part.items()) + "}"
    if isinstance(part, (list, tuple)):
        return f"{type(part).__name__}({', '.join(map(_shape, part))})"
    if isinstance(part, tree.Record):
        return f"{part.cls.__name__}({_shape(part.items)}, {_shape(part.attributes)})"
    return tree.without_address(part)


@contextlib.contextmanager
def _answering(
    program: Program, model: torch.nn.Module, run: Callable[..., Any] | None = None
) -> Iterator[ProgramRun]:
    """See :meth:`Program.answering`."""
    started = program.start()

    def answer(*args: Any, **kwargs: Any) -> Any:
        reasons = []
        for entry, graph in program.items():
            try:
                _check_takes(graph, args, kwargs)
                if run is not None:
                    return run(entry, *args, **kwargs)
                return started[entry](*args, **kwargs)
            except Diverged as error:
                reasons.append(f"  {entry}: {error}")
        raise Diverged("no entry point takes this call\n" + "\n".join(reasons))

    with answered_by(model, answer):
        yield started


@contextlib.contextmanager
def answered_by(model: torch.nn.Module, answer: Callable[..., Any]) -> Iterator[None]:
    """Let calls of one module be answered otherwise while the block runs."""
    before = vars(model).get("forward")
    original: Callable[..., Any] = model.forward

    @functools.wraps(original)  # so that it has its signature
    def forward(*args: Any, **kwargs: Any) -> Any:
        return answer(*args, **kwargs)

    model.forward = forward
    try:
        yield
    finally:
        del model.forward
        if before is not None:
            model.forward = before


def _check_takes(graph: Graph, args: Any, kwargs: Any) -> None:
    """Raise Diverged if neither a graph nor a variant of it takes inputs built like these."""
    first: Diverged | None = None
    for one in (graph, *graph.variants):
        try:
            bind_inputs(one, args, kwargs, {}, as_given=True)
        except Diverged as error:
            first = first or error
        else:
            return
    assert first is not None
    raise first
