"""The ONNX target: what onnxruntime computes is what torch computes, or the call is refused."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import flexir

pytest.importorskip("onnxruntime", reason="the extra 'onnx' is not installed")
pytest.importorskip("onnx_ir", reason="the extra 'onnx' is not installed")

from flexir.targets import onnx as target


def converted(model, *args, **kwargs):
    """The result, after its outputs in onnxruntime were compared with eager's."""
    with torch.no_grad():
        expected = model(*args, **kwargs)
    result = target.convert(model, args, kwargs, strict=True)
    target.check(result.output)
    made = target.run(result.output, *args, **kwargs)
    torch.testing.assert_close(made, expected, rtol=1e-4, atol=1e-5, equal_nan=True)
    return result


def kinds(result):
    return [node.op_type for node in result.output.graph]


def test_a_small_net_keeps_names_paths_and_lines():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
            self.head = nn.Linear(4, 2)

        def forward(self, image):
            h = torch.relu(self.norm(self.conv(image)))
            return {"logits": self.head(h.mean((2, 3))), "features": h}

    result = converted(Net().eval(), torch.randn(1, 3, 8, 8))
    graph = result.output.graph
    assert [v.name for v in graph.inputs] == ["image"]
    assert [v.name for v in graph.outputs] == ["logits", "features"]
    assert {"conv.weight", "head.bias"} <= set(graph.initializers)
    first = next(iter(graph))
    assert (first.name, first.op_type) == ("conv/Conv", "Conv")
    assert first.metadata_props["flexir.source"].startswith("test_target_onnx.py:")


@pytest.mark.parametrize(
    "layer, shape",
    [
        (nn.Conv1d(4, 6, 3, padding="same", dilation=2, groups=2), (2, 4, 9)),
        (nn.Conv2d(4, 6, 4, padding="same", padding_mode="circular"), (2, 4, 9, 9)),
        (nn.Conv3d(2, 3, 2, stride=2), (1, 2, 4, 5, 6)),
        (nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1), (4, 5, 5)),
        (nn.MaxPool2d(3, 2, 1, ceil_mode=True), (1, 2, 8, 8)),
        (nn.MaxPool2d(2, return_indices=True), (2, 3, 8, 8)),
        (nn.AvgPool2d(3, 2, 1, ceil_mode=True), (1, 2, 8, 8)),
        (nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False), (1, 2, 8, 8)),
        (nn.AdaptiveAvgPool2d((3, 5)), (1, 2, 7, 11)),
        (nn.AdaptiveMaxPool2d((3, 5)), (1, 2, 7, 11)),
        (nn.GroupNorm(2, 4), (2, 4, 5)),
        (nn.InstanceNorm2d(4, affine=True), (2, 4, 5, 5)),
        (nn.RMSNorm(6), (2, 4, 6)),
        (nn.LayerNorm((4, 6)), (2, 4, 6)),
        (nn.GELU(), (3, 4)),
        (nn.PReLU(4), (2, 4, 3)),
        (nn.Softplus(beta=2, threshold=3), (40,)),
        (nn.Upsample(size=(7, 9)), (1, 2, 5, 4)),
        (nn.Upsample(scale_factor=2.3, mode="nearest-exact"), (1, 2, 5, 4)),
        (nn.Upsample(size=(7, 9), mode="bilinear"), (1, 2, 5, 4)),
        (nn.Upsample(scale_factor=1.7, mode="bicubic", align_corners=True), (1, 2, 5, 4)),
        (nn.LSTM(4, 5, 2, bidirectional=True), (3, 2, 4)),
        (nn.MultiheadAttention(8, 2), None),
        (nn.TransformerEncoderLayer(8, 2, 16), (5, 1, 8)),
    ],
)
def test_layers_compute_what_torch_computes(layer, shape):
    torch.manual_seed(0)
    args = (torch.randn(shape),) if shape else tuple(torch.randn(3, 5, 1, 8).unbind())
    converted(layer.eval(), *args)


A, B = torch.tensor([-7, 7, -6, 5]), torch.tensor([2, -2, 3, -5])
X = torch.tensor([-7.5, 0.3, -0.0, 1.0])
Y = torch.tensor([0.1, -0.1, 0.25, 0.1])


