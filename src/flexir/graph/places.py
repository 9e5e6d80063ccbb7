"""Places of templates: what stands where, in one or in several side by side.

Owns how a place is named: keys, fields and positions, joined by dots. Knows nothing of graphs and
judges nothing: that something does not fit is a place like any other.
"""

from __future__ import annotations

import builtins
import re
from collections.abc import Iterable, Iterator
from typing import Any

from .tree import Record

Places = Iterator[tuple[str, tuple[Any, ...]]]


def zip(*parts: Any, leaf: type, path: str = "", strict: bool = False) -> Places:
    """Walk templates side by side: every place of the first, with what stands there in all.

    A place is where the walk ends: at a ``leaf`` of the first, at what is no container, and where
    the others have no container of as many parts, or of these keys. What it means that a place
    does not fit is the caller's to say.

    Args:
        parts: templates, of which the first leads.
        leaf: what the first has at its leaves.
        path: where they stand; below it keys, fields and positions, joined by dots.
        strict: tell lists from tuples, the classes of objects and orders of keys apart.

    Yields:
        path and parts, in the order of :func:`.tree.leaves`; an object met before is not opened
        again.
    """
    return _zip(path, parts, leaf, strict, set())


def _zip(
    path: str, parts: tuple[Any, ...], leaf: type, strict: bool, seen: set[tuple[int, ...]]
) -> Places:
    first = parts[0]
    inner = None if first.__class__ is leaf else _side_by_side(parts, strict)
    if inner is None:
        yield path, parts
        return
    if first.__class__ is Record:
        met = tuple(map(id, parts))
        if met in seen:
            return
        seen.add(met)
    for key, found in inner:
        word = None if key is None else re.sub(r"\W", "_", str(key)) or "_"
        below = path if word is None else f"{path}.{word}" if path else word
        yield from _zip(below, found, leaf, strict, seen)


def _side_by_side(
    parts: tuple[Any, ...], strict: bool
) -> Iterable[tuple[Any, tuple[Any, ...]]] | None:
    """What is inside containers of one kind, by keys; None if they are none, or not of one kind."""
    first = parts[0]
    kinds = {part.__class__ for part in parts}
    if kinds == {Record}:
        if strict and any(part.cls is not first.cls for part in parts):
            return None
        attributes = tuple([part.attributes for part in parts])
        return ((None, tuple(map(_items, parts))), (None, attributes))
    if kinds == {dict}:
        if any(part.keys() != first.keys() for part in parts):
            return None
        if strict and any(list(part) != list(first) for part in parts):
            return None
        return [(key, tuple([part[key] for part in parts])) for key in first]
    if kinds == {slice}:
        ends = ("start", "stop", "step")
        return [(end, tuple([getattr(part, end) for part in parts])) for end in ends]
    if kinds <= {tuple, list} and not (strict and len(kinds) > 1):
        if all(len(part) == len(first) for part in parts):
            return enumerate(builtins.zip(*parts))
    return None


def _items(record: Record) -> Any:
    """The items of an instance, by the names of its fields where it is a named tuple."""
    torchs = "__match_args__" if hasattr(record.cls, "n_sequence_fields") else "_fields"
    fields = getattr(record.cls, torchs, ())
    named = isinstance(record.items, list) and len(fields) == len(record.items)
    return dict(builtins.zip(fields, record.items)) if named else record.items


def paths(template: Any, leaf: type) -> Iterator[tuple[str, Any]]:
    """Every instance of ``leaf``, in the order of :func:`.tree.leaves`, after its place."""
    for path, (part,) in zip(template, leaf=leaf):
        if part.__class__ is leaf:
            yield path, part


def output_name(path: str) -> str:
    """What a part of a result is called: ``output`` where there is one, ``output.0`` of several."""
    numbered = path.partition(".")[0].isdecimal()
    return f"output.{path}" if numbered else path or "output"
