"""A graph as one HTML file: every module a box with its inside drawn small in it.

All places are computed here, bottom-up, body by body, so the page only draws and zooms: what is
deep appears as one comes near. A body keeps its own scale; a module's box is its body made small.
"""

from __future__ import annotations

import functools
import json
import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from ...graph import tree
from ...graph.choice import blocks_of, given
from ...graph.geometry import dense
from ...graph.graph import Graph
from ...graph.nodes import Node, Value
from ...graph.source import Source
from .columns import Placed
from .dot import COLOURS, inside, module_label
from .layout import lay_out

_INNER = (250.0, 190.0)  # the most a body takes in its module's box
_SCREEN = 1.2  # width over height of the whole graph, folded into columns
_HEAD, _PAD = 20.0, 8.0  # of a module's box
_RUN = 3  # equal modules in a row from which they are folded
_LINES = 2  # of source shown before and after the call's


@dataclass(slots=True)
class _Drawn:
    """Something drawn: a call, a module, a run of equal modules, an input or output."""

    kind: str
    title: str
    sub: str = ""
    status: str = ""
    detail: list[Any] = field(default_factory=list)
    children: list[_Drawn] = field(default_factory=list)
    edges: list[tuple[int, int]] = field(default_factory=list)
    makes: set[Value] = field(default_factory=set)
    reads: dict[Value, None] = field(default_factory=dict)
    shape: Any = None  # boxes of equal shape look alike inside
    key: str = ""
    placed: Placed | None = None
    scale: float = 1.0
    size: tuple[float, float] = (0.0, 0.0)


def page(
    graphs: Sequence[Graph],
    statuses: Sequence[Mapping[Node, str]],
    *,
    overlays: Mapping[str, Mapping[str, float]] | None = None,
    golden: str | os.PathLike[str] | None = None,
    weights: bool = True,
    graphviz: bool = True,
) -> str:
    """The text of the page.

    Args:
        graphs: one, or two to be shown side by side.
        statuses: per graph, node -> a status of ``Result.status``.
        overlays: name -> {Value name or module path: number}, to be shown as colours.
        golden: a folder ``graph.golden`` wrote; its values are summed up at each call.
        weights: sum up the weights (reads each once).
        graphviz: place boxes with Graphviz where it is installed.
    """
    data = {
        "graphs": [
            _Page(graph, status, golden, weights, graphviz).data()
            for graph, status in zip(graphs, statuses)
        ],
        "overlays": {name: dict(numbers) for name, numbers in (overlays or {}).items()},
        "colours": {name: [*colours] for name, colours in COLOURS.items()},
    }
    text = resources.files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    # "</" would end the script element the data stand in
    dumped = json.dumps(data, separators=(",", ":"), ensure_ascii=False).replace("</", "<\\/")
    title = escape(" | ".join(graph.name for graph in graphs))
    return text.replace("{{title}}", title).replace("{{data}}", dumped)


