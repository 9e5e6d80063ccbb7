"""The ready-made target: the words of its lines, and that it knows the common layers."""

import logging

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import flexir
from flexir import describe

I = torch.ones(1, 4, 8, 8)  # noqa: E741
V = torch.ones(1, 4, 8)
C = torch.ones(1, 4, 8, 8, 8)
S = torch.ones(1, 5, 8)

LINES = [
    (nn.Conv2d(4, 6, 7, 2, 3, bias=False), I, "Conv2d, C4 N6 K7x7 S2x2 P33 D1x1 G1"),
    (nn.Conv2d(4, 4, (3, 1), groups=4, dilation=2), I, "Conv2d, C4 N4 K3x1 S1x1 P00 D2x2 G4"),
    (nn.Conv2d(4, 4, 3, padding="same"), I, "Conv2d, C4 N4 K3x3 S1x1 Psame D1x1 G1"),
    (nn.Conv1d(4, 2, 3), V, "Conv1d, C4 N2 K3 S1 P0 D1 G1"),
    (nn.Conv3d(4, 2, 3), C, "Conv3d, C4 N2 K3x3x3 S1x1x1 P000 D1x1x1 G1"),
    (nn.ConvTranspose1d(4, 2, 3), V, "ConvTranspose1d, C4 N2 K3 S1 P0 O0 D1 G1"),
    (nn.ConvTranspose2d(4, 6, 2, 2, groups=2), I,
     "ConvTranspose2d, C4 N6 K2x2 S2x2 P00 O00 D1x1 G2"),
    (nn.ConvTranspose3d(4, 2, 3), C, "ConvTranspose3d, C4 N2 K3x3x3 S1x1x1 P000 O000 D1x1x1 G1"),
    (nn.BatchNorm2d(4), I, "BatchNorm2d, N 4 eps 1e-05 momentum 0.1 affine track_stats"),
    (nn.BatchNorm1d(4, affine=False), V, "BatchNorm1d, N 4 eps 1e-05 momentum 0.1 track_stats"),
    (nn.BatchNorm3d(4), C, "BatchNorm3d, N 4 eps 1e-05 momentum 0.1 affine track_stats"),
    (nn.InstanceNorm2d(4, affine=True), I, "InstanceNorm2d, N 4 eps 1e-05 affine"),
    (nn.GroupNorm(2, 4), I, "GroupNorm, N 4 G2 eps 1e-05 affine"),
    (nn.LayerNorm(8), I, "LayerNorm, N 8 eps 1e-05 affine"),
    (nn.RMSNorm(8), I, "RMSNorm, N 8 eps None"),
    (nn.ReLU(inplace=True), I, "ReLU"),
    (nn.LeakyReLU(0.2), I, "LeakyReLU, negative_slope 0.2"),
    (nn.Softmax(1), I, "Softmax, dim 1"),
    (nn.MaxPool2d(3, 2, 1), I, "MaxPool2d, K3x3 S2x2 P11 D1x1 ceil?N"),
    (nn.MaxPool1d(2, ceil_mode=True), V, "MaxPool1d, K2 S2 P0 D1 ceil?Y"),
    (nn.AvgPool2d(2), I, "AvgPool2d, K2x2 S2x2 P00 D1x1 ceil?N countIncludePad"),
    (nn.AvgPool2d(2, count_include_pad=False), I, "AvgPool2d, K2x2 S2x2 P00 D1x1 ceil?N"),
    (nn.AdaptiveAvgPool2d(1), I,
     "AvgPool2d (from Adaptive 1x1), K8x8 S1x1 P00 D1x1 ceil?N countIncludePad"),
    (nn.AdaptiveAvgPool2d((4, None)), I,
     "AvgPool2d (from Adaptive 4x8), K2x1 S2x1 P00 D1x1 ceil?N countIncludePad"),
    (nn.AdaptiveAvgPool2d(3), I, "AdaptiveAvgPool2d, O3x3"),
    (nn.AdaptiveMaxPool1d(2), V, "MaxPool1d (from Adaptive 2), K4 S4 P0 D1 ceil?N"),
    (nn.Linear(8, 3), I, "FullConnection, C8 N3"),
    (nn.Embedding(9, 3, padding_idx=0), torch.tensor([1]), "Embedding, 9x3 pad 0"),
    (nn.LSTM(8, 3, 2, batch_first=True, bidirectional=True), S,
     "LSTM, C8 N3 L2 bidirectional batch_first"),
    (nn.GRU(8, 3), S, "GRU, C8 N3 L1"),
    (nn.RNN(8, 3), S, "RNN, C8 N3 L1"),
    (nn.LSTMCell(8, 3), torch.ones(1, 8), "LSTMCell, C8 N3"),
    (nn.GRUCell(8, 3), torch.ones(1, 8), "GRUCell, C8 N3"),
    (nn.PixelShuffle(2), I, "PixelShuffle, upscale_factor 2"),
    (nn.Upsample(scale_factor=2), I, "Interpolate, scale_factor 2.0"),
    (nn.Flatten(), I, "Flatten, start_dim 1"),
    (lambda x: F.pad(x, (1, 2)), I, "Pad, pad 1x2"),
    (lambda x: x[:, 1:, ..., ::2], I, "Slice, [:, 1:, ..., ::2]"),
    (lambda x: x + 1, I, "Add, other 1"),
    (lambda x: x.permute(0, 2, 3, 1), I, "Permute, dims 0x2x3x1"),
]  # fmt: skip


