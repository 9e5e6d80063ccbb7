"""A graph as Graphviz DOT text: modules are boxes around their calls, colours tell the status.

Beyond ``limit`` boxes, modules are collapsed from the inside out until the picture fits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ...graph import tree
from ...graph.choice import blocks_of, given
from ...graph.graph import Graph
from ...graph.nodes import Node, Value

COLOURS = {
    "handled": ("#e3f1e3", "#4d7f4d", "handled"),
    "placeholder": ("#e5484d", "#8f1d21", "placeholder: no handler"),
    "refused": ("#f5a623", "#9a6408", "placeholder: handler refused"),
    "decomposed": ("#d9eef2", "#3f7f8c", "handled in pieces"),
    "passed": ("#f4f4f4", "#9a9a9a", "changes nothing, passed through"),
    "escape": ("#fdf3c4", "#a08b28", "value leaves torch for Python"),
    "guard": ("#fbe0c8", "#a5672a", "decided a branch"),
    "": ("#eaf0fa", "#56719c", "call"),
    "input": ("#ffffff", "#333333", "input or output"),
    "state": ("#ece3f7", "#6f4fa3", "state, kept from call to call"),
}
_MIXED = {"placeholder": "holds placeholders", "refused": "holds refused calls"}


def to_dot(graph: Graph, status: Mapping[Node, str] | None = None, *, limit: int = 300) -> str:
    """DOT text of a graph.

    Args:
        graph: what to draw.
        status: node -> a key of ``COLOURS``, as in ``Result.status``.
        limit: how many boxes at most; deeper modules are collapsed to single boxes.
    """
    return _Drawing(graph, status or {}, limit).text()


class _Drawing:
    def __init__(self, graph: Graph, status: Mapping[Node, str], limit: int) -> None:
        self.graph, self.status = graph, status
        self.depth = _depth(graph, status, limit)
        self.box: dict[Value, str] = {}  # value -> box that makes it
        self.names: dict[Node, str] = {}
        self.lines: list[str] = []
        self.edges: dict[tuple[str, str], str] = {}
        self.used: set[str] = set()

    def text(self) -> str:
        title = _quote(self.graph.name)
        head = [
            "digraph flexir {",
            f"  graph [label={title}, labelloc=t, fontname=Helvetica, fontsize=18, rankdir=TB,"
            " nodesep=0.25, ranksep=0.3, compound=true, newrank=true];",
            '  node [shape=box, style="rounded,filled", fontname=Helvetica, fontsize=11,'
            ' margin="0.12,0.06", height=0.3];',
            '  edge [color="#7a7a7a", arrowsize=0.6];',
        ]
        for value in self.graph.input_values:
            name = f"in_{len(self.box)}"
            self.box[value] = name
            self._node(name, [str(value), str(value.type)], "input", 1)
        for i, state in enumerate(self.graph.state):
            self.box[state.initial] = f"kept_{i}"
            self._node(f"kept_{i}", [state.path, str(state.initial.type)], "state", 1)
        self._nodes(self.graph.nodes, 1, 0)
        for i, state in enumerate(self.graph.state):
            after = f"next_{i}"
            self._node(after, [f"next {state.path}", str(state.final.type)], "state", 1)
            self._edge(state.final, after)
            self.edges[after, f"kept_{i}"] = " [style=dashed, constraint=false]"
        for i, value in enumerate(self.graph.output_values):
            self._node(f"out_{i}", ["output", str(value.type)], "input", 1)
            self._edge(value, f"out_{i}")
        edges = [f"  {a} -> {b}{style};" for (a, b), style in self.edges.items()]
        return "\n".join([*head, *self.lines, *edges, *self._legend(), "}"]) + "\n"

    def _nodes(self, nodes: list[Node], indent: int, depth: int) -> None:
        for node in nodes:
            if blocks_of(node) and not self.status.get(node):
                self._blocks(node, indent, depth)
            elif not _opens(node, self.status):
                if node.body != [] or self.status.get(node):  # an empty module only passes values
                    self._leaf(node, indent)
            elif len(node.body or ()) == 1 and not _opens(node.body[0], self.status):  # type: ignore[index]
                self._leaf(node.body[0], indent, node)  # type: ignore[index]
            elif depth < self.depth:
                self.names[node] = name = str(len(self.names))
                self._cluster(
                    name, module_label(node.path, node.op), node.body or [], indent, depth
                )
            else:
                self._leaf(node, indent)

    def _blocks(self, node: Node, indent: int, depth: int) -> None:
        """A branch or a loop: a frame around each block, and a box that they lead to."""
        for value, outer in given(node):
            if isinstance(outer, Value) and outer in self.box:
                self.box[value] = self.box[outer]
        self._leaf(node, indent)
        for word, block in blocks_of(node):
            self._cluster(f"{self.names[node]}_{word}", f"{node.op}: {word}", block.nodes,
                          indent, depth)  # fmt: skip
            for value in tree.leaves(block.outputs, Value):
                self._edge(value, self.names[node])

    def _cluster(self, name: str, label: str, nodes: list[Node], indent: int, depth: int) -> None:
        pad = "  " * indent
        name = f"cluster_{name}"
        shade = "#fbfbfd" if depth % 2 else "#f3f5f9"
        self.lines.append(f"{pad}subgraph {name} {{")
        self.lines.append(
            f'{pad}  label={_quote(label)}; fontsize=11; fontcolor="#44506a"; style=rounded; '
            f'labeljust=l; color="#b9c2d4"; bgcolor="{shade}";'
        )
        self._nodes(nodes, indent + 1, depth + 1)
        self.lines.append(f"{pad}}}")

    def _leaf(self, node: Node, indent: int, module: Node | None = None) -> None:
        """One box; ``module`` is the module call whose whole body this call is."""
        name = f"n{len(self.names)}"
        self.names[node] = name
        status = self.status.get(node, "escape" if node.effects.escape else "")
        title = node.op if module is None else module_label(module.path, node.op)
        inner = list(inside(node))
        if node.body is not None:
            title = module_label(node.path, node.op)
            if status != "handled":
                status, note = self._summary(inner)
                title += note
        shapes = [v.type.sizes for v in (node.returned or node.outputs)][:4]
        below = ", ".join(shapes) or node.failure
        self._node(name, [title, *([below] if below else [])], status, indent)
        for value in node.inputs:
            self._edge(value, name)
        for one in inner:
            for value in one.inputs:
                self._edge(value, name)
            for value in one.outputs:
                self.box[value] = name
        for value in node.outputs:
            if node.body is None or value.producer in inner:
                self.box[value] = name

    def _summary(self, inner: list[Node]) -> tuple[str, str]:
        """The status of a collapsed module and a note that counts what is wrong in it."""
        counts = {key: 0 for key in _MIXED}
        for one in inner:
            if self.status.get(one) in counts:
                counts[self.status[one]] += 1
        for key, count in counts.items():
            if count:
                return key, f"  ({sum(counts.values())} placeholders)"
        handled = any(self.status.get(one) == "handled" for one in inner)
        return ("handled" if handled else ""), f"  ({len(inner)} calls)"

    def _edge(self, value: Value, to: str) -> None:
        start = self.box.get(value)
        if start is not None and start != to:
            self.edges[start, to] = ""

    def _node(self, name: str, rows: list[str], status: str, indent: int) -> None:
        self.used.add(status)
        fill, line, _ = COLOURS[status]
        text = ' fontcolor="#ffffff"' if status == "placeholder" else ""
        label = "\\n".join(_escape(row) for row in rows)
        pad = "  " * indent
        self.lines.append(
            f'{pad}{name} [label="{label}", fillcolor="{fill}", color="{line}"{text}];'
        )

    def _legend(self) -> list[str]:
        keys = [key for key in COLOURS if key in self.used]
        lines = ["  subgraph cluster_legend {", '    label="legend"; fontsize=11; style=rounded;'
                 ' color="#dddddd"; bgcolor="#ffffff";']  # fmt: skip
        for i, key in enumerate(keys):
            fill, line, meaning = COLOURS[key]
            text = ' fontcolor="#ffffff"' if key == "placeholder" else ""
            lines.append(
                f'    legend{i} [label="{meaning}", fillcolor="{fill}", color="{line}"{text}];'
            )
        return [*lines, "  }"]


def _opens(node: Node, status: Mapping[Node, str]) -> bool:
    """Whether a node has an inside to draw."""
    return bool(node.body) and status.get(node) != "handled"


def module_label(path: str, op: str) -> str:
    """A module by its own name and class."""
    return f"{path.rsplit('.', 1)[-1]}: {op}" if path else op


def inside(node: Node) -> Iterator[Node]:
    """The function calls inside a module call."""
    for inner in node.body or ():
        if inner.body is None:
            yield inner
        else:
            yield from inside(inner)


def _depth(graph: Graph, status: Mapping[Node, str], limit: int) -> int:
    """How many levels of modules to open so that at most ``limit`` boxes are drawn."""
    # A leaf at depth k is drawn once k levels are open; a module at depth k until then.
    leaves: dict[int, int] = {}
    modules: dict[int, int] = {}
    stack = [(node, 0) for node in graph.nodes]
    while stack:
        node, depth = stack.pop()
        if _opens(node, status) and len(node.body or ()) > 1:
            modules[depth] = modules.get(depth, 0) + 1
            stack.extend((inner, depth + 1) for inner in node.body or ())
        else:
            leaves[depth] = leaves.get(depth, 0) + 1
            for _, block in blocks_of(node):
                stack.extend((inner, depth + 1) for inner in block.nodes)
    deepest = max([*leaves, *modules], default=0)
    for depth in range(deepest + 1, 0, -1):
        drawn = sum(n for d, n in leaves.items() if d <= depth) + modules.get(depth, 0)
        if drawn <= limit:
            return depth
    return 1


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _quote(text: str) -> str:
    return f'"{_escape(text)}"'
