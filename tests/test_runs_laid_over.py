"""Small rules of runs that are laid over each other: scopes, templates of several runs, what rounds
look up, ways inside of tuples."""

from __future__ import annotations

import ast
import collections
import math
import sys
import types

import numpy as np
import pytest
import torch
from test_sources import function_of

from flexir.graph import tree
from flexir.graph.account import NOTHING
from flexir.graph.nodes import Node, TensorType, Value
from flexir.recording.alike import Misfit, same_constant, zipped
from flexir.recording.lookups import (
    ROWS,
    STRANGE,
    TABLE,
    TENSORS,
    USERS,
    Lookups,
    is_row,
    round_reads,
)
from flexir.recording.rounds import Rounds
from flexir.recording.scopes import Branch, Scope
from flexir.recording.tuple_parts import keyed_by, steps_to, ways_to, with_part, within

FLOAT = TensorType(torch.float32, (), torch.device("cpu"))


def value(name="x"):
    return Value(name, FLOAT)


def test_a_scope_sees_what_was_made_before_it_began():
    outer = Scope([0, 1], None, 0)
    inner = Scope([0], outer, 5)
    early, late, own = value(), value(), value()
    outer.made.update({early: 4, late: 5})
    inner.made[own] = 7
    assert inner.sees(early) is True and inner.sees(own) is True
    assert inner.sees(late) is False and outer.sees(late) is True and outer.sees(own) is False
    assert [inner.age(one) for one in (early, late, own)] == [4, 5, 7] and outer.age(own) == -1
    assert inner.runs == (0,) and inner.members == {0}


def test_runs_took_different_ways_once_there_is_a_branch_or_a_loop():
    outer = Scope([0, 1], None, 0)
    body = Scope([0], outer, 1)
    inner = Scope([0], body, 2)
    assert inner.after_a_branch is False and inner.body is None
    body.loop = object()
    assert inner.after_a_branch is True and inner.body is body and outer.body is None
    assert outer.after_a_branch is False
    outer.branches.append(object())
    assert outer.after_a_branch is True


def test_a_branch_forgets_what_nobody_reads():
    scope, kept, gone = Scope([0], None, 0), value(), value()
    branch = Branch(Node("if", None, {}), scope, scope, 3)
    branch.outputs = {"a": (1, 2, kept), "b": (3, 4, gone)}
    assert branch.drop_unread({kept, gone}) is False and len(branch.outputs) == 2
    assert branch.drop_unread({kept}) is True and list(branch.outputs) == ["a"]


def lay(*templates, **more):
    return zipped(dict(enumerate(templates)), lambda parts: tuple(parts.values()), **more)


def test_templates_of_several_runs_are_one():
    a, b = value("a"), value("b")
    assert lay([a, (1, {"k": b})], [b, (1, {"k": a})]) == [(a, b), (1, {"k": (b, a)})]
    made = lay(slice(a, 1, None), slice(b, 1, None))
    assert made.start == (a, b) and made.stop == 1 and made.step is None
    word = object()
    assert lay(word, object()) is word, "an object that is handed on"
    assert lay(1.5, float("1.5")) == 1.5 and lay("s", "s") == "s"
    assert math.isnan(lay(float("nan"), float("nan")))
    assert lay(1, 2, literal=lambda parts: sorted(parts.values())) == [1, 2]
    assert lay([1], [1, 2], listed=lambda parts: "a list") == "a list"
    assert lay([1], [1], listed=lambda parts: None) == [1]


@pytest.mark.parametrize(
    "one, other",
    [
        (1, 2), (1, True), (1, 1.0), ([1], (1,)), ([1], [1, 2]), ({"a": 1}, {"b": 1}), ("a", "b"),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}), ({"a": 1}, {}), (1.0, 2.0), (None, 1),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said(one, other):
    for pair in ((one, other), (other, one)):
        with pytest.raises(Misfit):
            lay(*pair)
        with pytest.raises(Misfit):
            lay(pair[0], pair[0], pair[1])
    if type(one) not in (int, float):  # numbers may be explained
        with pytest.raises(Misfit):
            lay(one, other, literal=lambda parts: 0)


def test_one_object_of_each_run_stays_one():
    records = [tree.Record(dict, {"a": n}, {}) for n in (value(), value())]
    first, again = lay(*([one, one] for one in records))
    assert first is again and first.cls is dict and type(first.items["a"]) is tuple
    with pytest.raises(Misfit):
        lay(records[0], tree.Record(list, [1], {}))


def test_constants_are_the_same_if_their_elements_are():
    x = torch.ones(2)
    assert same_constant(x, x) and same_constant(x, x.clone())
    for other in (x * 2, x.double(), torch.ones(1, 2), x.to_sparse()):
        assert not same_constant(x, other)
    meta = x.to("meta")
    assert same_constant(meta, meta) and not same_constant(meta, x.to("meta"))


def looked_up(place, text, **variables):
    """What a function of these variables looks up, or calls, with variables -> what it is."""
    names = ", ".join(variables)
    code = function_of(f"def f({names}):\n    {text}\n", place)
    lookups = Lookups()
    frame = types.SimpleNamespace(
        f_code=code, f_locals=variables, f_globals={"torch": torch, "math": math, "T": [1.0, 2.0]}
    )
    lookups.visit(frame)
    return {ast.unparse(node): kind for node, kind in lookups.kinds[code].items()}


