"""Loops by example: one graph for every number of rounds; what nobody showed is refused."""

from __future__ import annotations

import pytest
import torch

import flexir
from flexir.calls.signatures import LOOP
from flexir.graph import numbers
from flexir.graph.choice import Block, Loop
from flexir.graph.graph import Graph
from flexir.graph.nodes import Dim, ListType, Node, NumberType, TensorType, Value
from flexir.recording.trace import signature_of

F32 = torch.float32
CPU = torch.device("cpu")


def _call(func, args, type, name):
    node = Node(func.__name__, func, args, signature=signature_of(func, tuple(args)))
    node.outputs = (node_value := Value(name, type, node),)
    node.result = node_value
    return node, node_value


def sums(ends=("count",), least=0):
    """A graph made by hand: the running sums of the rows of x."""
    n = Dim(2, "N")
    x = Value("x", TensorType(F32, (n, 3), CPU))
    size, count = _call(numbers.size, {"input": x, "dim": 0}, NumberType(int, 2), "1")
    zeros, start = _call(torch.zeros_like, {"input": x}, TensorType(F32, (n, 3), CPU), "2")
    row_type = TensorType(F32, (3,), CPU)
    first, zero = _call(torch.select, {"input": start, "dim": 0, "index": 0}, row_type, "3")
    index, h = Value("i", NumberType(int, 0)), Value("h", row_type)
    inner = Value("xs", x.type)
    select, row = _call(torch.select, {"input": inner, "dim": 0, "index": index}, row_type, "4")
    add, made = _call(torch.add, {"input": h, "other": row}, row_type, "5")
    body = Block((index, h, inner), [select, add], (True, made, made))
    loop = Node(
        "loop", Loop(body, ends, least),
        {"count": count, "carried": (zero,), "inputs": (x,)}, signature=LOOP,
    )  # fmt: skip
    last, all_of_them = Value("6", row_type, loop), Value("7", ListType(n, row_type), loop)
    loop.outputs = loop.result = (last, all_of_them)
    stack, stacked = _call(torch.stack, {"tensors": all_of_them}, x.type, "8")
    nodes = [size, zeros, first, loop, stack]
    return Graph("sums", [("x", 1)], {"x": x}, (last, stacked), nodes).check()


def test_a_loop_runs_as_often_as_its_count_says():
    graph = sums()
    for n in (1, 2, 7):
        x = torch.randint(9, (n, 3)).float()  # sums in any order are equal
        last, all_of_them = graph(x)
        assert torch.equal(all_of_them, torch.stack([x[: k + 1].sum(0) for k in range(n)]))
        assert torch.equal(last, all_of_them[-1])


def test_a_loop_prints_its_body():
    text = str(sums())
    assert "list[N] of f32[3] = loop(" in text and "carried=(%3,)" in text
    assert "body (%i: int, %h: f32[3], %xs: f32[N,3]):" in text
    assert "return (True, %5, %5)" in text


def test_a_loop_at_one_size_is_unrolled():
    static = sums().at((torch.rand(3, 3),))
    assert [node.op for node in static].count("add") == 3 and "loop" not in str(static)
    x = torch.rand(3, 3)
    assert torch.equal(static(x)[0], sums()(x)[0])
    with pytest.raises(flexir.Diverged):
        static(torch.rand(4, 3))


def test_an_end_that_no_example_showed_is_refused():
    with pytest.raises(flexir.Diverged, match="ran through after 2 rounds; no example showed"):
        sums(ends=("condition",))(torch.rand(2, 3))
    with pytest.raises(flexir.Diverged, match="2 rounds on these inputs"):
        sums(least=3)(torch.rand(2, 3))
