"""Models through the worked targets: ``python3 dev.py sweep targets [ENGINE ...] [SUITE ...]``.

Every model runs in a worker process: converted, run by the target's real engine, compared with
eager. Results go to ``.cache/targets`` as they come, and a sweep that was stopped goes on; the
matrix is written into ``docs/targets.md``. ``--every N`` takes each Nth model, ``--peer`` also
exports with ``torch.onnx.export(dynamo=True)`` and runs that in onnxruntime, in the same worker;
``--unseen`` runs one output at a size that no example showed (:mod:`zoo.unseen`).
"""

from __future__ import annotations

import argparse
import copy
import functools
import importlib.util
import json
import os
import random
import statistics
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
from zoo import sweep, unseen

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache" / "targets"
PAGE = ROOT / "docs" / "targets.md"
BEGIN = "<!-- matrix: written by `python3 dev.py sweep targets` -->"
END = "<!-- end of matrix -->"
ENGINES = ("onnx", "openvino", "ncnn", "jax")
SUITES = ("torchvision", "timm", "transformers", "libraries", "opdb")
TOLERANCE = 1e-4  # of the scale of an output
LEAST = 1e-2  # scale of the output of one operator: engines are right to 1e-7 around 1
NEAR = 3  # times as far from float64 as eager is: the engine sums in another order, no more
SAMPLES = 8  # of each op and dtype, evenly chosen of its database's; a few ops have thousands
BATCHES = {"ncnn": 1}  # images at a time, for an engine without a batch
BATCH, TIMEOUT = 20, 300


# --- what a worker does --------------------------------------------------------------------------


def distance(expected: Any, made: Any, least: float = 0.0) -> float:
    """The largest difference of any output, as a part of that output's scale.

    Args:
        expected: eager's outputs.
        made: the engine's.
        least: the smallest scale; a model's own outputs have none, or tiny ones would all be equal.
    """
    import torch
    from torch.utils._pytree import tree_leaves

    ours, theirs = (
        [t for t in tree_leaves(part) if isinstance(t, torch.Tensor)] for part in (made, expected)
    )
    if len(ours) != len(theirs):
        return float("inf")
    return max((_distance(a, b, least) for a, b in zip(theirs, ours)), default=0.0)


def _distance(expected: Any, made: Any, least: float) -> float:
    import torch

    if expected.shape != made.shape or expected.dtype != made.dtype:
        return float("inf")
    if not expected.numel():
        return 0.0
    kind = torch.complex128 if expected.dtype.is_complex else torch.float64
    a, b = expected.detach().to(kind), made.detach().to(kind)
    same = (a == b) | (a.isnan() & b.isnan())
    if bool(same.all()):
        return 0.0
    scale = a[a.isfinite()].abs().max() if bool(a.isfinite().any()) else torch.tensor(1.0)
    off = torch.where(same, torch.zeros_like(a), a - b).abs()
    far = float(off.max() / scale.clamp(min=max(least, 1e-300)))
    return far if far == far else float("inf")


def _entry(suite: str, name: str) -> Any:
    from zoo import libraries, timm_models, torchvision_models, transformers_models

    makers = {"torchvision": torchvision_models.entry, "timm": timm_models.entry,
              "transformers": transformers_models.entry, "libraries": libraries.case}  # fmt: skip
    return makers[suite](name)


def _made(suite: str, name: str, batch: int | None = None) -> Any:
    """A model and its inputs, the same every time; what nobody gives values to is NaN at first."""
    import torch

    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        model, args, kwargs = _entry(suite, name).make()
    finally:
        torch.use_deterministic_algorithms(False)
    if batch is not None and suite in ("torchvision", "timm"):
        args = tuple(x[:batch] if isinstance(x, torch.Tensor) else x for x in args)
    give_values(model)
    return model, args, kwargs


def give_values(model: Any) -> None:
    """Give values to weights of zeros, which hide faults and make ties, or of none."""
    import torch

    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters() if isinstance(model, torch.nn.Module) else ():
            if parameter.ndim < 2 or not parameter.is_floating_point():
                continue
            if not parameter.any() or parameter.isnan().all():
                parameter.normal_(0, 0.02)


