"""The OpenVINO target: what its CPU plug-in computes is what torch computes, or it is refused."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import flexir

pytest.importorskip("openvino", reason="the extra 'openvino' is not installed")

from flexir.targets import openvino as target


def converted(model, *args):
    """The result, after its outputs in OpenVINO were compared with eager's."""
    with torch.no_grad():
        expected = model(*args)
    result = target.convert(model, args, strict=True)
    made = target.run(result.output, *args)
    torch.testing.assert_close(made, expected, rtol=1e-4, atol=1e-5)
    return result


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        h = torch.relu(self.norm(self.conv(x)))
        return {"logits": self.head(h.mean((2, 3))), "features": h}


def test_outputs_come_back_in_torchs_structure():
    converted(Net().eval(), torch.randn(2, 3, 8, 8))


def test_the_files_are_what_openvino_reads(tmp_path):
    import openvino

    model, x = Net().eval(), torch.randn(2, 3, 8, 8)
    result = target.convert(model, (x,), strict=True)
    target.save(result.output, tmp_path / "net.xml")
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(tmp_path / "net.xml", "CPU", settings)
    made = torch.from_numpy(compiled([x.numpy()])[0])
    with torch.no_grad():
        torch.testing.assert_close(made, model(x)["logits"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "layer, shape",
    [
        (nn.Conv1d(4, 6, 3, padding="same", dilation=2, groups=2), (2, 4, 9)),
        (nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 0), bias=False), (4, 9, 8)),
        (nn.Conv3d(2, 3, (1, 2, 3), padding=(0, 1, 2)), (1, 2, 4, 5, 6)),
        (nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1), (2, 4, 5, 5)),
        (nn.ConvTranspose2d(4, 6, (2, 3), stride=2, groups=2), (2, 4, 5, 6)),
        (nn.MaxPool2d(3, 2, 1, ceil_mode=True), (2, 2, 8, 8)),
        (nn.AvgPool2d(3, 2, 1, count_include_pad=False), (2, 2, 8, 8)),
        (nn.AdaptiveAvgPool2d((3, 2)), (2, 2, 8, 7)),
        (nn.LayerNorm((3, 5)), (2, 7, 3, 5)),
        (nn.GroupNorm(2, 4), (2, 4, 5, 6)),
        (nn.PReLU(3), (2, 3, 4, 4)),
        (nn.GELU(), (2, 3)),
        (nn.Upsample(scale_factor=2), (2, 3, 4, 5)),
        (nn.Upsample((7, 9), mode="bilinear"), (2, 3, 4, 5)),
        (nn.Upsample((7, 9), mode="bilinear", align_corners=True), (2, 3, 4, 5)),
        (nn.Upsample((7, 9), mode="bicubic"), (2, 3, 4, 5)),
        (nn.PixelShuffle(2), (2, 8, 3, 4)),
        (nn.ReflectionPad2d((1, 2, 0, 1)), (2, 2, 4, 5)),
        (nn.MultiheadAttention(8, 2, batch_first=True), None),
    ],
    ids=lambda part: type(part).__name__ if isinstance(part, nn.Module) else "",
)
def test_layers(layer, shape):
    if shape is None:
        x = torch.randn(2, 3, 8)
        converted(lambda x: layer.eval()(x, x, x, need_weights=False)[0], x)
    else:
        converted(layer.eval(), torch.randn(shape))


def last_first(x):
    y = x.clone()
    y[torch.tensor([-1])] = x[:1]
    return y


def written(x):
    x = x.clone()
    x[:, 1] = 3.0
    x[0, :, ::2] = x[1, :, 1::2]
    x[x > 1] = 0.5
    return x


def nothing_written(x):
    y = x.clone()
    y[:, 3:] = x[:, 3:] * 2
    return y


