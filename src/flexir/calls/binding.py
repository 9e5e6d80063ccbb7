"""How a call is bound to a signature: the arguments of a call by name.

What can be told of a call from its callable and the classes of its arguments is worked out once
and kept as a :class:`CallLayout`; this is the path every recorded call takes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from .kinds import EMPTY, Parameter
from .names import is_torch
from .schemas import op_of, signatures
from .signatures import STAR, Binding, Signature

_UNKNOWN = Signature("", [Parameter("args", "args", STAR, EMPTY, None)])
_REVERSED = frozenset({("other", "input"), ("exponent", "input")})  # operators, ``1 - x``
_FLAT = frozenset({int, float, bool, str, type(None), torch.dtype, torch.device})


class CallLayout:
    """What calls of one callable with arguments of the same classes have in common.

    Attributes:
        signature: the one that fits.
        structured: names of the arguments that may hold tensors: no number, word or dtype.
        trusted: torch's own marks tell what such a call writes.
        never_writes: none of them writes an argument, by its marks.
        plain: no such call writes an argument by other means or draws: torch says so itself.
        shallow: few ATen ops lay beneath the last of them that was watched.
    """

    __slots__ = (
        "_all", "_binding", "_defaults", "_keywords", "_positions", "never_writes", "plain",
        "shallow", "signature", "structured", "trusted",
    )  # fmt: skip

    def __init__(self, func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]):
        signature, binding = _find(func, args, kwargs)
        self.signature, self._binding = signature.as_called(binding.n_positional), binding
        pairs = list(zip(signature.names, binding.places))
        leading = [name for name, place in pairs if place.__class__ is int]
        simple = leading == list(signature.names[: len(leading)]) and not binding.extra
        if signature.names in _REVERSED or any(p.__class__ is slice for p in binding.places):
            simple = False
        self._positions = tuple(leading) if simple else None
        self._keywords = [(name, p) for name, p in pairs if p.__class__ is str]
        self._defaults = {p.name: p.default for p, at in zip(signature.parameters, binding.places)
                          if at is not None}  # fmt: skip
        self._all = self._positions is not None and len(leading) == len(self._defaults)
        named = self.named(args, kwargs)
        self.structured = tuple(n for n, part in named.items() if part.__class__ not in _FLAT)
        self.trusted = signature.schema or is_torch(func)
        self.never_writes = not signature.may_write(named)
        self.plain = self.trusted and signature.random is False
        self.shallow = True

    def named(self, args: Sequence[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
        """The arguments of a call by name, in the order of the parameters."""
        if self._positions is None:
            return self._apply(args, kwargs)
        if self._all:
            return dict(zip(self._positions, args))
        named = self._defaults.copy()
        named.update(zip(self._positions, args))
        for name, keyword in self._keywords:
            named[name] = kwargs[keyword]
        return named

    def _apply(self, args: Sequence[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
        """As :meth:`named`, for any binding."""
        named = {}
        for parameter, place in zip(self.signature.parameters, self._binding.places):
            if place is EMPTY:
                named[parameter.name] = parameter.default
            elif place.__class__ is slice:
                named[parameter.name] = tuple(args[place])
            elif place.__class__ is int:
                named[parameter.name] = args[place]
            elif isinstance(place, str):
                named[parameter.name] = kwargs[place]
        for extra in self._binding.extra:
            named[extra] = kwargs[extra]
        if self.signature.names in _REVERSED:  # read as it is written
            return {name: named[name] for name in reversed(self.signature.names)}
        return named


_layouts: dict[Any, CallLayout | None] = {}


def layout_of(func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> CallLayout:
    """The CallLayout of a call."""
    key: Any = (func, *map(type, args))
    if kwargs:
        key = (key, *kwargs, *map(type, kwargs.values()))
    layout = _layouts.get(key)
    if layout is not None:
        return layout
    if key not in _layouts and _classes_decide(func, args, kwargs):
        layout = _layouts[key] = CallLayout(func, args, kwargs)
        return layout
    _layouts[key] = None  # such calls differ: look closer
    full = (key, *map(_content, args), *map(_content, kwargs.values()))
    layout = _layouts.get(full)
    if layout is None:
        layout = _layouts[full] = CallLayout(func, args, kwargs)
    return layout


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

    A callable without known signatures, or a call that fits none, gets the positional arguments as
    one tuple named ``args`` and its keywords as they are; it still replays.

    Returns:
        the Signature that fits, and argument name -> value with defaults filled in.
    """
    layout = layout_of(func, args, kwargs)
    return layout.signature, layout.named(args, kwargs)


def _content(part: Any) -> Any:
    """What about an argument, besides its class, can decide which signature fits."""
    if isinstance(part, torch.Tensor):
        return part.ndim == 0
    if part.__class__ is tuple or part.__class__ is list:
        return frozenset(map(type, part))
    return None


def _find(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[Signature, Binding]:
    for strict in (True, False):
        for signature in signatures(func):
            binding = signature.bind(args, kwargs, strict)
            if binding is not None:
                return signature, binding
    unknown = Signature(op_of(func), _UNKNOWN.parameters)
    return unknown, Binding((slice(0, len(args)),), tuple(kwargs))
