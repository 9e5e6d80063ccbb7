"""More small questions that larger things rely on: patterns, perturbed inputs, saving, folding."""

import torch
from torch import nn

import flexir
from flexir import passes
from flexir.calls.schemas import signatures
from flexir.passes.extract import extract
from flexir.passes.pattern import Pattern

X = torch.tensor([[0.5, -1.0, 2.0]])


def test_a_property_of_tensors_is_read_or_written():
    (read,) = signatures(torch.Tensor.data.__get__)
    (written,) = signatures(torch.Tensor.data.__set__)
    assert read.names == ("input",) and not read.writes
    assert written.names == ("input", "value") and set(written.writes) == {"input"}


def test_words_among_the_inputs_are_exchanged_to_see_whether_any_is_frozen():
    table = nn.Embedding(9, 2)
    words = torch.tensor([1, 4, 2, 7])
    graph = flexir.capture(table, (words,))
    assert flexir.verify(graph, table, (words,)).perturbed == "exact"

    def frozen(words):
        return words * words.tolist()[0]

    check = flexir.verify(flexir.capture(frozen, (words,)), frozen, (words,))
    assert check.verdict == "exact" and check.perturbed == "diverged"
    one = torch.tensor([3])  # nothing to exchange it with
    check = flexir.verify(flexir.capture(frozen, (one,)), frozen, (one,))
    assert check.verdict == "exact" and check.perturbed == "nothing in them to change"


def test_saving_a_conversion_tells_how_far_it_is(tmp_path):
    ir = flexir.Target("t", out=list)
    ir.op("linear")(lambda ctx, input, weight, bias: "made")
    told = []
    result = flexir.convert(nn.Linear(3, 2), (X,), ir)
    result.save(tmp_path / "saved", progress=lambda done, of: told.append((done, of)))
    assert told and told[-1][0] == told[-1][1] > 0
    assert set(flexir.load(tmp_path / "saved").status.values()) == {("handled", "")}


def test_calls_are_taken_out_with_any_kind_of_list_of_outputs():
    graph = flexir.capture(lambda x: (x + 1).relu().exp(), (X,))
    middle = graph.nodes[1]
    small, given = extract(graph, [middle], iter(middle.outputs), "middle")
    assert given == list(middle.inputs) and [node.op for node in small] == ["relu"]
    assert torch.equal(small(X)[0], X.relu())


def test_a_norm_before_a_linear_layer_is_folded_into_it():
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 4)).eval()
    with torch.no_grad():
        model[0].running_mean.copy_(torch.tensor([0.5, -0.5, 1.0]))
        model[0].running_var.copy_(torch.tensor([0.25, 4.0, 1.0]))
        model[0].weight.copy_(torch.tensor([2.0, 1.0, -1.0]))
        model[0].bias.copy_(torch.tensor([0.0, 1.0, 2.0]))
        graph = passes.fold_batch_norm(flexir.capture(model, (X,)))
        assert [node.op for node in graph] == ["linear"]
        torch.testing.assert_close(graph(X), model(X))


def test_places_of_a_pattern_share_no_call():
    pattern = Pattern(lambda x: x.relu().relu())
    chain = lambda count: flexir.capture(lambda x: [x := x.relu() for _ in range(count)][-1], (X,))
    for count, places in ((1, 0), (2, 1), (3, 1), (4, 2), (5, 2)):
        found = pattern.find(chain(count))
        taken = [node for match in found for node in match.nodes]
        assert len(found) == places and len(set(taken)) == 2 * places


class Scaled(nn.Module):
    def forward(self, x, *, scale=1.0):
        return x * scale


def test_every_call_that_is_recorded_is_given_what_it_is_given_by_name():
    model, made = Scaled(), []
    with flexir.record(model, names=("call",)) as program:
        for count in (1, 2, 3, 4, 5):  # recorded, shown, and only run
            x = X.repeat(count, 1)
            made.append((model(x, scale=3.0), x * 3))
    assert all(torch.equal(one, wanted) for one, wanted in made)
    x = X.repeat(7, 1)
    assert torch.equal(program["call"](x, scale=3.0), x * 3)


def test_numbers_that_are_small_beside_the_largest_say_nothing_of_a_factor():
    x = torch.tensor([1000.0, 500.0, 0.5, 0.25, 0.125])  # three of five are hardly above zero
    wrong = torch.tensor([2000.0, 1000.0, 1.5, 0.75, 0.375])
    graph = flexir.capture(lambda x: x + 0.0, (x,))
    (value,) = graph.nodes[-1].outputs
    found = flexir.compare(graph, {value.name: wrong, "x": x}, (x,))
    assert "it was multiplied by 2" in found.rows[0].causes
