"""A loop with one round at most in all examples: what the next one begins with was not shown."""

from __future__ import annotations

import itertools

import pytest
import torch

import flexir
from flexir import Diverged


def added(x):
    a = []
    for r in x:
        if r.sum() > 3:
            a.append(r)
    for q in a:
        x = x + q
    return x


def filtered(x):
    for q in [r for r in x if r.sum() > 3]:
        x = x + q
    return x


def numbered(x):
    for i, q in enumerate([r for r in x if r.sum() > 3]):
        x = x + q * i
    return x


def picked(x):
    a = [r for r in x if r.sum() > 3]
    for i in range(len(a)):
        x = x + a[i]
    return x


def both(x):
    last, a = x[0], []
    for r in x:
        last = r
        if r.sum() > 3:
            a.append(r)
    for q in a:
        x = x + q + last
    return x


def ranged(x):
    for i in range(x.shape[0] - 2):
        x = x + x[i] * i
    return x


def rows(count, large):
    x = torch.randn(count, 3, generator=torch.Generator().manual_seed(count)) * 0.1
    x[large] += 2
    return x


@pytest.mark.parametrize("model", [added, filtered, numbered, picked, both, ranged])
@pytest.mark.parametrize("counts", [(1, 2), (2, 3), (3, 2, 4)])
def test_other_rounds_are_right_or_refused(model, counts):
    first, *others = (rows(n, [n - 1]) for n in counts)
    graph = flexir.capture(model, first, also=others)
    for count in range(1, 5):
        for large in itertools.product((False, True), repeat=count):
            x = rows(count, torch.tensor(large))
            try:
                made = graph(x)
            except Diverged:
                continue
            assert torch.equal(made, model(x)), (count, large)
