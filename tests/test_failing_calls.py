"""A call that raises, where the model goes on, is a condition: it must raise again."""

from __future__ import annotations

import pytest
import torch

import flexir
from flexir import Diverged

GOOD, BAD = torch.eye(3) * 4, -torch.eye(3)


def factor(x):
    try:
        return torch.linalg.cholesky(x)
    except RuntimeError:
        return x * 2


def reshaped(x):
    try:
        return x.view(2, 3)
    except RuntimeError:
        return x.reshape(-1)


class Inner(torch.nn.Module):
    def forward(self, x):
        return torch.linalg.cholesky(x)


class Around(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = Inner()

    def forward(self, x):
        try:
            return self.inner(x)
        except torch.linalg.LinAlgError:
            return x + 1


def test_the_path_after_a_failure_is_taken_only_after_one(tmp_path):
    graph = flexir.capture(factor, BAD)
    assert [str(one) for one in graph.guards] == ["linalg_cholesky(%x) raises _LinAlgError"]
    flexir.save(graph, tmp_path / "net.flexir")
    for one in (graph, flexir.load(tmp_path / "net.flexir")):
        assert torch.equal(one(BAD), BAD * 2)
        with pytest.raises(Diverged, match="linalg_cholesky.. raised _LinAlgError when recorded"):
            one(GOOD)
    assert flexir.verify(graph, factor, BAD)


def test_a_failure_inside_a_module_that_is_caught_outside():
    graph = flexir.capture(Around(), BAD)
    assert torch.equal(graph(BAD), BAD + 1)
    with pytest.raises(Diverged, match="does not fail"):
        graph(GOOD)


def test_sizes_at_which_it_fails_are_live_and_others_are_refused():
    graph = flexir.capture(reshaped, torch.ones(5), also=[torch.ones(7)])
    assert not graph.variants and torch.equal(graph(torch.ones(9)), torch.ones(9))
    with pytest.raises(Diverged, match="view"):
        graph(torch.ones(6))


def test_examples_of_both_ways_are_both_taken():
    graph = flexir.capture(factor, BAD, also=[GOOD])
    for x in (BAD, GOOD, BAD * 3, GOOD * 2):
        assert torch.equal(graph(x), factor(x))


def test_what_fails_whatever_is_given_is_no_condition():
    def forward(x):
        try:
            torch.add(x, "one")
        except TypeError:
            x = x * 2
        return x

    graph = flexir.capture(forward, GOOD, also=[BAD])
    assert not graph.guards and torch.equal(graph(BAD), BAD * 2)


def test_what_the_inputs_hold_stays_where_the_call_would_not_fail_now():
    def forward(x, n):
        try:
            x[2:].add_(n)
        except RuntimeError:
            return x * 2
        return x

    graph = flexir.capture(forward, (torch.ones(4), torch.ones(3)))
    given = torch.ones(4), torch.ones(3)[:1]
    with pytest.raises(Diverged):
        graph(*given)
    assert torch.equal(given[0], torch.ones(4))


def test_a_target_is_told_of_it():
    target = flexir.Target("any", out=list)
    target.op("mul")(lambda ctx, input, other: "mul")
    report = flexir.convert(factor, (BAD,), target).report
    assert "raises '_LinAlgError'" in str(report) or any(
        "raises '_LinAlgError'" in one.what for one in report.omissions
    )


def fourth(x):
    rows = list(x)
    try:
        return rows[3] * 2
    except IndexError:
        return rows[0] * 3


def three(x):
    try:
        a, b, c = x
    except ValueError:
        return x.sum(0)
    return a + b - c


@pytest.mark.parametrize("model, line", [(fourth, "except IndexError"), (three, "except ValueErr")])
def test_what_python_raises_for_lack_of_rows_is_in_the_audit(model, line):
    graph = flexir.capture(
        model, torch.ones(2, 3), also=[torch.ones(5 if model is three else 3, 3)]
    )
    assert graph.live and any(one.startswith(line) for one in graph.audit.laundered)
    assert not flexir.capture(model, torch.ones(2, 3)).audit.laundered
