"""What a report, a comparison and a stub say, word for word, of small graphs."""

import pytest
import torch
from torch import nn

import flexir
from flexir.checks.comparison import Comparison, Row, near, row_of, row_tensor
from flexir.checks.differences import Difference, compare_outputs, compare_tensors, verdict_of
from flexir.conversion.report import (
    configuration,
    form,
    function_name,
    handler_text,
)
from flexir.graph import tree

INF = float("inf")


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 3, stride=2), nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x):
        x = self.b(torch.relu(self.a(x)))
        for _ in range(5):
            x = torch.relu(x[:, :, 1:]) + x.mean(2, keepdim=True)
        return x.flatten(1).sum(1)


@pytest.fixture(scope="module")
def graph():
    return flexir.capture(Net(), (torch.ones(1, 3, 17, 17),))


@pytest.fixture(scope="module")
def report(graph):
    ir = flexir.Target("mine")

    @ir.op("conv2d")
    def conv2d(ctx, input, weight, bias, stride):
        return ctx.node.op

    @ir.op("sum")
    def sum(ctx, input, dim):
        return "sum"

    return flexir.convert(graph, target=ir).report


def entries(report):
    return {entry.op: entry for entry in report.entries}


def test_the_most_frequent_stands_first(report):
    assert [(e.op, e.count) for e in report.ranked] == sorted(
        [(e.op, e.count) for e in report.entries], key=lambda pair: -pair[1]
    )
    assert report.ranked[0].op == "relu" and report.ranked[0].count == 6
    found = entries(report)
    assert found["mean"].count == 5 and found["add"].count == 5
    assert report.placeholders == sum(e.count for e in report.entries)
    assert found["conv2d"].reason == "handler ignores padding=(1, 1)"


def test_the_text_shows_three_forms_and_counts_the_others(report):
    lines = report.text().splitlines()
    assert lines[0].startswith("relu ×6   ") and "test_reports.py" in lines[0]
    assert lines[1] == "    relu(f32[1,4,8,8]) -> f32[1,4,8,8]"
    assert lines[2] == "    relu(f32[1,4,7,8]) -> f32[1,4,7,8]"
    assert lines[4].startswith("    its pieces would do, but these are missing too: clamp, ")
    assert lines[5] == "    ... 3 more forms"
    assert "To support the first:" in lines
    at = lines.index("To support the first:")
    assert lines[at + 1 : at + 4] == [
        '  @ir.op("relu")', "  def relu(ctx, input):", "      ...",
    ]  # fmt: skip
    [conv] = [line for line in lines if line.startswith("conv2d")]
    assert conv.startswith("conv2d ×1   handler ignores padding=(1, 1)   b   ")
    assert (
        lines[-1]
        == report.verdict()
        == f"Net -> mine: 2 calls handled, {report.placeholders} placeholders"
    )
    assert report.complete is False


@pytest.mark.parametrize("many", [3, 4])
def test_one_form_more_than_is_shown_is_counted(many):
    def model(x):
        for n in range(many):
            x = torch.relu(x[n:])
        return x

    report = flexir.convert(flexir.capture(model, (torch.ones(9),)), flexir.Target("none")).report
    assert ("    ... 1 more forms" in report.text()) is (many == 4)


def test_markdown_and_data_say_the_same(report):
    text = report.markdown().splitlines()
    assert text[0] == f"### {report.verdict()}" and text[1] == ""
    assert text[2] == "| op | count | reason | calls | modules | source |"
    rows = text[4:]
    assert len(rows) == len(report.entries) and rows[0].startswith("| `relu` | 6 | no handler | ")
    assert rows[0].count("`relu(") == 3, "three forms"
    assert all(cell.count("<br>") <= 2 for row in rows for cell in row.split(" | "))

    class Lines(nn.Module):
        def forward(self, x):
            x = torch.relu(x)
            x = torch.relu(x)
            x = torch.relu(x)
            x = torch.relu(x)
            return x

    four = flexir.convert(flexir.capture(Lines(), (torch.ones(2),)), target=flexir.Target("none"))
    [row] = four.report.markdown().splitlines()[4:]
    assert row.count("test_reports.py") == 3, "three sources"
    data = report.data()
    assert data["model"] == "Net" and data["handled"] == {"conv2d": 1, "sum": 1}
    first = data["placeholders"][0]
    assert (first["op"], first["count"], first["reason"]) == ("relu", 6, "no handler")
    assert first["inputs"][0] == ["f32[1,4,8,8]"] and first["outputs"][1] == ["f32[1,4,7,8]"]
    assert first["stub"] == '@ir.op("relu")\ndef relu(ctx, input):\n    ...'
    assert data["unaccounted"] == [] and data["unmatched"] == [] and data["fixed"] == 0


