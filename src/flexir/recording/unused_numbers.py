"""Numbers that Python computed from sizes and gave to no call: what may they have chosen?

A list asks an index nothing. So an element of a list that was read by its place may have been
chosen by any whole live number that no call was given and no comparison told of. One on a line
through the length of the list and the numbers of rounds is found again from what examples show; of
others two examples may agree by chance. Pure functions.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ..graph import numbers as calls
from ..graph.nodes import Value
from .live import Expr

_SIZES = frozenset({*calls.QUESTIONS, calls.length, calls.turn})
_SUMS = frozenset({calls.add, calls.sub, calls.neg, calls.plain})


def terms_of(number: Expr) -> dict[Any, None] | None:
    """What a number is a sum of, each with a whole factor; None if it is computed otherwise."""
    found: dict[Any, None] = {}
    stack: list[Any] = [number]
    seen: set[int] = set()
    while stack:
        part = stack.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if part.__class__ is Value or part.__class__ is Expr and part.function in _SIZES:
            found[part] = None
        elif part.__class__ is Expr:
            live = [one for one in part.args if one.__class__ in (Expr, Value)]
            if part.function not in _SUMS and (part.function is not calls.mul or len(live) > 1):
                return None
            stack += live
    return found


def is_bent(number: Expr) -> bool:
    """Whether a number is no line through one size, so that other sizes may give the same one."""
    terms = terms_of(number)
    return terms is None or len(terms) > 1


def choosing(
    unused: Mapping[int, Sequence[Expr]],
    places: Mapping[int, int],
    lengths: Mapping[int, int],
    same: Collection[int] = (),
) -> Expr | None:
    """A number that may have chosen an element, and that examples do not show to be on a line.

    Args:
        unused: run -> the numbers that no call was given.
        places: run -> the number of the element in the list.
        lengths: run -> how many elements there are.
        same: which of the numbers cannot have chosen another one, see :func:`constant`.
    """
    fits: list[dict[Any, Expr]] = []  # per run: how it may be the element's number -> a number
    varies = len(set(places.values())) > 1
    for r, place in places.items():
        ways: dict[Any, Expr] = {}
        for i, one in enumerate(unused[r]):
            if i in same or type(one.recorded) is float:  # which no list takes
                continue
            terms = terms_of(one)
            other = terms and [term for term in terms if not _is_free(term, lengths[r])]
            if terms is None or other and len(terms) > 1:
                return one
            if other and one.recorded == place - lengths[r]:
                ways["from the end"] = one
            if other and varies:
                ways[one.recorded - place] = one
        fits.append(ways)
    first, *others = fits or [{}]
    return next((one for way, one in first.items() if all(way in more for more in others)), None)


def _is_free(term: Any, length: int) -> bool:
    if term.__class__ is Expr:
        return term.function is calls.turn or bool(term.recorded == length)
    return bool(getattr(term.type, "recorded", None) == length)


def constant(runs: Sequence[Sequence[Expr]]) -> set[int]:
    """Which numbers are made of the same sizes in all runs, where all made as many of them.

    Such a one chooses the same element wherever those sizes are as they were.
    """
    if len(set(map(len, runs))) > 1:
        return set()
    known: dict[int, Any] = {}
    return {i for i, column in enumerate(zip(*runs))
            if None not in (made := {_made_of(one, known) for one in column})
            and len(made) == 1}  # fmt: skip


def _made_of(number: Expr, known: dict[int, Any]) -> Any:
    """How a number is made of sizes, and what those are; None if it is made of anything else."""
    if id(number) not in known:
        inner: tuple[Any, ...] | None = ()
        if number.function not in calls.QUESTIONS:
            inner = tuple(_made_of(one, known) if one.__class__ is Expr
                          else None if one.__class__ is Value else (one,)
                          for one in number.args)  # fmt: skip
            inner = None if None in inner else inner
        made = number.function, number.kinds, number.recorded, inner
        known[id(number)] = None if inner is None else made
    return known[id(number)]


def sizes_in(number: Expr) -> set[tuple[Value, int | None]]:
    """The sizes a number is made of: tensor and dimension; None where it is asked for all."""
    found: set[tuple[Value, int | None]] = set()
    stack, seen = [number], set()
    while stack:
        part = stack.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if part.function in calls.QUESTIONS:
            dim = part.args[1] if part.function is calls.size else None
            found.add((part.args[0], dim))
        else:
            stack += [one for one in part.args if one.__class__ is Expr]
    return found
