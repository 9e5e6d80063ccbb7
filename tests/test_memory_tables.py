"""What is known of memory: which tensor an object still is, which piece holds a part, what is gone.

Beneath the tests of writes and views, which ask the same of whole models.
"""

from __future__ import annotations

import gc
import weakref

import pytest
import torch

from flexir.graph.geometry import storage_of, tensor_type, where_of
from flexir.graph.nodes import Node, Value
from flexir.recording.memory import (
    ALONE,
    UNKNOWN,
    Alias,
    Lone,
    LoneConstant,
    Memory,
    Piece,
    View,
    nothing,
    version,
)
from flexir.recording.tensors import Tensors


def value_of(tensor, name="x"):
    return Value(name, tensor_type(tensor))


def lone(tensor):
    return Lone(tensor, value_of(tensor), weakref.ref(storage_of(tensor)))


def memory_of(tensor, kind="made"):
    return Memory(storage_of(tensor), kind, where_of(tensor), value_of(tensor))


@pytest.fixture
def x():
    return torch.arange(6.0)


def test_torchs_counter_of_writes_or_none(x):
    before = version(x)
    x += 1
    assert version(x) == before + 1
    with torch.inference_mode():
        assert version(torch.ones(2)) == -1
        assert lone(torch.ones(2)).version == -1


def test_a_tensor_alone_is_told_by_its_storage_and_once_that_is_shared_by_where_it_lies(x):
    alias = lone(x)
    assert alias.is_of(x) and alias.is_of(x[:2]), "alone, nothing else is there to be meant"
    assert not alias.is_of(x.clone())
    alias.memory = memory_of(x)
    assert alias.is_of(x) and alias.is_of(x.view(6)) and not alias.is_of(x[1:])
    alias.share(x)
    assert alias.is_of(x) and not alias.is_of(x.view(6)), "among several the object is told"
    assert alias.home is None and alias.ref() is x


def test_a_tensor_among_others_is_itself_for_as_long_as_it_lives(x):
    alias = Alias(x, memory_of(x), where_of(x), value_of(x))
    other = x.view(6)
    assert alias.is_of(x) and not alias.is_of(other) and alias.epoch == 0
    alias.share(other)
    assert alias.ref() is x


def test_where_a_lone_tensor_lies_is_told_when_somebody_asks(x):
    for one in (x, x[2:], x.view(2, 3).t(), x.to(torch.complex64).conj(), x._neg_view()):
        assert lone(one).where == where_of(one)
    moved = lone(x)
    moved.where = where_of(x[1:])
    assert moved.where == where_of(x[1:])


def test_a_weight_gives_what_its_object_held_even_if_that_holds_something_else(x):
    weight = x[1:5].view(2, 2).t()
    alias = LoneConstant(weight, storage_of(weight), value_of(weight))
    assert alias.kind == "constant" and alias.ref() is weight
    alias.share(weight)
    assert alias.home is not None, "it is told by where it lies, for it may be swapped"
    before = weight.clone()
    weight.data = torch.zeros(4)
    assert torch.equal(alias.as_met(), before)


def test_the_piece_that_holds_a_part_is_an_equal_one_before_a_larger_one(x):
    memory = memory_of(x)
    head, tail = (Piece(where_of(x[a:b]), value_of(x[a:b])) for a, b in ((0, 3), (3, 6)))
    assert memory.pieces == (memory,) and memory.holder(where_of(x[1:3])) is memory
    memory.become(where_of(x[0:2]), value_of(x[0:2], "new"))
    assert memory.value.name == "new" and memory.more == ()
    memory.more = (head, tail)
    assert memory.pieces == (memory, head, tail)
    assert memory.holder(where_of(x[0:2])) is memory
    assert memory.holder(where_of(x[0:3])) is head and memory.holder(where_of(x[3:6])) is tail
    assert memory.holder(where_of(x[1:3])) is head and memory.holder(where_of(x[4:5])) is tail
    assert memory.holder(where_of(x[0:1])) is memory
    assert memory.holder(where_of(x[2:4])) is None, "no one piece covers it"
    assert memory.holder(where_of(x)) is None
    memory.become(where_of(x), value_of(x))
    assert memory.pieces == (memory,)


def test_a_memory_knows_its_size_and_not_a_tensor_that_has_moved_away(x):
    memory = memory_of(x)
    assert (memory.nbytes, memory.epoch, memory.owed, memory.loose) == (24, 0, 0, False)
    empty = Memory(None, "made", where_of(x), value_of(x))
    assert empty.nbytes == 0 and empty.storage() is None and nothing() is None
    one, other = (Alias(t, memory, where_of(t), value_of(t)) for t in (x, x.view(6)))
    memory.forget(one)
    memory.known = {one.where: one}
    memory.forget(other)
    assert memory.known, "another tensor of the same place stays"
    memory.forget(one)
    assert not memory.known


def test_a_view_stands_while_what_it_viewed_lies_where_it_lay(x):
    memory = memory_of(x)
    base = Alias(x, memory, where_of(x), value_of(x))
    view = View(Node("view", None, {}), memory, {base.value: base})
    assert view.stands() is True
    base.where = where_of(x[1:])
    assert view.stands() is False
    base.where, base.memory = where_of(x), memory_of(x.clone())
    assert view.stands() is False


