"""Which branch decided a number that is not the same in all runs.

A tensor is seen where it is made; a number is not: ``k = 2`` and ``k = n + 1`` leave nothing behind
until a call is given one. So the last branch is not always the one: what the variables held at its
condition says whether it was decided before. Where that leaves it open, it raises :class:`Misfit`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import CodeType
from typing import Any, NamedTuple

from ..graph import tree
from ..graph.inputs import same_literal
from ..graph.nodes import Node, Value
from ..graph.numbers import FUNCTIONS
from .alike import Misfit, Unsure, alike_numbers, only_a_number, same_number
from .combined import Combined
from .comparable import NUMBER
from .hidden import moved
from .outcomes import asks_each, chooses_place, is_kept
from .rounds import Turn
from .scopes import Branch, Scope
from .sources import gives_plain, names_in
from .standing import Held
from .variables import compares_in_c, is_inside_c, made_of, names_at, returned_by
from .ways import is_number

Variable = tuple[Any, ...]  # function and variable; keys, of a number in a container


class Before(NamedTuple):
    """What variables held at a condition, as far as it is not the same in all runs.

    Attributes:
        differing: variable -> the number in each run, and what stands for it; None if nothing does,
            or if it is no number.
        functions: those that led to it.
        held: all that is held there, in each run.
        turns: the rounds in which it stands, in one run.
    """

    differing: Mapping[Variable, tuple[Mapping[int, Any], Any]]
    functions: frozenset[str]
    held: Mapping[int, Held | None] = {}
    turns: Sequence[Turn] = ()


class Deciding(Combined):
    """Numbers, and the branches that decided them."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.codes: dict[str, CodeType] = {}  # of the functions that read it
        self.is_one = False  # whether it is asked if a number is the same in all runs

    def may_part(self, heads: Mapping[int, Node]) -> None:
        """Raise Misfit where a condition decides what no variable holds.

        What a comprehension or a function written in C has got so far stands nowhere.
        """
        for r, node in heads.items():
            held = self.runs[r].standing.get(node)
            if held is not None and held.frames:
                asks = node.op == "bool" and is_inside_c(*held.stack[0])
                compares = node.target in FUNCTIONS and compares_in_c(*held.stack[0])
                chooses = asks_each(*held.stack[0]) or chooses_place(*held.stack[0])
                tells = node.op == "bool" or isinstance(node.result, bool)  # no number of a tensor
                if asks or compares or tells and (chooses or is_kept(held.stack)):
                    raise Misfit(f"a condition decides what a function does: {node.where}")
            for execution in (turn.execution for turn in self.turns(r, node)):
                hides = execution.loop.filters and execution in self.unrolled
                if gives_plain(execution.loop) or hides:
                    raise Misfit("a condition decides what is in no variable yet")

    def before(self, scope: Scope, heads: dict[int, Node], out: list[Node]) -> Before:
        """What the variables hold at a condition."""
        held = {r: self.runs[r].standing.get(heads[r]) for r in scope.runs}
        known = [one for one in held.values() if one is not None]
        self.codes.update((code.co_name, code) for one in known for code in one.frames)
        found: dict[Variable, tuple[Mapping[int, Any], Any]] = {}
        turns = self.turns(scope.runs[0], heads[scope.runs[0]])
        if not scope.after_a_branch:
            return Before(found, _functions(held), held, turns)
        numbers = {r: _numbers(one) for r, one in held.items()}
        for place in dict.fromkeys(p for one in numbers.values() for p in one):
            parts = {r: one[place] for r, one in numbers.items() if place in one}
            if len(parts) == len(numbers) and not self._differ(scope, parts, out):
                continue
            meant = None
            if len(parts) == len(numbers) and all(map(is_number, parts.values())):
                try:
                    meant = self.mixed(scope, parts, out)
                except Misfit:
                    meant = None
            found[place] = parts, meant
        return Before(found, _functions(held), held, turns)

    def _differ(self, scope: Scope, parts: dict[int, Any], out: list[Node]) -> bool:
        """Whether a variable holds something else in another run."""
        first = next(iter(parts.values()))
        if not all(one.__class__ is Value for one in parts.values()):
            return any(one.__class__ is Value or not same_literal(one, first)
                       for one in parts.values())  # fmt: skip
        producers = {r: one.producer for r, one in parts.items()}
        if all(node is not None and only_a_number(node) for node in producers.values()):
            self.is_one = True
            try:
                self._number(scope, producers, out)
                return False
            except Misfit:
                return True
            finally:
                self.is_one = False
        stand = {self.env[r].get(one) for r, one in parts.items()}
        return len(stand) != 1 or None in stand

    def parted(self, scope: Scope, entries: dict[int, Any]) -> Any:
        """A number that is not the same in all runs, from the branch that decided it.

        The branches are asked from the last one back. Where variables already differed at the
        condition of one, the number is what one of them held, or it was decided later.
        """
        if self.is_one:
            raise Misfit("a number that several conditions may have decided")
        known = {r: one for r, one in entries.items() if is_number(one)}
        same = self._places(known)
        for branch in reversed(scope.branches):
            if branch.__class__ is not Branch:
                names = {place[1] for place in same} if same else branch.changing.keys()
                if names & branch.changing.keys():
                    raise Misfit("a loop may have set a number that differs")
                continue
            found = self._earlier(branch.before, known, same)
            if found is None:
                return self.output(scope, branch, *self.by_ways(branch, entries))
            return found
        if scope.before is not None:
            found = self._earlier(scope.before, known, same)
            if found is not None:
                return found
        shown = ", ".join(map(str, list(known.values())[:8]))
        raise Misfit(f"a number that nothing explains: {shown}")

    def _places(self, entries: Mapping[int, Any]) -> set[Variable]:
        """The variables that hold these numbers where they are read."""
        found: set[Variable] | None = None
        for r, number in entries.items():
            held = self.reading.get(r)
            one = _numbers(held)
            here = {place for place, held in one.items() if same_number(held, number)}
            found = here if found is None else found & here
        return found or set()

    def _earlier(self, before: Before, entries: Mapping[int, Any], same: set[Variable]) -> Any:
        """What stood for these numbers at a condition; None if they were decided after it.

        Args:
            before: what the variables held at the condition.
            entries: the numbers.
            same: the variables that hold them where they are read.
        """
        if not before.differing:
            return None
        fits = {
            place: meant for place, (held, meant) in before.differing.items()
            if all(r in held and same_number(held[r], one) for r, one in self._at(held, entries))
        }  # fmt: skip
        later = {p for p in same if p[0] in before.functions} - before.differing.keys()
        if later and not fits:
            decided = {place[:2] for place in before.differing}
            if any(self.made_of(*place[:2]) & decided for place in later):
                raise Misfit("a number may be made of one that an earlier condition decided")
            return None
        kept = [meant for place, meant in fits.items() if not same or place in same] or [
            *fits.values()
        ]
        if later or not kept or any(one is None or one is not kept[0] for one in kept):
            raise Misfit("it is not certain which condition decided a number")
        return kept[0]

    def settle(self, scope: Scope, heads: dict[int, Node], args: dict[str, Any]) -> dict[str, Any]:
        """The arguments of a call, with what earlier branches decided and these runs do not show.

        Runs that went one way of a branch may all have come by one way of the branch before it, so
        that a number which that one decided looks like a constant.

        Args:
            scope: of the call.
            heads: the call in each run.
            args: as all runs of the scope have them.
        """
        held = self.reading.get(scope.runs[0])
        if held is None or not held.frames:
            return args
        read = self._read_at(held)
        told = [_numbers(self.reading.get(r)) for r in scope.runs]
        self.refuse_combined(scope, heads[scope.runs[0]], args, held, read, told)
        self.agree(scope, read)
        numbers = read & _numbers(held).keys()
        if numbers:  # what a function was called with may be what it computes with
            read |= {(code.co_name, name) for code, at in held.stack[1:]
                     for name in names_at(code, at)}  # fmt: skip
        plain = {place for place in read if place[1] not in self._tensors(place[0])}
        made = set().union(*(self.made_of(*place) for place in plain)) - read
        seen: set[Variable] = set()
        for around in scope.outwards:
            for place, (known, meant) in around.before.differing.items() if around.before else ():
                if place[:2] in made:
                    args = self._settled(scope, heads, args, {}, None)
                elif place[:2] in read and place not in seen:
                    args = self._settled(scope, heads, args, known, meant, place[2:])
                seen.add(place)
        return args

    def agree(self, scope: Scope, read: Collection[Variable] | None = None) -> None:
        """Raise Misfit where variables that once differed agree again, by chance of conditions.

        A counter, or the length of a list, of which one branch made one thing and the next another.

        Args:
            scope: where they are read.
            read: the variables; None at the end, where those are that are returned.
        """
        held = [_numbers(self.reading.get(r)) for r in scope.runs]
        for around in scope.outwards if len(held) > 1 else ():
            for branch in around.branches:
                for place in branch.before.differing if branch.__class__ is Branch else ():
                    if read is None and place[1] in returned_by(self.codes[place[0]]):
                        raise Misfit(f"{place[1]!r} was decided by conditions, and is returned")
                    if read is None or place[:2] not in read:
                        continue
                    told = [one[place] for one in held if place in one]
                    if len(told) == len(held) and all(alike_numbers(one, told[0]) for one in told):
                        raise Misfit(f"{place[1]!r} was decided by more than one condition")

    def _read_at(self, held: Held) -> set[Variable]:
        """The variables that a call reads, of its function and of those around that one."""
        code, at = held.stack[0]
        names = names_at(code, at)
        found = {(code.co_name, name) for name in names}
        free = names.intersection(code.co_freevars)
        return found | {(one.co_name, name) for name in free for one in held.frames[1:]
                        if name in one.co_cellvars or name in one.co_freevars}  # fmt: skip

    def _tensors(self, function: str) -> Collection[str]:
        code = self.codes.get(function)
        return () if code is None else self.known.tensors.get(code, ())

    def _output(self, scope: Scope, branch: Branch, values: dict[int, Any]) -> Value:
        if branch.before is not None:
            held = branch.before.held
            at = {r: held[run] for r in values if (run := self.in_scope(scope, r)) in held}
            if moved(self.places_read(values), at, values):
                raise Unsure("an element moved in its list, by this condition or another")
        return super()._output(scope, branch, values)

    def _certain(self, scope: Scope, values: dict[int, Any], found: Value | None) -> Value:
        same = found is not None and all(self.env[r].get(v) is found for r, v in values.items())
        if same and len(values) > 1 and scope.is_parted:
            places = self.places_read(values)
            if places and all(self._differed(scope, values, place) for place in places):
                raise Unsure("a variable was decided by more than one condition")
            if not self.held_in(values) and self._is_out_of_sight(scope, found, values):
                raise Unsure("it came from a place that no variable leads to, over a condition")
        return super()._certain(scope, values, found)

    def _is_out_of_sight(self, scope: Scope, value: Value | None, runs: Collection[int]) -> bool:
        """Whether something that no variable holds was made before a condition was met."""
        if self.is_led_to or value is None or value in self.constants:
            return False
        if None in map(self.reading.get, runs):
            return False
        if self.until < float("inf"):
            return False  # it stood there when a loop began
        age, limit = self.ages.get(value, scope.age(value)), float("inf")
        for around in scope.outwards:
            if any(one.__class__ is Branch and age < one.born < limit for one in around.branches):
                return True
            limit = min(limit, around.born)
        return False

    def coincides(self, scope: Scope, values: Mapping[int, Any], place: Any) -> bool:
        """Whether a variable holds the same in all runs, and held several things before."""
        stand = {self.env[r].get(value) for r, value in values.items()}
        return len(values) > 1 == len(stand) and self._differed(scope, values, place)

    def _differed(self, scope: Scope, values: Mapping[int, Any], place: Any) -> bool:
        """Whether a variable held several things at an earlier condition."""
        for around in scope.outwards:
            for branch in around.branches:
                if branch.__class__ is Branch and branch.before is not None:
                    runs = {self.in_scope(around, r) for r in values} & branch.before.held.keys()
                    held = {run: branch.before.held[run] for run in runs}
                    had = {
                        self.env[run].get(one.read.get(place)) for run, one in held.items() if one
                    }
                    if len(had) > 1 and None not in had:
                        return True
        return False

    def made_of(self, function: str, name: str) -> set[Variable]:
        """The variables of which one is made, but for tensors, of which that is seen."""
        code = self.codes.get(function)
        if code is None:
            return set()
        return {(function, one) for one in made_of(code, name, self._tensors(function))}

    def refuse_if_decided(self, scope: Scope, turn: Turn) -> None:
        """Raise Misfit where an earlier condition may have decided what a loop goes over."""
        loop, code = turn.execution.loop, turn.execution.code
        names = names_in(loop.iterable) if loop.iterable is not None else ()
        for around in scope.outwards:
            for function, name, *_ in around.before.differing if around.before else ():
                if function == code.co_name and name in names:
                    raise Misfit(f"an earlier condition may have decided {name!r}, and so a loop")

    def _settled(
        self, scope: Scope, heads: dict[int, Node], args: dict[str, Any],
        numbers: Mapping[int, Any], meant: Any, keys: Sequence[Any] = (),
    ) -> dict[str, Any]:  # fmt: skip
        """The arguments with what stands for one variable in its place.

        Args:
            scope: of the call.
            heads: the call in each run.
            args: as all runs of the scope have them.
            numbers: of the variable, by run.
            meant: what stands for them.
            keys: of a number in a container, whose Value says what is made of it.
        """
        given = [_given(heads[r].args) for r in scope.runs]
        if not given[0]:
            return args
        shown = [numbers.get(run) for run, _ in self._at(numbers, dict.fromkeys(scope.runs))]
        fits = [k for k in range(len(given[0]))
                if all(same_number(one, n[k]) for one, n in zip(shown, given))]  # fmt: skip
        if keys and not fits:
            return args
        made = _given(args)
        if meant.__class__ is not Value or len(fits) != 1 or len(made) != len(given[0]):
            raise Misfit(
                f"an earlier condition may have decided a number of: {heads[scope.runs[0]]}"
            )
        old = made[fits[0]]
        if made.count(old) != 1:
            raise Misfit(f"it is not certain which number of a call one is: {heads[scope.runs[0]]}")
        found: dict[str, Any] = tree.substitute(
            args, old.__class__, lambda part: meant if part == old else part
        )
        return found

    def _at(self, held: Mapping[int, Any], entries: Mapping[int, Any]) -> list[tuple[int, Any]]:
        """The entries by the runs in which a condition was met, from those of rounds inside."""
        found = []
        for r, one in entries.items():
            run: int | None = r
            while run is not None and run not in held:
                run = self.around[run]
            found.append((-1 if run is None else run, one))
        return found


def _given(part: Any) -> list[Any]:
    """The numbers in a template, in order."""
    return list(filter(is_number, tree.leaves(part, int, float, Value)))


def _numbers(held: Held | None) -> dict[Variable, Any]:
    """Variable -> the number it holds, or what is told of it."""
    if held is None:
        return {}
    told = {(held.frames[n].co_name, name): one for (n, name), one in held.plain.items()}
    found: dict[Variable, Any] = {p: one for p, one in held.numbers.items() if len(p) > 2}
    for place, one in {**held.spent, **told}.items():
        if one.__class__ is Value:
            found[place] = one
        elif one[0] in _READ_BACK:
            found[place] = _READ_BACK[one[0]](one[1])
        elif one == NUMBER:
            found[place] = held.tensors.get(place, one)
        elif one[0]:
            found[place] = one
    return found


_READ_BACK = {"int": int, "float": float}


def _functions(held: Mapping[int, Held | None]) -> frozenset[str]:
    known = [one for one in held.values() if one is not None]
    return frozenset(code.co_name for one in known for code in one.frames)
