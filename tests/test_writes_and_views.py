"""Every write becomes a value: replay equals eager whatever aliases what."""

import importlib

import numpy as np
import pytest
import torch
from torch import nn

import flexir
from flexir.graph.geometry import copy_like
from flexir.graph.sole import only_held_by

replaying = importlib.import_module("flexir.graph.replay")


def programs():
    """Functions of one [4, 6] float tensor that write through views of all kinds."""

    def whole(x):
        y = x * 1
        y.add_(1)
        return y

    def a_slice(x):
        y = x.clone()
        y[1:3] = 0
        y[:, ::2] += 5
        return y

    def a_view_of_a_view_sees_the_write(x):
        y = x.clone()
        a = y[1:]
        b = a.t()[2]
        y.mul_(3)
        return b + 1, a

    def a_write_through_a_view_reaches_the_base(x):
        y = x.clone()
        y.view(-1)[3:9].neg_()
        y.t()[0].zero_()
        return y

    def strided_pieces(x):
        y = x.clone()
        z = torch.as_strided(y, (3, 2), (7, 2), 1)
        z.fill_(9)
        return y, z.sum()

    def pieces_of_a_split(x):
        y = x.clone()
        a, b, c = y.split(2, dim=1)
        b.mul_(10)
        for part in y.chunk(2):
            part.sub_(1)
        rows = y.unbind(0)
        rows[2].fill_(7)
        return a, b, c, rows[0], y

    def an_out_argument(x):
        y = torch.zeros(4, 6)
        z = y[:2]
        torch.add(x, 1, out=y)
        return y, z

    def an_out_argument_is_resized(x):
        y = torch.empty(0)
        torch.mul(x, 2, out=y)
        return y

    def several_outs(x):
        values, indices = torch.empty(4), torch.empty(4, dtype=torch.int64)
        torch.max(x, 1, out=(values, indices))
        return values, indices

    def data_and_detach(x):
        y = x.clone()
        y.data.add_(1)
        y.detach()[0] = 3
        return y

    def a_swapped_data(x):
        y = x.clone()
        z = y[0]
        y.data = x[:2] * 2
        y.add_(1)
        return y, z

    def a_moved_storage(x):
        y = x.clone()
        y.set_(x * 4)
        y.add_(1)
        return y

    def a_resize(x):
        y = x.clone()
        y.resize_(3, 8)
        y.sub_(1)
        return y

    def metadata_in_place(x):
        y = x.clone()
        y.t_()
        y.unsqueeze_(0)
        y.squeeze_()
        y.transpose_(0, 1)
        y[0, 0] = 5
        return y

    def an_expanded_read(x):
        y = x.clone()
        e = y[:, :1].expand(4, 3)
        y[2] = 1
        return e * 2

    def an_alias_made_before_and_read_after(x):
        y = x.clone()
        v = y.view(2, 12)
        w = v[1]
        y.add_(1)
        v.mul_(2)
        y[0, 0] = -1
        return w, v, y

    def a_complex_part(x):
        z = torch.complex(x, x + 1)
        z.real.mul_(2)
        torch.view_as_real(z)[..., 1] = 0
        z.conj().imag.add_(1)
        return z, z.conj()

    def a_reinterpreted_dtype(x):
        y = x.clone()
        y.view(torch.int32)[0] = 0
        return y

    def a_mask(x):
        y = x.clone()
        y[y > 0] = 0
        y.masked_fill_(y < -1, 2.0)
        return y

    def index_tensors(x):
        y = x.clone()
        y[torch.tensor([0, 2]), torch.tensor([1, 3])] = 8
        y.index_add_(0, torch.tensor([1, 1]), torch.ones(2, 6))
        y.scatter_(1, torch.zeros(4, 1, dtype=torch.int64), 4.0)
        return y

    def a_self_referring_write(x):
        y = x.clone()
        y[1] = y[0]
        y += y
        y[2:] = y[:2] * 2
        return y

    def the_input_itself(x):
        x.add_(1)
        v = x[1]
        v.zero_()
        return x * 2

    def a_transposed_clone(x):
        y = x.t().contiguous()
        z = y.t()
        z[0] += 1
        return y, z

    def channels_last(x):
        y = x.reshape(1, 2, 3, 4).contiguous(memory_format=torch.channels_last)
        v = y.permute(0, 2, 3, 1)
        v[..., 0] = 1
        y[:, 1:].mul_(2)
        return y, v

    def several_writes_in_a_loop(x):
        out = torch.zeros(6, 6)
        for i in range(4):
            out[i] = x[i].cumsum(0)
            out[:, i] += 1
        return out

    def an_operator_in_place(x):
        y = x.clone()
        z = y
        y += 1
        y *= 2
        y[0] /= 4
        return z

    def foreach(x):
        parts = [x[0].clone(), x[1].clone()]
        torch._foreach_add_(parts, 1.0)
        torch._foreach_mul_(parts, [2.0, 3.0])
        return parts

    def a_swap_through_a_tuple(x):
        y = x.clone()
        y[0], y[1] = y[1].clone(), y[0].clone()
        return y

    def a_diagonal(x):
        y = x[:, :4].clone()
        y.diagonal().fill_(9)
        y.fill_diagonal_(1)
        return y

    def an_unfolded_window(x):
        y = x.clone()
        w = y.unfold(1, 2, 2)
        y[0] = 1
        w[1] = 4
        return y, w

    def a_dtype_kept_in_place(x):
        y = x.to(torch.float16)
        y.add_(x)
        i = torch.ones(4, 6, dtype=torch.int64)
        i.mul_(3)
        return y, i

    def resized_and_back(x):
        y = x + 1
        y.resize_(2, 3)
        z = y * 2
        y.resize_(4, 6)
        return z, y[0, :3]

    def transposed_in_place(x):
        y = x + 1
        y.t_()
        z = y + 0
        y.mul_(2)
        return z, y

    def data_of_another(x):
        y, z = x + 1, x * 2
        y.data = z
        y.add_(1)
        return y, z

    def data_of_a_viewed_one(x):
        y, z = x + 1, x * 2
        v = z.view(-1)
        y.data = z
        y.add_(1)
        return y, z, v

    def a_view_outlives_its_base(x):
        y = x + 1
        v = y.view(-1)
        del y
        v.mul_(2)
        w = v.view(6, 4)
        v.add_(1)
        return w, v

    def overlapping_slices_of_a_view(x):
        v = (x + 1).view(-1)
        a, b = v[:3], v[2:5]
        a.add_(1)
        return b, v

    def written_then_viewed(x):
        y = x + 1
        y.relu_()
        y.add_(y)
        z = y.view(-1)
        y.mul_(3)
        return z, y

    def written_after_a_call_that_did_nothing(x):
        y = x + 1
        z = y.contiguous()
        z.add_(1)
        return y, z

    def a_view_of_what_was_then_transposed(x):
        y = x + 1
        v = y[1:]
        y.t_()
        y.add_(1)
        return v, y

    def a_view_of_what_then_moved_away(x):
        y = x + 1
        v = y[1:]
        y.add_(1)
        y.data = x
        return v, y

    def a_row_of_what_is_expanded(x):
        y = x + 1
        wide = y.expand(2, 4, 6)
        wide[1:].add_(1)
        return y, wide

    def transposed_in_place_beside_a_view(x):
        y = x + 1
        v = y[1:]
        y.transpose_(0, 1)
        return v, y

    def a_view_unsqueezed_in_place(x):
        y = x + 1
        v = y[1:]
        v.unsqueeze_(0)
        y.add_(1)
        return v, y

    def transposed_then_written_through_a_view(x):
        y = x + 1
        v = y.t()
        y.transpose_(0, -1)
        v += 1
        return y, v

    def counters_of_a_tensor_that_moved(x):
        y = x + 1
        v = y.t()
        y.data = x
        v.clamp_(-1, 1)
        return x + 0, y, v

    return [f for name, f in list(locals().items()) if callable(f)]


