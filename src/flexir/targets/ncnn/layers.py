"""Handlers of arithmetic and of layers with weights: what computes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import flexir

from .. import arguments
from .network import Blob, Dims, tagged
from .tensors import Context, around, blob, image, op

# op -> layer and its parameters
_UNARY: dict[str, tuple[str, dict[int, Any]]] = {
    "relu": ("ReLU", {}), "sigmoid": ("Sigmoid", {}), "tanh": ("TanH", {}), "mish": ("Mish", {}),
    "silu": ("Swish", {}), "selu": ("SELU", {}), "erf": ("Erf", {}),
    "hardswish": ("HardSwish", {0: 1 / 6, 1: 0.5}),
    "hardsigmoid": ("HardSigmoid", {0: 1 / 6, 1: 0.5}), "relu6": ("Clip", {0: 0.0, 1: 6.0}),
    **{name: ("UnaryOp", {0: number}) for name, number in {
        "abs": 0, "neg": 1, "floor": 2, "ceil": 3, "sqrt": 5, "rsqrt": 6, "exp": 7,
        "log": 8, "sin": 9, "cos": 10, "asin": 12, "acos": 13, "atan": 14,
        "reciprocal": 15, "log10": 17, "trunc": 19}.items()},
}  # fmt: skip
_BINARY = {"add": 0, "sub": 1, "mul": 2, "div": 3, "maximum": 4, "minimum": 5}
_TURNED = {"add": 0, "sub": 7, "mul": 2, "div": 8}  # with the number on the left
_POWERS: dict[float, int] = {2: 4, 0.5: 5, -0.5: 6, -1: 15}  # UnaryOp; ncnn's pow is approximate
_REDUCE = {"sum": 0, "mean": 3}  # its extremes begin at the last finite number and skip NaN
_KERNEL, _DILATION, _STRIDE = (1, 11, 21), (2, 12, 22), (3, 13, 23)
_BEFORE, _BEHIND = (4, 14, 24), (15, 16, 17)  # padding, for w, h, d


def layer_name(ctx: Context) -> str:
    """What the name of a layer begins with: the path of the module it comes from."""
    return str(ctx.node.path).replace(" ", "_")


for _name, (_kind, _params) in _UNARY.items():

    @op(_name)
    def unary(ctx: Context, input: Any, *, kind: str = _kind, params: Any = _params) -> Blob:
        x = blob(ctx, input)
        return ctx.out.add(kind, [x], x.dims, params, name=layer_name(ctx))


@op("gelu")
def gelu(ctx: Context, input: Any, approximate: str) -> Blob:
    return _set(ctx, "GELU", input, int(approximate == "tanh"))


@op("leaky_relu")
def leaky_relu(ctx: Context, input: Any, negative_slope: float) -> Blob:
    return _set(ctx, "ReLU", input, float(negative_slope))


@op("elu")
def elu(ctx: Context, input: Any, alpha: float) -> Blob:
    return _set(ctx, "ELU", input, float(alpha))


def _set(ctx: Context, kind: str, input: Any, setting: float) -> Blob:
    x = blob(ctx, input)
    return ctx.out.add(kind, [x], x.dims, {0: setting}, name=layer_name(ctx))


@op("clamp")
def clamp(ctx: Context, input: Any, min: Any, max: Any) -> Blob:
    if not all(one is None or isinstance(one, (int, float)) for one in (min, max)):
        raise flexir.Unsupported("bounds that are tensors")
    x = blob(ctx, input)
    low, high = (-math.inf if min is None else min), (math.inf if max is None else max)
    return ctx.out.add("Clip", [x], x.dims, {0: float(low), 1: float(high)})


def together(a: Dims, b: Dims) -> tuple[Dims, Dims, Dims]:
    """Two shapes and what they broadcast to, in equally many dimensions that ncnn can have."""
    rank = max(len(a), len(b), 1)
    pairs = list(zip((1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b))
    while len(pairs) > 1 and pairs[0] == (1, 1):
        pairs.pop(0)
    if len(pairs) > 4:  # neighbours that broadcast alike are one
        merged: list[tuple[int, int]] = []
        for one in pairs:
            kind = (one[0] == 1, one[1] == 1)
            if merged and (
                (merged[-1][0] == 1, merged[-1][1] == 1) == kind or kind == (True, True)
            ):
                one = (merged[-1][0] * one[0], merged.pop()[1] * one[1])
            merged.append(one)
        pairs = merged
    if len(pairs) > 4:
        raise flexir.Unsupported(f"{a} and {b} broadcast over more than 4 dimensions")
    left, right = tuple(p[0] for p in pairs), tuple(p[1] for p in pairs)
    return left, right, tuple(map(max, left, right))


for _name, _number in _BINARY.items():

    @op(_name)
    def binary(
        ctx: Context, input: Any, other: Any, *, name: str = _name, number: int = _number
    ) -> Blob:
        if isinstance(input, (int, float)) or isinstance(other, (int, float)):
            turned = isinstance(input, (int, float))
            scalar, x = (input, blob(ctx, other)) if turned else (other, blob(ctx, input))
            params = {0: _TURNED.get(name, number) if turned else number, 1: 1, 2: float(scalar)}
            return ctx.out.add("BinaryOp", [x], x.dims, params, name=layer_name(ctx))
        a, b = blob(ctx, input), blob(ctx, other)
        shapes = ctx.node.args["input"].type.shape, ctx.node.args["other"].type.shape
        if shapes[0] != shapes[1] or math.prod(a.dims) != math.prod(b.dims):
            left, right, dims = together(*shapes)
            a, b = ctx.out.shaped(a, left), ctx.out.shaped(b, right)
        else:
            b, dims = ctx.out.shaped(b, a.dims), a.dims
        return ctx.out.add("BinaryOp", [a, b], dims, {0: number}, name=layer_name(ctx))


@op("pow")
def power(ctx: Context, input: Any, exponent: Any) -> Blob:
    if not isinstance(exponent, (int, float)) or exponent not in _POWERS:
        raise flexir.Unsupported(f"exponent {exponent}; exact are 2, 0.5, -0.5 and -1")
    x = blob(ctx, input)
    return ctx.out.add("UnaryOp", [x], x.dims, {0: _POWERS[exponent]})


for _name, _number in _REDUCE.items():

    @op(_name)
    def reduction(ctx: Context, input: Any, dim: Any = None, keepdim: Any = False, *,
                  number: int = _number) -> Blob:  # fmt: skip
        shape = ctx.type(input).shape
        given = (
            range(len(shape)) if dim in (None, (), []) else [dim] if isinstance(dim, int) else dim
        )
        x = blob(ctx, input)
        for one in given:
            dims, axis = around(shape, one)
            params = {0: number, 1: 0, 3: [axis], 4: 1, 5: 1}
            shape = tuple(1 if i == one % len(shape) else n for i, n in enumerate(shape))
            made = tuple(1 if i == axis else n for i, n in enumerate(dims))
            x = ctx.out.add("Reduction", [ctx.out.shaped(x, dims)], made, params)
        return Blob(*x)


@op("softmax")
def softmax(ctx: Context, input: Any, dim: int) -> Blob:
    dims, axis = around(ctx.type.shape, dim)
    x = ctx.out.shaped(blob(ctx, input), dims)
    return ctx.out.add("Softmax", [x], dims, {0: axis, 1: 1})


@op("glu")
def glu(ctx: Context, input: Any, dim: int) -> Blob:
    dims, axis = around(ctx.type(input).shape, dim)
    made = tuple(n // 2 if i == axis else n for i, n in enumerate(dims))
    return ctx.out.add("GLU", [ctx.out.shaped(blob(ctx, input), dims)], made, {0: axis})


def each(value: Any, count: int) -> tuple[int, ...]:
    """One number for each dimension, innermost first, as ncnn has them."""
    return tuple(arguments.each(value, count)[::-1])


def convolution(ctx: Context, kind: str, input: Any, weight: Any, bias: Any, groups: int,
                stride: Any, padding: Any, dilation: Any, extra: Any = ()) -> Blob:  # fmt: skip
    """A convolution, or one transposed; ``weight`` is already in ncnn's order."""
    spatial = weight.ndim - 2
    kernel, dilation, stride = (each(n, spatial) for n in (weight.shape[2:], dilation, stride))
    pads = arguments.around(padding, kernel[::-1], dilation[::-1])[::-1]
    before, behind = zip(*pads)
    x = image(ctx, input, spatial)
    keys = [_KERNEL, _DILATION, _STRIDE, _BEFORE, _BEHIND]
    params = {0: ctx.type.shape[-spatial - 1], 5: int(bias is not None), 6: weight.size}
    for names, values in zip(keys, (kernel, dilation, stride, before, behind)):
        params.update(zip(names, values))
    params.update(extra)
    if groups > 1:
        params[7] = groups
    kind += ("DepthWise" if groups > 1 else "") + ("1D", "", "3D")[spatial - 1]
    weights = [tagged(weight), *([] if bias is None else [bias])]
    return ctx.out.add(kind, [x], ctx.type.shape[-spatial - 1 :], params, weights, layer_name(ctx))