@pytest.mark.parametrize("model, x, line", LINES, ids=[line for *_, line in LINES])
def test_the_line_of_a_layer(model, x, line):
    layers = []
    if isinstance(model, nn.Module):
        model.eval()
    result = flexir.convert(model, (x,), describe, layers)
    assert not result.report.entries, result.report
    assert str(layers[-1]) == line


MODULES = [
    nn.Hardswish(), nn.Hardsigmoid(), nn.SiLU(), nn.GELU(), nn.ELU(), nn.CELU(), nn.SELU(),
    nn.Mish(), nn.PReLU(), nn.ReLU6(), nn.RReLU(), nn.Sigmoid(), nn.LogSigmoid(), nn.Tanh(),
    nn.Tanhshrink(), nn.Softplus(), nn.Softsign(), nn.Softshrink(), nn.Hardshrink(),
    nn.Hardtanh(), nn.Threshold(0, 1), nn.GLU(1), nn.LogSoftmax(1), nn.Softmin(1),
    nn.Dropout(), nn.Dropout2d(), nn.AlphaDropout(), nn.Identity(), nn.ZeroPad2d(1),
    nn.ReflectionPad2d(1), nn.ReplicationPad2d(1), nn.ConstantPad2d(1, 2.0), nn.CircularPad2d(1),
    nn.PixelUnshuffle(2), nn.ChannelShuffle(2), nn.LocalResponseNorm(2), nn.CrossMapLRN2d(2),
    nn.Fold((8, 8), 1), nn.Unfold(2), nn.Unflatten(1, (2, 2)), nn.UpsamplingNearest2d(2),
    nn.UpsamplingBilinear2d(scale_factor=2), nn.LPPool2d(2, 2), nn.FractionalMaxPool2d(2, 4),
    nn.AdaptiveMaxPool2d(2), nn.InstanceNorm2d(4), nn.Softmax2d(), nn.ChannelShuffle(4),
]  # fmt: skip


@pytest.mark.parametrize("module", MODULES, ids=lambda m: type(m).__name__)
def test_common_modules_are_known(module):
    x = I.reshape(1, 4, 64) if isinstance(module, nn.Fold) else I
    if isinstance(module, nn.CrossMapLRN2d):
        pytest.skip("a legacy autograd function computes it")
    result = flexir.convert(module.eval(), (x,), describe)
    assert not result.report.entries, result.report


