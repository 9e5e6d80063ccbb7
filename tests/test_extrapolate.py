"""Sizes that were the same in all examples by chance: a size beyond them tells."""

import math

import pytest
import torch
import torch.nn.functional as F

import flexir
from flexir.recording.extrapolate import between, extrapolated
from flexir.recording.proof import equal


def padded(x):
    b, c, h, w = x.shape
    x = F.pad(x, (0, -w % 8, 0, -h % 8))
    h, w = x.shape[-2:]
    return x.view(b, c, h // 8, 8, w // 8, 8).mean((3, 5)), x.new_ones(3)


def test_a_size_that_two_examples_have_by_chance_is_live():
    first, second = torch.rand(1, 3, 25, 26), torch.rand(1, 3, 30, 31)
    graph = flexir.capture(padded, (first,), also=[(second,)])
    assert [one.values for one in graph.live] == [(25, 30), (26, 31)], "no example beyond is told"
    for size in ((25, 26), (30, 31), (40, 41), (9, 70)):
        x = torch.rand(1, 3, *size)
        assert all(map(torch.equal, graph(x), padded(x))), size
    with pytest.raises(flexir.Diverged):
        graph(torch.rand(2, 3, 25, 26))  # no example showed another batch


def scaled(x):
    """To 32 rows at most, and a multiple of 8 on the other side."""
    h, w = x.shape
    wide = math.ceil(32 * w / h / 8) * 8
    return x.new_zeros(32, wide), x.sum()


def test_a_size_that_is_the_same_where_all_vary_alike():
    first, second = torch.rand(20, 30), torch.rand(24, 36)
    graph = flexir.capture(scaled, (first,), also=[(second,)])
    for x in (first, second, torch.rand(20, 60), torch.rand(50, 30)):
        assert all(map(equal, graph(x), scaled(x)))


def test_a_path_that_one_example_took_takes_other_sizes():
    def model(x):
        if x.sum() > 0:
            return x.view(-1).exp().view(x.shape) * 2
        return x

    graph = flexir.capture(model, -torch.ones(2, 3), also=[torch.ones(4, 3)])
    assert not graph.variants and "f32[B,3] = mul" in str(graph)
    for x in (torch.ones(7, 3), -torch.ones(5, 3)):
        assert torch.equal(graph(x), model(x))


def test_a_graph_that_cannot_go_beyond_is_as_its_examples_say():
    def model(x):
        return x * torch.arange(4.0)[: x.shape[0]]

    graph = flexir.capture(model, (torch.rand(3),), also=[(torch.rand(4),)])
    assert not graph.variants and torch.equal(graph(torch.ones(2)), torch.arange(2.0))


def test_inputs_beyond_lie_as_far_from_one_example_as_that_one_from_another():
    a, b = torch.arange(6.0).view(2, 3), torch.arange(15.0).view(3, 5)
    made = extrapolated([flexir.Inputs(a, n=a), flexir.Inputs(b, n=b)])
    assert made.args[0].shape == (4, 7) and made.kwargs["n"].shape == (4, 7)
    assert torch.equal(made.args[0], a[torch.arange(4) % 2][:, torch.arange(7) % 3])
    assert extrapolated([flexir.Inputs(b), flexir.Inputs(a)]).args[0].shape == (4, 7)
    assert extrapolated([flexir.Inputs(a), flexir.Inputs(b), flexir.Inputs(a)]).args[0].shape == (
        4,
        7,
    )
    assert (
        extrapolated([flexir.Inputs(a)])
        is None
        is extrapolated([flexir.Inputs(a), flexir.Inputs(a)])
    )
    assert extrapolated([flexir.Inputs(a), flexir.Inputs(b[0])]) is None, "another rank"
    pair = [flexir.Inputs(a), flexir.Inputs(b)]
    assert extrapolated(pair, 0).args[0].shape == (2, 7)
    assert extrapolated(pair, 1).args[0].shape == (4, 3)
    square = [flexir.Inputs(torch.ones(2, 2)), flexir.Inputs(torch.ones(3, 3))]
    assert extrapolated(square, 0) is None is extrapolated(square, 1), "they vary as one"
    ids = torch.tensor([5, 7])
    longer = extrapolated([flexir.Inputs(ids), flexir.Inputs(torch.tensor([1, 2, 3]))])
    assert longer.args[0].tolist() == [5, 7, 5, 7], "elements are those of an example"


def test_sizes_between_two_are_halfway_and_none_lies_between_neighbours():
    one, other = torch.arange(6.0).reshape(2, 3), torch.zeros(5, 3)
    made = between(flexir.Inputs(one), flexir.Inputs(other)).args[0]
    assert made.shape == (3, 3) and torch.equal(made, one[[0, 1, 0]])
    assert between(flexir.Inputs(other), flexir.Inputs(one)).args[0].shape == (3, 3)
    assert between(flexir.Inputs(one), flexir.Inputs(torch.zeros(3, 3))) is None
    assert between(flexir.Inputs(one), flexir.Inputs(torch.zeros(3))) is None
