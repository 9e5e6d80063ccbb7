"""A loop while its runs are laid over each other, made by hand: what it holds, forgets, becomes."""

import types

import pytest
from by_hand import TENSOR, branch, call, code_of, held, number, tensor, whole

from flexir.graph.choice import Loop
from flexir.graph.nodes import ListType, Node, Value
from flexir.recording import looping
from flexir.recording.comparable import IN_GRAPH
from flexir.recording.looping import (
    ANY,
    Looping,
    Slot,
    drop_unread,
    is_decided,
    is_decided_since,
    recorded_count,
    values_read,
)
from flexir.recording.scopes import Scope


def loop_in(scope, *rounds, count=None, born=3):
    """A loop of runs that have these rounds."""
    body = Scope([part for parts in rounds for part in parts], scope, born)
    node = Node("loop", None, {})
    made = body.loop = Looping(node, scope, body, count)
    made.born, made.nodes = born, scope.nodes
    made.rounds = {r: list(parts) for r, parts in enumerate(rounds)}
    made.place = {part: (r, k) for r, parts in enumerate(rounds) for k, part in enumerate(parts)}
    scope.branches.append(made)
    scope.nodes.append(node)
    return made


@pytest.fixture
def scope():
    return Scope([0, 1], None, 0)


def slot_of(loop, initial=None, following=None, output=None, sealed=True):
    made = Slot({}, tensor("param"))
    made.initial, made.next, made.output, made.sealed = initial, following, output, sealed
    loop.slots.append(made)
    return made


def test_a_loop_begins_with_nothing(scope):
    made = Looping(Node("loop", None, {}), scope, Scope([2], scope, 1), None)
    assert made.born == made.least == made.skipped == 0 and made.goes_on is True
    assert made.grows is False and made.name == "" and made.ends == ()
    assert not (made.names or made.grown or made.changing or made.live or made.out or made.left)
    assert not (made.rounds or made.place or made.made or made.starts or made.after or made.gains)
    assert made.nodes == [] and made.code is None and made.index.is_number and made.slots == []
    one = Slot({1: "a"}, "param")
    assert (one.column, one.param, one.finals) == ({1: "a"}, "param", {}) and one.sealed is False
    assert one.output is one.initial is one.next is None


def test_what_was_found_since_is_forgotten(scope):
    loop = loop_in(scope, [2, 3], [4])
    loop.nodes, loop.out = [], [call("a", None)]
    gain, first = ({2: tensor()}, None, tensor()), slot_of(loop, sealed=False)
    loop.gains.append(gain)
    kept = list(loop.out)
    mark = loop.mark()
    loop.out.append(call("b", None))
    loop.gains.append(gain)
    slot_of(loop)
    first.sealed, first.next = True, "something"
    gains, slots, out = loop.gains, loop.slots, loop.out
    loop.back_to(mark)
    assert gains == [gain] and slots == [first] and out == kept
    assert first.sealed is False and first.next is None
    assert gains is loop.gains and slots is loop.slots and out is loop.out
    loop.out = loop.nodes = [call("c", None)]  # the list around is cut by whoever holds it
    loop.back_to(mark)
    assert len(loop.out) == 1 and loop.out[0].op == "c"


def test_rounds_tell_what_a_variable_does_if_they_begin_with_other_values(scope, tmp_path):
    loop = loop_in(scope, [2, 3], [4])
    code = loop.code = code_of("def f(n): return n\n", tmp_path)
    other = code_of("def g(n): return n\n", tmp_path, "g")
    loop.starts = {2: held(code, n=whole(1)), 3: held(code, n=whole(2)), 4: None}
    loop.starts[5] = held(other, n=whole(7), around=[(code, 0)])
    loop.starts[6] = held(other, n=whole(8))
    scalars = {whole(1), whole(2)}
    assert loop.tells("n", [2, 3], scalars) is True
    assert loop.tells("n", [2], scalars) is False and loop.tells("n", [2, 2], scalars) is False
    assert loop.tells("n", [2, 4], scalars) is False and loop.tells("n", [2, 6], scalars) is False
    assert loop.tells("n", [2, 5], scalars) is True, "in the function around it is another"
    assert loop.tells("n", [4], scalars) is True, "nothing is known of it"
    assert loop.tells("n", [2], {IN_GRAPH, ("list", 2)}) is True
    assert loop.tells("n", [2], {IN_GRAPH, whole(1)}) is False


