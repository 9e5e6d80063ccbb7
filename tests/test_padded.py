"""Calls on tensors with slots: what one model step makes is the same at every position."""

import pytest
import torch
from torch import nn
from torch.nn import functional

import flexir
from flexir.passes import fixed_cache
from flexir.passes.padded import _extremes, _fills, _modes
from flexir.passes.signs import _signed

LENGTH = 7


class Step(nn.Module):
    """One step of a model whose keys grow by a row; what it makes of them is given."""

    def __init__(self, body):
        super().__init__()
        self.body = body
        self.inner = nn.Linear(3, 3)

    def forward(self, x, cache):
        keys = torch.cat([cache["keys"], x], 1)
        return self.body(self, keys, x), {"keys": keys}


def fixed(body):
    """A model of one step, and its graph with slots."""
    model, cache = Step(body).eval(), {"keys": torch.rand(1, 2, 3)}
    with torch.no_grad(), flexir.record(model, names=("step",)) as program:
        for _ in range(3):
            cache = model(torch.rand(1, 1, 3), cache)[1]
    return model, fixed_cache(program, LENGTH)["step"]


def assert_the_same(body):
    model, graph = fixed(body)
    with torch.no_grad():
        for position in range(1, LENGTH):
            x, slots = torch.randn(1, 1, 3), torch.randn(1, LENGTH, 3) * 5
            wanted, cache = model(x, {"keys": slots[:, :position]})
            made, left = graph(x, {"keys": slots}, position=torch.tensor(position))
            if isinstance(made, torch.Tensor) and isinstance(wanted, torch.Tensor):
                if made.shape != wanted.shape:  # it is one with slots itself
                    made = made[tuple(slice(0, n) for n in wanted.shape)]
            torch.testing.assert_close(made, wanted)
            torch.testing.assert_close(left["keys"][:, : position + 1], cache["keys"])
    return graph


def asks_where_it_lies(model, keys, x):
    return keys * 2 if keys.is_contiguous() else keys * 3


def is_shown(model, keys, x):
    model.shown = f"{keys.sum()}"
    return keys.sum(1)


def counts(model, keys, x):
    n = keys.shape[1]
    return x * n + n // 2 - n % 3


@pytest.mark.parametrize(
    "body",
    [
        lambda model, keys, x: keys.amax(1),
        lambda model, keys, x: keys.amin(1),
        lambda model, keys, x: keys.sum(1),
        lambda model, keys, x: keys.exp(),
        lambda model, keys, x: keys.cumsum(1),
        lambda model, keys, x: (keys > 0).any(1),
        lambda model, keys, x: (keys > 0).all(1),
        lambda model, keys, x: (keys * 4).int().amax(1),
        lambda model, keys, x: (keys * 4).long().amin(1),
        lambda model, keys, x: (keys * 4).long().sum(1),
        lambda model, keys, x: torch.complex(keys, -keys).sum(1),
        lambda model, keys, x: functional.mse_loss(keys, keys * 2 + 1, reduction="sum"),
        lambda model, keys, x: keys.mT @ keys,
        lambda model, keys, x: functional.pad(keys, (0, 0, 0, 1)).sum(1),
        lambda model, keys, x: model.inner(keys).softmax(1)[:, -1],
        lambda model, keys, x: keys[:, -1] + keys[:, 0],
        lambda model, keys, x: keys.split(1, 2)[1].sum(1),
        lambda model, keys, x: keys.new_zeros(1, keys.shape[1]).sum(1) + x[:, 0, :1],
        lambda model, keys, x: torch.arange(keys.shape[1])[None, :, None] * keys,
        lambda model, keys, x: x * torch.full((1, 1, 1), keys.shape[1]),
        lambda model, keys, x: x.sum(1),
        asks_where_it_lies, is_shown, counts,
    ],
)  # fmt: skip
def test_what_is_made_of_slots_is_what_is_made_of_what_grows(body):
    graph = assert_the_same(body)
    assert all(type(n) is int for v in graph.output_values for n in v.type.shape)


@pytest.mark.parametrize("body", [
    lambda model, keys, x: (keys * 4).long().amin(1), lambda model, keys, x: keys.amax(1),
    lambda model, keys, x: (keys * 4).long().amax(1), lambda model, keys, x: keys.amin(1),
])  # fmt: skip
@pytest.mark.parametrize("seed", range(20))
def test_no_value_is_right_in_empty_slots_by_chance(body, seed):
    """A zero is the largest of negative numbers: whatever numbers were drawn."""
    torch.manual_seed(seed)
    assert_the_same(body)


def test_what_does_not_grow_is_left_as_it_was():
    graph = assert_the_same(lambda model, keys, x: model.inner(x).relu())
    linear = graph.find(op="linear")[0]
    assert [linear.path, graph.find(op="relu")[0].args["input"]] == ["inner", linear.outputs[0]]
    assert not graph.find(op="masked_fill")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (lambda model, keys, x: x if torch.equal(keys, keys) else -x, "looks at what has empty"),
        (lambda model, keys, x: keys.flip(1), "cannot stand here"),
        (lambda model, keys, x: x * keys.stride(0), "lies in memory"),
        (lambda model, keys, x: torch.cat([keys, keys], 1).sum(1), "cannot stand here"),
    ],
)
def test_what_cannot_be_made_of_slots_is_refused_with_its_line(body, words):
    with pytest.raises(flexir.Error, match=words) as refused:
        fixed(body)
    assert "test_padded.py" in str(refused.value)


def test_numbers_are_tried_as_tensors_before_sizes():
    assert list(_modes(0)) == [()] and list(_modes(1)) == [(True,), (False,)]
    assert list(_modes(2)) == [(True, True), (True, False), (False, True), (False, False)]
    assert len(list(_modes(3))) == 8
    assert list(_modes(4)) == [(True,) * 4, (False,) * 4]


def test_empty_slots_are_tried_as_they_are_and_then_one_input_and_then_two():
    args = [torch.ones(2, dtype=one) for one in (torch.float32, torch.bool, torch.complex64)]
    graph = flexir.capture(lambda a, b, c: a + b.any() + c, tuple(args))
    a, b, c = graph.input_values
    assert list(_fills([])) == [{}]
    low, high = torch.finfo(torch.float32).min, torch.finfo(torch.float32).max
    assert list(_fills([a])) == [{}, {a: 0.0}, {a: low}, {a: high}]
    assert list(_fills([b, c])) == [
        {}, {b: False}, {b: True}, {c: 0}, {b: False, c: 0}, {b: True, c: 0}
    ]  # fmt: skip
    assert len(list(_fills([a, b, c]))) == 1 + 3 + 2 + 1 + 6 + 3 + 2
    assert _extremes(torch.int8) == (0, -128, 127)


def test_numbers_are_given_one_sign_and_what_masks_stays():
    low = torch.finfo(torch.float32).min
    mixed = torch.tensor([1.0, -2.0, low, -float("inf")])
    assert _signed(mixed, 1).tolist() == [1.0, 2.0, low, -float("inf")]
    assert _signed(mixed, -1).tolist() == [-1.0, -2.0, low, -float("inf")]
    assert _signed(torch.tensor([3, -4]), -1).tolist() == [-3, -4]
    assert _signed(torch.tensor([3], dtype=torch.uint8), -1).tolist() == [3]
    assert _signed(torch.tensor([True, False]), 1).all()
    assert not _signed(torch.tensor([True, False]), -1).any()
    assert _signed(torch.tensor([1 + 2j]), -1).tolist() == [-1 - 2j]
