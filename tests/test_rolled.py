"""Where the rounds of loops lie in runs, and how a loop is laid as one or as it comes; by hand."""

import pytest
from by_hand import Laid, call, code_of, computed, held, number, recorded, stands, tensor, whole
from test_looping import loop_in

from flexir.graph import numbers
from flexir.graph.nodes import ListType, Node, Value
from flexir.graph.source import Source
from flexir.recording.alike import Misfit
from flexir.recording.rounds import Execution, Turn
from flexir.recording.runs import Span
from flexir.recording.scopes import Scope
from flexir.recording.sources import loops_at

FOR = "def f(x, n):\n    for i in x:\n        h(i)\n        g(i, n)\n    return n\n"


def execution_of(place, text=FOR, count=None):
    code = code_of(text, place)
    loops = [loops_at(code, 2 * i) for i in range(len(code.co_code) // 2)]
    made = Execution(max(loops, key=len)[0], code, ())
    made.count = count
    return made


class Rolls(Laid):
    """Runs being laid; what is paired is noted, and refused as the test says."""

    def __init__(self, runs):
        super().__init__(runs)
        self.left, self.laid, self.refused = 1000, [], 0

    def lay(self, scope, spans, out, finish):
        self.laid.append({r: (span.start, span.end) for r, span in spans.items()})
        if self.refused:
            self.refused -= 1
            raise Misfit("refused")
        finish()


@pytest.fixture
def ran(tmp_path):
    """Runs of a call before a loop, two calls in each of so many rounds, and a call after it."""

    def made(*rounds, counts=None, lost=None, ends=None):
        runs, spans = [], {}
        known = [number("count", many) for many in rounds]
        for r, many in enumerate(rounds):
            execution = execution_of(tmp_path, count=(counts or known)[r])
            nodes, turns = [call("before", None, tensor())], {}
            for k in range(many):
                for op in ("h", "g"):
                    nodes.append(call(op, None, tensor(), input=tensor()))
                    turns[nodes[-1]] = (Turn(execution, k),)
                execution.rows.append([])
                execution.held.append({})
            nodes.append(call("after", None, tensor()))
            more = lost(nodes) if lost else {}
            runs.append(recorded(turns=turns, lost=more, ends=ends(nodes) if ends else {}))
            spans[r] = Span(nodes, 0, len(nodes), 0)
        laid, scope = Rolls(runs), Scope(range(len(rounds)), None, 0)
        if counts is None:
            stands(laid, scope, *known, age=laid.tick())
        return laid, scope, spans

    return made


def at_loop(spans):
    return {r: span.nodes[1] for r, span in spans.items()}


# -- where rounds lie


def test_rounds_lie_from_a_call_to_the_next_rounds_first(ran):
    laid, scope, spans = ran(3, 2)
    stretches = laid.loop_at(scope, spans, at_loop(spans), [])
    for r, many in ((0, 3), (1, 2)):
        turn, rounds, end = stretches[r]
        assert turn.number == 0 and end == 1 + 2 * many and spans[r].nodes[end].op == "after"
        assert [(one.start, one.end) for one in rounds] == [
            (1 + 2 * k, 3 + 2 * k) for k in range(many)
        ]
        assert {one.depth for one in rounds} == {1} and rounds[0].nodes is spans[r].nodes


def test_numbers_between_calls_belong_to_the_round_they_stand_in(ran):
    laid, scope, spans = ran(2, 3)
    nodes = [*spans[0].nodes]
    nodes.insert(4, computed(numbers.add, input=1, other=2).producer)
    spans[0] = Span(nodes, 0, len(nodes), 0)
    _, rounds, end = laid.loop_at(scope, spans, at_loop(spans), [])[0]
    assert [(one.start, one.end) for one in rounds] == [(1, 3), (3, 6)] and end == 6


def test_where_no_loop_begins_none_is_found(ran):
    laid, scope, spans = ran(3, 2)
    assert laid.loop_at(scope, spans, {r: span.nodes[0] for r, span in spans.items()}, []) == {}
    assert laid.loop_at(scope, spans, {r: span.nodes[-1] for r, span in spans.items()}, []) == {}


def test_a_run_that_has_no_round_is_missing(ran):
    laid, scope, spans = ran(2, 0)
    assert laid.loop_at(scope, spans, at_loop(spans), []).keys() == {0}


def test_loops_with_as_many_rounds_are_laid_as_they_come(ran):
    laid, scope, spans = ran(2, 2)
    out = []
    assert laid.loop_at(scope, spans, at_loop(spans), out) == {} and len(out) == 1
    assert len(laid.unrolled) == 2
    del out[:]
    laid, scope, spans = ran(2, 2, counts=(2, 2))
    assert laid.loop_at(scope, spans, at_loop(spans), out) == {} and out == []
    counts = [number("count", 2) for _ in range(2)]
    laid, scope, spans = ran(2, 2, counts=counts)
    made = stands(laid, scope, *counts)
    laid.loop_at(scope, spans, at_loop(spans), out)
    [guard] = out
    assert guard.target is numbers.eq and guard.args == {"input": made, "other": 2}


def test_a_loop_that_one_run_goes_through_and_another_leaves_is_laid_as_one(ran):
    counts = [number("count", 2), number("count", 3)]
    laid, scope, spans = ran(2, 2, counts=counts)
    stands(laid, scope, *counts)
    out = []
    assert laid.loop_at(scope, spans, at_loop(spans), out).keys() == {0, 1} and out == []


def test_a_loop_over_what_only_some_rounds_gave_is_laid_as_one(ran):
    rows = [[tensor(), tensor()] for _ in range(2)]
    laid, scope, spans = ran(2, 2, counts=rows)
    earlier = loop_in(Scope([0, 1], None, 0), [8], [9])
    earlier.made = {rows[0][0]: 8}
    laid.loops.append(earlier)
    assert laid.loop_at(scope, spans, at_loop(spans), []) == {}
    laid.unrolled.clear()
    earlier.grows = True
    assert laid.loop_at(scope, spans, at_loop(spans), []).keys() == {0, 1}


def test_the_outermost_loop_that_is_laid_as_one_is_found(ran, tmp_path):
    laid, _, spans = ran(2)
    node = spans[0].nodes[1]
    [outer] = laid.turns(0, node)
    inner = Turn(execution_of(tmp_path), 4)
    laid.runs[0].turns[node] = (outer, inner)
    assert laid._turn(0, node, 0) == (outer, 0) and laid._turn(0, node, 1) == (inner, 1)
    laid.unrolled = {outer.execution}
    assert laid._turn(0, node, 0) == (inner, 1)
    laid.unrolled |= {inner.execution}
    assert laid._turn(0, node, 0) is None and laid._turn(0, spans[0].nodes[0], 0) is None


def test_a_round_is_of_the_run_it_is_part_of(ran):
    laid, _, _ = ran(2, 1)
    part = laid.part(1)
    assert part == 2 and laid.runs[2] is laid.runs[1] and laid.around[2] == 1


# -- what says that a loop is over


def test_what_only_says_that_a_loop_is_over_is_not_laid(ran):
    laid, scope, spans = ran(1, 1, ends=lambda nodes: {nodes[-1]: "loop"})
    last, other = spans[0].nodes[-1], spans[1].nodes[-1]
    assert laid.is_told(scope, 0, spans[0].nodes[0], {}) is False
    assert laid.is_told(scope, 0, last, {0: last, 1: other}) is False, "all runs say it"
    assert laid.is_told(scope, 0, last, {0: last, 1: spans[1].nodes[0]}) is True
    loop = loop_in(scope, [8], [9])
    loop.name = "loop"
    assert laid.is_told(scope, 0, last, {0: last, 1: other}) is True, "it is laid as one"
    loop.name = "another"
    assert laid.is_told(scope, 0, last, {0: last, 1: other}) is False


# -- what is forgotten


def test_what_was_laid_since_is_forgotten(ran):
    laid, scope, spans = ran(2)
    out, early, late = [call("a", None)], tensor(), tensor()
    scope.made[early] = laid.tick()
    laid.written[-1]["k"] = early
    laid.elements[early], laid.lost_before = (), {spans[0].nodes[0]: 1}
    loop = loop_in(scope, [8])
    laid.loops.append(loop)
    laid.unrolled = {"one"}
    scope.lost.append(({}, early))
    mark = laid.mark(scope, out)
    out.append(call("b", None))
    scope.branches.append("more")
    scope.lost.append(({}, late))
    laid.written[-1]["l"] = late
    laid.elements[late] = ()
    laid.lost_before[spans[0].nodes[1]] = 2
    laid.unrolled.add("two")
    laid.loops.append("another")
    loop.gains.append("gain")
    inner = Scope([0], scope, laid.tick())
    inner.made[late] = scope.made[late] = laid.tick()
    for _ in range(2):  # as often as is tried
        laid.back_to(mark, inner, out)
        assert inner.made == {} and early in scope.made and late not in scope.made
    laid.back_to(mark, scope, out)
    assert [one.op for one in out] == ["a"] and scope.branches == [loop]
    assert scope.lost == [({}, early)] and laid.written == [{"k": early}]
    assert laid.elements == {early: ()} and laid.lost_before == {spans[0].nodes[0]: 1}
    assert laid.unrolled == {"one"} and laid.loops == [loop] and loop.gains == []
    laid.written[-1]["m"] = laid.elements[late] = late
    laid.back_to(mark, scope, out)
    assert laid.written == [{"k": early}] and laid.elements == {early: ()}


# -- how a loop is laid


def through(laid, scope, spans, finished):
    stretches = laid.loop_at(scope, spans, at_loop(spans), scope.nodes)
    laid.laid.clear()
    at = dict.fromkeys(spans, 1)
    laid.through(scope, spans, at, stretches, scope.nodes, lambda: finished.append(1))


def test_a_loop_is_laid_as_one(ran):
    laid, scope, spans = ran(3, 2)
    finished = []
    through(laid, scope, spans, finished)
    [loop] = laid.loops
    body, rest = laid.laid
    assert [*body.values()] == [(1, 3), (3, 5), (5, 7), (1, 3), (3, 5)] and finished == [1]
    assert rest == {0: (7, 8), 1: (5, 6)} and scope.branches == [loop] and loop.skipped == 0
    assert loop.rounds == {0: [2, 3, 4], 1: [5, 6]} and loop.place[6] == (1, 1)
    assert loop.body.runs == (2, 3, 4, 5, 6) and loop.body.members == {2, 3, 4, 5, 6}
    assert [one.op for one in scope.nodes] == ["loop"] and loop.least == 1
    assert loop.nodes is scope.nodes and loop.out == [] and loop.out is not scope.nodes
    assert loop.ends == ("count",) and loop.goes_on is True and loop.count.is_number
    assert loop.made[spans[0].nodes[3].outputs[0]] == 3 and loop.index in loop.body.made
    assert laid.written == [{}] and loop.code.co_name == "f" and loop.born > loop.body.born


def test_a_run_without_a_round_makes_it_right_for_none(ran):
    laid, scope, spans = ran(3, 0, counts=(3, 0))
    stretches = laid.loop_at(scope, spans, at_loop(spans), [])
    assert stretches.keys() == {0}
    laid.through(scope, spans, dict.fromkeys(spans, 1), stretches, [], lambda: None)
    assert laid.loops[0].least == 0 and laid.laid[-1] == {0: (7, 8), 1: (1, 2)}


def test_where_that_does_not_go_its_first_round_stands_before_it(ran):
    counts = [number("count", n) for n in (3, 2)]
    laid, scope, spans = ran(3, 2, counts=counts)
    count = stands(laid, scope, *counts, age=laid.tick())
    laid.refused = 1
    through(laid, scope, spans, [])
    [loop] = laid.loops
    assert loop.skipped == 1 and loop.rounds.keys() == {0, 1} and len(loop.rounds[0]) == 2
    _, first, body, rest = laid.laid
    assert first == {0: (1, 3), 1: (1, 3)} and [*body.values()] == [(3, 5), (5, 7), (3, 5)]
    assert rest == {0: (7, 8), 1: (5, 6)}
    guard, less, node = scope.nodes
    assert guard.target is numbers.ge and guard.args == {"input": count, "other": 1}
    assert less.target is numbers.sub and less.args == {"input": count, "other": 1}
    assert loop.count is less.outputs[0] and loop.count.type.recorded == 2 and node.op == "loop"


def test_a_loop_of_which_nothing_is_known_is_refused(ran):
    for refused in (2, 9):
        laid, scope, spans = ran(3, 2)
        laid.refused = refused
        with pytest.raises(Misfit, match="refused"):
            through(laid, scope, spans, [])
        assert laid.unrolled == set()
    laid, scope, spans = ran(3, 0)
    laid.refused = 1
    with pytest.raises(Misfit, match="refused"):
        through(laid, scope, spans, [])
    assert len(laid.laid) == 1, "a run without a round has no first one"


def test_a_loop_that_conditions_end_may_be_laid_as_it_comes(ran):
    laid, scope, spans = ran(3, 2, counts=(5, 5))
    laid.refused = 2
    through(laid, scope, spans, [])
    assert laid.laid[-1] == {0: (1, 8), 1: (1, 6)} and laid.loops == [] and laid.unrolled == set()


def test_how_many_rounds_what_it_goes_over_says(ran):
    laid, scope, _ = ran(2, 3)
    assert laid.count(scope, {0: None, 1: 3}, []) is None
    assert laid.count(scope, {0: 3, 1: 3}, []) == 3
    rows = [[tensor()] for _ in range(2)]
    stands(laid, scope, *(row[0] for row in rows))
    assert laid.count(scope, dict(enumerate(rows)), []) == 1
    whole_list, out = Value("rows", ListType(2, tensor().type)), []
    laid.listed = lambda *_: whole_list
    found = laid.count(scope, {0: [tensor()], 1: [tensor(), tensor()]}, out)
    assert out == [found.producer] and found.producer.target is numbers.length
    assert found.producer.args == {"input": whole_list} and found.type.recorded == 2


def test_numbers_that_became_plain_in_each_round_are_of_the_round(ran):
    def lost(nodes):
        return {nodes[1]: ("a", "b"), **{n: ("b",) for n in nodes[3:-1:2]}}

    laid, scope, spans = ran(3, 2, lost=lost)
    told = []
    laid.lose = lambda scope, lost, out: told.append(lost)
    stretches = laid.loop_at(scope, spans, at_loop(spans), [])
    laid._lose_before(scope, stretches, [])
    assert told == [{0: ("a",), 1: ("a",)}]
    first = spans[0].nodes[1]
    assert laid.lost_before[first] == 1 and laid.lost_at(0, first) == ("b",)
    assert laid.lost_at(0, spans[0].nodes[3]) == ("b",) and laid.lost_at(0, spans[0].nodes[0]) == ()


# -- numbers that may be that of the round


@pytest.fixture
def index(ran, tmp_path):
    """Whether a call in a loop, with a number in it, may be of the number of the round."""

    def asked(number, *, changing=None, names=(), runs=None, line=4, ends=False):
        node = Node("g", None, {"input": tensor(), "number": number})
        code = code_of(FOR, tmp_path)
        node.source = None if line is None else Source(code.co_filename, line, "f")
        laid = Rolls([recorded(ends={node: "loop"} if ends else {}) for _ in range(2)])
        root = Scope([0, 1], None, 0)
        loop = loop_in(root, [laid.part(0), laid.part(0)], [laid.part(1)])
        loop.code, loop.names, loop.changing = code, {*names}, changing or {}
        loop.starts = {p: held(code, n=whole(p)) for p in loop.place}
        block = Scope(runs or loop.body.runs, loop.body, 9) if runs != () else loop.body
        laid.tells_index(block, node)

    return asked


def test_a_number_of_one_round_alone_may_be_its_own(index):
    index(5, names=["i"])
    for runs in ([2], [2, 4], [3, 4]):  # all first ones; all first ones; all last ones
        with pytest.raises(Misfit, match="it may be the number of the round"):
            index(5, names=["i"], runs=runs)
        index(5, names=["z"], runs=runs)
        index(tensor(), names=["i"], runs=runs)
        index(5, names=["i"], runs=runs, line=None)
        index(5, names=["i"], runs=runs, ends=True)
        with pytest.raises(Misfit):
            index("word", names=["i"], runs=runs)
        with pytest.raises(Misfit):
            index(0.5, names=["i"], runs=runs)
    index(5, names=["i"], runs=[2, 3])
    index(5, names=["i"], runs=())  # the round itself, no block in it


def test_a_variable_that_changes_is_told_by_rounds_that_begin_otherwise(index):
    scalars = {"n": {whole(1), whole(2)}}
    index(5, changing=scalars, runs=[2, 3])
    with pytest.raises(Misfit, match="'n' may be another"):
        index(5, changing=scalars, runs=[2])
    index(5, changing=scalars, runs=[2], line=3)  # it is not mentioned there
    index(5, changing={"n": {("list", 2)}}, runs=[2])
