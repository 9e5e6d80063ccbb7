"""Calls with blocks: ``if``, of whose two blocks one runs, and ``loop``, whose block runs again.

    if(condition, inputs) -> outputs              target: Choice, blocks "then" and "else"
    loop(count, carried, inputs) -> carried, lists     target: Loop, block "body"

Owns what a block is and how a block that reads what stands around it is closed: what it reads comes
in as parameters, so that the call reads like any other: every Value it reads stands among its
arguments, every Value it makes among its outputs. What walks over all calls asks :func:`blocks_of`
and need not know which of the two it is. Never decides anything itself; replay does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from . import tree
from .nodes import ListType, Node, NumberType, TensorType, Value


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


class Loop:
    """The target of a ``loop`` node: ``loop(count, carried, inputs) -> carried, lists``.

    ``count`` is how many rounds there are at most, or None if only the body ends the loop;
    ``carried`` is what the first round begins with, None where it begins with nothing; ``inputs``
    are the same in every round. The outputs are the carried Values after the last round, then one
    list for each further output of the body.

    Attributes:
        body: parameters: the number of the round, from 0; the carried Values; the inputs. Outputs:
            whether another round may follow (True, or a Value); the carried Values of the next
            round; what each list gains, if it is not None.
        ends: how examples showed it to end: ``"count"``, ``"condition"``; another end is refused.
        least: the fewest rounds it is right for: 0 if an example showed none, else 1.
    """

    __slots__ = ("body", "ends", "least")
    __name__ = "loop"

    def __init__(self, body: Block, ends: tuple[str, ...] = ("count",), least: int = 0) -> None:
        self.body, self.ends, self.least = body, ends, least

    @property
    def blocks(self) -> tuple[tuple[str, Block]]:
        """The body, by the word it is printed under."""
        return (("body", self.body),)


def is_choice(node: Node) -> bool:
    """Whether a node is a branch."""
    return node.target.__class__ is Choice


def is_loop(node: Node) -> bool:
    """Whether a node is a loop."""
    return node.target.__class__ is Loop


WITH_BLOCKS: frozenset[type[Any]] = frozenset({Choice, Loop})  # classes of targets


def blocks_of(node: Node) -> tuple[tuple[str, Block], ...]:
    """The blocks of a call, by the word they are printed under; most have none."""
    return node.target.blocks if node.target.__class__ in WITH_BLOCKS else ()


def alike(one: TensorType, other: TensorType) -> bool:
    """Whether what comes by one way can stand where the other does: but for sizes, the same."""
    if one.__class__ is not other.__class__:
        return False
    if isinstance(one, NumberType) and isinstance(other, NumberType):
        return one.kind is other.kind
    if isinstance(one, ListType) and isinstance(other, ListType):
        return alike(one.element, other.element)
    return (one.dtype, len(one.shape), one.device) == (
        other.dtype, len(other.shape), other.device,
    )  # fmt: skip


def bodies(node: Node) -> list[list[Node]]:
    """The nodes inside a call: those of a module's body, or of each of its blocks."""
    if node.body is not None:
        return [node.body]
    return [block.nodes for _, block in blocks_of(node)]


def given(node: Node) -> Iterator[tuple[Value, Any]]:
    """The parameters of a call's blocks, with what each is when the call begins; None: nothing."""
    for _, block in blocks_of(node):
        first = (None, *node.args["carried"]) if is_loop(node) else ()
        yield from zip(block.parameters, (*first, *node.args["inputs"]))


def walk(nodes: Sequence[Node], *, blocks: bool = True) -> Iterator[Node]:
    """All nodes: a module before its body, a call before its blocks, if they are entered."""
    stack: list[Iterator[Node]] = [iter(nodes)]
    while stack:
        for node in stack[-1]:
            yield node
            if node.body is not None:
                stack.append(iter(node.body))
                break
            if blocks and node.target.__class__ in WITH_BLOCKS:
                stack += map(iter, reversed(bodies(node)))
                break
        else:
            stack.pop()


def every(nodes: Sequence[Node]) -> Iterator[Node]:
    """All calls, those inside modules and inside blocks included."""
    return (node for node in walk(nodes) if node.body is None)


def values_of(nodes: Sequence[Node]) -> Iterator[Value]:
    """All Values that calls make, and the parameters of blocks."""
    for node in every(nodes):
        yield from node.outputs
        for _, block in blocks_of(node):
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


def closed(
    nodes: list[Node],
    outputs: Sequence[Any],
    inputs: Sequence[Value],
    first: Sequence[Value] = (),
) -> Block:
    """A Block of nodes that read ``inputs``; the nodes are changed in place and belong to it.

    Args:
        nodes: what it does.
        outputs: what it gives.
        inputs: Values from around it.
        first: parameters that come before those of the inputs, and that the nodes already read.
    """
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
    return Block((*first, *env.values()), nodes, tuple(look(tuple(outputs))))
