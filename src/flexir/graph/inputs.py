"""The inputs of one call: as a value, and laid over those a graph was recorded with.

Owns how arguments bind to parameters and templates, and the Diverged that says they do not fit.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from types import FunctionType
from typing import Any

import torch

from ..errors import CaptureError, Diverged
from . import tree
from .geometry import copy_like, geometry, shape_of
from .graph import HELD, Graph
from .nodes import NumberType, Value


class Inputs:
    """Positional and keyword arguments of one call, written as in the call.

    Example:
        >>> args, kwargs = Inputs(1, mask=None)
        >>> args, kwargs
        ((1,), {'mask': None})
    """

    __slots__ = ("args", "kwargs")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args, self.kwargs = args, kwargs

    def __iter__(self) -> Iterator[Any]:
        return iter((self.args, self.kwargs))

    def __repr__(self) -> str:
        parts = [repr(part) for part in self.args]
        parts += [f"{name}={part!r}" for name, part in self.kwargs.items()]
        return f"Inputs({', '.join(parts)})"


def inputs_of(args: Any = (), kwargs: dict[str, Any] | None = None) -> Inputs:
    """Inputs as any verb takes them: a tuple or list of arguments, a lone tensor, or Inputs.

    Raises:
        CaptureError: they are none of these.
    """
    if isinstance(args, Inputs):
        return Inputs(*args.args, **args.kwargs, **(kwargs or {}))
    if isinstance(args, torch.Tensor):
        args = (args,)
    if not isinstance(args, (tuple, list)):
        raise CaptureError(f"args must be a tuple of arguments; got {type(args).__name__}")
    return Inputs(*args, **(kwargs or {}))


def bind_inputs(
    graph: Graph,
    args: Sequence[Any],
    kwargs: dict[str, Any],
    env: dict[Value, Any],
    *,
    as_given: bool = False,
) -> bool:
    """Lay new inputs over the recorded ones.

    Args:
        graph: whose inputs.
        args: by position.
        kwargs: by name.
        env: receives Value -> tensor.
        as_given: leave the tensors laid out as they are.

    Returns:
        whether they lie in memory and are differentiated as the recorded ones.
    """
    defaults = {
        name: part
        for name, part in graph.inputs.items()
        if next(tree.leaves(part, Value), None) is None
    }
    bound = bound_arguments(graph, args, kwargs)
    for name, part in graph.inputs.items():
        if name not in bound:
            if name not in defaults:
                raise Diverged(f"the input {name!r} is missing")
            continue
        made = tree.template(bound[name], lambda t: t, deep=True)
        bind_part(name, part, made, env)
    _are_apart(graph, env)
    return _lay_out(graph, env, as_given)


def bound_arguments(graph: Graph, args: Sequence[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a call by the names the graph's own have."""
    parameters = [inspect.Parameter(n, inspect._ParameterKind(k)) for n, k in graph.parameters]
    if graph.carried is not None:
        kwargs = {HELD: graph.carried, **kwargs}
    return inspect.Signature(parameters).bind_partial(*args, **kwargs).arguments


def _are_apart(graph: Graph, env: dict[Value, Any]) -> None:
    """Raise Diverged where a written input shares memory with one that it was apart from.

    What is written through one of two inputs that shared memory is a write to both; so a written
    one and one that stayed as it was were apart, and two Values were never the same tensor.
    """
    written = {m.initial for m in graph.mutations}
    inputs = [v for v in graph.input_values if isinstance(env.get(v), torch.Tensor)]
    for one in written.intersection(inputs):
        for other in inputs:
            if other is one or other in written and env[other] is not env[one]:
                continue
            if _share(env[one], env[other]):
                first, second = sorted((one.name, other.name))
                raise Diverged(
                    f"the inputs {first!r} and {second!r} share memory now, and did not when "
                    f"recorded; the model writes {one.name!r}, which the graph takes for a write "
                    "to that alone. Give it a copy, or capture with such inputs"
                )


