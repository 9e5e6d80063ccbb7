"""Few examples in which things coincide: what they do not show of loops and branches is refused."""

import pytest
import torch

import flexir
from flexir.recording.followed import leaves_nothing
from flexir.recording.parsed import function_of
from flexir.recording.sources import loops_at
from flexir.recording.too_few import cut_lists


def aliases(x):
    a = torch.zeros(2)
    b = a
    for t in x:
        b[0] += t
        if t > 0:
            b = torch.zeros(2)
    return a, b


def turned(x):
    y = x.clone()
    for t in y:
        if t > 0:
            t.neg_()
    return y


def window(x):
    y = x.clone()
    w = y[:1]
    for k, t in enumerate(x):
        if t > 0:
            w = y[k : k + 1]
        w.mul_(2)
    return y


def best_of_three(x):
    best, y = x, x.clone()
    for _ in range(3):
        y.mul_(-1.5)
        if y.sum() > best.sum():
            best = y
    return best, y


def best_two(x):
    p = pp = x[0]
    for t in x:
        if t > p:
            pp, p = p, t
        elif t > pp:
            pp = t
    return p, pp


def bounds(x):
    lo = hi = x[0]
    for t in x:
        if t < lo:
            lo = t
        elif t > hi:
            hi = t
    return hi - lo


def before_last(x):
    a = b = x[0]
    for t in x:
        if t > 0:
            b = a
            a = t
    return a, b


def skipping(x):
    skip, made = False, []
    for t in x:
        if skip:
            skip = False
            continue
        made.append(t)
        if t > 0:
            skip = True
    return torch.stack(made)


def erased(x):
    y = x.clone()[:, None]
    best = y[0]
    for row in y:
        if row.sum() > best.sum():
            best = row
    best.zero_()
    return y


def all_erased(x):
    y, chosen = x.clone()[:, None], []
    for row in y:
        if row.sum() > 0:
            chosen.append(row)
    for row in chosen:
        row.mul_(0)
    return y


def either_list(x):
    up, down = [], []
    for t in x:
        (up if t > 0 else down).append(t)
    return torch.stack(up + down)


class Holder:
    """A plain object that keeps the best state."""


def in_an_object(x):
    held = Holder()
    held.h = held.best = torch.zeros(())
    for t in x:
        held.h = held.h + t
        if held.h > held.best:
            held.best = held.h
    return held.h, held.best


class Queue(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.q = torch.zeros(3)

    def forward(self, x):
        p = 0
        for t in x:
            if t > 0:
                self.q[p] = t
                p = (p + 1) % 3
        return self.q.sum() * x


def yielded(x):
    def ups():
        for t in x:
            if t > 0:
                yield 1

    return x * sum(ups())


PROGRAMS = [aliases, turned, window, best_of_three, best_two, bounds, before_last, skipping,
            erased, all_erased, either_list, in_an_object, Queue, yielded]  # fmt: skip
ROWS = [[-1.1, -0.5], [0.8], [0.3, 1.7], [-1.0], [-0.1, 1.1, 0.8], [-0.8, -1.8, -0.8, 0.6],
        [1.0, 2.0], [-1.0, -2.0], [0.7, 0.9], [-2.3, -0.4], [-2.1, 1.2], [1.0, -2.0, -1.0],
        [0.3, 0.7], [-0.9, -0.2], [-1.2, -0.5, -0.2], [-3.0, 5.0], [3.0, -5.0], [-0.3, 1.1],
        [1.0, 2.0, 3.0], [-1.0, 2.0, -3.0, 4.0], [0.9], [-1.4]]  # fmt: skip


def alike(one, other):
    if isinstance(one, tuple):
        return all(map(alike, one, other))
    return torch.equal(one, other)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda one: one.__name__)
@pytest.mark.parametrize(
    "shown", [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9), (10, 1), (1, 10), (3, 11), (6, 7, 1)]
)
def test_what_examples_do_not_show_is_refused(program, shown):
    rows = [torch.tensor(row) for row in ROWS]
    make = program if isinstance(program, type) else lambda: program
    graph = flexir.capture(make(), rows[shown[0]], also=[rows[k] for k in shown[1:]])
    for k in shown:
        assert alike(graph(rows[k]), make()(rows[k])), "shown"
    for x in rows:
        try:
            made = graph(x)
        except flexir.Diverged:
            continue
        assert alike(made, make()(x)), x.tolist()


@pytest.mark.parametrize("program", [best_two, bounds, in_an_object])
def test_what_they_show_is_one_graph(program):
    shown = [[0.1, 2.0, -1.0, 1.5, 3.0, -2.0, 0.5], [1.0, -2.0, 4.0, 3.0, -5.0], [2.0, 1.0, 3.0]]
    first, *others = map(torch.tensor, shown)
    graph = flexir.capture(program, first, also=others)
    for row in ROWS:
        x = torch.tensor(row)
        try:
            made = graph(x)
        except flexir.Diverged:
            assert program is not in_an_object and len(row) < 3, row
            continue
        assert alike(made, program(x)), row


def last_two(x):
    kept = []
    for t in x:
        kept = (kept + [t])[-2:]
    return torch.stack(kept)


def last_three(x):
    kept = []
    for t in x:
        kept.append(t)
        kept = kept[-3:]
    return torch.stack(kept)


def ones_in(x):
    return x * str(sum(x.tolist())).count("1")


@pytest.mark.parametrize(
    "model, word", [(last_two, "[-2:]"), (last_three, "kept[-3:]"), (ones_in, ".count")]
)
def test_what_cuts_or_counts_unseen_is_named(model, word):
    graph = flexir.capture(model, torch.tensor([2, 3]), also=[torch.tensor([5])])
    assert any(word in line for line in graph.audit.laundered), graph.audit


def rounds(x, out, table):
    for t in x:
        y = t * 2
        out.append(y if y > 0 else -y)
    for t in x:
        table[0] = t
    for t in x:
        t.add_(1)
    for t in x:
        last = t
    return last, out[-2:], out[1:], x[2:]


def test_which_loops_leave_something_for_the_next_round():
    code = rounds.__code__
    import dis

    found = {}
    for one in dis.get_instructions(code):
        for loop in loops_at(code, one.offset):
            found[loop.node.lineno] = loop
    first, second, third, fourth = (found[line] for line in sorted(found))
    assert leaves_nothing(first, set()) is True
    assert leaves_nothing(second, set()) is False, "a place is set"
    assert leaves_nothing(third, set()) is False, "a row is written"
    assert leaves_nothing(fourth, {"last"}) is False, "it is read after the loop"
    cut = [node.value.id for node in cut_lists(function_of(code))]
    assert cut == ["out"], "by more than one, of a list that a loop made longer"
