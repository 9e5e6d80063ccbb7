"""Which recipes fit a call: none that leaves out an argument that matters."""

import torch
import torch.nn.functional as F

import flexir
from flexir.passes.decomposer import _fitting

x = torch.randn(2, 4)


def node(function, *inputs):
    return list(flexir.capture(function, inputs or (x,)))[-1]


def test_a_recipe_is_given_the_arguments_it_names():
    call = node(lambda x: x.softmax(1))
    given = _fitting(lambda input, dim: None, call)
    assert given == {"input": call.args["input"], "dim": 1}


def test_an_argument_at_its_default_may_be_left_out_and_no_other():
    recipe = lambda input, other: None
    assert _fitting(recipe, node(lambda x: torch.add(x, x))) is not None
    assert _fitting(recipe, node(lambda x: torch.add(x, x, alpha=3))) is None


def test_an_argument_that_changes_no_element_may_be_left_out():
    call = node(lambda x: F.relu(x, inplace=True).clone(), x.clone())
    assert call.op == "clone"
    call = node(lambda x: torch.zeros_like(x, memory_format=torch.contiguous_format))
    assert call.args["memory_format"] is torch.contiguous_format
    assert _fitting(lambda input: None, call) is not None


def test_a_recipe_that_takes_every_keyword_ignores_none():
    given = _fitting(lambda input, **rest: None, node(lambda x: torch.add(x, x, alpha=3)))
    assert given is not None and set(given) == {"input"}


def test_a_recipe_may_ask_for_the_shape_and_type_of_the_result():
    call = node(lambda x: x.sum(1))
    given = _fitting(lambda input, dim, shape, type: None, call)
    assert given["shape"] == (2,) and given["type"] is call.outputs[0].type


def test_a_recipe_that_needs_what_the_call_lacks_does_not_fit():
    call = node(lambda x: x.relu())
    assert _fitting(lambda input, weight: None, call) is None
    assert _fitting(lambda input, weight=None: None, call) is not None
    assert _fitting(lambda input, *more, **rest: None, call) is not None
