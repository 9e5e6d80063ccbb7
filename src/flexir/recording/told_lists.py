"""What became of the lists of functions in one run: each list that was made, each element added.

At each recorded call it is known what a list holds, and from :mod:`.own_lists` where the function
may have changed it; :mod:`.between` says which way it went from one call to the next. Owns what is
put together of these, for one call of one function after the other; changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import CodeType
from typing import Any, NamedTuple, cast

from ..graph.nodes import Node, Value
from .between import AT_THE_END, At, Between, Route, Step
from .comparable import MANY
from .own_lists import ASKED, Own, steps_of
from .rounds import Turn
from .runs import Recorded
from .sources import loops_at
from .standing import Held

Elements = tuple[Value, ...]


class Unclear(Exception):
    """What became of the lists of a function is not certain; of one, if it is named."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name)
        self.name = name


class Moment(NamedTuple):
    """A function at a recorded call that it made, or that something made which it called.

    Attributes:
        node: the call.
        held: what was held there.
        number: of the function, in that.
        around: the rounds of loops of the functions around.
        at: where the function stood.
        lists: variable -> what its list held, of those that were still read.
        last: variable -> what its list held when a loop was over that began before, of those that
            were read no more.
    """

    node: Node | None
    held: Held
    number: int
    around: tuple[Turn, ...]
    at: At
    lists: Mapping[str, Elements]
    last: Mapping[str, Elements] = {}

    @property
    def known(self) -> dict[str, Elements]:
        """All that is known of lists."""
        return {**self.last, **self.lists}


class Told(NamedTuple):
    """Attributes: the call after which, and before which; what became of lists between them."""

    before: Moment | None
    after: Moment
    way: Route


def moments(run: Recorded, code: CodeType, own: Own) -> Iterator[list[Moment]]:
    """The recorded calls of each call of a function; its end, where that ends loops.

    Raises:
        Unclear: a variable may hold something else than a list of tensors.
    """
    found: dict[int, list[Moment]] = {}
    for node, held in run.standing.items():
        if code not in held.frames:
            continue
        if held.frames.count(code) > 1:
            raise Unclear
        number = held.frames.index(code)
        turns = run.turns.get(node, ())
        inner = {*held.frames[:number]}
        mine = tuple(turn for turn in turns if turn.execution.code is code)
        around = tuple(t for t in turns if t not in mine and t.execution.code not in inner)
        outcome = node.result if isinstance(node.result, bool) and not number else None
        kept = {name: one for name in own.names
                if (one := _elements(held, number, name)) is not None}  # fmt: skip
        at = At(held.at[number], mine, outcome, node in run.ends)
        row = found.setdefault(held.activations[number], [])
        last = _last(own, row[-1].at.turns, mine) if row else {}
        over = {name: one for name, one in last.items() if name not in kept}
        row.append(Moment(node, held, number, around, at, kept, over))
    for row in found.values():
        if last := _last(own, row[-1].at.turns, ()):
            row.append(row[-1]._replace(node=None, at=AT_THE_END, lists={}, last=last))
        yield row


def _last(own: Own, before: Sequence[Turn], after: Sequence[Turn]) -> dict[str, Elements]:
    """What lists held when loops were over that a function stood in before."""
    going = [turn.execution for turn in after]
    found: dict[str, Elements] = {}
    for execution in [turn.execution for turn in before if turn.execution not in going]:
        for name in own.names & execution.after.keys():
            kind, *told = execution.after[name]
            place = execution.code.co_name, name
            values = [execution.left.get((*place, k)) for k in range(told[0])] \
                if kind == "list" else [None]  # fmt: skip
            if all(value is not None and not value.is_number for value in values):
                found[name] = cast(Elements, tuple(values))
    return found


