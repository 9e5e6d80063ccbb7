"""What comparing a graph with its model says: of frozen numbers, of calls in a row, of state."""

import pytest
import torch
from torch import nn

import flexir
from flexir.checks import rounding, verify

NOTHING = "nothing in them to change"


def doubles(x):
    return x * 2, x + x


@pytest.mark.parametrize("x, verdict", [
    (torch.arange(1.0, 5.0), "wrong"), (torch.arange(4), "wrong"), (torch.tensor([3]), NOTHING),
    (torch.arange(4, dtype=torch.int32), "wrong"), (torch.arange(4, dtype=torch.int8), NOTHING),
], ids=lambda part: str(part.dtype) if isinstance(part, torch.Tensor) else part)  # fmt: skip
def test_what_is_frozen_is_found_on_other_inputs(x, verdict):
    recorded = x.clone()
    graph = flexir.capture(lambda x: (x * 2, x + recorded), (x,))
    check = flexir.verify(graph, doubles, (x,))
    assert (
        check.verdict == ("wrong" if verdict == "wrong" else "exact")
        and check.perturbed == verdict
        and bool(check) is (verdict != "wrong")
    )
    if verdict == "wrong":
        assert len(check.frozen) == 1 and check.frozen[0] == check.differences[1].name
        assert check.notes == ["exact on the inputs given, but not on perturbed ones"]
    assert all(one.equal for one in check.differences)
    calm = flexir.verify(graph, doubles, (x,), perturb=False)
    assert calm.verdict == "exact" and calm.frozen == [] and calm.notes == []


def test_a_model_that_refuses_other_inputs_is_no_wrong_graph():
    def model(x):
        if x[0] != 0.5:
            raise ValueError("no")
        return x * 2

    x = torch.tensor([0.5, 1.0])
    check = flexir.verify(flexir.capture(model, (x,)), model, (x,))
    assert check.verdict == "exact" and check.perturbed == "the model refuses them (ValueError)"


def test_a_graph_that_diverges_on_other_inputs_says_so():
    def model(x):
        return x * 2 if x.sum() == 3 else x

    x = torch.tensor([1.0, 2.0])
    check = flexir.verify(flexir.capture(model, (x,)), model, (x,))
    assert (check.verdict, check.perturbed) == ("exact", "diverged")
    assert check.notes[0].startswith("on perturbed inputs: ")


class Counts(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, x):
        self.seen += x.sum()
        return x * self.seen


def test_calls_in_a_row_carry_their_state():
    model, x = Counts(), torch.ones(2)
    graph = flexir.capture(model, (x,))
    check = flexir.verify(graph, model, calls=[(x,), x * 2, flexir.Inputs(x * 3)])
    assert check.verdict == "exact" and len(check.differences) == 6
    names = [one.name for one in check.differences]
    assert [name.partition(":")[0] for name in names] == [f"call {n}" for n in (1, 1, 2, 2, 3, 3)]
    assert names[1] == "call 1: seen"
    stopped = flexir.verify(graph, model, calls=[(x,), torch.ones(3)])
    assert stopped.verdict == "diverged" and stopped.divergence is not None
    assert stopped.notes == ["call 2 of 2 diverged"]


def test_another_model_is_wrong_and_the_first_call_that_differs_is_named():
    x = torch.ones(3)
    graph = flexir.capture(lambda x: ((x + 1) * 2).exp(), (x,))
    check = flexir.verify(graph, lambda x: ((x + 1) * 3).exp(), (x,))
    assert check.verdict == "wrong" and not check and check.perturbed == ""
    node, difference = check.first
    assert node.op == "mul" and not difference.equal and check.notes == []
    same = flexir.verify(graph, lambda x: ((x + 1) * 2).exp(), (x,), values=True)
    assert same.first is None and same.verdict == "exact"


def test_what_differs_only_while_nobody_watches_is_said():
    class Odd(nn.Module):
        times = 0

        def forward(self, x):
            Odd.times += 1
            return x * 2 if Odd.times > 1 else x * 2

    model, x = Odd(), torch.ones(2)
    graph = flexir.capture(model, (x,))
    assert flexir.verify(graph, model, (x,)).verdict == "exact"
    why = verify._why_unwatched(graph, model, (x,), {}, 1e-5)
    assert why == "exact with torch.backends.mha.set_fastpath_enabled(False)"
    shaken = flexir.capture(lambda x: x * 3, (x,))
    why = verify._why_unwatched(shaken, model, (x,), {}, 1e-5)
    assert why == "the model computes otherwise while unwatched, or is not repeatable"


def test_what_is_moved_by_its_rounding():
    x = torch.tensor([1.0, 2.0, -4.0])
    wide = rounding._widen(x, None)
    assert wide.dtype == torch.float64 and wide.tolist() == x.tolist()
    moved = rounding._widen(x, torch.Generator().manual_seed(0))
    off = (moved - wide).abs() / wide.abs()
    eps = torch.finfo(torch.float32).eps
    assert torch.allclose(off, torch.full((3,), eps, dtype=torch.float64), rtol=1e-6)
    for same in (torch.arange(3), x.double(), x.to_sparse()):
        assert rounding._widen(same, None) is same
    grown = nn.Parameter(x)
    assert not rounding._widen(grown, None).requires_grad


def test_what_is_allowed_of_results_of_other_layouts():
    x = torch.tensor([1.0, 0.0, -4.0])
    plain = rounding._allowed(x, [])
    assert plain == pytest.approx(1e-4 * 4) and rounding._allowed(torch.arange(3), []) == 0.0
    assert rounding._allowed(x.to_sparse(), []) == plain
    assert rounding._allowed(nn.Parameter(x), []) == plain
    assert rounding._allowed(torch.zeros(0), []) == pytest.approx(1e-16)
    wide = x.double()
    exact = rounding._allowed(x, [wide, wide, wide])
    assert exact.shape == (3,) and exact[1] > 0, "a zero may move as much as those around it"
    assert rounding._allowed(x, [wide[:2]]) == plain, "of another size nothing is known"
    loud = rounding._allowed(x, [wide, wide + 1e-6, wide])
    assert (loud > exact).all()
