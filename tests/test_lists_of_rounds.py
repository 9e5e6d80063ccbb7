"""What loops make: lists, elements of them, numbers that are lines through the rounds.

Every model is shown at a few numbers of rounds and must be right, or refuse, at those it was not.
"""

from __future__ import annotations

import pytest
import torch

import flexir
from flexir.graph.choice import every, is_loop
from flexir.recording.proof import equal


def rounds(x, start=None):
    h, outs = torch.zeros_like(x[0]) if start is None else start, []
    for t in range(x.shape[0]):
        h = torch.tanh(h + x[t])
        outs.append(h)
    return h, outs


def last(x):
    return rounds(x)[1][-1] * 2


def last_but_one(x):
    return rounds(x)[1][-2] * 2


def first(x):
    return rounds(x)[1][0] * 2


def third(x):
    return rounds(x)[1][2] * 2


def ends_joined(x):
    _, outs = rounds(x)
    return torch.stack([outs[0], outs[-1], outs[1]])


def between_others(x):
    _, outs = rounds(x)
    return torch.stack([x[0], *outs, x[0] * 2])


def two_lists(x):
    h, outs = rounds(x)
    h, more = rounds(x, h)
    return torch.stack(outs + more), torch.stack([*more, *outs, h])


def both_ways(x):
    _, forwards = rounds(x)
    _, backwards = rounds(x.flip(0))
    return torch.cat([torch.stack(forwards), torch.stack(backwards)], 1)


def list_twice(x):
    _, outs = rounds(x)
    return torch.stack(outs), torch.stack([*outs, *outs])


def of_two_values(x):
    sums, products, total = [], [], x.new_zeros(3)
    for t in range(x.shape[0]):
        total = total + x[t]
        sums.append(total)
        products.append(x[t] * 3)
    return torch.stack(sums) + torch.stack(products)


def every_second_row(x):
    total = x.new_zeros(3)
    for t in range(x.shape[0] // 2):
        total = torch.tanh(total) + x[2 * t + 1]
    return total


def windows(x):
    return torch.stack([x[t : t + 2].sum(0) for t in range(x.shape[0] - 1)])


def weighted(x):
    total = x.new_zeros(3)
    for t in range(x.shape[0]):
        total = total + x[t] * (3 * t + 2)
    return total


def counted(x):
    n = 0
    for t in range(x.shape[0]):
        x = torch.tanh(x + t)
        n += 1
    return x * n + x.new_full((3,), 2 * n + 1)


def nested(x):
    outs = []
    for t in range(x.shape[0]):
        h = x[t]
        for s in range(x.shape[1]):
            h = torch.tanh(h + x[t, s])
        outs.append(h)
    return torch.stack(outs)


def triangle(x):
    outs = []
    for t in range(x.shape[0]):
        h = x[t]
        for s in range(t):
            h = torch.tanh(h + x[s])
        outs.append(h)
    return torch.stack(outs)


def rows_of(x):
    return torch.cat([torch.tanh(row)[None] for row in x.unbind(0)])


def zipped_rows(x):
    return torch.stack([a * torch.tanh(b) for a, b in zip(x.unbind(0), x.flip(0).unbind(0))])


def reversed_rows(x):
    h, outs = x.new_zeros(3), []
    for t in reversed(range(x.shape[0])):
        h = torch.tanh(h + x[t])
        outs.insert(0, h)
    return torch.stack(outs)


def grown_after(x):
    _, outs = rounds(x)
    outs.append(x.sum(0))
    outs.insert(0, x[0])
    return torch.stack(outs), outs[-1]


def mean_of_list(x):
    _, outs = rounds(x)
    return sum(outs[1:], outs[0]) / len(outs)


def list_returned(x):
    _, outs = rounds(x)
    return outs, tuple(outs)


# Model -> how many loops its graph has; None: one straight line for every example, so far.
MODELS = {
    last: 1, last_but_one: 1, first: None, third: None, ends_joined: None, between_others: 1,
    two_lists: 2, both_ways: 2, list_twice: None, of_two_values: 1, every_second_row: 1,
    windows: 1, weighted: 1, counted: 1, nested: 1, triangle: None, rows_of: 1, zipped_rows: 1,
    reversed_rows: None, grown_after: 1, mean_of_list: None, list_returned: None,
}  # fmt: skip


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_right_at_every_number_of_rounds_or_refused(model):
    examples = [(torch.rand(n, 3),) for n in (4, 6, 7)]
    graph = flexir.capture(model, examples[0], also=examples[1:])
    for one in examples:
        assert equal(graph(*one), model(*one)), "shown"
    told = 0
    for n in (3, 5, 9, 12):
        x = torch.rand(n, 3)
        try:
            made = graph(x)
        except (flexir.Diverged, IndexError):
            continue
        assert equal(made, model(x)), f"silently wrong at {n}"
        told += 1
    if (loops := MODELS[model]) is not None:
        found = [node for node in every(graph.nodes) if is_loop(node)]
        assert len(found) == loops and not graph.variants
        assert told == 4, "a loop goes on as often as it is asked to"
