"""Ways that no round of any example followed, and of which the source says what they leave."""

import ast
import textwrap

import pytest
import torch

import flexir
from flexir.graph.source import Source
from flexir.recording.sources import LoopSource, span_of, stored_in
from flexir.recording.told_ways import way_is_told


def loop_of(text):
    """The one loop of a function's body, and the line of the first condition in it."""
    tree = ast.parse("def f(x, y, o, d, self):\n" + textwrap.indent(textwrap.dedent(text), "    "))
    node = next(n for n in ast.walk(tree) if isinstance(n, ast.For))
    test = next(n for n in ast.walk(node) if isinstance(n, (ast.If, ast.IfExp))).test
    stored, targets = stored_in(node.body), tuple(sorted(stored_in([node.target])))
    loop = LoopSource("f.py", node, span_of(node), targets, frozenset(stored), tuple(node.body))
    return loop, Source("f.py", test.lineno, "f")


def known(text, taken=False):
    return way_is_told(*loop_of(text), taken)


SETS = """
for t in x:
    if {test}:
        y = t
"""


@pytest.mark.parametrize(
    "test",
    ["t > 0", "0 < t < 3", "t > 0 and t < y", "t.sum() > 0", "int(t) == 3",
      "y is not None and t > y"],
)  # fmt: skip
def test_a_false_test_of_all_leaves_what_was_there(test):
    assert known(SETS.format(test=test))
    assert not known(SETS.format(test=test), taken=True)


@pytest.mark.parametrize(
    "test",
    ["not t > 0", "t > 0 or t < -1", "t in y", "t != y", "(t > 0) == (y > 0)", "f(t)",
     "y.index(t) > 0", "(z := t) > 0", "t if y else x", "torch.any(t > 0)"],
)  # fmt: skip
def test_another_test_does_not_say_that_nothing_ran(test):
    assert not known(SETS.format(test=test))


WRITES = """
for t in x:
    if t > 0:
        o[0] += t
"""


@pytest.mark.parametrize("taken", [True, False])
def test_what_ways_write_and_no_round_sets_anew_is_there(taken):
    assert known(WRITES, taken)
    assert known(WRITES + "    else:\n        o[1] = t", taken)
    assert known("for t in x:\n    if not t > 0 or y:\n        o.mul_(2)", taken)


@pytest.mark.parametrize(
    "text",
    [
        WRITES + "    o = y",  # which memory?
        WRITES + "    y = f(t)",  # a function of the user's
        WRITES + "    y = self.layer(t)",
        WRITES + "    y = d.kept * t",
        WRITES + "    torch.add(t, t, out=y)",
        WRITES + "    d.push(t)",
        WRITES + "    y = d.step(t)",
        "for t in x:\n    if t > 0:\n        d.add(t)",  # a set?
        "for t in x:\n    if t > 0:\n        d.sort()",  # a list?
        "for t in x:\n    if t > 0:\n        t.neg_()",
        "for t in x:\n    if t > 0:\n        y = t\n    o[0] = 1",  # what is set may be written
        "for t in x:\n    if t > 0:\n        y = t\n    y = y + 1",
        "for t in x:\n    if t > 0:\n        continue\n    o[0] = t",
        "for t in x:\n    if t > 0: o[0] = t",  # more on the line
        "for t in x:\n    y = 1 if t > 0 else 2",
        "for t in x:\n    if t > 0:\n        d.h = t\n    d.h = y",
    ],
)
def test_what_the_source_does_not_say_is_not_known(text):
    assert not known(text) and not known(text, taken=True)


def peaks(x):
    y = x.clone()
    for b in range(x.shape[0]):
        for k in range(x.shape[1]):
            if 0 < x[b, k] and x[b, k] < 2:
                y[b, k] += x[b, k] * 2
    return y


def best(x):
    top = x[0, 0]
    for row in x:
        if row.sum() > top:
            top = row.sum()
    return top


def seen_by_a_view(x):
    y = x.clone()
    part, total = y[:1], x.sum() * 0
    for k in range(x.shape[0]):
        total = total + part.sum()
        if x[k, 0] > 0:
            y[0] = y[0] + 1
    return total


