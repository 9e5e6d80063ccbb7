"""New inputs laid over the recorded ones: what fits, and what is refused by its place."""

import dataclasses

import pytest
import torch
from torch import nn

import flexir
from flexir.graph.inputs import bind_part, dense_stride, same_literal
from flexir.graph.nodes import NumberType, TensorType, Value

CPU = torch.device("cpu")


def value(name="v", *shape):
    return Value(name, TensorType(torch.float32, shape or (2,), CPU))


def bound(part, made):
    env = {}
    bind_part("x", part, made, env)
    return env


def refused(part, made):
    with pytest.raises(flexir.Diverged) as error:
        bound(part, made)
    return str(error.value)


def test_values_get_what_stands_in_their_place():
    a, b, n = value("a"), value("b"), Value("n", NumberType(int, 3))
    x, y = torch.ones(2), torch.zeros(2)
    env = bound({"k": [a, (b, n)], "s": slice(1, n, None)}, {"k": [x, (y, 7)], "s": slice(1, 7)})
    assert env == {a: x, b: y, n: 7} and env[a] is x
    assert bound(["w", 3, None, ...], ["w", 3, None, ...]) == {}
    assert bound([a, a], [x, x]) == {a: x} and bound((a,), [x]) == {a: x}


@pytest.mark.parametrize("part, made, words", [
    ([1], [1, 2], "'x' has 2 parts; recorded: 1"), ({"a": 1}, {"b": 1}, "with 'b', without 'a'"),
    ([1], [2], "'x.0' was 1 when recorded, now 2"), ({"a": "w"}, {"a": "v"}, "'x.a' was 'w'"),
    (slice(1, 2), slice(1, 3), "'x.stop' was 2"), (..., 3, "was Ellipsis"),
    (value(), 3, "was a tensor when recorded, now 3"), (value(), None, "now None"),
    (value(), torch.ones(3), "is (3,) torch.float32; recorded was (2,) torch.float32"),
    (value(), torch.ones(2).int(), "torch.int32"), (int, float, "was <class 'int'>"),
    ([], [torch.ones(1)], "has 1 parts"), ({}, torch.ones(1), "with tensors"),
    (3, torch.ones(2), "now a tensor, (2,) torch.float32"), ([value()], "a", "without tensors"),
    (3, [torch.ones(1)], "now list with tensors"),
])  # fmt: skip
def test_what_does_not_fit_is_refused_by_its_place(part, made, words):
    assert words in refused(part, made)


def test_numbers_are_of_their_kind():
    whole, half = Value("n", NumberType(int, 3)), Value("h", NumberType(float, 0.5))
    assert bound(whole, 4) == {whole: 4} and bound(half, 1.5) == {half: 1.5}
    for part, made in ((whole, 1.5), (whole, True), (half, 1), (whole, torch.ones(1))):
        assert f"a number ({part.type.kind.__name__}) when recorded, now" in refused(part, made)


def test_one_tensor_in_two_places_stays_one():
    a = value("a")
    assert "was the same tensor as another" in refused([a, a], [torch.ones(2), torch.ones(2)])


def test_functions_mean_what_they_hold():
    def make(n):
        return lambda x: x + n

    one = make(3)
    assert bound(one, make(3)) == {} and bound(one, one) == {}
    assert "was <function" in refused(one, make(1000)) and "now 3" in refused(one, 3)
    assert "was <function" in refused(one, lambda x: x + 3)


@pytest.mark.parametrize("a, b, same", [
    (1, 1, True), (1, 2, False), (float("nan"), float("nan"), True), (float("nan"), 1.0, False),
    ([1, 2], [1, 2], True), ([1, 2], [1, 3], False), ([1], [1, 2], False),
    ("a", "a", True), (None, None, True), (None, 0, False),
])  # fmt: skip
def test_equal_literals(a, b, same):
    assert same_literal(a, b) is same


def test_objects_that_refuse_to_be_compared_are_the_same_if_they_are_one():
    class Refusing:
        def __eq__(self, other):
            raise TypeError("not comparable")

        __hash__ = None

    one = Refusing()
    assert same_literal(one, one) is True and same_literal(one, Refusing()) is False


@pytest.mark.parametrize("shape, like, stride", [
    ((2, 3), (3, 1), (3, 1)), ((2, 3), (1, 2), (1, 2)), ((4, 5), (1, 2), (1, 4)), ((), (), ()),
    ((2, 3, 4), (12, 1, 3), (12, 1, 3)), ((2, 0, 4), (1, 2, 8), (1, 2, 2)),
    ((3, 2), (7, 7), (2, 1)), ((5, 3, 2), (6, 2, 1), (6, 2, 1)),
])  # fmt: skip
def test_strides_without_gaps_in_the_same_order(shape, like, stride):
    assert dense_stride(shape, like) == stride


@dataclasses.dataclass
class Pair:
    left: torch.Tensor
    right: int = 2


class Model(nn.Module):
    def forward(self, x, pair, scale=2, *, flag=None):
        return x * pair.left * scale


def test_arguments_of_a_graph_bind_like_those_of_forward():
    x, pair = torch.ones(2), Pair(torch.ones(2))
    graph = flexir.capture(Model(), (x, pair))
    new = torch.full((2,), 3.0)
    assert graph(new, Pair(new)).tolist() == [18, 18] == graph(x=new, pair=Pair(new)).tolist()
    assert graph(new, Pair(new), 2, flag=None).tolist() == [18, 18]
    for args, kwargs, words in (
        ((new,), {}, "the input 'pair' is missing"), ((new, Pair(new, 3)), {}, "pair.right"),
        ((new, Pair(new), 3), {}, "'scale' was 2 when recorded, now 3"),
        ((new, Pair(new)), {"flag": 1}, "'flag' was None"), ((new, new), {}, "'pair'"),
    ):  # fmt: skip
        with pytest.raises(flexir.Diverged, match=words):
            graph(*args, **kwargs)
    with pytest.raises(TypeError):
        graph(new, Pair(new), unknown=1)


def test_inputs_that_share_memory_with_a_written_one_are_refused():
    def model(a, b):
        a.add_(1)
        return a + b

    graph = flexir.capture(model, (torch.ones(4), torch.ones(4)))
    block = torch.ones(8)
    assert graph(block[:4].clone(), block[4:].clone()).tolist() == [3.0] * 4
    assert graph(block[:4], block[4:]).tolist() == [3.0] * 4, "side by side"
    with pytest.raises(flexir.Diverged, match="'a' and 'b' share memory now"):
        graph(block[:4], block[3:7])
    with pytest.raises(flexir.Diverged, match="share memory"):
        graph(block[:4], block[:4])
    reads = flexir.capture(lambda a, b: a + b, (torch.ones(4), torch.ones(4)))
    assert reads(block[:4], block[1:5]).shape == (4,)
