"""A loop while its runs are laid over each other: its rounds, what it carries, what it gives.

Plain data, and how it becomes a Node in the end. What is carried is found out by :mod:`.carried`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from types import CodeType
from typing import Any

from ..graph.choice import Loop, closed, free_values
from ..graph.nodes import Node, NumberType, Value
from .alike import Misfit
from .comparable import SCALARS
from .rounds import Execution
from .scopes import Scope
from .sources import LoopSource
from .standing import Held
from .ways import close

ANY: Any = object()  # it does not matter what stands there


class Slot:
    """What a loop carries in one place.

    Attributes:
        column: round -> what stands there when it begins.
        param: the Value of the body.
        finals: run -> what stands there after the loop, where that is read.
        output: the Value after the loop.
        initial: what stands there before the loop; unsealed: not known yet.
        next: what a round leaves there.
    """

    def __init__(self, column: dict[int, Value], param: Value) -> None:
        self.column, self.param = column, param
        self.finals: dict[int, Value] = {}
        self.output: Value | None = None
        self.initial: Any = None
        self.next: Any = None
        self.sealed = False


class Looping:
    """A ``loop`` node to be.

    Attributes:
        node: the node.
        scope: that it stands in.
        body: the scope of its rounds.
        count: how many rounds there are, if something says so.
        rounds: run -> its rounds in order.
        place: round -> run and number.
        made: Value of a run -> the round that made it.
        rows: Value of a run -> the round whose own variable, of those it goes over, it was.
        index: the Value that is the number of the round.
        starts: round -> what the variables hold at its first call.
        begun: round -> what those that are read after the loop hold when it begins.
        after: run -> what they hold after the loop.
        left: run -> what variables that go from round to round hold at its end.
        out: nodes that come before the loop.
        names: its own variables that hold no tensor.
        changing: other variables that are not the same in all rounds -> what they hold.
        live: function and variable, of those that may be read after it.
        grows: there are lists that only some rounds add to.
        grown: variables whose lists only some rounds add to.
        name: where it is written.
        code: of the function it stands in.
        source: as it is written.
        skipped: how many rounds stand before it.
    """

    def __init__(self, node: Node, scope: Scope, body: Scope, count: Any) -> None:
        self.node, self.scope, self.body, self.count = node, scope, body, count
        self.born = 0
        self.rounds: dict[int, list[int]] = {}
        self.place: dict[int, tuple[int, int]] = {}
        self.made: dict[Value, int] = {}
        self.rows: dict[Value, int] = {}
        self.index = Value("", NumberType(int, 0))
        self.slots: list[Slot] = []
        self.gains: list[tuple[dict[int, Value], Any, Value]] = []
        self.starts: dict[int, Held | None] = {}
        self.begun: dict[int, Mapping[Any, Value]] = {}
        self.after: dict[int, Held | None] = {}
        self.left: dict[int, Mapping[Any, Value]] = {}
        self.out: list[Node] = []
        self.goes_on: Any = True
        self.ends: tuple[str, ...] = ()
        self.least = 0
        self.grows = False
        self.name, self.skipped = "", 0
        self.grown: set[str] = set()
        self.names: set[str] = set()
        self.changing: dict[str, set[Any]] = {}
        self.code: CodeType | None = None
        self.source: LoopSource | None = None
        self.live: Set[tuple[str, str]] = frozenset()
        self.nodes: list[Node] = []  # the list it stands in

    def begins(self, rounds: Sequence[int], execution: Execution, since: int) -> None:
        """Rounds begin with what was seen of them in a run.

        Args:
            rounds: its rounds.
            execution: of the loop in the run.
            since: the number of the first of these.
        """
        self.begun.update(zip(rounds, execution.begun[since:]))
        for part, rows in zip(rounds, execution.rows[since:]):
            self.rows.update(dict.fromkeys(rows, part))
            self.made.update(dict.fromkeys(rows, part))

    def mark(self) -> Any:
        """What it carries and gives so far, for :meth:`back_to`."""
        return list(self.gains), list(self.out), [(s, dict(vars(s))) for s in self.slots]

    def back_to(self, mark: Any) -> None:
        """Forget what was found since."""
        gains, out, slots = mark
        self.gains[:] = gains
        if self.out is not self.nodes:
            self.out[:] = out
        self.slots[:] = [slot for slot, _ in slots]
        for slot, known in slots:
            vars(slot).update(known)

    @property
    def lasts(self) -> dict[int, int]:
        """Run -> its last round."""
        return {r: rounds[-1] for r, rounds in self.rounds.items()}

    def places_in(
        self, whole: Value, elements: Mapping[Value, Sequence[tuple[Value, int, int]]]
    ) -> dict[int, int]:
        """Round -> the number of its row in a list that the loop goes over."""
        return {p: one[1] for value, p in self.rows.items()
                for one in elements.get(value, ()) if one[0] is whole}  # fmt: skip

    def tells(self, name: str, rounds: Collection[Any], shown: Set[Any]) -> bool:
        """Whether rounds show what a variable that changes does: they begin with other values."""
        if not any(one[0] in SCALARS for one in shown):
            return True  # no call is given it as it is
        found = set()
        for part in rounds:
            held = self.starts.get(part)
            if held is not None and self.code in held.frames:
                found.add(held.plain.get((held.frames.index(self.code), name)))
        return len(found) != 1

    def alone_has(self, whole: Value, rows: Mapping[int, Any], readings: Iterable[Any]) -> bool:
        """Whether a list is the loop's alone, so that its rows come by themselves, none chosen.

        Args:
            whole: the list.
            rows: round -> what stands there of the list.
            readings: what variables hold where that is read, for each round.
        """
        node, own = whole.producer, self.source
        if node is None or own is None or len(own.targets) != 1 or not own.alone_has(node.source):
            return False
        name = self.code.co_name if self.code is not None else ""
        return all(
            self.made.get(row) == part
            and held is not None
            and {place for place, one in held.read.items() if one is row} <= {(name, *own.targets)}
            for (part, row), held in zip(rows.items(), readings)
        )

    def held_after(self, part: int, place: Any) -> Any:
        """What a variable holds when a round is over; ANY if that is not known."""
        r, number = self.place[part]
        if number + 1 == len(self.rounds[r]):
            return self.left[r].get(place, ANY)
        return self.held_at(self.rounds[r][number + 1], place) or ANY

    def held_at(self, part: int, place: Any) -> Value | None:
        """What a variable holds when a round begins, if that is known."""
        held = self.starts[part]
        found = None if held is None else held.tensors.get(place)
        return found or self.begun.get(part, {}).get(place)

    def begun_with(self, place: Any) -> dict[int, Value]:
        """Round -> what a variable holds when it begins, where that is known."""
        held = {part: self.held_at(part, place) for part in self.starts}
        return {part: value for part, value in held.items() if value is not None}

    def shifted(self, column: Mapping[int, Any], finals: Mapping[int, Any]) -> dict[int, Any]:
        """What a place holds at the end of each round, from what it holds when rounds begin."""
        found: dict[int, Any] = {}
        for r, rounds in self.rounds.items():
            for k, one in enumerate(rounds):
                last = k + 1 == len(rounds)
                found[one] = finals.get(r, ANY) if last else column.get(rounds[k + 1], ANY)
        return found

    def values(self) -> Iterator[Value]:
        """The Values it reads, as far as they are known."""
        parts = [self.count, self.goes_on, *(gain for _, gain, _ in self.gains)]
        parts += [part for slot in self.slots if slot.sealed for part in (slot.initial, slot.next)]
        parts += [slot.next for slot in self.slots if slot.output is not None]
        yield from (part for part in parts if part.__class__ is Value)

    def drop_unread(self, read: Set[Value]) -> bool:
        """Drop what it leaves in unused places; returns whether there was any."""
        slots = [slot for slot in self.slots if slot.param in read or slot.output in read]
        gains = [gain for gain in self.gains if gain[2] in read]
        dropped = len(slots) < len(self.slots) or len(gains) < len(self.gains)
        self.slots, self.gains = slots, gains
        return dropped

    def close(self) -> None:
        """Turn it into its node."""
        close(self.body)
        slots = [slot for slot in self.slots if slot.sealed]
        outputs = [self.goes_on, *(s.next for s in slots), *(gain for _, gain, _ in self.gains)]
        first = (self.index, *(slot.param for slot in slots))
        free = free_values(self.body.nodes, outputs)
        inputs = [value for value in free if value not in first]
        node = self.node
        block = closed(self.body.nodes, outputs, inputs, first)
        node.target = Loop(block, self.ends, self.least)
        node.args = {"count": self.count, "carried": tuple(s.initial for s in slots),
                     "inputs": tuple(inputs)}  # fmt: skip
        left = [slot.output or Value("", slot.param.type) for slot in slots]
        node.outputs = node.result = (*left, *(made for _, _, made in self.gains))
        for value in node.outputs:
            value.producer = node
        place = self.nodes.index(node)
        self.nodes[place:place] = self.out


def is_decided(scope: Scope, age: float) -> bool:
    """Whether ways parted in a scope since then, in a loop or not."""
    return any(
        branch.born > age and (branch.__class__ is not Looping or is_decided(branch.body, -1))
        for branch in scope.branches
    )


def is_decided_since(scope: Scope, value: Value) -> bool:
    """Whether ways parted since a Value was made, in a scope or before it."""
    age = scope.age(value)
    return any(
        is_decided(around, age) or around.before is not None and around.born > age
        for around in scope.outwards
    )


def recorded_count(count: Any) -> int:
    """How many rounds a run's own count says."""
    if count.__class__ is Value:
        if count.is_list:
            return int(count.type.shape[0])
        assert isinstance(count.type, NumberType)
        return int(count.type.recorded)
    return len(count) if isinstance(count, list) else int(count)


