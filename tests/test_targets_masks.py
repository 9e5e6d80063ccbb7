"""Masks as an index through engines of one size: as many elements as recorded, or Diverged."""

import importlib

import pytest
import torch

import flexir

pytest.importorskip("numpy", reason="targets need it")


@pytest.fixture(params=["openvino", "jax"])
def target(request):
    pytest.importorskip(request.param, reason=f"the extra {request.param!r} is not installed")
    return importlib.import_module(f"flexir.targets.{request.param}")


@pytest.mark.parametrize(
    "function",
    [
        lambda x, m: x[m],
        lambda x, m: x[:, None].expand(2, 4, 3).transpose(1, 2)[m],
        lambda x, m: (x.T[:, m.any(1)].sum(1) + x[0, m[0]].sum(), x[..., m.any(0)]),
        lambda x, m: (m.nonzero(), torch.where(m), x.masked_select(m), m[m]),
    ],
)
def test_as_many_as_were_true_when_recorded_or_it_fails(target, function):
    x, mask = torch.randn(2, 3), torch.tensor([[True, False, True], [False, True, True]])
    result = target.convert(function, (x, mask), strict=True)
    for other in (mask, mask.flip(1)):
        torch.testing.assert_close(target.run(result.output, x, other), function(x, other))
    with pytest.raises(flexir.Diverged, match="true when recorded"):
        target.run(result.output, x, torch.ones(2, 3, dtype=torch.bool))


@pytest.mark.parametrize(
    "function",
    [
        lambda x, m: x[m],
        lambda x, m: x[:, :0][m[:, 0]],
        lambda x, m: (m.nonzero(), torch.where(m), x.masked_select(m)),
    ],
)
def test_none_that_were_true_when_recorded_are_a_number_like_others(target, function):
    x, mask = torch.randn(2, 3), torch.zeros(2, 3, dtype=torch.bool)
    result = target.convert(function, (x, mask), strict=True)
    torch.testing.assert_close(target.run(result.output, x, mask), function(x, mask))
    with pytest.raises(flexir.Diverged, match="0 were true when recorded"):
        target.run(result.output, x, ~mask)
