"""Numbers among the arguments that know where they come from, for as long as the model runs; what
switches a call ran under; weights that the first call makes."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from flexir.graph.nodes import NumberType, Value
from flexir.recording.input_numbers import lend, take_back
from flexir.recording.lazy import NotInitialised, initialise, those_made
from flexir.recording.live import OURS, Int
from flexir.recording.numbers import Numbers
from flexir.recording.switches import SwitchWatch, autocast_regions

NUMBERS = Numbers(None, None, lambda: False)


def number(n):
    return NUMBERS.number(n, Value("n", NumberType(type(n), n)))


class Slotted:
    __slots__ = ("n", "part", "unset")

    def __init__(self):
        self.n, self.part = 3, torch.ones(1)


@dataclasses.dataclass
class Held:
    n: int
    more: list


class Named(tuple):
    pass


def test_numbers_are_lent_wherever_they_stand_and_taken_back():
    held, slotted, table = Held(3, [1, "a", True, None]), Slotted(), {"k": 2.5, "t": (4, "b")}
    args = (1, held, slotted, table, [5])
    given = lend(args, number)
    assert given is not args and given == (1, held, slotted, table, [5])
    assert given[1] is held and given[2] is slotted and given[3] is table and given[4] is args[4]
    lent = [given[0], held.n, held.more[0], slotted.n, table["k"], table["t"][0], given[4][0]]
    assert [n for n in lent if type(n) not in OURS] == []
    assert lent == [1, 3, 1, 3, 2.5, 4, 5]
    assert held.more[1:] == ["a", True, None] and type(held.more[2]) is bool
    again = take_back(given)
    back = [again[0], held.n, held.more[0], slotted.n, table["k"], table["t"][0], again[4][0]]
    assert back == lent and {type(n) for n in back} == {int, float}


def test_what_holds_no_number_is_itself_and_may_hold_itself():
    x = torch.ones(1)
    for part in ((x, "a"), [x], {"a": x}, "a", None, True, (), Named((x,))):
        assert lend(part, number) is part
    loop = [1]
    loop.append(loop)
    lend(loop, number)
    assert type(loop[0]) is Int and loop[1] is loop
    made = lend(Named((1,)), number)
    assert type(made) is Named and type(made[0]) is Int
    assert type(lend(number(3), lambda n: n)) is int, "of another run: as a plain one"


def test_the_switches_of_a_call_are_told_anew_when_one_is_turned():
    watch = SwitchWatch()
    first = watch.now()
    assert watch.now() is first and first.switches.grad is True and watch.inference is False
    with torch.no_grad():
        assert watch.now().switches.grad is False
    with torch.inference_mode():
        assert watch.now().switches.inference is True and watch.inference is True
    assert repr(watch.now().switches) == repr(first.switches) and watch.inference is False
    with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
        assert autocast_regions() == (("cpu", torch.bfloat16, False),)
        assert watch.now().switches.autocast == autocast_regions()
        with torch.autocast("cpu", torch.float16, cache_enabled=True):
            assert watch.now().switches.autocast == (("cpu", torch.float16, True),)
    assert autocast_regions() == () and repr(watch.now().switches) == repr(first.switches)


def test_weights_that_a_first_call_makes():
    lazy = nn.Sequential(nn.LazyLinear(2), nn.BatchNorm1d(2), nn.Dropout())
    held = [*lazy.parameters()]
    with pytest.raises(NotInitialised):
        those_made(held, False)
    assert those_made(held, True) == held[2:] and those_made(held[2:], False) == held[2:]
    lazy[2].eval()
    initialise(lazy, (torch.ones(3, 4),), {})
    assert lazy[0].weight.shape == (2, 4) and not lazy[1].num_batches_tracked
    assert [one.training for one in lazy] == [True, True, False] and lazy.training
    assert lazy[0].weight.grad_fn is None
    with pytest.raises(RuntimeError):
        initialise(lazy.forward, (torch.ones(3, 9),), {})
    assert lazy[1].training is True and lazy[2].training is False
    x = torch.full((2,), -1.0)
    initialise(torch.relu_, (x,), {})
    assert torch.equal(x, torch.full((2,), -1.0)), "it was called with a copy"
