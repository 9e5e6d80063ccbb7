"""The target ``describe``: every handler makes one Layer and logs one line.

Words: C input channels, N output channels, K kernel, S stride, P padding, D dilation, G groups.
Layers whose words are all read off the function's arguments need one handler for the module, the
function and the method alike, so there are no module handlers here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ...errors import TargetError
from ...graph.nodes import TensorType, Value
from ..context import Context, Placeholder
from ..target import Target
from .names import CUSTOM, PLAIN

log = logging.getLogger("flexir")
describe = Target("describe")


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One described layer.

    Attributes:
        kind: display name, such as ``Conv2d``.
        words: its parameters in short.
        inputs: the layers and inputs it reads.
        types: types of its outputs.
    """

    kind: str
    words: str
    inputs: tuple[Any, ...] = field(repr=False)  # a net prints as its last layer, not as all
    types: tuple[TensorType, ...]

    def __str__(self) -> str:
        return f"{self.kind}, {self.words}" if self.words else self.kind


def layer(ctx: Context[Any], kind: str, words: str, *inputs: Any) -> Any:
    """Make a Layer, log it, append it to ``ctx.out`` if there is one."""
    types = tuple(v.type for v in ctx.node.outputs)
    made = Layer(kind, words, inputs, types)
    log.debug("Converting... %s", made)
    if isinstance(ctx.out, list):
        ctx.out.append(made)
    count = len(ctx.node.returned)
    return (made,) * count if count > 1 else made


def tensors(part: Any) -> list[Any]:
    """The layers, inputs and weights among converted arguments."""
    if isinstance(part, (Layer, Value, Placeholder)):
        return [part]
    if isinstance(part, dict):
        part = part.values()
    elif not isinstance(part, (list, tuple)):
        return []
    return [t for inner in part for t in tensors(inner)]


def by_x(sizes: Any, rank: int = 1) -> str:
    """``3x3``; a lone number is repeated ``rank`` times."""
    if not isinstance(sizes, (tuple, list)):
        sizes = (sizes,) * rank
    return "x".join(map(str, sizes))


def packed(sizes: Any, rank: int = 1) -> str:
    """``33``; wide numbers keep an ``x`` between them, a word such as ``same`` stands alone."""
    if isinstance(sizes, str):
        return sizes
    text = by_x(sizes, rank)
    return text.replace("x", "") if all(len(n) == 1 for n in text.split("x")) else text


def shape(part: Any) -> tuple[int, ...]:
    """Sizes of a converted tensor argument."""
    if isinstance(part, Layer):
        return part.types[0].shape
    of: TensorType = part.type
    return of.shape


# --- convolution, linear, embedding ---------------------------------------------------------------


def _convolution(rank: int) -> None:
    @describe.op(f"conv{rank}d")
    def conv(
        ctx: Context[Any], input: Any, weight: Any, bias: Any, stride: Any, padding: Any,
        dilation: Any, groups: int,
    ) -> Any:  # fmt: skip
        out, per_group, *kernel = shape(weight)
        words = (
            f"C{per_group * groups} N{out} K{by_x(kernel)} S{by_x(stride, rank)} "
            f"P{packed(padding, rank)} D{by_x(dilation, rank)} G{groups}"
        )
        return layer(ctx, f"Conv{rank}d", words, input)

    @describe.op(f"conv_transpose{rank}d")
    def transposed(
        ctx: Context[Any], input: Any, weight: Any, bias: Any, stride: Any, padding: Any,
        output_padding: Any, groups: int, dilation: Any,
    ) -> Any:  # fmt: skip
        channels, per_group, *kernel = shape(weight)
        words = (
            f"C{channels} N{per_group * groups} K{by_x(kernel)} S{by_x(stride, rank)} "
            f"P{packed(padding, rank)} O{packed(output_padding, rank)} "
            f"D{by_x(dilation, rank)} G{groups}"
        )
        return layer(ctx, f"ConvTranspose{rank}d", words, input)


@describe.op("linear")
def linear(ctx: Context[Any], input: Any, weight: Any, bias: Any) -> Any:
    out, channels = shape(weight) if len(shape(weight)) == 2 else (1, *shape(weight))
    return layer(ctx, "FullConnection", f"C{channels} N{out}", input)


@describe.op("embedding")
def embedding(ctx: Context[Any], input: Any, weight: Any, padding_idx: Any = None, **_: Any) -> Any:
    rows, width = shape(weight)
    pad = "" if padding_idx in (None, -1) else f" pad {padding_idx}"
    return layer(ctx, "Embedding", f"{rows}x{width}{pad}", input)


