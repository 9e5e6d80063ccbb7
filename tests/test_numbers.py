"""Numbers that know where they come from: what Python computes, what is written down about it."""

import copy
import math
import operator
import sys

import pytest
import torch

from flexir.graph import numbers as calls
from flexir.graph.nodes import NumberType, TensorType, Value
from flexir.recording.live import Float, Int, expr_of, expression, origins_of, plain
from flexir.recording.numbers import Numbers

BINARY = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": operator.truediv,
    "floor_divide": operator.floordiv, "remainder": operator.mod, "pow": operator.pow,
}  # fmt: skip
BITS = {
    "bitwise_and": operator.and_, "bitwise_or": operator.or_, "bitwise_xor": operator.xor,
    "bitwise_left_shift": operator.lshift, "bitwise_right_shift": operator.rshift,
}  # fmt: skip
COMPARED = {
    "lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge,
    "eq": operator.eq, "ne": operator.ne,
}  # fmt: skip
UNARY = {
    "neg": operator.neg, "abs": abs, "ceil": math.ceil, "floor": math.floor, "trunc": math.trunc,
    "round": round,
}  # fmt: skip


class Run:
    """Numbers whose calls and guards are kept in lists."""

    def __init__(self):
        self.calls, self.guards, self.listens = [], [], True
        self.numbers = Numbers(self.emit, self.guard, lambda: self.listens)

    def emit(self, function, arguments, type):
        value = Value(f"%{len(self.calls)}", type)
        self.calls.append((function.__name__, arguments, value))
        return value

    def guard(self, function, arguments, outcome, frame):
        self.guards.append((function.__name__, arguments, outcome, frame.f_code.co_name))

    def given(self, number):
        value = Value("n", NumberType(type(number), number))
        return self.numbers.number(number, value), value


@pytest.fixture
def run():
    return Run()


@pytest.mark.parametrize("name", [*BINARY, *BITS, *COMPARED])
def test_a_call_on_numbers_is_pythons_own(name):
    python = {**BINARY, **BITS, **COMPARED}[name]
    pairs = [(7, 3), (3, 7), (5, 5)] + ([] if name in BITS else [(7.5, 2.5), (2.5, 7.5)])
    for pair in pairs:
        made = getattr(calls, name)(*pair)
        assert made == python(*pair) and type(made) is type(python(*pair))


@pytest.mark.parametrize("name", UNARY)
def test_a_call_on_one_number_is_pythons_own(name):
    for number in (7, -7, 0, 2.5, -2.5, 3.5, -0.7):
        made = getattr(calls, name)(number)
        assert made == UNARY[name](number) and type(made) is type(UNARY[name](number))
    assert calls.round(2.345, 1) == 2.3 and calls.to_float(3) == 3.0
    assert type(calls.to_float(3)) is float


@pytest.mark.parametrize("name", ["sqrt", "isqrt", "exp", "log", "log2", "log10"])
def test_a_function_of_one_number_is_maths_own(name):
    for number in (1, 2, 100):
        made = getattr(calls, name)(number)
        assert made == getattr(math, name)(number)
        assert type(made) is type(getattr(math, name)(number))


def test_whole_numbers_have_divisors_and_binary_digits():
    assert calls.gcd(12, 18) == 6 and calls.bit_length(9) == 4 and calls.plain(2.5) == 2.5


def test_what_is_asked_of_tensors():
    x = torch.zeros(2, 3, 5)
    assert [calls.size(x, d) for d in range(3)] == [2, 3, 5]
    assert [calls.stride(x, d) for d in range(3)] == [15, 5, 1]
    assert calls.numel(x) == 30 and calls.length([x, x]) == 2


@pytest.mark.parametrize("name", [*BINARY, *BITS])
@pytest.mark.parametrize("kind", [int, float])
def test_arithmetic_gives_numbers_that_know_what_they_are(run, name, kind):
    if kind is float and name in BITS:
        one, _ = run.given(7.5)
        with pytest.raises(TypeError):
            BITS[name](one, 2)
        return
    python = {**BINARY, **BITS}[name]
    function = getattr(calls, name)
    one, value = run.given(kind(7))
    for pair, expected, args in (
        ((one, 2), python(kind(7), 2), (value, 2)),
        ((2, one), python(2, kind(7)), (2, value)),
        ((one, one), python(kind(7), kind(7)), (value, value)),
    ):
        made = python(*pair)
        assert plain(made) == expected and type(made) in (Int, Float)
        assert isinstance(made, type(expected))
        assert made.expr == expression(function, args, expected) and made.home is run.numbers
        assert made.expr.kinds[-1] is type(expected)
    assert not run.calls and not run.guards


