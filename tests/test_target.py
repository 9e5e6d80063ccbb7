"""Handlers: keys and parameters are checked at the decorator; what is missing is reported whole."""

import gc
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
    assert "1 condition is not in the output" in str(result.report)
    assert "float(sum(x)) is 2.0   # test_target.py:" in str(result.report)


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


# --- placeholders ---------------------------------------------------------------------------------


def reads_a_placeholder(x):
    return torch.relu(torch.erfinv(x)).sum() + 1


def test_what_reads_a_placeholder_and_raises_becomes_one_too(ir, caplog):
    ir.op("relu")(lambda ctx, input: input.shape)
    ir.op("sum")(lambda ctx, input: "sum")
    ir.op("add")(lambda ctx, input, other: f"{input} + {other}")
    with caplog.at_level(logging.DEBUG, logger="flexir"):
        result = flexir.convert(reads_a_placeholder, torch.zeros(2), ir)
    reasons = {e.op: e.reason for e in result.report.entries}
    why = "reads a placeholder: AttributeError: 'Placeholder' object has no attribute 'shape'"
    assert reasons == {"erfinv": "no handler", "relu": why}
    assert result.outputs == "sum + 1"  # a handler that can deal with one may
    assert "reads a placeholder" in str(result.report)
    assert "refused" in result.status.values() and "Traceback" in caplog.text


def test_an_error_that_no_placeholder_explains_still_stops(ir):
    ir.op("relu")(lambda ctx, input: input.shape)
    with pytest.raises(AttributeError, match="'str' object has no attribute 'shape'"):
        ir.input(lambda ctx, name, type: name)
        flexir.convert(torch.relu, torch.zeros(2), ir)
    full = flexir.Target("full")

    @full.op("relu")
    def relu(ctx, input):
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        flexir.convert(reads_a_placeholder, torch.zeros(2), full)


def test_a_module_that_reads_a_placeholder_and_raises_is_one_whole(ir):
    """Its inside is no work: once the placeholder is gone the module's handler will take it."""
    ir.module(nn.Linear)(lambda ctx, module, input: input.shape)
    result = flexir.convert(nn.Sequential(nn.Softplus(), nn.Linear(2, 2)), torch.ones(1, 2), ir)
    assert [(e.op, e.reason.partition(":")[0]) for e in result.report.entries] == [
        ("softplus", "no handler"), ("Linear", "reads a placeholder")
    ]  # fmt: skip


@pytest.mark.parametrize("kind", [tuple, list])
def test_a_placeholder_hook_may_return_one_thing_per_output_in_a_tuple(ir, kind):
    ir.placeholder(lambda ctx, inputs: kind([ctx.node.op] * len(ctx.node.outputs)))
    ir.op("relu")(lambda ctx, input: ("relu", input))
    model = lambda x: torch.relu(torch.erfinv(x))
    assert flexir.convert(model, torch.zeros(2), ir).outputs == ("relu", "erfinv")
    model = lambda x: torch.relu(x.max(0).values)
    assert flexir.convert(model, torch.zeros(2), ir).outputs == ("relu", "max")
    model = lambda x: torch.relu(x.chunk(1)[0])
    assert flexir.convert(model, torch.zeros(2), ir, decompose=False).outputs == ("relu", "chunk")


def test_a_placeholder_hook_gives_a_value_to_what_a_call_writes(ir):
    ir.placeholder(lambda ctx, inputs: tuple(v.name for v in ctx.node.outputs))

    def model(x):
        x = x.clone()
        return x.abs(), torch.nn.functional.threshold(x, 0.0, 1.0, inplace=True), x

    result = flexir.convert(model, torch.zeros(2), ir)
    assert not any(isinstance(made, (tuple, list)) for made in result.values.values())


def test_a_handler_may_stand_for_its_output_by_a_tuple_of_one(ir):
    """Only placeholder hooks serve any number of outputs; a shape of one dimension is a tuple."""
    ir.op("relu")(lambda ctx, input: ctx.type.shape)
    assert flexir.convert(torch.relu, torch.zeros(2), ir).outputs == (2,)


# --- weights -------------------------------------------------------------------------------------


def test_a_converted_constant_is_still_a_weight(ir):
    ir.constant(lambda ctx, weight: ("const", weight.name))

    @ir.op("linear")
    def linear(ctx, input, weight, bias):
        return ctx.weight(weight).name, tuple(ctx.weight(bias).tensor.shape)

    assert flexir.convert(nn.Linear(3, 2), torch.ones(1, 3), ir).outputs == ("weight", (2,))
    same = ir.extend("same")
    same.constant(lambda ctx, weight: "constant")
    (entry,) = flexir.convert(
        nn.Linear(3, 2), torch.ones(1, 3), same, decompose=False
    ).report.entries
    assert "one and the same thing was made of weight and bias" in entry.reason
    plain = ir.extend("plain")
    plain.constant(lambda ctx, weight: weight)
    plain.op("linear")(lambda ctx, input, weight, bias: ctx.weight(weight).name)
    assert flexir.convert(nn.Linear(3, 2), torch.ones(1, 3), plain).outputs == "weight"


def test_what_is_no_weight_is_refused_with_the_true_reason(ir):
    ir.op("mul")(lambda ctx, input, other: "product")
    ir.op("linear")(lambda ctx, input, weight, bias: ctx.weight(weight).name)
    x, w = torch.ones(1, 3), torch.ones(2, 3)
    for hook in (False, True):
        if hook:
            ir.input(lambda ctx, name, type: name)
        (entry,) = flexir.convert(F.linear, (x, w), ir, decompose=False).report.entries
        assert "an argument that must be a weight is an input of the model" in entry.reason
        model = lambda x, w: F.linear(x, w * 2)
        (entry,) = flexir.convert(model, (x, w), ir, decompose=False).report.entries
        assert "an argument that must be a weight is computed by the model" in entry.reason


