"""A plan as text, Markdown and one HTML page.

Owns the wording and the layout; what is in a plan, and its order, is :mod:`.planning`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .planning import Item, Plan


def verdict(plan: Plan) -> str:
    """One line: how far the target is."""
    done, whole = len(plan.complete), len(plan.models)
    head = f"{done} of {whole} models convert whole with target {plan.target!r}"
    tail = f"; {len(plan.problems)} could not be planned" if plan.problems else ""
    if not plan.ran:
        tail += "; handlers were not run, what they would refuse is not in it"
    if not plan.items:
        return f"{head}; nothing is missing{tail}"
    count = "1 thing is" if len(plan.items) == 1 else f"{len(plan.items)} things are"
    return f"{head}; {count} missing for the rest{tail}"


def text(plan: Plan, top: int) -> str:
    """The plan as text for a terminal."""
    lines = []
    if plan.items:
        lines.append(f"{'':4} {'op':28} {'calls':>6} {'in models':>9} {'unlocks':>8} {'then':>6}")
    for number, (item, share) in enumerate(_shares(plan), 1):
        if number > top:
            lines.append(f"     ... {len(plan.items) - top} more")
            break
        row = f"{number:4} {item.key[:60]:28} {item.count:6} {len(item.models):9}"
        lines.append(f"{row} {len(item.unlocks):8} {share:6.0%}")
        lines += [f"        {line}" for line in _details(item, 2)]
    for name, why in plan.problems.items():
        lines.append(f"not planned  {name}: {why}")
    return "\n".join([*lines, verdict(plan)])


def markdown(plan: Plan, top: int) -> str:
    """A table, the details of every item below."""
    lines = [
        f"# What target `{plan.target}` needs", "", verdict(plan) + ".", "",
        "| | op | calls | in models | unlocks | models then whole |", "|---|---|---|---|---|---|",
    ]  # fmt: skip
    rows = list(_shares(plan))
    for number, (item, share) in enumerate(rows[:top], 1):
        cells = f"`{item.key}` | {item.count} | {len(item.models)} | {len(item.unlocks)}"
        lines.append(f"| {number} | {cells} | {share:.0%} |")
    if len(rows) > top:
        lines.append(f"| | {len(rows) - top} more | | | | |")
    for number, (item, _) in enumerate(rows[:top], 1):
        lines += ["", f"## {number}. `{item.key}`", ""]
        lines += [f"- {line}" for line in _details(item, 6)]
        if item.unlocks:
            lines.append(f"- unlocks {', '.join(item.unlocks)}")
    if plan.problems:
        lines += ["", "## Not planned", ""]
        lines += [f"- `{name}`: {why}" for name, why in plan.problems.items()]
    return "\n".join(lines)


def html(plan: Plan) -> str:
    """One page; an item opens to show its details."""
    parts = [_HEAD.replace("TITLE", escape(f"Plan for {plan.target}"))]
    parts.append(f"<h1>What target <code>{escape(plan.target)}</code> needs</h1>")
    parts.append(f"<p>{escape(verdict(plan))}.</p>")
    if plan.items:
        parts.append("<table><tr><th><th>op<th>calls<th>in models<th>unlocks<th>then whole</tr>")
    for number, (item, share) in enumerate(_shares(plan), 1):
        details = [escape(line) for line in _details(item, 8)]
        if item.unlocks:
            details.append("unlocks " + escape(", ".join(item.unlocks)))
        details.append("in " + escape(", ".join(f"{n} ({c})" for n, c in item.models.items())))
        inner = "".join(f"<li>{line}</li>" for line in details)
        parts.append(
            f"<tr><td>{number}<td><details><summary>{escape(item.key)}</summary><ul>{inner}</ul>"
            f"</details><td>{item.count}<td>{len(item.models)}<td>{len(item.unlocks)}"
            f'<td><i style="width:{share * 100:.0f}px"></i> {share:.0%}</tr>'
        )
    if plan.items:
        parts.append("</table>")
    if plan.problems:
        parts.append("<h2>Not planned</h2><ul>")
        parts += [f"<li><code>{escape(n)}</code> {escape(w)}</li>"
                  for n, w in plan.problems.items()]  # fmt: skip
        parts.append("</ul>")
    return "\n".join(parts)


def _shares(plan: Plan) -> Iterator[tuple[Item, float]]:
    """Items, and what part of the models is whole once they are written."""
    done = len(plan.complete)
    for item in plan.items:
        done += len(item.unlocks)
        yield item, done / max(1, len(plan.models))


def _details(item: Item, most: int) -> Iterator[str]:
    for words, count in list(item.configurations.items())[:most]:
        if words:
            yield f"with {words}  ×{count}"
    for words, count in list(item.forms.items())[:most]:
        yield f"{words}  ×{count}"
    if item.pieces:
        yield f"or its pieces that are missing: {', '.join(item.pieces)}"
    if item.sources:
        yield "at " + ", ".join(item.sources[:most])


_HEAD = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>TITLE</title><style>
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem;
  border-bottom: 1px solid #8884; }
summary { cursor: pointer; } summary, code, li { font-family: ui-monospace, monospace; }
li { font-size: 13px; overflow-wrap: anywhere; }
i { display: inline-block; height: .7em; background: #4d7f4d; }
</style>"""