def test_what_a_variable_holds_when_a_round_is_over(scope, tmp_path):
    loop = loop_in(scope, [2, 3], [4])
    code, a, b, c = code_of("def f(n): return n\n", tmp_path), tensor(), tensor(), tensor()
    place = ("f", "h")
    loop.starts = {2: held(code, tensors={"h": a}), 3: held(code, tensors={"h": b}), 4: None}
    loop.left = {0: {place: c}, 1: {}}
    assert loop.lasts == {0: 3, 1: 4}
    assert loop.held_after(2, place) is b, "what the next one begins with"
    assert loop.held_after(3, place) is c, "what it leaves"
    assert loop.held_after(4, place) is ANY and loop.held_after(2, ("f", "no")) is ANY
    loop.starts[3] = None
    assert loop.held_after(2, place) is ANY
    assert loop.shifted({2: a, 3: b, 4: "x"}, {0: c}) == {2: b, 3: c, 4: ANY}
    assert loop.shifted({}, {0: c, 1: a}) == {2: ANY, 3: c, 4: a}


def test_of_three_rounds_the_second_follows_the_first(scope, tmp_path):
    loop = loop_in(scope, [2, 3, 4])
    code, a, b, c = code_of("def f(n): return n\n", tmp_path), tensor(), tensor(), tensor()
    loop.starts = {p: held(code, tensors={"h": v}) for p, v in zip((2, 3, 4), (a, b, c))}
    assert loop.held_after(2, ("f", "h")) is b and loop.held_after(3, ("f", "h")) is c
    assert loop.shifted({2: a, 3: b, 4: c}, {0: a}) == {2: b, 3: c, 4: a}


def test_the_values_that_a_loop_reads(scope):
    count, goes_on, gain = number(), number(), tensor()
    loop = loop_in(scope, [2], count=count)
    loop.goes_on, loop.gains = goes_on, [({}, gain, tensor()), ({}, 2.5, tensor())]
    one = slot_of(loop, tensor("i"), tensor("n"))
    unsealed = slot_of(loop, tensor(), tensor(), sealed=False)
    left = slot_of(loop, tensor(), tensor(), output=tensor(), sealed=False)
    slot_of(loop, 1, True)
    assert set(loop.values()) == {count, goes_on, gain, one.initial, one.next, left.next}
    assert unsealed.next not in set(loop.values())


def test_places_that_nobody_reads_are_forgotten(scope):
    loop = loop_in(scope, [2])
    a, b, c = slot_of(loop), slot_of(loop, output=tensor()), slot_of(loop, output=tensor())
    kept, gone = ({}, None, tensor()), ({}, None, tensor())
    loop.gains = [kept, gone]
    read = {a.param, b.output, c.param, kept[2], gone[2]}
    assert loop.drop_unread(read) is False and loop.slots == [a, b, c]
    assert loop.drop_unread(read - {c.param}) is True and loop.slots == [a, b]
    assert loop.drop_unread(read - {gone[2]}) is True and loop.gains == [kept]
    assert loop.drop_unread(read) is False


def test_a_loop_becomes_its_node(scope):
    count, first, given, x = number(), tensor("first"), tensor("given"), tensor("x")
    loop = loop_in(scope, [2, 3], count=count)
    before, after = call("before", None), call("after", None)
    scope.nodes[:] = [before, loop.node, after]
    loop.out, loop.ends, loop.least = [call("out", None)], ("count",), 1
    made = tensor("made")
    step = call("step", None, made, input=x, other=given, number=loop.index)
    loop.body.nodes.append(step)
    one = slot_of(loop, first, made, output=tensor("after"))
    one.param = x
    two = slot_of(loop, first, made)
    slot_of(loop, first, made, sealed=False)
    gain = Value("all", ListType(2, TENSOR))
    loop.gains = [({}, made, gain)]
    inner = branch(loop.body, [2], [3])
    loop.close()
    assert inner.node.target.then.nodes == [], "what stands in it is closed, too"
    assert loop.index.type.recorded == 0
    node = loop.node
    assert node.args == {"count": count, "carried": (first, first), "inputs": (given,)}
    assert isinstance(node.target, Loop) and node.target.ends == ("count",)
    assert node.target.least == 1 and node.outputs == node.result
    output, unread, lists = node.outputs
    assert output is one.output and lists is gain and alike_types(unread, two.param)
    assert all(value.producer is node for value in node.outputs)
    assert [one.op for one in scope.nodes] == ["before", "out", "loop", "after"]
    block = node.target.body
    assert len(block.parameters) == 4 and len(block.outputs) == 4 and block.outputs[0] is True
    assert block.parameters[0] is loop.index and block.parameters[1] is x


