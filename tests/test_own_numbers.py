"""Numbers that a function keeps: where they become Values of their own, and where they do not."""

import contextlib
import inspect
import itertools
import sys

import pytest
import torch
from rows import never_wrong, of_examples

import flexir
from flexir.recording.own_numbers import assigned_at_times
from flexir.recording.telling_code import telling, telling_copy


def counts_some_rounds(x):
    n, h = 0, x[0]
    for row in x:
        if row.sum() > 1.5:
            n += 1
        h = (h + row).sin()
    return h * n


def rounds_that_only_count(x):
    n = 0
    for _ in range(1, x.shape[0]):
        n = n + x.shape[0]
    return x[0] * n, n


def nested_rounds_count(x):
    n, h = 0, x[0]
    for _ in range(3):
        for row in x:
            n += 1
            if row.max() > 0.9:
                h = h * n
    return h, n


def counts_while_it_is_small(x):
    i, h = 0, x[0]
    while i < x.shape[0]:
        h = (h + x[i]).sin()
        if h.sum() > 2:
            break
        i += 1
    return h * i


def halved(x):
    n, h = x.shape[0] * 4, x[0]
    while n > 1:
        h = (h + n).sin()
        n //= 2
    return h


def swapped(x):
    a, b, h = 1, 2, x[0]
    for row in x:
        a, b = b, a + b
        h = h + row * a
    return h * b


def floats(x):
    s, h = 1.0, x[0]
    for row in x:
        if row.sum() > 1.5:
            s = s * 0.5
        h = h + row * s
    return h


def ends_begin_the_next(x):
    out, start = torch.zeros(20, 3), 0
    for row in x:
        many = 2 if row.sum() > 1.5 else 1
        end = start + many
        out[start:end] = row
        start = end
    return out, start


def blocks(x):
    """As in Pixtral's mask: ``start`` is read by no call that leaves it to be read again."""
    out, start = torch.zeros(90, 3), 0
    for row in x:
        end = start + x.shape[0]
        out[start:end] = row
        start = end
    return out


def asked_what_it_is(x):
    n, h = 0, x[0]
    for row in x:
        n += 1
        if n > 2:
            h = h + row
        elif n == 2:
            h = h * 2
    return h


def given(x, n=1):
    h = x[0]
    for row in x:
        if row.sum() > 1.5:
            n = n + 2
        h = h + row * n
    return h


def whole_of_a_float(x):
    n, h = 0, x[0]
    for row in x:
        if row.sum() > 1.5:
            n += int(0.5 * x.shape[0])
        h = (h + row).sin()
    return h * n


class Kept(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 3)

    def forward(self, x):
        n, h = 0, x[0]
        for row in x:
            h = self.layer(h + row)
            if h.sum() > 0:
                n += 2
        return h, n


MODELS = [counts_some_rounds, rounds_that_only_count, nested_rounds_count,
          counts_while_it_is_small, halved, swapped, floats, ends_begin_the_next, blocks,
          asked_what_it_is,
          given, *([whole_of_a_float] * (sys.version_info >= (3, 11))), Kept()]  # fmt: skip


@pytest.mark.parametrize("model", MODELS, ids=lambda one: getattr(one, "__name__", "in_a_module"))
def test_a_loop_carries_a_number(model):
    graph = of_examples(model, 10)
    assert not graph.variants
    assert never_wrong(graph, model) > 10


def test_a_number_that_is_carried_is_saved_and_printed(tmp_path):
    graph = of_examples(counts_some_rounds, 10)
    graph.save(tmp_path / "net.flexir")
    read = flexir.load(tmp_path / "net.flexir")
    assert read.text() == graph.text()
    assert ": int = loop(" in graph.text() and "assigned" not in graph.text()
    assert never_wrong(read, counts_some_rounds) > 10


def counted_for_nobody(x):
    n, h = 0, x[0]
    for row in x:
        n += 1
        if n == 2:
            h = h * 2
        h = (h + row).sin()
    for row in x:
        n += 1
        h = (h + row).sin()
    return h


def test_what_nobody_reads_is_not_carried():
    text = of_examples(counted_for_nobody, 10).text()
    first, second = text.split(" = loop(")[1:]
    assert "carried=(0, %1)" in first.splitlines()[0]
    assert "0" not in second.splitlines()[0].split("inputs")[0]


# -- what is not a function's own

TABLE = [1.0, 0.5, 2.0, 0.1, 3.0, 0.2, 0.3, 0.4, 0.9, 0.8]