@describe.op("embedding_bag")
def embedding_bag(ctx: Context[Any], input: Any, weight: Any, mode: Any = "mean", **_: Any) -> Any:
    return layer(ctx, "EmbeddingBag", f"{by_x(shape(weight))} {mode}", input)


# --- normalization --------------------------------------------------------------------------------


@describe.op("batch_norm")
def batch_norm(
    ctx: Context[Any], input: Any, running_mean: Any, running_var: Any, weight: Any, bias: Any,
    training: bool, momentum: Any, eps: float,
) -> Any:  # fmt: skip
    sizes = shape(input)
    rank = max(len(sizes) - 2, 1)
    words = f"N {sizes[1]} eps {eps} momentum {momentum}"
    words += " affine" if weight is not None else ""
    words += " track_stats" if running_mean is not None else ""
    return layer(ctx, f"BatchNorm{rank}d", words, input)


@describe.op("instance_norm")
def instance_norm(ctx: Context[Any], input: Any, weight: Any, eps: float, **_: Any) -> Any:
    sizes = shape(input)
    words = f"N {sizes[1]} eps {eps}" + (" affine" if weight is not None else "")
    return layer(ctx, f"InstanceNorm{max(len(sizes) - 2, 1)}d", words, input)


@describe.op("group_norm")
def group_norm(
    ctx: Context[Any], input: Any, num_groups: int, weight: Any, bias: Any, eps: float
) -> Any:
    words = f"N {shape(input)[1]} G{num_groups} eps {eps}" + (
        " affine" if weight is not None else ""
    )
    return layer(ctx, "GroupNorm", words, input)


@describe.op("layer_norm")
def layer_norm(
    ctx: Context[Any], input: Any, normalized_shape: Any, weight: Any, bias: Any, eps: float
) -> Any:
    words = f"N {by_x(normalized_shape)} eps {eps}" + (" affine" if weight is not None else "")
    return layer(ctx, "LayerNorm", words, input)


@describe.op("rms_norm")
def rms_norm(ctx: Context[Any], input: Any, normalized_shape: Any, weight: Any, eps: Any) -> Any:
    return layer(ctx, "RMSNorm", f"N {by_x(normalized_shape)} eps {eps}", input)


# --- pooling --------------------------------------------------------------------------------------


def _pooling(rank: int) -> None:
    @describe.op(f"max_pool{rank}d")
    def max_pool(
        ctx: Context[Any], input: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any,
        ceil_mode: bool, return_indices: bool = False,
    ) -> Any:  # fmt: skip
        words = (
            f"K{by_x(kernel_size, rank)} S{by_x(stride or kernel_size, rank)} "
            f"P{packed(padding, rank)} D{by_x(dilation, rank)} ceil?{'NY'[bool(ceil_mode)]}"
        )
        return layer(ctx, f"MaxPool{rank}d", words + " indices" * return_indices, input)

    @describe.op(f"avg_pool{rank}d")
    def avg_pool(
        ctx: Context[Any], input: Any, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool,
        count_include_pad: bool, **_: Any,
    ) -> Any:  # fmt: skip
        words = (
            f"K{by_x(kernel_size, rank)} S{by_x(stride or kernel_size, rank)} "
            f"P{packed(padding, rank)} D{by_x(1, rank)} ceil?{'NY'[bool(ceil_mode)]}"
        )
        words += " countIncludePad" * count_include_pad
        return layer(ctx, f"AvgPool{rank}d", words, input)

    @describe.op(f"adaptive_avg_pool{rank}d")
    def adaptive_avg_pool(ctx: Context[Any], input: Any, output_size: Any) -> Any:
        return _adaptive(ctx, input, output_size, "Avg", rank)

    @describe.op(f"adaptive_max_pool{rank}d")
    def adaptive_max_pool(
        ctx: Context[Any], input: Any, output_size: Any, return_indices: bool = False
    ) -> Any:
        return _adaptive(ctx, input, output_size, "Max", rank)


