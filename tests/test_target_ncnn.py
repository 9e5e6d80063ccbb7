"""The ncnn target: what ncnn computes is what torch computes, or the call is refused."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import flexir

pytest.importorskip("ncnn", reason="the extra 'ncnn' is not installed")

from flexir.targets import ncnn as target


def converted(model, *args):
    """The result, after its outputs in ncnn were compared with eager's."""
    with torch.no_grad():
        expected = model(*args)
    result = target.convert(model, args, strict=True)
    made = target.run(result.output, *args)
    torch.testing.assert_close(made, expected, rtol=1e-4, atol=1e-5)
    return result


def kinds(result):
    return [layer.kind for layer in result.output.finished()]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        h = torch.relu(self.norm(self.conv(x)))
        return {"logits": self.head(h.mean((2, 3))), "features": h}


def test_outputs_come_back_in_torchs_structure_and_norm_and_activation_are_fused():
    result = converted(Net().eval(), torch.randn(1, 3, 8, 8))
    assert kinds(result)[:2] == ["Input", "Convolution"]
    assert not {"BatchNorm", "ReLU"} & set(kinds(result))


def test_a_blob_that_two_layers_read_is_split():
    result = converted(lambda x: x.sin() + x.exp(), torch.randn(1, 3, 4, 4))
    assert kinds(result).count("Split") == 1


def test_one_blob_can_leave_twice_and_an_input_can_leave():
    converted(lambda x: (x, x.exp(), x.exp().view(-1)), torch.randn(1, 3, 4))


def test_what_returns_no_tensor_runs_without_the_engine():
    assert converted(lambda x: x.shape[1], torch.randn(1, 3)).graph.outputs == 3


