"""What a call leaves in a generator of random numbers besides what it drew: never lost silently."""

import pytest
import torch
from torch import nn

import flexir


class SetAtTheEnd(nn.Module):
    def forward(self, x):
        y = x + torch.rand(2)
        torch.manual_seed(5)
        return y


class PutBack(nn.Module):
    def forward(self, x):
        with torch.random.fork_rng(devices=[]):
            y = x + torch.rand(2)
        return y


class PutBackAndDrawnFrom(nn.Module):
    def forward(self, x):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            y = x + torch.rand(2)
        return y + torch.rand(2)


class PutBackLater(nn.Module):
    def forward(self, x):
        a = torch.rand(2)
        state = torch.get_rng_state()
        b = torch.rand(2)
        torch.set_rng_state(state)
        return x + a * b + torch.rand(2)


class ItsOwn(nn.Module):
    def __init__(self):
        super().__init__()
        self.g = torch.Generator().manual_seed(3)

    def forward(self, x):
        state = self.g.get_state()
        y = x + torch.rand(2, generator=self.g)
        self.g.set_state(state)
        return y


MODELS = [SetAtTheEnd, PutBack, PutBackAndDrawnFrom, PutBackLater, ItsOwn]


@pytest.mark.parametrize("model", MODELS)
def test_a_generator_that_was_set_makes_a_next_call_another_one(model):
    x = torch.zeros(2)
    torch.manual_seed(0)
    graph = flexir.capture(model(), (x,))
    assert any("state of" in str(one) for one in graph.audit.changes)
    run = graph.start()
    torch.manual_seed(0)
    assert torch.equal(run(x), model()(x))
    with pytest.raises(flexir.Diverged, match="the state of"):
        run(x)


class Seeded(nn.Module):
    def forward(self, x):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            return x + torch.rand(2)


class Drawing(nn.Module):
    def forward(self, x):
        return x + torch.rand(2)


@pytest.mark.parametrize("model", [Seeded, Drawing])
def test_calls_whose_draws_tell_all_go_on(model):
    x = torch.zeros(2)
    torch.manual_seed(0)
    graph = flexir.capture(model(), (x,))
    assert not graph.audit.changes
    torch.manual_seed(0)
    expected = [model()(x) for _ in range(3)]
    torch.manual_seed(0)
    run = graph.start()
    assert all(torch.equal(run(x), one) for one in expected)


@pytest.mark.parametrize("model", MODELS)
def test_verify_puts_such_a_generator_where_the_capture_began(model, tmp_path):
    x, model = torch.zeros(2), model()
    graph = flexir.capture(model, (x,))
    torch.rand(7)
    before = torch.get_rng_state()
    assert flexir.verify(graph, model, x).verdict == "exact"
    assert torch.equal(torch.get_rng_state(), before)

    flexir.save(graph, tmp_path / "g")
    told = flexir.verify(flexir.load(tmp_path / "g"), model, x)
    assert told.verdict == "exact" or any("cannot be put back" in note for note in told.notes)
