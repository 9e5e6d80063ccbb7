"""A loop over a list of sizes has as many rounds as there are tensors that they are of."""

from __future__ import annotations

import pytest
import torch

import flexir
from flexir import Diverged


def scaled(x):
    n = [r.shape[0] for r in x]
    h = x.sum()
    for k in n:
        h = h * k
    return h


def shifted(x):
    n = []
    for r in x:
        n.append(r[1:].shape[0] * 2)
    h = x.sum()
    for k in n:
        h = h + k
    return h


def counted(x):
    n = [x.shape[0] for _ in x]
    h = x.sum()
    for k in n:
        h = h + k
    return h


def summed(x):
    start, n = 0, [r.shape[0] for r in x]
    h = x * 0
    for k in n:
        h = h + start
        start = start + k
    return h


@pytest.mark.parametrize("model", [scaled, shifted, counted, summed])
@pytest.mark.parametrize("shapes", [((2, 3), (3, 3)), ((2, 3), (3, 4)), ((1, 2), (4, 3), (2, 5))])
def test_other_sizes_are_right_or_refused(model, shapes):
    first, *others = map(torch.ones, shapes)
    graph = flexir.capture(model, first, also=others)
    assert model in (counted, summed) or not graph.variants
    right = 0
    for shape in ((1, 3), (2, 3), (4, 3), (5, 5), (3, 2)):
        try:
            made = graph(torch.ones(shape))
        except Diverged:
            continue
        assert torch.equal(made, model(torch.ones(shape)))
        right += 1
    assert graph.variants or right > 1
