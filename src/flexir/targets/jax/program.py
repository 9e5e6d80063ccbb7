"""What the handlers build: calls of JAX functions in order, and the weights they read.

A program is a pure function of weights and inputs: nothing is kept from one call to the next. It
knows no op of torch.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch

import flexir
from flexir import Unsupported

from .arrays import TORCH, WIDER, array_of, wide

# What JAX raises for values that are not known before the program runs.
_UNKNOWN = (
    jax.errors.ConcretizationTypeError,
    jax.errors.NonConcreteBooleanIndexError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
)


class Place(int):
    """The number of an array of a program; a type of its own, so that it is no number.

    Attributes:
        kind: ``int``, ``float`` or ``bool`` where the array stands for a number of Python's.
    """

    kind: type | None = None


class Number(NamedTuple):
    """A number of Python's that is known when the program runs."""

    array: jax.Array
    kind: type


class Missing(str):
    """The op of a call that nothing handled, where an array would be that JAX does not have."""


@dataclass(frozen=True, slots=True)
class Call:
    """What a JAX function is told of the call it stands for.

    Attributes:
        op: torch's name of it.
        types: shape and dtype of each output.
        many: whether it returns several.
        kinds: of each output, the type of the number it stands for; None for a tensor.
    """

    op: str
    types: tuple[tuple[tuple[int, ...], Any], ...]
    many: bool
    kinds: tuple[type | None, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the first output."""
        return self.types[0][0]

    @property
    def dtype(self) -> Any:
        """Dtype of the first output."""
        return self.types[0][1]

    def cast(self, value: Any) -> jax.Array:
        """An array or number in the dtype of the first output."""
        return jnp.asarray(value).astype(self.dtype) if given(value) else number(value, self.dtype)


class Step(NamedTuple):
    """One call: function, what it is told, arguments with places for arrays, where results go."""

    function: Callable[..., Any]
    call: Call
    args: tuple[Any, ...]
    named: dict[str, Any]
    results: tuple[Place, ...]
    where: str


def given(value: Any) -> bool:
    """Whether an argument is an array."""
    return isinstance(value, jax.Array)


def number(value: Any, dtype: Any) -> jax.Array:
    """A Python number as an array, as torch converts it."""
    if isinstance(value, Number):
        return value.array.astype(dtype)
    if jnp.issubdtype(dtype, jnp.integer) and isinstance(value, float):
        if value != value or abs(value) == float("inf"):
            raise Unsupported(f"{value} as a whole number")
        value = int(value)
    return jnp.asarray(value, dtype)


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """Steps that run where a call says, of what it gives them and of what stands around it.

    Attributes:
        parameters: places of what it is given.
        steps: in order.
        results: places, or numbers.
    """

    parameters: tuple[Place, ...]
    steps: list[Step]
    results: tuple[Any, ...]

    def over(self, fill: Callable[[Place], Any]) -> Callable[..., tuple[Any, ...]]:
        """As a function of what it is given."""

        def body(*given: Any) -> tuple[Any, ...]:
            env: dict[Place, Any] = dict(zip(self.parameters, given))

            def look(place: Place) -> Any:
                return _as_number(place, env[place]) if place in env else fill(place)

            run_steps(self.steps, env, look)
            return tuple(filled(one, look) for one in self.results)

        return body


def _as_number(place: Place, array: Any) -> Any:
    return array if place.kind is None else Number(array, place.kind)


def run_steps(steps: list[Step], env: dict[Place, Any], look: Callable[[Place], Any]) -> None:
    """Compute, step after step, into ``env``."""
    for step in steps:
        made = step.function(step.call, *filled(step.args, look), **filled(step.named, look))
        env.update(zip(step.results, list_of(made)))


def places(part: Any) -> Iterator[Place]:
    """The places that arguments read, also in what runs inside."""
    if isinstance(part, Place):
        yield part
    elif isinstance(part, Body):
        own = {*part.parameters, *(place for step in part.steps for place in step.results)}
        inner = [part.results, *((step.args, step.named) for step in part.steps)]
        yield from (place for place in places(inner) if place not in own)
    elif isinstance(part, (list, tuple)):
        for one in part:
            yield from places(one)
    elif isinstance(part, dict):
        yield from places(list(part.values()))
    elif isinstance(part, slice):
        yield from places((part.start, part.stop, part.step))


def filled(part: Any, fill: Callable[[Place], Any]) -> Any:
    """Arguments with their places filled.

    Raises:
        Unsupported: what should be among them is missing.
    """
    if isinstance(part, Missing):
        raise Unsupported(f"it reads {part}, which is missing")
    if isinstance(part, Place):
        return fill(part)
    if isinstance(part, Body):
        return part.over(fill)
    if isinstance(part, (list, tuple)):
        return (
            type(part)(filled(one, fill) for one in part) if type(part) in (list, tuple) else part
        )
    if isinstance(part, dict):
        return {name: filled(one, fill) for name, one in part.items()}
    if isinstance(part, slice):
        return slice(*(filled(one, fill) for one in (part.start, part.stop, part.step)))
    return part


@dataclass(eq=False)
class Program:
    """A function of weights and inputs, for ``jax.jit``, ``vmap``, ``grad`` and their kind.

    ``jax.jit(program)(program.weights, x)`` runs it.

    Attributes:
        weights: arrays by the names of the model's state_dict.
        steps: the calls, in order.
        inputs: places of the inputs, by name.
        outputs: places of the outputs, by name.
        state: path -> the weight that stands there before the first call; see :meth:`step`.
        left: path -> place of what a call leaves there.
        conditions: what must hold for outputs to be right -> place of a bool: whether it does.
        blocks: within how many of them are now; what is made there is not seen outside.
        lacking: ops that nothing handled; with one, it does not run.
        graph: what was converted; it knows the structure of inputs and outputs.
        sized: ``sized(program, *args)``, the program for inputs of other sizes; set by the door.
    """

    sized: ClassVar[Callable[..., Program]]

    weights: dict[str, Any] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    inputs: dict[str, Place] = field(default_factory=dict)
    outputs: dict[str, Place] = field(default_factory=dict)
    state: dict[str, str] = field(default_factory=dict)
    left: dict[str, Place] = field(default_factory=dict)
    conditions: list[tuple[str, Place]] = field(default_factory=list)
    blocks: int = 0
    lacking: list[str] = field(default_factory=list)
    graph: flexir.Graph = field(init=False)
    places: dict[str, Place] = field(default_factory=dict)
    types: list[jax.ShapeDtypeStruct] = field(default_factory=list)
    known: dict[Any, Any] = field(default_factory=dict, repr=False)

    def place(self, shape: Any, dtype: Any, kind: type | None = None) -> Place:
        """A new array, or a number of such a kind."""
        self.types.append(jax.ShapeDtypeStruct(tuple(shape), dtype))  # type: ignore[no-untyped-call]
        made = Place(len(self.types) - 1)
        made.kind = kind
        return made

    @contextlib.contextmanager
    def apart(self) -> Iterator[list[Step]]:
        """Where the steps of a block are collected."""
        steps, self.steps = self.steps, []
        self.blocks += 1
        try:
            yield self.steps
        finally:
            self.steps, self.blocks = steps, self.blocks - 1

    def add(self, function: Any, call: Call, args: Any, named: Any, where: str) -> Any:
        """Append a call.

        Raises:
            Unsupported: the function declines it, or makes other types than torch did.
        """
        key = (function, call, repr(filled((args, named), lambda p: (self.types[p], p.kind))))
        if key not in self.known or any(isinstance(one, Body) for one in args):
            self.known[key] = self._made(function, call, args, named)
        if isinstance(self.known[key], str):
            raise Unsupported(self.known[key])
        results = tuple(self.place(*one, kind) for one, kind in zip(call.types, call.kinds))
        self.steps.append(Step(function, call, args, named, results, where))
        return results if call.many else results[0]

    def _made(self, function: Any, call: Call, args: Any, named: Any) -> str | None:
        """Why a call is declined, found by working out types alone."""
        filled((args, named), lambda place: place)  # declines what is missing

        def work(arrays: dict[Place, Any]) -> Any:
            def look(place: Place) -> Any:
                return _as_number(place, arrays[place])

            return list_of(function(call, *filled(args, look), **filled(named, look)))

        try:
            with wide():
                read = {place: self.types[place] for place in places((args, named))}
                made = jax.eval_shape(work, read)
        except Unsupported as declined:
            return str(declined)
        except _UNKNOWN:
            return "a shape or a branch that depends on values; XLA knows them before it runs"
        except (TypeError, ValueError, LookupError, ArithmeticError, NotImplementedError) as error:
            return f"JAX: {' '.join(str(error).split())[:300]}"
        found = [(one.shape, one.dtype) for one in made]
        if found != list(call.types):
            return f"JAX makes {found}, torch {list(call.types)}"
        return None

    def compute(
        self, weights: dict[str, Any], inputs: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any], list[Any]]:
        """Outputs by name, what is left behind by path, and conditions, of inputs by name.

        Where a condition does not hold, outputs are NaN, the least whole numbers, or False.

        Raises:
            UnsupportedError: there are placeholders in it.
        """
        if self.lacking:
            raise flexir.UnsupportedError(f"placeholders do not run: {', '.join(self.lacking)}")
        with wide():
            env: dict[Place, Any] = {
                place: jnp.asarray(weights[name]) for name, place in self.places.items()
            }
            for name, place in self.inputs.items():
                env[place] = jnp.asarray(inputs[name]).astype(self.types[place].dtype)
            run_steps(self.steps, env, lambda place: _as_number(place, env[place]))
            outputs, left = ({name: env[place] for name, place in part.items()}
                             for part in (self.outputs, self.left))  # fmt: skip
            told = [env[place] for _, place in self.conditions]
            if told:
                holds = jnp.stack(told).all()
                outputs = {name: _unless(holds, array) for name, array in outputs.items()}
            return outputs, left, told

    def bind(self, *args: Any, **kwargs: Any) -> tuple[Program, dict[str, Any]]:
        """The program of these sizes, and arrays, traced or not, by the names of its inputs.

        Arrays of 32 bits are taken where the model wants 64: unless configured otherwise, JAX makes
        no wider ones.

        Raises:
            Diverged: they do not fit those that were recorded.
        """
        wanted = {TORCH[self.types[place].dtype] for place in self.inputs.values()}
        arrays: dict[int, Any] = {}
        stood: dict[int, torch.Tensor] = {}

        def stand_in(part: Any) -> Any:
            if not isinstance(part, (jax.Array, np.ndarray)):
                return part
            if id(part) in stood:  # one array at two places, as one tensor was
                return stood[id(part)]
            dtype = TORCH[jnp.dtype(part.dtype)]
            dtype = WIDER.get(dtype, dtype) if dtype not in wanted else dtype
            made = torch.zeros(part.shape, dtype=dtype)
            arrays[id(made)] = part
            stood[id(part)] = made
            return made

        args, kwargs = torch.utils._pytree.tree_map(stand_in, (args, kwargs))
        program = Program.sized(self, *args, **kwargs)
        bound = program.graph.bind(*args, **kwargs)
        return program, {
            name: arrays[id(tensor)] if id(tensor) in arrays else array_of(tensor)
            for name, tensor in bound.items()
        }

    def __call__(self, weights: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """What the model returns, of arrays."""
        return self.step(weights, {}, *args, **kwargs)[0]

    def step(
        self, weights: dict[str, Any], state: dict[str, Any], *args: Any, **kwargs: Any
    ) -> tuple[Any, dict[str, Any]]:
        """One of several calls in a row: what the model returns, and the state after it.

        ``outputs, state = program.step(weights, state, x)``, with ``{}`` at first: what the model
        keeps from call to call, by path; a pure function keeps nothing.
        """
        program, arrays = self.bind(*args, **kwargs)
        if program is not self:  # what was computed of sizes alone is its own
            mine = {v.name: tensor for v, tensor in self.graph.constants.items()}
            same = {v.name for v, t in program.graph.constants.items() if t is mine.get(v.name)}
            weights = {name: weights[name] if name in same else array
                       for name, array in program.weights.items()}  # fmt: skip
        weights = {**weights, **{program.state[path]: array for path, array in state.items()}}
        outputs, left, _ = program.compute(weights, arrays)
        return program.graph.arrange(outputs), left

    @functools.cached_property
    def compiled(self) -> Callable[..., tuple[dict[str, Any], dict[str, Any], list[Any]]]:
        """:meth:`compute`, compiled once."""
        made: Callable[..., Any] = jax.jit(self.compute)
        return made


def _unless(holds: Any, array: Any) -> Any:
    """An array, or what cannot be taken for one."""
    if array.dtype == bool:
        return array & holds
    inexact = jnp.issubdtype(array.dtype, jnp.inexact)
    lost = jnp.nan if inexact else np.iinfo(array.dtype).min
    return jnp.where(holds, array, jnp.asarray(lost, array.dtype))


def list_of(made: Any) -> list[Any]:
    """Results, also where there is one."""
    return list(made) if isinstance(made, (tuple, list)) else [made]
