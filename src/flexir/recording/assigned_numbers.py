"""Numbers that variables were set to, in one graph: what is left of the calls that say so.

While runs are laid over each other, that a variable is set to a number is a call, so that loops
carry the number and branches give it like a tensor. In the graph it is the number itself.
Arithmetic of literals alone becomes a literal, and what loops count for nobody goes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from typing import Any

from ..graph import tree
from ..graph.lists import joined
from ..graph.nodes import Node, NumberType, Value
from ..graph.numbers import FUNCTIONS
from .alike import only_a_number
from .live import assigned
from .looping import calls_of, scopes_in
from .scopes import Branch, Scope
from .told_lists import appended


def as_they_are(root: Scope, results: Any) -> Any:
    """Put numbers in the place of calls that say that variables are set to them.

    Args:
        root: what holds the calls; changed.
        results: a template of what is read after it.

    Returns:
        the template, with the same done to it.
    """
    scopes = list(scopes_in(root))
    if not any(_has_some(nodes) for scope in scopes for nodes in calls_of(scope)):
        return results
    known: dict[Value, Any] = {}

    def one(value: Any) -> Any:
        while value in known:
            value = known[value]
        return value

    def meant(part: Any) -> Any:
        return tree.substitute(part, Value, one)

    while any([_replaced(nodes, known, meant) for one in scopes for nodes in calls_of(one)]):
        pass
    for branch in (branch for scope in scopes for branch in scope.branches):
        _say(branch, meant)
    results = meant(results)
    _drop_unread(scopes, results)
    return results


def _is_truth(value: Value) -> bool:
    return isinstance(value.type, NumberType) and value.type.kind is bool


def _has_some(nodes: Sequence[Node]) -> bool:
    return any(one.target in (assigned, appended) or _has_some(one.body or ()) for one in nodes)


def _only_gives(node: Node) -> bool:
    """Whether a call does nothing but give a number, or a list."""
    return only_a_number(node) or node.target in (appended, joined)


def _replaced(nodes: list[Node], known: dict[Value, Any], meant: Callable[[Any], Any]) -> bool:
    """Take out those of a list of calls of which it is known what they give."""
    left: list[Node] = []
    found = False
    for node in nodes:
        node.args = meant(node.args)
        if node.body is not None:
            found |= _replaced(node.body, known, meant)
            node.result = meant(node.result)
            node.outputs = tuple(node.returned)
        if node.target is assigned:
            known[node.outputs[0]] = node.args["input"]
        elif node.target not in FUNCTIONS or any(tree.leaves(node.args, Value)):
            left.append(node)
        elif not node.outputs and node.target(**node.args) == node.result:
            pass  # a guard that always holds
        elif only_a_number(node) and isinstance(node.result, Value) and not _is_truth(node.result):
            known[node.outputs[0]] = node.target(**node.args)
        else:
            left.append(node)
    found |= len(left) < len(nodes)
    nodes[:] = left
    return found


def _say(branch: Any, meant: Callable[[Any], Any]) -> None:
    """Let a branch or loop give and carry what is meant."""
    if branch.__class__ is Branch:
        branch.node.args = meant(branch.node.args)
        branch.outputs = {key: (meant(then), meant(otherwise), made)
                          for key, (then, otherwise, made) in branch.outputs.items()}  # fmt: skip
        return
    branch.count, branch.goes_on = meant(branch.count), meant(branch.goes_on)
    branch.gains = [(column, meant(gain), made) for column, gain, made in branch.gains]
    for slot in branch.slots:
        slot.initial, slot.next = meant(slot.initial), meant(slot.next)


def _drop_unread(scopes: Sequence[Scope], results: Any) -> None:
    """Drop numbers and lists of which nothing is made but others that nobody reads."""
    made_of: dict[Value, list[Any]] = {}
    waiting: list[Any] = [results]
    for scope in scopes:
        for nodes in calls_of(scope):
            _reads(nodes, made_of, waiting)
        for branch in scope.branches:
            if branch.__class__ is Branch:
                waiting.append(branch.node.args["condition"])
                for then, otherwise, made in branch.outputs.values():
                    made_of[made] = [then, otherwise]
                continue
            waiting += [branch.count, branch.goes_on]
            made_of.update((made, [gain]) for _, gain, made in branch.gains)
            for slot in branch.slots:
                for value in (slot.param, slot.output):
                    if value is not None:
                        made_of[value] = [slot.initial, slot.next]
    read: set[Value] = set()
    while waiting:
        for value in tree.leaves(waiting.pop(), Value):
            if value not in read:
                read.add(value)
                waiting += made_of.get(value, ())
    for scope in scopes:
        for nodes in calls_of(scope):
            _keep(nodes, read)
        for branch in scope.branches:
            branch.drop_unread(read)


def _reads(nodes: list[Node], made_of: dict[Value, list[Any]], waiting: list[Any]) -> None:
    """What calls read: in any case, or if what they give is read."""
    for node in nodes:
        if node.body is not None:
            _reads(node.body, made_of, waiting)
            waiting.append(node.result)
        if _only_gives(node):
            made_of[node.outputs[0]] = [node.args]
        else:
            waiting.append(node.args)


def _keep(nodes: list[Node], read: Set[Value]) -> None:
    """Keep calls that do something, and those whose number or list is read."""
    for node in nodes:
        if node.body is not None:
            _keep(node.body, read)
    nodes[:] = [one for one in nodes if not _only_gives(one) or one.outputs[0] in read]
