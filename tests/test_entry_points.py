"""What entry points of a program are called, keep and tell one another."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import flexir
from flexir.recording.programs import _called, _names


def test_names_of_entry_points():
    assert _names(["", "enc", "enc", "", "enc"], ("a",)) == ["a", "enc", "enc-2", "call1", "enc-3"]
    assert _names(["", ""], ()) == ["call0", "call1"]
    assert _names(["enc", ""], ("enc",)) == ["enc", "enc-2"]


def test_what_an_entry_point_calls():
    x, net = torch.ones(2), nn.Linear(2, 2)
    assert _called(net, (net.extra_repr, (x,)))[0] == net.extra_repr
    assert _called(net, (x, x))[0] is net and _called(net, (x, x))[1][0].args == (x, x)
    function, examples = _called(net, [flexir.Inputs(x), flexir.Inputs(x, x)])
    assert function is net and [one.args for one in examples] == [(x,), (x, x)]
    assert _called(net, (net, [flexir.Inputs(x)]))[0] is net
    assert _called(net, [x])[1][0].args == (x,), "a list of tensors is one call's arguments"
    callable_first = (nn.Parameter(x), x)
    assert _called(net, callable_first)[1][0].args == callable_first


class Keeper(nn.Module):
    """Leaves two tensors, of which only one is ever read, and by another entry point."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((3,), 2.0))
        self.kept, self.unread = torch.zeros(3), torch.zeros(3)

    def forward(self, x):
        self.kept, self.unread = x * self.weight, x * 3
        return x + 1

    def read(self):
        return self.kept * 2


@pytest.mark.parametrize("many", [False, True])
def test_entry_points_keep_what_another_reads_and_nothing_else(many):
    x = torch.ones(3)
    entry = [flexir.Inputs(x), flexir.Inputs(x * 2)] if many else (x,)
    net = Keeper()
    with torch.no_grad():
        program = flexir.program(net, {"write": entry, "read": (net.read, ())})
        assert program["write"].state and {s.path for s in program["write"].state} == {"kept"}
        run = program.start()
        run.write(x * 5)
        assert torch.equal(run.read(), x * 20)


class Written(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("memory", torch.zeros(3))

    def forward(self, x):
        self.memory += x
        return self.memory * 2

    def peek(self):
        return self.memory + 1


def test_a_graph_that_only_reads_holds_what_its_own_run_began_with():
    net = Written()
    program = flexir.program(net, {"peek": (net.peek, ()), "step": (torch.ones(3),)})
    assert torch.equal(program["peek"](), torch.ones(3))
    [held] = program["peek"].constants.values()
    assert torch.equal(held, torch.zeros(3)) and torch.equal(net.memory, torch.ones(3))


def test_the_second_path_of_a_driver_is_of_the_same_model():
    class Turning(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(3, 3)
            self.other = nn.Linear(3, 3)

        def forward(self, x):
            return self.inner(x) if x.shape[0] < 4 else self.other(x).relu().sort(0).values

    net = Turning().eval()
    with torch.no_grad(), flexir.record(net, names=("step",), shown=3) as program:
        for n in (2, 5, 3, 6):
            net(torch.rand(n, 3))
    graph = program["step"]
    names = {v.name for one in (graph, *graph.variants) for v in one.constants}
    assert names == {"inner.weight", "inner.bias", "other.weight", "other.bias"}
    with torch.no_grad():
        for n in (2, 7):
            x = torch.rand(n, 3)
            assert torch.equal(graph(x), net(x))


def test_a_call_is_shown_when_it_is_one_of_the_first_or_something_else_varies():
    seen = []
    net = nn.Linear(3, 2)
    net.register_forward_hook(lambda *_: seen.append(1))
    with flexir.record(net, names=("step",), shown=1) as program:
        for n, m in ((2, 3), (2, 3), (2, 3), (4, 3), (5, 3)):
            net(torch.rand(n, m))
    [live] = program["step"].live
    assert live.values == (2, 2, 4)
