"""Which handlers to write first, so that the most models of a fleet convert soonest.

A :class:`Plan` is plain data: it can be written as JSON, read back and compared with a later one.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from ..conversion.convert import coverage
from ..conversion.report import Report, configuration, form
from ..conversion.target import Target
from ..errors import Error
from ..graph.graph import Graph
from ..graph.nodes import Node
from ..passes.decomposer import WaysDown
from .survey import Survey, arriving

_KEPT = 12  # configurations, forms and lines kept of an item


@dataclass(slots=True)
class Item:
    """One thing to write: a handler, or what a handler that exists does not do yet.

    Attributes:
        op: canonical name; ``"@ir.guard"`` or ``"@ir.state"`` where a target's hook for conditions
            or for state would be needed; the kind of the thing where nothing can take it.
        reason: ``"no handler"``, or why the handler that exists refused.
        models: model -> how many of its calls need it.
        unlocks: the models that convert whole once this and every item before it is written.
        configurations: arguments other than tensors and defaults -> calls; the most frequent ones.
        forms: calls by the types of their tensors -> calls; the most frequent ones.
        dtypes: of the tensors.
        sources: lines that call it.
        pieces: ops that would do instead, where the call can be taken apart.
    """

    op: str
    reason: str = "no handler"
    models: dict[str, int] = field(default_factory=dict)
    unlocks: list[str] = field(default_factory=list)
    configurations: dict[str, int] = field(default_factory=dict)
    forms: dict[str, int] = field(default_factory=dict)
    dtypes: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many calls of the fleet need it."""
        return sum(self.models.values())

    @property
    def key(self) -> str:
        """What tells it from other items."""
        return self.op if self.reason == "no handler" else f"{self.op}: {self.reason}"


@dataclass(slots=True)
class Plan:
    """What to write for a fleet, and in which order.

    Attributes:
        target: name of the target.
        models: model -> how many calls it makes, of those that could be captured.
        items: what to write, in this order.
        problems: model -> why there is no graph of it, or why the handlers could not be run.
        ran: whether the handlers were run; without, what they refuse only then is not in the plan.
    """

    target: str
    models: dict[str, int] = field(default_factory=dict)
    items: list[Item] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)
    ran: bool = False

    @property
    def complete(self) -> list[str]:
        """Models that convert whole as things are."""
        waiting = {name for item in self.items for name in item.models}
        return [name for name in self.models if name not in waiting and name not in self.problems]

    def text(self, top: int = 20) -> str:
        """The first ``top`` items for a terminal; the last line is the verdict."""
        from .pages import text

        return text(self, top)

    def markdown(self, top: int = 50) -> str:
        """The first ``top`` items as Markdown."""
        from .pages import markdown

        return markdown(self, top)

    def html(self) -> str:
        """All items as one page without scripts."""
        from .pages import html

        return html(self)

    def json(self) -> str:
        """All of it; :meth:`read` reads it back."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def read(cls, text: str) -> Plan:
        """A plan from :meth:`json`.

        Raises:
            Error: it is not one.
        """
        try:
            made = cls(**json.loads(text))
            made.items = [Item(**item) for item in made.items]  # type: ignore[arg-type]
        except (ValueError, TypeError) as error:
            raise Error(f"this is no plan: {error}") from error
        return made

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a file: ``.json``, ``.md``, ``.html`` or ``.txt``."""
        made = {".json": self.json, ".md": self.markdown, ".html": self.html, ".txt": self.text}
        ending = Path(path).suffix
        if ending not in made:
            raise Error(f"cannot write a plan as {ending!r}; {', '.join(made)} are known")
        Path(path).write_text(made[ending]() + "\n", encoding="utf-8")

    def diff(self, old: Plan) -> list[str]:
        """What is new since an older plan, a line each; what is gone comes first, with ``-``.

        Lines with ``+`` are new work: ops, models that no longer convert or no longer run.
        """
        lines = []
        before, now = {i.key: i for i in old.items}, {i.key: i for i in self.items}
        lines += [f"- {key}" for key in before if key not in now]
        for key, item in now.items():
            if key not in before:
                lines.append(f"+ {key}: {item.count} calls in {len(item.models)} models")
        done, was = set(self.complete), set(old.complete)
        lines += [f"- {name} converts whole now" for name in self.complete
                  if name not in was and name in {**old.models, **old.problems}]  # fmt: skip
        lines += [f"+ {name} converted whole before" for name in old.complete
                  if name not in done and name in self.models]  # fmt: skip
        lines += [f"+ {name}: {why}" for name, why in self.problems.items()
                  if name not in old.problems]  # fmt: skip
        return sorted(lines, key=lambda line: line[0] == "+")

    def __str__(self) -> str:
        return self.text()


