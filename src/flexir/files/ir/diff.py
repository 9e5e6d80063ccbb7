"""What changed between two graphs or Programs: calls by module, interfaces, weights by content.

Reads graphs and checksums, and tensors only where there are no checksums; runs nothing.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from ...errors import Error
from ...graph import tree
from ...graph.choice import blocks_of
from ...graph.graph import Graph
from ...graph.nodes import Node, Value
from ...graph.program import Program
from .digests import Digest, digest_of
from .load import load
from .mapped import Weights
from .weights import bytes_of


@dataclass(slots=True)
class Diff:
    """Differences, each a readable line; empty lists mean equal.

    Attributes:
        interface: inputs, outputs, what is written and what is kept from call to call.
        modules: module path -> lines, ``-`` only in the first graph, ``+`` only in the second.
        weights: one line per constant that was added, removed or changed.
    """

    interface: list[str] = field(default_factory=list)
    modules: dict[str, list[str]] = field(default_factory=dict)
    weights: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.interface or self.modules or self.weights)

    def __str__(self) -> str:
        if not self:
            return "no difference"
        lines = [f"interface  {line}" for line in self.interface]
        for path, changes in self.modules.items():
            lines.append(f"module {path or '(top)'}")
            lines += [f"  {line}" for line in changes]
        lines += [f"weight  {line}" for line in self.weights]
        return "\n".join(lines)


Saved = Graph | Program | str | os.PathLike[str]


def diff(a: Saved, b: Saved) -> Diff:
    """Compare two graphs or two Programs, or saved ones.

    Calls are compared module by module, by op, arguments and the shapes and dtypes that go in and
    out, those inside blocks with the block they stand in; names of intermediate values and source
    lines do not count. Variants are compared in order, entry points by name. Weights are compared
    by content, through their stored checksums where there are any.

    Args:
        a: a Graph or a Program, or the directory of a saved one.
        b: the same kind of thing; what only it has is marked ``+``.

    Returns:
        a :class:`Diff`; false if there is no difference.

    Raises:
        FormatError: a path holds nothing sound.
        Error: one is a graph, the other a Program.
    """
    first, second = (g if isinstance(g, (Graph, Program)) else load(g) for g in (a, b))
    if isinstance(first, Graph) != isinstance(second, Graph):
        raise Error(
            "a graph is compared with a graph, a Program with a Program; one entry point is a "
            "graph: diff(graph, program['...'])"
        )
    left, right = _graphs(first), _graphs(second)
    found = Diff()
    for name in dict.fromkeys([*left, *right]):
        if name not in right or name not in left:
            sign = "-" if name in left else "+"
            found.interface.append(f"{sign} {name}: {len((left | right)[name])} calls")
            continue
        inner = _difference(left[name], right[name])
        where = f"{name}: " if name else ""
        found.interface += [where + line for line in inner.interface]
        found.modules.update({where + path: lines for path, lines in inner.modules.items()})
        found.weights += [line for line in inner.weights if line not in found.weights]
    return found


def _graphs(thing: Graph | Program) -> dict[str, Graph]:
    """All graphs of what is compared, by what they are called there."""
    named = {"": thing} if isinstance(thing, Graph) else {f"entry {n}": g for n, g in thing.items()}
    found: dict[str, Graph] = {}
    for name, graph in named.items():
        found[name] = graph
        for number, variant in enumerate(graph.variants, 1):
            found[f"{name} variant {number}".strip()] = variant
    return found


def _difference(first: Graph, second: Graph) -> Diff:
    found = Diff()
    for what in ("inputs", "outputs", "mutations", "state"):
        left, right = _interface(first, what), _interface(second, what)
        if left != right:
            found.interface.append(f"{what}: {left} -> {right}")
    left_calls, right_calls = _by_module(first), _by_module(second)
    for path in dict.fromkeys([*left_calls, *right_calls]):
        changes = _diff_lines(left_calls.get(path, []), right_calls.get(path, []))
        if changes:
            found.modules[path] = changes
    found.weights = _weights(first, second)
    return found


def _interface(graph: Graph, what: str) -> str:
    if what == "mutations":
        return ", ".join(f"{m.name}: {m.final.type}" for m in graph.mutations)
    if what == "state":
        return ", ".join(f"{s.path}: {s.initial.type} -> {s.final.type}" for s in graph.state)
    return repr(tree.substitute(getattr(graph, what), Value, lambda v: _Shown(str(v.type))))


class _Shown(str):
    """Prints without quotes."""

    def __repr__(self) -> str:
        return str(self)


def _by_module(graph: Graph) -> dict[str, list[str]]:
    """Module path -> its own calls, as text that does not depend on numbering."""
    weights = graph.constants
    found: dict[str, list[str]] = {}

    def visit(nodes: Sequence[Node], block: str) -> None:
        for node in nodes:
            if node.body is not None:
                visit(node.body, block)
                continue
            found.setdefault(node.path, []).append(block + _line(node, weights))
            for word, inner in blocks_of(node):
                visit(inner.nodes, f"{block}{word}: ")
                given = tree.substitute(inner.outputs, Value, lambda v: _Shown(str(v.type)))
                found[node.path].append(f"{block}{word}: gives {given!r}")

    visit(graph.nodes, "")
    return found


def _line(node: Node, weights: Any) -> str:
    def show(value: Value) -> _Shown:
        return _Shown(f"%{value.name}" if value in weights else str(value.type))

    args = tree.substitute(node.args, Value, show)
    text = ", ".join(f"{name}={tree.without_address(part)}" for name, part in args.items())
    return f"{node.op}({text}) -> {', '.join(str(v.type) for v in node.outputs)}"


def _diff_lines(left: list[str], right: list[str]) -> list[str]:
    """A line diff; what begins and ends alike is skipped first, which keeps long lists fast."""
    start = 0
    while start < min(len(left), len(right)) and left[start] == right[start]:
        start += 1
    end = 0
    while end < min(len(left), len(right)) - start and left[-1 - end] == right[-1 - end]:
        end += 1
    left, right = left[start : len(left) - end], right[start : len(right) - end]
    if not left or not right:
        return [f"- {line}" for line in left] + [f"+ {line}" for line in right]
    lines: list[str] = []
    matcher = difflib.SequenceMatcher(None, left, right, autojunk=len(left) > 1000)
    for tag, i, j, k, m in matcher.get_opcodes():
        if tag != "equal":
            lines += [f"- {line}" for line in left[i:j]] + [f"+ {line}" for line in right[k:m]]
    return lines


def _weights(a: Graph, b: Graph) -> list[str]:
    left, right = ({v.name: v for v in g.constants} for g in (a, b))
    lines = []
    for name in dict.fromkeys([*left, *right]):
        if name not in right:
            lines.append(f"- {left[name]!r}")
        elif name not in left:
            lines.append(f"+ {right[name]!r}")
        elif left[name].type != right[name].type:
            lines.append(f"{name}: {left[name].type} -> {right[name].type}")
        else:
            before, after = _contents((a, left[name]), (b, right[name]))
            if before != after:
                lines.append(f"{left[name]!r}: content {before[:8]} -> {after[:8]}")
    return lines


def _contents(*constants: tuple[Graph, Value]) -> list[str]:
    """Checksums of the elements of several constants, all by one function."""
    kept = [
        graph.constants.digest(value) if isinstance(graph.constants, Weights) else None
        for graph, value in constants
    ]
    by = next((one.name for one in kept if one is not None), "sha256")
    return [_content(*constant, one, by) for constant, one in zip(constants, kept)]


def _content(graph: Graph, value: Value, kept: Digest | None, by: str) -> str:
    """A checksum of a constant's elements by this function."""
    if kept is not None and kept.name == by:
        return kept.value.hex()
    tensor = graph.constants[value].detach()
    if tensor.device.type == "meta":
        return "no data"
    if tensor.layout is not torch.strided:
        tensor = tensor.to_dense()
    tensor = tensor.cpu().resolve_conj().resolve_neg().contiguous()
    return digest_of(bytes_of(tensor), by).value.hex()