@pytest.mark.parametrize("name", UNARY)
@pytest.mark.parametrize("number", [7, -2.5])
def test_arithmetic_of_one_number(run, name, number):
    one, value = run.given(number)
    made = UNARY[name](one)
    assert made == UNARY[name](number) and type(plain(made)) is type(UNARY[name](number))
    assert made.expr == expression(getattr(calls, name), (value,), UNARY[name](number))


def test_rounding_to_decimals_and_whole_division_with_rest(run):
    one, value = run.given(2.345)
    assert round(one, 1) == 2.3 and round(one, 1).expr.args == (value, 1)
    seven, value = run.given(7)
    whole, rest = divmod(seven, 2)
    assert (whole, rest) == (3, 1)
    assert whole.expr.function is calls.floor_divide and rest.expr.function is calls.remainder
    whole, rest = divmod(23, seven)
    assert (whole, rest) == (3, 2)
    assert whole.expr.args == (23, value) and rest.expr.args == (23, value)
    for pair in ((seven, "a"), ("a", seven)):
        with pytest.raises(TypeError):
            divmod(*pair)
    assert (+seven) is seven


@pytest.mark.parametrize("name", COMPARED)
def test_a_comparison_is_a_plain_bool_and_a_guard(run, name):
    one, value = run.given(7)
    for other in (6, 7, 8, 7.0):
        run.guards.clear()
        outcome = COMPARED[name](one, other)
        assert outcome is COMPARED[name](7, other)
        [(function, arguments, seen, frame)] = run.guards
        assert (function, seen) == (name, outcome) and list(arguments.values()) == [value, other]
        assert frame == "test_a_comparison_is_a_plain_bool_and_a_guard"


def test_truth_is_a_guard_too(run):
    for number in (3, 0, 0.5, 0.0):
        one, value = run.given(number)
        run.guards.clear()
        assert bool(one) is bool(number)
        [(function, arguments, outcome, _)] = run.guards
        assert function == "ne" and outcome is bool(number)
        assert list(arguments.values()) == [value, 0]


def test_with_strangers_python_decides(run):
    one, _ = run.given(3)
    for act in (operator.add, operator.lt, operator.mul):
        with pytest.raises(TypeError):
            act(one, object())
    assert (one == "3") is False and (one != "3") is True and one * [1] == [1, 1, 1]
    assert one + 2j == 3 + 2j and pow(plain(one), 2, 5) == 4
    assert not run.guards


