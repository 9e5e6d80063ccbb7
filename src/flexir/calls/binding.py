"""How a call is bound to a signature: the arguments of a call by name.

What can be told of a call from its callable and the classes of its arguments is worked out once
and kept as a :class:`Form`; this is the path every recorded call takes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from .names import is_torch
from .schemas import op_of, signatures
from .signatures import EMPTY, STAR, Parameter, Signature

_UNKNOWN = Signature("", [Parameter("args", "args", STAR, EMPTY, None)])
_REVERSED = frozenset({("other", "input"), ("exponent", "input")})  # operators, ``1 - x``
_FLAT = frozenset({int, float, bool, str, type(None), torch.dtype, torch.device})


class Form:
    """What calls of one callable with arguments of the same classes have in common.

    Attributes:
        signature: the one that fits.
        spots: names of the arguments that are more than a number or a word.
        trusted: torch's own marks tell what such a call writes.
        quiet: none of them writes an argument, by its marks.
        shallow: few ATen ops lay beneath the last of them, as far as anybody looked.
    """

    __slots__ = (
        "_defaults", "_keywords", "_plan", "_positions", "quiet", "shallow", "signature", "spots",
        "trusted",
    )  # fmt: skip

    def __init__(self, func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]):
        signature, plan = _find(func, args, kwargs)
        given = next(i for i, place in enumerate(plan) if place.__class__ is not int)
        self.signature, self._plan = signature.as_called(given), plan
        pairs = list(zip(signature.names, plan))
        leading = [name for name, place in pairs if place.__class__ is int]
        simple = leading == list(signature.names[: len(leading)]) and not plan[-1]
        if signature.names in _REVERSED or any(p.__class__ is slice for p in plan):
            simple = False
        self._positions = tuple(leading) if simple else None
        self._keywords = [(name, p) for name, p in pairs if p.__class__ is str]
        self._defaults = {p.name: p.default for p, at in zip(signature.parameters, plan)
                          if at is not None}  # fmt: skip
        named = self.named(args, kwargs)
        self.spots = tuple(n for n, part in named.items() if part.__class__ not in _FLAT)
        self.trusted = signature.schema or is_torch(func)
        self.quiet = not signature.may_write(named)
        self.shallow = True

    def named(self, args: Sequence[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
        """The arguments of a call by name, in the order of the parameters."""
        if self._positions is None:
            return self._apply(args, kwargs)
        named = self._defaults.copy()
        named.update(zip(self._positions, args))
        for name, keyword in self._keywords:
            named[name] = kwargs[keyword]
        return named

    def _apply(self, args: Sequence[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
        """As :meth:`named`, for whatever a plan may say."""
        named = {}
        for parameter, place in zip(self.signature.parameters, self._plan):
            if place is EMPTY:
                named[parameter.name] = parameter.default
            elif place.__class__ is slice:
                named[parameter.name] = tuple(args[place])
            elif place.__class__ is int:
                named[parameter.name] = args[place]
            elif place is not None:
                named[parameter.name] = kwargs[place]
        for extra in self._plan[-1]:
            named[extra] = kwargs[extra]
        if self.signature.names in _REVERSED:  # read as it is written
            return {name: named[name] for name in reversed(self.signature.names)}
        return named


_forms: dict[Any, Form | None] = {}


def form_of(func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Form:
    """The Form of a call."""
    key: Any = (func, *map(type, args))
    if kwargs:
        key = (key, *kwargs, *map(type, kwargs.values()))
    form = _forms.get(key)
    if form is not None:
        return form
    if key not in _forms and _classes_decide(func, args, kwargs):
        form = _forms[key] = Form(func, args, kwargs)
        return form
    _forms[key] = None  # such calls differ: look closer
    full = (key, *map(_content, args), *map(_content, kwargs.values()))
    form = _forms.get(full)
    if form is None:
        form = _forms[full] = Form(func, args, kwargs)
    return form


def _classes_decide(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> bool:
    """Whether the classes of a call's arguments tell which signature fits, and how."""
    found = signatures(func)
    places: list[tuple[int | str, Any]] = [*enumerate(args), *kwargs.items()]
    for place, part in places:
        kinds = {_kind(s, place) for s in found}
        if isinstance(part, torch.Tensor):
            if not kinds <= _TENSORS:
                return False
        elif isinstance(part, (tuple, list)):
            if len([kind for kind in kinds if kind is None or "List" in kind]) > 1:
                return False
    return True


_TENSORS = frozenset({"Tensor", "Optional[Tensor]", None})


def _kind(signature: Signature, place: int | str) -> str | None:
    """What a signature accepts at a position or for a keyword; None for anything."""
    parameters = signature.parameters
    if isinstance(place, int):
        return parameters[place].accepts if place < len(parameters) else None
    return next((p.accepts for p in parameters if place in (p.name, p.call_name)), None)


def bind(
    func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]
) -> tuple[Signature, dict[str, Any]]:
    """Name the arguments of a call.

    A callable nothing is known of, or a call no signature fits, gets the positional arguments as
    one tuple named ``args`` and its keywords as they are; it still replays.

    Returns:
        the Signature that fits, and argument name -> value with defaults filled in.
    """
    form = form_of(func, args, kwargs)
    return form.signature, form.named(args, kwargs)


def _content(part: Any) -> Any:
    """What about an argument, besides its class, can decide which signature fits."""
    if isinstance(part, torch.Tensor):
        return part.ndim == 0
    if part.__class__ is tuple or part.__class__ is list:
        return frozenset(map(type, part))
    return None


def _find(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[Signature, list[Any]]:
    for strict in (True, False):
        for signature in signatures(func):
            plan = signature.plan(args, kwargs, strict)
            if plan is not None:
                return signature, plan
    unknown = Signature(op_of(func), _UNKNOWN.parameters)
    return unknown, [slice(0, len(args)), tuple(kwargs)]
