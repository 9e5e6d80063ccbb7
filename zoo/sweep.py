"""Whole suites, one case at a time: ``python3 dev.py sweep [suite ...] [--fresh] [--limit N]``.

Every case runs in a worker process that may crash, hang or run out of memory without ending the
sweep. Results go to ``.cache/sweep`` as they come; a sweep that was stopped goes on where it
was. At the end ``docs/coverage.md`` is written.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from flexir.fleet import process
from zoo import coverage, saved

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache" / "sweep"
TIMEOUT = 300  # seconds for one case
JOBS = max(1, min(4, os.cpu_count() or 1))  # workers side by side, of one thread each
BATCH = 40  # cases before a worker is replaced, so that its memory is given back

# Which verdicts of a suite count as kept promises.
GOOD = ("exact", "close", "diverged", "flagged", "refused in eager")


# --- what a worker does --------------------------------------------------------------------------


def check_entry(entry: Any) -> dict[str, Any]:
    """Build, run, capture, replay and verify one model of the zoo."""
    import torch

    import flexir

    try:
        model, args, kwargs = entry.make()
    except Exception as error:  # noqa: BLE001  not in the denominator
        return {"verdict": "does not build", "note": f"{type(error).__name__}: {error}"[:200]}
    with torch.no_grad():
        try:
            model(*args, **kwargs)
        except Exception as error:  # noqa: BLE001  not in the denominator
            return {"verdict": "does not run", "note": f"{type(error).__name__}: {error}"[:200]}
        start = time.perf_counter()
        graph = flexir.capture(model, args, kwargs)
        seconds = time.perf_counter() - start
        check = flexir.verify(graph, model, args, kwargs)
        from flexir import describe

        report = flexir.convert(graph, target=describe).report
    return {
        "verdict": check.verdict,
        "perturbed": check.perturbed,
        "calls": sum(1 for _ in graph),
        "unaccounted": graph.audit.unaccounted,
        "fallback": graph.audit.fallback,
        "placeholders": {row.op: row.count for row in report.entries},
        "max_abs": check.max_abs,
        "seconds": round(seconds, 3),
        "note": "" if check.verdict == "exact" else str(check)[:600],
    }


def check_opdb(name: str) -> dict[str, Any]:
    """All samples of one op, in all its variants and main dtypes."""
    import torch

    from zoo import opdb

    counts: Counter[str] = Counter()
    notes = []
    for op in opdb.database():
        if op.full_name != name:
            continue
        with torch.no_grad():
            for case in opdb.cases(op):
                outcome = opdb.attempt(case)
                if outcome is None:
                    continue
                counts[outcome.verdict] += 1
                if outcome.verdict != "exact" and len(notes) < 5:
                    notes.append(f"{outcome.verdict}: {outcome.name}: {outcome.note}"[:300])
    bad = [v for v in counts if v not in ("exact", "unrepeatable")]
    verdict = "exact" if not bad else max(bad, key=lambda v: (v == "wrong", counts[v]))
    return {"verdict": verdict if counts else "does not run", "samples": counts, "note": notes}


def check_export(name: str) -> dict[str, Any]:
    from zoo import export_examples
    from zoo.entry import Entry

    model, args, kwargs = export_examples.make(name)
    return check_entry(Entry(name, lambda: model, lambda: (args, kwargs), "export"))


def _torchvision(name: str) -> dict[str, Any]:
    from zoo import torchvision_models

    return check_entry(torchvision_models.entry(name))


def _timm(name: str) -> dict[str, Any]:
    from zoo import timm_models

    return check_entry(timm_models.entry(name))


def _transformers(name: str) -> dict[str, Any]:
    from zoo import transformers_models

    return check_entry(transformers_models.entry(name))


def _saved(name: str) -> dict[str, Any]:
    """Save a model's graph; load and replay it where the model's package cannot be imported."""
    import tempfile

    import torch

    import flexir
    from zoo import timm_models, torchvision_models, transformers_models

    suite, _, model_name = name.partition(":")
    zoos = {
        "torchvision": torchvision_models, "timm": timm_models, "transformers": transformers_models,
    }  # fmt: skip
    try:
        model, args, kwargs = zoos[suite].entry(model_name).make()
        with torch.no_grad():
            model(*args, **kwargs)
    except Exception as error:  # noqa: BLE001  not in the denominator
        return {"verdict": "does not run", "note": f"{type(error).__name__}: {error}"[:200]}
    with torch.no_grad(), tempfile.TemporaryDirectory() as folder:
        graph = flexir.capture(model, args, kwargs)
        outputs = graph(*args, **kwargs)
        saved.write(graph, args, kwargs, outputs, Path(folder))
        answer = _READER.ask(Path(folder))
    return {"verdict": answer if answer == "exact" else "wrong", "note": answer}


def _libraries(name: str) -> dict[str, Any]:
    from zoo import libraries

    return check_entry(libraries.case(name))


def _sizes(name: str) -> dict[str, Any]:
    from zoo import sizes

    return sizes.check(name)


def _generate(name: str) -> dict[str, Any]:
    from zoo import generate

    return generate.check(name)


def _saved_names() -> list[str]:
    """All of torchvision, one timm model of every file, every third transformers model."""
    from zoo import timm_models, torchvision_models, transformers_models

    return [
        *(f"torchvision:{e.name}" for e in torchvision_models.entries()),
        *(f"timm:{e.name}" for e in timm_models.entries()),
        *(f"transformers:{e.name}" for e in list(transformers_models.entries())[::3]),
    ]


_READER = saved.Reader()


def _names(suite: str) -> list[str]:
    if suite == "opdb":
        from zoo import opdb

        return list(dict.fromkeys(opdb.names()))
    if suite == "export":
        from zoo import export_examples

        return export_examples.names()
    if suite == "torchvision":
        from zoo import torchvision_models

        return [e.name for e in torchvision_models.entries()]
    if suite == "saved":
        return _saved_names()
    if suite == "libraries":
        from zoo import libraries

        return [case.name for case in libraries.cases()]
    if suite == "generate":
        from zoo import generate

        return generate.names()
    if suite == "sizes":
        from zoo import sizes

        return sizes.names()
    if suite == "timm":
        from zoo import timm_models

        return [e.name for e in timm_models.entries(below=30)]
    from zoo import transformers_models

    return [e.name for e in transformers_models.entries()]


SUITES: dict[str, Callable[[str], dict[str, Any]]] = {
    "opdb": check_opdb,
    "export": check_export,
    "torchvision": _torchvision,
    "timm": _timm,
    "transformers": _transformers,
    "libraries": _libraries,
    "saved": _saved,
    "sizes": _sizes,
    "generate": _generate,
}
APART = ("sizes", "generate")  # suites with a page of their own


def work(suite: str) -> None:
    """Answer names with results, and ``?`` with all names."""

    def answer(name: str) -> Any:
        if name == "?":
            return _names(suite)
        try:
            return SUITES[suite](name)
        except Exception as error:  # noqa: BLE001  the answer is the failure
            return {"verdict": "crash", "note": f"{type(error).__name__}: {error}"[:600]}

    def prepare() -> None:
        import torch

        warnings.simplefilter("ignore")
        torch.set_num_threads(1)

    process.serve(answer, prepare)


# --- what the parent does ------------------------------------------------------------------------


def worker(suite: str) -> process.Process:
    """A process that answers names with results."""
    return process.Process("zoo.sweep", "--worker", suite, batch=BATCH, cwd=str(ROOT))


def sweep(
    suite: str,
    *,
    fresh: bool,
    limit: int | None,
    every: int = 1,
    only: str = "",
    jobs: int = JOBS,
) -> dict[str, dict[str, Any]]:
    """Run a suite, or the rest of it; returns name -> result.

    Args:
        suite: its name.
        fresh: forget earlier results.
        limit: only so many cases.
        every: only every so many-th case.
        only: only cases whose names begin so.
        jobs: workers side by side.
    """
    CACHE.mkdir(parents=True, exist_ok=True)
    path = CACHE / f"{suite}.jsonl"
    if fresh and path.exists():
        path.unlink()
    results = _kept(suite)
    names = [n for n in _cached_names(suite, fresh) if n.startswith(only)][::every][:limit]
    todo = [n for n in names if n not in results]
    start, number, waiting, lock = time.perf_counter(), 0, iter(todo), threading.Lock()
    with path.open("a") as file:

        def serve(_: int) -> None:
            nonlocal number
            asked = worker(suite)
            while True:
                with lock:
                    name = next(waiting, None)
                if name is None:
                    break
                try:
                    result = asked.ask(name, TIMEOUT)
                except process.Gone as gone:
                    died = "timeout" if str(gone).startswith("no answer") else "process died"
                    result = {"verdict": died, "note": str(gone)}
                with lock:
                    results[name] = result
                    number += 1
                    file.write(json.dumps([name, result]) + "\n")
                    file.flush()
                    _progress(suite, number, len(todo), start, name, result["verdict"])
            asked.close()

        with ThreadPoolExecutor(jobs) as pool:
            list(pool.map(serve, range(jobs)))
    print(file=sys.stderr)
    return {name: results[name] for name in names if name in results}


def _cached_names(suite: str, fresh: bool) -> list[str]:
    """The cases of a suite; finding them takes minutes for some (timm counts parameters)."""
    path = CACHE / f"{suite}.names.json"
    if fresh or not path.exists():
        print(f"{suite}: listing the cases ...", end="\r", file=sys.stderr, flush=True)
        asked = worker(suite)
        path.write_text(json.dumps(asked.ask("?", 1200)))
        asked.close()
    names: list[str] = json.loads(path.read_text())
    return names


def _progress(suite: str, number: int, total: int, start: float, name: str, verdict: str) -> None:
    left = (time.perf_counter() - start) / number * (total - number)
    bar = "#" * (20 * number // total)
    text = f"{suite} [{bar:20}] {number}/{total} {left / 60:.0f} min left  {name}: {verdict}"
    end = "\n" if verdict not in ("exact", "right", "does not build", "does not run") else "\r"
    print(f"{text[:110]:110}", end=end, file=sys.stderr, flush=True)


def _kept(suite: str) -> dict[str, dict[str, Any]]:
    """What earlier sweeps of a suite found."""
    path = CACHE / f"{suite}.jsonl"
    return dict(map(json.loads, path.read_text().splitlines())) if path.exists() else {}


def _page(suite: str, results: dict[str, dict[str, Any]]) -> str:
    """The page of a suite that has one of its own."""
    from zoo import generate, sizes

    return {"sizes": sizes.table, "generate": generate.table}[suite](results)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("suites", nargs="*", help=f"of {', '.join(SUITES)}; all by default")
    parser.add_argument("--fresh", action="store_true", help="forget earlier results")
    parser.add_argument("--limit", type=int, help="only the first N cases of each suite")
    parser.add_argument("--every", type=int, default=1, help="only every N-th case")
    parser.add_argument("--only", default="", help="only cases whose names begin so")
    parser.add_argument("--jobs", type=int, default=JOBS, help="workers side by side")
    parser.add_argument("--list", action="store_true", help="only print what earlier sweeps found")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.worker)
        return
    if unknown := set(options.suites) - set(SUITES):
        parser.error(f"no suite {', '.join(sorted(unknown))}; there are {', '.join(SUITES)}")
    chosen = options.suites or list(SUITES)
    if options.list:
        for suite in chosen:
            print(suite, coverage.listing(_kept(suite)), sep="\n")
        return
    how = {"limit": options.limit, "every": options.every, "only": options.only}
    how["jobs"] = options.jobs
    results = {s: sweep(s, fresh=options.fresh, **how) for s in chosen}
    whole = options.limit is None and options.every == 1 and not options.only
    for suite in APART:
        if suite in results:
            text = _page(suite, results.pop(suite))
            print(text)
            if whole:
                (ROOT / "docs" / f"{suite}.md").write_text(text)
    if not results:
        return
    for suite in SUITES:  # suites swept before stay in the table
        if suite not in results and (kept := _kept(suite)):
            results[suite] = kept
    text = coverage.page({s: results[s] for s in SUITES if s in results and s not in APART})
    print(text)
    if whole:
        (ROOT / "docs").mkdir(exist_ok=True)
        (ROOT / "docs" / "coverage.md").write_text(text)


if __name__ == "__main__":
    main()
