"""Capture many models, each apart from this process, and remember what was found.

Works on any :class:`concurrent.futures.Executor`: what is submitted is one plain function with
plain arguments, whose result is bytes. Wherever it runs, it owns a process in which the model is
built and run (:mod:`.worker`), so neither this process nor the executor's can be harmed. On other
machines the files and packages that MODELs name must be there, too. Needs POSIX pipes.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..errors import Error
from ..graph.graph import Graph
from ..recording.capture import capture
from .progress import bar
from .worker import FILES, Worker


@dataclass(slots=True)
class Survey:
    """What is known of one model.

    Attributes:
        name: of the model.
        problem: why there is no graph; empty if there is one.
        seconds: how long building and capturing took.
        folder: where the graph lies, without weights; None for a model given as an object.
        given: the graph of a model given as an object.
        number: its place among the models.
    """

    name: str
    problem: str = ""
    seconds: float = 0.0
    folder: Path | None = None
    given: Graph | None = None
    number: int = 0

    def graph(self) -> Graph:
        """The captured graph. Its weights, if it lies in a folder, are zeros that take no memory.

        Raises:
            Error: there is none; the message is why.
        """
        if self.problem:
            raise Error(f"{self.name}: {self.problem}")
        if self.given is not None:
            return self.given
        from ..files.ir import load

        assert self.folder is not None
        graph = load(self.folder)
        graph.constants = {
            value: torch.zeros((), dtype=value.type.dtype).expand(value.type.shape)
            for value in graph.constants
        }
        return graph


def survey(
    models: Sequence[str] | Mapping[str, Any],
    *,
    cache: str | os.PathLike[str],
    executor: Executor | None = None,
    jobs: int | None = None,
    timeout: float = 300,
    memory: int | None = None,
    device: str | None = None,
    retry: bool = False,
    progress: bool = True,
) -> list[Survey]:
    """Capture every model of a fleet.

    Args:
        models: MODELs as the command takes them (``"timm:resnet18"``, ``"nets.py:make"``), followed
            by INPUT words after spaces if they cannot be guessed; or name -> such a string, a
            ``Graph``, or ``(model, args[, kwargs])``. Only strings are captured apart.
        cache: folder for the graphs. What is there is not captured again, unless torch or the
            ``file.py`` of a MODEL has changed; for code that is imported, take a new folder.
        executor: where to run; by default ``jobs`` processes here. Dask's ``client.get_executor()``
            is one; Ray makes one of two lines, ``class RayExecutor(Executor): def submit(self,
            function, /, *args): return ray.remote(function).remote(*args).future()``.
        jobs: how many at a time, without an executor; by default one per processor.
        timeout: seconds for one model.
        memory: bytes one model may allocate; by default its share of this machine's.
        device: where models are built; ``"meta"`` takes no memory and computes nothing.
        retry: try again what failed before.
        progress: show a bar on stderr.

    Returns:
        one :class:`Survey` per model, in order.
    """
    found = arriving(
        models, cache=cache, executor=executor, jobs=jobs, timeout=timeout, memory=memory,
        device=device, retry=retry, progress=progress,
    )  # fmt: skip
    return sorted(found, key=lambda one: one.number)


def arriving(
    models: Sequence[str] | Mapping[str, Any],
    *,
    cache: str | os.PathLike[str],
    executor: Executor | None = None,
    jobs: int | None = None,
    timeout: float = 300,
    memory: int | None = None,
    device: str | None = None,
    retry: bool = False,
    progress: bool = True,
) -> Iterator[Survey]:
    """As :func:`survey`, yielding each Survey as soon as it is known: those in the cache first.

    The caller can work while other models are captured. If it stops iterating, captures that have
    not begun are cancelled.
    """
    named = dict(models) if isinstance(models, Mapping) else {spec: spec for spec in models}
    jobs = jobs or max(1, os.cpu_count() or 1)
    memory = _share(jobs) if memory is None else memory
    root = Path(cache)
    root.mkdir(parents=True, exist_ok=True)
    folders = {name: root / _key(what, device) for name, what in named.items()
               if isinstance(what, str)}  # fmt: skip
    known = {
        name: one
        for name, folder in folders.items()
        if (one := _known(name, folder)) is not None and not (one.problem and retry)
    }
    threads = max(1, (os.cpu_count() or 1) // jobs)
    path = tuple(os.path.abspath(part) for part in sys.path)
    settings = (timeout, memory, threads, path, device)
    waiting: dict[Future[dict[str, Any]], str] = {}

    def each() -> Iterator[Survey]:
        yield from known.values()
        for name in [name for name in named if name not in folders]:
            yield Survey(name, given=_graph(named[name]))
        for future in as_completed(waiting):
            yield _keep(waiting[future], folders[waiting[future]], future.result())

    numbers = {name: number for number, name in enumerate(named)}
    with ExitStack() as stack:
        pool = executor or stack.enter_context(ThreadPoolExecutor(jobs))
        try:
            for name in [name for name in folders if name not in known]:
                waiting[pool.submit(capture_apart, named[name], *settings)] = name
            for one in bar(each(), len(named), lambda one: one.name) if progress else each():
                one.number = numbers[one.name]
                yield one
        finally:
            for future in waiting:
                future.cancel()


# --- where the executor runs it -------------------------------------------------------------------


_local = threading.local()


def capture_apart(
    spec: str,
    timeout: float,
    memory: int,
    threads: int,
    path: tuple[str, ...],
    device: str | None = None,
) -> dict[str, Any]:
    """Capture one model in a process that belongs to the thread this is called in."""
    worker: Worker | None = getattr(_local, "worker", None)
    settings = (memory, threads, path)
    if worker is None or (worker.memory, worker.threads, worker.path) != settings:
        worker = _local.worker = Worker(*settings)  # one before it ends, unreferenced
    spec, *inputs = shlex.split(spec)
    return worker.ask(spec, inputs, timeout, device)


# --- what is remembered ---------------------------------------------------------------------------


def _key(spec: str, device: str | None) -> str:
    """A folder name that stands for a MODEL in its present state."""
    state = [spec, torch.__version__, *([device] if device else [])]
    model = shlex.split(spec)[0]
    for path in (model.rpartition(":")[0], model.removeprefix("hf-config:")):
        if os.path.isfile(path):
            state.append(hashlib.sha256(Path(path).read_bytes()).hexdigest())
    digest = hashlib.sha256("\n".join(state).encode()).hexdigest()[:12]
    readable = "".join(c if c.isalnum() else "-" for c in spec)[:60]
    return f"{readable}-{digest}"


def _known(name: str, folder: Path) -> Survey | None:
    try:
        note = json.loads((folder / "survey.json").read_text())
    except (OSError, ValueError):
        return None
    return Survey(name, note["problem"], note["seconds"], folder / "net.flexir")


def _keep(name: str, folder: Path, answer: dict[str, Any]) -> Survey:
    """Write down an answer; ``survey.json`` comes last, so a folder with it is whole."""
    graph = folder / "net.flexir"
    graph.mkdir(parents=True, exist_ok=True)
    for file in FILES:
        if file in answer.get("files", {}):
            (graph / file).write_bytes(answer["files"][file])
    note = {"problem": answer.get("problem", ""), "seconds": answer.get("seconds", 0.0)}
    (folder / "survey.json.new").write_text(json.dumps(note))
    os.replace(folder / "survey.json.new", folder / "survey.json")
    return Survey(name, note["problem"], note["seconds"], graph)


def _graph(what: Any) -> Graph:
    if isinstance(what, Graph):
        return what
    model, args, *rest = what
    with torch.no_grad():
        return capture(model, args, rest[0] if rest else None)


def _share(jobs: int) -> int:
    """A model's part of nine tenths of the machine's memory; 0 where that is unknown."""
    try:
        whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0
    return int(0.9 * whole / jobs)
