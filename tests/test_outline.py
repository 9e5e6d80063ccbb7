"""Replays of a graph that was handed out, which find out once what holds for all of them."""

import pytest
import torch

import flexir
from flexir.graph.outline import Outline
from flexir.recording.eager import copies_of
from flexir.recording.proof import equal

pytest.importorskip("numpy")
from nasty import CASES

TOLD = [name for name, (_, _, expected) in CASES.items() if expected == "exact"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", TOLD)
def test_they_are_as_those_that_find_it_out_anew(name):
    model, make, _ = CASES[name]
    with torch.no_grad():
        args = make()
        graph = flexir.capture(model, copies_of(args, {})[0])
        expected = flexir.replay(graph, args)
        assert all(equal(graph(*args), expected) for _ in range(3))


def test_what_is_prepared():
    def model(x, n):
        y = torch.cat([x, x + n])
        y.mul_(2)
        torch.dropout(y, 0.5, True)
        return y.view(-1), torch.einsum("i,i->", x, x), len(x)

    x = torch.ones(3)
    outline = Outline.in_full(flexir.capture(model, (x, 2.0)))
    made = {node.op: call for node, call in outline.calls.items()}
    assert {"cat", "mul", "add"} <= made.keys() and "dropout" not in made
    assert [node.op for node in outline.drawing] == ["dropout"]
    assert outline.nodes and not outline.parts and not outline.asks


def test_a_graph_of_blocks_prepares_nothing():
    def model(x):
        return x * 2 if x.sum() > 0 else x - 1

    one, other = torch.ones(2), -torch.ones(2)
    graph = flexir.capture(model, (one,), also=[(other,)])
    assert graph.outline.parts and not graph.outline.calls
    for x in (one, other, one):
        assert torch.equal(graph(x), model(x))


def test_inputs_are_not_written_however_often():
    def model(x):
        x.add_(1)
        return x.relu_() * 2

    graph, x = flexir.capture(model, (torch.zeros(3),)), torch.zeros(3)
    with torch.no_grad():
        answers = [graph(x) for _ in range(3)]
    assert all(torch.equal(one, torch.full((3,), 2.0)) for one in answers)
    assert torch.equal(x, torch.zeros(3))
