"""Python's ``math`` and NumPy's functions on numbers that know where they come from.

Those of ``math`` read an int or a float in C and ask the subclass nothing, so while examples are
recorded they are wrapped: in ``math`` itself and where a module holds one by its own name (``from
math import sqrt``). NumPy does ask. Owns the wrapping; other numbers go through it as they are.
"""

from __future__ import annotations

import contextlib
import math
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from ..graph import numbers as calls
from .numbers import OURS, Float, Int, expr_of, expression, plain

# What has a meaning in the graph; of the others the line is noted.
_KNOWN: dict[str, Callable[..., Any]] = {
    "sqrt": calls.sqrt, "isqrt": calls.isqrt, "log": calls.log, "log2": calls.log2,
    "log10": calls.log10, "exp": calls.exp, "gcd": calls.gcd,
}  # fmt: skip
_NUMPYS = {"ceil": calls.ceil, "floor": calls.floor, "sqrt": calls.sqrt}
_ASKING = frozenset({"ceil", "floor", "trunc", "prod"})  # these do ask the number
_lock = threading.Lock()
_users = 0
_places: list[tuple[Any, str, Any]] = []


@contextlib.contextmanager
def mathematics(wanted: bool) -> Iterator[None]:
    """Within, ``math`` keeps track of numbers; in all threads, until the last one leaves."""
    global _users
    if not wanted:
        yield
        return
    with _lock:
        _users += 1
        if _users == 1:
            _wrap()
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                _unwrap()


def _wrap() -> None:
    found = {
        name: function for name, function in vars(math).items()
        if name not in _ASKING and callable(function) and not name.startswith("_")
    }  # fmt: skip
    wrapped = {name: Followed(name, function) for name, function in found.items()}
    for module in list(sys.modules.values()):
        held = getattr(module, "__dict__", {})
        for name, function in found.items():
            if held.get(name) is function:
                _places.append((held, name, function))
                held[name] = wrapped[name]


def _unwrap() -> None:
    for held, name, function in _places:
        held[name] = function
    _places.clear()


class Followed:
    """A function of ``math``; asked about numbers that know where they come from, it tells."""

    __slots__ = ("__name__", "call", "function")

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self.__name__, self.function, self.call = name, function, _KNOWN.get(name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        number = next((one for one in args if one.__class__ in OURS), None)
        if number is None:
            return self.function(*args, **kwargs)
        result, home, call = self.function(*map(plain, args), **kwargs), number.home, self.call
        if not home.hears():
            return result
        if call is None or kwargs or len(args) != call.__code__.co_argcount:
            home.lost(f"math.{self.__name__}", number, sys._getframe(1))
            return result
        return home.number(result, expression(call, tuple(expr_of(o, home) for o in args), result))


def behind(part: Any) -> Any:
    """The function of ``math`` that is wrapped; anything else as it is."""
    return part.function if part.__class__ is Followed else part


def _numpy(self: Any, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
    """A function of NumPy's: its result is a number of NumPy's, which knows nothing."""
    name, plains = ufunc.__name__, tuple(map(plain, inputs))
    result = getattr(ufunc, method)(*plains, **kwargs)
    home, known = (
        self.home,
        {"ceil": calls.ceil, "floor": calls.floor, "sqrt": calls.sqrt}.get(name),
    )
    if not home.hears():
        return result
    made = None
    if known is not None and not kwargs and method == "__call__":
        number = known(plains[0])
        made = home.number(number, expression(known, (self.expr,), number))
    home.lost(f"numpy.{name}", self, sys._getframe(1), made)
    return result


Int.__array_ufunc__ = Float.__array_ufunc__ = _numpy  # type: ignore[attr-defined]
