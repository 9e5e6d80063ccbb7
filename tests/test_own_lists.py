"""Lists that a function alone has: where they become Values of their own, and where they do not."""

import ast

import pytest
import torch
from rows import never_wrong, of_examples, rows_of

import flexir
from flexir.graph.choice import every
from flexir.recording.lookups import TENSORS
from flexir.recording.own_lists import lists_of_its_own
from flexir.recording.proof import equal
from flexir.recording.sources import function_of


def some_rounds_add(x):
    rows, h = [x[0]], x[0]
    for row in x:
        if row.sum() > 1.5:
            rows.append(h)
        h = (h + row).sin()
        rows.append(h)
    return torch.stack(rows)


def before_it_is_set_again(x):
    h, rows = x[0], [x[0] * 2]
    for row in x:
        rows.append(h)
        h = h + row
    return torch.stack(rows)


def rounds_in_rounds(x):
    h, rows = x[0], []
    for _ in range(x.shape[0]):
        for row in x:
            h = (h + row).sin()
            rows.append(h)
        rows.append(h * 2)
    return torch.stack(rows), len(rows)


def two_lists(x):
    odd, even, h = [], [], x[0]
    for row in x:
        odd.append(h)
        even.append(h * 2)
        h = h + row
        odd.append(h)
    return torch.stack(odd), torch.cat(even)


def a_new_one_each_round(x):
    h, sums = x[0], []
    for row in x:
        rows = [h]
        for other in x:
            rows.append(other + row)
            rows.append(other)
        h = torch.stack(rows).mean(0)
        sums.append(h)
    return torch.stack(sums)


def begun_anew_at_times(x):
    h, rows = x[0], [x[0]]
    for row in x:
        if row.sum() > 1.5:
            rows = [h]
        else:
            rows.append(h)
        h = (h + row).sin()
    return torch.stack(rows)


def on_ways(x):
    h, rows = x[0], [x[0]]
    if h.sum() > 1.5:
        rows.append(h * 2)
    if x.shape[0] > 3:
        rows.append(h * 3)
    for row in x:
        if row[0] > 0.5:
            rows.append(row)
    return torch.stack(rows), len(rows)


def its_length_ends_a_loop(x):
    h, rows = x[0], [x[0]]
    for row in x:
        if row.sum() > 1.5:
            rows.append(row)
        if len(rows) > 2:
            break
        h = h + row
    return torch.stack(rows), h


def rounds_that_only_append(x):
    rows, h = [x[0]], x[0]
    for _ in range(x.shape[0]):
        rows.append(h)
    h = h.sin()
    for _ in x:
        rows.append(h)
        rows.append(x[0])
    return torch.stack(rows), len(rows)


class Kept(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 3)

    def collected(self, x, h):
        rows = []
        for row in x:
            if row.sum() > 1.5:
                rows.append(h)
            h = self.layer(h + row)
            rows.append(h)
        return torch.stack(rows)

    def forward(self, x):
        first = self.collected(x, x[0])
        return self.collected(x * 0.7, first[-1]).sum(0), first


MODELS = [some_rounds_add, before_it_is_set_again, rounds_in_rounds, two_lists,
          a_new_one_each_round, begun_anew_at_times, on_ways, its_length_ends_a_loop,
          rounds_that_only_append, Kept()]  # fmt: skip


@pytest.mark.parametrize("model", MODELS, ids=lambda one: getattr(one, "__name__", "in_a_module"))
def test_a_loop_carries_a_list(model):
    graph = of_examples(model, 10)
    assert not graph.variants
    assert never_wrong(graph, model) > 10


def test_a_list_that_is_carried_is_saved_and_printed(tmp_path):
    graph = of_examples(some_rounds_add)
    graph.save(tmp_path / "net.flexir")
    read = flexir.load(tmp_path / "net.flexir")
    assert read.text() == graph.text()
    assert "list[" in graph.text() and "joined(" in graph.text()
    assert never_wrong(read, some_rounds_add) > 10


@pytest.mark.parametrize("model", [rounds_in_rounds, a_new_one_each_round])
def test_at_one_size_there_is_no_list(model):
    (x,) = rows_of(5)[0]
    static = of_examples(model).at((x,))
    assert equal(static(x), model(x))
    assert not any(value.is_list for node in every(static.nodes) for value in node.outputs)


# -- what is not a function's own


def window(x):
    rows, h = [x[0]], x[0]
    for row in x:
        h = (h + row).sin()
        rows.append(h)
        rows.append(row)
        del rows[:-4]
    return torch.stack(rows)


def another_name(x):
    rows, h = [x[0]], x[0]
    same = rows
    for row in x:
        rows.append(h)
        h = (h + row).sin()
        if len(same) > 5:
            same.pop()
        rows.append(h)
    return torch.stack(rows)


def cut(rows):
    if len(rows) > 5:
        rows.pop(0)


def handed_on(x):
    rows, h = [x[0]], x[0]
    for row in x:
        rows.append(h)
        h = (h + row).sin()
        rows.append(h)
        cut(rows)
    return torch.stack(rows)


def a_method_of_it(x):
    rows, h = [x[0]], x[0]
    push = rows.append
    for row in x:
        push(h)
        h = (h + row).sin()
        rows.append(h)
    return torch.stack(rows)


def from_inside(x):
    rows, h = [x[0]], x[0]

    def add(one):
        if len(rows) < 6:
            rows.append(one)

    for row in x:
        add(h)
        h = (h + row).sin()
        add(h)
    return torch.stack(rows)


