"""Take one call apart into calls a target does take, or say what is missing.

Four ways are tried, each of which shows the call as a graph of smaller calls: the recipes of
:mod:`.recipes`; the body of a Python function of torch, run so that its inner calls are
visible; the ATen ops beneath it; torch's own decomposition of an ATen op. What comes out is taken
apart further until the target takes every piece. The call runs on the meta device: no memory, no
computing.

This module decides nothing about targets: ``takes(node)`` is the caller's.
"""

from __future__ import annotations

import inspect
import itertools
import math
import types
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch

from ..calls.names import is_torch
from ..calls.signatures import HINTS, is_default
from ..errors import Unsupported
from ..graph import numbers, tree
from ..graph.choice import blocks_of
from ..graph.graph import Graph
from ..graph.inputs import Inputs
from ..graph.nodes import Dim, Node, Value
from ..recording.examples import merged
from ..recording.recorder import record_run
from .edit import call_key, copy_node, stand_at
from .recipes import RECIPES

_DEPTH = 8  # of pieces within pieces
_SIZES = 3  # at which pieces of a call with sizes that vary are tried
# A problem is believed when it is there twice: another thread may have drawn random numbers.
_TRIES = 2
_SMALL = 1 << 22  # elements of a constant that is computed


class Pieces(NamedTuple):
    """What a call comes down to.

    Attributes:
        nodes: function calls in order, on the call's own argument Values.
        result: template like the call's ``result``.
        constants: tensors the calls read that follow from the shapes alone (masks, indices).
    """

    nodes: list[Node]
    result: Any
    constants: dict[Value, torch.Tensor]


_TOO_DEEP = "too deep"  # no key of a call


class _Failure(NamedTuple):
    """That no way was found, and holds as long as those calls have none either.

    Attributes:
        assumed: keys of calls above that were not begun again.
        missing: ops for which no way down was found.
    """

    assumed: frozenset[Any]
    missing: frozenset[str]


class Decomposer:
    """Takes calls apart, remembering what it found for calls that look the same.

    Args:
        takes: whether a call needs no further taking apart.
        ways: of calls that were met in other graphs.

    Attributes:
        missing: op -> the pieces for which no way down was found.
    """

    def __init__(self, takes: Callable[[Node], bool], ways: WaysDown | None = None) -> None:
        self.takes, self.ways = takes, WaysDown() if ways is None else ways
        self.missing: dict[str, set[str]] = {}
        self._known: dict[Any, tuple[Node, Pieces]] = {}
        self._failed: dict[Any, _Failure] = {}
        self._assumed: set[Any] = set()  # keys that what is under way takes to have no way down

    def __call__(self, node: Node, above: Sequence[Node] = ()) -> Pieces | None:
        """The pieces of a function call, all of which are taken; None if there is no way.

        Args:
            node: the call.
            above: calls of which it is a piece, or a piece of a piece.
        """
        missing: set[str] = set()
        if set(node.outputs) != set(node.returned):  # it also writes what it does not return
            return None
        pieces = self._expand(node, tuple(map(call_key, above)), missing)
        if pieces is None:
            self.missing.setdefault(node.op, set()).update(missing - {node.op})
        return pieces

    def _expand(self, node: Node, above: tuple[Any, ...], missing: set[str]) -> Pieces | None:
        if node.body is not None or node.effects.random or node.effects.escape or not node.outputs:
            return None
        if node.effects.switches is not None and node.effects.switches.autocast:
            return None  # the pieces would be cast by other rules than the call
        if any(v.is_number or v.is_list for v in (*node.inputs, *node.outputs)):
            return None  # what sizes the tensors have, or how many there are, is then not known
        key = call_key(node)
        if key in above or len(above) > _DEPTH:
            self._assumed.add(key if key in above else _TOO_DEEP)
            return None
        if key in self._known:
            return _moved(*self._known[key], node)
        failed = self._failed.get(key)
        if failed is not None and failed.assumed <= {*above}:
            missing |= failed.missing
            self._assumed |= failed.assumed
            return None
        return self._first(node, key, above, missing)

    def _first(
        self, node: Node, key: Any, above: tuple[Any, ...], missing: set[str]
    ) -> Pieces | None:
        """Take apart a call the like of which was not met, or under other calls alone."""
        outer, self._assumed = self._assumed, set()
        lacking: set[str] = set()
        found = None
        for graph, values in self.ways(node, key):
            found = self._take_pieces(node, graph, values, (*above, key), lacking)
            if found is not None:
                break
        missing |= lacking
        if found is not None:
            self._known[key] = node, found
            self._assumed = outer
            return found
        missing.add(node.op)
        assumed = self._assumed - {key} if above else set()
        self._failed[key] = _Failure(frozenset(assumed), frozenset({*lacking, node.op}))
        self._assumed = outer | assumed
        return None

    def _take_pieces(
        self,
        node: Node,
        graph: Graph,
        values: list[Value],
        above: tuple[Any, ...],
        missing: set[str],
    ) -> Pieces | None:
        """Turn one way into pieces that are all taken, going deeper where they are not."""
        env: dict[Value, Value] = dict(zip(graph.input_values, values))
        if graph.constants or graph.mutations:
            return None  # it reads tensors of its own

        def look(value: Value) -> Value:
            return env.get(value, value)

        device = node.outputs[0].type.device
        prefix = node.outputs[0].name
        made: list[Node] = []
        constants: dict[Value, torch.Tensor] = {}
        for piece in graph:
            if piece.effects.escape is not None:
                continue  # how tensors lie chooses between equal ways; sizes are as they must be
            copy = copy_node(piece, look, lambda name: f"{prefix}.{name}")
            relocate(copy, node, device)
            env.update(zip(piece.outputs, copy.outputs))
            if copy.effects.same is not None:
                env[piece.outputs[0]] = copy.args[copy.effects.same]
            elif constants.keys() >= set(copy.inputs) and _compute(copy, constants):
                continue
            elif self.takes(copy) and not _is_same(copy, node):
                made.append(copy)
            else:
                inner = self._expand(copy, above, missing)
                if inner is None:
                    return None
                made += inner.nodes
                constants.update(inner.constants)
                env.update(zip(piece.outputs, _leaves(inner.result)))
        result = tree.substitute(graph.outputs, Value, look)
        if [_kind(v) for v in _leaves(result)] != [_kind(v) for v in _leaves(node.result)]:
            return None
        return Pieces(made, result, constants)


