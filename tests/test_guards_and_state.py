"""What a model does besides its outputs: conditions, state and written inputs reach the target."""

import json

import pytest
import torch
from conftest import notes_of
from torch import nn

import flexir
from flexir.cli import main
from flexir.graph.account import Change, State


class Masked(nn.Module):
    """A small BERT: an embedding, attention that skips an all-ones mask, a feed-forward layer."""

    def __init__(self):
        super().__init__()
        self.words, self.qkv = nn.Embedding(16, 8), nn.Linear(8, 24)
        self.norm, self.up, self.down = nn.LayerNorm(8), nn.Linear(8, 16), nn.Linear(16, 8)

    def forward(self, ids, mask):
        x = self.words(ids)
        q, k, v = self.qkv(x).chunk(3, -1)
        score = q @ k.transpose(-1, -2)
        if not mask.all():
            score = score.masked_fill(mask[:, None, :] == 0, -1e4)
        x = self.norm(x + score.softmax(-1) @ v)
        return x + self.down(torch.relu(self.up(x)))


IDS, ONES = torch.arange(6).reshape(2, 3), torch.ones(2, 3, dtype=torch.bool)


def everything(name="all", **options):
    """A target with a handler for each op of these tests, in which a tensor is a text."""
    ir = flexir.Target(name, **options)
    ir.input(lambda ctx, name, type: name)
    ir.constant(lambda ctx, weight: f"{weight.name}{'*' if weight.state else ''}")

    def declare(op):
        def handler(ctx, **named):
            (ctx.out if ctx.out is not None else []).append(op)
            parts = ", ".join(str(p) for p in named.values() if isinstance(p, str))
            made = f"{op}({parts})"
            return (made,) * 3 if op == "chunk" else made

        ir.op(op)(handler)

    for op in ("embedding linear chunk transpose matmul softmax add layer_norm relu mul sum gt "
               "tanh clone").split():  # fmt: skip
        declare(op)
    return ir


@pytest.fixture
def ir():
    return everything()


@pytest.fixture
def bert():
    with torch.no_grad():
        return flexir.capture(Masked(), (IDS, ONES))


def with_state(final="tanh"):
    """A graph whose attribute ``h`` is kept from call to call, as a capture would enter it."""

    class Cell(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("h", torch.zeros(2))

        def forward(self, x):
            return torch.tanh(self.h + x) * 2

    graph = flexir.capture(Cell(), (torch.ones(2),))
    (initial,) = (v for v in graph.constants if v.name == "h")
    (last,) = (n.outputs[0] for n in graph if n.op == final)
    graph.state.append(State("h", initial, last))
    return graph


# --- conditions ----------------------------------------------------------------------------------


def test_a_condition_nobody_takes_is_named_with_its_line_and_strict_fails(ir, bert):
    report = flexir.convert(bert, target=ir).report
    assert not report.entries, report  # what only feeds the condition is no work
    (left,) = report.omissions
    assert left.kind == "condition" and left.text == "bool(all(mask)) is True"
    text = str(report)
    assert "1 condition is not in the output" in text and "test_guards_and_state.py:" in text
    assert text.splitlines()[-1].endswith("0 placeholders, 1 condition not in the output")
    assert "1 condition is not in the output" in report.markdown()
    assert "bool(all(mask)) is True" in report.markdown()
    data = json.loads(report.json())
    assert [o["kind"] for o in data["omissions"]] == ["condition"]
    assert data["omissions"][0]["where"].startswith("test_guards_and_state.py:")
    with pytest.raises(flexir.UnsupportedError, match="1 condition is not in the output") as caught:
        flexir.convert(bert, target=ir, strict=True)
    assert "bool(all(mask)) is True" in str(caught.value) and "@ir.guard" in str(caught.value)


def test_a_guard_handler_is_called_in_order_with_what_handlers_made(ir, bert):
    ir.op("all")(lambda ctx, input: f"all({input})")
    seen = []

    @ir.guard
    def guard(ctx, condition, expected, node):
        assert ctx.node is node and node.source is not None
        seen.append((condition, expected, len(ctx.out)))

    result = flexir.convert(bert, target=ir, out=[], strict=True)
    order = result.output.index("matmul")
    assert seen == [("all(mask)", True, order + 1)]
    assert not result.report.omissions and result.report.hooked == {"condition": 1}
    assert "handled" in [result.status[node] for node in bert.guards]
    assert "1 condition" in str(result.report).splitlines()[-1]


def test_what_a_guard_handler_reads_is_work(ir, bert):
    ir.guard(lambda ctx, condition, expected, node: None)
    (entry,) = flexir.convert(bert, target=ir).report.entries
    assert entry.op == "all"


def test_what_only_a_condition_reads_is_listed_but_is_no_work(ir, bert):
    report = flexir.convert(bert, target=ir).report
    assert report.unused == {"all": 1} and "read by nothing in the output: all" in str(report)


def test_numbers_and_conditions_of_several_tensors_arrive_too(ir):
    seen = []

    @ir.guard
    def guard(ctx, condition, expected, node):
        seen.append((condition, expected, node.op))

    def model(x, y):
        if torch.equal(x, y):
            return x * x.sum().item()
        return y

    x = torch.ones(2)
    flexir.convert(model, (x, x.clone()), ir, strict=True)
    assert seen == [(("x", "y"), True, "equal"), ("sum(x)", 2.0, "item")]


def test_a_guard_handler_may_decline_and_keeps_its_exceptions(ir):
    model = lambda x: x * float(x.sum())
    refusing, broken = ir.extend("refusing"), ir.extend("broken")

    @refusing.guard
    def refuse(ctx, condition, expected, node):
        raise flexir.Unsupported("only branches")

    (left,) = flexir.convert(model, torch.ones(2), refusing).report.omissions
    assert left.reason == "handler refused: only branches"

    @broken.guard
    def fail(ctx, condition, expected, node):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError) as caught:
        flexir.convert(model, torch.ones(2), broken)
    assert "float(%1)" in notes_of(caught.value)


