"""Some calls of a graph as a graph of their own: what it takes, returns, keeps and is called."""

import torch
from torch import nn

import flexir
from flexir.passes.extract import calls, extract, reads


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x, y):
        return (self.layer(x) * y).relu()


x, y = torch.randn(2, 4), torch.randn(2, 4)


def captured():
    net = Net().eval()
    with torch.no_grad():
        return net, flexir.capture(net, (x, y))


def test_calls_taken_out_compute_what_they_computed():
    net, graph = captured()
    product = next(n for n in graph if n.op == "mul")
    small, given = extract(graph, [product], product.outputs, "product")
    assert small.name == "product" and [n.op for n in small] == ["mul"]
    assert given == list(product.inputs) and list(small.inputs) == ["x0", "x1"]
    assert not small.constants
    (made,) = small(x, y)
    assert torch.equal(made, x * y)


def test_weights_stay_weights_and_a_module_stays_a_module():
    net, graph = captured()
    layer = graph.nodes[0]
    while layer.body is not None and layer.path != "layer":
        layer = layer.body[0]
    small, given = extract(graph, [layer], layer.outputs, "layer")
    assert given == [graph.input_values[0]]
    assert len(small.constants) == 2 and small.constants.keys() <= graph.constants.keys()
    assert small.nodes[0].body is not None and small.nodes[0] is not layer
    with torch.no_grad():
        assert torch.equal(small(x)[0], net.layer(x))


def test_a_value_that_no_call_makes_may_be_returned():
    _, graph = captured()
    last = next(n for n in graph if n.op == "relu")
    small, given = extract(graph, [last], [*last.outputs, graph.input_values[1]], "more")
    assert given == [*last.inputs, graph.input_values[1]]
    made = small(x, y)
    assert torch.equal(made[0], x.relu()) and torch.equal(made[1], y)


def test_a_module_reads_what_its_calls_read_and_do_not_make():
    _, graph = captured()
    layer = graph.nodes[0]
    while layer.body is not None and layer.path != "layer":
        layer = layer.body[0]
    (inner,) = calls(layer)
    assert inner.op == "linear" and calls(inner) == [inner]
    assert reads(inner) == list(inner.inputs)
    assert set(reads(layer)) == set(inner.inputs) and reads(layer)[0] is graph.input_values[0]
