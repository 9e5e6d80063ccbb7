"""A proprietary representation in 150 lines, with its own engine in NumPy, compared with torch.

    python howto_own_ir.py [resnet18 mobilenet_v3_small vit_b_32]

The representation is a flat list of layers. The engine runs it without torch. The handlers
between are all FlexTorchIR asks of you.
"""

import math
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

import flexir

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from zoo.torchvision_models import entry

# --- the representation --------------------------------------------------------------------------


class Buffer(int):
    """The number of a buffer; a type of its own, so that it is no number of the model."""


@dataclass
class Layer:
    """One layer: what it is, where it reads and writes, its attributes and weights."""

    kind: str
    inputs: list[int]
    output: int
    attributes: dict[str, Any]
    weights: list[np.ndarray]


@dataclass
class Net:
    """A program over numbered buffers."""

    layers: list[Layer] = field(default_factory=list)
    count: int = 0

    def buffer(self) -> Buffer:
        self.count += 1
        return Buffer(self.count - 1)

    def add(self, kind: str, *inputs: Any, weights: Any = (), **attributes: Any) -> int:
        """Append a layer; constants among the inputs become layers of their own."""
        places = [i if isinstance(i, Buffer) else self.constant(i) for i in inputs]
        output = self.buffer()
        stored = [None if w is None else w.tensor.detach().numpy() for w in weights]
        self.layers.append(Layer(kind, places, output, attributes, stored))
        return output

    def constant(self, array: Any) -> int:
        output = self.buffer()
        self.layers.append(Layer("Constant", [], output, {}, [np.asarray(array, np.float32)]))
        return output


# --- the handlers --------------------------------------------------------------------------------

ir = flexir.Target("numpy-engine", out=Net)


@ir.input
def graph_input(ctx, name, type):
    return ctx.out.buffer()


@ir.placeholder
def unknown(ctx, inputs):
    return (ctx.out.add(f"Unknown {ctx.node.op}"),) * len(ctx.node.outputs)


def operand(ctx, value):
    """A buffer as it is; a weight or number as an array."""
    if isinstance(value, flexir.Value):
        return ctx.weight(value).tensor.detach().numpy()
    return value if isinstance(value, Buffer) else np.float32(value)


@ir.op("conv2d")
def conv2d(ctx, input, weight, bias, stride, padding, dilation, groups):
    if dilation not in ((1, 1), 1, [1, 1]) or isinstance(padding, str):
        raise flexir.Unsupported(f"dilation {dilation}, padding {padding}")
    w = [ctx.weight(weight), ctx.weight(bias)]
    return ctx.out.add("Conv", input, weights=w, stride=stride, padding=padding, groups=groups)


@ir.op("batch_norm")
def batch_norm(ctx, input, running_mean, running_var, weight, bias, training, momentum, eps):
    w = [ctx.weight(v) for v in (running_mean, running_var, weight, bias)]
    return ctx.out.add("BatchNorm", input, weights=w, eps=eps)


@ir.op("layer_norm")
def layer_norm(ctx, input, normalized_shape, weight, bias, eps):
    return ctx.out.add("LayerNorm", input, weights=[ctx.weight(weight), ctx.weight(bias)], eps=eps)


@ir.op("linear")
def linear(ctx, input, weight, bias):
    return ctx.out.add("Linear", input, weights=[ctx.weight(weight), ctx.weight(bias)])


@ir.op("max_pool2d")
def max_pool2d(ctx, input, kernel_size, stride, padding):
    return ctx.out.add("MaxPool", input, kernel=kernel_size, stride=stride, padding=padding)


@ir.op("adaptive_avg_pool2d")
def adaptive_avg_pool2d(ctx, input, output_size):
    if output_size not in (1, (1, 1), [1, 1]):
        raise flexir.Unsupported("only global average pooling")
    return ctx.out.add("GlobalAverage", input)


