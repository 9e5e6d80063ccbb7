"""Names of sizes, from what every Value was in each example; tables made by hand."""

import torch
from by_hand import tensor

from flexir.graph.graph import Graph
from flexir.graph.nodes import Dim, ListType, TensorType, Value
from flexir.recording.naming import Table, _common, _list_type, _SizeNames

FLAT = TensorType(torch.float32, (2, 3), torch.device("cpu"))


def table_of(*rows, beyond=None):
    made = Table(Graph("g"))
    for row in rows:
        made.add(row)
    made.beyond = beyond or []
    return made


def test_what_a_value_was_whenever_it_was_made():
    x, y = tensor("x"), tensor("y")
    table = table_of({x: [(2, 3)], y: [(1,), (2,)]}, {x: [(4, 3), (4, 3)]}, {})
    assert table.column(x) == ((2, 3), (4, 3), (4, 3)) and table.column(y) == ((1,), (2,))
    assert table.per_example(x, lambda shape: shape[0]) == (2, 4)
    assert table.per_example(y, lambda shape: shape[0]) == ((1, 2),), "all, where it varies in one"
    assert table.elements(x) == (2, 3, 4, 3, 4, 3)
    table.beyond = [{x: [(9, 3), (9, 3)], y: [(7,)]}, {x: [(5, 3)]}]
    assert table.elsewhere(x, 0) == ((9,), (5,)) and table.elsewhere(x, 1) == ((3,), (3,))
    assert table.elsewhere(y, 0) == ((7,), ()) and table.rows_with(y) == (0,)
    table.keep_first()
    assert table.column(x) == ((2, 3),) and table.elsewhere(x, 0) == () and not table.beyond


def test_a_size_that_was_the_same_is_a_number_and_others_have_names():
    names = _SizeNames({"x": {0: "batch"}})
    fixed = names.dim((3, 3), "x", 1, 2)
    assert fixed == 3 and type(fixed) is int
    live = names.dim((2, 4), "x", 0, 2)
    assert type(live) is Dim and live == 2 and live.name == "batch"
    assert names.dim((2, 4), "y", 1, 3).name == "batch", "equal sizes have one name"
    assert names.dim((5, 6), "y", 0, 4).name == "B" and names.dim((5, 7), "y", 1, 4).name == "C"
    assert names.dim((5, 8), None, 0, 0).name == "s1" and names.dim((5, 9), None, 0, 0).name == "s2"
    assert names.dim((1, 8), "z", 0, 4).name == "N", "B is taken"
    assert names.dim((4, 4), None, 0, 0, ((4,), ())) == 4
    assert type(names.dim((4, 4), None, 0, 0, ((5,),))) is Dim, "it varies beyond what was shown"
    many = names.dim(((2, 3), (2, 3)), None, 0, 0)
    assert type(many) is Dim and many == 2
    assert names.dim(((), ()), None, 0, 0) == 0
    first = names.live()[0]
    assert first == ("batch", (2, 4), ("x.shape[0]", "y.shape[1]"))
    assert [one.name for one in names.live()] == ["batch", "B", "C", "N"], "those of inputs"
    names.number("n", (1, 2))
    assert names.live()[-1] == ("n", (1, 2), ("n",))


def test_the_type_of_a_list_is_what_its_elements_have_in_common():
    one, names = Value("list", ListType(2, FLAT)), _SizeNames({})
    kind = ListType(2, FLAT)
    assert _list_type(kind, table_of({}), one, names) is kind
    same = table_of({one: [[(2, 3), (2, 3)]]}, {one: [[(2, 3)]]})
    made = _list_type(kind, same, one, names)
    assert type(made.shape[0]) is Dim and made.shape[0] == 2 and made.element.shape == (2, 3)
    assert type(made.element.shape[0]) is int
    fixed = _list_type(
        kind, table_of({one: [[(2, 3), (2, 3)]]}, {one: [[(4, 3), (4, 3)]]}), one, names
    )
    assert type(fixed.shape[0]) is int and type(fixed.element.shape[0]) is Dim
    assert fixed.element.shape[1] == 3
    assert _common(0, [(2, 3), (2, 4)]) == 2 and _common(1, [(2, 3), (2, 4)]) == (3, 4)
    assert _common(0, []) == ()
