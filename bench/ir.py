"""What saving and loading cost: a large model, and one of 405 billion parameters.

python3 dev.py bench ir
"""

from __future__ import annotations

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
from bench import seconds
from flexir.files.ir import load, schema


def medians(
    variants: dict[str, Callable[[], object]], rounds: int, clock: Callable[[], float]
) -> dict[str, float]:
    """Medians in seconds; every round runs each variant once, in turn, after one that is not
    counted."""
    times: dict[str, list[float]] = {name: [] for name in variants}
    for turn in range(rounds + 1):
        for name, function in variants.items():
            taken = seconds(function, clock)
            if turn:
                times[name].append(taken)
    return {name: statistics.median(taken) for name, taken in times.items()}


def table(found: dict[str, float], over: dict[str, str]) -> None:
    """Print medians, and their ratios to the variant that each is compared to."""
    print("\n| | ms | over |\n|---|---|---|")
    for name, taken in found.items():
        ratio = f"{taken / found[over[name]]:.2f}x {over[name]}" if name in over else ""
        print(f"| {name} | {taken * 1e3:.1f} | {ratio} |")


def peak() -> float:
    """Peak resident size in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def large(folder: Path) -> None:
    """ViT-L/16 beside safetensors on the same weights."""
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    from zoo.torchvision_models import entry

    model, args, kwargs = entry("vit_l_16").make()
    weights = {name: tensor.detach() for name, tensor in model.state_dict().items()}
    size = sum(t.nbytes for t in weights.values()) / 2**20
    with torch.no_grad():
        graph = flexir.capture(model, args, kwargs)
    plain, saved = folder / "plain.safetensors", folder / "net.flexir"

    def write(function: Callable[[], object], path: Path) -> Callable[[], object]:
        def once() -> None:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
            function()

        return once

    print(f"\nvit_l_16, {size:.0f} MB of weights, medians of 7 and of 25 interleaved rounds")
    before = peak()
    saving = {
        "save_file": write(lambda: save_file(weights, plain), plain),
        "save without checksums": write(lambda: graph.save(saved, checksums=False), saved),
        "save": write(lambda: graph.save(saved), saved),
    }
    found = medians(saving, 7, time.perf_counter)  # several threads write
    table(found, {"save": "save_file", "save without checksums": "save_file"})
    print(f"\nextra peak memory of saving: {peak() - before:.0f} MB")

    class Stop(Exception):
        pass

    def first(node: object, outputs: object) -> None:
        raise Stop

    def replay() -> None:
        try:
            flexir.replay(load(saved), args, kwargs, watch=first)
        except Stop:
            pass

    def convolve() -> None:
        found = load_file(plain)
        with torch.no_grad():
            torch.conv2d(args[0], found["conv_proj.weight"], found["conv_proj.bias"], 16)

    def least() -> None:
        safe_open(str(saved / "weights-00001.safetensors"), "pt")
        schema.Graph().ParseFromString((saved / "graph.pb").read_bytes())

    loading = {
        "load_file": lambda: load_file(plain), "load_file, then the first convolution": convolve,
        "mapping and parsing alone": least, "load": lambda: load(saved),
        "load, to the end of that convolution": replay,
    }  # fmt: skip
    names = list(loading)
    print("\nprocessor time:")
    found = medians(loading, 25, time.process_time)
    table(found, {**dict.fromkeys(names[2:], names[0]), names[4]: names[1]})


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


def main() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as name:
        folder = Path(name)
        for part in (enormous, large):
            print(f"{part.__name__} ...", file=sys.stderr)
            part(folder)


if __name__ == "__main__":
    main()
