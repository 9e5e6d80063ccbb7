"""Calls in a row as examples: counters, what is None at first, and caches that grow are live."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import flexir


def same_as_the_model(graph, make, inputs):
    run, model = graph.start(), make()
    for args in inputs:
        with torch.no_grad():
            assert torch.equal(run(*args), model(*args))


class Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.n = 0

    def forward(self, x):
        self.n += x.shape[0]
        return x * self.n


class Growing(nn.Module):
    """None, then a tensor, then a longer one; in a part of the model."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Module()
        self.inner.cache = None
        self.inner.parts = []

    def forward(self, x):
        cache = self.inner.cache
        self.inner.cache = x if cache is None else torch.cat([cache, x])
        self.inner.parts = [*self.inner.parts[-1:], x.sum()]
        return self.inner.cache.cumsum(0)[-1] + sum(self.inner.parts)


class Written(nn.Module):
    """A buffer written in place, an attribute that is replaced, and a dictionary that fills."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(3))
        self.last = torch.zeros(3)
        self.seen = {"count": 0}

    def forward(self, x):
        self.seen["count"] += 1
        self.mean.mul_(0.5).add_(x[0])
        out = self.mean + self.last * self.seen["count"]
        self.last = x[-1] * 2
        return out


@pytest.mark.parametrize("make", [Counting, Growing, Written])
def test_calls_in_a_row_go_on_for_as_long_as_the_model_does(make):
    torch.manual_seed(0)
    inputs = [(torch.rand(n, 3),) for n in (2, 3, 1, 4, 2, 5, 7)]
    model = make()
    graph = flexir.capture(model, calls=inputs[:4])
    assert graph.audit.unaccounted == 0 and not graph.audit.changes
    same_as_the_model(graph, make, inputs)


def test_capturing_calls_in_a_row_leaves_the_model_as_after_them():
    x = torch.rand(2, 3)
    for make in (Counting, Growing, Written):
        model, other = make(), make()
        flexir.capture(model, calls=[(x,)] * 3)
        for _ in range(3):
            other(x)
        assert torch.equal(model(x), other(x))
    model = Counting()
    flexir.capture(model, calls=[(x,)] * 3)
    assert type(model.n) is int and model.n == 6


def test_what_calls_in_a_row_carry_is_an_input_that_an_engine_can_be_fed():
    graph = flexir.capture(Counting(), calls=[(torch.ones(2, 3),)] * 3)
    assert [value.name for value in graph.input_values] == ["x", "held.n"]
    assert graph.carried == {"n": 0}
    assert torch.equal(graph(torch.ones(2, 3)), torch.ones(2, 3) * 2)
    assert torch.equal(graph(torch.ones(2, 3), held={"n": 5}), torch.ones(2, 3) * 7)


def test_branches_over_what_calls_left_behind_are_taken_as_examples_showed():
    class Warming(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.n = 0

        def forward(self, x):
            self.n += 1
            return x * 2 if self.n < 3 else x.exp()

    graph = flexir.capture(Warming(), calls=[(torch.ones(2),)] * 4)
    same_as_the_model(graph, Warming, [(torch.rand(2),)] * 7)


def test_what_no_attribute_of_a_module_holds_is_refused_by_name():
    count = {"n": 0}

    class Elsewhere(nn.Module):
        def forward(self, x):
            count["n"] += 1
            return x * count["n"]

    graph = flexir.capture(Elsewhere(), calls=[(torch.ones(2),)] * 2)
    run = graph.start()
    with pytest.raises(flexir.Diverged, match="count.n was 2 before the call"):
        for _ in range(2):
            run(torch.ones(2))


def test_calls_in_a_row_need_a_module_and_stand_alone():
    with pytest.raises(flexir.CaptureError, match="this is no module"):
        flexir.capture(torch.relu, calls=[torch.ones(2)])
    with pytest.raises(flexir.CaptureError, match="calls are all examples"):
        flexir.capture(Counting(), torch.ones(2), calls=[torch.ones(2)])


def test_a_state_that_is_missing_is_named():
    graph = flexir.capture(Counting(), calls=[(torch.ones(2, 3),)] * 3)
    with pytest.raises(flexir.Diverged, match="'held' is built otherwise .* without 'n'"):
        graph(torch.ones(2, 3), held={})


class Beginning(nn.Module):
    """Begins with a tensor and a number."""

    def __init__(self):
        super().__init__()
        self.total, self.count = torch.full((2, 3), 3.0), 0

    def forward(self, x):
        self.count += 1
        self.total = self.total * 0.5 + x
        return self.total * self.count


@pytest.mark.parametrize("kind", [Beginning, Counting])
def test_calls_in_a_row_go_on_alike_after_a_file(kind, tmp_path):
    flexir.capture(kind(), calls=[(torch.rand(2, 3),) for _ in range(4)]).save(tmp_path / "net")
    graph = flexir.load(tmp_path / "net")
    assert not graph.constants
    same_as_the_model(graph, kind, [(torch.rand(2, 3),) for _ in range(7)])
    graph.save(tmp_path / "again")
    assert flexir.load(tmp_path / "again").text() == graph.text()
