"""Where values first differ: an engine's beside torch's, a graph's beside its model's."""

import torch
from torch import nn

import flexir


def chain(x):
    return (x.exp() * 2).tanh() + 1


def values_of(graph, x):
    """Every value of a graph by its name."""
    found = {"x": x}
    flexir.replay(graph, (x,), watch=lambda node, made: found.update(
        zip((v.name for v in node.outputs), made)))  # fmt: skip
    return found


def graph_and_values(model=chain):
    x = torch.tensor([0.1, -0.2, 0.3])
    graph = flexir.capture(model, (x,))
    return graph, x, values_of(graph, x)


def test_inputs_are_taken_from_the_values_where_none_are_given():
    graph, x, values = graph_and_values()
    for found in (flexir.compare(graph, values), flexir.compare(graph, values, (x,))):
        assert found and [row.node.op for row in found.rows] == ["exp", "mul", "tanh", "add"]
    values["x"] = x + 1
    assert not flexir.compare(graph, values)
    assert flexir.compare(graph, values, (x,)), "inputs that are given are taken"
    assert flexir.compare(graph, values, kwargs={"x": x}, args=()), "also by their names"


def test_only_the_first_call_that_differs_is_given_causes():
    graph, x, values = graph_and_values()
    values = {name: made if name == "x" else made * 2 for name, made in values.items()}
    found = flexir.compare(graph, values, (x,))
    assert [row.ok for row in found.rows] == [False] * 4 and found.first is found.rows[0]
    assert "it was multiplied by 2" in found.rows[0].causes
    assert not any(row.causes for row in found.rows[1:])


def test_values_nobody_gave_are_not_compared():
    graph, x, values = graph_and_values()
    del values[graph.nodes[1].outputs[0].name]
    found = flexir.compare(graph, values, (x,))
    assert found and [row.node.op for row in found.rows] == ["exp", "tanh", "add"]

    graph, x, values = graph_and_values(lambda x: torch.max(x.reshape(1, 3), 1))
    (node,) = graph.nodes[-1:]
    del values[node.outputs[1].name]
    values[node.outputs[0].name] = values[node.outputs[0].name] * 3
    (row,) = flexir.compare(graph, values, (x,)).bad
    assert row.node is node and "it was multiplied by 3" in row.causes


def test_the_tolerance_is_relative_to_the_largest():
    graph, x, values = graph_and_values(lambda x: x * 1000)
    name = graph.nodes[0].outputs[0].name
    values[name] = values[name] + 0.2  # of 300
    assert flexir.compare(graph, values, (x,))
    assert not flexir.compare(graph, values, (x,), rtol=5e-4)


class Drifting(nn.Module):
    """Another one than was captured: by its attribute."""

    by = 2.0

    def forward(self, x):
        x = x.exp()
        return ((x - 1) * torch.tensor(self.by)).tanh()


def test_the_first_call_whose_values_are_not_the_models_is_named():
    model, x = Drifting(), torch.tensor([0.1, 0.2])
    graph = flexir.capture(model, (x,))
    assert flexir.verify(graph, model, (x,)).first is None
    model.by = 3.0
    check = flexir.verify(graph, model, (x,))
    assert check.verdict == "wrong" and check.first is not None, str(check)
    node, difference = check.first
    assert node.op in ("tensor", "mul") and not difference.equal
    assert f"first difference: {node}" in str(check)
