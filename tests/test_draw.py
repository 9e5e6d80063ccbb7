"""Pictures: colours, collapsing, endings."""

from pathlib import Path

import pytest
import torch
from torch import nn

import flexir
from flexir import describe
from flexir.files.draw.dot import to_dot


def chain(depth):
    return nn.Sequential(*[nn.Sequential(nn.Linear(2, 2), nn.ReLU()) for _ in range(depth)])


def test_placeholders_are_red_and_refused_ones_another_colour(tmp_path):
    ir = flexir.Target("t")
    ir.op("linear")(lambda ctx, input, weight, bias: "fc")
    ir.op("add")(lambda ctx, input, other: "sum")
    model = lambda x: torch.add(torch.relu(nn.functional.linear(x, x)), x, alpha=2)
    result = flexir.convert(model, torch.ones(2, 2), ir)
    path = result.draw(str(tmp_path / "net.dot"))
    text = Path(path).read_text()
    red = [line for line in text.splitlines() if "#e5484d" in line]
    orange = [line for line in text.splitlines() if "#f5a623" in line]
    assert "relu" in red[0] and "add" in orange[0]
    assert "placeholder: no handler" in text and "placeholder: handler refused" in text
    assert text.count("->") == 5


def test_large_graphs_are_collapsed_by_module():
    graph = flexir.capture(nn.Sequential(*[chain(20) for _ in range(20)]), torch.ones(1, 2))
    result = flexir.convert(graph, target=describe.extend("t", without=["relu"]))
    text = to_dot(graph, result.status, limit=300)
    assert text.count("label=") < 60 and "(40 calls)" not in text
    assert "(20 placeholders)" in text
    small = flexir.capture(chain(10), torch.ones(1, 2))
    collapsed = to_dot(small, limit=15)
    assert "(2 calls)" in collapsed and "relu" not in collapsed


def test_a_collapsed_module_counts_its_placeholders():
    graph = flexir.capture(chain(10), torch.ones(1, 2))
    result = flexir.convert(graph, target=describe.extend("t", without=["relu"]))
    assert "(1 placeholders)" in to_dot(graph, result.status, limit=15)


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_pictures_are_files_of_their_kind(tmp_path, ending):
    pytest.importorskip("pygraphviz")
    result = flexir.convert(chain(2), torch.ones(1, 2), describe)
    path = result.draw(str(tmp_path / f"net.{ending}"))
    data = Path(path).read_bytes()
    assert data.startswith(b"\x89PNG") if ending == "png" else b"<svg" in data


def test_an_unknown_ending_is_refused(tmp_path):
    result = flexir.convert(chain(1), torch.ones(1, 2), describe)
    with pytest.raises(flexir.Error, match="must end in .html, .png, .svg or .dot"):
        result.draw(str(tmp_path / "net.pdf"))


def test_labels_are_escaped():
    class Odd(nn.Module):
        def forward(self, x):
            return x + 1

    Odd.__name__ = 'Odd"quoted\\'
    assert '\\"quoted\\\\' in to_dot(flexir.capture(Odd(), torch.ones(1)))


def test_state_is_drawn_where_it_comes_in_and_goes_out(tmp_path):
    class Memory(nn.Module):
        def __init__(self):
            super().__init__()
            self.h = torch.zeros(2)

        def forward(self, x):
            self.h = torch.tanh(self.h + x)
            return self.h * 2

    graph = flexir.capture(Memory(), torch.ones(2))
    lines = to_dot(graph).splitlines()
    (kept,) = [line for line in lines if line.strip().startswith("kept_0 [")]
    (after,) = [line for line in lines if line.strip().startswith("next_0 [")]
    assert "h\\nf32[2]" in kept and "next h\\nf32[2]" in after
    assert "  next_0 -> kept_0 [style=dashed, constraint=false];" in lines
    assert any(line.startswith("  kept_0 -> n") for line in lines)
    graph.draw(str(tmp_path / "net.html"))
    page = (tmp_path / "net.html").read_text()
    assert '"next h"' in page and "kept from call to call" in page
