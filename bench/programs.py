"""What recording a driver costs: ``python3 dev.py bench programs``.

Models of the usual size, random weights, one thread: the two generations of ``sweep generate``
(prompts of 5 and 8, 6 and 4 tokens) recorded into a Program, over the time of the same calls.
"""

from __future__ import annotations

import gc
import statistics
import time
from typing import Any

import torch

import flexir
from zoo import generate

MODELS = ("gpt2", "opt")  # about 125 million parameters each


def main() -> None:
    torch.set_num_threads(1)
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
