"""What a capture costs: eager forward, capture without and with witness, convert, replay.

The limit is what torch's own part costs (:mod:`bench.limit`).

    python3 dev.py bench speed [resnet50 transformers:bert ...]

Every round runs each variant once, in turn, so that a busy machine slows all of them alike; the
figures are ratios of medians over the rounds. With ``OMP_NUM_THREADS=1`` they are of processor
time, which a busy machine changes least. Prints a Markdown table.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch

import flexir
from bench import seconds
from bench.limit import watched_by_nothing
from flexir import describe
from zoo import transformers_models
from zoo.torchvision_models import entry

MODELS = ("resnet50", "vit_b_16", "convnext_tiny", "swin_t", "mobilenet_v3_small", "resnet18")
THREADS = int(os.environ.get("OMP_NUM_THREADS", "2"))
CLOCK = time.process_time if THREADS == 1 else time.perf_counter
RATIOS = ("limit", "capture", "no witness", "convert", "replay")


def measure(name: str, rounds: int = 9) -> dict[str, float]:
    """Medians for one model, of torchvision at batch 1, 224 x 224, in seconds."""
    model, args, kwargs = made(name)
    with torch.no_grad():
        graph = flexir.capture(model, args, kwargs)
    variants: dict[str, Callable[[], object]] = {
        "eager": lambda: model(*args, **kwargs),
        "limit": lambda: watched_by_nothing(model, args, kwargs),
        "capture": lambda: flexir.capture(model, args, kwargs),
        "no witness": lambda: flexir.capture(model, args, kwargs, audit=False),
        "convert": lambda: str(flexir.convert(model, args, describe, [], kwargs=kwargs).report),
        "replay": lambda: graph(*args, **kwargs),
    }
    times: dict[str, list[float]] = {key: [] for key in variants}
    with torch.no_grad():
        for turn in range(rounds + 2):
            for key, function in variants.items():
                taken = seconds(function, CLOCK)
                if turn >= 2:
                    times[key].append(taken)
    medians = {key: statistics.median(values) for key, values in times.items()}
    medians["calls"] = sum(1 for _ in graph)
    medians["with modules"] = sum(1 for _ in graph.walk())
    return medians


def made(name: str) -> tuple[torch.nn.Module, tuple[Any, ...], dict[str, Any]]:
    """A model of torchvision, or a shrunken one of transformers, and its inputs."""
    library, _, rest = name.rpartition(":")
    if library == "transformers":
        return transformers_models.entry(rest).make()
    model, _, _ = entry(name).make()
    return model, (torch.rand(1, 3, 224, 224),), {}


def main(names: list[str]) -> None:
    torch.set_num_threads(THREADS)
    print(f"torch {torch.__version__}, threads: {THREADS}, {CLOCK.__name__}, medians of 9 rounds\n")
    print(
        "| model | calls | with module calls | eager ms | limit | capture | without witness "
        "| capture + convert + report | replay | us more for each |"
    )
    print("|---" * 10 + "|")
    for number, name in enumerate(names, 1):
        print(f"[{number}/{len(names)}] {name}", end="\r", file=sys.stderr, flush=True)
        m = measure(name)
        ratios = [f"{m[key] / m['eager']:.2f}x" for key in RATIOS]
        extra = (m["capture"] - m["eager"]) / m["with modules"] * 1e6
        print(
            f"| {name} | {m['calls']} | {m['with modules']} | {m['eager'] * 1e3:.1f} "
            f"| {' | '.join(ratios)} "
            f"| {extra:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main(sys.argv[1:] or list(MODELS))
