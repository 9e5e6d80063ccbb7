"""What several runs have in one place, as one: types, constants, templates.

Where they have nothing in common it raises :class:`Misfit`. Knows nothing of where runs parted.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch

from ..graph import numbers, tree
from ..graph.inputs import same_literal
from ..graph.nodes import Effects, Node, Value


class Misfit(Exception):
    """Runs that cannot be laid over each other; the text says where."""


class Unsure(Misfit):
    """Two things may be meant; no other one is looked for."""


def same_constant(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two constants are one object, or equal and of one dtype and shape."""
    if one is other:
        return True
    plain = one.layout is torch.strided and other.layout is torch.strided
    if not plain or one.dtype != other.dtype or one.shape != other.shape:
        return False
    return one.device.type != "meta" and torch.equal(one, other)


def zipped(
    parts: dict[int, Any],
    leaf: Callable[[dict[int, Any]], Value],
    listed: Callable[[dict[int, Any]], Value | None] | None = None,
    literal: Callable[[dict[int, Any]], Any] | None = None,
    known: dict[tuple[int, ...], tree.Record] | None = None,
) -> Any:
    """Templates of several runs as one.

    Args:
        parts: run -> template.
        leaf: gets the Values of one place.
        listed: gets lists; a Value if they are one.
        literal: gets numbers that differ, or that are Values in some runs only.
        known: the Records of each run -> theirs in the one graph; one object stays one.
    """
    known = {} if known is None else known
    first = next(iter(parts.values()))
    cls = first.__class__
    if literal is not None and _differ(parts):
        return literal(parts)
    if any(part.__class__ is not cls for part in parts.values()):
        raise Misfit(f"{first!r} is of another kind in another run")

    def inner(get: Callable[[Any], Any]) -> Any:
        return zipped({r: get(part) for r, part in parts.items()}, leaf, listed, literal, known)

    if cls is Value:
        return leaf(parts)
    if cls in (tuple, list) and listed is not None:
        whole = listed(parts)
        if whole is not None:
            return whole
    if cls in (tuple, list, dict) and any(len(part) != len(first) for part in parts.values()):
        raise Misfit(f"{tree.show(first, Value)} is of another length in another run")
    if cls is tuple or cls is list:
        return cls([inner(lambda part, i=i: part[i]) for i in range(len(first))])  # type: ignore[misc]
    if cls is dict:
        if any(list(part) != list(first) for part in parts.values()):
            raise Misfit("a dict has other keys in another run")
        return {key: inner(lambda part, key=key: part[key]) for key in first}  # type: ignore[misc]
    if cls is slice:
        ends = ("start", "stop", "step")
        return slice(*[inner(lambda part, end=end: getattr(part, end)) for end in ends])  # type: ignore[misc]
    if cls is tree.Record:
        if any(part.cls is not first.cls for part in parts.values()):
            raise Misfit("an object is of another class in another run")
        key = tuple(map(id, parts.values()))
        if key not in known:
            made = known[key] = tree.Record(first.cls, None, {})
            made.items = inner(lambda part: part.items)
            made.attributes = inner(lambda part: part.attributes)
        return known[key]
    if not tree.is_word(first):  # an object handed on, a cache: what is read from it, calls say
        return first
    if not all(part is first or same_literal(part, first) for part in parts.values()):
        shown = ", ".join(tree.show(part, Value) for part in parts.values())
        raise Misfit(f"a number that nothing explains: {shown}")
    return first


def _differ(parts: dict[int, Any]) -> bool:
    """Whether these are numbers, and neither all Values nor all the same."""
    plain = [one for one in parts.values() if one.__class__ in (int, float, bool)]
    values = [one for one in parts.values() if one.__class__ is Value and one.is_number]
    if not plain or len(plain) + len(values) < len(parts):
        return False
    return bool(values) or not all(same_literal(one, plain[0]) for one in plain)


def begun_alike(nodes: Sequence[Node]) -> Effects:
    """The effects of calls that are one, with the state that their random generator begins with.

    On a path where another call drew before, it is none that begins the run.
    """
    effects = [node.effects for node in nodes]
    states = [one for one in effects if one.generator is not None]
    if not states:
        return effects[0]
    first = states[0]
    anew = any(not one.goes_on for one in states)  # the model itself sets it there
    if anew and (len(states) < len(effects) or any(one.goes_on for one in states)):
        raise Misfit(f"random numbers begin anew on one path: {nodes[0]}")
    if any(not torch.equal(one.generator, first.generator) for one in states[1:]):  # type: ignore[arg-type]
        raise Misfit(f"random numbers begin with another state in another run: {nodes[0]}")
    return effects[0]._replace(generator=first.generator, goes_on=first.goes_on)


def only_a_number(node: Node) -> bool:
    """Whether a call only computes with numbers."""
    return node.body is None and bool(node.outputs) and node.target in numbers.FUNCTIONS


def alike_numbers(
    one: Any, other: Any, leaf: Callable[[Value, Value], bool] = lambda a, b: True
) -> bool:
    """Whether two runs hold the same number, or lists of one length.

    Args:
        one: what one holds.
        other: what the other holds.
        leaf: whether two Values that are not computed are the same; those of two runs may be.
    """
    if one.__class__ is not other.__class__:
        return False
    if one.__class__ is not Value:
        return bool(one == other)
    a, b = one.producer, other.producer
    if a is None or b is None or not only_a_number(a) or not only_a_number(b):
        return leaf(one, other)
    return a.target is b.target and list(a.args) == list(b.args) and all(
        alike_numbers(p, q, leaf) for p, q in zip(a.args.values(), b.args.values())
    )  # fmt: skip


def same_number(one: Any, other: Any) -> bool:
    """Whether two numbers of one run are the same: literals, or computed alike of the same."""
    return alike_numbers(one, other, operator.is_)
