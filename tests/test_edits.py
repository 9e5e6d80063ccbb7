"""What an edited graph keeps of the one it was made from."""

import torch
from torch import nn

import flexir
from flexir import passes


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)

    def forward(self, x, scale=2):
        y = self.norm(self.conv(x.contiguous()))
        y[:, 0].mul_(scale)
        return {"y": y.relu_(), "z": (y + 1) * (y + 1)}


def graph():
    return flexir.capture(Net(), (torch.rand(1, 2, 3, 3).transpose(2, 3),))


def test_a_pass_keeps_what_it_does_not_change():
    old = graph()
    new = passes.simplify(old)
    assert new is not old and len(new.history) == 1 and "merge" in new.history[0]
    assert new.modules == old.modules and new.audit is old.audit
    assert [(v.name, s) for v, s in new.layouts.items()] == [("x", (18, 9, 1, 3))]
    assert [m.name for m in new.mutations] == [m.name for m in old.mutations]
    assert [s.path for s in new.state] == [s.path for s in old.state]
    for value, tensor in new.constants.items():
        assert value.names == (value.name,) and new.origins[value].kind in ("parameter", "buffer")
        assert tensor is {v.name: t for v, t in old.constants.items()}[value.name]


def test_an_edited_graph_computes_and_writes_the_same():
    old = graph()
    new = passes.remove_noops(passes.merge_common(passes.simplify(old)))
    x = torch.rand(1, 2, 3, 3)
    before, after = {}, {}
    one = flexir.replay(old, (x,), final=before)
    two = flexir.replay(new, (x,), final=after)
    assert all(torch.equal(one[key], two[key]) for key in ("y", "z"))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_a_pass_leaves_its_graph_alone():
    old = graph()
    text = str(old)
    passes.fold_constants(passes.simplify(old))
    assert str(old) == text and old.check() is old and not old.history


def test_defaults_of_a_forward_are_arguments_of_its_node():
    class Inner(nn.Module):
        def forward(self, x, scale=2, shift=None):
            return x * scale

    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = Inner()

        def forward(self, x):
            return self.inner(x) + self.inner(x, 3)

    inner = [n for n in flexir.capture(Outer(), torch.ones(2)).walk() if n.op == "Inner"]
    assert [list(node.args.items())[1:] for node in inner] == [
        [("scale", 2), ("shift", None)], [("scale", 3), ("shift", None)],
    ]  # fmt: skip


def test_calls_without_dimensions_are_bound_and_replayed():
    def model(x):
        return x.permute(()), x.reshape(()), x.expand(()), torch.zeros(()) + x, x.new_zeros(()) + x

    graph = flexir.capture(model, (torch.tensor(3.0),))
    assert all(made.shape == () for made in graph(torch.tensor(2.0)))
    assert flexir.verify(graph, model, (torch.tensor(2.0),)).verdict == "exact"


def test_lists_and_tuples_of_numbers_and_tensors_are_told_apart():
    def model(x):
        a = x.view((2, 3)).sum([0, 1]) + x.view([3, 2]).sum((0,))[0]
        b = torch.cat((x, x)).view(2, -1) + torch.stack([x, x * 2])
        return a, b, torch.einsum("i,j->ij", [x, x]), torch.add(x, 1, alpha=2)

    graph = flexir.capture(model, (torch.rand(6),))
    assert flexir.verify(graph, model, (torch.rand(6),)).verdict == "exact"
