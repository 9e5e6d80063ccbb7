"""What became of lists in one run, as calls: an empty list, and one that gives each longer one.

The calls stand between those that were recorded, in the rounds in which Python did what they say.
Owns where they go and what they are; puts none of them there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from types import CodeType
from typing import Any, NamedTuple

from ..graph.lists import joined
from ..graph.nodes import ListType, Node, TensorType, Value
from ..graph.source import Source
from .between import Step
from .comparable import IN_GRAPH
from .own_lists import ASKED
from .rounds import Execution, Turn
from .runs import Recorded
from .standing import Held
from .told_lists import Elements, Moment, Told
from .trace import derived_call
from .ways import only_a_number

Chain = tuple[tuple[list[Node], Node], ...]  # from the outside in: a list of calls, and one of it


def appended(input: Sequence[Any], other: Any) -> list[Any]:
    """A list with one more element."""
    return [*input, other]


class Place(NamedTuple):
    """Where a new call goes.

    Attributes:
        nodes: the calls among which it stands.
        before: the place in them before which it does.
        node: the call.
    """

    nodes: list[Node]
    before: int
    node: Node


class ListCalls:
    """The calls of one run.

    Attributes:
        places: where they go, in order.
        turns: call -> the rounds it stands in.
        standing: call -> what is held there; of recorded calls with lists as Values.
        lists: Value of a list -> its elements.
        versions: function and variable -> the lists it held.
        at: recorded call -> variable of the function that makes it -> the list it holds.
        begins: loop -> variables that held lists when it began.
        ends: loop -> function and variable -> the list it holds in the end.
    """

    def __init__(self, run: Recorded) -> None:
        self._run = run
        self.places: list[Place] = []
        self.turns = dict(run.turns)
        self.standing = dict(run.standing)
        self.lists: dict[Value, Elements] = {}
        self.versions: dict[tuple[CodeType, str], list[Value]] = {}
        self.at: dict[Node, dict[str, Value]] = {}
        self.begins: dict[Execution, dict[str, Value]] = {}
        self.ends: dict[Execution, dict[tuple[str, str], Value]] = {}
        self._chains: dict[Node, Chain] = {}
        self._chain(run.graph.nodes, ())

    def _chain(self, nodes: list[Node], around: Chain) -> None:
        for node in nodes:
            self._chains[node] = (*around, (nodes, node))
            if node.body is not None:
                self._chain(node.body, self._chains[node])

    def follow(
        self,
        code: CodeType,
        kinds: Mapping[str, TensorType],
        unread: Set[str],
        row: Sequence[Told],
    ) -> dict[str, Value]:
        """Write down what became of the lists in one call of a function.

        Args:
            code: the function.
            kinds: variable -> the type of an element.
            unread: variables of unused lists.
            row: what became of them, recorded call after recorded call.

        Returns:
            the lists in the end.
        """
        depth = self._depth([one.after.node for one in row if one.after.node is not None])
        now: dict[str, Value] = {}
        for one in row:
            after = one.after
            for step, values in _added(one):
                turns = (*after.around, *_turns(step, one))
                self._sees(turns, now, code)
                name, source = (
                    step.site.name,
                    Source(code.co_filename, step.site.line, code.co_name),
                )
                place = self._place(one, depth, turns)
                if step.site.many is not None:
                    empty = ListType(0, kinds[name])
                    now[name] = self._call(joined, {"parts": ()}, empty, source, place, turns)
                    self.lists[now[name]] = ()
                    self.versions.setdefault((code, name), []).append(now[name])
                for value in values:
                    whole = now[name]
                    more = (*self.lists[whole], value)
                    args, kind = {"input": whole, "other": value}, ListType(len(more), kinds[name])
                    made = self._call(appended, args, kind, source, place, turns)
                    if after.node and turns == self.turns.get(after.node, ())[: len(turns)]:
                        self.standing[self.places[-1].node] = _held(after, now)
                    now[name] = made
                    self.lists[made] = more
                    self.versions[code, name].append(made)
                self._sees(turns, now, code)
            if one.before is not None:
                self._over(one, code)
            if after.node is None:
                continue
            self._sees(self.turns.get(after.node, ()), now, code)
            held = {name: now[name] for name in after.lists}
            self.standing[after.node] = _with_lists(
                self.standing[after.node], after.number, held, kinds.keys() | unread
            )
            if not after.number:
                self.at[after.node] = held
        for turn in row[-1].after.at.turns:
            self.ends[turn.execution].clear()  # unknown
        return now

    def _sees(self, turns: Sequence[Turn], now: Mapping[str, Value], code: CodeType) -> None:
        """What the lists are in a round."""
        for turn in turns:
            self.begins.setdefault(turn.execution, dict(now))
            ends = self.ends.setdefault(turn.execution, {})
            ends.update({(code.co_name, name): value for name, value in now.items()})

    def _over(self, one: Told, code: CodeType) -> None:
        """Of loops that are over, only what lists that are still there hold in the end is known."""
        going = {turn.execution for turn in one.after.at.turns}
        for turn in one.before.at.turns if one.before is not None else ():
            if turn.execution not in going:
                kept = self.ends[turn.execution]
                for place in [p for p in kept if p[0] == code.co_name]:
                    if place[1] not in one.after.known:
                        del kept[place]

    def _depth(self, nodes: Sequence[Node]) -> int:
        """In how many lists of calls around all of these the function stands."""
        chains = [self._chains[node] for node in nodes]
        depth = 0
        while all(len(one) > depth + 1 for one in chains) and (
            len({one[depth][1] for one in chains}) == 1
        ):
            depth += 1
        return depth

    def _place(self, one: Told, depth: int, turns: Sequence[Turn]) -> tuple[list[Node], int]:
        """Where a call goes that stands in these rounds."""
        if one.after.node is not None:
            nodes, after = self._chains[one.after.node][depth]
            end = nodes.index(after)
            here = self.turns.get(one.after.node, ())[: len(turns)]
            if one.before is None or tuple(turns) == here:
                return nodes, end
        assert one.before is not None and one.before.node is not None
        nodes, before = self._chains[one.before.node][depth]
        end = end if one.after.node is not None else len(nodes)
        place, stood = nodes.index(before) + 1, self.turns.get(before, ())
        while place < end and (
            only_a_number(nodes[place]) or self.turns.get(nodes[place], ()) == stood
        ):
            place += 1
        return nodes, place

    def _call(
        self, function: Any, args: dict[str, Any], kind: ListType, source: Source,
        place: tuple[list[Node], int], turns: tuple[Turn, ...],
    ) -> Value:  # fmt: skip
        node = derived_call(function, args)
        like = place[0][min(place[1], len(place[0]) - 1)]
        node.source, node.path = source, like.path if like.body is None else ""
        made = Value("", kind, node)
        node.result, node.outputs = made, (made,)
        self.places.append(Place(*place, node))
        if turns:
            self.turns[node] = turns
        return made


def _added(one: Told) -> list[tuple[Step, Elements]]:
    """What became of lists between two calls, each with what was added then.

    What was made and thrown away in between is not known.
    """
    left = one.after.known
    over: set[str] = set()
    found: list[tuple[Step, Elements]] = []
    for step in reversed(one.way.steps):
        name = step.site.name
        if name in over or step.site.many == ASKED:
            continue
        if step.site.many is None:
            found.append((step, left[name][-1:]))
            left[name] = left[name][:-1]
        else:
            found.append((step, left[name]))
            over.add(name)
    return found[::-1]


def _turns(step: Step, one: Told) -> tuple[Turn, ...]:
    """The rounds that a step stands in."""
    begun = {here.begun: k for k, here in enumerate(one.way.rounds)}
    found = []
    for depth, here in enumerate(step.rounds):
        if here.begun < 0:
            assert one.before is not None
            execution = one.before.at.turns[depth].execution
        else:
            execution = one.after.at.turns[begun[here.begun]].execution
        found.append(Turn(execution, here.number))
    return tuple(found)


def _with_lists(held: Held, number: int, lists: Mapping[str, Value], names: Any) -> Held:
    """What is held at a call, with lists as Values."""
    function = held.frames[number].co_name
    places = {(function, name) for name in names}

    def without(kept: Mapping[Any, Any]) -> dict[Any, Any]:
        return {place: one for place, one in kept.items() if place[:2] not in places}

    plain = {place: IN_GRAPH if place[0] == number and place[1] in names else one
             for place, one in held.plain.items()}  # fmt: skip
    live = {(function, name): one for name, one in lists.items() if (number, name) in plain}
    read = {(function, name): one for name, one in lists.items() if (number, name) not in plain}
    return held._replace(
        plain=plain, spent=without(held.spent),
        tensors={**without(held.tensors), **live}, taken={**without(held.taken), **read},
    )  # fmt: skip


def _held(after: Moment, now: Mapping[str, Value]) -> Held:
    """What is held where a list is added to, before a call."""
    held, number = after.held, after.number
    functions = {code.co_name for code in held.frames[number:]}
    whole = _with_lists(held, number, {n: one for n, one in now.items() if n in after.lists}, now)
    return whole._replace(
        frames=held.frames[number:], at=held.at[number:], beneath=False,
        plain={(n - number, name): one for (n, name), one in whole.plain.items() if n >= number},
        inside={(n - number, name): one for (n, name), one in held.inside.items() if n >= number},
        tensors={p: one for p, one in whole.tensors.items() if p[0] in functions},
        spent={}, taken={}, activations=held.activations[number:],
    )  # fmt: skip