def test_the_two_files_are_what_ncnn_reads(tmp_path):
    import ncnn
    import numpy

    model, x = Net().eval(), torch.randn(1, 3, 8, 8)
    result = target.convert(model, (x,), strict=True)
    target.save(result.output, tmp_path / "net.param")
    net = ncnn.Net()
    assert net.load_param(str(tmp_path / "net.param")) == 0
    assert net.load_model(str(tmp_path / "net.bin")) == 0
    extractor = net.create_extractor()
    image = x[0].numpy()
    extractor.input("in0", ncnn.Mat(image).clone())
    _, made = extractor.extract(result.output.outputs["logits"].name)
    with torch.no_grad():
        expected = model(x)["logits"][0].numpy()
    numpy.testing.assert_allclose(numpy.array(made), expected, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize(
    "layer, shape",
    [
        (nn.Conv1d(4, 6, 3, padding="same", dilation=2, groups=2), (1, 4, 9)),
        (nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 0), bias=False), (1, 4, 9, 8)),
        (nn.Conv2d(4, 4, 3, padding=1, groups=4), (1, 4, 9, 8)),
        (nn.Conv3d(2, 3, (1, 2, 3), padding=(0, 1, 2)), (1, 2, 4, 5, 6)),
        (nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1), (1, 4, 5, 5)),
        (nn.ConvTranspose2d(4, 6, (2, 3), stride=2, groups=2), (1, 4, 5, 6)),
        (nn.MaxPool2d(3, 2, 1, ceil_mode=True), (1, 2, 8, 8)),
        (nn.MaxPool2d(2, 2, ceil_mode=True), (1, 2, 7, 7)),
        (nn.AvgPool2d(3, 2, 1, count_include_pad=False), (1, 2, 8, 8)),
        (nn.AvgPool2d(3, 2, 1), (1, 2, 8, 8)),
        (nn.MaxPool3d((1, 2, 2), padding=(0, 1, 1)), (1, 2, 3, 6, 6)),
        (nn.AdaptiveAvgPool2d((3, 2)), (1, 2, 8, 7)),
        (nn.AdaptiveAvgPool2d(1), (1, 2, 8, 7)),
        (nn.Linear(5, 3), (1, 7, 5)),
        (nn.Linear(5, 3), (2, 2, 3, 5)),
        (nn.LayerNorm((3, 5)), (1, 7, 3, 5)),
        (nn.GroupNorm(2, 4), (1, 4, 5, 6)),
        (nn.InstanceNorm2d(3, affine=True), (1, 3, 5, 6)),
        (nn.PReLU(3), (1, 3, 4, 4)),
        (nn.GELU(), (1, 3, 4, 4)),
        (nn.Hardswish(), (1, 3, 4, 4)),
        (nn.Softmax(1), (1, 3, 4, 5)),
        (nn.Upsample(scale_factor=2), (1, 3, 4, 5)),
        (nn.Upsample((7, 9), mode="bilinear"), (1, 3, 4, 5)),
        (nn.Upsample((7, 9), mode="bilinear", align_corners=True), (1, 3, 4, 5)),
        (nn.PixelShuffle(2), (1, 8, 3, 4)),
        (nn.ChannelShuffle(2), (1, 6, 3, 4)),
        (nn.ReflectionPad2d((1, 2, 0, 1)), (1, 2, 4, 5)),
        (nn.ZeroPad2d((1, 2, 0, 1)), (2, 3, 4, 5)),
    ],
    ids=lambda part: type(part).__name__ if isinstance(part, nn.Module) else "",
)
def test_layers(layer, shape):
    converted(layer.eval(), torch.randn(shape))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x + x[:, :, :1, :1],
        lambda x: 1 - x.mean((2, 3), keepdim=True) / x.abs().sum(1, keepdim=True),
        lambda x: x.permute(0, 2, 3, 1)[:, ::2, 1::2].flatten(1),
        lambda x: x.view(1, 3, 2, 2, 2, 3).permute(0, 2, 4, 3, 5, 1).reshape(4, -1),
        lambda x: x.view(3, 2, 2, 2, 3).permute(4, 1, 3, 0, 2),
        lambda x: torch.cat([x, x.roll((1, 2), (2, 3))], 1).chunk(3, 1)[1],
        lambda x: torch.stack(x.unbind(1), -1),
        lambda x: x[0, :, 0].expand(2, 3, 6) * 2,
        lambda x: F.pad(x, (1, 0, 2, 1, 0, 1), value=3.0),
        lambda x: x @ x.transpose(2, 3),
        lambda x: F.scaled_dot_product_attention(x, x, x),
        lambda x: F.normalize(x, dim=1),
        lambda x: x.clamp(min=0.1).sqrt() + x**2,
    ],
)
def test_functions(function):
    converted(function, torch.randn(1, 3, 4, 6))


@pytest.mark.parametrize(
    "function, shape, reason",
    [
        (nn.Conv2d(3, 4, 3), (2, 3, 8, 8), "a batch of 2: ncnn has none"),
        (lambda x: F.avg_pool2d(x, 2, ceil_mode=True), (1, 2, 7, 7), "windows that hang over"),
        (lambda x: x**3.5, (1, 2), "exponent 3.5"),
        (lambda x: x.long(), (1, 2), "torch.int64: blobs are f32"),
        (lambda x: x.topk(2)[0], (1, 4), "topk ×1"),
        (lambda x: F.interpolate(x, scale_factor=1.3), (1, 2, 5, 5), "interpolate ×1"),
    ],
)
def test_what_ncnn_cannot_say_is_refused_with_its_reason(function, shape, reason):
    result = target.convert(function, (torch.randn(shape),))
    assert reason in str(result.report)
    with pytest.raises(flexir.UnsupportedError, match="placeholders do not run"):
        target.run(result.output, torch.randn(shape))


def test_every_layer_alone_is_right_and_halves_run_on_the_engine():
    model, x = Net().eval(), torch.randn(1, 3, 8, 8)
    graph = flexir.capture(model, (x,))
    check = flexir.check_handlers(target.target, graph, (x,))
    assert check, str(check)
    half = flexir.hybrid(flexir.convert(lambda x: model(x)["logits"].topk(1), (x,), target.target))
    with torch.no_grad():
        torch.testing.assert_close(half(x)[0], model(x)["logits"].topk(1)[0], rtol=1e-4, atol=1e-5)
