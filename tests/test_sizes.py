"""Sizes by example: what varied is live, what never did is frozen, nothing is silently wrong."""

from __future__ import annotations

import functools
import math
import sys
import types
from math import sqrt

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import flexir


def heads(x, n=3):
    b, s, d = x.shape
    return x.view(b, s, n, d // n).transpose(1, 2).reshape(b, -1)[:, : s // 2]


def test_two_sizes_shown_make_a_third_right():
    graph = flexir.capture(heads, (torch.rand(2, 6, 9),), also=[(torch.rand(4, 10, 9),)])
    for shape in ((7, 4, 9), (1, 2, 9), (3, 31, 9)):
        x = torch.rand(shape)
        assert torch.equal(graph(x), heads(x))


def test_sizes_print_as_letters_and_expressions():
    graph = flexir.capture(heads, (torch.rand(2, 6, 9),), also=[(torch.rand(4, 10, 9),)])
    text = str(graph)
    assert "graph heads(%x: f32[B,S,9]):" in text
    assert "view(%x, size=(B, S, 3, 3))" in text
    assert "indices=(:, :S//2)" in text
    assert "size(%x" not in text and "floor_divide" not in text
    assert "floor_divide(S, other=2)" in graph.text(numbers=True)
    assert [str(one) for one in graph.live] == [
        "B = 2, 4   # x.shape[0]", "S = 6, 10   # x.shape[1]",
    ]  # fmt: skip


def test_sizes_are_called_what_the_user_calls_them():
    graph = flexir.capture(
        heads, (torch.rand(2, 6, 9),), also=[(torch.rand(4, 6, 9),)], dims={"x": {0: "batch"}}
    )
    assert "%x: f32[batch,6,9]" in str(graph)


def test_a_size_that_never_varied_is_refused_by_name():
    graph = flexir.capture(heads, (torch.rand(2, 6, 9),), also=[(torch.rand(4, 6, 9),)])
    with pytest.raises(flexir.Diverged, match=r"the input 'x' is \(2, 8, 9\).*\(B, 6, 9\)"):
        graph(torch.rand(2, 8, 9))


def test_one_example_prints_and_means_what_it_did():
    plain = flexir.capture(heads, (torch.rand(2, 6, 9),))
    same = flexir.capture(heads, (torch.rand(2, 6, 9),), also=[(torch.rand(2, 6, 9),)])
    assert not same.live and [n.op for n in plain] == [n.op for n in same]
    assert "size=(2, 6, 3, 3)" in str(same)


def test_a_branch_on_a_size_is_a_guard_and_both_paths_one_graph():
    def model(x):
        return x.flatten(1) * 2 if x.shape[0] > 2 else x.flatten(1).exp()

    graph = flexir.capture(model, (torch.ones(2, 3, 1),), also=[(torch.ones(1, 3, 1),)])
    with pytest.raises(flexir.Diverged, match="the branch taken by gt"):
        graph(torch.ones(3, 3, 1))
    both = flexir.capture(
        model, (torch.ones(2, 3, 1),), also=[(torch.ones(1, 3, 1),), (torch.ones(5, 3, 1),),
                                             (torch.ones(4, 3, 1),)]
    )  # fmt: skip
    assert not both.variants and not both.frozen
    for n in (1, 2, 3, 8):
        x = torch.rand(n, 3, 1)
        assert torch.equal(both(x), model(x))


@pytest.mark.parametrize(
    "number",
    [
        lambda n: int(n * 0.5),
        lambda n: int(n**0.5),
        lambda n: int(math.sqrt(n)),
        lambda n: sqrt(n).__ceil__(),
        lambda n: 2 ** math.ceil(math.log2(n)),
        lambda n: math.gcd(n, 12) + math.isqrt(n),
        lambda n: n.bit_length(),
        lambda n: int(np.ceil(n / 4)),
    ],
)
def test_what_python_computes_from_a_size_is_right_at_every_size(number):
    def model(x):
        return F.pad(x, (0, number(x.shape[0])))

    graph = flexir.capture(model, (torch.rand(3, 3),), also=[(torch.rand(26, 3),)])
    assert not graph.frozen
    for n in (1, 3, 9, 26, 50):
        x = torch.rand(n, 3)
        assert torch.equal(graph(x), model(x))


@pytest.mark.parametrize(
    "number",
    [
        lambda n: [1, 2, 3, 4][int(n // 16)],
        lambda n: int(math.log2(n)) if math.cos(n) < 2 else 0,
        lambda n: [0, 1, 2, 3, 4][int(np.floor(n / 16))],
    ],
)
def test_a_number_that_python_was_given_stays_as_it_was_in_all_examples(number):
    def model(x):
        return F.pad(x, (0, number(x.shape[0])))

    graph = flexir.capture(model, (torch.rand(17, 3),), also=[(torch.rand(24, 3),)])
    for n in (17, 20, 24):
        x = torch.rand(n, 3)
        assert torch.equal(graph(x), model(x))
    with pytest.raises(flexir.Diverged, match=r"test_sizes\.py"):
        graph(torch.rand(49, 3))


def test_a_laundered_number_is_never_silently_wrong():
    def model(x):
        return F.pad(x, (0, int(str(x.shape[0])[0])))

    graph = flexir.capture(model, (torch.rand(2, 3),), also=[(torch.rand(60, 3),)])
    assert graph.frozen
    for n in (2, 60):
        x = torch.rand(n, 3)
        assert torch.equal(graph(x), model(x))
    with pytest.raises(flexir.Diverged):
        graph(torch.rand(39, 3))


@functools.lru_cache
def _halves(shape):
    return [shape[0] // 2, -1]


def test_what_a_cache_remembers_of_a_size_is_computed_from_it():
    def model(x):
        return x.reshape(_halves(x.shape))

    xs = [torch.rand(n, 3) for n in (2, 4, 10)]
    truths = [model(x) for x in xs]  # now the cache knows all of these sizes
    graph = flexir.capture(model, (xs[0],), also=[(xs[1],)])
    assert not graph.frozen
    assert all(torch.equal(graph(x), truth) for x, truth in zip(xs, truths))
    assert type(_halves) is type(functools.lru_cache(len))  # and stands where it stood


def test_a_module_with_an_object_that_refuses_to_name_its_class(monkeypatch):
    class Refuses:  # as libraries of cffi do
        @property
        def __class__(self):
            raise AttributeError("Unknown C global variable '__class__'")

    module = types.ModuleType("refusing")
    module.lib = Refuses()
    monkeypatch.setitem(sys.modules, "refusing", module)
    graph = flexir.capture(torch.relu, (torch.rand(2),), also=[(torch.rand(3),)])
    assert not graph.frozen


def test_a_loop_over_two_lists_of_which_one_is_of_tensors():
    def model(x):
        return torch.stack([a.sum() * b for a, b in zip(list(x.unbind(0))[:2], (1, 2))])

    graph = flexir.capture(model, (torch.rand(2, 3),), also=[(torch.rand(2, 6),)])
    x = torch.rand(2, 9)
    assert torch.equal(graph(x), model(x))


def test_a_loop_over_a_size_is_right_at_every_size():
    def model(x):
        h = torch.zeros(x.shape[1])
        for t in range(x.shape[0]):
            h = torch.tanh(h + x[t])
        return h

    graph = flexir.capture(model, (torch.rand(2, 3),), also=[(torch.rand(4, 3),)])
    for n in (1, 2, 3, 4, 9):
        x = torch.rand(n, 3)
        assert torch.equal(graph(x), model(x))


def test_numbers_among_the_inputs_are_live():
    def model(x, n, scale=1.0):
        return x[:, :n] * scale

    x = torch.rand(3, 8)
    first, *others = (flexir.Inputs(x, n, scale=s) for n, s in ((2, 1.0), (5, 1.0), (4, 2.0)))
    graph = flexir.capture(model, first, also=others)
    assert torch.equal(graph(x, 7, scale=0.5), model(x, 7, 0.5))


def test_numbers_taken_out_of_tensors_are_live():
    def model(x, lengths):
        return x[:, : lengths.max().item()] * lengths.tolist()[0]

    x = torch.rand(2, 9)
    graph = flexir.capture(
        model,
        (x, torch.tensor([2, 4])),
        also=[(x, torch.tensor([3, 7])), (x, torch.tensor([1, 1]))],
    )
    lengths = torch.tensor([8, 5])
    assert torch.equal(graph(x, lengths), model(x, lengths))


def test_a_number_taken_out_of_a_tensor_that_never_varied_is_checked():
    def model(x, k):
        return x * k.item()

    graph = flexir.capture(
        model, (torch.rand(2, 3), torch.tensor(2)), also=[(torch.rand(4, 3), torch.tensor(2))]
    )
    with pytest.raises(flexir.Diverged, match=r"the value taken by item\(\) was 2"):
        graph(torch.rand(4, 3), torch.tensor(3))


def test_sizes_that_depend_on_the_data_are_sizes():
    def model(x):
        found = x[x > 0.5]
        return found.reshape(found.shape[0], 1) / found.numel()

    graph = flexir.capture(model, (torch.rand(9),), also=[(torch.rand(9),), (torch.ones(9),)])
    x = torch.rand(9)
    assert torch.equal(graph(x), model(x))


def test_the_graph_of_one_size_has_no_numbers():
    graph = flexir.capture(heads, (torch.rand(2, 6, 9),), also=[(torch.rand(4, 10, 9),)])
    x = torch.rand(5, 8, 9)
    static = graph.at((x,))
    assert not static.live and "size=(5, 8, 3, 3)" in str(static)
    assert torch.equal(static(x), heads(x))
    with pytest.raises(flexir.Diverged):
        static(torch.rand(2, 6, 9))


def test_a_convolution_net_takes_any_batch_and_image():
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    ).eval()
    graph = flexir.capture(net, (torch.rand(2, 3, 9, 9),), also=[(torch.rand(3, 3, 12, 15),)])
    assert "f32[B,3,H,W]" in str(graph)
    x = torch.rand(5, 3, 20, 11)
    assert torch.equal(graph(x), net(x))
    assert flexir.verify(graph, net, (x,)).verdict == "exact"


def test_examples_do_not_move_the_models_state():
    net = nn.BatchNorm1d(3)
    before = flexir.capture(net, (torch.rand(4, 3),)).constants
    net = nn.BatchNorm1d(3)
    graph = flexir.capture(net, (torch.rand(4, 3),), also=[(torch.rand(6, 3),)])
    assert int(net.num_batches_tracked) == 1 and before is not graph.constants
    run, x = graph.start(), torch.rand(5, 3)
    run(x)
    assert int(run.state["num_batches_tracked"]) == 1


def test_bad_examples_are_told_by_number():
    net = nn.Linear(3, 2)
    with pytest.raises(flexir.errors.CaptureError, match=r"also\[0\]: args must be a tuple"):
        flexir.capture(net, (torch.rand(1, 3),), also=[3])
    with pytest.raises(RuntimeError) as caught:
        flexir.capture(net, (torch.rand(1, 3),), also=[(torch.rand(1, 4),)])
    assert "in example 1" in " ".join([str(caught.value), *getattr(caught.value, "__notes__", [])])
    with pytest.raises(flexir.errors.CaptureError, match="show some by also="):
        flexir.capture(net, (torch.rand(1, 3),), dims={"x": {0: "batch"}})


def test_a_number_that_was_equal_by_chance_is_not_taken_for_fixed():
    def model(x):
        return F.pad(x, (0, -x.shape[0] % 4))

    graph = flexir.capture(model, (torch.rand(1, 3),), also=[(torch.rand(5, 3),)])
    for n in (2, 3, 4, 9):
        x = torch.rand(n, 3)
        try:
            assert torch.equal(graph(x), model(x))
        except flexir.Diverged:
            assert n != 9


def _program(choices):
    """A program with size arithmetic, from a list of numbers."""

    def model(x):
        for c in choices:
            b, n = x.shape
            kind = c % 7
            if kind == 0:
                x = x.reshape(n, b).t() + n
            elif kind == 1:
                x = torch.cat([x, x[:, : max(n // 2, 1)]], 1)
            elif kind == 2:
                x = x * (n / b) if n > b + c % 3 else x - b
            elif kind == 3:
                x = x.view(b, n, 1).expand(b, n, 2).reshape(b, 2 * n)
            elif kind == 4:
                x = x.clone()
                x[:, : n // 2] += torch.arange(n // 2)
            elif kind == 5:
                x = x[:, n // 3 :] if n > 3 else x.repeat(1, 2)
            else:
                x = F.pad(x, (0, -n % 4)) + torch.full((b, 1), float(c))
        return x

    return model


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 20), min_size=1, max_size=6), st.data())
def test_random_size_programs_are_right_or_refused(choices, data):
    model = _program(choices)
    sizes = st.tuples(st.integers(1, 6), st.integers(1, 9))
    shapes = data.draw(st.lists(sizes, min_size=2, max_size=4))
    examples = [(torch.rand(shape),) for shape in shapes]
    graph = flexir.capture(model, examples[0], also=examples[1:])
    for (x,) in examples:
        assert torch.equal(graph(x.clone()), model(x.clone()))
    x = torch.rand(data.draw(sizes))
    try:
        made = graph(x.clone())
    except flexir.Diverged:
        return
    assert torch.equal(made, model(x.clone()))


def test_a_saved_graph_is_live_too(tmp_path):
    graph = flexir.capture(heads, (torch.rand(2, 6, 9),), also=[(torch.rand(4, 10, 9),)])
    graph.save(tmp_path / "net.flexir")
    loaded = flexir.load(tmp_path / "net.flexir")
    assert loaded.text(numbers=True).split("#")[0] == graph.text(numbers=True).split("#")[0]
    assert loaded.live == graph.live
    x = torch.rand(3, 8, 9)
    assert torch.equal(loaded(x), heads(x))
    assert torch.equal(loaded.at((x,))(x), heads(x))
    with pytest.raises(flexir.Diverged, match="is \\(3, 8, 6\\)"):
        loaded(torch.rand(3, 8, 6))


def test_files_without_live_sizes_say_the_version_they_said(tmp_path):
    flexir.capture(heads, (torch.rand(2, 6, 9),)).save(tmp_path / "a")
    assert '"minimum_reader": 1' in (tmp_path / "a" / "manifest.json").read_text()
    graph = flexir.capture(heads, (torch.rand(2, 6, 9),), also=[(torch.rand(4, 10, 9),)])
    graph.save(tmp_path / "b")
    assert '"minimum_reader": 3' in (tmp_path / "b" / "manifest.json").read_text()


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.pool = nn.AdaptiveAvgPool2d(2)

    def forward(self, x):
        y = F.gelu(self.norm(self.conv(F.pad(x, (1, 1, 1, 1)))))
        y = y[:, :, : x.shape[2] // 2 + 3]
        return self.pool(y).flatten(1) * (y.shape[2] / y.numel())


def test_passes_keep_live_graphs_right():
    net = Small().eval()
    with torch.no_grad():
        graph = flexir.capture(net, (torch.rand(2, 3, 6, 8),), also=[(torch.rand(3, 3, 10, 12),)])
        x = torch.rand(5, 3, 12, 6)
        for change in (
            flexir.passes.simplify, flexir.passes.fold_batch_norm, flexir.passes.merge_pad,
            flexir.passes.adaptive_to_pool, flexir.passes.remove_dead,
        ):  # fmt: skip
            graph = change(graph)
            assert graph.live
            torch.testing.assert_close(graph(x), net(x))
        torch.testing.assert_close(flexir.passes.adaptive_to_pool(graph.at(x))(x), net(x))


def test_verify_compares_live_graphs_at_any_size():
    net = Small().eval()
    graph = flexir.capture(net, (torch.rand(2, 3, 6, 8),), also=[(torch.rand(3, 3, 10, 12),)])
    assert flexir.verify(graph, net, (torch.rand(1, 3, 14, 9),), values=True).verdict == "exact"
    other = Small().eval()
    assert flexir.verify(graph, other, (torch.rand(1, 3, 14, 9),)).verdict == "wrong"


def test_a_target_that_wants_numbers_is_given_one_size():
    net = Small().eval()
    graph = flexir.capture(net, (torch.rand(2, 3, 6, 8),), also=[(torch.rand(3, 3, 10, 12),)])
    result = flexir.convert(graph, flexir.describe, at=torch.rand(1, 3, 8, 8))
    assert result.report.complete
    assert "size" in {row.op for row in flexir.convert(graph, flexir.describe).report.entries}


def test_handlers_are_given_what_handlers_made_of_numbers():
    ir = flexir.Target("numbers")
    seen = []

    @ir.op("size")
    def size(ctx, input, dim):
        return f"size({dim})"

    @ir.op("floor_divide")
    def floor_divide(ctx, input, other):
        return f"{input}//{other}"

    @ir.op("view")
    def view(ctx, input, size):
        seen.append(size)
        return "viewed"

    def model(x):
        return x.view(x.shape[0], 2, x.shape[1] // 2)

    graph = flexir.capture(model, (torch.rand(2, 6),), also=[(torch.rand(3, 8),)])
    assert flexir.convert(graph, ir).report.complete
    assert seen == [("size(0)", 2, "size(1)//2")]


def test_the_command_shows_further_examples(tmp_path, capsys):
    from flexir.cli import main

    (tmp_path / "nets.py").write_text("import torch\nnet = torch.nn.Linear(3, 2)\n")
    assert main(["show", f"{tmp_path}/nets.py:net", "2x3", "--also", "4x3"]) == 0
    assert "f32[B,3]" in capsys.readouterr().out


def test_a_size_that_became_a_plain_number_is_named_by_line():
    def model(x):
        return x * 2 if next(map(int, x.shape)) > 3 else x + 1

    graph = flexir.capture(model, (torch.rand(2),), also=[(torch.rand(3),)])
    assert [line.partition(" at ")[0] for line in graph.audit.laundered] == ["int()"]
    assert "test_sizes.py" in str(graph.audit)
    fixed = flexir.capture(model, (torch.rand(2),), also=[(torch.rand(2),)])
    assert not fixed.audit.laundered


def test_layers_with_a_fast_path_are_merged_on_the_path_a_watched_run_takes():
    layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True).eval()
    with torch.no_grad():
        graph = flexir.capture(layer, (torch.rand(2, 5, 16),), also=[(torch.rand(3, 7, 16),)])
        assert not graph.variants and not graph.frozen
        x = torch.rand(4, 9, 16)
        torch.testing.assert_close(graph(x), layer(x))


def test_a_size_that_the_model_keeps_leads_nowhere():
    class Keeps(nn.Module):
        def forward(self, x):
            self.width = x.shape[0]
            return x * self.width

    net = Keeps()
    graph = flexir.capture(net, (torch.rand(2),), also=[(torch.rand(3),)])
    x = torch.rand(5)
    assert torch.equal(graph(x), x * 5)


def test_what_modules_hold_is_looked_at_without_asking_it(monkeypatch):
    import sys
    import types

    class Closed:
        def __getattribute__(self, name):
            raise AttributeError(name)

    odd = types.ModuleType("odd")
    odd.part = Closed()
    monkeypatch.setitem(sys.modules, "odd", odd)
    graph = flexir.capture(lambda x: x + x.shape[0], torch.ones(2), also=[(torch.ones(3),)])
    assert torch.equal(graph(torch.ones(5)), torch.full((5,), 6.0))


def test_a_write_through_a_view_of_another_shape_is_right_at_every_size():
    def model(x):
        y = x.clone()
        rows = y.view(y.shape[0], -1, 2)
        rows[:, :, 1].add_(rows[:, :, 0])
        y.flatten().mul_(2)
        return y

    graph = flexir.capture(model, (torch.rand(2, 6),), also=[(torch.rand(3, 8),)])
    assert not graph.frozen
    x = torch.rand(5, 4)
    assert torch.equal(graph(x), model(x))


def test_what_torch_refuses_at_sizes_nobody_showed_is_diverged():
    def model(x):
        return x.view(x.shape[0], 2, -1).sum(1)

    graph = flexir.capture(model, (torch.rand(3, 4),), also=[(torch.rand(2, 6),)])
    with pytest.raises(flexir.Diverged, match=r"a call fails(.|\n)*test_sizes\.py"):
        graph(torch.rand(3, 5))


def test_sizes_of_a_view_of_a_weight_vary_with_what_made_it():
    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.token = nn.Parameter(torch.rand(1, 2, 3))

        def forward(self, x):
            tokens = self.token.expand(x.shape[0], -1, -1)
            return torch.cat([x, tokens.reshape(tokens.shape[0], -1, 3)], 1)

    net = Tokens()
    graph = flexir.capture(net, (torch.rand(2, 4, 3),), also=[(torch.rand(3, 4, 3),)])
    x = torch.rand(5, 4, 3)
    assert not graph.frozen and torch.equal(graph(x), net(x))


class Slotted:
    __slots__ = ("n", "x")

    def __init__(self, x, n):
        self.x, self.n = x, n


def test_a_number_in_a_slot_is_live_like_one_in_an_attribute():
    def model(given):
        return given.x * given.n + given.x.shape[0]

    graph = flexir.capture(model, (Slotted(torch.rand(2), 3),), also=[(Slotted(torch.rand(4), 5),)])
    given = Slotted(torch.rand(6), 9)
    assert not graph.frozen and torch.equal(graph(given), model(given))
    assert type(given.n) is int


class Originals:
    def __init__(self, rows):
        self.rows = [(rows,)]


def of_what_is_gone(x):
    kept = Originals(x.shape[0])
    x = torch.relu(x) * 2
    x = x + 1 if x.sum() > 3 else x - 1
    x = x.reshape(-1)
    for (n,) in kept.rows:
        x = x.reshape(n, -1)
    return x


def test_a_size_is_what_it_was_though_no_variable_holds_its_tensor():
    graph = flexir.capture(of_what_is_gone, torch.ones(2, 3), also=[torch.zeros(4, 3)])
    assert not graph.variants and str(graph).count("if(") == 1
    assert "reshape(%" in str(graph) and "(B, -1)" in str(graph)  # no choice between B and B
    for x in (torch.ones(5, 3), torch.zeros(1, 3)):
        assert torch.equal(graph(x), of_what_is_gone(x))


def windowed(x, shift):
    window, shift = [4, 4], list(shift)
    for k in range(2):
        if x.shape[k] <= window[k]:
            window[k] = x.shape[k]
            shift[k] = 0
    pads = [-x.shape[k] % window[k] for k in range(2)]
    y = F.pad(x, (0, pads[1], 0, pads[0]))
    y = y.roll((-shift[0], -shift[1]), (0, 1)) if sum(shift) > 0 else y
    y = y.reshape(y.shape[0] // window[0], window[0], y.shape[1] // window[1], window[1])
    y = y.softmax(-1) + TABLE_OF_WINDOWS[: window[0] * window[1]].mean()
    y = y.reshape(y.shape[0] * window[0], y.shape[2] * window[1])
    return y[: x.shape[0], : x.shape[1]]


TABLE_OF_WINDOWS = torch.arange(16.0) / 16


def shifted(x):
    for k in range(4):
        x = torch.relu(windowed(x, (0, 0) if k % 2 else (2, 2))) - 0.1
    return x


def test_a_size_of_a_way_that_one_example_took_alone_varies():
    torch.manual_seed(0)
    shown = [torch.randn(4, 4), torch.randn(6, 8), torch.randn(10, 2)]
    graph = flexir.capture(shifted, shown[0], also=shown[1:])
    assert not graph.variants
    for sizes in [(8, 3), (7, 1), (9, 11)]:  # on ways that are shown, of other sizes
        x = torch.randn(*sizes)
        assert torch.equal(graph(x), shifted(x)), sizes
    for sizes in [(3, 9), (3, 3)]:  # no example was low and wide, nor anything but 4 high then
        with pytest.raises(flexir.Diverged):
            graph(torch.randn(*sizes))
