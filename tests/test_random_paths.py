"""Random numbers drawn on one path, or round after round: the graph draws what the model draws."""

from __future__ import annotations

import json

import pytest
import torch
from torch.nn import functional

import flexir
from flexir import Inputs


def on_a_path(x: torch.Tensor, noisy: bool = True) -> torch.Tensor:
    if x.sum() > 0:
        x = x + torch.rand(x.shape[0], 1)
    return x * torch.randn(1)  # the first draw of a run, or not


def in_rounds(x: torch.Tensor) -> torch.Tensor:
    rows = []
    for row in x:
        rows.append(row + torch.rand_like(row))
    return torch.stack(rows) + torch.rand(1)


def some_rounds(x: torch.Tensor) -> torch.Tensor:
    total = torch.zeros(4)
    for row in x:
        if row[0] > 0:
            total = total + functional.dropout(row, 0.5)
    return total + torch.rand(4)


def sampled(x: torch.Tensor, many: int) -> torch.Tensor:
    found = []
    for _ in range(many):
        found.append(torch.multinomial(x.softmax(-1), 1))
        x = x.roll(1, -1) + found[-1]
    return torch.cat(found)


def seeded_in_rounds(x: torch.Tensor) -> torch.Tensor:
    total = torch.zeros(4)
    for row in x:
        torch.manual_seed(3)
        total = total + row * torch.rand(4)
    return total + torch.rand(4)


def rows(*first: float) -> torch.Tensor:
    made = torch.arange(4.0 * len(first)).view(-1, 4) / 7
    made[:, 0] = torch.tensor(first)
    return made


def same_draws(graph: flexir.Graph, function, *args) -> None:
    assert flexir.verify(graph, function, args, perturb=False)


CASES = [
    (on_a_path, [(rows(1, 2),), (rows(-90, -2, -1),)], [(rows(1),), (rows(-90, -9),)]),
    (in_rounds, [(rows(1, 2),), (rows(1, 2, 3),)], [(rows(1),), (rows(*range(9)),)]),
    (some_rounds, [(rows(1, -2),), (rows(-1, 2, 3),), (rows(-1, -2),)],
     [(rows(1),), (rows(-1, 2, 3, -4, 2),), (rows(-1),)]),
    (sampled, [(rows(1)[0], 2), (rows(1)[0], 3)], [(rows(2)[0], 5), (rows(2)[0], 1)]),
    (seeded_in_rounds, [(rows(1, 2),), (rows(1, 2, 3),)], [(rows(1),), (rows(*range(9)),)]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("function", "shown", "fresh"), CASES, ids=lambda c: getattr(c, "__name__", "")
)
def test_draws_are_those_of_the_model(function, shown, fresh, tmp_path):
    first, *others = shown
    torch.manual_seed(5)
    graph = flexir.capture(function, first, also=[Inputs(*one) for one in others])
    assert not graph.variants, graph.frozen
    for args in [*shown, *fresh]:
        same_draws(graph, function, *args)
    graph.save(tmp_path / "net")
    manifest = json.loads((tmp_path / "net" / "manifest.json").read_text())
    older = 5 if function is seeded_in_rounds else 8  # those would begin anew in every round
    assert manifest["minimum_reader"] == older
    loaded = flexir.load(tmp_path / "net")
    for args in fresh:
        assert torch.equal(loaded(*args), graph(*args))


def test_calls_in_a_row_go_on_drawing():
    graph = flexir.capture(in_rounds, rows(1, 2), also=[rows(1, 2, 3)])
    started = graph.start()
    one, other = started(rows(1, 2)), started(rows(1, 2))
    assert torch.equal(one, graph(rows(1, 2)))
    assert not torch.equal(one, other)


def test_a_seed_that_only_one_path_sets_is_set_there():
    def model(x):
        if x.sum() > 0:
            torch.manual_seed(3)
        return x + torch.rand(3)

    shown = torch.ones(3), -torch.ones(3)
    graph = flexir.capture(model, shown[0], also=shown[1:])
    assert not graph.variants
    for x in (*shown, 2 * torch.ones(3), -2 * torch.ones(3)):
        same_draws(graph, model, x)


def test_a_state_that_a_model_puts_back_is_begun_with_again():
    def model(x):
        state = torch.get_rng_state()
        first = torch.rand(3)
        torch.set_rng_state(state)
        return x * (first == torch.rand(3))

    graph = flexir.capture(model, torch.ones(3))
    assert torch.equal(graph(torch.ones(3)), torch.ones(3))
