"""What one place holds in runs that took different ways: scopes, branches, and their outputs.

A scope belongs to the runs that went the same way; a branch splits a scope in two. A place in which
all runs have the same Value holds that; one in which they came by different ways holds an output of
the branch that parted them. Where the examples do not tell, it raises :class:`Misfit`. Pairs no
calls; that is :mod:`.branches`' matter.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import torch

from ..graph import numbers, tree
from ..graph.choice import Choice, closed, free_values
from ..graph.inputs import same_literal
from ..graph.nodes import Node, NumberType, TensorType, Value


class Misfit(Exception):
    """Runs that cannot be laid over each other; the text says where."""


class Scope:
    """What belongs to the same runs: straight calls, and the branches among them."""

    def __init__(self, runs: Sequence[int], parent: Scope | None, born: int) -> None:
        self.runs, self.parent, self.born = tuple(runs), parent, born
        self.made: dict[Value, int] = {}
        self.branches: list[Branch] = []
        self.nodes: list[Node] = []
        # A run and a Value of it from before this scope -> what the variables that held it mean.
        self.held: dict[tuple[int, Value], set[Value | None]] = {}

    def age(self, value: Value) -> int:
        """When a Value was made; never, for one from inside a branch."""
        scope: Scope | None = self
        while scope is not None:
            if value in scope.made:
                return scope.made[value]
            scope = scope.parent
        return -1

    def sees(self, value: Value) -> bool:
        """Whether a Value exists here: made in this scope, or around it before it began."""
        scope: Scope | None = self
        limit: float = float("inf")
        while scope is not None:
            if scope.made.get(value, limit) < limit:
                return True
            limit, scope = scope.born, scope.parent
        return False

    @property
    def after_a_branch(self) -> bool:
        """Whether the runs here took different ways before."""
        scope: Scope | None = self
        while scope is not None:
            if scope.branches:
                return True
            scope = scope.parent
        return False


class Branch:
    """An ``if`` node to be: its two scopes, and the outputs asked for so far."""

    def __init__(self, node: Node, then: Scope, otherwise: Scope, born: int) -> None:
        self.node, self.then, self.otherwise, self.born = node, then, otherwise, born
        self.outputs: dict[tuple[Value, Value], Value] = {}


class Ways:
    """The Values of several runs, and what stands for them in one graph.

    Attributes:
        env: per run: its Values -> those of the one graph.
        written: per open body: numbers that were written down there.
        constants: of the one graph.
    """

    def __init__(self, runs: int) -> None:
        self.env: list[dict[Value, Value]] = [{} for _ in range(runs)]
        self.written: list[dict[Any, Value]] = [{}]
        self.constants: dict[Value, torch.Tensor] = {}
        self.clock = 0

    def tick(self) -> int:
        self.clock += 1
        return self.clock

    def new(self, type: TensorType, producer: Node | None, scope: Scope) -> Value:
        made = Value("", type, producer)
        scope.made[made] = self.tick()
        return made

    def resolved(self, scope: Scope, parts: dict[int, Any], out: list[Node]) -> Any:
        return zipped(parts, lambda values: self.one(scope, values, out))

    def one(self, scope: Scope, values: dict[int, Any], out: list[Node]) -> Value:
        """The Value that stands for what each run has in one place."""
        made = {r: self.env[r].get(value) for r, value in values.items()}
        first = next(iter(made.values()))
        if first is not None and all(one is first for one in made.values()) and scope.sees(first):
            return self._certain(scope, values, first)
        producers = {r: value.producer for r, value in values.items()}
        if all(node is not None and only_a_number(node) for node in producers.values()):
            try:
                return self._number(scope, producers, out)
            except Misfit:
                pass
        return self._certain(scope, values, self._came(scope, values))

    def _came(self, scope: Scope, values: dict[int, Any]) -> Value | None:
        """The output of the last branch by which these Values can have come."""
        around: Scope | None = scope
        limit: float = float("inf")
        while around is not None:
            for branch in reversed(around.branches):
                if branch.born < limit:
                    try:
                        return self._output(around, branch, values)
                    except Misfit:
                        continue
            limit, around = min(limit, around.born), around.parent
        return None

    def _certain(self, scope: Scope, values: dict[int, Any], found: Value | None) -> Value:
        """What a Value from before a block is in runs that came there by other ways.

        A block that only some runs show may read a variable that an earlier branch sets on the way
        they did not take. What the variables held at the condition, in all runs, decides.
        """
        if found is not None and not self._one_sided(scope, values, scope.age(found)):
            return found
        meant: set[Value | None] = set()
        for r, value in values.items():
            meant |= scope.held.get((r, value), set())
        if not meant and found is not None and found in self.constants:
            return found
        if len(meant) == 1 and None not in meant:
            return meant.pop()  # type: ignore[return-value]
        names = ", ".join(map(str, values.values()))
        raise Misfit(f"it is not certain what one place holds: {names}")

    def _one_sided(self, scope: Scope, runs: Collection[int], age: int) -> bool:
        """Whether the runs are all of one side of a branch that came after a Value was made."""
        around: Scope | None = scope
        limit: float = float("inf")
        while around is not None:
            for branch in around.branches:
                if age < branch.born < limit:
                    sides = [any(r in way.runs for r in runs)
                             for way in (branch.then, branch.otherwise)]  # fmt: skip
                    if sides.count(True) == 1:
                        return True
            limit, around = min(limit, around.born), around.parent
        return False

    def _number(self, scope: Scope, nodes: dict[int, Node], out: list[Node]) -> Value:
        """A number computed alike in all runs, written down here."""
        first = next(iter(nodes.values()))
        if len({node.target for node in nodes.values()}) > 1:
            raise Misfit(f"a number is computed otherwise: {first}")
        args = {
            name: self.resolved(scope, {r: node.args[name] for r, node in nodes.items()}, out)
            for name in first.args
        }
        key = (first.target, *((name, type(part), part) for name, part in args.items()))
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
        pair = [
            self.one(way, came, way.nodes) if came else None
            for way in ways
            if (came := {r: value for r, value in values.items() if r in way.runs}) or True
        ]
        then, otherwise = pair
        if then is None or otherwise is None:
            raise Misfit("what comes by the other way is not known")
        if then is otherwise:
            return then
        known = branch.outputs.get((then, otherwise))
        if known is not None:
            return known
        if not alike(then.type, otherwise.type):
            raise Misfit(f"{then!r} and {otherwise!r} come to the same place")
        lead = branch.then if scope.runs[0] in branch.then.runs else branch.otherwise
        made = Value("", (then if lead is branch.then else otherwise).type, branch.node)
        scope.made[made] = branch.born
        branch.outputs[then, otherwise] = made
        return made


def close(scope: Scope) -> None:
    """Turn branches into nodes, from the inside out."""
    for branch in scope.branches:
        close(branch.then)
        close(branch.otherwise)
        ways = [(branch.then.nodes, [a for a, _ in branch.outputs]),
                (branch.otherwise.nodes, [b for _, b in branch.outputs])]  # fmt: skip
        inputs = list(dict.fromkeys(v for way in ways for v in free_values(*way)))
        node = branch.node
        node.target = Choice(*(closed(nodes, outputs, inputs) for nodes, outputs in ways))
        node.args = {"condition": node.args["condition"], "inputs": tuple(inputs)}
        node.outputs = node.result = tuple(branch.outputs.values())


def only_a_number(node: Node) -> bool:
    return node.body is None and bool(node.outputs) and node.target in numbers.FUNCTIONS


def copied(node: Node, args: dict[str, Any]) -> Node:
    return Node(
        node.op, node.target, args, signature=node.signature, path=node.path, call=node.call,
        source=node.source,
    )  # fmt: skip


def alike(one: TensorType, other: TensorType) -> bool:
    if isinstance(one, NumberType) or isinstance(other, NumberType):
        return (
            isinstance(one, NumberType) and isinstance(other, NumberType) and one.kind is other.kind
        )
    return (one.dtype, len(one.shape), one.device) == (
        other.dtype, len(other.shape), other.device,
    )  # fmt: skip


def same_constant(one: torch.Tensor, other: torch.Tensor) -> bool:
    if one is other:
        return True
    plain = one.layout is torch.strided and other.layout is torch.strided
    if not plain or one.dtype != other.dtype or one.shape != other.shape:
        return False
    return one.device.type != "meta" and torch.equal(one, other)


def zipped(parts: dict[int, Any], leaf: Callable[[dict[int, Any]], Value]) -> Any:
    """Templates of several runs as one; ``leaf`` gets the Values of one place."""
    made: list[Value] = []
    for path, places in tree.zip(*parts.values(), leaf=Value, strict=True):
        first, *others = places
        if all(part.__class__ is Value for part in places):
            made.append(leaf(dict(zip(parts, places))))
        elif not all(
            part.__class__ is first.__class__ and (part is first or same_literal(part, first))
            for part in others
        ):
            shown = ", ".join(tree.show(part, Value) for part in places)
            raise Misfit(f"nothing explains what differs{f' at {path}' if path else ''}: {shown}")
    first, rest = next(iter(parts.values())), iter(made)
    one = tree.substitute(first, Value, lambda _: next(rest))
    if next(rest, None) is not None:
        raise Misfit("an object that stands at two places is two in another run")
    return one
