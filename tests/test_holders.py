"""Things that keep something between calls: what they hold is read, told apart and put back."""

import collections
import contextvars
import functools
import io
import itertools
import random

import pytest
import torch
from torch import nn

import flexir
from flexir.graph.tree import template
from flexir.recording.functions import functions_of, reach_of
from flexir.recording.holders import (
    Cells,
    Classes,
    Globals,
    has_attributes,
    is_users,
)
from flexir.recording.innards import CachedResults, Opaque, Suspended, has_more, holder_of


class Slotted:
    __slots__ = ("a", "b")


class Both(Slotted):
    def __init__(self):
        self.a, self.c = 1, 2


class Module(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.ones(1))
        self.v = nn.Parameter(torch.ones(1))
        self.register_buffer("kept", torch.zeros(1))
        self.child, self.count = nn.ReLU(), 3


def attributes(thing):
    return {k: v for k, v in holder_of(thing, "").read().items() if k != "__class__"}


def changed_list(thing):
    thing.append(4)


def changed_order(thing):
    thing["a"] = thing.pop("a")


def changed_slot(thing):
    thing.b, thing.c, thing.d = 1, 3, 4
    del thing.a


def changed_class(thing):
    thing.__class__ = Both
    thing.c = 1


def changed_module(thing):
    thing.w, thing.new = nn.Parameter(torch.zeros(1)), 4
    del thing.v, thing.count
    thing.kept = torch.ones(1)
    thing.v = nn.Parameter(torch.zeros(1))


def changed_child(thing):
    thing.child = nn.Tanh()
    thing.other = nn.Sigmoid()


def changed_group(thing):
    first = thing._parameters.pop("w")
    thing._parameters["w"] = first


class Plain:
    pass


def slotted():
    made = Slotted()
    made.a = 1
    return made


CASES = {
    "list": (lambda: [1, 2, 3], changed_list),
    "a list of as many others": (lambda: [[1]], lambda x: x.__setitem__(0, [1])),
    "deque": (lambda: collections.deque([1, 2]), lambda x: x.rotate(1)),
    "dict": (lambda: {"a": 1, "b": 2}, lambda x: x.update(b=3)),
    "order of a dict": (lambda: {"a": 1, "b": 2}, changed_order),
    "order of an OrderedDict": (lambda: collections.OrderedDict(a=1, b=2), changed_order),
    "key of a dict": (lambda: {"a": 1}, lambda x: (x.clear(), x.update(c=1))),
    "set": (lambda: {1, 2}, lambda x: x.add(3)),
    "set that lost": (lambda: {1, 2}, lambda x: x.discard(2)),
    "slots and attributes": (Both, changed_slot),
    "an object": (Plain, lambda x: setattr(x, "a", 1)),
    "module": (Module, changed_module),
    "child": (Module, changed_child),
    "order of parameters": (Module, changed_group),
    "class of a module": (nn.ReLU, lambda x: setattr(x, "__class__", nn.Tanh)),
    "array": (lambda: bytearray(b"abc"), lambda x: x.__setitem__(0, 7)),
    "random numbers": (lambda: random.Random(3), lambda x: x.random()),
    "random tensors": (torch.Generator, lambda x: x.seed()),
}  # fmt: skip


@pytest.mark.parametrize("kind", CASES)
def test_what_changed_is_seen_and_put_back(kind):
    make, change = CASES[kind]
    thing = make()
    holder = holder_of(thing, "here")
    assert holder.path == "here" and holder.thing is thing and holder.stands()
    before = holder.read()
    change(thing)
    assert not holder.stands()
    holder.put(before)
    assert holder.stands(), holder.read()
    assert type(before) is type(holder.read())
    if isinstance(before, dict):
        assert list(before) == list(holder.read()) or kind not in ("dict", "order of parameters")
    holder.put(before)
    assert holder.stands(), "again changes nothing"


def test_the_order_of_a_modules_groups_is_put_back():
    module = Module()
    holder = holder_of(module, "")
    changed_group(module)
    assert list(module._parameters) == ["v", "w"]
    holder.put(holder.before)
    assert list(module._parameters) == ["w", "v"]


def test_what_a_module_reads():
    module = Module()
    found = holder_of(module, "").read()
    assert found["w"] is module.w and found["kept"] is module.kept and found["count"] == 3
    assert found["child"] is module.child and found["__class__"] is Module
    assert found["training"] is True and "_parameters" not in found
    assert "_forward_hooks" not in found and "_is_full_backward_hook" not in found


def test_slots_are_read_and_given_back_where_they_were_empty():
    thing = slotted()
    holder = holder_of(thing, "")
    assert holder.read() == {"a": 1, "__class__": Slotted}
    thing.b = 2
    del thing.a
    assert holder.read() == {"b": 2, "__class__": Slotted}
    holder.put(holder.before)
    assert attributes(thing) == {"a": 1}
    assert has_attributes(thing) and has_attributes(Plain()) and not has_attributes(3)


