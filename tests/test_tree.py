"""Trees side by side: what stands at one place of several templates."""

import collections

import torch

from flexir.graph import places as walk
from flexir.graph import tree

Pair = collections.namedtuple("Pair", "left right")


def opened(part):
    return tree.template(part, lambda t: t, deep=True)


def places(*parts, **options):
    return list(walk.zip(*parts, leaf=torch.Tensor, **options))


def test_every_place_has_its_path():
    parts = {"a": [1, (2, 3)], "b c": slice(1, 2)}, {"a": [4, (5, 6)], "b c": slice(7, 8)}
    assert places(*parts) == [
        ("a.0", (1, 4)), ("a.1.0", (2, 5)), ("a.1.1", (3, 6)), ("b_c.start", (1, 7)),
        ("b_c.stop", (2, 8)), ("b_c.step", (None, None)),
    ]  # fmt: skip
    assert places(1, 2, path="x") == [("x", (1, 2))]


def test_fields_of_a_named_tuple_are_names():
    assert places(opened(Pair(1, 2)), opened(Pair(3, 4))) == [("left", (1, 3)), ("right", (2, 4))]


def test_what_does_not_fit_is_a_place_of_its_own():
    for other in ([1], [1, 2, 3], {"a": 1}, 7, None, opened(Pair(1, 2))):
        assert places([1, 2], other) == [("", ([1, 2], other))]
    assert places({"a": 1}, {"b": 1}) == [("", ({"a": 1}, {"b": 1}))]
    assert places([], [1]) == [("", ([], [1]))] and places([], ()) == []


def test_only_a_strict_walk_tells_lists_from_tuples_and_orders_of_keys_apart():
    a, b = {"x": [1], "y": 2}, {"y": 2, "x": (1,)}
    assert places(a, b) == [("x.0", (1, 1)), ("y", (2, 2))]
    assert places(a, b, strict=True) == [("", (a, b))]
    assert places([1], (1,), strict=True) == [("", ([1], (1,)))]
    Other = collections.namedtuple("Other", "left right")
    one, other = opened(Pair(1, 2)), opened(Other(1, 2))
    assert len(places(one, other)) == 2 and places(one, other, strict=True) == [("", (one, other))]


def test_an_object_met_before_is_not_opened_again():
    pair = opened(Pair(1, 2))
    assert len(places([pair, pair], [pair, pair])) == 2
    pair.attributes["itself"] = pair
    assert len(places(pair)) == 2


def test_a_leaf_is_not_opened():
    class Leaf(list):
        pass

    assert list(walk.zip([Leaf([1]), 2], leaf=Leaf)) == [("0", (Leaf([1]),)), ("1", (2,))]