@ir.op("multi_head_attention_forward")
def attention(ctx, query, key, value, num_heads, in_proj_weight, in_proj_bias, out_proj_weight,
              out_proj_bias, embed_dim_to_check, dropout_p, training, need_weights,
              average_attn_weights, bias_k=None, bias_v=None, add_zero_attn=False):  # fmt: skip
    w = [ctx.weight(v) for v in (in_proj_weight, in_proj_bias, out_proj_weight, out_proj_bias)]
    return ctx.out.add("Attention", query, key, value, weights=w, heads=num_heads), None


for op, kind in {"relu": "Relu", "gelu": "Gelu", "hardswish": "HardSwish",
                 "hardsigmoid": "HardSigmoid"}.items():  # fmt: skip

    @ir.op(op)
    def activation(ctx, input, *, kind=kind):
        return ctx.out.add(kind, input)


for op, kind in {"add": "Add", "mul": "Mul"}.items():

    @ir.op(op)
    def binary(ctx, input, other, *, kind=kind):
        return ctx.out.add(kind, operand(ctx, input), operand(ctx, other))


@ir.op("flatten")
def flatten(ctx, input, start_dim, end_dim):
    return ctx.out.add("Reshape", input, shape=ctx.type.shape)


@ir.op("reshape")
def reshape(ctx, input, shape):
    return ctx.out.add("Reshape", input, shape=ctx.type.shape)


@ir.op("permute")
def permute(ctx, input, dims):
    return ctx.out.add("Transpose", input, axes=dims)


@ir.op("transpose")
def transpose(ctx, input, dim0, dim1):
    axes = list(range(len(ctx.type.shape)))
    axes[dim0], axes[dim1] = axes[dim1], axes[dim0]
    return ctx.out.add("Transpose", input, axes=axes)


@ir.op("expand")
def expand(ctx, input, size):
    return ctx.out.add("Expand", operand(ctx, input), shape=ctx.type.shape)


@ir.op("cat")
def cat(ctx, tensors, dim):
    return ctx.out.add("Concat", *[operand(ctx, t) for t in tensors], axis=dim)


@ir.op("getitem")
def getitem(ctx, input, indices):
    return ctx.out.add("Slice", input, indices=indices)


# --- the engine ----------------------------------------------------------------------------------


def windows(x: np.ndarray, kernel: Any, stride: Any, padding: Any, fill: float) -> np.ndarray:
    """[N, C, H', W', kh, kw] views of the padded input."""
    (kh, kw), (sh, sw), (ph, pw) = (v if isinstance(v, (tuple, list)) else (v, v)
                                    for v in (kernel, stride, padding))  # fmt: skip
    x = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)), constant_values=fill)
    view = np.lib.stride_tricks.sliding_window_view(x, (kh, kw), axis=(2, 3))
    return view[:, :, ::sh, ::sw]


