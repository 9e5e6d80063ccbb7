"""Handlers: keys and parameters are checked at the decorator; what is missing is reported whole."""

import json
import logging
import re

import pytest
import torch
import torch.nn.functional as F
from conftest import notes_of
from torch import nn

import flexir


@pytest.fixture
def ir():
    return flexir.Target("myir")


def test_an_unknown_op_is_an_error_at_the_decorator_with_near_matches(ir):
    with pytest.raises(flexir.TargetError, match="no function 'rellu'; did you mean 'relu'"):
        ir.op("rellu")


def test_an_unknown_parameter_is_an_error_at_the_decorator(ir):
    with pytest.raises(flexir.TargetError, match="no argument 'padd'.*'padding'"):

        @ir.op("conv2d")
        def conv(ctx, input, weight, padd):
            pass

    with pytest.raises(flexir.TargetError, match="module Linear has no argument 'x'"):

        @ir.module(nn.Linear)
        def linear(ctx, module, x):
            pass


def test_a_second_handler_is_an_error_and_a_child_may_override(ir):
    ir.op("relu")(lambda ctx, input: "old")
    with pytest.raises(flexir.TargetError, match="already has a handler for op 'relu'"):
        ir.op(F.relu)(lambda ctx, input: "new")
    child = ir.extend("v2")
    child.op("relu")(lambda ctx, input: "new")
    assert flexir.convert(torch.relu, torch.ones(1), child).outputs == "new"
    assert flexir.convert(torch.relu, torch.ones(1), ir).outputs == "old"
    without = child.extend("v3", without=["relu"])
    assert flexir.convert(torch.relu, torch.ones(1), without).report.placeholders == 1


def test_a_key_that_is_no_op_class_or_callable_is_refused(ir):
    with pytest.raises(flexir.TargetError, match="needs a class of modules"):
        ir.module("Conv2d")
    with pytest.raises(flexir.TargetError, match="op name or a torch callable"):
        ir.op(3)
    with pytest.raises(flexir.TargetError, match="'multiply' is called 'mul' here"):
        ir.op("multiply")


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x + 1,
        lambda x: torch.add(x, 1),
        lambda x: 1 + x,
        lambda x: x.clone().add_(1),
        lambda x: torch.ops.aten.add.Scalar(x, 1),
    ],
)
def test_one_handler_serves_every_spelling(ir, call):
    @ir.op(torch.add)
    def add(ctx, input, other):
        return "sum"

    ir.op("clone")(lambda ctx, input: input)
    assert flexir.convert(call, torch.ones(2), ir).outputs == "sum"


def test_a_handler_refuses_what_it_would_silently_ignore(ir):
    @ir.op("add")
    def add(ctx, input, other):
        return "sum"

    result = flexir.convert(lambda x: torch.add(x, x, alpha=2), torch.ones(2), ir)
    (entry,) = result.report.entries
    assert entry.reason == "handler ignores alpha=2"
    assert "refused" in result.status.values()


def test_defaults_written_differently_are_still_defaults(ir):
    @ir.op("max_pool2d")
    def pool(ctx, input, kernel_size, stride):
        return "pool"

    x = torch.ones(1, 1, 4, 4)
    for call in (
        lambda x: F.max_pool2d(x, 2, stride=2, padding=0, dilation=(1, 1)),
        nn.MaxPool2d((2, 2)),
    ):
        assert flexir.convert(call, x, ir).outputs == "pool"
    assert flexir.convert(lambda x: F.max_pool2d(x, 2, padding=1), x, ir).report.placeholders == 1


def test_unsupported_declines_one_call(ir):
    @ir.op("mean")
    def mean(ctx, input, dim, keepdim):
        if keepdim:
            raise flexir.Unsupported("only keepdim=False")
        return "mean"

    result = flexir.convert(lambda x: x.mean(1) + x.mean(1, True), torch.ones(2, 2), ir)
    reasons = {e.op: e.reason for e in result.report.entries}
    assert reasons["mean"] == "handler refused: only keepdim=False"
    assert result.report.handled == {"mean": 1}