class _Page:
    """One graph becoming boxes, then numbers."""

    def __init__(
        self, graph: Graph, status: Mapping[Node, str], golden: Any, weights: bool, graphviz: bool
    ) -> None:
        self.graph, self.status, self.graphviz = graph, status, graphviz
        self.strings: dict[str, int] = {}
        self.sources: dict[Source, int] = {}
        self.layouts: dict[Any, Placed] = {}
        self.golden = _golden(golden) if golden is not None else {}
        self.weights = weights
        self.seen: Counter[str] = Counter()
        self.outer: dict[Value, Value] = {}  # parameter of a block -> what it stands for
        self.rows: list[list[Any]] = []
        self.details: list[list[Any]] = []

    def data(self) -> dict[str, Any]:
        """What the page is given of a graph."""
        root = self._body(self.graph.nodes, "graph", self.graph.name)
        if len(root.children) == 1 and root.children[0].kind == "module":
            (root,) = root.children  # the model itself: its inside is the picture
            root.kind = "graph"
        inputs = [_Drawn("input", f"%{v.name}", str(v.type), "input", makes={v})
                  for v in self.graph.input_values]  # fmt: skip
        outputs = [_Drawn("output", "output", str(v.type), "input", reads={v: None})
                   for v in self.graph.output_values]  # fmt: skip
        for state in self.graph.state:
            inputs.append(_Drawn("input", state.path, str(state.initial.type), "state",
                               makes={state.initial}))  # fmt: skip
            outputs.append(_Drawn("output", f"next {state.path}", str(state.final.type), "state",
                                reads={state.final: None}))  # fmt: skip
        root.children = [*inputs, *root.children, *outputs]
        _connect(root)
        self._measure(root)
        self._row(root, -1, 0.0, 0.0)
        return {
            "name": self.graph.name,
            "calls": sum(1 for _ in self.graph),
            "boxes": self.rows,
            "details": self.details,
            "sources": [_excerpt(source) for source in self.sources],
            "weights": self._weights() if self.weights else {},
            "strings": list(self.strings),
        }

    # -- boxes

    def _body(self, nodes: Sequence[Node], kind: str, title: str) -> _Drawn:
        box = _Drawn(kind, title)
        boxes = [self._box(node) for node in nodes if node.body != [] or self.status.get(node)]
        box.children = self._folded(boxes)
        return box

    def _box(self, node: Node) -> _Drawn:
        if node.body is not None and self.status.get(node) != "handled":
            inner = self._body(node.body, "module", module_label(node.path, node.op))
            if len(inner.children) == 1 and inner.children[0].kind == "call":
                inner.children[0].title = inner.title
                return inner.children[0]
            inner.sub = f"{sum(1 for _ in inside(node))} calls"
            inner.detail = self._detail(node)
            inner.key = f"{node.path}#{node.call}"
            self._close(inner)
            return inner
        if blocks_of(node) and not self.status.get(node):
            return self._blocks(node)
        return self._call(node)

    def _blocks(self, node: Node) -> _Drawn:
        """A branch or a loop: a box that holds a box for each block, and one they lead to."""
        self.outer.update((v, self._seen_as(o)) for v, o in given(node) if isinstance(o, Value))
        joins = self._call(node)
        box = _Drawn("module", node.op, joins.sub, detail=joins.detail, key=f"{joins.key} blocks")
        for word, block in blocks_of(node):
            inner = self._body(block.nodes, "module", f"{node.op}: {word}")
            inner.key = f"{joins.key} {word}"
            self._close(inner)
            box.children.append(inner)
            outputs = map(self._seen_as, tree.leaves(block.outputs, Value))
            joins.reads.update(dict.fromkeys(outputs))
        box.children.append(joins)
        self._close(box)
        return box

    def _seen_as(self, value: Value) -> Value:
        """What a parameter of a block stands for; any other Value itself."""
        return self.outer.get(value, value)

    def _call(self, node: Node) -> _Drawn:
        status = self.status.get(node, "escape" if node.effects.escape else "")
        if node.effects.escape in ("branch", "error"):
            status = "guard"
        title = node.op if node.body is None else module_label(node.path, node.op)
        shown = (node.returned or node.outputs)[:2]
        sizes = ", ".join(value.type.sizes for value in shown)
        box = _Drawn("call", title, sizes or node.failure)
        box.status, box.detail = status, self._detail(node)
        box.makes = set(node.outputs)
        box.reads = dict.fromkeys(map(self._seen_as, node.inputs))
        if node.body is not None:
            box.makes |= {v for n in inside(node) for v in n.outputs}
            box.reads.update((self._seen_as(v), None) for n in inside(node) for v in n.inputs)
        key = f"{node.path}#{node.call}/{node.op}"
        self.seen[key] += 1
        box.key = f"{key}#{self.seen[key]}"  # the same in another graph of the model
        box.shape = (title if node.body is None else node.op, box.sub, status)
        return box

    def _close(self, box: _Drawn) -> None:
        """What a box with children makes, reads and looks like."""
        _connect(box)
        for child in box.children:
            box.makes |= child.makes
            box.reads.update(child.reads)
        box.shape = hash((tuple(child.shape for child in box.children), tuple(box.edges)))
        inside = {child.status for child in box.children}
        ranked = ("placeholder", "refused", "handled")  # the worst decides
        box.status = next((status for status in ranked if status in inside), "")

    def _folded(self, boxes: list[_Drawn]) -> list[_Drawn]:
        """Runs of modules of one class and one look become one box that holds them."""
        made: list[_Drawn] = []
        start = 0
        while start < len(boxes):
            end = start + 1
            while end < len(boxes) and _alike(boxes[start], boxes[end]):
                end += 1
            if end - start < _RUN:
                made += boxes[start:end]
            else:
                run = boxes[start:end]
                name = run[0].title.rpartition(": ")[2]
                first, last = (b.title.partition(":")[0] for b in (run[0], run[-1]))
                box = _Drawn("run", f"{first} .. {last}: {name} ×{len(run)}", run[0].sub)
                box.children, box.key = run, run[0].key + " run"
                self._close(box)
                made.append(box)
            start = end
        return made

    def _detail(self, node: Node) -> list[Any]:
        """What is shown of a node when it is chosen, as indices into tables."""
        source = -1
        if node.source is not None:
            source = self.sources.setdefault(node.source, len(self.sources))
        constants = [v.name for v in node.inputs if v in self.graph.constants]
        found = [self.golden[v.name] for v in node.outputs if v.name in self.golden]
        detail: list[Any] = [
            self._string(node.op), self._string(node.path), source, str(node),
            [v.name for v in node.outputs], constants,
        ]  # fmt: skip
        return [*detail, found] if found else detail

    def _string(self, text: str) -> int:
        return self.strings.setdefault(text, len(self.strings))

    # -- places

    def _measure(self, box: _Drawn) -> None:
        """Sizes and places, inside out."""
        if box.kind not in ("graph", "module", "run"):
            width = max(len(box.title) * 7.2, len(box.sub) * 6.0) + 18
            box.size = (min(max(width, 70.0), 240.0), 36.0 if box.sub else 24.0)
            return
        for child in box.children:
            self._measure(child)
        sizes = [child.size for child in box.children]
        key = (tuple(sizes), tuple(box.edges))
        placed = self.layouts.get(key)
        if placed is None:
            aspect = _SCREEN if box.kind == "graph" else _INNER[0] / _INNER[1]
            placed = lay_out(sizes, box.edges, graphviz=self.graphviz, aspect=aspect)
            self.layouts[key] = placed
        box.placed = placed
        width, height = placed.width + 2 * _PAD, placed.height + 2 * _PAD
        box.scale = 1.0
        if box.kind != "graph":
            box.scale = min(1.0, _INNER[0] / width, _INNER[1] / height)
        title = min(len(box.title) * 7.2 + 24, 240.0)
        box.size = (max(width * box.scale, title), height * box.scale + _HEAD)

    def _row(self, box: _Drawn, parent: int, x: float, y: float) -> None:
        """A box and its inside as rows of numbers, parents first."""
        number = len(self.rows)
        row: list[Any] = [
            parent, round(x, 1), round(y, 1), round(box.size[0], 1), round(box.size[1], 1),
            float(f"{box.scale:.4g}"), self._string(box.kind), self._string(box.title),
            self._string(box.sub), self._string(box.status), -1, self._string(box.key),
        ]  # fmt: skip
        self.rows.append(row)
        if box.detail:
            row[10] = len(self.details)
            self.details.append(box.detail)
        if box.placed is None:
            return
        inner = box.placed.width * box.scale
        left = (box.size[0] - inner) / 2
        row.append([[round(p, 1) for p in route] for route in box.placed.routes])
        row += [round(left, 1), round(_HEAD + _PAD * box.scale, 1)]
        for child, (cx, cy) in zip(box.children, box.placed.places):
            self._row(child, number, cx, cy)

    # -- numbers

    def _weights(self) -> dict[str, list[Any]]:
        """Name -> type and, where there are elements: least, largest, mean, deviation."""
        found = {}
        for value, tensor in self.graph.constants.items():
            found[value.name] = [str(value.type), *_numbers(tensor)]
        return found


