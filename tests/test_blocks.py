"""Calls with blocks, what a replay must agree with, and patterns: by hand-made nodes."""

import types

import pytest
import torch

import flexir
from flexir.graph import agreement, choice
from flexir.graph.nodes import Node, NumberType, TensorType, Value
from flexir.passes.pattern import Pattern, _literal, _orders, _Wild

CPU = torch.device("cpu")


def tensor(*shape, dtype=torch.float32):
    return TensorType(dtype, shape, CPU)


def value(name="v", type=None):
    return Value(name, tensor(2) if type is None else type)


def call(op, *inputs, target=None):
    node = Node(op, target, {f"a{i}": part for i, part in enumerate(inputs)})
    made = Value(op, tensor(2), node)
    node.result, node.outputs = made, (made,)
    return node


def refused(check, *args):
    try:
        check(*args)
    except flexir.Diverged as error:
        return str(error)
    return None


def test_a_replayed_tensor_has_the_recorded_type():
    node = call("relu")
    x = value(type=tensor(2, 3))
    check = lambda part, of=x, node=node: refused(agreement.check_type, node, of, part)
    block = choice.Block((), [], ())
    branch = Node("if", choice.Choice(block, block), {"condition": value(), "inputs": ()})
    assert check(torch.ones(2, 3)) is None and "has shape (3, 2)" in check(torch.ones(3, 2))
    assert "dtype torch.float64" in check(torch.ones(2, 3).double()) and "is 3" in check(3)
    assert check(None) is not None and check(None, node=branch) is None
    whole, truth = value(type=NumberType(int, 3)), value(type=NumberType(bool, True))
    assert check(4, whole) is None and check(2.5, whole) is None
    assert "is True" in check(True, whole) and "is 1" in check(1, truth)
    assert check(False, truth) is None and check(torch.ones(2, 3), whole) is not None


def loop_node(least=0, ends=("count",), carried=()):
    target = types.SimpleNamespace(least=least, ends=ends)
    return Node("loop", target, {"carried": carried})


def test_a_loop_ends_as_an_example_showed():
    rounds = lambda *a: refused(agreement.check_rounds, *a)
    assert rounds(loop_node(1), 1, True) is None and rounds(loop_node(0), 0, None) is None
    assert "has 0 rounds" in rounds(loop_node(1), 0, None)
    assert "ended by its condition after 3" in rounds(loop_node(), 3, False)
    assert rounds(loop_node(ends=("condition",)), 3, False) is None
    assert "ran through after 2" in rounds(loop_node(ends=("condition",)), 2, True)
    assert rounds(loop_node(), 3, None) is None and rounds(loop_node(), 0, False) is None
    one = lambda *a: refused(agreement.check_round, *a)
    node = loop_node(carried=(1, None))
    assert one(node, 2, True, None, (1, 2)) is None and one(node, 2, False, False, (1, 2)) is None
    assert one(node, 2, False, True, (1, None)) is None
    assert "like number 1" in one(node, 2, False, None, (1, 2))
    assert "like number 1" in one(node, 2, False, True, (None, 2))


def test_a_value_that_left_torch_is_the_recorded_one():
    def check(kind, recorded, result, named=None):
        node = call("item")
        node.effects, node.result = node.effects._replace(escape=kind), recorded
        return refused(agreement.check_escape, node, named or {}, result)

    assert check("text", "a", "b") is None and check("value", 3, 3) is None
    assert "the value taken by item() was 3 when recorded and is 4" in check("value", 3, 4)
    assert "the branch taken" in check("branch", True, False)
    assert "the answer taken" in check("about", (1, 2), (2, 1)) and check("about", 1, 1) is None
    from flexir.graph.geometry import fingerprint

    x = torch.ones(2)
    assert check("memory", fingerprint(x), None, {"input": x}) is None
    assert "gave this tensor's memory" in check("memory", fingerprint(x), None, {"input": x + 1})


def test_what_can_stand_in_one_place():
    alike = choice.alike
    assert alike(tensor(2, 3), tensor(4, 5)) and not alike(tensor(2, 3), tensor(2))
    assert not alike(tensor(2), tensor(2, dtype=torch.int8))
    assert not alike(tensor(2), TensorType(torch.float32, (2,), torch.device("meta")))
    assert alike(NumberType(int, 1), NumberType(int, 2))
    assert not alike(NumberType(int, 1), NumberType(float, 1.0))
    assert not alike(NumberType(int, 1), tensor(2))


def test_a_block_is_closed_over_what_it_reads():
    outside, first = value("outside"), value("first")
    inner = call("relu", outside)
    outer = call("add", inner.outputs[0], [first, (outside,)])
    assert choice.free_values([inner, outer], (inner.outputs[0],)) == [outside, first]
    stray = value("stray")
    assert choice.free_values([inner], (stray, 3)) == [outside, stray]
    block = choice.closed([inner, outer], (outer.outputs[0], outside, 5), [outside], (first,))
    assert block.parameters[0] is first and len(block.parameters) == 2
    own = block.parameters[1]
    assert own is not outside and own.type == outside.type
    assert inner.args["a0"] is own and outer.args["a1"] == [first, (own,)]
    assert block.outputs == (outer.outputs[0], own, 5)
    assert choice.free_values(block.nodes, block.outputs) == [own, first]


