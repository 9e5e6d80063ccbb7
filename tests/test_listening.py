"""``int``, ``float``, ``max``, ``min`` and constants, with numbers that know their origin."""

import math
import sys

import pytest
import torch

import flexir
from flexir.recording.listening import replaced_code

told = pytest.mark.skipif(
    sys.version_info < (3, 11), reason="code does not tell a call of int from another use"
)


def padded(x):
    """To the next multiple of 32, as detectors write it."""
    stride = float(4)
    n = int(math.ceil(float(x.shape[0]) / stride) * stride)
    made = x.new_zeros(n)
    made[: x.shape[0]] = x
    return made


@told
def test_a_size_that_went_through_float_and_int_is_live():
    graph = flexir.capture(padded, torch.ones(5), also=[torch.ones(7)])
    for n in (1, 4, 8, 9, 23):
        assert torch.equal(graph(torch.ones(n)), padded(torch.ones(n)))
    assert not any("()" in line for line in graph.audit.laundered)  # int(), float()


def half(x):
    return x[: int(x.shape[0] * 0.5)]


@told
def test_int_cuts_off():
    graph = flexir.capture(half, torch.arange(4), also=[torch.arange(7)])
    assert torch.equal(graph(torch.arange(11)), torch.arange(5))


def first_ones(x, n):
    return x[: int(n)], x * float(n)


@told
def test_int_and_float_of_a_tensor_are_its_element():
    x = torch.arange(9.0)
    graph = flexir.capture(first_ones, (x, torch.tensor(3)), also=[(x, torch.tensor(5))])
    for n in (2, 8):
        made, wanted = graph(x, torch.tensor(n)), first_ones(x, torch.tensor(n))
        assert all(map(torch.equal, made, wanted))


def nested(x):
    return torch.cat([x[: int(n)] for n in (x.shape[0] / 2, x.shape[0] / 3)])


@told
def test_within_a_comprehension():
    graph = flexir.capture(nested, torch.arange(6), also=[torch.arange(12)])
    assert torch.equal(graph(torch.arange(31)), nested(torch.arange(31)))


def with_constants(x):
    n = x.shape[0]
    rest = 10.5 % n if 2.5 < n else 2.0**n
    return x * (0.5 * n) + 1.0 / n, x[: int(0.5 * (n + len(x)))], 2.5 // n, rest, 0.5 * x


@told
def test_a_constant_on_the_left_asks_what_is_on_the_right():
    graph = flexir.capture(with_constants, torch.arange(3.0), also=[torch.arange(5.0)])
    for n in (4, 11):
        made, wanted = graph(torch.arange(float(n))), with_constants(torch.arange(float(n)))
        assert torch.equal(made[0], wanted[0]) and torch.equal(made[1], wanted[1])
        assert made[2:4] == wanted[2:4] and torch.equal(made[4], wanted[4])
    with pytest.raises(flexir.Diverged):
        graph(torch.arange(2.0))


def other_uses(x):
    number = 3.7
    whole = torch.zeros(2, dtype=int).sum() + int(number) + int("11", base=2) + int(*())
    assert isinstance(x.shape[0], int) and type(number) is float and {int: 1}[int] == 1
    return x + whole + int(True) + float("2.5") + float(*()) + sum(map(int, "12"))


def test_all_other_uses_are_as_ever():
    x = torch.ones(2)
    assert torch.equal(flexir.capture(other_uses, x, also=[torch.ones(3)])(x), other_uses(x))


def test_the_model_has_its_own_code_afterwards():
    code = padded.__code__
    flexir.capture(padded, torch.ones(5), also=[torch.ones(7)])
    assert padded.__code__ is code


def test_what_they_raise_is_what_python_raises():
    def model(x):
        try:
            return x[: int(x)]
        except (ValueError, RuntimeError) as error:
            return x, type(error).__name__

    x = torch.ones(2)
    graph = flexir.capture(model, x, also=[torch.ones(3)])
    assert graph(x)[1] == model(x)[1]


def test_a_function_of_that_name_is_the_models_own():
    space = {"torch": torch, "int": lambda n: 2}
    exec("def model(x):\n    return x[: int(x.shape[0])]", space)
    graph = flexir.capture(space["model"], torch.ones(5), also=[torch.ones(7)])
    assert graph(torch.ones(9)).shape == (2,)


def longest(x, y):
    rows = max(x.shape[0], y.shape[0], 3)
    scale = min([rows / y.shape[0], 2.0])
    return x.new_zeros(rows, min(x.shape)) * scale


def test_the_greatest_and_the_least_of_sizes_follow_all_of_them():
    x = torch.ones(2, 4)
    graph = flexir.capture(longest, (x, torch.ones(4)), also=[(torch.ones(5, 4), torch.ones(6))])
    for rows, columns, others in ((1, 4, 1), (9, 4, 2), (2, 4, 30), (3, 4, 3)):
        given = torch.ones(rows, columns), torch.ones(others)
        assert torch.equal(graph(*given), longest(*given))
    assert not [node for node in graph if node.effects.escape]


def of_two_kinds(x):
    return x * max(x.shape[0], 2.5), max("ab", key=lambda c: c), max(x.shape[1:], default=7)


def test_what_has_no_one_kind_is_compared_as_ever():
    graph = flexir.capture(of_two_kinds, torch.ones(3), also=[torch.ones(4)])
    assert graph(torch.ones(6))[0].tolist() == [6.0] * 6
    assert graph(torch.ones(6))[1:] == ("b", 7)
    with pytest.raises(flexir.Diverged):
        graph(torch.ones(2))


@pytest.mark.parametrize("engine", ["onnx", "jax", "openvino"])
def test_engines_compute_them(engine):
    def model(x, n):
        return x * max(n.item(), 4) + min(n.item(), 6)

    target = pytest.importorskip(f"flexir.targets.{engine}")
    x = torch.ones(3)
    result = target.convert(model, (x, torch.tensor(2)), also=[(x, torch.tensor(7))])
    assert result.report.complete
    for n in (2, 7, 5, 30):
        made = target.run(result.output, x, torch.tensor(n))
        assert torch.equal(made, model(x, torch.tensor(n)))


def kept(x):
    rows = [x[0]]
    for r in x:
        if r.sum() > 0:
            rows.append(r * int(2.5))
        rows.append(r)
    return torch.stack(rows), len(rows)


@told
def test_a_function_that_calls_int_keeps_lists_of_its_own_too():
    torch.manual_seed(0)
    first, *more = [torch.randn(n, 3) for n in (2, 3, 5, 4, 6, 1, 7)]
    graph = flexir.capture(kept, first, also=more)
    assert not graph.variants
    for n in range(1, 12):
        x = torch.randn(n, 3)
        made, wanted = graph(x), kept(x)
        assert torch.equal(made[0], wanted[0]) and made[1] == wanted[1]


def test_a_function_has_its_own_code_in_whatever_order_two_captures_end():
    own, copies = half.__code__, [padded.__code__, kept.__code__]
    first, second = (replaced_code({half: code}) for code in copies)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert half.__code__ is copies[1]
    second.__exit__(None, None, None)
    assert half.__code__ is own