# --- pieces --------------------------------------------------------------------------------------


def test_a_refused_piece_comes_apart_further(ir):
    @ir.op("clamp")
    def clamp(ctx, input, min, max):
        raise flexir.Unsupported("no limits")

    ir.op("relu")(lambda ctx, input: "at least 0")
    for name in ("add", "mul", "sub", "rsub"):
        ir.op(name)(lambda ctx, input, other: "arithmetic")
    result = flexir.convert(lambda x: F.relu6(x), torch.ones(3), ir)
    assert not result.report.entries and result.report.taken_apart == {"relu6": 1}


def test_a_refused_piece_is_reported_under_its_callers_name(ir):
    @ir.op("getitem")
    def getitem(ctx, input, indices):
        raise flexir.Unsupported("no slices")

    ir.op("cat")(lambda ctx, tensors, dim: "made")
    result = flexir.convert(lambda x: torch.roll(x, 1, 0), torch.ones(3), ir)
    (entry,) = result.report.entries
    assert entry.op == "roll" and entry.count == 1
    assert entry.reason == "its piece getitem: handler refused: no slices"
    (roll,) = result.graph.nodes
    assert not result.report.taken_apart and result.status[roll] == "refused"


# --- builders ------------------------------------------------------------------------------------


def test_a_target_carries_its_builder():
    ir = flexir.Target("mine", out=list)
    ir.op("relu")(lambda ctx, input: ctx.out.append("relu"))
    result = flexir.convert(torch.relu, torch.ones(2), ir)
    assert result.output == ["relu"]
    assert flexir.convert(torch.relu, torch.ones(2), ir).output == ["relu"]  # a new one each time
    assert flexir.convert(torch.relu, torch.ones(2), ir.extend("child")).output == ["relu"]
    own = ["mine"]
    assert flexir.convert(torch.relu, torch.ones(2), ir, out=own).output is own
    with pytest.raises(flexir.TargetError, match="give the class or a function"):
        flexir.Target("wrong", out=[])


def test_check_handlers_uses_the_builder_of_the_target():
    ir = flexir.Target("mine", out=list)
    ir.op("relu")(lambda ctx, input: ctx.out.append(torch.relu))
    run = lambda result, tensors: result.output[0](*tensors)
    graph = flexir.capture(torch.relu, (torch.ones(2),))
    assert flexir.check_handlers(ir, graph, (torch.ones(2),), run=run)


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


def test_decorators_give_back_the_function():
    ir = flexir.Target("one")

    def handler(ctx, input):
        return input

    assert ir.op("relu")(handler) is handler
    assert ir.op(torch.sigmoid)(handler) is handler
    assert ir.module(nn.Identity)(handler_of_module := lambda ctx, module, input: input)
    assert ir.module(nn.ReLU)(handler_of_module) is handler_of_module
    assert ir.module("layer3.*")(handler_of_module) is handler_of_module


def test_a_child_has_its_parents_builder_and_handlers():
    class Builder(list):
        pass

    ir = flexir.Target("one", out=Builder)

    @ir.op("relu")
    def relu(ctx, input):
        ctx.out.append("relu")
        return input

    child = ir.extend("two")
    result = flexir.convert(nn.ReLU(), (torch.ones(1),), child)
    assert type(result.output) is Builder and result.output == ["relu"]


def test_patterns_that_no_module_has_are_named():
    ir = flexir.Target("one")
    ir.module("layer9.*")(lambda ctx, module, input: input)
    ir.op("relu")(lambda ctx, input: input)
    report = flexir.convert(nn.Sequential(nn.ReLU()), (torch.ones(1),), ir).report
    assert report.unmatched == ["layer9.*"]
    assert "no module has a path like 'layer9.*'" in str(report)


def test_strict_lists_everything_and_shows_the_first_handler_to_write():
    model = nn.Sequential(nn.Tanh(), nn.Tanh(), nn.Sigmoid())
    with pytest.raises(flexir.UnsupportedError) as raised:
        flexir.convert(model, (torch.ones(1),), flexir.Target("one"), strict=True)
    text = str(raised.value)
    assert "tanh ×2" in text and "sigmoid ×1" in text
    assert text.splitlines()[-4:] == [
        "To support the first:", '  @ir.op("tanh")', "  def tanh(ctx, input):", "      ...",
    ]  # fmt: skip


def test_a_handler_of_a_module_takes_what_comes_before_its_inputs():
    ir = flexir.Target("mine")
    with pytest.raises(flexir.TargetError, match=r"must take \(ctx, module, \.\.\.\)"):
        ir.module(nn.ReLU)(lambda ctx: "one is missing")
    ir.module(nn.ReLU)(lambda *parts, input: "any number will do")
    graph = flexir.capture(nn.Sequential(nn.ReLU()), (torch.ones(2),))
    assert flexir.convert(graph, ir).output == "any number will do"


def test_while_handlers_run_the_collector_looks_at_young_objects_alone():
    before, seen, gone = gc.get_threshold(), [], []
    target = flexir.Target("garbage")

    class Cycle:
        def __init__(self):
            self.own = self

        def __del__(self):
            gone.append(1)

    @target.op("relu")
    def relu(ctx, input, **_):
        seen.append(gc.get_threshold())
        Cycle()
        return [[] for _ in range(2 * before[0])] and input

    graph = flexir.capture(nn.Sequential(*[nn.ReLU() for _ in range(8)]), (torch.ones(2),))
    flexir.convert(graph, target=target)
    assert seen[0][:2] == before[:2] and seen[0][2] > 10**6
    assert gc.get_threshold() == before and gone
