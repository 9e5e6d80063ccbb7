"""What makes a graph sound: every rule of the grammar is broken once."""

import pytest
import torch
from torch import nn

import flexir
from flexir.graph.account import Mutation, State
from flexir.graph.check import finalize, free_name
from flexir.graph.nodes import Node, Value


def graph():
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.BatchNorm1d(3))
    return flexir.capture(model, torch.ones(2, 3))


def ghost():
    return Value("ghost", flexir.TensorType(torch.float32, (2, 3), torch.device("cpu")))


def broken(match):
    return pytest.raises(flexir.GraphError, match=match)


def test_a_sound_graph_passes_and_is_returned():
    one = graph()
    assert one.check() is one


def test_an_input_has_no_producer():
    one = graph()
    one.input_values[0].producer = next(iter(one))
    with broken("%input: .* is an input or constant but has a producer"):
        one.check()


def test_a_constant_has_no_producer():
    one = graph()
    next(iter(one.constants)).producer = next(iter(one))
    with broken("is an input or constant but has a producer"):
        one.check()


@pytest.mark.parametrize("nested", [False, True])
def test_a_value_is_made_before_it_is_read(nested):
    one, value = graph(), ghost()
    next(iter(one)).args["input"] = (1, [value]) if nested else value
    with broken("%ghost.* is used before it is made, in: .*linear"):
        one.check()


def test_nodes_stand_in_order():
    one = graph()
    one.nodes[0].body = one.nodes[0].body[::-1]
    with broken("is used before it is made"):
        one.check()


def test_names_are_unique():
    one = graph()
    nodes = list(one)
    nodes[1].outputs[0].name = nodes[0].outputs[0].name
    with broken("two values are named %1"):
        one.check()


def test_a_value_is_made_once():
    one = graph()
    inner = one.nodes[0].body
    inner.append(inner[0])
    with broken("is made twice, again by"):
        one.check()


def test_a_value_names_its_producer():
    one = graph()
    first, second = list(one)[:2]
    first.outputs[0].producer = second
    with broken("names another producer than"):
        one.check()


def test_an_output_of_the_graph_is_made():
    one = graph()
    one.outputs = [ghost()]
    with broken("%ghost.* is a result of the graph but nothing makes it"):
        one.check()


def test_what_a_module_returns_is_made():
    one = graph()
    one.nodes[0].outputs = (ghost(),)
    with broken("%ghost.* is returned but not made by"):
        one.check()


def test_what_is_written_is_an_argument():
    one = graph()
    node = next(node for node in one if node.effects.writes)
    (name, part), *rest = node.effects.writes.items()
    node.effects = node.effects._replace(writes={"nowhere": part, **dict(rest)})
    with broken(r"writes \['nowhere'\], which are no arguments"):
        one.check()


@pytest.mark.parametrize("kind", [Mutation, State])
def test_what_is_kept_begins_with_an_input_or_constant_and_ends_with_a_value(kind):
    one = graph()
    made, constant = next(iter(one)).outputs[0], next(iter(one.constants))
    kept = one.mutations if kind is Mutation else one.state
    kept.append(kind("x", made, made))
    with broken("begins with %1.*, no input or constant"):
        one.check()
    kept[-1] = kind("x", constant, ghost())
    with broken("%ghost.* is a result of the graph but nothing makes it"):
        one.check()


def test_settling_forgets_only_the_constants_nobody_reads():
    one, value = graph(), ghost()
    one.constants[value] = torch.ones(2, 3)
    names = {v.name for v in one.constants} - {"ghost"}
    assert {v.name for v in finalize(one).constants} == names


def test_constants_that_only_a_state_begins_with_are_kept():
    one, value = graph(), ghost()
    one.constants[value] = torch.ones(2, 3)
    one.state.append(State("h", value, next(iter(one)).outputs[0]))
    assert value in finalize(one).constants


def test_free_names_are_numbered_and_taken():
    taken = {"x", "x_2"}
    assert [free_name(wish, taken) for wish in ("x", "y", "x")] == ["x_3", "y", "x_4"]
    assert taken == {"x", "x_2", "x_3", "x_4", "y"}


def test_a_node_prints_its_call():
    assert str(Node("relu", torch.relu, {"input": ghost()})) == "relu(%ghost)"