@pytest.mark.parametrize(
    "function, args",
    [
        (lambda a, b: a // b, (A, B)),
        (lambda a, b: a % b, (A, B)),
        (lambda a, b: torch.fmod(a, b), (A, B)),
        (lambda a, b: torch.div(a, b, rounding_mode="trunc"), (A, B)),
        (lambda a, b: a / b, (A, B)),
        (lambda a, b: a // b, (X, Y)),
        (lambda a, b: a % b, (X, Y)),
        (torch.atan2, (X, Y)),
        (torch.expm1, (torch.tensor([1e-7, -2.0]),)),
        (lambda a, b: a + b * 1.5, (A, torch.tensor(True))),
        (lambda a: a.to(torch.uint8) + 200, (A,)),
        (lambda a: (a > 0).sum(), (A,)),
        (lambda a: a.float().std(correction=0), (A,)),
        (lambda a: a.view(2, 2).max(1), (A,)),
        (lambda a: torch.where(a > 0, a, 0.5), (A,)),
        (lambda a: (a > 0) < (a > 5), (A,)),
        (lambda a: a.clamp(min=B), (A,)),
        (lambda a: a.sort(descending=True), (A,)),
    ],
)
def test_numbers_follow_torch_not_onnx(function, args):
    converted(function, *args)


def test_rounding_in_a_floor_division_is_torchs():
    converted(lambda a, b: a // b, torch.tensor([1.0, 6.0]), torch.tensor([0.1, 0.1]))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x[1:, None, ..., ::2],
        lambda x: x[..., -1],
        lambda x: x[:, [2, 0]],
        lambda x: x[[0, 1], :, [3, 1]],
        lambda x: x[:, [0, 1], [3, 1]],
        lambda x: x[x > 0],
        lambda x: x[0, 1:][x[0, 1:] > 0],
        lambda x: x.flip(0, 2).roll(2, 1),
        lambda x: x.unfold(2, 2, 1),
        lambda x: x.diagonal(0, 0, 2),
        lambda x: F.pad(x, (1, 2, -1, 1)),
        lambda x: F.pad(x, (1, 2), mode="reflect"),
        lambda x: torch.cat([x, x.int()], 1),
        lambda x: x.split([1, 2], 1),
        lambda x: x.unbind(1),
        lambda x: torch.stack([x, x], -1),
        lambda x: x.gather(1, (x[:, :2] > 0).long()),
        lambda x: x.scatter_add(1, (x > 0).long(), x),
        lambda x: x.repeat(2, 1, 1, 2),
        lambda x: x.topk(2),
        lambda x: (x > 0).nonzero(),
    ],
)
def test_elements_stand_where_torch_puts_them(function):
    torch.manual_seed(1)
    converted(function, torch.randn(2, 3, 4))


def test_writes_are_in_the_file():
    def write(x, mask):
        y = x.clone()
        y[:, 1:3] = 1
        y[0, ::2] += x[1, ::2]
        y[mask] = 7
        y[[0, 1], 0] = y[:, 3]
        return y

    converted(write, torch.randn(2, 4, 3), torch.rand(2, 4, 3) > 0.5)


def test_a_write_through_a_view_of_memory():
    def strided(x):
        y = x.clone()
        y.as_strided((2, 3), (4, 1), 1).mul_(2)
        y.copy_(y[:1] + 1)
        return y

    x = torch.rand(4, 4)
    result = converted(strided, x)
    torch.testing.assert_close(target.run(result.output, x), strided(x))


def test_convolutions_of_scripted_modules():
    net = torch.jit.script(nn.Sequential(nn.Conv1d(2, 4, 3, padding=1), nn.ReLU(),
                                         nn.ConvTranspose1d(4, 2, 2, stride=2)).eval())  # fmt: skip
    x = torch.rand(1, 2, 9)
    with torch.no_grad():
        torch.testing.assert_close(target.run(converted(net, x).output, x), net(x))


def test_attention_of_a_row_that_sees_nothing_is_zero():
    q = torch.randn(1, 2, 3, 4)
    mask = torch.tensor([[True, False, True], [False, False, False], [True, True, True]])
    converted(lambda q, m: F.scaled_dot_product_attention(q, q, q, attn_mask=m), q, mask)
    converted(lambda q: F.scaled_dot_product_attention(q, q, q, is_causal=True), q)


def test_what_the_engine_cannot_is_refused_with_a_reason_and_shown_in_the_file():
    model, x = lambda x: torch.relu(torch.lgamma(x)), torch.rand(3)
    result = target.convert(model, (x,))
    (row,) = result.report.entries
    assert row.op == "lgamma"
    assert [n.domain for n in result.output.graph if n.op_type == "lgamma"] == ["flexir"]
    with pytest.raises(flexir.UnsupportedError, match="lgamma"):
        target.run(result.output, x)
    with pytest.raises(flexir.UnsupportedError, match="lgamma"):
        target.convert(model, (x,), strict=True)


def test_a_dtype_without_kernels_is_refused():
    result = target.convert(F.conv1d, (torch.rand(1, 1, 4).double(), torch.rand(1, 1, 2).double()))
    assert "onnxruntime has no Conv of torch.float64" in str(result.report)


class Streaming(nn.Module):
    """Keeps a state in an attribute and counts in a buffer."""

    def __init__(self):
        super().__init__()
        self.cell = nn.GRUCell(3, 4)
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))
        self.h = torch.zeros(2, 4)

    def forward(self, x):
        self.count += 1
        self.h = self.cell(x, self.h)
        return {"y": self.h * self.count}


