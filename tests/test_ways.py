"""What one place holds in runs that took different ways, on scopes made by hand."""

import types

import pytest
from by_hand import (
    TENSOR,
    Laid,
    body_in,
    branch,
    call,
    computed,
    number,
    size,
    stands,
    tensor,
    two_runs,
)

from flexir.graph import numbers
from flexir.graph.nodes import Node, TensorType, Value
from flexir.recording.alike import Misfit, only_a_number
from flexir.recording.scopes import Scope
from flexir.recording.ways import Env, Ways, close, copied, is_number


@pytest.fixture
def laid():
    return two_runs()


@pytest.fixture
def root():
    return Scope([0, 1], None, 0)


def test_what_stands_for_a_value_in_a_round_or_around_it():
    outer = Env()
    inner, a, b, c = Env(outer), tensor(), tensor(), tensor()
    outer[a], outer[b], inner[b] = "a", "b", "inner b"
    assert (inner.get(a), inner.get(b), inner.get(c), inner.get(c, 1)) == ("a", "inner b", None, 1)
    assert outer.get(c, 2) == 2 and outer.get(a, 2) == "a" and outer.get(c) is None


def test_only_so_much_is_tried():
    made = Ways(1)
    assert made.left == 0 and made.clock == 0 and made.around == [None] and made.written == [{}]
    made.spend(0)
    made.left = 3
    made.spend()
    made.spend(2)
    assert made.left == 0
    with pytest.raises(Misfit, match="too many ways"):
        made.spend()
    assert (made.tick(), made.tick(), made.clock) == (1, 2, 2)


def test_a_round_is_a_run_of_its_own(laid, root):
    first, second = laid.part(0), laid.part(1)
    deep = laid.part(first)
    assert (first, second, deep) == (2, 3, 4) and laid.env[deep].around is laid.env[first]
    body = body_in(root, first, second)
    assert [laid.in_scope(root, r) for r in (0, first, deep)] == [0, 0, 0]
    assert [laid.in_scope(body, r) for r in (0, first, deep)] == [None, first, first]
    assert laid.per_run(root, {first: "a", deep: "a", second: "b"}) == {0: "a", 1: "b"}
    assert laid.per_run(body, {first: 3, deep: 3}) == {first: 3}
    with pytest.raises(Misfit):
        laid.per_run(body, {first: 3, 1: 3})  # a run that is none of its rounds
    for one, other in (("a", "b"), (None, "a"), ("a", None)):
        with pytest.raises(Misfit, match="not the same in all rounds"):
            laid.per_run(root, {first: one, deep: other})
    whole = [1, 2]
    assert laid.per_run(root, {first: whole, deep: [1, 2]}) == {0: whole}


def test_a_new_value_is_of_its_scope(laid, root):
    made = laid.new(TENSOR, None, root)
    assert root.made == {made: 1} and made.type is TENSOR and laid.clock == 1


def test_what_stands_for_all_runs_is_taken(laid, root):
    x, y = tensor(), tensor()
    made = stands(laid, root, x, y)
    assert laid.one(root, {0: x, 1: y}, []) is made
    stands(laid, root, tensor(), y)
    with pytest.raises(Misfit, match="not certain what one place holds"):
        laid.one(root, {0: x, 1: y}, [])
    hidden = Value("", TENSOR)
    laid.env[0][x] = laid.env[1][y] = hidden  # it was made inside of something
    with pytest.raises(Misfit):
        laid.one(root, {0: x, 1: y}, [])


# -- numbers


def test_a_number_computed_alike_is_written_down_once(laid, root):
    x, y, out = tensor(), tensor(), []
    made = stands(laid, root, x, y)
    pair = {0: size(x, was=7), 1: size(y, was=8)}
    found = laid.one(root, pair, out)
    [node] = out
    assert node.target is numbers.size and node.args == {"input": made, "dim": 0}
    assert node.outputs == (found,) and node.result is found and found.producer is node
    assert found.type.recorded == 7 and root.made[found] and laid.one(root, pair, out) is found
    assert len(out) == 1
    other = laid.one(root, {0: size(x, 1), 1: size(y, 1)}, out)
    assert other is not found and len(out) == 2
    hidden = Scope([0, 1], None, 99)
    hidden.made[made] = 1
    assert laid.one(hidden, pair, out) is not found, "it is not seen there"


