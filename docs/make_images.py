"""Makes the picture at the head of the README and those of the tutorial.

python docs/make_images.py      (needs the extras draw and zoo)
"""

import shutil
import sys
import tempfile
from pathlib import Path

import torch
from PIL import Image
from torch import nn

import flexir
from flexir import describe

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
sys.path.append(str(ROOT / "tests"))
from test_tutorial import follow  # noqa: E402


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16)
        self.block = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU())
        self.pool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(16, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.bn1(self.conv1(x)))
        x = x + self.block(x)
        return self.fc(torch.flatten(self.pool(x), 1))


def main() -> None:
    graph = flexir.capture(Net().eval(), (torch.rand(1, 3, 32, 32),))
    pictures = []
    with tempfile.TemporaryDirectory() as folder:
        for number, target in enumerate(
            (describe.extend("tutorial", without=["flatten"]), describe)
        ):
            path = flexir.convert(graph, target=target).draw(f"{folder}/{number}.png")
            pictures.append(Image.open(path).convert("RGB"))
    width = sum(p.width for p in pictures) + 30
    both = Image.new("RGB", (width, max(p.height for p in pictures)), "white")
    both.paste(pictures[0], (0, 0))
    both.paste(pictures[1], (pictures[0].width + 30, 0))
    both.save(IMAGES / "red_green.png")


def tutorial() -> None:
    """The two pictures of the tutorial, as its commands draw them."""
    with tempfile.TemporaryDirectory() as folder:
        follow((ROOT / "docs" / "tutorial.md").read_text(), Path(folder))
        for name in ("red", "green"):
            shutil.copy(Path(folder, f"{name}.png"), IMAGES / f"tutorial_{name}.png")


if __name__ == "__main__":
    main()
    tutorial()
