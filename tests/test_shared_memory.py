"""A call that gives a view at some sizes and a copy at others, where memory is written to."""

from __future__ import annotations

import json

import pytest
import torch

import flexir
from flexir import Diverged
from flexir.recording.proof import equal


def reshaped(x, k):
    h = x * 2
    y = h[:, :k].reshape(-1)
    y[0] = 9
    return h


def contiguous(x, k):
    h = x * 2
    h[:, :k].contiguous().zero_()
    return h


def expanded(x, k):
    h = x.sum(1, keepdim=True)
    y = h.expand(-1, k).contiguous()
    y += 1
    return h


def base_written(x, k):
    h = x * 2
    y = h[:, :k].reshape(-1)
    h[0, 0] = 5
    return y


def flattened(x, k):
    y = x.t().flatten()
    y[0] = k
    return x * 1


PARTS = [(torch.rand(4, 6), 2), (torch.rand(5, 8), 3), (torch.rand(7, 9), 5)]
WHOLE = {expanded: (torch.rand(3, 6), 1), flattened: (torch.zeros(1, 6), 6)}


@pytest.mark.parametrize(
    "model", [reshaped, contiguous, expanded, base_written, flattened], ids=lambda f: f.__name__
)
def test_a_view_where_examples_had_copies_is_refused(model, tmp_path):
    graph = flexir.capture(model, PARTS[0], also=PARTS[1:])
    graph.save(tmp_path / "net.flexir")
    assert json.loads((tmp_path / "net.flexir/manifest.json").read_text())["minimum_reader"] == 7
    for one in (graph, flexir.load(tmp_path / "net.flexir")):
        args = torch.rand(3, 7), 4
        assert equal(one(*args), model(*args))
        with pytest.raises(Diverged, match="memory"):
            one(*WHOLE.get(model, (torch.rand(3, 6), 6)))


def test_a_copy_where_examples_had_views_is_refused():
    graph = flexir.capture(reshaped, (torch.rand(4, 6), 6), also=[(torch.rand(5, 8), 8)])
    args = torch.rand(3, 7), 7
    assert equal(graph(*args), reshaped(*args))
    with pytest.raises(Diverged, match="a copy"):
        graph(torch.rand(3, 7), 4)


def test_examples_of_both_kinds_are_variants():
    examples = [(torch.rand(4, 6), 6), (torch.rand(5, 8), 3), (torch.rand(5, 9), 9)]
    graph = flexir.capture(reshaped, examples[0], also=examples[1:])
    for args in examples:
        assert equal(graph(*args), reshaped(*args))
    with pytest.raises(Diverged):
        graph(torch.rand(3, 9), 2)


def test_a_graph_that_writes_nothing_takes_either():
    def model(x, k):
        return (x * 2)[:, :k].reshape(-1) + 1

    graph = flexir.capture(model, PARTS[0], also=PARTS[1:])
    args = torch.rand(3, 6), 6
    assert equal(graph(*args), model(*args))
    assert all(node.effects.memory is None for node in graph.walk())
