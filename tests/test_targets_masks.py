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
    with pytest.raises(flexir.Diverged, match="when recorded"):
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
    with pytest.raises(flexir.Diverged, match="0 when recorded"):
        target.run(result.output, x, ~mask)


def boxes(*rows):
    return torch.tensor([[x, y, x + 2.0, y + 2.0] for x, y in rows])


@pytest.mark.parametrize("threshold", [1 / 3, 0.3, 0.5])
def test_boxes_that_overlap_no_better_one_best_first(target, threshold):
    pytest.importorskip("zoo.torchvision_models", reason="torchvision is not installed").ensure()

    def keep(dets, scores):
        return dets[torch.ops.torchvision.nms(dets, scores, threshold)]

    dets = boxes((0, 0), (0, 1), (9, 9), (1, 0), (0, 2), (9, 9))  # neighbours overlap by a third
    scores = torch.tensor([0.5, 0.5, -1.0, 0.75, 0.5, -1.0])
    result = target.convert(keep, (dets, scores), strict=True)
    for step in (0.0, 3.0):
        expected = keep(dets + step, scores + step)
        torch.testing.assert_close(target.run(result.output, dets + step, scores + step), expected)
    apart = torch.arange(6) * 9.0
    with pytest.raises(flexir.Diverged, match="when recorded"):
        target.run(result.output, dets + apart[:, None], scores)


def test_numbers_of_which_each_is_once(target):
    x = torch.tensor([[3.0, 1.0, 3.0], [-2.0, 1.0, 7.0]])
    result = target.convert(torch.unique, (x,), strict=True)
    torch.testing.assert_close(target.run(result.output, 2 - x), torch.unique(2 - x))
    with pytest.raises(flexir.Diverged, match="unique: 4 when recorded"):
        target.run(result.output, torch.zeros(2, 3))


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("ratio", [0, 2])
def test_samples_of_regions_or_refused_by_name(target, aligned, ratio):
    pytest.importorskip("zoo.torchvision_models", reason="torchvision is not installed").ensure()

    def sampled(image, regions):
        return torch.ops.torchvision.roi_align(image, regions, 0.5, 2, 3, ratio, aligned)

    image, corner = torch.randn(2, 3, 7, 9), torch.rand(40, 2) * 24 - 4
    sizes, which = torch.rand(40, 2) * 16 - 1, torch.arange(40)[:, None] % 2
    regions = torch.cat([which, corner, corner + sizes], 1)
    result = target.convert(sampled, (image, regions))
    if result.report.entries:
        assert ratio == 0  # as many samples as values say
    else:
        made = target.run(result.output, image, regions.flip(0))
        torch.testing.assert_close(made, sampled(image, regions.flip(0)))


def at_lists(x, at):
    rows, columns = [a[0] for a in at], [a[1] for a in at]
    y = x.clone()
    y[rows, columns] = 0.0
    y[0, [1, 2]] = 5.0
    y.index_put_((at[0], torch.tensor([-1, 0])), torch.tensor(7.0))
    return y, x[rows, columns], x[(0, 1), (1, 2)]


@pytest.mark.parametrize("engine", ["onnx", "openvino", "jax"])
def test_lists_of_tensors_are_an_index(engine):
    target = pytest.importorskip(f"flexir.targets.{engine}")
    x, at = torch.arange(12.0).reshape(3, 4), torch.tensor([[0, 1], [2, 3]])
    result = target.convert(at_lists, (x, at))
    assert result.report.complete
    for places in (at, torch.tensor([[1, -1], [0, 0]])):
        made = target.run(result.output, x, places)
        assert all(map(torch.equal, made, at_lists(x, places)))
