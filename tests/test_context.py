"""What a handler can ask of its call: types of outputs and of what stands for arguments."""

import pytest
import torch
from torch import nn

import flexir


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 6)
        self.norm = nn.LayerNorm(6)

    def forward(self, x, y):
        z = self.norm(self.linear(x))
        return torch.cat([z, y.cumsum(0)], 1).to(torch.float16)


ARGS = torch.randn(2, 4), torch.randn(2, 3)
STANDS_FOR = {
    "names": lambda number: f"t{number}",
    "numbers": lambda number: 300 + number,
    "lists": lambda number: ["a", "layer"],
    "tuples": lambda number: (number, "out"),
    "arrays": lambda number: torch.zeros(3),
}


@pytest.mark.parametrize("kind", STANDS_FOR)
def test_an_argument_has_a_type_whatever_stands_for_it(kind):
    ir, told, made = flexir.Target("types"), {}, []

    def value(ctx):
        made.append(STANDS_FOR[kind](len(made)))
        return made[-1]

    @ir.input
    def enter(ctx, name, type):
        return value(ctx)

    @ir.op("linear")
    def linear(ctx, input, weight, bias):
        told["linear"] = [ctx.type(input), ctx.type(weight), ctx.type_of(bias), ctx.type]
        return value(ctx)

    @ir.module(nn.LayerNorm)
    def norm(ctx, module, input):
        told["norm"] = [ctx.type(input), ctx.type]
        return value(ctx)

    @ir.op("cat")
    def cat(ctx, tensors, dim):
        told["cat"] = [*map(ctx.type, tensors), ctx.type]
        return value(ctx)

    @ir.op("to")
    def to(ctx, input, dtype):
        told["to"] = [ctx.type(input).dtype, ctx.type.dtype]
        return value(ctx)

    @ir.placeholder
    def missing(ctx, inputs):
        told[ctx.node.op] = [ctx.type(inputs[0]), ctx.type]
        return value(ctx)

    flexir.convert(Net(), ARGS, ir)
    shown = {op: [str(t).removeprefix("torch.") for t in types] for op, types in told.items()}
    assert shown == {
        "linear": ["f32[2,4]", "f32[6,4]", "f32[6]", "f32[2,6]"],
        "norm": ["f32[2,6]", "f32[2,6]"],
        "cumsum": ["f32[2,3]", "f32[2,3]"],
        "cat": ["f32[2,6]", "f32[2,3]", "f32[2,9]"],
        "to": ["float32", "float16"],
    }


def test_the_type_of_the_output_is_a_type_as_ever():
    ir, told = flexir.Target("types"), []

    @ir.op("relu")
    def relu(ctx, input):
        told.append(ctx.type)

    graph = flexir.capture(torch.relu, (torch.ones(2),))
    flexir.convert(graph, ir)
    (type_,) = told
    expected = graph.output_values[0].type
    assert type_ == expected and hash(type_) == hash(expected) and str(type_) == "f32[2]"
    assert type_.shape == (2,) and type_.sizes == "2" and isinstance(type_, flexir.TensorType)


def test_what_is_no_argument_has_no_type():
    ir = flexir.Target("types")

    @ir.op("relu")
    def relu(ctx, input):
        with pytest.raises(flexir.Error, match="no tensor argument of relu"):
            ctx.type("something else")
        assert ctx.type(ctx.node.outputs[0]) == ctx.type
        return "r"

    flexir.convert(torch.relu, (torch.ones(2),), ir)


def test_two_arguments_that_one_thing_stands_for_are_told_apart_or_refused():
    ir, told = flexir.Target("types"), []

    @ir.input
    def enter(ctx, name, type):
        return "the same"

    @ir.op("add")
    def add(ctx, input, other):
        told.append(ctx.type(input))
        return input

    @ir.op("mul")
    def mul(ctx, input, other):
        with pytest.raises(flexir.Error, match=r"f32\[2\] and f32\[3,2\]"):
            ctx.type(input)
        told.append(ctx.type(ctx.node.args["input"]))
        told.append(ctx.type(ctx.node.args["other"]))
        return input

    x, y, z = torch.ones(2), torch.ones(2), torch.ones(3, 2)
    flexir.convert(lambda x, y, z: (x + y) * z, (x, y, z), ir)
    assert [str(t) for t in told] == ["f32[2]", "f32[2]", "f32[3,2]"]