for _name in ("conv1d", "conv2d", "conv3d"):

    @op(_name)
    def conv(ctx: Context, input: Any, weight: Any, bias: Any, stride: Any, padding: Any,
             dilation: Any, groups: int) -> Blob:  # fmt: skip
        weight, bias = ctx.array(weight), ctx.array(bias)
        return convolution(
            ctx, "Convolution", input, weight, bias, groups, stride, padding, dilation
        )


for _name in ("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"):

    @op(_name)
    def conv_transpose(ctx: Context, input: Any, weight: Any, bias: Any, stride: Any, padding: Any,
                       output_padding: Any, groups: int, dilation: Any) -> Blob:  # fmt: skip
        weight, bias = ctx.array(weight), ctx.array(bias)
        parts = [part.swapaxes(0, 1) for part in np.split(weight, groups)]
        spatial = weight.ndim - 2
        extra = zip((18, 19, 20), each(output_padding, spatial))
        weight = np.concatenate(parts)
        return convolution(ctx, "Deconvolution", input, weight, bias, groups, stride, padding,
                           dilation, extra)  # fmt: skip


@op("linear")
def linear(ctx: Context, input: Any, weight: Any, bias: Any) -> Blob:
    weight, bias = ctx.array(weight), ctx.array(bias)
    if weight.ndim != 2:
        raise flexir.Unsupported("a weight of one row without a dimension")
    made, taken = weight.shape
    rows = math.prod(ctx.type(input).shape) // taken
    lead: Dims = (rows,) if rows > 1 else ()
    x = ctx.out.shaped(blob(ctx, input), (*lead, taken))
    params = {0: made, 1: int(bias is not None), 2: weight.size}
    weights = [tagged(weight), *([] if bias is None else [bias])]
    return ctx.out.add("InnerProduct", [x], (*lead, made), params, weights, layer_name(ctx))


