"""Passes that know layers: batch norm into weights, padding into convolutions, pools, warps.

Each keeps values equal up to rounding, says when it applies, and leaves other layers alone.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from ..graph.graph import Graph
from ..graph.nodes import Dim, Node, TensorType, Value
from .edit import Edit

_CONVS = {"conv1d": 1, "conv2d": 2, "conv3d": 3}
_TRANSPOSED = {"conv_transpose1d": 1, "conv_transpose2d": 2, "conv_transpose3d": 3}


def fold_batch_norm(graph: Graph) -> Graph:
    """Fold batch norm in eval mode into the weights beside it.

    With ``a = weight / sqrt(running_var + eps)`` and ``b = bias - running_mean a``:

    1. after conv1d-3d, conv_transpose1d-3d or linear on rows: ``W' = a W``, ``bias' = a bias + b``,
       along the output channels;
    2. before conv1d-3d without padding, or linear on rows: ``W' = W a`` along the input channels,
       ``bias' = bias + sum(W b)``.

    The value between the two must have no other use, and all tensors be constants. The sums
    are done in float64 and rounded once.
    """
    while True:  # one fold may make room for another
        edit = Edit(graph)
        for node in graph:
            if node.op != "batch_norm" or node.args.get("training"):
                continue
            scale = _scale(edit, node)
            if scale is not None and not _into_producer(edit, node, *scale):
                _into_reader(edit, node, *scale)
        if not edit.changed:
            return graph
        graph = edit.build("fold_batch_norm")


def _scale(edit: Edit, node: Node) -> tuple[torch.Tensor, torch.Tensor] | None:
    args = node.args
    mean, var = edit.tensor(args["running_mean"]), edit.tensor(args["running_var"])
    if mean is None or var is None:
        return None
    weight: Any = 1.0 if args["weight"] is None else edit.tensor(args["weight"])
    bias: Any = 0.0 if args["bias"] is None else edit.tensor(args["bias"])
    if weight is None or bias is None:
        return None
    a = weight / torch.sqrt(var.double() + args["eps"])
    return a, bias - mean.double() * a


def _weights(edit: Edit, node: Node) -> tuple[torch.Tensor, Any] | None:
    """Weight and bias (or 0) of a layer, in double, if they are constants the run leaves alone."""
    weight, bias = node.args["weight"], node.args.get("bias")
    tensor, added = edit.tensor(weight), 0.0 if bias is None else edit.tensor(bias)
    return None if tensor is None or added is None else (tensor.double(), added)


def _rows(node: Node, value: Value) -> bool:
    return node.op == "linear" and len(value.type.shape) == 2


def _into_producer(edit: Edit, norm: Node, a: torch.Tensor, b: torch.Tensor) -> bool:
    value = norm.args["input"]
    layer = value.producer if isinstance(value, Value) else None
    if layer is None or edit.only_reader(value) is not norm or edit.is_dropped(layer):
        return False
    if not (layer.op in _CONVS or layer.op in _TRANSPOSED or _rows(layer, value)):
        return False
    found = _weights(edit, layer)
    if found is None:
        return False
    weight, bias = found
    if layer.op in _TRANSPOSED:  # [in, out / groups, ...]: group g makes its own output channels
        groups = layer.args["groups"]
        split = weight.reshape(groups, weight.shape[0] // groups, *weight.shape[1:])
        factor = a.reshape(groups, 1, weight.shape[1], *[1] * (weight.ndim - 2))
        fresh = (split * factor).reshape(weight.shape)
    else:
        fresh = weight * a.reshape(-1, *[1] * (weight.ndim - 1))
    _put(edit, norm, layer, layer.args["input"], fresh, a * bias + b)
    return True


def _into_reader(edit: Edit, norm: Node, a: torch.Tensor, b: torch.Tensor) -> bool:
    (value,) = norm.outputs
    layer = edit.only_reader(value)
    if layer is None or layer.args.get("input") is not value or edit.is_dropped(layer):
        return False
    rank = _CONVS.get(layer.op)
    padding = layer.args.get("padding")
    bare = rank is not None and padding in (0, (0,) * rank, [0] * rank)
    if not (bare or _rows(layer, value)):
        return False
    found = _weights(edit, layer)
    if found is None:
        return False
    weight, bias = found
    groups = layer.args.get("groups", 1)
    each = weight.shape[0] // groups
    factors = [v.reshape(groups, 1, weight.shape[1]).expand(groups, each, -1) for v in (a, b)]
    factors = [v.reshape(weight.shape[0], weight.shape[1], *[1] * (weight.ndim - 2))
               for v in factors]  # fmt: skip
    added = bias + (weight * factors[1]).flatten(1).sum(1)
    _put(edit, norm, layer, norm.args["input"], weight * factors[0], added)
    return True


def _put(
    edit: Edit, norm: Node, layer: Node, input: Value, weight: torch.Tensor, bias: torch.Tensor
) -> None:
    """The layer with new weights instead of the layer and the norm."""
    old = layer.args["weight"]
    dtype = old.type.dtype
    base = old.name.removesuffix(".weight")
    args = dict(layer.args, input=input)
    args["weight"] = edit.constant(old.name, weight.to(dtype))
    args["bias"] = edit.constant(f"{base}.bias", bias.to(dtype))
    made = edit.call_before(layer, layer.target, args, layer.outputs[0].type)
    edit.replace(layer.outputs[0], made)
    edit.drop(layer)
    after = norm.args["input"] is layer.outputs[0]
    edit.replace(norm.outputs[0], made if after else input)
    edit.drop(norm)
    edit.lines.append(f"{norm.path or '(top)'} into {layer.path or '(top)'}")


def merge_pad(graph: Graph) -> Graph:
    """Merge constant padding into what it feeds.

    1. Zeros, the same before and after, into conv1d-3d with numeric padding: paddings add.
    2. The same into avg_pool1d-3d without padding of its own that counts it
       (``count_include_pad``, no ``ceil_mode``), if at most half the kernel.

    Asymmetric padding, and padding of batch or channels, stays explicit.
    """
    edit = Edit(graph)
    for node in graph:
        if node.op != "pad" or node.args.get("mode", "constant") != "constant":
            continue
        if any(v.is_number for v in node.inputs):
            continue
        if node.args.get("value") not in (None, 0):
            continue
        (value,) = node.outputs
        layer = edit.only_reader(value)
        if layer is None or layer.args.get("input") is not value:
            continue
        args = _padded(layer, list(node.args["pad"]), len(value.type.shape))
        if args is not None:
            args["input"] = node.args["input"]
            edit.replace(
                layer.outputs[0], edit.call_before(layer, layer.target, args, _type(layer))
            )
            edit.drop(layer)
            edit.drop(node)
            edit.lines.append(f"{node.path or '(top)'} into {layer.op} at {layer.path or '(top)'}")
    return edit.build("merge_pad")


def _type(node: Node) -> TensorType:
    return node.outputs[0].type


def _each(sizes: Any, dims: int) -> tuple[int, ...]:
    """A size per dimension; one stands for all."""
    each: tuple[int, ...] = (sizes,) if isinstance(sizes, int) else tuple(sizes)
    return each * dims if len(each) == 1 else each


def _padded(layer: Node, pad: list[int], rank: int) -> dict[str, Any] | None:
    """The layer's arguments with the padding in them, or None."""
    pools = {"avg_pool1d": 1, "avg_pool2d": 2, "avg_pool3d": 3}
    dims = _CONVS.get(layer.op) or pools.get(layer.op)
    if dims is None or len(layer.outputs) != 1 or rank < dims + 1 or any(p < 0 for p in pad):
        return None
    pad = pad + [0] * (2 * rank - len(pad))
    inner, outer = pad[: 2 * dims], pad[2 * dims :]
    if any(outer) or inner[0::2] != inner[1::2]:
        return None
    added = tuple(reversed(inner[0::2]))
    own = layer.args["padding"]
    if isinstance(own, str):
        return None
    own = _each(own, dims)
    if layer.op in pools:
        kernel = _each(layer.args["kernel_size"], dims)
        counts = layer.args.get("count_include_pad", True) and not layer.args.get("ceil_mode")
        if any(own) or not counts or any(2 * p > k for p, k in zip(added, kernel)):
            return None
    return dict(layer.args, padding=tuple(a + b for a, b in zip(added, own)))


