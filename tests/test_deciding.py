"""A number that one branch decides is not taken for another's, and not for a constant."""

import contextlib

import pytest
import torch

import flexir
from flexir.recording.proof import equal


def case(positive, large, n=4):
    """Rows whose sum is positive or not, and whose largest element is more than 1 or not."""
    x = torch.full((n, 3), 0.3 if positive else -0.3)
    if positive or large:
        x[0] = 1.5 if large else 0.5
    if large and not positive:
        x[1:] -= 2
    return x


def test_the_cases_are_what_they_say():
    for positive in (False, True):
        for large in (False, True):
            for n in (3, 6):
                x = case(positive, large, n)
                assert (bool(x.sum() > 0), bool(x.max() > 1)) == (positive, large)


def helper(x, number):
    return x * number


def constants(x):
    k = 2 if x.sum() > 0 else 3
    if x.max() > 1:
        x = x.sin()
    return x * k


def inside_the_other(x):
    k = 2 if x.sum() > 0 else 3
    if x.max() > 1:
        x = x * k
    return x


def sizes(x):
    k = x.shape[0] + 1 if x.sum() > 0 else x.shape[0]
    if x.max() > 1:
        x = x.sin()
    return x.reshape(-1)[:k]


def decided_twice(x):
    k = x.shape[0]
    if x.sum() > 0:
        k = k + 1
    if x.max() > 1:
        k = k * 2
    return x * k


def made_of_it(x):
    k = 2 if x.sum() > 0 else 3
    q = k * 2 if x.max() > 1 else k
    return x * q


def one_more(x):
    k = 2 if x.sum() > 0 else 3
    if x.max() > 1:
        x = x.sin()
    return x * (k + 1)


def two_of_them(x):
    k = 2 if x.sum() > 0 else 3
    q = 5 if x.max() > 1 else 6
    return x * q + k


def alike(x):
    k = 2 if x.sum() > 0 else 3
    q = 2 if x.max() > 1 else 3
    return x * q, k


def handed_on(x):
    k = 2 if x.sum() > 0 else 3
    if x.max() > 1:
        x = x.sin()
    return helper(x, k)


def handed_on_inside_the_other(x):
    k = x.shape[0] + (1 if x.sum() > 0 else 0)
    if x.max() > 1:
        x = helper(x, k)
    return x


def of_a_function_around(x):
    k = 2 if x.sum() > 0 else 3

    def inner(y):
        return y * k

    if x.max() > 1:
        x = inner(x)
    return x


def in_a_dict(x):
    kept = {"k": 2 if x.sum() > 0 else 3}
    if x.max() > 1:
        x = x.sin()
    return x * kept["k"]


def returned(x):
    k = 2 if x.sum() > 0 else 3
    if x.max() > 1:
        x = x.sin()
    return x, k


def rounds(x):
    k = 2 if x.sum() > 0 else 3
    if x.max() > 1:
        x = x.sin()
    for _ in range(k):
        x = x * 1.5
    return x


def in_a_loop(x):
    for _ in range(2):
        k = 2 if x.sum() > 0 else 3
        if x.max() > 1:
            x = x * 0.9
        x = x * k / 3
    return x


def counted(x):
    n = 0
    for row in x:
        if row.sum() > 1:
            n = n + x.shape[0]
    return x * n


def counted_by_two(x):
    n = 0
    if x.sum() > 0:
        n += 1
    if x.max() > 1:
        n += 1
    return x * n


def counted_by_two_and_returned(x):
    n = 0
    if x.sum() > 0:
        n += 1
    if x.max() > 1:
        n += 1
    return x, n


def sizes_counted_by_two(x):
    n = x.shape[0]
    if x.sum() > 0:
        n = n + 1
    if x.max() > 1:
        n = n + 1
    return x * n


def collected_by_two(x):
    got = []
    if x.sum() > 0:
        got.append(x)
    if x.max() > 1:
        got.append(x * 2)
    return sum(got, x)


MODELS = (counted_by_two, counted_by_two_and_returned, sizes_counted_by_two, collected_by_two,
          constants, inside_the_other, sizes, decided_twice, made_of_it, one_more, two_of_them,
          alike, handed_on, handed_on_inside_the_other, of_a_function_around, in_a_dict, returned,
          rounds, in_a_loop, counted)  # fmt: skip
