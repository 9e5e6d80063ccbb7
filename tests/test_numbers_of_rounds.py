"""The number of a round, in loops of unmodified Python: live, or refused by name; never frozen."""

import pytest
import torch

import flexir
from flexir.recording.proof import equal

TABLE = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 5.0, 5.0, 5.0, 5.0]


def first_is_another(x):
    h = torch.zeros(3)
    for i in range(len(x)):
        h = x[i].exp() if i == 0 else h + x[i].tanh()
    return h


def last_is_another(x):
    h, n = torch.zeros(3), x.shape[0]
    for i in range(n):
        if i == n - 1:
            h = h * 10
        h = h + x[i].tanh()
    return h


def every_second(x):
    h = torch.zeros(3)
    for i, row in enumerate(x):
        h = h + row if i % 2 else h - row
    return h


def backwards(x):
    h = torch.zeros(3)
    for i in reversed(range(x.shape[0])):
        if i > 1:
            h = h.sin()
        h = h + x[i] * i
    return h


def counted_down(x):
    h = torch.zeros(3)
    for i in range(x.shape[0] - 1, -1, -1):
        if i > 1:
            h = h.sin()
        h = h + x[i] * i
    return h


def pairs(x):
    h = torch.zeros(3)
    for i in range(x.shape[0]):
        for j in range(i, x.shape[0]):
            if i == j:
                h = h.sin()
            h = h + x[i] * x[j]
    return h


def as_often_as_the_number(x):
    h = torch.zeros(3)
    for i in range(x.shape[0]):
        for _ in range(i):
            h = h.sin()
        h = h + x[i]
    return h


def zipped(x):
    h = torch.zeros(3)
    for i, row in zip(range(len(x)), x):
        h = h.sin() + row if i % 3 else h + row * i
    return h


def listed(x):
    return torch.stack([x[i] * i if i > 0 else x[i] for i in range(x.shape[0])])


def read_after_the_loop(x):
    h = torch.zeros(3)
    for i in range(x.shape[0]):
        h = h + x[i]
    return h * i


def one_or_another(x):
    h = torch.zeros(3)
    for i in range(x.shape[0]):
        h = h + x[i] * (i or 7)
    return h


def around_a_sum(x):
    h = x[0]
    for i, _ in enumerate(x):
        h = sum([row.exp() for row in x])
        h = h + x[i]
    return h


LIVE = (first_is_another, last_is_another, every_second, backwards, counted_down, pairs,
        as_often_as_the_number, zipped, listed, read_after_the_loop, one_or_another,
        around_a_sum)  # fmt: skip


@pytest.mark.parametrize("model", LIVE, ids=lambda model: model.__name__)
def test_it_is_live(model):
    torch.manual_seed(0)
    graph = flexir.capture(model, (torch.rand(4, 3),), also=[(torch.rand(2, 3),)])
    assert not graph.variants
    for n in (2, 3, 4, 5, 9):
        x = torch.rand(n, 3)
        assert torch.equal(graph(x), model(x)), n
        assert torch.equal(graph.at((x,))(x), model(x)), n


def from_a_table(x):
    h = torch.zeros(3)
    for i in range(x.shape[0]):
        h = h + x[i] * TABLE[i]
    return h


def from_a_table_by_half(x):
    h = torch.zeros(3)
    for i in range(x.shape[0]):
        j = i // 2
        h = h + x[i] * TABLE[j + 3]
    return h


def in_a_set(x):
    h = torch.zeros(3)
    for i in range(x.shape[0]):
        if i in {7}:
            h = h.sin()
        h = h + x[i]
    return h


def in_a_tuple(x):
    h = torch.zeros(3)
    for i in range(x.shape[0]):
        if i in (1, 8):
            h = h.sin()
        h = h + x[i]
    return h


def as_a_text(x):
    h = torch.zeros(3)
    for i in range(x.shape[0]):
        if f"{i}" == "8":
            h = h.sin()
        h = h + x[i]
    return h


def as_a_plain_int(x):
    h = torch.zeros(3)
    for i in range(x.shape[0]):
        if int(i) == 8:
            h = h.sin()
        h = h + x[i]
    return h


def in_a_function(x):
    def scale(number):
        return TABLE[number]

    h = torch.zeros(3)
    for i in range(x.shape[0]):
        h = h + x[i] * scale(i)
    return h


def late(x):
    h, is_late = torch.zeros(3), False
    for i in range(x.shape[0]):
        is_late = is_late or i == 7
        h = h + x[i]
        if is_late:
            h = h.cos()
    return h


def of_the_largest(x):
    best, at = x[0].sum(), 0
    for i in range(x.shape[0]):
        if x[i].sum() > best:
            best, at = x[i].sum(), i
    return x * at


def left_early(x):
    h = torch.zeros(3)
    for i in range(x.shape[0]):
        h = h + x[i]
        if h.sum() > 3:
            break
    return h * i