def own(x):
    return x


@pytest.mark.parametrize(
    "text, kind",
    [
        ("T[i]", TABLE), ("[1, 2][i]", TABLE), ("x[i]", TENSORS), ("f(i)", USERS), ("C(i)", USERS),
        ("torch.relu(i)", TENSORS), ("m(i)", TENSORS), ("rows[i]", ROWS), ("d.get(i)", TABLE),
        ("o.table[i]", TABLE), ("len(i)", TENSORS), ("o.rows[i]", ROWS), ("later[i]", None),
        ("f(k=i)", USERS), ("(x + 1)[i]", TENSORS), ("(n + n)[i]", TABLE), ("T[1:][i]", TABLE),
        ("dd['k'][i]", TABLE), ("x.sum(0)[i]", None), ("o.act(i)", USERS), ("'ab'[i]", TABLE),
        ("list(T)[i]", TABLE), ("dd['no'][i]", TABLE), ("math.sqrt(i)", STRANGE),
        ("np.arange(i)", STRANGE),
    ],
)  # fmt: skip
def test_what_is_looked_up_by_numbers(text, kind, tmp_path):
    class Own:
        table, rows = [1, 2], [torch.ones(1)]

        def act(self, i):
            return i

    made = Own()
    made.table, made.rows = [1, 2], [torch.ones(1)]
    found = looked_up(tmp_path, f"y = {text}", i=0, n=3, x=torch.ones(3), f=own, o=made,
                      m=torch.nn.ReLU(), rows=[torch.ones(1)], d={0: 1}, dd={"k": [1]},
                      C=Own, np=np)  # fmt: skip
    assert found.get(text) == kind


@pytest.mark.parametrize("text", ["y = T[0]", "T[i] = 1", "y = f()"])
def test_what_no_variable_looks_up_is_left_out(text, tmp_path):
    assert looked_up(tmp_path, text, i=0, f=own) == {}


def test_what_is_not_there_yet_is_looked_at_later(tmp_path):
    code = function_of("def f(i):\n    later = g()\n    return later[i]\n", tmp_path)
    lookups = Lookups()
    frame = types.SimpleNamespace(f_code=code, f_locals={"i": 0}, f_globals={})
    lookups.visit(frame)
    assert lookups.kinds == {code: {}}
    frame.f_locals["later"] = [1, 2]
    lookups.visit(frame)
    assert list(lookups.kinds[code].values()) == [TABLE]
    frame.f_locals["later"] = torch.ones(2)
    lookups.visit(frame)
    assert list(lookups.kinds[code].values()) == [TABLE], "it is known"


class Loop(types.SimpleNamespace):
    __hash__ = object.__hash__


def test_what_a_round_reads_and_what_rows_are():
    one = Loop(body=tuple(ast.parse("y = T[i + j] + T[U[k]]").body))
    assert round_reads(one, "T") and round_reads(one, "k") and not round_reads(one, "y")
    assert is_row([torch.ones(1), {"a": torch.nn.ReLU()}]) and not is_row([torch.ones(1), 1])


def test_what_the_variables_of_a_loop_held_is_noted_from_its_first_round_on():
    turns = []
    code, unknown = sys._getframe().f_code, lambda tensor: None
    rounds = Rounds(code, lambda loop, frame: len(turns), unknown, unknown)

    def model():
        for number, word in zip(range(3), "abc"):
            assert word and number >= 0
            rounds.come_to(sys._getframe())
            turns.extend(rounds.now)
        rounds.come_to(sys._getframe())

    model()
    assert rounds.now == ()
    [execution] = {id(turn.execution): turn.execution for turn in turns}.values()
    assert [turn.number for turn in turns] == [0, 1, 2] and execution.count == 0
    assert execution.held == [{"number": n} for n in range(3)] and execution.odd == {"word"}
    assert execution.plain == {"number", "word"}


def test_ways_inside_of_tuples():
    assert steps_to("a.b", "a.b") == [] and steps_to("a.b.0.1", "a.b") == ["0", "1"]
    assert steps_to("ab", "a") is None
    part = (1, (2, [3]))
    assert within(part, ["1", "0"]) == 2 and within(part, []) is part
    for wrong in (None, ["2"], ["x"], ["1", "1", "0"], ["0", "0"]):
        assert within(part, wrong) is NOTHING
    things = {id(part[1]): 1}
    assert list(ways_to(part, things)) == [(id(part[1]), ".1")]
    assert list(ways_to(part, {id(part): 1})) == [(id(part), "")]
    assert with_part(part, ["1", "0"], 9) == (1, (9, [3])) and with_part(part, [], 5) == 5
    pair = torch.ones(2, 2).max(0)
    assert with_part(pair, ["1"], 7).indices == 7
    named = collections.namedtuple("named", "a b")(1, 2)
    assert with_part(named, ["0"], 7) == (7, 2) and type(with_part(named, ["0"], 7)) is type(named)
    assert keyed_by(["a"]) == {0: "a"} and keyed_by({"k": 1}) == {"k": 1}
