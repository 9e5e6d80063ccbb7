"""``tolist`` of as many numbers as a size says: one list, whose elements loops and calls read."""

from __future__ import annotations

import json

import pytest
import torch

import flexir
from flexir import Diverged


def packed(*lens):
    """Rows one behind the other, and how many belong together."""
    return torch.randn(sum(lens), 4), torch.tensor(lens)


def split(x, lens):
    return torch.stack([part.sum() for part in x.split(lens.tolist())])


def padded(x, lens):
    return torch.nn.utils.rnn.pad_sequence(
        [part * i for i, part in enumerate(x.split(lens.tolist()))]
    )


def extremes(x, lens):
    return x * max(lens.tolist()) + min(lens.tolist()) - sum(lens.tolist())


def bounds(x, lens):
    ends = torch.tensor([0] + lens.tolist()).cumsum(0)
    return torch.stack([x[a:b].mean(0) for a, b in zip(ends[:-1].tolist(), ends[1:].tolist())])


def by_number(x, lens):
    ends, made = torch.nn.functional.pad(lens.cumsum(0), (1, 0)).tolist(), torch.zeros_like(x)
    for k in range(len(ends) - 1):
        made[ends[k] : ends[k + 1]] = x[ends[k] : ends[k + 1]].softmax(0)
    return made


def counted(x, lens):
    start, made = 0, []
    for n in lens.tolist():
        made.append(x[start : start + n].sum(0))
        start += n
    return torch.stack(made)


def rows(x, lens):
    """As models of images of several sizes have it: time, height and width of each."""
    grid, made = torch.stack([lens, lens + 1, lens * 2], 1), []
    for t, h, w in grid.tolist():
        place = torch.arange(h).unsqueeze(1).expand(-1, w).flatten()
        made.append(place.repeat(t))
    return torch.cat(made)


def ends(x, lens):
    known = lens.tolist()
    return x * known[-1] + known[0]


def zipped(x, lens):
    return torch.stack([p.sum() * n for n, p in zip(lens.tolist(), x.split(lens.tolist()))])


def floats(x, lens):
    made = x.sum()
    for n in (lens * 0.5).tolist():
        made = made * n
    return made


MODELS = [split, padded, extremes, bounds, by_number, counted, rows, ends, zipped, floats]


@pytest.mark.parametrize("model", MODELS)
def test_as_many_as_no_example_had(model, tmp_path):
    shown = [packed(2, 3), packed(3, 1, 4), packed(1, 2, 5, 2)]
    graph = flexir.capture(model, shown[0], also=shown[1:])
    assert not graph.variants and not graph.frozen
    graph.save(tmp_path / "net.flexir")
    assert json.loads((tmp_path / "net.flexir/manifest.json").read_text())["minimum_reader"] == 7
    loaded = flexir.load(tmp_path / "net.flexir")
    assert str(loaded) == str(graph)
    for lens in ((4, 2), (1, 1, 1), (5, 2, 3, 1), (2, 6, 2, 1, 3)):
        fresh = packed(*lens)
        expected = model(*fresh)
        for one in (graph, loaded, graph.at(fresh)):
            assert torch.equal(one(*fresh), expected)
    assert flexir.verify(graph, model, fresh)
    assert any(value.is_list_of_numbers for node in graph.walk() for value in node.outputs)


def test_a_list_of_another_kind_is_refused():
    graph = flexir.capture(split, packed(2, 3), also=[packed(3, 1, 4)])
    with pytest.raises(Diverged):
        graph(torch.randn(5, 4), torch.tensor([2.0, 3.0]))


def test_a_test_of_an_element_is_a_condition_of_the_graph():
    def model(x, lens):
        made = x.sum()
        for n in lens.tolist():
            if n > 2:
                made = made * 2
            else:
                made = made + n
        return made

    graph = flexir.capture(model, packed(2, 3), also=[packed(3, 1, 4), packed(1, 1)])
    assert not graph.variants
    for lens in ((4, 2), (1, 1, 1), (5, 2, 3, 1), (2, 2, 6)):
        fresh = packed(*lens)
        assert torch.equal(graph(*fresh), model(*fresh))


def test_rows_of_several_widths_are_other_calls():
    def model(x, lens):
        made = x.sum()
        for row in x.tolist():
            made = made + row[0]
        return made

    graph = flexir.capture(model, packed(2, 3), also=[packed(3, 1, 4)])
    fresh = packed(4, 2)
    assert torch.equal(graph(*fresh), model(*fresh))
    with pytest.raises(Diverged):
        graph(torch.randn(4, 5), torch.tensor([4]))


def test_targets_decline_them_by_name():
    onnx = pytest.importorskip("flexir.targets.onnx")
    report = onnx.convert(rows, packed(2, 3), also=[packed(3, 1, 4)]).report
    assert "a list of numbers" in str(report) or "tolist" in str(report)
