"""What a run leaves behind: memory it wrote, and tensors the model keeps for its next call.

Reads the tables of a run that has just ended; changes nothing but the initial values of weights
that were swapped.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterator, Sequence

import torch

from ..graph.account import Change, Mutation, State, Text
from ..graph.geometry import ADDRESSED, storage_of
from ..graph.graph import Graph
from ..graph.nodes import Value
from .changed import Replaced
from .constants import Origins
from .ssa import ValueTable


def mutations(table: ValueTable, found: Origins) -> list[Mutation]:
    """Final values of inputs and constants whose memory was written, in the model's order."""
    written = dict(table.written())
    for weight in table.swapped():
        initial = found.initial[id(weight.tensor)]
        final = table.read(weight.tensor)
        if weight.stride is not None and found.constants[initial] is weight.tensor:
            found.constants[initial] = weight.as_met()
        if final is not initial:
            written[initial] = final
    constants = found.constants if written else {}
    order = [v for v in written if v not in constants] + [v for v in constants if v in written]
    return [Mutation(v.name, v, written[v]) for v in order]


def state(
    graph: Graph, replaced: Sequence[Replaced], table: ValueTable, found: Origins, among: bool
) -> list[State]:
    """Tensors written or replaced where the model keeps them, and read by this run.

    Args:
        graph: with its nodes, outputs and mutations.
        replaced: the places that hold another tensor now.
        table: what tensors mean.
        found: the constants.
        among: others than this run may read them: all that was replaced is state.
    """
    kept = {
        m.name: State(m.name, m.initial, m.final)
        for m in graph.mutations
        if m.initial in graph.constants
        and found.origins[m.initial].kind not in ("unseen", "python")
    }
    finals = [(path, before, table.read(after)) for path, before, after in replaced]
    if among:
        kept.update((p, State(p, table.read(before), final)) for p, before, final in finals)
    if among or not finals:
        return list(kept.values())
    read = {v for node in graph for v in node.inputs}
    read.update(graph.output_values, (m.final for m in graph.mutations))
    waiting = True
    while waiting:  # what only goes on into another state is read by the call after the next
        waiting = False
        for path, before, final in finals:
            initial: Value | None = found.initial.get(id(before))
            if initial in read and (path not in kept or kept[path].final is not final):
                assert initial is not None
                kept[path] = State(path, initial, final)
                waiting = final not in read
                read.add(final)
    return list(kept.values())


def parted(replaced: Sequence[Replaced], found: Origins) -> Iterator[Change]:
    """Places that held one tensor and hold several now: which one a call read cannot be told.

    Args:
        replaced: the places that hold another tensor now.
        found: the constants that the run met, and what was held before it.
    """
    groups: dict[int, list[Replaced]] = {}
    for one in replaced:
        if id(one.before) in found.initial:
            groups.setdefault(id(one.before), []).append(one)
    places = found.holdings.places(groups.keys())
    for before, group in groups.items():
        path, _, after = group[0]
        gone = {one.path for one in group}
        others = [place for place in places[before] if place not in gone]
        others += [one.path for one in group if one.after is not after]
        if others:
            yield Change(path, Text(f"the same tensor as {others[0]}"), Text("another than that"))


def overlapping(table: ValueTable, mutations: Sequence[Mutation]) -> Iterator[str]:
    """Memory from before the run that it wrote, and that another tensor has in another storage.

    Tensors made from one NumPy array or by DLPack are such; what is written to one of them, the
    other has too, and torch does not say so.
    """
    written = {one.initial for one in mutations}
    spans: dict[int, tuple[int, int, list[Value]]] = {}  # of storages

    def note(storage: torch.UntypedStorage | None, value: Value) -> None:
        if storage is not None and storage.device.type in ADDRESSED and storage.nbytes():
            start = storage.data_ptr()
            kept = spans.setdefault(storage._cdata, (start, start + storage.nbytes(), []))
            kept[2].append(value)

    if written:
        for weight in table.weights:
            note(weight.storage, weight.value)
        for alias, value, _ in table.roots:
            if (tensor := alias.ref()) is not None:
                note(storage_of(tensor), value)
    ordered = sorted(spans.values(), key=operator.itemgetter(0))
    for place, (_, end, values) in enumerate(ordered):
        for start, _, others in itertools.islice(ordered, place + 1, None):
            if start >= end:
                break
            if not written.isdisjoint((*values, *others)):
                yield (
                    f"the memory of {values[0]!r} is also that of {others[0]!r}, and torch does "
                    "not know: what is written to one is not seen in the other"
                )
