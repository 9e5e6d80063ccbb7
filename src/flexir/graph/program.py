"""Several graphs of one model: entry points over one set of weights and one state.

    Program ::= {entry point: Graph}

Weights are shared by identity: the same tensor is a constant of each graph that reads it, under its
own name. State is shared by path. This module runs no model; how entry points are recorded
is :mod:`flexir.recording.programs`'s matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import torch

from ..errors import Error
from . import tree
from .account import State
from .graph import Graph
from .inputs import Inputs
from .nodes import Node, Value
from .run import Run, RunMemory

if TYPE_CHECKING:
    import os

_NAMED = ("parameter", "buffer", "attribute")  # origins whose names mean one place of the model


class Program(Mapping[str, Graph]):
    """Entry points of a model by name, in the order in which they were recorded.

    Attributes:
        name: class name of the model.
        graphs: name -> Graph.
        modules: name -> path of the module whose calls it answers, where a driver called a part of
            the model (an encoder) and not the model itself.

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

    def __init__(
        self, name: str, graphs: Mapping[str, Graph], modules: Mapping[str, str] | None = None
    ) -> None:
        """Entry points that belong together.

        Args:
            name: class name of the model.
            graphs: name -> Graph, in the order in which they were recorded.
            modules: name -> path of the module that is called; the model itself by default.

        Raises:
            Error: two of them disagree on the value of a weight.
        """
        self.name, self.graphs, self.modules = name, dict(graphs), dict(modules or {})
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

        Calls of a part of the model that such code makes itself (``model.encoder(x)``) are answered
        by the entry points of that part. Objects that a call was given and returned (a cache) are
        the very objects in the answer, too, and hold what the model would have left in them.

        Args:
            model: the module whose calls are answered; its weights are not read.
            run: an engine: ``run(entry point, *args, **kwargs)`` gives its outputs, or
                :class:`~flexir.graph.left.Answered`, what it leaves in its inputs, too; without,
                the graphs are replayed.

        Returns:
            a context manager; in its block ``model(...)`` is answered. It yields the run whose
            state the calls carry on.

        Raises:
            Diverged: in the block, at a call whose inputs no entry point takes, or of a part of the
                model that no entry point is for.

        Example:
            >>> import torch, flexir
            >>> net = torch.nn.Linear(3, 2)
            >>> program = flexir.program(net, {"step": (torch.ones(1, 3),)})
            >>> with program.answering(torch.nn.Linear(3, 2, device="meta")) as run:
            ...     pass
        """
        from .answering import answering

        return answering(self, model, run)

    def check(self, same: Callable[[Graph, Value, Graph, Value], bool] | None = None) -> None:
        """Raise Error where two entry points disagree on the value of a weight.

        Args:
            same: whether a constant of one graph is that of another; looks at the tensors if None.
        """
        kept, same = self.state, same or same_tensor
        known: dict[str, tuple[str, Value]] = {}
        for entry, graph in self.graphs.items():
            for value in graph.constants:
                origin = graph.origins.get(value)
                if origin is None or origin.kind not in _NAMED or value.name in kept:
                    continue
                other, before = known.setdefault(value.name, (entry, value))
                if before is not value and not same(self.graphs[other], before, graph, value):
                    raise Error(
                        f"the weight {value.name!r} is one thing in {other!r} and another in "
                        f"{entry!r}: they are not entry points of one model. Record them from "
                        "one model, or keep two Programs"
                    )

    def text(self, *, bodies: bool = True, numbers: bool = False, defaults: bool = False) -> str:
        """All graphs as text, one after the other; see :meth:`Graph.text`."""
        parts = [f"program {self.name}: {', '.join(self.graphs)}"]
        for entry, graph in self.graphs.items():
            text = graph.text(bodies=bodies, numbers=numbers, defaults=defaults)
            parts.append(f"\n{entry} = {text}")
        return "\n".join(parts)

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        weights: str | None = "copy",
        status: Mapping[Node, tuple[str, str]] | None = None,
    ) -> None:
        """Save as a directory that :func:`flexir.load` reads; see :func:`flexir.save`."""
        from ..files.ir import save

        save(self, path, weights=weights, status=status)

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f"<Program {self.name}: {', '.join(self.graphs)}; {len(self.weights)} constants>"


def one_graph(thing: Any, verb: str) -> Graph:
    """What a verb that takes a Graph was given.

    Raises:
        Error: it is a Program, or no graph at all; the message says how to name the entry point.
    """
    if isinstance(thing, Program):
        entries = " or ".join(f"program[{name!r}]" for name in thing)
        raise Error(f"{verb} takes one graph, and this Program has {len(thing)}: give {entries}")
    if not isinstance(thing, Graph):
        raise Error(f"{verb} takes a Graph; got {type(thing).__name__}")
    return thing


class ProgramRun:
    """Calls of a Program's entry points in a row: ``run.decode(x)`` or ``run["decode"](x)``.

    Attributes:
        program: the Program.
        memory: what the calls leave behind.
    """

    def __init__(self, program: Program) -> None:
        self.program, self.memory = program, RunMemory()
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


def same_tensor(graph: Graph, value: Value, other: Graph, twin: Value) -> bool:
    """Whether a constant of one graph holds what a constant of another does."""
    return _same(graph.constants[value], other.constants[twin])


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    if one is other:
        return True
    if one.shape != other.shape or one.dtype != other.dtype or one.device != other.device:
        return False
    if one.device.type == "meta" or one.data_ptr() == other.data_ptr() != 0:
        return True
    return bool(torch.equal(one, other))


def structure_of(inputs: Inputs) -> tuple[str, tuple[Any, ...]]:
    """How the inputs of a call are built, which calls of one entry point have in common.

    Returns:
        containers, dtypes, ranks and words as a text; and the sizes and numbers in it.
    """
    facts: list[Any] = []

    def tensor(one: torch.Tensor) -> str:
        facts.extend(one.shape)
        return f"{one.dtype}[{one.ndim}]"

    parts = tree.template(dict(enumerate(inputs.args)) | inputs.kwargs, tensor, deep=True)
    return _shape(parts, facts), tuple(facts)


def _shape(part: Any, facts: list[Any]) -> str:
    """A template in words; its numbers go to ``facts``."""
    if isinstance(part, (int, float)) and not isinstance(part, bool):
        facts.append(part)
        return type(part).__name__
    if isinstance(part, dict):
        return "{" + ", ".join(f"{k}: {_shape(v, facts)}" for k, v in part.items()) + "}"
    if isinstance(part, (list, tuple)):
        return f"{type(part).__name__}({', '.join(_shape(v, facts) for v in part)})"
    if isinstance(part, tree.Record):
        inside = (_shape(part.items, facts), _shape(part.attributes, facts))
        return f"{part.cls.__name__}({', '.join(inside)})"
    return tree.without_address(part)
