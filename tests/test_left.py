"""What a call leaves in the objects it was given is put into these very objects."""

import collections

import pytest
import torch
from torch import nn

import flexir


class Holding:
    def __init__(self, *parts):
        self.parts, self.gone = list(parts), 1


class Slotted:
    __slots__ = ("a", "held")

    def __init__(self, held):
        self.held = held


class Named(list):
    pass


def filled(x, cache):
    cache["new"] = x + 1
    cache["a"] = cache.pop("a") * 2


def listed(x, cache):
    cache[0] = cache[0] + x
    cache.append(x * 3)


def shortened(x, cache):
    cache.pop()
    cache.insert(0, x + 5)


def attributed(x, cache):
    cache.parts.append(x + 1)
    cache.parts[0] += 1
    cache.more = x * 2
    del cache.gone


def slotted(x, cache):
    cache.a = x + 1
    cache.held = cache.held + x


def deeply(x, cache):
    cache["inner"][0]["t"] = x + 1
    cache["pair"][1].append(x)


def resized(x, cache):
    cache[0].resize_(4).fill_(1).add_(x)


def ones():
    return torch.ones(1)


def named():
    made = Named([ones(), ones()])
    made.word = "w"
    return made


CASES = {
    "dict": (lambda: {"a": ones(), "b": ones()}, filled),
    "OrderedDict": (lambda: collections.OrderedDict(a=ones(), b=ones()), filled),
    "defaultdict": (lambda: collections.defaultdict(list, a=ones(), b=ones()), filled),
    "list": (lambda: [ones(), ones()], listed),
    "list of another length": (lambda: [ones(), ones(), ones()], shortened),
    "a list's subclass": (named, listed),
    "object": (lambda: Holding(ones()), attributed),
    "slots": (lambda: Slotted(ones()), slotted),
    "containers in containers": (lambda: {"inner": [{"t": ones()}], "pair": (1, [ones()])}, deeply),
    "resized": (lambda: [ones()], resized),
}  # fmt: skip


# What is more than a plain container is itself in what comes back.
IDENTIFIED = ("OrderedDict", "defaultdict", "a list's subclass", "object")


class Keeping(nn.Module):
    def __init__(self, act):
        super().__init__()
        self.act = act

    def forward(self, x, cache):
        self.act(x, cache)
        return x * 2, cache


def opened(part):
    if isinstance(part, torch.Tensor):
        return part.tolist()
    if isinstance(part, dict):
        return [(key, opened(inner)) for key, inner in part.items()]
    if isinstance(part, (list, tuple)):
        return [*map(opened, part), getattr(part, "word", None)]
    if isinstance(part, Holding):
        return opened(vars(part))
    if isinstance(part, Slotted):
        return [opened(part.a), opened(part.held)]
    return part


@pytest.mark.parametrize("kind", CASES)
def test_the_given_objects_hold_what_the_model_leaves(kind):
    make, act = CASES[kind]
    model = Keeping(act)
    graph = flexir.capture(model, (torch.ones(1), make()))
    x = torch.full((1,), 3.0)
    cache, expected = make(), make()
    model(x, expected)
    kept = cache[0] if kind == "resized" else None
    result, returned = graph.start().answer(x, cache)
    assert result.tolist() == [6.0] and opened(returned) == opened(expected)
    if kind in IDENTIFIED:
        assert returned is cache
    assert opened(cache) == opened(expected)
    if isinstance(cache, dict):
        assert list(cache) == list(expected), "in the order of the model"
    if kind == "object":
        assert not hasattr(cache, "gone") and cache.parts[1].tolist() == [4.0]
    if kept is not None:
        assert cache[0] is kept and kept.shape == (4,)


def test_a_tensor_that_is_written_is_the_given_one():
    cache = [torch.ones(1)]
    given = cache[0]
    graph = flexir.capture(Keeping(lambda x, c: c[0].add_(x)), (torch.ones(1), [torch.ones(1)]))
    _, returned = graph.start().answer(torch.full((1,), 3.0), cache)
    assert returned[0] is given and cache[0] is given and given.item() == 4.0


def test_a_replay_leaves_what_it_was_given():
    graph = flexir.capture(Keeping(filled), (torch.ones(1), CASES["dict"][0]()))
    cache = CASES["dict"][0]()
    graph(torch.ones(1), cache)
    assert list(cache) == ["a", "b"] and cache["a"].item() == 1.0


def test_one_object_in_two_places_is_one_afterwards():
    class Twice(nn.Module):
        def forward(self, x, a, b):
            a.parts[0] = a.parts[0] + x
            return a, b

    one, other = Holding(torch.ones(1)), Holding(torch.ones(1))
    graph = flexir.capture(Twice(), (torch.ones(1), one, one))
    made = graph.start().answer(torch.full((1,), 2.0), other, other)
    assert made[0] is other and made[1] is other and other.parts[0].item() == 3.0


def test_an_input_is_opened_also_where_it_has_slots_alone():
    class Asking(nn.Module):
        def forward(self, x, held):
            return x + held.held

    graph = flexir.capture(Asking(), (torch.ones(1), Slotted(torch.ones(1))))
    assert graph(torch.ones(1), Slotted(torch.full((1,), 5.0))).item() == 6.0