def test_what_a_call_leaves_is_an_output_that_the_next_one_takes(tmp_path):
    import onnxruntime

    inputs = [torch.rand(2, 3) for _ in range(4)]
    with torch.no_grad():
        graph = flexir.capture(Streaming(), (inputs[0],))
        result = target.convert(graph, strict=True)
        target.check(result.output)
        run, step = graph.start(), target.start(result.output)
        wanted = [run(x) for x in inputs]
        torch.testing.assert_close([step(x) for x in inputs], wanted)
        torch.testing.assert_close(step.state, run.state)
        for _ in range(2):  # a call of itself begins with what was recorded
            torch.testing.assert_close(target.run(result.output, inputs[0]), wanted[0])
    target.save(result.output, tmp_path / "net.onnx")
    engine = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    about = engine.get_modelmeta().custom_metadata_map
    assert about["flexir.state"].splitlines() == ["count: count -> count.next", "h: h -> h.next"]
    state = {}
    for x, expected in zip(inputs, wanted):
        y, *left = engine.run(["y", "count.next", "h.next"], {"x": x.numpy(), **state})
        state = dict(zip(("count", "h"), left))
        torch.testing.assert_close(torch.from_numpy(y), expected["y"])


def test_what_no_file_carries_on_is_refused_where_calls_are_in_a_row():
    class Net(nn.Module):
        calls = 0

        def forward(self, x):
            self.calls += 1
            return x * self.calls

    result = target.convert(Net(), (torch.ones(2),))
    with pytest.raises(flexir.Error, match="onnx cannot carry on what the first left behind.*call"):
        target.start(result.output)


def test_conditions_are_named_in_the_report_and_in_the_file():
    model = lambda x: x if x.sum() > 0 else -x
    result = target.convert(model, (torch.ones(2),))
    assert "1 condition is not in the output" in str(result.report)
    assert "bool(gt(sum(x))) is True" in result.output.metadata_props["flexir.omissions"]
    with pytest.raises(flexir.UnsupportedError, match="condition"):
        target.convert(model, (torch.ones(2),), strict=True)


def test_weights_too_large_for_a_message_lie_beside_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(target, "_LARGE", 1000)
    model, x = nn.Linear(30, 20).eval(), torch.rand(1, 30)
    result = target.convert(model, (x,))
    target.check(result.output)
    torch.testing.assert_close(target.run(result.output, x), model(x).detach())
    target.save(result.output, tmp_path / "net.onnx")
    assert (tmp_path / "net.onnx.data").stat().st_size >= 600 * 4
    assert (tmp_path / "net.onnx").stat().st_size < 1500


def test_a_saved_file_runs_alone(tmp_path):
    import onnxruntime

    model, x = nn.Linear(3, 2), torch.rand(1, 3)
    result = target.convert(model, (x,))
    target.save(result.output, tmp_path / "net.onnx")
    (made,) = onnxruntime.InferenceSession(tmp_path / "net.onnx").run(None, {"input": x.numpy()})
    torch.testing.assert_close(torch.from_numpy(made), model(x).detach())


def test_an_older_opset_takes_what_it_lacks_apart():
    result = target.convert(nn.GELU(), (torch.rand(3),), opset=18)
    assert "Gelu" not in kinds(result) and "Erf" in kinds(result)
    assert result.output.opset_imports[""] == 18


