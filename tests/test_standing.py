"""What a variable holds, as it is compared between runs; and graphs that are made smaller."""

import pytest
import torch
from torch import nn

import flexir
from flexir import passes
from flexir.graph.nodes import Node, Value
from flexir.recording.comparable import summary, tensors_by_path
from flexir.recording.live import Int
from flexir.recording.numbers import Numbers
from flexir.recording.standing import Held, Standing


class Plain:
    def __init__(self, **parts):
        vars(self).update(parts)


def test_a_variable_is_told_by_class_and_content():
    assert (
        summary(3) == ("int", "3") and summary("a") == ("str", "'a'") and summary(None) is not None
    )
    assert summary(True) != summary(1) and summary(1.0) != summary(1)
    for nothing in (torch.ones(1), nn.ReLU(), len, Plain, object()):
        assert summary(nothing) is None, nothing
    assert summary([1, torch.ones(1)]) == ("list", 2, (("int", "1"), None))
    assert summary((1,)) == ("tuple", 1, (("int", "1"),))
    assert summary({"a": 2}) == ("dict", 1, (("str", "'a'"), ("int", "2")))
    assert summary([[1]]) == ("list", 1, (None,)), "one container deep"
    assert summary(Plain(a=1)) == ("Plain", (("a", ("int", "1")),)) and summary(Plain()) is None
    assert summary([Plain(a=1)]) == ("list", 1, (None,))


def test_the_tensors_that_a_variable_holds():
    a, b, c = torch.ones(1), torch.ones(1), torch.ones(1)
    held = {"x": [a, (b,)], "y": Plain(z=c), "n": 3}
    assert list(tensors_by_path(held, ("f", "v"))) == [
        (("f", "v", "x", 0), a), (("f", "v", "x", 1, 0), b), (("f", "v", "y", "z"), c),
    ]  # fmt: skip
    assert list(tensors_by_path(a, ("v",))) == [(("v",), a)]
    assert (
        list(tensors_by_path(nn.Linear(1, 1), ("v",))) == [] == list(tensors_by_path(Plain, ("v",)))
    )
    deep = [[[[[[a]]]]]]
    assert list(tensors_by_path(deep, ("v",))) == [] and list(tensors_by_path(deep[0][0], ("v",)))


def test_numbers_that_know_their_origin_hold_notensors_in():
    run = Numbers(None, None, lambda: True)
    run.kept = torch.ones(1)  # whatever is kept for the run is not the variable's
    assert list(tensors_by_path([Int(3, Value("", None), run), "a", 2.5, None], ("f", "v"))) == []


def test_nothing_is_noted_where_nobody_asks():
    assert Standing(notes=False).note(None, None) is None
    quiet = Standing()
    quiet.losing.append(("value", 3))
    node = Node("relu", torch.relu, {})
    quiet.note(node, None)
    assert quiet.lost == {node: (("value", 3),)} and quiet.losing == []
    assert quiet.seen[node] == Held((), (), {}, {})


def ops(graph):
    return [node.op for node in graph]


def captured(model, *inputs):
    return flexir.capture(model, inputs)


def test_calls_that_return_what_they_were_given_go():
    x = torch.randn(2, 3)

    def model(x):
        y = x.reshape(2, 3).contiguous().detach().clone()
        y = nn.functional.dropout(y, training=False).to(torch.float32)
        return torch.relu(y.view(2, 3).expand(2, 3)) + 1

    small = passes.remove_noops(captured(model, x))
    assert ops(small) == ["relu", "add"] and torch.equal(small(x), model(x))
    assert small.history[-1].startswith("remove_noops")


@pytest.mark.parametrize("act", [
    lambda x: x.t().contiguous(), lambda x: x.reshape(3, 2), lambda x: x[:1], lambda x: x.flip(0),
    lambda x: x.to(torch.float64), lambda x: x.expand(4, 2, 3), lambda x: x[0], lambda x: x + 0,
    lambda x: x.t(), lambda x: x.view(torch.int32), lambda x: nn.functional.dropout(x + 1, 0.5),
])  # fmt: skip
def test_calls_that_change_something_stay(act):
    x = torch.randn(2, 3)
    graph = captured(lambda x: act(x) * 2, x)
    assert ops(passes.remove_noops(graph)) == ops(graph)


def test_an_input_that_lies_otherwise_is_taken_as_it_lies():
    x = torch.randn(3, 2).t()
    graph = captured(lambda x: x.contiguous() * 2, x)
    assert ops(passes.remove_noops(graph)) == ["contiguous", "mul"]
    plain = captured(lambda x: x.contiguous() * 2, x.contiguous())
    assert ops(passes.remove_noops(plain)) == ["mul"]


def test_equal_calls_are_made_once():
    x = torch.randn(4)

    def model(x):
        a, b = torch.sin(x), torch.sin(x)
        c, d = torch.exp(a), torch.exp(b)
        e, f = torch.clamp(x, 0, 1), torch.clamp(x, 0, 2)
        return c + d + e + f, x.max(0), x.max(0)

    small = passes.merge_common(captured(model, x))
    assert ops(small).count("sin") == 1 == ops(small).count("exp") == ops(small).count("max")
    assert ops(small).count("clamp") == 2, "other arguments"
    for one, other in zip(small(x)[1:], model(x)[1:]):
        assert torch.equal(one[0], other[0]) and torch.equal(one[1], other[1])
    assert torch.equal(small(x)[0], model(x)[0])


def test_what_draws_writes_or_decides_is_made_each_time():
    x = torch.ones(3)

    def model(x):
        a, b = torch.rand_like(x), torch.rand_like(x)
        c, d = torch.zeros(3), torch.zeros(3)
        c += x
        if x.sum() > 0:
            d = d + a
        if x.sum() > 0:
            d = d + b
        return c, d

    graph = captured(model, x)
    small = passes.merge_common(graph)
    assert ops(small).count("rand_like") == 2 and ops(small).count("bool") == 2
    assert torch.equal(small(x)[0], model(x)[0])


def test_what_nobody_reads_goes():
    x = torch.ones(3)

    def model(x):
        torch.exp(torch.sin(x))
        torch.rand(1)
        if x.sum() > 0:
            x = x * 2
        return x

    small = passes.remove_dead(captured(model, x))
    assert "exp" not in ops(small) and "sin" not in ops(small)
    assert {"rand", "sum", "gt", "bool", "mul"} <= set(ops(small))
    gone = ["remove_dead: exp at (top)", "remove_dead: sin at (top)"]
    assert [line for line in small.history if "remove_dead" in line] == gone
    again = passes.remove_dead(small)
    assert ops(again) == ops(small)


def test_rules_repeat_until_nothing_changes():
    x = torch.ones(3)

    def model(x):
        a = torch.sin(x.detach().clone())
        b = torch.sin(x)
        torch.cos(b)
        return a + b

    small = passes.simplify(captured(model, x))
    assert ops(small) == ["sin", "add"] and torch.equal(small(x), model(x))
    add = list(small)[-1]
    assert isinstance(add.args["input"], Value) and add.args["input"] is add.args["other"]
