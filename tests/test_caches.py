"""Caches and other objects among the inputs: their numbers live, what they hold put back."""

from __future__ import annotations

import dataclasses
import functools
import types
from typing import Any

import pytest
import torch
from torch import nn

import flexir


class Window:
    """A cache as libraries write them: tensors beside a count."""

    def __init__(self) -> None:
        self.seen = 0
        self.kept: torch.Tensor | None = None

    def update(self, x: torch.Tensor) -> torch.Tensor:
        self.seen += x.shape[1]
        self.kept = x if self.kept is None else torch.cat([self.kept, x], 1)
        return self.kept


class Attending(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.head = nn.Embedding(11, 6), nn.Linear(6, 11)

    def forward(self, ids: torch.Tensor, cache: Window) -> tuple[torch.Tensor, Window]:
        start = cache.seen
        x = self.embed(ids) + torch.arange(start, start + ids.shape[1])[None, :, None] / 10
        kept = cache.update(x)
        weights = torch.softmax(x @ kept.mT / cache.seen, -1)
        return self.head(weights @ kept), cache


def generate(model: Any, ids: torch.Tensor, count: int) -> torch.Tensor:
    """A driver that goes on with the cache it gets back."""
    cache, step = Window(), ids
    for _ in range(count):
        logits, cache = model(step, cache)
        step = logits[:, -1:].argmax(-1)
        ids = torch.cat([ids, step], 1)
    assert type(cache.seen) is int and cache.seen == ids.shape[1] - 1
    return ids


def test_a_number_in_a_cache_object_is_live_and_goes_on_from_call_to_call():
    net = Attending().eval()
    with torch.no_grad():
        with flexir.record(net) as program:
            generate(net, torch.tensor([[1, 2, 3]]), 4)
            generate(net, torch.tensor([[5, 2, 3, 1, 1]]), 2)
        assert list(program) == ["prefill", "decode"]
        assert [one.name for one in program["decode"].live if not one.name.isupper()] == [
            "cache.seen"
        ]
        ids = torch.tensor([[4, 4, 1, 9, 0, 2, 7]])
        wanted = generate(net, ids, 9)
        empty = Attending().to("meta")
        with program.answering(empty):
            assert torch.equal(generate(empty, ids, 9), wanted)


def test_numbers_among_the_inputs_are_live_wherever_they_stand():
    def model(x, scale, settings):
        return x * scale + settings.shift

    settings = [types.SimpleNamespace(shift=n) for n in (1, 2, 5)]
    x = torch.ones(2)
    graph = flexir.capture(model, (x, 3, settings[0]), also=[(x, 5, settings[1])])
    assert torch.equal(graph(x, 7, settings[2]), model(x, 7, settings[2]))
    assert all(type(one.shift) is int for one in settings)


@pytest.mark.parametrize(
    "recorded, other",
    [
        (types.SimpleNamespace(shift=1), types.SimpleNamespace(shift=2)),
        (torch.float64, torch.float16),
        (torch.tanh, torch.relu),
        (lambda x: x + 1, lambda x: x + 2),
        (dict, list),
    ],
)
def test_a_word_that_is_not_the_recorded_one_is_refused(recorded, other):
    def model(x, word):
        return x * 2

    graph = flexir.capture(model, (torch.ones(2), recorded))
    assert torch.equal(graph(torch.ones(2), recorded), torch.ones(2) * 2)
    with pytest.raises(flexir.Diverged, match="the input 'word"):
        graph(torch.ones(2), other)


def test_a_function_made_anew_is_the_recorded_one_if_it_holds_the_same():
    def model(x, act):
        return act(x)

    def act(by):
        return lambda x: x * by

    graph = flexir.capture(model, (torch.ones(2), act(3)))
    assert torch.equal(graph(torch.ones(2), act(3)), torch.full((2,), 3.0))
    with pytest.raises(flexir.Diverged, match="the input 'act' was"):
        graph(torch.ones(2), act(4))


def test_a_driver_that_is_recorded_sees_what_the_model_does_to_its_containers():
    class Counting(nn.Module):
        def forward(self, x, cache):
            cache["length"] = cache.get("length", 0) + x.shape[1]
            cache.setdefault("parts", []).append(x)
            return torch.cat(cache["parts"], 1) * cache["length"], cache

    net, cache = Counting(), {}
    with flexir.record(net):
        for n in (3, 4):
            net(torch.ones(2, n), cache)
    assert cache["length"] == 7 and type(cache["length"]) is int
    assert [part.shape[1] for part in cache["parts"]] == [3, 4]


def test_what_the_driver_gave_is_plain_again_when_the_model_raises():
    class Raising(nn.Module):
        def forward(self, x, cache):
            raise ZeroDivisionError

    cache = Window()
    with pytest.raises(ZeroDivisionError), flexir.record(net := Raising()):
        net(torch.ones(2), cache)
    assert type(cache.seen) is int


class Translating(nn.Module):
    """An encoder and a decoder; the driver calls the encoder itself."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.encoder = nn.Sequential(nn.Embedding(11, 6), nn.Linear(6, 6))
        self.decoder, self.drop = Attending(), nn.Dropout()

    def forward(self, ids, encoded, cache):
        logits, cache = self.decoder(ids, cache)
        return logits + encoded.mean(1, keepdim=True).sum(-1, keepdim=True), cache


def translate(model: Any, ids: torch.Tensor, count: int) -> torch.Tensor:
    encoded, cache = model.drop(model.encoder(ids)), Window()
    made = torch.tensor([[1]])
    for _ in range(count):
        logits, cache = model(made[:, -1:], encoded, cache)
        made = torch.cat([made, logits.argmax(-1)], 1)
    return made


def test_parts_of_a_model_that_a_driver_calls_are_entry_points_of_their_own():
    net = Translating().eval()
    with torch.no_grad():
        with flexir.record(net, names=("first", "next")) as program:
            translate(net, torch.tensor([[1, 2, 3]]), 4)
            translate(net, torch.tensor([[5, 2, 3, 1, 1]]), 4)
        assert list(program) == ["encoder", "first", "next"]
        assert program.modules == {"encoder": "encoder"}
        assert "encoder.1.weight" in program.weights and "decoder.head.weight" in program.weights
        ids = torch.tensor([[4, 4, 1, 9, 0, 2, 7]])
        wanted = translate(net, ids, 9)
        empty = Translating().eval().to("meta")
        with program.answering(empty):
            assert torch.equal(translate(empty, ids, 9), wanted)
        with (
            program.answering(empty),
            pytest.raises(
                flexir.Diverged, match="decoder.head is called, and no entry point is for it"
            ),
        ):
            empty.decoder.head(torch.rand(1, 6))
    assert all("forward" not in vars(module) for module in net.modules())


def test_a_call_in_which_something_else_varies_is_shown_however_late_it_comes():
    net = nn.Linear(3, 2)
    with flexir.record(net, names=("step",)) as program:
        for shape in ((2, 4, 3), (3, 4, 3), (5, 4, 3), (2, 4, 3), (2, 7, 3)):
            net(torch.rand(shape))
    assert [one.values for one in program["step"].live] == [(2, 3, 5, 2), (4, 4, 4, 7)]


class Filling(nn.Module):
    """Writes into the cache it is given, and does not return it: a static one, a list, a count."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 4)

    def forward(self, ids, cache):
        x = self.embed(ids)
        cache["fixed"].index_add_(1, torch.arange(ids.shape[1]), x)
        cache["steps"].append(x.sum())
        cache["count"] += ids.shape[1]
        return cache["fixed"].sum() + sum(cache["steps"]) + cache["count"]


def fill(model: Any, count: int) -> tuple[list[torch.Tensor], Any]:
    cache: Any = {"fixed": torch.zeros(1, 4, 4), "steps": [torch.ones(())], "count": 0}
    fixed, steps = cache["fixed"], cache["steps"]
    found = []
    for n in range(count):
        del steps[1:]
        found.append(model(torch.tensor([[n % 11, 1]]), cache))
        assert cache["fixed"] is fixed and cache["steps"] is steps and len(steps) == 2
    return found, cache


def test_what_a_model_leaves_in_its_inputs_is_there_when_a_program_answers():
    net = Filling()
    with torch.no_grad():
        with flexir.record(net, names=("step",)) as program:
            fill(net, 3)
        assert "# leaves in cache: {'fixed'" in program.text()
        wanted, cache = fill(net, 7)
        empty = Filling().to("meta")
        with program.answering(empty):
            found, made = fill(empty, 7)
    assert all(map(torch.equal, found, wanted)) and made["count"] == cache["count"] == 14
    assert torch.equal(made["fixed"], cache["fixed"])


def test_an_object_that_is_given_and_returned_is_the_same_object_in_an_answer():
    net = Attending().eval()
    with torch.no_grad():
        with flexir.record(net) as program:
            generate(net, torch.tensor([[1, 2, 3]]), 3)
        with program.answering(net):
            cache = Window()
            assert net(torch.tensor([[1, 2, 3]]), cache)[1] is cache
            kept = cache.kept
            assert cache.seen == 3 and kept.shape == (1, 3, 6)
            assert net(torch.tensor([[4]]), cache)[1] is cache and cache.seen == 4


def test_an_engine_that_cannot_tell_what_is_left_in_an_input_is_refused():
    net = Filling()
    with torch.no_grad():
        with flexir.record(net, names=("step",)) as program:
            fill(net, 3)
        with program.answering(net, run=lambda entry, *args: program[entry](*args)):
            with pytest.raises(flexir.Diverged, match="leaves a new tensor in 'cache.fixed'"):
                fill(net, 2)


def test_a_graph_leaves_what_its_caller_gave_as_it_is():
    net, cache = Filling(), {"fixed": torch.zeros(1, 4, 4), "steps": [torch.ones(())], "count": 0}
    ids = torch.tensor([[3, 1]])
    graph = flexir.capture(
        net, (ids, dict(cache, steps=[torch.ones(())], fixed=torch.zeros(1, 4, 4)))
    )
    graph(ids, cache)
    assert cache["count"] == 0 and len(cache["steps"]) == 1 and not cache["fixed"].any()


def test_a_cache_of_another_structure_is_refused_by_its_path():
    class Other(Window):
        pass

    net = Attending().eval()
    step, seen = torch.tensor([[1]]), torch.tensor([[1, 2, 3]])
    with torch.no_grad():
        with flexir.record(net) as program:
            generate(net, seen, 3)
        lacking, strange, more = Window(), Other(), Window()
        del lacking.seen
        more.length = 3
        with program.answering(net):
            for cache, why in (
                (lacking, "'cache' is built otherwise than when it was recorded: without 'seen'"),
                (strange, "'cache' was a Window when recorded, now it is a Other"),
                (more, "'cache' is built otherwise than when it was recorded: with 'length'"),
                ({"seen": 0}, "'cache' is built otherwise"),
                (None, "'cache' is built otherwise"),
            ):
                with pytest.raises(flexir.Diverged, match=why):
                    net(step, cache)
            with pytest.raises(flexir.Diverged, match="the input 'cache' is missing"):
                program["decode"](step)


class Scanning(nn.Module):
    """A recurrent model: steps through its input in Python, its state in an object passed on."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.cell, self.head = nn.Embedding(11, 6), Cell(), nn.Linear(6, 11)

    def forward(self, ids, cache):
        return self.head(self.cell(self.embed(ids), cache)), cache


class Cell(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(6, 6)

    def forward(self, x, cache):
        state = torch.zeros(x.shape[0], 6) if cache.kept is None else cache.kept
        made = []
        for i in range(x.shape[1]):
            state = torch.tanh(self.mix(state) + x[:, i])
            made.append(state)
        cache.kept, cache.seen = state, cache.seen + x.shape[1]
        return torch.stack(made, 1)


def test_a_recurrent_model_is_answered_at_lengths_nobody_showed():
    net = Scanning().eval()
    with torch.no_grad():
        with flexir.record(net) as program:
            generate(net, torch.tensor([[1, 2, 3]]), 4)
            generate(net, torch.tensor([[5, 2, 3, 1, 1]]), 2)
        assert not any(graph.frozen or graph.variants for graph in program.values())
        ids = torch.tensor([[4, 4, 1, 9, 0, 2, 7]])
        wanted = generate(net, ids, 9)
        empty = Scanning().to("meta")
        with program.answering(empty):
            assert torch.equal(generate(empty, ids, 9), wanted)


def test_a_saved_program_answers_parts_of_a_model_and_puts_back_what_it_leaves(tmp_path):
    pytest.importorskip("google.protobuf")
    net, filling = Translating().eval(), Filling()
    ids = torch.tensor([[4, 4, 1, 9, 0, 2, 7]])
    with torch.no_grad():
        with flexir.record(net, names=("first", "next")) as program:
            translate(net, torch.tensor([[1, 2, 3]]), 4)
            translate(net, torch.tensor([[5, 2, 3, 1, 1]]), 4)
        with flexir.record(filling, names=("step",)) as other:
            fill(filling, 3)
        flexir.save(program, tmp_path / "net.flexir")
        flexir.save(other, tmp_path / "filling.flexir")
        wanted, (filled, cache) = translate(net, ids, 9), fill(filling, 7)
        loaded = flexir.load(tmp_path / "net.flexir")
        assert loaded.modules == program.modules
        with loaded.answering(empty := Translating().eval().to("meta")):
            assert torch.equal(translate(empty, ids, 9), wanted)
        loaded = flexir.load(tmp_path / "filling.flexir")
        with loaded.answering(empty := Filling().to("meta")):
            found, made = fill(empty, 7)
    assert all(map(torch.equal, found, filled)) and torch.equal(made["fixed"], cache["fixed"])


class Sliding(nn.Module):
    """Keeps the last four of what it has seen, and asks how many there were."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.head = nn.Embedding(11, 6), nn.Linear(6, 11)

    def forward(self, ids, cache):
        x = self.embed(ids)
        kept = cache.update(x)
        full = cache.seen > 4
        if full:
            cache.kept = kept[:, -4:]
        weights = torch.softmax(x @ kept.mT, -1)
        return self.head(weights @ kept) * (2 if full else 1), cache


@pytest.mark.parametrize("crossing", [True, False])
def test_a_window_that_fills_is_a_branch_if_shown_and_refused_by_line_if_not(crossing):
    net = Sliding().eval()
    with torch.no_grad():
        with flexir.record(net) as program:
            generate(net, torch.tensor([[1, 2]]), 6 if crossing else 3)
            generate(net, torch.tensor([[5]]), 6 if crossing else 3)
        ids = torch.tensor([[4, 4]])
        wanted = generate(net, ids, 9)
        empty = Sliding().to("meta")
        with program.answering(empty):
            if crossing:
                assert torch.equal(generate(empty, ids, 9), wanted)
            else:
                with pytest.raises(flexir.Diverged, match=r"branch taken by gt\(\)(.|\n)*test_c"):
                    generate(empty, ids, 9)


@dataclasses.dataclass(slots=True)
class Slotted:
    kept: torch.Tensor
    seen: int = 0


def test_a_cache_may_keep_what_it_has_in_slots():
    class Net(nn.Module):
        def forward(self, x, cache):
            cache.kept = torch.cat([cache.kept, x])
            cache.seen += x.shape[0]
            return cache.kept.sum() * cache.seen, cache

    def drive(model, sizes):
        cache = Slotted(torch.zeros(1))
        return [model(torch.full((n,), 2.0), cache)[0] for n in sizes], cache

    model = Net()
    with flexir.record(model) as program:
        drive(model, (2, 3, 1))
    wanted, expected = drive(model, (4, 1, 2))
    with program.answering(model):
        made, cache = drive(model, (4, 1, 2))
    assert torch.equal(torch.stack(made), torch.stack(wanted))
    assert torch.equal(cache.kept, expected.kept) and cache.seen == expected.seen == 7


class Attends(nn.Module):
    """A layer over a cache that is a dictionary of lists."""

    def forward(self, x, cache):
        return x.sum() + sum(k.sum() for k in cache["keys"]), cache


@pytest.mark.parametrize("cache, message", [
    ({"keys": [torch.ones(1, 3)]}, r"the input 'cache.keys' has 1 parts; recorded: 2"),
    ({"keys": [torch.ones(1, 3), None]}, r"'cache.keys.1' was a tensor when recorded, now None"),
    ({"keys": [torch.ones(1, 3), torch.ones(3)]}, r"'cache.keys.1' is \(3,\) torch.float32"),
    ({"keys": [torch.ones(1, 3), torch.ones(1, 3).half()]}, r"'cache.keys.1' is .* torch.float16"),
    ({"values": [torch.ones(1, 3)] * 2}, r"the input 'cache' .*: with 'values', without 'keys'"),
    (None, r"the input 'cache' is built otherwise than when it was recorded: NoneType without"),
    (torch.ones(1, 3), r"the input 'cache' is built otherwise"),
])  # fmt: skip
def test_a_cache_of_another_structure_is_named_by_its_place(cache, message):
    net, x = Attends(), torch.ones(1, 3)
    program = flexir.program(net, {"step": (x, {"keys": [torch.ones(1, 3), torch.ones(1, 3)]})})
    with program.answering(net), pytest.raises(flexir.Diverged, match=message):
        net(x, cache)
    with pytest.raises(flexir.Diverged, match=message):
        program.start().step(x, cache)


def test_a_part_that_no_entry_point_is_for_is_named():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    with flexir.record(net) as program:
        net[0](torch.ones(1, 2))
    with program.answering(net), pytest.raises(flexir.Diverged, match="1 is called, and no entry"):
        net[1](torch.ones(1, 2))


class Recipe:
    def __init__(self, many):
        self.many = many


@functools.lru_cache(maxsize=256)
def recipe(word):
    return Recipe(len(word))


def test_a_memo_that_the_first_example_fills_is_emptied_for_the_next():
    def model(x):
        y = x * recipe("ab").many
        return y + 1 if x.sum() > 0 else y

    recipe.cache_clear()
    graph = flexir.capture(model, torch.ones(3), also=[-torch.ones(3)])
    assert not graph.variants and graph.audit.changes
    for x in (torch.ones(3), -torch.ones(3)):
        assert torch.equal(graph(x), model(x))
