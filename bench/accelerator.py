"""Models on an accelerator: what runs there is captured there, at any batch, and what that costs.

python3 dev.py bench accelerator [device] [seconds]

Models of torchvision, timm, transformers and the libraries of the zoo that are installed, in turns,
as many as the time allows. Each is captured on the device, checked with ``verify``, and captured
once more with a second batch and asked for a third. Then what a capture and a replay cost there,
over the model's own call; every call is waited for.
"""

from __future__ import annotations

import itertools
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch.utils._pytree import tree_map

import flexir
from bench import seconds
from zoo import libraries, sizes, timm_models, torchvision_models, transformers_models

TIMED = ("torchvision/resnet50", "torchvision/vit_b_16", "torchvision/swin_t", "transformers/gpt2")
SUITES: dict[str, Callable[[], Iterable[Any]]] = {
    "torchvision": torchvision_models.entries,
    "timm": lambda: [timm_models.entry(names[0]) for names in timm_models.by_module().values()],
    "transformers": transformers_models.entries,
    "libraries": libraries.cases,
}
CLOSE = 1e-3  # of the output's scale: kernels are chosen by size, and add in another order


def makers() -> Iterator[tuple[str, Callable[[], tuple[Any, Any, Any]]]]:
    """Models of all suites in turns; those of a suite in an order drawn at random."""
    draw, suites = random.Random(0), []
    for suite, entries in SUITES.items():
        found = list(entries())
        draw.shuffle(found)
        suites.append([(f"{suite}/{one.name}", one.make) for one in found])
    for row in itertools.zip_longest(*suites):
        yield from filter(None, row)


def moved(part: Any, device: torch.device) -> Any:
    """A part of the inputs with its tensors on the device."""
    return tree_map(lambda t: t.to(device) if isinstance(t, torch.Tensor) else t, part)


def check(make: Callable[[], tuple[Any, Any, Any]], device: torch.device) -> list[str]:
    """What becomes of one model: on its own, and at a batch that was not shown."""
    try:
        model, args, kwargs = make()
        shown = _batches(model, (args, kwargs))  # a wrong index ends a process on an accelerator
        model, _, _ = make()
        model, inputs = model.to(device), moved((args, kwargs), device)
        for _ in range(2):
            model(*inputs[0], **inputs[1])
    except Exception as error:  # noqa: BLE001  not in the denominator
        return [f"does not run: {type(error).__name__}: {error}"[:120]]
    found = [_alone(model, inputs)]
    if shown:
        found.append(_sized(model, moved(shown, device)))
    return found


def _batches(model: Any, inputs: Any) -> list[Any]:
    """Three batches that the model runs on; none if it takes one alone."""
    model(*inputs[0], **inputs[1])
    try:
        shown = [sizes.resized(inputs, "batch", step) for step in range(3)]
        for args, kwargs in shown:
            model(*args, **kwargs)
    except Exception:  # noqa: BLE001  it takes one alone
        return []
    return shown


def _alone(model: Any, inputs: Any) -> str:
    graph = flexir.capture(model, *inputs)
    checked = flexir.verify(graph, model, *inputs)
    return checked.verdict if checked else f"{checked.verdict}: {checked}"[:300]


def _sized(model: Any, shown: list[Any]) -> str:
    (args, kwargs), second, third = shown
    truth = model(*third[0], **third[1])
    graph = flexir.capture(model, args, kwargs, also=[flexir.Inputs(*second[0], **second[1])])
    try:
        made = graph(*third[0], **third[1])
    except flexir.Diverged as error:
        return f"batch: refused: {error}"[:300]
    worst = sizes.difference(made, truth)
    if worst is None:
        return "batch: wrong: outputs or their shapes"
    return "batch: right" if worst <= CLOSE else f"batch: wrong: {worst:.1e}"


def cost(make: Callable[[], tuple[Any, Any, Any]], device: torch.device) -> str:
    """The columns of a model whose cost is measured."""
    model, args, kwargs = make()
    model, (args, kwargs) = model.to(device), moved((args, kwargs), device)
    graph = flexir.capture(model, args, kwargs)

    def waiting(run: Callable[..., Any]) -> Callable[[], None]:
        def call() -> None:
            run(*args, **kwargs)
            torch.accelerator.synchronize()

        return call

    def capture(*args: Any, **kwargs: Any) -> Any:
        return flexir.capture(model, args, kwargs)

    runs = [waiting(model), waiting(capture), waiting(graph)]
    taken: list[list[float]] = [[], [], []]
    for turn in range(16):
        for kept, run in zip(taken, runs):
            took = seconds(run)
            if turn:
                kept.append(took)
    own, captured, replayed = (statistics.median(all_) * 1e3 for all_ in taken)
    return f"{own:8.1f} {captured / own:8.2f} {replayed / own:8.2f}"


def main(arguments: list[str]) -> None:
    """Print what is not right as it comes, then the counts, then what it costs."""
    device = torch.device(arguments[0] if arguments else "cuda")
    limit = float(arguments[1]) if len(arguments) > 1 else 180.0
    counts: Counter[str] = Counter()
    chosen = dict(makers())
    start = time.perf_counter()
    with torch.no_grad():
        for name, make in chosen.items():
            if time.perf_counter() - start > limit:
                break
            try:
                found = check(make, device)
            except Exception as error:  # noqa: BLE001  the answer is the failure
                found = [f"crash: {type(error).__name__}: {error}"[:500]]
            for one in found:
                verdict = ": ".join(one.split(": ")[: 1 + one.startswith("batch")])
                counts[f"{name.split('/')[0]:12} {verdict}"] += 1
                if verdict not in ("exact", "batch: right", "does not run"):
                    print(f"{name}: {one}", flush=True)
        for verdict, count in sorted(counts.items()):
            print(f"{count:6} {verdict}")
        print(f"{'':24} {'eager ms':>8} {'capture':>8} {'replay':>8}")
        for name in filter(chosen.__contains__, TIMED):
            print(f"{name:24} {cost(chosen[name], device)}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