def _numbers(tensor: torch.Tensor) -> list[float]:
    """Least, largest, mean and standard deviation; nothing without elements or order."""
    if tensor.device.type == "meta" or tensor.is_complex() or not tensor.numel():
        return []
    if tensor.is_nested or is_traceable_wrapper_subclass(tensor):  # each computes what it likes
        return []
    flat = dense(tensor.detach()).float()
    deviation, mean = torch.std_mean(flat, correction=0)
    made = [flat.min().item(), flat.max().item(), mean.item(), deviation.item()]
    return [float(f"{number:.4g}") if math.isfinite(number) else 0.0 for number in made]


def _golden(folder: str | os.PathLike[str]) -> dict[str, list[float]]:
    """Value name -> what its elements sum up to."""
    from safetensors import safe_open

    with safe_open(str(Path(folder) / "values.safetensors"), "pt") as file:
        return {name: _numbers(file.get_tensor(name)) for name in file.keys()}


def _connect(box: _Drawn) -> None:
    """Edges among a box's children, from the maker of a value to its readers."""
    maker: dict[Value, int] = {}
    edges: dict[tuple[int, int], None] = {}
    for number, child in enumerate(box.children):
        for value in child.reads:
            if (start := maker.get(value)) is not None:
                edges[start, number] = None
        maker.update((value, number) for value in child.makes)
    box.edges = list(edges)


def _alike(one: _Drawn, other: _Drawn) -> bool:
    same = one.title.rpartition(": ")[2] == other.title.rpartition(": ")[2]
    return same and one.kind == other.kind == "module" and one.shape == other.shape


def _excerpt(source: Source) -> list[Any]:
    """Where, and the lines around it if the file is here."""
    lines = _lines_of(source.file)
    first = max(0, source.line - 1 - _LINES)
    near = [line[:140] for line in lines[first : source.line + _LINES]]
    return [str(source), first + 1 if near else 0, near]


@functools.lru_cache(maxsize=256)
def _lines_of(file: str) -> list[str]:
    try:
        return Path(file).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
