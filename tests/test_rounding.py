"""How far off a result may be: by the rounding of the call it is of, element by element."""

import pytest
import torch

import flexir
from flexir.checks.rounding import FACTOR, LOOSE, _repeated, allowed, run_alone

EPS = torch.finfo(torch.float32).eps


def bounds(function, *inputs):
    graph = flexir.capture(function, inputs)
    with torch.no_grad():
        return allowed(graph, inputs, {}, [function(*inputs)])


def test_what_is_not_rounded_is_exact():
    assert bounds(lambda x: x + 1, torch.arange(3)) == [0.0]
    assert bounds(lambda x: x > 1, torch.randn(3)) == [0.0]
    x = torch.randn(3, 4)
    graph = flexir.capture(lambda x: x.max(0), (x,))
    values, places = allowed(graph, [x], {}, [*x.max(0)])
    assert places == 0.0 and bool((values > 0).all())


def test_a_plain_result_may_be_off_by_its_own_rounding():
    x = torch.tensor([1.0, 2.0, 4.0])
    (found,) = bounds(lambda x: x * 1.0, x)
    assert bool((found >= FACTOR * EPS).all()) and bool((found <= 8 * FACTOR * EPS).all())


def test_a_call_that_enlarges_the_rounding_of_its_inputs_may_be_further_off():
    """exp(20.3) moves by twenty times the rounding of 20.3."""
    x = torch.full((16,), 20.3)
    (steep,) = bounds(torch.exp, x)
    (flat,) = bounds(lambda x: x * 2, x)
    assert bool((steep / x.exp() > 4 * flat / (2 * x)).all())


def test_never_further_than_a_small_part_of_the_largest():
    x = torch.linspace(0, 80, 8)
    (found,) = bounds(torch.exp, x)
    assert bool((found <= LOOSE * x.exp().max() * 1.01).all())


def test_of_what_is_drawn_the_loose_bound_holds():
    x = torch.randn(4)
    graph = flexir.capture(lambda x: torch.dropout(x, 0.5, True), (x,))
    (found,) = allowed(graph, [x], {}, [x])
    assert found == pytest.approx(LOOSE * x.abs().max().item())


def test_a_cast_may_be_off_by_the_rounding_of_what_it_casts_to():
    (found,) = bounds(lambda x: x.to(torch.float16), torch.tensor([1.0, 0.3]))
    half = torch.finfo(torch.float16).eps
    assert bool((found >= half).all()) and bool((found <= FACTOR * half).all())


def test_a_graph_runs_alone_on_inputs_of_another_dtype():
    graph = flexir.capture(lambda x: x * 2, (torch.randn(3),))
    x = torch.randn(3, dtype=torch.float64)
    (made,) = run_alone(graph, [x], {})
    assert made.dtype is torch.float64 and torch.equal(made, x * 2)


def test_a_call_is_repeated_exactly_and_then_twice_with_moved_inputs():
    x = torch.tensor([1.0, 3.0, 5.0, 7.0, 9.0, 11.0, 13.0, 15.0])
    exact, *moved = _repeated(flexir.capture(lambda x: x * 2, (x,)), [x], {})
    assert exact[0].tolist() == (x * 2).tolist() and len(moved) == 2
    for (made,) in moved:
        assert ((made / exact[0] - 1).abs() - EPS).abs().max() < 1e-12
    assert not torch.equal(moved[0][0], moved[1][0])
