"""Patterns written as torch code, found in a graph and replaced by one op.

    @passes.pattern
    def silu(x):
        return x * torch.sigmoid(x)

    silu.find(graph)        # matches
    silu.replace(graph)     # a graph in which each is one call of `silu`

Parameters match any Value; keyword-only parameters match any literal, which the new call is given.
Canonical op names, argument defaults, the order of commutative operands and calls that return
their argument make no difference. A match whose inner values are used elsewhere is none.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from ..calls.binding import bind
from ..calls.names import METADATA
from ..calls.schemas import signatures
from ..graph.graph import Graph
from ..graph.nodes import Node, TensorType, Value
from .edit import Edit

_COMMUTATIVE = frozenset({
    "add", "mul", "maximum", "minimum", "eq", "ne", "bitwise_and", "bitwise_or", "bitwise_xor",
    "logical_and", "logical_or", "logical_xor",
})  # fmt: skip


def pattern(function: Callable[..., Any]) -> Pattern:
    """Make a pattern of a small torch function that returns one tensor.

    Raises:
        TypeError: the function does not return a tensor it computed.
    """
    return Pattern(function)


@dataclass(slots=True)
class Match:
    """One place where a pattern stands: its nodes, last one first, and what it bound."""

    nodes: list[Node]
    bound: dict[str, Any]

    @property
    def last(self) -> Node:
        """The node whose output is the pattern's."""
        return self.nodes[0]


class Pattern:
    """A torch function as a pattern; calling it is calling the function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.__name__, self.__doc__ = function.__name__, function.__doc__
        parameters = inspect.signature(function).parameters.values()
        self.words = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
        self.tensors = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]
        proxies = [_Proxy.make() for _ in self.tensors]
        made = function(*proxies, **{name: _Wild(name) for name in self.words})
        if not isinstance(made, _Proxy) or made.value.producer is None:
            raise TypeError(f"the pattern {self.__name__!r} must return a tensor it computes")
        self.inputs = {p.value: name for p, name in zip(proxies, self.tensors)}
        self.output = made.value
        self.calls = made.calls  # keeps the nodes alive

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    def find(self, graph: Graph) -> list[Match]:
        """Every place, each call in at most one of them, in order of execution."""
        edit, used = Edit(graph), set[Node]()
        found = []
        for node in reversed(list(graph)):
            if len(node.outputs) != 1 or node in used:
                continue
            for bound, nodes in self._match(self.output, node.outputs[0], {}, ()):
                inside = set(nodes)
                free = not used & inside and all(
                    value not in edit.results and inside.issuperset(edit.readers.get(value, ()))
                    for one in nodes if one is not node for value in one.outputs
                )  # fmt: skip
                if free:
                    words = {k: v for k, v in bound.items() if isinstance(k, str)}
                    values = {name: bound[v] for v, name in self.inputs.items() if v in bound}
                    found.append(Match(list(dict.fromkeys(nodes)), {**values, **words}))
                    used |= inside
                    break
        return found[::-1]

    def replace(self, graph: Graph, by: Callable[..., Any] | None = None) -> Graph:
        """Put one call in every place: of ``by``, or of the pattern's own function.

        The pattern's function is given its parameters by name; ``by`` in the same order, by
        whatever names it has.
        """
        function = self.function if by is None else by
        edit = Edit(graph)
        order = [*self.tensors, *self.words]
        names = order if by is None else next(s.names for s in signatures(by))
        for match in self.find(graph):
            last = match.last
            kind: TensorType = last.outputs[0].type
            args = {name: match.bound[own] for name, own in zip(names, order)}
            edit.replace(last.outputs[0], edit.call_before(last, function, args, kind))
            for node in match.nodes:
                edit.drop(node)
            edit.lines.append(f"{function.__name__} at {last.path or '(top)'}")
        return edit.build(f"pattern {self.__name__}")

    # -- matching: every way to bind, as (bindings, nodes), depth first

    def _match(
        self, want: Value, have: Value, bound: dict[Any, Any], nodes: tuple[Node, ...]
    ) -> Iterator[tuple[dict[Any, Any], tuple[Node, ...]]]:
        if want in bound:
            if bound[want] is have:
                yield bound, nodes
            return
        if want in self.inputs:
            yield {**bound, want: have}, nodes
            return
        rule, node = want.producer, have.producer
        assert rule is not None
        if node is not None and node.effects.same is not None and node.op != rule.op:
            for after, all_nodes in self._match(want, node.args[node.effects.same], bound, nodes):
                yield after, (*all_nodes, node)
            return
        if node is None or node.op != rule.op or node.effects.random or len(node.outputs) != 1:
            return
        for args in _orders(rule):
            yield from self._all(
                [(part, node.args.get(name, _default(node, name))) for name, part in args.items()],
                {**bound, want: have}, (*nodes, node),
            )  # fmt: skip

    def _all(
        self, pairs: list[tuple[Any, Any]], bound: dict[Any, Any], nodes: tuple[Node, ...]
    ) -> Iterator[tuple[dict[Any, Any], tuple[Node, ...]]]:
        if not pairs:
            yield bound, nodes
            return
        (want, have), *rest = pairs
        if isinstance(want, Value):
            if isinstance(have, Value):
                for after, found in self._match(want, have, bound, nodes):
                    yield from self._all(rest, after, found)
        elif isinstance(have, Value):
            return
        elif type(want) in (tuple, list) and any(isinstance(v, Value) for v in want):
            if isinstance(have, (tuple, list)) and len(have) == len(want):
                yield from self._all([*zip(want, have), *rest], bound, nodes)
        else:
            agreed = _literal(want, have, bound)
            if agreed is not None:
                yield from self._all(rest, agreed, nodes)


def _default(node: Node, name: str) -> Any:
    return node.signature.defaults.get(name, _Absent)


class _Absent:
    """No such argument."""


def _orders(rule: Node) -> Iterator[dict[str, Any]]:
    """The arguments of a pattern's call, also with commutative operands exchanged."""
    yield rule.args
    if rule.op in _COMMUTATIVE and {"input", "other"} <= rule.args.keys():
        yield {**rule.args, "input": rule.args["other"], "other": rule.args["input"]}


