"""Ranges whose numbers know their round; in all else they are Python's own."""

import sys

import pytest
import torch

from flexir.graph import numbers as calls
from flexir.graph.nodes import Node, NumberType, Value
from flexir.recording import counting
from flexir.recording.counting import Counting, Enumerate, Range, many_in, name_of_loop
from flexir.recording.numbers import Int, Numbers, plain

LOOP = "file.py:1:2:3:4"


class Run:
    """Numbers of a run, and what it is told."""

    def __init__(self, listening=True):
        self.made, self.many, self.said = [], 0, []
        self.numbers = Numbers(
            self.emit, lambda *_: None, lambda: listening, self.over, lambda: self.many
        )
        self.numbers.noted = []

    def emit(self, function, arguments, type):
        node = Node(function.__name__, function, arguments)
        value = Value(function.__name__, type, node)
        node.outputs = (value,)
        self.made.append(node)
        return value

    def over(self, function, arguments, frame):
        self.said.append((function, tuple(arguments.values())[1], frame.f_code.co_name))
        return Node("over", None, {})

    def number(self, n):
        return self.numbers.number(n, Value("n", NumberType(int, n)))


@pytest.fixture
def run():
    return Run()


def plus(function, one, other):
    return function(one, other)


@pytest.mark.parametrize("parts", [
    (0, 5, 1), (2, 7, 1), (2, 7, 2), (2, 8, 2), (0, 7, 3), (5, 0, -1), (7, 2, -2), (8, 2, -2),
    (7, -1, -3), (4, 4, 1), (0, 1, 5), (3, 0, -1), (0, 3, 2), (1, 0, -1),
], ids=str)  # fmt: skip
def test_how_many_numbers_a_range_has(parts):
    assert many_in(*parts, plus) == len(range(*parts))


def test_how_many_is_computed_no_more_than_it_has_to_be():
    made = []

    def compute(function, one, other):
        made.append(function.__name__)
        return function(one, other)

    assert many_in(0, 5, 1, compute) == 5 and made == []
    assert many_in(5, 0, -1, compute) == 5 and made == []
    assert many_in(0, 5, 2, compute) == 3 and made == ["add", "floor_divide"]
    del made[:]
    assert many_in(1, 5, 1, compute) == 4 and made == ["sub"]
    del made[:]
    assert many_in(False, 5, 1, compute) == 5 and made == ["sub"], "False is no number"


@pytest.mark.parametrize("parts", [(5,), (1, 5), (1, 6, 2), (6, 0, -2), (5, -1, -1), (0,)], ids=str)
def test_it_is_the_range_that_it_stands_for(parts, run):
    real = range(*parts)
    made = Counting(parts, run.number(parts[0]), LOOP)
    assert isinstance(made, range) and made.__class__ is range
    assert list(map(plain, made)) == list(real) and len(made) == len(real)
    assert bool(made) is bool(real) and repr(made) == repr(real) and hash(made) == hash(real)
    assert made == real and made == Counting(parts, run.number(1), LOOP) and not made == [1]
    assert made != range(100, 200) and made != Counting((99,), run.number(99), LOOP)
    assert (made.start, made.stop, made.step) == (real.start, real.stop, real.step)
    for n in range(-1, 8):
        assert (n in made) is (n in real) and made.count(n) == real.count(n)
    assert made[:2] == real[:2] and list(map(plain, reversed(made))) == list(reversed(real))
    if real:
        assert made[-1] == real[-1] and made.index(real[0]) == 0


def ways(numbers):
    """How each number was computed, from the inside out."""
    found = []
    for one in numbers:
        steps, expr = [], one.expr
        while expr.function is not calls.turn:
            steps.append((expr.function.__name__, expr.args[1]))
            expr = expr.args[0]
        found.append((expr.args, steps[::-1]))
    return found


def test_each_number_says_of_which_round_it_is(run):
    assert ways(Counting((3,), run.number(3), LOOP)) == [((k, LOOP), []) for k in range(3)]
    steps = [("mul", 2), ("add", 1)]
    made = ways(Counting((1, 6, 2), run.number(6), LOOP))
    assert made == [((k, LOOP), steps) for k in range(3)]
    assert ways(Counting((0, 3, 1), run.number(3), LOOP)) == [((k, LOOP), []) for k in range(3)]
    back = ways(reversed(Counting((3,), run.number(3), LOOP)))
    assert back == [((k, LOOP), [("mul", -1), ("add", 2)]) for k in range(3)]
    twos = [*reversed(Counting((0, 6, 2), run.number(6), LOOP))]
    assert twos == [4, 2, 0] and not any(isinstance(one, Int) for one in twos)
    assert [type(one) for one in reversed(Counting((3, 0, -1), run.number(3), LOOP))] == [Int] * 3


def test_it_says_that_the_loop_is_over_once_its_rounds_were_seen(run):
    count = run.number(2)
    for _ in Counting((count,), count, LOOP):
        run.many += 1
    name = sys._getframe().f_code.co_name
    assert run.said == [(calls.eq, 2, name)] and run.numbers.ends
    assert not run.numbers.laundered
    assert [*run.numbers.ends.values()] == [LOOP]


def test_a_loop_without_a_round_is_over_at_once(run):
    count = run.number(0)
    for _ in Counting((count,), count, LOOP):
        raise AssertionError
    assert [one[:2] for one in run.said] == [(calls.le, 0)] and not run.numbers.laundered