def test_a_condition_no_input_can_change_is_not_counted(ir):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(2))

        def forward(self, x):
            return x * self.scale if (self.scale > 0).all() else x

    report = flexir.convert(Model(), torch.ones(2), ir, strict=True).report
    assert not report.omissions and report.fixed == 1
    assert "1 condition depends on no input" in str(report)


def test_a_random_number_and_a_state_can_change_a_condition(ir):
    draw = flexir.capture(lambda x: x + 1 if torch.rand(()) >= 0 else x, (torch.ones(2),))
    assert [o.kind for o in flexir.convert(draw, target=ir).report.omissions] == ["condition"]

    class Cell(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("h", torch.ones(2))

        def forward(self, x):
            return x * 2 if self.h.sum() > 0 else x

    graph = flexir.capture(Cell(), (torch.ones(2),))
    assert flexir.convert(graph, target=ir).report.fixed == 1
    (initial,) = (v for v in graph.constants if v.name == "h")
    graph.state.append(State("h", initial, graph.output_values[0]))
    report = flexir.convert(graph, target=ir).report
    assert [o.kind for o in report.omissions] == ["condition", "state"] and not report.fixed


def test_memory_that_left_torch_is_named_even_with_a_guard_handler(ir):
    pytest.importorskip("numpy")
    ir.guard(lambda ctx, condition, expected, node: None)
    report = flexir.convert(lambda x: x * float(x.numpy().sum()), torch.ones(2), ir).report
    (left,) = report.omissions
    assert left.kind == "memory" and "numpy(x)" in left.text and "@flexir.opaque" in left.reason


def test_conditions_inside_a_module_taken_whole_are_its_handlers(bert):
    ir = flexir.Target("whole")
    ir.module(Masked)(lambda ctx, module, ids, mask: "bert")
    report = flexir.convert(bert, target=ir, strict=True).report
    assert report.inside == 1 and "1 condition stands inside modules taken whole" in str(report)


def test_a_text_is_no_condition(ir):
    def model(x):
        repr(x)
        return x * 2

    assert not flexir.convert(model, torch.ones(2), ir, strict=True).report.omissions


def test_bert_of_transformers_with_an_all_ones_mask(ir):
    pytest.importorskip("transformers")
    from flexir import describe
    from zoo.transformers_models import entry

    model, _, kwargs = entry("bert").make()
    kwargs["attention_mask"] = torch.ones_like(kwargs["input_ids"])
    with torch.no_grad():
        graph = flexir.capture(model, (), kwargs)
        padded = dict(kwargs, attention_mask=kwargs["attention_mask"].clone())
        padded["attention_mask"][:, -3:] = 0
        with pytest.raises(flexir.Diverged):
            graph(**padded)
    report = flexir.convert(graph, target=describe).report
    assert not report.entries and report.omissions
    assert all(left.kind == "condition" and "masking" in left.where for left in report.omissions)
    with pytest.raises(flexir.UnsupportedError, match="not in the output"):
        flexir.convert(graph, target=describe, strict=True)


# --- state ---------------------------------------------------------------------------------------


def test_state_nobody_takes_is_named_and_strict_fails(ir):
    graph = with_state()
    report = flexir.convert(graph, target=ir).report
    (left,) = report.omissions
    assert left.kind == "state" and left.text.startswith("h is kept from call to call")
    assert "1 state is not in the output" in str(report)
    assert "test_guards_and_state.py:" in left.where
    with pytest.raises(flexir.UnsupportedError, match="1 state is not in the output"):
        flexir.convert(graph, target=ir, strict=True)


def test_a_state_handler_is_called_after_all_nodes(ir):
    seen = []

    @ir.state
    def state(ctx, path, initial, final):
        assert ctx.node.op == "state"
        seen.append((path, initial, final, list(ctx.out)))

    result = flexir.convert(with_state(), target=ir, out=[], strict=True)
    assert seen == [("h", "h*", "tanh(add(h*, x))", ["add", "tanh", "mul"])]
    assert result.report.hooked == {"state": 1}


def test_a_constant_says_whether_it_is_state():
    seen = []
    ir = everything()
    ir.hooks.pop("constant")
    ir.constant(lambda ctx, weight: seen.append((weight.name, weight.state)) or weight.name)
    flexir.convert(with_state(), target=ir)
    assert seen == [("h", "h")]


def test_state_is_no_weight_for_a_target_that_takes_state(ir):
    """A handler that bakes it in would compute with the first call's value for ever."""
    ir.hooks.pop("constant")
    child = ir.extend("child")
    child.op("add")(lambda ctx, input, other: f"add({ctx.weight(input).name})")
    graph = with_state()
    assert "add" in flexir.convert(graph, target=child).report.handled
    child.state(lambda ctx, path, initial, final: None)
    (entry,) = flexir.convert(graph, target=child).report.entries
    assert entry.op == "add" and "'h' is state, no weight" in entry.reason


def test_what_only_a_state_reads_is_work_for_a_target_that_takes_state():
    graph = with_state("add")
    graph.outputs = graph.input_values[0]
    ir = everything()
    for op in ("add", "tanh", "mul"):
        del ir.ops[op]
    report = flexir.convert(graph, target=ir).report
    assert not report.entries and report.unused == {"add": 1, "tanh": 1, "mul": 1}
    ir.state(lambda ctx, path, initial, final: None)
    assert [e.op for e in flexir.convert(graph, target=ir).report.entries] == ["add"]


def test_a_module_that_leaves_state_behind_is_not_claimed(ir):
    graph = with_state()
    ir.module(type(graph.nodes[0].target))(lambda ctx, module, x: "whole")
    report = flexir.convert(graph, target=ir).report
    assert report.descended and "used outside the module" in report.descended[0][1]


def test_an_input_the_model_writes_is_named_and_goes_to_the_state_handler(ir):
    def model(x):
        x.add_(1)
        return x * 2

    report = flexir.convert(model, torch.ones(2), ir).report
    (left,) = report.omissions
    assert left.kind == "written input" and left.text == "x is written: add(x)"
    assert "1 written input is not in the output" in str(report)
    seen = []

    @ir.state
    def state(ctx, path, initial, final):
        seen.append((ctx.node.op, path, initial, final))

    report = flexir.convert(model, torch.ones(2), ir, strict=True).report
    assert seen == [("input", "x", "x", "add(x)")] and not report.omissions


def test_a_written_buffer_that_is_also_state_counts_once(ir):
    class Counter(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("n", torch.zeros(2))

        def forward(self, x):
            self.n += x
            return x * self.n

    graph = flexir.capture(Counter(), (torch.ones(2),))
    (written,) = graph.mutations
    graph.state[:] = [State("n", written.initial, written.final)]
    assert [o.kind for o in flexir.convert(graph, target=ir).report.omissions] == ["state"]
    graph.state.clear()
    assert [o.kind for o in flexir.convert(graph, target=ir).report.omissions] == ["state"]


def test_python_values_that_changed_are_named_whatever_the_target_has(ir):
    ir.state(lambda ctx, path, initial, final: None)
    graph = flexir.capture(lambda x: x * 2, (torch.ones(2),))
    change = Change("n", 1, 2)
    graph.audit.changes.append(change)
    graph.audit.problems.append(str(change))
    report = flexir.convert(graph, target=ir).report
    assert str(report).count("n was 1 before the call and is 2 after it") == 1
    assert "1 changed Python value is not in the output" in str(report)
    with pytest.raises(flexir.UnsupportedError, match="n was 1"):
        flexir.convert(graph, target=ir, strict=True)


def test_all_kinds_are_counted_in_one_line(ir):
    graph = with_state()
    more = flexir.capture(lambda x: x if x.sum() > 0 and x.any() else x, (torch.ones(2),))
    graph.nodes += more.nodes
    for node in more.nodes:
        for name, part in node.args.items():
            if part is more.input_values[0]:
                node.args[name] = graph.input_values[0]
    text = str(flexir.convert(graph, target=ir).report)
    assert "2 conditions and 1 state are not in the output:" in text


class Program:
    """An engine: a list of steps, variables that live on, checks of conditions."""

    def __init__(self):
        self.variables, self.checks, self.assignments = {}, [], []

    def __call__(self, result, **inputs):
        made = result.outputs(inputs)
        for condition, expected in self.checks:
            assert bool(condition(inputs)) is expected, "another path"
        self.variables.update({path: final(inputs) for path, final in self.assignments})
        return made


def engine():
    """A target whose tensors are functions of the inputs: the hooks alone make it exact."""
    ir = flexir.Target("engine", out=Program)
    ir.input(lambda ctx, name, type: lambda inputs: inputs[name])

    @ir.constant
    def constant(ctx, weight):
        if weight.state:
            ctx.out.variables[weight.state] = weight.tensor.clone()
            return lambda inputs: ctx.out.variables[weight.state]
        return lambda inputs: weight.tensor

    @ir.guard
    def guard(ctx, condition, expected, node):
        ctx.out.checks.append((condition, expected))

    @ir.state
    def state(ctx, path, initial, final):
        ctx.out.assignments.append((path, final))

    for op in ("add", "mul", "tanh", "all"):

        @ir.op(op)
        def handler(ctx, *, op=op, **named):
            def value(part, inputs):
                return part(inputs) if callable(part) else part

            def run(inputs):
                return getattr(torch, op)(**{n: value(p, inputs) for n, p in named.items()})

            return run

    return ir


def test_the_hooks_are_enough_for_an_engine_that_carries_state_on():
    graph = with_state()
    result = flexir.convert(graph, target=engine(), strict=True)
    h = torch.zeros(2)
    for number in range(3):
        x = torch.full((2,), float(number))
        h = torch.tanh(h + x)
        assert torch.equal(result.output(result, x=x), h * 2)


def test_the_hooks_are_enough_for_an_engine_that_refuses_another_path():
    model = lambda x, mask: x * 2 if mask.all() else x * mask
    result = flexir.convert(model, (torch.ones(2), torch.ones(2)), engine(), strict=True)
    names = [value.name for value in result.graph.input_values]
    good = dict(zip(names, (torch.ones(2), torch.ones(2))))
    assert torch.equal(result.output(result, **good), torch.full((2,), 2.0))
    with pytest.raises(AssertionError, match="another path"):
        result.output(result, **dict(zip(names, (torch.ones(2), torch.zeros(2)))))


# --- declaring -----------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["item", "equal", "allclose", torch.Tensor.__bool__,
                                 torch.Tensor.__float__, torch.equal])  # fmt: skip
