"""One call, of a function or a module, as a graph of its own."""

from __future__ import annotations

from ..graph import tree
from ..graph.graph import Graph
from ..graph.nodes import Node, Value
from ..passes.edit import copy_node


def alone(graph: Graph, node: Node) -> Graph:
    """A graph of one call, whose inputs are what it reads; weights are the same Values."""
    small = Graph(f"{node.op}")
    env: dict[Value, Value] = {}
    taken = {v.name for v in graph.constants}
    for value in reads(node):
        if value in graph.constants:
            env[value] = value
            small.constants[value] = graph.constants[value]
            continue
        name = next(n for i in range(len(taken) + 1) if (n := f"x{i}") not in taken)
        taken.add(name)
        small.inputs[name] = env[value] = Value(name, value.type)
    small.parameters = [(name, 1) for name in small.inputs]
    small.nodes = [_copy(node, env)]
    small.outputs = [env[v] for v in node.outputs]
    return small.check()


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
    """The function calls in a module call, in order of execution."""
    return [one for one in _walk(node) if one.body is None]


def _walk(node: Node) -> list[Node]:
    found: list[Node] = []
    stack = [node]
    while stack:
        one = stack.pop()
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
