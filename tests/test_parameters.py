"""Arguments by the names a model's own signature gives them, however they were given."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import nn

from flexir.recording.parameters import bind_forward, bind_model_call


class Plain(nn.Module):
    def forward(self, a, b=2, c=3):
        return a


class Wide(nn.Module):
    def forward(self, a, *rest, flag=True, **more):
        return a


class Static(nn.Module):
    @staticmethod
    def forward(a, b=2):
        return a


class Own(nn.Module):
    """Its ``forward`` is another one than its class's."""

    def __init__(self):
        super().__init__()
        self.forward = lambda x, y=5: x

    def forward(self, wrong):
        return wrong


class Built(nn.Module):
    """No signature can be read."""

    forward = dict.fromkeys


def bound(module, args, **keywords):
    def hook(kwargs):
        return bind_forward(module, args, sys._getframe())

    return hook(keywords)


@pytest.mark.parametrize("_", ["read", "known"])
def test_a_module_call_by_the_names_of_its_forward(_):
    assert bound(Plain(), (1, 7, 8)) == {"a": 1, "b": 7, "c": 8}
    assert bound(Plain(), (1,)) == {"a": 1, "b": 2, "c": 3}
    assert bound(Plain(), (1,), c=9) == {"a": 1, "b": 2, "c": 9}
    assert bound(Plain(), (), a=1) == {"a": 1, "b": 2, "c": 3}
    assert bound(Wide(), (1, 2, 3), k=4) == {
        "a": 1, "rest": (2, 3), "flag": True, "more": {"k": 4},
    }  # fmt: skip
    assert bound(Wide(), (1, 2, 3, 4)) == {"a": 1, "rest": (2, 3, 4), "flag": True, "more": {}}
    assert bound(Wide(), (1,)) == {"a": 1, "rest": (), "flag": True, "more": {}}
    assert bound(Static(), (1,)) == {"a": 1, "b": 2}
    assert bound(Own(), (1,)) == {"x": 1, "y": 5}


def test_calls_that_do_not_fit_the_signature_have_names_all_the_same():
    assert bound(Plain(), (), b=1) == {"b": 1}, "what is missing is the model's matter"
    assert bound(Plain(), (1, 2, 3, 4)) == {"arg0": 1, "arg1": 2, "arg2": 3, "arg3": 4}
    assert bound(Plain(), (1,), wrong=2) == {"arg0": 1, "wrong": 2}


def test_inputs_of_a_model_and_defaults_that_are_tensors():
    weight = torch.ones(2)

    def function(x, scale=2, weight=weight, *, flag=False):
        return x

    names, named, defaults = bind_model_call(function, (1,), {"flag": True})
    assert [name for name, _ in names] == ["x", "scale", "weight", "flag"]
    assert [kind for _, kind in names] == [1, 1, 1, 3]
    assert named == {"x": 1, "scale": 2, "flag": True} and defaults == {"weight": weight}
    _, named, defaults = bind_model_call(function, (1, 3, weight), {})
    assert named["weight"] is weight and not defaults, "it was given"
    names, named, _ = bind_model_call(Own(), (1,), {})
    assert named == {"x": 1, "y": 5} and names == [("x", 1), ("y", 1)]
    assert bind_model_call(Static(), (1,), {})[1] == {"a": 1, "b": 2}


def test_what_has_no_signature_or_another_takes_anything():
    for model in (Built(), dict.fromkeys, lambda x: x):
        names, named, _ = bind_model_call(model, (1, 2, 3), {"k": 4})
        assert named == {"args": (1, 2, 3), "kwargs": {"k": 4}}
        assert names == [("args", 2), ("kwargs", 4)]
