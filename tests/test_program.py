"""Programs: several entry points, one set of weights, one state."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import flexir


class Streamer(nn.Module):
    """Remembers what it was shown; two ways to call it."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(4, 4)
        self.register_buffer("memory", torch.zeros(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.memory.mul_(0.5).add_(self.body(x).sum(0))
        return torch.tanh(self.memory + x)

    def peek(self) -> torch.Tensor:
        return self.body(self.memory)

    def reset(self, to: torch.Tensor) -> torch.Tensor:
        self.memory = to * 2
        return to


@pytest.fixture
def net() -> Streamer:
    torch.manual_seed(0)
    return Streamer().eval()


def recorded(net: Streamer) -> flexir.Program:
    with torch.no_grad():
        return flexir.program(
            net,
            {
                "step": (torch.rand(2, 4),),
                "peek": (net.peek, ()),
                "reset": (net.reset, (torch.rand(4),)),
            },
        )


def test_entry_points_share_state_in_the_order_they_are_called(net):
    program = recorded(net)
    torch.manual_seed(1)
    model = Streamer().eval()
    model.load_state_dict(program.weights, strict=True)
    run = program.start()
    torch.manual_seed(2)
    with torch.no_grad():
        for entry in ("peek", "step", "step", "peek", "reset", "peek", "step", "peek"):
            args = {"step": (torch.rand(2, 4),), "peek": (), "reset": (torch.rand(4),)}[entry]
            call = model if entry == "step" else getattr(model, entry)
            assert torch.equal(run[entry](*args), call(*args)), entry
    assert torch.equal(run.state["memory"], model.memory)


def test_a_graph_of_a_program_begins_where_its_own_run_began(net):
    before = net.memory.clone()
    with torch.no_grad():
        program = flexir.program(net, {"peek": (net.peek, ()), "step": (torch.rand(2, 4),)})
        assert torch.equal(program["peek"](), net.body(before))


def test_a_weight_is_one_tensor_however_many_entry_points_read_it(net):
    program = recorded(net)
    assert sorted(program.weights) == ["body.bias", "body.weight", "memory"]
    step, peek = program["step"], program["peek"]
    weights = [{v.name: t for v, t in g.constants.items()}["body.weight"] for g in (step, peek)]
    assert weights[0] is weights[1]


def test_every_entry_point_is_converted_with_what_is_chosen_for_the_program(net):
    ir, seen = flexir.Target("mine", config={"opset": 18}), []

    @ir.op("linear")
    def linear(ctx, input, weight, bias):
        seen.append(ctx.config["opset"])
        return "made"

    program = recorded(net)
    flexir.convert(program, ir)
    flexir.convert(program, ir, config={"opset": 21})
    assert seen and set(seen[: len(seen) // 2]) == {18} and set(seen[len(seen) // 2 :]) == {21}


def test_an_unknown_entry_point_is_named_with_those_there_are(net):
    program = recorded(net)
    with pytest.raises(KeyError, match="no entry point 'decode'; there are step, peek, reset"):
        program["decode"]
    with pytest.raises(AttributeError, match="no entry point 'decode'"):
        _ = program.start().decode


def test_entry_points_of_different_weights_are_no_program(net):
    with torch.no_grad():
        one = flexir.capture(net, (torch.rand(2, 4),))
        other = flexir.capture(Streamer(), (torch.rand(2, 4),))
    with pytest.raises(flexir.Error, match="'body.weight' is one thing in 'a' and another in 'b'"):
        flexir.Program("Streamer", {"a": one, "b": other})


def test_what_the_model_raises_names_the_entry_point(net):
    with pytest.raises(RuntimeError) as caught:
        flexir.program(net, {"step": (torch.rand(2, 4),), "bad": (torch.rand(2, 5),)})
    assert "in the entry point 'bad'" in "".join(getattr(caught.value, "__notes__", [])) or (
        "in the entry point 'bad'" in str(caught.value)
    )


def test_a_program_needs_entry_points(net):
    with pytest.raises(flexir.CaptureError, match="a program needs entry points"):
        flexir.program(net, {})


def test_a_change_no_graph_can_carry_refuses_the_next_call_of_any_entry_point():
    class Counter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.n = 0

        def forward(self, x):
            self.n += 1
            return x * self.n

        def plain(self, x):
            return x + 1

    net = Counter()
    x = torch.rand(3)
    program = flexir.program(net, {"plain": (net.plain, (x,)), "count": (x,)})
    run = program.start()
    run.plain(x), run.plain(x), run.count(x)
    with pytest.raises(flexir.Diverged, match="n was 0 before the call and is 1 after it"):
        run.plain(x)


class Cached(nn.Module):
    """A tiny causal model: what it has seen comes in and goes out as a list."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(11, 6), nn.Linear(6, 11)

    def forward(self, ids, cache=None):
        x = self.embed(ids)
        seen = x if cache is None else torch.cat([cache["seen"], x], 1)
        weights = torch.softmax(x @ seen.mT / seen.shape[1], -1)
        return self.head(weights @ seen), {"seen": seen}


def generate(model, ids, count):
    """A driver as users write it."""
    cache = None
    step = ids
    for _ in range(count):
        logits, cache = model(step, cache) if cache is not None else model(step)
        step = logits[:, -1:].argmax(-1)
        ids = torch.cat([ids, step], 1)
    return ids


def test_a_driver_is_answered_by_the_program_it_recorded_at_lengths_nobody_showed():
    torch.manual_seed(0)
    net = Cached().eval()
    with torch.no_grad():
        with flexir.record(net) as program:
            generate(net, torch.tensor([[1, 2, 3]]), 4)
            generate(net, torch.tensor([[5, 2, 3, 1, 1]]), 2)
        assert list(program) == ["prefill", "decode"]
        ids = torch.tensor([[4, 4, 1, 9, 0, 2, 7]])
        wanted = generate(net, ids, 12)
        empty = Cached().to("meta")
        with program.answering(empty):
            assert torch.equal(generate(empty, ids, 12), wanted)
    assert "forward" not in vars(net) and "forward" not in vars(empty)


def test_an_engine_can_answer_inside_a_driver():
    net, seen = Cached().eval(), []

    def engine(entry, *args, **kwargs):
        seen.append(entry)
        return program[entry](*args, **kwargs)

    with torch.no_grad():
        with flexir.record(net) as program:
            wanted = generate(net, torch.tensor([[1, 2, 3]]), 3)
        with program.answering(net, run=engine):
            assert torch.equal(generate(net, torch.tensor([[1, 2, 3]]), 3), wanted)
    assert seen == ["prefill", "decode", "decode"]


def test_a_call_no_entry_point_takes_says_why_for_each():
    net = Cached().eval()
    with torch.no_grad():
        with flexir.record(net) as program:
            generate(net, torch.tensor([[1, 2, 3]]), 3)
        with program.answering(net), pytest.raises(flexir.Diverged) as error:
            net(torch.tensor([[1.5, 2.5]]))
    first, *reasons = str(error.value).splitlines()
    assert first == "no entry point takes this call"
    assert [line.split(":")[0] for line in reasons if line[2:3].strip()] == [
        "  prefill", "  decode",
    ]  # fmt: skip
    assert "forward" not in vars(net)


def test_recording_leaves_the_model_as_it_was_whatever_happens():
    net = Cached().eval()
    with pytest.raises(ZeroDivisionError), flexir.record(net):
        raise ZeroDivisionError
    assert "forward" not in vars(net)


def test_numbers_an_earlier_call_left_with_the_caller_are_plain_in_the_next():
    class Counting(nn.Module):
        def forward(self, x, cache):
            cache["length"] = cache.get("length", 0) + x.shape[1]
            return x.repeat(1, 2) + cache["length"], cache

    net = Counting()
    with flexir.record(net, names=("first", "next")) as program:
        cache: dict = {}
        for n in (3, 4, 5):
            _, cache = net(torch.ones(2, n), cache)
    assert list(program) == ["first", "next"]
    with program.answering(net):
        made, cache = net(torch.ones(2, 7), {"length": 9})
    assert torch.equal(made, torch.ones(2, 14) + 16) and cache == {"length": 16}


def test_calls_in_a_row_carry_state_across_the_paths_examples_showed():
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("h", torch.zeros(3))

        def forward(self, x):
            self.h.mul_(0.5).add_(x.sum(0))
            return self.h * 2 if x.sum() > 0 else self.h.exp()

    one = torch.ones(2, 3)
    run, net = flexir.capture(Net(), (one,), also=[(-one,)]).start(), Net()
    for x in (one, -one, torch.rand(2, 3), -torch.rand(2, 3), one):
        assert torch.equal(run(x), net(x))
    assert torch.equal(run.state["h"], net.h)


def test_an_entry_point_takes_a_list_of_examples():
    torch.manual_seed(0)
    net = Cached().eval()
    with torch.no_grad():
        seen = [net(torch.tensor([ids]))[1] for ids in ([1, 2, 3], [1, 2, 3, 4, 5])]
        program = flexir.program(
            net,
            {
                "prefill": [flexir.Inputs(torch.tensor([ids])) for ids in ([1, 2], [3, 4, 5])],
                "decode": [flexir.Inputs(torch.tensor([[7]]), cache) for cache in seen],
            },
        )
        ids = torch.tensor([[4, 4, 1, 9, 0, 2, 7]])
        wanted = generate(net, ids, 12)
        with program.answering(Cached().to("meta")) as run:
            assert torch.equal(generate(Driven(run), ids, 12), wanted)


class Driven:
    """A run of a Program, called as its model is."""

    def __init__(self, run):
        self.run = run

    def __call__(self, ids, cache=None):
        return self.run.prefill(ids) if cache is None else self.run.decode(ids, cache)


def test_a_list_of_tensors_is_the_arguments_of_one_call():
    program = flexir.program(torch.add, {"add": [torch.ones(2), torch.ones(2)]})
    assert torch.equal(program["add"](torch.ones(2), torch.ones(2)), torch.full((2,), 2.0))