def test_what_is_missing_can_be_raised_and_logged(report, caplog):
    with pytest.raises(flexir.UnsupportedError) as error:
        report.raise_if_unsupported()
    lines = str(error.value).splitlines()
    assert lines[0] == f"{report.placeholders} calls have no handler in target 'mine'"
    assert lines[1].startswith("  relu ×6") and lines[2].startswith("      relu(f32[")
    with caplog.at_level("INFO", logger="flexir"):
        report.log("net.png")
    said = [record.getMessage() for record in caplog.records]
    assert said[0] == "[WARNING] The following ops are not supported by target 'mine' currently:"
    assert said[1] == "Op: (func op) relu. Input shapes: 1x4x8x8, Output shape: 1x4x8x8"
    assert said[-1].endswith("into placeholders and are shown in RED in net.png")
    assert len(said) == len(set(said))


def test_the_log_tells_one_output_from_several(caplog):
    graph = flexir.capture(lambda x: x.split(1), (torch.randn(2, 3),))
    with caplog.at_level("INFO", logger="flexir"):
        flexir.convert(graph, flexir.Target("mine")).report.log()
    said = [record.getMessage() for record in caplog.records]
    assert said[2] == "Op: (func op) split. Input shapes: 2x3, Output shapes: 1x3, 1x3"
    assert said[-1] == "[WARNING] These ops have been converted into placeholders"


def test_a_complete_conversion_is_silent(graph, caplog):
    ir = flexir.Target("all")
    for op in {node.op for node in graph}:
        ir.op(op)(lambda ctx, **args: "done")
    report = flexir.convert(graph, target=ir).report
    assert report.complete and report.raise_if_unsupported() is None
    with caplog.at_level("INFO", logger="flexir"):
        report.log()
    assert not caplog.records and report.markdown() == f"### {report.verdict()}\n"


def test_a_call_in_words(graph):
    first, second = graph.find(op="conv2d")
    assert form(first) == "conv2d(f32[1,3,17,17], f32[4,3,3,3], f32[4]) -> f32[1,4,8,8]"
    assert configuration(first) == "stride=(2, 2)" and configuration(second) == "padding=(1, 1)"
    assert configuration(graph.find(op="relu")[0]) == ""


def test_a_stub_has_the_arguments_and_every_configuration_seen(graph):
    text = flexir.stub(graph.find(op="conv2d"))
    assert text.splitlines() == [
        '@ir.op("conv2d")',
        "def conv2d(ctx, input, weight, bias, stride, padding, dilation, groups):",
        "    # conv2d(f32[1,3,17,17], f32[4,3,3,3], f32[4]) -> f32[1,4,8,8]  with stride=(2, 2)",
        "    # conv2d(f32[1,4,8,8], f32[4,4,3,3], f32[4]) -> f32[1,4,8,8]  with padding=(1, 1)",
        '    raise NotImplementedError("conv2d")',
    ]
    assert flexir.stub("relu").splitlines() == [
        '@ir.op("relu")', "def relu(ctx, input):", '    raise NotImplementedError("relu")',
    ]  # fmt: skip
    relu = graph.find(op="relu")[0]
    assert flexir.stub(relu) == flexir.stub([relu, relu])
    with pytest.raises(flexir.Error, match="no function 'nothing_of_the_kind'"):
        flexir.stub("nothing_of_the_kind")
    many = flexir.stub(graph.find(op="relu") + graph.find(op="getitem")).splitlines()
    assert many[-2] == "    # and 5 more"


