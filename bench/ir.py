"""What saving and loading cost: a large model, a model of 405 billion parameters, long graphs.

python3 dev.py bench ir
"""

from __future__ import annotations

import functools
import os
import resource
import shutil
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch

import flexir
from flexir.files.ir import load


def seconds(function: Callable[[], object], rounds: int = 5) -> float:
    """Median of several runs after one that does not count."""
    times = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def peak() -> float:
    """Peak resident size in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def large(folder: Path) -> None:
    """ViT-L/16 beside safetensors on the same weights."""
    from safetensors.torch import load_file, save_file

    from zoo.torchvision_models import entry

    model, args, kwargs = entry("vit_l_16").make()
    weights = {name: tensor.detach() for name, tensor in model.state_dict().items()}
    size = sum(t.nbytes for t in weights.values()) / 2**20
    with torch.no_grad():
        graph = flexir.capture(model, args, kwargs)
    plain, saved = folder / "plain.safetensors", folder / "net.flexir"

    def write(function: Callable[[], object], path: Path) -> float:
        def once() -> None:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
            function()

        return seconds(once)

    base = write(lambda: save_file(weights, plain), plain)
    before = peak()
    without = write(lambda: graph.save(str(saved), checksums=False), saved)
    full = write(lambda: graph.save(str(saved)), saved)
    extra = peak() - before
    print(f"\nvit_l_16, {size:.0f} MB of weights\n\n| | s | ratio |\n|---|---|---|")
    print(f"| safetensors.save_file | {base:.3f} | 1.0 |")
    print(f"| graph.save without checksums | {without:.3f} | {without / base:.2f} |")
    print(f"| graph.save | {full:.3f} | {full / base:.2f} |")

    class Stop(Exception):
        pass

    def first(node: object, outputs: object) -> None:
        raise Stop

    def replay() -> None:
        try:
            flexir.replay(load(saved), args, kwargs, watch=first)
        except Stop:
            pass

    base = seconds(lambda: load_file(plain))
    print(f"| safetensors.load_file | {base:.4f} | 1.0 |")
    for what, function in (("flexir.load", lambda: load(saved)), ("to the first node", replay)):
        taken = seconds(function)
        print(f"| {what} | {taken:.4f} | {taken / base:.2f} |")
    print(f"\nextra peak memory of saving: {extra:.0f} MB ({100 * extra / size:.1f} %)")


def enormous(folder: Path) -> None:
    """Llama-3.1-405B's shape on the meta device."""
    from zoo.torchvision_ops import ensure

    ensure()
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        hidden_size=16384, intermediate_size=53248, num_hidden_layers=126,
        num_attention_heads=128, num_key_value_heads=8, vocab_size=128256,
    )  # fmt: skip
    with torch.device("meta"):
        model = LlamaForCausalLM(config).to(torch.bfloat16).eval()
        tokens = torch.zeros(1, 128, dtype=torch.long)
        mask = torch.ones(1, 1, 128, 128, dtype=torch.bool)
    count = sum(p.numel() for p in model.parameters()) / 1e9
    start = time.perf_counter()
    with torch.no_grad():
        graph = flexir.capture(model, (tokens,), {"use_cache": False, "attention_mask": mask})
    middle = time.perf_counter()
    graph.save(str(folder / "llama.flexir"), weights=None)
    end = time.perf_counter()
    calls = sum(1 for _ in graph)
    print(f"\n{count:.0f} B parameters, {calls} calls on the meta device: capture "
          f"{middle - start:.2f} s, save {end - middle:.2f} s, peak {peak():.0f} MB")  # fmt: skip


def long(folder: Path) -> None:
    """A graph of 100,000 nodes beside one of 1,000."""

    def chain(x: torch.Tensor, count: int) -> torch.Tensor:
        for _ in range(count // 2):
            x = torch.relu(x) + x
        return x

    path = str(folder / "long.flexir")
    figures: dict[str, list[float]] = {}
    for count in (1_000, 100_000):
        graph = flexir.capture(functools.partial(chain, count=count), (torch.rand(2, 4),))
        rounds = 20 if count == 1_000 else 3
        for what, function in (
            ("save", lambda g=graph: g.save(path)),
            ("load", lambda: load(path)),
            ("print", graph.text),
            ("check", graph.check),
            ("bare walk", lambda g=graph: [(node.args, node.outputs) for node in g]),
        ):
            taken = seconds(function, rounds)
            figures.setdefault(what, []).append(taken / count * 1e6)
    print("\n| us per node | 1,000 nodes | 100,000 nodes | ratio |\n|---|---|---|---|")
    for what, (short, many) in figures.items():
        print(f"| {what} | {short:.1f} | {many:.1f} | {many / short:.2f} |")


def main() -> None:
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as name:
        folder = Path(name)
        for part in (enormous, long, large):
            print(f"{part.__name__} ...", file=sys.stderr)
            part(folder)


if __name__ == "__main__":
    main()
