"""What a conversion handled and what it did not, as text, Markdown, JSON or one error.

A Report is plain data over nodes; it neither converts nor draws.
"""

from __future__ import annotations

import json
import keyword
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..calls.signatures import HINTS, is_hint, same_default
from ..errors import UnsupportedError
from ..graph.account import Audit
from ..graph.nodes import Node, Value
from ..graph.tree import show
from .omissions import HOOKS, Omission, are_left_out, count

log = logging.getLogger("flexir")


@dataclass(slots=True)
class Entry:
    """All calls of one op that nothing handled, for one reason."""

    op: str
    reason: str
    nodes: list[Node] = field(default_factory=list)
    lacking: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many calls."""
        return len(self.nodes)

    @property
    def paths(self) -> list[str]:
        """Paths of the modules they stand in, each once."""
        return list(dict.fromkeys(node.path for node in self.nodes))

    @property
    def sources(self) -> list[str]:
        """Source lines, each once."""
        return list(dict.fromkeys(str(n.source) for n in self.nodes if n.source))

    @property
    def forms(self) -> list[str]:
        """The distinct calls by types: ``flatten(f32[1,2048,1,1]) -> f32[1,2048]``."""
        return list(dict.fromkeys(form(node) for node in self.nodes))


def form(node: Node) -> str:
    """A call by the types of its tensors."""
    inputs = ", ".join(str(v.type) for v in node.inputs)
    outputs = ", ".join(str(v.type) for v in node.outputs)
    return f"{node.op}({inputs}) -> {outputs}"


def configuration(node: Node) -> str:
    """The arguments of a call that are neither tensors nor defaults: ``stride=(2, 2), groups=32``.

    Empty where all are.
    """
    defaults = node.signature.defaults if node.signature is not None else {}
    shown = []
    for name, part in node.args.items():
        if isinstance(part, Value) or name in HINTS:
            continue
        if name in defaults and same_default(part, defaults[name]):
            continue
        shown.append(f"{name}={show(part, Value)}")
    return ", ".join(shown)


def _stub(node: Node) -> str:
    """Five lines to paste: the handler of this call, with its real argument names."""
    return handler_text(node.op, argument_names([node]))


def argument_names(nodes: Sequence[Node]) -> list[str]:
    """The parameters of a handler of these calls; ``name=None`` where not all calls have it."""
    names = [n for node in nodes for n in node.args if not is_hint(n)]
    always = [n for n in dict.fromkeys(names) if all(n in node.args for node in nodes)]
    return [*always, *(f"{n}=None" for n in dict.fromkeys(names) if n not in always)]


def handler_text(op: str, names: Sequence[str], body: str = "...") -> str:
    """A handler as Python text, its one line of body given."""
    words = {n: n.partition("=")[0] for n in names}
    names = ["ctx", *(n for n, w in words.items() if w.isidentifier() and not keyword.iskeyword(w))]
    head = f"def {function_name(op)}({', '.join(names)}):"
    if len(head) > 88:
        head = f"def {function_name(op)}(\n" + "".join(f"    {n},\n" for n in names) + "):"
    return f'@ir.op("{op}")\n{head}\n    {body}'


def function_name(op: str) -> str:
    """A name for the handler of an op."""
    return f"{op}_" if keyword.iskeyword(op) else "".join(c if c.isalnum() else "_" for c in op)


@dataclass(slots=True)
class Report:
    """What a conversion handled, and all that is missing, most calls first.

    Attributes:
        model: class name of the model.
        target: name of the target.
        handled: op -> number of calls a handler took.
        passed: op -> number of unhandled calls that returned their argument unchanged.
        taken_apart: op -> number of unhandled calls whose pieces were all handled.
        decomposed: op -> how often which pieces stood for it.
        entries: what became a placeholder, most frequent first when printed.
        descended: module calls whose handler declined, with the reason; their body was visited.
        omissions: what the model does besides returning outputs, and the output does not:
            conditions it depends on, state it keeps, inputs it writes.
        hooked: kind of such things -> how many the target's own handlers took.
        fixed: number of conditions that no input, state or random number can change.
        inside: number of conditions inside modules that were taken whole.
        unused: op -> number of unhandled calls that nothing in the output reads.
        unmatched: path patterns of the target that no module has.
        escapes: calls through which values left torch for Python.
        audit: what the capture could not vouch for.
    """

    model: str
    target: str
    handled: dict[str, int] = field(default_factory=dict)
    passed: dict[str, int] = field(default_factory=dict)
    taken_apart: dict[str, int] = field(default_factory=dict)
    decomposed: dict[str, Counter[str]] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    descended: list[tuple[Node, str]] = field(default_factory=list)
    omissions: list[Omission] = field(default_factory=list)
    hooked: Counter[str] = field(default_factory=Counter)
    fixed: int = 0
    inside: int = 0
    unused: dict[str, int] = field(default_factory=dict)
    unmatched: list[str] = field(default_factory=list)
    escapes: list[Node] = field(default_factory=list)
    audit: Audit = field(default_factory=Audit)

    def add_decomposed(self, node: Node, pieces: Sequence[Node]) -> None:
        """Count a call that was converted in pieces."""
        self.taken_apart[node.op] = self.taken_apart.get(node.op, 0) + 1
        self.decomposed.setdefault(node.op, Counter()).update(piece.op for piece in pieces)

    def add(self, node: Node, reason: str, lacking: Sequence[str] = ()) -> None:
        """Count one more placeholder; ``lacking`` are pieces that would have done instead."""
        for entry in self.entries:
            if entry.op == node.op and entry.reason == reason:
                entry.nodes.append(node)
                return
        self.entries.append(Entry(node.op, reason, [node], list(lacking)))

    @property
    def placeholders(self) -> int:
        """How many calls became placeholders."""
        return sum(entry.count for entry in self.entries)

    @property
    def ranked(self) -> list[Entry]:
        """Entries, most calls first."""
        return sorted(self.entries, key=lambda entry: -entry.count)

    def text(self) -> str:
        """The report for a terminal; the last line is the verdict."""
        lines = []
        for entry in self.ranked:
            lines += _lines(entry)
        missing = [entry for entry in self.ranked if entry.reason == "no handler"]
        if missing:
            lines += ["To support the first:", *_indent(_stub(missing[0].nodes[0]))]
        for op, pieces in self.decomposed.items():
            shown = ", ".join(pieces)
            lines.append(f"{op} ×{self.taken_apart[op]} via decomposition: {shown or 'nothing'}")
        for node, reason in self.descended:
            lines.append(f"inside of {node.op} visited instead: {reason}   # {node.where}")
        lines += self._besides()
        lines += [f"no module has a path like {pattern!r}" for pattern in self.unmatched]
        told = set(map(str, self.audit.changes))
        lines += [f"not accounted for: {p}" for p in self.audit.problems if p not in told]
        lines.append(self.verdict())
        return "\n".join(lines)

    def _besides(self, most: int = 10) -> list[str]:
        """What is not in the output, how to put it there, and what need not be."""
        lines = []
        if self.omissions:
            lines.append(f"{are_left_out(self.omissions)}:")
            lines += [f"    {omission}" for omission in self.omissions[:most]]
            if (more := len(self.omissions) - most) > 0:
                lines.append(f"    ... and {more} more: report.omissions")
            hooks = [o.hook for o in self.omissions if o.hook and o.reason == "no handler"]
            for hook in dict.fromkeys(hooks):
                lines += ["To take them:", *_indent(HOOKS[hook])]
        if self.fixed:
            depend = "depends" if self.fixed == 1 else "depend"
            lines.append(f"{count(['condition'] * self.fixed)} {depend} on no input")
        if self.inside:
            stand = "stands" if self.inside == 1 else "stand"
            lines.append(f"{count(['condition'] * self.inside)} {stand} inside modules taken whole")
        asked = [node for node in self.escapes if node.effects.escape == "about"]
        if asked:
            lines.append(
                f"answers about layout or autograd, taken as recorded: {len(asked)}; the first: "
                f"{asked[0].op}() is {asked[0].result!r}   # {asked[0].where}"
            )
        if self.unused:
            shown = ", ".join(f"{op} ×{n}" if n > 1 else op for op, n in self.unused.items())
            lines.append(f"read by nothing in the output: {shown}")
        return lines

    def verdict(self) -> str:
        """One line: how much is handled."""
        handled = sum(self.handled.values())
        done = f"{self.model} -> {self.target}: {handled} calls handled"
        if apart := sum(self.taken_apart.values()):
            done += f", {apart} via decomposition"
        if passed := sum(self.passed.values()):
            done += f", {passed} without effect passed through"
        if taken := count(self.hooked.elements()):
            done += f", {taken} taken"
        done += f", {self.placeholders} placeholders"
        left = count(omission.kind for omission in self.omissions)
        return f"{done}, {left} not in the output" if left else done

    __str__ = text

    def markdown(self) -> str:
        """The report as a Markdown table."""
        rows = ["| op | count | reason | calls | modules | source |", "|---|---|---|---|---|---|"]
        for entry in self.ranked:
            cells = (
                f"`{entry.op}`",
                str(entry.count),
                entry.reason,
                "<br>".join(f"`{f}`" for f in entry.forms[:3]),
                "<br>".join(entry.paths[:3]),
                "<br>".join(entry.sources[:3]),
            )
            rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        lines = [f"### {self.verdict()}", "", *(rows if self.entries else [])]
        if self.omissions:
            lines += ["", f"{are_left_out(self.omissions)}:", ""]
            lines += [f"- {omission}" for omission in self.omissions]
        return "\n".join(lines)

    def data(self) -> dict[str, Any]:
        """The report as plain data."""
        return {
            "model": self.model,
            "target": self.target,
            "handled": self.handled,
            "passed": self.passed,
            "decomposed": {op: dict(pieces) for op, pieces in self.decomposed.items()},
            "placeholders": [
                {
                    "op": entry.op,
                    "count": entry.count,
                    "reason": entry.reason,
                    "lacking": entry.lacking,
                    "calls": entry.forms,
                    "inputs": [[str(v.type) for v in n.inputs] for n in entry.nodes],
                    "outputs": [[str(v.type) for v in n.outputs] for n in entry.nodes],
                    "paths": entry.paths,
                    "sources": entry.sources,
                    "stub": _stub(entry.nodes[0]),
                }
                for entry in self.ranked
            ],
            "descended": [{"path": n.path, "op": n.op, "reason": r} for n, r in self.descended],
            "omissions": [{**o._asdict(), "hook": o.hook} for o in self.omissions],
            "hooked": dict(self.hooked),
            "fixed": self.fixed,
            "inside": self.inside,
            "unused": self.unused,
            "escapes": [
                {"op": n.op, "kind": n.effects.escape, "value": repr(n.result), "where": n.where}
                for n in self.escapes
            ],
            "unmatched": self.unmatched,
            "unaccounted": self.audit.problems,
        }

    def json(self) -> str:
        """:meth:`data` as JSON."""
        return json.dumps(self.data(), indent=2)

    @property
    def complete(self) -> bool:
        """Whether the output is the whole model: nothing is missing and nothing left out."""
        return not self.entries and not self.omissions

    def raise_if_unsupported(self) -> None:
        """Raise one UnsupportedError that lists everything, if anything is missing."""
        if self.complete:
            return
        lines = []
        if self.entries:
            lines.append(f"{self.placeholders} calls have no handler in target {self.target!r}")
            lines += _indent("\n".join(line for entry in self.ranked for line in _lines(entry)))
            lines += ["To support the first:", *_indent(_stub(self.ranked[0].nodes[0]))]
        lines += self._besides(len(self.omissions)) if self.omissions else []
        raise UnsupportedError("\n".join(lines))

    def log(self, picture: str | None = None) -> None:
        """Tell the logger ``flexir`` what is missing, shapes written as 1x2048x1x1."""
        if not self.entries:
            return
        log.info(
            "[WARNING] The following ops are not supported by target %r currently:", self.target
        )
        for line in dict.fromkeys(_op_line(n) for e in self.ranked for n in e.nodes):
            log.info("%s", line)
        shown = f" and are shown in RED in {picture}" if picture else ""
        log.info("[WARNING] These ops have been converted into placeholders%s", shown)


def _op_line(node: Node) -> str:
    inputs = ", ".join(v.type.sizes for v in node.inputs)
    outputs = ", ".join(v.type.sizes for v in node.outputs)
    plural = "s" if len(node.outputs) > 1 else ""
    return f"Op: (func op) {node.op}. Input shapes: {inputs}, Output shape{plural}: {outputs}"


def _lines(entry: Entry) -> list[str]:
    why = "" if entry.reason == "no handler" else f"   {entry.reason}"
    paths = [p for p in entry.paths if p]
    shown = ", ".join(paths[:3]) + (f" +{len(paths) - 3}" if len(paths) > 3 else "")
    head = f"{entry.op} ×{entry.count}{why}   {shown}   {', '.join(entry.sources[:2])}"
    lines = [head.rstrip(), *(f"    {text}" for text in entry.forms[:3])]
    if entry.lacking:
        lines.append(
            f"    its pieces would do, but these are missing too: {', '.join(entry.lacking)}"
        )
    if len(entry.forms) > 3:
        lines.append(f"    ... {len(entry.forms) - 3} more forms")
    return lines


def _indent(text: str, by: int = 2) -> list[str]:
    return [" " * by + line for line in text.splitlines()]