def seeded() -> None:
    """Random numbers of torch and of Python begin anew: models augment with both."""
    import torch

    torch.manual_seed(0)
    random.seed(0)


def check(engine: str, suite: str, name: str, mode: str) -> dict[str, Any]:
    """One model through one target."""
    import importlib

    import torch

    target = importlib.import_module(f"flexir.targets.{engine}")
    if mode == "unseen":
        return unseen.check(target, suite, name)
    peer = mode == "peer"
    if suite == "opdb":
        return check_op(target, name)
    try:
        model, args, kwargs = _made(suite, name, BATCHES.get(engine))
        with torch.no_grad():
            seeded()
            expected = model(*args, **kwargs)
    except Exception as error:  # noqa: BLE001  not in the denominator
        return {"verdict": "does not run", "note": f"{type(error).__name__}: {error}"[:200]}
    model, args, kwargs = _made(suite, name, BATCHES.get(engine))
    found = _through(target, model, lambda: copy.deepcopy((args, kwargs)), expected)
    if found["verdict"] == "wrong":
        _excuse(found, *_made(suite, name, BATCHES.get(engine)), expected)
    found.pop("made", None)
    run, alone = found.pop("run", None), found.pop("alone", None)
    theirs: Callable[[], Any] | None = None
    if peer:
        found["peer"], theirs = _peer(model, args, kwargs, expected)
    with torch.no_grad():
        if theirs is not None and alone is not None:
            found["alone"], found["peer"]["run"] = _clock(alone, theirs)
        if run is not None and found["verdict"] == "equal":
            found["run"], found["eager"] = _clock(run, lambda: model(*args, **kwargs))
    return found


def _through(
    target: Any, model: Any, inputs: Callable[[], Any], expected: Any, least: float = 0.0
) -> dict[str, Any]:
    """Convert, run, compare; ``run`` repeats the run, ``alone`` onnxruntime's part of it."""

    (given, named), (args, kwargs) = inputs(), inputs()  # a model may write its inputs
    seeded()
    start = time.perf_counter()
    result = target.convert(model, given, named)
    found: dict[str, Any] = {"seconds": round(time.perf_counter() - start, 3)}
    rows = result.report.entries
    if rows:
        reasons = {row.op: (row.reason if row.reason != "no handler" else "") for row in rows}
        return {**found, "verdict": "placeholders", "missing": reasons, "note": ""}
    try:
        made = target.run(result.output, *args, **kwargs)
    except Exception as error:  # noqa: BLE001  the sweep reports it
        text = " ".join(f"{type(error).__name__}: {error}".split())
        return {**found, "verdict": "engine", "note": text[:500]}
    far = distance(expected, made, least)
    found["distance"] = far
    found["run"], found["made"] = lambda: target.run(result.output, *args, **kwargs), made
    if hasattr(target, "session"):
        found["alone"] = _alone(target, result, inputs)
    return {**found, "verdict": "equal" if far <= TOLERANCE else "wrong", "note": f"{far:.1e}"}


def _alone(target: Any, result: Any, inputs: Callable[[], Any]) -> Callable[[], Any]:
    """onnxruntime's part of a run; what it needs is made at the first."""

    @functools.cache
    def ready() -> Any:
        args, kwargs = inputs()
        session, tensors = target.session(result.output), result.graph.bind(*args, **kwargs)
        return session, {i.name: tensors[i.name].contiguous().numpy() for i in session.get_inputs()}

    return lambda: ready()[0].run(None, ready()[1])


