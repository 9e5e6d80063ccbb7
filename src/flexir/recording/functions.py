"""What the functions of the user's own reach beside their arguments, told by their code.

Owns which functions lie behind a callable or in a class, and what a function's code names. What
stands there now is looked up by :mod:`.state`.
"""

from __future__ import annotations

import builtins
import dis
import functools
import sys
import types
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from .holders import FIXED, is_users
from .stand_ins import CACHED

# Methods that torch calls by itself.
CALLED = frozenset({"apply", "backward", "forward", "jvp", "setup_context", "vjp", "vmap"})
MAKERS = frozenset({"__init__", "__init_subclass__", "__new__", "__post_init__", "__set_name__"})
_BUILTINS = frozenset(vars(builtins))
_BY_NAME = frozenset({"__import__", "import_module", "modules"})  # give a module for a text
_LONG = 100  # characters: such texts name nothing
_IMPORT = dis.opmap["IMPORT_NAME"]
# Give a variable of a function's own Python module for a text.
_BY_TEXT = frozenset({"__globals__", "eval", "exec", "globals", "vars", *_BY_NAME})
# What reads or sets a variable of the function's own Python module; of the first, Python 3.11 and
# later count in the lowest bit whether it is called.
_OF_MODULE = [dis.opmap[name] for name in (
    "LOAD_GLOBAL", "STORE_GLOBAL", "DELETE_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS",
) if name in dis.opmap]  # fmt: skip
_SHIFT = {dis.opmap["LOAD_GLOBAL"]: 1 if sys.version_info >= (3, 11) else 0}


class Reach(NamedTuple):
    """What a function's code names, and the code of functions inside it.

    Attributes:
        code: the code itself; it keeps its id from being used again.
        mentioned: the names that it may ask for, of globals and attributes, also as texts.
        names: the same without those of builtins.
        variables: those of them that may be variables of the function's own Python module.
        imports: the modules that it imports, as it names them; "" is its own package.
        given: the names of the arguments that may have defaults, in order.
    """

    code: types.CodeType
    mentioned: frozenset[str]
    names: frozenset[str]
    variables: frozenset[str]
    imports: tuple[str, ...]
    given: tuple[str, ...]


_known: dict[int, Reach] = {}


def reach_of(code: types.CodeType) -> Reach:
    """What a function's code names; worked out once. (To hash code, Python reads all of it.)"""
    found = _known.get(id(code))
    if found is None:
        inner = [reach_of(part) for part in code.co_consts if isinstance(part, types.CodeType)]
        texts = [one for part in code.co_consts
                 for one in (part if type(part) is tuple else (part,))]  # fmt: skip
        texts = [one for one in texts if type(one) is str and len(one) < _LONG]
        words = filter(str.isidentifier, texts)
        mentioned = frozenset(code.co_names).union(words, *(one.mentioned for one in inner))
        imports = (*_named_by(code, [_IMPORT]), *(name for one in inner for name in one.imports))
        variables = frozenset(_named_by(code, _OF_MODULE)).union(*(one.variables for one in inner))
        if not _BY_TEXT.isdisjoint(mentioned):
            variables = mentioned
        if not _BY_NAME.isdisjoint(mentioned):
            imports += tuple(one for one in texts if one)
        found = _known[id(code)] = Reach(
            code, mentioned, mentioned - _BUILTINS, variables - _BUILTINS, imports,
            code.co_varnames[: code.co_argcount],
        )  # fmt: skip
    return found


def _named_by(code: types.CodeType, wanted: Collection[int]) -> Iterator[str]:
    """The names that these instructions of a function's code give."""
    ops, numbers = code.co_code[::2], code.co_code[1::2]
    for op in wanted:
        at = ops.find(op)
        while at >= 0:
            number, before = numbers[at], at - 1
            while before >= 0 and ops[before] == dis.EXTENDED_ARG:
                number += numbers[before] << 8 * (at - before)
                before -= 1
            yield code.co_names[number >> _SHIFT.get(op, 0)]
            at = ops.find(op, at + 1)


def imported(function: types.FunctionType) -> Iterator[tuple[str, types.ModuleType]]:
    """The modules of the user's own that a function imports when it runs, as far as they are there.

    How many packages up a name is meant is not looked at: all that it may mean are given.
    """
    for name in reach_of(function.__code__).imports:
        meant, package = {name, name.partition(".")[0]}, function.__globals__.get("__package__")
        while package:
            meant.add(f"{package}.{name}" if name else package)
            package = package.rpartition(".")[0]
        for one in sorted(meant & sys.modules.keys()):
            if is_users(one):
                yield one, sys.modules[one]


def module_behind(part: Any) -> types.ModuleType | None:
    """The Python module that something is, or whose dictionary of variables it is."""
    if part.__class__ is dict:
        name = part.get("__name__")
        module = sys.modules.get(name) if isinstance(name, str) else None
        return module if getattr(module, "__dict__", None) is part else None
    return part if part.__class__ is types.ModuleType else None


def methods_of(cls: type) -> Iterator[tuple[str, types.FunctionType]]:
    """The functions of a class of the user's own, by name."""
    for name, part in vars(cls).items():
        if part.__class__ is types.FunctionType:
            if is_users(part.__module__):
                yield name, part
        elif part.__class__ not in FIXED and not isinstance(part, type):
            for function in functions_of(part):
                yield name, function


def functions_of(part: Any) -> list[types.FunctionType]:
    """The functions behind a callable, a descriptor or a class of the user's own."""
    if isinstance(part, type):
        return [function for _, function in methods_of(part)]
    part = _unwrapped(part)
    if isinstance(part, types.FunctionType) and is_users(part.__module__):
        return [part]
    return []


def _unwrapped(part: Any) -> Any:
    if isinstance(part, (classmethod, staticmethod, types.MethodType)):
        return part.__func__
    if isinstance(part, property):
        return part.fget
    if isinstance(part, functools.cached_property):
        return part.func
    return part.__wrapped__ if isinstance(part, CACHED) else part
