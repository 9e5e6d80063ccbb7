"""Bugs planted in the example's NumPy engine: each is found, alone and in a whole run."""

import math
import sys

import pytest
import torch
from torch import nn

import flexir

np = pytest.importorskip("numpy")
pytest.importorskip("zoo.torchvision_models", reason="the example's imports")


@pytest.fixture(scope="module")
def engine():
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))
    return pytest.importorskip("howto_own_ir")


class Mixed(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, (3, 5), stride=(2, 1), padding=(1, 2))
        self.norm = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 8, 3, padding=1, groups=2)
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.rows = nn.LayerNorm(8)
        self.square = nn.Linear(8, 8)
        self.attention = nn.MultiheadAttention(8, 2)
        self.head = nn.Linear(16, 4)
        for module in self.modules():
            if isinstance(module, (nn.LayerNorm, nn.BatchNorm2d)):
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.uniform_(module.bias, -0.5, 0.5)
        self.norm.running_mean.uniform_(-0.3, 0.3)
        self.norm.running_var.uniform_(0.2, 1.0)
        nn.init.uniform_(self.attention.in_proj_bias, -0.5, 0.5)

    def forward(self, x):
        x = self.norm(self.first(x))
        y = self.pool(self.second(x))
        y = nn.functional.hardswish(y) * 1.5
        z = nn.functional.adaptive_avg_pool2d(nn.functional.relu(x), 1).flatten(1)
        rows = self.rows(y.flatten(2).permute(2, 0, 1))
        rows = nn.functional.gelu(self.square(rows) * 3)
        rows = rows + self.attention(rows, rows, rows, need_weights=False)[0]
        z = nn.functional.hardsigmoid(z)
        return self.head(torch.cat([rows[0], z], 1))


def window_bug(engine, shift=0, mode=None):
    def windows(x, kernel, stride, padding, fill):
        (kh, kw), (sh, sw), (ph, pw) = (
            v if isinstance(v, (tuple, list)) else (v, v) for v in (kernel, stride, padding)
        )
        pads = ((0, 0), (0, 0), (ph - shift, ph + shift), (pw - shift, pw + shift))
        if mode:
            x = np.pad(x, pads, mode=mode)
        else:
            x = np.pad(x, pads, constant_values=fill)
        view = np.lib.stride_tricks.sliding_window_view(x, (kh, kw), axis=(2, 3))
        return view[:, :, ::sh, ::sw]

    return windows


def with_windows(engine, windows, function):
    def layer(*args):
        kept, engine.windows = engine.windows, windows
        try:
            return function(*args)
        finally:
            engine.windows = kept

    return layer


def on_weights(function, change):
    """The engine's function with its weights changed."""

    def layer(layer, *inputs):
        import dataclasses

        return function(dataclasses.replace(layer, weights=change(list(layer.weights))), *inputs)

    return layer


def on_attribute(function, **attributes):
    def layer(layer, *inputs):
        import dataclasses

        changed = {**layer.attributes, **attributes}
        return function(dataclasses.replace(layer, attributes=changed), *inputs)

    return layer


