"""Sizes that values decide are live, also where all examples had the same by chance."""

import pytest
import torch
from torch.nn.utils.rnn import pad_sequence

import flexir
from flexir.graph.choice import every
from flexir.recording.decided_sizes import lengthened, may_decide
from flexir.recording.proof import equal


def masked(x):
    return x[x > 0.9] * 2


def padded(x):
    return pad_sequence([torch.unique(row.round()) for row in x], batch_first=True)


def padded_beside_half_of_its_length(x):
    ids = pad_sequence([torch.unique(row.round()) for row in torch.unbind(x)], batch_first=True)
    _half = ids.shape[1] // 2  # no call is given it
    return torch.nn.functional.pad(ids, (1, 0))


def indices(x):
    rows = torch.nonzero(x.sum(1) > 3)[:, 0]
    y = x[rows]
    return torch.cat([y, x]), y.new_ones(y.shape[0] + 1), len(rows)


def written(x):
    y, mask = x.clone(), x > 0.9
    y[mask] = y[mask] * 2
    return y, x[:, x[0] > 0.9]


def repeated(x):
    return torch.repeat_interleave(x, (x[:, 0] > 0.9).long(), dim=0).sum(0), torch.where(x > 0.9)


@pytest.mark.parametrize("model", [masked, padded, padded_beside_half_of_its_length, indices,
                                   written, repeated])  # fmt: skip
def test_as_many_as_values_say_however_many_were_shown(model):
    """The examples select nothing, or have one element each."""
    shown = [torch.rand(2, 3) * 0.4, torch.rand(4, 3) * 0.4]
    graph = flexir.capture(model, (shown[0],), also=[(shown[1],)])
    assert not graph.variants
    generator = torch.Generator().manual_seed(0)
    for x in (torch.rand(5, 3, generator=generator) * 2, torch.zeros(1, 3), torch.ones(3, 3)):
        assert equal(graph(x), model(x))


def calls(model, *inputs):
    graph = flexir.capture(model, inputs)
    return graph, {node.op for node in may_decide(every(graph.nodes))}


def test_which_calls_cannot_be_made_without_elements():
    def model(x, mask):
        plain = torch.relu(x)[0], x[[0]], torch.cat([x, x]), x.softmax(0), torch.where(mask, x, x)
        return plain, x[mask], mask.nonzero(), x.masked_select(mask), torch.unique(x)

    graph, found = calls(model, torch.rand(3), torch.rand(3) > 0.5)
    assert found == {"getitem", "nonzero", "masked_select", "unique"}
    deciding = may_decide(every(graph.nodes))
    assert sum(node.op == "getitem" for node in deciding) == 1


@pytest.mark.parametrize("many", [0, 1, 3])
def test_what_values_decide_is_one_longer(many):
    def model(x, mask):
        return x[:, mask]

    x, mask = torch.rand(2, 3), torch.arange(3) < many
    graph, _ = calls(model, x, mask)
    (node,) = graph.nodes
    a, b = graph.input_values
    ((value, longer),) = lengthened(node, {a: x, b: mask, node.outputs[0]: x[:, mask]}).items()
    assert value is node.outputs[0] and longer.shape == (2, many + 1)
    assert torch.equal(longer[:, :many], x[:, mask])
