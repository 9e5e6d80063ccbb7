"""Where boxes go: one body at a time, top to bottom, long bodies in columns.

Graphviz places a body if pygraphviz is there and the body is not large; otherwise a layered layout
of our own: ranks by longest path, order in a rank by the mean of what is above. This module knows
boxes and edges, nothing of graphs.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

GAP_X, GAP_Y = 26.0, 26.0
_LARGE = 120  # boxes that Graphviz still places quickly

Size = tuple[float, float]
Edge = tuple[int, int]


@dataclass(slots=True)
class Placed:
    """A laid-out body.

    Attributes:
        places: (x, y) of the upper left corner of every box.
        routes: per edge, points of a chain of cubic Bezier curves, flat: x, y, x, y, ...
        width, height: of the whole.
    """

    places: list[tuple[float, float]]
    routes: list[list[float]]
    width: float
    height: float


def place(
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
    if made is None:
        made = _layered(sizes, edges)
    return _fold(sizes, edges, *made, aspect)


Centres = list[tuple[float, float]]
Routes = list[list[tuple[float, float]]]


def _graphviz(sizes: Sequence[Size], edges: Sequence[Edge]) -> tuple[Centres, Routes] | None:
    """Centres and routes as ``dot`` sees them; None without pygraphviz."""
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
    centres = []
    for number in range(len(sizes)):
        x, y = graph.get_node(number).attr["pos"].split(",")
        centres.append((float(x), -float(y)))
    routes: Routes = []
    for start, end in edges:
        points = graph.get_edge(start, end).attr["pos"].split()
        pairs = [p.split(",") for p in points if not p.startswith(("e,", "s,"))]
        routes.append([(float(x), -float(y)) for x, y in pairs])
    return centres, routes


def _layered(sizes: Sequence[Size], edges: Sequence[Edge]) -> tuple[Centres, Routes]:
    """Ranks by longest path; edges over several ranks hold a lane free for themselves."""
    above: dict[int, list[int]] = {}
    rank = [0] * len(sizes)
    for start, end in sorted(edges, key=lambda e: e[1]):
        rank[end] = max(rank[end], rank[start] + 1)
    rows: list[list[int]] = [[] for _ in range(max(rank) + 1)]
    for box, level in enumerate(rank):
        rows[level].append(box)
    widths = [width for width, _ in sizes]
    lanes: list[list[int]] = []
    for start, end in edges:
        chain = [start]
        if rank[end] - rank[start] <= 12:
            for level in range(rank[start] + 1, rank[end]):
                rows[level].append(len(widths))
                chain.append(len(widths))
                widths.append(8.0)
        chain.append(end)
        lanes.append(chain)
        for one, other in pairwise(chain):
            above.setdefault(other, []).append(one)
    x = [0.0] * len(widths)
    for row in rows:
        wish = {b: _mean([x[a] for a in above.get(b, ())]) for b in row}
        row.sort(key=lambda b: wish[b])
        left = 0.0
        for box in row:
            x[box] = left + widths[box] / 2
            left += widths[box] + GAP_X
        shift = _mean([wish[b] - x[b] for b in row if above.get(b)])
        for box in row:
            x[box] += shift
    heights = [max((sizes[b][1] for b in row if b < len(sizes)), default=0.0) for row in rows]
    tops = [0.0]
    for height in heights:
        tops.append(tops[-1] + height + GAP_Y)
    middle = [top + height / 2 for top, height in zip(tops, heights)]
    level_of = {box: level for level, row in enumerate(rows) for box in row}
    centres = [(x[b], middle[rank[b]]) for b in range(len(sizes))]
    routes = []
    for (start, end), chain in zip(edges, lanes):
        points = [(x[start], middle[rank[start]] + sizes[start][1] / 2)]
        points += [(x[b], middle[level_of[b]]) for b in chain[1:-1]]
        points.append((x[end], middle[rank[end]] - sizes[end][1] / 2))
        routes.append(_curve(points))
    return centres, routes


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers) if numbers else 0.0


def _curve(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Bezier control points through points, upright at each."""
    curve = [points[0]]
    for (x0, y0), (x1, y1) in pairwise(points):
        bend = max(10.0, abs(y1 - y0) / 2)
        curve += [(x0, y0 + bend), (x1, y1 - bend), (x1, y1)]
    return curve


