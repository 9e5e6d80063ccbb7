"""Handlers that move numbers: reshape, permute, cut, join, pad, pool, resize."""

from __future__ import annotations

import itertools
import math
from typing import Any

import flexir

from ..arguments import scaled_by_sizes, split_index, windows
from .layers import layer_name
from .network import Blob, Dims
from .tensors import Context, around, blob, image, op

_FREE = ("reshape", "view", "flatten", "unflatten", "squeeze", "unsqueeze", "contiguous", "clone",
         "detach", "view_as", "ravel", "reshape_as", "to", "float")  # fmt: skip

for _name in _FREE:

    @op(_name)
    def free(ctx: Context, input: Any, **_: Any) -> Blob:
        """No layer: a reshape leaves the numbers in their order."""
        return Blob(*blob(ctx, input))


def permuted(ctx: Context, input: Any, order: list[int]) -> Blob:
    """A permutation; neighbours that stay neighbours count as one."""
    shape = ctx.type(input).shape
    x = blob(ctx, input)
    groups: list[list[int]] = []
    for dim in (d for d in order if shape[d] != 1):
        last = groups[-1][-1] if groups else len(shape)
        if last < dim and all(shape[d] == 1 for d in range(last + 1, dim)):
            groups[-1].append(dim)
        else:
            groups.append([dim])
    before = sorted(groups)
    if before == groups:
        return Blob(*x)
    sizes = {g[0]: math.prod(shape[d] for d in g) for g in groups}
    if len(groups) > 4:
        return _one_by_one(ctx, x, before, groups, sizes)
    x = ctx.out.shaped(x, tuple(sizes[g[0]] for g in before))
    made = tuple(sizes[g[0]] for g in groups)
    return ctx.out.add("Permute", [x], made, {0: _order([before.index(g) for g in groups])})


def _one_by_one(
    ctx: Context, x: Blob, before: list[list[int]], after: list[list[int]], sizes: dict[int, int]
) -> Blob:
    """Each dimension in its turn past those that stand before it, as rows past columns."""
    now = list(before)
    for at, group in enumerate(after):
        found = now.index(group)
        if found == at:
            continue
        parts = now[:at], now[at:found], [group], now[found + 1 :]
        outer, passed, own, inner = (math.prod(sizes[g[0]] for g in part) for part in parts)
        x = ctx.out.shaped(x, (outer, passed, own, inner))
        number = _order([0, 2, 1, 3])
        x = ctx.out.add("Permute", [x], (outer, own, passed, inner), {0: number})
        now = [*parts[0], group, *parts[1], *parts[3]]
    return x


def _order(order: list[int]) -> int:
    """ncnn's number of a permutation; it counts dimensions from the innermost."""
    rank = len(order)
    inner = tuple(rank - 1 - d for d in reversed(order))
    if rank == 4:  # w, h, d, c: by the last, then the ones before it
        return sorted(itertools.permutations(range(4)), key=_key).index(inner)
    known: dict[int, list[tuple[int, ...]]] = {
        2: [(0, 1), (1, 0)],
        3: [(0, 1, 2), (1, 0, 2), (0, 2, 1), (2, 0, 1), (1, 2, 0), (2, 1, 0)]}  # fmt: skip
    return known[rank].index(inner)


