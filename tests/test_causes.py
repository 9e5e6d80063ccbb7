"""Why an engine's output differs: what each wrong output is said to look like, and nothing else."""

import math

import pytest
import torch
from torch.nn import functional

import flexir
from flexir.checks.diagnose import _instead, causes, difference, distance, magnitude
from flexir.graph.nodes import Value
from flexir.graph.tree import tensors_in


def told(model, args, wrong, rtol=1e-5):
    """The causes named for a model of one call, of which an engine made ``wrong``."""
    graph = flexir.capture(model, args)
    node = graph.nodes[-1]
    env = dict(zip(graph.input_values, args))
    env.update(graph.constants)
    made = wrong if isinstance(wrong, (tuple, list)) else [wrong]
    expected = tensors_in(model(*args))
    return list(causes(node, env, expected, made, rtol))


def others(model, x, name):
    """What is tried instead of an argument: how it is called -> the argument."""
    node = flexir.capture(model, (x,)).nodes[-1]
    part = node.args[name]
    return dict(_instead(name, x if isinstance(part, Value) else part, node))


def test_differences_are_infinite_where_one_side_alone_is_finite():
    nan, inf = math.nan, math.inf
    want = torch.tensor([1.0, nan, inf, nan, 2.0, inf])
    made = difference(want, torch.tensor([1.5, nan, inf, 0.0, inf, -inf]))
    assert made.tolist() == [0.5, 0.0, 0.0, inf, inf, inf] and made.dtype == torch.float64
    assert difference(torch.tensor([1 + 1j]), torch.tensor([1 - 2j])).tolist() == [3.0]


def test_whole_numbers_that_differ_are_at_least_one_apart():
    large = torch.tensor([2**60, 5, 7])
    assert difference(large, torch.tensor([2**60 + 1, 5, 4])).tolist() == [1.0, 0.0, 3.0]
    assert difference(torch.tensor([True, False]), torch.tensor([True, True])).tolist() == [
        0.0,
        1.0,
    ]
    assert difference(torch.tensor([3]), torch.tensor([3.25])).tolist() == [0.25]


def test_a_magnitude_is_of_what_is_finite_and_never_zero():
    assert magnitude(torch.tensor([1.0, -4.0, math.inf, math.nan])) == 4.0
    assert magnitude(torch.zeros(3)) == 1e-12
    assert magnitude(torch.empty(0)) == magnitude(torch.tensor([math.nan])) == 1.0
    assert magnitude(torch.tensor([3 + 4j])) == 5.0
    assert distance(torch.tensor([2.0, 4.0]), torch.tensor([2.0, 3.0])) == (1.0, 4.0)
    assert distance(torch.empty(0), torch.empty(0))[0] == 0.0


X = torch.arange(1.0, 25.0).reshape(2, 3, 4) ** 1.5


@pytest.mark.parametrize(
    ("wrong", "cause"),
    [
        (-X.transpose(1, 2).reshape(2, 3, 4), "dimensions 1 and 2 were exchanged"),
        (-X.transpose(0, 2).reshape(2, 3, 4), "dimensions 0 and 2 were exchanged"),
        (-X.roll(1, 2), "the output was shifted by 1 along dimension 2"),
        (-X.roll(-1, 1), "the output was shifted by -1 along dimension 1"),
        ((-X).to(torch.bfloat16).float(), "it was rounded to bfloat16"),
        ((-X).trunc(), "it was rounded to whole numbers"),
        ((-X).floor(), "it was rounded to whole numbers"),
        (-X * 0.25, "it was multiplied by 0.25"),
        (-X + 3, "3 was added"),
        (-X - 0.5, "-0.5 was added"),
    ],
)
def test_what_all_elements_have_in_common_is_said(wrong, cause):
    assert [one for one in told(torch.neg, (X,), wrong) if "input were" not in one] == [cause]


def test_what_nothing_explains_has_no_cause():
    torch.manual_seed(1)
    assert told(torch.neg, (X,), torch.randn(2, 3, 4)) == []
    assert told(torch.neg, (X,), torch.randn(5)) == []
    assert told(torch.neg, (X,), -X) == []


def test_a_layout_is_said():
    x = torch.randn(1, 2, 3, 5)
    made = -x.permute(0, 2, 3, 1).reshape(1, 2, 3, 5)
    assert "the output was laid out NHWC" in told(torch.neg, (x,), made)