def test_names_of_handlers_are_pythons():
    assert function_name("lambda") == "lambda_" and function_name("my::op.x") == "my__op_x"
    assert handler_text("f", ["input", "a=None", "class", "1x"]) == (
        '@ir.op("f")\ndef f(ctx, input, a=None):\n    ...'
    )
    long = handler_text("f", [f"argument_{i}" for i in range(9)]).splitlines()
    assert long[1] == "def f(" and long[2] == "    ctx," and long[-2:] == ["):", "    ..."]


def test_a_comparison_is_true_if_all_is_well_and_says_where_it_is_not(graph):
    one, two = graph.find(op="relu")[:2]
    good, bad = Row(one, 1e-7, 1e-6), Row(two, 2.0, 0.5, False, "off", ["as if zero"])
    assert str(good) == f"ok   1.00e-06  relu   # {one.where}"
    assert str(bad) == f"BAD  5.00e-01  relu   # {two.where}   off\n      as if as if zero"
    well = Comparison([good])
    assert well and well.first is None and well.bad == []
    assert str(well) == "1 calls compared, all within tolerance"
    found = Comparison([good, bad], [Row(one, note="no")], [Row(one, note="x"), Row(two, note="x")])
    assert not found and found.first is bad and found.bad == [bad]
    assert str(found).splitlines() == [
        *str(bad).splitlines(),
        f"refused  relu ×1   # {one.where}   no",
        f"not reached  relu ×2   # {one.where}   x",
        f"1 of 2 calls differ; the first is relu at {two.where}; 1 refused, 2 not reached",
    ]
    assert not Comparison([]) and str(Comparison([])) == "no call compared"


def test_a_row_of_outputs_beside_torchs(graph):
    node = graph.find(op="relu")[0]
    want = torch.tensor([1.0, 2.0, 4.0])
    same = row_of(node, [want], [want.clone()], [0.0])
    assert same.ok and (same.max_abs, same.max_rel, same.note) == (0.0, 0.0, "")
    off = row_of(node, [want, want], [want, want + torch.tensor([0, 0, 0.5])], [0.0, 0.25])
    assert not off.ok and off.max_abs == 0.5 and off.max_rel == 0.125
    assert row_of(node, [want], [want + 0.5], [0.5]).ok
    assert not row_of(node, [want.int()], [want.int() + 1], [5.0]).ok, "whole numbers are exact"
    assert row_of(node, [want], [want[:2]], [0.0]).note == "shape (2,), expected (3,)"
    assert row_of(node, [want], [], [0.0]).note == "0 outputs came back"
    assert row_of(node, [want], [], [0.0]).max_rel == INF
    nan = row_of(node, [want], [torch.tensor([1.0, float("nan"), 4.0])], [9.0])
    assert not nan.ok and nan.note == "1 of 3 elements are NaN or infinite on one side only"
    assert row_of(node, [want[:0]], [want[:0]], [0.0]).ok


def test_how_near_an_explanation_must_come(graph):
    node = graph.find(op="relu")[0]
    assert near(Row(node, max_rel=0.5), 1e-3) == 1e-3
    assert near(Row(node, max_rel=1e-3), 1e-3) == 1e-4
    assert near(Row(node, max_rel=0.0), 1e-3) == 1e-12
    assert torch.equal(row_tensor(torch.ones(2)), torch.ones(2))
    assert torch.equal(row_tensor([1, 2]), torch.tensor([1, 2]))


def test_differences_of_tensors():
    def compare(a, b):
        found = compare_tensors("y", a, b)
        return found.equal, found.max_abs, found.max_rel, found.note

    x = torch.tensor([1.0, -4.0, float("nan"), 0.0])
    assert compare(x, x.clone()) == (True, 0.0, 0.0, "")
    assert compare(x, x + torch.tensor([0, 1.0, 0, 0])) == (False, 1.0, 0.25, "")
    assert compare(x, torch.nan_to_num(x)) == (False, INF, INF, "NaN in other places")
    assert compare(x, x.double())[3] == "torch.float64 (4,), not torch.float32 (4,)"
    assert compare(x, x[:2])[3] == "torch.float32 (2,), not torch.float32 (4,)"
    assert compare(torch.tensor([3, 4]), torch.tensor([3, 9])) == (False, 5.0, INF, "")
    assert compare(torch.tensor([0.0]), torch.tensor([-0.0]))[0]
    meta = torch.empty(2, device="meta")
    assert compare(meta, meta)[0]
    z = torch.tensor([3 + 4j])
    assert compare(z, z + 1)[1:3] == (1.0, pytest.approx(0.2))