def plan(
    models: Sequence[str] | Mapping[str, Any],
    target: Target,
    *,
    out: Callable[[], Any] | None = None,
    cache: str | os.PathLike[str] | None = None,
    executor: Executor | None = None,
    jobs: int | None = None,
    timeout: float = 300,
    memory: int | None = None,
    device: str | None = None,
    retry: bool = False,
    progress: bool = True,
) -> Plan:
    """Which handlers to write first for a fleet of models.

    Each model is built, run and captured once, apart from this process, and its graph kept in
    ``cache``; then the target is held against all graphs. So planning again for a target that has
    grown runs no model.

    Args:
        models: see :func:`flexir.fleet.survey`, as for all arguments not named here.
        target: the handlers there are.
        out: makes a builder for one model, if the target has none (``Target(name, out=MyNet)``).
            With one the handlers are run (weights of a cached graph are zeros), and what they
            refuse or raise counts; without, a call is handled if there is a handler that takes
            these arguments, and the headline says so.
        cache: folder of graphs; without one, a temporary folder.

    Returns:
        the :class:`Plan`, items ranked by :func:`rank`.

    Example:
        >>> import torch; from flexir import describe
        >>> net = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU())
        >>> print(plan({"net": (net, (torch.ones(1, 2),))}, describe, progress=False))
        1 of 1 models convert whole with target 'describe'; nothing is missing; handlers were not \
run, what they would refuse is not in it
    """
    with tempfile.TemporaryDirectory() as folder:
        found = arriving(
            models, cache=cache or folder, executor=executor, jobs=jobs, timeout=timeout,
            memory=memory, device=device, retry=retry, progress=progress,
        )  # fmt: skip
        return of_surveys(found, target, out)


def of_surveys(
    surveys: Iterable[Survey], target: Target, out: Callable[[], Any] | None = None
) -> Plan:
    """The plan for models that have been surveyed, or are while it is made."""
    ways = WaysDown()
    parts = sorted((_part(one, target, out, ways) for one in surveys), key=lambda part: part.number)
    made = Plan(target.name, ran=(out or target.builder) is not None)
    items: dict[tuple[str, str], _Counts] = {}
    for part in parts:
        if part.calls is not None:
            made.models[part.name] = part.calls
        if part.problem:
            made.problems[part.name] = part.problem
        for key, counts in part.items.items():
            items.setdefault(key, _Counts(*key)).add(counts)
    made.items = rank([counts.item() for counts in items.values()])
    return made


def stubs(
    made: Plan, surveys: Sequence[Survey], target: Target, folder: str | Path, top: int = 20
) -> list[str]:
    """Write handlers to start from for the first items of a plan, with tests and samples.

    Args:
        made: the plan, for the order.
        surveys: what it was made of.
        target: the handlers there are; calls they take are left out.
        folder: where; see :func:`flexir.files.ir.samples.write_samples`.
        top: how many items.

    Returns:
        the ops of which no sample could be made.
    """
    from ..files.ir.samples import write_samples

    wanted = dict.fromkeys(item.op for item in made.items[:top])
    needed = {name for item in made.items[:top] for name in item.models}
    calls: dict[str, list[tuple[Graph, Node]]] = {op: [] for op in wanted}
    for one in surveys:
        if one.name in needed:
            graph = one.graph()
            for entry in coverage(graph, target).entries:
                if entry.op in wanted:
                    calls[entry.op] += [(graph, node) for node in entry.nodes]
    return write_samples(folder, [call for group in calls.values() for call in group])


