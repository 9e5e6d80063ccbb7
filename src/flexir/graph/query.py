"""Questions to a graph: the Value of a name, the calls that read a Value, calls by op or place.

Owns what ``graph[...]``, ``graph.users`` and ``graph.find`` answer. Looks into the
blocks of branches and loops, too. Reads graphs and changes none.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from . import collector
from .choice import every, values_of, walk
from .nodes import Node, Value

if TYPE_CHECKING:
    from .graph import Graph


def values(graph: Graph) -> Iterator[Value]:
    """Every Value of a graph: inputs, constants, what calls make, parameters of blocks."""
    yield from graph.input_values
    yield from graph.constants
    yield from values_of(graph.nodes)


def value(graph: Graph, name: str) -> Value:
    """The Value of this name; a tied weight has several.

    Raises:
        KeyError: there is none.
    """
    wanted = name.removeprefix("%")
    for one in values(graph):
        if wanted == one.name or wanted in one.names:
            return one
    near = difflib.get_close_matches(wanted, [one.name for one in values(graph)], n=3)
    hint = f"; near it: {', '.join(f'%{one}' for one in near)}" if near else ""
    raise KeyError(f"no value %{wanted} in graph {graph.name}{hint}")


def users(graph: Graph) -> Mapping[Value, tuple[Node, ...]]:
    """Every Value -> the function calls that read it, in order, each once."""
    found: dict[Value, dict[Node, None]] = {one: {} for one in values(graph)}
    for node in every(graph.nodes):
        for one in node.inputs:
            found.setdefault(one, {})[node] = None
    return {one: tuple(nodes) for one, nodes in found.items()}


def find(graph: Graph, op: str | None, path: str | None, module: type | str | None) -> list[Node]:
    """As :meth:`Graph.find`."""
    return [
        node
        for node in walk(graph.nodes)
        if (node.body is not None) == (module is not None)
        and (op is None or fnmatchcase(node.op, op))
        and (path is None or fnmatchcase(node.path, path))
        and (module is None or _is_call_of(graph, node, module))
    ]


def _is_call_of(graph: Graph, node: Node, module: type | str) -> bool:
    """Whether a module call is of this class, or of a class of this name."""
    cls = graph.modules.get(node.path)
    if isinstance(module, str):
        return node.op == module or (cls is not None and cls.__name__ == module)
    return isinstance(cls, type) and issubclass(cls, module)


@collector.paused()
def last_readers(graph: Graph) -> dict[Node, list[Value]]:
    """Function node -> the Values unused after it."""
    last: dict[Value, Node] = {}
    for node in graph:
        for value in (*node.outputs, *node.inputs):
            last[value] = node
    for value in graph.results:
        last.pop(value, None)
    free: dict[Node, list[Value]] = {}
    for value, node in last.items():
        free.setdefault(node, []).append(value)
    return free
