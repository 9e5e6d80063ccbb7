"""Small questions that larger things rely on: what each answers, asked directly."""

import collections

import pytest
import torch
from torch import nn
from torch.nn import functional

import flexir
from bench.hybrid import target_of
from flexir.calls.schemas import callables, signatures
from flexir.checks.rounding import _repeated
from flexir.conversion.convert import coverage
from flexir.graph.account import Audit
from flexir.graph.nodes import Node, NumberType, TensorType, Value, show_number
from flexir.passes.simplify import _meta
from flexir.recording.eager import copies_of, run_model
from flexir.recording.lookups import TENSORS, USERS, _kind_of_function

X = torch.tensor([0.5, -1.0, 2.0])


def test_operators_with_their_operands_exchanged_draw_nothing_and_name_them():
    for func, other in ((torch.Tensor.__rsub__, "other"), (torch.Tensor.__rpow__, "exponent")):
        (form,) = signatures(func)
        assert form.random is False and form.names == (other, "input")


def test_an_op_has_every_public_callable_of_its_meaning():
    callables.cache_clear()  # it is asked for once in a process
    found = callables()
    assert {torch.add, torch.Tensor.add, torch.Tensor.add_} <= set(found["add"])
    assert functional.relu in found["relu"] and torch.zeros in found["zeros"]
    assert torch.linalg.svd in found["linalg_svd"] or torch.linalg.svd in found["svd"]
    assert all(len(set(each)) == len(each) for each in found.values())


NODES = []  # a Value does not keep its producer alive


def letter(name):
    return Value(name, NumberType(int, 3))


def computed(op, *args):
    node = Node(op, None, dict(zip(("input", "other"), args)))
    value = Value("9", NumberType(int, 3), node)
    node.outputs = (value,)
    NODES.append(node)
    return value


H, W = letter("H"), letter("W")


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (computed("add", H, 1), "H + 1"),
        (computed("mul", computed("add", H, 1), 2), "(H + 1)*2"),
        (computed("sub", H, computed("sub", W, 1)), "H - (W - 1)"),
        (computed("sub", computed("sub", H, W), 1), "H - W - 1"),
        (computed("mul", 4, computed("floor_divide", H, 2)), "4*(H//2)"),
        (computed("add", computed("mul", H, W), 1), "H*W + 1"),
        (computed("neg", computed("add", H, 1)), "-(H + 1)"),
        (computed("pow", computed("neg", H), 2), "(-H)**2"),
        (computed("remainder", H, -2), "H%-2"),
        (computed("pow", H, -2), "H**(-2)"),
        (computed("div", computed("mul", H, 3), W), "H*3/W"),
        (computed("max", H, 1), "max(H, 1)"),
    ],
)
def test_a_number_reads_as_in_code(number, text):
    assert show_number(number) == text


def test_an_audit_says_whether_a_witness_was_there():
    assert str(Audit()) == "unaccounted: 0"
    assert str(Audit(witnessed=False)) == "unaccounted: 0  (without witness)"
    assert str(Audit(fallback=2)) == "unaccounted: 0  (ATen-level nodes: 2)"


def test_a_kind_of_dict_keeps_what_it_makes_of_missing_keys():
    def model(x):
        kept = collections.defaultdict(list)
        kept["a"].append(x + 1)
        return kept

    made = flexir.capture(model, (X,))(X)
    assert made["another"] == [] and torch.equal(made["a"][0], X + 1)


def test_a_cast_inside_a_call_is_repeated_in_double():
    graph = flexir.capture(lambda x: x.sum(dtype=torch.float32), (X,))
    assert [made.dtype for (made,) in _repeated(graph, [X], {})] == [torch.float64] * 3


def test_what_runs_on_the_meta_device_holds_nothing():
    graph = flexir.capture(lambda x: x.t() + 1, (torch.ones(3, 2).t(),))
    (value,) = graph.input_values
    assert _meta(value, graph).device.type == "meta"
    assert _meta(value, graph).stride() == (1, 2)
    graph.layouts.clear()
    assert _meta(value, graph).device.type == "meta"


class Mine(nn.Module):
    def forward(self, x):
        return x


def test_a_module_that_is_called_is_what_its_class_is():
    assert _kind_of_function(nn.Linear(1, 1)) == TENSORS
    assert _kind_of_function(Mine()) == USERS
    assert _kind_of_function(torch.relu) == TENSORS and _kind_of_function(letter) == USERS


class Box:
    def __init__(self, **held):
        vars(self).update(held)


