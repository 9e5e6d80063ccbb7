"""The story of every new model: convert it, see what is missing, add five lines, done.

The target ``tutorial`` knows everything ``flexir.describe`` knows except ``flatten``.

    python example_resnet50.py
"""

import logging
import sys
from pathlib import Path

import torch

import flexir
from flexir import describe
from flexir.conversion.layers.describe import layer

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from zoo.torchvision_models import entry

logging.basicConfig(format="%(levelname)-8s | %(message)s", stream=sys.stdout)
logging.getLogger("flexir").setLevel(logging.DEBUG)


def main() -> None:
    model, _, _ = entry("resnet50").make()
    inputs = (torch.rand(1, 3, 224, 224),)
    graph = flexir.capture(model, inputs)

    # First run: one op is missing. Nothing stops; the op is a red placeholder.
    tutorial = describe.extend("tutorial", without=["flatten"])
    print("Converting resnet50 ...")
    result = flexir.convert(graph, target=tutorial, out=[])
    picture = draw(result, "resnet50.png")
    result.report.log(picture)
    print(f"resnet50 success, {result.report.placeholders} placeholder\n")

    # The five lines.
    mine = tutorial.extend("mine")

    @mine.op("flatten")
    def flatten(ctx, input, start_dim, end_dim):
        return layer(ctx, "Flatten", f"from {start_dim} to {end_dim}", input)

    # Second run, on the same capture.
    logging.getLogger("flexir").setLevel(logging.INFO)
    print("Converting resnet50 again ...")
    result = flexir.convert(graph, target=mine, out=[])
    draw(result, "resnet50_done.png")
    print(f"resnet50 success, {result.report.placeholders} placeholders")

    # The graph is the model: replayed, it gives the model's own numbers.
    print(flexir.verify(graph, model, inputs))


def draw(result, name: str) -> str:
    """A picture; DOT text where Graphviz is not installed."""
    try:
        return result.draw(name)
    except flexir.Error as error:
        print(error)
        return result.draw(name.replace(".png", ".dot"))


if __name__ == "__main__":
    main()
