"""Detectors captured by example, and images that were not shown.

python3 dev.py bench detection [examples] [fresh]

torchvision's six kinds, weights random but seeded; each is shown some images and then asked for
others, first of one size, then of many. A fresh image is right (bit for bit), refused by name, or
wrong, which must not occur. What values decide there, the number of boxes above all, is a path or a
size like any other.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import torch

import flexir
from flexir.recording.proof import equal
from zoo.torchvision_ops import ensure

# Few candidates, or the operators of regions take all the time; as many boxes as there are.
TWO_STAGES = {"min_size": 128, "max_size": 192, "rpn_pre_nms_top_n_test": 100,
              "rpn_post_nms_top_n_test": 40, "box_detections_per_img": 1000}  # fmt: skip
ONE_STAGE = {"detections_per_img": 1000, "topk_candidates": 40}
SIZED = {**ONE_STAGE, "min_size": 128, "max_size": 192}
MODELS: dict[str, dict[str, Any]] = {
    "fasterrcnn_resnet50_fpn": TWO_STAGES,
    "maskrcnn_resnet50_fpn": TWO_STAGES,
    "keypointrcnn_resnet50_fpn": TWO_STAGES,
    "retinanet_resnet50_fpn": SIZED,
    "fcos_resnet50_fpn": SIZED,
    "ssd300_vgg16": ONE_STAGE,
}


def detector(name: str) -> Any:
    """A detector with random weights that finds some boxes, more or fewer in each image.

    What it is normalised by is that of a few images, and some of their scores count.
    """
    ensure()
    from torchvision.models import get_model

    torch.manual_seed(0)
    model = get_model(name, weights=None, weights_backbone=None, **MODELS[name]).eval()
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    few = [one for (one,) in images(4, "one size", 1)]
    for norm in norms:
        norm.train()
    for _ in range(3):
        model(few)
    for norm in norms:
        norm.eval()
    owner = getattr(model, "roi_heads", model)
    owner.score_thresh = 0.0
    scores = torch.cat([one["scores"] for one in model(few)])
    owner.score_thresh = float(scores.sort(descending=True)[0][min(80, len(scores) // 2)])
    return model


def images(count: int, sizes: str, seed: int) -> list[list[torch.Tensor]]:
    """Inputs of a detector: one image each, of noise that is brighter in places."""
    draw = torch.Generator().manual_seed(seed)

    def size() -> int:
        low, high = (160, 161) if sizes == "one size" else (128, 224)
        return int(torch.randint(low, high, (1,), generator=draw))

    made = []
    for _ in range(count):
        h, w = size(), size()
        coarse = torch.rand(1, 3, 6, 6, generator=draw)
        smooth = torch.nn.functional.interpolate(coarse, (h, w), mode="bilinear")[0]
        made.append([(smooth + torch.rand(3, h, w, generator=draw)) / 2])
    return made


def tell(model: Any, shown: list[Any], fresh: list[Any]) -> str:
    """The columns after the name."""
    boxes = [len(model(x)[0]["boxes"]) for x in (*shown, *fresh)]
    start = time.perf_counter()
    graph = flexir.capture(model, (shown[0],), also=[(x,) for x in shown[1:]])
    seconds = time.perf_counter() - start
    verdicts = {"right": 0, "refused": 0, "wrong": 0}
    reasons: list[str] = []
    for x in fresh:
        try:
            verdicts["right" if equal(graph(x), model(x)) else "wrong"] += 1
        except flexir.Diverged as error:
            verdicts["refused"] += 1
            reasons.append(str(error).splitlines()[0])
    why = max(set(reasons), key=reasons.count) if reasons else ""
    numbers = " ".join(f"{n:7}" for n in verdicts.values())
    many = f"{min(boxes)}-{max(boxes)}"
    return f"{many:>8} {len(graph.variants) + 1:6} {seconds:7.1f} {numbers}  {why[:90]}"


def main(arguments: list[str]) -> None:
    """Print a line for each model and choice of sizes."""
    many, fresh = (*map(int, arguments), *(6, 10)[len(arguments) :])
    columns = "   boxes graphs seconds   right refused   wrong  most often refused"
    print(f"{'model':26} {'sizes':10} {columns}")
    for name in MODELS:
        with torch.no_grad():
            model = detector(name)
        for sizes in ("one size", "many sizes"):
            drawn = images(many + fresh, sizes, 0)
            with torch.no_grad():
                print(f"{name:26} {sizes:10} {tell(model, drawn[:many], drawn[many:])}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
