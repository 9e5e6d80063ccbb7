"""Decomposition, batch-norm folding, granularity and patterns over whole model families.

python3 dev.py bench rewrites [primitives] [transformers] [folding] [granularity] [patterns]
"""

from __future__ import annotations

import json
import math
import resource
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

import flexir
from flexir import passes
from flexir.graph.inputs import bind_inputs
from zoo import primitives, torchvision_models, transformers_models

ROOT = Path(__file__).resolve().parents[1]
leaves = torch.utils._pytree.tree_leaves


def graphs(entries: Iterator[Any], limit: int) -> Iterator[tuple[str, Any, Any, Any]]:
    """(name, graph, args, kwargs) of what builds and runs."""
    found = 0
    for entry in entries:
        try:
            model, args, kwargs = entry.make()
            with torch.no_grad():
                graph = flexir.capture(model, args, kwargs)
        except Exception:  # noqa: BLE001  not of this machine
            continue
        found += 1
        print(f"{found} {entry.name:60}", end="\r", file=sys.stderr, flush=True)
        yield entry.name, graph, args, kwargs
        if found == limit:
            return


def off(a: Any, b: Any) -> float:
    """Largest difference over largest magnitude, over all floating outputs."""
    worst = 0.0
    for x, y in zip(leaves(a), leaves(b)):
        if isinstance(x, torch.Tensor) and x.is_floating_point() and x.numel():
            scale = max(x.abs().nan_to_num(posinf=0).max().item(), 1e-6)
            worst = max(worst, (x - y).abs().nan_to_num().max().item() / scale)
    return worst


def _primitives(title: str, entries: Iterator[Any], limit: int) -> None:
    done = total = 0
    missing: Counter[str] = Counter()
    worst = 0.0
    for name, graph, args, kwargs in graphs(entries, limit):
        total += 1
        env: dict[Any, Any] = {}
        bind_inputs(graph, args, kwargs, env)
        result = primitives.run(graph, [env[v] for v in graph.input_values])
        if result.report.placeholders:
            missing.update({e.op for e in result.report.entries})
            print(f"{name}: {[(e.op, e.reason, e.lacking) for e in result.report.entries]}"[:200])
            continue
        done += 1
        with torch.no_grad():
            worst = max(worst, off(graph(*args, **kwargs), result.outputs))
    print(f"\n{title} by {len(primitives.OPS)} primitives: {done} of {total} without placeholders "
          f"({100 * done / max(total, 1):.1f} %), max relative difference {worst:.1e}; "
          f"missing {dict(missing)}")  # fmt: skip


def classifiers() -> Iterator[Any]:
    from zoo.torchvision_ops import ensure

    ensure()
    import torchvision

    names = set(torchvision.models.list_models(module=torchvision.models))
    return (e for e in torchvision_models.entries() if e.name in names)


def transformers() -> Iterator[Any]:
    """Every fourth; of those a sweep has tried, only what it found to run in a few seconds."""
    path = ROOT / ".cache" / "sweep" / "transformers.jsonl"
    tried = dict(map(json.loads, path.read_text().splitlines())) if path.exists() else {}
    for entry in list(transformers_models.entries())[::4]:
        known = tried.get(entry.name)
        if known is None or known.get("seconds", 99) < 5:
            yield entry


def folding() -> None:
    left = models = 0
    worst, where = 0.0, ""
    for name, graph, args, kwargs in graphs(classifiers(), 1000):
        with torch.no_grad():
            folded = passes.fold_batch_norm(passes.simplify(graph))
            again = passes.fold_batch_norm(folded)
            difference = off(graph(*args, **kwargs), folded(*args, **kwargs))
        assert again is folded
        before = sum(n.op == "batch_norm" for n in graph)
        if not before:
            continue
        models += 1
        left += sum(n.op == "batch_norm" and _foldable(n) for n in folded)
        if difference > worst:
            worst, where = difference, name
    print(f"\nbatch norm folded in {models} torchvision CNNs: {left} foldable left, max relative "
          f"difference {worst:.1e} ({where})")  # fmt: skip


def _foldable(node: Any) -> bool:
    """Whether a convolution stands before a batch norm and nobody else reads it."""
    producer = node.args["input"].producer
    return producer is not None and producer.op.startswith("conv") and not producer.effects.writes


