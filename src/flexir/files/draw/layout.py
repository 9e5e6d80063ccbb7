"""Where boxes go: one body at a time, top to bottom, what is high in columns.

Graphviz places a body if pygraphviz is there and the body is not large; otherwise a layered layout
of our own: ranks by longest path, order in a rank by the mean of what is above. Columns and the
edges between them are :mod:`.columns`. This module knows boxes and edges, nothing of graphs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from .columns import GAP_X, GAP_Y, Box, Edge, Placed, Point, Size, fold

_LARGE = 120  # boxes that Graphviz still places quickly
_LANE = 8.0  # width of an edge on its way past a row
_FAR = 12  # ranks; edges over more keep no lane free, or long bodies would become wide


def lay_out(
    sizes: Sequence[Size], edges: Sequence[Edge], *, graphviz: bool = True, aspect: float = 1.5
) -> Placed:
    """Lay out the boxes of one body.

    Args:
        sizes: (width, height) of each box, in order of execution.
        edges: (from, to), from before to.
        graphviz: use it where it is installed.
        aspect: width over height towards which a high body is folded into columns.
    """
    if not sizes:
        return Placed([], [], 0.0, 0.0)
    made = _graphviz(sizes, edges) if graphviz and len(sizes) <= _LARGE else None
    boxes, routes = made or _layered(sizes, edges)
    return fold(boxes, edges, routes, aspect)


Routes = list[list[Point]]


def _graphviz(sizes: Sequence[Size], edges: Sequence[Edge]) -> tuple[list[Box], Routes] | None:
    """Boxes and routes as ``dot`` sees them; None without pygraphviz."""
    try:
        import pygraphviz
    except ImportError:
        return None
    graph = pygraphviz.AGraph(directed=True, strict=True, nodesep="0.3", ranksep="0.32")
    graph.node_attr.update(shape="box", fixedsize="true", label="")
    graph.edge_attr.update(arrowhead="none")
    for number, (width, height) in enumerate(sizes):
        graph.add_node(number, width=width / 72, height=height / 72)
    for start, end in edges:
        graph.add_edge(start, end)
    graph.layout(prog="dot")
    boxes = []
    for number, (width, height) in enumerate(sizes):
        x, y = graph.get_node(number).attr["pos"].split(",")
        boxes.append(Box(width, height, float(x), -float(y)))
    routes: Routes = []
    for start, end in edges:
        points = graph.get_edge(start, end).attr["pos"].split()
        pairs = [p.split(",") for p in points if not p.startswith(("e,", "s,"))]
        routes.append([(float(x), -float(y)) for x, y in pairs])
    return boxes, routes


# --- a layered layout of our own ------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class _Cell:
    """What has a place in a row: a box, or a lane that an edge keeps free past the row."""

    box: Box
    rank: int = 0
    above: list[_Cell] = field(default_factory=list)

    def wish(self) -> float | None:
        """Where it would like to stand: below what it reads."""
        if not self.above:
            return None
        return sum(item.box.x for item in self.above) / len(self.above)


def _layered(sizes: Sequence[Size], edges: Sequence[Edge]) -> tuple[list[Box], Routes]:
    """Rows by longest path, each ordered by what is above."""
    items = [_Cell(Box(width, height)) for width, height in sizes]
    _rank(items, edges)
    rows: list[list[_Cell]] = [[] for _ in range(max(item.rank for item in items) + 1)]
    for item in items:
        rows[item.rank].append(item)
    ways = [_way(items[start], items[end], rows) for start, end in edges]
    top = 0.0
    for row in rows:
        _spread(row)
        height = max((item.box.height for item in row), default=0.0)
        for item in row:
            item.box.y = top + height / 2
        top += height + GAP_Y
    return [item.box for item in items], [_curve([item.box for item in way]) for way in ways]


def _rank(items: Sequence[_Cell], edges: Sequence[Edge]) -> None:
    """Ranks by longest path; what reads nothing stands right above its first reader."""
    reading: set[int] = set()
    first: dict[int, int] = {}
    for start, end in sorted(edges, key=lambda edge: edge[1]):
        items[end].rank = max(items[end].rank, items[start].rank + 1)
        reading.add(end)
    for start, end in edges:
        first[start] = min(first.get(start, items[end].rank), items[end].rank)
    for number, rank in first.items():
        if number not in reading:
            items[number].rank = rank - 1


def _way(start: _Cell, end: _Cell, rows: Sequence[list[_Cell]]) -> list[_Cell]:
    """From one box to the other, with a lane in every row between them."""
    way = [start]
    if end.rank - start.rank <= _FAR:
        for rank in range(start.rank + 1, end.rank):
            lane = _Cell(Box(_LANE, 0.0), rank)
            rows[rank].append(lane)
            way.append(lane)
    way.append(end)
    for one, other in pairwise(way):
        other.above.append(one)
    return way


def _spread(row: list[_Cell]) -> None:
    """Give the items of a row their places from left to right, near where they wish to be."""
    if len(row) == 1:
        row[0].box.x = row[0].wish() or 0.0
        return
    wishes = {id(item): item.wish() for item in row}
    last = max((wish for wish in wishes.values() if wish is not None), default=0.0)
    row.sort(key=lambda item: last if (wish := wishes[id(item)]) is None else wish)
    left, off, count = 0.0, 0.0, 0
    for item in row:
        item.box.x = left + item.box.width / 2
        left += item.box.width + GAP_X
        if (wish := wishes[id(item)]) is not None:
            off += wish - item.box.x
            count += 1
    for item in row:
        item.box.x += off / max(1, count)


def _curve(boxes: Sequence[Box]) -> list[Point]:
    """Bezier control points from the bottom of the first box to the top of the last."""
    first, *between, last = boxes
    points = [(first.x, first.bottom), *((lane.x, lane.y) for lane in between), (last.x, last.top)]
    curve = points[:1]
    for (x0, y0), (x1, y1) in pairwise(points):
        bend = max(10.0, abs(y1 - y0) / 2)
        curve += [(x0, y0 + bend), (x1, y1 - bend), (x1, y1)]
    return curve
