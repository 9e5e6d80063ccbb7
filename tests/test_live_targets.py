"""Graphs of several examples through a target: sizes are numbers of its own, branches are ops."""

import math

import pytest
import torch
from torch import nn

import flexir


class Lines(list):
    """A builder of lines, in blocks."""

    def add(self, op, *parts):
        made = f"{op}{len(self)}"
        self.append((made, *parts))
        return made


def lines(*without):
    """A target whose handlers write lines."""
    ir = flexir.Target("lines", out=Lines)

    @ir.input
    def enter(ctx, name, type):
        return name

    @ir.constant
    def weight(ctx, weight):
        return f"<{weight.name}>"

    def binary(name):
        @ir.op(name)
        def handler(ctx, input, other):
            return ctx.out.add(name, input, other)

    for name in ("gt", "add", "mul", "floor_divide"):
        binary(name)

    def unary(name):
        @ir.op(name)
        def handler(ctx, input):
            return ctx.out.add(name, input)

    for name in ("sum", "bool", "relu", "exp", "item", "mean"):
        unary(name)

    @ir.op("size")
    def size(ctx, input, dim):
        return f"size({input},{dim})"

    @ir.op("view")
    def view(ctx, input, size):
        return ctx.out.add("view", input, size)

    @ir.op("linear")
    def linear(ctx, input, weight, bias):
        return ctx.out.add("linear", input, ctx.weight(weight).name, ctx.array(bias).shape)

    @ir.op("if")
    def branch(ctx, condition, inputs, then, otherwise):
        outer, blocks = list(ctx.out), []
        for block in (then, otherwise):
            ctx.out.clear()
            made = ctx.convert(block, inputs)
            blocks.append(([*ctx.out], made))
        ctx.out[:] = outer
        return ctx.out.add("if", condition, *blocks)

    return ir.extend("lines", without=without) if without else ir


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, x):
        y = self.a(x) if x.sum() > 0 else self.b(x).relu() + x.shape[0]
        return y.view(x.shape[0] * 3)


def shown(model, *examples):
    first, *others = [(one,) for one in examples]
    return flexir.capture(model, first, also=others)


def net():
    return shown(Net(), *(s * torch.ones(n, 3) for n in (2, 4) for s in (1, -1)))


def test_a_branch_is_an_op_whose_handler_converts_its_blocks():
    result = flexir.convert(net(), lines())
    assert result.report.complete, result.report
    assert list(result.output) == [
        ("sum0", "x"),
        ("gt1", "sum0", 0),
        ("bool2", "gt1"),
        (
            "if3",
            "bool2",
            ([("linear0", "x", "a.weight", (3,))], ("linear0",)),
            (
                [("linear0", "x", "b.weight", (3,)), ("relu1", "linear0"),
                 ("add2", "relu1", "size(x,0)")],
                ("add2",),
            ),
        ),
        ("mul4", "size(x,0)", 3),
        ("view5", "if3", ("mul4",)),
    ]  # fmt: skip


def test_what_lacks_a_handler_inside_a_block_is_in_the_report():
    report = flexir.convert(net(), lines("relu")).report
    assert [(row.op, row.count) for row in report.entries] == [("relu", 1)]


def test_a_branch_in_a_branch():
    def model(x):
        if x.sum() > 0:
            return x * 2 if x.mean() > 1 else x + 1
        return x.exp()

    graph = shown(model, *(torch.full((2,), n) for n in (2.0, 0.5, -1.0)))
    result = flexir.convert(graph, lines())
    assert result.report.complete, result.report
    (_, _, (outer, _), (other, _)) = result.output[-1]
    assert [line[0] for line in outer][-1].startswith("if")
    assert [line[0] for line in other] == ["exp0"]


def test_a_block_may_give_numbers_and_what_came_in():
    def model(x):
        y = x if x.sum() > 0 else x + 1
        return y * 2

    graph = shown(model, torch.ones(2), -torch.ones(2))
    (_, _, then, _) = next(
        line for line in flexir.convert(graph, lines()).output if "if" in line[0]
    )
    assert then == ([], ("x",))


def test_an_input_too_few_for_a_block_is_an_error_that_names_the_call():
    ir = lines("if")

    @ir.op("if")
    def branch(ctx, condition, inputs, then, otherwise):
        return ctx.convert(then, inputs[1:])

    with pytest.raises(flexir.HandlerError, match="a block of if has 5 parameters.*4 inputs"):
        flexir.convert(net(), ir)


def test_a_condition_inside_a_block_is_not_forgotten():
    def model(x, y):
        if x.sum() > 0:
            if y.sum() < 0:
                raise ValueError("y")
            x = x * 2
        else:
            x = x + 1
        return x.exp()

    one = torch.ones(2)
    graph = flexir.capture(model, (one, one.clone()), also=[(-one, one.clone())])
    report = flexir.convert(graph, lines()).report
    assert "1 condition is not in the output" in str(report)


def test_without_handlers_of_sizes_the_report_says_what_varies_and_what_to_do():
    graph = shown(nn.Linear(3, 3), torch.ones(2, 3), torch.ones(4, 3))
    report = flexir.convert(graph, lines("size")).report
    assert not report.complete and "1 live size is not in the output" in str(report)
    assert "B = 2, 4" in str(report) and "x.shape[0]" not in str(report)
    assert "convert(..., at=args)" in str(report)
    assert flexir.convert(graph, lines("size"), at=torch.ones(7, 3)).report.complete
    assert flexir.convert(graph, lines()).report.complete


def test_a_path_beside_the_graph_is_named():
    def model(x, **more):
        return x + 1 if not more else x * more["y"]

    one = torch.ones(2)
    graph = flexir.capture(model, (one,), also=[flexir.Inputs(one, y=one)])
    assert graph.variants
    assert "1 other path is not in the output" in str(flexir.convert(graph, lines()).report)


def test_a_number_that_a_tensor_held_is_an_op_with_an_output():
    def model(x):
        return x * (x.mean().item() + 1)

    graph = shown(model, torch.ones(2), torch.full((2,), 3.0))
    result = flexir.convert(graph, lines())
    assert result.report.complete, result.report
    assert [line[0] for line in result.output] == ["mean0", "item1", "add2", "mul3"]


def test_roots_of_sizes_are_in_the_file():
    pytest.importorskip("onnxruntime")

    def model(x):
        side = int(math.sqrt(x.shape[1]))
        return x.reshape(x.shape[0], side, side).sum(1) * math.isqrt(x.shape[1] + 1)

    result = flexir.targets.onnx.convert(model, (torch.rand(2, 16),), also=[(torch.rand(3, 25),)])
    x = torch.rand(5, 64)
    assert torch.allclose(flexir.targets.onnx.run(result.output, x), model(x))


def test_an_engine_without_branches_names_them():
    pytest.importorskip("ncnn", reason="the extra 'ncnn' is not installed")
    from flexir.targets import ncnn

    def model(x):
        return x * 2 if x.sum() > 0 else x + 1

    x = torch.ones(3)
    report = ncnn.convert(model, (x,), also=[(-x,)]).report
    assert {row.op: row.reason for row in report.entries}["if"] == "no handler"
    assert ncnn.convert(model, (x,)).report.entries == []
