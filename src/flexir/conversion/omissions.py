"""What a model does besides returning its outputs, and what a conversion leaves out of that.

Conditions under which the graph is the model, state kept from call to call, inputs that are
written. Plain data over a graph; which of it a target takes is the conversion's matter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from ..graph.choice import every
from ..graph.graph import Graph
from ..graph.nodes import Node, Value

# Of each kind: what one and several are called, and the hook of a target that would take it.
KINDS = {
    "condition": ("condition", "conditions", "guard"),
    "memory": ("tensor read outside torch", "tensors read outside torch", ""),
    "state": ("state", "states", "state"),
    "written input": ("written input", "written inputs", "state"),
    "change": ("changed Python value", "changed Python values", ""),
    "size": ("live size", "live sizes", ""),
    "path": ("other path", "other paths", ""),
}
# Handlers to paste.
HOOKS = {
    "guard": "@ir.guard\ndef guard(ctx, condition, expected, node):\n    ...",
    "state": "@ir.state\ndef state(ctx, path, initial, final):\n    ...",
}
_DEEP = 3  # calls within calls of a condition that is shown


class Omission(NamedTuple):
    """One thing the model does that the output of a conversion does not.

    Attributes:
        kind: a key of ``KINDS``.
        text: what it is.
        where: module path and source line.
        reason: ``"no handler"``, or why the handler that exists did not take it.
    """

    kind: str
    text: str
    where: str
    reason: str = "no handler"

    @property
    def hook(self) -> str:
        """The hook that would take it; empty where none could."""
        return KINDS[self.kind][2]

    def __str__(self) -> str:
        why = "" if self.reason == "no handler" else f"   {self.reason}"
        return f"{self.text}{why}" + (f"   # {self.where}" if self.where else "")


class Kept(NamedTuple):
    """Memory that one call changes and the caller or the next call sees.

    Attributes:
        kind: ``"state"`` or ``"written input"``.
        path: where it is kept, or the name of the input.
        initial: its Value before the call.
        final: its Value after it.
    """

    kind: str
    path: str
    initial: Value
    final: Value


def kept(graph: Graph) -> list[Kept]:
    """State, and what else the run wrote, each once."""
    inputs = set(graph.input_values)
    found: dict[Value, Kept] = {}
    for path, initial, final in (*graph.state, *graph.mutations):
        kind = "written input" if initial in inputs else "state"
        found.setdefault(initial, Kept(kind, path, initial, final))
    return list(found.values())


def conditions(graph: Graph) -> list[Node]:
    """The calls through which values left torch.

    Texts were only printed, and how tensors lie or are differentiated is nothing to an engine.
    """
    nodes = every(graph.nodes)
    return [node for node in nodes if node.effects.escape not in (None, "text", "about")]


def of_condition(node: Node, reason: str) -> Omission:
    """The omission of a value that left torch."""
    if node.effects.escape == "memory":
        why = "no handler can take it; @flexir.opaque keeps the code that reads it"
        return Omission("memory", f"{_call(node, _DEEP)} gave its elements", node.where, why)
    how = "raises" if node.effects.escape == "error" else "is"
    text = f"{_call(node, _DEEP)} {how} {node.result!r}"
    return Omission("condition", text, node.where, reason)


def of_kept(one: Kept, reason: str) -> Omission:
    """The omission of a state or a written input."""
    producer = one.final.producer
    does = "written" if one.kind == "written input" else "kept from call to call"
    where = "" if producer is None else producer.where
    return Omission(one.kind, f"{one.path} is {does}: {_show(one.final, _DEEP)}", where, reason)


def of_changes(graph: Graph) -> list[Omission]:
    """Python values of the model that the run changed."""
    why = "no handler can take it"
    return [Omission("change", str(change), "", why) for change in graph.audit.changes]


def of_sizes(graph: Graph) -> list[Omission]:
    """Sizes that vary, for a target whose handlers cannot be told what a size is."""
    why = "@ir.op('size') makes it part of the output; convert(..., at=args) makes that of one size"
    return [Omission("size", str(one).partition("   #")[0], ", ".join(one.places), why)
            for one in graph.live]  # fmt: skip


def of_paths(graph: Graph) -> list[Omission]:
    """Paths that examples showed and that stand beside the graph."""
    why = "convert it alone, or the one that takes args: convert(..., at=args)"
    return [Omission("path", f"graph.variants[{i}]: {one!r}", "", why)
            for i, one in enumerate(graph.variants)]  # fmt: skip


def _call(node: Node, depth: int) -> str:
    return f"{node.op}({', '.join(_show(value, depth) for value in node.inputs)})"


def _show(value: Value, depth: int) -> str:
    """How a Value came about, in calls of tensors: ``all(eq(mask))``."""
    if value.producer is None:
        return value.name
    return _call(value.producer, depth - 1) if depth > 1 else str(value)


def count(kinds: Iterable[str]) -> str:
    """``2 conditions and 1 state``; empty if there is nothing."""
    numbers = Counter(kinds)
    parts = [f"{numbers[kind]} {one if numbers[kind] == 1 else several}"
             for kind, (one, several, _) in KINDS.items() if numbers[kind]]  # fmt: skip
    return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))


def are_left_out(omissions: Iterable[Omission]) -> str:
    """``2 conditions and 1 state are not in the output``."""
    kinds = [omission.kind for omission in omissions]
    return f"{count(kinds)} {'is' if len(kinds) == 1 else 'are'} not in the output"
