"""PyTorch's own examples of dynamic shapes and control flow, captured by example.

python3 dev.py bench exportdb

Each example's inputs are drawn anew at other sizes, some shown and others not: all sizes that are
different vary, or only the first of each input, or only the values, whichever the model itself
takes. One line for each: what varied, how many graphs it became, and what became of the inputs that
were not shown: right (bit for bit), refused by name, wrong (must not occur).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch

import flexir
from bench.answers import outcome
from flexir.graph import tree
from zoo import export_examples

SHOWN, UNSEEN = (0, 1, 2, 4, 0, 1), (3, 6, 5, 0, 1)  # how far sizes are from those of the example


def main() -> None:
    """Print a line for each."""
    head = "example", "varies", "graphs", "unseen", "right", "refused", "wrong"
    print("{:32} {:10} {:>6} {:>6} {:>5} {:>7} {}".format(*head))
    total = [0, 0, 0, 0]
    for name in export_examples.dynamic():
        model, args, kwargs = export_examples.make(name)
        found = varied(model, flexir.Inputs(*args, **kwargs))
        if found is None:
            print(f"{name:32} nothing: the model takes no other inputs than its own")
            continue
        what, shown, unseen = found
        with torch.no_grad():
            graph = flexir.capture(model, *shown[0], also=shown[1:])
            outcomes = [outcome(graph, model, one) for one in unseen]
        counts = [outcomes.count(word) for word in ("right", "refused", "wrong")]
        print(f"{name:32} {what:10} {1 + len(graph.variants):6} {len(unseen):6}"
              f" {counts[0]:5} {counts[1]:7} {counts[2]}", flush=True)  # fmt: skip
        total = [a + b for a, b in zip(total, (len(unseen), *counts))]
    print("inputs not shown: {}; right {}, refused {}, wrong {}".format(*total))


def varied(model: Any, given: flexir.Inputs) -> tuple[str, list[Any], list[Any]] | None:
    """What varies, and inputs to show and not to show; None if the model takes no others."""
    for what in ("sizes", "first size", "values"):
        generator = torch.Generator().manual_seed(0)
        made = [drawn(given, what, step, generator) for step in (*SHOWN, *UNSEEN)]
        if all(runs(model, one) for one in made):
            return what, made[: len(SHOWN)], made[len(SHOWN) :]
    return None


def drawn(given: flexir.Inputs, what: str, step: int, generator: torch.Generator) -> Any:
    """Inputs of other sizes and values; sizes that are the same in the example stay the same."""
    sizes = list(dict.fromkeys(_sizes(given, what)))

    def other(tensor: torch.Tensor) -> torch.Tensor:
        shape = [
            n + step * (1 + sizes.index(n)) if n in sizes and (what == "sizes" or not dim) else n
            for dim, n in enumerate(tensor.shape)
        ]
        if tensor.is_floating_point():
            return torch.randn(shape, generator=generator, dtype=tensor.dtype)
        return torch.randint(6, shape, generator=generator).to(tensor.dtype)

    args, kwargs = tree.rebuilt(tuple(given), other)
    return flexir.Inputs(*args, **kwargs)


def _sizes(given: flexir.Inputs, what: str) -> Iterator[int]:
    tensors: list[torch.Tensor] = []
    tree.template(tuple(given), tensors.append, deep=True)
    for tensor in tensors if what != "values" else ():
        yield from tensor.shape if what == "sizes" else tensor.shape[:1]


def runs(model: Any, inputs: flexir.Inputs) -> bool:
    """Whether a model takes inputs."""
    args, kwargs = copy.deepcopy(tuple(inputs))
    try:
        with torch.no_grad():
            model(*args, **kwargs)
    except Exception:  # noqa: BLE001  it is asked whether it can
        return False
    return True


if __name__ == "__main__":
    main()
