"""Lines on logarithmic axes, as an SVG. Plain text, no library."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

WIDTH, HEIGHT = 760, 400
LEFT, RIGHT, TOP, BOTTOM = 64, 596, 44, 348  # of the field with the lines
COLOURS = ("#2f6fde", "#d9480f", "#2b8a3e", "#9c36b5", "#e67700", "#0b7285", "#868e96")
APART = 15  # pixels between two labels


def lines(path: Path, title: str, across: str, series: Mapping[str, Mapping[int, float]]) -> None:
    """Write a plot.

    Args:
        path: where.
        title: what the values are, with their unit.
        across: what the points are.
        series: label -> point -> value; both are above zero.
    """
    points = sorted({x for one in series.values() for x in one})
    values = [y for one in series.values() for y in one.values()]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))

    def across_at(x: float) -> float:
        first, last = math.log10(points[0]), math.log10(points[-1])
        return LEFT + (math.log10(x) - first) / (last - first) * (RIGHT - LEFT)

    def up_at(y: float) -> float:
        return BOTTOM - (math.log10(y) - low) / (high - low) * (BOTTOM - TOP)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff" rx="6"/>',
        f'<text x="{LEFT}" y="24" font-size="15" font-weight="bold">{title}</text>',
        f'<text x="{(LEFT + RIGHT) / 2}" y="{HEIGHT - 10}" text-anchor="middle">{across}</text>',
    ]
    for power in range(low, high + 1):
        y = up_at(10.0**power)
        parts.append(f'<line x1="{LEFT}" x2="{RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        label = f"{10.0**power:g}"
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
    for x in points:
        at = across_at(x)
        parts.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{BOTTOM}" stroke="#eee"/>')
        parts.append(f'<text x="{at:.1f}" y="{BOTTOM + 18}" text-anchor="middle">{x:,}</text>')
    ends = {label: up_at(one[max(one)]) for label, one in series.items()}
    places = _spread(ends)
    for (label, one), colour in zip(series.items(), COLOURS):
        at = [(across_at(x), up_at(y)) for x, y in sorted(one.items())]
        drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
        parts.append(f'<polyline points="{drawn}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in at]
        where = f'x="{at[-1][0] + 10:.1f}" y="{places[label] + 4:.1f}"'
        parts.append(f'<text {where} fill="{colour}">{label} {one[max(one)]:.3g}</text>')
    path.write_text("\n".join([*parts, "</svg>"]) + "\n")


def _spread(wanted: Mapping[str, float]) -> dict[str, float]:
    """Where labels stand, in the order of their lines and none on another."""
    places: dict[str, float] = {}
    for label in sorted(wanted, key=wanted.__getitem__):
        above = max(places.values(), default=-math.inf)
        places[label] = max(wanted[label], above + APART)
    return places
