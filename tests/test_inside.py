"""What a variable leads to, so that runs can be compared: the same for what is the same."""

import collections
import functools

import pytest
import torch
from torch import nn

from flexir.recording.comparable import IN_GRAPH
from flexir.recording.inside import Contents


class Box:
    def method(self):
        return self


def look(part, known=()):
    return Contents(lambda one: any(one is other for other in known)).variable(part)


def box(**kept):
    made = Box()
    vars(made).update(kept)
    return made


def named(tensor, **kept):
    vars(tensor).update(kept)
    return tensor


def bound(n):
    return lambda: n


def given(n):
    def function(k=n):
        return k

    return function


def started(steps):
    made = iter([1, 2, 3])
    for _ in range(steps):
        next(made)
    return made


DIFFERENT = [
    (box(n=1), box(n=2)), (box(a=box(b=1)), box(a=box(b=2))), ({"a": {}}, {"a": {"b": 1}}),
    ([[1]], [[1, 2]]), ([0] * 200, [0] * 150 + [1] + [0] * 49), ({1, 2}, {1, 3}),
    (collections.deque([1]), collections.deque([])), (bytearray(b"a"), bytearray(b"b")),
    (started(0), started(1)), (bound(1), bound(2)), (given(1), given(2)),
    (functools.partial(print, sep="a"), functools.partial(print, sep="b")),
    (named(torch.ones(1), m=1), named(torch.ones(1), m=2)), (slice(1), slice(2)),
    (range(3), range(4)), (box(n=1).method, box(n=2).method), ((1, 2), (1, 3)),
    (nn.Dropout(0.1), nn.Dropout(0.2)),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(DIFFERENT)))
def test_what_differs_is_told_apart(number):
    one, other = DIFFERENT[number]
    assert look(one) != look(other)


def test_what_is_made_anew_but_alike_is_the_same():
    for make in (lambda: box(a=[1, {"b": torch.ones(2)}]), lambda: bound(3), lambda: {1: (2, 3)},
                 lambda: nn.Linear(2, 2)):  # fmt: skip
        assert look(make()) == look(make())


def test_tensors_are_in_the_graph():
    assert look(torch.ones(2)) == look(torch.zeros(3)) == IN_GRAPH
    assert look(nn.Parameter(torch.ones(2))) == IN_GRAPH
    assert (
        look([torch.ones(1)] * 3) == look([]) == look([(torch.ones(1), torch.ones(2))]) == IN_GRAPH
    )
    assert look([[torch.ones(1)]]) != look([[torch.ones(1)] * 2]), "only its own variable is told"


def test_what_leads_to_itself_ends():
    made = box(n=1)
    made.me, made.list = made, [made]
    other = box(n=1)
    other.me, other.list = other, [other]
    assert look(made) == look(other)
    apart = box(n=1)
    apart.me, apart.list = apart, [box(n=1)]
    assert look(made) != look(apart)


def test_what_the_model_held_is_told_by_which_it_is():
    kept = box(n=1)
    before = look([kept], (kept,))
    kept.n = 2
    assert look([kept], (kept,)) == before != look([box(n=2)])


def test_too_much_is_never_the_same():
    many = [[n] for n in range(6_000)]
    assert look(many) != look([[n] for n in range(6_000)])
