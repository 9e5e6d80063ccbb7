"""What elements of tensors decide: numbers, branches and loops of graphs made by hand."""

import pytest
import torch

from flexir.graph import numbers
from flexir.graph.choice import Block, Choice, Loop
from flexir.graph.decided import by_values
from flexir.graph.graph import Graph
from flexir.graph.nodes import Effects, ListType, Node, NumberType, TensorType, Value

TENSOR = TensorType(torch.float32, (2, 3), torch.device("cpu"))
X = Value("x", TENSOR)


def number(name):
    return Value(name, NumberType(int, 0))


def call(op, target, made, **args):
    node = Node(op, target, args)
    node.outputs = made
    for value in made:
        value.producer = node
    return node


def measured(name="n"):
    """A number that a tensor holds."""
    return call("item", torch.Tensor.item, (number(name),), input=X)


def size(name="h"):
    return call("size", numbers.size, (number(name),), input=X, dim=0)


def branch(condition, then, otherwise, made, inputs=(), parameters=((), ())):
    blocks = Block(parameters[0], [], then), Block(parameters[1], [], otherwise)
    return call("if", Choice(*blocks), made, condition=condition, inputs=inputs)


def loop(count, carried, inputs, body, made):
    return call("loop", Loop(body), made, count=count, carried=carried, inputs=inputs)


def decided(*nodes):
    found, led = by_values(Graph("g", inputs={"x": X}, nodes=[*nodes]))
    return {value.name for value in found}, led


def test_what_a_tensor_holds_is_of_values_and_what_its_type_says_is_not():
    n, h = measured(), size()
    more = call("add", numbers.add, (number("m"),), input=n.outputs[0], other=1)
    same = call("add", numbers.add, (number("k"),), input=h.outputs[0], other=1)
    assert decided(n, h, more, same) == ({"n", "m"}, set())


def test_a_condition_that_python_read_is_led_by_values_or_by_sizes():
    n, h = measured(), size()
    asks = []
    for one in (n, h):
        ask = call("gt", numbers.add, (), input=one.outputs[0], other=3)
        ask.effects = Effects(escape="value")
        asks.append(ask)
    assert decided(n, h, *asks) == ({"n"}, {asks[0]})


@pytest.mark.parametrize("of_values", [True, False])
def test_numbers_and_lists_that_a_branch_gives_are_of_what_leads_it(of_values):
    leads = measured("n") if of_values else size("n")
    made = (number("m"), Value("y", TENSOR), Value("list", ListType(2, TENSOR)))
    node = branch(leads.outputs[0], (1, X, ()), (2, X, ()), made)
    found, led = decided(leads, node)
    assert (found - {"n"}, led) == (({"m", "list"}, {node}) if of_values else (set(), set()))


def test_a_branch_by_sizes_gives_numbers_of_values_where_one_of_its_ways_does():
    n, h = measured(), size()
    inner, other = number("inner"), number("other")
    made = (number("m"), number("same"))
    node = branch(
        h.outputs[0], (inner, 1), (5, 1), made,
        inputs=(n.outputs[0], h.outputs[0]), parameters=((inner, other), (number("i2"), other)),
    )  # fmt: skip
    assert decided(n, h, node) == ({"n", "inner", "i2", "m"}, set())


@pytest.mark.parametrize("of_values", [True, False])
def test_a_loop_counted_by_values_has_rounds_and_carried_numbers_of_values(of_values):
    n, h = measured(), size()
    count = (n if of_values else h).outputs[0]
    parameters = number("round"), number("carried"), Value("kept", TENSOR), number("given")
    body = Block(parameters, [], (True, parameters[1], parameters[2]))
    made = number("last"), Value("y", TENSOR)
    node = loop(count, (0, X), (h.outputs[0],), body, made)
    found, led = decided(n, h, node)
    if of_values:
        assert (found, led) == ({"n", "round", "carried", "last"}, {node})
    else:
        assert (found, led) == ({"n"}, set())


def test_a_loop_that_a_tensor_ends_is_led_by_values():
    more = measured("more")
    parameters = (number("round"), number("carried"))
    body = Block(parameters, [more], (more.outputs[0], parameters[1]))
    node = loop(None, (0,), (), body, (number("last"),))
    found, led = decided(node)
    assert led == {node} and found == {"more", "round", "carried", "last"}


def test_what_is_made_late_in_a_round_is_found_where_the_next_begins():
    parameters = (number("round"), number("carried"))
    early = call("add", numbers.add, (number("early"),), input=parameters[1], other=1)
    late = measured("late")
    body = Block(parameters, [early, late], (True, late.outputs[0]))
    node = loop(3, (0,), (), body, (number("last"),))
    assert decided(node) == ({"late", "carried", "early", "last"}, set())