def test_a_storage_has_a_memory_of_its_own_once_somebody_asks(x):
    tensors = Tensors()
    assert tensors.memory(storage_of(x)) is None
    tensors._alone(x, value_of(x), storage_of(x))
    alias = tensors.aliases[id(x)]
    assert tensors.is_alone(alias, storage_of(x)) is True
    assert tensors.is_alone(alias, storage_of(x.clone())) is False
    memory = tensors.own(alias, x)
    assert memory is tensors.memory(storage_of(x)) is alias.memory is not ALONE
    assert memory.kind == "made" and memory.value is alias.value and not tensors.roots
    assert tensors.is_alone(alias, storage_of(x)) is False
    assert tensors.own(alias, x) is memory
    tensors.owe(x)
    assert memory.owed == 1
    tensors.forget_versions([x, torch.ones(1)])
    assert alias.version == UNKNOWN


def test_weights_that_something_looks_at_are_roots(x):
    tensors = Tensors()
    alias = LoneConstant(x, storage_of(x), value_of(x))
    tensors.memories[id(storage_of(x))] = (alias.home, alias)
    assert tensors.is_alone(alias, storage_of(x)) is False, "the run has not made it"
    memory = tensors.own(alias, x)
    assert memory.kind == "constant" and memory.values == (alias.value,)
    assert tensors.roots == [(alias, alias.value, memory)]


def test_a_tensor_that_moved_away_from_where_it_was_alone_owns_a_memory_of_no_storage(x):
    for cls in (Lone, LoneConstant):
        tensors, one = Tensors(), x.clone()
        args = (value_of(one), weakref.ref(storage_of(one)))
        alias = cls(one, *args) if cls is Lone else cls(one, storage_of(one), args[0])
        tensors.aliases[id(one)] = alias
        one.data = torch.zeros(8)[1:7]
        memory = tensors.own(alias, one)
        assert memory.nbytes == 0 and memory.kind == alias.kind
        assert len(tensors.roots) == (cls is LoneConstant)
        assert memory.where == where_of(one if cls is LoneConstant else x)


def test_what_has_another_storage_than_it_had_was_swapped(x):
    tensors, other = Tensors(), x.clone()
    tensors.weights = [LoneConstant(t, t.untyped_storage(), value_of(t)) for t in (x, other)]
    assert tensors.swapped() == []
    other.data = torch.zeros(6)
    assert tensors.swapped() == tensors.weights[1:]


def test_tensors_that_are_gone_are_forgotten_before_they_are_many():
    tensors = Tensors()
    kept = torch.ones(1)
    tensors._alone(kept, value_of(kept), storage_of(kept))
    for _ in range(200):
        one = torch.ones(1)
        tensors._alone(one, value_of(one), storage_of(one))
        tensors.own(tensors.aliases[id(one)], one).known = {}
        del one
        gc.collect(0)
        assert len(tensors.memories) <= 33
    assert tensors.memories[id(storage_of(kept))][1] is tensors.aliases[id(kept)]
    many = [torch.ones(1) for _ in range(100)]
    for one in many:
        tensors._alone(one, value_of(one), storage_of(one))
    assert all(tensors.is_alone(tensors.aliases[id(one)], storage_of(one)) for one in many)
    assert tensors.crowd >= len(tensors.memories) > 100
    tensors.close()
    assert not tensors.aliases and not tensors.memories


def test_what_is_over_holds_no_tensor(x):
    tensors = Tensors()
    tensors.weights = [LoneConstant(x, storage_of(x), value_of(x))]
    tensors.memories[id(storage_of(x))] = (tensors.weights[0].home, tensors.weights[0])
    memory = tensors.own(tensors.weights[0], x)
    memory.known = {where_of(x): tensors.weights[0]}
    assert tensors.roots
    tensors.close()
    assert not tensors.roots and not tensors.weights and memory.known is None


def test_memory_that_numpy_shares_is_told_by_its_bytes(x):
    tensors = Tensors()
    tensors._alone(x, value_of(x), storage_of(x))
    memory = tensors.own(tensors.aliases[id(x)], x)
    tensors.redigest(x)
    assert memory.shared is None, "nobody but torch can reach it"
    tensors._watch(x, memory)
    tensors._watch(x, memory)
    [(start, end, watched)] = tensors.shared
    assert watched is memory and end - start == 24 and start == x.data_ptr()
    before = memory.shared
    x += 1
    tensors.redigest(x)
    assert memory.shared != before
    part = torch.from_numpy(x.numpy()[2:4])
    assert tensors._shared(storage_of(part)) == (memory, 8)
    assert tensors._shared(storage_of(x)) == (memory, 0)
    assert tensors._shared(storage_of(torch.ones(1))) == (None, 0)
    assert Tensors()._shared(storage_of(x)) == (None, 0)
    meta = torch.ones(2, device="meta")
    tensors._watch(meta, memory_of(meta))
    assert len(tensors.shared) == 1
