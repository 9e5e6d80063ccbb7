"""A graph as a file: ``.html``, ``.dot``, and through pygraphviz ``.png`` and ``.svg``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ...errors import Error
from ...graph.graph import Graph
from ...graph.nodes import Node
from .dot import to_dot


class DrawError(Error, RuntimeError):
    """A picture could not be made."""


def draw(
    graph: Graph,
    path: str | os.PathLike[str],
    *,
    status: Mapping[Node, str] | None = None,
    limit: int = 300,
    beside: Any = None,
    **options: Any,
) -> str:
    """Draw a graph into a file.

    Args:
        graph: a captured graph.
        path: ends in ``.html`` (one file to look at in a browser: zoom, search, details), ``.png``,
            ``.svg`` or ``.dot``.
        status: node -> status, as ``Result.status``; ``result.draw(path)`` passes its own.
        limit: of pictures: how many boxes at most before modules are collapsed.
        beside: of pages: a second Graph or Result, shown beside the first.
        options: of pages: ``overlays``, ``golden``, ``weights``; see ``page`` beside this.

    Returns:
        the path.

    Raises:
        DrawError: unknown ending, or pygraphviz is missing for PNG and SVG.
    """
    path = os.fspath(path)
    ending = os.path.splitext(path)[1].lower()
    if ending == ".html":
        from .page import page

        graphs, statuses = [graph], [_recorded(graph) if status is None else status]
        if beside is not None:
            other = getattr(beside, "graph", beside)
            graphs.append(other)
            statuses.append(getattr(beside, "status", None) or _recorded(other))
        with open(path, "w", encoding="utf-8") as file:
            file.write(page(graphs, statuses, **options))
        return path
    if ending not in (".png", ".svg", ".dot"):
        raise DrawError(f"cannot draw {path!r}: the name must end in .html, .png, .svg or .dot")
    if beside is not None or options:
        raise DrawError(f"{', '.join(options) or 'beside'}: only pages (.html) show that")
    status = _recorded(graph) if status is None else status
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
    # Written here: given a path, pygraphviz opens it in a way that Python 3.11.2 refuses.
    with open(path, "wb") as picture:
        picture.write(made.draw(None, prog="dot", format=ending[1:]))
    return path


def _recorded(graph: Graph) -> dict[Node, str]:
    """The statuses a loaded conversion came with."""
    return {node: status for node, (status, _) in graph.status.items()}
