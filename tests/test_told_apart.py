"""Loops of which no example says what later rounds begin with are refused."""

import copy
import itertools

import pytest
import torch
from torch import nn

import flexir


def kadane(x):
    best = cur = x.new_zeros(())
    for v in x:
        cur = torch.maximum(v, cur + v)
        if cur > best:
            best = cur
    return best


def two_counters(x):
    n = m = 0
    for v in x:
        if v > 0:
            n += 1
        if v > 0.5:
            m += 1
    return x * n - m


def cell(x):
    h = c = x.new_zeros(())
    for v in x:
        h = torch.tanh(h + v)
        if h > 0:
            c = h
    return h + c * 3


def largest(x):
    best = None
    for v in x:
        if best is None or v > best:
            best = v
    return best


class Summed(nn.Module):
    def forward(self, x):
        return x * sum(v.item() for v in x if v > 0)


class Kept(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("c", torch.zeros(()))

    def forward(self, x):
        for v in x:
            if v > 0:
                self.c = self.c + 1
        y = x * self.c
        self.c = self.c * 0
        return y


ROWS = [[-0.9, 0.4], [1.04], [0.3, 1.7], [-1.0], [1.5], [-1.0, 2.0], [1.0, -1.0, 2.0],
        [-2.0, -1.0], [0.2, 0.3, -1.0], [-1.0, 1.0, 0.2, 1.0], [3.0, -2.0, 1.0], [1.0, 3.0, 2.0],
        [3.0, 1.0, 2.0, 0.0], [1.0, 1.0, 1.0]]  # fmt: skip


@pytest.mark.parametrize("make", [
    lambda: kadane, lambda: two_counters, lambda: cell, lambda: largest, Summed, Kept,
])  # fmt: skip
@pytest.mark.parametrize("shown", [(0, 1), (2, 3), (4, 5), (6, 7), (5, 4), (0, 1, 6), (8, 9, 3)])
def test_what_rounds_begin_with_is_shown_or_refused(make, shown):
    rows, model = [torch.tensor(row) for row in ROWS], make()
    first, *others = (rows[k] for k in shown)
    graph = flexir.capture(model, first, also=others)
    for x in rows:
        try:
            made = graph(x)
        except flexir.Diverged:
            continue
        assert torch.equal(made, model(x)), x.tolist()


@pytest.mark.parametrize("model", [kadane, two_counters, cell])
def test_enough_examples_tell_variables_apart(model):
    shown = [[-0.9, 0.4, 2.0, 0.3, -3.0, 1.0], [1.04, -2.0], [0.3, 1.7, -5.0, 0.2, 9.0], [-1.0]]
    first, *others = map(torch.tensor, shown)
    graph = flexir.capture(model, first, also=others)
    assert not graph.frozen, graph.frozen
    for row in ROWS:
        x = torch.tensor(row)
        assert torch.equal(graph(x), model(x))


def differences(x):
    out, before = [], None
    for v in x:
        out.append(v if before is None else v - before)
        before = v
    return torch.stack(out)


def backwards(x):
    out, before = [], None
    for v in reversed(list(x)):
        out.append(v if before is None else v - before)
        before = v
    return torch.stack(out)


def written(x):
    y = x.clone()[:, None]
    for row in y:
        row.mul_(2) if row.sum() > 0 else row.add_(1)
    return y


@pytest.mark.parametrize("model", [differences, backwards, written])
@pytest.mark.parametrize("shown", [(3, 2), (2, 3), (2, 4)])
def test_the_row_of_a_round_is_that_of_the_round_however_few_are_shown(model, shown):
    rows = torch.tensor([1.0, -2.0, -3.0, 4.0, 5.0, -1.0])
    first, *others = (rows[:n] for n in shown)
    graph = flexir.capture(model, first, also=others)
    for x in (*(rows[:n] for n in range(1, 7)), rows.flip(0)):
        try:
            made = graph(x)
        except flexir.Diverged:
            continue
        assert torch.equal(made, model(x)), x.tolist()
    if model is differences:
        assert torch.equal(graph(rows), model(rows))


def longest(x, y):
    total = 0
    for a, b in itertools.zip_longest(x, y, fillvalue=0.0):
        total = total + a * 2 - b
    return total


def strictly(x, y):
    return sum(a * b for a, b in zip(x, y, strict=True))


def test_lists_that_were_as_long_as_each_other_must_be_again():
    shown = [(torch.ones(n), torch.ones(n)) for n in (3, 5, 4)]
    graph = flexir.capture(longest, shown[0], also=shown[1:])
    for a, b in ((3, 4), (6, 2), (3, 3)):
        x, y = torch.rand(a), torch.rand(b)
        try:
            made = graph(x, y)
        except flexir.Diverged:
            continue
        assert torch.equal(made, longest(x, y))
    graph = flexir.capture(strictly, shown[0], also=shown[1:])
    x, y = torch.rand(7), torch.rand(7)
    assert torch.equal(graph(x, y), strictly(x, y))
    with pytest.raises(flexir.Diverged):
        graph(torch.ones(3), torch.ones(4))


def shrinking(x):
    n = 0
    while x.numel() > 2:
        if x.shape[0] > x.shape[1]:
            x = x.mean(0, keepdim=True)
        elif x.shape[1] > 1:
            x = x[:, ::2]
        else:
            x = x[::2]
        n += 1
        if n > 9:
            break
    return x


def test_a_loop_that_would_not_end_at_a_size_beyond_does_not_hang():
    graph = flexir.capture(shrinking, torch.ones(2, 1), also=[torch.ones(3, 2)])
    assert torch.equal(graph(torch.ones(3, 2)), shrinking(torch.ones(3, 2)))


def running_total():
    total = 0
    while True:
        got = yield total
        total = total + got if got > 0 else total - 1


def sent(x):
    totals = running_total()
    next(totals)
    made = x.new_zeros(())
    for v in x:
        made = totals.send(v)
    return made


def test_a_generator_that_runs_is_not_asked_what_it_waits_for():
    shown = [[1.0, -1.0, 1.0], [1.0, 1.0, -1.0, 1.0, -1.0], [1.0] * 4, [-1.0] * 7]
    first, *others = map(torch.tensor, shown)
    graph = flexir.capture(sent, first, also=others)
    for row in shown:
        assert float(graph(torch.tensor(row))) == float(sent(torch.tensor(row)))


class Trained(nn.Module):
    """Switches its norm to training where there are many rows."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(2)

    def forward(self, x):
        self.norm.train(len(x) > 3)
        return self.norm(x)


def test_statistics_that_another_example_wrote_are_put_back():
    model = Trained().eval()
    few, many = torch.rand(3, 2), torch.rand(4, 2)
    want = copy.deepcopy(model)(few)
    before = copy.deepcopy(model.state_dict())
    graph = flexir.capture(model, few, also=[many])
    assert torch.equal(graph(few), want)
    assert all(torch.equal(one, before[name]) for name, one in model.state_dict().items())


def weighted(x):
    loss = 0.0
    for i, row in enumerate(x):
        w = 2.0 if row[0] > 0 else 1.0
        if i == 0:
            w *= 10
        loss = loss + w * row.sum()
    return loss


def distinct(x):
    return x + len({int(v) for v in x})


@pytest.mark.parametrize(
    "model, shown",
    [
        (weighted, [[[1.0], [2.0]], [[-1.0]], [[-1.0], [-2.0], [3.0]]]),
        (distinct, [[1, 0, 1, 1, 0], [3], [2, 1, 3], [0, 1, 5, 2, 4, 3, 1, 0]]),
    ],
)
def test_at_is_of_the_variant_that_takes_the_inputs(model, shown):
    shown = [torch.tensor(one) for one in shown]
    graph = flexir.capture(model, shown[0], also=shown[1:])
    assert graph.variants
    more = [torch.tensor([[-1.0], [3.0], [-1.0]])] if model is weighted else []
    for x in (*shown, *more):
        try:
            made = graph(x)
        except flexir.Diverged:
            continue
        assert torch.equal(made, model(x)) and torch.equal(graph.at((x,))(x), model(x))
