"""Is a graph right on an example? Replayed, and compared with what the model gave, bit for bit.

Owns what an example is once it was run, and when two results are the same. What is done about those
that do not fit is the matter of :mod:`.examples`.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import torch

from ..errors import Diverged
from ..graph import tree
from ..graph.account import Frozen
from ..graph.agreement import TORCHS
from ..graph.choice import blocks_of, every
from ..graph.generators import drawing_aside
from ..graph.geometry import shape_of
from ..graph.graph import Graph
from ..graph.inputs import Inputs, bind_inputs
from ..graph.left import put_back
from ..graph.nodes import Node, Value
from ..graph.replay import Environment, replay
from ..graph.sizes import measure
from .decided_sizes import lengthened, may_decide
from .eager import copies_of
from .extrapolate import between, extrapolated
from .naming import Table
from .on_meta import measured_there
from .remembered import current

_META = 2e-4  # seconds; a call on the meta device takes less
_MANY = 20_000  # Values, and a hundred for each call: where nothing is checked, loops may not end


class UnfitExample(NamedTuple):
    """An example that does not fit the graph of the first; ``refused``: a replay says so."""

    number: int
    inputs: Inputs
    frozen: Frozen
    refused: bool = False

    def explained(self, problem: str | None) -> UnfitExample:
        """The same, with why its path could not be laid over that of the first."""
        if not problem:
            return self
        frozen = self.frozen
        words = (os.path.basename(w) if os.path.isabs(w) else w for w in problem.split(" "))
        reason = f"{frozen.reason}; no one path with the first: {' '.join(words)}"
        return self._replace(frozen=Frozen(frozen.example, reason, frozen.source))


class Trial(NamedTuple):
    """An example to be proved.

    Attributes:
        number: from 0.
        inputs: as given; a run may write them.
        copy: the same, never written.
        truth: what the model gives.
        after: its inputs as the model leaves them, if that is known.
    """

    number: int
    inputs: Inputs
    copy: Inputs
    truth: Any
    after: Inputs | None = None

    def is_told(self, made: Any, left: Inputs) -> bool:
        """Whether a graph gives what the model gives, and leaves what it leaves in its inputs."""
        if not equal(made, self.truth):
            return False
        return self.after is None or equal(tuple(left), tuple(self.after))


def proved(loose: Graph, trials: Sequence[Trial]) -> tuple[Table, list[UnfitExample]]:
    """Replay every example and compare it with the model.

    Returns:
        what every Value was in those that fit, and those that do not.
    """
    table = Table(loose)
    first, *others = trials
    begun, memory = time.perf_counter(), current()
    before = 0.0 if memory is None else memory.saved
    told, found = _measured(loose, first, {})
    table.seconds = time.perf_counter() - begun
    if memory is not None:
        table.seconds += memory.saved - before
    table.add(found)
    if not told:
        table.problem = f"example {first.number}: the graph does not give what the model gave"
    unfit = [tried(loose, table, trial) for trial in others]
    return table, [one for one in unfit if one is not None]


def tried(loose: Graph, table: Table, trial: Trial) -> UnfitExample | None:
    """Replay one example; the table gains it if it fits."""
    n = trial.number
    try:
        told, found = _measured(loose, trial, {})
    except Diverged as error:
        return UnfitExample(n, trial.inputs, _frozen(n, error), refused=True)
    except TORCHS as error:
        return UnfitExample(n, trial.inputs, Frozen(n, f"{type(error).__name__}: {_line(error)}"))
    if not told:
        return UnfitExample(
            n, trial.inputs, Frozen(n, "the graph gives something else than the model")
        )
    table.add(found)
    return None


def measured_beyond(loose: Graph, table: Table, shown: Sequence[Inputs]) -> None:
    """The table gains what Values are at a size that lies beyond those shown, as far as it runs.

    Such a size may decide otherwise; the path goes on all the same. Where paths are left that one
    example alone took, both blocks of every branch run, and a round of every loop. Where numbers of
    sizes that vary are the same there, too, other sizes vary without those that do so with them.
    """
    nodes = list(every(loose.nodes))
    guards = {node for node in nodes if node.effects.escape}
    blocks = {node for node in nodes if blocks_of(node)}
    _go_beyond(loose, table, extrapolated(shown), guards)
    alone = table.ways_alone() if blocks else []
    if alone:
        _go_beyond(loose, table, extrapolated(shown), guards | blocks, both=True)
        for pair in alone:
            one, other = (shown[r] for r in pair)
            for inputs in filter(None, (between(one, other), extrapolated([one, other]))):
                found: dict[Value, list[Any]] = {}
                if measured_there(loose, inputs, _noting(found)):
                    table.beyond.append(found)
    if table.coincides(nodes):
        for keeps in (0, 1):
            _go_beyond(loose, table, extrapolated(shown, keeps), guards)
    if deciding := may_decide(nodes):
        _go_beyond(loose, table, shown[0], guards, longer=deciding)


def _go_beyond(
    loose: Graph,
    table: Table,
    inputs: Inputs | None,
    led: Collection[Node],
    both: bool = False,
    longer: Collection[Node] = (),
) -> None:
    """The table gains what Values are on such inputs, and after calls that give more elements."""
    if inputs is None:
        return
    found: dict[Value, list[Any]] = {}
    long, many = table.seconds > len(loose) * _META, _MANY + 100 * len(loose)
    if both or longer or not long or not measured_there(loose, inputs, _noting(found, many)):
        found = {}
        with contextlib.suppress(Diverged, *TORCHS), drawing_aside():
            _measured(loose, Trial(-1, inputs, inputs, None), found, led, longer, many)
    table.beyond.append(found)


def _noting(
    found: dict[Value, list[Any]], many: int | None = None
) -> Callable[[Sequence[Value], Sequence[Any]], None]:
    """``found`` gains what Values are; of more than so many it raises Diverged."""
    left = itertools.repeat(None) if many is None else iter(range(many))

    def note(values: Sequence[Value], made: Sequence[Any]) -> None:
        if next(left, left) is left:
            raise Diverged("a loop may not end")
        for value, one in zip(values, made):
            if one is not None:  # an output of a branch that has nothing this way
                found.setdefault(value, []).append(measure(value, one))

    return note


def _measured(
    graph: Graph,
    trial: Trial,
    found: dict[Value, list[Any]],
    led: Collection[Node] = (),
    longer: Collection[Node] = (),
    many: int | None = None,
) -> tuple[bool, dict[Value, list[Any]]]:
    """Whether a graph tells what the model does; ``found`` gains what its Values are meanwhile."""
    note = _noting(found, many)
    args, kwargs = copies_of(*trial.copy)
    given: dict[Value, Any] = {}
    bind_inputs(graph, args, kwargs, given, as_given=True)
    note(list(given), list(given.values()))

    def watch(node: Node, made: Sequence[Any]) -> None:
        note(node.outputs, made)

    def alter(node: Node, env: dict[Value, Any]) -> None:
        if node in longer:
            env.update(lengthened(node, env))

    env, memory = Environment(graph.constants), current()
    make = None if memory is None else memory.recall
    made = replay(graph, args, kwargs, watch=watch, begin=note, tell_numbers=True, env=env,
                  led=led, alter=alter if longer else None, make=make)  # fmt: skip
    if trial.after is not None:
        made = put_back(graph, args, kwargs, env)
    return trial.is_told(made, Inputs(*args, **kwargs)), found


def takes(graph: Graph, inputs: Inputs) -> bool:
    """Whether a graph takes these inputs."""
    try:
        replay(graph, *copies_of(*inputs))
    except Diverged:
        return False
    except TORCHS:  # it tried
        return True
    return True


def _frozen(number: int, error: Diverged) -> Frozen:
    node = error.node
    return Frozen(number, _line(error), node.source if node is not None else None)


def _line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def equal(one: Any, other: Any) -> bool:
    """Whether two results are the same, bit for bit; NaN equals NaN."""
    left: list[Any] = []
    right: list[Any] = []
    shape = [
        tree.template(part, lambda t, into=into: into.append(t) or _LEAF, deep=True)  # type: ignore[misc]
        for part, into in ((one, left), (other, right))
    ]
    if len(left) != len(right) or tree.without_address(shape[0]) != tree.without_address(shape[1]):
        return False
    return all(map(_same, left, right))


_LEAF = "tensor"


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    if shape_of(one) != shape_of(other) or one.dtype != other.dtype:
        return False
    if one.is_nested:
        return all(map(_same, one.unbind(), other.unbind()))
    if one.layout is not torch.strided:
        return torch.equal(one.to_dense(), other.to_dense())
    if one.device.type == "meta":
        return True
    a, b = one.detach(), other.detach()
    return torch.equal(a, b) or bool(((a == b) | ((a != a) & (b != b))).all())