def nodes_with_blocks():
    then, other, inside, after = call("relu"), call("neg"), call("exp"), call("sin")
    p = value("p")
    target = choice.Choice(choice.Block((), [then], ()), choice.Block((), [other], ()))
    branch = Node("if", target, {"condition": True, "inputs": ()})
    body = choice.Block((value("n", NumberType(int, 0)), p), [inside], (True,))
    loop = Node("loop", choice.Loop(body), {"count": 2, "carried": (), "inputs": (value("x"),)})
    module = Node("Net", None, {}, body=[branch])
    return [module, loop, after], (module, branch, then, other, loop, inside, after), p


def test_walks_enter_blocks_in_order():
    nodes, (module, branch, then, other, loop, inside, after), p = nodes_with_blocks()
    assert list(choice.walk(nodes)) == [module, branch, then, other, loop, inside, after]
    assert list(choice.walk(nodes, blocks=False)) == [module, branch, loop, after]
    assert list(choice.every(nodes)) == [branch, then, other, loop, inside, after]
    assert choice.bodies(module) == [[branch]] and choice.bodies(branch) == [[then], [other]]
    assert choice.bodies(after) == [] and choice.blocks_of(after) == ()
    assert choice.is_choice(branch) and not choice.is_choice(loop) and choice.is_loop(loop)
    assert not choice.is_loop(after) and [word for word, _ in choice.blocks_of(branch)] == [
        "then", "else"]  # fmt: skip
    assert branch.target.block(True) is branch.target.then
    assert branch.target.block(False) is branch.target.otherwise
    made = list(choice.values_of(nodes))
    assert then.outputs[0] in made and p in made and inside.outputs[0] in made
    pairs = list(choice.given(loop))
    assert pairs[0][1] is None and pairs[1][0] is p and pairs[1][1] is loop.args["inputs"][0]
    assert choice.Loop(loop.target.body).least == 0 and loop.target.ends == ("count",)


def test_literals_of_a_pattern():
    wild, named = _Wild(), _Wild("n")
    assert _literal(wild, 7, {}) == {} and _literal(named, 7, {}) == {"n": 7}
    assert _literal(named, 7, {"n": 7}) == {"n": 7} and _literal(named, 8, {"n": 7}) is None
    assert _literal((named,), (3, 4), {}) == {"n": (3, 4)}, "shape given where sizes are wanted"
    assert _literal((1, named), [1, 5], {}) == {"n": 5} and _literal((1, 2), (1, 3), {}) is None
    assert _literal((1, 2), (1, 2, 3), {}) is None and _literal((-1,), -1, {}) == {}
    assert _literal(-1, [-1], {}) == {} and _literal(2, 3, {}) is None
    assert _literal(slice(None, named), slice(None, 4), {}) == {"n": 4}
    assert _literal(slice(1, named), slice(None, 4), {}) is None
    assert _literal(1.0, 1 + 1e-7, {}) == {} and _literal(1.0, 1.001, {}) is None
    assert _literal(1.0, "a", {}) is None and _literal(None, None, {}) == {}
    for made in (wild + 1, 1 - wild, wild * 2, -wild, wild // 2, 2 / wild, wild**2):
        assert isinstance(made, _Wild) and made.name is None


def test_operands_of_what_commutes_are_tried_both_ways():
    a, b = value("a"), value("b")
    rule = Node("add", None, {"input": a, "other": b})
    assert [list(args.values()) for args in _orders(rule)] == [[a, b], [b, a]]
    assert len(list(_orders(Node("sub", None, {"input": a, "other": b})))) == 1
    assert len(list(_orders(Node("add", None, {"input": a})))) == 1


def test_matches_stand_in_order_and_share_no_call():
    @Pattern
    def doubled(x, *, factor):
        """Twice."""
        return torch.relu(x) * factor

    def model(x):
        a = torch.relu(x) * 2
        b = torch.relu(a) * 3
        return torch.relu(b) * 4

    x = torch.randn(3)
    graph = flexir.capture(model, (x,))
    found = doubled.find(graph)
    assert [match.bound["factor"] for match in found] == [2, 3, 4]
    assert found[0].bound["x"] is graph.inputs["x"] and doubled.__doc__ == "Twice."
    assert (doubled.words, doubled.tensors) == (["factor"], ["x"])
    assert torch.equal(doubled(x, factor=3), torch.relu(x) * 3)
    small = doubled.replace(graph)
    assert [node.op for node in small] == ["doubled"] * 3 and torch.equal(small(x), graph(x))
    assert "pattern doubled" in small.history[-1]


def test_a_pattern_computes_a_tensor():
    for function in (lambda x: x, lambda x: 3):
        with pytest.raises(TypeError, match="must return a tensor it computes"):
            Pattern(function)


def test_sizes_asked_in_a_pattern_match_any():
    @Pattern
    def flattened(x):
        return torch.relu(x).reshape(x.shape[0], -1)

    graph = flexir.capture(lambda x: torch.relu(x).reshape(3, -1), (torch.ones(3, 2, 2),))
    assert len(flattened.find(graph)) == 1
    other = flexir.capture(lambda x: torch.relu(x).reshape(3, 2, 2), (torch.ones(3, 2, 2),))
    assert not flattened.find(other)


def test_two_uses_of_one_input_are_one():
    @Pattern
    def squared(x):
        return torch.sin(x) * torch.cos(x)

    x, y = torch.ones(2), torch.ones(2)
    assert squared.find(flexir.capture(lambda x: torch.cos(x) * torch.sin(x), (x,)))
    assert not squared.find(flexir.capture(lambda x, y: torch.sin(x) * torch.cos(y), (x, y)))
    assert not squared.find(flexir.capture(lambda x: torch.sin(x) * torch.sin(x), (x,)))