def _adaptive(ctx: Context[Any], input: Any, output_size: Any, kind: str, rank: int) -> Any:
    """An adaptive pool is a plain one where the sizes divide."""
    sizes = shape(input)[-rank:]
    wanted = output_size if isinstance(output_size, (tuple, list)) else (output_size,) * rank
    wanted = tuple(s if w is None else w for w, s in zip(wanted, sizes))
    name = f"{kind}Pool{rank}d"
    if any(s % w for s, w in zip(sizes, wanted)):
        return layer(ctx, f"Adaptive{name}", f"O{by_x(wanted)}", input)
    stride = tuple(s // w if w > 1 else 1 for s, w in zip(sizes, wanted))
    kernel = tuple(s - (w - 1) * t for s, w, t in zip(sizes, wanted, stride))
    words = f"K{by_x(kernel)} S{by_x(stride)} P{packed(0, rank)} D{by_x(1, rank)} ceil?N"
    words += " countIncludePad" * (kind == "Avg")
    return layer(ctx, f"{name} (from Adaptive {by_x(wanted)})", words, input)


# --- attention and recurrence ---------------------------------------------------------------------


@describe.op("multi_head_attention_forward")
def multi_head_attention(
    ctx: Context[Any], query: Any, key: Any, value: Any, embed_dim_to_check: int, num_heads: int,
    **_: Any,
) -> Any:  # fmt: skip
    words = f"E{embed_dim_to_check} H{num_heads}"
    return layer(ctx, "MultiheadAttention", words, query, key, value)


@describe.op("scaled_dot_product_attention")
def attention(
    ctx: Context[Any], query: Any, key: Any, value: Any, attn_mask: Any = None,
    is_causal: bool = False, **_: Any,
) -> Any:  # fmt: skip
    words = f"{by_x(shape(query))}" + " mask" * (attn_mask is not None) + " causal" * is_causal
    return layer(ctx, "ScaledDotProductAttention", words, query, key, value)


def _recurrent(op: str, kind: str) -> None:
    @describe.op(op)
    def recurrent(ctx: Context[Any], input: Any, **rest: Any) -> Any:
        params = tensors(rest.get("params", ()))
        hidden = shape(params[1])[1] if len(params) > 1 else "?"
        words = f"C{shape(input)[-1]} N{hidden} L{rest.get('num_layers', 1)}"
        words += " bidirectional" * bool(rest.get("bidirectional"))
        words += " batch_first" * bool(rest.get("batch_first"))
        return layer(ctx, kind, words, input, *tensors(rest.get("hx", ())))


def _cell(op: str, kind: str) -> None:
    @describe.op(op)
    def cell(ctx: Context[Any], input: Any, hx: Any, w_ih: Any, w_hh: Any, **_: Any) -> Any:
        words = f"C{shape(w_ih)[1]} N{shape(w_hh)[1]}"
        return layer(ctx, kind, words, input, *tensors(hx))


# --- everything whose words are its literals ------------------------------------------------------


def _plain(key: str, kind: str) -> None:
    @describe.op(key)
    def plain(ctx: Context[Any], **args: Any) -> Any:
        return layer(ctx, kind, _words(ctx, args), *tensors(args))


def _words(ctx: Context[Any], args: dict[str, Any]) -> str:
    defaults = ctx.node.signature.defaults
    words = []
    for name, part in args.items():
        if tensors(part) or name.startswith("_") or part is None:
            continue
        if name in defaults and part == defaults[name]:
            continue
        if part is True:
            words.append(name)
        elif isinstance(part, (tuple, list)) and all(type(v) is int for v in part):
            words.append(f"{name} {by_x(part)}")
        elif name == "indices":
            words.append(_indices(part))
        else:
            words.append(f"{name} {part}")
    return " ".join(words)


def _indices(part: Any) -> str:
    """An index as it is written between brackets."""
    parts = part if isinstance(part, tuple) else (part,)
    shown = []
    for one in parts:
        if isinstance(one, slice):
            text = (
                f"{'' if one.start is None else one.start}:{'' if one.stop is None else one.stop}"
            )
            shown.append(text + (f":{one.step}" if one.step not in (None, 1) else ""))
        else:
            shown.append("..." if one is Ellipsis else str(one))
    return f"[{', '.join(shown)}]"


def _declare(function: Callable[..., None], *args: Any) -> None:
    """Declare handlers of functions this torch has; older ones lack a few."""
    try:
        function(*args)
    except TargetError as error:
        if "torch has no function" not in str(error):
            raise


for _rank in (1, 2, 3):
    _convolution(_rank)
    _pooling(_rank)
for _op, _kind in (("lstm", "LSTM"), ("gru", "GRU"), ("rnn_tanh", "RNN"), ("rnn_relu", "RNN")):
    _recurrent(_op, _kind)
for _op, _kind in (
    ("lstm_cell", "LSTMCell"), ("gru_cell", "GRUCell"), ("rnn_tanh_cell", "RNNCell"),
    ("rnn_relu_cell", "RNNCell"),
):  # fmt: skip
    _cell(_op, _kind)
for _op, _kind in PLAIN.items():
    _declare(_plain, f"torchvision::{_op}" if _op in CUSTOM else _op, _kind)
