"""Rounds by example: the first may begin from nothing; what they look up is not guessed."""

from __future__ import annotations

import pytest
import torch

import flexir
from flexir.graph.choice import every, is_loop
from flexir.recording.proof import equal

TABLE = [1.0, 1.0, 1.0, 1.0, 1.0, 5.0, 6.0, 7.0, 8.0]


def captured(model):
    """The graph of three lengths of a model, and of one more where it has to be told."""
    torch.manual_seed(0)
    shown = [torch.rand(n, 3) for n in (3, 2, 5)]
    return flexir.capture(model, (shown[0],), also=[(x,) for x in shown[1:]])


def becomes(graph, model, rows):
    """What becomes of a fresh input: True where it is right, None where it is refused."""
    x = torch.rand(rows, 3)
    try:
        made = graph(x)
    except flexir.Diverged:
        return None
    return equal(made, model(x))


def sum_of_a_list(x):
    return sum([row.exp() for row in x])


def sum_of_a_generator(x):
    return sum(row.exp() for row in x)


def sum_of_what_was_collected(x):
    made = []
    for i in range(x.shape[0]):
        made.append(x[i] * 2)
    return sum(made)


def begins_with_a_number(x):
    total = 0
    for row in x:
        total = total + row.exp()
    return total


def begins_with_none(x):
    out = None
    for i in range(x.shape[0]):
        row = x[i] * 2
        if out is None:
            out = row
        else:
            out = torch.maximum(out, row)
    return out


def begins_with_none_in_one_line(x):
    h = None
    for row in x:
        h = row.tanh() if h is None else (h + row).sin()
    return h


def goes_over_a_list_without_a_name(x):
    h = x[0]
    for one in [row.exp() for row in x]:
        h = h + one.cos()
    return h


@pytest.mark.parametrize(
    "model",
    [
        sum_of_a_list, sum_of_a_generator, sum_of_what_was_collected, begins_with_a_number,
        begins_with_none, begins_with_none_in_one_line, goes_over_a_list_without_a_name,
    ],
)  # fmt: skip
def test_a_first_round_of_its_own(model):
    graph = captured(model)
    assert not graph.variants and any(map(is_loop, every(graph.nodes)))
    assert all(becomes(graph, model, n) for n in (2, 4, 9))
    assert becomes(graph, model, 1) is not False
    with pytest.raises((flexir.Diverged, IndexError)):
        graph(torch.rand(0, 3))  # no example showed that there is no first round


def sum_with_a_start(x):
    return sum([row.exp() for row in x], x[0])


def test_sum_with_a_start_has_no_round_of_its_own():
    graph = captured(sum_with_a_start)
    assert not graph.variants
    assert all(becomes(graph, sum_with_a_start, n) for n in (1, 4, 9))


def ends_early(x):
    total = 0
    for row in x:
        total = total + row.exp()
        if total.sum() > 12:
            break
    return total


def test_a_first_round_of_its_own_and_an_early_end():
    graph = captured(ends_early)
    assert all(becomes(graph, ends_early, n) is not False for n in (1, 2, 3, 4, 7, 9))


def _doubled_at_first(h, i):
    return h * 2 if i < 5 else h * 3


def looked_up(x):
    h = x[0]
    for i in range(x.shape[0]):
        h = h * TABLE[i] + x[i]
    return h


def looked_up_by_a_method(x):
    table, h = dict(enumerate(TABLE)), x[0]
    for i, row in enumerate(x):
        h = h * table.get(i, 9.0) + row
    return h


def _tables():
    return {"scale": TABLE}


def looked_up_in_what_a_function_gives(x):
    h = x[0]
    for i in range(x.shape[0]):
        h = h * _tables()["scale"][i] + x[i]
    return h


def looked_up_in_a_table_of_tables(x):
    tables, which, h = [TABLE, TABLE], x.dim() - 1, x[0]
    for i in range(x.shape[0]):
        h = h * tables[which][i] + x[i]
    return h


def gone_over_beside(x):
    h = x[0]
    for row, factor in zip(x, TABLE):
        h = h * factor + row
    return h


def given_to_a_function(x):
    h = x[0]
    for i in range(x.shape[0]):
        h = _doubled_at_first(h, i) + x[i]
    return h


def counted_beside(x):
    h, n = x[0], 0
    for row in x:
        h = h * TABLE[n] + row
        n += 1
    return h


@pytest.mark.parametrize(
    "model",
    [
        looked_up, looked_up_by_a_method, looked_up_in_what_a_function_gives,
        looked_up_in_a_table_of_tables, gone_over_beside, given_to_a_function, counted_beside,
    ],
)  # fmt: skip
def test_what_rounds_look_up_beyond_those_shown_is_not_guessed(model):
    graph = captured(model)
    assert [becomes(graph, model, n) for n in (2, 3, 5, 6, 7, 9)] == [True] * 3 + [None] * 3


def test_what_stands_nowhere_on_this_way_is_refused_by_name():
    def model(x):
        h = x[0]
        for row in x.unbind(0)[1:]:
            h = h + row
            if h.sum() > 3:
                break
            x = x * 0.5
        return h, x

    graph = captured(model)
    assert all(becomes(graph, model, n) is not False for n in (1, 2, 3, 4, 6, 8))


def each_row_is_tested(x):
    h = x[0]
    for i in range(len(x) - 1, -1, -1):
        if x[i].max() > 0.7:
            h = (h - x[i]).relu()
        h = h + 0.1
    return h


def each_row_is_tested_and_its_number(x):
    h = x[0]
    for i in range(x.shape[0]):
        if x[i].max() > 0.7 and i < 5:
            h = (h - x[i]).relu()
        h = h + 0.1
    return h


def test_a_test_of_a_row_is_in_the_graph_and_one_of_its_number_is_not():
    graph = captured(each_row_is_tested)
    assert not graph.variants
    assert all(becomes(graph, each_row_is_tested, n) for n in (2, 4, 9))
    graph = captured(each_row_is_tested_and_its_number)
    assert all(becomes(graph, each_row_is_tested_and_its_number, n) is not False for n in (2, 6, 9))


def counts_what_nobody_reads(x):
    h, n = x[0], 0
    for row in x:
        if h.sum() > 1.5:
            n = n + x.shape[0]
            h = h * 0.5
        h = h + row
    return h


def test_a_number_that_is_read_only_to_count_itself_up_keeps_nothing_apart():
    graph = captured(counts_what_nobody_reads)
    assert not graph.variants
    assert all(becomes(graph, counts_what_nobody_reads, n) is not False for n in (1, 2, 4, 9))