@op("matmul")
def matmul(ctx: Context, input: Any, other: Any) -> Blob:
    return product(ctx, input, other, *(v.type.shape for v in ctx.node.inputs))


def product(ctx: Context, left: Any, right: Any, a: Dims, b: Dims) -> Blob:
    """Matrices multiplied, one by one or all by one."""
    a, b = (a if len(a) > 1 else (1, *a)), (b if len(b) > 1 else (*b, 1))
    if math.prod(b[:-2]) == 1:
        lead: Dims = (math.prod(a[:-1]),)
        dims = [(*lead, a[-1]), b[-2:]]
    elif a[:-2] == b[:-2]:
        lead = (math.prod(a[:-2]), a[-2])
        dims = [(*lead, a[-1]), (lead[0], *b[-2:])]
    else:
        raise flexir.Unsupported(f"batches {a[:-2]} and {b[:-2]}: ncnn does not broadcast them")
    inputs = [ctx.out.shaped(blob(ctx, x), d) for x, d in zip((left, right), dims)]
    return ctx.out.add("MatMul", inputs, (*lead, b[-1]), {}, name=layer_name(ctx))


@op("batch_norm")
def batch_norm(ctx: Context, input: Any, running_mean: Any, running_var: Any, weight: Any,
               bias: Any, training: bool, momentum: Any, eps: float) -> Blob:  # fmt: skip
    if training or running_mean is None:
        raise flexir.Unsupported("statistics of the batch")
    mean, var = ctx.array(running_mean), ctx.array(running_var)
    slope = np.ones_like(mean) if weight is None else ctx.array(weight)
    shift = np.zeros_like(mean) if bias is None else ctx.array(bias)
    shape = ctx.type.shape
    x = image(ctx, input, len(shape) - 2)
    params = {0: mean.size, 1: float(eps)}
    return ctx.out.add("BatchNorm", [x], x.dims, params, [slope, mean, var, shift], layer_name(ctx))


