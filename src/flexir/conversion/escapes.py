"""Which torch callables give Python a value and never a tensor: torch itself is asked.

No call of these has an output, so no handler could return one. This module keeps no list of ops
and knows nothing of targets.
"""

from __future__ import annotations

import functools
import itertools
import warnings
from collections.abc import Callable
from typing import Any

import torch

from ..calls.names import METADATA, name_of
from ..calls.schemas import callables
from ..graph import numbers
from ..graph.escaped import is_about
from ..graph.tree import tensors_in

# What a live graph computes numbers with has outputs.
NUMBERS = frozenset((*numbers.FUNCTIONS, *(function.__name__ for function in numbers.FUNCTIONS)))


def only_escapes(key: str | Callable[..., Any]) -> bool:
    """Whether no form of an op (or, given a callable, not this one) makes a tensor.

    Example:
        >>> only_escapes("item"), only_escapes("bool"), only_escapes(torch.Tensor.__bool__)
        (True, False, True)
    """
    if key in NUMBERS:
        return False
    if callable(key):
        return _gives_no_tensor(key)
    functions = callables().get(key, ())
    return bool(functions) and _returns(key) is not True and all(map(_gives_no_tensor, functions))


def gives_number(function: Callable[..., Any]) -> bool:
    """Whether an escape gives a number or a bool: where several examples were shown, calls of it
    may have an output, which a branch or arithmetic reads.

    Example:
        >>> gives_number(torch.Tensor.item), gives_number(torch.Tensor.tolist)
        (True, False)
    """
    if function in METADATA:
        return False
    words = ("Scalar", "number", "bool", "int", "float")
    schemas = torch._C._jit_get_schemas_for_operator(f"aten::{name_of(function)}")
    found = {str(r.type) for schema in schemas for r in schema.returns}
    return any(word in found for word in words) or _tried(function, (bool, int, float))


@functools.lru_cache(maxsize=None)
def _gives_no_tensor(function: Callable[..., Any]) -> bool:
    if function in METADATA:
        return True
    known = _returns(name_of(function))
    return not known if known is not None else _tried(function)


def _returns(name: str) -> bool | None:
    """Whether the ATen schemas of this name, on a tensor, return any; None if there are none.

    What returns nothing at all is there for what it does, so it may have a handler.
    """
    returns = [
        [str(r.type) for r in schema.returns]
        for schema in torch._C._jit_get_schemas_for_operator(f"aten::{name}")
        if schema.arguments and str(schema.arguments[0].type) == "Tensor"
    ]
    if not returns:
        return None
    return any(not types or any("Tensor" in t for t in types) for types in returns)


def _tried(function: Callable[..., Any], kinds: tuple[type, ...] = (object,)) -> bool:
    """Call a method torch has no schema of on tensors of one element and look at what comes back.

    The recorder decides in the same way. Texts do not count: ``x.type()`` is one, ``x.type(y)``
    is a tensor.
    """
    if getattr(torch.Tensor, name_of(function), None) is not function:
        return False
    found = False
    for dtype, count in itertools.product((torch.float32, torch.int64), (1, 2)):
        try:
            with warnings.catch_warnings(), torch.no_grad():
                warnings.simplefilter("ignore")
                made = function(*[torch.zeros(1, dtype=dtype) for _ in range(count)])
        except Exception:  # noqa: BLE001  it is called otherwise; the other forms are asked
            continue
        if tensors_in(made) or made is None or isinstance(made, str) or is_about(made):
            return False
        found = isinstance(made, kinds)
    return found
