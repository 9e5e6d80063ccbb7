"""What a place holds from round to round of a loop, and after it.

The rounds of all runs are laid over each other as runs of their own. A Value that a place holds in
a round is the same as before the loop (invariant), was made in a round before (carried: the first
round has what stood there before the loop), or is an element of a list whose number follows the
number of the round. After a loop a place holds what the last round left there, or the list of what
every round gave. A whole number that differs is a line through the numbers of rounds. What is none
of these raises :class:`Misfit`.

Owns the loops to be; which calls are rounds is :mod:`.branches`' matter.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from ..graph import numbers
from ..graph.choice import alike
from ..graph.inputs import same_literal
from ..graph.nodes import Node, Value
from .alike import Misfit, Unsure
from .gathered import Gathering
from .looping import ANY, Looping, Slot, values_read
from .rounds import UNREAD
from .scopes import Branch, Scope
from .standing import Held
from .ways import is_number


class Loops(Gathering):
    """Ways, with the loops among them."""

    # -- in a round

    def in_rounds(self, scope: Scope, values: dict[int, Any], out: list[Node]) -> Value | None:
        """What comes into a round from the one before or from outside; None for all else."""
        body = scope.body
        if body is None:
            return None
        loop: Looping = body.loop
        rounds = {r: self.in_scope(body, r) for r in values}
        made = {r: loop.made.get(value) for r, value in values.items()}
        if any(made[r] is not None and made[r] == rounds[r] for r in values):
            return None  # it came by a branch of this round, or out of a loop in it
        if any(one is not None for one in made.values()):
            return self._carried(scope, loop, values)
        try:
            outer = self.per_run(loop.scope, values)
        except Misfit:
            return None
        return self.one(loop.scope, outer, loop.out)

    def changed_at_last(self, scope: Scope, values: dict[int, Value]) -> Value | None:
        loops = (body.loop for body in scope.bodies)
        changed = next((loop for loop in loops if self._is_changed(loop, values)), None)
        return None if changed is None else self._carried(scope, changed, values)

    def _is_changed(self, loop: Looping, values: dict[int, Value]) -> bool:
        """Whether a variable holds this in all rounds shown, and something else after the last."""
        try:
            column = self.per_run(loop.body, values)
        except Misfit:
            return False
        changed = [
            place for place in _places(loop.starts, column)
            if any(left.get(place, column[p]) is not column[p]
                   for r, left in loop.left.items() if (p := loop.lasts[r]) in column)
        ]  # fmt: skip
        return any(map(self.may_be_read, changed))

    def _carried(self, scope: Scope, loop: Looping, values: dict[int, Any]) -> Value:
        """What comes from the round before."""
        column = self.per_run(loop.body, values)
        missing = loop.body.members - column.keys() - self.ignored
        if missing:
            meant = self.meant(scope, values)
            if len(meant) == 1 and None not in meant:
                return meant.pop()  # type: ignore[return-value]
        fits = [slot for slot in loop.slots
                if all(slot.column.get(r) is value for r, value in column.items())]  # fmt: skip
        if fits and (len(fits) == 1 or not missing):
            return fits[0].param
        if missing:
            raise Misfit("only some rounds read what comes from the round before")
        return self._slot(loop, column).param

    def _slot(self, loop: Looping, column: dict[int, Value], like: Value | None = None) -> Slot:
        first = like or next(iter(column.values()))
        if not all(alike(value.type, first.type) for value in column.values()):
            raise Misfit(f"{first!r} is of another type in another round")
        slot = Slot(column, self.new(first.type, None, loop.body))
        loop.slots.append(slot)
        return slot

    def turn(self, scope: Scope, nodes: dict[int, Node], out: list[Node]) -> Value | None:
        """The number of a round, inside of the loop or after it; None if no loop is laid."""
        first = next(iter(nodes.values()))
        name, shown = first.args["loop"], {r: node.args["number"] for r, node in nodes.items()}
        if any(node.args["loop"] != name for node in nodes.values()):
            raise Misfit("it is the number of a round of one loop or another")
        for body in scope.bodies:
            loop: Looping = body.loop
            if loop.name == name:
                rounds = {r: self.in_scope(body, r) for r in nodes}
                if any(p is None or loop.place[p][1] + loop.skipped != shown[r]
                       for r, p in rounds.items()):  # fmt: skip
                    raise Misfit("it is not the number of this round")
                if not loop.skipped:
                    return loop.index
                args = {"input": loop.index, "other": loop.skipped}
                return self.emitted(scope, numbers.add, args, first.outputs[0].type, out)
        over = [loop for loop in self.loops if loop.name == name]
        if not over:
            if len(set(shown.values())) > 1:
                raise Misfit("it is the number of another round in another run")
            return None
        loop = over[-1]
        last = {r: loop.skipped + len(loop.rounds.get(run, ())) - 1 for r in nodes
                if (run := self.in_scope(loop.scope, r)) is not None}  # fmt: skip
        if last != shown or loop.node not in scope.nodes:
            raise Misfit("the number of a round is read after its loop")
        finals = {r: node.outputs[0] for r, node in nodes.items()}
        return self._bound(scope, loop, {}, finals)

    # -- after a loop

    def final(self, scope: Scope, loop: Any, values: dict[int, Any]) -> Value:
        """The output of a loop for Values that its rounds made and a call after it reads."""
        finals = self.per_run(loop.scope, values)
        if not any(value in loop.made for value in finals.values()):
            raise Misfit("it is not of this loop")
        for slot in loop.slots:
            same = [slot.finals[r] is v for r, v in finals.items() if r in slot.finals]
            output: Value | None = slot.output
            if output is not None and same and all(same):
                return output
        problem: Misfit | None = None
        read, places = self.read, {**_places(loop.after, finals), **_left_in(loop, finals)}
        if loop.grows or any(self.elements.get(value) for value in finals.values()):
            places = self._in_variables(places, values)
        for column in self._columns(loop, places, finals):
            slots = list(loop.slots)
            self.read = places.keys() or loop.live
            try:
                return self._bound(scope, loop, column, finals, is_kept=bool(places))
            except Misfit as error:
                # What was found on the way may be an output of a branch by now.
                loop.slots[:] = [s for s in loop.slots if s in slots or s.output is not None]
                problem = problem or error
            finally:
                self.read = read
        raise problem or Misfit("what a loop leaves in a place is not known")

    def _in_variables(
        self, places: Collection[Any], values: Mapping[int, Value]
    ) -> dict[Any, None]:
        """The places of a loop's last Values that the call which reads them may mean.

        They may be elements of a list, too.

        Raises:
            Misfit: it means none of these.
            Unsure: it may mean others as well.
        """
        read = self.places_read(values)
        found = {p: None for p in places if not _is_numbered(p) and self.may_be_read(p)}
        if read and not read & found.keys():
            raise Misfit("it is read out of a list")
        if read - found.keys():
            raise Unsure("it is what a loop left in a variable, and an element of a list")
        return found

    def _columns(
        self, loop: Looping, places: Collection[Any], finals: Mapping[int, Value]
    ) -> Iterator[Any]:
        """What a variable that is read after a loop may hold when its rounds begin."""
        starts = [loop.begun_with(place) for place in places]
        for slot in (one for one in loop.slots if one.output is None):
            if not places or any(_agree(slot.column, begun) for begun in starts):
                yield slot
        yield from starts
        if any(place[1] not in loop.source.targets for place in places if loop.source):
            return  # a variable keeps it, and what that holds in earlier rounds is not known
        if all(loop.made.get(v) in (None, loop.lasts.get(r)) for r, v in finals.items()):
            yield {}  # else no variable kept it since: it is an element of a list

    def _bound(
        self, scope: Scope, loop: Looping, column: Any, finals: dict[int, Value],
        is_kept: bool = True,
    ) -> Value:  # fmt: skip
        """The output of a loop.

        Args:
            scope: where it is read.
            loop: the loop.
            column: what stands in its place when rounds begin.
            finals: what stood there at the end of each run.
            is_kept: the place is known.
        """
        like = next(iter(finals.values()))
        slot = column if column.__class__ is Slot else self._slot(loop, column, like)
        if not alike(slot.param.type, like.type):
            raise Misfit(f"{like!r} is of another type than what rounds begin with")
        following = self._next(loop, self._left_by_rounds(loop, slot.column, finals))
        if not slot.column and _is_of_some_rounds(loop.body, following):
            raise Misfit("what a loop leaves was not made by all of its rounds")
        if not (is_kept or slot.column or self._is_shown_at_last(loop, finals)):
            raise Misfit("what a loop leaves in a place is not known of all ways of its rounds")
        slot.next, slot.finals = following, finals
        slot.output = Value("", like.type, loop.node)
        loop.scope.made[slot.output] = loop.born
        return slot.output

    def _is_shown_at_last(self, loop: Looping, finals: Mapping[int, Value]) -> bool:
        """Whether last rounds made what is left, or went over it, and went all ways that are."""
        for r, value in finals.items():
            if loop.lasts.get(r, -1) not in (loop.made.get(value), loop.rows.get(value)):
                return False
        lasts = {*loop.lasts.values()}
        return all(
            {self.in_scope(loop.body, r) for r in way.members} & lasts for way in _ways(loop.body)
        )

    def _left_by_rounds(
        self, loop: Looping, column: dict[int, Value], finals: Any
    ) -> dict[int, Any]:
        """What stands in a place when each round is over; ANY where it is unused.

        Where the variable is known that it is, what that holds, whether it is read or not: in
        rounds that no example shows it may be.
        """
        ends = loop.shifted(column, finals)
        place = next(iter(_places(loop.starts, column)), None) if column else None
        if place is None:
            return ends
        return {p: loop.held_after(p, place) if end is ANY else end for p, end in ends.items()}

    def _next(self, loop: Looping, ends: dict[int, Any]) -> Any:
        """What a round leaves in a place for the next."""
        before = self.ignored
        self.ignored = before | {r for r, one in ends.items() if one is ANY}
        try:
            return self.mixed(loop.body, ends, loop.body.nodes)
        finally:
            self.ignored = before

    def mixed(self, scope: Scope, entries: dict[int, Any], out: list[Node]) -> Any:
        """What one place holds where some runs have a Value in it and others a literal, or ANY."""
        known = {r: one for r, one in entries.items() if one is not ANY}
        if not known:
            return None
        first = next(iter(known.values()))
        problem: Misfit | None = None
        try:
            if all(one.__class__ is Value for one in known.values()):
                return self.one(scope, known, out)
            if all(
                one.__class__ is not Value and same_literal(one, first) for one in known.values()
            ):
                return first
            if all(one.__class__ is int for one in known.values()):
                return self.on_a_line(scope, known, out)
        except Unsure:
            raise  # another branch would fit by chance
        except Misfit as error:
            problem = error
        if all(map(is_number, known.values())):
            return self.parted(scope, entries)
        for branch in reversed(scope.branches):
            if branch.__class__ is not Branch:
                continue
            try:
                pair = self.by_ways(branch, entries)
            except Unsure:
                raise
            except Misfit as error:
                problem = problem or error
                continue
            if (
                branch.node.args["condition"].__class__ is Value
                and pair == [True, False] and all(isinstance(one, bool) for one in pair)
            ):  # fmt: skip
                return branch.node.args["condition"]
            if pair[0] is not pair[1]:
                return self.output(scope, branch, *pair)
        raise problem or Misfit("what rounds leave in a place has no condition")

    def by_ways(self, branch: Branch, entries: dict[int, Any]) -> list[Any]:
        """What one place holds that runs came to by either way of a branch."""
        ways = (branch.then, branch.otherwise)
        sides = [{r: one for r, one in entries.items() if self.in_scope(way, r) is not None}
                 for way in ways]  # fmt: skip
        if not all(sides):
            raise Misfit("what comes by the other way is not known")
        return [self.mixed(way, side, way.nodes) for way, side in zip(ways, sides)]

    def outcome(self, scope: Scope, value: Any, run: int) -> Any:
        """What a truth value, made of conditions as ``mixed`` makes it, was in one run."""
        if value.__class__ is not Value:
            return value
        for branch in scope.branches:
            if branch.__class__ is not Branch:
                continue
            if value is branch.node.args["condition"]:
                return run in branch.then.members
            for then, otherwise, made in branch.outputs.values():
                if made is value:
                    if run in branch.then.members:
                        return self.outcome(branch.then, then, run)
                    return self.outcome(branch.otherwise, otherwise, run)
        return None

    # -- the end

    def seal(self, root: Scope, results: Sequence[Value]) -> None:
        """Find out what loops carry in the places that are read."""
        while True:
            read = values_read(root) | set(results)
            for loop in sorted(self.loops, key=lambda one: -one.born):
                todo = [slot for slot in loop.slots if not slot.sealed
                        and (slot.output is not None or slot.param in read)]  # fmt: skip
                if todo:
                    self._seal(loop, todo[0])
                    break
            else:
                return

    def _seal(self, loop: Looping, slot: Slot) -> None:
        slot.sealed = True
        if slot.output is None:
            self.read = _places(loop.starts, slot.column).keys()
            try:
                slot.next = self._next(loop, self._left_by_rounds(loop, slot.column, {}))
            finally:
                self.read = frozenset()
        parts = {r: slot.column[rounds[0]] for r, rounds in loop.rounds.items()
                 if rounds[0] in slot.column}  # fmt: skip
        parts.update((r, v) for r, v in slot.finals.items() if r not in loop.rounds)
        if parts:
            self.written.append({})
            self.until = loop.born
            try:
                slot.initial = self.one(loop.scope, parts, loop.out)
            finally:
                self.written.pop()
                self.until = float("inf")


def _is_of_some_rounds(body: Scope, value: Any) -> bool:
    """Whether only one way of a branch gives something."""
    for branch in body.branches:
        if branch.__class__ is Branch:
            for then, otherwise, made in branch.outputs.values():
                if made is value:
                    return any(one is None or _is_of_some_rounds(way, one) for way, one in
                               ((branch.then, then), (branch.otherwise, otherwise)))  # fmt: skip
    return False


def _ways(scope: Scope) -> Iterator[Scope]:
    """The ways of the branches of a scope, and of those inside these."""
    for branch in scope.branches:
        for way in (
            (branch.then, branch.otherwise) if branch.__class__ is Branch else (branch.body,)
        ):
            if branch.__class__ is Branch:
                yield way
            yield from _ways(way)


def _is_numbered(place: Sequence[Any]) -> bool:
    """Whether a place is an element of a list, which may be one of another number elsewhere."""
    return any(isinstance(key, int) for key in place[2:])


def _agree(one: Mapping[int, Value], other: Mapping[int, Value]) -> bool:
    """Whether two places may be one."""
    return all(other[p] in (value, UNREAD) for p, value in one.items() if p in other)


def _left_in(loop: Looping, finals: Mapping[int, Value]) -> dict[Any, None]:
    """The variables that hold these Values when a loop is over."""
    rows = [loop.left[r] for r in finals if r in loop.left]
    first = rows[0] if len(rows) == len(finals) else {}
    return {p: None for p in first if all(loop.left[r].get(p) is v for r, v in finals.items())}


def _places(held: Mapping[int, Held | None], values: Mapping[int, Value]) -> dict[Any, None]:
    """The variables that hold these Values, in all of these runs of which it is known."""
    known = {r: one.tensors for r, one in held.items() if one is not None and r in values}
    places = dict.fromkeys(
        p for r, kept in known.items() for p, v in kept.items() if v is values[r]
    )
    return {p: None for p in places if all(kept.get(p) is values[r] for r, kept in known.items())}