def test_true_is_not_one_in_what_is_written_down(laid, root):
    x, y, out = tensor(), tensor(), []
    stands(laid, root, x, y)
    ways = [
        laid.one(root, {r: computed(numbers.mul, input=size(v), other=by)
                        for r, v in enumerate((x, y))}, out)
        for by in (1, True, 1.0)
    ]  # fmt: skip
    assert len(set(ways)) == 3


def test_what_was_written_down_around_is_taken(laid, root):
    x, y, out = tensor(), tensor(), []
    stands(laid, root, x, y)
    pair = {0: size(x), 1: size(y)}
    pair[0].producer.effects = "its effects"
    found = laid.one(root, pair, out)
    assert found.producer.effects == "its effects"
    laid.written.append({})
    assert laid.one(root, pair, out) is found and len(out) == 1 and laid.written[-1] == {}


def test_the_number_of_a_round_is_what_the_loop_says(laid, root, monkeypatch):
    pair = {r: computed(numbers.turn, number=1, loop="loop") for r in (0, 1)}
    said = number("index")
    monkeypatch.setattr(Laid, "turn", lambda self, scope, nodes, out: said)
    assert laid.one(root, pair, []) is said
    monkeypatch.setattr(Laid, "turn", lambda self, scope, nodes, out: None)
    out = []
    assert laid.one(root, pair, out).producer is out[0]


def test_what_is_neither_is_an_element_or_of_a_loop(laid, root, monkeypatch):
    x, y, found = tensor(), tensor(), tensor("found")
    root.made[found] = 1
    monkeypatch.setattr(Laid, "element", lambda self, scope, values, out: found)
    assert laid.one(root, {0: x, 1: y}, []) is found
    monkeypatch.setattr(Laid, "element", lambda self, scope, values, out: None)
    monkeypatch.setattr(Laid, "final", lambda self, scope, loop, values: (loop.born, found)[1])
    monkeypatch.setattr(Laid, "in_rounds", lambda *_: None)
    with pytest.raises(Misfit):
        laid.one(root, {0: x, 1: y}, [])
    root.branches.append(types.SimpleNamespace(born=0))
    before = laid.left
    assert laid.one(root, {0: x, 1: y}, []) is found and laid.left == before - 1


def test_a_number_that_is_computed_otherwise_is_decided_by_a_branch(laid, root):
    x, y = tensor(), tensor()
    stands(laid, root, x, y)
    pair = {0: size(x), 1: computed(numbers.numel, input=y)}
    with pytest.raises(Misfit, match="a number that nothing explains"):
        laid.one(root, pair, [])
    nodes = {r: value.producer for r, value in pair.items()}
    with pytest.raises(Misfit, match="a number is computed otherwise"):
        laid._number(root, nodes, [])
    parted = branch(root, [0], [1], born=5)
    parted.before = parted.then.before = types.SimpleNamespace(differing={}, functions=())
    made = laid.one(root, pair, [])
    assert [one[2] for one in parted.outputs.values()] == [made]
    assert [one.target for one in parted.then.nodes] == [numbers.size]
    assert [one.target for one in parted.otherwise.nodes] == [numbers.numel]


def test_what_only_computes_a_number():
    plain, other = size(tensor()).producer, call("relu", None, tensor())
    assert only_a_number(plain) is True and only_a_number(other) is False
    plain.body = []
    assert only_a_number(plain) is False
    assert only_a_number(Node("size", numbers.size, {})) is False, "it gives none"
    assert is_number(2) is True and is_number(2.5) is True and is_number(True) is False
    assert is_number("2") is False and is_number(number()) is True and is_number(tensor()) is False


