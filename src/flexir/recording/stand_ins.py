"""Functions that numbers do not pass through unseen while examples are recorded.

C code that is given a number which knows where it comes from asks it nothing: ``math`` reads it,
``functools.lru_cache`` answers from what it was called with before, and ``len`` makes a plain
number of what a tensor says. While examples are recorded, others stand in for such functions in the
modules that hold them. NumPy does ask the numbers.
"""

from __future__ import annotations

import builtins
import contextlib
import functools
import math
import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch._functorch import vmap

from ..graph import numbers as calls
from ..graph.nodes import Value
from .comparable import MANY
from .counting import Enumerate, Range, Zip, is_tensor, many_in_list
from .live import OURS, Float, Int, expr_of, expression, is_taken, plain
from .session import running
from .standing_in import PLACES, standing_in

# What has a meaning in the graph; of the others the line is noted.
_KNOWN: dict[str, Callable[..., Any]] = {
    "sqrt": calls.sqrt, "isqrt": calls.isqrt, "log": calls.log, "log2": calls.log2,
    "log10": calls.log10, "exp": calls.exp, "gcd": calls.gcd,
}  # fmt: skip
_NUMPYS = {"ceil": calls.ceil, "floor": calls.floor, "sqrt": calls.sqrt}
_ASKING = frozenset({"ceil", "floor", "trunc", "prod"})  # these do ask the number
_MATH = {
    id(function): function for name, function in vars(math).items()
    if name not in _ASKING and callable(function) and not name.startswith("_")
}  # fmt: skip
_BATCHES = "vmap_increment_nesting"  # is told by ``torch.vmap`` how long its dimension is
CACHED = type(functools.lru_cache(len))


class StandIn:
    """What stands where a module held a function."""

    __slots__ = ("function",)

    def __init__(self, function: Any) -> None:
        self.function = function

    def __getattr__(self, name: str) -> Any:
        return getattr(self.function, name)


def behind(part: Any) -> Any:
    """The function that another stands in for; anything else as it is."""
    return part.function if isinstance(part, StandIn) else part


class MathFunction(StandIn):
    """A function of ``math``: asked about numbers that know where they come from, it tells."""

    __slots__ = ("call",)

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        self.call = _KNOWN.get(function.__name__)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        number = next((one for one in args if one.__class__ in OURS), None)
        if number is None:
            return self.function(*args, **kwargs)
        result, home, call = self.function(*map(plain, args), **kwargs), number.home, self.call
        if not home.hears():
            return result
        if call is None or kwargs or len(args) != call.__code__.co_argcount:
            home.lost(f"math.{self.function.__name__}", number, sys._getframe(1))
            return result
        return home.number(result, expression(call, tuple(expr_of(o, home) for o in args), result))


class CachedFunction(StandIn):
    """A function with ``lru_cache``: asked about numbers of the run it computes them anew."""

    __slots__ = ()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if _holds_ours(args) or kwargs and _holds_ours(tuple(kwargs.values())):
            return self.function.__wrapped__(*args, **kwargs)
        return self.function(*args, **kwargs)


class Length(StandIn):
    """``len``: of a tensor it gives what ``size(0)`` does, of a list of tensors a live number."""

    __slots__ = ()
    __module__ = "builtins"  # asked for its module, it answers as what it stands for

    def __call__(self, of: Any, /) -> Any:
        if isinstance(of, torch.Tensor) and type(of).__len__ is _LEN and of.dim():
            return of.size(0)
        if type(of) is list and (told := _told(of)) is not None:
            return told
        many = self.function(of)
        if type(of) is list and 0 < many <= MANY:
            if all(map(is_tensor, of)):
                return many_in_list(of, many)
            if values := _taken(of):
                return _of_all(calls.length, of, values, many)
        return many


def _told(rows: list[Any]) -> Any:
    """How long a list is that a function tells of; None if none does."""
    recorder = running()
    numbers = None if recorder is None else recorder.numbers
    if numbers is None or not numbers.lists or not numbers.hears():
        return None
    with torch._C.DisableTorchFunction():
        value = numbers.lists.value_of(rows)
    if value is None:
        return None
    many = value.type.shape[0]
    return numbers.number(many, expression(calls.length, (value,), many))


class Extreme(StandIn):
    """``max`` or ``min``: of numbers of one kind it is a number that follows all of them.

    Python's own compares them, so that the graph would hold which one it was; and a float it does
    without asking an int that is compared with it.
    """

    __slots__ = ("call", "is_before", "of_list")
    __module__ = "builtins"

    def __init__(
        self, function: Any, call: Callable[..., Any], of_list: Callable[..., Any], is_before: Any
    ) -> None:
        super().__init__(function)
        self.call, self.of_list, self.is_before = call, of_list, is_before

    def __call__(self, *given: Any, **how: Any) -> Any:
        parts = given[0] if len(given) == 1 and type(given[0]) in _ROWS else given
        if parts is not given and not how and (values := _taken(parts)):
            return _of_all(self.of_list, parts, values, self.function(map(plain, parts)))
        kinds = set(map(type, parts))
        if how or kinds.isdisjoint(OURS) or not kinds.issubset(_NUMBERS):
            return self.function(*given, **how)
        home = next(one.home for one in parts if one.__class__ in OURS)
        of_one_kind = kinds.issubset(_INTS) or kinds.isdisjoint(_INTS)
        if of_one_kind and home.hears():
            return functools.reduce(functools.partial(home.computed, self.call), parts)
        return functools.reduce(lambda a, b: b if self.is_before(b, a) else a, parts)


