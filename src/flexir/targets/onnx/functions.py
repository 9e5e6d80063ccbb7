"""Modules as local functions of a file: the nodes of each become one call.

Knows the file and the paths its nodes carry; of what they compute nothing. Equal modules, whatever
their weights, are calls of one function. A module whose nodes cannot stand together (something
outside computes between them), or that has branches or loops, stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import onnx_ir as ir

DOMAIN = "flexir.modules"


def outlined(model: ir.Model, modules: Mapping[str, str]) -> None:
    """Let modules be calls of functions.

    Args:
        model: changed in place.
        modules: path -> name of the function, usually of the class; none within another.
    """
    known: dict[Any, str] = {}  # what a function does -> its name
    taken: set[str] = set()
    for path, name in modules.items():
        nodes = [node for node in model.graph if _is_in(node, path)]
        if nodes and _stand_together(list(model.graph), nodes):
            _outline(model, path, name, nodes, known, taken)
    if known:
        model.graph.opset_imports[DOMAIN] = 1
        model.graph.sort()


def _is_in(node: ir.Node, path: str) -> bool:
    own = node.metadata_props.get("flexir.path", "")
    return own == path or own.startswith(f"{path}.")


def _stand_together(order: Sequence[ir.Node], nodes: Sequence[ir.Node]) -> bool:
    """Whether nothing outside reads what some of them make and is read by others."""
    members, beyond = set(nodes), set[ir.Node]()
    for node in order:
        if any(a.type == ir.AttributeType.GRAPH for a in node.attributes.values()):
            if node in members:
                return False
            inner = [n for a in node.attributes.values() if a.type == ir.AttributeType.GRAPH
                     for n in ir.traversal.RecursiveGraphIterator(a.as_graph())]  # fmt: skip
        else:
            inner = []
        read = {v.producer() for n in (node, *inner) for v in n.inputs if v is not None}
        if node not in members and not read.isdisjoint(members | beyond):
            beyond.add(node)
        elif node in members and not read.isdisjoint(beyond):
            return False
    return True


def _outline(
    model: ir.Model,
    path: str,
    name: str,
    nodes: Sequence[ir.Node],
    known: dict[Any, str],
    taken: set[str],
) -> None:
    """One call in the place of these nodes."""
    members = set(nodes)
    inputs = list(dict.fromkeys(v for n in nodes for v in n.inputs
                                if v is not None and v.producer() not in members))  # fmt: skip
    made = [value for node in nodes for value in node.outputs]
    outputs = [value for value in made if value.is_graph_output()
               or any(use.node not in members for use in value.uses())]  # fmt: skip
    key = _meaning(nodes, inputs, outputs)
    if key not in known:
        count = sum(other == name or other.startswith(f"{name}_") for other in taken)
        known[key] = f"{name}_{count}" if count else name
        taken.add(known[key])
        one = _function(known[key], nodes, inputs, outputs, model.graph.opset_imports)
        model.functions[one.identifier()] = one
    results = [ir.Value(name=v.name, type=v.type, shape=v.shape) for v in outputs]
    call = ir.Node(DOMAIN, known[key], inputs, outputs=results, name=path,
                   metadata_props={"flexir.path": path})  # fmt: skip
    model.graph.insert_after(nodes[-1], call)
    ir.convenience.replace_all_uses_with(outputs, results, replace_graph_outputs=True)
    model.graph.remove(nodes, safe=True)


def _meaning(nodes: Sequence[ir.Node], inputs: Sequence[Any], outputs: Sequence[Any]) -> Any:
    """What nodes compute, independent of the names of their values."""
    numbers: dict[Any, int] = {value: place for place, value in enumerate([None, *inputs])}
    lines = []
    for node in nodes:
        numbers.update((v, len(numbers) + k) for k, v in enumerate(node.outputs))
        how = sorted((a.name, str(a.type), repr(a.value)) for a in node.attributes.values())
        read = tuple(numbers[value] for value in node.inputs)
        lines.append((node.domain, node.op_type, read, tuple(how), len(node.outputs)))
    return tuple(lines), len(inputs), tuple(numbers[value] for value in outputs)


def _function(
    name: str,
    nodes: Sequence[ir.Node],
    inputs: Sequence[ir.Value],
    outputs: Sequence[ir.Value],
    versions: Mapping[str, int],
) -> ir.Function:
    """A function of copies of these nodes."""
    env: dict[ir.Value | None, ir.Value | None] = {None: None}
    env.update((v, ir.Value(name=v.name, type=v.type, shape=v.shape)) for v in inputs)
    copies = []
    for node in nodes:
        made = [ir.Value(name=v.name, type=v.type, shape=v.shape) for v in node.outputs]
        copies.append(ir.Node(
            node.domain, node.op_type, [env[v] for v in node.inputs], node.attributes,
            outputs=made, name=node.name, metadata_props=dict(node.metadata_props),
        ))  # fmt: skip
        env.update(zip(node.outputs, made))
    graph = ir.Graph(
        [env[v] for v in inputs], [env[v] for v in outputs], nodes=copies,  # type: ignore[misc]
        opset_imports=dict(versions), name=name,
    )  # fmt: skip
    return ir.Function(DOMAIN, name, graph=graph, attributes=[])
