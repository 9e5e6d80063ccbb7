"""Copies of a model's functions in which numbers are asked where Python would ask them nothing.

``int(n)`` and ``float(n)`` make plain numbers, and ``2.5 * n`` or ``2.5 > n`` is the matter of
``float``, which reads an int that knows where it comes from as it is. While examples are recorded,
the functions that a model reaches run a copy of their code in which such a call goes to another
function, and such a constant is one that asks; nothing else is touched: ``isinstance(n, int)`` and
``dtype=int`` mean what they did. Owns that. Before Python 3.11 code does not tell a call from
another use; there all stay as they are.
"""

from __future__ import annotations

import builtins
import contextlib
import dis
import operator
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import CodeType, FunctionType
from typing import Any

import torch

from ..graph import numbers as calls
from .live import ARITHMETIC, COMPARISONS, OURS, Float, Int, plain

TELLS_CALLS = sys.version_info >= (3, 11)  # the lowest bit of LOAD_GLOBAL's argument
_NULL_FIRST = sys.version_info < (3, 13)
_TO_INT, _TO_FLOAT = torch.Tensor.__int__, torch.Tensor.__float__


# --- what is asked -------------------------------------------------------------------------------


def _int(*given: Any, **base: Any) -> Any:
    """``int``."""
    if len(given) != 1 or base:
        return int(*given, **base)
    one = _read(given[0], _TO_INT, "__int__")
    if one.__class__ not in OURS:
        return int(one)
    return _made(calls.trunc, one) if one.__class__ is Float else one


def _float(*given: Any) -> Any:
    """``float``."""
    if len(given) != 1:
        return float(*given)
    one = _read(given[0], _TO_FLOAT, "__float__")
    if one.__class__ not in OURS:
        return float(one)
    return one if one.__class__ is Float else _made(calls.to_float, one)


def _read(one: Any, method: Any, name: str) -> Any:
    """The number in a tensor, as ``item`` gives it; anything else as it is."""
    if not isinstance(one, torch.Tensor) or getattr(type(one), name) is not method:
        return one
    with torch._C.DisableTorchFunction():
        lone = one.numel() == 1 and not one.is_complex()
    return one.item() if lone else one


def _made(function: Callable[[Any], Any], number: Any) -> Any:
    home = number.home
    return home.computed(function, number) if home.hears() else function(plain(number))


class Literal(float):
    """A constant on the left of an operator, which is all that ever sees it."""


def _arithmetic(word: str, function: Callable[..., Any]) -> Callable[..., Any]:
    real = getattr(operator, word)

    def method(self: Any, other: Any) -> Any:
        number = float.__float__(self)
        if other.__class__ is not Int or not other.home.hears():
            return real(number, other)
        other.home.hear(sys._getframe(1))
        return other.home.computed(function, number, other)

    return method


def _comparison(word: str, function: Callable[..., Any]) -> Callable[..., Any]:
    real = getattr(operator, word)

    def method(self: Any, other: Any) -> Any:
        number = float.__float__(self)
        outcome = real(number, other)
        if other.__class__ is Int and other.home.hears():
            other.home.hear(sys._getframe(1))
            other.home.compared(function, (number, other.expr), outcome)
        return outcome

    return method


for _word, _function in ARITHMETIC.items():
    setattr(Literal, f"__{_word}__", _arithmetic(_word, _function))
for _word, _function in COMPARISONS.items():
    setattr(Literal, f"__{_word}__", _comparison(_word, _function))


# --- copies of code ------------------------------------------------------------------------------

_STAND_INS: dict[str, Callable[..., Any]] = {"int": _int, "float": _float}
_CACHE, _NOP, _NULL = (dis.opmap.get(name, -1) for name in ("CACHE", "NOP", "PUSH_NULL"))
_GLOBAL, _CONST = dis.opmap["LOAD_GLOBAL"], dis.opmap["LOAD_CONST"]
_TAKES_TWO = {dis.opmap.get("BINARY_OP"), dis.opmap["COMPARE_OP"]}
_MOVES = {dis.opmap.get("SWAP"), dis.opmap.get("COPY")}
_JUMPS = {*dis.hasjrel, *dis.hasjabs}
# Code -> its copy, None if there is nothing to ask; both are kept, so that no id is used again.
_copies: dict[int, tuple[CodeType, CodeType | None]] = {}
_originals: dict[int, CodeType] = {}


def _copy_of(code: CodeType) -> CodeType | None:
    found = _copies.get(id(code))
    if found is None:
        made = _copied(code)
        found = _copies[id(code)] = code, made
        if made is not None:
            _copies[id(made)] = made, made
            _originals[id(made)] = code
    return found[1]


def codes_run_for(code: CodeType) -> tuple[CodeType, ...]:
    """What a function that has this code may run while examples are recorded."""
    made = _copy_of(code) if TELLS_CALLS else None
    return (code,) if made is None else (code, made)


