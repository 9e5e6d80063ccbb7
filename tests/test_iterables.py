"""How many rounds a loop will have, told by what is written after its ``in``."""

from __future__ import annotations

import ast
import types

import pytest
import torch

from flexir.graph.geometry import tensor_type
from flexir.graph.nodes import Node, NumberType, TensorType, Value
from flexir.recording.iterables import Iterables, _Evaluator, _Unknown
from flexir.recording.live import Int, plain
from flexir.recording.numbers import Numbers

CPU = torch.device("cpu")


def emit(function, arguments, type):
    return Value(function.__name__, type)


class Told:
    """Iterables of a run of which these tensors are known."""

    def __init__(self, *tensors):
        self.values = {id(t): Value("x", tensor_type(t)) for t in tensors}
        self.numbers = Numbers(emit, lambda *_: None, lambda: True)
        self.of = Iterables(self.numbers, lambda tensor: self.values.get(id(tensor)))

    def number(self, n):
        return self.numbers.number(n, Value("n", NumberType(type(n), n)))

    def length(self, text, changed=(), **variables):
        frame = types.SimpleNamespace(f_locals=variables, f_globals={"torch": torch, "G": [1, 2]})
        expression = ast.parse(text, mode="eval").body
        return self.of._length(_Evaluator(self.of, frame, set(changed)).read(expression))


RANGES = [
    "range(n)", "range(1, n)", "range(n, 9)", "range(0, n, 2)", "range(1, n, 3)", "range(n, 0, -1)",
    "range(n, -1, -2)", "range(9, n, -3)", "range(n, n)", "range(n + 2)", "range(n - 1)",
    "range(2 * n)", "range(n // 2)", "range(n % 4)", "range(-n + 9)", "range(9, n)", "range(n, 2)",
    "enumerate(range(n))", "reversed(range(n))", "list(range(n))", "tuple(range(n))",
    "range(len(range(n)))", "[0 for _ in range(n)]", "zip(range(n), range(n))",
    "zip(range(n), G)", "zip(G, range(n))", "zip((1, 2, 3, 4, 5, 6), range(n))",
    "zip(range(n), [0] * 5)",
]  # fmt: skip


@pytest.mark.parametrize("n", [0, 1, 2, 5, 6, 12])
@pytest.mark.parametrize("text", RANGES)
def test_a_range_has_as_many_rounds_as_python_says_and_knows_by_what(text, n):
    told = Told()
    number = told.number(n)
    expected = len(list(eval(text, {"n": n, "G": [1, 2]})))
    made = told.length(text, n=number)
    assert plain(made) == expected
    if expected:
        assert type(made) is Int and told.numbers.lower(made).__class__ is Value


def test_sizes_of_known_tensors_tell():
    x = torch.zeros(3, 4)
    told = Told(x)
    for text, n, dim in (
        ("range(x.shape[0])", 3, 0), ("range(x.size(1))", 4, 1), ("x", 3, 0),
        ("enumerate(x)", 3, 0),
        ("range(x.shape[-1])", 4, 1), ("range(x.size()[0])", 3, 0), ("range(len(x))", 3, 0),
    ):  # fmt: skip
        made = told.length(text, x=x)
        assert plain(made) == n and made.expr.args == (told.values[id(x)], dim), text


def test_lists_tell_by_their_elements_if_all_are_known():
    one, other = torch.zeros(1), torch.zeros(1)
    told = Told(one, other)
    assert told.length("l", l=[one, other]) == [told.values[id(t)] for t in (one, other)]
    assert told.length("range(len(l))", l=[one, other]) == 2
    assert told.length("l", l=(one, torch.zeros(1))) == 2 and told.length("l", l=[1, 2, 3]) == 3
    assert told.length("l", l=[]) == 0
    assert told.length("zip(l, m)", l=[1, 2], m=[3, 4]) == 2
    n = told.number(2)
    assert type(told.length("zip(l, range(n))", l=[1, 2], n=n)) is Int
    for sized in ({"a": 1, "b": 2}, "ab", torch.nn.ModuleList([torch.nn.ReLU(), torch.nn.ReLU()])):
        assert told.length("d", d=sized) == 2


def test_what_is_read_without_running_anything_of_the_users():
    told = Told()
    module = torch.nn.Module()
    module.layers = torch.nn.ModuleList([torch.nn.ReLU()] * 3)
    module.count, module.table = 4, {"k": [1, 2], 0: (5,)}
    module.register_buffer("b", torch.zeros(7))
    module.p = torch.nn.Parameter(torch.zeros(7))
    assert told.length("m.layers", m=module) == 3 and told.length("range(m.count)", m=module) == 4
    assert told.length("m.table['k']", m=module) == 2 and told.length("m.table[0]", m=module) == 1
    assert told.length("G") == 2, "a global"
    assert told.length("G", G=[1]) == 1, "which a variable hides"
    for tensor in (module.b, module.p):
        told.values[id(tensor)] = Value("w", tensor_type(tensor))
    assert told.length("m.b", m=module) == 7 and told.length("m.p", m=module) == 7


@pytest.mark.parametrize(
    "text",
    [
        "unknown", "m.no", "x", "x.T", "f(3)", "range(k=3)", "range()", "range(2.5)",
        "range(3, 0, 0)",
        "G[9]", "G['a']", "x[::2]", "3", "None", "enumerate()", "len(G, G)", "zip(G, f())", "m.f()",
        "[a for a in G if a]", "[a for a in G for b in G]", "G + G", "-G", "not G",
        "d['x']", "range(0, n, n)", "scalar", "list(G, G)", "zip()",
    ],
)  # fmt: skip
def test_what_the_source_does_not_say_is_unknown(text):
    scalar = torch.zeros(())
    told = Told(scalar)
    with pytest.raises(_Unknown):
        told.length(text, x=torch.zeros(2), m=torch.nn.Module(), t=(1, 2, 3), d={},
                    f=lambda n: [n], n=told.number(2), scalar=scalar)  # fmt: skip


def test_a_variable_that_the_loop_has_changed_by_then_says_nothing():
    told = Told()
    assert told.length("l", l=[1, 2]) == 2
    with pytest.raises(_Unknown):
        told.length("l", changed=["l"], l=[1, 2])
    with pytest.raises(_Unknown):
        told.length("m.l", changed=["m"], m=types.SimpleNamespace(l=[1]))


def loop(*targets):
    return types.SimpleNamespace(targets=targets, iterable=ast.Name("unknown"))


@pytest.mark.parametrize("op", ["unbind", "split", "chunk", "tensor_split"])
def test_the_first_of_a_list_that_a_call_gave_tells_how_many(op):
    told = Told()
    x = Value("x", TensorType(torch.float32, (3, 2), CPU))
    rows = [torch.zeros(2) for _ in range(3)]
    node = Node(op, None, {"input": x, "dim": 0})
    node.outputs = tuple(Value(f"r{i}", tensor_type(r), node) for i, r in enumerate(rows))
    told.values.update((id(r), v) for r, v in zip(rows, node.outputs))
    frame = types.SimpleNamespace(f_locals={"row": rows[0], "later": rows[1], "n": 3})
    assert told.of._rows(loop("n", "row"), frame, None) == list(node.outputs)
    left = told.of._rows(loop("later"), frame, None)
    if op == "unbind":
        assert left.name == "sub" and left.type.recorded == 2
    else:
        assert left is None, "how many are left is told of rows alone"
    assert told.of._rows(loop("n"), frame, None) is None
    assert told.of._rows(loop("gone"), frame, None) is None
    node.op = "relu"
    assert told.of._rows(loop("row"), frame, None) is None
