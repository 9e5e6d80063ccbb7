"""Lists and numbers that a loop makes: what its rounds gave, and lines through their numbers.

A list of what every round gave is one Value, also where single Values and other lists stand around
it. An element of a list that has another length in another run is read by its number; a whole
number that differs is a line through the numbers of rounds. What is neither raises
:class:`Misfit`, or is left to be one thing after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch

from ..graph import numbers
from ..graph.choice import alike
from ..graph.lists import element, joined
from ..graph.nodes import ListType, Node, NumberType, Value
from .alike import Misfit
from .linear import Found, lines
from .looping import Looping, is_decided, is_decided_since, like_pattern
from .reading import Reading
from .scopes import Scope
from .trace import derived_call
from .ways import guarded


class Gathering(Reading):
    """Ways, with the lists and numbers of loops."""

    def __init__(self, runs: int) -> None:
        super().__init__(runs)
        # Element of a run's list -> such lists, its number in each, and how many there are.
        self.elements: dict[Value, tuple[tuple[Value, int, int], ...]] = {}
        # List -> where an element was read, what each run has there, and what stands for it.
        self.picked: dict[Value, list[tuple[Scope, Mapping[Any, Any], Value]]] = {}
        self.derived: set[Node] = set()  # derived calls, which no run made
        self.parts_numbers = False  # whether a number may be one by one way, another by another
        self.confirms = False  # whether a line must go through one case more than tells it
        self.until = float("inf")  # what is younger is not there yet where something is put

    def mixed(self, scope: Scope, entries: dict[int, Any], out: list[Node]) -> Any:
        """What one place holds where some runs have a Value in it and others a literal, or ANY."""
        raise NotImplementedError

    def refuse_if_chosen(self, places: Mapping[int, int], lengths: Mapping[int, int]) -> None:
        """Raise Misfit where a number that no call shows may have chosen an element of a list."""
        raise NotImplementedError

    def element(self, scope: Scope, values: dict[int, Any], out: list[Node]) -> Value | None:
        """The element of a list that these are, by its place; None if they are of no list."""
        found = self._known_elements(scope, values, out)
        return self._given_by_rounds(scope, values, out) if found is None else found

    def _given_by_rounds(
        self, scope: Scope, values: dict[int, Any], out: list[Node]
    ) -> Value | None:
        """An element of the list of what the rounds of an earlier loop gave, if there is one."""
        for around in scope.outwards:
            for loop in reversed(around.branches):
                if loop.__class__ is Looping and all(v in loop.made for v in values.values()):
                    lists = self._same_in_rounds(loop, values)
                    decided = is_decided(loop.body, -1) and not self.is_held_in_a_list(values)
                    if lists is None or decided:  # then it is not certain which round left it
                        return None
                    self._gain(loop, lists)
                    return self._known_elements(scope, values, out)
        return None

    def _same_in_rounds(
        self, loop: Looping, values: dict[int, Any]
    ) -> dict[int, Sequence[Any]] | None:
        """Run -> what each of its rounds has where some rounds have these Values."""
        stand = {self.env[loop.made[value]].get(value) for value in values.values()}
        one = stand.pop()
        if stand or one is None or one not in loop.body.made:
            return None
        found: dict[int, Sequence[Any]] = {}
        for r, rounds in loop.rounds.items():
            column = [next((v for v, s in self.env[part].items() if s is one), None)
                      for part in rounds]  # fmt: skip
            found[r] = [value for value in column if value is not None]
        return found

    def _known_elements(
        self, scope: Scope, values: dict[int, Any], out: list[Node]
    ) -> Value | None:
        found = {r: {one[0]: one for one in self.elements.get(value, ())}
                 for r, value in values.items()}  # fmt: skip
        first = next(iter(found.values()))
        common = [one for one in first if scope.sees(one) and scope.age(one) < self.until
                  and all(one in f for f in found.values())]  # fmt: skip
        for whole in common:
            places = {r: one[whole][1] for r, one in found.items()}
            chosen = not self.follows_rounds(scope, places) and is_decided_since(scope, whole)
            if chosen and not self.is_held_in_a_list(values):
                continue  # by a condition
            lengths = {r: one[whole][2] for r, one in found.items()}
            try:
                return self._picked(scope, whole, values, places, lengths, out)
            except Misfit:
                continue
        return None

    def follows_rounds(self, scope: Scope, places: Mapping[int, int]) -> bool:
        """Whether it is by the number of a round around that elements are read."""
        body = scope.body
        if body is None or len(set(places.values())) == 1:
            return False
        return any(len(set(kept.values())) > 1 for kept, _ in self.features(scope, places))

    def _picked(
        self, scope: Scope, whole: Value, values: dict[int, Any], places: dict[int, int],
        lengths: dict[int, int], out: list[Node],
    ) -> Value:  # fmt: skip
        """One element of a list, by its number; what stood for it where more runs came, if any."""
        for around, known, made in self.picked.get(whole, ()):
            here = all(known.get(self.in_scope(around, r)) is v for r, v in values.items())
            if here and scope.sees(made):
                return made
        body = scope.body
        rows = {} if body is None else {self.in_scope(body, r): v for r, v in values.items()}
        readings = [self.reading.get(r) for r in values]
        if body is None or not body.loop.alone_has(whole, rows, readings):
            self.refuse_if_chosen(places, lengths)
        at = scope
        if body is not None and all(body.loop.rows.get(v) == p for p, v in rows.items()):
            at, places, lengths = body, body.loop.places_in(whole, self.elements), {}
        if len(set(places.values())) == 1:
            index: Any = next(iter(places.values()))
        elif lengths and len({places[r] - lengths[r] for r in places}) == 1:
            index = next(places[r] - lengths[r] for r in places)
        else:
            index = self.on_a_line(at, places, out)
        node = whole.producer
        if node is None:
            raise Misfit("the list is no more")
        kind = next(iter(values.values())).type
        if node.op == "unbind":
            made = self.emitted(scope, torch.select, {**node.args, "index": index}, kind, out)
        else:
            made = self.emitted(scope, element, {"input": whole, "index": index}, kind, out)
        self.ages[made] = scope.age(whole)
        self.picked.setdefault(whole, []).append((scope, dict(values), made))
        return made

    def list_of(self, made: Value, lists: Iterable[Sequence[Value]]) -> None:
        """Note of which lists what runs had are elements."""
        for elements in lists:
            for k, one in enumerate(elements):
                known = tuple(o for o in self.elements.get(one, ()) if o[0] is not made)
                self.elements[one] = ((made, k, len(elements)), *known)

    def emitted(
        self, scope: Scope, function: Callable[..., Any], args: dict[str, Any], type: Any,
        out: list[Node],
    ) -> Value:  # fmt: skip
        """A derived call, which no run made."""
        key = (function, *((name, part.__class__, part) for name, part in args.items()))
        for body in reversed(self.written):
            known: Value | None = body.get(key)
            if known is not None and scope.sees(known):
                return known
        node = derived_call(function, args)
        made = self.new(type, node, scope)
        node.result, node.outputs = made, (made,)
        out.append(node)
        self.derived.add(node)
        self.written[-1][key] = made
        return made

    # -- whole numbers

    def features(
        self, scope: Scope, literals: Mapping[int, Any]
    ) -> list[tuple[dict[int, int], Value]]:
        """What whole numbers may follow: the numbers of rounds, and how many there are."""
        features: list[tuple[dict[int, int], Value]] = []
        for body in scope.bodies:
            loop: Looping = body.loop
            rounds = {r: self.in_scope(body, r) for r in literals}
            places = {r: loop.place[p] for r, p in rounds.items() if p is not None}
            features.append(({r: k for r, (_, k) in places.items()}, loop.index))
            if isinstance(loop.count, Value):
                counts = {r: len(loop.rounds[run]) for r, (run, _) in places.items()}
                features.append((counts, loop.count))
        return features + self._counts_before(scope, literals)

    def literal(self, scope: Scope, literals: dict[int, Any], out: list[Node]) -> Any:
        if self.parts_numbers:
            return self.mixed(scope, literals, out)
        if any(one.__class__ is not int for one in literals.values()):
            raise Misfit(f"a number that nothing explains: {next(iter(literals.values()))!r}")
        return self.on_a_line(scope, literals, out)

    def on_a_line(self, scope: Scope, literals: dict[int, Any], out: list[Node]) -> Any:
        """Whole numbers that follow the numbers of rounds, or how many there are."""
        features = self.features(scope, literals)
        lost = self.lost_in(scope, literals)
        hidden = any(loop.grows or scope.body is None and loop.body.branches for loop in self.loops)
        confirmed = self.confirms or scope.is_parted or hidden  # where a line may be by chance
        found = lines(literals, [one for one, _ in features], confirmed=confirmed)
        if not found and lost:  # what Python made of them is a guess
            features = [*features, *lost]
            found = lines(literals, [one for one, _ in features], confirmed=True)
        if not found:
            shown = ", ".join(map(str, list(literals.values())[:8]))
            raise Misfit(f"a number that nothing explains: {shown}")
        kind = NumberType(int, literals[next(iter(literals))])
        made, *others = [self._sum(scope, one, features, kind, out) for one in found]
        for other in dict.fromkeys(one for one in others if one is not made):
            out.append(guarded(numbers.eq, made, other))  # what else it may be must agree
        return made

    def _sum(
        self, scope: Scope, line: Found, features: Sequence[tuple[Any, Value]], kind: NumberType,
        out: list[Node],
    ) -> Any:  # fmt: skip
        """A line through features, written down."""
        constant, factors = line
        total: Any = None
        for factor, (_, value) in zip(factors, features):
            if factor:
                term: Any = value
                if factor != 1:
                    args = {"input": value, "other": factor}
                    term = self.emitted(scope, numbers.mul, args, kind, out)
                if total is not None:
                    args = {"input": total, "other": term}
                    term = self.emitted(scope, numbers.add, args, kind, out)
                total = term
        if constant:
            args = {"input": total, "other": constant}
            total = self.emitted(scope, numbers.add, args, kind, out)
        return total

    def lose(self, scope: Scope, lost: dict[int, Sequence[Any]], out: list[Node]) -> None:
        """Numbers that became plain: they explain others, or are as they were shown."""
        if len({len(one) for one in lost.values()}) > 1:
            raise Misfit("in other runs other numbers became plain")
        for k in range(len(next(iter(lost.values())))):
            plain = {r: one[k][1] for r, one in lost.items()}
            givers = {r: one[k][0].producer for r, one in lost.items()}
            if len({node.source for node in givers.values()}) > 1:
                raise Misfit("in other runs other numbers became plain")
            value = self.one(scope, {r: node.args["input"] for r, node in givers.items()}, out)
            if all(isinstance(one, int) for one in plain.values()):
                scope.lost.append((plain, value))
            if len(set(plain.values())) == 1:
                where = givers[next(iter(plain))]
                out.append(guarded(numbers.eq, value, next(iter(plain.values())), where))

    def as_shown(self, scope: Scope) -> None:
        """In a block, a number that became plain before is as shown, if it was always the same."""
        for plain, value in self.lost_in(scope, dict.fromkeys(scope.runs)):
            if len(set(plain.values())) == 1:
                scope.nodes.append(guarded(numbers.eq, value, plain[scope.runs[0]]))

    def lost_in(self, scope: Scope, runs: Mapping[int, Any]) -> list[tuple[dict[int, int], Value]]:
        """Numbers that became plain before."""
        found = []
        for around in scope.outwards:
            for plain, value in around.lost:
                here = {r: self.in_scope(around, r) for r in runs}
                if scope.sees(value) and all(run in plain for run in here.values()):
                    found.append(({r: plain[run] for r, run in here.items()}, value))  # type: ignore[index]
        return found

    def _counts_before(
        self, scope: Scope, runs: Mapping[int, Any]
    ) -> list[tuple[dict[int, int], Value]]:
        """How many rounds loops had that are over."""
        found = []
        for around in scope.outwards:
            for loop in around.branches:
                if loop.__class__ is Looping and isinstance(loop.count, Value):
                    counts = {}
                    for r in runs:
                        run = self.in_scope(around, r)
                        counts[r] = 0 if run is None else len(loop.rounds.get(run, ()))
                    found.append((counts, loop.count))
        return found

    # -- lists

    def listed(self, scope: Scope, lists: dict[int, Any], out: list[Node]) -> Value | None:
        """One list Value for lists of Values whose lengths rounds decide; None if none does."""
        forced = next(iter(lists.values())).__class__ is list  # a tuple is not added to
        segments = {r: self._segments(scope, one) for r, one in lists.items()}
        pattern = max(segments.values(), key=len)
        if not any(source for source, _ in pattern):
            return None
        if any(len(one) != len(pattern) for one in segments.values()):
            try:
                segments = {r: like_pattern(pattern, one) for r, one in segments.items()}
            except Misfit:
                return None
        columns: list[tuple[Any, dict[int, Any]]] = []
        for k, (source, _) in enumerate(pattern):
            column = {r: one[k][1] for r, one in segments.items()}
            single = all(len(one) == 1 for one in column.values())
            if single and not (source.__class__ is Looping and source.grows and forced):
                column, source = {r: one[0] for r, one in column.items()}, None
            columns.append((source, column))
        if not any(source for source, _ in columns):
            return None
        grown = forced and any(getattr(source, "grows", False) for source, _ in columns)
        try:
            made = self._joined(scope, columns, out)
        except Misfit:
            if grown:
                raise
            return None
        if made.producer is not None:
            self.list_of(made, lists.values())
        return made

    def _segments(self, scope: Scope, elements: Sequence[Any]) -> list[tuple[Any, list[Any]]]:
        """A list in parts: single Values, and what comes out of one loop or one list."""
        found: list[tuple[Any, list[Any]]] = []
        for one in elements:
            source = self._source(scope, one)
            if source and found and found[-1][0] is source:
                found[-1][1].append(one)
            else:
                found.append((source, [one]))
        return found

    def _source(self, scope: Scope, one: Any) -> Any:
        """What an element of a list is one of many of: a loop that is over, or another list."""
        if one.__class__ is not Value:
            return None
        for around in scope.outwards:
            for loop in reversed(around.branches):
                if loop.__class__ is Looping and one in loop.made:
                    return loop
        wholes = [whole for whole, _, _ in self.elements.get(one, ()) if scope.sees(whole)]
        return next(iter(wholes), None)

    def _joined(
        self, scope: Scope, columns: list[tuple[Any, dict[int, Any]]], out: list[Node]
    ) -> Value:
        """A list of single Values, of what the rounds of loops gave, and of lists."""
        parts: list[Value] = []
        length = 0
        for source, column in columns:
            if isinstance(source, Looping):
                parts.append(self._gain(source, self.per_run(source.scope, column)))
            elif source is None:
                parts.append(self.resolved(scope, column, out))
            elif all(self._is_whole(one, source) for one in column.values()):
                parts.append(source)
            else:
                raise Misfit("only a part of a list is read")
            length += len(column[next(iter(column))]) if source else 1
        if len(parts) == 1:
            return parts[0]
        if not all(part.__class__ in (Value, int, float) for part in parts):
            raise Misfit("a list holds more than tensors and numbers")
        types = [part.type if part.__class__ is Value else NumberType(type(part), part)
                 for part in parts]  # fmt: skip
        kinds = [one.element if isinstance(one, ListType) else one for one in types]
        if not all(alike(one, kinds[0]) for one in kinds):
            raise Misfit("a list holds what is of several types")
        kind = ListType(length, kinds[0])
        return self.emitted(scope, joined, {"parts": tuple(parts)}, kind, out)

    def _is_whole(self, elements: Sequence[Any], of: Value) -> bool:
        return all(
            (of, k, len(elements)) in self.elements.get(one, ()) for k, one in enumerate(elements)
        )

    def _gain(self, loop: Looping, lists: dict[int, Sequence[Any]]) -> Value:
        """The list of what the rounds of a loop gave."""
        column: dict[int, Value] = {}
        for r, elements in lists.items():
            rounds = [loop.made.get(one) if one.__class__ is Value else None for one in elements]
            numbers = [loop.place[p] if p is not None else (None, -1) for p in rounds]
            if any(run != r for run, _ in numbers) or numbers != sorted(set(numbers)):
                raise Misfit("it is no list of what rounds gave")
            column.update((p, one) for p, one in zip(rounds, elements) if p is not None)
        for known, _, made in loop.gains:
            if known == column:
                return made
        entries = {p: column.get(p) for p in loop.body.runs}
        gain = self.mixed(loop.body, entries, loop.body.nodes)
        like = next(iter(column.values()))
        length = len(next((one for one in lists.values() if one), ()))
        made = Value("", ListType(length, like.type), loop.node)
        loop.scope.made[made] = loop.born
        loop.gains.append((column, gain, made))
        self.list_of(made, lists.values())
        return made
