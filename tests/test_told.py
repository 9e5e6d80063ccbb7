"""What a variable holds, as something to compare: the same for what is made anew in each run."""

import functools

import torch
from torch import nn

from flexir.graph.nodes import NumberType, Value
from flexir.recording.numbers import Float, Int, Numbers
from flexir.recording.told import IN_GRAPH, NUMBER, tell, tensors_by_path, told, which


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
    assert told(Int(3, known, run)) == NUMBER == told(Float(3.0, known, run))
    assert told(torch.ones(1)) == IN_GRAPH == told(nn.Parameter(torch.ones(1)))
    assert told(3) == ("int", "3") and told([1]) == tell([1])
    module = Module()
    assert told(module) == ("object", id(module)) and told(one) == ("object", id(one))


def test_a_function_is_its_code():
    def made():
        return lambda n: n

    assert which(made()) == which(made()) and which(one) != which(other)
    module, twin = Module(), Module()
    assert which(module.act) == which(module.act) != which(twin.act) and which(module) == id(module)
    assert which(module.act) != which(module.forward) and which(len) == id(len)
    assert which(functools.partial(one, 1)) == which(functools.partial(one, 2))
    assert which(functools.partial(one, 1)) != which(functools.partial(one))
    assert which(functools.partial(one, n=1)) != which(functools.partial(one, m=1))
    assert which(functools.partial(one)) != which(functools.partial(other))


def test_so_many_elements_are_looked_at():
    many, more = list(range(64)), list(range(65))
    assert len(tell(many)[2]) == 64 == len(tell(more)[2]) and tell(more)[1] == 65
    assert tell(more[:64] + [9])[2] == tell(more)[2]
    x = torch.ones(1)
    assert (
        len(list(tensors_by_path([x] * 64, ("v",))))
        == 64
        == len(list(tensors_by_path([x] * 65, ("v",))))
    )
    named = {str(k): x for k in range(65)}
    assert len(list(tensors_by_path(named, ("v",)))) == 64
    assert tell({"a": 1, "b": x}) == (
        "dict", 2, (("str", "'a'"), ("str", "'b'"), ("int", "1"), None),
    )  # fmt: skip


def test_a_set_and_a_complex_number_are_plain():
    assert tell({1}) == ("set", 1, (("int", "1"),)) and tell(1j) == ("complex", "1j")
    assert tell(b"a") == ("bytes", "b'a'") and tell(()) == ("tuple", 0, ())
