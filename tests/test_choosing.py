"""Which rows a loop, a comprehension or a builtin chooses is decided by conditions, not places."""

import itertools

import pytest
import torch

import flexir
from flexir.recording.proof import equal


def the_last_that_fits(x):
    last = x[0]
    for row in x:
        if row.sum() > 0:
            last = row
    return last * 2


def all_that_fit(x):
    got = [x[0]]
    for row in x:
        if row.sum() > 0:
            got.append(row)
    return torch.stack(got).sum(0)


def a_comprehension_with_if(x):
    got = [x[0]] + [row for row in x if row.sum() > 0]
    return torch.stack(got).sum(0)


def extended_by_a_generator(x):
    got = [x[0]]
    got.extend(row for row in x if row.sum() > 0)
    return torch.stack(got).sum(0)


def one_or_its_negative(x):
    return torch.stack([row if row.sum() > 0 else -row for row in x])


LIVE = (the_last_that_fits, all_that_fit, a_comprehension_with_if, extended_by_a_generator,
        one_or_its_negative)  # fmt: skip


def if_there_is_any(x):
    got = []
    for row in x:
        if row.sum() > 0:
            got.append(row)
    return torch.stack(got).sum(0) if got else x[0]


def the_largest(x):
    return max(x, key=lambda row: row.sum()) * 2


def in_order(x):
    return torch.stack(sorted(x, key=lambda row: float(row.sum())))


def filtered(x):
    total = x[0]
    for row in filter(lambda row: row.sum() > 0, x):
        total = total * 0.5 + row
    return total


def filtered_before(x):
    kept = iter(filter(lambda row: row.sum() > 0, x))
    return next(kept, x[0]) + sum(kept, x[0])


def the_first_ones(x):
    return torch.stack([x[0], *itertools.takewhile(lambda row: row.sum() > 0, x)]).sum(0)


def how_many(x):
    return x * sum(1 for row in x if row.sum() > 0)


def weighted(x):
    return x * sum([2 if row.sum() > 0 else 1 for row in x])


def of_truth_values(x):
    mask = [bool(row.sum() > 0) for row in x]
    return x * sum(mask)


def their_numbers(x):
    at = [i for i, row in enumerate(x) if row.sum() > 0]
    return x[at].sum(0)


def in_a_dict(x):
    kept = {i: row for i, row in enumerate(x) if row.sum() > 0}
    return sum(kept.values(), x[0])


def any_of_them(x):
    if any(bool(row.sum() > 0) for row in x):
        x = x.sin()
    return x * 2


def all_of_them(x):
    if all(row.sum() > 0 for row in x):
        x = x.sin()
    return x * 2


def a_function(x):
    act = torch.sin if x.sum() > 0 else torch.cos
    if x.max() > 1:
        x = x * 2
    return act(x)


NEVER_WRONG = (if_there_is_any, the_largest, in_order, filtered, filtered_before,
               the_first_ones, how_many, weighted, of_truth_values, their_numbers, in_a_dict,
               any_of_them, all_of_them, a_function)  # fmt: skip


def answers(model, sizes, seed):
    """Whether each of some fresh answers is right; those that are refused are left out."""
    torch.manual_seed(seed)
    first, *others = [(torch.randn(n, 3),) for n in sizes]
    graph = flexir.capture(model, first, also=others)
    found = []
    for n in (2, 3, 4, 5, 6, 8):
        x = torch.randn(n, 3)
        try:
            found.append(equal(graph(x), model(x)))
        except flexir.Diverged:
            continue
    return graph, found


@pytest.mark.parametrize("model", LIVE, ids=lambda model: model.__name__)
def test_what_conditions_choose_is_live(model):
    for seed in range(3):
        graph, found = answers(model, (4, 3, 5), seed)
        assert not graph.variants and all(found) and len(found) >= 5


@pytest.mark.parametrize("sizes", [(4, 3, 5), (4, 4, 4)], ids=str)
@pytest.mark.parametrize("model", (*LIVE, *NEVER_WRONG), ids=lambda model: model.__name__)
def test_right_or_refused(model, sizes):
    for seed in range(4):
        assert all(answers(model, sizes, seed)[1])