def _fold(
    sizes: Sequence[Size], edges: Sequence[Edge], centres: Centres, routes: Routes, aspect: float
) -> Placed:
    """Cut what is much higher than wide into columns, where the fewest edges are cut."""
    spans = [(c[1] - s[1] / 2, c[1] + s[1] / 2) for c, s in zip(centres, sizes)]
    left = min(c[0] - s[0] / 2 for c, s in zip(centres, sizes))
    right = max(c[0] + s[0] / 2 for c, s in zip(centres, sizes))
    top, bottom = min(s[0] for s in spans), max(s[1] for s in spans)
    columns = max(1, round(((bottom - top) * aspect / (right - left + GAP_X)) ** 0.5))
    cuts = _cuts(spans, edges, top, bottom, columns) if columns > 1 else []
    bounds = [top - 1, *cuts, bottom + 1]
    column = [sum(c[1] > cut for cut in cuts) for c in centres]
    places = [(0.0, 0.0)] * len(sizes)
    members: list[list[int]] = [[] for _ in bounds[1:]]
    for box, number in enumerate(column):
        members[number].append(box)
    lanes_of: list[list[float]] = [[] for _ in bounds[1:]]
    for (a, b), route in zip(edges, routes):
        if column[a] == column[b]:
            lanes_of[column[a]] += [p[0] for p in route]
    shifts, offset, height = [], 0.0, 0.0
    for inside, lanes in zip(members, lanes_of):
        low = min([*(centres[b][0] - sizes[b][0] / 2 for b in inside), *lanes])
        high = max([*(centres[b][0] + sizes[b][0] / 2 for b in inside), *lanes])
        upper = min(spans[b][0] for b in inside)
        shifts.append((offset - low, -upper))
        offset += high - low + 2 * GAP_X
        height = max(height, max(spans[b][1] for b in inside) - upper)
    for box, ((x, y), (w, h)) in enumerate(zip(centres, sizes)):
        dx, dy = shifts[column[box]]
        places[box] = (x - w / 2 + dx, y - h / 2 + dy)
    moved = []
    for (start, end), route in zip(edges, routes):
        if column[start] == column[end]:
            dx, dy = shifts[column[start]]
            moved.append([part for x, y in route for part in (x + dx, y + dy)])
        else:
            (x0, y0), (x1, y1) = places[start], places[end]
            ends = [(x0 + sizes[start][0] / 2, y0 + sizes[start][1]), (x1 + sizes[end][0] / 2, y1)]
            moved.append(_across(ends, x0 + sizes[start][0] + GAP_X / 2, x1 - GAP_X / 2, height))
    return Placed(places, moved, offset - 2 * GAP_X, height)


def _across(
    ends: Sequence[tuple[float, float]], leave: float, enter: float, height: float
) -> list[float]:
    """A route to another column: down, up between the columns, in from above."""
    (x0, y0), (x1, y1) = ends
    lane = (leave + enter) / 2 if enter > leave else enter
    bend = GAP_Y * 0.9
    points = [(x0, y0), (x0, y0 + bend), (lane, y0 + bend), (lane, (y0 + y1) / 2),
              (lane, y1 - bend), (x1, y1 - bend), (x1, y1)]  # fmt: skip
    return [part for point in points for part in point]


def _cuts(
    spans: Sequence[tuple[float, float]],
    edges: Sequence[Edge],
    top: float,
    bottom: float,
    columns: int,
) -> list[float]:
    """Heights between boxes at which to cut: near the ideal ones, across few edges."""
    steps = sorted([(low, 1) for low, _ in spans] + [(high, -1) for _, high in spans])
    free, depth = [], 0
    for (y, step), (after, _) in pairwise(steps):
        depth += step
        if depth == 0 and after > y:
            free.append((y + after) / 2)
    change = [0] * (len(free) + 1)  # of the number of edges, from one cut to the next
    for start, end in edges:
        change[bisect_left(free, spans[start][1])] += 1
        change[bisect_right(free, spans[end][0])] -= 1
    crossing = list(accumulate(change))
    part = (bottom - top) / columns
    found: list[float] = []
    for number in range(1, columns):
        wish = top + number * part
        near = [(abs(y - wish) / part + 0.15 * crossing[i], y)
                for i, y in enumerate(free) if abs(y - wish) < part * 0.5]  # fmt: skip
        if near and (best := min(near)[1]) not in found:
            found.append(best)
    return sorted(found)
