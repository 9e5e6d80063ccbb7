"""Plain Python variables that could decide what comes later, where runs are to go on alike.

A flag, a counter or the length of a list is in no tensor. Where such a variable differs between
runs that are to be one from here on, they are not, unless it is a whole number, or the length of a
list of tensors, that no test of its function reads: what is computed from that is seen where it
reaches a call. Reads what :mod:`.standing` noted and what the source says; compares nothing else.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from types import CodeType
from typing import Any

from ..graph import numbers
from ..graph.nodes import Node, Value
from ..graph.source import Source
from .alike import Misfit
from .comparable import IN_GRAPH, NONE, NUMBER
from .grown_lists import copied_elsewhere, grown_at_times, looked_at, picked_from, read_from_the_end
from .linear import line
from .lookups import round_reads
from .looping import Looping
from .rounds import Execution
from .sources import compares_once, is_read, set_at_times
from .standing import Held, ResultOf
from .uses import Known, unseen

_DIFFER = ("int", "bool", "float", "list", "tuple")  # kinds of variables that say how often


_NOT_PLAIN = {IN_GRAPH[0], NUMBER[0]}
_NUMBERS = {"int", NUMBER[0]}


def stand_alike(
    node: Node,
    held_by: Mapping[int, Held | None],
    facts: Known,
) -> None:
    """Raise Misfit where a variable that is still read could let runs part.

    Args:
        node: the call that the runs have come to, of one of them.
        held_by: what each run holds at it.
        facts: what is known of the runs.
    """
    held = list(held_by.values())
    known = [one for one in held if one is not None]
    if len(known) < len(held):  # nothing is noted of a derived call
        if known:
            raise Misfit(f"Python variables differ at: {node}   # {node.where}")
        return
    first, *others = known
    if any(one.frames != first.frames for one in others):
        raise Misfit(f"other functions lead to: {node}   # {node.where}")
    if all(one.plain == first.plain for one in others):
        return
    for place in dict.fromkeys(place for one in known for place in one.plain):
        told = [one.plain[place] for one in known if place in one.plain]
        # A variable that does not exist yet is not read before it does: that would have failed.
        if all(one == told[0] for one in told):
            continue
        number, name = place
        if not is_read(first.frames[number], name):
            continue
        kinds = {one[0] for one in told}
        if kinds <= _NOT_PLAIN:  # calls say what they make of it
            continue
        if not kinds <= _NUMBERS and not _is_harmless(told):
            raise Misfit(f"the variable {name!r} differs at: {node}   # {node.where}")
        where = unseen(first.stack, number, name, facts, is_none=False)
        if where is not None:
            raise Misfit(f"{where}: {name!r} differs at: {node}   # {node.where}")


def inside_alike(where: object, held: Iterable[Held | None]) -> None:
    """Raise Misfit where what variables lead to, deep inside, could let runs part.

    Args:
        where: a call, or a loop, that is named.
        held: by each run at a condition, or when rounds begin and end.
    """
    seen: dict[Any, Any] = {}
    for one in (one for one in held if one is not None):
        for (number, name), found in one.inside.items():
            place = one.frames[number], len(one.frames) - number, name
            if seen.setdefault(place, found) != found:
                raise Misfit(f"what {name!r} leads to is not the same: {where}")


def kept_alike(
    where: object, kept: Iterable[Mapping[Any, Any] | None], *, ended: bool = False
) -> None:
    """Raise Misfit where what the model keeps could let runs part, but for tensors and sizes.

    Args:
        where: a call that is named.
        kept: by each run, as in ``Standing``.
        ended: the runs have; what functions remember is then theirs. Before, it may have been
            changed since.
    """
    known = [one for one in kept if one is not None]
    for place in dict.fromkeys(place for one in known for place in one):
        is_result = place.__class__ is ResultOf
        if len({one.get(place) for one in known if place in one or not (ended and is_result)}) > 1:
            path = place.path if is_result else place
            raise Misfit(f"what the model keeps as {path!r} is not the same: {where}")


def comparisons(escapes: Iterable[Node]) -> set[tuple[str, int]]:
    """File and line of the comparisons that were recorded, among what Python was told."""
    return {(node.source.file, node.source.line) for node in escapes
            if node.source and _is_comparison(node, node.source)}  # fmt: skip


def _is_comparison(node: Node, source: Source) -> bool:
    """Whether an escape is a comparison that stands alone on its line, so that this is recorded."""
    if node.target in numbers.FUNCTIONS:
        return True
    made = [value.producer for value in node.inputs if value.producer is not None]
    return (
        isinstance(node.result, bool) and len(made) == 1
        and made[0].op in ("eq", "ge", "gt", "le", "lt", "ne") and made[0].source is not None
        and (source.file, source.line) == (made[0].source.file, made[0].source.line)
        and compares_once(source.file, source.line)
    )  # fmt: skip


def counters_are_lines(loop: Looping, executions: Sequence[Execution]) -> None:
    """Raise Misfit where a whole number that is read after a loop is not what its rounds tell.

    Args:
        loop: the loop.
        executions: it, in each run.
    """
    execution = executions[0]
    for name in set_at_times(execution.loop):
        live = (execution.code.co_name, name) in loop.live and is_read(execution.code, name)
        held = set().union(*(one.set.get(name, set()) for one in executions))
        held -= {IN_GRAPH, NONE}  # where tensors go is seen
        if live and (NUMBER in held or len(held) > 1):
            raise Misfit(f"{name!r} is set in some rounds, and read after them")
    ends = [one for one in loop.after.values() if one is not None]
    places = {(one.frames[n], name) for one in ends for n, name in one.plain}
    counting = {(execution.code, name) for name in execution.loop.stored}
    for code, name in sorted(places | counting, key=lambda one: (one[0].co_name, one[1])):
        seen: dict[Any, tuple[int, int]] = {}
        for r, end in loop.after.items():
            rounds = loop.rounds.get(r, ())
            told_of = [((r, part), loop.place[part][1], loop.starts[part]) for part in rounds]
            told_of.append(((r, -1), len(rounds), end))
            told = [(case, k, _number_in(one, code, name)) for case, k, one in told_of]
            # What the call after the loop is given itself may be read no more: the rounds tell.
            begun = 0 if (code, name) in places else told[0][2] or 0
            seen.update((case, (k, n - begun)) for case, k, n in told if n is not None)
        values = {case: n for case, (_, n) in seen.items()}
        live = (code, name) in places or (code.co_name, name) in loop.live
        if live and len(set(values.values())) > 1 and is_read(code, name):
            counted = {case: k for case, (k, _) in seen.items()}
            if line(values, [counted]) is None:
                raise Misfit(f"{name!r} counts only some rounds, and is read after them")


def _number_in(held: Held | None, code: CodeType, name: str) -> int | None:
    """The whole number that a variable of a function holds, if it holds one."""
    if held is None or code not in held.frames:
        return None
    told = held.plain.get((held.frames.index(code), name))
    return int(told[1]) if told is not None and told[0] == "int" else None


def changing(
    executions: Sequence[Execution], starts: Sequence[Held | None], skipped: int
) -> dict[str, set[Any]]:
    """What the variables of a loop that are not the same in all of its rounds hold.

    The last round may have set one for rounds that no example showed.

    Args:
        executions: of one loop.
        starts: what the variables hold when each round begins.
        skipped: how many rounds stand before it.

    Raises:
        Misfit: no example shows what a round leaves to the next.
    """
    loop, code = executions[0].loop, executions[0].code
    found: dict[str, set[Any]] = {}
    for name in loop.stored | {n for one in executions for n in (*one.before, *one.after)}:
        ends = [one.after for one in executions]
        ends += [one.before for one in executions if not skipped]
        found[name] = {end[name] for end in ends if name in end}
        if all(len(one.held) - skipped < 2 for one in executions) and name in loop.stored:
            if found[name] - {IN_GRAPH, NUMBER}:
                raise Misfit(
                    f"no example showed two rounds, and {name!r} goes from one to the next"
                )
    differ = {name: told for name, told in found.items() if len(told) > 1}
    known = [one for one in starts if one is not None and code in one.frames]
    for name in looked_at(loop):
        begun = _lengths(one.plain.get((one.frames.index(code), name)) for one in known)
        begun |= _lengths(one.spent.get((code.co_name, name)) for one in known)
        if len(begun) == 1 and _lengths(one.after.get(name) for one in executions) - begun:
            raise Misfit(f"no example showed a round that begins with {name!r} of another length")
    for name in loop.stored | {n for one in known for _, n in one.plain}:
        told = {one.plain.get((one.frames.index(code), name)) for one in known} - {None}
        if len(told) > 1 and all(one and one[0] in _DIFFER for one in told):
            differ[name] = differ.get(name, set()) | told
    return differ


def _lengths(many: Iterable[Any]) -> set[int]:
    """How long lists are, of what is told of a variable."""
    return {one[1] for one in many if isinstance(one, tuple) and one[0] == "list"}


def rounds_alike(
    executions: Sequence[Execution], starts: Sequence[Held | None], names: Set[str], facts: Known
) -> set[str]:
    """Raise Misfit where a plain variable that differs from round to round could decide something.

    In a round, or after the loop.

    Args:
        executions: of one loop.
        starts: what the variables hold when each round begins.
        names: of those that differ.
        facts: what is known of the runs.

    Returns:
        variables whose lists some rounds add to and others do not.
    """
    loop, code = executions[0].loop, executions[0].code
    known = [one for one in starts if one is not None and code in one.frames]
    names = set(names).union(*(one.plain for one in executions))
    grown = grown_at_times(loop) - facts.own.get(code, frozenset())
    # The last round may have added to one, or not, where no example shows it.
    names |= {name for name in grown if (code.co_name, name) in executions[0].live_after}
    numbered = set().union(*(one.numbered for one in executions)) - names
    stack = known[0].stack if known else ((code, -1),)
    depth = [one for one, _ in stack].index(code)
    for name in sorted(names | numbered):
        where = unseen(stack, depth, name, facts, loop, tells=name in numbered)
        if where is not None:
            raise Misfit(f"{where}: {name!r} differs from round to round")
    if grown and copied_elsewhere(code, grown):
        raise Misfit(f"lists that only some rounds add to are copied: {', '.join(sorted(grown))}")
    if grown & (picked_from(loop) | read_from_the_end(code)):
        raise Misfit(f"elements of lists that only some rounds add to: {', '.join(sorted(grown))}")
    return grown


def numbers_are_lines(executions: Sequence[Execution], skipped: int) -> None:
    """Raise Misfit where what a loop's own variables hold says nothing of rounds not shown.

    Args:
        executions: of one loop.
        skipped: how many rounds stand before it.
    """
    loop = executions[0].loop
    odd = {name for one in executions for name in one.odd if round_reads(loop, name)}
    if odd:
        raise Misfit(f"plain variables of a loop in other rounds: {', '.join(sorted(odd))}")
    for name in (n for n in loop.targets if round_reads(loop, n)):
        held = {(e, k): told[name] for e, one in enumerate(executions)
                for k, told in enumerate(one.held[skipped:]) if name in told}  # fmt: skip
        if held:
            numbered = {case: case[1] for case in held}
            many = {case: len(executions[case[0]].held) for case in held}
            if line(held, [numbered, many]) is None:
                raise Misfit(f"{name!r} does not follow the number of the round")


def _is_harmless(told: Sequence[Any]) -> bool:
    """Whether these are whole numbers, or lists of tensors of different lengths."""
    kind = told[0][0]
    if any(one[0] != kind for one in told):
        return False
    if kind == "int":
        return True
    return kind in ("list", "tuple") and all(
        all(inner is None for inner in one[2]) for one in told
    )  # fmt: skip


def moved(
    read: Collection[Any], before: Mapping[int, Held | None], values: Mapping[int, Value]
) -> bool:
    """Whether what is read out of a list stood elsewhere in it before.

    Args:
        read: the places that hold it where it is read.
        before: run -> what was held at a condition.
        values: run -> what is read.
    """
    if not read or any(len(place) < 3 for place in read):
        return False
    for r, value in values.items():
        held = before.get(r)
        kept = {} if held is None else held.tensors
        stood = {place for place, one in kept.items() if one is value}
        for place in read:
            if place not in stood and any(one[:2] == place[:2] for one in stood):
                return True
    return False