def scopes_in(root: Scope) -> Iterator[Scope]:
    """A scope and all inside."""
    stack = [root]
    while stack:
        scope = stack.pop()
        yield scope
        for branch in scope.branches:
            inside = isinstance(branch, Looping)
            stack += [branch.body] if inside else [branch.then, branch.otherwise]


def calls_of(scope: Scope) -> Iterator[list[Node]]:
    """The lists of calls of a scope: its own, and what comes before its loops."""
    yield scope.nodes
    for branch in scope.branches:
        if isinstance(branch, Looping):
            yield branch.out


def values_read(root: Scope) -> set[Value]:
    """All Values that something in a scope reads, as far as is known."""
    found: set[Value] = set()
    for scope in scopes_in(root):
        stack = [node for nodes in calls_of(scope) for node in nodes]
        for branch in scope.branches:
            if isinstance(branch, Looping):
                found.update(branch.values())
            else:
                for then, otherwise, _ in branch.outputs.values():
                    found.update(v for v in (then, otherwise) if isinstance(v, Value))
        while stack:
            node = stack.pop()
            found.update(node.inputs)
            if node.body is not None:
                found.update(node.returned)
                stack += node.body
    return found


def drop_unread(root: Scope, results: Sequence[Value], derived: set[Node]) -> None:
    """Remove unused derived calls: they may fail where no call of the model did.

    And unused outputs of branches and loops, which may be the only use of such calls.

    Args:
        root: what holds them.
        results: Values that are read after it.
        derived: calls that no run made.
    """
    dropped = True
    while dropped:
        read = values_read(root) | set(results)
        dead = {node for node in derived if not any(value in read for value in node.outputs)}
        derived -= dead
        dropped = bool(dead)
        for scope in scopes_in(root):
            for branch in scope.branches:
                dropped |= branch.drop_unread(read)
            stack = list(calls_of(scope)) if dead else []
            while stack:
                nodes = stack.pop()
                stack += [node.body for node in nodes if node.body is not None]
                nodes[:] = [node for node in nodes if node not in dead]


def like_pattern(pattern: list[tuple[Any, list[Any]]], segments: list[Any]) -> list[Any]:
    """Segments with empty ones where a loop of the pattern gave nothing."""
    left, found = list(segments), []
    for source, _ in pattern:
        if left and left[0][0] is source:
            found.append(left.pop(0))
        elif source:
            found.append((source, []))
    if left or len(found) != len(pattern):
        raise Misfit("it is no list of what rounds gave")
    return found
