"""What Python decides by numbers that calls took out of tensors, or that are inputs, is named."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

import flexir


class Chosen(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale, self.acts = [0.5, 1.0, 1.0], [torch.relu, torch.sin, torch.sin]

    def forward(self, x):
        return self.acts[int(x.argmax())](x) * self.scale[x.argmin().item()]


def by_input(x, k):
    return [torch.sin, torch.tanh, torch.cos, torch.cos][k](x)


def some_of_them(x, k):
    for layer in [torch.sin, torch.cos, torch.tanh][:k]:
        x = layer(x)
    return x


def by_variable(x):
    i = int(x.argmax())
    return x * [1.0, 2.0, 2.0][i]


def in_a_set(x):
    return x * (2 if x[0].item() in {4, 5} else 3)


def as_many(x):
    return x * len(set(x.tolist()))


def numpys(x):
    return x * int(np.argmax(x.tolist()))


def close(x):
    return x * (2 if math.isclose(x[0].item(), 3.0, abs_tol=0.2) else 3)


def text(x):
    return x * (2 if f"{x[0].item():.0f}" == "0" else 3)


def formatted(x):
    return x * (2 if "%d,%d" % tuple(x.tolist()[:2]) == "0,1" else 3)  # noqa: UP031


def begins(x):
    return x * (2 if str(x.shape[0]).startswith("2") else 3)


def whole(x):
    return x * (2 if (x[0].item() * 2).is_integer() else 3)


def same(x):
    known = x.tolist()
    return x * 2 if known[0] is known[1] else x * 3


def cut_text(x):
    k = min(round(x[0].item()), 2)
    return "abcdefgh"[k:], x * k


def cut_list(x):
    k = min(abs(x[0].item()), 2)
    return [1, 2, 3, 4, 5, 6][: int(k)], x * k


ONES = torch.ones(2)
CLAMPED = [(torch.tensor([n, 1.0]),) for n in (2.0, 4.0, 7.0)]
THREE = [(torch.tensor([0.1, 2.0, 0.3]),), (torch.tensor([0.2, 0.1, 3.0]),)]
ONE_TWO = [(torch.tensor([0.0, -2.0, 1.0]),), (torch.tensor([0.0, 3.0, -1.0]),)]
TWO_TWO = [(torch.tensor([0.1, 0.9, 0.3]),), (torch.tensor([0.2, 0.8, 0.3]),)]
NAMED = {
    Chosen(): (ONE_TWO, "self.acts[int(x.argmax())]"),
    by_input: ([(ONES, 2), (ONES, 3)], "[k]"),
    some_of_them: ([(torch.ones(5), 3), (torch.ones(7), 4)], "[:k]"),
    by_variable: (THREE, "[1.0, 2.0, 2.0][i]"),
    in_a_set: (THREE, "hash()"),
    as_many: (THREE, "hash()"),
    numpys: (TWO_TWO, "np.argmax(x.tolist())"),
    close: (THREE, "math.isclose()"),
    text: ([(torch.tensor([2.0, 1.0]),), (torch.tensor([3.0, 1.0]),)], "== '0'"),
    formatted: ([(torch.tensor([2.0, 1.0]),), (torch.tensor([3.0, 1.0]),)], "== '0,1'"),
    begins: ([(torch.ones(5),), (torch.ones(7),)], "str(x.shape[0]).startswith"),
    whole: (THREE, "is_integer"),
    same: (THREE, "known[0] is known[1]"),
    cut_text: (CLAMPED, "'abcdefgh'[k:]"),
    cut_list: (CLAMPED, "[1, 2, 3, 4, 5, 6][:int(k)]"),
}  # fmt: skip


@pytest.mark.parametrize("model", NAMED, ids=lambda model: getattr(model, "__name__", "Chosen"))
def test_where_a_number_goes_unasked_is_named_by_line(model):
    examples, words = NAMED[model]
    graph = flexir.capture(model, examples[0], also=examples[1:])
    lines = [line for one in (graph, *graph.variants) for line in one.audit.laundered]
    assert any(words in line for line in lines), lines


def test_nothing_is_named_where_calls_tell():
    def model(x):
        n = x[0].item()
        y = x * n if n > 1 else x + n
        for k in x.tolist():
            y = y * k
        return y[: int(n)]

    graph = flexir.capture(model, THREE[0], also=[(torch.tensor([2.5, 0.1, 3.0]),)])
    assert not graph.audit.laundered


TABLE = {0: 1.0, 1: 10.0, 2: 100.0}
CLAMPING = {
    "table": lambda x: x * (1.0, 10.0, 100.0)[min(int(x), 2)],
    "functions": lambda x: [torch.sin, torch.cos, torch.neg][max(int(x), 0) % 3](x),
    "text": lambda x: (x, "abc"[min(int(x), 2)]),
    "keys": lambda x: x * TABLE[min(int(x), 2)],
}


class Clamping(torch.nn.Module):
    def __init__(self, forward):
        super().__init__()
        self.made = forward

    def forward(self, x):
        return self.made(x)


class Within(torch.nn.Module):
    """A number of one module, and one of another, made one."""

    def __init__(self):
        super().__init__()
        self.first, self.second = Taking(), Taking()

    def forward(self, x):
        self.first(x)
        self.second(x + 1)
        return x * (1.0, 10.0, 100.0)[min(self.first.k + self.second.k, 2)]


class Taking(torch.nn.Module):
    def forward(self, x):
        self.k = int(x)
        return x


@pytest.mark.parametrize("make", [lambda f: f, Clamping])
@pytest.mark.parametrize("kind", CLAMPING)
def test_a_clamped_number_is_guarded_where_it_is_made(make, kind):
    model = make(CLAMPING[kind])
    shown = [torch.tensor(n) for n in (5.0, 8.0, 11.0)]
    graph = flexir.capture(model, shown[0], also=shown[1:])
    assert not graph.frozen and graph(torch.tensor(14.0)) is not None
    with pytest.raises(flexir.Diverged, match="plain"):
        graph(torch.tensor(0.0))


def test_a_number_made_in_several_modules_is_guarded_by_its_parts():
    shown = [torch.tensor(n) for n in (5.0, 5.5, 5.25)]
    graph = flexir.capture(Within(), shown[0], also=shown[1:])
    for n in (5.75, 0.0, 1.0):
        x = torch.tensor(n)
        try:
            made = graph(x)
        except flexir.Diverged:
            continue
        assert torch.equal(made, Within()(x)), n
