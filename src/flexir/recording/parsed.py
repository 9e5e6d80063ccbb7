"""The syntax tree of a function, and where in its source each of its instructions stands.

A statement of a file's top level is parsed once, and a function found in it by the line at which
its code begins. Where there is no source there is no tree. What a tree says is no matter of this
module.
"""

from __future__ import annotations

import ast
import collections
import dis
import functools
import linecache
import re
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any, Concatenate, ParamSpec, TypeVar

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
SUSPENDED = 0x20 | 0x80 | 0x100 | 0x200  # flags of code that goes on at another time
END = 1 << 30
_AGAIN = (ast.For, ast.AsyncFor, ast.While, *COMPREHENSIONS)
_CACHE = dis.opmap.get("CACHE", -1)
_ASKS = {at for name, at in dis.opmap.items() if name.startswith(("POP_JUMP", "TO_BOOL"))}
_CAN_BE_WRITTEN = re.compile(r"[\w.]*$").match  # a name in Python, of a module or its package
_BEGINS = re.compile(r"[^\s#)\]}]").match  # a line with a statement of the top level, in most files

P = ParamSpec("P")
T = TypeVar("T")
OfCode = Callable[Concatenate[CodeType, P], T]
Span = tuple[int, int, int, int]  # line, column, last line, column after the last


def of_code(maxsize: int) -> Callable[[OfCode[P, T]], OfCode[P, T]]:
    """As ``functools.lru_cache``, for functions whose first argument is code.

    Code of one text in two files, or in a cell that is run again, is equal, and is not the same.
    """

    def decorated(function: OfCode[P, T]) -> OfCode[P, T]:
        @functools.lru_cache(maxsize=maxsize)
        def kept(file: str, code: CodeType, *args: P.args, **kwargs: P.kwargs) -> T:
            return function(code, *args, **kwargs)

        def asked(code: CodeType, /, *args: P.args, **kwargs: P.kwargs) -> T:
            return kept(code.co_filename, code, *args, **kwargs)  # type: ignore[arg-type]

        functools.update_wrapper(asked, function)
        return asked

    return decorated