def test_an_output_that_is_unknown_is_left_out():
    model = lambda x: torch.max(x, 2)
    values, indices = model(X)
    assert told(model, (X,), [values * 2, None]) == ["it was multiplied by 2"]
    assert "1 was added" in told(model, (X,), [None, indices + 1])
    assert "in output 1, 1 was added" in told(model, (X,), [values, indices + 1])


def test_outputs_in_another_order_are_told_first_and_alone():
    model = lambda x: x.chunk(3, 1)
    a, b, c = model(X)
    assert told(model, (X,), [a, c, b]) == ["outputs 1 and 2 were exchanged"]
    assert told(model, (X,), [b, c, a]) == ["the outputs came in the order 1, 2, 0"]
    same = told(lambda x: x.chunk(2, 2), (torch.ones(2, 3, 4),), [torch.ones(2, 3, 2)] * 2)
    assert not any("output" in cause for cause in same)


def test_another_argument_that_gives_the_same_is_named():
    x = torch.randn(3, 6)
    found = told(lambda x: functional.softmax(x, 1), (x,), functional.softmax(x, 0))
    assert found[0] == "dim were 0"
    y = torch.randn(3, 6)
    assert told(torch.sub, (x, y), y - x)[0] == "input and other were exchanged"
    found = told(lambda x: functional.layer_norm(x, (6,), eps=1e-5), (x,),
                 functional.layer_norm(x, (6,), eps=0.1), rtol=1e-6)  # fmt: skip
    assert found == []  # 0.1 is none of those that are usual


def test_at_most_three_arguments_are_named():
    x = torch.tensor([[-4.0, 2.0], [2.0, 4.0]])  # any limit from 4 on gives the same
    found = told(lambda x: x.clamp(-1, 3), (x,), x.clamp(-1, 4))
    assert found == ["max were 4", "max were 6", "max were left at its default None"]
    found = told(lambda x: x.clamp(max=0.25), (x / 8,), x / 8)
    assert found == ["max were 1.0", "max were 2.5", "max were 0.75"]


def test_an_argument_is_named_once():
    x = torch.tensor([2.0, -3.0])
    found = told(lambda x: x.clamp(max=1), (x,), x)
    assert found == ["max were 2"]  # 1 + 1, and twice 1


def test_a_call_is_tried_on_copies():
    x = torch.randn(4, requires_grad=False)
    before = x.clone()
    told(lambda x: functional.relu(x, inplace=False), (x,), x)
    assert torch.equal(x, before)


def test_numbers_are_tried_near_and_far():
    leaky = others(lambda x: functional.leaky_relu(x, 0.25), X, "negative_slope")
    assert {-0.25, 0.0, 1.0, 0.025, 2.5, 0.75} <= set(leaky.values()) and 0.25 not in leaky.values()
    assert all(shown == repr(made) or "default" in shown for shown, made in leaky.items())
    whole = others(lambda x: x.sum(2), X, "dim")
    assert {(0,), (1,), (3,)} <= set(whole.values()) or {0, 1, 3} <= set(whole.values())


def test_lists_are_tried_reversed_and_one_more_and_one_less():
    made = others(lambda x: x.permute(0, 2, 1), X, "dims").values()
    assert [tuple(one) for one in made] == [
        (0, 0, 0), (1, 1, 1), (1, 2, 0), (1, 3, 2), (-1, 1, 0)
    ]  # fmt: skip


def test_tensors_are_tried_turned_and_flipped():
    made = others(torch.neg, X, "input")
    assert torch.equal(made["transposed"], X.transpose(1, 2).reshape(X.shape))
    first = made["transposed in its first dimensions"]
    assert torch.equal(first, X.transpose(0, 1).reshape(X.shape))
    assert torch.equal(made["flipped"], X.flip(1, 2))
    assert list(others(torch.neg, X[0], "input")) == ["transposed"]
    bias = others(torch.neg, X[0, 0], "input")
    assert bias["missing"] is None and not bias["ignored (0)"].any()
    assert (bias["ignored (1)"] == 1).all() and len(bias) == 3


def test_words_and_switches_are_tried():
    model = lambda x: functional.gelu(x, approximate="tanh")
    made = others(model, X, "approximate")
    assert made["'none'"] == "none" and "'tanh'" not in made
    assert made["left at its default 'none'"] == "none"
    assert others(lambda x: x.sum(1, keepdim=True), X, "keepdim")["False"] is False
    eps = others(lambda x: functional.layer_norm(x, (4,), eps=1e-5), X, "eps").values()
    assert {0.0, 1e-12, 1e-3, 1e-6} <= set(eps)