def test_a_call_is_copied_with_other_arguments():
    node = call("relu", len, tensor(), input=1)
    node.path, node.call, node.signature = "a.b", 3, object()
    node.source = object()
    made = copied(node, {"input": 2})
    for name in ("op", "target", "path", "call", "signature", "source"):
        assert getattr(made, name) is getattr(node, name), name
    assert made.args == {"input": 2} and made.outputs == () and made is not node


# -- branches


def test_what_came_by_two_ways_is_an_output_of_the_branch(laid, root):
    x, y = tensor(), tensor()
    made = branch(root, [0], [1])
    a, b = Value("", TENSOR), Value("", TENSOR)
    made.then.made[a], made.otherwise.made[b] = 2, 3
    laid.env[0][x], laid.env[1][y] = a, b
    found = laid.one(root, {0: x, 1: y}, [])
    assert list(made.outputs.values()) == [(a, b, found)] and found.producer is made.node
    assert root.made[found] == made.born and found.type == TENSOR
    assert laid.one(root, {0: x, 1: y}, []) is found and len(made.outputs) == 1


def test_the_last_branch_is_asked_first(laid, root):
    x, y = tensor(), tensor()
    first, last = branch(root, [0], [1], born=1), branch(root, [0], [1], born=2)
    a, b = Value("", TENSOR), Value("", TENSOR)
    for one in (first, last):
        one.then.made[a], one.otherwise.made[b] = one.born + 1, one.born + 1
    laid.env[0][x], laid.env[1][y] = a, b
    laid.one(root, {0: x, 1: y}, [])
    assert last.outputs and not first.outputs
    inner = Scope([0, 1], root, 2)  # begun before the last one
    last.outputs.clear()
    laid.one(inner, {0: x, 1: y}, [])
    assert first.outputs and not last.outputs


def test_an_output_is_known_by_what_comes_by_each_way(laid, root):
    made = branch(root, [0], [1])
    x, y = tensor(), tensor()
    assert laid.output(root, made, x, x) is x and not made.outputs
    one = laid.output(root, made, 1, 2)
    assert laid.output(root, made, 1, 2) is one and laid.output(root, made, True, 2) is not one
    assert laid.output(root, made, 1.0, 2) is not one and laid.output(root, made, 2, 1) is not one
    assert one.type.kind is int and one.type.recorded == 1 and one.producer is made.node
    both = laid.output(root, made, x, y)
    assert both.type is x.type and root.made[both] == made.born
    assert laid.output(root, made, None, y).type is y.type
    wide = Value("w", TensorType(TENSOR.dtype, (2,), TENSOR.device))
    with pytest.raises(Misfit, match="come to the same place"):
        laid.output(root, made, x, wide)
    second = Scope([1], root, 3)
    assert laid.output(second, made, 5, 6).type.recorded == 6, "as the first run recorded it"
    assert laid.output(root, made, 0.5, number()).type.kind is float


def test_branches_become_nodes_from_the_inside_out(laid, root):
    x, kept = tensor("x"), tensor("kept")
    outer = branch(root, [0], [1])
    inner, twin = branch(outer.then, [0], []), branch(outer.otherwise, [1], [])
    step = call("step", None, tensor("s"), input=x)
    inner.then.nodes.append(step)
    outer.then.nodes.append(inner.node)
    outer.otherwise.nodes.append(twin.node)
    one, other = tensor("one"), tensor("other")
    inner.outputs["k"] = step.outputs[0], 2, one
    outer.outputs["k"] = one, kept, other
    loop = types.SimpleNamespace(closed=0)
    loop.close = lambda: setattr(loop, "closed", loop.closed + 1)
    root.branches.append(loop)
    condition = outer.node.args["condition"]
    close(root)
    assert loop.closed == 1
    node = outer.node
    assert node.args["condition"] is condition and {x, kept} <= {*node.args["inputs"]}
    assert node.outputs == node.result == (other,)
    then, otherwise = node.target.then, node.target.otherwise
    assert then.nodes == [inner.node] and then.outputs == (one,) and twin.node.target
    assert len(then.parameters) == len(otherwise.parameters) == len(node.args["inputs"])
    assert otherwise.outputs[0] in otherwise.parameters and inner.node.outputs == (one,)
