"""What conditions and rounds put where no local variable is: attributes, containers, closures."""

import collections
import contextvars
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import flexir
from tests.rows import right_or_refused

SHOWN = [[0.2], [0.3, 1.3, -0.7, 0.2], [1.8, 0.4, 0.5], [-0.7, -1.2, -0.5, 0.2], [0.5, -0.3]]
FRESH = [[-0.6, 0.6, 0.8, -0.1], [0.8, 1.5, -0.9, -1.3, -0.1], [1.0], [0.5, -0.4, -0.2], [-0.3, 2]]


class OnItself(nn.Module):
    def forward(self, x):
        self.last = x.sum()
        for t in x:
            self.last = t if t > 0 else self.last
        return self.last * 2


class InABuffer(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("last", torch.zeros(()))

    def forward(self, x):
        self.last = x.sum()
        for t in x:
            if t > 0:
                self.last = t
        return self.last * 2


class InADictionaryOfItsOwn(nn.Module):
    def __init__(self):
        super().__init__()
        self.kept = {}

    def forward(self, x):
        self.kept["last"] = x.sum()
        for t in x:
            if t > 0:
                self.kept["last"] = t
        return self.kept["last"] * 2


class OnAChild(nn.Module):
    def __init__(self):
        super().__init__()
        self.child = nn.Identity()

    def forward(self, x):
        self.child.last = x.sum()
        for t in x:
            if t > 0:
                self.child.last = t
        return self.child.last * 2


class ByGetattr(nn.Module):
    def forward(self, x):
        for t in x:
            setattr(self, "last", t if t > 0 else getattr(self, "last", x.sum()))  # noqa: B010
        last = self.last
        del self.last
        return last


def by_get(x):
    kept = {}
    for t in x:
        kept["last"] = t if t > 0 else kept.get("last", x.sum())
    return kept["last"]


def at_the_end(x):
    kept = [x.sum()]
    for t in x:
        kept.append(t if t > 0 else kept[-1])
    return kept[-1]


def at_the_front(x):
    kept = collections.deque([x.sum()])
    for t in x:
        if t > 0:
            kept.appendleft(t)
    return kept[0]


def deep(x):
    kept = [[[[[[x.sum()]]]]]]
    for t in x:
        if t > 0:
            kept[0][0][0][0][0][0] = t
    return kept[0][0][0][0][0][0]


def in_a_closure(x):
    last = x.sum()

    def put(one):
        nonlocal last
        last = one

    for t in x:
        if t > 0:
            put(t)
    return last * 2


_last = contextvars.ContextVar("last")


def in_the_context(x):
    _last.set(x.sum())
    for t in x:
        if t > 0:
            _last.set(t)
    return _last.get() * 2


PLACES = [OnItself, InABuffer, InADictionaryOfItsOwn, OnAChild, ByGetattr]
PLACES += [by_get, at_the_end, at_the_front, deep, in_a_closure, in_the_context]


def program(place):
    return place() if isinstance(place, type) else place


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("shown", [slice(0, 2), slice(1, 3), slice(2, 5), slice(0, 5)])
def test_what_rounds_put_there(place, shown):
    first, *also = map(torch.tensor, SHOWN[shown])
    graph = flexir.capture(program(place), first, also=also)
    right_or_refused(graph, program(place), map(torch.tensor, SHOWN + FRESH))


@pytest.mark.parametrize("place", [OnItself, InABuffer, InADictionaryOfItsOwn])
def test_attributes_of_a_module_are_variables(place):
    first, *also = map(torch.tensor, SHOWN)
    graph, model = flexir.capture(place(), first, also=also), place()
    assert not graph.variants
    for x in map(torch.tensor, FRESH):
        assert torch.equal(graph(x), model(x))


def of_the_class(x):
    _Shared.last = x.sum()
    for t in x[:3].unbind():
        if t > 0:
            _Shared.last = t
    return _Shared.last


class _Shared(SimpleNamespace):
    last = None


def test_rows_that_conditions_put_into_a_class():
    shown = [[1.0, 0.2, 0.1], [0.5, -0.4, -2.0], [0.4, -0.3, 0.6]]
    first, *also = map(torch.tensor, shown)
    graph = flexir.capture(of_the_class, first, also=also)
    signs = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 3) * torch.tensor([0.3, 0.5, 2.0])
    right_or_refused(graph, of_the_class, signs)


class InContext(nn.Module):
    def forward(self, x):
        _last.set(x + 1)
        return _last.get() * 2


def test_the_variable_of_a_context_is_itself_after_a_capture():
    variable = _last
    graph = flexir.capture(InContext(), torch.ones(2), also=[torch.ones(3)])
    assert _last is variable
    assert torch.equal(graph(torch.ones(5)), torch.full((5,), 4.0))


def number_in_a_list_over_a_loop(x):
    box = [x.shape[0], 1]
    if x.sum() > 0:
        box[0] = x.shape[0] + 2
    made = x[0] * 0
    for row in x:
        made = made + row
    first = made * box[0]
    return first + box[0]


@pytest.mark.parametrize("seed", range(4))
def test_a_number_in_a_list_that_a_condition_before_a_loop_decided(seed):
    """A place in a container has a key more than a variable has."""
    torch.manual_seed(seed)
    shown = [torch.randn(n, 2) for n in (3, 4, 2, 5)]
    fresh = [torch.randn(n, 2) for n in (1, 3, 6, 7)]
    model = number_in_a_list_over_a_loop
    graph = flexir.capture(model, shown[0], also=shown[1:])
    assert right_or_refused(graph, model, fresh)
