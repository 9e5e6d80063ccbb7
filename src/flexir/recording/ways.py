"""What one place holds in runs that took different ways: scopes, branches, and their outputs.

A scope belongs to the runs that went the same way; a branch splits a scope in two, and the body of
a loop is a scope whose runs are the rounds of all runs. A place in which all runs have the same
Value holds that; one in which they came by different ways holds an output of the branch that parted
them. Where the examples do not tell, it raises :class:`Misfit`. Pairs no calls; that is
:mod:`.branches`' matter. What a place holds from round to round is :mod:`.carried`'.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Set
from typing import Any

import torch

from ..graph import numbers
from ..graph.choice import Choice, alike, closed, free_values
from ..graph.nodes import Effects, Node, NumberType, TensorType, Value
from .alike import Misfit, Unsure, only_a_number, zipped
from .scopes import Branch, Scope
from .trace import derived_call


class Env(dict[Value, Value]):
    """What stands for the Values of a run, or of a round of one: then also for those around it."""

    def __init__(self, around: Env | None = None) -> None:
        self.around = around

    def get(self, value: Value, default: Any = None) -> Any:
        found = dict.get(self, value)
        if found is None and self.around is not None:
            return self.around.get(value, default)
        return default if found is None else found


class Ways:
    """The Values of several runs, and what stands for them in one graph.

    Attributes:
        env: per run: its Values -> those of the one graph.
        around: of a round of a loop: the run, or round of a loop around, that it is part of.
        written: per open body: numbers that were written down there.
        constants: of the one graph.
        ignored: runs of which it does not matter what a place holds.
        read: the variables that are read, or their functions and names, where that is known.
    """

    def __init__(self, runs: int) -> None:
        self.env: list[Env] = [Env() for _ in range(runs)]
        self.around: list[int | None] = [None] * runs
        self.written: list[dict[Any, Value]] = [{}]
        self.constants: dict[Value, torch.Tensor] = {}
        self.ignored: set[int] = set()
        self.read: Set[Any] = frozenset()
        # Of a Value that is read out of another where it is needed: how old that other one is.
        self.ages: dict[Value, int] = {}
        self.clock = 0
        self.left = 0  # how much may still be tried

    def spend(self, many: int = 1) -> None:
        """Raise Misfit where too much has been tried."""
        self.left -= many
        if self.left < 0:
            raise Misfit("too many ways to lay the runs over each other")

    def part(self, run: int) -> int:
        """One more round of a loop, as a run of its own."""
        self.env.append(Env(self.env[run]))
        self.around.append(run)
        return len(self.env) - 1

    def in_scope(self, scope: Scope, run: int) -> int | None:
        """The run of a scope that a run is, or is part of."""
        found: int | None = run
        while found is not None and found not in scope.members:
            found = self.around[found]
        return found

    def per_run(self, scope: Scope, values: dict[int, Any]) -> dict[int, Any]:
        """What the runs of a scope have, from what rounds inside have."""
        found: dict[int, Any] = {}
        for r, value in values.items():
            run = self.in_scope(scope, r)
            known = found.setdefault(run, value) if run is not None else None
            if known is not value and (known is None or known != value):
                raise Misfit(f"it is not the same in all rounds: {value}")
        return found

    def tick(self) -> int:
        """The next time, by which Values and scopes are ordered."""
        self.clock += 1
        return self.clock

    def new(self, type: TensorType, producer: Node | None, scope: Scope) -> Value:
        """A new Value of a scope, made now."""
        made = Value("", type, producer)
        scope.made[made] = self.tick()
        return made

    def resolved(self, scope: Scope, parts: dict[int, Any], out: list[Node]) -> Any:
        """A template of each run as one."""
        return zipped(
            parts,
            lambda values: self.one(scope, values, out),
            lambda lists: self.listed(scope, lists, out),
            lambda literals: self.literal(scope, literals, out),
        )

    # What :mod:`.carried` knows of rounds.

    def in_rounds(self, scope: Scope, values: dict[int, Any], out: list[Node]) -> Value | None:
        """What a place holds that is the same way in every round, if these Values are of rounds."""
        raise NotImplementedError

    def element(self, scope: Scope, values: dict[int, Any], out: list[Node]) -> Value | None:
        """An element of a list that has another length in another run, if these Values are such."""
        raise NotImplementedError

    def listed(self, scope: Scope, lists: dict[int, Any], out: list[Node]) -> Value | None:
        """The list of what rounds gave, if these lists are such."""
        raise NotImplementedError

    def literal(self, scope: Scope, literals: dict[int, Any], out: list[Node]) -> Any:
        """A number that differs, if a loop says how."""
        raise NotImplementedError

    def changed_at_last(self, scope: Scope, values: dict[int, Value]) -> Value | None:
        """What stands for something that is the same in all rounds, but not after the last."""
        raise NotImplementedError

    def parted(self, scope: Scope, entries: dict[int, Any]) -> Any:
        """A number that is not the same in all runs, from the branch that decided it."""
        raise NotImplementedError

    def turn(self, scope: Scope, nodes: dict[int, Node], out: list[Node]) -> Value | None:
        """The number of a round, if the loop is laid as one; None where it stays what it is."""
        raise NotImplementedError

    def final(self, scope: Scope, loop: Any, values: dict[int, Any]) -> Value:
        """What a place holds after a loop."""
        raise NotImplementedError

    def one(self, scope: Scope, values: dict[int, Any], out: list[Node]) -> Value:
        """The Value that stands for what each run has in one place."""
        made = {r: self.env[r].get(value) for r, value in values.items()}
        first = next(iter(made.values()))
        if first is not None and all(one is first for one in made.values()) and scope.sees(first):
            found = self.changed_at_last(scope, values)
            return self._certain(scope, values, first) if found is None else found
        producers = {r: value.producer for r, value in values.items()}
        if all(node is not None and only_a_number(node) for node in producers.values()):
            try:
                return self._number(scope, producers, out)
            except Misfit:
                return self.parted(scope, values)  # type: ignore[no-any-return]
        found = self.in_rounds(scope, values, out)
        if found is None:
            found = self._came(scope, values)
        if found is None:
            found = self.element(scope, values, out)
        return self._certain(scope, values, found)

    def _came(self, scope: Scope, values: dict[int, Any]) -> Value | None:
        """The output of the last branch by which these Values can have come."""
        limit: float = float("inf")
        for around in scope.outwards:
            for branch in reversed(around.branches):
                if branch.born < limit:
                    self.spend()
                    try:
                        if branch.__class__ is Branch:
                            return self._output(around, branch, values)
                        return self.final(around, branch, values)
                    except Unsure:
                        raise
                    except Misfit:
                        continue
            limit = min(limit, around.born)
        return None

    def _certain(self, scope: Scope, values: dict[int, Any], found: Value | None) -> Value:
        """What a Value from before a block is in runs that came there by other ways.

        A block that only some runs show may read a variable that an earlier branch sets on the way
        they did not take. What the variables held at the condition, in all runs, decides.
        """
        if found is not None:
            age = self.ages.get(found, scope.age(found))
            body = scope.body
            if body is not None and age < body.born and self._all_rounds(scope, values, body):
                try:  # whatever it is before the loop, it is the same in each of its rounds
                    outer = self.per_run(body.loop.scope, values)
                except Misfit:
                    outer = {}
                if outer:
                    return self._certain(body.loop.scope, outer, found)
            partial = self._partial(scope, values, age)
            if not self._one_sided(scope, values, age) and not partial:
                return found
        if found is None:
            meant = self.meant(scope, values, whole=True)
        else:
            meant = self.meant(scope, values, beyond=not partial)
        if not meant and found is not None and found in self.constants:
            return found
        if len(meant) == 1 and None not in meant:
            return meant.pop()  # type: ignore[return-value]
        names = ", ".join(map(str, values.values()))
        # What was there before, or several variables held, may be meant by any.
        kind = Misfit if found is None and len(meant - {None}) < 2 else Unsure
        raise kind(f"it is not certain what one place holds: {names}")

    def meant(
        self, scope: Scope, values: dict[int, Any], *, beyond: bool = False, whole: bool = False
    ) -> set[Value | None]:
        """What the variables that held these Values at the last condition hold in all runs.

        Args:
            scope: where they are read.
            values: what each run has.
            beyond: look also at conditions before the loops around.
            whole: what only some runs held there is not known.
        """
        for around in scope.outwards:
            found: set[Value | None] = set()
            for r, value in values.items():
                run = self.in_scope(around, r)
                if run is not None:
                    held = around.held.get((run, value), {})
                    read = [m for p, m in held.items() if p in self.read or p[:2] in self.read]
                    found.update(read or held.values() or ([None] if whole else []))
            if found - {None} or around.loop is not None and not beyond:
                return found
        return set()

    def _one_sided(self, scope: Scope, runs: Collection[int], age: int) -> bool:
        """Whether the runs are all of one side of a branch that came after a Value was made.

        Or only some of those that went through a loop, which may have put another in its place.
        """
        limit: float = float("inf")
        for around in scope.outwards:
            if self._leaves_out(around, runs, age, limit):
                return True
            limit = min(limit, around.born)
        return False

    def _leaves_out(
        self, around: Scope, runs: Collection[int], age: int, limit: float = float("inf")
    ) -> bool:
        """Whether the runs show only some ways through what came between two times in a scope."""
        for branch in (one for one in around.branches if age < one.born < limit):
            if branch.__class__ is not Branch:
                if around.members - {self.in_scope(around, r) for r in runs} - self.ignored:
                    return True
                continue
            ways = (branch.then, branch.otherwise)
            shown = [[r for r in runs if self.in_scope(way, r) is not None] for way in ways]
            unseen = [way for way, side in zip(ways, shown) if not side]
            if len(unseen) == 1 and unseen[0].members - self.ignored:
                return True
            if any(side and self._leaves_out(way, side, age) for way, side in zip(ways, shown)):
                return True
        return False

    def _all_rounds(self, scope: Scope, values: dict[int, Any], body: Scope) -> bool:
        """Whether all rounds of a loop read the same from before it."""
        seen = {self.in_scope(body, r) for r in values}
        return not (
            body.members - seen - self.ignored
            or self._one_sided(scope, values, body.born)
            or any(value in body.loop.made for value in values.values())
        )

    def _partial(self, scope: Scope, runs: Collection[int], age: int) -> bool:
        """Whether only some rounds of a loop read a Value from before it; others may hold more."""
        for body in scope.bodies:
            if body.born <= age:
                return False
            if body.members - {self.in_scope(body, r) for r in runs} - self.ignored:
                return True
        return False

    def _number(self, scope: Scope, nodes: dict[int, Node], out: list[Node]) -> Value:
        """A number computed alike in all runs, written down here."""
        first = next(iter(nodes.values()))
        if len({node.target for node in nodes.values()}) > 1:
            raise Misfit(f"a number is computed otherwise: {first}")
        if first.target is numbers.turn:
            found = self.turn(scope, nodes, out)
            if found is not None:
                return found
        args = {
            name: self.resolved(scope, {r: node.args[name] for r, node in nodes.items()}, out)
            for name in first.args
        }
        parts = {n: tuple(part) if type(part) is list else part for n, part in args.items()}
        key = (first.target, *((name, type(part), part) for name, part in parts.items()))
        for body in self.written[::-1]:
            if (known := body.get(key)) is not None and scope.sees(known):
                return known
        node = copied(first, args)
        made = self.new(first.outputs[0].type, node, scope)
        node.result, node.outputs = made, (made,)
        node.effects = first.effects
        out.append(node)
        self.written[-1][key] = made
        return made

    def _output(self, scope: Scope, branch: Branch, values: dict[int, Any]) -> Value:
        """The output of a branch for what came to it by both ways."""
        ways = (branch.then, branch.otherwise)
        pair = []
        for way in ways:
            came = {r: v for r, v in values.items() if self.in_scope(way, r) is not None}
            if not came:
                raise Misfit("what comes by the other way is not known")
            pair.append(self.one(way, came, way.nodes))
        made: Value = self.output(scope, branch, *pair)
        return made

    def output(self, scope: Scope, branch: Branch, then: Any, otherwise: Any) -> Any:
        """The output of a branch that is one thing or another: a Value or a literal."""
        if then is otherwise:
            return then
        key = (then.__class__, then, otherwise.__class__, otherwise)
        known = branch.outputs.get(key)
        if known is not None:
            return known[2]
        if then.__class__ is otherwise.__class__ is Value and not alike(then.type, otherwise.type):
            raise Misfit(f"{then!r} and {otherwise!r} come to the same place")
        lead = self.in_scope(branch.then, scope.runs[0]) is not None
        sides = (then, otherwise) if lead else (otherwise, then)
        plain = (bool, int, float)
        kinds = [NumberType(type(s), s) if s.__class__ in plain else getattr(s, "type", None)
                 for s in sides]  # fmt: skip
        made = Value("", next(kind for kind in kinds if kind is not None), branch.node)
        scope.made[made] = branch.born
        branch.outputs[key] = then, otherwise, made
        return made


def guarded(
    compare: Callable[[Any, Any], bool], value: Value, shown: Any, where: Node | None = None
) -> Node:
    """A guard: a number is to what was shown as it was, at the line of a call."""
    node = derived_call(compare, {"input": value, "other": shown})
    node.result, node.effects = True, Effects(escape="branch")
    node.source = None if where is None else where.source
    return node


def close(scope: Scope) -> None:
    """Turn branches and loops into nodes, from the inside out."""
    for branch in scope.branches:
        if branch.__class__ is not Branch:
            branch.close()
            continue
        close(branch.then)
        close(branch.otherwise)
        ways = [(branch.then.nodes, [a for a, _, _ in branch.outputs.values()]),
                (branch.otherwise.nodes, [b for _, b, _ in branch.outputs.values()])]  # fmt: skip
        inputs = list(dict.fromkeys(v for way in ways for v in free_values(*way)))
        node = branch.node
        node.target = Choice(*(closed(nodes, outputs, inputs) for nodes, outputs in ways))
        node.args = {"condition": node.args["condition"], "inputs": tuple(inputs)}
        node.outputs = node.result = tuple(made for _, _, made in branch.outputs.values())


def is_number(part: Any) -> bool:
    """Whether it is a whole or floating number, or the Value of one."""
    return part.is_number if part.__class__ is Value else part.__class__ in (int, float)


def copied(node: Node, args: dict[str, Any]) -> Node:
    """The same call with other arguments, and no outputs yet."""
    return Node(
        node.op, node.target, args, signature=node.signature, path=node.path, call=node.call,
        source=node.source,
    )  # fmt: skip