def affine(ctx: Context, weight: Any, bias: Any, size: int) -> list[Any]:
    """Scale and shift of a norm, or nothing where it has neither."""
    if weight is None and bias is None:
        return []
    return [np.ones(size) if weight is None else ctx.array(weight),
            np.zeros(size) if bias is None else ctx.array(bias)]  # fmt: skip


@op("layer_norm")
def layer_norm(ctx: Context, input: Any, normalized_shape: Any, weight: Any, bias: Any,
               eps: float) -> Blob:  # fmt: skip
    size = math.prod(normalized_shape)
    x = ctx.out.shaped(blob(ctx, input), (math.prod(ctx.type.shape) // size, size))
    weights = affine(ctx, weight, bias, size)
    params = {0: size, 1: float(eps), 2: int(bool(weights))}
    return ctx.out.add("LayerNorm", [x], x.dims, params, weights, layer_name(ctx))


@op("group_norm")
def group_norm(
    ctx: Context, input: Any, num_groups: int, weight: Any, bias: Any, eps: float
) -> Blob:
    shape = ctx.type.shape
    x = image(ctx, input, len(shape) - 2)
    weights = affine(ctx, weight, bias, shape[1])
    params = {0: num_groups, 1: shape[1], 2: float(eps), 3: int(bool(weights))}
    return ctx.out.add("GroupNorm", [x], x.dims, params, weights, layer_name(ctx))


@op("instance_norm")
def instance_norm(ctx: Context, input: Any, running_mean: Any, running_var: Any, weight: Any,
                  bias: Any, use_input_stats: bool, momentum: Any, eps: float) -> Blob:  # fmt: skip
    shape = ctx.type.shape
    if not use_input_stats or len(shape) != 4:
        raise flexir.Unsupported("statistics that are not the input's, or not of images")
    x, weights = image(ctx, input, 2), affine(ctx, weight, bias, shape[1])
    params = {0: shape[1], 1: float(eps), 2: int(bool(weights))}
    return ctx.out.add("InstanceNorm", [x], x.dims, params, weights, layer_name(ctx))


@op("prelu")
def prelu(ctx: Context, input: Any, weight: Any) -> Blob:
    slope, shape = ctx.array(weight), ctx.type.shape
    x = image(ctx, input, len(shape) - 2) if slope.size > 1 else blob(ctx, input)
    return ctx.out.add("PReLU", [x], x.dims, {0: slope.size}, [slope], layer_name(ctx))


@op("scaled_dot_product_attention")
def attention(ctx: Context, query: Any, key: Any, value: Any, attn_mask: Any, scale: Any) -> Blob:
    """Four layers: query and key multiplied, scaled, masked and normalised, then with the value."""
    q, k, v = (ctx.node.args[name].type.shape for name in ("query", "key", "value"))
    if not q[:-2] == k[:-2] == v[:-2]:
        raise flexir.Unsupported("heads that are shared")
    heads, out = math.prod(q[:-2]), ctx.out
    parts = [out.shaped(blob(ctx, part), (heads, *shape[-2:]))
             for part, shape in zip((query, key, value), (q, k, v))]  # fmt: skip
    score: Blob = out.add("MatMul", parts[:2], (heads, q[-2], k[-2]), {0: 1})
    factor = 1 / math.sqrt(q[-1]) if scale is None else float(scale)
    score = out.add("BinaryOp", [score], score.dims, {0: 2, 1: 1, 2: factor})
    if attn_mask is not None:
        given = ctx.node.args["attn_mask"].type.shape
        left, right, dims = together((*q[:-2], q[-2], k[-2]), given)
        both = [out.shaped(score, left), out.shaped(blob(ctx, attn_mask), right)]
        score = out.shaped(out.add("BinaryOp", both, dims, {0: 0}), score.dims)
    score = out.add("Softmax", [score], score.dims, {0: 2, 1: 1})
    return out.add("MatMul", [score, parts[2]], (heads, q[-2], v[-1]), {}, name=layer_name(ctx))
