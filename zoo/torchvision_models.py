"""Every model torchvision lists, except the quantized ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from zoo.entry import Entry
from zoo.torchvision_ops import ensure


def entries() -> Iterator[Entry]:
    """All models by name; detection, segmentation, video and optical flow included."""
    ensure()
    from torchvision.models import list_models

    for name in list_models():
        if not name.startswith("quantized_"):
            yield entry(name)


def entry(name: str) -> Entry:
    """The entry of one torchvision model."""
    ensure()
    from torchvision.models import get_model_builder

    builder = get_model_builder(name)
    kind = builder.__module__.removeprefix("torchvision.models.").split(".")[0]
    options: dict[str, Any] = {"weights": None}
    if kind in ("detection", "segmentation"):
        options["weights_backbone"] = None
    if kind == "detection" and not name.startswith("ssd"):
        options |= {"min_size": 160, "max_size": 224}
    if name in ("googlenet", "inception_v3"):
        options["init_weights"] = False
    return Entry(name, lambda: builder(**options), lambda: _example(name, kind), "torchvision")


def _example(name: str, kind: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if kind == "detection":
        return ([torch.rand(3, 160, 192), torch.rand(3, 128, 160)],), {}
    if kind == "optical_flow":
        return (torch.rand(1, 3, 128, 136), torch.rand(1, 3, 128, 136)), {"num_flow_updates": 2}
    if kind == "video":
        size = {"mvit_v1_b": 224, "mvit_v2_s": 224, "s3d": 224}.get(name, 64)
        return (torch.rand(1, 3, 16, size, size),), {}
    if kind == "segmentation":
        return (torch.rand(1, 3, 96, 96),), {}
    fixed = name.startswith(("vit_", "maxvit", "swin"))
    size = 224 if fixed else 96
    if name == "inception_v3":
        size = 96
    return (torch.rand(2 if not fixed else 1, 3, size, size),), {}
