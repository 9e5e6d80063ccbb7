"""Runs in which the lists of functions are Values: what is added to one gives another.

Python's ``append`` is no call of torch, so a straight graph says only what a list held where a call
was given it. Here each list that a function alone has becomes a Value from where it is made, with a
call for each element that is added, where Python did it. Then a loop carries a list, and a branch
gives one, as they do a tensor. Works on copies; what it changes in recorded calls it puts back.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Collection, Iterator, Mapping, Sequence
from types import CodeType
from typing import Any

from ..graph import numbers
from ..graph.choice import alike
from ..graph.nodes import Node, TensorType, Value
from .between import Between
from .list_calls import ListCalls
from .own_lists import Own, own_lists
from .rounds import Execution, Turn
from .runs import Recorded
from .sources import names_in
from .told_lists import Elements, Told, Unclear, followed
from .uses import united
from .variables import names_at, returned_by

Changed = list[tuple[Any, str, Any]]  # object, attribute, what it was


@contextlib.contextmanager
def lists_as_values(runs: Sequence[Recorded]) -> Iterator[list[Recorded]]:
    """Within, the runs with lists as Values; none where no function has any that are understood."""
    own = _understood(runs)
    changed: Changed = []
    try:
        yield [_rewritten(run, own, r, changed) for r, run in enumerate(runs)] if own else []
    finally:
        for one, name, before in reversed(changed):
            setattr(one, name, before)


class Understood:
    """The lists of one function, and what became of them in each run.

    Attributes:
        own: the lists.
        told: run -> what became of them, in each call of the function.
        kinds: variable -> the type of an element.
    """

    def __init__(self, own: Own, told: list[list[list[Told]]]) -> None:
        self.own, self.told = own, told
        self.kinds: dict[str, TensorType] = {}
        for one in (one for run in told for row in run for one in row):
            for name, elements in one.after.lists.items():
                for value in elements:
                    if not alike(value.type, self.kinds.setdefault(name, value.type)):
                        raise Unclear(name)
        for name in own.names - self.kinds.keys():  # nothing was ever added to it
            raise Unclear(name)


def _understood(runs: Sequence[Recorded]) -> dict[CodeType, Understood]:
    """The functions whose lists are understood in all runs."""
    kinds = united(run.kinds for run in runs)
    standing = [held for run in runs for held in run.standing.values()]
    found = {}
    for code in dict.fromkeys(code for held in standing for code in held.frames):
        own = own_lists(code, kinds.get(code, {}))
        at = {held.at[held.frames.index(code)] for held in standing if code in held.frames}
        dropped = set(own.unread)
        while own.names:
            mine = own.only(own.names - dropped)
            try:
                between = Between(code, mine.sites, at)
                found[code] = Understood(mine, [followed(run, code, mine, between) for run in runs])
                break
            except Unclear as unclear:
                if unclear.name is None:
                    break
                dropped.add(unclear.name)
    return found


def _rewritten(
    run: Recorded, own: Mapping[CodeType, Understood], number: int, changed: Changed
) -> Recorded:
    """A run with lists as Values."""
    calls = ListCalls(run)
    finals: dict[CodeType, dict[str, Value]] = {}
    for code, one in own.items():
        for row in one.told[number]:
            finals[code] = calls.follow(code, one.kinds, one.own.unread, row)

    def change(one: Any, name: str, value: Any) -> None:
        changed.append((one, name, getattr(one, name)))
        setattr(one, name, value)

    for node, lists in calls.at.items():
        held = run.standing[node]
        read = names_at(held.frames[0], held.at[0]) & lists.keys()
        if read:
            change(node, "args", _with_list(node.args, calls.lists, [lists[n] for n in read]))
    _lengths(run, own, calls, change)
    graph = copy.copy(run.graph)
    graph.nodes = _with_new(graph.nodes, calls, change)
    outermost = next((held.frames[-1] for held in run.standing.values() if held.frames), None)
    if outermost in finals:
        names = returned_by(outermost) & finals[outermost].keys()
        left = [finals[outermost][name] for name in names]
        graph.outputs = _with_list(graph.outputs, calls.lists, left)
    copies: dict[Execution, Execution] = {}
    turns = {node: tuple([Turn(_copied(turn.execution, own, calls, copies), turn.number)
                          for turn in row]) for node, row in calls.turns.items()}  # fmt: skip
    mine = {code: one.own.names | one.own.unread for code, one in own.items()}
    return run._replace(
        graph=graph, standing=calls.standing, turns=turns, lists=calls.lists, own=mine
    )


def _with_list(part: Any, lists: Mapping[Value, Elements], among: Collection[Value]) -> Any:
    """A template with the one list that has just these elements in their place."""
    cls = part.__class__
    if cls is list or cls is tuple:
        if part and all(one.__class__ is Value for one in part):
            same = [one for one in among if lists[one] == tuple(part)]
            if len(same) == 1:
                return same[0]
        return cls([_with_list(one, lists, among) for one in part])
    if cls is dict:
        return {key: _with_list(one, lists, among) for key, one in part.items()}
    return part


def _lengths(
    run: Recorded, own: Mapping[CodeType, Understood], calls: ListCalls, change: Any
) -> None:
    """Let ``len`` ask lists, not what they held."""
    asked = [versions for (code, name), versions in calls.versions.items()
             if name in own[code].own.asked]  # fmt: skip
    for node in run.graph.walk():
        if node.target is numbers.length and node.args["input"].__class__ is list:
            held = tuple(node.args["input"])
            same = [[v for v in versions if calls.lists[v] == held] for versions in asked]
            if len(same := [one for one in same if one]) == 1 and len(same[0]) == 1:
                change(node, "args", {"input": same[0][0]})


def _with_new(nodes: list[Node], calls: ListCalls, change: Any) -> list[Node]:
    """The calls of a run, with the new ones among them."""
    found: list[Node] = []
    new: dict[int, list[Node]] = {}
    for place in calls.places:
        if place.nodes is nodes:
            new.setdefault(place.before, []).append(place.node)
    for number, node in enumerate(nodes):
        found += new.get(number, ())
        if node.body is not None:
            change(node, "body", _with_new(node.body, calls, change))
        found.append(node)
    return found + new.get(len(nodes), [])


def _copied(
    execution: Execution,
    own: Mapping[CodeType, Understood],
    calls: ListCalls,
    copies: dict[Execution, Execution],
) -> Execution:
    """A loop that ran, with lists as Values in its variables."""
    known = copies.get(execution)
    if known is not None:
        return known
    made = copies[execution] = copy.copy(execution)
    mine = own.get(execution.code)
    names = mine.own.names | mine.own.unread if mine is not None else frozenset()
    for kind in ("before", "after", "set"):
        kept = getattr(execution, kind)
        setattr(made, kind, {name: one for name, one in kept.items() if name not in names})
    places = {(execution.code.co_name, name) for name in names}
    made.left = {p: one for p, one in execution.left.items() if p[:2] not in places}
    made.left.update(calls.ends.get(execution, {}))
    over = execution.loop.iterable
    if isinstance(execution.count, list) and over is not None:
        begins = calls.begins.get(execution, {})
        among = [begins[name] for name in names_in(over) & begins.keys()]
        made.count = _with_list(execution.count, calls.lists, among)
    return made
