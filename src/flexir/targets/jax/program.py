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


class Var(int):
    """A variable of a program, as in a jaxpr: the number of an array; a type of its own, no number.

    Attributes:
        kind: ``int``, ``float`` or ``bool`` where the array stands for a number of Python's.
    """

    kind: type | None = None


class Number(NamedTuple):
    """A number of Python's that is known when the program runs."""

    array: jax.Array
    kind: type


class Unhandled(str):
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
    """One call: function, what it is told, arguments (variables for arrays), what it sets."""

    function: Callable[..., Any]
    call: Call
    args: tuple[Any, ...]
    named: dict[str, Any]
    results: tuple[Var, ...]
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
        parameters: variables of what it is given.
        steps: in order.
        results: variables, or numbers.
    """

    parameters: tuple[Var, ...]
    steps: list[Step]
    results: tuple[Any, ...]

    def over(self, fill: Callable[[Var], Any]) -> Callable[..., tuple[Any, ...]]:
        """As a function of what it is given."""

        def body(*given: Any) -> tuple[Any, ...]:
            env: dict[Var, Any] = dict(zip(self.parameters, given))

            def look(var: Var) -> Any:
                return _as_number(var, env[var]) if var in env else fill(var)

            run_steps(self.steps, env, look)
            return tuple(filled(one, look) for one in self.results)

        return body


def _as_number(var: Var, array: Any) -> Any:
    return array if var.kind is None else Number(array, var.kind)


def run_steps(steps: list[Step], env: dict[Var, Any], look: Callable[[Var], Any]) -> None:
    """Compute, step after step, into ``env``."""
    for step in steps:
        made = step.function(step.call, *filled(step.args, look), **filled(step.named, look))
        env.update(zip(step.results, list_of(made)))


def vars_read(part: Any) -> Iterator[Var]:
    """The variables that arguments read, also in what runs inside."""
    if isinstance(part, Var):
        yield part
    elif isinstance(part, Body):
        own = {*part.parameters, *(var for step in part.steps for var in step.results)}
        inner = [part.results, *((step.args, step.named) for step in part.steps)]
        yield from (var for var in vars_read(inner) if var not in own)
    elif isinstance(part, (list, tuple)):
        for one in part:
            yield from vars_read(one)
    elif isinstance(part, dict):
        yield from vars_read(list(part.values()))
    elif isinstance(part, slice):
        yield from vars_read((part.start, part.stop, part.step))


def filled(part: Any, fill: Callable[[Var], Any]) -> Any:
    """Arguments with what ``fill`` says in place of their variables.

    Raises:
        Unsupported: what should be among them is missing.
    """
    if isinstance(part, Unhandled):
        raise Unsupported(f"it reads {part}, which is missing")
    if isinstance(part, Var):
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
        inputs: variables of the inputs, by name.
        outputs: variables of the outputs, by name.
        state: path -> the weight that stands there before the first call; see :meth:`step`.
        left: path -> variable of what a call leaves there.
        conditions: what must hold for outputs to be right -> variable of a bool: whether it does.
        blocks: within how many of them are now; what is made there is not seen outside.
        lacking: ops that nothing handled; with one, it does not run.
        graph: what was converted; it knows the structure of inputs and outputs.
        sized: ``sized(program, *args)``, the program for inputs of other sizes; set by the backend.
    """

    sized: ClassVar[Callable[..., Program]]

    weights: dict[str, Any] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    inputs: dict[str, Var] = field(default_factory=dict)
    outputs: dict[str, Var] = field(default_factory=dict)
    state: dict[str, str] = field(default_factory=dict)
    left: dict[str, Var] = field(default_factory=dict)
    conditions: list[tuple[str, Var]] = field(default_factory=list)
    blocks: int = 0
    lacking: list[str] = field(default_factory=list)
    graph: flexir.Graph = field(init=False)
    stored: dict[str, Var] = field(default_factory=dict)
    types: list[jax.ShapeDtypeStruct] = field(default_factory=list)
    known: dict[Any, Any] = field(default_factory=dict, repr=False)

    def new_var(self, shape: Any, dtype: Any, kind: type | None = None) -> Var:
        """A new array, or a number of such a kind."""
        self.types.append(jax.ShapeDtypeStruct(tuple(shape), dtype))  # type: ignore[no-untyped-call]
        made = Var(len(self.types) - 1)
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
        results = tuple(self.new_var(*one, kind) for one, kind in zip(call.types, call.kinds))
        self.steps.append(Step(function, call, args, named, results, where))
        return results if call.many else results[0]

    def _made(self, function: Any, call: Call, args: Any, named: Any) -> str | None:
        """Why a call is declined, found by working out types alone."""
        filled((args, named), lambda var: var)  # declines what is missing

        def work(arrays: dict[Var, Any]) -> Any:
            def look(var: Var) -> Any:
                return _as_number(var, arrays[var])

            return list_of(function(call, *filled(args, look), **filled(named, look)))

        try:
            with wide():
                read = {var: self.types[var] for var in vars_read((args, named))}
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
            env: dict[Var, Any] = {
                var: jnp.asarray(weights[name]) for name, var in self.stored.items()
            }
            for name, var in self.inputs.items():
                env[var] = jnp.asarray(inputs[name]).astype(self.types[var].dtype)
            run_steps(self.steps, env, lambda var: _as_number(var, env[var]))
            outputs, left = ({name: env[var] for name, var in part.items()}
                             for part in (self.outputs, self.left))  # fmt: skip
            told = [env[var] for _, var in self.conditions]
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
        wanted = {TORCH[self.types[var].dtype] for var in self.inputs.values()}
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