def in_a_table(x):
    n, h = 0, x[0]
    for row in x:
        if row.sum() > 1.5:
            n += 1
        h = h + row * TABLE[n]
    return h


def in_a_list(x):
    n, h, got = 0, x[0], [1]
    for row in x:
        if row.sum() > 1.5:
            n += 1
        got.append(n)
        h = h + row * got[-2]
    return h


def chooses_a_row(x):
    n, h, rows = 0, x[0], [x[0], x[0] * 2, x[0] * 3, x[0] * 4, x[0] * 5]
    for row in x:
        if row.sum() > 1.5:
            n += 1
        h = h + rows[n % 5]
    return h


def from_inside(x):
    n, h = 0, x[0]

    def count():
        nonlocal n
        n += 1

    for row in x:
        if row.sum() > 1.5:
            count()
        h = h + row * n
    return h


def twice(number):
    return number + TABLE[number % 7]


def handed_on(x):
    n, h = 0, x[0]
    for row in x:
        if row.sum() > 1.5:
            n += 1
        h = h + row * twice(n)
    return h


def made_of_it_before(x):
    """Rounds that no example shows set ``n``, of which ``f`` was made before."""
    n, h = 1, x[0]
    f = n / 2
    for row in x:
        if row.sum() > 2.4:
            n = 3
        else:
            h = (h * f).roll(n) + row
    return h


def by_a_walrus(x):
    n, h = 0, x[0]
    for row in x:
        if (n := n + 1) > 2:
            h = h + row
    return h * TABLE[n]


@pytest.mark.parametrize(
    "model",
    [
        in_a_table,
        in_a_list,
        chooses_a_row,
        from_inside,
        handed_on,
        by_a_walrus,
        made_of_it_before,
    ],
)
def test_a_number_that_decides_unseen_is_none_of_its_own(model):
    for count in (2, 4, 10):
        never_wrong(of_examples(model, count), model)


def test_a_variable_is_its_own_if_statements_alone_set_it_some_of_them_at_times():
    def function(x, given):
        once, n, m, a, b = 1, 0, 0, 1, 2
        for k in x:
            n += k
            m = k
            a, b = b, a
            given = n
        for m in x:
            once = m
        return once, n, m, given

    assert assigned_at_times(function.__code__) == {"n", "a", "b", "given", "once"}


# -- the copies of functions


def test_functions_run_their_own_code_again_however_a_run_ends():
    def model(x):
        n = 0
        for row in x:
            if row.sum() > 1.5:
                n += 1
        return x * n

    code = model.__code__
    with pytest.raises(ZeroDivisionError), telling({code: frozenset({"n"})}):
        assert model.__code__ != code and model(torch.ones(3, 3)).sum() == 27
        raise ZeroDivisionError
    assert model.__code__ is code


def test_a_copy_stands_where_the_function_stands():
    made = telling_copy(counts_some_rounds.__code__, frozenset({"n"}))
    assert made is not None
    lines = {line for _, _, line in made.co_lines() if line}
    assert lines == {line for _, _, line in counts_some_rounds.__code__.co_lines() if line}
    assert made.co_filename == counts_some_rounds.__code__.co_filename


def test_a_function_whose_source_is_another_is_left_as_it_is():
    space = {}
    source = inspect.getsource(counts_some_rounds).replace("n += 1", "n += 3")
    first = counts_some_rounds.__code__.co_firstlineno
    exec(compile("\n" * (first - 1) + source, __file__, "exec"), space)
    assert telling_copy(space["counts_some_rounds"].__code__, frozenset({"n"})) is None


FOUND_AT = """import torch


def found_at(x):
    best, place = x[0], 0
    for i in range(1, len(x)):
        if x[i] > best:
            best, place = x[i], i
    return place
"""


def test_functions_of_one_text_in_two_files_are_two(tmp_path):
    for name, shown in (
        ("one", [[0.0, 1.0, 2.0], [2.0, 1.0, 0.0], [0.0, 2.0, 1.0]]),
        ("other", [[0.0, 1.0, 2.0, 3.0], [2.0, 3.0, 1.0, 0.0]]),
    ):
        file, space = tmp_path / f"{name}.py", {}
        file.write_text(FOUND_AT)
        exec(compile(FOUND_AT, str(file), "exec"), space)
        function, (first, *also) = space["found_at"], map(torch.tensor, shown)
        graph = flexir.capture(function, first, also=also)
        for x in torch.tensor([*itertools.permutations(range(len(first)))]).float():
            with contextlib.suppress(flexir.Diverged):
                assert graph(x) == function(x), (name, x)
