"""Two results side by side: every way to differ has its words."""

import dataclasses
import math

import pytest
import torch

import flexir
from flexir.checks.differences import compare_outputs, compare_tensors, verdict_of


def one(a, b):
    return compare_tensors("y", a, b)


def test_equal_tensors_are_equal_nan_included():
    x = torch.tensor([1.0, math.nan, math.inf])
    assert one(x, x.clone()) == ("y", True, 0.0, 0.0, "")


def test_another_dtype_or_shape_is_said():
    found = one(torch.ones(2), torch.ones(2).double())
    assert not found.equal and found.max_abs == found.max_rel == math.inf
    assert found.note == "torch.float64 (2,), not torch.float32 (2,)"
    assert one(torch.ones(2), torch.ones(2, 1)).note.startswith("torch.float32 (2, 1), not")


def test_floats_are_compared_absolutely_and_by_the_largest_magnitude():
    found = one(torch.tensor([4.0, -8.0, 0.0]), torch.tensor([4.0, -8.0, 2.0]))
    assert (found.equal, found.max_abs, found.max_rel, found.note) == (False, 2.0, 0.25, "")


def test_integers_are_never_close():
    found = one(torch.tensor([1, 7]), torch.tensor([1, 4]))
    assert (found.equal, found.max_abs, found.max_rel) == (False, 3.0, math.inf)
    assert verdict_of([found], 1e9) == "wrong"


def test_nan_in_other_places_is_said():
    found = one(torch.tensor([math.nan, 1.0]), torch.tensor([1.0, math.nan]))
    assert found.note == "NaN in other places"
    close = one(torch.tensor([math.nan, 1.0]), torch.tensor([math.nan, 1.0 + 1e-7]))
    assert not close.equal and close.note == "" and close.max_rel < 1e-6


def test_literals_are_compared_and_objects_are_carried_along():
    x = torch.ones(1)
    assert verdict_of(compare_outputs((x, 1, "a"), (x, 1, "a")), 0) == "exact"
    (found,) = [d for d in compare_outputs((x, 1), (x, 2)) if not d.equal]
    assert found.note == "2, not 1" and found.max_abs == found.max_rel == math.inf
    assert all(d.equal for d in compare_outputs((x, object()), (x, object())))
    assert all(d.equal for d in compare_outputs((x, math.nan), (x, math.nan)))


def test_other_structures_are_said():
    x = torch.ones(1)
    assert [d.note for d in compare_outputs((x, x), (x,))] == ["other structure"]
    (found,) = compare_outputs(x, 3)
    assert found.note.startswith("3, not tensor")


@pytest.mark.parametrize("tolerance, verdict", [(1e-3, "close"), (1e-9, "wrong")])
def test_the_tolerance_decides_between_close_and_wrong(tolerance, verdict):
    found = one(torch.tensor([1.0]), torch.tensor([1.0 + 1e-5]))
    assert verdict_of([found], tolerance) == verdict


def test_a_check_prints_what_was_tried():
    model = torch.nn.Linear(2, 2)
    check = flexir.verify(flexir.capture(model, torch.ones(1, 2)), model, torch.ones(1, 2))
    assert str(check).splitlines()[-1] == "verdict: exact; perturbed inputs: exact"
    check = flexir.verify(check.graph, model, torch.ones(1, 2), perturb=False)
    assert str(check).splitlines()[-1] == "verdict: exact"


@dataclasses.dataclass(slots=True)
class Slotted:
    a: torch.Tensor
    b: torch.Tensor = dataclasses.field(init=False)  # never set


def test_dataclasses_with_slots_and_unset_fields_come_back():
    def model(x):
        return Slotted(x + 1)

    made = flexir.capture(model, (torch.ones(2),))(torch.zeros(2))
    assert type(made) is Slotted and torch.equal(made.a, torch.ones(2))
    assert not hasattr(made, "b")


def test_objects_that_know_themselves_are_carried_along():
    class Knot:
        def __init__(self):
            self.itself = self

    def model(x, knot):
        return x + 1, knot

    knot = Knot()
    graph = flexir.capture(model, (torch.ones(2), knot))
    assert torch.equal(graph(torch.zeros(2), knot)[0], torch.ones(2))
