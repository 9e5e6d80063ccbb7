"""Rounds that change something only when none follows say nothing of rounds after that."""

from __future__ import annotations

import pytest
import torch

import flexir
from flexir.recording.proof import equal


def rows(*values):
    return torch.tensor([[float(one)] * 2 for one in values])


def last(x):
    m = None
    for i in range(len(x)):
        r = x[i]
        if r[0] > 0:
            m = r
    return m


def top2(x):
    best = x[0]
    second = x[0]
    for r in x[1:]:
        if r[0] > best[0]:
            second = best
            best = r
    return best, second


def prev(x):
    h = x[0]
    last = h
    for r in x:
        last = h
        if r.sum() > 0:
            h = h + r
    return h, last


def by_an_argument(x, k):
    h = x[-1]
    st = (h, 0)
    for _ in range(len(x)):
        st = (h, 0)
        if k > 0:
            h = x[0]
    return h, st[0]


def counter_in_a_list(x):
    c = [0]
    y = x[0]
    for r in x:
        y = y + c[0]
        if r.sum() > 0:
            c[0] += 1
    return y


def counter_in_a_dict(x):
    d = {"n": 0}
    y = x[0]
    for r in x:
        y = y + d["n"]
        if r.sum() > 0:
            d["n"] += 1
    return y


def flag(x):
    st = {"done": False}
    y = x[0]
    for r in x:
        if st["done"]:
            y = y * 10
        y = y + r
        if r.sum() > 0:
            st["done"] = True
    return y


def key_set(x):
    d = {}
    y = x[0]
    for r in x:
        if "h" in d:
            y = y + d["h"]
        y = y * 2
        if r.sum() > 0:
            d["h"] = r
    return y


def in_a_tuple(x):
    h = x[0]
    st = (h, 1)
    for r in x:
        st = (h, 1)
        if r.sum() > 0:
            h = h + r
    return h, st[0]


def in_an_attribute(x):
    class Box:
        pass

    o = Box()
    o.h = x[0]
    last = o.h
    for r in x:
        last = o.h
        if r.sum() > 0:
            o.h = o.h + r
    return o.h, last


AT_LAST = [rows(-1, 2), rows(-1, -2, -3), rows(-1, -1, 3)]
FRESH = [rows(1, 2, -1), rows(1, 2, 3), rows(-1, 2, -1, -1), rows(-3, -2), rows(-1, 3, -2, -5)]


def never_wrong(model, examples, fresh):
    """How many of the fresh inputs are right; none is wrong."""
    graph = flexir.capture(model, examples[0], also=examples[1:])
    right = 0
    for args in fresh:
        try:
            assert equal(graph(*args), model(*args))
            right += 1
        except flexir.Diverged:
            pass
    return right


@pytest.mark.parametrize(
    "model",
    [
        last,
        top2,
        prev,
        counter_in_a_list,
        counter_in_a_dict,
        flag,
        key_set,
        in_a_tuple,
        in_an_attribute,
    ],
    ids=lambda f: f.__name__,
)
def test_what_was_changed_in_last_rounds_alone_is_refused(model):
    never_wrong(model, [(one,) for one in AT_LAST], [(one,) for one in FRESH])


def test_a_condition_outside_of_the_loop():
    examples = [(torch.rand(1, 3), 1), (torch.rand(3, 3), 0), (torch.rand(2, 3), 0)]
    never_wrong(by_an_argument, examples, [(torch.rand(4, 3), 1)])


def test_top_two_of_examples_that_change_them_in_the_middle():
    examples = [(rows(1, 3, 2),), (rows(1, 2, 3, 4, 1),), (rows(4, 3, 2, 1),)]
    fresh = [(rows(2, 1, 5, 4),), (rows(1, 2, 3, 2, 5, 1),)]
    never_wrong(top2, examples, fresh)


def test_a_loop_that_is_left_where_it_finds_something_goes_on():
    def found(x):
        h = None
        for r in x:
            if r.sum() > 0:
                h = r
                break
        return x[0] if h is None else h * 2

    examples = [(rows(-1, 2, 3),), (rows(-1, -2, 3, 4),), (rows(-1, -1),)]
    assert never_wrong(found, examples, [(rows(-1, -3, -2, 4, 5),), (rows(-5, 4, 1),)])


def test_a_way_of_the_last_round_alone_does_not_say_whether_a_loop_goes_on():
    def left(x):
        y, kept = x[0], [x[0]]
        for i, r in enumerate(x[1:]):
            if r[0] > 0 and i > 0:
                kept = [r]
                break
            y = y + kept[-1]
        return y, kept[-1]

    examples = [(rows(-2, 5),), (rows(-1, -1, -1),), (rows(-4, -1, 5),), (rows(-3, -1, -3, 1),)]
    never_wrong(left, examples, [(rows(-3, 2, 3, -4, 5),), (rows(-5, 4, -1),), (rows(1, -2),)])


def test_two_variables_that_are_the_same_after_all_examples():
    def both(x):
        y, z, i, kept = x[0], x[-1], 0, [x[0]]
        while i < len(x):
            r = x[i]
            y = y * 2
            z = kept[-1]
            if r[0].item() > 0:
                kept[-1] = kept[-1] + r
            i += 1
        return y, z, kept[-1]

    examples = [(rows(-1, -2),), (rows(3, 2, -3, -3),), (rows(-3, 4, -4, 2, -2),)]
    never_wrong(both, examples, [(rows(2, 2, -5, -3, 1),), (rows(5, 3, 1),), (rows(-1, 4, -2),)])
