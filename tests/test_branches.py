"""Branches by example: both paths in one graph, what nobody showed is refused, nothing is wrong."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import flexir
from flexir.graph.choice import every, is_choice
from flexir.recording.proof import equal


def branches_of(graph):
    return [node for node in every(graph.nodes) if is_choice(node)]


def right(graph, model, *inputs):
    return equal(graph(*(x.clone() for x in inputs)), model(*inputs))  # NaN equals NaN


def test_two_paths_shown_are_one_if():
    def model(x):
        y = x * 2 if x.sum() > 0 else x.exp() - 1
        return y + 1

    graph = flexir.capture(model, (torch.ones(3),), also=[(-torch.ones(3),)])
    assert len(branches_of(graph)) == 1 and not graph.variants and not graph.frozen
    assert [node.op for node in graph] == ["sum", "gt", "bool", "if", "add"]
    for x in (torch.rand(3), -torch.rand(3)):
        assert right(graph, model, x)


def test_a_branch_prints_both_blocks():
    def model(x):
        return x * 2 if x.sum() > 0 else x.exp()

    text = str(flexir.capture(model, (torch.ones(3),), also=[(-torch.ones(3),)]))
    assert "f32[3] = if(bool(%2), inputs=(%x,)):" in text
    assert "then (" in text and "else (" in text and "exp(" in text and "mul(" in text


def test_one_path_shown_has_no_branch_and_refuses_the_other():
    def model(x):
        return x * 2 if x.sum() > 0 else x.exp()

    graph = flexir.capture(model, (torch.ones(3),), also=[(torch.rand(5),)])
    assert not branches_of(graph)
    with pytest.raises(flexir.Diverged, match="the branch taken by"):
        graph(-torch.ones(3))


def test_branches_in_a_row_are_independent():
    def model(x):
        x = x + 1 if x[0] > 0 else x - 1
        x = x * 2 if x[1] > 0 else x * 3
        return x.tanh()

    graph = flexir.capture(model, (torch.tensor([1.0, 5.0]),), also=[(torch.tensor([-1.0, -5.0]),)])
    assert len(branches_of(graph)) == 2
    for a in (-9.0, 9.0):
        for b in (-9.0, 9.0):
            assert right(graph, model, torch.tensor([a, b]))


def test_a_branch_inside_a_branch():
    def model(x):
        if x[0] > 0:
            x = x.exp()
            if x[1] > 2:
                x = x + 3
            x = x * 2
        return x.relu()

    examples = [(torch.tensor(one),) for one in ([1.0, 0.0], [-1.0, 1.0], [1.0, 1.0])]
    graph = flexir.capture(model, examples[0], also=examples[1:])
    assert len(branches_of(graph)) == 2 and not graph.variants
    for _ in range(20):
        assert right(graph, model, torch.randn(2))


def test_an_early_exit_shown_at_several_depths_is_a_loop_and_right_at_every_depth():
    def model(x):
        while x.norm() > 1:
            x = x / 2
        return x + 1

    graph = flexir.capture(
        model, (torch.ones(3) * 0.1,), also=[(torch.ones(3) * k,) for k in (1, 2, 4)]
    )
    assert not graph.variants
    for k in (0.2, 0.9, 1.9, 3.9, 99):
        assert right(graph, model, torch.ones(3) * k)


def test_early_exit_out_of_a_sequence_of_blocks_is_right_as_deep_as_it_was_shown():
    torch.manual_seed(0)
    blocks = nn.ModuleList(nn.Linear(3, 3) for _ in range(4))

    def model(x):
        for block in blocks:  # other weights in each round: it stays unrolled
            x = block(x) + x
            if x.norm() > 2:
                break
        return x.tanh()

    examples = [torch.ones(3) * k for k in (0.1, 0.7, 9)]
    with torch.no_grad():
        graph = flexir.capture(model, (examples[0],), also=[(x,) for x in examples[1:]])
        assert not graph.variants
        for k in (0.05, 0.2, 0.75, 1.1, 5, 99):
            try:
                assert right(graph, model, torch.ones(3) * k)
            except flexir.Diverged as error:
                assert "the branch taken by" in str(error)


class Expert(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x):
        return self.linear(x).relu()


class Mixture(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate = nn.Linear(4, 3)
        self.experts = nn.ModuleList(Expert() for _ in range(3))

    def forward(self, x):
        chosen = self.gate(x).argmax(-1)
        made = torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            hit = (chosen == number).nonzero()[:, 0]
            if hit.numel() > 0:
                made.index_add_(0, hit, expert(x[hit]))
        return made


def test_experts_are_called_where_they_are_hit():
    torch.manual_seed(0)
    model = Mixture()
    inputs = [torch.randn(n, 4) for n in (1, 1, 1, 2, 2, 3, 5, 6)]
    with torch.no_grad():
        graph = flexir.capture(model, (inputs[0],), also=[(x,) for x in inputs[1:]])
        seen = 0
        for n in (1, 2, 3, 7, 9):
            x = torch.randn(n, 4)
            try:
                seen += right(graph, model, x)
            except flexir.Diverged:
                continue
    assert seen >= 3 and not graph.variants


class Optional(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = Expert(), Expert()

    def forward(self, x):
        x = self.first(x)
        if x.mean() > 0.2:
            return self.second(x)
        return x


def test_a_module_on_one_path_only():
    torch.manual_seed(0)
    model = nn.Sequential(Optional(), nn.Tanh())
    with torch.no_grad():
        shapes = ((2, 9.0), (5, 0.01), (6, 9.0), (3, 0.01))
        examples = [(torch.rand(n, 4) * scale,) for n, scale in shapes]
        graph = flexir.capture(model, examples[0], also=examples[1:])
        assert len(branches_of(graph)) == 1 and not graph.variants
        for scale in (0.001, 20.0):
            assert right(graph, model, torch.rand(7, 4) * scale)


def test_a_path_that_was_shown_at_one_size_takes_others():
    torch.manual_seed(0)
    model = Optional()
    with torch.no_grad():
        examples = [(torch.rand(2, 4) * 9,), (torch.rand(5, 4) * 0.01,)]
        graph = flexir.capture(model, examples[0], also=examples[1:])
        for scale in (9, 0.01):
            assert right(graph, model, torch.rand(3, 4) * scale)


def test_a_size_that_python_took_on_a_path_shown_at_one_is_refused_at_others():
    def model(x):
        return x + "ab cd".split()[0].count("a") * sum(range(x.shape[0])) if x.sum() > 0 else x

    graph = flexir.capture(model, torch.ones(2), also=[-torch.ones(5)])
    assert torch.equal(graph(torch.ones(2)), model(torch.ones(2)))
    try:
        made = graph(torch.ones(3))
    except flexir.Diverged:
        return
    assert torch.equal(made, model(torch.ones(3)))


def test_a_branch_on_a_size():
    def model(x):
        x = x.flatten(1)
        x = x * 2 if x.shape[0] > 2 else x.exp()
        return x.sum(1) / x.shape[0]

    graph = flexir.capture(
        model,
        (torch.ones(2, 3, 1),),
        also=[(torch.ones(1, 3, 1),), (torch.ones(5, 3, 1),), (torch.ones(4, 3, 1),)],
    )
    assert not graph.variants and len(branches_of(graph)) == 1
    for n in (1, 2, 3, 8):
        assert right(graph, model, torch.rand(n, 3, 1))


def test_a_hidden_counter_is_never_silently_wrong():
    def model(x):
        n = 0
        if x[0] > 0:
            n += 1
            x = x + 1
        if x[1] > 0:
            n += 1
            x = x * 2
        if n == 2:
            x = x.exp()
        return x.relu()

    examples = [(torch.tensor(one),) for one in ([5.0, -5.0], [-5.0, 5.0])]
    graph = flexir.capture(model, examples[0], also=examples[1:])
    for a in (-9.0, 9.0):
        for b in (-9.0, 9.0):
            x = torch.tensor([a, b])
            try:
                assert right(graph, model, x)
            except flexir.Diverged:
                assert a == b


def test_the_graph_of_one_path():
    def model(x):
        y = x * 2 if x.sum() > 0 else x.exp() - 1
        return y + x.shape[0]

    examples = [(sign * torch.ones(n),) for sign in (1, -1) for n in (3, 4)]
    graph = flexir.capture(model, examples[0], also=examples[1:])
    static = graph.at((-torch.ones(6),))
    assert not branches_of(static) and "exp" in str(static) and "mul" not in str(static)
    assert right(static, model, -torch.ones(6))
    with pytest.raises(flexir.Diverged, match="taken by bool"):
        static(torch.ones(6))


def test_a_target_without_branches_is_told_so():
    def model(x):
        return x * 2 if x.sum() > 0 else x.exp()

    graph = flexir.capture(model, (torch.ones(3),), also=[(-torch.ones(3),)])
    report = flexir.convert(graph, target=flexir.Target("none")).report
    assert "if" in {row.op for row in report.entries}


def test_a_model_with_branches_is_verified():
    def model(x):
        return x * 2 if x.sum() > 0 else x.exp()

    graph = flexir.capture(model, (torch.ones(3),), also=[(-torch.ones(3),)])
    assert flexir.verify(graph, model, (-torch.rand(3),)).verdict == "exact"


def _program(choices):
    """A program with branches, early exits and Python variables, from a list of numbers."""

    def step(x, c, count):
        if c == 0:
            return (x + 1 if x.sum() > 0 else x * 2), count
        if c == 1:
            if x[0] > 0.5:
                x, count = x.exp() - 1, count + 1
            return x, count
        if c == 2:
            return (x.clone().mul_(2) if x.shape[0] > 3 else x - x.mean()), count
        if c == 3:
            for _ in range(3):
                if x.abs().max() < 1:
                    break
                x = x / 2
            return x, count
        if c == 4:
            return x * (count + 1), count
        if c == 5:
            y = x.clone()
            if x[-1] < 0:
                y[0] = 7.0
            else:
                y[1:] += x[1:]
            return y, count
        return (x.relu() if count == 1 else x), count

    def model(x):
        count = 0
        for c in choices:
            x, count = step(x, c, count)
        return x

    return model


def test_runs_do_not_meet_in_other_rounds_of_a_loop():
    model = _program([3, 0, 3, 0])  # the same variables in the first and the third round
    generator = torch.Generator().manual_seed(0)
    examples = [(2 * torch.randn(3, generator=generator),) for _ in range(3)]
    graph = flexir.capture(model, examples[0], also=examples[1:])
    for _ in range(40):
        x = 2 * torch.randn(3, generator=generator)
        try:
            assert right(graph, model, x)
        except flexir.Diverged:
            continue


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=5), st.integers(0, 10**6), st.booleans())
def test_random_programs_with_branches_are_right_or_refused(choices, seed, sizes):
    model = _program(choices)
    generator = torch.Generator().manual_seed(seed)

    def fresh(n):
        return 2 * torch.randn(n if sizes else 3, generator=generator)

    examples = [(fresh(n),) for n in (2, 5, 4)]
    graph = flexir.capture(model, examples[0], also=examples[1:])
    for (x,) in examples:
        assert right(graph, model, x)
    for n in (2, 3, 4, 6, 3, 5):
        x = fresh(n)
        try:
            assert right(graph, model, x)
        except flexir.Diverged:
            continue


def test_at_one_size_the_ways_that_values_decide_can_stay():
    def model(x):
        y = x * 2 if x.sum() > 0 else x.exp()
        y = y if x.shape[1] > 2 else y.sin()
        return y + x.shape[0]

    def case(rows, columns, sign):
        return (torch.full((rows, columns), sign * 0.7),)

    sizes = [(2, 3), (3, 4), (4, 2), (2, 2)]
    shown = [case(*size, sign) for sign in (1, -1) for size in sizes]
    graph = flexir.capture(model, shown[0], also=shown[1:])
    assert not graph.variants
    fixed = graph.at(case(5, 4, 0), blocks=True)
    assert [node.op for node in fixed if node.op in ("if", "sin")] == ["if"]
    assert not fixed.live and not fixed.variants
    for sign in (3, -2):
        assert torch.equal(fixed(*case(5, 4, sign)), model(*case(5, 4, sign)))
    with pytest.raises(flexir.Diverged):
        fixed(*case(2, 3, 1))
    assert [node.op for node in graph.at(case(2, 3, 1))].count("if") == 0


def test_a_way_that_values_decide_is_measured_whatever_they_are():
    """A loop that would not end on zeros, a block that zeros do not take."""

    def model(x):
        while x.amax() < 1:
            x = x * 2
        return x[: x.shape[0] // 2] if x.sum() > 0 else x[x.shape[0] // 2 :] - 1

    def case(size, least):
        return (torch.linspace(least, 0.3, size),)

    shown = [case(4, 0.1), case(6, 0.2), case(4, -9.0), case(8, -4.0)]
    graph = flexir.capture(model, shown[0], also=shown[1:])
    assert not graph.variants
    fixed = graph.at((torch.zeros(10),), blocks=True)
    assert str(fixed.outputs.type) == "f32[5]"
    for args in (case(10, 0.0), case(10, -3.0)):
        assert torch.equal(fixed(*args), model(*args))