def test_a_form_without_a_required_argument_is_refused(ir):
    @ir.op("max")
    def max_along(ctx, input, dim, keepdim):
        return "values", "indices"

    assert flexir.convert(lambda x: x.max(0).values, torch.ones(2), ir).outputs == "values"
    result = flexir.convert(lambda x: x.max(), torch.ones(2), ir, decompose=False)
    assert result.report.entries[0].reason == "this form of max has no dim, keepdim"


def test_the_number_of_outputs_is_checked(ir):
    @ir.op("chunk")
    def chunk(ctx, input, chunks, dim):
        return "one", "two"

    assert flexir.convert(lambda x: x.chunk(2), torch.ones(4), ir).outputs == ("one", "two")
    with pytest.raises(flexir.HandlerError, match="returned 2; chunk has 4 outputs"):
        flexir.convert(lambda x: x.chunk(4), torch.ones(4), ir)


def test_an_exception_in_a_handler_keeps_its_type_and_gains_the_call(ir):
    @ir.op("relu")
    def relu(ctx, input):
        raise ZeroDivisionError("mine")

    model = nn.Sequential(nn.ReLU())
    with pytest.raises(ZeroDivisionError, match="mine") as caught:
        flexir.convert(model, torch.ones(2), ir)
    assert re.search(r"relu\(%input.*0", notes_of(caught.value))


def test_weights_arrive_with_their_state_dict_name(ir):
    @ir.op("linear")
    def linear(ctx, input, weight, bias):
        assert ctx.weight(None) is None
        return ctx.weight(weight).name, tuple(ctx.weight(weight).tensor.shape), bias

    model = nn.Sequential(nn.Linear(3, 2, bias=False))
    assert flexir.convert(model, torch.ones(1, 3), ir).outputs == ("0.weight", (2, 3), None)


def test_a_computed_weight_is_not_taken_for_a_stored_one(ir):
    @ir.op("linear")
    def linear(ctx, input, weight, bias):
        return ctx.weight(weight)

    ir.op("mul")(lambda ctx, input, other: "product")
    result = flexir.convert(
        lambda x, w: F.linear(x, w * 2), (torch.ones(1, 3), torch.ones(2, 3)), ir
    )
    assert "computed by the model" in result.report.entries[0].reason


def test_inputs_constants_and_placeholders_can_be_yours(ir):
    @ir.input
    def enter(ctx, name, type):
        return f"in:{name}:{type}"

    @ir.constant
    def constant(ctx, weight):
        return f"const:{weight.name}"

    @ir.placeholder
    def missing(ctx, inputs):
        return f"missing {ctx.node.op} ({ctx.reason}) of {', '.join(inputs)}"

    result = flexir.convert(nn.Linear(2, 1), torch.ones(1, 2), ir)
    assert result.outputs == (
        "missing linear (no handler) of in:input:f32[1,2], const:weight, const:bias"
    )


def test_a_call_that_changed_nothing_is_no_placeholder(ir):
    ir.op("add")(lambda ctx, input, other: "sum")
    model = lambda x: F.dropout(x.contiguous().float(), training=False) + 1
    result = flexir.convert(model, torch.ones(2), ir)
    assert not result.report.entries
    assert result.report.passed == {"contiguous": 1, "float": 1, "dropout": 1}


def test_inplace_never_reaches_a_handler(ir):
    seen = []

    @ir.op("relu")
    def relu(ctx, input, **rest):
        seen.append(rest)
        return "relu"

    flexir.convert(nn.ReLU(inplace=True), torch.ones(2), ir)
    assert seen == [{}]


def test_a_module_is_claimed_with_subclasses_that_keep_its_forward(ir):
    class Same(nn.Linear):
        pass

    class Other(nn.Linear):
        def forward(self, input):
            return super().forward(input) + 1

    @ir.module(nn.Linear)
    def linear(ctx, module, input):
        return type(module).__name__

    assert flexir.convert(Same(2, 2), torch.ones(1, 2), ir).outputs == "Same"
    assert flexir.convert(Other(2, 2), torch.ones(1, 2), ir).report.handled == {}


