"""The page of a large graph in Chromium, and the pictures of the page in docs/images.

python3 dev.py bench page
"""

from __future__ import annotations

import functools
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

import flexir
from flexir import describe
from zoo.browser import chromium
from zoo.torchvision_models import entry

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"


class Block(torch.nn.Module):
    """Eight calls."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = torch.nn.Linear(8, 8), torch.nn.Linear(8, 8)
        self.norm = torch.nn.LayerNorm(8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(x)
        return x + torch.tanh(torch.relu(self.a(y)) * torch.sigmoid(self.b(y)))


def chain(x: torch.Tensor, count: int) -> torch.Tensor:
    for _ in range(count // 2):
        x = torch.relu(x) + x
    return x


def large() -> dict[str, flexir.Graph]:
    stage = lambda: torch.nn.Sequential(*[Block() for _ in range(40)])
    deep = torch.nn.Sequential(*[stage() for _ in range(32)])
    flat = functools.partial(chain, count=10_000)
    x = torch.rand(2, 8)
    return {"32 stages of 40 blocks": flexir.capture(deep, (x,)),
            "one flat body": flexir.capture(flat, (x,))}  # fmt: skip


_EXPAND = """
const root = flexir.views[0].graph.root;
flexir.views[0].fit(root.children.find((n) => n.children.length) || root, false)"""
_ZOOM = """
for (let i = 0; i < 20; i++) { flexir.views[0].zoom(400, 400, 1.05); flexir.views[0].paint() }"""


def _timed(browser: Any, script: str) -> float:
    """Seconds a script and drawing its outcome take."""
    end = "flexir.views[0].paint(); return performance.now() - start"
    milliseconds = browser.execute_script(f"const start = performance.now(); {script}; {end}")
    return float(milliseconds) / 1e3


def measure(browser: Any, path: Path) -> dict[str, float]:
    """Milliseconds, medians of five."""
    found: dict[str, list[float]] = {}

    def note(what: str, seconds: float) -> None:
        found.setdefault(what, []).append(seconds * 1e3)

    for _ in range(5):
        start = time.perf_counter()
        browser.get(path.as_uri())
        browser.execute_script("flexir.views[0].paint()")
        note("open until it answers", time.perf_counter() - start)
        note("search", _timed(browser, "flexir.search('relu')"))
        note("go to the 900th match", _timed(browser, "flexir.goto(900)"))
        note("expand", _timed(browser, _EXPAND))
        note("a frame while zooming", _timed(browser, _ZOOM) / 20)
    return {what: statistics.median(times) for what, times in found.items()}


def pictures(browser: Any, folder: Path) -> None:
    """Screenshots at 1280 x 800 of three models with a missing op each."""
    shots = {"resnet50": "flatten", "swin_t": "roll", "fasterrcnn_resnet50_fpn": "nms"}
    for name, op in shots.items():
        model, args, kwargs = entry(name).make()
        target = describe.extend("npu", without=[op])
        with torch.no_grad():
            result = flexir.convert(model, args, target, [], kwargs=kwargs)
        result.draw(folder / f"{name}.html")
        browser.get((folder / f"{name}.html").as_uri())
        browser.execute_script("flexir.dark(false)")
        time.sleep(0.5)
        browser.save_screenshot(str(IMAGES / f"page_{name}.png"))
        if name == "swin_t":
            browser.execute_script(
                "flexir.dark(true); const v = flexir.views[0];"
                "v.reveal(v.graph.nodes.find(n => n.missing === 2 && n.kind === 'module'));"
                "flexir.search('roll'); flexir.goto(0)"
            )
            time.sleep(0.5)
            browser.save_screenshot(str(IMAGES / f"page_{name}_inside.png"))


def main() -> None:
    browser = chromium()
    if browser is None:
        raise SystemExit("this needs chromium and chromedriver")
    with tempfile.TemporaryDirectory() as name, browser:
        folder = Path(name)
        rows: dict[str, dict[str, float]] = {}
        for what, graph in large().items():
            path = folder / "net.html"
            start = time.perf_counter()
            graph.draw(path)
            made = time.perf_counter() - start
            calls = sum(1 for _ in graph)
            title = (
                f"{what}, {calls} calls, {path.stat().st_size / 1e6:.1f} MB, made in {made:.1f} s"
            )
            rows[title] = measure(browser, path)
        print("| ms | " + " | ".join(rows) + " |\n|---" + "|---" * len(rows) + "|")
        for what in next(iter(rows.values())):
            print(f"| {what} | " + " | ".join(f"{r[what]:.0f}" for r in rows.values()) + " |")
        pictures(browser, folder)


if __name__ == "__main__":
    main()