def _key(order: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(-d for d in reversed(order))


@op("permute")
def permute(ctx: Context, input: Any, dims: Any) -> Blob:
    rank = len(ctx.type(input).shape)
    return permuted(ctx, input, [d % rank for d in dims])


@op("transpose")
def transpose(ctx: Context, input: Any, dim0: int, dim1: int) -> Blob:
    order = list(range(len(ctx.type(input).shape)))
    if order:
        order[dim0], order[dim1] = order[dim1], order[dim0]
    return permuted(ctx, input, order)


def cut(ctx: Context, x: Blob, shape: Dims, dim: int, start: int, stop: int) -> tuple[Blob, Dims]:
    """A stretch of one dimension, and the shape it has then."""
    dim %= len(shape)
    if (start, stop) == (0, shape[dim]):
        return x, shape
    dims, axis = around(shape, dim)
    made = tuple(stop - start if i == axis else n for i, n in enumerate(dims))
    x = ctx.out.add("Crop", [ctx.out.shaped(x, dims)], made, {9: [start], 10: [stop], 11: [axis]})
    return x, (*shape[:dim], stop - start, *shape[dim + 1 :])


@op("split", "chunk", "unbind", "tensor_split", "split_with_sizes")
def split(ctx: Context, input: Any, dim: int, **_: Any) -> tuple[Blob, ...]:
    shape, start, made = ctx.type(input).shape, 0, []
    whole = ctx.node.op == "unbind"
    for value in ctx.node.returned:
        size = 1 if whole else value.type.shape[dim]
        made.append(Blob(*cut(ctx, blob(ctx, input), shape, dim, start, start + size)[0]))
        start += size
    return tuple(made)


@op("getitem")
def getitem(ctx: Context, input: Any, indices: Any) -> Blob:
    shape, x = ctx.type(input).shape, blob(ctx, input)
    parts = split_index(indices)
    for one in parts:
        plain = one is None or one is Ellipsis or isinstance(one, slice) or type(one) is int
        if not plain:
            raise flexir.Unsupported("an index that is no number or slice")
    counted = sum(one is not None and one is not Ellipsis for one in parts)
    dim = 0
    for one in parts:
        if one is None:
            continue
        if one is Ellipsis:
            dim += len(shape) - counted
            continue
        if isinstance(one, int):
            start, stop, step = one % shape[dim], one % shape[dim] + 1, 1
        else:
            start, stop, step = one.indices(shape[dim])
        x, shape = _strided(ctx, x, shape, dim, start, stop, step)
        dim += 1
    return Blob(*x)


def _strided(
    ctx: Context, x: Blob, shape: Dims, dim: int, start: int, stop: int, step: int
) -> tuple[Blob, Dims]:
    """A slice; every ``step``-th as rows of ``step``, of which one column is cut."""
    if step == 1:
        return cut(ctx, x, shape, dim, start, stop)
    rows = len(range(start, stop, step))
    if start + rows * step > shape[dim]:
        first = start - (start + rows * step - shape[dim])
        if first < 0:
            raise flexir.Unsupported(f"every {step}th of {shape[dim]}")
    else:
        first = start
    column = start - first
    x, shape = cut(ctx, x, shape, dim, first, first + rows * step)
    folded = (*shape[:dim], rows, step, *shape[dim + 1 :])
    x, made = cut(ctx, x, folded, dim + 1, column, column + 1)
    return x, (*made[: dim + 1], *made[dim + 2 :])


@op("cat")
def cat(ctx: Context, tensors: Any, dim: int) -> Blob:
    values = ctx.node.args["tensors"]
    return joined(ctx, list(tensors), [v.type.shape for v in values], ctx.type.shape, dim)


def joined(ctx: Context, tensors: list[Any], shapes: list[Dims], shape: Dims, dim: int) -> Blob:
    """Tensors one after the other; ``around`` the whole decides their dimensions."""
    dims, axis = around(shape, dim)
    parts = []
    for one, own in zip(tensors, shapes):
        size = own[dim] if len(own) == len(shape) else 0
        part = tuple(size if i == axis else n for i, n in enumerate(dims))
        parts.append(ctx.out.shaped(blob(ctx, one), part))
    return ctx.out.add("Concat", parts, dims, {0: axis}) if len(parts) > 1 else Blob(*parts[0])


@op("expand", "repeat", "tile", "expand_as")
def expand(ctx: Context, input: Any, **_: Any) -> Blob:
    x, made = blob(ctx, input), ctx.type.shape
    shape = (1,) * (len(made) - len(ctx.type(input).shape)) + tuple(ctx.type(input).shape)
    for dim, size in enumerate(made):
        if shape[dim] != size:
            dims, axis = around(shape, dim)
            wider = tuple(n * (size // n if i == axis else 1) for i, n in enumerate(dims))
            x = ctx.out.add(
                "Tile", [ctx.out.shaped(x, dims)], wider, {0: axis, 1: size // shape[dim]}
            )
            shape = (*shape[:dim], size, *shape[dim + 1 :])
    return Blob(*x)


@op("pad")
def pad(ctx: Context, input: Any, pad: Any, mode: str, value: Any) -> Blob:
    shape = ctx.type(input).shape
    pairs = [tuple(pad[i : i + 2]) for i in range(0, len(pad), 2)]
    while pairs and pairs[-1] == (0, 0):
        pairs.pop()
    kind = {"constant": 0, "replicate": 1, "reflect": 2}.get(mode)
    if kind is None or len(pairs) > (3 if not kind else 2) or any(n < 0 for n in pad):
        raise flexir.Unsupported(f"{mode} padding {tuple(pad)}")
    if not pairs:
        return Blob(*blob(ctx, input))
    rank = 3 if len(shape) > 1 else 1
    dims = tuple(shape[-rank + 1 :]) if rank > 1 else ()
    dims = (
        (math.prod(shape) // math.prod(dims), *dims)
        if rank == 3 and len(shape) > 2
        else tuple(shape)
    )
    if len(pairs) == 3 and len(shape) > 3 and math.prod(shape[:-3]) > 1:
        raise flexir.Unsupported("a batch of volumes")
    pairs += [(0, 0)] * (3 - len(pairs))
    (left, right), (top, bottom), (front, behind) = pairs
    params = {0: top, 1: bottom, 2: left, 3: right, 4: kind, 5: float(value or 0), 7: front,
              8: behind}  # fmt: skip
    grown = tuple(n + sum(p) for n, p in zip(reversed(dims), pairs))[::-1]
    return ctx.out.add("Padding", [ctx.out.shaped(blob(ctx, input), dims)], grown, params)


_POOL = [(1, 11, 21), (2, 12, 22), (3, 13, 23), (14, 15, 16)]  # kernel, stride, before, behind


def pooled(ctx: Context, input: Any, kind: int, *how: Any, mean: Any = None) -> Blob:
    """A Pooling layer of 1, 2 or 3 dimensions.

    Args:
        ctx: of the call.
        input: what is pooled.
        kind: 0, the largest, or 1, the mean.
        how: kernel, stride and padding, as torch has them.
        mean: whether padding counts, of a mean.
    """
    spatial = int(ctx.node.op[-2])
    found = windows(ctx.type(input).shape[-spatial:], ctx.type.shape[-spatial:], *how)
    if kind and any(b > a for a, b in zip(found.before, found.behind)):
        raise flexir.Unsupported("ceil_mode with windows that hang over")
    params = {0: kind, 5: 1} if mean is None else {0: kind, 5: 1, 6: int(mean)}
    for keys, values in zip(_POOL, (found.kernel, found.stride, found.before, found.behind)):
        params.update(zip(keys, values[::-1]))
    x, layer = image(ctx, input, spatial), "Pooling" + ("1D", "", "3D")[spatial - 1]
    return ctx.out.add(
        layer, [x], tuple(ctx.type.shape[-spatial - 1 :]), params, name=layer_name(ctx)
    )


for _rank in (1, 2, 3):

    @op(f"max_pool{_rank}d")
    def max_pool(ctx: Context, input: Any, kernel_size: Any, stride: Any, padding: Any,
                 ceil_mode: Any) -> Blob:  # fmt: skip
        return pooled(ctx, input, 0, kernel_size, stride, padding)

    @op(f"avg_pool{_rank}d")
    def avg_pool(ctx: Context, input: Any, kernel_size: Any, stride: Any, padding: Any,
                 ceil_mode: Any, count_include_pad: bool) -> Blob:  # fmt: skip
        return pooled(ctx, input, 1, kernel_size, stride, padding, mean=count_include_pad)

    @op(f"adaptive_avg_pool{_rank}d", f"adaptive_max_pool{_rank}d")
    def adaptive_pool(ctx: Context, input: Any, output_size: Any, *, rank: int = _rank) -> Blob:
        kind = int("avg" in ctx.node.op)
        sizes = tuple(ctx.type.shape[-rank:])[::-1]
        x = image(ctx, input, rank)
        name = "Pooling" + ("1D", "", "3D")[rank - 1]
        if math.prod(sizes) == 1:
            made: Blob = ctx.out.add(name, [x], (x.dims[0],), {0: kind, 4: 1}, name=layer_name(ctx))
            return made
        params = {0: kind, 7: 1, **dict(zip((8, 18, 28), sizes))}
        return ctx.out.add(
            name, [x], tuple(ctx.type.shape[-rank - 1 :]), params, name=layer_name(ctx)
        )


@op("interpolate")
def interpolate(ctx: Context, input: Any, size: Any, scale_factor: Any, mode: str,
                align_corners: Any, recompute_scale_factor: Any) -> Blob:  # fmt: skip
    before, after = ctx.type(input).shape[2:], ctx.type.shape[2:]
    kinds = {"nearest": 1, "bilinear": 2}
    if mode not in kinds or len(before) != 2:
        raise flexir.Unsupported(f"{mode} over {len(before)} dimensions")
    scaled_by_sizes(before, after, scale_factor, recompute_scale_factor)
    params = {0: kinds[mode], 3: after[0], 4: after[1], 6: int(bool(align_corners))}
    x = image(ctx, input, 2)
    return ctx.out.add("Interp", [x], (x.dims[0], *after), params)


@op("pixel_shuffle")
def pixel_shuffle(ctx: Context, input: Any, upscale_factor: int) -> Blob:
    x = image(ctx, input, 2)
    return ctx.out.add("PixelShuffle", [x], tuple(ctx.type.shape[-3:]), {0: upscale_factor})
