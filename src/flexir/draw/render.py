"""From DOT text to a file: ``.dot`` as it is, ``.png`` and ``.svg`` through pygraphviz."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ..errors import Error
from ..graph import Graph, Node
from .dot import to_dot


class DrawError(Error, RuntimeError):
    """A picture could not be made."""


def draw(
    graph: Graph,
    path: str | os.PathLike[str],
    *,
    status: Mapping[Node, str] | None = None,
    limit: int = 300,
) -> str:
    """Draw a graph into a file.

    Args:
        graph: a captured graph.
        path: ends in ``.png``, ``.svg`` or ``.dot``.
        status: node -> status, as ``Result.status``; ``result.draw(path)`` passes its own.
        limit: how many boxes at most before modules are collapsed.

    Returns:
        the path.

    Raises:
        DrawError: unknown ending, or pygraphviz is missing for PNG and SVG.
    """
    path = os.fspath(path)
    ending = os.path.splitext(path)[1].lower()
    if ending not in (".png", ".svg", ".dot"):
        raise DrawError(f"cannot draw {path!r}: the name must end in .png, .svg or .dot")
    text = to_dot(graph, status, limit=limit)
    if ending == ".dot":
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path
    try:
        import pygraphviz
    except ImportError as error:
        raise DrawError(
            f"drawing {ending} files needs Graphviz: pip install flextorchir[draw]\n"
            f"Without it, draw {os.path.splitext(path)[0]}.dot instead."
        ) from error
    made = pygraphviz.AGraph(string=text)
    if ending == ".png":
        made.graph_attr["dpi"] = "80"
    made.draw(path, prog="dot", format=ending[1:])
    return path