def test_a_module_whose_inside_is_read_outside_is_not_claimed(ir):
    class Inner(nn.Module):
        def forward(self, x):
            self.feature = x * 2
            return self.feature + 1

    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = Inner()

        def forward(self, x):
            return self.inner(x) + self.inner.feature

    ir.module(Inner)(lambda ctx, module, x: "inner")
    ir.op("mul")(lambda ctx, input, other: "mul")
    ir.op("add")(lambda ctx, input, other: "add")
    result = flexir.convert(Outer(), torch.ones(2), ir)
    assert result.outputs == "add" and not result.report.entries
    ((node, reason),) = result.report.descended
    assert node.path == "inner" and "used outside the module" in reason
    assert "inside of Inner visited instead" in str(result.report)


def test_a_module_that_writes_its_input_is_not_claimed_if_the_input_is_read_later(ir):
    class Writer(nn.Module):
        def forward(self, x):
            x.add_(1)
            return x.sum()

    writer = Writer()
    ir.module(Writer)(lambda ctx, module, x: "written")
    result = flexir.convert(lambda x: writer(y := x.clone()) + y, torch.ones(2), ir)
    assert result.report.handled == {} and result.report.descended


def test_the_report_has_three_forms_and_a_stub(ir):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.ReLU())
    result = flexir.convert(model, torch.ones(1, 3, 8, 8), ir)
    text = str(result.report)
    assert "relu ×2" in text
    assert "conv2d(f32[1,3,8,8], f32[4,3,3,3], f32[4]) -> f32[1,4,6,6]" in text
    assert '@ir.op("relu")\n  def relu(ctx, input):' in text
    assert text.splitlines()[-1] == "Sequential -> myir: 0 calls handled, 3 placeholders"
    assert "| `relu` | 2 | no handler |" in result.report.markdown()
    data = json.loads(result.report.json())
    assert [p["op"] for p in data["placeholders"]] == ["relu", "conv2d"]
    first = data["placeholders"][1]
    assert first["count"] == 1 and first["paths"] == ["0"]
    assert first["outputs"] == [["f32[1,4,6,6]"]]
    assert first["sources"][0].startswith("test_target.py:")


def test_strict_raises_one_error_with_everything(ir):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    with pytest.raises(flexir.UnsupportedError) as caught:
        flexir.convert(model, torch.ones(1, 3, 8, 8), ir, strict=True)
    assert isinstance(caught.value, NotImplementedError)
    assert "conv2d" in str(caught.value) and "relu" in str(caught.value)


def test_values_that_left_torch_are_reported(ir):
    result = flexir.convert(lambda x: x * float(x.sum()), torch.ones(2), ir)
    assert "1 values left torch for Python" in str(result.report)
    assert "__float__" in str(result.report) or "float() is 2.0" in str(result.report)


def test_the_log_names_what_is_missing(ir, caplog):
    with caplog.at_level(logging.INFO, logger="flexir"):
        result = flexir.convert(nn.Flatten(), torch.ones(1, 2048, 1, 1), ir)
        result.report.log("net.png")
    assert caplog.messages == [
        "unrecognized func flatten",
        "[WARNING] The following ops are not supported by target 'myir' currently:",
        "Op: (func op) flatten. Input shapes: 1x2048x1x1, Output shape: 1x2048",
        "[WARNING] These ops have been converted into placeholders and are shown in RED in net.png",
    ]


def test_the_plain_loop_is_enough_for_one_off_work():
    graph = flexir.capture(nn.Sequential(nn.Linear(2, 3), nn.ReLU()), torch.ones(1, 2))
    made = []
    for node in graph:
        match node.op:
            case "linear":
                made.append(("fc", node.args["weight"].name))
            case "relu":
                made.append(("relu", str(node.args["input"])))
    assert made == [("fc", "0.weight"), ("relu", "%1")]