def _excuse(found: dict[str, Any], model: Any, args: Any, kwargs: Any, expected: Any) -> None:
    """Where float64 is as far from eager as the engine is: the model magnifies any rounding."""
    import torch
    from torch.utils._pytree import tree_map

    def as_floats(parts: Any, dtype: torch.dtype) -> Any:
        floats = lambda t: isinstance(t, torch.Tensor) and t.is_floating_point()
        return tree_map(lambda t: t.to(dtype) if floats(t) else t, parts)

    if not isinstance(model, torch.nn.Module):
        return
    plain, shown = copy.deepcopy(model), copy.deepcopy((args, kwargs))
    try:
        with torch.no_grad():
            args, kwargs = as_floats((args, kwargs), torch.float64)
            exact = as_floats(model.double()(*args, **kwargs), torch.float32)
    except Exception:  # noqa: BLE001  it does not run in float64: no excuse
        return
    ours, eagers = distance(exact, found["made"]), distance(exact, expected)
    for seed in range(3):  # one run is one draw of what rounding does: some more
        generator = torch.Generator().manual_seed(seed)
        nudged = [_nudged(part, generator) for part in shown]
        other = copy.deepcopy(plain)
        with torch.no_grad():
            for weight in other.parameters():  # an engine rounds in every layer, not in the first
                weight.copy_(_nudged(weight, generator))
            torch.manual_seed(0)
            again = other(*nudged[0], **nudged[1])
        eagers = max(eagers, distance(expected, again))
    if ours <= NEAR * eagers:
        found["verdict"] = "ill-conditioned"
        found["note"] += f"; from float64 it is {ours:.1e}, eager {eagers:.1e}"


def _nudged(part: Any, generator: Any) -> Any:
    """Inputs or weights, each the next number above or below."""
    import torch
    from torch.utils._pytree import tree_map

    def other(t: Any) -> Any:
        if not isinstance(t, torch.Tensor) or t.dtype not in (torch.float32, torch.float64):
            return t
        up = torch.rand(t.shape, generator=generator) < 0.5
        return torch.nextafter(t, torch.where(up, torch.inf, -torch.inf).to(t.dtype))

    return tree_map(other, part)


def _clock(*works: Callable[[], Any]) -> list[float]:
    """The least seconds of each of these, run in turns, after one: others work here, too."""
    for work in works:
        work()
    least = [float("inf")] * len(works)
    until, rounds = time.perf_counter() + 1.0 * len(works), 0
    while rounds < 5 or (time.perf_counter() < until and rounds < 25):
        for place, work in enumerate(works):
            start = time.perf_counter()
            work()
            least[place] = min(least[place], time.perf_counter() - start)
        rounds += 1
    return least


