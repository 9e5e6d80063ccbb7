"""Read and run this first: the whole idea on nets of a few lines."""

import pytest
import torch
from torch import nn

import flexir


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        h = torch.relu(self.norm(self.conv(x)))
        return self.head(h.mean((2, 3)))


@pytest.fixture
def net():
    return Net().eval(), torch.randn(1, 3, 8, 8)


def test_a_model_is_run_once_and_becomes_named_calls(net):
    model, x = net
    graph = flexir.capture(model, (x,))
    assert [n.op for n in graph] == ["conv2d", "batch_norm", "relu", "mean", "linear"]
    conv = next(iter(graph))
    assert list(conv.args)[:3] == ["input", "weight", "bias"]
    assert conv.args["stride"] == (1, 1)
    assert conv.path == "conv"
    assert str(conv.source).startswith("test_tiny.py:")
    assert conv.args["weight"].name == "conv.weight"


def test_the_graph_is_the_model(net):
    model, x = net
    graph = flexir.capture(model, (x,))
    other = torch.randn(1, 3, 8, 8)
    assert torch.equal(graph(other), model(other))
    assert flexir.verify(graph, model, (other,)).verdict == "exact"


def test_five_lines_make_a_handler(net):
    model, x = net
    ir = flexir.Target("mine")

    @ir.op("conv2d")
    def conv2d(ctx, input, weight, bias, stride):
        name, tensor, _ = ctx.weight(weight)
        return ("Conv", input, name, tuple(tensor.shape), stride)

    result = flexir.convert(model, (x,), ir)
    assert result.report.handled == {"conv2d": 1}
    assert [e.op for e in result.report.entries] == ["batch_norm", "relu", "mean", "linear"]


def test_what_is_missing_flows_on_as_placeholders(net):
    model, x = net
    result = flexir.convert(model, (x,), flexir.Target("empty"))
    assert result.report.placeholders == 5
    assert result.outputs.op == "linear"
    with pytest.raises(flexir.UnsupportedError, match="5 calls have no handler"):
        flexir.convert(model, (x,), flexir.Target("empty"), strict=True)


def test_a_module_can_be_claimed_whole(net):
    model, x = net
    ir = flexir.Target("modules")

    @ir.module(nn.BatchNorm2d)
    def norm(ctx, module, input):
        return ("Norm", module.num_features)

    result = flexir.convert(model, (x,), ir)
    assert result.report.handled == {"BatchNorm2d": 1}
    assert "batch_norm" not in [e.op for e in result.report.entries]


def test_a_graph_prints_like_code(net):
    model, x = net
    text = str(flexir.capture(model, (x,)))
    assert "%1: f32[1,4,6,6] = conv2d(%x, weight=%conv.weight, bias=%conv.bias" in text
    assert text.splitlines()[0] == "graph Net(%x: f32[1,3,8,8]):"
    assert text.splitlines()[-1] == "    return %5"
