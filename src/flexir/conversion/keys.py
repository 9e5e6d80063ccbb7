"""What a handler is declared for, and whether its parameters are those of the op.

What can be wrong with a handler is found here, at its decorator. Runs no handler.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..calls.names import canonical
from ..calls.schemas import callables, op_of, parameter_names, signatures
from ..errors import TargetError
from .escapes import NUMBERS, gives_number, only_escapes

_OWN_OPS = ("assemble", "as_strided", "as_strided_scatter", "element", "if", "joined", "loop",
            "setitem", "warp_affine")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Handler:
    """A function and how it wants to be called."""

    function: Callable[..., Any]
    names: frozenset[str]
    required: frozenset[str]
    takes_rest: bool


def resolve(key: Any) -> tuple[str, list[str] | None]:
    """Canonical name and known argument names of a handler key.

    Raises:
        TargetError: there is no such op, or none of its calls could have an output.
    """
    name, known = _resolved(key)
    if only_escapes(key) and not any(map(gives_number, _functions(key))):
        raise TargetError(
            f"{name!r} gives Python a value and has no output, so no handler of it would be "
            "called. What the model decided by values is handed to @ir.guard: "
            "def guard(ctx, condition, expected, node)"
        )
    return name, known


def _resolved(key: Any) -> tuple[str, list[str] | None]:
    if callable(key):
        name = op_of(key)
        if name in callables():
            return name, parameter_names(name) or None
        names = [n for s in signatures(key) for n in s.names]
        return name, names or None
    if not isinstance(key, str):
        raise TargetError(f"a handler key is an op name or a torch callable; got {key!r}")
    if key in callables():
        return key, parameter_names(key) or None
    if key in _OWN_OPS or key in NUMBERS:
        return key, None
    if "::" in key:  # a custom op: "torchvision::nms"
        return canonical(key.split("::")[1]), None
    if canonical(key) in callables():
        raise TargetError(f"{key!r} is called {canonical(key)!r} here: one meaning, one name")
    hint = did_you_mean(key, [*callables(), *_OWN_OPS], 3, 0.6)
    raise TargetError(f"torch has no function {key!r}{hint}")


def did_you_mean(word: str, known: Iterable[str], most: int = 2, cutoff: float = 0.5) -> str:
    """The end of a message about an unknown word: near matches, if any."""
    near = difflib.get_close_matches(word, list(known), n=most, cutoff=cutoff)
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""


def _functions(key: Any) -> Sequence[Callable[..., Any]]:
    """What is called by a handler key."""
    return (key,) if callable(key) else callables().get(key, ())


def inspected(
    function: Callable[..., Any], *, skip: int, allowed: list[str] | None, what: str
) -> Handler:
    """A handler with the arguments it names.

    Args:
        function: the handler.
        skip: how many leading parameters are no arguments of the call: ``ctx``, and ``module``.
        allowed: names that arguments may have; None for any.
        what: for messages: what it is a handler of.

    Raises:
        TargetError: it lacks leading parameters, or names an argument that there is not.
    """
    parameters = list(inspect.signature(function).parameters.values())
    if len(parameters) < skip and not any(p.kind is p.VAR_POSITIONAL for p in parameters):
        first = "ctx" if skip == 1 else "ctx, module"
        raise TargetError(f"the handler of {what} must take ({first}, ...)")
    own = [
        p
        for place, p in enumerate(parameters)
        if place >= skip or p.kind is p.KEYWORD_ONLY  # after `*parts`
        if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
        # a keyword-only parameter with a default is the handler's own (`*, kind="Relu"`)
        and not (p.kind is p.KEYWORD_ONLY and p.default is not p.empty)
    ]
    names = [p.name for p in own]
    if allowed is not None:
        for name in names:
            if name not in allowed:
                hint = did_you_mean(name, allowed) or "."
                raise TargetError(
                    f"{what} has no argument {name!r}{hint} It has: {', '.join(allowed)}"
                )
    return Handler(
        function,
        frozenset(names),
        frozenset(p.name for p in own if p.default is p.empty),
        any(p.kind is p.VAR_KEYWORD for p in parameters),
    )
