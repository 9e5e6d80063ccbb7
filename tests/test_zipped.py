"""Loops over several things at once: as many rounds as the shortest has, also at other sizes."""

import itertools
import math

import pytest
import torch

import flexir
from flexir.recording.proof import equal

ROWS = torch.arange(6.0)
NOTHING = [None] * 6


def shown_numbers(x):
    return torch.stack([a * b for a, b in zip(x, (1, 2, 3, 4, 5, 6))])


def a_range(x):
    h = x[0]
    for i, row in zip(range(6), x):
        h = h + row * i
    return h


def numbers_without_end(x):
    h = x[0]
    for i, row in zip(itertools.count(), x):
        h = h + row * i
    return h


def a_list(x):
    h = x[0]
    for row, _ in zip(x.unbind(), NOTHING):
        h = h + row
    return h


def made_here(x):
    h = x[0]
    for row, _ in zip(x, [None] * 6):
        h = h + row
    return h


def rows_of_a_weight(x):
    return torch.stack([a * b for a, b in zip(x, ROWS)])


def rows_of_a_weight_first(x):
    return torch.stack([a * b for a, b in zip(ROWS.unbind(), x)])


def parts_of_a_weight(x):
    h = x[0]
    for row, part in zip(x.split(1), ROWS.split(1)):
        h = h + row * part
    return h


def neighbours(x):
    return torch.stack([a * b for a, b in zip(x, x[1:])])


def but_the_ends(x):
    h = x[0]
    for row in x[1:-1]:
        h = h + row
    return h


def at_most_six(x):
    h = x[0]
    for row in x[:6]:
        h = h + row
    return h


def added_up(x):
    return sum(row for row, _ in zip(x, range(6)))


def rounds_that_a_call_tells(x):
    h = x[0]
    for i in range(min(6, len(x))):
        h = h + x[i] * i
    return h


def rounds_of_a_function(x):
    h = x[0]
    for i in range(math.ceil(len(x) / 2)):
        h = h + x[i]
    return h


MODELS = [one for one in list(globals().values()) if callable(one) and one.__module__ == __name__]


@pytest.mark.parametrize("model", MODELS, ids=lambda m: m.__name__)
def test_a_loop_ends_with_the_shortest(model):
    x4, x5 = torch.rand(4, 2), torch.rand(5, 2)
    graph = flexir.capture(model, (x4,), also=[(x5,)])
    assert not graph.variants and not graph.audit.laundered
    for many in (3, 6, 7, 9):
        x = torch.rand(many, 2)
        assert equal(graph(x), model(x)), many


def test_of_what_is_not_told_no_number_of_rounds_is_guessed():
    def made(x):
        return [row * 2 for row in x]

    def model(x):
        h = x[0]
        for row, _ in zip(x, made(x)[:6]):
            h = h + row
        return h

    graph = flexir.capture(model, (torch.rand(4, 2),), also=[(torch.rand(5, 2),)])
    x = torch.rand(9, 2)
    try:
        assert equal(graph(x), model(x))
    except flexir.Diverged:
        pass
    else:
        assert graph.audit.laundered or equal(graph(x), model(x))
