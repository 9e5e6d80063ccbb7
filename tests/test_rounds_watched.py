"""In which round of which loops a call stands, watched while Python functions run."""

import ast
import sys

import pytest
import torch

from flexir.graph.nodes import NumberType, Value
from flexir.recording.comparable import IN_GRAPH
from flexir.recording.numbers import Int, Numbers
from flexir.recording.rounds import Execution, Rounds

BY_PLACE = pytest.mark.skipif(
    not hasattr(sys._getframe().f_code, "co_positions"), reason="before Python 3.11: lines alone"
)


class Watch:
    """Watches a function, which says where it stands by calling :meth:`here`."""

    def __init__(self, counts=None):
        self.values, self.said, self.executions = {}, [], {}
        self.counts = counts or {}
        self.rounds = Rounds(Watch.run.__code__, self.count, self.known, self.known)

    def count(self, loop, frame):
        return self.counts.get(ast.unparse(loop.node).splitlines()[0])

    def known(self, tensor):
        return self.values.get(id(tensor))

    def tensor(self, name):
        made = torch.ones(1)
        self.values[id(made)] = name
        return made

    def here(self):
        self.rounds.come_to(sys._getframe(1))
        self.said.append([turn.number for turn in self.rounds.now])
        for turn in self.rounds.now:
            self.executions[turn.execution] = None

    def over(self):
        self.rounds.over(sys._getframe(1))
        self.said.append([turn.number for turn in self.rounds.now])

    def run(self, model):
        model()
        self.rounds.leave()
        return self.said


@pytest.fixture
def watch():
    return Watch()


def test_rounds_of_loops_in_loops(watch):
    def model():
        watch.here()
        for _ in range(2):
            watch.here()
            for _ in "ab":
                watch.here()
                watch.here()
            watch.here()
        watch.here()

    inner = [[0], [0, 0], [0, 0], [0, 1], [0, 1], [0]]
    assert watch.run(model) == [[], *inner, *[[1, *rest] for _, *rest in inner], []]
    assert len(watch.executions) == 3, "the inner loop ran twice"


def test_what_a_called_function_does_stands_in_the_rounds_around_it(watch):
    def helper():
        for _ in "ab":
            watch.here()

    def model():
        for _ in "ab":
            helper()
            helper()

    assert watch.run(model) == [[0, 0], [0, 1]] * 2 + [[1, 0], [1, 1]] * 2
    assert len(watch.executions) == 5


def test_a_function_called_from_two_places_goes_back_in_each_round(watch):
    def helper():
        watch.here()

    def model():
        n = 0
        while n < 3:
            helper()
            helper()
            n += 1

    assert watch.run(model) == [[0], [0], [1], [1], [2], [2]]
    [loop] = watch.executions
    assert loop.after["n"] == ("int", "3") and loop.before["n"] == ("int", "0")


def test_one_instruction_may_make_several_calls(watch):
    def helper():
        watch.here()
        watch.here()

    def model():
        n = 0
        while n < 2:
            helper()
            n += 1

    assert watch.run(model) == [[0]] * 4, "nothing says that it is another round"


def test_a_test_of_a_while_is_of_the_round_that_it_begins(watch):
    def goes_on(n):
        watch.here()
        return n < 2

    def model():
        n = 0
        while goes_on(n):
            watch.here()
            n += 1

    assert watch.run(model) == [[0], [0], [1], [1], [2]]


def test_an_inner_loop_that_is_over_begins_a_round_of_the_one_around():
    def model():
        n = 0
        while n < 2:
            for _ in (None, None):
                watch.here()
                watch.here()
            n += 1

    watch = Watch({"for _ in (None, None):": 2})
    assert watch.run(model) == [[a, b] for a in (0, 1) for b in (0, 1) for _ in "ab"]
    watch = Watch()
    assert watch.run(model) == [[0, b] for b in range(4) for _ in "ab"], "nobody says that it is"


@BY_PLACE
def test_a_loop_in_one_instruction_has_a_round_for_each_call(watch):
    class Adds:
        def __add__(self, other):
            watch.rounds.come_to(sys._getframe(1))
            watch.said.append([turn.number for turn in watch.rounds.now])
            return self

        __radd__ = __add__

    def model():
        sum([Adds(), Adds(), Adds()])

    assert watch.run(model) == [[0], [1], [2]]