def in_another_list(x):
    rows, h = [x[0]], x[0]
    lists = [rows, rows]
    for row in x:
        lists[0].append(h)
        h = (h + row).sin()
        rows.append(h)
    return torch.stack(rows)


def the_last_one(x):
    """What is read in a round is what the one before added: at times another than in all others."""
    rows, h = [x[0]], x[0]
    for row in x:
        h = (h + row + rows[-1]).sin()
        rows.append(h)
        if row.sum() > 2:
            rows.append(h * 2)
    return h


def the_one_of_a_round(x):
    rows, h = [x[0]], x[0]
    for i in range(x.shape[0]):
        rows.append(h)
        h = (h + x[i] + rows[i]).sin()
        rows.append(h)
    return torch.stack(rows)


def all_of_it_in_a_round(x):
    rows, h = [x[0]], x[0]
    for row in x:
        rows.append(h)
        for one in rows:
            h = (h + one + row).sin()
    return h


def counted(x):
    rows, h, left = [x[0]], x[0], 3
    for row in x:
        if left:
            rows.append(h)
            left -= 1
        h = (h + row).sin()
        rows.append(h)
    return torch.stack(rows)


def returned_early(x):
    rows, h = [x[0]], x[0]
    for row in x:
        h = (h + row).sin()
        if h.sum() > 2:
            return torch.stack(rows) * 2
        rows.append(h)
    return torch.stack(rows)


def left_at_once(x):
    """All examples leave in the first round: of none that there is one."""
    h, rows = x[0], [x[0] * 2]
    for i in range(1, x.shape[0]):
        rows = [h]
        h = h + i
        if h.sum() > 1:
            break
    return torch.stack(rows), h


def longer_where_it_was_last(x):
    """No round began with a list of two: only last rounds left one."""
    h, rows = x[0], [x[0] * 2]
    for row in x:
        h = (h + torch.cat(rows)[-3:] + torch.stack(rows).sum(0)).sin()
        rows = [h]
        if row[0] > 0.9:
            rows.append(h * 3)
    return h


def asked_for_where_it_is_empty(x):
    """``len`` of an empty list tells nobody, and last rounds left it empty."""
    h, rows, last = x[0], [], [x[0]]
    for row in x:
        rows = []
        last.append(h)
        h = h + torch.stack(last).sum(0)
        if row.sum() > 1:
            continue
        rows.append(h)
        last.append(h)
    return torch.stack(rows).sum(0) * 2 if len(rows) > 0 else h


def the_last_one_after_it(x):
    rows, h = [x[0]], x[0]
    for row in x:
        if row.sum() > 1.5:
            rows.append(h + row)
        h = h.sin()
    return rows[-1] * 2


def changed_once_it_is_long(x):
    """Zeros hide what rounds change: only the calls say that they do."""
    h = x[0] * 0.3
    rows = [h * 2]
    for _ in x:
        rows.append(h * 0.7)
        if h.sum() > 0.5:
            h = (h - 1).relu()
        for _ in x:
            if len(rows) > 3:
                h = h * 0.5
    return h


TABLE = [1.0, 2.0, 3.0, 1.5, 0.5, 2.0, 7.0, 3.0, 1.0, 4.0, 6.0]


def its_length_in_a_table(x):
    h, rows = x[0], [x[0]]
    for row in x:
        if row.sum() > 1.5:
            rows.append(h)
        h = h + row
    return h * TABLE[len(rows)]


ATTACKS = [
    its_length_in_a_table,
    window,
    another_name,
    handed_on,
    a_method_of_it,
    from_inside,
    in_another_list,
    the_last_one,
    the_one_of_a_round,
    all_of_it_in_a_round,
    counted,
    returned_early,
    asked_for_where_it_is_empty,
    the_last_one_after_it,
    changed_once_it_is_long,
    left_at_once,
    longer_where_it_was_last,
]


@pytest.mark.parametrize("examples", [2, 3, 6])
@pytest.mark.parametrize("model", ATTACKS, ids=lambda one: one.__name__)
def test_a_list_that_is_not_understood_is_never_wrong(model, examples):
    for seed in range(4):
        never_wrong(of_examples(model, examples, seed), model, seed + 10)


def names(function, **given):
    """The lists of a function, where all that it calls by a name of torch's is torch's."""
    code = function.__code__
    calls = [n for n in ast.walk(function_of(code)) if isinstance(n, ast.Call)]
    of_torch = [n for n in calls if ast.unparse(n.func).startswith("torch.")]
    return lists_of_its_own(code, dict.fromkeys(of_torch, TENSORS), **given)


@pytest.mark.parametrize("model", ATTACKS[1:10], ids=lambda one: one.__name__)
def test_what_others_may_change_or_read_is_not_its_own(model):
    assert "rows" not in names(model)


def test_what_only_torch_reads_is_its_own():
    assert names(two_lists) == {"odd", "even"}
    assert names(rounds_in_rounds) == names(never_read) == {"rows"}


def returned(x):
    rows = [x]
    return rows, x


def test_a_list_that_is_returned_belongs_to_the_caller():
    assert names(returned) == {"rows"} and not names(returned, is_called=True)


def never_read(x):
    rows, h = [], x[0]
    for row in x:
        if row.sum() > 1.5:
            rows.append(h)
            continue
        h = h + row
    return h


def test_a_list_that_nobody_reads_decides_nothing():
    graph = of_examples(never_read)
    assert not graph.variants
    assert not any(value.is_list for node in every(graph.nodes) for value in node.outputs)
    assert never_wrong(graph, never_read) > 10