def _kind(value: Value) -> Any:
    """Dtype and shape, and which sizes vary."""
    return value.type[:2], [n.__class__ for n in value.type.shape]


def _is_same(piece: Node, node: Node) -> bool:
    """Whether a piece is the call itself by another function: declined once, it is again."""
    return piece.op == node.op and piece.inputs == node.inputs


def relocate(copy: Node, node: Node, device: torch.device) -> None:
    """Give a piece the path, the source line and the device of the call it is a piece of."""
    stand_at(copy, node)
    for value in copy.outputs:
        if not value.is_number:
            value.type = value.type._replace(device=device)
    for name, part in copy.args.items():
        if isinstance(part, torch.device) and part.type == "meta":
            copy.args[name] = device


def _compute(node: Node, constants: dict[Value, torch.Tensor]) -> bool:
    """Compute a piece that depends on no argument, if it is small."""
    if node.effects.random or sum(math.prod(v.type.shape) for v in node.outputs) > _SMALL:
        return False
    made = evaluate(node, constants)
    if not isinstance(made, torch.Tensor):
        return False
    for value in node.outputs:
        value.producer = None
        constants[value] = made
    return True


def evaluate(node: Node, constants: Mapping[Value, torch.Tensor]) -> Any:
    """What a call gives that reads nothing else than these."""
    args, kwargs = node.signature.unbind(
        tree.build(node.args, Value, lambda v: constants[v].clone())
    )
    with torch.no_grad():
        return node.target(*args, **kwargs)


def _leaves(template: Any) -> list[Value]:
    return list(tree.leaves(template, Value))


def _moved(first: Node, pieces: Pieces, node: Node) -> Pieces:
    """The pieces of one call as those of another that looks the same."""
    env = dict(zip(dict.fromkeys(first.inputs), dict.fromkeys(node.inputs)))
    old, new = first.outputs[0].name, node.outputs[0].name

    def look(value: Value) -> Value:
        return env.get(value, value)

    made = []
    for piece in pieces.nodes:
        copy = copy_node(piece, look, lambda name: new + name.removeprefix(old))
        stand_at(copy, node)
        env.update(zip(piece.outputs, copy.outputs))
        made.append(copy)
    return Pieces(made, tree.substitute(pieces.result, Value, look), pieces.constants)


# --- the ways down ------------------------------------------------------------------------------


class WaysDown:
    """The ways down of calls, each found once for all that look alike.

    They do not depend on a target, so conversions of many models can share them.
    """

    def __init__(self) -> None:
        self._found: dict[Any, tuple[list[Graph], Iterator[tuple[Graph, list[Value]]]]] = {}

    def __call__(self, node: Node, key: Any) -> Iterator[tuple[Graph, list[Value]]]:
        """Graphs that compute what a call of this key does, and which of its Values they take."""
        values = list(dict.fromkeys(node.inputs))
        alike = key, node.target, torch.get_default_dtype(), *(v.type for v in node.outputs)
        if alike not in self._found:
            self._found[alike] = [], _ways(node)
        found, more = self._found[alike]
        for number in itertools.count():
            if number == len(found):
                graph = next((graph for graph, _ in more), None)
                if graph is None:
                    return
                found.append(graph)
            yield found[number], values


