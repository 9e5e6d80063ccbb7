"""Some calls of a graph, of functions or modules, as a graph of their own.

The new graph shares the weights' Values; the old one stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..graph import tree
from ..graph.graph import Graph
from ..graph.nodes import Node, Value
from .edit import copy_node


def single_call(graph: Graph, node: Node) -> Graph:
    """A graph of one call, whose inputs are what it reads; weights are the same Values."""
    small, _ = extract(graph, [node], node.outputs, node.op)
    return small


def extract(
    graph: Graph, nodes: Sequence[Node], outputs: Iterable[Value], name: str
) -> tuple[Graph, list[Value]]:
    """A graph of some calls, none inside another, in order of execution.

    Args:
        graph: whose calls they are.
        nodes: the calls, module calls with their bodies.
        outputs: which of the Values they make to return.
        name: of the new graph.

    Returns:
        the graph, which takes what the calls read and returns a list; and the Values of ``graph``
        that its inputs stand for, in order. Weights are the same Values.
    """
    small = Graph(name)
    env: dict[Value, Value] = {}
    taken = {v.name for v in graph.constants}
    made = {v for node in nodes for one in calls(node) for v in one.outputs}
    read = [v for node in nodes for v in reads(node) if v not in made]
    outputs = list(outputs)
    given: list[Value] = []
    for value in dict.fromkeys([*read, *(v for v in outputs if v not in made)]):
        if value in graph.constants:
            env[value] = value
            small.constants[value] = graph.constants[value]
            continue
        wish = f"x{len(given)}"
        wish = next(n for i in range(len(taken) + 1) if (n := f"{'_' * i}{wish}") not in taken)
        taken.add(wish)
        small.inputs[wish] = env[value] = Value(wish, value.type)
        given.append(value)
    small.parameters = [(name, 1) for name in small.inputs]
    small.nodes = [_copy(node, env) for node in nodes]
    small.outputs = [env[v] for v in outputs]
    return small.check(), given


def reads(node: Node) -> list[Value]:
    """The Values that a call reads and does not make, each once, its arguments first."""
    found = dict.fromkeys(node.inputs)
    if node.body is None:
        return list(found)
    inner = calls(node)
    made = {v for one in inner for v in one.outputs}
    read = [v for one in inner for v in one.inputs]
    found.update((v, None) for v in (*read, *node.outputs) if v not in made)
    return list(found)


def calls(node: Node) -> list[Node]:
    """The function calls in a module call, in order of execution; a function call is its own."""
    found: list[Node] = []
    stack = [node]
    while stack:
        one = stack.pop()
        if one.body is None:
            found.append(one)
        stack.extend(reversed(one.body or ()))
    return found


def _copy(node: Node, env: dict[Value, Value]) -> Node:
    """A call once more, with its body, on what ``env`` says; ``env`` learns what it makes."""
    if node.body is None:
        copy = copy_node(node, lambda v: env.get(v, v))
        env.update(zip(node.outputs, copy.outputs))
        return copy
    args = tree.substitute(node.args, Value, env.__getitem__)
    copy = Node(
        node.op, node.target, args, body=[_copy(inner, env) for inner in node.body],
        path=node.path, call=node.call, source=node.source,
    )  # fmt: skip
    copy.result = tree.substitute(node.result, Value, env.__getitem__)
    copy.outputs = tuple(env[v] for v in node.outputs)
    return copy
