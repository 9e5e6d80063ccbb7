"""Plain Python variables that could decide what comes later, where runs are to go on alike.

A flag, a counter or the length of a list is in no tensor. Where such a variable differs between
runs that are to be one from here on, they are not, unless it is a whole number, or the length of a
list of tensors, that no test of its function reads: what is computed from that is seen where it
reaches a call. Reads what :mod:`.standing` noted and what the source says; compares nothing else.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from ..graph.nodes import Node
from .alike import Misfit
from .sources import decides
from .standing import Held


def stand_alike(node: Node, held: Sequence[Held | None], guarded: Collection[Any]) -> None:
    """Raise Misfit where a variable that is still read could let runs part.

    Args:
        node: the call that the runs have come to, of one of them.
        held: what each run holds at it.
        guarded: file and line of comparisons that were recorded.
    """
    known = [one for one in held if one is not None]
    if len(known) < len(held):  # of a call nobody wrote nothing is noted
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
        if not _is_harmless(told):
            raise Misfit(f"the variable {name!r} differs at: {node}   # {node.where}")
        if decides(first.frames[number], name, guarded):
            raise Misfit(f"a test reads {name!r}, which differs at: {node}   # {node.where}")


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