def adaptive_to_pool(graph: Graph) -> Graph:
    """Write adaptive pooling as plain pooling where the output size divides the input size.

    Kernel and stride are then both input size / output size, in every dimension.
    """
    functional = torch.nn.functional
    pools = {
        "adaptive_avg_pool1d": functional.avg_pool1d, "adaptive_avg_pool2d": functional.avg_pool2d,
        "adaptive_avg_pool3d": functional.avg_pool3d, "adaptive_max_pool1d": torch.max_pool1d,
        "adaptive_max_pool2d": torch.max_pool2d, "adaptive_max_pool3d": torch.max_pool3d,
    }  # fmt: skip
    edit = Edit(graph)
    for node in graph:
        pool = pools.get(node.op)
        if pool is None or not isinstance(node.result, Value):
            continue
        rank = int(node.op[-2])
        before, after = node.args["input"].type.shape[-rank:], _type(node).shape[-rank:]
        if any(n % m for n, m in zip(before, after)) or not math.prod(after):
            continue
        if any(isinstance(n, Dim) for n in before):
            continue  # the kernel would be that of one size
        kernel = tuple(n // m for n, m in zip(before, after))
        args = {"input": node.args["input"], "kernel_size": kernel, "stride": kernel}
        edit.replace(node.outputs[0], edit.call_before(node, pool, args, _type(node)))
        edit.drop(node)
        edit.lines.append(f"{node.op} at {node.path or '(top)'}: kernel {kernel}")
    return edit.build("adaptive_to_pool")


def warped(
    input: torch.Tensor,
    theta: torch.Tensor,
    size: list[int],
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool = False,
) -> torch.Tensor:
    """``warp_affine``: sample ``input`` [N,C,H,W] on the grid of ``theta`` [N,2,3]."""
    grid = torch.nn.functional.affine_grid(theta, size, align_corners)
    return torch.nn.functional.grid_sample(input, grid, mode, padding_mode, align_corners)


warped.__name__ = warped.__qualname__ = "warp_affine"


def warp_affine(graph: Graph) -> Graph:
    """Join affine_grid and the grid_sample that alone reads its grid into one ``warp_affine``.

    Both must agree on ``align_corners``.
    """
    edit = Edit(graph)
    for node in graph:
        grid: Any = node.args.get("grid") if node.op == "grid_sample" else None
        made = grid.producer if isinstance(grid, Value) else None
        if made is None or made.op != "affine_grid" or edit.only_reader(grid) is not node:
            continue
        corners = bool(node.args.get("align_corners"))
        if bool(made.args.get("align_corners")) != corners:
            continue
        args = {
            "input": node.args["input"], "theta": made.args["theta"], "size": made.args["size"],
            "mode": node.args["mode"], "padding_mode": node.args["padding_mode"],
            "align_corners": corners,
        }  # fmt: skip
        edit.replace(node.outputs[0], edit.call_before(node, warped, args, _type(node)))
        edit.drop(node)
        edit.drop(made)
        edit.lines.append(f"at {node.path or '(top)'}")
    return edit.build("warp_affine")
