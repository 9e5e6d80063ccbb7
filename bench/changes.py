"""Small changes to code that tests should notice: what ``bench mutants`` makes.

Owns what a change is, and what is none because only messages, types or sizes of objects change.
"""

from __future__ import annotations

import ast
import copy

_SWAPS = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE,
    ast.GtE: ast.Gt, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult, ast.Mod: ast.Add, ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr,
    ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip


def changes(node):
    """Ways to change one node: (what, the changed node)."""
    new = copy.deepcopy(node)
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _SWAPS:
        new.ops[0] = _SWAPS[type(node.ops[0])]()
        yield "other comparison", new
    elif isinstance(node, (ast.BinOp, ast.BoolOp)) and type(node.op) in _SWAPS:
        new.op = _SWAPS[type(node.op)]()
        yield "other operator", new
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield "no `not`", new.operand
    elif isinstance(node, (ast.If, ast.While, ast.IfExp)):
        new.test = ast.UnaryOp(ast.Not(), new.test)
        yield "condition turned round", new
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        new.value = not node.value
        yield "other constant", new
    elif isinstance(node, ast.Constant) and isinstance(node.value, int):
        new.value = node.value + 1
        yield "other constant", new
    elif isinstance(node, ast.Return) and node.value is not None:
        # Of an answer yes or no, the other one is a change of its own.
        if ast.unparse(node.value) not in ("None", "False"):
            new.value = ast.Constant(None)
            yield "returns None", new
    elif isinstance(node, (ast.Assign, ast.AugAssign)) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    ):
        yield "left out", ast.Pass()
    if isinstance(node, ast.Call) and node.keywords and not changes_nothing(node.keywords[-1]):
        new = copy.deepcopy(node)
        new.keywords.pop()
        yield "last keyword dropped", new


def changes_nothing(node):
    """Whether no change in a node is one that anybody could notice but in messages."""
    if isinstance(node, ast.If):
        return "TYPE_CHECKING" in ast.dump(node.test)
    if isinstance(node, ast.Assign):  # an object is larger, checkers of types complain
        return ast.unparse(node.targets[0]) in ("__slots__", "__all__")
    if isinstance(node, ast.keyword):  # of a field: what messages say of its record
        return node.arg == "repr"
    if isinstance(node, ast.Call):  # any seed is as good
        return ast.unparse(node.func).endswith(".manual_seed")
    return isinstance(node, (ast.Raise, ast.JoinedStr, ast.Assert))


class Places(ast.NodeTransformer):
    """Walks a module's tree in a fixed order; lists every change, or makes the one of a number."""

    def __init__(self, wanted: int | None = None) -> None:
        self.wanted, self.found = wanted, []

    def visit(self, node):
        if changes_nothing(node):
            return node
        for what, changed in changes(node):
            number = len(self.found)
            self.found.append((node.lineno, what))
            if number == self.wanted:
                for part in ast.walk(changed):
                    ast.copy_location(part, node)
                return changed
        return self.generic_visit(node)

    def visit_parts(self, node, names):
        for name in names:
            part = getattr(node, name)
            if isinstance(part, list):
                setattr(node, name, [self.visit(one) for one in part])
            elif part is not None:
                setattr(node, name, self.visit(part))
        return node

    def generic_visit(self, node):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):  # neither annotations nor decorators
            return self.visit_parts(node, ["body"])
        if isinstance(node, ast.AnnAssign):
            return self.visit_parts(node, ["value"])
        return super().generic_visit(node)
