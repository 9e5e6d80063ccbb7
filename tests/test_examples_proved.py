"""When an example fits a graph: it gives, bit for bit, what the model gave; what is said if not."""

from __future__ import annotations

import pytest
import torch

import flexir
from flexir.graph.inputs import Inputs
from flexir.graph.nodes import Dim, ListType, TensorType
from flexir.recording import again
from flexir.recording.examples import Merging, _begun, _loose, _loosened, _truth, examples_of
from flexir.recording.proof import Trial, equal, proved, takes, tried
from flexir.recording.recorder import record_run
from flexir.recording.runs import Recorded

CPU = torch.device("cpu")


def ones(*shape):
    return torch.ones(*shape)


class Answer:
    """A plain object, as models return them."""

    def __init__(self, inside):
        self.inside = inside


@pytest.mark.parametrize(
    "one, other",
    [
        (ones(2), ones(2)),
        (torch.tensor([1.0, float("nan")]), torch.tensor([1.0, float("nan")])),
        ([ones(2), {"a": ones(1)}], [ones(2), {"a": ones(1)}]),
        (ones(2).to_sparse(), ones(2).to_sparse()),
        (ones(2).to("meta"), ones(2).to("meta") * 3),
        ((1, "a", None), (1, "a", None)),
        (Answer(ones(2)), Answer(ones(2))),
        (ones(2).requires_grad_(), ones(2)),
    ],
)
def test_results_that_are_the_same(one, other):
    assert equal(one, other) is True


@pytest.mark.parametrize(
    "one, other",
    [
        (Answer(ones(2)), Answer(ones(2) * 2)),
        (ones(2), ones(2) * 2),
        (ones(2), ones(1, 2)),
        (ones(2), ones(2).double()),
        (torch.tensor([1.0, float("nan")]), torch.tensor([float("nan"), 1.0])),
        (torch.tensor([1.0, float("nan")]), torch.tensor([1.0, 2.0])),
        (torch.tensor([2.0, float("nan")]), torch.tensor([1.0, float("nan")])),
        ([ones(2)], [ones(2), ones(2)]),
        ([ones(2)], (ones(2),)),
        ({"a": ones(2)}, {"b": ones(2)}),
        ((1, ones(1)), (2, ones(1))),
        (ones(2).to_sparse(), ones(2).to_sparse() * 2),
        (ones(2).to("meta"), ones(3).to("meta")),
    ],
)
def test_results_that_are_not(one, other):
    assert equal(one, other) is False


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested")
def test_nested_tensors_are_compared_part_by_part():
    def nested(*parts):
        return torch.nested.nested_tensor(list(parts), layout=torch.strided)

    assert equal(nested(ones(1), ones(2)), nested(ones(1), ones(2)))
    assert not equal(nested(ones(1), ones(2)), nested(ones(1), ones(2) * 2))


def grown(x):
    x.add_(1)
    return x * 2


def loose(model, *args):
    return _loosened(record_run(model, args, {}, witness=True, numbers=True))


def trial(number, x, truth, after=None):
    return Trial(number, Inputs(x), Inputs(x.clone()), truth, after)


def test_an_example_is_told_by_what_is_returned_and_by_what_is_left_in_the_inputs():
    x = torch.arange(3.0)
    one = trial(0, x, (x + 1) * 2, Inputs(x + 1))
    assert one.is_told((x + 1) * 2, Inputs(x + 1)) is True
    assert one.is_told(x * 2, Inputs(x + 1)) is False
    assert one.is_told((x + 1) * 2, Inputs(x)) is False
    assert trial(0, x, x).is_told(x, Inputs(x + 5)) is True, "what is left is not known"


def test_an_example_that_fits_is_kept_and_one_that_does_not_says_why():
    graph = loose(grown, torch.zeros(2))
    x = torch.arange(3.0)
    fits = trial(1, x, (x + 1) * 2, Inputs(x + 1))
    other = trial(2, x, x)
    left = trial(3, x, (x + 1) * 2, Inputs(x))
    first = trial(0, torch.zeros(2), torch.full((2,), 2.0))
    table, unfit = proved(graph, [first, fits, other, left])
    assert [one.number for one in unfit] == [2, 3] and len(table.rows) == 2
    assert unfit[0].frozen.reason == "the graph gives something else than the model"
    assert not any(one.refused for one in unfit) and not table.problem
    assert torch.equal(fits.copy.args[0], x), "a replay writes copies"


def test_a_graph_that_is_wrong_on_its_own_example_says_so():
    table, _ = proved(loose(grown, torch.zeros(2)), [trial(4, torch.zeros(2), torch.zeros(2))])
    assert table.problem == "example 4: the graph does not give what the model gave"


def test_an_example_that_takes_another_path_is_refused_and_one_that_breaks_is_not():
    def turning(x, y):
        return x + y if x.shape[0] > 2 else y

    graph = loose(turning, torch.zeros(3), torch.zeros(3))
    table, _ = proved(graph, [Trial(0, *[Inputs(torch.zeros(3), torch.zeros(3))] * 2, ones(3) * 0)])
    short = Inputs(torch.zeros(1), torch.zeros(1))
    refused = tried(graph, table, Trial(1, short, short, torch.zeros(1)))
    assert refused.refused and refused.frozen.source.line and refused.number == 1
    odd = Inputs(torch.zeros(3), torch.zeros(4))
    broken = tried(graph, table, Trial(2, odd, odd, torch.zeros(1)))
    assert not broken.refused and broken.frozen.reason.startswith("RuntimeError: ")
    assert "\n" not in broken.frozen.reason and len(table.rows) == 1
    assert takes(graph, odd) is True, "it tried"
    assert takes(graph, short) is False
    assert takes(graph, Inputs(torch.zeros(5), torch.zeros(5))) is True