def test_nothing_is_written_down_while_the_model_does_not_compute(run):
    one, _ = run.given(7)
    for deaf in ("listens", "open"):
        run.listens = run.numbers.open = True
        setattr(run if deaf == "listens" else run.numbers, deaf, False)
        for made in (one + 1, -one, round(one), one // 2):
            assert type(made) is int
        assert one > 3 and one
        int(one)
    assert not run.guards and not run.numbers.laundered


def test_what_becomes_plain_is_noted_with_its_line(run):
    one, value = run.given(7)
    half, _ = run.given(0.5)
    run.numbers.noted = []
    assert type(int(one)) is int and type(float(one)) is float and float(half) == 0.5
    assert int(half) == 0 and float(one) == 7.0
    found = [(one.how, plain(one.number)) for one in run.numbers.laundered.values()]
    assert found == [("int", 7), ("float", 7), ("int", 0.5), ("float", 7)], "a line tells once"
    assert [n for _, n in run.numbers.noted] == [7, 7, 0.5, 0, 7]
    first, again = run.numbers.noted[0][0], run.numbers.noted[1][0]
    assert first is again, "one number that became plain"
    assert {name for name, _, _ in run.calls} >= {"plain"} and value in run.calls[0][1].values()
    here = {one.source.line for one in run.numbers.laundered.values()}
    assert all(str(one.source.file).endswith("test_numbers.py")
               for one in run.numbers.laundered.values()) and len(here) == 2  # fmt: skip
    run.numbers.noted = None
    int(one)
    frame = sys._getframe()
    run.numbers.counted(Value("x", TensorType(torch.float32, (4,), torch.device("cpu"))), 4, frame)
    [last] = [one for one in run.numbers.laundered.values() if one.how == "len"]
    assert last.number == 4 and last.number.expr.args[1] == 0


def test_copies_are_the_number_itself_and_files_hold_a_plain_one(run):
    one, _ = run.given(7)
    assert copy.copy(one) is one and copy.deepcopy([one])[0] is one
    make, parts = one.__reduce_ex__(4)
    assert (
        make is int
        and parts == (7,)
        and type(parts[0]) is int
        and hash(one) == hash(7)
        and {7: "a"}[one] == "a"
    )
    half, _ = run.given(0.5)
    assert half.__reduce_ex__(4) == (float, (0.5,)) and hash(half) == hash(0.5)


def test_answers_of_torch_are_numbers_of_their_tensor(run):
    x = Value("x", TensorType(torch.float32, (2, 3), torch.device("cpu")))
    answer = run.numbers.answer
    assert answer("numel", x, (), 6).expr == expression(calls.numel, (x,), 6)
    assert answer("nelement", x, (), 6).expr.function is calls.numel
    shape = answer("shape", x, (), torch.Size([2, 3]))
    assert type(shape) is torch.Size and shape == (2, 3)
    assert [n.expr.args for n in shape] == [(x, 0), (x, 1)]
    assert {n.expr.function for n in shape} == {calls.size}
    strides = answer("stride", x, (), (3, 1))
    assert type(strides) is tuple and {n.expr.function for n in strides} == {calls.stride}
    assert answer("size", x, (-1,), 3).expr == expression(calls.size, (x, 1), 3)
    assert answer("stride", x, (0,), 3).expr == expression(calls.stride, (x, 0), 3)
    assert type(answer("size", x, (), 3)) is int and type(answer("size", x, ("a",), 3)) is int


def test_numbers_become_values_in_a_template_once_in_a_module(run):
    one, value = run.given(7)
    lower = run.numbers.lower
    twice = one * 2
    [a, (b, c)] = lower([twice, (twice + 1, "word")])
    assert c == "word" and [name for name, _, _ in run.calls] == ["mul", "add"]
    assert run.calls[0][2] is a and run.calls[1][2] is b
    assert list(run.calls[1][1].values()) == [a, 1]
    assert a.type == NumberType(int, 14) and lower(twice) is a and lower(one) is value
    run.numbers.enter()
    assert lower(twice) is a, "what was computed outside is seen inside"
    inner = lower(one * 3)
    run.numbers.leave()
    assert lower(one * 3) is not inner, "what was computed inside is not seen outside"
    assert lower({"k": one}) == {"k": value}
    cut = lower(slice(one, 9, None))
    assert cut.start is value and cut.stop == 9 and cut.step is None
    cut = lower(slice(None, one, one))
    assert cut.start is None and cut.stop is value and cut.step is value
    for plain_one in ([1, 2], (1, "a"), torch.Size([1])):
        assert lower(plain_one) is plain_one
    assert lower(torch.Size([one, 1])) == (value, 1)
    other = Run()
    assert type(other.numbers.lower(one)) is int, "of another run"


def test_where_a_number_comes_from(run):
    one, value = run.given(7)
    two, second = run.given(2.0)
    assert set(origins_of(one * two + 1)) == {value, second}
    assert origins_of(3) == [] and origins_of(one) == [value]
    assert expr_of(3, run.numbers) == 3 and expr_of(one, run.numbers) is value
    assert expr_of(one, Run().numbers) == 7 and type(expr_of(one, Run().numbers)) is int
    assert run.numbers.number(True, value) is True and run.numbers.number("a", value) == "a"
    kept = run.numbers.given(4)
    assert kept == 4 and kept.expr.type == NumberType(int, 4)


def test_calls_on_numbers_that_the_model_did_not_make(run):
    one, value = run.given(7)
    assert type(run.numbers.computed(calls.sub, 7, 2)) is int
    made = run.numbers.computed(calls.sub, one, 2)
    assert made == 5 and made.expr == expression(calls.sub, (value, 2), 5)


def test_numbers_taken_out_of_tensors_in_lists(run):
    names = iter("abc")
    given, template = run.numbers.taken([1, [2.5, True]], None, lambda: next(names))
    assert given == [1, [2.5, True]] and given[1][1] is True and template[1][1] is True
    assert template[0].name == "a" and template[1][0].type == NumberType(float, 2.5)
    assert given[0].expr is template[0] and given[1][0].expr is template[1][0]
