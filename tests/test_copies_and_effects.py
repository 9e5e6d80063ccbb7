"""Copies of inputs for a run of one's own, and what nodes say that calls wrote."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import flexir
from flexir.graph.inputs import Inputs
from flexir.recording.eager import copied_inputs, copies_of, initial_state, no_fast_path
from flexir.recording.given import Given, unshared


class Cache:
    """A plain object, empty at first."""

    def __init__(self):
        self.size, self.parts = 0, []


def test_copies_share_what_the_inputs_share_and_nothing_with_them():
    x = torch.arange(6.0).reshape(2, 3).t().requires_grad_()
    (one, [other]), kwargs = copies_of((x, [x]), {"k": x})
    assert one is other is kwargs["k"] is not x
    assert torch.equal(one, x) and one.stride() == x.stride() and one.requires_grad
    assert one.data_ptr() != x.data_ptr() and one.is_leaf
    assert not copies_of((torch.ones(1),), {})[0][0].requires_grad


def test_copies_are_of_the_kind_that_was_given():
    sparse, weight = torch.ones(2).to_sparse(), nn.Parameter(torch.ones(2))
    (a, b), _ = copies_of((sparse, weight), {})
    assert a is not sparse and a.is_sparse and torch.equal(a.to_dense(), torch.ones(2))
    assert b is not weight and torch.equal(b, weight) and b.requires_grad
    made = copied_inputs(Inputs(torch.ones(1), k=3))
    assert type(made) is Inputs and made.kwargs == {"k": 3}


def test_objects_that_hold_no_tensor_yet_are_copied_and_may_hold_themselves():
    cache = Cache()
    (made, again), kwargs = copies_of((cache, [cache, (cache,)]), {"d": {"k": cache}})
    assert made is not cache and made.size == 0 and made.parts is not cache.parts
    full = Cache()
    full.parts.append(torch.ones(1))
    full.inner, full.itself = Cache(), full
    (made,), _ = copies_of((full,), {})
    assert made.itself is made and made.inner is not full.inner
    assert made.parts[0] is not full.parts[0] and torch.equal(made.parts[0], full.parts[0])
    net = nn.Linear(1, 1)
    assert copies_of((net, len, "a", 3), {})[0] == (net, len, "a", 3), "the model's own stays"


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("total", torch.zeros(2))
        self.last, self.n = torch.zeros(2), 0

    def forward(self, x):
        self.total += x
        self.last, self.n = x * 2 + self.last, self.n + 1
        return x + self.total


def test_a_model_is_put_where_a_graph_began_and_back_again():
    model, x = Counting(), torch.ones(2)
    graph = flexir.capture(model, x)
    after, last = model.total, model.last
    with initial_state(graph, model) as lost:
        assert lost == [] and model.n == 0
        assert torch.equal(model.total, torch.zeros(2)) and torch.equal(model.last, torch.zeros(2))
        model(x)
    assert model.total is after and torch.equal(after, x) and model.last is last and model.n == 1
    with pytest.raises(KeyError), initial_state(graph, model):
        model(x)
        raise KeyError
    assert torch.equal(model.total, x) and model.last is last and model.n == 1


def test_random_numbers_are_drawn_from_where_the_run_began():
    graph = flexir.capture(nn.Dropout(), torch.ones(9))
    with torch.no_grad():
        expected = graph(torch.ones(9))
    state = torch.get_rng_state()
    with initial_state(graph, lambda x: x):
        assert torch.equal(nn.functional.dropout(torch.ones(9)), expected)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_generator_that_is_given_begins_where_the_run_began():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.source = torch.Generator().manual_seed(3)

        def forward(self, x):
            return x + torch.rand(2, generator=self.source)

    model, x = Own(), torch.zeros(2)
    begun = torch.Generator().manual_seed(3)
    graph = flexir.capture(model, x)
    with initial_state(graph, model):
        assert torch.equal(model(x), torch.rand(2, generator=begun))


def test_the_fast_path_is_off_and_then_as_it_was():
    for before in (True, False):
        torch.backends.mha.set_fastpath_enabled(before)
        with pytest.raises(KeyError), no_fast_path():
            assert torch.backends.mha.get_fastpath_enabled() is False
            raise KeyError
        assert torch.backends.mha.get_fastpath_enabled() is before
    torch.backends.mha.set_fastpath_enabled(True)


def test_what_a_call_does_to_the_containers_it_is_given():
    x, kept = torch.ones(1), {"k": [1]}
    given = Given({"a": [x], "b": (kept, Cache()), "c": x})
    assert given.parts() == [] and given.changed(None) == []
    kept["k"].append(2)
    assert [name for name, _ in given.parts()] == ["b"]
    [line] = given.changed(None)
    assert "b.0.k was [1] before" in line and "does not return it" in line
    assert given.changed({"out": kept}) == [], "it is returned"
    assert given.changed(None, carried="b") == []
    other = [x]
    given = Given({"a": other})
    other[0] = torch.zeros(1)
    [line] = given.changed(None)
    assert line.endswith("a.0 was another tensor before the call")


def test_inputs_that_the_model_holds_are_apart_from_it():
    x, y = torch.ones(2, requires_grad=True), torch.ones(2)
    known = {id(x): x}
    given = [y, {"k": y}]
    assert unshared(given, known) is given
    one, [other, same] = unshared((x, [y, x]), known)
    assert one is same is not x and other is y and torch.equal(one, x) and one.requires_grad


def test_a_node_says_which_arguments_it_wrote():
    def model(x, y):
        a, b = x + 1, y * 2
        a.add_(a)
        torch.add(a, b, out=b)
        torch.add(b, b, out=b)
        return a + b

    graph = flexir.capture(model, (torch.ones(2), torch.ones(2)))
    writes = [set(node.effects.writes) for node in graph if node.effects.writes]
    assert writes == [{"input"}, {"out"}, {"out"}]
    x, y = torch.rand(2), torch.rand(2)
    assert torch.equal(graph(x, y), model(x, y))


def test_a_recorded_write_of_memory_that_numpy_shares_is_no_secret():
    def model(x):
        a = x + 1
        a.numpy()
        a.add_(1)
        b = a * 2
        a.mul_(3)
        return a + b

    graph = flexir.capture(model, torch.ones(2))
    assert not any("no watcher sees" in line for line in graph.audit.problems)


def test_sparse_tensors_are_written_where_they_are():
    def model(x):
        a = x.to_sparse()
        a.mul_(2)
        return a.to_dense() + 1

    graph = flexir.capture(model, torch.ones(2))
    assert torch.equal(graph(torch.full((2,), 3.0)), torch.full((2,), 7.0))
