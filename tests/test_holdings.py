"""What a model holds, looked at before a run and after: kinds of things, one by one."""

from __future__ import annotations

import collections
import contextvars
import functools
import io
import itertools
import random
import types
import weakref

import numpy
import pytest
import torch
from torch import nn

from flexir.graph.account import NOTHING
from flexir.graph.nodes import NumberType, Value
from flexir.recording.attributes import ModulesOfClass, ModuleTree, TensorAttributes
from flexir.recording.changed import frozen, lies_in
from flexir.recording.functions import functions_of, reach_of
from flexir.recording.holders import (
    Attributes,
    Cells,
    Classes,
    Mapping,
    Modules,
    Sequences,
    Sets,
    has_attributes,
    is_users,
)
from flexir.recording.innards import (
    CachedResults,
    Contexts,
    Opaque,
    Suspended,
    _bytes_of,
    _may_change,
    _position,
    _size_of,
    has_more,
    holder_of,
)
from flexir.recording.numbers import Numbers
from flexir.recording.state import Holdings


class Plain:
    def __init__(self):
        self.a = 1


class Slotted:
    __slots__ = ("a", "b")


def endless():
    n = 0
    while True:
        n += yield n


KINDS = [
    (Plain, Attributes), (Slotted, Attributes), (lambda: Plain, Classes), (dict, Mapping),
    (collections.OrderedDict, Mapping), (list, Sequences), (collections.deque, Sequences),
    (set, Sets), (nn.ReLU, Modules), (endless, Suspended), (torch.Generator, Opaque),
    (random.Random, Opaque), (bytearray, Opaque), (lambda: numpy.zeros(2), Opaque),
    (io.BytesIO, Opaque),
    (lambda: iter([1]), Opaque), (lambda: numpy.random.default_rng(0), Opaque),
    (lambda: contextvars.ContextVar("v"), Contexts),
    (lambda: functools.lru_cache(len), CachedResults),
    (lambda: (lambda x: lambda: x)(1).__closure__[0], Cells),
]  # fmt: skip


@pytest.mark.parametrize("make, kind", KINDS)
def test_every_kind_of_thing_has_its_holder(make, kind):
    assert type(holder_of(make(), "p")) is kind and holder_of(make(), "p").path == "p"


def test_what_can_hold_nothing_that_changes_has_none():
    number = Numbers(None, None, None).number(3, Value("n", NumberType(int, 3)))
    for part in (3, "a", None, number, object(), int, torch.nn.Linear, print):
        assert holder_of(part, "p") is None
    dotted = type("Of", (), {"__module__": "users.own.module"})
    assert type(holder_of(dotted(), "p")) is Attributes


CHANGES = [
    (lambda: {"a": 1}, lambda d: d.update(b=2)),
    (lambda: {"a": 1, "b": 2}, lambda d: d.update(a=d.pop("a"))),
    (lambda: [1, 2], lambda held: held.reverse()),
    (lambda: collections.deque([1]), lambda d: d.append(2)),
    (lambda: {1}, lambda s: s.add(2)), (Plain, lambda p: vars(p).update(a=2)),
    (Plain, lambda p: vars(p).clear()), (Plain, lambda p: vars(p).update(z=2)),
    (Slotted, lambda s: setattr(s, "b", 3)), (lambda: bytearray(b"ab"), lambda b: b.reverse()),
    (lambda: numpy.arange(3), lambda a: a.__iadd__(1)),
    (lambda: random.Random(0), lambda r: r.random()),
    (lambda: torch.Generator().manual_seed(1), lambda g: torch.rand(1, generator=g)),
    (nn.ReLU, lambda m: setattr(m, "inplace", True)), (nn.ReLU, lambda m: setattr(m, "new", 1)),
    (nn.Sequential, lambda m: m.append(nn.ReLU())),
    (lambda: type("Own", (), {"n": 1}), lambda c: setattr(c, "n", 2)),
    (lambda: type("Own", (), {"n": 1}), lambda c: setattr(c, "m", 2)),
]  # fmt: skip


@pytest.mark.parametrize("make, change", CHANGES)
def test_a_change_is_seen_and_can_be_put_back(make, change):
    thing = make()
    holder = holder_of(thing, "p")
    assert holder.stands() is True
    change(thing)
    assert holder.stands() is False
    holder.put(holder.before)
    assert holder.stands() is True


ADVANCING = [
    lambda: iter([1, 2, 3]), lambda: iter(range(9)), lambda: iter("abc"), itertools.count,
    lambda: itertools.cycle([1, 2]), lambda: zip([1, 2], [3, 4]), lambda: map(str, [1, 2]),
    lambda: enumerate([1, 2]), lambda: iter({"a": 1, "b": 2}), lambda: reversed([1, 2]),
]  # fmt: skip


@pytest.mark.parametrize("make", ADVANCING)
def test_where_an_iterator_stands_is_told_without_moving_it(make):
    one = make()
    holder = Opaque(one, "p")
    assert holder.stands() and holder.stands()
    next(one)
    assert not holder.stands()
    assert next(one) is not None, "it was not used up"


