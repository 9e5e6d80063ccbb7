"""Makes the picture at the head of the README: the same net, one op missing, then none.

python docs/make_images.py      (needs the extras draw and zoo)
"""

import tempfile
from pathlib import Path

import torch
from PIL import Image
from torch import nn

import flexir
from flexir.layers import describe


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
    both.save(Path(__file__).parent / "images" / "red_green.png")


if __name__ == "__main__":
    main()