@BY_PLACE
def test_a_comprehension_is_a_loop(watch):
    def model():
        [watch.here() for _ in range(2)]
        return [watch.here() for x in "ab" for y in "cd"]

    assert watch.run(model) == [[0], [1], [0, 0], [0, 1], [1, 0], [1, 1]]
    assert all(loop.before == loop.after == {} for loop in watch.executions)


def test_what_a_loop_holds_and_leaves(watch):
    def model():
        h, kept = watch.tensor("first"), 5
        for number, row in enumerate([watch.tensor("a"), watch.tensor("b")]):
            watch.here()
            h = row and watch.tensor(f"h{number}")
            word = "w" * number
        return h, kept, word

    watch.run(model)
    [loop] = watch.executions
    assert loop.held == [{"number": 0}, {"number": 1}] and loop.rows == [["a"], ["b"]]
    assert loop.plain == {"number"} and not loop.numbered and loop.odd == set()
    assert loop.before["kept"] == loop.after["kept"] == ("int", "5"), "it is read after it"
    assert loop.before.keys() <= {"kept", "watch"}, "and h is set before it is read"
    assert loop.set == {"h": {IN_GRAPH}, "word": {("str", "''"), ("str", "'w'")}}
    assert {("model", "h"), ("model", "word")} <= loop.live_after


def test_what_goes_from_round_to_round(watch):
    def model():
        h, n, k = watch.tensor("first"), 0, 7
        for _ in range(2):
            watch.here()
            h, n = watch.tensor(f"h{n}") if h is not None else h, n + k
        return h

    watch.run(model)
    [loop] = watch.executions
    assert loop.before["h"] == IN_GRAPH and loop.before["n"] == ("int", "0")
    assert loop.after["n"] == ("int", "14") and loop.left == {("model", "h"): "h7"}


def test_numbers_that_know_their_round_are_told_apart(watch):
    run = Numbers(None, lambda *_: None, lambda: True)

    def model():
        for i in [Int(k, Value("n", NumberType(int, k)), run) for k in (0, 1)]:
            watch.here()
            assert i < 2
        for word in ["a", "b"]:
            watch.here()
            assert word

    watch.run(model)
    first, second = watch.executions
    assert first.numbered == {"i"} and first.plain == set() and first.odd == set()
    assert first.held == [{}, {}] and second.odd == {"word"} == second.plain


def test_a_loop_says_that_it_is_over_where_it_would_go_on(watch):
    def rows():
        yield from range(2)
        watch.rounds.over(sys._getframe(1))
        watch.said.append([turn.number for turn in watch.rounds.now])

    def model():
        for _ in "ab":
            watch.here()
            for _n in rows():
                watch.here()
            watch.here()
            for _n in []:
                watch.here()
            watch.over()

    once = [[0], [0, 0], [0, 1], [0], [0], [0]]
    assert watch.run(model) == [*once, *[[1, *rest] for _, *rest in once]]


def test_a_loop_that_had_no_round_is_over_where_the_function_is(watch):
    def model():
        watch.over()
        for _ in "ab":
            watch.over()

    assert watch.run(model) == [[], [0], [1]]


def test_what_python_itself_does_is_looked_through(watch):
    def model():
        for _ in "ab":
            list(map(lambda _: watch.here(), range(2)))

    assert [one[0] for one in watch.run(model)] == [0, 0, 1, 1]
    assert watch.rounds._stack == []


def test_an_execution_begins_with_nothing():
    def f(x):
        for i in x:
            i = i + 1
        return i

    from flexir.recording.sources import loops_at

    code = f.__code__
    [loop] = max((loops_at(code, 2 * k) for k in range(len(code.co_code) // 2)), key=len)
    one = Execution(loop, code, ())
    assert one.count is None and (one.held, one.rows) == ([], [])
    assert not (one.odd or one.before or one.after or one.left or one.set)
    assert one.live_after == {("f", "i")} and one.plain == one.numbered == set()
    one.sees({"i": 3, "x": 4}, {}.get)
    one.sees({"i": 5}, {}.get)
    one.sees({}, {}.get)
    assert one.set == {"i": {("int", "3"), ("int", "5")}}
