"""A branch in a graph: one call ``if``, two blocks, of which a condition decides which one runs.

Owns what a block is and how a block that reads what stands around it is closed: what it reads comes
in as parameters, so that the call reads like any other. Never decides anything itself; replay does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from . import tree
from .nodes import Node, NumberType, TensorType, Value


class Block(NamedTuple):
    """Nodes that read nothing but their parameters and each other.

    Attributes:
        parameters: one for each of the call's ``inputs``.
        nodes: in order of execution.
        outputs: what the outputs of the call are, one for each: a Value or a literal.
    """

    parameters: tuple[Value, ...]
    nodes: list[Node]
    outputs: tuple[Any, ...]


class Choice:
    """The target of an ``if`` node: ``if(condition, inputs) -> outputs``.

    Attributes:
        then: the Block that runs where the condition holds.
        otherwise: the Block that runs where it does not.
    """

    __slots__ = ("otherwise", "then")
    __name__ = "if"

    def __init__(self, then: Block, otherwise: Block) -> None:
        self.then, self.otherwise = then, otherwise

    def block(self, outcome: bool) -> Block:
        """The Block of one outcome."""
        return self.then if outcome else self.otherwise

    @property
    def blocks(self) -> tuple[tuple[str, Block], tuple[str, Block]]:
        """Both, by the word they are printed under."""
        return ("then", self.then), ("else", self.otherwise)


def is_choice(node: Node) -> bool:
    """Whether a node is a branch."""
    return node.target.__class__ is Choice


def alike(one: TensorType, other: TensorType) -> bool:
    """Whether what comes by one way can stand where the other does: but for sizes, the same."""
    if isinstance(one, NumberType) or isinstance(other, NumberType):
        return (
            isinstance(one, NumberType) and isinstance(other, NumberType) and one.kind is other.kind
        )
    return (one.dtype, len(one.shape), one.device) == (
        other.dtype, len(other.shape), other.device,
    )  # fmt: skip


def bodies(node: Node) -> list[list[Node]]:
    """The nodes inside a call: those of a module's body, or of each block of a branch."""
    if node.body is not None:
        return [node.body]
    return [block.nodes for _, block in node.target.blocks] if is_choice(node) else []


def walk(nodes: Sequence[Node]) -> Iterator[Node]:
    """All nodes: a module before its body, a branch before its blocks."""
    stack: list[Iterator[Node]] = [iter(nodes)]
    while stack:
        for node in stack[-1]:
            yield node
            if inner := bodies(node):
                stack += map(iter, reversed(inner))
                break
        else:
            stack.pop()


def every(nodes: Sequence[Node]) -> Iterator[Node]:
    """All calls, those inside modules and inside both blocks of branches included."""
    return (node for node in walk(nodes) if node.body is None)


def values_of(nodes: Sequence[Node]) -> Iterator[Value]:
    """All Values that calls make, and the parameters of blocks."""
    for node in every(nodes):
        yield from node.outputs
        if is_choice(node):
            for _, block in node.target.blocks:
                yield from block.parameters


def free_values(nodes: Sequence[Node], outputs: Sequence[Any]) -> list[Value]:
    """The Values that nodes, or these outputs, read and that no node among them makes."""
    made: set[Value] = set()
    read: dict[Value, None] = {}

    def visit(inner: Sequence[Node]) -> None:
        for node in inner:
            read.update(dict.fromkeys(node.inputs))
            if node.body is not None:
                visit(node.body)
                read.update(dict.fromkeys(node.returned))
            else:
                made.update(node.outputs)

    visit(nodes)
    read.update(dict.fromkeys(tree.leaves(tuple(outputs), Value)))
    return [value for value in read if value not in made]


def closed(nodes: list[Node], outputs: Sequence[Any], inputs: Sequence[Value]) -> Block:
    """A Block of nodes that read ``inputs``; the nodes are changed in place and belong to it."""
    env = {v: Value("", v.type) for v in inputs}

    def look(part: Any) -> Any:
        return tree.substitute(part, Value, lambda v: env.get(v, v))

    def visit(inner: Sequence[Node]) -> None:
        for node in inner:
            node.args = {name: look(part) for name, part in node.args.items()}
            if node.body is not None:
                visit(node.body)
                node.result = look(node.result)
                node.outputs = tuple(node.returned)

    visit(nodes)
    return Block(tuple(env.values()), nodes, tuple(look(tuple(outputs))))