def test_differences_of_results():
    x = torch.ones(2)
    assert [d.equal for d in compare_outputs({"a": x, "b": 3}, {"a": x, "b": 3})] == [True]
    [d] = compare_outputs((x,), (x, x))
    assert (d.name, d.equal, d.max_abs, d.max_rel, d.note) == (
        "outputs", False, INF, INF, "other structure",
    )  # fmt: skip
    found = compare_outputs([x, 3, "a", float("nan")], [x + 1, 4, "a", float("nan")])
    assert [(d.equal, d.note) for d in found] == [(False, ""), (False, "4, not 3")]
    [d] = compare_outputs([x], [5])
    assert not d.equal and d.note.startswith("5, not tensor")
    assert str(Difference("y", True)) == "y: bit-equal"
    assert str(Difference("y", False, 0.5, 0.25)) == "y: max abs 0.5, max rel 0.25"
    assert str(Difference("y", False, INF, INF, "why")) == "y: why"


def test_verdicts():
    exact, near, noted = Difference("a", True), Difference("b", False, 1.0, 1e-6), Difference(
        "c", False, 0.0, 0.0, "note")  # fmt: skip
    assert verdict_of([exact], 0.0) == "exact" and verdict_of([], 0.0) == "exact"
    assert verdict_of([exact, near], 1e-6) == "close" and verdict_of([near], 1e-7) == "wrong"
    assert verdict_of([exact, noted], 1.0) == "wrong"


class Pair(list):
    pass


def test_templates_read_as_code():
    show = tree.show
    assert show([1, (2,), (1, 2), {"a": None}], str) == "[1, (2,), (1, 2), {'a': None}]"
    assert show(slice(1, None, 2), int) == "1::2" and show(slice(None, 3), int) == ":3"
    assert show(nn.ReLU(), int) == "ReLU" and show(torch.relu, int) == "relu"
    assert show("x" * 200, int) == "'" + "x" * 116 + "..." and len(show("x" * 118, int)) == 120
    assert show(object(), int) == "<object object>"


def test_instances_are_opened_and_built_again():
    x = torch.ones(1)
    pair = Pair([x, 2])
    pair.name = "p"
    again = tree.rebuilt(pair, lambda t: t + 1)
    assert type(again) is Pair and again[1] == 2 and again.name == "p" and again[0].item() == 2
    opened = tree.template(pair, lambda t: "x")
    assert repr(opened) == "Pair('x', 2, name='p')"
    assert tree.show(tree.template({"a": pair}, lambda t: 7), int) == "{'a': Pair(7, 2, name='p')}"
    template = tree.template([pair, {"k": (x,)}, slice(x, x, x)], lambda t: 7)
    assert list(tree.leaves(template, int)) == [7, 2, 7, 7, 7, 7]


def test_what_holds_tensors():
    x = torch.ones(1)
    holder = type("Holder", (), {})()
    holder.inner = [{"a": (1, x)}]
    assert tree.holds_tensor(holder) and tree.holds_tensor({1: {2: [x]}})
    assert not tree.holds_tensor([1, "a", {"b": None}]) and not tree.holds_tensor(type(holder))
    holder.inner = holder
    assert not tree.holds_tensor(holder), "what leads back to itself ends"
    assert tree.tensors_in([x, (x, {"a": x})]) == [x, x, x] and tree.tensors_in(x) == [x]
    assert tree.is_word(3) and tree.is_word(len) and tree.is_word(dict) and not tree.is_word([])
    holder.inner = 3
    assert tree.opens(holder) and tree.opens([1]) and not tree.opens(3)
    words = type("Words", (), {})()
    assert not tree.opens(words), "nothing in it"
    words.table, words.function = {"a": [1]}, len
    assert not tree.opens(words)
    del words.function
    assert tree.opens(words)