def test_a_suspended_generator_is_told_by_its_line_and_its_variables():
    one = endless()
    next(one)
    holder = Suspended(one, "p")
    assert holder.before["n"] == 0 and holder.read() == holder.before
    one.send(5)
    assert holder.read()["n"] == 5 != holder.before["n"]
    one.close()
    assert holder.read() == {"": None}


def test_positions_look_only_so_deep():
    def nested(n):
        return enumerate(nested(n - 1)) if n else iter([1])

    def depth(part):
        return 1 + max(map(depth, part), default=0) if isinstance(part, tuple) else 0

    # every level of an enumerate is a tuple of its length and a tuple of what it is made of
    assert depth(_position(nested(9), 1)) < depth(_position(nested(9), 3))
    assert depth(_position(nested(9), 3)) < depth(_position(nested(9), 9))
    assert _position(3, 0) == 3 and _position((1, 2), 0) == (1, 2)
    part = [1, 2]
    assert _position(part, 4) == tuple(map(id, part)) and _position(part, 4, {id(part)}) == id(part)


def test_buffers_are_told_by_their_bytes_and_large_ones_by_a_hash():
    assert _size_of(bytearray(5)) == 5 and _size_of(numpy.zeros(3)) == 24
    assert _size_of([1]) is None and _size_of(torch.zeros(3)) is None
    assert _bytes_of(bytearray(b"abc")) == b"abc"
    assert _bytes_of(bytearray(1 << 20)) == bytes(1 << 20)
    assert type(_bytes_of(bytearray((1 << 20) + 1))) is int
    objects = numpy.array([1, "a"], dtype=object)
    assert _bytes_of(objects) == repr(objects).encode()


def test_what_somebody_may_change():
    class Own:
        pass

    for part in (
        3,
        "a",
        Own,
        len,
        test_what_somebody_may_change,
        nn.ReLU(),
        torch.zeros(1),
        (1, 2),
    ):
        assert not _may_change(part), part
    written = torch.zeros(1).add_(1)
    for part in (Plain(), [1], {}, written, (1, [2]), bytearray(2)):
        assert _may_change(part), part


def test_what_a_remembering_function_gains_counts_if_somebody_may_change_it():
    @functools.lru_cache(maxsize=None)
    def made(n):
        return [n] if n > 5 else n

    holder = CachedResults(made, "p")
    made(1)
    assert holder.stands(), "a number is what it is"
    made(9)
    assert not holder.stands()
    holder.put(holder.before)
    assert made.cache_info().currsize == 0


def test_containers_may_have_attributes_beside_their_items():
    class Named(dict):
        pass

    assert has_more(Named(), holder_of(Named(), "p")) is True
    assert not has_more({}, holder_of({}, "p")) and not has_more(Plain(), holder_of(Plain(), "p"))
    assert has_attributes(Plain()) and has_attributes(Slotted()) and not has_attributes(3)


def test_whose_a_python_module_is():
    assert is_users("mine.torch") and is_users("__main__") and is_users(None)
    assert not any(map(is_users, ("torch", "torch.nn", "flexir.graph", "os.path")))


def test_names_and_functions_behind_things():
    def outer():
        return lambda: (len, elsewhere)  # noqa: F821

    names = reach_of(outer.__code__).names
    assert "elsewhere" in names and "len" not in names

    def attributes(part):
        part.one, two.three = found, globals  # noqa: F821
        return [four for _ in part.five]  # noqa: F821

    reach = reach_of(attributes.__code__)
    assert reach.names >= {"one", "two", "three", "found", "four", "five"}
    assert reach.variables == reach.names  # which gives any of them for a text

    def without(part):
        part.one, two.three = found, "six"  # noqa: F821
        return [four for _ in part.five]  # noqa: F821

    assert reach_of(without.__code__).variables == {"two", "found", "four"}

    class Own:
        @property
        def read(self):
            return 1

        @staticmethod
        def static():
            return 2

        @functools.cached_property
        def once(self):
            return 3

        def method(self):
            return 4

    assert [f.__name__ for f in functions_of(Own)] == ["read", "static", "once", "method"]
    assert functions_of(Own().method)[0] is Own.method and functions_of(print) == []


class Keeping(nn.Module):
    def __init__(self):
        super().__init__()
        self.word, self.pair, self.list = "nothing", (1, (2, 3)), [4, 5]
        self.box = {"t": torch.zeros(2)}
        self.box["t"].mark = [1]
        self.inner = nn.BatchNorm1d(2)