def test_inputs_are_copied_with_the_objects_in_them_that_hold_nothing_yet():
    inner = Box(layers=[], seen=0)
    box = Box(x=torch.ones(2), inner=inner)
    (copy,), _ = copies_of((box,), {})
    assert copy is not box and copy.x is not box.x and torch.equal(copy.x, box.x)
    assert copy.inner is not inner and copy.inner.layers is not inner.layers
    copy.inner.layers.append(1)
    assert inner.layers == []


def test_copies_of_inputs_lie_as_the_inputs_lie():
    rows = torch.arange(12.0).reshape(3, 4)
    every_other, both = rows[:, ::2], nn.Parameter(rows.clone())
    (a, b, c), _ = copies_of((every_other, both, both), {})
    assert a.stride() == (4, 2) and torch.equal(a, every_other)
    assert b is c and b is not both and b.requires_grad and torch.equal(b, both)
    (sparse,), _ = copies_of((torch.eye(3).to_sparse(),), {})
    assert sparse.is_sparse and torch.equal(sparse.to_dense(), torch.eye(3))


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("count", torch.zeros(1))

    def forward(self, x):
        self.count += 1
        x.mul_(2)
        return x + self.count


def test_a_model_is_run_with_what_it_writes_in_inputs_and_in_itself():
    model = Counting()
    graph = flexir.capture(model, (X.clone(),))
    result, written = run_model(graph, model, (X.clone(),), {})
    names = {mutation.name for mutation in graph.mutations} | {s.path for s in graph.state}
    assert set(written) == names and len(names) == 2
    assert torch.equal(written["x"], X * 2) and torch.equal(result, X * 2 + written["count"])


def test_coverage_runs_handlers_where_there_is_a_builder():
    ir = flexir.Target("t")

    @ir.op("relu")
    def relu(ctx, input):
        raise flexir.Unsupported("not today")

    graph = flexir.capture(torch.relu, (X,))
    assert coverage(graph, ir).complete, "no handler was run"
    ir = flexir.Target("t", out=list)
    ir.op("relu")(relu)
    assert not coverage(graph, ir).complete


def test_draws_stay_in_their_order_in_a_hybrid():
    def model(x):
        late = functional.dropout(x.sin().relu().sin(), 0.5)
        early = functional.dropout(x, 0.5)
        return late, early

    graph = flexir.capture(model, (torch.ones(64),))
    half = flexir.hybrid(flexir.convert(graph, (), target_of(["sin"])))
    y = torch.rand(64) + 1
    for a, b in zip(half(y), graph(y)):
        assert torch.equal(a, b)
    drawn = [(r.place, n.op) for r in half.report.regions for n in r.nodes if n.op == "dropout"]
    assert drawn == [("torch", "dropout")] * 2


class Raising(nn.Module):
    def forward(self, x):
        raise ValueError(x * 2)


class Within(nn.Module):
    def __init__(self):
        super().__init__()
        self.raising, self.after = Raising(), nn.ReLU()

    def forward(self, x):
        try:
            self.raising(x)
        except ValueError:
            pass
        return self.after(x + 1)


def test_a_module_that_raised_is_over():
    graph = flexir.capture(nn.Sequential(Within()), (X,))
    assert [(node.op, node.path) for node in graph] == [
        ("mul", "0.raising"), ("add", "0"), ("relu", "0.after")
    ]  # fmt: skip
    assert torch.equal(graph(X), (X + 1).relu())


def test_a_sparse_input_has_no_strides():
    graph = flexir.capture(lambda x: x.to_dense() + 1, (torch.eye(3).to_sparse(),))
    assert not graph.layouts
    assert torch.equal(graph(torch.eye(3).to_sparse()), torch.eye(3) + 1)


def test_modules_of_a_graph_of_given_sizes_return_what_their_bodies_make():
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    graph = flexir.capture(model, (torch.rand(2, 3),), also=[(torch.rand(4, 3),)])
    fixed = graph.at((torch.rand(5, 3),))
    (top,) = fixed.nodes
    assert [one.op for one in top.body] == ["Linear", "ReLU"]
    for module in (top, *top.body):
        assert module.outputs == module.body[-1].outputs
        assert module.outputs[0].type.shape[0] == 5


def test_a_pad_with_another_number_than_zero_stays():
    conv = nn.Conv1d(2, 2, 3)
    for value, left in ((0.0, 0), (1.0, 1), (None, 0)):
        model = lambda x, value=value: conv(functional.pad(x, (1, 1), value=value))
        with torch.no_grad():
            graph = flexir.capture(model, (torch.rand(1, 2, 5),))
            merged = flexir.passes.merge_pad(graph)
        assert [node.op for node in merged].count("pad") == left


def test_types_of_numbers_answer_as_tensors_without_dimensions():
    kind = NumberType(int, 3)
    assert isinstance(kind, TensorType) and kind.shape == () and kind.dtype == torch.int64