def _literal(want: Any, have: Any, bound: dict[Any, Any]) -> dict[Any, Any] | None:
    """Bindings after matching a literal, or None."""
    if isinstance(want, (tuple, list)) and len(want) == 1 and isinstance(want[0], _Wild):
        want = want[0]  # `shape` given where a list of sizes is wanted
    if isinstance(want, _Wild):
        if want.name is None:
            return bound
        if want.name in bound and bound[want.name] != have:
            return None
        return {**bound, want.name: have}
    if isinstance(want, slice) and isinstance(have, slice):
        want = (want.start, want.stop, want.step)
        have = (have.start, have.stop, have.step)
    if isinstance(want, (tuple, list)) and isinstance(have, (tuple, list)):
        if len(want) == len(have):
            for a, b in zip(want, have):
                after = _literal(a, b, bound)
                if after is None:
                    return None
                bound = after
            return bound
        return None
    if isinstance(want, (tuple, list)) and len(want) == 1:
        want = want[0]  # (-1,) and -1
    if isinstance(have, (tuple, list)) and len(have) == 1:
        have = have[0]
    if isinstance(want, float) and isinstance(have, (int, float)):
        # Close, for ``math.sqrt(2 / math.pi)`` is also written 0.7978845.
        return bound if math.isclose(want, have, rel_tol=1e-5) else None
    return bound if want is have or want == have else None


class _Wild(int):
    """A number that matches any literal; with a name, it is bound."""

    name: str | None

    def __new__(cls, name: str | None = None) -> _Wild:
        made = int.__new__(cls, 2)
        made.name = name
        return made

    def _free(self, *_: Any) -> _Wild:
        return _Wild()

    # What a number computed from a shape or an attribute is, is not known yet.
    for _name in ("add", "sub", "mul", "truediv", "floordiv", "pow"):
        vars()[f"__{_name}__"] = vars()[f"__r{_name}__"] = _free
    __neg__ = _free


class _Proxy(torch.Tensor):
    """A tensor that records what is called on it and computes nothing."""

    value: Value
    calls: list[Node]

    @staticmethod
    def make(value: Value | None = None, calls: list[Node] | None = None) -> _Proxy:
        made = torch.Tensor._make_subclass(_Proxy, torch.empty(2, 2, 2, 2))
        kind = TensorType(torch.float32, (2, 2, 2, 2), torch.device("cpu"))
        made.value = Value("", kind) if value is None else value
        made.calls = [] if calls is None else calls
        return made

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        with torch._C.DisableTorchFunctionSubclass():
            if func in METADATA:
                found = func(*args, **(kwargs or {}))
                return tuple(_Wild() for _ in found) if isinstance(found, tuple) else found
            signature, named = bind(func, args, kwargs or {})
        calls: list[Node] = []
        for part in named.values():
            for one in part if isinstance(part, (tuple, list)) else (part,):
                if isinstance(one, _Proxy):
                    calls += one.calls
        values = {name: _value(part) for name, part in named.items()}
        given = {n: v for n, v in values.items() if not _is_plain_default(signature, n, v)}
        node = Node(signature.op, func, given, signature=signature)
        value = Value("", TensorType(torch.float32, (), torch.device("cpu")), node)
        node.result, node.outputs = value, (value,)
        return cls.make(value, [*calls, node])


def _value(part: Any) -> Any:
    if isinstance(part, _Proxy):
        return part.value
    if type(part) in (tuple, list):
        return type(part)(_value(v) for v in part)
    return part


def _is_plain_default(signature: Any, name: str, part: Any) -> bool:
    """Arguments that only hint at an implementation need not agree."""
    from ..calls.signatures import HINTS

    return name in HINTS or (part is None and signature.defaults.get(name, ...) is None
                             and name == "dtype")  # fmt: skip
