"""What is much higher than wide, cut into columns that each read from top to bottom.

An edge to another column leaves its box at the right, runs in the gap between the columns, and
comes in from the left; edges over whole columns run above them. Where another box stands in the
way, the edge leaves below, or comes in above, through the gap between two rows. Edges of one box
share their track. This module places nothing inside a column; :mod:`.layout` has done that.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

GAP_X, GAP_Y = 26.0, 26.0
_TRACK = 8.0  # between two edges that run side by side
_WIDEST = 96.0  # of all tracks of a gap; more of them run closer together
_BESIDE = 7.0  # from a row to an edge that runs along it
_ROUND = 10.0  # radius of corners
_CUT = 0.15  # what one cut edge costs, as part of a column by which the cut may move

Size = tuple[float, float]
Edge = tuple[int, int]
Point = tuple[float, float]


@dataclass(slots=True, eq=False)
class Box:
    """A rectangle by its size and its centre, and the column it is in."""

    width: float
    height: float
    x: float = 0.0
    y: float = 0.0
    column: int = 0

    @property
    def left(self) -> float:
        return self.x - self.width / 2

    @property
    def right(self) -> float:
        return self.x + self.width / 2

    @property
    def top(self) -> float:
        return self.y - self.height / 2

    @property
    def bottom(self) -> float:
        return self.y + self.height / 2


@dataclass(slots=True)
class Placed:
    """A laid-out body.

    Attributes:
        places: (x, y) of the upper left corner of every box.
        routes: per edge, points of a chain of cubic Bezier curves, flat: x, y, x, y, ...
        width, height: of the whole.
    """

    places: list[Point]
    routes: list[list[float]]
    width: float
    height: float


@dataclass(slots=True)
class _Column:
    """Boxes between two cuts, and the tracks in the gap to the right of them."""

    boxes: list[Box]
    low: float  # of all that is drawn inside, before it is moved
    high: float
    dx: float = 0.0
    dy: float = 0.0
    gap: float = 0.0  # where the gap to the right begins
    tracks: dict[int, float] | None = None  # box an edge begins at -> x


def fold(
    boxes: Sequence[Box], edges: Sequence[Edge], routes: Sequence[list[Point]], aspect: float
) -> Placed:
    """Columns side by side, and all edges; moves the boxes.

    Args:
        boxes: placed in one column.
        edges: (from, to), as indices of boxes.
        routes: of the edges in that one column.
        aspect: width over height to come near to.
    """
    columns = _columns(boxes, edges, routes, aspect)
    across = [(a, b) for a, b in edges if boxes[a].column != boxes[b].column]
    over = _over(boxes, across)
    down = -min(over.values(), default=0.0)
    _move(columns, boxes, across, down)
    places = [(box.left, box.top) for box in boxes]
    drawn = []
    for (start, end), route in zip(edges, routes):
        one, other = boxes[start], boxes[end]
        if one.column == other.column:
            column = columns[one.column]
            drawn.append([p for x, y in route for p in (x + column.dx, y + column.dy)])
        else:
            lane = over[start] + down if start in over else 0.0
            drawn.append(_rounded(_across(start, one, other, columns, lane)))
    last = columns[-1]
    height = max(box.bottom for column in columns for box in column.boxes)
    return Placed(places, drawn, last.high + last.dx, height)


def _columns(
    boxes: Sequence[Box], edges: Sequence[Edge], routes: Sequence[list[Point]], aspect: float
) -> list[_Column]:
    """The boxes of every column, which each box is then told, and how wide a column is."""
    left, right = min(box.left for box in boxes), max(box.right for box in boxes)
    top, bottom = min(box.top for box in boxes), max(box.bottom for box in boxes)
    count = max(1, round(((bottom - top) * aspect / (right - left + GAP_X)) ** 0.5))
    cuts = _cuts(boxes, edges, top, bottom, count) if count > 1 else []
    members: list[list[Box]] = [[] for _ in range(len(cuts) + 1)]
    for box in boxes:
        box.column = bisect_left(cuts, box.y)
        members[box.column].append(box)
    reach: list[list[float]] = [[] for _ in members]
    for (start, end), route in zip(edges, routes):
        if boxes[start].column == boxes[end].column:
            reach[boxes[start].column] += [x for x, _ in route]
    made = []
    for inside, xs in zip(members, reach):
        low, high = min(box.left for box in inside), max(box.right for box in inside)
        made.append(_Column(inside, min([low, *xs]), max([high, *xs])))
    return made


def _cuts(
    boxes: Sequence[Box], edges: Sequence[Edge], top: float, bottom: float, columns: int
) -> list[float]:
    """Heights between boxes at which to cut: near the ideal ones, across few edges."""
    steps = sorted([(box.top, 1) for box in boxes] + [(box.bottom, -1) for box in boxes])
    free, depth = [], 0
    for (y, step), (after, _) in pairwise(steps):
        depth += step
        if depth == 0 and after > y:
            free.append((y + after) / 2)
    change = [0] * (len(free) + 1)  # of the number of edges, from one cut to the next
    for start, end in edges:
        change[bisect_left(free, boxes[start].bottom)] += 1
        change[bisect_right(free, boxes[end].top)] -= 1
    crossing = list(accumulate(change))
    part = (bottom - top) / columns
    found: list[float] = []
    for number in range(1, columns):
        wish = top + number * part
        first, last = bisect_right(free, wish - part / 2), bisect_left(free, wish + part / 2)
        near = [(abs(free[i] - wish) / part + _CUT * crossing[i], free[i])
                for i in range(first, last)]  # fmt: skip
        if near and (best := min(near)[1]) not in found:
            found.append(best)
    return sorted(found)


def _over(boxes: Sequence[Box], across: Sequence[Edge]) -> dict[int, float]:
    """Box -> height above the columns at which its edges run, for edges over whole columns."""
    far = dict.fromkeys(a for a, b in across if boxes[b].column > boxes[a].column + 1)
    return {start: -GAP_Y / 2 - number * _TRACK for number, start in enumerate(reversed(far))}


def _move(
    columns: Sequence[_Column], boxes: Sequence[Box], across: Sequence[Edge], down: float
) -> None:
    """Put the columns side by side, as far apart as the edges between them need."""
    using: list[dict[int, None]] = [{} for _ in columns]  # gap -> boxes whose edges run there
    for start, end in across:
        using[boxes[start].column][start] = None
        using[boxes[end].column - 1][start] = None
    left = 0.0
    for column, starts in zip(columns, using):
        column.dx = left - column.low
        column.dy = down - min(box.top for box in column.boxes)
        for box in column.boxes:
            box.x += column.dx
            box.y += column.dy
        column.gap = column.high + column.dx
        # An edge that begins lower runs further to the right: so those that keep their order
        # do not cross. Edges from earlier columns come from above and run furthest right.
        order = sorted(starts, key=lambda s: (-boxes[s].column, boxes[s].y))
        apart = min(_TRACK, _WIDEST / max(1, len(order)))
        column.tracks = {s: column.gap + GAP_X + n * apart for n, s in enumerate(order)}
        left = column.gap + 2 * GAP_X + max(0, len(order) - 1) * apart


def _across(
    start: int, one: Box, other: Box, columns: Sequence[_Column], over: float
) -> list[Point]:
    """The corners of an edge to another column."""
    leave, enter = columns[one.column], columns[other.column - 1]
    assert leave.tracks is not None and enter.tracks is not None
    row = _row(leave.boxes, one)
    if any(box.left > one.x for box in row if box is not one):
        points = [(one.x, one.bottom), (one.x, max(b.bottom for b in row) + _BESIDE)]
    else:
        points = [(one.right, one.y)]
    points.append((leave.tracks[start], points[-1][1]))
    if enter is not leave:
        points += [(leave.tracks[start], over), (enter.tracks[start], over)]
    row = _row(columns[other.column].boxes, other)
    if any(box.right < other.x for box in row if box is not other):
        y = min(b.top for b in row) - _BESIDE
        return [*points, (enter.tracks[start], y), (other.x, y), (other.x, other.top)]
    return [*points, (enter.tracks[start], other.y), (other.left, other.y)]


def _row(boxes: Sequence[Box], one: Box) -> list[Box]:
    """The boxes that stand beside a box."""
    return [box for box in boxes if box.top < one.bottom and box.bottom > one.top]


def _rounded(corners: Sequence[Point]) -> list[float]:
    """A way along straight lines with rounded corners, as Bezier curves."""
    along: Callable[[Point, Point, float], Point] = lambda a, b, part: (
        a[0] + (b[0] - a[0]) * part, a[1] + (b[1] - a[1]) * part,
    )  # fmt: skip
    made = [corners[0]]

    def line(to: Point) -> None:
        middle = along(made[-1], to, 0.5)
        made.extend([middle, middle, to])

    for before, corner, after in zip(corners, corners[1:], corners[2:]):
        long = abs(corner[0] - before[0]) + abs(corner[1] - before[1])
        next_long = abs(after[0] - corner[0]) + abs(after[1] - corner[1])
        radius = min(_ROUND, long / 2, next_long / 2)
        if radius < 0.5:
            continue
        line(along(corner, before, radius / long))
        made.extend([corner, corner, along(corner, after, radius / next_long)])
    line(corners[-1])
    return [part for point in made for part in point]
