"""Which inputs of an entry point grow from call to call, and along which dimension."""

import pytest
import torch
from torch import nn

import flexir
from flexir.graph import numbers
from flexir.graph.graph import Graph
from flexir.graph.nodes import Dim, Node, NumberType, TensorType, Value
from flexir.passes import fixed_cache
from flexir.passes.by_position import at_positions, is_known
from flexir.passes.fixed_cache import _grown, _origin, _size, growth_of, leaves_more
from flexir.passes.rewrite import Draft
from flexir.passes.slots import Filled, Slots, at, fitted, is_filled

CPU = torch.device("cpu")


def floats(*shape):
    return TensorType(torch.float32, shape, CPU)


def dim(size):
    return Dim(size, "L")


def test_a_tensor_grows_in_one_dimension_that_varies():
    before = floats(2, dim(3))
    assert _grown(before, floats(2, 4)) == 1 and _grown(before, floats(2, 9)) == 1
    assert _grown(before, floats(2, dim(3))) is None, "as long as it was"
    assert _grown(before, floats(2, 2)) is None, "shorter"
    assert _grown(before, floats(3, 4)) is None, "in two"
    assert _grown(before, floats(4)) is None and _grown(before, floats(2, 4, 1)) is None
    assert _grown(floats(2, 3), floats(2, 4)) is None, "always as long in the examples"
    assert _grown(before, floats(2, 4)._replace(dtype=torch.float64)) is None


def test_a_size_that_goes_with_the_cache_is_filled_and_another_is_refused():
    base = (3, 4, 7)
    assert _size("f", "x", (4, 5, 8), dim(4), base) == Filled(1)
    assert _size("f", "x", None, dim(4), base) == 4
    assert _size("f", "n", None, NumberType(int, 5), base) == 5
    with pytest.raises(flexir.Error, match=r"x of 'f' varies, and not with .*\(4, 5, 9\)"):
        _size("f", "x", (4, 5, 9), dim(4), base)
    with pytest.raises(flexir.Error, match="varies"):  # one length alone says nothing
        _size("f", "x", (4, 4), dim(4), (3, 3))


def chained(first, *types):
    """A chain of calls from a Value, and the nodes that keep it alive."""
    nodes, value = [], first
    for number, type in enumerate(types):
        node = Node("op", None, {"input": value})
        value = Value(f"{number}", type, node)
        node.outputs = (value,)
        nodes.append(node)
    return value, nodes


def test_a_result_is_the_input_of_its_place_made_longer_else_the_nearest_before_it():
    one, two = Value("one", floats(2, dim(3))), Value("two", floats(2, dim(3)))
    short = Value("short", floats(2))
    given = {"one": one, "two": two, "short": short, "n": Value("n", NumberType(int, 1))}
    made, nodes = chained(two, floats(2), floats(2, 4))
    assert _origin(one, made, given) is one, "its place says so"
    assert _origin(None, made, given) is two and _origin(short, made, given) is two
    other, more = chained(short, floats(2, 4))
    assert _origin(None, other, given) is None, "it comes from none of them"
    same, rest = chained(two, floats(2, dim(3)))
    assert _origin(two, same, given) is None, "it is not longer"
    assert nodes and more and rest


def test_a_call_that_leaves_what_it_does_not_return_is_told():
    x, y = Value("x", floats(2)), Value("y", floats(2))
    graph = Graph("f", inputs={"x": x}, outputs=(y,))
    assert not leaves_more(graph)
    graph.left = {"cache": {"a": x, "b": y}}
    assert not leaves_more(graph)
    graph.left = {"cache": {"a": Value("z", floats(2))}}
    assert leaves_more(graph)


class Keeping(nn.Module):
    """Attends to all it has seen, which it leaves in the cache it is given."""

    def forward(self, x, cache):
        keys = torch.cat([cache["keys"], x], 1) if "keys" in cache else x
        cache["keys"] = keys * 1.0
        return torch.softmax(x @ keys.mT, -1) @ keys


def driven(count, length=1):
    model, cache = Keeping(), {}
    with torch.no_grad(), flexir.record(model, names=("first", "next")) as program:
        for n in (2, *[length] * count):
            model(torch.rand(1, n, 4), cache)
    return program


def test_a_cache_that_is_left_in_its_input_is_returned_beside_the_result():
    fixed = fixed_cache(driven(3), 8)
    step = fixed["next"]
    x, slots = torch.rand(1, 1, 4), torch.rand(1, 8, 4)
    made, left = step(x, {"keys": slots.clone()}, position=torch.tensor(3))
    cache = {"keys": slots[:, :3].clone()}
    wanted = Keeping()(x, cache)
    torch.testing.assert_close(made, wanted)
    torch.testing.assert_close(left["cache"]["keys"][:, :4], cache["keys"])
    assert step.history[-1] == "fixed_cache: 8 slots"
    assert fixed["first"].history[-1] == "fixed_cache: results in 8 slots"
    made, left = fixed["first"](torch.rand(1, 2, 4), {})
    assert left["cache"]["keys"].shape == (1, 8, 4) and not left["cache"]["keys"][:, 2:].any()


def test_growth_says_by_how_much_and_along_what():
    growth = growth_of("next", driven(3)["next"])
    assert growth.step == 1 and set(growth.dims.values()) == {1}
    (place,) = growth.dims
    assert "keys" in place
    shapes = {value.name.rpartition(".")[2]: shape for value, shape in growth.shapes.items()}
    assert shapes["x"] == (1, 1, 4) and (1, Filled(0), 4) in shapes.values()
    assert growth_of("first", driven(3)["first"]) is None
    assert growth_of("next", driven(3, 2)["next"]).step == 2


def test_sizes_measured_at_positions_are_one_number_or_grow_with_them():
    assert fitted([4, 4, 4], [1, 2, 3]) == 4 and fitted([3, 4, 5], [1, 2, 3]) == Filled(2)
    assert fitted([3, 4, 6], [1, 2, 3]) is None
    assert at(Filled(2), 5) == 7 and at(4, 5) == 4
    assert is_filled((2, Filled(0))) and not is_filled((2, 3))
    slots = Slots(8, 2)
    assert list(slots.positions) == [1, 2, 3, 4, 5, 6]
    assert slots.static((3, Filled(0), Filled(2), Filled(5))) == (3, 8, 8, 11)


def number(name):
    return Value(name, NumberType(int, 3))


def asked(model, *args):
    """The calls on numbers of a graph whose sizes vary."""
    graph = flexir.capture(model, args[0], also=args[1:])
    return graph, [node for node in graph if node.target in numbers.FUNCTIONS]


def test_a_number_computed_from_sizes_is_known_at_every_position():
    def model(x):
        n = x.shape[1]
        return x.new_zeros(n * 2 + 1), x.sum() * (n - 1)

    graph, nodes = asked(model, (torch.rand(2, 3),), (torch.rand(2, 4),), (torch.rand(2, 6),))
    (x,) = graph.input_values
    draft = Draft(Slots(5, 1), number("position"), set())
    draft.shapes[x] = (2, Filled(0))
    for node in nodes:
        assert is_known(draft, node)
        draft.over[node.outputs[0]] = at_positions(draft, node)
    found = {str(node.outputs[0]): draft.over[node.outputs[0]] for node in nodes}
    assert [1, 2, 3, 4] in found.values() and [3, 5, 7, 9] in found.values()
    assert [0, 1, 2, 3] in found.values()
    draft.over.clear()
    later = [node for node in nodes if node.target not in numbers.QUESTIONS]
    assert later and not any(is_known(draft, node) for node in later)