@pytest.mark.parametrize(
    "function",
    [
        written,
        lambda x: (x > 0).long() + 1,
        lambda x: x.sum().all() | x.sum().any(),
        lambda x: torch.where(x > 0, x, 2) ** 2,
        lambda x: x.sum().repeat(()) + x.repeat(1, 2, 1, 1),
        lambda x: x[torch.tensor([[1], [-2]]), :, torch.tensor([0, -1, 2])],
        lambda x: x[:, None, torch.tensor([2, -1]), torch.tensor([0, 3]), 1],
        lambda x: x[0, :, torch.tensor([2, -1])],
        lambda x: torch.cat([torch.zeros(2, 0, 4, 6), x], 1),
        lambda x: F.interpolate(x, scale_factor=1.3),
        lambda x: (
            F.interpolate(x, (1, 9), mode="bicubic"),
            F.interpolate(x, (5, 1), mode="bilinear"),
        ),
        lambda x: x[:, None, 0, ::2].expand(2, 3, 2, 6),
        lambda x: torch.cat([x, x.roll((1, 2), (2, 3))], 1).chunk(3, 1)[1],
        lambda x: torch.stack(x.unbind(1), -1).flip(0),
        lambda x: x.softmax(1).cumsum(2).sum(),
        lambda x: F.pad(x, (1, -1, -2, 3), value=2.0),
        lambda x: (x.sort(-1, descending=True), x.argmax(1), x.argmin(), x.max(2), x.min()),
        lambda x: ((x * 9).long() // 4, (x * 9).int() % -4, torch.fmod((x * 9).long(), 4)),
        lambda x: x.scatter(1, (x[:, :2] > 0).long(), x[:, 1:]),
        lambda x: (x[[1, 0]], torch.zeros_like(x).scatter(2, (x[..., :2] > 0).long(), 1.0)),
        last_first,
        lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True),
        lambda x: F.embedding((x * 0).long() + 2, torch.arange(8.0).view(4, 2)),
        lambda x: x.topk(2)[0] + x.masked_fill(x > 0, -1.0).amax(-1, keepdim=True),
        lambda x: (x[..., :0], torch.cat([x[:, :, 4:4], x[:, :, 1:]], 2), x[:, :, 5:].unbind(1)),
        nothing_written,
        lambda x: x[..., : torch.tensor(3)],
        lambda x: ((x * 9).long() & 6, (x * 9).int() ^ -3, ~(x * 9).long() | 1),
        lambda x: (torch.div(x * 9, 2, rounding_mode="trunc"), (x * 9).trunc()),
        lambda x: torch.div((x * 9).long(), torch.tensor(-4), rounding_mode="trunc"),
        lambda x: x.new_zeros(2, 3, 4, 6).scatter_add(1, (x > 0).long(), x),
        lambda x: x.scatter_reduce(2, (x > 0).long(), x * 2, "amax"),
        lambda x: x.index_add(1, torch.tensor([2, 0, 2]), x, alpha=2),
        lambda x: torch.atan2(x, x.flip(-1)),
    ],
)
def test_functions(function):
    converted(function, torch.randn(2, 3, 4, 6))


@pytest.mark.parametrize(
    "function, reason",
    [
        (lambda x: F.avg_pool2d(x, 3, ceil_mode=True), "windows that hang over"),
        (lambda x: x.double() + 1, "torch.float64"),
        (lambda x: x[x[:, 0, 0, 0] < 9, :, x[0, 0, 0, :2].long()], "a mask beside other tensors"),
    ],
)
def test_what_openvino_would_do_otherwise_is_refused_with_its_reason(function, reason):
    x = torch.randn(2, 3, 4, 5)
    result = target.convert(function, (x,))
    assert reason in str(result.report)
    with pytest.raises(flexir.UnsupportedError, match="placeholders do not run"):
        target.run(result.output, x)


def test_a_remainder_of_floating_point_is_exact_or_diverged():
    both = lambda x, y: (torch.fmod(x, y), torch.remainder(x, y), torch.remainder(x, 0.3), x % 7)
    scales = torch.logspace(-6, 6, 13)
    x, y = torch.randn(13, 4000) * scales[:, None], torch.randn(13, 4000)
    y = torch.where(y.abs() < 0.5, y.sign() + 0.1 * y, y)
    x[0, :9] = y[0, :9] * torch.arange(-4, 5)
    result = target.convert(both, (x, y), strict=True)
    for made, expected in zip(target.run(result.output, x, y), both(x, y)):
        assert torch.equal(made, expected)
    with pytest.raises(flexir.Diverged, match="a quotient of more than 24 bits"):
        target.run(result.output, x * 1e9, y)


INF, NAN = float("inf"), float("nan")


@pytest.mark.parametrize(
    "function",
    [
        lambda x: (x.amax(1), x.amax(), (-x).amin(1, keepdim=True)),
        lambda x: (x.max(2), x.min(1), x.argmax(0), x.argmin()),
        lambda x: F.scaled_dot_product_attention(x[:, :2], x[None, :, 1:], x[None, :, 1:]),
        lambda x: F.scaled_dot_product_attention(x[2:], x[2:], x[2:], x[0] > 0),
        lambda x: F.scaled_dot_product_attention(
            x[2:], x[2:], x[2:], torch.where(x[0] > 0, 0.0, -INF)
        ),
        lambda x: x[0, 0, 0].softmax(0),
        lambda x: (F.prelu(x[0, 0, 0], x[2, :1, 0]), F.prelu(x[2, :, 0], x[2, :1, 0])),
    ],
)
def test_rows_without_numbers_and_numbers_without_rows(function):
    x = torch.tensor([[[-INF, -INF], [2, -INF]], [[1, NAN], [INF, -INF]], [[1, 2], [3, -4]]])
    with torch.no_grad():
        expected = function(x)
    result = target.convert(function, (x,), strict=True)
    made = target.run(result.output, x)
    torch.testing.assert_close(made, expected, equal_nan=True)


