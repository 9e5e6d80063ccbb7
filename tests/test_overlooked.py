"""Where Python reads a size out of an int and tells nobody: named by line, never silent."""

import itertools
import operator

import numpy as np
import pytest
import torch

import flexir
from flexir.recording.proof import equal

SCALE = [1] * 5 + [5] * 4


def table(x):
    return x * SCALE[x.shape[0]]


def part_of_a_table(x):
    n = x.size(0)
    return x * SCALE[:n][-1]


def dictionary(x):
    return x * {2: 1, 3: 1, 7: 5}[x.shape[0]]


def set_of_sizes(x):
    return x * (2 if x.shape[0] in {7, 8} else 1)


def repeated(x):
    return x * (2 if len([0] * x.shape[0]) > 4 else 1)


def text(x):
    name = f"{x.shape[0] * 3}"
    return x * (2 if len(name) > 1 else 1)


def shown(x):
    return x * (2 if str(x.shape) == "torch.Size([7, 3])" else 1)


def a_range(x):
    r = range(x.shape[0])
    return x * (2 if len(r) > 4 else 1)


def sum_of_a_range(x):
    return x * (2 if sum(range(x.shape[0])) > 10 else 1)


def counting(x):
    k = 1
    for _ in range(x.shape[0] // 4):
        k += 1
    return x * k


def any_of_a_range(x):
    return x * (2 if any(i > 4 for i in range(x.shape[0])) else 1)


def by_index(x):
    return x * (2 if operator.index(x.shape[0]) > 4 else 1)


def numpys(x):
    return x * (2 if np.arange(x.shape[0]).sum() > 10 else 1)


def itertools_(x):
    return x * list(itertools.islice(SCALE, x.shape[0]))[-1]


def identity(x):
    rows = x.shape[0]
    return x * (2 if rows is SEVEN else 1)


SEVEN = 7


def as_bytes(x):
    return x * (2 if len(bytes(x.shape[0])) > 4 else 1)


def how_many(x):
    return x * (2 if x.shape.numel() > 12 else 1)


def in_memory(x):
    return x * (2 if x.nbytes > 50 else 1)


def parts(x):
    return x * (2 if len(x.split(2)) > 2 else 1)


SCALE_OF_ALL = 0.1


def of_a_global(x):
    return x * int(SCALE_OF_ALL * x.shape[0])


def of_a_variable(x):
    k = 4.5
    return x * 2 if k < x.shape[0] else x * 1


def into_a_variable(x):
    k = 0.1
    k *= x.shape[0]
    return x * int(k)


def one_of_floats(x):
    return x * (2 if x.shape[0] in (5.0, 7.0) else 1)


def with_a_float(x):
    return x * int(sum((0.5, x.shape[0])) / 4) + divmod(9.5, x.shape[0])[0] // 5


BOUNDS = (4.5, 6.5, 8.5)
BELOW = {0.5: 1}


def of_a_comprehension(x):
    n = x.shape[0]
    return x * len([b for b in BOUNDS if b < n])


def of_a_comprehension_with_others(x):
    n = x.shape[0]
    return x * sum(b < n for _, b in zip(range(9), [*BELOW, *BOUNDS]))


def of_a_lambda(x):
    n = x.shape[0]
    return x * sum(map(lambda b: b < n, BOUNDS))


def scaled(by, n):
    return by * n


def by_a_function(x):
    return x * (2 if int(scaled(0.5, x.shape[0])) < 2 else 1)


def enumerated(x):
    return x * (2 if 4 in dict(enumerate(x)) else 1)


WRITTEN = {
    table: "SCALE[x.shape[0]]", part_of_a_table: "SCALE[:n]", dictionary: "hash()",
    set_of_sizes: "hash()", repeated: "*()", text: "len(name)", shown: "str(x.shape) ==",
    a_range: "r = range(x.shape[0])", sum_of_a_range: "sum(range(x.shape[0]))",
    counting: "for _ in range(x.shape[0] // 4):", any_of_a_range: "range(x.shape[0])",
    by_index: "operator.index(x.shape[0])", numpys: "np.arange(x.shape[0])",
    itertools_: "itertools.islice(SCALE, x.shape[0])", identity: "rows is SEVEN",
    as_bytes: "bytes(x.shape[0])", how_many: "x.shape.numel", in_memory: "x.nbytes > 50",
    parts: "len(x.split(2)) > 2", of_a_global: "SCALE_OF_ALL * x.shape[0]",
    of_a_variable: "k < x.shape[0]", into_a_variable: "k *= x.shape[0]",
    of_a_comprehension: "b < n", of_a_comprehension_with_others: "b < n", of_a_lambda: "b < n",
    by_a_function: "scaled(0.5, x.shape[0])", enumerated: "enumerate()",
    one_of_floats: "x.shape[0] in (5.0, 7.0)",
    with_a_float: "divmod(9.5, x.shape[0])",
}  # fmt: skip


def captured(model):
    return flexir.capture(model, (torch.rand(2, 3),), also=[(torch.rand(3, 3),)])


@pytest.mark.parametrize("model", WRITTEN, ids=lambda m: m.__name__)
def test_where_a_size_goes_unasked_is_named_by_line(model):
    graph = captured(model)
    line = model.__code__.co_firstlineno
    named = [one for one in graph.audit.laundered if WRITTEN[model] in one]
    assert named, graph.audit.laundered
    assert any(f"test_overlooked.py:{n}" in one for one in named for n in range(line, line + 5))


def loop(x):
    h = x[0]
    for i in range(x.shape[0]):
        h = h + x[i]
    return h


def rows(x):
    made = [row.tanh() for row in x.unbind()]
    return torch.stack(made), torch.stack([x[i] for i in range(x.shape[0])])


def arithmetic(x):
    n, m = x.shape
    half = max(1, n * 2 // 2)
    assert x.dim() == 2, f"{x.shape} has {n} rows"
    print(f"{n} x {m}", end="")
    y = x[:half] * n if n > 1 else x
    return y, x.view(n * m), x.new_zeros(list(x.shape)), n is None


def floats(x):
    n, k, whole = x.shape[0], 0.5, 3
    half = n / 2
    return x * half * n + k * half, x.new_ones(whole * n), x * (1.5 if whole > -n else 2)


def own_parts(x):
    n = x.shape[0]
    return x * n.real * n.numerator * n.conjugate() + sum([0.5, n, 1]) * sum((n, 2), 0.5)


def of_whole_numbers(x):
    n = x.shape[0]
    return x * sum([i * 2 for i in (0, 1) if i < n]), [r * n for r in x.unbind()]


NOT_NAMED = [loop, rows, arithmetic, floats, own_parts, of_whole_numbers]


@pytest.mark.parametrize("model", NOT_NAMED, ids=lambda m: m.__name__)
def test_what_is_recorded_is_not_named(model):
    graph = captured(model)
    assert not graph.audit.laundered
    x = torch.rand(7, 3)
    assert equal(graph(x), model(x))


def test_nothing_is_named_of_a_graph_of_one_size():
    assert not flexir.capture(table, (torch.rand(2, 3),)).audit.laundered