def _elements(held: Held, number: int, name: str) -> Elements | None:
    """What the list of a variable holds; None if it is not there, or read no more."""
    function = held.frames[number].co_name
    told, kept = held.plain.get((number, name)), cast(Mapping[Any, Value], held.tensors)
    if told is None and number == 0:
        told, kept = held.spent.get((function, name)), held.taken
    if told is None:
        return None
    others = (n for n, code in enumerate(held.frames) if code.co_name == function and n != number)
    if any((n, name) in held.plain for n in others) or told[0] != "list" or told[1] > MANY:
        raise Unclear(name)
    values = tuple([kept.get((function, name, k)) for k in range(told[1])])
    if not all(value is not None and not value.is_number for value in values):
        raise Unclear(name)
    return cast(Elements, values)


def followed(run: Recorded, code: CodeType, own: Own, between: Between) -> list[list[Told]]:
    """What became of the lists, call after call of the function, each from its begin.

    Raises:
        Unclear: it is not certain.
    """
    fixed = {name for name in own.names if _is_made_once(code, own, name)}
    found = []
    for row in moments(run, code, own):
        before: Moment | None = None
        steps: list[Told] = []
        for moment in row:
            start = At(-1, ()) if before is None else before.at
            empty = {name for name in own.asked if moment.known.get(name) == ()}
            same = before is not None and _unchanged(before, moment, fixed - empty)
            if not moment.known or same:
                way: Route | None = Route((), ())
            else:
                had = {} if before is None else before.known
                fits = _Fits(had, moment.known)
                way = between.way(start, moment.at, moment.known.keys(), fits)
            if way is None or _in_silence(way):
                raise Unclear
            steps.append(Told(before, moment, way))
            _ask_something(own, steps[-1])
            before = moment
        if before is not None and before.node is not None:
            _ask_something(own, Told(before, before._replace(lists={}, last={}), Route((), ())))
        found.append(steps)
    return found


def _is_made_once(code: CodeType, own: Own, name: str) -> bool:
    """Whether a function makes a list in one place alone, and not in a loop."""
    places = [place for place, site in own.sites.items() if site.name == name]
    made = [place for place in places if own.sites[place].many not in (None, ASKED)]
    return len(made) == 1 and not loops_at(code, steps_of(code)[made[0]].offset)


def _unchanged(before: Moment, after: Moment, fixed: set[str]) -> bool:
    """Whether nothing can have become of the lists between two calls."""
    return all(
        name in fixed and before.known.get(name) == elements
        for name, elements in after.known.items()
    )


def _in_silence(way: Route) -> bool:
    """Whether a list is another after rounds in which no call was recorded."""
    known = {one.begun for one in way.rounds} | {-1}
    return any(one.begun not in known for step in way.steps for one in step.rounds)


def _ask_something(own: Own, one: Told) -> None:
    """Raise Unclear where ``len`` may be asked of an empty list, which tells nobody."""
    known, before = one.after.known, {} if one.before is None else one.before.known
    for name in own.asked:
        many = len(known.get(name, ()))
        if name not in known and before.get(name) == ():
            raise Unclear(name)
        mine = [step.site.many for step in one.way.steps if step.site.name == name]
        for place, kind in reversed(list(enumerate(mine))):
            if kind is None:
                many -= 1
            elif kind != ASKED:  # what it was before that was set is not known
                if ASKED in mine[:place]:
                    raise Unclear(name)
                break
            elif not many:
                raise Unclear(name)


class _Fits:
    """Whether lists are as steps leave them."""

    def __init__(self, before: Mapping[str, Elements], after: Mapping[str, Elements]) -> None:
        self._before, self._after = before, after

    def __call__(self, steps: Sequence[Step]) -> bool | None:
        for name, elements in self._after.items():
            mine = [step.site.many for step in steps
                    if step.site.name == name and step.site.many != ASKED]  # fmt: skip
            made = max((k for k, many in enumerate(mine) if many is not None), default=-1)
            added = len(mine) - made - 1
            if added > len(elements):
                return False
            if made < 0:
                had = self._before.get(name)
                if had is None or had != elements[: len(elements) - added]:
                    return None
            elif mine[made] not in (-1, len(elements) - added):
                return None
        return True