@of_code(maxsize=4096)
def spans(code: CodeType) -> list[Span]:
    """The span of each instruction; whole lines before Python 3.11."""
    found: list[Span] = []
    if hasattr(code, "co_positions"):
        for op, (a, b, c, d) in zip(code.co_code[::2], code.co_positions()):
            span = a or 0, c or 0, b or a or 0, END if d is None else d
            # What asks in a comprehension's filter is said to be all of it: it asks what is there.
            found.append(found[-1] if op in _ASKS and contains(span, found[-1]) else span)
        return found
    for start, end, line in code.co_lines():
        found += [(line or 0, 0, line or 0, END)] * ((end - start) // 2)
    return found


def span_at(code: CodeType, at: int) -> Span:
    """The span of the instruction at an offset."""
    found = spans(code)
    return found[at // 2] if at >= 0 else (0, 0, 0, 0)


def offsets_of(code: CodeType, one: dis.Instruction) -> range:
    """The offsets at which a frame stands at an instruction: its own, and those of its caches.

    A call of a function written in Python leaves its frame at the last of them.
    """
    end = one.offset + 2
    while end < len(code.co_code) and code.co_code[end] == _CACHE:
        end += 2
    return range(one.offset, end, 2)


_MANY = 256
_trees: dict[str, tuple[list[str], ast.Module | None]] = {}  # file -> its lines, their tree


def tree_of(file: str) -> ast.Module | None:
    """The syntax tree of a file as it is now; None if it is not there or no Python."""
    lines = _lines_of(file)
    known = _trees.get(file)
    if known is None or known[0] is not lines:
        if len(_trees) >= _MANY:
            _trees.clear()
        known = _trees[file] = lines, _parsed("".join(lines))
    return known[1]


def _lines_of(file: str) -> list[str]:
    """The lines of a file, one list as long as it stays as it is."""
    linecache.checkcache(file)
    return linecache.getlines(file)


def _parsed(text: str, first: int = 1) -> ast.Module | None:
    """The syntax tree of a text that begins at this line; None if it is no Python."""
    try:
        return ast.parse("\n" * (first - 1) + text)
    except (SyntaxError, ValueError):
        return None


def span_of(node: Any) -> Span:
    """Where an expression or statement stands."""
    return node.lineno, node.col_offset, node.end_lineno, node.end_col_offset


def contains(outer: Span, inner: Span) -> bool:
    """Whether a span lies in another."""
    if inner[1] == 0 and inner[3] == END:  # a line of an old Python
        return outer[0] <= inner[0] and inner[2] <= outer[2]
    return outer[:2] <= inner[:2] and inner[2:] <= outer[2:]


_part = functools.lru_cache(maxsize=1024)(_parsed)


def _statement(lines: list[str], line: int) -> tuple[int, int]:
    """Where the statement of the top level seems to begin and end that a line of it is in.

    A text over several lines may look like one; what is cut out then is no Python.
    """
    first = min(line, len(lines))
    while first > 1 and not _BEGINS(lines[first - 1]):
        first -= 1
    end = first
    while end < len(lines) and lines[end - 1].startswith("@"):
        end += 1
    while end < len(lines) and not _BEGINS(lines[end]):
        end += 1
    return first, end


@of_code(maxsize=4096)
def function_of(code: CodeType) -> ast.AST | None:
    """The function, lambda or comprehension that a code object was compiled from.

    None where there is no source, and where it was changed since.
    """
    lines = _lines_of(code.co_filename)
    if not _is_of(code, lines):
        return None
    if code.co_name != "<module>" and lines:
        first, end = _statement(lines, code.co_firstlineno)
        tree = _part("".join(lines[first - 1 : end]), first)
        found = None if tree is None else function_in(tree, code)
        if found is not None:
            return found
    tree = tree_of(code.co_filename)
    if tree is None or code.co_name == "<module>":
        return tree
    return function_in(tree, code)


def _is_of(code: CodeType, lines: list[str]) -> bool:
    """Whether a function may be compiled from a file with these lines, told by its names.

    Each instruction says where it stands; before Python 3.11 only the line, and all may be. So may
    what was rewritten before it was compiled (assertions of pytest), with names of another kind.
    """
    if not hasattr(code, "co_positions") or not all(map(_CAN_BE_WRITTEN, code.co_names)):
        return True
    for one in dis.get_instructions(code):
        where = one.positions
        if one.opcode not in dis.hasname or not where or not where.lineno:
            continue
        if where.lineno != where.end_lineno:
            continue
        text = lines[where.lineno - 1] if where.lineno <= len(lines) else ""
        part = text.encode()[where.col_offset : where.end_col_offset].decode(errors="replace")
        if not _is_written(one.argval, part):
            return False
    return True


def _is_written(name: str, text: str) -> bool:
    """Whether a text has a name, or the name need not be written there."""
    if name in text or name.startswith("__"):
        return True
    private = name.find("__", 1) if name.startswith("_") else -1  # _Class__name
    return private > 0 and name[private:] in text


def function_in(tree: ast.Module, code: CodeType) -> ast.AST | None:
    """The function in a syntax tree that a code object was compiled from."""
    lines = [span for span in spans(code) if span[0]]
    inside = max(lines, key=lambda span: (span[0], span[1]), default=None)
    found = None
    for node in around_line(tree, code.co_firstlineno):
        if isinstance(node, (*FUNCTIONS, *COMPREHENSIONS)) and _name(node) == code.co_name:
            if _first(node) == code.co_firstlineno:
                found = node if not inside or contains(span_of(node), inside) else found
    return found


def around_line(tree: ast.AST, line: int) -> Iterator[ast.AST]:
    """The nodes that a line is a part of, the outer ones first."""
    todo = collections.deque([tree])
    while todo:
        for node in ast.iter_child_nodes(todo.popleft()):
            end = getattr(node, "end_lineno", None)
            if end is None or _first(node) <= line <= end:
                todo.append(node)
                yield node


def _first(node: Any) -> int:
    """The first line of a node, decorators included."""
    lines: list[int] = [node.lineno, *(one.lineno for one in getattr(node, "decorator_list", ()))]
    return min(lines)


@functools.lru_cache(maxsize=1024)
def nodes_of(tree: ast.AST) -> tuple[ast.AST, ...]:
    """All nodes of a function, as :func:`ast.walk` gives them."""
    return tuple(ast.walk(tree))


@functools.lru_cache(maxsize=1024)
def parents_of(own: ast.AST) -> dict[ast.AST, ast.AST]:
    """Node of a syntax tree -> the one around it."""
    return {child: node for node in nodes_of(own) for child in ast.iter_child_nodes(node)}


def is_over(own: ast.AST, node: Any, here: Span) -> bool:
    """Whether an expression of a function was evaluated for good when the function is at a span."""
    if here[0] == 0 or span_of(node)[2:] > here[:2]:
        return False
    around = parents_of(own)
    while node is not own:
        node = around[node]
        if isinstance(node, (*FUNCTIONS, ast.GeneratorExp)) and node is not own:
            return False  # it may be evaluated later
        if isinstance(node, _AGAIN) and contains(span_of(node), here):
            return False
    return True


def _name(node: Any) -> str:
    kinds = {ast.Lambda: "<lambda>", ast.ListComp: "<listcomp>", ast.SetComp: "<setcomp>",
             ast.DictComp: "<dictcomp>", ast.GeneratorExp: "<genexpr>"}  # fmt: skip
    return kinds.get(type(node)) or node.name
