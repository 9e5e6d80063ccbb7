"""What a size chooses in Python is right or refused; how long a list of tensors is, is a size."""

import itertools
import math

import pytest
import torch

import flexir
from flexir.recording.proof import equal

SIZES = ((2, 3), (3, 5), (4, 5), (3, 6), (4, 7), (3, 4, 5), (3, 3, 6, 4), (5, 6, 7))


def pick(rows, k):
    return rows[k]


def picks(rows, n):
    return rows[n // 2]


class Box:
    pass


def in_the_middle(x):
    rows = [r * 2 for r in x]
    return rows[x.shape[0] // 2]


def of_what_it_gave_before(x):
    rows, k = list(x.unbind(0)), x.shape[0] // 2
    return x[k] + rows[k]


def by_its_length(x):
    rows = [r * 2 for r in x]
    return rows[len(rows) // 2]


def in_a_function(x):
    return pick([r * 2 for r in x], x.shape[0] // 2)


def by_a_function(x):
    return picks([r * 2 for r in x], x.shape[0])


def taken_out(x):
    rows = [r * 2 for r in x]
    return rows.pop(x.shape[0] // 2)


def taken_out_by_a_number_that_a_call_has(x):
    rows, k = [r * 2 for r in x], x.shape[0] // 2
    return x[:k].sum(0) + rows.pop(k)


def picked_by_a_number_that_a_call_has(x):
    rows, k = [r * 2 for r in x], x.shape[0] // 2
    return x[k] + pick(rows, k)


def put_in(x):
    rows = [r * 2 for r in x]
    rows.insert(x.shape[0] // 2, x.sum(0))
    return torch.stack(rows)


def the_first_half(x):
    return sum(itertools.islice([r * 2 for r in x], x.shape[0] // 2), x[0])


def kept_in_an_object(x):
    box, rows = Box(), [r * 2 for r in x]
    box.n = x.shape[0]
    return rows[box.n // 2]


def kept_in_a_dict(x):
    rows, kept = [r * 2 for r in x], {"n": x.shape[0] // 2}
    return rows[kept["n"]]


def kept_in_a_variable_and_an_object(x):
    k, box = x.shape[0] // 2, Box()
    rows = [r * 2 for r in x]  # while these calls are made a variable holds it
    box.k = k
    return rows[box.k]


def by_a_root(x):
    rows = list(x.split(1))
    return rows[int(math.sqrt(x.shape[0])) - 1]


def by_a_search(x):
    middle = sorted(range(x.shape[0]), key=lambda i: abs(i - x.shape[0] // 2))[0]
    return list(x)[middle]


def two_halves(x):
    rows, k = [r * 2 for r in x], x.shape[0] // 2
    return sum(rows[:k], x[0] * 0) - sum(rows[k:], x[0] * 0)


def one_of_three(x):
    return [x * 1, x * 2, x * 3][x.shape[0] % 3]


def by_a_table(x):
    return x * [1.0, 2.0, 3.0][x.shape[0] % 3]


def one_of_three_functions(x):
    return [torch.sin, torch.cos, torch.tanh][x.shape[0] % 3](x)


def by_half_the_round(x):
    rows, y = [r * 2 for r in x], x[0]
    for i in range(x.shape[0]):
        y = y * 0.5 + rows[i // 2]
    return y


def shifted_by_what_is_mostly_nothing(x):
    kept, k, y = [], x.shape[0] // 7 + 1, x[0]
    for row in x * 1:
        kept.append(row)
        y = y * 0.5 + kept[max(-k, -len(kept))]
    return y


def the_same_in_an_object(x):
    box, k, y = Box(), x.shape[0] // 7 + 1, x[0]
    box.rows = []
    for row in x * 1:
        box.rows.append(row)
        y = y * 0.5 + box.rows[max(-k, -len(box.rows))]
    return y


RIGHT_OR_REFUSED = (
    shifted_by_what_is_mostly_nothing, the_same_in_an_object,
    in_the_middle, of_what_it_gave_before, by_its_length, in_a_function, by_a_function, taken_out,
    taken_out_by_a_number_that_a_call_has, picked_by_a_number_that_a_call_has, put_in,
    the_first_half, kept_in_an_object, kept_in_a_dict, kept_in_a_variable_and_an_object,
    by_a_root, by_a_search, two_halves,
    one_of_three, by_a_table, one_of_three_functions, by_half_the_round,
)  # fmt: skip


def answers(model, sizes):
    """How many fresh inputs are answered, all of them rightly."""
    torch.manual_seed(0)
    first, *others = [(torch.randn(n, 3),) for n in sizes]
    graph = flexir.capture(model, first, also=others)
    found = 0
    for n in range(1, 10):
        x = torch.randn(n, 3)
        try:
            made = graph(x)
        except flexir.Diverged:
            continue
        assert equal(made, model(x)), n
        found += 1
    return graph, found


@pytest.mark.parametrize("model", RIGHT_OR_REFUSED, ids=lambda model: model.__name__)
def test_right_or_refused(model):
    for sizes in SIZES:
        assert answers(model, sizes)[1] >= len(set(sizes))


def the_last(x):
    rows = [r * 2 for r in x]
    return rows[x.shape[0] - 1]


def every_second(x):
    rows, y = [r * 2 for r in x], x[0]
    for i in range(0, x.shape[0], 2):
        y = y * 0.5 + rows[i]
    return y


def from_the_end(x):
    rows, y = [r * 2 for r in x], x[0]
    for i in range(x.shape[0]):
        y = y * 0.5 + rows[-i - 1]
    return y


def times_its_length(x):
    made = [x[0]]
    for row in x:
        made.append(made[-1] + row)
    return made[-1] * len(made), len(made)


def until_it_is_long(x):
    made, h = [x[0]], x[0]
    for row in x:
        h = h + row
        made.append(h)
    for i in range(len(made)):
        h = h * 0.5 + made[i]
    return h


def rows_of_a_tensor_beside_a_half(x):
    _half, y = x.numel() // 2, x[0, 0]
    for one in torch.unique(x):
        y = y * 0.5 + one
    return y  # no call was given the half


def rows_beside_a_float(x):
    _scale, y = 2 ** float(x.abs().amax().ceil()), x[0]
    for row in [r * 2 for r in x]:
        y = y * 0.5 + row
    return y


LIVE = (the_last, every_second, from_the_end, times_its_length, until_it_is_long,
        rows_of_a_tensor_beside_a_half, rows_beside_a_float)  # fmt: skip


@pytest.mark.parametrize("model", LIVE, ids=lambda model: model.__name__)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_live(model, sizes):
    graph, found = answers(model, sizes)
    assert not graph.variants and found == 9


def only_some(x):
    made, h = [x[0]], x[0]
    for row in x:
        h = h + row
        if h.sum() > 0:
            made.append(h)
    if len(made) > 2:
        h = h * 2
    return h, len(made)


def test_the_length_of_a_list_that_only_some_rounds_add_to():
    for seed in range(4):
        torch.manual_seed(seed)
        first, *others = [(torch.randn(n, 3),) for n in (2, 4, 5)]
        graph = flexir.capture(only_some, first, also=others)
        assert not graph.variants
        for n in range(1, 8):
            x = torch.randn(n, 3)
            assert equal(graph(x), only_some(x))


def test_the_length_of_a_list_that_does_not_vary_is_a_number():
    def model(x):
        h = x * 1 if x.sum() > 0 else x * 2
        parts = [h, x * 2]
        return sum(parts) / len(parts)

    graph = flexir.capture(model, (torch.rand(2),), also=[(-torch.rand(2),)])
    assert not graph.variants and "length" not in str(graph)


# -- two sizes that examples vary alike


def by_their_difference(x, y):
    return [r * 2 for r in x][x.shape[0] - y.shape[0]]


def by_another_size(x, y):
    return pick([r * 2 for r in x], y.shape[0])


def by_another_from_the_end(x, y):
    return [r * 2 for r in x][-y.shape[0]]


def as_many_as_their_difference(x, y):
    return sum(itertools.islice([r * 2 for r in x], x.shape[0] - y.shape[0]), x[0])


def from_the_end_as_often_as_another(x, y):
    rows, h = [r * 2 for r in x], x[0]
    for i in range(y.shape[0]):
        h = h * 0.5 + rows[x.shape[0] - 1 - i]
    return h


def by_a_table_of_both(x, y):
    return x.sum() * [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0][x.shape[0] - y.shape[0]]


OF_TWO = (by_their_difference, by_another_size, by_another_from_the_end,
          as_many_as_their_difference, from_the_end_as_often_as_another,
          by_a_table_of_both)  # fmt: skip


@pytest.mark.parametrize("model", OF_TWO, ids=lambda model: model.__name__)
@pytest.mark.parametrize("sizes", [((4, 1), (5, 2)), ((5, 2), (6, 2)), ((4, 1), (6, 3), (7, 2)),
                                   ((5, 3), (6, 3), (7, 4))], ids=str)  # fmt: skip
def test_sizes_that_examples_vary_alike(model, sizes):
    torch.manual_seed(0)
    first, *others = [(torch.randn(n, 3), torch.randn(m, 3)) for n, m in sizes]
    graph = flexir.capture(model, first, also=others)
    for n, m in itertools.product(range(4, 9), range(1, 5)):
        x, y = torch.randn(n, 3), torch.randn(m, 3)
        try:
            assert equal(graph(x, y), model(x, y)), (n, m)
        except flexir.Diverged:
            assert (n, m) not in sizes


def heads_beside_rows(x):
    d = x.shape[-1] // 2  # no call is given it
    rows = [row.unique() for row in x.unbind(0)]
    return torch.cat(rows) if d else x


def padded_heads(x):
    x = torch.nn.functional.pad(x, (0, -x.shape[1] % 8))
    rows = [row * 2 for row in x.unbind(1)]
    return rows[x.shape[1] // 4]


def test_a_number_of_sizes_that_do_not_vary_chooses_nothing_else():
    shown = [torch.arange(4.0 * n).view(n, 4) % 5 for n in (2, 3)]
    graph = flexir.capture(heads_beside_rows, shown[0], also=shown[1:])
    assert not graph.variants, graph.frozen
    for n in (1, 5):
        x = torch.rand(n, 4)
        assert torch.equal(graph(x), heads_beside_rows(x))
    with pytest.raises(flexir.Diverged):
        graph(torch.rand(2, 6))


def test_a_size_that_is_the_same_by_chance_chooses_no_element():
    shown = [torch.rand(n, m) for n, m in ((2, 5), (3, 6), (4, 7))]
    graph = flexir.capture(padded_heads, shown[0], also=shown[1:])
    for x in (torch.rand(2, 11), torch.rand(5, 20)):
        try:
            made = graph(x)
        except flexir.Diverged:
            continue
        assert torch.equal(made, padded_heads(x))


def masked(x, mask=None):
    n = x.shape[1] // 2
    if mask is not None:
        x = x * mask[:, :n]  # not run: that it is a tensor is plain from the brackets
    return torch.stack([row.cumsum(0) for row in x])


def test_brackets_with_several_slices_are_of_a_tensor():
    shown = [torch.rand(n, 4) for n in (2, 3)]
    graph = flexir.capture(masked, shown[0], also=shown[1:])
    assert not graph.variants, graph.frozen
    x = torch.rand(5, 4)
    assert torch.equal(graph(x), masked(x))
