"""Functions that tell what becomes of their variables: a copy of their code, for a while.

An integer in the source is asked nothing, and no call of torch is made where a list grows:
``n = 0``, ``n += 1``, ``rows.append(h)`` leave no trace. While a run is recorded that is to be laid
over others, functions that keep numbers or lists of their own run a copy of their code, compiled
from their source, in which a call before each such statement says that the function comes to it,
and one after it hands on what came of it: ``n = tell(n)``. A number then has the same value and
knows where it comes from. Owns the copies and the time in which they run; a function whose source
is not what it runs is left as it is.
"""

from __future__ import annotations
import __future__

import ast
import builtins
import contextlib
import copy
import functools
import gc
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from types import CodeType, FunctionType
from typing import Any

from .listening import original_of, replaced_code
from .own_numbers import nodes_outside_functions
from .parsed import function_in, of_code, tree_of
from .session import running

_TELL = "__flexir_tells__"
_FUTURE = functools.reduce(
    int.__or__, (getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)
)


def _tell(part: Any, name: str) -> Any:
    """What a variable is set to, from what the model set it to, or did to it."""
    recorder, frame = running(), sys._getframe(1)
    if recorder is None or recorder.standing is None:
        return part
    if not name:
        return recorder.escapes.comes_to(frame)
    kinds = recorder.standing.tells.get(place_of(frame.f_code), {})
    return recorder.escapes.told(part, kinds[name], frame) if name in kinds else part


def place_of(code: CodeType) -> tuple[str, int, str]:
    """Where a function is written: the same for its copy."""
    return code.co_filename, code.co_firstlineno, code.co_name


_lock = threading.Lock()
_users = 0


@contextlib.contextmanager
def telling(names: Mapping[CodeType, Iterable[str]]) -> Iterator[None]:
    """Context manager: functions tell what becomes of these variables.

    Args:
        names: function -> its variables.
    """
    global _users
    copies = {original_of(code): made for code, mine in names.items()
              if (made := telling_copy(code, frozenset(mine))) is not None}  # fmt: skip
    functions = {
        one: copies[one.__code__] for one in (gc.get_referrers(*copies) if copies else ())
        if isinstance(one, FunctionType) and one.__code__ in copies
    }  # fmt: skip
    with _lock:
        _users += 1
        setattr(builtins, _TELL, _tell)
    try:
        with replaced_code(functions):
            yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                delattr(builtins, _TELL)


@of_code(maxsize=256)
def telling_copy(code: CodeType, names: frozenset[str]) -> CodeType | None:
    """The code of a function in which these variables tell; None if its source is another."""
    code = original_of(code)
    tree = tree_of(code.co_filename)
    own = None if tree is None else function_in(tree, code)
    if tree is None or own is None:
        return None
    top = next((one for one in tree.body if own in ast.walk(one)), None)
    if top is None or _compiled([*_imports(tree), top], code) != code:
        return None
    made = copy.deepcopy(top)
    pairs = zip(ast.walk(top), ast.walk(made))
    function = next(other for one, other in pairs if one is own)
    assert isinstance(function, ast.FunctionDef)
    _Teller(names).put_into(function)
    return _compiled([*_imports(tree), made], code)


def _imports(tree: ast.Module) -> list[ast.stmt]:
    """The imports of a file: CPython compiles a call of what was imported otherwise."""
    return [
        one for one in nodes_outside_functions(tree)
        if isinstance(one, ast.Import)
        or isinstance(one, ast.ImportFrom) and one.module != "__future__"
    ]  # fmt: skip


def _compiled(body: list[ast.stmt], like: CodeType) -> CodeType | None:
    """The code of a function, compiled from the statements of its file that matter to it."""
    flags = like.co_flags & _FUTURE
    stack: list[Any] = [
        compile(ast.Module(body, []), like.co_filename, "exec", flags, dont_inherit=True)
    ]
    found = []
    while stack:
        one = stack.pop()
        if isinstance(one, CodeType):
            stack += one.co_consts
            if (one.co_name, one.co_firstlineno) == (like.co_name, like.co_firstlineno):
                found.append(one)
    mine = [one for one in found if one.co_freevars == like.co_freevars]
    return mine[0] if len(mine) == 1 else None


class _Teller(ast.NodeTransformer):
    """Puts a statement that tells after each that sets one of these variables."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names

    def put_into(self, function: ast.FunctionDef) -> None:
        """Change the statements of a function, but not of those inside."""
        args = function.args
        given = [one for one in (*args.posonlyargs, *args.args, *args.kwonlyargs)
                 if one.arg in self._names]  # fmt: skip
        body = [part for one in function.body for part in self._parts(one)]
        function.body = [*(_statement(one.arg, one) for one in given), *body]

    def _parts(self, statement: ast.stmt) -> list[ast.stmt]:
        made = self.visit(statement)
        return made if isinstance(made, list) else [made]

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        return node

    visit_AsyncFunctionDef = visit_ClassDef = visit_Lambda = visit_FunctionDef  # type: ignore[assignment]

    def _told(self, node: Any) -> Any:
        if node.value is None:  # ``n: int``
            return node
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        parts = [part for one in targets for part in (one, *nodes_outside_functions(one))]
        set_to = [one.id for one in parts
                  if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)]  # fmt: skip
        mine = dict.fromkeys(name for name in set_to if name in self._names)
        return _between(node, mine)

    visit_Assign = visit_AugAssign = visit_AnnAssign = _told

    def visit_Expr(self, node: ast.Expr) -> Any:
        """``rows.append(h)``."""
        added = getattr(getattr(node.value, "func", None), "value", None)
        if not isinstance(added, ast.Name) or added.id not in self._names:
            return node
        return _between(node, [added.id])


def _between(node: ast.stmt, names: Iterable[str]) -> list[ast.stmt]:
    """A statement, and around it what tells: that the function comes to it, and what it sets."""
    told = [_statement(name, node) for name in names]
    if not told:
        return [node]
    given: list[ast.expr] = [ast.Constant(None), ast.Constant("")]
    comes = ast.Expr(ast.Call(ast.Name(_TELL, ast.Load()), given, []))
    return [ast.fix_missing_locations(ast.copy_location(comes, node)), node, *told]


def _statement(name: str, where: Any) -> ast.stmt:
    """``name = tell(name, "name")``, at the place of another statement."""
    given: list[ast.expr] = [ast.Name(name, ast.Load()), ast.Constant(name)]
    called = ast.Call(ast.Name(_TELL, ast.Load()), given, [])
    made = ast.Assign([ast.Name(name, ast.Store())], called)
    return ast.fix_missing_locations(ast.copy_location(made, where))