def two_conditions(x):
    a, b = x[0], x[0] * 1
    for row in x:
        if row[0] > 0:
            a = row
        if row[0] > 0.3:
            b = row
    return a - b


def counted(x):
    h, n, total = x[0], 0, x[0] * 0
    for row in x:
        total = total + h * n
        if row[0] > 0:
            h = row
        if row[0] > 0.2:
            n = n + 1
    return total


def exchanged(x):
    a, b = x[0], x[0] + 1
    for row in x:
        if row[0] > 0:
            a, b = b, row
    return a, b


def beside(x):
    one, other = x.new_zeros(3), x.new_zeros(3)
    for k in range(x.shape[0]):
        other[0] = other[0] + one[1]
        if x[k, 0] > 0:
            one[1] = x[k, 0]
            one[0] = other[0]
    return one, other


def last_of_several(x):
    y, part = x * 0, x.clone()[:, 0]
    for row in x:
        y[0] = row
        if not (0 < x.sum() < 1):
            part = part * 2
        else:
            y.neg_()
        if row[0] > part[0]:
            part = row
    return y, part


def a_view_that_is_left(x):
    y, seen = x.clone(), x[0] * 1
    for k, row in enumerate(x):
        seen = y[0]
        if row[0] > 0:
            y[0] += y[k]
    return seen


def a_part_of_two(x):
    y, z, best = x.clone(), x * 0, 0
    part = z[:2]
    for k in range(x.shape[0]):
        z[0] += y[k]
        if x[k, 0] > 0.6:
            part, best = y[:1], k
        best = best + part.shape[0]
    return part, part.sum()


def a_view_that_some_ways_set(x):
    y, z = x.clone(), x * 0
    part = z
    for k in range(x.shape[0]):
        part = y[k:]
        if part[0, 0] > 0:
            part = z
        y.neg_()
    return part, z, y


def a_view_of_the_round_before(x):
    y = x.clone()
    a, b = x[0], x[0] * 1
    for row in x:
        b = y[0]
        y[0] += row
        a, b = b, a
    return b, y


def alike(one, other):
    return all(map(torch.equal, one, other)) if isinstance(one, tuple) else torch.equal(one, other)


PROGRAMS = [peaks, best, seen_by_a_view, two_conditions, counted, exchanged, beside,
            last_of_several, a_view_that_is_left, a_part_of_two,
            a_view_that_some_ways_set, a_view_of_the_round_before]  # fmt: skip


def column(*signs):
    return torch.tensor([[float(one), 0.5, -0.25] for one in signs])


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda one: one.__name__)
@pytest.mark.parametrize("shown", [
    [(1, -0.5), (-0.1,)], [(-1, 0.5), (-0.5,)], [(1.5, -0.3, -2.2, 0.6), (-1.1,)],
    [(-0.3, 1, 0.5, -0.9), (0.3, -2, -0.9, -0.1)], [(-0.1, 0.8), (-0.9, -1.1, -1.7, 0.9)],
    [(-1.9,), (-1, 0.7, -0.7, -1.5), (0.2, 1.5, 0.6)], [(1,), (1, -1)],
    [(-1, 1, -1), (-2,)], [(0.1, -1.4), (0.2, 1.2, 1.3)],
    [(2.5, -0.7, -0.1, -1.1), (0.6, 1, 1.2, -0.3), (-1, 1)],
], ids=str)  # fmt: skip
def test_an_answer_is_right_or_refused(program, shown):
    first, *others = (column(*signs) for signs in shown)
    graph = flexir.capture(program, first, also=others)
    torch.manual_seed(0)
    for many in (1, 2, 3, 4, 5) * 4:
        x = column(*torch.randn(many).tolist())
        try:
            made = graph(x)
        except flexir.Diverged:
            continue
        assert alike(made, program(x)), x[:, 0].tolist()


@pytest.mark.parametrize("program", [best, beside])
def test_ways_shown_in_last_rounds_alone_are_one_graph(program):
    graph = flexir.capture(program, column(-0.2, -0.1, 0.5), also=[column(-1, -2), column(0.1)])
    assert not graph.variants
    for signs in [(1, 2, 3), (2, -1, 3, -4), (-1, -1, 5, 6, -7)]:
        assert alike(graph(column(*signs)), program(column(*signs)))
