"""Writes to parts of a tensor, by whatever call they were taken out, at other sizes."""

import pytest
import torch

import flexir


def diagonals(x):
    y = x * 2
    y.diagonal(dim1=-2, dim2=-1).fill_(0)
    y.t().diagonal(1)[1:].add_(5)
    return y


def narrowed(x):
    y = x * 2
    y.narrow(0, 1, x.shape[0] - 2).unsqueeze(0).add_(1)
    y.narrow(1, -2, 2).zero_()
    return y


def selected(x):
    y = x * 2
    y.select(1, -1).add_(x.shape[0])
    y.select(0, 0)[1:].zero_()
    return y


def chunks(x):
    y = x * 2
    a, b = y.chunk(2, 1)
    a.add_(1)
    b.mul_(a[:, : b.shape[1]])
    return y


def split(x):
    y = x * 2
    n = x.shape[0] // 2
    _, b = y.split([n, x.shape[0] - n])
    b.add_(1)
    return y + b.sum()


def cut_at(x):
    y = x * 2
    torch.tensor_split(y, (1, x.shape[1] - 1), dim=1)[1].fill_(3)
    y.hsplit([2])[0].neg_()
    return y


def each_chunk(x):
    y = x * 2
    for part in y.chunk(2):
        part.add_(part.sum())
    return y


def each_row(x):
    y = x * 2
    for i, row in enumerate(y):
        row.mul_(i).add_(row.sum())
    return y


MODELS = [diagonals, narrowed, selected, chunks, split, cut_at, each_chunk, each_row]


@pytest.mark.parametrize("model", MODELS)
def test_what_is_written_to_a_part_is_in_the_whole_at_other_sizes(model):
    shown = [torch.rand(n, n) for n in (4, 6)]
    graph = flexir.capture(model, shown[0], also=shown[1:])
    assert not graph.variants, graph.frozen
    for n in (4, 5, 9):
        x = torch.rand(n, n)
        assert torch.equal(graph(x), model(x)), n
        assert torch.equal(graph.at(x)(x), model(x)), n


@pytest.mark.parametrize("model", MODELS)
def test_one_example_is_as_it_was(model):
    x = torch.rand(4, 4)
    graph = flexir.capture(model, x)
    assert torch.equal(graph(x), model(x)) and "diagonal_scatter" not in str(graph)