def granularity() -> None:
    """One capture, replayed at three levels of one graph."""
    import torch.nn as nn

    chosen = [("torchvision vit_b_32", torchvision_models.entry("vit_b_32")),
              ("torchvision swin_t", torchvision_models.entry("swin_t")),
              ("transformers bert", transformers_models.entry("bert"))]  # fmt: skip
    for title, entry in chosen:
        model, args, kwargs = entry.make()
        with torch.no_grad():
            graph = flexir.capture(model, args, kwargs)
            expected = graph(*args, **kwargs)
            env: dict[Any, Any] = {}
            bind_inputs(graph, args, kwargs, env)
            inputs = [env[v] for v in graph.input_values]
            whole = primitives.target(inputs)

            def layer(ctx: Any, module: Any, **named: Any) -> Any:
                return module(**{k: v for k, v in named.items() if v is not None})

            for cls in (nn.Linear, nn.LayerNorm, nn.Conv2d, nn.Embedding):
                whole.module(cls)(layer)
            levels = {
                "modules": flexir.convert(graph, target=whole),
                "functions": flexir.convert(graph, target=everything(inputs)),
                "primitives": primitives.run(graph, inputs),
            }
            for level, result in levels.items():
                print(f"{title}, {level}: {result.report.placeholders} placeholders, "
                      f"relative difference {off(expected, result.outputs):.1e}, "
                      f"{sum(result.report.handled.values())} handler calls")  # fmt: skip


def everything(inputs: Any) -> flexir.Target:
    """A target that takes every function call and computes it."""
    made = primitives.target(inputs)

    class Every(dict):
        def get(self, key: str, default: Any = None) -> Any:
            return dict.get(self, key) or dict.get(self, "add")

    made.ops = Every(made.ops)
    return made


# --- patterns, counted by hand from the configurations: one per layer and occurrence


WRITTEN = {"rms_norm": "RMSNorm", "gelu_tanh": "NewGELU"}


@passes.pattern
def silu(x):  # type: ignore[no-untyped-def]
    return x * torch.sigmoid(x)


@passes.pattern
def rms_norm(x, weight, *, eps):  # type: ignore[no-untyped-def]
    return weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps))


@passes.pattern
def rotary(x, cos, sin, *, half, rest):  # type: ignore[no-untyped-def]
    turned = torch.cat((-x[..., half:], x[..., :rest]), dim=-1)
    return x * cos + turned * sin


@passes.pattern
def attention(q, k, v, *, scale):  # type: ignore[no-untyped-def]
    score = torch.matmul(q, k.transpose(2, 3)) * scale
    return torch.matmul(torch.softmax(score, dim=-1, dtype=torch.float32), v)


@passes.pattern
def gelu_tanh(x):  # type: ignore[no-untyped-def]
    inner = math.sqrt(2 / math.pi) * (x + 0.044715 * torch.pow(x, 3.0))
    return 0.5 * x * (1.0 + torch.tanh(inner))


def patterns() -> None:
    found: dict[str, dict[str, tuple[int, int]]] = {}
    for name, graph, _, _ in graphs(transformers(), 70):
        classes = Counter(node.op for node in graph.walk() if node.body is not None)
        graph = passes.remove_noops(graph)
        for one in (silu, rms_norm, rotary, attention, gelu_tanh):
            count = len(one.find(graph))
            # What the authors wrote as a class of its own can be counted another way.
            told = sum(n for op, n in classes.items() if WRITTEN.get(one.__name__, "?") in op)
            if count or told:
                found.setdefault(one.__name__, {})[name] = (count, told)
    for title, counts in found.items():
        equal = sum(a == b for a, b in counts.values())
        total = sum(a for a, _ in counts.values())
        print(f"\n{title}: {total} in {len(counts)} models; as many as calls of such a class "
              f"in {equal}; (found, calls): {counts}"[:1500])  # fmt: skip


def main(parts: list[str]) -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(2)
    # A configuration that was not shrunk enough must fail to build, not take the machine down.
    resource.setrlimit(resource.RLIMIT_AS, (10 << 30, 10 << 30))
    every: dict[str, Callable[[], None]] = {
        "primitives": lambda: _primitives("torchvision classifiers", classifiers(), 1000),
        "transformers": lambda: _primitives(
            "transformers", transformers(), 70),
        "folding": folding, "granularity": granularity, "patterns": patterns,
    }  # fmt: skip
    for part in parts or every:
        every[part]()


if __name__ == "__main__":
    main(sys.argv[1:])