class _Counts:
    """An item being counted."""

    def __init__(self, op: str, reason: str) -> None:
        self.op, self.reason = op, reason
        self.models: dict[str, int] = {}
        self.configurations: Counter[str] = Counter()
        self.forms: Counter[str] = Counter()
        self.dtypes: dict[str, None] = {}
        self.sources: dict[str, None] = {}
        self.pieces: dict[str, None] = {}

    def add(self, other: _Counts) -> None:
        """Add the counts of another model."""
        for name in ("models", "configurations", "forms", "dtypes", "sources", "pieces"):
            getattr(self, name).update(getattr(other, name))

    def item(self) -> Item:
        """The item, with the most frequent of everything."""
        return Item(
            self.op, self.reason, self.models, [], dict(self.configurations.most_common(_KEPT)),
            dict(self.forms.most_common(_KEPT)), list(self.dtypes), list(self.sources)[:_KEPT],
            list(self.pieces),
        )  # fmt: skip


class _Needs(NamedTuple):
    """What one model adds to a plan; ``calls`` is None if there is no graph of it."""

    name: str
    number: int
    calls: int | None = None
    problem: str = ""
    items: Mapping[tuple[str, str], _Counts] = MappingProxyType({})


def _part(one: Survey, target: Target, out: Callable[[], Any] | None, ways: WaysDown) -> _Needs:
    try:
        graph = one.graph()
    except Error as error:
        return _Needs(one.name, one.number, problem=one.problem or str(error))
    calls = sum(1 for _ in graph)
    try:
        report = coverage(graph, target, out, ways=ways)
    except Exception as error:  # noqa: BLE001  of one model; the others are planned
        why = f"the handlers raised {type(error).__name__}: {error}"
        return _Needs(one.name, one.number, calls, why)
    return _Needs(one.name, one.number, calls, items=_counted(report, one.name))


def _counted(report: Report, model: str) -> dict[tuple[str, str], _Counts]:
    items: dict[tuple[str, str], _Counts] = {}
    for entry in report.entries:
        key = entry.op, entry.reason
        counts = items.setdefault(key, _Counts(*key))
        counts.models[model] = entry.count
        counts.pieces.update(dict.fromkeys(entry.lacking))
        for node in entry.nodes:
            counts.configurations[configuration(node)] += 1
            counts.forms[form(node)] += 1
            for value in (*node.inputs, *node.outputs):
                counts.dtypes[str(value.type.dtype).removeprefix("torch.")] = None
            if node.source is not None:
                counts.sources[str(node.source)] = None
    for one in report.omissions:
        key = f"@ir.{one.hook}" if one.hook else one.kind, one.reason
        counts = items.setdefault(key, _Counts(*key))
        counts.models[model] = counts.models.get(model, 0) + 1
        counts.forms[one.text] += 1
        if one.where:
            counts.sources[one.where.split("  ")[-1]] = None
    return items


def rank(items: Sequence[Item]) -> list[Item]:
    """Items in the order in which to write them; fills in ``unlocks``.

    Greedy set cover with the models as sets: the next to be finished is the model for which the
    most models are unlocked per item still to write, then the one with the fewest items, then with
    the most calls; its items come by the models each unlocks, then by calls. Ties are broken by
    name, so that a fleet surveyed in another order has the same plan.
    """
    waiting: dict[str, set[int]] = {}
    for number, item in enumerate(items):
        item.unlocks = []
        for name in item.models:
            waiting.setdefault(name, set()).add(number)
    order: list[Item] = []
    while waiting:

        def cost(rest: frozenset[int]) -> tuple[float, int, int, list[str]]:
            unlocked = sum(other <= rest for other in waiting.values())
            calls = sum(items[number].count for number in rest)
            keys = sorted(items[number].key for number in rest)
            return -unlocked / len(rest), len(rest), -calls, keys

        best = min({frozenset(rest) for rest in waiting.values()}, key=cost)
        todo = set(best)
        while todo:

            def alone(number: int) -> tuple[int, int, str]:
                unlocked = sum(rest == {number} for rest in waiting.values())
                return -unlocked, -items[number].count, items[number].key

            number = min(todo, key=alone)
            todo.remove(number)
            order.append(items[number])
            for name in sorted(waiting):
                waiting[name].discard(number)
                if not waiting[name]:
                    del waiting[name]
                    items[number].unlocks.append(name)
    return order
