"""The zoo's models as MODELs of the command: ``zoo.fleet:timm__resnet18``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from zoo import timm_models, torchvision_models, transformers_models

ZOOS = {
    "timm": timm_models, "torchvision": torchvision_models, "transformers": transformers_models,
}  # fmt: skip
SWEPT = Path(__file__).resolve().parents[1] / ".cache" / "sweep"


def __getattr__(name: str) -> Callable[[], Any]:
    """A function that makes ``(model, args, kwargs)``."""
    zoo, _, model = name.partition("__")
    if zoo not in ZOOS:
        raise AttributeError(name)
    return ZOOS[zoo].entry(model).make


def specs(timm: int, transformers: int) -> list[str]:
    """Evenly chosen MODELs: of timm below 30 M parameters, of transformers what runs in eager.

    Takes the names from the last sweep, which found out what runs.
    """
    found = []
    for zoo, count in (("timm", timm), ("transformers", transformers)):
        path = SWEPT / f"{zoo}.jsonl"
        if not count:
            continue
        if not path.exists():
            raise SystemExit(f"first find out what runs here: python3 dev.py sweep {zoo}")
        rows = map(json.loads, path.read_text().splitlines())
        names = sorted(n for n, r in dict(rows).items() if not r["verdict"].startswith("does not"))
        count = min(count, len(names))
        chosen = [names[i * len(names) // count] for i in range(count)]
        found += [f"zoo.fleet:{zoo}__{name}" for name in chosen]
    return found
