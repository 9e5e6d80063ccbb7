"""A user's own driver, whose caches grow, over graphs whose caches have a fixed length.

Owns what is kept between its calls: the slots behind each tensor that the driver holds. Rewrites
nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch

from ..errors import Diverged, Error
from ..graph import places, tree
from ..graph.graph import Graph
from ..graph.inputs import bind_inputs
from ..graph.left import Answered
from ..graph.nodes import Dim, Value
from ..graph.program import Program
from .fixed_cache import Growth, growth_of, leaves_more
from .padded import POSITION
from .slots import Filled, at

EntryEngine = Callable[[str, Mapping[str, torch.Tensor]], Mapping[str, torch.Tensor]]


class Grown:
    """Calls with caches that grow, answered by a Program whose caches are fixed.

    Attributes:
        program: the Program as it was recorded.
        fixed: what :func:`.fixed_cache.fixed_cache` made of it.

    Example:
        >>> import torch, flexir
        >>> from flexir.passes import Grown, fixed_cache
        >>> class Mean(torch.nn.Module):
        ...     def forward(self, x, seen=None):
        ...         seen = x if seen is None else torch.cat([seen, x])
        ...         return seen.mean(0), seen
        >>> model, rows = Mean(), torch.rand(9, 1, 2)
        >>> def drive(count):
        ...     _, seen = model(rows[0])
        ...     for row in rows[1:count]:
        ...         mean, seen = model(row, seen)
        ...     return mean
        >>> with flexir.record(model, names=("first", "next")) as program:
        ...     _ = drive(5)
        >>> fixed = fixed_cache(program, 8)
        >>> wanted = drive(8)
        >>> with program.answering(model, run=Grown(program, fixed)):
        ...     torch.allclose(drive(8), wanted)
        True
    """

    def __init__(self, program: Program, fixed: Program, engine: EntryEngine | None = None) -> None:
        """What ``program.answering(model, run=...)`` takes.

        Args:
            program: as it was recorded.
            fixed: what :func:`.fixed_cache.fixed_cache` made of it.
            engine: ``engine(entry point, inputs by name)`` gives outputs by name
                (``graph.output_names``); without, the graphs are replayed.

        Raises:
            Error: the graphs keep state, which would be lost between calls.
        """
        if fixed.state:
            raise Error(
                f"the graphs keep state ({', '.join(fixed.state)}), which no engine is handed "
                "here; make it inputs and outputs first: explicit_state(program)"
            )
        self.program, self.fixed = program, fixed
        self._engine = engine or self.replay
        self._growth: dict[str, Growth | None] = {n: growth_of(n, g) for n, g in program.items()}
        self._slots: list[tuple[torch.Tensor, torch.Tensor]] = []  # of the last call

    def __call__(self, entry: str, *args: Any, **kwargs: Any) -> Any:
        """One call of the driver.

        Raises:
            Diverged: the entry point does not take it, or the cache is full.
        """
        graph, fixed, growth = self.program[entry], self.fixed[entry], self._growth[entry]
        env: dict[Value, Any] = {}
        bind_inputs(graph, args, kwargs, env, as_given=True)
        feeds: dict[str, torch.Tensor] = {}
        offset = 0
        if growth is None:
            feeds = {value.name: tensor for value, tensor in env.items()}
        else:
            position = _position(graph, growth, env)
            if position > self._most(fixed, growth):
                raise Diverged(f"the cache is full: {position} of {entry!r}, no room for one more")
            offset = position - _recorded(growth)
            twins = {value.name: value for value in fixed.input_values}
            place_of = {value: place for place, value in places.paths(graph.inputs, Value)}
            for value, shape in growth.shapes.items():
                if not value.is_number:
                    static = twins[value.name].type.shape
                    feeds[value.name] = self._wide(place_of[value], env[value], shape, static)
            feeds[_word(fixed)] = torch.tensor(position)
        made = self._engine(entry, feeds)
        return self._narrowed(graph, fixed, env, offset, made)

    def _most(self, fixed: Graph, growth: Growth) -> int:
        """How many slots may be filled before a call."""
        twins = {value.name: value.type.shape for value in fixed.input_values}
        return min(
            n - size.offset - growth.step
            for value, shape in growth.shapes.items() if not value.is_number
            for size, n in zip(shape, twins[value.name])
            if isinstance(size, Filled) and size.offset <= 0
        )  # fmt: skip

    def _wide(
        self, place: str, tensor: torch.Tensor, shape: tuple[Any, ...], static: tuple[int, ...]
    ) -> torch.Tensor:
        """The slots behind what the driver holds; new ones for what it made itself."""
        for held, slots in self._slots:
            if held is tensor:
                return slots
        if not any(isinstance(size, Filled) for size in shape):
            return tensor
        for size, most in zip(tensor.shape, static):
            if size > most:
                raise Diverged(f"{place} is {tuple(tensor.shape)}; there are {static} slots")
        made = torch.zeros(static, dtype=tensor.dtype, device=tensor.device)
        made[tuple(map(slice, tensor.shape))] = tensor
        return made

    def _narrowed(
        self, graph: Graph, fixed: Graph, env: Mapping[Value, Any], offset: int, made: Any
    ) -> Any:
        """What the model would have returned."""
        names, found = fixed.output_names, dict(env)
        sizes = {n.name: m for v in graph.input_values if not v.is_number
                 for n, m in zip(v.type.shape, env[v].shape) if isinstance(n, Dim)}  # fmt: skip
        self._slots = []
        wanted = (graph.outputs, graph.left) if leaves_more(graph) else graph.outputs
        for _, (old, new) in places.zip(wanted, fixed.outputs, leaf=Value):
            if old.__class__ is not Value or old in found:
                continue
            if new.__class__ is not Value:
                found[old] = new
                continue
            tensor = made[names[new]]
            if old.is_number:
                found[old] = int(tensor)
                continue
            narrow = tensor
            for dim, (size, most) in enumerate(zip(old.type.shape, new.type.shape)):
                if isinstance(size, Dim) and not isinstance(most, Dim):
                    real = sizes.get(size.name, int(size) + offset)
                    narrow = narrow.narrow(dim, 0, real)
            found[old] = narrow
            if narrow is not tensor:
                self._slots.append((narrow, tensor))
        return Answered(*tree.build((graph.outputs, graph.left), Value, found.__getitem__))

    def replay(self, entry: str, feeds: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Run an entry point by names: the default engine, and one for what yours does not run."""
        graph = self.fixed[entry]
        given = tree.build(graph.inputs, Value, lambda value: feeds[value.name])
        parameters = [inspect.Parameter(n, inspect._ParameterKind(k)) for n, k in graph.parameters]
        bound = inspect.BoundArguments(inspect.Signature(parameters), given)
        made = graph(*bound.args, **bound.kwargs)
        found: dict[str, torch.Tensor] = {}
        for _, (value, tensor) in places.zip(
            graph.outputs, tree.template(made, lambda t: t, deep=True), leaf=Value
        ):
            if value.__class__ is Value:
                found[graph.output_names[value]] = tensor
        return found


def _word(fixed: Graph) -> str:
    """The name of the input that says how many slots are filled."""
    return next(w for w in reversed(list(fixed.inputs)) if w.startswith(POSITION))


def _recorded(growth: Growth) -> int:
    """The position of the recorded call."""
    return next(
        int(n) - size.offset
        for value, shape in growth.shapes.items()
        for n, size in zip(value.type.shape, shape)
        if isinstance(size, Filled)
    )


def _position(graph: Graph, growth: Growth, env: Mapping[Value, Any]) -> int:
    """How many slots are filled in the caches of a call.

    Raises:
        Diverged: they are not of one length.
    """
    found: dict[int, str] = {}
    for value, shape in growth.shapes.items():
        sizes = (env[value],) if value.is_number else tuple(env[value].shape)
        for size, n in zip(shape, sizes):
            if isinstance(size, Filled):
                found[n - size.offset] = value.name
            elif n != at(size, 0):
                raise Diverged(f"the input {value.name!r} is {tuple(sizes)} in {graph.name}")
    if len(found) != 1:
        raise Diverged(f"the caches of {graph.name} are filled to different lengths: {found}")
    return next(iter(found))
