"""Where sizes go without being asked: what Python reads out of an int itself, unseen.

A size is an int that knows where it comes from, and tells when something is computed from it, when
it is compared, shown or hashed. ``table[n]``, ``range(n)``, ``n is 3`` and functions written in C
ask it nothing. So the functions of a run are read for such places: each is a line of the audit of a
graph with live sizes. What a loop over ``range(n)`` does is seen if calls in it are recorded. Runs
nothing, and refuses nothing.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator, Mapping
from types import CodeType
from typing import Any

import torch

from ..graph.source import Source
from .lookups import ASKING, FLOAT, NUMBERS, STRANGE, TENSORS, USERS, lefts_of
from .parsed import function_of, nodes_of, parents_of
from .sources import called
from .too_few import cut_lists, cuts_off, handlers
from .uses import Following, Known

_ASKED = frozenset({"size", "stride", "numel", "nelement"})
_LISTS = frozenset({"split", "tolist", "unbind"})
_READ = frozenset({"bytearray", "bytes", "range"})  # unseen
_ADDED = frozenset({"divmod", "pow", "sum"})  # unseen beside a float
_UNASKING = frozenset({"bool", "callable", "float", "hasattr", "isinstance", "issubclass"})
_TEXTS = frozenset({"bin", "chr", "format", "hex", "oct", "repr", "str"})
_NUMBERS = frozenset({"abs", "divmod", "float", "int", "max", "min", "pow", "round", "sum"})
_OF_TEXTS = frozenset(dir(str)) - frozenset(dir(object))
_OF_TENSORS = frozenset(dir(torch.Tensor))
_ANSWERED = {"bit_length", "conjugate", "numerator"}
_TOLD_BY_NUMBERS = frozenset((*dir(int), *dir(float))) - _OF_TENSORS - _ANSWERED
_LOOPS = (ast.For, ast.AsyncFor, ast.comprehension)


def overlooked(
    kinds: Mapping[CodeType, Mapping[ast.AST, str]], sizes_vary: bool = True
) -> Iterator[tuple[str, Source]]:
    """What decides something by a number unseen, as it is written, and where.

    Args:
        kinds: function that made recorded calls -> expression that looks up or calls -> what, as in
            ``lookups``.
        sizes_vary: whether sizes are among these numbers.
    """
    known = Known((), kinds, {})
    for code in kinds:
        own = function_of(code)
        if own is not None:
            plain, texts, cuts = _Plain(code, known), _Texts(code, known), _Cuts(code, known)
            sizes = _SizeUses(code, known, texts)
            taken = [node for node in nodes_of(own) if _takes_numbers(node)]
            read = [node for node, kind in kinds[code].items() if kind == NUMBERS]
            for number in (*(_sizes_in(own) if sizes_vary else ()), *taken, *read):
                sizes.follow(0, own, number)
            for node in nodes_of(own) if sizes_vary else ():
                if _is_list_given(node) or _name_of(node) == "nbytes":
                    plain.follow(0, own, node)
                if node is not own and (isinstance(node, ast.ListComp) or _is_list_given(node)):
                    cuts.follow(0, own, node)
            found = [one for part in (sizes, texts, plain, cuts) for one in part.found]
            found += [handler for node in nodes_of(own) for handler in handlers(node)]
            found += filter(cuts_off, nodes_of(own) if sizes_vary else ())
            found += cut_lists(own) if sizes_vary else ()
            for node in dict.fromkeys(found):
                where = Source(code.co_filename, node.lineno, code.co_name)
                yield ast.unparse(node).splitlines()[0], where


def chosen(known: Known) -> str | None:
    """An element that a size chooses by more than a line, as it is written; None if there is none.

    ``rows[n - 1]`` is on a line through the sizes that examples show; ``rows[n // 2]`` may be by
    chance.

    Args:
        known: of the runs.
    """
    for code in known.kinds:
        own = function_of(code)
        if own is not None:
            texts = _Texts(code, known)
            beyond, lines = _Beyond(code, known, texts), _Lines(code, known, texts)
            for node in _sizes_in(own):
                lines.follow(0, own, node)
            for node in lines.beyond:
                beyond.follow(0, own, node)
            for node in beyond.found:
                if isinstance(node, (ast.Subscript, ast.Call)):
                    return ast.unparse(node)
    return None


def _sizes_in(own: ast.AST) -> Iterator[ast.expr]:
    """Where a function asks for sizes."""
    for node in nodes_of(own):
        if isinstance(node, ast.Attribute) and node.attr == "shape":
            yield node
        elif isinstance(node, ast.Call):
            if _name_of(node.func) in _ASKED or called(node) == "len":
                yield node


def _takes_numbers(node: ast.AST) -> bool:
    """Whether an expression takes numbers out of a tensor."""
    if not isinstance(node, ast.Call):
        return False
    return _name_of(node.func) in ("item", "tolist") or called(node) in ("int", "float")


class _Listed(Following):
    """All that decides something unseen in one function.

    Attributes:
        found: the expressions and statements.
    """

    def __init__(self, code: CodeType, known: Known) -> None:
        super().__init__(((code, -1),), known, 0)
        self.found: list[Any] = []

    def _is_seen(self, code: CodeType, node: ast.AST, inner: ast.AST) -> bool:
        if not self._is_asked(code, node, inner):
            self.found.append(node if hasattr(node, "lineno") else inner)
        return True

    def _cuts(self, node: ast.AST, inner: ast.AST) -> bool:
        return False

    def _is_asked(self, code: CodeType, node: ast.AST, inner: ast.AST) -> bool:
        return super()._is_seen(code, node, inner)

    def _back(self, depth: int) -> str | None:
        return None


class _SizeUses(_Listed):
    """The sizes that a function asks for, and all that are made of them."""

    _arithmetic: tuple[type, ...] = (ast.operator,)
    _kept = ("enumerate", "list", "range", "reversed", "slice", "tuple", "zip")
    _computing = _NUMBERS

    def __init__(self, code: CodeType, known: Known, texts: _Texts) -> None:
        super().__init__(code, known)
        self._texts = texts  # what goes on with a size that is shown

    def _goes_on(self, node: ast.AST, inner: ast.AST) -> bool:
        if name := called(node):
            if name in self._computing and not self._is_asked(self._stack[0][0], node, inner):
                self.found.append(node)
            return name in self._kept or name in self._computing
        if isinstance(node, ast.Subscript):
            return inner is node.value
        return super()._goes_on(node, inner) and not isinstance(
            node, (ast.JoinedStr, ast.FormattedValue)
        )

    def _is_asked(self, code: CodeType, node: ast.AST, inner: ast.AST) -> bool:
        own = function_of(code)
        if own is not None and _is_text(node):
            self._texts.follow(0, own, node)
            return True
        if isinstance(node, ast.Subscript):
            many = any(isinstance(one, ast.Slice) for one in getattr(node.slice, "elts", ()))
            return many or self._kind(code, node) == TENSORS  # what is not known may be a list
        if isinstance(node, ast.Call):
            if (name := called(node)) in vars(builtins):
                listed = name == "sum" and not isinstance(node.args[0], ast.GeneratorExp)
                mixed = name in _ADDED and not listed and any(
                    self._is_float(code, one) for part in node.args
                    for one in (part, *getattr(part, "elts", ()))
                )  # fmt: skip
                return name not in _READ and not mixed and not _has_range(inner)
            return self._kind(code, node) != STRANGE and not self._is_unheard(code, node)
        if isinstance(node, ast.Compare) and self._reads(code, node, inner):
            return False
        if isinstance(node, ast.Compare):
            same = any(isinstance(op, (ast.Is, ast.IsNot)) for op in node.ops)
            return not same or any(isinstance(n, ast.Constant) and n.value is None
                                   for n in node.comparators)  # fmt: skip
        if isinstance(node, _LOOPS) and _has_range(inner):
            return any(_may_be_recorded(n) for part in self._round(code, node)
                       for n in ast.walk(part))  # fmt: skip
        # ``numel`` is of a Size; the others tell of a number what no call does.
        return not (isinstance(node, ast.Attribute) and node.attr in ("numel", *_TOLD_BY_NUMBERS))

    def _is_unheard(self, code: CodeType, node: ast.Call) -> bool:
        """Whether a function of the user's that makes no recorded call is given a float, too."""
        if self._kind(code, node) != USERS or not any(self._is_float(code, n) for n in node.args):
            return False
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        return all(one.co_name != name for one in self._known.kinds)

    def _reads(self, code: CodeType, node: ast.AST, inner: ast.AST) -> bool:
        if isinstance(node, ast.BinOp) and _is_text(node):
            return True
        if self._kind(code, node) == ASKING and len(getattr(node, "ops", ())) < 2:
            return False
        sides = lefts_of(node)
        if isinstance(node, ast.Compare):
            within = [one for op, left, right in zip(node.ops, sides, node.comparators)
                      if isinstance(op, (ast.In, ast.NotIn)) and left is inner
                      for one in getattr(right, "elts", ())]  # fmt: skip
            sides = [left for left, right in zip(sides, node.comparators) if right is inner]
            sides += within
        elif inner in sides:
            return False
        return any(self._is_float(code, one) for one in sides)

    def _is_float(self, code: CodeType, node: ast.AST) -> bool:
        """Whether an expression is a plain float or bool, as far as it is known."""
        if isinstance(node, ast.Constant):
            return type(node.value) in (float, bool)
        if isinstance(node, ast.Compare) or getattr(node, "op", None).__class__ is ast.Not:
            return True
        if isinstance(node, ast.BinOp):
            return isinstance(node.op, ast.Div) or any(
                self._is_float(code, one) for one in (node.left, node.right)
            )
        if isinstance(node, ast.Call):
            return called(node) in _UNASKING or _is_of_math(node.func)
        return self._kind(code, node) == FLOAT

    def _round(self, code: CodeType, node: Any) -> list[ast.AST]:
        """What a round of a loop does."""
        if not isinstance(node, ast.comprehension):
            body: list[ast.AST] = node.body
            return body
        own = function_of(code)
        whole: Any = parents_of(own)[node] if own is not None else node
        parts = [getattr(whole, name, None) for name in ("elt", "key", "value")]
        return [*node.ifs, *(one for one in parts if one is not None)]

    def _into(self, depth: int, node: Any) -> str | None:
        """Into variables; what is put into an attribute or an item stays what it is."""
        code = self._stack[depth][0]
        if node.value is not None and _has_range(node.value):
            self.found.append(node)
        if isinstance(node, ast.AugAssign) and self._reads(code, node, node.value):
            self.found.append(node)
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            for one in target.elts if isinstance(target, (ast.Tuple, ast.List)) else [target]:
                if isinstance(one, ast.Name) and not self._is_tensor(code, one):
                    self.through(depth, one.id)
        return None

    def _computed(self, node: ast.expr) -> str | None:
        own = function_of(self._stack[0][0])
        if own is not None and _is_text(node):
            self._texts.follow(0, own, node)
        else:
            self.found.append(node)
        return None


class _Lines(_SizeUses):
    """The sizes that a function asks for, and what is computed from them on a line.

    Attributes:
        beyond: what is computed from those otherwise.
    """

    _arithmetic = (ast.Add, ast.Sub, ast.Mult)
    _computing = frozenset()

    def __init__(self, code: CodeType, known: Known, texts: _Texts) -> None:
        super().__init__(code, known, texts)
        self.beyond: list[ast.expr] = []

    def _computed(self, node: ast.expr) -> str | None:
        self.beyond.append(node)
        return None

    def _is_seen(self, code: CodeType, node: ast.AST, inner: ast.AST) -> bool:
        if _is_number(node):
            self.beyond.append(node)  # type: ignore[arg-type]
        return super()._is_seen(code, node, inner)


class _Beyond(_SizeUses):
    """What is computed from numbers in whatever way."""

    def _goes_on(self, node: ast.AST, inner: ast.AST) -> bool:
        return _is_number(node) or super()._goes_on(node, inner)

    def _is_asked(self, code: CodeType, node: ast.AST, inner: ast.AST) -> bool:
        is_builtin = called(node) in vars(builtins)
        if isinstance(node, ast.Call) and not is_builtin:  # rows.pop(k), pick(rows, k)
            return self._kind(code, node) in (TENSORS, ASKING)
        return super()._is_asked(code, node, inner)


class _Plain(_Listed):
    """Numbers and lists that torch gives as plain ones."""

    _kept: tuple[str, ...] = ("len", "list", "tuple")

    def _is_asked(self, code: CodeType, node: ast.AST, inner: ast.AST) -> bool:
        if isinstance(node, ast.Attribute) and node.attr in _OF_TEXTS:
            return False
        return super()._is_asked(code, node, inner)

    def _into(self, depth: int, node: Any) -> str | None:
        """Into a variable; the parts of a list are tensors."""
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            if isinstance(target, ast.Name):
                self.through(depth, target.id)
        return None


class _Texts(_Plain):
    """Texts of numbers: also how long they are, and which signs are in them."""

    _kept = ("list", "tuple")

    def _is_asked(self, code: CodeType, node: ast.AST, inner: ast.AST) -> bool:
        told = called(node) == "len" or isinstance(node, _LOOPS)
        return not told and super()._is_asked(code, node, inner)


class _Cuts(_Plain):
    """Lists that are cut off at a number: how long they are is asked of nothing."""

    def _goes_on(self, node: ast.AST, inner: ast.AST) -> bool:
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice):
            if inner is node.value and any(
                map(_is_more_than_one, (node.slice.lower, node.slice.upper))
            ):
                self.found.append(node)
            return False
        return called(node) in ("list", "tuple") or isinstance(node, (ast.IfExp, ast.NamedExpr))

    def _is_asked(self, code: CodeType, node: ast.AST, inner: ast.AST) -> bool:
        return True


