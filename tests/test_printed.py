"""Graphs, calls and numbers as they are printed."""

import re

import torch
from by_hand import TENSOR, call, computed, number
from torch import nn

import flexir
from flexir.graph import numbers
from flexir.graph.nodes import Dim, NumberType, TensorType, Value, show_number
from flexir.graph.source import Source


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
        self.seen = 0

    def forward(self, x):
        x = self.first(x)
        if x.sum() > 5:
            x = x * 2
        return x.reshape(x.shape[0] * 3)


SHOWN = """\
graph Model(%x: f32[B,3]):
    %12: f32[s1] = Model(%x):
        %2: f32[B,3] = Sequential(%x):
            %1: f32[B,3] = Linear(%x):
                %1: f32[B,3] = linear(%x, weight=%first.0.weight, bias=%first.0.bias)
            %2: f32[B,3] = ReLU(%1):
                %2: f32[B,3] = relu(%1)
        %3: f32[] = sum(%2)
        %4: bool[] = gt(%3, other=5)
        %6: f32[B,3] = if(bool(%4), inputs=(%2,)):
            then (%7: f32[B,3]):
                %9: f32[B,3] = mul(%7, other=2)
                return (%9,)
            else (%8: f32[B,3]):
                return (%8,)
        %12: f32[s1] = reshape(%6, shape=(B*3,))
    return %12
    # B = 4, 2   # x.shape[0]
"""


def test_a_graph_prints_modules_blocks_and_what_varies():
    large, small = torch.full((4, 3), 9.0), torch.zeros(2, 3)
    model = Model()
    for parameter in model.parameters():
        nn.init.constant_(parameter, 0.5)
    graph = flexir.capture(model, (large,), also=[(small,)])
    assert not graph.variants
    plain = "".join(
        re.sub(r"   # .*\.py:\d+$", "", line) + "\n" for line in str(graph).splitlines()
    )
    assert plain == SHOWN and str(graph) == graph.text()
    assert graph.text().count("test_printed.py:") == 11, "every call says where it is made"
    assert "size(%6, dim=0)" in graph.text(numbers=True) and "mul(B, other=3)" not in graph.text()
    assert "relu(%1, inplace=False)" in graph.text(defaults=True)
    flat = graph.text(bodies=False).splitlines()
    assert len(flat) == 4 and flat[1].startswith("    %12: f32[s1] = Model(%x)   # ")
    assert repr(graph) == f"<Graph Model: {len(graph)} calls, {len(graph.constants)} constants>"


def test_what_a_graph_writes_and_its_variants_are_printed():
    def model(x, y):
        x.add_(1)
        return x * y

    x = torch.ones(2)
    graph = flexir.capture(model, (x, torch.ones(2)))
    assert "    # writes x: " in graph.text()
    variant = flexir.capture(lambda x, y: x - y, (torch.ones(2), torch.ones(2)))
    graph.variants = [variant]
    last = graph.text().split("\nor ")[1]
    assert last == variant.text() and last.startswith("graph ")


def test_a_call_prints_what_it_makes_and_is_given():
    made, x = Value("y", TENSOR), Value("x", TENSOR)
    node = call("scale", None, made, input=x, other=x, factor=2)
    assert str(node) == "%y: f32[2,3] = scale(%x, other=%x, factor=2)" == repr(node)
    assert str(call("print", None, input=x)) == "print(%x)"
    assert str(call("fill", None, made, value=2, input=x)).endswith("= fill(value=2, input=%x)")
    node.path = "a.b"
    assert node.where == "a.b" and call("f", None).where == ""
    node.source = Source("/somewhere/m.py", 7, "f")
    assert node.where.startswith("a.b  ") and "m.py:7" in node.where
    node.meta["mine"] = 1
    assert node.meta == {"mine": 1} and call("f", None).meta == {}


def test_numbers_are_printed_as_expressions():
    h, w = number("H", 4), number("w", 5)
    add = computed(numbers.add, 9, input=h, other=1)
    assert show_number(h) == "H" and show_number(3) == "3" and show_number(add) == "H + 1"
    assert show_number(computed(numbers.mul, 9, input=add, other=2)) == "(H + 1)*2"
    assert show_number(computed(numbers.add, 9, input=computed(numbers.mul, 8, input=h, other=2),
                                other=w)) == "H*2 + w"  # fmt: skip
    assert show_number(computed(numbers.mul, 9, input=h, other=-2)) in ("H*-2", "H*(-2)")
    assert show_number(computed(numbers.pow, 9, input=-2, exponent=h)) == "(-2)**H"
    assert show_number(computed(numbers.pow, 9, input=0, exponent=h)) == "0**H"
    assert show_number(computed(numbers.sub, 9, input=h, other=add)) == "H - (H + 1)"
    assert show_number(computed(numbers.neg, -4, input=h)) == "-H"
    assert show_number(computed(numbers.neg, -4, input=add)) == "-(H + 1)"
    assert show_number(computed(numbers.sqrt, 2.0, input=add)) == "sqrt(H + 1)"
    assert show_number(Value("7", NumberType(int, 7))) == "%7"
    assert show_number(Value("x", TENSOR)) == "%x"
    assert show_number(computed(numbers.round, 2, input=h, decimals=None)) == "round(H)"


def test_a_size_is_printed_by_its_name():
    live = Value("x", TensorType(torch.float32, (Dim(4, "B"), 3), torch.device("cpu")))
    assert show_number(computed(numbers.size, 4, input=live, dim=0)) == "B"
    assert show_number(computed(numbers.size, 3, input=live, dim=1)) == "size(%x, 1)"
    assert show_number(computed(numbers.size, 3, input=live, dim=2)) == "size(%x, 2)"
    assert show_number(computed(numbers.size, 3, input=live, dim=-1)) == "size(%x, -1)"
    assert show_number(computed(numbers.size, 3, input=live, dim=number("d", 0))) == "size(%x, d)"
