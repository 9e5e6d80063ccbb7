"""The grammar of graphs, executable: every Value is made once, before it is read, by one name.

Owns what makes a graph sound and what makes a name unique; changes nothing.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Any

from ..errors import GraphError
from .choice import WITH_BLOCKS, Block, alike, blocks_of, is_choice, is_loop, values_of
from .graph import Graph
from .nodes import Node, NumberType, Value
from .tree import LITERALS, is_literal, leaves


def check(graph: Graph) -> set[Value]:
    """Raise GraphError at the first thing that breaks the grammar; linear in the graph's size.

    Returns:
        every Value in use: by a node, a module, the caller.
    """
    known = {*graph.input_values, *graph.constants}
    for value in known:
        if value.producer is not None:
            raise GraphError(f"{value!r} is an input or constant but has a producer")
    names = [value.name for value in known]
    read: set[Value] = set()
    _body(graph.nodes, known, names, read)
    if len(set(names)) != len(names):
        twice = next(name for name, count in Counter(names).items() if count > 1)
        raise GraphError(f"two values are named %{twice}")
    for value in graph.results:
        if value not in known:
            raise GraphError(f"{value!r} is a result of the graph but nothing makes it")
        read.add(value)
    for kept in graph.kept:
        if kept.initial not in known or kept.initial.producer is not None:
            raise GraphError(f"{kept} begins with {kept.initial!r}, no input or constant")
        read.add(kept.initial)
    for variant in graph.variants:
        if variant.variants:
            raise GraphError(f"a variant of {graph.name} has variants of its own")
        check(variant)
    return read


def finalize(graph: Graph) -> Graph:
    """Check a new graph and drop its unused constants.

    Returns:
        the graph itself, so producers can end with ``return finalize(graph)``.
    """
    read = check(graph)
    for value in [value for value in graph.constants if value not in read]:
        del graph.constants[value]
        graph.origins.pop(value, None)
    return graph


def name_values(graph: Graph) -> None:
    """Number everything that calls make, anew."""
    taken = {value.name for value in (*graph.input_values, *graph.constants)}
    free = (name for name in map(str, itertools.count(1)) if name not in taken)
    for value, name in zip(values_of(graph.nodes), free):
        value.name = name


def _body(nodes: Sequence[Node], known: set[Value], names: list[str], read: set[Value]) -> None:
    """Check the nodes of a body; add what they make and read to ``known``, ``names``, ``read``."""
    for node in nodes:
        for part in node.args.values():
            cls = part.__class__
            if cls in LITERALS or cls is not Value and is_literal(part):
                continue
            for value in (part,) if cls is Value else leaves(part, Value):
                if value not in known:
                    raise GraphError(f"{value!r} is used before it is made, in: {node}")
                read.add(value)
        if node.body is not None:
            _body(node.body, known, names, read)
            for value in node.outputs:
                if value not in known:
                    raise GraphError(f"{value!r} is returned but not made by: {node}")
                read.add(value)
            continue
        if node.effects.writes and (unknown := set(node.effects.writes) - set(node.args)):
            raise GraphError(f"writes {sorted(unknown)}, which are no arguments: {node}")
        if node.target.__class__ in WITH_BLOCKS:
            _given_to_blocks(node)
            for _, block in blocks_of(node):
                _block(node, block, names)
        for value in node.outputs:
            if value.producer is not node:
                raise GraphError(f"{value!r} names another producer than: {node}")
            if value in known:
                raise GraphError(f"{value!r} is made twice, again by: {node}")
            names.append(value.name)
            known.add(value)


def _given_to_blocks(node: Node) -> None:
    """Check what a branch or a loop is given: what decides, and what its blocks read."""
    if not is_loop(node):
        names, tuples = ["condition", "inputs"], ["inputs"]
    else:
        names, tuples = ["count", "carried", "inputs"], ["carried", "inputs"]
    if list(node.args) != names or any(type(node.args[name]) is not tuple for name in tuples):
        raise GraphError(f"a call with blocks has {', '.join(names)}: {node}")
    decides = node.args[names[0]]
    number = decides.is_number if isinstance(decides, Value) else type(decides) is int
    if not number and not (is_loop(node) and decides is None):
        raise GraphError(f"the {names[0]} is no number: {node}")
    if is_loop(node) and len(node.outputs) < len(node.args["carried"]):
        raise GraphError(f"a loop has fewer outputs than it carries: {node}")


def _block(node: Node, block: Block, names: list[str]) -> None:
    """Check a block: it reads its parameters and nothing else."""
    known, read = set(block.parameters), set[Value]()
    names += [value.name for value in block.parameters]
    given, made = node.args["inputs"], len(node.outputs)
    own = 0
    if is_loop(node):  # the number of the round goes in, whether another follows comes out
        own, made = 1 + len(node.args["carried"]), 1 + made
    if len(block.parameters) != own + len(given) or len(block.outputs) != made:
        raise GraphError(f"a block has other parameters or outputs than: {node}")
    for value in block.parameters:
        if value.producer is not None:
            raise GraphError(f"{value!r} is a parameter of a block but has a producer: {node}")
    for value, part in zip(block.parameters[own:], given):
        if not _stands_for(part, value):
            raise GraphError(f"{value!r} is given {part!r} by: {node}")
    _body(block.nodes, known, names, read)
    for value in leaves(block.outputs, Value):
        if value not in known:
            raise GraphError(f"{value!r} is an output of a block but nothing makes it: {node}")
    for value, part in zip(node.outputs, block.outputs) if is_choice(node) else ():
        if not _stands_for(part, value):
            raise GraphError(f"{value!r} is {part!r} in a block of: {node}")


def _stands_for(part: Any, value: Value) -> bool:
    """Whether a part can be what a Value of a block is: one alike, a number, or nothing."""
    if isinstance(part, Value):
        return alike(part.type, value.type)
    return part is None or isinstance(value.type, NumberType) and type(part) is value.type.kind


def value_names(graph: Graph) -> set[str]:
    """The names of all Values of a graph, those of module calls and in blocks aside."""
    found = {value.name for value in (*graph.constants, *graph.input_values)}
    found.update(value.name for node in graph for value in node.outputs)
    return found


def free_name(wish: str, taken: set[str]) -> str:
    """``wish``, with a number if it is taken; it is taken then."""
    name, number = wish, 1
    while name in taken:
        number += 1
        name = f"{wish}_{number}"
    taken.add(name)
    return name