def _is_more_than_one(bound: Any) -> bool:
    bound = getattr(bound, "operand", bound)  # counted from the end
    return isinstance(bound, ast.Constant) and type(bound.value) is int and bound.value > 1


def _is_list_given(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and _name_of(node.func) in _LISTS


def _name_of(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else ""


def _is_text(node: ast.AST) -> bool:
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.Mod) and _is_literal_text(node.left)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return _is_literal_text(node.func.value)
    return isinstance(node, ast.FormattedValue) or called(node) in _TEXTS


def _is_literal_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes))


def _has_range(part: ast.AST) -> bool:
    return any(isinstance(n, ast.Name) and n.id == "range" for n in ast.walk(part))


def _may_be_recorded(node: ast.AST) -> bool:
    """Whether an expression may call torch: brackets, and calls but of Python's own functions."""
    if isinstance(node, ast.Call):
        return called(node) not in vars(builtins)
    return isinstance(node, ast.Subscript)


def _is_number(node: ast.AST) -> bool:
    """Whether an expression calls a function that makes a number of numbers."""
    if not isinstance(node, ast.Call):
        return False
    return _is_of_math(node.func) or called(node) in _NUMBERS


def _is_of_math(func: ast.expr) -> bool:
    return isinstance(func, ast.Attribute) and getattr(func.value, "id", "") == "math"