def test_kernels_are_those_of_the_installed_onnxruntime():
    import onnxruntime

    from flexir.targets.onnx.kernels import kernel_dtype
    from flexir.targets.onnx.network import element_type

    for kind, dtype in [("Erf", torch.float32), ("Relu", torch.float64), ("Where", torch.uint8)]:
        assert kernel_dtype(kind, dtype) is dtype
    assert kernel_dtype("Where", torch.bool) is torch.uint8
    assert element_type(torch.bool).name == "BOOL" and onnxruntime.__version__


@pytest.mark.parametrize(
    "name",
    ["add", "div.floor_rounding", "nn.functional.avg_pool2d", "index_put", "scatter_reduce.amax",
     "var", "softmax"],
)  # fmt: skip
def test_samples_of_torchs_database_are_right_or_refused(name):
    pytest.importorskip("expecttest")
    from zoo import targets

    found = targets.check_op(target, name, limit=6)
    assert set(found["samples"]) <= {"equal", "placeholders"}, found
    assert found["samples"].get("equal"), found


def test_parity_is_judged_by_the_scale_of_the_output_however_small():
    from zoo.targets import distance

    tiny = torch.tensor([1e-12, -2e-12])
    assert distance(tiny, tiny * 2) == pytest.approx(1)
    assert distance(tiny, tiny * (1 + 1e-6)) < 1e-5
    assert distance(tiny, torch.tensor([1e-12, float("nan")])) == float("inf")


def test_what_goes_in_and_comes_out_under_one_name_is_found():
    class Cached(nn.Module):
        def forward(self, x, cache):
            cache = {"seen": torch.cat([cache["seen"], x], 1)}
            return x.mean(), cache

    result = converted(Cached(), torch.rand(1, 2), {"seen": torch.rand(1, 3)})
    assert "cache.seen" in {value.name for value in result.output.graph.inputs}


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.inner = nn.LayerNorm(8), nn.Linear(8, 8)

    def forward(self, x, y):
        return x + self.inner(self.norm(x)).relu(), y * 2


class Blocks(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList(Block() for _ in range(3))
        self.head = nn.Linear(8, 2)

    def forward(self, x):
        y = x * 3
        for block in self.blocks:
            x, y = block(x, y)
        return self.head(x + y)


@pytest.mark.parametrize("asked", [["Block"], ["blocks.*"], ["blocks.?", "blocks.*.inner"]])
def test_modules_are_functions_of_the_file_on_request(asked, tmp_path):
    model, x = Blocks().eval(), torch.rand(4, 8)
    result = target.convert(model, (x,), functions=asked)
    target.check(result.output)
    assert kinds(result) == ["Mul", "Block", "Block", "Block", "Add", "Gemm"]
    names = [node.name for node in result.output.graph]
    assert names[1:4] == ["blocks.0", "blocks.1", "blocks.2"]
    ((_, name, _),) = result.output.functions
    assert name == "Block"
    with torch.no_grad():
        torch.testing.assert_close(target.run(result.output, x), model(x))
    live(model, [(torch.rand(n, 8),) for n in (2, 3)], [(torch.rand(5, 8),)])


def test_modules_that_compute_otherwise_are_other_functions():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3, bias=False), nn.Linear(3, 3)).eval()
    x = torch.rand(2, 3)
    result = target.convert(model, (x,), functions=["Linear"])
    assert kinds(result) == ["Linear", "Linear_1", "Linear"]
    with torch.no_grad():
        torch.testing.assert_close(target.run(result.output, x), model(x))


def test_a_module_with_a_loop_stays_as_it_is():
    class Sums(nn.Module):
        def forward(self, x):
            h = x[0]
            for row in x[1:]:
                h = (h + row).tanh()
            return h

    model = nn.Sequential(Sums(), nn.ReLU())
    shown = [(torch.rand(n, 3),) for n in (3, 5)]
    result = target.convert(model, shown[0], also=shown[1:], functions=["Sums", "ReLU"])
    assert "Loop" in kinds(result) and "ReLU" in kinds(result)
    torch.testing.assert_close(target.run(result.output, torch.ones(7, 3)), model(torch.ones(7, 3)))


# --- sizes and branches --------------------------------------------------------------------------


