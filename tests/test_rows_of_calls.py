"""Calls in a row: which attributes they change, how those are put and read, what becomes of words,
keywords, attributes that come and go, and of a model whose call fails."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import flexir
from flexir.graph.account import NOTHING
from flexir.graph.inputs import Inputs
from flexir.recording.rows import _changed, _places, _Stateless


class Deep(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2))
        self.word, self.kept, self.list = "begin", None, []
        self.register_buffer("total", torch.zeros(2))
        self.register_buffer("still", torch.ones(2))

    def forward(self, x, *, scale=1.0):
        self.total += x.sum(0)
        self.word = "nothing" if self.word == "begin" else "begin"
        self.kept = x
        self.list.append(1)
        return self.inner(x * scale) * self.total + self.still * torch.rand(())


def test_the_attributes_that_calls_change_are_found_and_the_model_is_as_it_was():
    model = Deep()
    before = {name: part.clone() for name, part in model.state_dict().items()}
    calls = [Inputs(torch.rand(3, 2))] * 2
    state = torch.get_rng_state()
    places = _changed(model, calls)
    found = {path: (module is model, name) for path, (module, name) in places.items()}
    own = {name: (True, name) for name in ("kept", "list", "total", "word")}
    norm = {f"inner.0.{name}": (False, name)
            for name in ("num_batches_tracked", "running_mean", "running_var")}  # fmt: skip
    assert found == own | norm and list(found) == sorted(found)
    assert model.kept is None and model.list == [] and model.word == "begin"
    assert all(torch.equal(before[k], part) for k, part in model.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())


def test_a_buffer_that_calls_make_longer_is_put_back_whatever_torch_counts():
    class Longer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("seen", torch.ones(2))

        def forward(self, x):
            self.seen.data = torch.cat([self.seen, x])
            return self.seen.sum()

    model = Longer()
    seen = model.seen
    assert list(_changed(model, [Inputs(torch.rand(2))] * 2)) == ["seen"]
    assert model.seen is seen and torch.equal(seen, torch.ones(2))


def test_calls_in_a_row_leave_statistics_as_the_calls_would():
    """Torch does not count that ``batch_norm`` writes them."""
    calls = [torch.rand(4, 2) for _ in range(3)]
    model, other = (nn.Sequential(nn.BatchNorm1d(2)).train() for _ in range(2))
    graph = flexir.capture(model, calls=calls)
    assert not graph.audit.problems
    for x in calls:
        other(x)
    assert torch.equal(model[0].running_mean, other[0].running_mean)
    assert torch.equal(graph.carried["0.running_mean"], torch.zeros(2))


def test_a_place_is_an_attribute_of_the_innermost_module_that_a_path_names():
    model = Deep()
    norm = model.inner[0]
    found = _places(model, {"kept.0.a", "inner.0.running_mean", "list.3", "list.4", "elsewhere.x"})
    assert found == {
        "kept": (model, "kept"),
        "list": (model, "list"),
        "inner.0.running_mean": (norm, "running_mean"),
    }
    assert _places(model, {"inner.0.later"}) == {"inner.0.later": (norm, "later")}, "not there yet"


def test_what_stands_at_places_is_read_and_put_whatever_kind_it_is():
    model = Deep()
    names = ("kept", "total", "missing", "word")
    row = _Stateless(model, {name: (model, name) for name in names})
    first = row.held()
    assert first == {"kept": None, "total": model.total, "missing": NOTHING, "word": "begin"}
    total = torch.ones(2)
    row.put({"kept": 3, "total": total, "missing": 4, "word": "nothing"})
    assert (model.kept, model.missing, model.word) == (3, 4, "nothing"), "a word is a word"
    assert model._buffers["total"] is total and "total" not in vars(model)
    row.put(first)
    assert not hasattr(model, "missing") and model.kept is None and model.word == "begin"
    row.put({**first, "total": NOTHING})
    assert not hasattr(model, "total")


def test_a_call_leaves_in_what_it_is_given_what_the_next_begins_with():
    model = Deep()
    row = _Stateless(model, {"kept": (model, "kept"), "list": (model, "list")})
    x, held = torch.ones(2, 2), {"kept": None, "list": [5]}
    result = row(x, held=held, scale=2.0)
    assert result.shape == (2, 2) and held["list"] == [5, 1] and torch.equal(held["kept"], x)
    assert model.kept is None and model.list == []
    with pytest.raises(RuntimeError):
        row(torch.ones(2, 9), held={"kept": 7, "list": []})
    assert model.kept is None and model.list == [], "also if the model raises"
    assert list(row.__signature__.parameters) == ["x", "scale", "held"]


def test_keywords_of_a_model_stay_behind_what_is_held():
    class Any(nn.Module):
        def forward(self, x, **more):
            return x

    parameters = _Stateless(Any(), {}).__signature__.parameters
    assert [(n, p.kind.name) for n, p in parameters.items()] == [
        ("x", "POSITIONAL_OR_KEYWORD"), ("held", "KEYWORD_ONLY"), ("more", "VAR_KEYWORD"),
    ]  # fmt: skip

    class Taken(nn.Module):
        def forward(self, x, held):
            return x

    with pytest.raises(flexir.CaptureError, match="'held'; the model has that"):
        _Stateless(Taken(), {})


class Scaled(nn.Module):
    """Remembers by words, one of which is `nothing`."""

    def __init__(self) -> None:
        super().__init__()
        self.mode = "nothing"

    def forward(self, x, *, scale):
        before, self.mode = self.mode, "some" if self.mode == "nothing" else "nothing"
        return x * scale if before == "nothing" else x + scale


def test_calls_in_a_row_take_keywords_and_remember_words():
    calls = [Inputs(torch.ones(3), scale=float(n)) for n in (2, 3, 4, 5)]
    model, other = Scaled(), Scaled()
    graph = flexir.capture(model, calls=calls)
    assert not graph.audit.problems and graph.name == "Scaled"
    assert {one.name for one in graph.variants} <= {"Scaled"}
    assert model.mode == "nothing"
    run = graph.start()
    for n in (7.0, 2.0, 5.0):
        assert torch.equal(run(torch.ones(3), scale=n), other(torch.ones(3), scale=n))


class Toggling(nn.Module):
    """Keeps something for one call and then lets it go."""

    def forward(self, x):
        if hasattr(self, "kept"):
            out = x + self.kept
            del self.kept
            return out
        self.kept = x * 2
        return x


@pytest.mark.parametrize("many", [2, 3, 4])
def test_attributes_may_come_and_go(many):
    calls = [torch.full((2,), float(n)) for n in range(many)]
    model, other = Toggling(), Toggling()
    graph = flexir.capture(model, calls=calls)
    assert not graph.audit.problems and hasattr(model, "kept") is bool(many % 2)
    run = graph.start()
    for n in range(5):
        assert torch.equal(run(torch.ones(2) * n), other(torch.ones(2) * n))


def test_a_model_whose_call_fails_holds_what_it_held():
    class Failing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.n = 0

        def forward(self, x):
            self.n += 1
            if x.shape[0] > 3:
                raise ValueError("too long")
            return x * self.n

    model = Failing()
    with pytest.raises(ValueError, match="too long"):
        flexir.capture(model, calls=[torch.ones(2), torch.ones(4)])
    assert model.n == 0


def test_what_torch_returns_by_names_may_be_kept_from_call_to_call():
    class Best(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.best = torch.zeros(2, 3).max(0)

        def forward(self, x):
            before = self.best.values
            self.best = (x + before).max(0)
            return before + x.sum(0)

    graph = flexir.capture(Best(), torch.rand(2, 3), also=[torch.rand(4, 3)])
    assert {state.path for state in graph.state} == {"best.0"}
    run, model = graph.start(), Best()
    for n in (3, 2, 5):
        x = torch.rand(n, 3)
        assert torch.equal(run(x), model(x))