@pytest.mark.parametrize("program", programs(), ids=lambda f: f.__name__)
@pytest.mark.parametrize("mode", ["grad", "no_grad", "inference", "no_audit"])
def test_replay_equals_eager(program, mode):
    x, fresh = torch.randn(4, 6), torch.randn(4, 6)
    context = torch.inference_mode() if mode == "inference" else torch.set_grad_enabled(
        mode == "grad"
    )  # fmt: skip
    with context:
        graph = flexir.capture(program, (x.clone(),), audit=mode != "no_audit")
        assert not graph.audit.problems
        for inputs in (x, fresh):
            check = flexir.verify(graph, program, (inputs,), perturb=False)
            if "a_mask" not in program.__name__:
                assert check.verdict == "exact", str(check)


def test_a_written_input_is_a_mutation():
    def write(x, y):
        x[0] = y
        return x.sum()

    graph = flexir.capture(write, (torch.zeros(3), torch.tensor(2.0)))
    (mutation,) = graph.mutations
    assert mutation.name == "x"
    final = {}
    flexir.replay(graph, (torch.zeros(3), torch.tensor(5.0)), final=final)
    assert final["x"].tolist() == [5.0, 0.0, 0.0]


def test_a_written_buffer_keeps_its_first_value_in_the_graph():
    class Counter(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("count", torch.zeros(()))

        def forward(self, x):
            self.count += 1
            return x * self.count

    model = Counter()
    graph = flexir.capture(model, torch.ones(2))
    assert model.count == 1
    (constant,) = graph.constants.values()
    assert constant == 0
    assert graph(torch.ones(2)).tolist() == [1, 1]
    assert flexir.verify(graph, model, torch.ones(2)).verdict == "exact"
    assert model.count == 1


def test_a_piece_of_a_larger_buffer_and_the_buffer_are_one_memory():
    class Pieces(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("whole", torch.arange(6.0))
            self.piece = self.whole[2:4]

        def forward(self, x):
            before = self.piece + x
            self.piece.mul_(10)
            return before, self.whole + x, self.piece

    model = Pieces()
    graph = flexir.capture(model, torch.ones(()))
    assert flexir.verify(graph, model, torch.ones(())).verdict == "exact"
    assert graph(torch.ones(()))[1].tolist() == [1, 2, 21, 31, 5, 6]


def test_overlapping_pieces_are_assembled_when_one_is_written():
    base = torch.arange(8.0)
    left, right = base[:5], base[3:]

    def write(x):
        first = left + x[0]
        left.add_(1)
        return first, right * 1, base * 1

    graph = flexir.capture(write, torch.ones(1))
    base.sub_(1)[5:] += 1  # put back what the capture wrote
    expected = write(torch.ones(1))
    for made, eager in zip(graph(torch.ones(1)), expected):
        assert torch.equal(made, eager)


def test_derived_values_do_not_leak_out_of_the_module_that_first_read_them():
    class Reader(torch.nn.Module):
        def forward(self, v):
            return v * 2

    class Outer(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.reader = Reader()

        def forward(self, x):
            y = x.clone()
            v = y[0]
            y.add_(1)
            return self.reader(v) + v

    ir = flexir.Target("t")

    @ir.module(Reader)
    def reader(ctx, module, v):
        return "read"

    model = Outer()
    result = flexir.convert(model, (torch.ones(2, 2),), ir)
    assert result.report.handled == {"Reader": 1}, result.report
    assert flexir.verify(result.graph, model, (torch.ones(2, 2),)).verdict == "exact"


@pytest.mark.parametrize("again", [1, 2])
def test_tensors_that_are_swapped_mean_what_they_hold(again):
    class Swap(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.full((4,), 2.0), requires_grad=False)
            self.h = torch.ones(4)

        def forward(self, x):
            for _ in range(again):
                torch.utils.swap_tensors(self.w, nn.Parameter(x * 3, requires_grad=False))
            y, z = x + 1, x * 5
            torch.utils.swap_tensors(y, z)
            torch.utils.swap_tensors(self.h, y)
            return self.w + x, y, z, self.h * 2

    x = torch.randn(4)
    model = Swap()
    graph = flexir.capture(model, (x,))
    other = torch.randn(4)
    for got, want in zip(graph(other), Swap()(other)):
        assert torch.equal(got, want)
    check = flexir.verify(graph, Swap(), calls=[x, other, x])
    assert check.verdict == "exact", str(check)
    assert {s.path for s in graph.state} >= {"h"}


def test_a_module_that_returns_its_argument_can_be_claimed():
    class Wrap(nn.Module):
        def __init__(self):
            super().__init__()
            self.same = nn.Identity()

        def forward(self, x):
            return torch.relu(self.same(x.contiguous()))

    ir = flexir.Target("one")
    ir.module(nn.Identity)(lambda ctx, module, input: f"Same({input})")
    ir.op("contiguous")(lambda ctx, input, memory_format: f"Whole({input})")
    ir.op("relu")(lambda ctx, input: f"Relu({input})")
    result = flexir.convert(Wrap(), (torch.ones(2),), ir)
    assert result.outputs == "Relu(Same(Whole(%x)))"


def test_a_changed_argument_that_a_module_returns_is_that_modules_result():
    class Keep(nn.Module):
        def forward(self, x):
            return x.contiguous()

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.keep = Keep()

        def forward(self, x):
            self.keep(x)
            return torch.relu(x)

    ir = flexir.Target("one")
    ir.module(Keep)(lambda ctx, module, x: f"Keep({x})")
    ir.op("relu")(lambda ctx, input: f"Relu({input})")
    assert flexir.convert(Net(), (torch.ones(2),), ir).outputs == "Relu(Keep(%x))"


def test_in_place_relu_of_inference_mode_is_a_write():
    def model(x):
        y = x * 1
        row = y[0]
        torch.nn.functional.relu(y, inplace=True)
        return y, row

    with torch.inference_mode():
        x = torch.tensor([[-1.0, 2.0], [3.0, -4.0]])
        graph = flexir.capture(model, (x,))
        assert [n.op for n in graph if n.effects.writes] == ["relu"]
        assert flexir.verify(graph, model, (x,)).verdict == "exact"


def test_a_write_nobody_recorded_shows_when_a_graph_is_verified():
    def model(x):
        y = x * 1
        y.mul_(2)
        return y + 1

    x = torch.ones(2)
    graph = flexir.capture(model, (x,))
    node = next(node for node in graph if node.effects.writes)
    # As if nobody had seen it: the call returns what it was given, and what follows reads that.
    before, after = node.args["input"], node.outputs[0]
    reader = list(graph)[-1]
    reader.args["input"] = before
    node.effects = type(node.effects)(switches=node.effects.switches)
    assert after in node.outputs
    assert flexir.verify(graph, model, (x,), perturb=False).verdict == "wrong"


@pytest.mark.parametrize("shape", [(2, 1, 3), (1, 1, 4), (2, 2, 1), (3, 1, 1)])
@pytest.mark.parametrize("dims", [(0, 1), (1, 2), (0, 2)])
def test_writes_through_a_transpose_with_equal_strides(shape, dims):
    def model(x):
        y = x.clone()
        y.transpose(*dims).mul_(torch.arange(1.0, 1 + x.numel()).reshape(y.transpose(*dims).shape))
        return y

    x = torch.randn(shape)
    graph = flexir.capture(model, (x,))
    assert torch.equal(graph(x), model(x))
    assert flexir.verify(graph, model, (torch.randn(shape),)).verdict == "exact"


def test_printed_graphs_say_what_was_written():
    text = str(flexir.capture(nn.BatchNorm1d(3), torch.rand(4, 3)))
    assert "# writes num_batches_tracked: %" in text and "# state running_mean: %" in text


def test_a_replay_holds_no_value_longer_than_it_is_read():
    def model(x):
        for _ in range(20):
            x = x * 2 + 1
        return x

    graph = flexir.capture(model, (torch.ones(2),))
    held, env = [], {}
    flexir.replay(graph, (torch.ones(2),), env=env, watch=lambda node, made: held.append(len(env)))
    assert max(held) <= 3


def test_a_replay_leaves_the_callers_autocast_aside():
    model = nn.Linear(4, 4).eval()
    x = torch.rand(2, 4)
    with torch.no_grad():
        graph = flexir.capture(model, (x,))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert graph(x).dtype == torch.float32
            assert torch.is_autocast_enabled("cpu")
        assert torch.equal(graph(x), model(x))


@pytest.mark.parametrize("cut", [slice(1, None), slice(0, 3), slice(2, 4)])
def test_parts_of_memory_that_numpy_reached_are_followed(cut):
    def model(x):
        y = x * 2
        part = torch.from_numpy(y.numpy()[cut])
        part.add_(1)
        y.mul_(3)
        other = torch.from_numpy(y.numpy())[cut]
        return y, part, other + 0

    x = torch.arange(5.0)
    graph = flexir.capture(model, (x,))
    for got, want in zip(graph(x), model(x)):
        assert torch.equal(got, want)


@pytest.mark.parametrize("first, second", [((2, 6), (4, 8)), ((1, 3), (5, 8)), ((0, 4), (2, 3))])
def test_attributes_that_share_memory_see_each_others_writes(first, second):
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            base = torch.arange(8.0)
            self.a, self.b = base[slice(*first)], base[slice(*second)]

        def forward(self, x):
            self.a.add_(x)
            y = self.b * 2
            self.b.mul_(3)
            return y, self.a + 1

    x = torch.tensor(0.5)
    graph = flexir.capture(Shared(), (x,))
    for got, want in zip(graph(torch.tensor(2.0)), Shared()(torch.tensor(2.0))):
        assert torch.equal(got, want)
    assert flexir.verify(graph, Shared(), calls=[x, x + 1, x]).verdict == "exact"


def test_an_exception_the_model_catches_closes_the_modules_it_left():
    class Fails(nn.Module):
        def forward(self, x):
            x = x * 3
            raise ValueError

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.deep, self.relu = nn.Sequential(nn.Sequential(Fails())), nn.ReLU()

        def forward(self, x):
            try:
                return self.deep(x)
            except ValueError:
                return self.relu(x) + 1

    graph = flexir.capture(Net(), (torch.ones(2),))
    assert torch.equal(graph(torch.full((2,), 2.0)), torch.full((2,), 3.0))
    assert [(n.op, n.path) for n in graph] == [
        ("mul", "deep.0.0"), ("relu", "relu"), ("add", ""),
    ]  # fmt: skip
    assert [n.path for n in graph.nodes[0].body if n.body is not None] == ["deep", "relu"]


class Increment(torch.autograd.Function):
    """Writes its input; torch counts that write again once ``forward`` has returned."""

    @staticmethod
    def forward(ctx, x, inner):
        inner(x)
        ctx.mark_dirty(x)
        return x

    @staticmethod
    def backward(ctx, g):
        return g, None


class AddOne(nn.Module):
    def forward(self, x):
        return x.add_(1)


@pytest.mark.parametrize("part", ["all", "slice"])
@pytest.mark.parametrize("inner", [lambda x: x.add_(1), AddOne()], ids=["call", "module"])
def test_a_write_that_autograd_counts_twice_was_seen(part, inner):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(3))

        def forward(self, x):
            y = x * self.weight
            z = y[1:]
            Increment.apply(y if part == "all" else z, inner)
            return y * z.sum() + z.mean()

    net = Net()
    graph = flexir.capture(net, torch.arange(3.0))
    assert not graph.audit.problems
    assert flexir.verify(graph, net, (torch.ones(3),)).verdict == "exact"


def test_a_write_after_the_one_that_autograd_counts_twice_is_not_excused():
    def behind(tensor):  # as another thread would
        with torch._C._DisableTorchDispatch(), torch._C.DisableTorchFunction():
            tensor.add_(1)

    def model(x):
        y = x * 1
        Increment.apply(y, lambda t: t.add_(1))
        y.mul_(2)
        behind(y)
        return y + 1

    graph = flexir.capture(model, torch.arange(3.0))
    assert "written by code no watcher sees" in graph.audit.problems[0]


def test_a_replay_writes_over_what_nobody_else_can_see(monkeypatch):
    def f(x):
        y = (x * 2).add_(1).mul_(3)
        x.view(-1)[:2].sub_(y.view(-1)[:2])
        return y

    copied = []
    monkeypatch.setattr(replaying, "copy_like", lambda t: copied.append(t) or copy_like(t))
    x = torch.rand(64)
    with torch.no_grad():
        graph = flexir.capture(f, (x.clone(),))
        given = x.clone()
        assert torch.equal(graph(given), f(x.clone()))
        assert torch.equal(given, x)
        own = len(copied)  # of what the caller gave
        flexir.replay(graph, (x.clone(),), watch=lambda node, made: None)
        assert len(copied) == 2 * own + 2  # who watches may keep what was there


@pytest.mark.parametrize("holder", ["nobody", "a name", "a view", "NumPy", "a gradient"])
def test_memory_is_written_over_only_if_it_is_alone(holder):
    tensor = torch.rand(4) if holder != "NumPy" else torch.from_numpy(np.zeros(4))
    one = {"x": tensor}
    kept = {"a name": tensor, "a view": tensor[1:]}.get(holder)
    del tensor
    with torch.set_grad_enabled(holder == "a gradient"):
        assert only_held_by("x", one, dict(one)) is (holder == "nobody")
    del kept


@pytest.mark.parametrize("rows", [(4, 6), (2, 5)])
def test_a_part_of_as_many_as_a_view_is_tried_with(rows):
    """What turns a view back is asked of the call, at sizes that a literal may have by chance."""

    def model(x):
        whole = x.clone()
        whole.as_strided((2,), (1,), 0).mul_(2)
        return whole

    graph = flexir.capture(model, *map(torch.rand, rows[:1]), also=[torch.rand(rows[1])])
    for many in (3, 4, 7):
        x = torch.rand(many)
        assert torch.equal(graph(x), model(x))