class Total(StandIn):
    """``sum``: of a list of numbers that calls took out of tensors it is one number.

    Python's own adds an int to a float without asking it.
    """

    __slots__ = ()
    __module__ = "builtins"

    def __call__(self, *given: Any, **how: Any) -> Any:
        parts = given[0] if given and type(given[0]) in _ROWS else ()
        if len(given) == 1 and not how and (values := _taken(parts)):
            return _of_all(calls.total, parts, values, self.function(map(plain, parts)))
        start = (*given[1:], *how.values(), 0)[0]
        kinds = set(map(type, (start, *parts)))
        if kinds <= _NUMBERS and float in kinds and not kinds.isdisjoint(OURS):
            home = next(one.home for one in (start, *parts) if one.__class__ in OURS)
            if home.hears():
                return functools.reduce(functools.partial(home.computed, calls.add), parts, start)
        return self.function(*given, **how)


def _taken(parts: Any) -> tuple[Value, ...]:
    """The Values of numbers that calls took out of tensors; none if something is no such number."""
    if not parts or not all(map(is_taken, parts)) or len(set(map(type, parts))) > 1:
        return ()
    return tuple(one.expr for one in parts) if parts[0].home.hears() else ()


def _of_all(call: Callable[..., Any], parts: Any, values: tuple[Value, ...], result: Any) -> Any:
    """What a call on a list of numbers gives."""
    return parts[0].home.number(result, expression(call, (values,), result))


def _is_greater(one: Any, other: Any) -> bool:
    """Asked of the one that tells: a float compares itself with an int as it is."""
    return bool(one > other if one.__class__ in OURS else other < one)


def _is_less(one: Any, other: Any) -> bool:
    return bool(one < other if one.__class__ in OURS else other > one)


_ROWS = (list, tuple, torch.Size)
_INTS = frozenset({int, Int})
_NUMBERS = frozenset({int, Int, float, Float})


class VmapFunction(StandIn):
    """What ``torch.vmap`` hands numbers to, for C code that computes with them."""

    __slots__ = ()

    def __call__(self, *args: Any) -> Any:
        for number in (one for one in args if one.__class__ in OURS):
            number.home.lost("vmap", number, sys._getframe(1))
        return self.function(*args)


_LEN = torch.Tensor.__len__


def _holds_ours(parts: tuple[Any, ...]) -> bool:
    return any(
        part.__class__ in OURS or isinstance(part, tuple) and _holds_ours(part) for part in parts
    )


def _numpy(self: Any, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
    """A function of NumPy's: its result is a number of NumPy's, which knows nothing."""
    name, plains = ufunc.__name__, tuple(map(plain, inputs))
    result = getattr(ufunc, method)(*plains, **kwargs)
    home, known = self.home, _NUMPYS.get(name)
    if not home.hears():
        return result
    made = None
    if known is not None and not kwargs and method == "__call__":
        number = known(plains[0])
        made = home.number(number, expression(known, (self.expr,), number))
    home.lost(f"numpy.{name}", self, sys._getframe(1), made)
    return result


Int.__array_ufunc__ = Float.__array_ufunc__ = _numpy  # type: ignore[attr-defined]


_BUILTINS: dict[str, Any] = {
    "len": Length(len), "range": Range, "enumerate": Enumerate, "zip": Zip,
    "max": Extreme(max, calls.maximum, calls.largest, _is_greater),
    "min": Extreme(min, calls.minimum, calls.smallest, _is_less),
    "sum": Total(sum),
}  # fmt: skip
_seen: dict[str, Any] = {}  # modules that were looked through, by name


@contextlib.contextmanager
def stand_ins(wanted: bool) -> Iterator[None]:
    """Context manager: if wanted, they stand in, in all threads, until the last block ends."""
    with standing_in(_look_through) if wanted else contextlib.nullcontext():
        yield


def _look_through() -> None:
    """Find them in modules that are new since the last time, and in ``__main__``, which grows.

    What models call is in none of torch's and the library's but ``math`` itself.
    """
    found = {"__main__": sys.modules.get("__main__")}
    if sys.modules != _seen:
        found |= {k: part for k, part in sys.modules.items() if _seen.get(k) is not part}
        _seen.clear()
        _seen.update(sys.modules)
    for key, module in found.items():
        root = key.partition(".")[0]
        if module is builtins:
            for name, made in _BUILTINS.items():
                PLACES[id(vars(module)), name] = vars(module), name, vars(module)[name], made
        if module is vmap:
            PLACES[id(vars(module)), _BATCHES] = (
                vars(module), _BATCHES, vars(module)[_BATCHES], VmapFunction(vars(module)[_BATCHES])
            )  # fmt: skip
        foreign = root == "torch" or root in sys.stdlib_module_names
        if foreign and module is not math and key != "__main__":
            continue
        held = getattr(module, "__dict__", {})
        for name, part in list(held.items()):
            if id(part) in _MATH:
                PLACES[id(held), name] = held, name, part, MathFunction(part)
            elif type(part) is CACHED:  # objects of foreign libraries may refuse `__class__`
                PLACES[id(held), name] = held, name, part, CachedFunction(part)