def softmax_axis(e, layer, q, k, v):
    rows, batch, width = q.shape
    heads = layer.attributes["heads"]
    wi, bi, wo, bo = layer.weights
    parts = [
        (x @ w.T + b).reshape(-1, batch * heads, width // heads).transpose(1, 0, 2)
        for x, w, b in zip((q, k, v), np.split(wi, 3), np.split(bi, 3))
    ]
    score = np.exp(parts[0] @ parts[1].transpose(0, 2, 1) / math.sqrt(width // heads))
    score /= score.sum(1, keepdims=True)
    return (score @ parts[2]).transpose(1, 0, 2).reshape(rows, batch, width) @ wo.T + bo


# name -> (op that must be named, kind of layer, what the engine does instead, a word of the cause)
BUGS = {
    "padding on one side": (
        "conv2d", "Conv", lambda e, f: with_windows(e, window_bug(e, 1), f), "",
    ),
    "edge padding": (
        "conv2d", "Conv", lambda e, f: with_windows(e, window_bug(e, 0, "edge"), f), "",
    ),
    "kernel flipped": (
        "conv2d", "Conv",
        lambda e, f: on_weights(f, lambda w: [w[0][:, :, ::-1, ::-1], *w[1:]]), "flipped",
    ),
    "conv bias ignored": (
        "conv2d", "Conv", lambda e, f: on_weights(f, lambda w: [w[0], None]), "bias",
    ),
    "conv weights in half precision": (
        "conv2d", "Conv",
        lambda e, f: on_weights(f, lambda w: [np.float32(np.float16(w[0])), w[1]]), "",
    ),
    "channels of groups interleaved": (
        "conv2d", "Conv", lambda e, f: lambda layer, x: f(
            layer, x if layer.attributes["groups"] == 1 else
            x.reshape(x.shape[0], 4, 2, *x.shape[2:]).swapaxes(1, 2).reshape(x.shape)), "",
    ),
    "batch norm eps": ("batch_norm", "BatchNorm", lambda e, f: on_attribute(f, eps=1e-3), "eps"),
    "batch norm without root": (
        "batch_norm", "BatchNorm",
        lambda e, f: on_weights(f, lambda w: [w[0], w[1] ** 2, *w[2:]]), "",
    ),
    "batch norm weight ignored": (
        "batch_norm", "BatchNorm",
        lambda e, f: on_weights(f, lambda w: [*w[:2], w[2] * 0 + 1, w[3]]), "weight",
    ),
    "mean and bias exchanged": (
        "batch_norm", "BatchNorm",
        lambda e, f: on_weights(f, lambda w: [w[3], w[1], w[2], w[0]]), "exchanged",
    ),
    "relu leaks": ("relu", "Relu", lambda e, f: lambda layer, x: np.where(x > 0, x, 0.01 * x), ""),
    "relu capped": ("relu", "Relu", lambda e, f: lambda layer, x: np.clip(x, 0, 1), ""),
    "max pool pads zeros": (
        "max_pool2d", "MaxPool",
        lambda e, f: lambda layer, x: e.windows(x, 3, 2, 1, 0.0).max((-1, -2)), "",
    ),
    "max pool shifted": (
        "max_pool2d", "MaxPool", lambda e, f: with_windows(e, window_bug(e, -1), f), "",
    ),
    "layer norm eps": ("layer_norm", "LayerNorm", lambda e, f: on_attribute(f, eps=1e-3), "eps"),
    "layer norm with n - 1": (
        "layer_norm", "LayerNorm",
        lambda e, f: on_weights(f, lambda w: [w[0] * math.sqrt(7 / 8), w[1]]), "",
    ),
    "layer norm over the wrong axis": (
        "layer_norm", "LayerNorm",
        lambda e, f: lambda layer, x: (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5) * layer.weights[0]
        + layer.weights[1], "",
    ),
    "layer norm bias ignored": (
        "layer_norm", "LayerNorm", lambda e, f: on_weights(f, lambda w: [w[0], w[1] * 0]), "bias",
    ),
    "weight transposed": (
        "linear", "Linear", lambda e, f: on_weights(
            f, lambda w: [w[0].T if w[0].shape[0] == w[0].shape[1] else w[0], w[1]]), "transposed",
    ),
    "bias added twice": (
        "linear", "Linear", lambda e, f: on_weights(f, lambda w: [w[0], 2 * w[1]]), "",
    ),
    "output rounded": (
        "linear", "Linear", lambda e, f: lambda layer, x: np.round(f(layer, x) * 64) / 64, "",
    ),
    "gelu by tanh": (
        "gelu", "Gelu", lambda e, f: lambda layer, x: 0.5 * x * (
            1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))), "tanh",
    ),
    "gelu by sigmoid": (
        "gelu", "Gelu", lambda e, f: lambda layer, x: x / (1 + np.exp(-1.702 * x)), "",
    ),
    "hardswish of another slope": (
        "hardswish", "HardSwish",
        lambda e, f: lambda layer, x: x * np.clip(x * 1.05 + 3, 0, 6) / 6, "",
    ),
    "hardsigmoid of another slope": (
        "hardsigmoid", "HardSigmoid",
        lambda e, f: lambda layer, x: np.clip(0.2 * x + 0.5, 0, 1), "",
    ),
    "attention not scaled": (
        "multi_head_attention_forward", "Attention",
        lambda e, f: on_weights(f, lambda w: [
            np.concatenate([v[:8] * 2, v[8:]]) for v in w[:2]] + w[2:]), "",
    ),
    "softmax over the wrong axis": (
        "multi_head_attention_forward", "Attention",
        lambda e, f: lambda layer, *x: softmax_axis(e, layer, *x), "",
    ),
    "heads of another number": (
        "multi_head_attention_forward", "Attention", lambda e, f: on_attribute(f, heads=4), "heads",
    ),
    "mean over rows only": (
        "adaptive_avg_pool2d", "GlobalAverage",
        lambda e, f: lambda layer, x: x.mean(2, keepdims=True)[:, :, :, :1], "",
    ),
    "permutation inverted": (
        "permute", "Transpose",
        lambda e, f: lambda layer, x: f(layer, x).swapaxes(1, 2).reshape(f(layer, x).shape),
        "exchanged",
    ),
    "parts in reverse": ("cat", "Concat", lambda e, f: lambda layer, *p: f(layer, *p[::-1]), ""),
    "slice off by one": ("getitem", "Slice", lambda e, f: lambda layer, x: x[1], "indices"),
}  # fmt: skip


def execute(engine, net, inputs):
    buffers = {place: tensor.numpy() for place, tensor in enumerate(inputs)}
    for layer in net.layers:
        function = engine.ENGINE[layer.kind]
        buffers[layer.output] = function(layer, *[buffers[i] for i in layer.inputs])
    return buffers


@pytest.fixture(scope="module")
def captured(engine):
    torch.manual_seed(0)
    model, x = Mixed().eval(), torch.randn(2, 3, 13, 9)
    with torch.no_grad():
        return flexir.capture(model, (x,)), x


def alone(engine, captured):
    graph, x = captured

    def run(result, tensors):
        buffers = execute(engine, result.output, tensors)
        return [buffers[place] for place in result.outputs if isinstance(place, engine.Buffer)]

    with torch.no_grad():
        return flexir.check_handlers(engine.ir, graph, (x,), run=run, out=engine.Net)


def whole(engine, captured):
    graph, x = captured
    result = flexir.convert(graph, target=engine.ir, out=engine.Net(), strict=True)
    buffers = execute(engine, result.output, [x])
    values = {v.name: buffers[place] for v, place in result.values.items()
              if isinstance(place, engine.Buffer)}  # fmt: skip
    with torch.no_grad():
        return flexir.compare(graph, values, (x,), rtol=3e-5)


def test_a_right_engine_has_nothing_to_report(engine, captured):
    assert alone(engine, captured), alone(engine, captured)
    found = whole(engine, captured)
    assert found and found.first is None and len(found.rows) > 10


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_named(bug, engine, captured, monkeypatch):
    op, kind, spoil, cause = BUGS[bug]
    monkeypatch.setitem(engine.ENGINE, kind, spoil(engine, engine.ENGINE[kind]))
    isolated, run = alone(engine, captured), whole(engine, captured)
    assert {row.node.op for row in isolated.bad} == {op}, str(isolated)
    assert run.first is not None and run.first.node.op == op, str(run)
    assert run.first.node.outputs[0] in {v for row in isolated.bad for v in row.node.outputs}
    if cause:
        told = " ".join(" ".join(row.causes) for row in isolated.bad)
        assert cause in told, str(isolated)


def test_golden_folders_are_compared_in_order(tmp_path, captured):
    graph, x = captured
    graph.golden(tmp_path / "a", (x,))
    graph.golden(tmp_path / "b", (x,))
    assert flexir.compare(tmp_path / "a", tmp_path / "b") == []
    graph.golden(tmp_path / "c", (x * 1.1,))
    lines = flexir.compare(tmp_path / "a", tmp_path / "c")
    assert "conv2d" in lines[0] and "first" in lines[0]


def test_values_that_are_none_of_the_graphs_are_an_error(captured):
    graph, x = captured
    with pytest.raises(flexir.Error, match="none of these names"):
        flexir.compare(graph, {"conv_out": x}, (x,))