def test_sizes_are_loose_but_not_what_is_no_size():
    type = TensorType(torch.float32, (2, -1), CPU)
    made = _loose(type)
    assert made.shape[0].__class__ is Dim and made.shape[0] == 2
    assert made.shape[1].__class__ is int and made.dtype is torch.float32
    many = _loose(ListType(3, type._replace(shape=(4,))))
    assert many.shape[0].__class__ is Dim and many.element.shape[0].__class__ is Dim


def test_an_example_that_is_no_inputs_is_named():
    x = ones(2)
    assert [one.args for one in examples_of(Inputs(x), [(x, 1), x])] == [(x,), (x, 1), (x,)]
    with pytest.raises(flexir.errors.CaptureError, match=r"also\[1\]"):
        examples_of(Inputs(x), [x, 7])


def only_long(x):
    if x.shape[0] < 2:
        raise ValueError("too short")
    return x * 2


def test_what_the_model_raises_says_in_which_example():
    graph = record_run(only_long, (ones(3),), {}, witness=True)
    assert torch.equal(
        _truth(Recorded(graph, {}), only_long, 1, Inputs(ones(2)), None), ones(2) * 2
    )
    for examples in ([(ones(1),), (ones(2),)], [(ones(3),), (ones(1),)]):
        with pytest.raises(ValueError, match="too short") as caught:
            flexir.capture(only_long, examples[0], also=examples[1:])
        number = [len(one[0]) for one in examples].index(1)
        assert f"in example {number}" in caught.value.__notes__


def begun(model, *examples):
    return _begun(model, list(enumerate(map(inputs, examples))), {"witness": True})


def inputs(x):
    return x if isinstance(x, Inputs) else Inputs(x)


def test_a_call_is_shown_to_the_graph_of_another():
    merging = begun(only_long, ones(2), ones(3))
    assert merging.unfit == [] and [n for n, _ in merging.shown] == [1]
    x = torch.arange(4.0)
    assert merging.show(2, Inputs(x), Inputs(x), x * 2) is True
    assert merging.show(3, Inputs(x), Inputs(x), x * 3) is False
    assert [one.number for one in merging.unfit] == [3]
    assert merging.is_one_of_a_row is False


def test_a_call_that_leaves_something_is_one_of_a_row():
    class Kept(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.n = 0

        def forward(self, x):
            self.n = self.n + 1
            return x * 2

    assert begun(Kept(), ones(2)).is_one_of_a_row is False, "each example begins anew"
    run, x = Recorded(record_run(Kept(), (ones(2),), {}, witness=True), {}), Inputs(ones(2))
    assert Merging(run, 0, x, ones(2) * 2, after=x).is_one_of_a_row is True


def test_sizes_that_nobody_understands_are_not_taken_and_their_examples_say_so_in_order():
    """A graph of 2 and 4 would take 3, on which it is wrong: so it is the graph of 2 alone."""
    factors = {2: 2, 3: 5, 4: 2}

    def model(x):
        return x * factors[hash(x.shape[0])]

    graph = flexir.capture(model, ones(2), also=[ones(4), ones(3), ones(2)])
    for n in (2, 3, 4):
        assert torch.equal(graph(ones(n)), model(ones(n)))
    assert [one.example for one in graph.frozen][:2] == [1, 2]
    assert not graph.live
    with pytest.raises(flexir.Diverged):
        graph(ones(5))


def counting(x, y):
    (rows,) = map(float, x.shape)
    return x * 2 if rows > 7 else x + next(map(int, y.shape))


def test_numbers_that_became_plain_are_told_of_tensors_that_vary_and_only_of_those():
    def told(*sizes):
        first, *others = ((ones(m), ones(n, 1)) for m, n in sizes)
        lines = flexir.capture(counting, first, also=others).audit.laundered
        return [(one.partition(" at ")[0], one.rpartition(", ")[2]) for one in lines]

    assert told((2, 3), (2, 3)) == []
    assert told((2, 3), (4, 3)) == [("float()", "which was 2")]
    assert "int()" in dict(told((2, 3), (2, 5)))


def test_examples_that_fit_nothing_are_recorded_anew_once(monkeypatch):
    """What was recorded for the first graph serves for the variants, which begin alike."""
    runs = []
    record = again.record_run
    monkeypatch.setattr(again, "record_run", lambda *a, **k: runs.append(a) or record(*a, **k))

    def shapeless(x):
        y = x.relu()
        found = {2: [y], 3: y, 4: {"a": y}, 5: (y, y)}
        return found.get(x.shape[0])

    examples = [torch.ones(n) for n in (2, 3, 4, 5, 6)]
    graph = flexir.capture(shapeless, examples[0], also=examples[1:])
    assert len(graph.variants) == 4
    assert len(runs) <= 2 * len(examples)
