"""Caches of fixed length: ``passes.fixed_cache``, and drivers whose caches grow over it."""

import pytest
import torch
from torch import nn

import flexir
from flexir.graph.nodes import Dim
from flexir.passes import Grown, fixed_cache

LENGTH = 12


class Attention(nn.Module):
    """One layer that attends to all it has seen; ``masked`` is how it masks, ``rows`` its table."""

    def __init__(self, kind="plain", rows=32):
        super().__init__()
        self.kind = kind
        self.qkv = nn.Linear(4, 12)
        self.table = nn.Embedding(rows, 4)
        self.register_buffer("causal", torch.ones(32, 32).tril().bool())

    def forward(self, x, cache=None):
        before = 0 if cache is None else cache["keys"].shape[1]
        q, k, v = self.qkv(x).chunk(3, -1)
        if cache is not None:
            k = torch.cat([cache["keys"], k], dim=1)
            v = torch.cat([cache["values"], v], 1)
        after = before + x.shape[1]
        if self.kind == "table":
            k = k + self.table(torch.arange(after))
        scores = q @ k.transpose(1, 2) / 2
        if self.kind == "sliced":
            mask = self.causal[before:after, :after]
            scores = scores.masked_fill(~mask, float("-inf"))
        elif self.kind == "softmax by hand":
            scores = scores - scores.amax(-1, keepdim=True)
            weights = scores.exp() / scores.exp().sum(-1, keepdim=True)
            return weights @ v, {"keys": k, "values": v}
        elif self.kind == "mean":
            return v.mean(1, keepdim=True) * after, {"keys": k, "values": v}
        elif self.kind == "fused":
            made = nn.functional.scaled_dot_product_attention(q[:, None], k[:, None], v[:, None])
            return made[:, 0], {"keys": k, "values": v}
        elif self.kind == "count":
            return scores.softmax(-1) @ v * (after % 5) + before, {"keys": k, "values": v}
        elif self.kind == "last":
            return v[:, -1:] + v[:, 0, None] + v[:, -2:-1], {"keys": k, "values": v}
        elif self.kind == "backwards":
            return scores.flip(-1).softmax(-1) @ v, {"keys": k, "values": v}
        elif self.kind == "long":
            if after > 9:
                scores = scores * 2
        return scores.softmax(-1) @ v, {"keys": k, "values": v}


def drive(model, rows, first=3):
    """A driver: a prompt of some rows, then row after row."""
    made, cache = model(rows[:, :first])
    made = [made]
    for i in range(first, rows.shape[1]):
        one, cache = model(rows[:, i : i + 1], cache)
        made.append(one)
    return torch.cat([m[:, -1:] for m in made], 1), cache


def recorded(model):
    with torch.no_grad(), flexir.record(model, names=("prefill", "decode")) as program:
        drive(model, torch.rand(1, 6, 4))
        drive(model, torch.rand(1, 8, 4), 4)
    return program


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