def test_an_object_gets_its_class_back():
    one = Plain()
    one.a = 1
    holder = holder_of(one, "")

    class Other(Plain):
        pass

    one.__class__ = Other
    assert not holder.stands()
    holder.put(holder.before)
    assert type(one) is Plain and one.a == 1


def test_a_scripted_module_keeps_attributes_in_cpp():
    class Counted(nn.Module):
        def __init__(self):
            super().__init__()
            self.count = 3

        def forward(self, x):
            self.count += 1
            return x + self.count

    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scripted = torch.jit.script(Counted())
    holder = holder_of(scripted, "")
    assert holder.read()["count"] == 3 and "_parameters" not in holder.read()
    scripted(torch.ones(1))
    assert holder.read()["count"] == 4 and not holder.stands()
    holder.put(holder.before)
    assert scripted.count == 3


class Shared:
    total = 1

    def method(self):
        return unknown_name + len([])  # noqa: F821

    @classmethod
    def made(cls):
        return other_name  # noqa: F821

    @staticmethod
    def still():
        return None

    @property
    def seen(self):
        return third_name  # noqa: F821


def test_attributes_of_a_class_methods_aside():
    holder = holder_of(Shared, "")
    assert type(holder) is Classes and holder.read() == {"total": 1}
    Shared.total, Shared.extra = 2, 3
    assert not holder.stands()
    holder.put(holder.before)
    assert Shared.total == 1 and not hasattr(Shared, "extra")
    assert holder_of(collections.OrderedDict, "") is None and holder_of(nn.ReLU, "") is None


def test_functions_behind_a_class_and_what_they_name():
    found = {function.__name__ for function in functions_of(Shared)}
    assert found == {"method", "made", "still", "seen"}
    assert reach_of(Shared.method.__code__).names == {"unknown_name"}, "builtins aside"

    def outer():
        return lambda: inner_name  # noqa: F821

    assert "inner_name" in reach_of(outer.__code__).names
    assert functions_of(Shared().method) == [Shared.method] and functions_of(3) == []
    assert functions_of(torch.nn.functional.relu) == [] and functions_of(len) == []
    assert functions_of(functools.lru_cache(outer)) == [outer]
    assert functions_of(functools.cached_property(outer)) == [outer]
    assert is_users("mine.own") and is_users(None)
    assert not any(map(is_users, ("torch.nn", "flexir", "collections.abc")))


def test_variables_of_a_closure():
    def around():
        count = 1

        def inner():
            nonlocal count
            count += 1
            return later

        if count > 5:
            later = 1
        return inner

    inner = around()
    cells = dict(zip(inner.__code__.co_freevars, inner.__closure__))
    count, later = (holder_of(cells[name], name) for name in ("count", "later"))
    assert type(count) is Cells and count.read() == {"": 1} and later.read() == {}
    with pytest.raises(NameError):
        inner()
    assert not count.stands() and later.stands()
    count.put(count.before)
    assert cells["count"].cell_contents == 1
    cells["later"].cell_contents = 7
    later.put({})
    assert later.read() == {}
    later.put({})
    assert later.stands()


def test_variables_of_a_python_module():
    space = {"a": 1, "b": [2], "unwatched": 3}
    holder = Globals(space, "module")
    assert holder.read() == {} and sorted(holder.watch(frozenset({"a", "b", "new"}))) == ["a", "b"]
    assert holder.watch(frozenset({"a"})) == [] and holder.read() == {"a": 1, "b": [2]}
    space["unwatched"] = 4
    assert holder.stands()
    space.update(a=5, new=6)
    assert not holder.stands()
    holder.put(holder.before)
    assert space == {"a": 1, "b": [2], "unwatched": 4} and holder.stands()


def test_where_generators_and_iterators_stand():
    def counting():
        n = 0
        while n < 2:
            n += 1
            yield n
            yield from iter([7])

    going = counting()
    holder = holder_of(going, "")
    assert type(holder) is Suspended
    states = [holder.read()]
    for _ in going:
        states.append(holder.read())
    states.append(holder.read())
    assert [state.get("n") for state in states] == [None, 1, 1, 2, 2, None]
    assert states[-1] == {"": None} and states[1][""][1] is None and states[2][""][1] is not None
    assert len({str(state) for state in states}) == len(states)
    kept = [1, 2, 3]
    for make in (
        lambda: iter(kept),
        lambda: itertools.count(2),
        lambda: enumerate(kept),
        lambda: iter({1: 2, 3: 4}),
        lambda: map(str, kept),
        lambda: itertools.cycle(kept),
        lambda: zip(iter(kept), kept),
        lambda: reversed(kept),
        lambda: iter("abc"),
    ):
        thing = make()
        holder = holder_of(thing, "")
        assert type(holder) is Opaque and holder.stands()
        next(thing)
        assert not holder.stands(), thing
    assert kept in holder_of(iter(kept), "").parts()