SHOWN = (((1, 1), (0, 0)), ((1, 0), (0, 1)), ((1, 1), (0, 0), (1, 0)))


@pytest.mark.parametrize("sizes", [(4, 4, 4), (4, 3, 5)], ids=str)
@pytest.mark.parametrize("shown", SHOWN, ids=str)
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_right_or_refused(model, shown, sizes):
    first, *others = [(case(*one, n),) for one, n in zip(shown, sizes)]
    graph = flexir.capture(model, first, also=others)
    for (x,) in (first, *others):
        assert equal(graph(x), model(x))
    for kind in ((1, 1), (1, 0), (0, 1), (0, 0)):
        for n in (3, 4, 6):
            x = case(*kind, n)
            try:
                assert equal(graph(x), model(x)), (kind, n)
            except flexir.Diverged:
                continue


@pytest.mark.parametrize("model", [constants, sizes, handed_on, in_a_loop])
def test_two_examples_are_enough_where_variables_say_which_branch_it_was(model):
    first, *others = [(case(*one),) for one in ((1, 1), (0, 0), (1, 0), (0, 1))]
    graph = flexir.capture(model, first, also=others)
    assert not graph.variants
    for kind in ((1, 1), (1, 0), (0, 1), (0, 0)):
        assert equal(graph(case(*kind)), model(case(*kind)))


# -- what the last round of a loop leaves, which no example shows a round reading


def rows(n):
    """Rows of which only the last one sets something."""
    return torch.tensor([[0.1, 0.1, 0.1]] * (n - 1) + [[1.0, 1.0, 1.0]])


def a_counter(x):
    n, h = 0, torch.zeros(3)
    for row in x:
        h = h + row * n
        if row.sum() > 2:
            n += 1
    return h


def a_flag(x):
    seen, h = False, torch.zeros(3)
    for row in x:
        h = h + row
        if seen:
            h = h.sin()
        if row.sum() > 2:
            seen = True
    return h


def a_scale(x):
    scale, h = 1.0, torch.zeros(3)
    for row in x:
        h = h + row * scale
        if row.sum() > 2:
            scale = scale * 0.5
    return h


def a_function(x):
    act, h = torch.sin, torch.zeros(3)
    for row in x:
        h = act(h + row)
        if row.sum() > 2:
            act = torch.cos
    return h


def a_tensor_or_none(x):
    kept, h = None, torch.zeros(3)
    for row in x:
        h = h + row
        if kept is not None:
            h = h + kept
        if row.sum() > 2:
            kept = h
    return h


def a_tensor(x):
    h, kept = torch.zeros(3), x[0]
    for row in x:
        h = h + kept
        if row.sum() > 2:
            kept = kept * 2
    return h


LEFT = (a_counter, a_flag, a_scale, a_function, a_tensor_or_none, a_tensor)


@pytest.mark.parametrize("shown", [(4, 2), (4, 3, 7), (1, 2)], ids=str)
@pytest.mark.parametrize("model", LEFT, ids=lambda model: model.__name__)
def test_what_the_last_round_leaves_is_not_forgotten(model, shown):
    torch.manual_seed(0)
    first, *others = [(rows(n),) for n in shown]
    graph = flexir.capture(model, first, also=others)
    for n in range(1, 9):
        x = torch.rand(n, 3)
        x[0] = 0.9
        try:
            assert torch.equal(graph(x), model(x)), n
        except flexir.Diverged:
            continue


def in_a_tuple(x):
    best, found = x[0], (0, 0)
    n = len(x)
    for i in range(n):
        if x[i] < best:
            best, found = x[i], (i, n)
    return found, best


def test_numbers_in_a_tuple_that_several_conditions_decide():
    shown = torch.tensor([9.0, 2.0, 3.0, 0.0]), torch.tensor([3.0, 1.0, 0.0, 4.0])
    graph = flexir.capture(in_a_tuple, shown[0], also=shown[1:])
    for x in torch.tensor([[5.0, 0.0, 9.0, 3.0], [5.0, 4.0, 3.0, 2.0], [1.0, 2.0, 3.0, 0.0]]):
        with contextlib.suppress(flexir.Diverged):
            found, best = graph(x)
            assert found == in_a_tuple(x)[0] and torch.equal(best, x.min())
