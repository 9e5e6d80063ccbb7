"""What recording a driver costs: ``python3 dev.py bench programs [usual] [large]``.

Models of the usual size, random weights, one thread: the two generations of ``sweep generate``
(prompts of 5 and 8, 6 and 4 tokens) recorded into a Program, over the time of the same calls. Then
a model of 70 billion parameters that has none.
"""

from __future__ import annotations

import gc
import json
import resource
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import torch

import flexir
from zoo import generate

MODELS = ("gpt2", "opt")  # about 125 million parameters each
LAYERS = 80
_DTYPES = {torch.bfloat16: "BF16", torch.float32: "F32"}


def main() -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    chosen = sys.argv[1:] or ["usual", "large"]
    for name, part in (("usual", usual), ("large", large)):
        if name in chosen:
            part()


def usual() -> None:
    """The ratio for models of about 125 million parameters."""
    print("| model | parameters | eager, s | recording, s | ratio |\n|---|---|---|---|---|")
    for kind in MODELS:
        model = _build(kind)
        size = sum(parameter.numel() for parameter in model.parameters())
        eager, recording = [], []
        with torch.no_grad():
            _drive(model)
            for _ in range(3):
                gc.collect()
                start = time.perf_counter()
                _drive(model)
                eager.append(time.perf_counter() - start)
                start = time.perf_counter()
                with flexir.record(model):
                    _drive(model)
                recording.append(time.perf_counter() - start)
        plain, watched = statistics.median(eager), statistics.median(recording)
        print(f"| {kind} | {size / 1e6:.0f} M | {plain:.2f} | {watched:.2f} "
              f"| {watched / plain:.2f} |")  # fmt: skip


def large() -> None:
    """A 70B-shaped Llama on the meta device: prefill and decode, weights by reference, converted.

    The shards have headers of the right sizes and no data on disk: whoever reads a weight gets
    zeros, and the peak memory would show it.
    """
    config = generate.library().LlamaConfig(
        hidden_size=8192, intermediate_size=28672, num_hidden_layers=LAYERS, num_attention_heads=64,
        num_key_value_heads=8, vocab_size=128256,
    )  # fmt: skip
    with torch.device("meta"):
        model = generate.library().LlamaForCausalLM(config).to(torch.bfloat16).eval()
    count = sum(parameter.numel() for parameter in model.parameters())
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        shards = _shards(model, Path(folder))
        start = time.perf_counter()
        with flexir.record(model, names=("prefill", "decode")) as program:
            for length in (128, 96):
                ids = torch.zeros(1, length, dtype=torch.int64, device="meta")
                cache = model(ids, use_cache=True).past_key_values
                for _ in range(2):
                    cache = model(ids[:, :1], past_key_values=cache).past_key_values
        recorded = time.perf_counter()
        program.save(f"{folder}/llama.flexir", weights=f"reference:{folder}/*.safetensors")
        saved = time.perf_counter()
        program = flexir.load(f"{folder}/llama.flexir", weights=folder, imports=["transformers"])
        loaded = time.perf_counter()
        lines = {name: _named(graph) for name, graph in program.items()}
        converted = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    calls = ", ".join(f"{name} {len(graph)} calls, live: "
                      f"{', '.join(one.name for one in graph.live)}"
                      for name, graph in program.items())  # fmt: skip
    print(f"\n{count / 1e9:.0f} B parameters on the meta device, {shards} shards; {calls}: record "
          f"{recorded - start:.1f} s, save {saved - recorded:.1f} s, load {loaded - saved:.1f} s, "
          f"convert to {sum(map(len, lines.values()))} lines {converted - loaded:.1f} s; peak "
          f"{peak:.2f} GB in all")  # fmt: skip


def _shards(model: Any, folder: Path) -> int:
    """Safetensors files as large as the model's weights, with holes for data; how many."""
    parts: list[dict[str, Any]] = [{}]
    end = 0
    kept = model.state_dict() | dict(model.named_buffers())  # also those that are not saved
    for name, tensor in kept.items():
        if end > 5e9:
            parts.append({})
            end = 0
        parts[-1][name] = {"dtype": _DTYPES[tensor.dtype], "shape": list(tensor.shape),
                           "data_offsets": [end, end + tensor.nbytes]}  # fmt: skip
        end += tensor.nbytes
    for number, header in enumerate(parts):
        text = json.dumps(header).encode()
        size = max(one["data_offsets"][1] for one in header.values())
        with open(folder / f"model-{number:05}.safetensors", "wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            file.truncate(8 + len(text) + size)
    return len(parts)


def _named(graph: flexir.Graph) -> list[str]:
    """A graph converted to a line for each weight and call: names and shapes."""
    lines: list[str] = []
    target = flexir.Target("names")

    def constant(ctx: Any, weight: Any) -> str:
        lines.append(f"{weight.name}: {tuple(weight.tensor.shape)}")
        return str(weight.name)

    def call(ctx: Any, **args: Any) -> Any:
        made = tuple(value.name for value in ctx.node.outputs)
        lines.append(f"{', '.join(made)} = {ctx.node.op}({args})")
        return made if len(made) > 1 else made[0]

    target.constant(constant)

    def guard(ctx: Any, condition: Any, expected: Any, node: Any) -> None:
        lines.append(f"{node.op} of {condition} is {expected}")

    target.guard(guard)
    target.input(lambda ctx, name, type: name)
    for op in {node.op for node in graph if node.outputs}:
        target.op(op)(call)
    flexir.convert(graph, target=target, strict=True)
    return lines


def _drive(model: Any) -> None:
    for length, count in generate.SHOWN:
        generate.tokens(model, generate.prompt_of(model, length), count)


def _build(kind: str) -> Any:
    transformers = generate.library()
    config = transformers.CONFIG_MAPPING[kind]()
    config._attn_implementation = "eager"
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    generate.settle(model)
    return model


if __name__ == "__main__":
    main()
