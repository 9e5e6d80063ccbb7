"""What ends a loop: what it goes over, or a condition that a round met."""

import types

import pytest
from by_hand import branch, call, code_of, number, recorded, tensor

from flexir.graph import numbers
from flexir.graph.nodes import Node
from flexir.recording.alike import Misfit
from flexir.recording.branches import _Laying
from flexir.recording.deciding import Deciding
from flexir.recording.looping import Looping
from flexir.recording.rounds import Execution, Turn
from flexir.recording.runs import Span
from flexir.recording.scopes import Scope
from flexir.recording.sources import loops_at

FOR = "for i in x:\n        h(i)\n"
WHILE = "while x:\n        h(x)\n"
LEFT = "for i in x:\n        if h(i): break\n"


def execution_of(text, place, count):
    code = code_of(f"def f(x):\n    {text}", place)
    loops = [loops_at(code, 2 * i) for i in range(len(code.co_code) // 2)]
    made = Execution(max(loops, key=len)[0], code, ())
    made.count = count
    return made


@pytest.mark.parametrize("text, counts, spans, expected", [
    (WHILE, (None, None), 2, True), (WHILE, (3, 4), 3, True), (FOR, (3, 3), 2, True),
    (FOR, (3, 4), 2, False), (FOR, (3, None), 2, False), (FOR, (None, None), 2, False),
    (FOR, (3, 3), 3, False), (FOR, ([1, 2, 3], 3), 2, True), (FOR, ([1, 2], 3), 2, False),
], ids=str)  # fmt: skip
def test_conditions_alone_end_a_loop_whose_runs_go_over_as_much(
    text, counts, spans, expected, tmp_path
):
    laying = Deciding([recorded()] * spans)
    stretches = {
        r: (Turn(execution_of(text, tmp_path, count), 0), [], 0) for r, count in enumerate(counts)
    }
    assert laying.ended_by_conditions(dict.fromkeys(range(spans)), stretches) is expected


def test_what_a_run_says_after_its_rounds():
    h, over, k = call("h", None, tensor()), call("over", None), call("add", numbers.add, number())
    laying = Deciding([recorded(ends={over: "loop", h: "loop"}), recorded()])
    for nodes, end, expected in (
        ([h, over], 1, True), ([h, k, k, over], 1, True), ([h, k, h], 1, True), ([h, k], 1, False),
        ([over], 0, True), ([over], 1, False), ([k, over, over], 0, True),
    ):  # fmt: skip
        span = Span(nodes, 0, len(nodes), 0)
        assert laying._is_over(0, span, end, "loop") is expected, (nodes, end)
        assert laying._is_over(0, span, end, "other") is False
        assert laying._is_over(1, span, end, "loop") is False
    assert laying._is_over(0, Span([h, k, over], 0, 2, 0), 1, "loop") is False, "it is of a block"


def test_a_way_that_last_rounds_alone_took_may_leave():
    laying, body = Deciding([recorded()] * 4), Scope(range(4), None, 0)
    body.branches.append(types.SimpleNamespace())  # a loop
    made = branch(body, [0, 1], [2, 3])
    inner = branch(made.then, [0], [1])
    for last in ({2}, {3}, set(), {1, 2} - {1}):
        laying._sides(body, last)
    for last in ({0, 1}, {2, 3}, {0}, {1, 3}):
        with pytest.raises(Misfit, match="left in its last round"):
            laying._sides(body, last)
    inner.then = inner.otherwise = made.otherwise
    laying._sides(body, {1, 3})


@pytest.fixture
def loop(tmp_path):
    """A loop of two runs, of two and three rounds, as :mod:`.rolled` begins it."""

    def made(text=FOR, counts=(2, 3), rounds=(2, 3), over=(), names="loop", count=True):
        end = call("over", None)
        laying = _Laying.__new__(_Laying)
        Deciding.__init__(laying, [recorded(ends={end: "loop"}) for _ in rounds])
        laying.parts_numbers, laying.left = False, 1000
        root = Scope(range(len(rounds)), None, 0)
        body = Scope((), root, 1)
        made = body.loop = Looping(Node("loop", None, {}), root, body, number() if count else None)
        made.name = names
        spans, stretches = {}, {}
        for r, many in enumerate(rounds):
            made.rounds[r] = [laying.part(r) for _ in range(many)]
            made.place.update((p, (r, k)) for k, p in enumerate(made.rounds[r]))
            nodes = [end] if r in over else [call("h", None)]
            spans[r] = Span(nodes, 0, 1, 0)
            turn = Turn(execution_of(text, tmp_path, counts[r]), 0)
            stretches[r] = turn, [], 0
        body.runs = tuple(made.place)
        body.members = frozenset(body.runs)
        return laying, made, dict(enumerate(counts)), spans, stretches

    return made


def ends(made, skipped=0):
    laying, looping, counts, spans, stretches = made
    laying.find_ends(looping, counts, skipped, spans, stretches)
    return looping.goes_on, looping.ends


def test_a_loop_that_goes_to_the_end_of_what_it_goes_over_is_ended_by_that(loop):
    assert ends(loop()) == (True, ("count",))
    assert ends(loop(over=(0, 1))) == (True, ("count",))
    assert ends(loop(counts=(3, 4)), skipped=1) == (True, ("count",))
    with pytest.raises(Misfit, match="more rounds than what it goes over says"):
        ends(loop(counts=(1, 3)))
    with pytest.raises(Misfit, match="more rounds"):
        ends(loop(counts=(2, 3)), skipped=1)


def test_a_loop_left_early_needs_a_condition(loop):
    for early in (loop(counts=(2, 4)), loop(counts=(None, None), count=False), loop(over=(0,))):
        with pytest.raises(Misfit):
            ends(early)
    with pytest.raises(Misfit, match="nothing says how a loop ends"):
        ends(loop(counts=(5, 5), rounds=(1, 1)))


@pytest.mark.parametrize("counts, found", [((3, 4), ("condition",)), ((2, 4), ("condition",))])
def test_the_condition_that_last_rounds_met_ends_it(loop, counts, found):
    laying, looping, counts, spans, stretches = loop(LEFT, counts)
    body = looping.body
    lasts = [*looping.lasts.values()]
    made = branch(
        body, [p for p in body.runs if p in lasts], [p for p in body.runs if p not in lasts]
    )
    goes_on, how = ends((laying, looping, counts, spans, stretches))
    assert goes_on.is_number and how == found
    [(then, otherwise, output)] = made.outputs.values()
    assert (then, otherwise, output) == (False, True, goes_on)


def test_a_loop_may_be_ended_by_both(loop):
    laying, looping, counts, spans, stretches = loop(LEFT, (2, 4))
    body, left = looping.body, looping.lasts[1]
    branch(body, [left], [p for p in body.runs if p != left])
    assert ends((laying, looping, counts, spans, stretches))[1] == ("count", "condition")


def test_what_may_have_been_left_in_its_last_round_is_refused(loop):
    for over, text, fine in (((), LEFT, False), ((0, 1), LEFT, True), ((), FOR, True)):
        laying, looping, counts, spans, stretches = loop(text, over=over)
        body, lasts = looping.body, [*looping.lasts.values()]
        branch(body, lasts, [p for p in body.runs if p not in lasts])
        if fine:
            assert ends((laying, looping, counts, spans, stretches)) == (True, ("count",))
        else:
            with pytest.raises(Misfit, match="left in its last round"):
                ends((laying, looping, counts, spans, stretches))
