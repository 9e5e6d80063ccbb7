"""Ways inside of what a place holds: parts of tuples, by position.

A place is a path of attributes and keys (``encoder.cache.keys``); what lies inside of tuples there
has the positions after it (``encoder.state.0``). This looks at no object but tuples.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import Any

from ..graph.account import NOTHING


def steps_to(path: str, place: str) -> list[str] | None:
    """The steps from a place to a path, or None if it does not lie there."""
    if path == place:
        return []
    return path[len(place) + 1 :].split(".") if path.startswith(place + ".") else None


def within(part: Any, steps: list[str] | None) -> Any:
    """What lies these steps inside of tuples; NOTHING if they lead elsewhere."""
    if steps is None:
        return NOTHING
    for step in steps:
        if not isinstance(part, tuple) or not step.isdigit() or int(step) >= len(part):
            return NOTHING
        part = part[int(step)]
    return part


def ways_to(part: Any, things: Container[int]) -> Iterator[tuple[int, str]]:
    """The ways inside of tuples to things, which are known by their ids."""
    if id(part) in things:
        yield id(part), ""
    elif isinstance(part, tuple):
        for position, inner in enumerate(tuple.__iter__(part)):
            yield from ((one, f".{position}{rest}") for one, rest in ways_to(inner, things))


def keyed_by(contents: Any) -> dict[Any, Any]:
    return contents if isinstance(contents, dict) else dict(enumerate(contents))


def with_part(part: Any, path: list[str], inner: Any) -> Any:
    """A tuple with one part replaced."""
    if not path:
        return inner
    position = int(path[0])
    made = with_part(part[position], path[1:], inner)
    parts = [*part[:position], made, *part[position + 1 :]]
    cls: Any = type(part)
    takes_one = cls is tuple or hasattr(cls, "n_sequence_fields")  # torch.return_types.*
    return cls(parts) if takes_one else cls(*parts)
