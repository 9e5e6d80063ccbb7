"""``draw``: a graph as a file, ``.html``, ``.dot``, and through pygraphviz ``.png`` and ``.svg``.

Owns the choice by the path's ending; what a picture shows is :mod:`.dot`'s and :mod:`.page`'s.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ...errors import Error
from ...graph.graph import Graph
from ...graph.nodes import Node
from ...graph.program import one_graph
from .dot import to_dot

if TYPE_CHECKING:
    from ...conversion.convert import Result

_PICTURES = (".png", ".svg", ".dot")


class DrawError(Error, RuntimeError):
    """A picture could not be made."""


def draw(
    graph: Graph,
    path: str | os.PathLike[str],
    *,
    status: Mapping[Node, str] | None = None,
    limit: int = 300,
    beside: Graph | Result | None = None,
    overlays: Mapping[str, Mapping[str, float]] | None = None,
    golden: str | os.PathLike[str] | None = None,
    weights: bool = True,
    graphviz: bool = True,
) -> str:
    """Draw a graph into a file.

    Args:
        graph: a captured graph.
        path: ends in ``.html`` (one file to look at in a browser: zoom, search, details), ``.png``,
            ``.svg`` or ``.dot``.
        status: node -> status, as ``Result.status``; ``result.draw(path)`` passes its own.
        limit: of pictures: how many boxes at most before modules are collapsed.
        beside: of pages: a second Graph or Result, shown beside the first.
        overlays: of pages: name -> {Value name or module path: number}, shown as colours.
        golden: of pages: a folder ``graph.golden`` wrote; its values are summed up at each call.
        weights: of pages: sum up the weights (reads each once).
        graphviz: of pages: place boxes with Graphviz where it is installed.

    Returns:
        the path.

    Raises:
        DrawError: unknown ending, an argument that is not for this ending, or pygraphviz is
            missing for PNG and SVG.
    """
    graph = one_graph(graph, "draw")
    path, status = os.fspath(path), _recorded(graph) if status is None else status
    ending = os.path.splitext(path)[1].lower()
    if ending == ".html":
        from .page import page

        others = [] if beside is None else [_with_status(beside)]
        graphs, statuses = zip((graph, status), *others)
        text = page(graphs, statuses, overlays=overlays, golden=golden, weights=weights,
                    graphviz=graphviz)  # fmt: skip
        return _written(path, text.encode())
    if ending not in _PICTURES:
        raise DrawError(f"cannot draw {path!r}: the name must end in .html, .png, .svg or .dot")
    only_pages = {"beside": beside, "overlays": overlays, "golden": golden}
    if given := [name for name, value in only_pages.items() if value is not None]:
        raise DrawError(f"{', '.join(given)}: only pages (.html) show that")
    dot = to_dot(graph, status, limit=limit)
    return _written(path, dot.encode() if ending == ".dot" else _picture(dot, path))


def _picture(text: str, path: str) -> bytes:
    """What Graphviz makes of DOT text, in the format that a path ends in."""
    stem, ending = os.path.splitext(path)
    try:
        import pygraphviz
    except ImportError as error:
        raise DrawError(
            f"drawing {ending} files needs Graphviz: pip install flextorchir[draw]\n"
            f"Without it, draw {stem}.dot instead."
        ) from error
    made = pygraphviz.AGraph(string=text)
    if ending.lower() == ".png":
        made.graph_attr["dpi"] = "80"
    # Written by us: given a path, pygraphviz opens it in a way that Python 3.11.2 refuses.
    picture: bytes = made.draw(None, prog="dot", format=ending[1:].lower())
    return picture


def _written(path: str, data: bytes) -> str:
    with open(path, "wb") as file:
        file.write(data)
    return path


def _with_status(drawn: Graph | Result) -> tuple[Graph, Mapping[Node, str]]:
    if isinstance(drawn, Graph):
        return drawn, _recorded(drawn)
    return drawn.graph, drawn.status


def _recorded(graph: Graph) -> dict[Node, str]:
    """The statuses a loaded conversion came with."""
    return {node: status for node, (status, _) in graph.status.items()}
