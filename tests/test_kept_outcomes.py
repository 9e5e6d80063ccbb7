"""Outcomes of conditions that Python keeps: in no variable they are refused, never guessed."""

import dis
import itertools

import pytest
import torch
from torch import nn

import flexir
from flexir.recording.outcomes import asks_each, chooses_place, is_kept
from tests.rows import right_or_refused


def two_bools(x):
    return bool(x.sum() > 0), bool(x.max() > 1)


def of_sizes(x):
    return len(x) == 3, len(x) > 2


def sign(x):
    v = x[0].item()
    return (v > 0) - (v < 0)


def counted(x):
    n = 0
    for t in (0.0, 1.0, 2.0, 3.0):
        n += x[0].item() > t
    return n


def any_of(x):
    return x * 2 if any(v.item() > 1 for v in x) else x - 1


def all_of(x):
    return x * (1 if all(v.item() > -1 for v in x) else 2)


def any_row(x):
    return x[x > 1] if any(x > 1) else x


def dropped(x):
    return len(list(itertools.dropwhile(lambda v: v.item() < 0.2, x)))


def flagged(x):
    hit = False
    for v in x:
        hit |= bool(v > 1)
    return hit


def inserted(x):
    out = []
    for v in x:
        out.insert(0 if v > 0 else len(out), v)
    return torch.stack(out)


def in_front(x):
    out = []
    for v in x:
        if v > 0:
            out.insert(0, v)
        else:
            out.append(v)
    return torch.stack(out)


KEEPING = [two_bools, of_sizes, sign, counted, any_of, all_of, any_row, dropped, flagged,
           inserted, in_front]  # fmt: skip
ROWS = [[2.0, 1.0], [-2.0, 1.0], [0.5, 0.5], [-1.0], [0.0, 2.0], [0.0], [3.0, -5.0], [1.5],
        [-1.0, 1.0, -2.0], [1.0, -1.0, -2.0], [1.0, 2.0, -1.0], [0.0, 0.0, 2.0, 0.0, 3.0],
        [0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 3.0, 0.0], [1.0, 2.0, 3.0]]  # fmt: skip


@pytest.mark.parametrize("function", KEEPING)
@pytest.mark.parametrize("shown", [(0, 1), (7, 4), (3, 0, 6), (8, 9), (11, 12), (0, 1, 7, 3)])
def test_what_only_python_knows_is_refused(function, shown):
    rows = [torch.tensor(row) for row in ROWS]
    first, *others = (rows[k] for k in shown)
    graph = flexir.capture(function, first, also=others)
    right_or_refused(graph, function, rows)


def is_up(x):
    return bool(x.sum() > 0)


class Gate(nn.Module):
    def forward(self, x):
        return x.sum() > 0


class Gated(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate = Gate()

    def forward(self, x):
        if self.gate(x):
            return x * 2
        return x + 1


def helped(x):
    return x * 2 if is_up(x) else x + 1


def in_a_variable(x):
    up = x.sum() > 0 and x[0] > 1
    if up:
        return x.exp()
    return x


def chained(x):
    if -1 < x[0].item() < 1:
        return x * 3
    assert x[0] != 7, "a number that nobody shows"
    return x - 3


@pytest.mark.parametrize("model", [helped, Gated(), in_a_variable, chained])
def test_conditions_that_lead_on_are_one_graph(model):
    rows = [torch.tensor(row) for row in ROWS]
    graph = flexir.capture(model, rows[0], also=rows[1:7])
    assert not graph.frozen, graph.frozen
    for x in rows:
        assert torch.equal(graph(x), model(x))


def at(function, name, nth=0):
    """The place of an instruction in a function."""
    code = function.__code__
    found = [one.offset for one in dis.get_instructions(code) if one.opname.startswith(name)]
    return code, found[nth]


def compared(a, b):
    if a < b:
        return 1
    flag = a > b
    given = [a == b]
    return flag, given, a >= b


def test_where_an_outcome_goes():
    assert is_kept([at(compared, "COMPARE_OP", 0)]) is False, "a jump"
    assert is_kept([at(compared, "COMPARE_OP", 1)]) is False, "a variable"
    assert is_kept([at(compared, "COMPARE_OP", 2)]) is True, "a list"
    assert is_kept([at(compared, "COMPARE_OP", 3)]) is True, "a tuple"


def given_back(a, b):
    return a < b


def calling(a, b):
    held = given_back(a, b)
    return [given_back(a, b)] if held else sorted([a, b], key=given_back)


def test_what_a_function_gives_back_goes_on_in_its_caller():
    inner = at(given_back, "COMPARE_OP")
    calls = [
        n
        for n, one in enumerate(
            one for one in dis.get_instructions(calling.__code__) if one.opname.startswith("CALL")
        )
    ]
    kept = [is_kept([inner, at(calling, "CALL", n)]) for n in calls]
    assert kept == [False, True, True], "a variable, a list, C that calls it"
    assert is_kept([inner]) is False, "the model's own result"


def places(x, out):
    out.insert(0 if x > 0 else 1, x)
    out[1 if x > 0 else 0] = x
    out.append(1 if x > 0 else 2)
    return any(x), all([x, x]), any(v for v in x)


def test_which_calls_choose_a_place_and_which_ask_each():
    assert [chooses_place(*at(places, "COMPARE_OP", n)) for n in range(3)] == [True, True, False]
    calls = [
        one.offset for one in dis.get_instructions(places.__code__) if one.opname.startswith("CALL")
    ]
    asked = [asks_each(places.__code__, offset) for offset in calls]
    assert asked.count(True) == 1
