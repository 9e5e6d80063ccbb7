"""Functions that remember results (``functools.lru_cache``), on paths laid over each other."""

import functools
import itertools

import pytest
import torch

import flexir
from flexir.recording.innards import CachedResults


class Recipe:
    def __init__(self, factor):
        self.factor, self.used = factor, 0


def scaling():
    @functools.lru_cache(256)
    def recipe(factor):
        return Recipe(factor)

    def model(x):
        y = x * recipe(2).factor if x.sum() > 0 else x * recipe(3).factor
        return y + 1

    return model


def counting():
    @functools.cache
    def recipe():
        return Recipe(1)

    def model(x):
        if x[0] > 0:
            recipe().used += 1
        y = x * 2
        if x[1] > 0:
            y = y * recipe().used
        return y

    return model


def test_paths_that_ask_for_other_results_are_one_graph():
    x = torch.rand(3)
    graph = flexir.capture(scaling(), (x,), also=[(-x,)])
    assert not graph.variants, graph.frozen
    for one in (x + 1, -x - 1):
        assert torch.equal(graph(one), scaling()(one))


@pytest.mark.parametrize("many", [2, 3])
def test_results_that_are_changed_on_one_path_decide_nothing_unseen(many):
    inputs = [torch.tensor(pair) for pair in itertools.product((1.0, -1.0), repeat=2)]
    for shown in itertools.permutations(inputs, many):
        graph = flexir.capture(counting(), (shown[0],), also=[(one,) for one in shown[1:]])
        for x in inputs:
            try:
                made = graph(x)
            except flexir.Diverged:
                continue
            assert torch.equal(made, counting()(x))


@pytest.mark.parametrize("size", [None, 2, 256])
def test_new_results_are_known_by_what_they_are_of(size):
    @functools.lru_cache(size)
    def recipe(factor, other=1):
        return Recipe(factor)

    recipe(1)
    kept = CachedResults(recipe, "recipe")
    assert kept.since() == [] and kept.stands()
    made = {recipe(2), recipe(3, other=2)}
    found = kept.since()
    assert {result for _, result in found} == made and not kept.stands()
    assert {result.factor: key for key, result in found}[2] == 2
