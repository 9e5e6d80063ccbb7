"""What a pattern's literals agree with: numbers, sizes and slices of the calls they stand for."""

import pytest
import torch

import flexir
from flexir import passes


def found(pattern, model, *args):
    with torch.no_grad():
        return pattern.find(flexir.capture(model, args))


@passes.pattern
def first_two(x):
    return x[:2].relu()


@passes.pattern
def taken(x, *, stop):
    return x[:stop].relu()


@passes.pattern
def squared(x, *, n):
    return (x * n).sum(n)


x = torch.randn(4, 4)


def test_a_slice_agrees_with_the_same_slice_alone():
    assert len(found(first_two, lambda x: x[:2].relu(), x)) == 1
    for other in (lambda x: x[:3].relu(), lambda x: x[1:2].relu(), lambda x: x[:2:2].relu(),
                  lambda x: x[0].relu(), lambda x: x[None].relu()):  # fmt: skip
        assert found(first_two, other, x) == []


def test_a_literal_in_a_slice_is_bound_to_what_stands_there():
    (match,) = found(taken, lambda x: x[:3].relu(), x)
    assert match.bound["stop"] == 3
    assert found(taken, lambda x: x[1:3].relu(), x) == []


def test_a_literal_that_stands_twice_is_the_same_number_twice():
    (match,) = found(squared, lambda x: (x * 1).sum(1), x)
    assert match.bound["n"] == 1
    assert found(squared, lambda x: (x * 2).sum(1), x) == []


@pytest.mark.parametrize(
    ("given", "agrees"), [(0.1, True), (0.1 + 1e-8, True), (0.1001, False), (1, False)]
)
def test_a_float_agrees_within_its_rounding(given, agrees):
    @passes.pattern
    def scaled(x):
        return (x * 0.1).relu()

    assert bool(found(scaled, lambda x: (x * given).relu(), x)) == agrees


def test_sizes_in_a_list_agree_one_by_one():
    @passes.pattern
    def means(x):
        return x.mean((0, 1)).relu()

    assert len(found(means, lambda x: x.mean([0, 1]).relu(), x)) == 1
    assert found(means, lambda x: x.mean([0, 2]).relu(), x[None]) == []
    assert found(means, lambda x: x.mean([0]).relu(), x) == []


def test_one_size_is_the_same_with_and_without_a_list():
    @passes.pattern
    def mean(x):
        return x.mean(1).relu()

    assert len(found(mean, lambda x: x.mean((1,)).relu(), x)) == 1
    assert found(mean, lambda x: x.mean((0,)).relu(), x) == []
