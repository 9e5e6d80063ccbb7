"""What authors of a target need: dtypes, promotion, arrays, constants, settings, the backend."""

import itertools
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

import flexir
from flexir.conversion.dtypes import promoted

DTYPES = (torch.bool, torch.uint8, torch.int32, torch.int64, torch.float16, torch.bfloat16,
          torch.float32, torch.float64, torch.complex64)  # fmt: skip


def type_of(operand):
    if isinstance(operand, torch.Tensor):
        return flexir.TensorType(operand.dtype, tuple(operand.shape), operand.device)
    return operand


def test_two_operands_promote_as_torch_promotes_them():
    operands = [True, 1, 2.5, *(torch.zeros(s, dtype=d) for d in DTYPES for s in ((), (2,)))]
    for a, b in itertools.product(operands, operands):
        assert promoted(map(type_of, (a, b))) == torch.result_type(a, b), (a, b)


@pytest.mark.parametrize("shapes", [*itertools.product(((), (2,)), repeat=3)], ids=str)
def test_three_operands_promote_as_a_call_of_three_does(shapes):
    for dtypes in itertools.product(DTYPES[2:], repeat=3):
        if torch.complex64 in dtypes and torch.float16 in dtypes:
            continue  # torch warns of complex32
        parts = [torch.ones(s, dtype=d) for s, d in zip(shapes, dtypes)]
        try:
            made = torch.addcmul(*parts)
        except RuntimeError:  # addcmul takes no such mixture
            continue
        assert promoted(map(type_of, parts)) == made.dtype, (shapes, dtypes)


def converted(model, args, handler, op, **target):
    """What a handler of one op noted in a list, and the result."""
    ir, noted = flexir.Target("author", **target), []

    @ir.op(op)
    def handle(ctx, input, other):
        noted.append(handler(ctx, input, other))
        return "made"

    return noted, flexir.convert(model, args, ir)


class Scale(nn.Module):
    def __init__(self, dtype=torch.float32):
        super().__init__()
        self.w = nn.Parameter(torch.arange(3.0).to(dtype))

    def forward(self, x):
        return x * self.w


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_a_weight_is_an_array_over_the_same_memory(dtype):
    model = Scale(dtype)
    (array,), _ = converted(
        model, (torch.ones(3, dtype=dtype),), lambda ctx, x, w: ctx.array(w), "mul"
    )
    assert isinstance(array, np.ndarray)
    assert array.__array_interface__["data"][0] == model.w.data_ptr()
    assert array.astype(np.float32).tolist() == [0, 1, 2]
    assert str(array.dtype) == str(dtype).removeprefix("torch.")


def test_a_weight_without_elements_is_refused():
    model = Scale().to("meta")
    _, result = converted(
        model, (torch.ones(3, device="meta"),), lambda ctx, x, w: ctx.array(w), "mul"
    )
    assert "no elements" in result.report.entries[0].reason


def test_what_is_computed_of_constants_is_a_constant():
    class Net(Scale):
        def forward(self, x):
            return x * (self.w.exp() + torch.ones(3)).flip(0)

    model = Net()
    (found,), _ = converted(model, (torch.ones(3),), lambda ctx, x, w: ctx.constant(w), "mul")
    assert torch.equal(found, (model.w.exp() + 1).flip(0)) and not found.requires_grad


def test_numbers_and_lists_are_the_constants_they_are():
    (found,), _ = converted(
        lambda x: x * 2.5, (torch.ones(3),),
        lambda ctx, x, w: ctx.constant((w, [None, "a"])), "mul",
    )  # fmt: skip
    assert found == (2.5, [None, "a"])


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (lambda x: x.exp(), "depends on the input %x"),
        (lambda x: torch.rand(3), "draws random numbers"),
    ],
    ids=["input", "random"],
)
def test_what_changes_from_call_to_call_is_no_constant(other, reason):
    _, result = converted(
        lambda x: x * other(x), (torch.ones(3),), lambda ctx, x, w: ctx.constant(w), "mul"
    )
    assert any(reason in entry.reason for entry in result.report.entries), result.report


