"""What check_handlers does with engines that fail, outputs of other shapes and odd weights."""

import pytest
import torch
from test_handlers_checked import checked, run, target
from torch import nn

import flexir
from flexir.checks.handlers import _random


def random_of(tensor):
    return _random(tensor, torch.Generator().manual_seed(0))


def test_random_weights_are_never_near_zero():
    made = random_of(torch.full((8, 8), 0.25))
    assert (made >= 0.5).all() and (made <= 1.5).all() and made.unique().numel() > 60
    assert (random_of(torch.zeros(8, 8)) >= 0.5).all()


def test_random_weights_have_either_sign_where_the_weights_had():
    made = random_of(torch.linspace(-1, 3, 64).reshape(8, 8))
    assert (made > 0).any() and (made < 0).any()
    assert (made.abs() >= 0.5).all() and (made.abs() <= 1.5).all()


def test_a_list_of_numbers_stays_in_its_order():
    old = torch.tensor([3.0, 1.0, 2.0, -4.0])
    assert random_of(old).argsort().tolist() == old.argsort().tolist()


def test_what_is_no_finite_number_stays():
    index, sparse = torch.tensor([6, 0, 3]), torch.eye(3).to_sparse()
    assert random_of(index) is index and random_of(sparse) is sparse
    mask = torch.tensor([[0.0, float("-inf")]])
    assert random_of(mask).isinf().tolist() == [[False, True]]


def test_a_check_draws_nothing_from_the_users_generators():
    model, x = nn.Linear(4, 2), torch.randn(3, 4)
    before = torch.get_rng_state()
    assert checked(model, x, target("linear"))
    assert torch.equal(torch.get_rng_state(), before)


def test_random_weights_at_which_torch_itself_gives_nan_are_no_finding():
    weight = nn.Parameter(torch.tensor([[-1.0], [2.0]]).repeat(1, 32))
    x = torch.tensor([[3.0], [0.5]]).repeat(1, 32)

    def careful(input, exponent):
        return input.pow(exponent).nan_to_num()

    assert checked(lambda x: torch.pow(weight, x), x, target("pow", pow=careful))


def test_what_is_wrong_with_the_weights_as_they_are_is_said_of_these():
    model = nn.Linear(4, 2)
    ir = target("linear", linear=lambda input, weight, bias: input @ weight.T)
    (row,) = checked(model, torch.randn(3, 4), ir).bad
    assert "random" not in row.note


def test_an_engine_that_raises_is_a_finding_and_the_check_goes_on():
    def broken(input):
        raise ValueError("no such kernel")

    found = checked(lambda x: (x.neg(), x.abs()), torch.ones(2), target("neg", "abs", neg=broken))
    (row,) = found.bad
    assert row.note == "ValueError: no such kernel" and row.max_abs == row.max_rel == float("inf")
    assert [row.node.op for row in found.rows] == ["neg", "abs"]


def test_another_shape_is_a_finding_also_where_torch_gives_no_element():
    ir = target("relu", relu=lambda input: torch.ones(1))
    (row,) = checked(torch.relu, torch.ones(0), ir).bad
    assert row.note == "shape (1,), expected (0,)"


def test_a_tolerance_is_of_the_largest_magnitude():
    ir = target("neg", neg=lambda input: -input * 1.001)
    x = torch.tensor([1.0, 500.0])
    assert checked(torch.neg, x, ir, rtol=2e-3) and not checked(torch.neg, x, ir, rtol=5e-4)


def test_only_what_is_wrong_is_given_causes():
    found = checked(nn.AvgPool2d(2), torch.randn(1, 2, 8, 8), target("avg_pool2d"))
    assert found and [row.causes for row in found.rows] == [[]]  # ceil_mode=True gives the same


def test_a_cause_explains_all_that_is_wrong():
    x = torch.linspace(1000.0, 2000.0, 50)

    def wrong(input):
        return -input * 1.5 + torch.eye(50)[7] * 20

    (row,) = checked(torch.neg, x, target("neg", neg=wrong)).bad
    assert row.causes == []
    (row,) = checked(torch.neg, x, target("neg", neg=lambda input: -input * 1.5)).bad
    assert row.causes == ["it was multiplied by 1.5"]


def test_a_refused_call_is_not_taken_apart_instead():
    ir = target("mul")

    @ir.op("square")
    def square(ctx, input):
        raise flexir.Unsupported("no squares")

    found = checked(torch.square, torch.randn(3), ir)
    assert [(row.node.op, row.note) for row in found.refused] == [
        ("square", "handler refused: no squares")
    ]


def test_two_modules_of_one_class_are_two_checks():
    class Scale(nn.Module):
        def __init__(self, by):
            super().__init__()
            self.by = nn.Parameter(torch.tensor(by))

        def forward(self, x):
            return x * self.by

    ir = target("mul")

    @ir.module(Scale)
    def take(ctx, module, x):
        ctx.out.append((f"m{len(ctx.out)}", lambda x: x * 2.0, {"x": x}))
        return ctx.out[-1][0]

    model = nn.Sequential(Scale(2.0), Scale(3.0), Scale(2.0))
    found = checked(model, torch.randn(4), ir)
    assert [row.node.path for row in found.rows] == ["0", "1", "2"]
    assert [row.node.path for row in found.bad] == ["1"]


def test_a_target_that_cannot_be_run_needs_an_engine():
    graph = flexir.capture(torch.neg, (torch.ones(2),))
    with pytest.raises(flexir.TargetError, match="check_handlers"):
        flexir.check_handlers(target("neg"), graph, (torch.ones(2),))
    ir = target("neg")
    ir.run(lambda result, tensors: run(result, tensors))
    assert flexir.check_handlers(ir, graph, (torch.ones(2),), out=list)
