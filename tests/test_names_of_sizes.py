"""Which sizes get which letters, and which numbers become literals, from what was seen of them."""

from __future__ import annotations

import pytest
import torch

from flexir.graph.graph import Graph
from flexir.graph.nodes import Dim, ListType, Node, NumberType, TensorType, Value
from flexir.recording.naming import (
    Table,
    _common,
    _constant,
    _list_type,
    _literals,
    _SizeNames,
    with_names,
)

CPU = torch.device("cpu")


def floats(*shape):
    return TensorType(torch.float32, shape, CPU)


@pytest.fixture
def names():
    return _SizeNames({"x": {1: "words"}})


def test_a_size_that_never_varied_is_a_number(names):
    made = names.dim((3, 3), "x", 0, 2)
    assert made == 3 and type(made) is int and not names.live()
    assert type(names.dim((((4,),),), None, 0, 0)) is Dim, "it was several in the one example"
    assert names.dim(((),), None, 0, 0) == 0


def test_sizes_that_were_equal_throughout_have_one_name(names):
    made = [
        names.dim((2, 5), "x", 0, 2),
        names.dim((2, 5), "y", 1, 3),
        names.dim((3, 5), "x", 1, 2),
    ]
    assert [one.name for one in made] == ["B", "B", "words"] and made == [2, 2, 3]
    found = [(one.name, one.values, one.places) for one in names.live()]
    assert found == [
        ("B", (2, 5), ("x.shape[0]", "y.shape[1]")), ("words", (3, 5), ("x.shape[1]",)),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "rank, letters", [(1, "N"), (2, "BS"), (3, "BSL"), (4, "BCHW"), (5, "BCDHW"), (7, "BNMK")]
)
def test_letters_go_by_the_rank_of_an_input(rank, letters):
    names = _SizeNames({})
    made = [names.size((d, d + 9), "x", d, rank) for d in range(min(rank, len(letters)))]
    assert made == list(letters)


def test_letters_that_are_taken_are_passed_over():
    names = _SizeNames({})
    made = [names.size((n, n + 1), f"x{n}", 0, 2) for n in range(12)]
    assert made == ["B", *"NMKPQRTUV", "B1", "B2"]
    assert [names.size((n, n + 2), None, 0, 0) for n in range(3)] == ["s1", "s2", "s3"]
    assert [one.name for one in names.live()] == made, "what no input has is no live size"


def test_an_input_that_is_a_number_has_its_own_path(names):
    names.number("count", (1, 2))
    [live] = names.live()
    assert (live.name, live.values, live.places) == ("count", (1, 2), ("count",))


def test_what_a_value_was_in_each_example():
    x, y = Value("x", floats(2)), Value("y", floats(2))
    table = Table(Graph("g", inputs={"x": x}))
    assert table.values == [x]
    table.add({x: [(2,), (2,)], y: [(1,), (3,)]})
    table.add({x: [(4,)]})
    assert table.column(x) == ((2,), (2,), (4,)) and table.elements(x) == (2, 2, 4)
    assert table.per_example(x, len) == (1, 1)
    assert table.per_example(x, lambda one: one[0]) == (2, 4)
    assert table.per_example(y, lambda one: one[0]) == ((1, 3),)
    table.keep_first()
    assert table.column(x) == ((2,), (2,))


def test_the_type_of_a_list_has_the_sizes_that_its_elements_share():
    assert _common(1, [(1, 2), (3, 2)]) == 2 and _common(0, [(1, 2), (3, 2)]) == (1, 3)
    assert _common(0, []) == ()
    many = Value("l", ListType(2, floats(1, 2, 5)))
    table = Table(Graph("g"))
    assert _list_type(many.type, table, many, _SizeNames({})) is many.type, "nobody came here"
    table.add({many: [((1, 2, 5), (3, 2, 5))]})
    table.add({many: [((4, 6, 5),)]})
    made = _list_type(many.type, table, many, _SizeNames({}))
    assert made.shape[0].name == "s1" and made.shape[0] == 2
    first, second, last = made.element.shape
    assert (first.name, second.name) == ("s2", "s3") and (first, second) == (1, 2)
    assert last == 5 and type(last) is int


def test_numbers_are_constant_if_they_are_of_one_class_and_the_same():
    assert _constant((1, 1)) and _constant((float("nan"), float("nan"))) and _constant((2,))
    assert not _constant((1, 2)) and not _constant((1, True)) and not _constant((1, 1.0))


def test_numbers_given_that_never_varied_are_literals():
    n, m = (Value(name, NumberType(int, 1)) for name in "nm")
    graph = Graph("g", inputs={"n": n, "m": m})
    table = Table(graph)
    table.add({n: [1], m: [1]})
    table.add({n: [1], m: [4]})
    assert _literals(graph, table, {}) == {n: 1}
    made = with_names(graph, table, {})
    assert [(one.name, one.values) for one in made.live] == [("m", (1, 4))]


def test_a_value_that_no_example_reached_stays_as_recorded():
    x = Value("x", floats(Dim(2, "?"), 3))
    node = Node("relu", torch.relu, {"input": x})
    y = Value("y", floats(Dim(2, "?"), 3), node)
    node.result, node.outputs = y, (y,)
    graph = Graph("g", inputs={"x": x}, outputs=y)
    graph.nodes = [node]
    table = Table(graph)
    table.add({x: [(2, 3)]})
    table.add({x: [(4, 3)]})
    made = with_names(graph, table, {})
    [of] = made.input_values
    [last] = made.nodes
    assert of.type.shape[0].name == "B" and type(last.outputs[0].type.shape[0]) is int
