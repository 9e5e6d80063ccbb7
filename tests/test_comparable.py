"""What a variable holds, as something to compare: the same for what is made anew in each run."""

import functools

import torch
from torch import nn

from flexir.graph.nodes import NumberType, Value
from flexir.recording.comparable import (
    IN_GRAPH,
    NUMBER,
    comparable,
    identity,
    summary,
    tensors_by_path,
)
from flexir.recording.numbers import Float, Int, Numbers


def one(n):
    return n


def other(n):
    return n


class Module(nn.Module):
    def forward(self, x):
        return x

    def act(self):
        return 1


def test_anything_is_told():
    run = Numbers(None, None, lambda: True)
    known = Value("n", NumberType(int, 3))
    assert comparable(Int(3, known, run)) == NUMBER == comparable(Float(3.0, known, run))
    assert comparable(torch.ones(1)) == IN_GRAPH == comparable(nn.Parameter(torch.ones(1)))
    assert comparable(3) == ("int", "3") and comparable([1]) == summary([1])
    module = Module()
    assert comparable(module) == ("object", id(module)) and comparable(one) == ("object", id(one))


def test_a_function_is_its_code():
    def made():
        return lambda n: n

    assert identity(made()) == identity(made()) and identity(one) != identity(other)
    module, twin = Module(), Module()
    assert identity(module.act) == identity(module.act) != identity(twin.act) and identity(
        module
    ) == id(module)
    assert identity(module.act) != identity(module.forward) and identity(len) == id(len)
    assert identity(functools.partial(one, 1)) == identity(functools.partial(one, 2))
    assert identity(functools.partial(one, 1)) != identity(functools.partial(one))
    assert identity(functools.partial(one, n=1)) != identity(functools.partial(one, m=1))
    assert identity(functools.partial(one)) != identity(functools.partial(other))


def test_so_many_elements_are_looked_at():
    many, more = list(range(64)), list(range(65))
    assert len(summary(many)[2]) == 64 == len(summary(more)[2]) and summary(more)[1] == 65
    assert summary(more[:64] + [9])[2] == summary(more)[2]
    x = torch.ones(1)
    assert (
        len(list(tensors_by_path([x] * 64, ("v",))))
        == 64
        == len(list(tensors_by_path([x] * 65, ("v",))))
    )
    named = {str(k): x for k in range(65)}
    assert len(list(tensors_by_path(named, ("v",)))) == 64
    assert summary({"a": 1, "b": x}) == (
        "dict", 2, (("str", "'a'"), ("str", "'b'"), ("int", "1"), None),
    )  # fmt: skip


def test_a_set_and_a_complex_number_are_plain():
    assert summary({1}) == ("set", 1, (("int", "1"),)) and summary(1j) == ("complex", "1j")
    assert summary(b"a") == ("bytes", "b'a'") and summary(()) == ("tuple", 0, ())
