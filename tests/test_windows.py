"""A window over what rounds made: conditions move its elements, and none alone says which."""

from __future__ import annotations

import collections
import itertools

import pytest
import torch

import flexir
from flexir import Diverged


def deleted(x):
    a, h = [x[0]], x[0]
    for r in x:
        if r.sum() > 1.5:
            a.append(h)
        h = (h + r).sin()
        a.append(h)
        del a[:-4]
    return torch.stack(a).sum(0)


def cut(x):
    a, h = [x[0]], x[0]
    for r in x:
        if r.sum() > 1.5:
            a.append(h)
        h = (h + r).sin()
        a = [*a[-3:], h]
    return torch.stack(a).sum(0)


def queued(x):
    a, h = collections.deque([x[0]], maxlen=4), x[0]
    for r in x:
        if r.sum() > 1.5:
            a.append(h)
        h = (h + r).sin()
        a.append(h)
    return torch.stack(list(a)).sum(0)


def rows(bits):
    x = torch.randn(len(bits), 3, generator=torch.Generator().manual_seed(1)) * 0.1
    return x + torch.tensor(bits)[:, None]


@pytest.mark.parametrize("model", [deleted, cut, queued])
@pytest.mark.parametrize(
    "first, second",
    [
        ((1, 0, 0, 0, 1, 1), (1, 1, 1, 0, 0, 0)),
        ((0, 0, 0, 1, 0, 1), (0, 0, 1, 1, 1, 0)),
        ((0, 1, 1, 0, 0, 1), (0, 1, 1, 1, 0, 0)),
    ],
)
def test_other_ways_are_right_or_refused(model, first, second):
    graph = flexir.capture(model, rows(first), also=[rows(second)])
    for bits in itertools.product((0, 1), repeat=6):
        try:
            made = graph(rows(bits))
        except Diverged:
            continue
        assert torch.equal(made, model(rows(bits))), bits