def original_of(code: CodeType) -> CodeType:
    """The code of which one is the copy; itself, if it is none."""
    return _originals.get(id(code), code)


def _copied(code: CodeType) -> CodeType | None:
    consts = [
        _copy_of(part) or part if isinstance(part, CodeType) else part for part in code.co_consts
    ]
    changed = any(one is not other for one, other in zip(consts, code.co_consts))
    text = bytearray(code.co_code)
    for name in _STAND_INS.keys() & set(code.co_names):
        changed |= _redirect(text, code.co_names.index(name), _STAND_INS[name], consts)
    if any(type(one) is float for one in consts):
        changed |= _hear(text, consts)
    return code.replace(co_code=bytes(text), co_consts=tuple(consts)) if changed else None


def _steps(text: bytes | bytearray) -> Iterator[tuple[int, int, int, int]]:
    """Each instruction: where it begins, prefixes included; where it is; what; its argument."""
    begin = high = 0
    for at in range(0, len(text), 2):
        argument = high | text[at + 1]
        if text[at] == dis.EXTENDED_ARG:
            high = argument << 8
            continue
        if text[at] != _CACHE:
            yield begin, at, text[at], argument
        begin, high = at + 2, 0


def _redirect(text: bytearray, name: int, function: Any, consts: list[Any]) -> bool:
    """Let calls of a global go to a function; returns whether there are any.

    An instruction that looks up a global is followed by room for what Python remembers of it.
    """
    found = False
    for begin, at, kind, argument in _steps(bytes(text)):
        if kind == _GLOBAL and argument == name << 1 | 1:
            end = at + 2
            while text[end] == _CACHE:
                end += 2
            text[begin:end] = _constant(len(consts), end - begin)
            consts.append(function)
            found = True
    return found


def _constant(place: int, size: int) -> bytes:
    """Instructions of so many bytes that prepare a call of a constant."""
    load = bytes((dis.EXTENDED_ARG, place >> 8, _CONST, place & 255))
    made = bytes((_NULL, 0)) + load if _NULL_FIRST else load + bytes((_NULL, 0))
    return made + bytes((_NOP, 0)) * ((size - len(made)) // 2)


def _hear(text: bytearray, consts: list[Any]) -> bool:
    """Let floats on the left of an operator ask what is on its right; whether there are any."""
    found = False
    steps = list(_steps(text))
    for number, (begin, at, kind, argument) in enumerate(steps):
        if kind == _CONST and type(consts[argument]) is float and _is_left(steps[number + 1 :]):
            place = len(consts)
            if place < 256 or place < 1 << 16 and begin < at:
                consts.append(Literal(consts[argument]))
                text[at + 1] = place & 255
                if begin < at:
                    text[at - 1] = place >> 8
                found = True
    return found


def _is_left(steps: list[tuple[int, int, int, int]]) -> bool:
    """Whether what lies on the stack before these is the left of an operator, and nothing else."""
    above = 0
    for _, _, kind, argument in steps:
        if kind in _TAKES_TWO and above == 1:
            return True
        if kind in _JUMPS or kind in _MOVES:
            return False
        above += dis.stack_effect(kind, argument if kind >= dis.HAVE_ARGUMENT else None, jump=False)
        if above < 1:
            return False
    return False


# --- functions -----------------------------------------------------------------------------------

_lock = threading.Lock()
_users: Counter[FunctionType] = Counter()
_before: dict[FunctionType, CodeType] = {}


@contextlib.contextmanager
def replaced_code(codes: Mapping[FunctionType, CodeType]) -> Iterator[None]:
    """Context manager: functions run other code, in all threads.

    What a function ran before the first such block stands again after the last one, in whatever
    order blocks end.

    Args:
        codes: function -> the code that it runs from now on.
    """
    with _lock:
        for one, code in codes.items():
            _before.setdefault(one, one.__code__)
            _users[one] += 1
            one.__code__ = code
    try:
        yield
    finally:
        with _lock:
            for one in codes:
                _users[one] -= 1
                if not _users[one]:
                    del _users[one]
                    one.__code__ = _before.pop(one)


@contextlib.contextmanager
def listening(functions: Iterable[FunctionType]) -> Iterator[None]:
    """Context manager: these functions run their copies, in all threads, until the last block ends.

    Args:
        functions: that a model reaches.
    """
    meant = filter(_asks, functions if TELLS_CALLS else ())
    with replaced_code({one: _copy_of(one.__code__) or one.__code__ for one in meant}):
        yield


def _asks(function: FunctionType) -> bool:
    """Whether a function has a copy, and means Python's own ``int`` and ``float``."""
    if _copy_of(function.__code__) is None:
        return False
    own = function.__globals__
    if own.get("__builtins__") not in (builtins, vars(builtins)):
        return False
    return _STAND_INS.keys().isdisjoint(own)