def test_what_gives_python_a_number_can_where_several_examples_are_shown(ir, key):
    ir.op(key)(lambda ctx, input: "made")


@pytest.mark.parametrize("key", ["tolist", torch.Tensor.tolist, torch.Tensor.dim])
def test_what_only_hands_values_to_python_cannot_have_an_op_handler(ir, key):
    with pytest.raises(flexir.TargetError, match="no output.*@ir.guard"):
        ir.op(key)


def test_a_cast_that_shares_its_name_with_a_condition_can(ir):
    ir.op("bool")(lambda ctx, input: f"bool({input})")
    assert flexir.convert(lambda x: x.bool(), torch.ones(2), ir).outputs == "bool(x)"


def test_every_escape_the_recorder_sees_is_known_at_the_decorator():
    """The recorder and the decorator decide alike."""
    from flexir.conversion.escapes import only_escapes

    x = torch.ones(1)
    for name in ("item", "tolist", "__bool__", "__int__", "__float__", "__index__", "is_nonzero",
                 "equal", "allclose", "__contains__"):  # fmt: skip
        function = getattr(torch.Tensor, name)
        args = (x,) if name in ("equal", "allclose", "__contains__") else ()
        call = lambda x, *rest, function=function: (function(x.long(), *rest), x)[1]
        graph = flexir.capture(call, (x, *(a.long() for a in args)))
        assert graph.escapes, name
        assert only_escapes(function), name
    for function in (torch.Tensor.add, torch.Tensor.bool, torch.Tensor.__getitem__,
                     torch.Tensor.__setitem__, torch.Tensor.backward, torch.relu):  # fmt: skip
        assert not only_escapes(function), function