FUNCTIONS = [
    lambda x: x @ x.mT, lambda x: torch.bmm(x[0], x[0]), lambda x: torch.einsum("abcd->ad", x),
    lambda x: torch.addmm(x[0, 0], x[0, 1], x[0, 2]), lambda x: torch.cat([x, x], 1),
    lambda x: torch.stack([x, x]), lambda x: x.split(2, 1)[0], lambda x: x.chunk(2, 1)[1],
    lambda x: x.unbind(1), lambda x: x.reshape(4, -1), lambda x: x.view(-1), lambda x: x.flatten(2),
    lambda x: x.transpose(1, 2), lambda x: x.squeeze(0).unsqueeze(1),
    lambda x: x.expand(3, 4, 8, 8),
    lambda x: x.repeat(1, 2, 1, 1), lambda x: x.flip(1).roll(1, 2), lambda x: x.softmax(-1),
    lambda x: x.sum(1).mean(0), lambda x: x.max(1), lambda x: x.amax((1, 2)), lambda x: x.argmax(1),
    lambda x: torch.where(x > 0, x, 0.0).clamp(0, 1), lambda x: x.gather(1, x.long()),
    lambda x: x.scatter(1, x.long(), 1.0), lambda x: x.topk(2, 1), lambda x: x.sort(1),
    lambda x: x.cumsum(1), lambda x: x.var(1, keepdim=True), lambda x: x.norm(dim=1),
    lambda x: F.normalize(x), lambda x: x.masked_fill(x > 0, 1.0), lambda x: x.tril(),
    lambda x: F.grid_sample(x, F.affine_grid(torch.ones(1, 2, 3), (1, 4, 8, 8), False),
                            align_corners=False),
    lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
    lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True),
    lambda x: F.cosine_similarity(x, x), lambda x: torch.cdist(x[0], x[0]),
    lambda x: x.index_select(1, torch.tensor([0, 2])), lambda x: F.one_hot(x.long(), 4),
    lambda x: torch.logsumexp(x, 1), lambda x: (x - 1) / 2 * 3 ** x, lambda x: -x.abs().sqrt(),
    lambda x: x.exp().log().sin().cos().tanh().erf(), lambda x: torch.maximum(x, x * 2).round(),
    lambda x: (x > 0) & (x < 2) | ~(x == 1), lambda x: torch.meshgrid(x[0, 0, 0], x[0, 0, 0]),
    lambda x: torch.arange(3) + torch.zeros(3) + torch.full((3,), 2.0) + x[0, 0, 0, 0],
    lambda x: x.to(torch.float16).float().double(), lambda x: torch.outer(x[0, 0, 0], x[0, 0, 0]),
    lambda x: F.unfold(x, 2), lambda x: x.unfold(2, 2, 2),
    lambda x: x.new_zeros(2) + x.flatten()[:2],
    lambda x: torch.fft.rfft(x).abs(),
    lambda x: x.clone().index_add_(1, torch.tensor([0]), x[:, :1]),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:torch.meshgrid")
@pytest.mark.parametrize("function", FUNCTIONS, ids=range(len(FUNCTIONS)))
def test_common_functions_are_known(function):
    result = flexir.convert(function, (I,), describe)
    assert not result.report.entries, result.report


def test_a_long_net_prints_briefly():
    result = flexir.convert(lambda x: [x := x + x for _ in range(60)][-1], (I,), describe)
    assert len(repr(result.outputs)) < 300
    missing = flexir.convert(
        lambda x: [x := x + x for _ in range(60)][-1], (I,), flexir.Target("t")
    )
    assert len(repr(missing.outputs)) < 300


def test_attention_is_one_layer():
    layers = []
    model = nn.MultiheadAttention(8, 2, batch_first=True).eval()
    result = flexir.convert(model, (S, S, S), describe, layers)
    assert "MultiheadAttention, E8 H2" in map(str, layers)
    assert not result.report.entries


def test_each_layer_logs_one_line(caplog):
    with caplog.at_level(logging.DEBUG, logger="flexir"):
        flexir.convert(nn.Sequential(nn.Linear(8, 2), nn.ReLU()), (S,), describe)
    assert caplog.messages == ["Converting... FullConnection, C8 N2", "Converting... ReLU"]
