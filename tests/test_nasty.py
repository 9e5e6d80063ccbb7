"""Each nasty module is exact, or refused or flagged with its line; never silently wrong."""

import pytest
import torch

import flexir

pytest.importorskip("numpy")
from nasty import CASES


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CASES)
def test_nothing_is_lost(name):
    model, make, expected = CASES[name]
    args = make()
    if isinstance(model, torch.nn.Module):
        model.train()
    with torch.no_grad():
        graph = flexir.capture(model, args)
        check = flexir.verify(graph, model, args)
    assert check.verdict != "wrong" or graph.audit.problems, str(check)
    if expected == "exact":
        assert check.verdict == "exact", str(check)
        assert check.perturbed == "exact", str(check)
        assert not graph.audit.problems, graph.audit
    elif expected == "diverges":
        assert check.verdict == "exact", str(check)
        assert check.perturbed == "diverged", str(check)
        assert "nasty.py:" in str(check)
    else:
        assert graph.audit.problems and "nasty.py:" in graph.audit.problems[0]


def test_there_are_enough_of_them():
    assert len(CASES) >= 60