def test_whole_numbers_beyond_32_bits_are_never_cut():
    wide = torch.tensor([2**40])
    for function in (lambda x: x + 2**40, lambda x: x + wide):
        report = target.convert(function, (torch.tensor([1]),)).report
        assert "beyond 32 bits" in report.entries[0].reason
    result = converted(lambda x: x + 1, torch.tensor([1]))
    with pytest.raises(flexir.Error, match="'x' has numbers beyond 32 bits"):
        target.run(result.output, wide)


def test_further_examples_make_sizes_live_and_nothing_is_kept_alive():
    import gc
    import weakref

    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Flatten(2), nn.Softmax(-1))
    given = [torch.randn(b, 3, n, n + 1) for b, n in ((1, 4), (2, 6), (3, 5))]
    result = target.convert(model, (given[0],), also=[(given[1],)], strict=True)
    for x in given:
        with torch.no_grad():
            torch.testing.assert_close(target.run(result.output, x), model(x))
    with pytest.raises(flexir.Diverged):
        target.run(result.output, torch.randn(1, 2, 4, 5))
    output = weakref.ref(result.output)
    del result
    gc.collect()
    assert output() is None


def test_every_layer_alone_is_right_and_halves_run_on_the_engine():
    model, x = Net().eval(), torch.randn(1, 3, 8, 8)
    graph = flexir.capture(model, (x,))
    check = flexir.check_handlers(target.target, graph, (x,))
    assert check, str(check)
    half = flexir.hybrid(flexir.convert(lambda x: model(x)["logits"].topk(1), (x,), target.target))
    with torch.no_grad():
        torch.testing.assert_close(half(x)[0], model(x)["logits"].topk(1)[0], rtol=1e-4, atol=1e-5)


def positive(x):
    return (x * 2 if x.sum() > 0 else x.exp()) + x.shape[0]


def halved(x):
    while x.norm() > 1:
        x = x / 2
    return x + x.shape[0]


class Either(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, x):
        y = self.a(x) if x.sum() > 0 else self.b(x).relu() + x.shape[0]
        return y.view(x.shape[0] * 3)


def counted(x):
    n = x.sum().item()
    return x * (n + 1) if n > 2 else x - n


def asked(x):
    return x + 1 if (x[0, 0] > 0).item() else x.exp()


@pytest.mark.parametrize("model", [positive, halved, Either(), counted, asked])
def test_branches_and_loops_that_values_decide_are_the_engines_own(model):
    def case(rows, number):
        whole = model is counted
        return torch.full((rows, 3), number, dtype=torch.int64 if whole else torch.float32)

    shown = [case(rows, number) for rows in (2, 4) for number in (5, -4)]
    result = target.convert(model, (shown[0],), also=[(x,) for x in shown[1:]], strict=True)
    kinds = {node.get_type_name() for node in result.output.finished().get_ops()}
    assert kinds & {"If", "Loop"}
    with torch.no_grad():
        for x in (*shown, case(2, 0), case(5, -7), case(1, 100)):
            torch.testing.assert_close(target.run(result.output, x), model(x))


def test_a_number_of_64_bits_that_values_are_is_refused():
    x = torch.ones(3)
    report = target.convert(counted, (x,), also=[(-x,)]).report
    assert "of 64 bits: the plug-in has 32" in report.entries[0].reason


class Remembers(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("h", torch.zeros(2, 3))
        self.linear = nn.Linear(3, 3)

    def forward(self, x):
        self.h = torch.tanh(self.linear(x) + self.h)
        return self.h * 2


def test_what_a_call_leaves_behind_is_state_of_the_network():
    import copy

    model, xs = Remembers(), [torch.randn(2, 3) for _ in range(3)]
    result = target.convert(copy.deepcopy(model), (xs[0],), strict=True)
    assert "1 state taken" in str(result.report)
    with torch.no_grad():
        first = copy.deepcopy(model)(xs[0])
        for _ in range(2):  # every run begins as the recorded one did
            torch.testing.assert_close(target.run(result.output, xs[0]), first)
        step = target.start(result.output)
        for x in xs:
            torch.testing.assert_close(step(x), model(x))
            torch.testing.assert_close(step.state, {"h": model.h})
        torch.testing.assert_close(target.run(result.output, xs[0]), first)