def live(model, shown, unseen, strict=True):
    """The result of several examples, right at these and at others, through onnxruntime."""
    (first, *others) = shown
    result = target.convert(model, first, also=others, strict=strict)
    target.check(result.output)
    for args in (*shown, *unseen):
        with torch.no_grad():
            expected = model(*args)
        made = target.run(result.output, *args)
        torch.testing.assert_close(made, expected, rtol=1e-4, atol=1e-5, equal_nan=True)
    return result


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv, self.norm = nn.Linear(16, 48), nn.LayerNorm(16)
        self.register_buffer("places", torch.rand(1, 64, 16))

    def forward(self, x):
        batch, length, width = x.shape
        x = self.norm(x) + self.places[:, :length]
        q, k, v = self.qkv(x).view(batch, length, 3, 4, 4).permute(2, 0, 3, 1, 4).unbind(0)
        a = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        seen = torch.ones(length, length, dtype=torch.bool).tril()
        b = (q @ k.mT).masked_fill(~seen, float("-inf")).softmax(-1) @ v
        return (a + b).transpose(1, 2).reshape(batch, length, width)


def test_one_file_runs_at_sizes_that_no_example_showed():
    sizes = [(2, 5), (3, 7), (4, 9), (1, 1)]
    inputs = [(torch.rand(*size, 16),) for size in sizes]
    result = live(Attention().eval(), inputs[:2], inputs[2:])
    (image,) = result.output.graph.inputs
    assert str(image.shape) == "[B,S,16]"


def test_a_net_of_images_needs_no_arithmetic_for_its_batch():
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
                        nn.Flatten(), nn.Linear(8, 4)).eval()  # fmt: skip
    result = live(net, [(torch.rand(n, 3, 8, 8),) for n in (2, 3)], [(torch.rand(7, 3, 8, 8),)])
    assert kinds(result) == ["Conv", "BatchNormalization", "Relu", "ReduceMean", "Reshape", "Gemm"]