KINDS = ["plain", "sliced", "table", "softmax by hand", "mean", "fused", "count", "last"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_driver_gets_what_the_model_gives_up_to_the_last_slot(kind):
    model = Attention(kind).eval()
    program = recorded(model)
    with torch.no_grad():
        fixed = fixed_cache(program, LENGTH)
        rows = torch.rand(1, LENGTH, 4)
        wanted, cache = drive(model, rows)
        made, left = drive_answered(program, fixed, kind, rows)
    torch.testing.assert_close(made, wanted)
    assert left["keys"].shape == cache["keys"].shape


def drive_answered(program, fixed, kind, rows):
    model = Attention(kind, rows=1).to("meta")
    with program.answering(model, run=Grown(program, fixed)):
        return drive(model, rows)


@pytest.mark.parametrize("kind", KINDS)
def test_every_size_of_the_decoding_graph_is_a_number(kind):
    graph = fixed_cache(recorded(Attention(kind)), LENGTH)["decode"]
    values = {v for node in graph for v in (*node.inputs, *node.outputs)}
    assert not any(v.is_number or any(isinstance(n, Dim) for n in v.type.shape) for v in values)
    assert graph.inputs["cache"]["keys"].type.shape == (1, LENGTH, 4)
    assert graph.inputs["position"].type.shape == ()
    assert not graph.live and graph.check() is graph


@pytest.mark.parametrize("kind", KINDS)
def test_what_stands_in_empty_slots_does_not_matter(kind):
    graph = fixed_cache(recorded(Attention(kind)), LENGTH)["decode"]
    x, position = torch.rand(1, 1, 4), 5
    cache = {name: torch.zeros(1, LENGTH, 4) for name in ("keys", "values")}
    for tensor in cache.values():
        tensor[:, :position] = torch.rand(1, position, 4)
    with torch.no_grad():
        wanted, _ = graph(x, cache, position=torch.tensor(position))
        for tensor in cache.values():
            tensor[:, position:] = 9 * torch.randn(1, LENGTH - position, 4)
        made, _ = graph(x, cache, position=torch.tensor(position))
    torch.testing.assert_close(made, wanted)


def test_empty_slots_are_masked_only_where_that_is_needed():
    def masks(kind):
        graph = fixed_cache(recorded(Attention(kind)), LENGTH)["decode"]
        return len(graph.find(op="masked_fill"))

    assert masks("plain") == 1, "before the softmax, and not before the product after it"
    assert masks("sliced") == 1, "the model's own is enough"
    assert masks("last") == 0


def test_a_fixed_program_is_saved_and_loaded(tmp_path):
    program = recorded(Attention())
    fixed = fixed_cache(program, LENGTH)
    fixed.save(tmp_path / "p")
    again = flexir.load(tmp_path / "p")
    assert again.text() == fixed.text()
    rows = torch.rand(1, 9, 4)
    made, _ = drive_answered(program, again, "plain", rows)
    torch.testing.assert_close(made, drive_answered(program, fixed, "plain", rows)[0])


def test_a_full_cache_is_refused():
    program = recorded(Attention())
    fixed = fixed_cache(program, LENGTH)
    with pytest.raises(
        flexir.Diverged,
        match=f"(?s)now dict with tensors\n.*the cache is full: {LENGTH} of 'decode'",
    ):
        drive_answered(program, fixed, "plain", torch.rand(1, LENGTH + 1, 4))
    with pytest.raises(flexir.Diverged, match="le"):
        fixed["prefill"](torch.rand(1, LENGTH + 1, 4))


def test_a_call_that_no_value_in_empty_slots_makes_right_is_named():
    with pytest.raises(flexir.Error, match=r"(?s)cannot stand here.*flip.*at:.*test_fixed_cache"):
        fixed_cache(recorded(Attention("backwards")), LENGTH)


def test_a_path_that_a_longer_cache_would_take_is_named():
    with pytest.raises(flexir.Error, match=r"(?s)where 9 slots are filled.*test_fixed_cache"):
        fixed_cache(recorded(Attention("long")), LENGTH)


def test_a_table_too_short_for_the_cache_is_named():
    class Short(Attention):
        def __init__(self):
            super().__init__("sliced")
            self.causal = torch.ones(9, 9).tril().bool()

    with pytest.raises(flexir.Error, match="does not run with 11 slots filled"):
        fixed_cache(recorded(Short()), LENGTH)


def test_a_size_that_varies_otherwise_is_named():
    class Cross(nn.Module):
        def forward(self, x, other, seen):
            seen = torch.cat([seen, x], 1)
            return (seen.sum(1) + other.sum(1)), {"seen": seen}

    class Driver(Cross):
        def forward(self, x, other, seen):
            made, left = super().forward(x, other, seen["seen"])
            return made, {"seen": left["seen"]}

    def inputs(n, m):
        return flexir.Inputs(
            torch.rand(1, 1, 2), torch.rand(1, m, 2), {"seen": torch.rand(1, n, 2)}
        )

    program = flexir.program(Named(Driver()), {"decode": [inputs(3, 5), inputs(4, 2)]})
    with pytest.raises(flexir.Error, match=r"other.shape\[1\] of 'decode' varies"):
        fixed_cache(program, LENGTH)


class Named(nn.Module):
    """Returns what it leaves under the name of the argument."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x, other, seen):
        made, left = self.inner(x, other, seen)
        return {"made": made, "seen": left}


def test_a_program_in_which_nothing_grows_is_left_alone():
    program = flexir.program(nn.Linear(2, 2), {"forward": (torch.rand(1, 2),)})
    assert fixed_cache(program, LENGTH) is program


def test_a_length_of_hardly_any_slots_is_refused():
    with pytest.raises(flexir.Error, match="makes its caches longer by 1; 3 slots are too few"):
        fixed_cache(recorded(Attention()), 3)


class Looks(nn.Module):
    """Attends with what it is given: its scores are as large as that is."""

    def forward(self, x, cache):
        keys = torch.cat([cache["keys"], x], 1)
        return torch.softmax(x @ keys.mT, -1) @ keys, {"keys": keys}


def test_an_empty_slot_is_nothing_to_small_scores_and_to_large_ones():
    model, cache = Looks(), {"keys": torch.rand(1, 2, 4)}
    with torch.no_grad(), flexir.record(model, names=("step",)) as program:
        for _ in range(3):
            cache = model(torch.rand(1, 1, 4), cache)[1]
    fixed = fixed_cache(program, LENGTH)["step"]
    for loud in (0.01, 1.0, 10.0):
        x, wide = loud * torch.rand(1, 1, 4), loud * torch.rand(1, LENGTH, 4)
        made, _ = fixed(x, {"keys": wide}, position=torch.tensor(3))
        expected, _ = model(x, {"keys": wide[:, :3]})
        torch.testing.assert_close(made, expected)