def test_hooks_that_cannot_be_called_are_an_error_at_the_decorator(ir):
    with pytest.raises(flexir.TargetError, match=r"\(ctx, condition, expected, node\)"):

        @ir.guard
        def guard(ctx, condition):
            pass

    with pytest.raises(flexir.TargetError, match=r"\(ctx, path, initial, final\)"):
        ir.state(lambda ctx: None)


def test_a_call_without_outputs_that_is_no_escape_goes_to_its_handler(ir):
    @flexir.opaque
    def tell(x):
        return None

    def model(x):
        tell(x)
        return x * 2

    (entry,) = flexir.convert(model, torch.ones(2), ir).report.entries
    assert entry.op == "tell"
    seen = []
    ir.op(tell)(lambda ctx, x: seen.append(x))
    assert not flexir.convert(model, torch.ones(2), ir).report.entries and seen == ["x"]


# --- the command ---------------------------------------------------------------------------------


def test_the_command_says_so_and_strict_exits_with_3(tmp_path, monkeypatch, capsys):
    pytest.importorskip("google.protobuf")
    (tmp_path / "masked.py").write_text(
        "import torch, flexir\n"
        "def net(x, mask):\n    return x * 2 if mask.all() else x * mask\n"
        "def make():\n    return net, (torch.ones(2), torch.ones(2))\n"
        "ir = flexir.Target('mine')\nir.op('mul')(lambda ctx, input, other: 'mul')\n"
        "full = ir.extend('full')\nfull.op('all')(lambda ctx, input: 'all')\n"
        "full.guard(lambda ctx, condition, expected, node: None)\n"
    )
    monkeypatch.chdir(tmp_path)
    assert main(["convert", "masked.py:make", "--target", "masked.py:ir"]) == 0
    out, err = capsys.readouterr()
    assert "1 condition is not in the output" in out
    assert err.endswith("0 placeholders, 1 condition not in the output\n")
    command = ["convert", "masked.py:make", "--strict", "--target"]
    assert main([*command, "masked.py:ir"]) == 3
    assert main([*command, "masked.py:full"]) == 0
    capsys.readouterr()
    command = ["plan", "masked.py:make", "--cache", "kept", "--strict", "--target"]
    assert main([*command, "masked.py:ir"]) == 3
    out, err = capsys.readouterr()
    assert "@ir.guard" in out and "masked.py:3" in out and "0 of 1 models convert whole" in err
    assert main([*command, "masked.py:full"]) == 0
