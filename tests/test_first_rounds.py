"""Loops whose first round does something else: nothing is there yet to compare or to add to."""

from __future__ import annotations

import pytest
import torch

import flexir
from flexir.recording.proof import equal


def differences(x):
    made, before = [], None
    for row in x:
        made.append(row if before is None else row - before)
        before = row
    return torch.stack(made)


def largest(x):
    found = None
    for row in x:
        found = row if found is None else torch.maximum(found, row)
    return found


def weighted(x):
    total = None
    for i, row in enumerate(x):
        part = row * i
        total = part if total is None else total + part
    return total


def of_a_range(x):
    return sum(x[i] * i for i in range(x.shape[0]))


def of_rows(x):
    return sum(torch.relu(row) * (i + 1) for i, row in enumerate(x))


def from_the_second_on(x):
    made = []
    for i, row in enumerate(x):
        if i > 0:
            made.append(row - x[i - 1])
    return torch.stack(made)


def is_one_graph(model):
    """Three examples are one graph, right at as many rows as none of them had."""
    torch.manual_seed(0)
    first, *others = [(torch.randn(n, 4),) for n in (3, 5, 6)]
    graph = flexir.capture(model, first, also=others)
    assert not graph.variants
    for n in (2, 4, 9):
        x = torch.randn(n, 4)
        assert equal(graph(x), model(x))


MODELS = [differences, largest, weighted, of_a_range, of_rows, from_the_second_on]


@pytest.mark.parametrize("model", MODELS, ids=lambda f: f.__name__)
def test_as_many_rounds_as_no_example_had(model):
    is_one_graph(model)


def backwards(x):
    h = None
    for row in reversed(x):
        h = row if h is None else torch.tanh(h + row)
    return h


def best(x):
    found = None
    for row in x:
        if found is None or row.sum() > found.sum():
            found = row
    return found


@pytest.mark.parametrize("model", [backwards, best], ids=lambda f: f.__name__)
def test_others_are_right_or_refused(model):
    torch.manual_seed(0)
    first, *others = [(torch.randn(n, 4),) for n in (3, 5, 6, 4)]
    graph = flexir.capture(model, first, also=others)
    for n in (1, 2, 3, 4, 8):
        x = torch.randn(n, 4)
        try:
            assert equal(graph(x), model(x))
        except flexir.Diverged:
            continue


def turned(x):
    rows, columns = zip(*x[:, :2])
    return torch.stack(rows) - torch.stack(columns)


def marked(x):
    made = torch.ones(9, 4)
    rows, columns = zip(*(x[:, :2].abs() * 2).long().clamp(0, 3))
    made[rows, columns] = 0
    return made * x.sum()


@pytest.mark.parametrize("model", [turned, marked], ids=lambda f: f.__name__)
def test_zip_of_all_rows_of_a_tensor_is_a_loop(model):
    is_one_graph(model)
