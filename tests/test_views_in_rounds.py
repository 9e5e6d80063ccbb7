"""Parts of a tensor that rounds write, and read again: each is what it is in that round."""

import pytest
import torch

import flexir
from flexir.graph.lists import joined
from flexir.graph.sizes import rewritten
from flexir.recording.proof import equal
from tests.rows import bits_or_refused


def part_then_whole(x):
    """What rounds leave in a part is not what it was when the part was last read."""
    whole = x.clone()
    part = whole[-2:]
    for i in range(x.shape[0]):
        if whole[i].sum() > 0.1:
            part[0] += 1
        else:
            if i % 2 == 0:
                part[i:] *= 2
            else:
                whole[:i] -= 1
            part.copy_(part * 0.5)
        whole.narrow(0, 0, min(2, whole.shape[0])).neg_()
    return whole, part


def whole_then_part(x):
    """The part is read first, of what the round before made of the whole."""
    whole = x.clone()
    part = whole[:1]
    for i in range(x.shape[0]):
        if x[i].sum() > 0:
            part.mul_(2)
        whole.add_(1)
    return whole, part


@pytest.mark.parametrize("model", [part_then_whole, whole_then_part])
@pytest.mark.parametrize("seed", range(6))
def test_a_part_is_what_it_is_in_its_round(model, seed):
    draw = torch.Generator().manual_seed(seed)

    def input(most):
        rows, columns = (int(torch.randint(1, most + 1, (1,), generator=draw)) for _ in "xy")
        return torch.randn(rows, columns, generator=draw)

    shown = [input(4) for _ in range(4)]
    graph = flexir.capture(model, shown[0], also=shown[1:])
    for x in shown:
        assert equal(graph(x), model(x))
    bits_or_refused(graph, model, [input(6) for _ in range(14)])


def test_a_list_of_another_stays_one():
    """A list that is all there is of another one, whose length is not known, is left as it is."""

    def collected(x):
        rows = []
        for row in x:
            rows.append(row * 2)
        rows.append(x[0])
        return rows

    graph = flexir.capture(collected, torch.ones(2, 3), also=[torch.ones(3, 3), torch.ones(5, 3)])
    whole = next(node for node in graph.walk() if node.target is joined)
    whole.args = {"parts": whole.args["parts"][0]}
    x = torch.rand(4, 3)
    assert equal(rewritten(graph, {}, {})(x), collected(x)[:-1])