def test_places_are_read_and_put_by_their_paths():
    model = Keeping()
    held = Holdings(model)
    assert held.get("pair.1.0") == 2 and held.get("no") is NOTHING
    assert held.put("pair.1.0", 9) and model.pair == (1, (9, 3))
    assert held.put("list", [7]) and model.list == [7]
    assert held.put("word", "nothing") and model.word == "nothing", "a word is a word"
    assert held.put("word", NOTHING) and not hasattr(model, "word")
    assert held.put("elsewhere.x", 1) is False
    held.restore()
    assert (model.word, model.pair, model.list) == ("nothing", (1, (2, 3)), [4, 5])


def test_what_a_partial_a_method_or_a_weak_reference_leads_to_is_looked_at():
    inside = [Plain() for _ in range(4)]
    model = nn.Module()
    model.call = functools.partial(max, inside[0], key=inside[1])
    model.method, model.weak = types.MethodType(len, inside[2]), weakref.ref(inside[3])
    for one in inside:
        held = Holdings(model)
        one.a = 5
        assert not held.stands()
        held.restore()
        assert one.a == 1


def changes(model, act):
    held = Holdings(model)
    assert held.stands() is True
    act(model)
    assert held.stands() is False
    found = held.changes()
    held.restore()
    return [one.path for one in (*found.replaced, *found.changes)]


def test_what_changed_is_named_by_its_place():
    model = Keeping()
    other = torch.ones(2)
    for act, paths in (
        (lambda m: m.box.update(t=other), ["box.t"]),
        (lambda m: m.box["t"].mark.append(2), ["box.t.mark"]),
        (lambda m: setattr(m.box["t"], "new", 2), ["box.t.new"]),
        (lambda m: m.list.append(1), ["list"]),
        (lambda m: m.list.reverse(), ["list.0", "list.1"]),
        (lambda m: setattr(m, "pair", (1, (2, 4))), ["pair.1.1"]),
        (lambda m: setattr(m.inner, "eps", 2.0), ["inner.eps"]),
        (lambda m: setattr(m.inner.weight, "grad", other), ["inner.weight.grad"]),
        (lambda m: m.inner.bias.requires_grad_(False), ["inner.bias.requires_grad"]),
        (lambda m: setattr(m.inner.bias, "note", 1), ["inner.bias.note"]),
    ):
        assert changes(model, act) == paths
    assert Holdings(model).stands() and model.inner.weight.grad is None
    model.inner.eps = float("nan")
    held = Holdings(model)
    model.inner.eps = float("inf") - float("inf")
    assert held.stands(), "no number is no number"


def test_what_stands_beside_the_elements_of_tensors():
    one, other = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    other.grad = torch.zeros(1)
    beside = TensorAttributes([one, other])
    assert list(beside.changes()) == [] and list(beside.gained()) == []
    first, one.grad = other.grad, torch.ones(1)
    assert [(t is one, w, o) for t, w, o, _ in beside.changes()] == [(True, "grad", None)]
    other.grad = None
    assert [(w, o is first, n) for _, w, o, n in beside.changes()][1] == ("grad", True, None)
    other.mark = 1
    assert [t is other for t in beside.gained()] == [True]


def test_modules_of_one_class_are_compared_by_their_keys():
    for names in ([], ["a"], ["a", "b"]):
        owns = [dict.fromkeys(names, part) for part in (object(), object())]
        alike = ModulesOfClass(owns)
        assert alike.names == tuple(names) and alike.stands() is True
        owns[1]["new"] = 1
        assert alike.stands() is False
        del owns[1]["new"]
        if names:
            owns[0]["a"] = object()
            assert alike.stands() is False
            del owns[0]["a"]
            owns[0]["z"] = 1
            assert alike.stands() is False


def test_a_tree_suspects_none_until_any_module_holds_something_else():
    for act in (
        lambda m: m.append(nn.ReLU()), lambda m: setattr(m[0], "bias", None),
        lambda m: m[0].register_forward_hook(print), lambda m: m.eval(),
        lambda m: setattr(m[1], "__class__", nn.Tanh), lambda m: m.__dict__.pop("_buffers"),
        lambda m: setattr(m[0], "_forward_pre_hooks", collections.OrderedDict()),
    ):  # fmt: skip
        model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
        tree = ModuleTree(model)
        assert tree.suspects() == [] and list(tree.paths) == ["", "0", "1"]
        act(model)
        assert tree.suspects()


def test_what_one_class_of_modules_holds_is_looked_for_in_that_class():
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    tree = ModuleTree(model)
    model[2].in_features = 3
    assert [one.path for one in tree.suspects()] == ["0", "2"]
    assert [one.path for one in tree.suspects() if not one.stands()] == ["2"]


def test_what_is_shown_of_a_part_and_which_paths_lie_where():
    assert frozen([1, (2.0, None)]) == [1, (2.0, None)] and frozen({"a": 1}) == {"a": 1}
    assert frozen(types.SimpleNamespace()) == "a SimpleNamespace" and frozen(len) == "len"
    assert frozen(torch.zeros(2)) == "f32[2]" and frozen(list(range(999))) == "list of 999"
    assert lies_in("a.b", ["a"]) and lies_in("a", ["a"]) and not lies_in("ab", ["a"])
