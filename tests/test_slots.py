"""Worlds in which a cache with slots holds what one that grows does, and those in which not."""

import pytest
import torch

import flexir
from flexir.graph.nodes import Value
from flexir.passes import slots
from flexir.passes.slots import Filled, Slots, World, worlds_of


@pytest.fixture
def grows():
    """A graph of a cache and a new row, with a table that only 0 and 1 may look up."""
    table = torch.arange(6.0).reshape(2, 3)

    def model(cache, word):
        return torch.cat([cache, table[word]]) * 2

    return flexir.capture(model, (torch.rand(2, 3), torch.tensor([1])))


def begun(graph, position=3, words=None, loud=1.0, seed=0):
    made = World(graph, position, words, loud, seed, {})
    cache, word = graph.input_values
    twins = {cache: Value("wide", cache.type), word: Value("word", word.type)}
    made.begin({cache: (Filled(0), 3), word: (1,)}, Slots(6, 1), twins)
    return made, cache, word, twins


def test_a_world_has_inputs_of_its_position_and_their_twins_with_slots(grows):
    world, cache, word, twins = begun(grows)
    grown, wide = world.recorded[cache], world.fixed[twins[cache]]
    assert grown.shape == (3, 3) and wide.shape == (6, 3)
    assert torch.equal(wide[:3], grown) and (wide[3:].abs() > 0).all(), "the rest holds something"
    assert world.recorded[word].tolist() in ([0], [1])
    assert torch.equal(world.fixed[twins[word]], world.recorded[word]), "nothing grows there"
    again, *_ = begun(grows)
    assert torch.equal(again.recorded[cache], grown), "the same seed gives the same"
    other, *_ = begun(grows, seed=7)
    assert not torch.equal(other.recorded[cache], grown)


def test_words_that_the_graph_does_not_take_are_replaced(grows):
    world, _, word, _ = begun(grows, words=1)
    assert world.recorded[word].tolist() == [1]
    world, _, word, _ = begun(grows, words=9)
    assert world.recorded[word].tolist() in ([0], [1])


def test_a_graph_that_does_not_run_is_refused():
    graph = flexir.capture(lambda cache, word: cache[:2] @ word, (torch.rand(2, 3), torch.rand(3)))
    world = World(graph, 1, None, 1.0, 0, {})
    cache, word = graph.input_values
    twins = {cache: Value("wide", cache.type), word: Value("word", word.type)}
    with pytest.raises(flexir.Error, match="does not run with 1 slots filled"):
        world.begin({cache: (Filled(0), 4), word: (3,)}, Slots(6, 1), twins)


def test_an_input_lies_as_it_was_recorded():
    x = torch.rand(3, 2).t()
    graph = flexir.capture(lambda cache: cache.contiguous() * 2, (x,))
    [cache] = graph.input_values
    world = World(graph, 4, None, 1.0, 0, {})
    world.begin({cache: (Filled(0), 3)}, Slots(6, 1), {cache: Value("wide", cache.type)})
    assert world.recorded[cache].shape == (4, 3) and world.recorded[cache].stride() == (1, 4)
    assert world.recorded[cache].dtype == torch.float32


def test_a_tensor_with_slots_holds_what_one_without_does():
    world, room = World(any_graph(), 2, None, 1.0, 0, {}), Slots(5, 1)
    shape, made = (Filled(1), 2), torch.arange(6.0).reshape(3, 2)
    wide = world.filled(torch.full((5, 2), 9.0), made, shape)
    assert torch.equal(wide[:3], made) and (wide[3:] == 9).all()
    assert world.filled(wide, made, (3, 2)) is made
    assert world.agree(wide, made, shape, room) is True
    nearly = wide.clone()
    nearly[0, 1] += 1e-6
    assert world.agree(nearly, made, shape, room) is True, "as much as rounding does"
    for wrong in (wide + 1, wide.double(), wide[:4], wide[:, :1]):
        assert world.agree(wrong, made, shape, room) is False
    assert world.agree(wide, made[:2], shape, room) is False, "of another size where it is filled"
    assert world.agree(made, made, (3, 2), room) is True
    whole = wide.long()
    assert world.agree(whole, made.long(), shape, room) is True
    assert world.agree(whole + 1, made.long(), shape, room) is False
    odd = torch.full((3, 2), float("nan"))
    assert world.agree(world.filled(wide, odd, shape), odd, shape, room) is True
    endless = torch.full((3, 2), float("inf"))
    assert world.agree(world.filled(wide, endless, shape), endless, shape, room) is True
    assert world.agree(wide, endless, shape, room) is False


def any_graph():
    return flexir.capture(lambda x: x + 1, (torch.ones(1),))


@pytest.mark.parametrize("dtype, words, found", [
    (torch.int64, None, {0, 1}), (torch.int64, 5, {5}), (torch.bool, 5, {False, True}),
    (torch.bool, None, {False, True}), (torch.int32, 0, {0}),
])  # fmt: skip
def test_whole_numbers_are_words(dtype, words, found):
    made = slots._drawn(dtype, [40], words, 1.0, torch.Generator().manual_seed(0))
    assert made.dtype == dtype and made.shape == (40,) and set(made.tolist()) == found


def test_other_numbers_are_as_loud_as_is_said():
    quiet, loud = (
        slots._drawn(torch.float32, [3, 2], 5, by, torch.Generator().manual_seed(0))
        for by in (1.0, 8.0)
    )
    assert torch.equal(quiet * 8, loud) and len(set(quiet.flatten().tolist())) == 6
    mixed = slots._drawn(torch.complex64, [2], None, 1.0, torch.Generator().manual_seed(0))
    assert mixed.dtype == torch.complex64


def test_worlds_are_of_both_ends_and_between(grows):
    made = worlds_of(grows, Slots(9, 1), {})
    known = [(world.position, world.words, world.loud) for world in made]
    assert known == [
        (4, None, 1.0), (8, None, 0.01), (1, None, 1.0), (4, 4, 8.0), (1, 8, 0.01), (3, None, 8.0),
    ]  # fmt: skip


def test_how_many_slots_a_size_has():
    room = Slots(6, 2)
    assert room.positions == range(1, 5) and room.capacity(3) == 3
    assert [room.capacity(Filled(n)) for n in (-1, 0, 2, 3, 5)] == [6, 6, 6, 7, 9]
    assert room.static((Filled(0), 4, Filled(3))) == (6, 4, 7)