def test_buffers_and_files_in_memory():
    text, data = io.StringIO("abc"), io.BytesIO(b"abc")
    for thing in (text, data):
        holder = holder_of(thing, "")
        assert holder.stands()
        thing.read(1)
        assert not holder.stands(), "it stands elsewhere in it"
        thing.seek(0)
        assert holder.stands()
        thing.write("x" if thing is text else b"x")
        thing.seek(0)
        assert not holder.stands()
        thing.close()
        assert not holder.stands()
    large = bytearray(1 << 21)
    holder = holder_of(large, "")
    assert isinstance(holder.before[""], int), "a hash of it"
    large[-1] = 1
    assert not holder.stands()
    small = bytearray(1 << 20)
    assert isinstance(holder_of(small, "").before[""], bytes)
    fixed = holder_of(b"abc", "")
    if fixed is not None:
        fixed.put({"": b"abd"})
        assert fixed.thing == b"abc"
    grown = bytearray(b"ab")
    holder = holder_of(grown, "")
    grown += b"c"
    holder.put(holder.before)
    assert grown == b"abc", "of another size now: left alone"


def test_what_a_function_remembers():
    @functools.lru_cache
    def remembered(n):
        return [n] if n > 1 else (n, ("word", [n])) if n else (n, "word", torch.ones(1))

    holder = holder_of(remembered, "")
    assert type(holder) is CachedResults and holder.stands()
    remembered(0)
    assert holder.stands(), "nobody can change it"
    holder.put(holder.before)
    assert remembered.cache_info().currsize == 1
    remembered(1)
    assert not holder.stands(), "a list in tuples"
    holder.put(holder.before)
    assert remembered.cache_info().currsize == 0 and holder.stands()
    remembered(2)
    assert not holder.stands()
    again = holder_of(remembered, "")
    assert again.stands()
    remembered(1)[1][1].append(1)
    assert not again.stands()


def test_a_remembered_tensor_matters_once_it_was_written():
    @functools.lru_cache
    def table():
        return torch.zeros(2)

    holder = holder_of(table, "")
    made = table()
    assert holder.stands()
    made += 1
    assert not holder.stands()


def test_variables_of_a_context():
    empty, full = contextvars.ContextVar("empty"), contextvars.ContextVar("full")
    full.set(3)
    one, other = holder_of(empty, ""), holder_of(full, "")
    assert one.read() == {} and other.read() == {"value": 3}
    full.set(4)
    assert not other.stands()
    other.put(other.before)
    assert full.get() == 3
    one.put({})
    assert empty.get(None) is None


def test_what_holds_nothing_that_changes():
    import logging
    import pathlib
    import threading

    for thing in (logging.getLogger("x"), threading.Lock(), pathlib.Path("."), object()):
        assert holder_of(thing, "") is None, thing
    assert holder_of(flexir.Target("x"), "") is None, "of this package"
    np = pytest.importorskip("numpy")
    for thing, act in (
        (np.random.default_rng(3), lambda r: r.random()),
        (np.random.RandomState(3), lambda r: r.rand()),
        (np.zeros(3), lambda a: a.__iadd__(1)),
        (np.array([{}, None], dtype=object), lambda a: a.__setitem__(0, 1)),
    ):
        holder = holder_of(thing, "")
        assert type(holder) is Opaque and holder.stands()
        act(thing)
        assert not holder.stands()
    array = np.zeros((2, 2))
    holder = holder_of(array, "")
    array += 1
    holder.put(holder.before)
    assert (array == 0).all()


def test_containers_may_have_attributes_beside_their_items():
    class Named(list):
        pass

    def going():
        yield

    assert has_more(Named(), holder_of(Named(), ""))
    for thing in ([], Plain(), nn.ReLU(), Shared, going()):
        assert not has_more(thing, holder_of(thing, ""))


def test_opaque_things_lead_to_what_they_hold():
    kept = [[1], [2]]
    parts = holder_of(iter(kept), "").parts()
    assert len(parts) == 1 and parts[0] is kept
    assert template(parts, lambda t: t) == [kept]


class Pushes(torch.nn.Module):
    def __init__(self, stack):
        super().__init__()
        self.stack = stack

    def forward(self, x):
        self.stack.append(x * 2)
        return x + 1


class Pops(Pushes):
    def forward(self, x):
        return x + self.stack.pop() if self.stack else x


class SharesAList(torch.nn.Module):
    def __init__(self):
        super().__init__()
        stack = []
        self.push, self.pop = Pushes(stack), Pops(stack)

    def forward(self, x):
        self.push.stack.clear()
        return self.pop(self.push(self.push(x)))


class HoldsOneTwice(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.state = [0, []]
        self.log = self.state[1]
        self.note = self.log.append

    def forward(self, x):
        self.log.clear()
        self.log.append(x * 2)
        self.note(x)
        return x + self.state[1][0] + len(self.log)


@pytest.mark.parametrize("made", [SharesAList, HoldsOneTwice])
def test_a_list_that_two_share_is_put_back_as_one(made):
    graph, model = flexir.capture(made(), torch.ones(2), also=[torch.ones(3)]), made()
    assert not graph.variants
    for n in (2, 3, 4):
        assert torch.equal(graph(torch.full((n,), 5.0)), model(torch.full((n,), 5.0)))