def _ways(node: Node) -> Iterator[tuple[Graph, list[Value]]]:
    """Graphs that compute what a call computes, and which of its Values their inputs are."""
    values = list(dict.fromkeys(node.inputs))
    target = node.target
    for function in RECIPES.get(node.op, ()):
        if (args := _fitting(function, node)) is not None:
            yield from _try(function, [], args, values, functions=True)
    args, kwargs = node.signature.unbind(node.args)
    if isinstance(target, types.FunctionType) and is_torch(target):
        yield from _try(_opened(target), args, kwargs, values, functions=True)
    if is_torch(target) and not isinstance(target, torch._ops.OpOverload):
        yield from _try(target, args, kwargs, values, functions=False)
    if isinstance(target, torch._ops.OpOverload):
        from torch._decomp import decomposition_table

        if target in decomposition_table:
            own = decomposition_table[target]
            yield from _try(own, args, kwargs, values, functions=True)


def _fitting(function: Callable[..., Any], node: Node) -> dict[str, Any] | None:
    """Keywords for a recipe; None if it ignores an argument that matters."""
    parameters = inspect.signature(function).parameters
    rest = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    given = {}
    for name, part in node.args.items():
        if name in parameters:
            given[name] = part
        elif not rest and name not in HINTS:
            default = node.signature.defaults.get(name, inspect.Parameter.empty)
            if not is_default(part, default):
                return None
    own = {"shape": node.outputs[0].type.shape, "type": node.outputs[0].type}
    given.update({n: v for n, v in own.items() if n in parameters and n not in node.args})
    needed = {
        n for n, p in parameters.items()
        if p.default is p.empty and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
    }  # fmt: skip
    return given if needed <= given.keys() else None


def _try(
    function: Callable[..., Any],
    args: Any,
    kwargs: dict[str, Any],
    values: list[Value],
    *,
    functions: bool,
) -> Iterator[tuple[Graph, list[Value]]]:
    """Capture ``function`` on the meta device; nothing if it does not run there."""

    def run(tensors: list[torch.Tensor]) -> Any:
        given = dict(zip(values, tensors))
        full = tree.build((args, kwargs), Value, given.__getitem__)
        return function(*full[0], **full[1])

    options: dict[str, Any] = {"witness": not functions, "functions": functions}
    live = any(v.type.is_live for v in values)
    for _ in range(_TRIES):
        try:
            with warnings.catch_warnings(), torch.no_grad():
                warnings.simplefilter("ignore")
                steps = range(_SIZES if live else 1)
                given = [Inputs(_stand_ins(values, step)) for step in steps]
                graph = (merged(run, given, None, **options) if live else
                         record_run(run, given[0].args, {}, **options))  # fmt: skip
        except Unsupported:
            return
        except Exception:  # noqa: BLE001  if it does not run there, it is no way down
            return
        if not graph.audit.problems:
            break
    decides = any(node.effects.escape in ("branch", "value") and not _must_be(node)
                  for node in graph)  # fmt: skip
    if not (graph.audit.problems or decides or graph.variants or any(map(blocks_of, graph))):
        yield graph, values


def _stand_ins(values: list[Value], step: int) -> list[torch.Tensor]:
    """Meta tensors for Values; sizes that vary are others at each step, each by its own measure."""
    names = dict.fromkeys(n.name for v in values for n in v.type.shape if isinstance(n, Dim))
    # Another step for each name: sizes that are equal by chance would not stay so.
    added = {name: step * (7 + 4 * i) for i, name in enumerate(names)}
    shapes = [[int(n) + added.get(getattr(n, "name", ""), 0) for n in v.type.shape] for v in values]
    return [torch.empty(shape, dtype=value.type.dtype, device="meta")
            for shape, value in zip(shapes, values)]  # fmt: skip


def _must_be(node: Node) -> bool:
    """Whether a condition is that sizes are equal, without which torch would refuse the call."""
    return node.target is numbers.eq and node.result is True


def _opened(function: types.FunctionType) -> Callable[..., Any]:
    """A Python function of torch whose checks for overrides say no, so its inside is seen."""
    blind = {name: _no for name in function.__globals__ if name.startswith("has_torch_function")}
    copy = types.FunctionType(
        function.__code__, {**function.__globals__, **blind}, function.__name__,
        function.__defaults__, function.__closure__,
    )  # fmt: skip
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


def _no(*_: Any) -> bool:
    return False