def no_round_yet(x):
    h = x[0]
    for _ in range(x.shape[0] - 6):
        h = h.sin()
    return h * 2


def no_inner_round_yet(x):
    h = torch.zeros(3)
    for i in range(x.shape[0]):
        for _ in range(i // 7):
            h = h.sin()
        h = h + x[i]
    return h


def kept_numbers(x):
    got = []
    for i in range(x.shape[0]):
        if x[i].sum() > 1.5:
            got.append(i)
    return x[got]


NEVER_WRONG = (from_a_table, from_a_table_by_half, in_a_set, in_a_tuple, as_a_text, as_a_plain_int,
               in_a_function, late, of_the_largest, left_early, no_round_yet, no_inner_round_yet,
               kept_numbers)  # fmt: skip


@pytest.mark.parametrize("shown", [(4, 2), (4, 3, 6)], ids=str)
@pytest.mark.parametrize("model", NEVER_WRONG, ids=lambda model: model.__name__)
def test_what_no_example_shows_is_refused(model, shown):
    torch.manual_seed(3)
    first, *others = [(torch.rand(n, 3),) for n in shown]
    graph = flexir.capture(model, first, also=others)
    for n in range(1, 11):
        x = torch.rand(n, 3)
        try:
            assert torch.equal(graph(x), model(x)), n
        except flexir.Diverged:
            continue
    for (x,) in (first, *others):
        assert torch.equal(graph(x), model(x))


def test_a_range_in_an_example_is_a_range():
    seen = []

    def model(x):
        n = x.shape[0]
        for i in range(n):
            x = x + i
        for over in [range(n), range(1, n), range(0, n, 2)]:
            assert isinstance(over, range) and not isinstance([], range)
            seen.append((list(over), len(over), bool(over), over == range(*map(int, (
                over.start, over.stop, over.step))), 1 in over, over[-1], list(over[:2]),
                repr(over), hash(over), over.index(2) if 2 in over else None,
                list(reversed(over))))  # fmt: skip
        return x

    flexir.capture(model, (torch.rand(4),))
    plain = seen[:3]
    flexir.capture(model, (torch.rand(4),), also=[(torch.rand(2),)])
    assert seen[3:6] == plain
    assert isinstance(range(3), range) and type(range(3)) is range  # and nothing is left behind


def test_the_length_of_a_tensor_is_a_size():
    def model(x):
        return x[0] / (len(x) + 1) + x[len(x) // 2] + len([1, 2])

    graph = flexir.capture(model, (torch.rand(4, 3),), also=[(torch.rand(2, 3),)])
    x = torch.rand(7, 3)
    assert not graph.variants and torch.equal(graph(x), model(x))


WEIGHTS = [1.0, 0.5, 2.0, 0.1, 3.0]


def counts_and_looks_up(x):
    n, h = 0, x[0]
    for row in x:
        if row.sum() > 1.5:
            n += 1
        h = h + row * n
    n = 2 if h.sum() > 4 else 3
    return h * WEIGHTS[n]


def test_a_count_of_some_rounds_is_no_line_by_chance():
    def drawn(seed, many, most):
        torch.manual_seed(seed)
        sizes = [int(torch.randint(1, most + 1, ())) for _ in range(many)]
        return [torch.rand(n, 3) * 1.2 for n in sizes]

    torch.manual_seed(0)
    shown = [torch.rand(int(torch.randint(1, 6, ())), 3) * 1.2 for _ in range(10)]
    graph = flexir.capture(counts_and_looks_up, shown[0], also=shown[1:])
    right = 0
    for x in drawn(1, 60, 9):
        try:
            made = graph(x)
        except flexir.Diverged:
            continue
        assert torch.equal(made, counts_and_looks_up(x))
        right += 1
    assert right


def plain_numbers(x):
    return x * 2 if all(i < 8 for i, _ in enumerate(x.tolist())) else x


def plain_rows(x):
    k = 0
    for i, _ in enumerate(x.unbind()):
        if i >= 8:
            k = 1
    return x * k


@pytest.mark.parametrize("model", [plain_numbers, plain_rows])
def test_the_number_of_a_round_in_which_nothing_is_recorded_is_no_constant(model):
    graph = flexir.capture(model, (torch.rand(4),), also=[(torch.rand(6),)])
    x = torch.rand(9)
    try:
        assert torch.equal(graph(x), model(x)) or graph.audit.laundered
    except flexir.Diverged:
        pass


def test_a_list_of_sizes_has_as_many_whatever_they_are():
    def model(x):
        sizes = [x.shape[0] * 3, x.shape[0] + 1, 4]
        return torch.cat([torch.full((n,), i) for i, n in enumerate(sizes)]), len(list(sizes))

    graph = flexir.capture(model, (torch.rand(2),), also=[(torch.rand(3),)])
    assert not graph.audit.laundered
    x = torch.rand(7)
    assert equal(graph(x), model(x))