def test_layers_that_are_taken_apart_stay_live():
    inputs = [(torch.rand(*size, 16),) for size in ((2, 5), (3, 7), (4, 9))]
    live(nn.TransformerEncoderLayer(16, 4, 32, batch_first=True).eval(), inputs[:2], inputs[2:])
    lstm = nn.LSTM(4, 5, batch_first=True)
    live(
        lambda x: lstm(x)[0],
        [(torch.rand(n, 3, 4),) for n in (2, 4)],
        [(torch.rand(5, 3, 4),)],
        strict=False,
    )  # fmt: skip  it asks whether sizes are equal


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.view(x.shape[0] // 2, -1),
        lambda x: (x[: x.shape[0] // 2], x[-2:], x[..., None, -1]),
        lambda x: (x.mean() + x.numel()) / x.shape[0] ** 0.5,
        lambda x: (-x.shape[0] // 3) * x + x.shape[0] % 3,
        lambda x: torch.arange(2, x.shape[0] + 2)[None].expand(3, -1),
        lambda x: torch.full((x.shape[0], x.shape[0]), float("-inf")).triu(1),
        lambda x: x.chunk(2)[1].sum() + x.split([2, x.shape[0] - 2])[1].sum(),
        lambda x: x.roll(1, 0) + x.roll(-2),
        lambda x: x.repeat(2, 1).repeat_interleave(3, 0),
        lambda x: x[torch.arange(x.shape[0]), x.argmax(1)],
        lambda x: torch.index_put(x, (torch.arange(x.shape[0]), x.argmax(1)), torch.tensor(2.0)),
        lambda x: (x[x > 0], (x > 0).nonzero()),
        lambda x: torch.einsum("bi,cj->bij", x, x),
        lambda x: (x.var(0), x.std(), x.softmax(0), x.sort(0), x.flip(0), x.cumsum(0)),
        lambda x: x[:, :, None].expand(-1, -1, 5).diagonal(0, 1, 2),
        lambda x: torch.stack(torch.meshgrid(x[:, 0], x[0], indexing="xy")),
        lambda x: F.interpolate(x[None, None], scale_factor=2),
    ],
)
def test_sizes_are_computed_in_the_file(function):
    torch.manual_seed(2)
    live(function, [(torch.randn(n, 5),) for n in (4, 6)], [(torch.randn(10, 5),)])


def test_a_write_where_sizes_vary():
    def write(x):
        y = x.clone()
        y[:, 1:3] = 7
        y[1:-1, 0] = x[2:, 1]
        y[-1] = x[0]
        return y

    live(write, [(torch.randn(n, 5),) for n in (4, 6)], [(torch.randn(9, 5),)])


def test_a_write_between_places_that_values_say():
    def write(x, n):
        y, first = x.clone(), n.item()
        y[first : first + 3] = 7
        y[:, -first:] = x[:, :1]
        y[first, :2] = x[0, 1:3]
        return y

    shown = [(torch.rand(6, 5), torch.tensor(n)) for n in (1, 2)]
    live(write, shown, [(torch.rand(6, 5), torch.tensor(n)) for n in (3, 4, 5)])


def test_branches_are_if_nodes():
    def model(x):
        y = x * 2 if x.sum() > 0 else (x.exp() - 1 if x.min() < -1 else -x)
        return y + (1 if x.shape[0] > 4 else x)

    shown = [(s * torch.full((n,), c),) for s in (1, -1) for n in (3, 4, 6, 7) for c in (0.5, 2.0)]
    result = live(model, shown, [(torch.randn(n),) for n in (2, 9)])
    assert kinds(result).count("If") == 2


def test_a_block_that_was_shown_one_size_and_takes_others():
    def model(x):
        return x + 1 if x.sum() > 0 else x * 2

    shown = [(torch.ones(3),), (-torch.ones(3),), (torch.ones(5),)]
    live(model, shown, [(torch.ones(9),), (-torch.ones(7),)])


def test_a_block_that_was_shown_one_size_is_refused_where_others_may_come():
    def model(x):
        return x * 2 if x.sum() > 0 else x + torch.ones(3) + x * 2  # takes no other size

    shown = [(torch.ones(3),), (-torch.ones(3),), (torch.ones(5),)]
    report = target.convert(model, shown[0], also=shown[1:]).report
    assert "its size varies, and here examples showed one: show another" in str(report)


def test_what_would_need_a_size_now_is_refused():
    shown = [(torch.rand(1, 2, n, 8),) for n in (6, 9)]
    model = lambda x: F.interpolate(x, scale_factor=1.5)
    report = target.convert(model, shown[0], also=shown[1:]).report
    assert "by a scale that is no whole factor" in str(report)


def test_bins_of_a_size_that_varies_are_computed_in_the_file():
    live(nn.AdaptiveAvgPool2d(3), [(torch.rand(1, 2, n, 8),) for n in (6, 9)],
         [(torch.rand(1, 2, 11, 8),)])  # fmt: skip


def test_pieces_of_another_count_are_not_given():
    result = target.convert(lambda x: x.split(3)[1], (torch.rand(4),), also=[(torch.rand(6),)])
    assert target.run(result.output, torch.rand(5)).shape == (2,)
    with pytest.raises(Exception, match="[Ss]plit"):  # onnxruntime's own
        target.run(result.output, torch.rand(11))


def test_numbers_go_in_and_come_out():
    def model(x, n):
        return x * n, n + x.shape[0]

    live(model, [(torch.ones(2), 3), (torch.ones(4), 5)], [(torch.ones(7), 11)])


def test_sizes_of_one_name_must_be_equal():
    graph = target.convert(torch.add, (torch.ones(2, 1), torch.ones(2)),
                           also=[(torch.ones(3, 1), torch.ones(3))])  # fmt: skip
    with pytest.raises(flexir.Diverged, match="B is 4 .* and 5"):
        target.run(graph.output, torch.ones(4, 1), torch.ones(5))


@pytest.mark.parametrize("function", [torch.mul, torch.minimum, torch.maximum])
def test_bools_are_multiplied_and_compared(function):
    a, b = torch.tensor([True, True, False, False]), torch.tensor([True, False, True, False])
    result = converted(function, a, b)
    assert torch.equal(target.run(result.output, a, b), function(a, b))


def test_boxes_that_overlap_by_the_threshold_are_told_apart_in_64_bits():
    pytest.importorskip("zoo.torchvision_models", reason="torchvision is not installed").ensure()
    keep = lambda dets, scores: torch.ops.torchvision.nms(dets, scores, 1 / 3)
    dets = torch.tensor([[0.0, 0, 2, 2], [0, 1, 2, 3], [5, 5, 6, 6]])  # 2 of 6, in 32 bits more
    given = dets, torch.tensor([0.1, 0.2, 0.3])
    assert target.run(target.convert(keep, given).output, *given).tolist() == [2, 1]