def test_memory_the_model_writes_is_no_constant():
    class Count(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("n", torch.zeros(3))

        def forward(self, x):
            before = self.n.exp()
            self.n += 1
            return x * before

    _, result = converted(Count(), (torch.ones(3),), lambda ctx, x, w: ctx.constant(w), "mul")
    assert any("which is written" in entry.reason for entry in result.report.entries)


def test_a_dtype_has_the_targets_word_or_is_refused():
    words = {torch.float32: "F"}
    noted, _ = converted(
        lambda x: x * x, (torch.ones(3),),
        lambda ctx, x, w: (ctx.dtype(x), ctx.dtype(ctx.type), ctx.dtype(torch.float32)), "mul",
        dtypes=words,
    )  # fmt: skip
    assert noted == [("F", "F", "F")]
    _, result = converted(
        lambda x: x * x, (torch.ones(3).double(),), lambda ctx, x, w: ctx.dtype(x), "mul",
        dtypes=words,
    )  # fmt: skip
    assert result.report.entries[0].reason == "handler refused: author has no float64"


def test_a_setting_is_the_targets_unless_the_conversion_chooses():
    ir, seen = flexir.Target("set", config={"opset": 18}), []

    @ir.op("relu")
    def relu(ctx, input):
        seen.append(ctx.config["opset"])
        return "made"

    for child, chosen in ((ir, None), (ir, {"opset": 20}), (ir.extend("child"), None)):
        result = flexir.convert(torch.relu, (torch.ones(1),), child, config=chosen)
        assert result.config["opset"] == seen[-1]
    assert seen == [18, 20, 18]
    with pytest.raises(flexir.errors.TargetError, match="no setting 'opste'; did you mean 'opset'"):
        flexir.convert(torch.relu, (torch.ones(1),), ir, config={"opste": 1})


def engine():
    """A target whose output is a list of steps by name, run with torch."""
    ir = flexir.Target("steps", out=list)

    @ir.input
    def enter(ctx, name, type):
        return name

    @ir.op("relu")
    def relu(ctx, input):
        ctx.out.append((torch.relu, input, f"t{len(ctx.out)}"))
        return ctx.out[-1][2]

    @ir.output
    def leave(ctx, outputs):
        return tuple(ctx.out), outputs

    @ir.run
    def run(result, tensors):
        steps, outputs = result.output
        env = dict(zip((v.name for v in result.graph.input_values), tensors))
        for function, read, made in steps:
            env[made] = function(env[read])
        return [env[made].numpy() for made in outputs.values()]

    return ir


def test_outputs_leave_by_name_and_come_back_in_the_models_structure():
    def model(x, pair):
        a = x.relu()
        return {"a": a, "rest": (pair["y"].relu(), [a, None, 3])}

    x, y = torch.randn(3), torch.randn(2)
    result = flexir.convert(model, (x, {"y": y}), engine())
    assert list(result.output[1]) == ["a", "rest.0"]
    made = result.run(-x, pair={"y": -y})
    assert torch.equal(made["a"], (-x).relu()) and made["rest"][1][0] is made["a"]
    assert made["rest"][1][1:] == [None, 3] and torch.equal(made["rest"][0], (-y).relu())


def test_what_lacks_a_handler_is_not_run():
    result = flexir.convert(lambda x: x.relu().exp(), (torch.ones(2),), engine())
    assert isinstance(result.output, list)  # no finished output
    with pytest.raises(flexir.errors.UnsupportedError, match="exp"):
        result.run(torch.ones(2))
    with pytest.raises(flexir.errors.TargetError, match="@ir.run"):
        flexir.convert(torch.relu, (torch.ones(1),), flexir.Target("no engine")).run(torch.ones(1))


def test_what_an_input_or_constant_handler_declines_is_said_of_those_that_read_it():
    ir = flexir.Target("f32 only", dtypes={torch.float32: "f32"})

    @ir.input
    def enter(ctx, name, type):
        return ctx.dtype(type)

    @ir.constant
    def stored(ctx, weight):
        return ctx.dtype(weight.tensor.dtype)

    @ir.op("add")
    def add(ctx, input, other):
        return "sum"

    wide = torch.ones(2).double()
    graph = flexir.capture(lambda x, y, unread: (x + y, y + wide), (torch.ones(2), wide, wide))
    reasons = [row.reason for row in flexir.convert(graph, ir).report.entries]
    assert reasons == ["input y: f32 only has no float64"]
    graph = flexir.capture(lambda x: torch.diff(x, n=0), (wide,))  # of no pieces
    reasons = [row.reason for row in flexir.convert(graph, ir).report.entries]
    assert reasons == ["input x: f32 only has no float64"]
    report = flexir.convert(lambda x: (x + wide, x), (torch.ones(2),), ir).report
    assert "constant" in report.entries[0].reason and "float64" in report.entries[0].reason


def test_an_output_that_the_target_cannot_hold_is_missing():
    ir = flexir.Target("f32 only", dtypes={torch.float32: "f32"})

    @ir.input
    def enter(ctx, name, type):
        return ctx.dtype(type)

    result = flexir.convert(lambda x: x, (torch.ones(2).double(),), ir)
    assert not result.report.complete and "float64" in str(result.report)


def test_the_targets_that_come_along_are_listed_and_imported_when_asked_for(root):
    assert dir(flexir.targets) == ["jax", "ncnn", "onnx", "openvino"]
    with pytest.raises(AttributeError):
        flexir.targets.missing  # noqa: B018
    script = "import sys, flexir.targets; print([m for m in ('onnx', 'jax') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root / "src", capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_a_missing_extra_says_what_to_install(monkeypatch):
    missing = flexir.Error  # looked up before imports are blocked

    def blocked(name, package=None):
        raise ModuleNotFoundError("No module named 'onnx_ir'", name="onnx_ir")

    monkeypatch.setattr(flexir.targets.importlib, "import_module", blocked)
    monkeypatch.delitem(vars(flexir.targets), "onnx", raising=False)
    with pytest.raises(missing, match=r"needs onnx_ir: pip install flextorchir\[onnx\]"):
        flexir.targets.onnx  # noqa: B018