def conv(layer: Layer, x: np.ndarray) -> np.ndarray:
    weight, bias = layer.weights
    at = layer.attributes
    view = windows(x, weight.shape[2:], at["stride"], at["padding"], 0.0)
    groups = at["groups"]
    n, c, h, w, kh, kw = view.shape
    view = view.reshape(n, groups, c // groups, h, w, kh, kw)
    grouped = weight.reshape(groups, -1, c // groups, kh, kw)
    y = np.einsum("ngchwij,gocij->ngohw", view, grouped, optimize=True)
    y = y.reshape(n, -1, h, w)
    return y if bias is None else y + bias[:, None, None]


def batch_norm_layer(layer: Layer, x: np.ndarray) -> np.ndarray:
    mean, var, weight, bias = (w[:, None, None] for w in layer.weights)
    return (x - mean) / np.sqrt(var + layer.attributes["eps"]) * weight + bias


def layer_norm_layer(layer: Layer, x: np.ndarray) -> np.ndarray:
    weight, bias = layer.weights
    x = x - x.mean(-1, keepdims=True)
    scale = np.sqrt((x * x).mean(-1, keepdims=True) + layer.attributes["eps"])
    return x / scale * weight + bias


def attention_layer(layer: Layer, q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    in_weight, in_bias, out_weight, out_bias = layer.weights
    heads = layer.attributes["heads"]
    rows, batch, width = q.shape
    parts = []
    for x, w, b in zip((q, k, v), np.split(in_weight, 3), np.split(in_bias, 3)):
        y = x @ w.T + b
        parts.append(y.reshape(-1, batch * heads, width // heads).transpose(1, 0, 2))
    score = parts[0] @ parts[1].transpose(0, 2, 1) / math.sqrt(width // heads)
    score = np.exp(score - score.max(-1, keepdims=True))
    score /= score.sum(-1, keepdims=True)
    y = (score @ parts[2]).transpose(1, 0, 2).reshape(rows, batch, width)
    return y @ out_weight.T + out_bias


def linear_layer(layer: Layer, x: np.ndarray) -> np.ndarray:
    weight, bias = layer.weights
    return x @ weight.T + bias


def max_pool(layer: Layer, x: np.ndarray) -> np.ndarray:
    at = layer.attributes
    return windows(x, at["kernel"], at["stride"], at["padding"], -np.inf).max((-1, -2))


_erf = np.vectorize(math.erf, otypes=[np.float32])
ENGINE = {
    "Constant": lambda layer: layer.weights[0],
    "Conv": conv,
    "BatchNorm": batch_norm_layer,
    "LayerNorm": layer_norm_layer,
    "Attention": attention_layer,
    "Linear": linear_layer,
    "MaxPool": max_pool,
    "GlobalAverage": lambda layer, x: x.mean((2, 3), keepdims=True),
    "Relu": lambda layer, x: np.maximum(x, 0),
    "Gelu": lambda layer, x: x * 0.5 * (1 + _erf(x / math.sqrt(2))),
    "HardSwish": lambda layer, x: x * np.clip(x + 3, 0, 6) / 6,
    "HardSigmoid": lambda layer, x: np.clip(x + 3, 0, 6) / 6,
    "Add": lambda layer, a, b: a + b,
    "Mul": lambda layer, a, b: a * b,
    "Reshape": lambda layer, x: x.reshape(layer.attributes["shape"]),
    "Transpose": lambda layer, x: x.transpose(layer.attributes["axes"]),
    "Expand": lambda layer, x: np.broadcast_to(x, layer.attributes["shape"]),
    "Concat": lambda layer, *parts: np.concatenate(parts, layer.attributes["axis"]),
    "Slice": lambda layer, x: x[layer.attributes["indices"]],
}


def run(net: Net, x: np.ndarray, output: int) -> np.ndarray:
    """Run the layers in order."""
    buffers = {0: x}
    for layer in net.layers:
        buffers[layer.output] = ENGINE[layer.kind](layer, *[buffers[i] for i in layer.inputs])
    return buffers[output]


def calibrate(model: torch.nn.Module, x: torch.Tensor) -> None:
    """Make random weights give numbers worth comparing."""
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
        if isinstance(module, torch.nn.Linear) and not module.weight.any():
            module.weight.data.normal_(std=0.02)  # torchvision starts ViT's head at zero
    model.train()(x)
    model.eval()


def main(names: list[str]) -> float:
    worst = 0.0
    for name in names or ["resnet18", "mobilenet_v3_small", "vit_b_32"]:
        model, (x,), _ = entry(name).make()
        with torch.no_grad():
            calibrate(model, x)
            result = flexir.convert(model, (x,), ir, strict=True)
            expected = model(x).numpy()
        got = run(result.output, x.numpy(), result.outputs)
        error = float(np.abs(got - expected).max())
        worst = max(worst, error)
        print(f"{name:20} {len(result.output.layers):4} layers, max abs error {error:.1e}")
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]) > 1e-4)
