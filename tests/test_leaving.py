"""Examples of a model that keeps something: on one path only, or from condition to condition."""

import pytest
import torch
from torch import nn

import flexir
from flexir.recording.proof import equal


class ReplacedOnEachWay(nn.Module):
    def __init__(self):
        super().__init__()
        self.h = torch.zeros(4)

    def forward(self, x):
        if x.sum() > 0:
            y = x * 2 + self.h
            self.h = x.sin().sum(0)
        else:
            y = x - 1
            self.h = x.cos().sum(0)  # only the other way reads it
        return y


class WrittenOnOneWay(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("c", torch.zeros(4))

    def forward(self, x):
        if x.sum() > 0:
            self.c.add_(x.mean(0))
        return x * 2 + self.c


class OneOfTwo(nn.Module):
    def __init__(self):
        super().__init__()
        self.h, self.g = torch.zeros(4), torch.ones(4)

    def forward(self, x):
        if x.sum() > 0:
            self.h = self.h * 0.5 + x[0]
        else:
            self.g = self.g + self.h
        return x + self.g


class NormedOnOneWay(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(4)

    def forward(self, x):
        if x.sum() > 0:
            x = self.norm(x)
        return x + 1


class ByRows(nn.Module):
    def __init__(self):
        super().__init__()
        self.h = torch.zeros(4)

    def forward(self, x):
        for row in x:
            self.h = torch.tanh(self.h + row)
        return x + self.h


STATE = (ReplacedOnEachWay, WrittenOnOneWay, OneOfTwo, NormedOnOneWay, ByRows)


def shown(kind):
    first, other = torch.rand(3, 4), -torch.rand(3, 4)
    return (first,), [(torch.rand(5, 4) if kind is ByRows else other,)]


@pytest.mark.parametrize("kind", STATE, ids=lambda kind: kind.__name__)
def test_state_on_one_path_is_carried_on(kind):
    torch.manual_seed(0)
    first, also = shown(kind)
    graph, model = flexir.capture(kind(), first, also=also), kind()
    assert not graph.variants and graph.state
    run = graph.start()
    for x in torch.randn(10, 3, 4):
        assert equal(run(x), model(x))
    assert flexir.verify(graph, kind(), calls=[(x,) for x in torch.randn(4, 3, 4)])


@pytest.mark.parametrize("kind", STATE, ids=lambda kind: kind.__name__)
def test_a_model_that_was_run_is_shown_from_where_the_first_example_began(kind):
    torch.manual_seed(1)
    first, also = shown(kind)
    model, twin = kind(), kind()
    for one in (model, twin):
        one(torch.ones(3, 4) * 0.3)
    graph = flexir.capture(model, first, also=also)
    for x in torch.randn(6, 3, 4):
        fresh = kind()
        fresh(torch.ones(3, 4) * 0.3)
        assert equal(graph(x), fresh(x))


class TwoRanks(nn.Module):
    """What cannot be one graph is two, over one state."""

    def __init__(self):
        super().__init__()
        self.h = torch.zeros(4)

    def forward(self, x):
        if x.dim() == 1:
            self.h = x.sin()  # it is read at the other rank
            return x * 2
        return x + self.h


def test_variants_have_one_state():
    graph, model = (
        flexir.capture(TwoRanks(), (torch.rand(4),), also=[(torch.rand(3, 4),)]),
        TwoRanks(),
    )
    assert graph.variants
    run = graph.start()
    for x in (torch.rand(3, 4), torch.rand(4), torch.rand(3, 4), torch.rand(4), torch.rand(3, 4)):
        assert equal(run(x), model(x))
    assert equal(graph(torch.ones(3, 4)), TwoRanks()(torch.ones(3, 4)))


class InItsInput(nn.Module):
    def forward(self, x):
        if x.sum() > 0:
            x.mul_(2)
        return x + 1


def test_an_input_written_on_one_path():
    graph = flexir.capture(InItsInput(), (torch.rand(4),), also=[(-torch.rand(4),)])
    assert not graph.variants
    for x in torch.randn(6, 4):
        ours, theirs = x.clone(), x.clone()
        assert equal(graph.start().answer(ours), InItsInput()(theirs)) and equal(ours, theirs)


class Noted(nn.Module):
    """What it sets in every call before it reads it."""

    def forward(self, x):
        self.rows, self.last = x.shape[0], x.sin()
        y = x * 2 if x.sum() > 0 else x - 1
        return y * self.rows + self.last


def test_attributes_that_every_call_sets_anew():
    examples = [(sign * torch.rand(n, 4),) for n in (3, 5) for sign in (1, -1)]
    graph = flexir.capture(Noted(), examples[0], also=examples[1:])
    assert not graph.variants
    for sign in (1, -1):
        x = sign * torch.rand(7, 4)
        assert equal(graph(x), Noted()(x))
    run = graph.start()
    run(torch.rand(3, 4))
    with pytest.raises(flexir.Diverged, match="rows was"):
        run(torch.rand(3, 4))


def noisy(x):
    x = x + torch.rand(3)
    return x * 2 if x.sum() > 1.5 else x - 1


def noisy_at_times(x):
    return x + torch.rand(3) if x.sum() > 1.5 else x - 1


def test_random_numbers_that_every_path_draws():
    graph = flexir.capture(noisy, (torch.ones(3),), also=[(-torch.ones(3),)])
    assert not graph.variants
    for x in torch.randn(6, 3):
        assert flexir.verify(graph, noisy, (x,), perturb=False)


def test_random_numbers_that_one_path_draws():
    graph = flexir.capture(noisy_at_times, (torch.ones(3),), also=[(-torch.ones(3),)])
    assert not graph.variants
    for x in torch.randn(6, 3):
        assert flexir.verify(graph, noisy_at_times, (x,), perturb=False)


# -- what only the model itself holds, from one condition to the next


class Flag(nn.Module):
    def __init__(self):
        super().__init__()
        self.mode = 0

    def forward(self, x):
        if x.sum() > 0:
            self.mode = 1
        x = x + 1
        if x[0, 0] > 1:
            x = x * 2
        y, self.mode = x * 3 if self.mode else x, 0
        return y


class OrNone(nn.Module):
    def __init__(self):
        super().__init__()
        self.h = None

    def forward(self, x):
        if x.sum() > 0:
            self.h = x.sin()
        x = x + 1
        if x[0, 0] > 1:
            x = x * 2
        y, self.h = x * 3 if self.h is not None else x, None
        return y


class InAPart(nn.Module):
    def __init__(self):
        super().__init__()
        self.part = nn.Identity()
        self.part.scale = 1

    def forward(self, x):
        self.part.scale = 2 if x.sum() > 0 else 3
        x = x + 1
        if x[0, 0] > 1:
            x = x * 2
        y, self.part.scale = x * self.part.scale, 1
        return y


class InAList(nn.Module):
    def __init__(self):
        super().__init__()
        self.stack = []

    def forward(self, x):
        if x.sum() > 0:
            self.stack.append(5)
        x = x + 1
        if x[0, 0] > 1:
            x = x * 2
        return x + self.stack.pop() if self.stack else x


class FromRoundToRound(nn.Module):
    def __init__(self):
        super().__init__()
        self.flip = 0

    def forward(self, x):
        h = x[0] * 0.5
        for row in x:
            h = h * (1 + self.flip) + row
            self.flip = 1 - self.flip
        self.flip = 0
        return h


class ByTheLastRound(nn.Module):
    def __init__(self):
        super().__init__()
        self.seen = 1

    def forward(self, x):
        h = x[0] * 0.5
        for row in x:
            h = h + row
            self.seen = 2 if row.sum() > 0 else 3
        y, self.seen = h * self.seen, 1
        return y


HIDDEN = (Flag, OrNone, InAPart, InAList, FromRoundToRound, ByTheLastRound)


@pytest.mark.parametrize("rows", [(2, 2, 2), (2, 3), (2, 2, 3, 4)], ids=str)
@pytest.mark.parametrize("kind", HIDDEN, ids=lambda kind: kind.__name__)
def test_right_or_refused(kind, rows):
    for seed in range(6):
        torch.manual_seed(seed)
        first, *others = [(torch.randn(n, 3),) for n in rows]
        graph = flexir.capture(kind(), first, also=others)
        for n in (2, 2, 2, 2, 3, 3, 4, 5):
            x = torch.randn(n, 3)
            try:
                assert equal(graph(x), kind()(x))
            except flexir.Diverged:
                continue


class CountsOnItself(nn.Module):
    """Numbers that know where they come from, in attributes, while a loop over a size goes on."""

    def forward(self, x):
        h = x[0] * 0.5
        self.made, self.n = [h], 0
        if h[0] < h[1]:
            self.n = self.n + x.shape[0]
            for _ in range(1, x.size(0)):
                h = h + x.sum(0)
        else:
            h = h * 0.5
        return h * self.n


def test_looking_at_numbers_that_a_model_keeps_records_nothing():
    examples = [(torch.tensor([[a, b, 0.0]] * n),) for n in (2, 3) for a, b in ((0.0, 1), (1, 0.0))]
    graph = flexir.capture(CountsOnItself(), examples[0], also=examples[1:])
    for (x,) in examples:
        assert equal(graph(x), CountsOnItself()(x))


class GivenOrNone(nn.Module):
    """A count that differs between the ways, and is asked whether it is None."""

    def forward(self, x, n=None):
        if n is None:
            n = 1
        if x.sum() > 0:
            x, n = x * 2, n + 1
        if n is None:
            return x
        return x * n


def test_none_is_asked_of_a_count_that_differs():
    graph = flexir.capture(GivenOrNone(), (torch.ones(3),), also=[(-torch.ones(3),)])
    assert not graph.variants
    for x in torch.randn(6, 3):
        assert equal(graph(x), GivenOrNone()(x))


def test_an_input_that_is_written_and_never_read_is_no_state():
    class Clears(nn.Module):
        def __init__(self):
            super().__init__()
            self.h, self.g = torch.zeros(3), torch.zeros(3)

        def forward(self, x):
            self.h = x * 2 if x.sum() > 0 else x
            self.g.add_(x)  # written in place: a next call reads it
            return x

    graph = flexir.capture(Clears(), (torch.ones(3),), also=[(-torch.ones(3),)])
    assert [one.path for one in graph.state] == ["g"]


def test_variants_are_checked_like_the_graph():
    graph = flexir.capture(TwoRanks(), (torch.rand(4),), also=[(torch.rand(3, 4),)])
    graph.check()
    graph.variants[0].nodes.pop(0)
    with pytest.raises(flexir.GraphError, match="nothing makes it"):
        graph.check()
