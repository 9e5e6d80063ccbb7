"""Which values a parameter takes: the kinds that torch's schemas name, each with its test.

Owns what a :class:`Parameter` is and the table of kinds. Knows nothing of whole signatures.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch

EMPTY = inspect.Parameter.empty

Test = Callable[[Any, bool], bool]  # (value, strict) -> whether it fits


class Parameter(NamedTuple):
    """One argument: ``call_name`` is what the callable itself takes where names were unified."""

    name: str
    call_name: str
    kind: Any
    default: Any
    accepts: str | None
    length: int | None = None


class Kind(NamedTuple):
    """A schema type, parsed: ``Optional[List[int]]`` is an optional list of ``int``."""

    name: str
    optional: bool
    is_list: bool


@lru_cache(maxsize=None)
def parse_kind(text: str) -> Kind:
    """The Kind a schema type spells out."""
    optional = text.startswith("Optional[")
    inner = text[len("Optional[") : -1] if optional else text
    is_list = inner.startswith("List[")
    return Kind(inner[len("List[") : -1] if is_list else inner, optional, is_list)


def accepts(parameter: Parameter, value: Any, strict: bool) -> bool:
    """Whether a value may stand for a parameter of this schema type.

    ``strict`` takes only what torch takes without conversion; otherwise a 0-dim tensor passes
    for a number, and a number for a list of one.
    """
    if parameter.accepts is None:
        return True
    kind = parse_kind(parameter.accepts)
    if value is None:
        return kind.optional or parameter.default is None
    if not kind.is_list:
        test = _KINDS.get(kind.name)
        return test is None or test(value, strict)
    if isinstance(value, (tuple, list)):
        item = _ITEMS.get(kind.name, _is_number_or_tensor)
        return all(map(item, value))
    if kind.name in _BRACKETED or parameter.length is None:
        return False
    return is_int(value) or (not strict and parses_as_number(value))


def is_spread(parameter: Parameter, rest: Sequence[Any], strict: bool) -> bool:
    """Whether the remaining arguments are one list of integers given without brackets."""
    return (
        parameter.accepts in ("List[int]", "Optional[List[int]]")
        and parameter.length is None
        and len(rest) >= 1
        and all(is_int(v) and not (strict and isinstance(v, torch.Tensor)) for v in rest)
    )


def is_int(value: Any) -> bool:
    """Whether torch's parsers take a value for an integer; a bool is none."""
    if isinstance(value, bool):
        return False
    if isinstance(value, (int, torch.SymInt)):
        return True
    if isinstance(value, torch.Tensor):
        return value.ndim == 0 and not value.is_floating_point() and not value.is_complex()
    return hasattr(value, "__index__")


def parses_as_number(value: Any) -> bool:
    """Whether torch's parsers take a value for a number, a tensor set aside."""
    return isinstance(value, (int, float, complex, torch.SymInt, torch.SymFloat)) or (
        not isinstance(value, torch.Tensor) and hasattr(value, "__float__")
    )


def _is_number_or_tensor(value: Any) -> bool:
    return parses_as_number(value) or isinstance(value, torch.Tensor)


def _is_tensor(value: Any, strict: bool) -> bool:
    # ATen ops are given a number where C++ wraps it.
    return isinstance(value, torch.Tensor) or (
        not strict and isinstance(value, (int, float, complex))
    )


def _is_bool(value: Any, strict: bool) -> bool:
    return isinstance(value, bool) or (not strict and isinstance(value, (torch.Tensor, int)))


def _is_scalar(value: Any, strict: bool) -> bool:
    if isinstance(value, torch.Tensor):
        return not strict and value.ndim == 0
    return parses_as_number(value)


def _is_float(value: Any, strict: bool) -> bool:
    if isinstance(value, torch.Tensor):
        return not strict
    return parses_as_number(value) and not isinstance(value, complex)


def _is_integer(value: Any, strict: bool) -> bool:
    if strict:
        return is_int(value) and not isinstance(value, torch.Tensor)
    return is_int(value) or isinstance(value, bool)


def _is_device(value: Any, strict: bool) -> bool:
    return isinstance(value, (str, torch.device)) or (
        isinstance(value, int) and not isinstance(value, bool)
    )


def _instance(*classes: type) -> Test:
    return lambda value, strict: isinstance(value, classes)


# Kinds that stand here under no name take anything.
_KINDS: dict[str, Test] = {
    "Tensor": _is_tensor,
    "dtype": lambda v, strict: isinstance(v, torch.dtype) or v in (float, int, bool, complex),
    "layout": _instance(torch.layout),
    "memory_format": _instance(torch.memory_format),
    "Device": _is_device,
    "bool": _is_bool,
    "number": _is_scalar,
    "float": _is_float,
    "int": _is_integer,
    "str": _instance(str),
    "Generator": _instance(torch.Generator),
}

# What the items of a list of this kind must be; of any other kind, numbers or tensors.
_ITEMS: dict[str, Callable[[Any], bool]] = {
    "Tensor": lambda v: v is None or isinstance(v, torch.Tensor),
    "Optional[Tensor]": lambda v: v is None or isinstance(v, torch.Tensor),
    "int": lambda v: is_int(v) or isinstance(v, bool),
    "str": lambda v: isinstance(v, str),
}
_BRACKETED = frozenset({"Tensor", "Optional[Tensor]", "str"})  # one item never stands for a list