def alike_types(one, other):
    return one.type == other.type


def test_ways_parted_if_there_is_a_branch_also_in_a_loop(scope):
    assert is_decided(scope, 0) is False
    loop = loop_in(scope, [2, 3], [4], born=5)
    assert is_decided(scope, 0) is False, "its rounds all go one way"
    branch(loop.body, [2], [3, 4], born=1)
    assert is_decided(scope, 4) is True and is_decided(scope, 5) is False
    scope.branches.clear()
    branch(scope, [0], [1], born=5)
    assert is_decided(scope, 4) is True and is_decided(scope, 5) is False


def test_ways_parted_since_a_value_was_made(scope):
    early, late, inside = tensor(), tensor(), tensor()
    scope.made = {early: 2, late: 6}
    inner = Scope([0], scope, 4)
    inner.made[inside] = 7
    assert not is_decided_since(inner, early) and not is_decided_since(inner, late)
    branch(scope, [0], [1], born=5)
    assert is_decided_since(inner, early) and is_decided_since(scope, early)
    assert not is_decided_since(inner, late) and not is_decided_since(inner, inside)
    scope.branches.clear()
    inner.before = object()  # it is one of the ways of a condition
    assert is_decided_since(inner, early) is True
    assert is_decided_since(inner, late) is False, "made while this way was gone"
    assert is_decided_since(inner, inside) is False
    scope.made[early] = 4
    assert is_decided_since(inner, early) is False


def test_how_many_rounds_a_run_says():
    assert recorded_count(number("n", 7)) == 7 and recorded_count(4) == 4
    assert recorded_count([tensor(), tensor()]) == 2


def test_all_that_is_read(scope):
    x, y, z, w = (tensor() for _ in range(4))
    loop = loop_in(scope, [2], count=number())
    loop.out.append(call("out", None, tensor(), input=w))
    scope.nodes.append(call("a", None, tensor(), input=x))
    module = call("m", None, tensor(), input=y)
    inside, result = tensor(), tensor()
    module.body, module.result = [call("b", None, inside, input=z)], result
    scope.nodes.append(module)
    made = branch(scope, [0], [1])
    left, right, deep = tensor(), tensor(), tensor()
    made.outputs["k"] = left, right, tensor()
    made.outputs["l"] = 1, True, tensor()
    made.then.nodes.append(call("c", None, tensor(), input=deep))
    found = values_read(scope)
    assert found == {x, y, z, w, result, left, right, deep, loop.count}


def test_calls_that_nobody_made_go_where_nobody_reads_them(scope):
    a, b, c, kept = (tensor(n) for n in "abck")
    first, second = call("a", None, a, input=kept), call("b", None, b, input=a)
    users, third = call("users", None, tensor()), call("c", None, c, input=kept)
    module = call("m", None, tensor())
    module.body, module.result = [third], None
    scope.nodes.extend([first, second, users, module])
    mine = {first, second, third}
    drop_unread(scope, [b], mine)
    assert mine == {first, second} and scope.nodes == [first, second, users, module]
    assert module.body == []
    drop_unread(scope, [], mine)
    assert mine == set() and scope.nodes == [users, module]


def test_outputs_of_branches_that_nobody_reads_go_first(scope):
    a, unread, read = tensor(), tensor(), tensor()
    mine = call("mine", None, a)
    made = branch(scope, [0], [1])
    made.then.nodes.append(mine)
    made.outputs = {"u": (a, a, unread), "r": (1, 2, read)}
    drop_unread(scope, [read], {mine})
    assert made.outputs.keys() == {"r"} and made.then.nodes == []
    loop = loop_in(scope, [2])
    one, other = call("one", None, tensor()), call("other", None, tensor())
    loop.out.append(one)
    loop.body.nodes.append(other)
    slot_of(loop, following=other.outputs[0], output=tensor())
    drop_unread(scope, [read], {one, other})
    assert loop.out == loop.body.nodes == loop.slots == []
    assert isinstance(loop, looping.Looping) and types
