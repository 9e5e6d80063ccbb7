"""Capture beside what others offer, on the same models in one run.

python3 dev.py bench peers [rounds]

Per model, interleaved and after warm-up: eager forward, flexir.capture with and without the
witness, with conversion, with saving; torch.export, torch.jit.trace, torch.fx.symbolic_trace,
torch.onnx.export(dynamo=True), pnnx, torchlens. Medians; what fails is counted. Packages that are
not installed are left out. Results are kept as they come, so a stopped run goes on where it was.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import io
import json
import logging
import os
import platform
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

import flexir
from bench import seconds
from flexir import describe

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache" / "peers.jsonl"
LIMIT = 180  # seconds for one go of one tool
MEMORY = 16  # GB of address space for one model's process
NOT_TOOLS = ("eager", "calls", "with modules")
VISION = (
    "resnet18", "resnet50", "mobilenet_v3_small", "efficientnet_b0", "convnext_tiny", "swin_t",
    "vit_b_16", "densenet121", "shufflenet_v2_x1_0", "regnet_y_400mf", "maxvit_t", "squeezenet1_0",
)  # fmt: skip
DETECTION = ("fasterrcnn_mobilenet_v3_large_320_fpn", "ssdlite320_mobilenet_v3_large",
             "keypointrcnn_resnet50_fpn")  # fmt: skip
TIMM = (
    "resnet26", "mobilenetv3_small_050", "efficientnet_lite0", "deit_tiny_patch16_224",
    "mixer_s32_224", "convnext_atto", "coat_lite_tiny", "edgenext_xx_small", "ghostnet_100",
    "levit_128s", "poolformer_s12", "xcit_nano_12_p16_224",
)  # fmt: skip
TRANSFORMERS = (
    "bert", "gpt2", "llama", "t5", "distilbert", "roberta", "mistral", "qwen2", "whisper", "vit",
    "electra", "opt",
)  # fmt: skip


def entries() -> Iterator[tuple[str, Any]]:
    from zoo import timm_models, torchvision_models, transformers_models

    for name in (*VISION, *DETECTION):
        yield f"torchvision {name}", lambda n=name: torchvision_models.entry(n)
    for name in TIMM:
        yield f"timm {name}", lambda n=name: timm_models.entry(n)
    for name in TRANSFORMERS:
        yield f"transformers {name}", lambda n=name: transformers_models.entry(n)


def tools(model: Any, args: Any, kwargs: dict[str, Any]) -> dict[str, Callable[[], Any]]:
    folder = tempfile.mkdtemp()
    found: dict[str, Callable[[], Any]] = {
        "eager": lambda: model(*args, **kwargs),
        "capture": lambda: flexir.capture(model, args, kwargs),
        "capture, no witness": lambda: flexir.capture(model, args, kwargs, audit=False),
        "capture + convert": lambda: str(
            flexir.convert(model, args, describe, [], kwargs=kwargs).report
        ),
        "capture + save": lambda: flexir.capture(model, args, kwargs).save(f"{folder}/net.flexir"),
        "torch.export": lambda: torch.export.export(model, args, kwargs, strict=False),
        "torch.jit.trace": lambda: torch.jit.trace(
            model, args or None, example_kwarg_inputs=kwargs or None, check_trace=False,
            strict=False,
        ),
        "torch.fx": lambda: torch.fx.symbolic_trace(model),
    }  # fmt: skip
    if importlib.util.find_spec("onnxscript"):
        found["torch.onnx(dynamo)"] = lambda: torch.onnx.export(
            model, args, kwargs=kwargs, dynamo=True, verbose=False
        )
    if importlib.util.find_spec("pnnx"):
        import pnnx

        def through_pnnx() -> None:
            if kwargs:
                raise TypeError("pnnx takes positional inputs only")
            pnnx.export(model, f"{folder}/net.pt", args, check_trace=False)

        found["pnnx"] = through_pnnx
    if importlib.util.find_spec("torchlens"):
        import torchlens

        found["torchlens"] = lambda: torchlens.trace(model, list(args), dict(kwargs))
    return found


def measure(entry: Any, rounds: int) -> dict[str, Any]:
    """Medians in seconds; a string is why a tool failed. Slow tools are run less often."""
    model, args, kwargs = entry.make()
    signal.signal(signal.SIGALRM, _too_long)
    medians: dict[str, Any] = {}
    with torch.no_grad():
        choice = tools(model, args, kwargs)
        times: dict[str, list[float]] = {name: [] for name in choice}
        graph = flexir.capture(model, args, kwargs)
        medians["calls"] = sum(1 for _ in graph)
        medians["with modules"] = sum(1 for _ in graph.walk())
        lens = choice.pop("torchlens", None)
        for turn in range(rounds + 1):
            if turn == rounds and lens is not None:  # it patches torch for good: last, and once
                choice["torchlens"] = lens
            for name, function in choice.items():
                if name in medians or (turn > 2 and statistics.median(times[name] or [0]) > 2):
                    continue
                gc.collect()
                signal.alarm(LIMIT)
                try:
                    with _silence():
                        taken = seconds(function)
                except Exception as error:  # noqa: BLE001  a failure is a result
                    medians[name] = f"{type(error).__name__}: {error}"[:100]
                    continue
                finally:
                    signal.alarm(0)
                if turn:
                    times[name].append(taken)
    medians.update({n: statistics.median(t) for n, t in times.items() if t and n not in medians})
    return medians


def _too_long(*_: Any) -> None:
    raise TimeoutError(f"over {LIMIT} s")


def _apart(name: str, rounds: int) -> dict[str, Any]:
    """One model in a process of its own, so that no tool disturbs the next model."""
    command = [sys.executable, "-W", "ignore", "-m", "bench.peers", str(rounds), name]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{name}: {done.stderr[-500:]}")
    return json.loads(done.stdout.splitlines()[-1])


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
    logging.disable(logging.NOTSET)


def table(results: dict[str, dict[str, Any]], rounds: int) -> str:
    columns = [c for c in next(iter(results.values())) if c not in NOT_TOOLS]
    lines = [
        f"# Beside others ({len(results)} of the {len(list(entries()))} models)",
        "",
        f"Printed by `python3 dev.py bench peers {rounds}` on {os.cpu_count()} cores "
        f"({platform.machine()}), torch {torch.__version__}, 2 threads, without gradients. Each "
        "figure is a median over the eager forward of the same run; -- means it failed. "
        "torchlens is run once, last, because it patches torch; what takes over 2 s is run "
        f"three times; over {LIMIT} s or {MEMORY} GB counts as failed. `calls` are those of torch "
        "functions; a capture records those of modules besides.",
        "",
        "| model | calls | eager ms | " + " | ".join(columns) + " |",
        "|---" * (len(columns) + 3) + "|",
    ]
    ratios: dict[str, list[float]] = {c: [] for c in columns}
    faster: dict[str, list[float]] = {c: [] for c in columns}
    extra: dict[str, list[float]] = {c: [] for c in columns}
    each: dict[str, list[float]] = {c: [] for c in columns}
    for name, m in results.items():
        cells = []
        for column in columns:
            value = m.get(column)
            if isinstance(value, float):
                ratios[column].append(value / m["eager"])
                faster[column].append(value / m["capture"])
                extra[column].append((value - m["eager"]) / m["calls"] * 1e6)
                each[column].append((value - m["eager"]) / m["with modules"] * 1e6)
                cells.append(f"{value / m['eager']:.2f}x")
            else:
                cells.append("--")
        lines.append(f"| {name} | {m['calls']} | {m['eager'] * 1e3:.1f} | {' | '.join(cells)} |")
    head = (
        "| | over eager, median | over flexir.capture, median | us more for a torch call "
        "| for a torch or module call | models done |"
    )
    lines += ["", head, "|---|---|---|---|---|---|"]
    for column in columns:
        if ratios[column]:
            lines.append(
                f"| {column} | {statistics.median(ratios[column]):.2f}x "
                f"| {statistics.median(faster[column]):.1f}x "
                f"| {statistics.median(extra[column]):.0f} "
                f"| {statistics.median(each[column]):.0f} "
                f"| {len(ratios[column])} of {len(results)} |"
            )
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> None:
    rounds = int(arguments[0]) if arguments else 5
    warnings.simplefilter("ignore")
    torch.set_num_threads(2)
    if len(arguments) > 1:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY << 30, MEMORY << 30))
        print(json.dumps(measure(dict(entries())[arguments[1]](), rounds)))
        return
    CACHE.parent.mkdir(exist_ok=True)
    results: dict[str, dict[str, Any]] = {}
    if CACHE.exists():
        results = dict(map(json.loads, CACHE.read_text().splitlines()))
    every = list(entries())
    # By turns from every family, so that a stopped run has some of each.
    families: dict[str, int] = {}
    turn = {}
    for name, _ in every:
        family = name.split()[0]
        families[family] = turn[name] = families.get(family, 0) + 1
    every.sort(key=lambda item: turn[item[0]])
    try:
        for number, (name, _) in enumerate(every, 1):
            print(f"[{number}/{len(every)}] {name:60}", end="\r", file=sys.stderr, flush=True)
            if name not in results:
                results[name] = _apart(name, rounds)
                with CACHE.open("a") as file:
                    file.write(json.dumps([name, results[name]]) + "\n")
    except KeyboardInterrupt:
        print("stopped; run again to go on", file=sys.stderr)
    text = table(results, rounds)
    (ROOT / "docs" / "benchmarks.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main(sys.argv[1:])
