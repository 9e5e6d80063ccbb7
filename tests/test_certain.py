"""What is certain of a place in runs that took different ways, on scopes made by hand."""

import types

import pytest
from by_hand import body_in, branch, stands, tensor, two_runs

from flexir.recording.alike import Misfit
from flexir.recording.scopes import Scope


@pytest.fixture
def laid():
    return two_runs()


@pytest.fixture
def root():
    return Scope([0, 1], None, 0)


def test_a_value_from_before_is_certain_if_runs_of_both_ways_read_it(laid, root):
    x = tensor()
    root.made[x] = 1
    made = branch(root, [0], [1], born=5)
    assert laid._one_sided(root, [0, 1], 1) is False and laid._one_sided(root, [0], 1) is True
    assert laid._one_sided(root, [1], 4) is True and laid._one_sided(root, [0], 5) is False
    laid.ignored = {1}
    assert laid._one_sided(root, [0], 1) is False, "it does not matter what the other has"
    laid.ignored = set()
    inner = Scope([0], root, 5)
    assert laid._one_sided(inner, [0], 1) is False, "the branch came after the way began"
    assert laid._one_sided(Scope([0], root, 6), [0], 1) is True
    made.otherwise.members = frozenset()
    assert laid._one_sided(root, [0], 1) is False


def test_runs_that_missed_a_loop_say_nothing_of_what_it_left(laid, root):
    root.branches.append(types.SimpleNamespace(born=5))
    assert laid._one_sided(root, [0], 1) is True and laid._one_sided(root, [0, 1], 1) is False
    assert laid._one_sided(root, [0], 5) is False
    laid.ignored = {1}
    assert laid._one_sided(root, [0], 1) is False


def test_some_rounds_alone_read_it(laid, root):
    first, second = laid.part(0), laid.part(1)
    body = body_in(root, first, second, born=4)
    assert laid._partial(body, [first], 1) is True
    assert laid._partial(body, [first, second], 1) is False
    assert laid._partial(body, [first], 4) is False and laid._partial(root, [0], 1) is False
    assert laid._partial(Scope([first], body, 6), [first], 1) is True
    laid.ignored = {second}
    assert laid._partial(body, [first], 1) is False


def test_all_rounds_read_the_same(laid, root):
    first, second = laid.part(0), laid.part(1)
    body = body_in(root, first, second, born=4)
    x, y = tensor(), tensor()
    assert laid._all_rounds(body, {first: x, second: y}, body) is True
    assert laid._all_rounds(body, {first: x}, body) is False
    laid.ignored = {second}
    assert laid._all_rounds(body, {first: x}, body) is True
    laid.ignored = set()
    body.loop.made = {y: first}
    assert laid._all_rounds(body, {first: x, second: y}, body) is False, "a round made it"
    body.loop.made = {}
    branch(body, [first], [second], born=6)
    assert laid._all_rounds(Scope([first], body, 7), {first: x}, body) is False
    made = branch(body, [], [], born=8)
    made.otherwise.members = frozenset([9])
    assert laid._all_rounds(body, {first: x, second: y}, body) is True


A, B = ("f", "a"), ("f", "b")


def test_what_the_variables_that_held_it_at_a_condition_hold_in_all_runs(laid, root):
    x, one, other = tensor(), tensor("one"), tensor("other")
    way = Scope([0], root, 3)
    assert laid.meant(way, {0: x}) == set()
    way.held = {(0, x): {A: one, B: other}}
    assert laid.meant(way, {0: x}) == {one, other} and laid.meant(way, {0: tensor()}) == set()
    laid.read = frozenset([A])
    assert laid.meant(way, {0: x}) == {one}
    way.held = {(0, x): {(*A, 0): one, B: other}}
    assert laid.meant(way, {0: x}) == {one}, "an element of what is read"
    laid.read = frozenset([("g", "z")])
    assert laid.meant(way, {0: x}) == {one, other}
    deeper = Scope([0], way, 5)
    assert laid.meant(deeper, {0: x}) == {one, other}, "the condition around"
    assert laid.meant(way, {1: x}) == set(), "another run"


def test_conditions_before_a_loop_are_asked_if_that_is_said(laid, root):
    x, one = tensor(), tensor("one")
    first = laid.part(0)
    way = Scope([0], root, 3)
    way.held = {(0, x): {A: one}}
    body = body_in(way, first, born=4)
    assert laid.meant(body, {first: x}) == set()
    assert laid.meant(body, {first: x}, beyond=True) == {one}


def test_what_one_way_alone_reads_is_what_variables_say(laid, root):
    x, y, one = tensor(), tensor(), tensor("one")
    made = stands(laid, root, x, y)
    branch(root, [0], [1], born=5)
    inner = Scope([0], root, 6)
    with pytest.raises(Misfit, match="not certain"):
        laid._certain(inner, {0: x}, made)
    assert laid._certain(root, {0: x, 1: y}, made) is made
    inner.held = {(0, x): {A: one}}
    assert laid._certain(inner, {0: x}, made) is one
    inner.held = {(0, x): {A: one, B: tensor()}}
    with pytest.raises(Misfit):
        laid._certain(inner, {0: x}, made)
    inner.held = {(0, x): {A: None}}
    with pytest.raises(Misfit):
        laid._certain(inner, {0: x}, made)
    inner.held = {}
    laid.constants[made] = "a constant"
    assert laid._certain(inner, {0: x}, made) is made, "a constant is what it is"
    with pytest.raises(Misfit):
        laid._certain(inner, {0: x}, None)
    inner.held = {(0, x): {A: one}}
    assert laid._certain(inner, {0: x}, made) is one and laid._certain(inner, {0: x}, None) is one


def test_an_element_is_as_old_as_its_list(laid, root):
    x, y = tensor(), tensor()
    made = stands(laid, root, x, y, age=9)
    branch(root, [0], [1], born=5)
    inner = Scope([0], root, 10)
    assert laid._certain(inner, {0: x}, made) is made
    laid.ages[made] = 1
    with pytest.raises(Misfit):
        laid._certain(inner, {0: x}, made)


def test_what_all_rounds_read_from_before_is_certain_there_too(laid, root):
    x, y, one = tensor(), tensor(), tensor("one")
    made = stands(laid, root, x, y)
    branch(root, [0], [1], born=2)
    way = Scope([0], root, 3)
    first, second = laid.part(0), laid.part(0)
    body = body_in(way, first, second, born=4)
    body.loop.scope = way
    with pytest.raises(Misfit):
        laid._certain(body, {first: x, second: x}, made)
    way.held = {(0, x): {A: one}}
    assert laid._certain(body, {first: x, second: x}, made) is one
    with pytest.raises(Misfit):
        laid._certain(body, {first: x}, made)  # the other round may read something else
    laid._partial = lambda *_: False
    body.loop.made = {x: first}
    assert laid._certain(body, {first: x}, made) is one, "asked beyond the loop"
