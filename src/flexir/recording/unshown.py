"""What no round of a loop was shown to begin with, and may begin with in a call to come.

Where rounds change something only when no round follows, examples say nothing of rounds after
that: what they read, and which of two variables that held the same until then. Such a loop is not
laid.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping, Sequence
from itertools import combinations, pairwise
from typing import Any

from ..graph.nodes import Value
from .alike import Misfit
from .comparable import IN_GRAPH
from .grown_lists import looked_at, may_cut, may_reorder
from .looping import Looping, recorded_count
from .rounds import Execution
from .sources import LoopSource, names_in
from .standing import Held
from .told_apart import not_told_apart

_NUMBERS = frozenset({"int", "float", "number", "object"})  # followed, or told by calls


def refuse_unshown(
    loop: Looping, executions: Sequence[Execution], skipped: int, tensors: Collection[str] = ()
) -> None:
    """Raise Misfit where no example says what a round that is to come begins with.

    Args:
        loop: of which the rounds are known.
        executions: of it, in the order of its runs.
        skipped: how many rounds stand before it.
        tensors: variables that hold tensors.
    """
    if may_cut(executions[0].loop, tensors):
        raise Misfit("rounds may cut off what other lists have")
    the_same_at_last(loop, executions)
    not_told_apart(loop, executions)
    two_alike(loop, executions)
    changed_at_last(executions, list(loop.starts.values()), skipped)
    kept_at_last(executions, skipped)


def changed_at_last(
    executions: Sequence[Execution], starts: Sequence[Held | None], skipped: int
) -> None:
    """Raise Misfit where a plain variable is changed only in rounds that none follows.

    Args:
        executions: of one loop.
        starts: what the variables hold when each round begins.
        skipped: how many rounds stand before it.
    """
    loop, code = executions[0].loop, executions[0].code
    if all(len(one.held) - skipped < 2 for one in executions):
        return  # more rounds are refused
    whole = [one for one in executions if one.count is None or _goes_on(one)]
    known = [(one, one.frames.index(code)) for one in starts if one and code in one.frames]
    looked = looked_at(loop)
    for name in {name for one in whole for name in one.after} - _in_tests(loop):
        begun = {held.plain[k, name] for held, k in known if (k, name) in held.plain}
        begun |= {held.spent[code.co_name, name] for held, _ in known
                  if (code.co_name, name) in held.spent}  # fmt: skip
        ended = {one.after[name] for one in whole if name in one.after}
        if len(begun) != 1 or not ended - begun or any(map(_is_told, begun | ended)):
            continue
        only_added_to = name not in looked and all(one[0] == "list" for one in begun | ended)
        if not only_added_to:
            raise Misfit(f"no example showed a round after one that changes {name!r}")


def kept_at_last(executions: Sequence[Execution], skipped: int) -> None:
    """Raise Misfit where the model keeps another tensor only after rounds that none follows.

    Args:
        executions: of one loop.
        skipped: how many rounds stand before it.
    """
    if all(len(one.held) - skipped < 2 for one in executions):
        return  # more rounds are refused
    paths = {path for one in executions for state in one.state for path in state}
    for path in sorted(paths):
        held = [[state.get(path) for state in one.state[skipped:]] for one in executions]
        changed = any(row[-1] is not row[0] for row in held)
        if changed and all(one is row[0] for row in held for one in row[:-1]):
            raise Misfit(f"no example showed a round after one that changes {path!r}")


def _goes_on(one: Execution) -> bool:
    """Whether a loop had all rounds that what it goes over says, so that more might follow."""
    return len(one.held) >= recorded_count(one.count)


def _is_told(held: Any) -> bool:
    return held != IN_GRAPH and (not isinstance(held, tuple) or held[0] in _NUMBERS)


def _in_tests(loop: LoopSource) -> set[str]:
    """The variables that decide whether a round follows."""
    tests = [loop.node.test] if isinstance(loop.node, ast.While) else []
    for node in (n for part in loop.body for n in ast.walk(part)):
        if isinstance(node, ast.If):
            leaves = (ast.Break, ast.Return, ast.Raise)
            if any(isinstance(n, leaves) for part in node.body for n in ast.walk(part)):
                tests.append(node.test)
    return set().union(*map(names_in, tests))


def two_alike(loop: Looping, executions: Sequence[Execution]) -> None:
    """Raise Misfit where a variable that rounds set may have been another one, which changes.

    ``last = h``, before ``h`` is changed: as long as no round shows an ``h`` that was changed,
    ``last`` is what stood before the loop.

    Args:
        loop: of which the rounds are known.
        executions: of it.
    """
    source = executions[0].loop
    if may_reorder(source):
        raise Misfit("rounds may put a list in another order")
    stored = source.stored.difference(source.targets)
    touched = set().union(*map(names_in, source.body))
    carried = {name for one in executions for name in one.after}
    runs = [r for r, rounds in loop.rounds.items() if rounds and loop.left[r]]
    for place in dict.fromkeys(place for r in runs for place in loop.left[r]):
        if place[1] not in (stored if len(place) == 2 else touched):
            continue
        held = {r: _held(loop, r, place) for r in runs}
        if any(ends[-1] is None for ends in held.values()) or any(
            one in loop.made for ends in held.values() for one in ends if one is not None
        ):
            continue
        if place[1] not in carried:  # each round sets it
            held = {r: [None, ends[-1]] for r, ends in held.items()}
            skipped = {r: len(loop.rounds[r]) - 1 for r in runs}
        else:
            skipped = dict.fromkeys(runs, 0)
        other = _another(loop, place, held, skipped, source.targets)
        if other is not None:
            raise Misfit(f"no example tells {place[1]!r} from {other[1]!r}")


def the_same_at_last(loop: Looping, executions: Sequence[Execution]) -> None:
    """Raise Misfit where two variables hold the same after all examples, and did not in rounds.

    Args:
        loop: of which the rounds are known.
        executions: of it, in the order of its runs.
    """
    lefts = [loop.left[r] for r in loop.rounds]
    places = [p for p in lefts[0] if p[:2] in loop.live and all(p in left for left in lefts)]
    for one, other in combinations(places, 2):
        if one[1] == other[1] or any(left[one] is not left[other] for left in lefts):
            continue
        for held in (held for each in executions for held in each.begun[1:]):
            if held.get(one) is not held.get(other) and one in held and other in held:
                raise Misfit(f"no example tells {one[1]!r} from {other[1]!r} after its last round")


def _another(
    loop: Looping,
    place: Any,
    held: Mapping[int, Sequence[Any]],
    skipped: Mapping[int, int],
    targets: Collection[str],
) -> Any:
    """A variable that rounds change, and that held whatever rounds put into a place.

    Args:
        loop: of which the rounds are known.
        place: the place.
        held: run -> what the place held when rounds began, and at the end.
        skipped: run -> how many rounds stand before the first of these.
        targets: the loop's own variables, of which is known what they hold.
    """
    put = []
    for r, ends in held.items():
        pairs = enumerate(pairwise(ends), skipped[r])
        put += [(r, k, after) for k, (before, after) in pairs if after is not before]
    for other in dict.fromkeys(p for r in held for p in (*loop.left[r], *_places(loop, r))):
        if other[: len(place)] == place or place[: len(other)] == other or other[1] in targets:
            continue
        its = {r: _held(loop, r, other) for r in held}
        if any(len({id(one) for one in ends if one is not None}) > 1 for ends in its.values()):
            if put:
                if all(its[r][k] is after for r, k, after in put):
                    return other
            elif all(held[r][-1] in ends for r, ends in its.items()):
                return other
    return None


def _held(loop: Looping, r: int, place: Any) -> list[Value | None]:
    """What a place holds when each round of a run begins, and at the end."""
    starts = [loop.starts[part] for part in loop.rounds[r]]
    begun = [None if one is None else one.tensors.get(place) for one in starts]
    return [*begun, loop.left[r].get(place)]


def _places(loop: Looping, r: int) -> list[Any]:
    starts = (loop.starts[part] for part in loop.rounds[r])
    return [place for one in starts if one is not None for place in one.tensors]
