"""Lists that one function alone has: where it makes them and adds to them, as the source says.

A list is a function's own if the function makes it itself (``rows = [h]``), adds to it by
``append`` alone, and hands it to nothing but calls of torch: then no other name leads to it, and
all that becomes of it stands in the source. What is not known to be harmless makes it shared.
Runs nothing.
"""

from __future__ import annotations

import ast
import dis
import functools
from collections.abc import Container, Mapping
from types import CodeType
from typing import NamedTuple

from .lookups import TENSORS
from .parsed import function_of, nodes_of, offsets_of, span_of, spans
from .sources import called, names_in
from .uses import parents_of

SUSPENDED = 0x20 | 0x80 | 0x100 | 0x200  # generators and coroutines go on at another time


ASKED = -3


class Site(NamedTuple):
    """An instruction after which a list is another one, or that asks how long it is.

    Attributes:
        name: of the variable.
        many: how many elements a new list has; -1 if that is not written, None if one is added;
            ASKED by ``len``.
        line: where it is written.
    """

    name: str
    many: int | None
    line: int


class Own(NamedTuple):
    """The lists of a function.

    Attributes:
        sites: place of an instruction -> what it does to one of them.
        asked: those of which ``len`` is asked.
        unread: those that nothing is ever read of.
    """

    sites: Mapping[int, Site]
    asked: frozenset[str]
    unread: frozenset[str]

    @property
    def names(self) -> frozenset[str]:
        """The variables."""
        return frozenset(site.name for site in self.sites.values())

    def only(self, names: Container[str]) -> Own:
        """Those of some variables."""
        sites = {place: site for place, site in self.sites.items() if site.name in names}
        asked = frozenset(name for name in self.asked if name in names)
        return Own(sites, asked, self.unread)


NO_LISTS = Own({}, frozenset(), frozenset())


def own_lists(code: CodeType, kinds: Mapping[ast.AST, str]) -> Own:
    """The lists of a function that are its own.

    Args:
        code: the function.
        kinds: expression that calls -> what, as in ``lookups``.
    """
    made = _made(code)
    own = function_of(code)
    if not made or own is None:
        return NO_LISTS
    around = parents_of(own)
    names = dict(made)
    read: set[str] = set()
    asked: set[str] = set()
    added: dict[tuple[int, int, int, int], Site] = {}
    for node in nodes_of(own):
        if not isinstance(node, ast.Name) or node.id not in names:
            continue
        if isinstance(node.ctx, ast.Load):
            site = _added(around, node)
            if site is not None:
                added[site] = Site(node.id, None, node.lineno)
            elif _only_looks(around, node, kinds, code.co_names):
                read.add(node.id)
                if called(around[node]) == "len":
                    asked.add(node.id)
                    added[span_of(around[node])] = Site(node.id, ASKED, node.lineno)
            else:
                del names[node.id]
    sites = {at: site for at, site in _places(code, made, added).items() if site.name in names}
    return Own(sites, frozenset(asked & names.keys()), frozenset(names.keys() - read))


@functools.lru_cache(maxsize=1024)
def _made(code: CodeType) -> dict[str, int]:
    """Variables that hold only lists which the function makes -> elements of one; -1: not told."""
    own = function_of(code)
    if own is None or code.co_flags & SUSPENDED or not isinstance(own, ast.FunctionDef):
        return {}
    first = code.co_argcount + code.co_kwonlyargcount
    mine = {*code.co_varnames[first:]}.difference(code.co_cellvars)
    found: dict[str, set[int]] = {}
    around = parents_of(own)
    for node in nodes_of(own):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found.setdefault(node.id, set()).add(_elements(_value(around, node)))
    return {name: max(many) for name, many in found.items()
            if name in mine and -2 not in many}  # fmt: skip


def _value(around: Mapping[ast.AST, ast.AST], target: ast.Name) -> ast.expr | None:
    """What a variable is set to where it stands, if that is written there: ``a, b = [], [h]``."""
    part: ast.AST = target
    node = around[part]
    if not isinstance(node, ast.Tuple):
        alone = isinstance(node, ast.Assign) and node.targets == [target]
        return node.value if alone else None  # type: ignore[attr-defined]
    whole = around[node]
    if not isinstance(whole, ast.Assign) or whole.targets != [node]:
        return None
    if not isinstance(whole.value, ast.Tuple) or len(whole.value.elts) != len(node.elts):
        return None
    if any(isinstance(one, ast.Starred) for one in (*node.elts, *whole.value.elts)):
        return None
    return whole.value.elts[node.elts.index(target)]


def _elements(value: ast.expr | None) -> int:
    """How many elements a new list has; -1 if that is not told, -2 if it is no new list."""
    if isinstance(value, ast.List):
        starred = any(isinstance(one, ast.Starred) for one in value.elts)
        return -1 if starred else len(value.elts)
    return -1 if isinstance(value, ast.ListComp) or value and called(value) == "list" else -2


def _added(around: Mapping[ast.AST, ast.AST], node: ast.Name) -> tuple[int, int, int, int] | None:
    """Where a variable is added to, if that is what is done with it: a statement of its own."""
    part, call = around[node], around.get(around[node])
    if not isinstance(part, ast.Attribute) or part.attr != "append":
        return None
    if not isinstance(call, ast.Call) or call.func is not part or len(call.args) != 1:
        return None
    if call.keywords or node.id in names_in(call.args[0]):
        return None
    return span_of(call) if isinstance(around[call], ast.Expr) else None


def _only_looks(
    around: Mapping[ast.AST, ast.AST], node: ast.Name, kinds: Mapping[ast.AST, str],
    globals_of: Container[str],
) -> bool:  # fmt: skip
    """Whether what is done with a variable changes nothing and keeps nothing of the list itself.

    Of functions it is those of torch's modules alone: ``torch.stack``, not ``self.layers``.
    """
    part = around[node]
    if isinstance(part, ast.Call) and node in part.args:
        if name := called(part):
            return name == "len"
        return kinds.get(part) == TENSORS and _root(part.func) in globals_of
    while isinstance(part, (ast.Tuple, ast.List)):
        part = around[part]
    return isinstance(part, ast.Return)


def _root(func: ast.expr) -> str | None:
    """The variable of which something called is an attribute."""
    while isinstance(func, ast.Attribute):
        func = func.value
        if isinstance(func, ast.Name):
            return func.id
    return None


def _places(
    code: CodeType, made: Mapping[str, int], added: Mapping[tuple[int, int, int, int], Site]
) -> dict[int, Site]:
    """The instructions, by place."""
    found: dict[int, Site] = {}
    for place, (one, span) in enumerate(zip(steps_of(code), _spans(code))):
        if one.opname.startswith("STORE_FAST"):
            names = one.argval if isinstance(one.argval, tuple) else (one.argval,)
            for name in names:
                if name in made:
                    found[place] = Site(name, made[name], span[0])
        elif one.opname in ("CALL", "CALL_METHOD") and span in added:
            found[place] = added[span]
    return found


@functools.lru_cache(maxsize=1024)
def steps_of(code: CodeType) -> tuple[dis.Instruction, ...]:
    """The instructions of a function."""
    return tuple(dis.get_instructions(code))


@functools.lru_cache(maxsize=1024)
def place_of(code: CodeType) -> dict[int, int]:
    """Offset -> the place of the instruction among all."""
    return {at: place for place, one in enumerate(steps_of(code)) for at in offsets_of(code, one)}


def _spans(code: CodeType) -> list[tuple[int, int, int, int]]:
    found = spans(code)
    return [found[one.offset // 2] for one in steps_of(code)]