def _peer(
    model: Any, args: Any, kwargs: Any, expected: Any
) -> tuple[dict[str, Any], Callable[[], Any] | None]:
    """The same model by torch.onnx.export and onnxruntime; what runs it, for a clock."""
    import onnxruntime
    import torch
    from torch.utils._pytree import tree_leaves

    start = time.perf_counter()
    try:
        with torch.no_grad():
            program = torch.onnx.export(
                model, tuple(args), kwargs=kwargs, dynamo=True, verbose=False
            )
        seconds = time.perf_counter() - start
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        data = program.model_proto.SerializeToString()
        engine = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        tensors = [t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
        feeds = {i.name: t.numpy() for i, t in zip(engine.get_inputs(), tensors)}
        made = [torch.from_numpy(part) for part in engine.run(None, feeds)]
        far = distance([t for t in tree_leaves(expected) if isinstance(t, torch.Tensor)], made)
        verdict = "equal" if far <= TOLERANCE else "wrong"
        found = {"verdict": verdict, "seconds": seconds, "distance": far}
        return found, lambda: engine.run(None, feeds)
    except Exception as error:  # noqa: BLE001  the sweep reports it
        text = " ".join(f"{type(error).__name__}: {error}".split())
        seconds = time.perf_counter() - start
        return {"verdict": "failed", "seconds": seconds, "note": text[:200]}, None


def check_op(target: Any, name: str, limit: int | None = SAMPLES) -> dict[str, Any]:
    """Samples of one op of torch's database: right, or refused."""
    import torch

    from zoo import opdb

    counts: Counter[str] = Counter()
    notes: list[str] = []
    for op in opdb.database():
        if op.full_name != name or "empty" in name:  # of no defined elements
            continue
        for case in opdb.cases(op, (torch.float32, torch.int64, torch.bool), limit):
            if not case.name.endswith(" function"):
                continue
            found = check_case(target, case)
            if found is None:
                continue
            counts[found["verdict"]] += 1
            if found["verdict"] in ("wrong", "engine", "crash") and len(notes) < 5:
                notes.append(f"{found['verdict']}: {case.name}: {found['note']}"[:400])
    order = ("wrong", "crash", "engine", "placeholders", "equal")
    verdict = next((v for v in order if counts[v]), "does not run")
    return {"verdict": verdict, "samples": dict(counts), "note": notes}


_ORDERS = ("sort", "argsort", "msort", "topk")


def _is_open(case: Any) -> bool:
    """Whether torch leaves open in which order equal elements come out."""
    if case.name.split()[0] not in _ORDERS or case.kwargs.get("stable"):
        return False
    input = case.args[0].flatten()
    return bool(input.unique().numel() != input.numel())


def check_case(target: Any, case: Any) -> dict[str, Any] | None:
    """One sample; None if it does not run in eager, or its result is random or left open."""
    import torch

    from flexir import Error
    from zoo import opdb

    try:
        with torch.no_grad():
            args, kwargs = opdb._copies(case)
            expected = case.function(*args, **kwargs)
            args, kwargs = opdb._copies(case)
            with opdb._no_garbage():  # what is not written is NaN
                again = case.function(*args, **kwargs)
        if distance(expected, again) or _is_open(case):
            return None
    except Exception:  # noqa: BLE001  not a sample for this
        return None
    try:
        found = _through(target, case.function, lambda: opdb._copies(case), expected, LEAST)
    except Error as error:
        return {"verdict": "placeholders", "note": str(error)}
    except Exception as error:  # noqa: BLE001  the sweep reports it
        return {"verdict": "crash", "note": f"{type(error).__name__}: {error}"}
    return found


def work(engine: str, suite: str, mode: str) -> None:
    """Answer names with results, and ``?`` with all names."""

    def answer(name: str) -> Any:
        if name == "?":
            return names(suite)
        try:
            return check(engine, suite, name, mode)
        except Exception as error:  # noqa: BLE001  the answer is the failure
            text = " ".join(f"{type(error).__name__}: {error}".split())
            return {"verdict": "crash", "note": text[:600]}

    def prepare() -> None:
        import torch

        warnings.simplefilter("ignore")
        torch.set_num_threads(1)
        if suite == "opdb":  # thousands of programs of one call, run once
            os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

    process.serve(answer, prepare)


_SMALL = ("atto", "femto", "pico", "nano", "xx", "tiny", "xs", "mini", "x0", "s0", "b0", "18",
          "small", "_s", "26", "50")  # fmt: skip


def names(suite: str) -> list[str]:
    """The models of a suite; of timm, one of every module file, small by its name."""
    if suite != "timm":
        return sweep._names(suite)
    from zoo import timm_models

    def size(name: str) -> tuple[int, str]:
        return next((i for i, word in enumerate(_SMALL) if word in name), len(_SMALL)), name

    return [min(found, key=size) for found in timm_models.by_module().values() if found]


# --- what the parent does ------------------------------------------------------------------------


def run(engine: str, suite: str, every: int, *, mode: str, fresh: bool, jobs: int) -> None:
    """Run what is not yet there of one suite through one target."""
    CACHE.mkdir(parents=True, exist_ok=True)
    path = CACHE / f"{engine}-{suite}{mode and '-' + mode}.jsonl"
    if fresh and path.exists():
        path.unlink()
    done = results(path)
    models = _listed(engine, suite)[::every]
    models = unseen.names(suite, models) if mode == "unseen" else models
    todo = [name for name in models if name not in done]
    waiting, lock, start = iter(todo), threading.Lock(), time.perf_counter()
    counts: Counter[str] = Counter()
    with path.open("a") as file:

        def serve(_: int) -> None:
            arguments = ["--worker", engine, suite, *([f"--{mode}"] if mode else [])]
            asked = process.Process("zoo.targets", *arguments, batch=BATCH, cwd=str(ROOT))
            while True:
                with lock:
                    name = next(waiting, None)
                if name is None:
                    break
                try:
                    result = asked.ask(name, TIMEOUT)
                except process.Gone as gone:
                    result = {"verdict": "process died", "note": str(gone)}
                with lock:
                    counts[result["verdict"]] += 1
                    file.write(json.dumps([name, result]) + "\n")
                    file.flush()
                    _progress(engine, suite, counts.total(), len(todo), start, name, result)
            asked.close()

        with ThreadPoolExecutor(jobs) as pool:
            list(pool.map(serve, range(jobs)))
    print(file=sys.stderr)


def _listed(engine: str, suite: str) -> list[str]:
    """The models there are here and now: a library of an earlier sweep may be gone."""
    asked = process.Process("zoo.targets", "--worker", engine, suite, cwd=str(ROOT))
    found: list[str] = asked.ask("?", 1200)
    asked.close()
    return found


def _progress(
    engine: str, suite: str, number: int, total: int, start: float, name: str, result: Any
) -> None:
    left = (time.perf_counter() - start) / number * (total - number)
    text = f"{engine} {suite} {number}/{total} {left / 60:.0f} min left  {name}: "
    text += f"{result['verdict']} {result.get('missing') or result['note']}"
    fine = result["verdict"] in ("equal", "does not run")
    print(f"{text[:200]:120}", end="\r" if fine else "\n", file=sys.stderr, flush=True)


def results(path: Path) -> dict[str, dict[str, Any]]:
    """What a file of results holds."""
    if not path.exists():
        return {}
    return dict(json.loads(line) for line in path.read_text().splitlines())


def matrix() -> str:
    """The tables: engines and suites, the peer, what is missing."""
    columns = ("engine", "suite", "run in eager", "equal", "ill-conditioned", "with placeholders",
               "wrong", "other", "convert, median", "run / eager, median")  # fmt: skip
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    shown = PAGE.read_text().splitlines() if PAGE.exists() else []
    for engine in ENGINES:
        for suite in SUITES:
            found = _found(engine, suite)
            ran = {n: r for n, r in found.items() if r["verdict"] != "does not run"}
            if ran:
                lines.append(_row(engine, suite, ran))
            else:  # what was swept elsewhere stays
                lines += [row for row in shown if row.startswith(f"| {engine} | {suite} |")]
    for engine in ENGINES:
        for suite in SUITES:
            beside = _peers(engine, suite)
            lines += beside or _stands(shown, f"{engine} beside torch.onnx.export", f" {suite}: ")
            live = unseen.row(engine, suite, results(CACHE / f"{engine}-{suite}-unseen.jsonl"))
            lines += live or _stands(shown, f"{engine}, {suite}, unseen ")
    for engine in ENGINES:
        lines += _missing(engine) or _stands(shown, f"{engine}, what is missing")
    return "\n".join(lines)


def _found(engine: str, suite: str) -> dict[str, dict[str, Any]]:
    """What is known of each model, beside the peer or alone."""
    stem = f"{engine}-{suite}"
    return {**results(CACHE / f"{stem}-peer.jsonl"), **results(CACHE / f"{stem}.jsonl")}


def _stands(shown: list[str], start: str, within: str = "") -> list[str]:
    """The lines of the page that begin so, each after an empty one."""
    found = [row for row in shown if row.startswith(start) and within in row]
    return [one for row in found for one in ("", row)]


def _row(engine: str, suite: str, ran: dict[str, Any]) -> str:
    counts: Counter[str] = Counter()
    for result in ran.values():
        counts.update(result.get("samples") or {result["verdict"]: 1})
    total = counts.total()
    other = total - sum(counts[k] for k in ("equal", "ill-conditioned", "placeholders", "wrong"))
    seconds = [r["seconds"] for r in ran.values() if "seconds" in r]
    ratios = [r["run"] / r["eager"] for r in ran.values() if "run" in r and "eager" in r]
    clock = f"{statistics.median(seconds):.2f} s" if seconds else "-"
    ratio = f"{statistics.median(ratios):.2f}" if ratios else "-"
    share = f"{100 * counts['equal'] / total:.1f} %"
    cells = (engine, suite, total, f"{counts['equal']} ({share})", counts["ill-conditioned"],
             counts["placeholders"], counts["wrong"], other, clock, ratio)  # fmt: skip
    return f"| {' | '.join(map(str, cells))} |"


def _peers(engine: str, suite: str) -> list[str]:
    """Beside torch.onnx.export(dynamo=True) and onnxruntime, model by model in one worker."""
    found = results(CACHE / f"{engine}-{suite}-peer.jsonl")
    ran = {n: r for n, r in found.items() if "peer" in r}
    if not ran:
        return []
    both = [r for r in ran.values() if r["verdict"] == r["peer"]["verdict"] == "equal"]
    faster = [r["peer"]["seconds"] / r["seconds"] for r in both]
    times = [r["alone"] / r["peer"]["run"] for r in both if "alone" in r]
    ours, theirs = (
        sum(v == "equal" for v in verdicts)
        for verdicts in zip(*((r["verdict"], r["peer"]["verdict"]) for r in ran.values()))
    )
    text = f"{engine} beside torch.onnx.export(dynamo=True), {suite}: {ours} and {theirs} of "
    text += f"{len(ran)} models equal"
    if both:
        quick = statistics.median(faster)
        text += f"; of the {len(both)} of both: converted {quick:.0f} times as fast (median)"
    if times:
        text += f", run time {statistics.median(times):.2f} of theirs (median), "
        text += f"{max(times):.2f} (worst)"
    return ["", text + "."]


def _missing(engine: str) -> list[str]:
    reasons: Counter[str] = Counter()
    for suite in SUITES[:-1]:
        for result in _found(engine, suite).values():
            reasons.update((result.get("missing") or {}).keys())
    if not reasons:
        return []
    shown = ", ".join(f"{op} ({n})" for op, n in reasons.most_common(20))
    return ["", f"{engine}, what is missing (models): {shown}."]


def write() -> None:
    """Put the matrix into the page, at its place."""
    text = PAGE.read_text() if PAGE.exists() else "# Targets\n"
    if BEGIN not in text:
        text += f"\n{BEGIN}\n{END}\n"
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n{matrix()}\n{END}{after}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="*", help=f"of {', '.join(ENGINES + SUITES)}; all by default")
    parser.add_argument("--every", type=int, default=1, help="each Nth model")
    parser.add_argument("--peer", action="store_true", help="beside torch.onnx.export(dynamo=True)")
    parser.add_argument("--unseen", action="store_true", help="one file at a size never shown")
    parser.add_argument("--fresh", action="store_true", help="forget earlier results")
    parser.add_argument("--jobs", type=int, default=1, help="workers side by side")
    parser.add_argument("--no-write", action="store_true", help="leave docs/targets.md alone")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    mode = "peer" if options.peer else "unseen" if options.unseen else ""
    if options.worker:
        work(*options.worker, mode=mode)
        return
    if options.peer and importlib.util.find_spec("onnxscript") is None:
        parser.error("torch.onnx.export needs onnxscript: pip install onnxscript")
    if unknown := set(options.what) - {*ENGINES, *SUITES}:
        parser.error(f"no {', '.join(sorted(unknown))}; there are {', '.join(ENGINES + SUITES)}")
    for engine in [e for e in ENGINES if e in options.what] or ENGINES:
        for suite in [s for s in SUITES if s in options.what] or SUITES:
            if mode == "unseen" and suite not in unseen.WHAT:
                continue
            run(engine, suite, options.every, mode=mode, fresh=options.fresh,
                jobs=options.jobs)  # fmt: skip
    print(matrix())
    if not options.no_write:
        write()


if __name__ == "__main__":
    main()