def with_keyword(parameters: Sequence[tuple[str, int]], name: str) -> list[tuple[str, int]]:
    """The parameters of a graph and one more, that is given by keyword."""
    more = inspect.Parameter.VAR_KEYWORD
    place = next((i for i, (_, kind) in enumerate(parameters) if kind == more), len(parameters))
    word = name, int(inspect.Parameter.KEYWORD_ONLY)
    return [*parameters[:place], word, *parameters[place:]]


def first_that(graphs: Sequence[Graph], fits: Callable[[Graph], Any]) -> Graph:
    """The first of some graphs for which ``fits`` does not raise Diverged.

    Raises:
        Diverged: it does for all; the error is that of the first.
    """
    first: Diverged | None = None
    for one in graphs:
        try:
            fits(one)
        except Diverged as error:
            first = first or error
        else:
            return one
    assert first is not None
    raise first


def _share(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Whether two tensors lie on one storage and their spans of it overlap."""
    if any(t.layout is not torch.strided or t.is_nested or 0 in t.shape for t in (a, b)):
        return False
    if a.untyped_storage()._cdata != b.untyped_storage()._cdata:
        return False
    (start, end), (begin, finish) = geometry(a).span(), geometry(b).span()
    return start < finish and begin < end


def _lay_out(graph: Graph, env: dict[Value, Any], as_given: bool) -> bool:
    """Give inputs the strides the recorded ones had; returns whether that changed nothing."""
    alike = True
    for value in graph.input_values:
        made, stride = env.get(value), graph.layouts.get(value)
        if made is None or value.is_number:
            continue
        if stride is None or made.layout is not torch.strided:
            wanted = None
        elif value.type.is_live:
            wanted = dense_stride(tuple(made.shape), stride)
        else:
            wanted = stride
        if wanted is not None and made.stride() != wanted:
            alike = False
            if not as_given:
                env[value] = copy_like(made, wanted)
        alike = alike and made.requires_grad == (value in graph.differentiable)
    return alike


def dense_stride(shape: tuple[int, ...], like: tuple[int, ...]) -> tuple[int, ...]:
    """Strides of a tensor without gaps whose dimensions lie in the order they have in ``like``."""
    made, step = [0] * len(shape), 1
    for dim in sorted(range(len(shape)), key=lambda d: (like[d], -d)):
        made[dim] = step
        step *= max(shape[dim], 1)
    return tuple(made)


def bind_part(
    name: str, part: Any, made: Any, env: dict[Value, Any], known: set[int] | None = None
) -> None:
    """Lay the template ``made`` over the recorded one; ``env`` gains what its Values are.

    Raises:
        Diverged: they do not fit; the message has the place, which begins with ``name``.
    """
    if isinstance(part, Value):
        _bind_value(name, part, made, env)
        return
    known = set() if known is None else known
    if isinstance(part, tree.Record) and isinstance(made, tree.Record):
        if id(part) in known:  # an object that leads to itself
            return
        known.add(id(part))
        if _title(part.cls) != _title(made.cls):
            raise Diverged(
                f"the input {name!r} was a {part.cls.__name__} when recorded, now it is a "
                f"{made.cls.__name__}"
            )
        bind_part(name, part.items, made.items, env, known)
        bind_part(name, part.attributes, made.attributes, env, known)
        return
    if isinstance(part, dict) and isinstance(made, dict):
        if part.keys() != made.keys():
            other = [f"without {key!r}" for key in part.keys() - made.keys()]
            other += [f"with {key!r}" for key in made.keys() - part.keys()]
            raise Diverged(
                f"the input {name!r} is built otherwise than when it was recorded: "
                f"{', '.join(sorted(other))}"
            )
        for key, inner in part.items():
            bind_part(f"{name}.{key}", inner, made[key], env, known)
        return
    if isinstance(part, (list, tuple)) and isinstance(made, (list, tuple)):
        if len(part) != len(made):
            raise Diverged(f"the input {name!r} has {len(made)} parts; recorded: {len(part)}")
        for i, (inner, other) in enumerate(zip(part, made)):
            bind_part(f"{name}.{i}", inner, other, env, known)
        return
    if isinstance(part, slice) and isinstance(made, slice):
        for end in ("start", "stop", "step"):
            bind_part(f"{name}.{end}", getattr(part, end), getattr(made, end), env)
        return
    if (tree.is_word(part) or part is ...) and not _same_word(part, made):
        raise Diverged(f"the input {name!r} was {part!r} when recorded, now {_shown(made)}")
    # What was empty and holds tensors now, or the other way round: a cache at the first call.
    if any(True for _ in tree.leaves(part, Value)) or tree.tensors_in(_as_list(made)):
        raise Diverged(
            f"the input {name!r} is built otherwise than when it was recorded: {_kind(made)} "
            f"{'with' if tree.tensors_in(_as_list(made)) else 'without'} tensors"
        )


def _bind_value(name: str, part: Value, made: Any, env: dict[Value, Any]) -> None:
    if part.is_number:
        assert isinstance(part.type, NumberType)
        if not isinstance(made, part.type.kind) or isinstance(made, bool):
            kind = part.type.kind.__name__
            raise Diverged(f"the input {name!r} was a number ({kind}) when recorded, now {made!r}")
        env[part] = made
        return
    if not isinstance(made, torch.Tensor):
        raise Diverged(f"the input {name!r} was a tensor when recorded, now {_shown(made)}")
    if not part.type.takes(shape_of(made), made.dtype):
        raise Diverged(
            f"the input {name!r} is {shape_of(made)} {made.dtype}; recorded was "
            f"{part.type.shape} {part.type.dtype}. Other sizes are live where an example shows "
            "them: capture(model, args, also=[...])"
        )
    if part in env and env[part] is not made:
        raise Diverged(f"the input {name!r} was the same tensor as another input")
    env[part] = made


def _same_word(part: Any, made: Any) -> bool:
    """Whether two words mean the same: classes by name, functions by code and what they hold."""
    if isinstance(part, type):
        return isinstance(made, type) and _title(part) == _title(made)
    if isinstance(part, FunctionType) and isinstance(made, FunctionType):
        return part is made or _meaning(part) == _meaning(made)
    return same_literal(part, made)


def _title(part: type) -> tuple[str, str]:
    return part.__module__, part.__qualname__


def _meaning(function: FunctionType) -> tuple[Any, ...]:
    held = inspect.getclosurevars(function).nonlocals
    return function.__code__, [id(v) for v in held.values()], function.__defaults__


def _as_list(part: Any) -> Any:
    """The parts of an opened object."""
    if isinstance(part, tree.Record):
        return [_as_list(part.items), _as_list(part.attributes)]
    if isinstance(part, dict):
        return list(map(_as_list, part.values()))
    return list(map(_as_list, part)) if isinstance(part, (list, tuple)) else part


def _shown(part: Any) -> str:
    """A part of inputs in an error, where tensors would fill pages."""
    if isinstance(part, torch.Tensor):
        return f"a tensor, {shape_of(part)} {part.dtype}"
    return f"{_kind(part)} with tensors" if tree.tensors_in(_as_list(part)) else repr(part)


def _kind(part: Any) -> str:
    return part.cls.__name__ if isinstance(part, tree.Record) else type(part).__name__


def same_literal(a: Any, b: Any) -> bool:
    """Equality of Python values in which NaN equals NaN."""
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(same_literal, a, b))
    if isinstance(a, float) and isinstance(b, float) and a != a and b != b:
        return True
    try:
        return bool(a == b)
    except Exception:  # noqa: BLE001  objects that refuse to be compared are taken by identity
        return a is b
