"""A cache that grows becomes one of fixed length, as engines without live sizes need it.

Owns which inputs of a Program's entry points grow, what begins them, and how they are laid into
slots. How a graph goes on with slots is :mod:`.padded`'s matter.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch

from ..errors import Error
from ..graph import numbers, places, tree
from ..graph.account import Origin
from ..graph.check import finalize, free_name, value_names
from ..graph.graph import Graph
from ..graph.nodes import Dim, Node, NumberType, TensorType, Value
from ..graph.program import Program
from .edit import call_node
from .padded import Padded
from .slots import Filled, Shape, Slots

_LEAST = 4  # slots: with fewer, sizes that grow cannot be told from others


class Growth(NamedTuple):
    """How the inputs of an entry point grow from call to call.

    Attributes:
        dims: place of a result that is an input made longer -> the dimension.
        shapes: input -> its sizes; those of a number are its only size.
        step: by how much.
    """

    dims: dict[str, int]
    shapes: dict[Value, Shape]
    step: int


def fixed_cache(program: Program, length: int) -> Program:
    """Give caches that grow a fixed length: every size in the graphs that go on is a number.

    1. An entry point that takes a tensor and leaves it longer (``cat([keys, new], dim=2)``) takes
       and leaves one of ``length`` slots instead, of which the first ``position`` are filled;
       ``position`` is a further input, a whole number without dimensions, as a keyword.
    2. What else has a size that grows with it (a mask) is as long; what stands in empty slots of
       inputs does not matter, as long as it is finite. Results that grow have slots, too.
    3. Where empty slots would matter, they are set to a value first: to 0 before a sum, to the
       lowest number before a softmax. Which, where and whether is found by running both graphs
       at several positions with garbage in the slots, and every call is compared. Conditions on
       sizes are worked out for every position.
    4. An entry point that makes what grows (the prompt's) leaves it in slots, the others zero.
    5. A graph that leaves in its inputs what it does not return returns ``(outputs, left)``:
       engines give outputs alone.

    Args:
        program: entry points recorded with :func:`flexir.record` or :func:`flexir.program`, with
            examples of several lengths.
        length: slots of each cache.

    Returns:
        the new Program; the same one if nothing in it grows.

    Raises:
        Error: something does not go with a fixed length; the message names the input or the call.

    Example:
        >>> import torch, flexir
        >>> class Mean(torch.nn.Module):
        ...     def forward(self, x, seen):
        ...         seen = torch.cat([seen, x])
        ...         return seen.mean(0), {"seen": seen}
    """
    growths = {name: growth_of(name, graph) for name, graph in program.items()}
    if not any(growths.values()):
        return program
    dims = {place: dim for one in growths.values() if one for place, dim in one.dims.items()}
    graphs = {}
    for name, graph in program.items():
        growth = growths[name]
        if growth is None:
            graphs[name] = _returned(_begun(graph, dims, length), graph)
            continue
        if length < growth.step + _LEAST:
            raise Error(
                f"{name!r} makes its caches longer by {growth.step}; {length} slots are too few to "
                "tell what grows with them"
            )
        made = Padded(graph, Slots(length, growth.step), growth.shapes).graph
        graphs[name] = _returned(made, graph)
    return Program(program.name, graphs, program.modules)


def growth_of(name: str, graph: Graph) -> Growth | None:
    """How the inputs of an entry point grow; None if none does.

    Raises:
        Error: it has several paths, or a size that varies otherwise.
    """
    given = dict(places.paths(graph.inputs, Value))
    dims: dict[str, int] = {}
    grown: dict[str, int] = {}
    sizes: list[Dim] = []
    for place, made in results(graph):
        value = _origin(given.get(place), made, given)
        found = None if value is None else _grown(value.type, made.type)
        if value is not None and found is not None:
            dims[place] = found
            size = value.type.shape[found]
            sizes += [size] if isinstance(size, Dim) else []
            grown[place] = made.type.shape[found] - size
    if not dims:
        return None
    if graph.variants:
        raise Error(
            f"{name!r} has {len(graph.variants)} other paths that examples showed; a cache of "
            "fixed length needs one for all lengths. Record fewer, or other, examples"
        )
    if len(set(grown.values())) > 1:
        raise Error(f"the caches of {name!r} grow by different lengths: {grown}")
    values = {one.name: one.values for one in graph.live}
    base = min(values[size.name] for size in sizes)
    shapes: dict[Value, Shape] = {}
    for place, value in given.items():
        if value.is_number:
            shapes[value] = (_size(name, place, values.get(value.name), value.type, base),)
            continue
        shapes[value] = tuple(
            _size(name, f"{place}.shape[{i}]", values[n.name], n, base) if isinstance(n, Dim) else n
            for i, n in enumerate(value.type.shape)
        )
    return Growth(dims, shapes, next(iter(grown.values())))


def _size(name: str, place: str, values: Any, recorded: Any, base: tuple[int, ...]) -> Any:
    """What a size of an input depends on."""
    if values is None:
        return recorded.recorded if isinstance(recorded, NumberType) else int(recorded)
    offsets = {n - b for n, b in zip(values, base)}
    if len(offsets) > 1 or len(set(base)) < 2:
        raise Error(
            f"{place} of {name!r} varies, and not with the length of the cache: it was "
            f"{values} where that was {base}. Take the graph of one size first: graph.at(inputs)"
        )
    return Filled(offsets.pop())


def _origin(same: Value | None, made: Value, given: Mapping[str, Value]) -> Value | None:
    """The input that a result is, made longer: that of its place, else the nearest before it."""
    wanted = {
        v for v in given.values() if not v.is_number and _grown(v.type, made.type) is not None
    }
    if same in wanted or not wanted:
        return same if same in wanted else None
    seen, front = {made}, [made]
    while front:
        found = next((value for value in front if value in wanted), None)
        if found is not None:
            return found
        nodes = [value.producer for value in front if value.producer is not None]
        front = [v for v in dict.fromkeys(v for n in nodes for v in n.inputs) if v not in seen]
        seen.update(front)
    return None


def _grown(before: TensorType, after: TensorType) -> int | None:
    """The dimension in which a tensor is left longer than it was; None if it is not."""
    if before.dtype != after.dtype or len(before.shape) != len(after.shape):
        return None
    other = [i for i, (n, m) in enumerate(zip(before.shape, after.shape)) if n != m]
    if len(other) != 1 or not isinstance(before.shape[other[0]], Dim):
        return None
    return other[0] if after.shape[other[0]] > before.shape[other[0]] else None


def results(graph: Graph) -> Iterator[tuple[str, Value]]:
    """What a call leaves and returns, by place."""
    yield from places.paths(graph.left, Value)
    yield from places.paths(graph.outputs, Value)


def leaves_more(graph: Graph) -> bool:
    """Whether a call leaves something in its inputs that it does not return."""
    known = {*graph.output_values, *graph.input_values}
    return any(value not in known for value in tree.leaves(graph.left, Value))


def _returned(made: Graph, graph: Graph) -> Graph:
    """A graph that returns what it leaves, too, where ``graph`` did not return all of it."""
    if made is graph or not leaves_more(graph):
        return made
    return dataclasses.replace(made, outputs=(made.outputs, made.left))


def _begun(graph: Graph, dims: Mapping[str, int], length: int) -> Graph:
    """An entry point whose results are laid into slots, where others go on with them."""
    chosen = {v: dims[place] for place, v in results(graph)
              if place in dims and not v.is_number and len(v.type.shape) > dims[place]}  # fmt: skip
    if not chosen:
        return graph
    names = value_names(graph)
    like = next(reversed(list(graph)))
    nodes: list[Node] = []
    constants = dict(graph.constants)
    env: dict[Value, Value] = {}

    def call(function: Any, args: dict[str, Any], type: TensorType) -> Value:
        name = free_name(f"{like.outputs[0].name if like.outputs else ''}.slots", names)
        node, value = call_node(function, args, type, name, like)
        nodes.append(node)
        return value

    for value, dim in chosen.items():
        size = value.type.shape[dim]
        slots = [0] * (2 * len(value.type.shape))
        shape = list(value.type.shape)
        shape[dim] = length
        end = 2 * (len(shape) - 1 - dim) + 1
        if isinstance(size, Dim):
            count = call(numbers.size, {"input": value, "dim": dim}, NumberType(int, int(size)))
            _guarded(count, length, nodes, like)
            lacking = {"input": length, "other": count}
            slots[end] = call(numbers.sub, lacking, NumberType(int, length - size))  # type: ignore[call-overload]
        elif size > length:
            raise Error(f"the cache of {graph.name} begins with {size} of {length} slots")
        else:
            slots[end] = length - size
        type = value.type._replace(shape=tuple(shape))
        args = {"input": value, "pad": tuple(slots), "mode": "constant", "value": 0.0}
        env[value] = call(torch.nn.functional.pad, args, type)
    outputs, left = tree.substitute([graph.outputs, graph.left], Value, lambda v: env.get(v, v))
    made = dataclasses.replace(
        graph, nodes=[*graph.nodes, *nodes], outputs=outputs, left=left, constants=constants,
        origins={v: graph.origins.get(v, Origin("folded")) for v in constants}, status={},
        unknown={}, history=[*graph.history, f"fixed_cache: results in {length} slots"],
    )  # fmt: skip
    return finalize(made)


def _guarded(count: Value, length: int, nodes: list[Node], like: Node) -> None:
    """A condition: what begins has room."""
    node, _ = call_node(numbers.le, {"input": count, "other": length}, NumberType(int, 1), "", like)
    node.result, node.outputs = True, ()
    node.effects = node.effects._replace(escape="branch")
    nodes.append(node)