def test_a_loop_whose_rounds_nobody_saw_makes_a_plain_number(run):
    count = run.number(2)
    for _ in Counting((count,), count, LOOP):
        pass
    assert run.said == [] and [how for how, _ in run.numbers.laundered] == ["range"]


def test_what_is_always_as_long_says_nothing_of_its_end(run):
    first = run.number(4)
    for _ in Counting((first, first + 0, 1), first, LOOP):
        raise AssertionError
    assert len(run.said) == 1
    made = Counting((2, 5), first, LOOP)
    for _ in made:
        run.many += 1
    assert made._many() is None and len(run.said) == 1 and run.numbers.laundered


# -- what stands for `range` and `enumerate`


def test_what_stands_for_a_class_of_python_is_that_class():
    other: type = list
    for stands, real in ((Range, range), (Enumerate, enumerate)):
        assert stands == real and stands == stands and not stands == other and stands != other
        assert hash(stands) == hash(real) and repr(stands) == repr(real)
        assert stands.__module__ == "builtins"
        assert isinstance(real([]) if real is enumerate else real(3), stands)
        assert not isinstance([], stands) and issubclass(real, stands)
        assert not issubclass(list, stands) and {real: 1}[stands] == 1
    assert Range.index is range.index and Enumerate.__next__ is enumerate.__next__


def kinds(over):
    return [type(one) for one in over]


def test_a_range_in_a_loop_knows_its_rounds(run):
    n, seen = run.number(3), []
    for i in Range(n):
        seen.append(i)
    for i in Range(1, n, 2):
        seen.append(i)
    assert kinds(seen) == [Int] * 4 and seen == [0, 1, 2, 1]
    file, span = name_of_loop(("f", (1, 2, 3, 4))).split(":", 1)
    assert (file, span) == ("f", "1:2:3:4") and seen[0].expr.args[1].startswith(__file__)
    assert seen[0].expr.args[1] != seen[3].expr.args[0].args[0].args[1], "another loop"


def test_everything_else_is_an_ordinary_range(run):
    n, seen = run.number(3), []
    over = Range(n)
    assert type(over) is range
    for i in Range(3):
        seen.append(i)
    for i in Range(0, 3, n):  # a step that knows where it comes from
        seen.append(i)
    for i in Range(0, n, True):
        seen.append(i)
    assert kinds(seen) == [int] * 7
    deaf = Run(listening=False).number(2)
    for i in Range(deaf):
        assert type(i) is int
    for wrong in ((n, 1, 0), (n, 1, 1, 1), ()):
        with pytest.raises((TypeError, ValueError)):
            for _ in Range(*wrong):
                pass
    with pytest.raises(TypeError):
        for _ in Range(n, step=1):
            pass


@pytest.fixture
def asking(run, monkeypatch):
    """Tensors whose sizes know where they come from."""

    class Rows(torch.Tensor):
        def size(self, dim=None):
            return run.number(torch.Tensor.size(self, dim))

        def numel(self):
            return run.number(torch.Tensor.numel(self))

    return lambda *shape: torch.ones(*shape).as_subclass(Rows)


def test_what_is_enumerated_knows_its_rounds(run, asking):
    n, found = run.number(2), []
    for i, row in enumerate(["a", "b"]):
        found.append((i, row))
    for i, row in Enumerate(Counting((n,), n, LOOP)):
        found.append((i, row))
    for i, row in Enumerate(asking(2, 3), 5):
        found.append((i, row.shape))
    rows, first = tuple(asking(2, 3)[k] for k in range(2)), run.number(1)
    for i, row in Enumerate(rows, first):
        found.append((i, row.shape))
    for i, _ in Enumerate((asking(1, 3)[0],)):
        assert type(i) is Int
    numbers = [i for i, _ in found]
    assert numbers == [0, 1, 0, 1, 5, 6, 1, 2] and kinds(numbers) == [int] * 2 + [Int] * 6
    assert plain(found[3][1]) == 1 and found[-1][1] == (3,)
    [(_, many, _), *_] = run.said or [(0, 2, 0)]
    assert many == 2


def test_what_knows_no_rounds_is_enumerated_by_python(run, asking):
    n = run.number(2)
    for over, start in (([1, 2], 0), (asking(2), 1.0), ((), 0), ((torch.ones(2), 1), 0)):
        if start == 1.0:
            with pytest.raises(TypeError):
                for _ in Enumerate(over, start):
                    pass
            continue
        for i, _ in Enumerate(over, start):
            assert type(i) is int
    over = Enumerate(Counting((n,), n, LOOP))
    assert type(over) is enumerate and [i for i, _ in over] == [0, 1]
    assert counting._asked(torch.tensor(1)) is None and counting._asked(torch.ones(2)) is None


def test_how_many_rows_there_are(run, asking):
    n = run.number(2)
    assert counting._many(Counting((n,), n, LOOP)) == 2
    assert type(counting._many(Counting((n,), n, LOOP))) is Int
    fixed = counting._many(Counting((2, 5), n, LOOP))
    assert fixed == 3 and type(fixed) is int
    assert type(counting._many(asking(4, 2))) is Int and counting._many(asking(4, 2)) == 4
    assert counting._many((torch.ones(1),) * 3) == 3
