"""Lists of numbers that Python made as long as a size says, given to calls."""

import itertools

import pytest
import torch

import flexir
from flexir.graph.lists import counted
from flexir.recording.lists_given import step_of
from flexir.recording.proof import equal


def positions(x):
    return x + torch.tensor(list(range(x.shape[0])))[:, None]


def backwards(x):
    return x[torch.tensor(list(range(x.shape[0]))[::-1])]


def zeros(x):
    return x + torch.tensor([0.5] * x.shape[0])[:, None]


def every_second(x):
    return x[[i * 2 for i in range(x.shape[0] // 2)]]


def from_the_middle(x):
    n = x.shape[0]
    return x[list(range(n // 2, n))]


def told_apart(x):
    return torch.tensor([True] * x.shape[0] + [False])


def two_of_them(x):
    n, m = x.shape
    return x[list(range(n))][:, list(range(m))[::-1]]


def of_rows(x):
    return x[[i for i, _ in enumerate(x)]] * 2


def squares(x):
    return x[[i * i % x.shape[0] for i in range(x.shape[0])]]


SHOWN = [(4, 3), (7, 5), (6, 4)]


@pytest.mark.parametrize(
    "function", [positions, backwards, zeros, every_second, of_rows, two_of_them, from_the_middle,
                 told_apart, squares]
)  # fmt: skip
@pytest.mark.parametrize("many", [2, 3])
def test_what_is_given_is_as_long_as_a_size_says(function, many, tmp_path):
    shown = [torch.rand(size) for size in SHOWN[:many]]
    graph = flexir.capture(function, shown[0], also=shown[1:])
    if function not in (from_the_middle, told_apart, squares):
        assert not graph.variants, graph.frozen
    graph.save(tmp_path / "net")
    graph = flexir.load(tmp_path / "net")
    right = 0
    for size in itertools.product((1, 2, 5, 9, 12), (1, 4, 6)):
        x = torch.rand(size)
        try:
            made = graph(x)
        except flexir.Diverged:
            continue
        assert equal(made, function(x)), size
        assert equal(graph.at(x)(x), made)
        right += 1
    assert right >= 12 or graph.variants


def test_counted_lists():
    assert counted(3, -1, 4) == [3, 2, 1, 0] and counted(0, 5, 0) == []
    assert counted(0.5, 0, 2) == [0.5, 0.5] and counted(True, 0, 2) == [True, True]
    assert step_of([[3, 2, 1], [1, 0]]) == -1 and step_of([[1, 2], [1]]) is None
    assert step_of([[1, 2, 4], [1]]) is None and step_of([[1, 2, True]]) is None
    assert step_of([[0.5, 1.0, 1.5]]) is None and step_of([[0.5] * 3, []]) == 0
    assert step_of([(1, 2, 3)]) is None
