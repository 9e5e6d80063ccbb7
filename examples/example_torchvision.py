"""Every torchvision model through ``describe``: a table of what converts and what is missing.

python example_torchvision.py [name prefix ...]
"""

import sys
from pathlib import Path

import torch

import flexir
from flexir import describe

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from zoo.torchvision_models import entries


def main(prefixes: list[str]) -> None:
    chosen = [e for e in entries() if not prefixes or e.name.startswith(tuple(prefixes))]
    complete = 0
    print(f"{'model':40} {'calls':>6} {'layers':>7} {'missing':>8}  replay")
    for number, entry in enumerate(chosen, 1):
        print(f"[{number}/{len(chosen)}] {entry.name}", end="\r", file=sys.stderr, flush=True)
        model, args, kwargs = entry.make()
        with torch.no_grad():
            graph = flexir.capture(model, args, kwargs)
            result = flexir.convert(graph, target=describe, out=[])
            check = flexir.verify(graph, model, args, kwargs, perturb=False)
        complete += not result.report.entries
        calls = sum(1 for _ in graph)
        missing = result.report.placeholders
        print(f"{entry.name:40} {calls:6} {len(result.output):7} {missing:8}  {check.verdict}")
        for row in result.report.ranked:
            print(f"    {row.op} x{row.count}: {row.reason}")
    print(f"{complete} of {len(chosen)} models without placeholders")


if __name__ == "__main__":
    main(sys.argv[1:])
