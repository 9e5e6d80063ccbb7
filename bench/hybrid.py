"""By halves over whole families: every second kind of op is unsupported, outputs must be equal.

python3 dev.py bench hybrid [torchvision] [transformers]

The engine is torch itself, called from a list of steps, so that only the halving can be wrong.
"""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch

import flexir
from flexir.graph.replay import Replay
from zoo import torchvision_models, transformers_models

leaves = torch.utils._pytree.tree_leaves


class Slot:
    """Stands for a tensor of the engine."""


def target_of(ops: list[str]) -> flexir.Target:
    """A target that takes some ops and no others, and runs them with torch."""
    ir = flexir.Target("torch-engine", out=list)

    @ir.input
    def enter(ctx: Any, name: str, type: Any) -> Slot:
        return Slot()

    @ir.constant
    def store(ctx: Any, weight: Any) -> Any:
        return weight.tensor

    def step(ctx: Any, **named: Any) -> Any:
        made = [Slot() for _ in ctx.node.outputs]
        ctx.out.append((ctx.node, named, made))
        return made if len(made) > 1 else made[0]

    for op in ops:
        with contextlib.suppress(flexir.errors.TargetError):  # torch's private functions
            ir.op(op)(step)

    @ir.run
    def run(result: Any, tensors: list[torch.Tensor]) -> list[torch.Tensor]:
        env: dict[Any, torch.Tensor] = {}
        env.update((result.values[v], t) for v, t in zip(result.graph.input_values, tensors))

        def look(value: flexir.Value) -> torch.Tensor:
            made = result.values[value]
            return env[made] if isinstance(made, Slot) else made

        for node, _, made in result.output:
            small = Replay(result.graph, check=False)
            read = {v: look(v) for v in node.inputs}
            try:
                small(node, read)
            finally:
                small.restore()
            env.update((slot, read[v]) for slot, v in zip(made, node.outputs))
        return [look(v) for v in result.graph.output_values]

    return ir


def equal(a: Any, b: Any) -> bool:
    """Whether two outputs hold the same elements."""
    pairs = list(zip(leaves(a), leaves(b), strict=True))
    tensors = [(x, y) for x, y in pairs if isinstance(x, torch.Tensor)]
    return all(torch.equal(x.nan_to_num(), y.nan_to_num()) for x, y in tensors)


def halves(entries: Iterator[Any], limit: int) -> tuple[int, int]:
    """How many models were tried and how many gave equal outputs; a line for each."""
    tried = good = 0
    for entry in entries:
        try:
            model, args, kwargs = entry.make()
            with torch.no_grad():
                graph = flexir.capture(model, args, kwargs)
        except Exception:  # noqa: BLE001  not of this machine
            continue
        kinds = sorted({n.op for n in graph if not n.effects.escape and not n.effects.random})
        result = flexir.convert(graph, (), target_of(kinds[::2]), decompose=False)
        with torch.no_grad():
            half = flexir.hybrid(result)
            same = equal(graph(*args, **(kwargs or {})), half(*args, **(kwargs or {})))
        tried, good = tried + 1, good + same
        verdict = "equal" if same else "DIFFERS"
        print(f"{entry.name:44} {verdict}  {str(half.report).splitlines()[-1]}", flush=True)
        if tried == limit:
            break
    return tried, good


def main(words: list[str]) -> int:
    """Run the families named; all without."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    failed = 0
    for name in words or ["torchvision", "transformers"]:
        if name == "torchvision":
            tried, good = halves(torchvision_models.entries(), 10**6)
        else:
            tried, good = halves(islice(transformers_models.entries(), 0, None, 9), 20)
        print(f"{name}: outputs equal for {good} of {tried}")
        failed += tried - good
    return failed


if __name__ == "__main__":
    sys.exit(bool(main(sys.argv[1:])))
