"""Decomposition, passes, patterns and granularity: rewrites compute what the model computed."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import flexir
from flexir import passes
from flexir.passes import decomposer
from flexir.passes.decomposer import Decomposer
from flexir.passes.edit import call_key
from flexir.passes.recipes import RECIPES

pytest.importorskip("numpy")
pytest.importorskip("hypothesis")
from hypothesis import strategies as st
from test_random_programs import build, inputs, programs

x4 = torch.randn(2, 8, 6, 6, generator=torch.Generator().manual_seed(0))
leaves = torch.utils._pytree.tree_leaves
COMPOSITES = {
    "linear": lambda: nn.Linear(6, 5),
    "layer_norm": lambda: nn.LayerNorm(6),
    "rms_norm": lambda: nn.RMSNorm(6),
    "group_norm": lambda: nn.GroupNorm(2, 8),
    "instance_norm": lambda: nn.InstanceNorm2d(8, affine=True),
    "batch_norm": lambda: nn.BatchNorm2d(8),
    "softmax": lambda: nn.Softmax(1),
    "log_softmax": lambda: nn.LogSoftmax(1),
    "gelu": lambda: nn.GELU(),
    "gelu_tanh": lambda: nn.GELU(approximate="tanh"),
    "mish": lambda: nn.Mish(),
    "hardswish": lambda: nn.Hardswish(),
    "elu": lambda: nn.ELU(),
    "selu": lambda: nn.SELU(),
    "celu": lambda: nn.CELU(),
    "prelu": lambda: nn.PReLU(8),
    "leaky_relu": lambda: nn.LeakyReLU(),
    "softplus": lambda: nn.Softplus(),
    "glu": lambda: nn.GLU(1),
    "pixel_shuffle": lambda: nn.PixelShuffle(2),
    "adaptive": lambda: nn.AdaptiveAvgPool2d((2, 3)),
    "adaptive_uneven": lambda: nn.AdaptiveAvgPool2d((4, 5)),
    "normalize": lambda: lambda x: F.normalize(x, dim=1),
    "einsum": lambda: lambda x: torch.einsum("bchw,bdhw->bcd", x, x),
    "attention": lambda: lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True),
    "chunks": lambda: lambda x: x.chunk(3, 1),
    "roll": lambda: lambda x: torch.roll(x, (1, -2), (2, 3)),
    "nearest": lambda: lambda x: F.interpolate(x, scale_factor=2),
    "bilinear": lambda: lambda x: F.interpolate(x, scale_factor=1.7, mode="bilinear"),
    "antialiased": lambda: lambda x: F.interpolate(x, (4, 9), mode="bicubic", antialias=True),
    "corners": lambda: lambda x: F.interpolate(x[0], 9, mode="linear", align_corners=True),
    "area": lambda: lambda x: F.interpolate(x, size=(4, 5), mode="area"),
    "bins": lambda: lambda x: F.adaptive_max_pool2d(x, (4, 5)),
    "std": lambda: lambda x: x.std(1),
    "histc": lambda: lambda x: torch.histc((x * 3).round(), 8, 0, 7),
    "cdist": lambda: lambda x: torch.cdist(x[0, 0], x[0, 1]),
    "tensordot": lambda: lambda x: torch.tensordot(x, x[0], dims=((1, -1), (0, 1))),
}
PRIMITIVES = frozenset(
    "matmul add mul sub div exp log sqrt pow tanh erf sum mean amax reshape permute getitem cat "
    "where clamp avg_pool2d gt ge to round".split()
)


@pytest.mark.parametrize("name", COMPOSITES)
def test_pieces_compute_what_the_composite_does(name):
    model = COMPOSITES[name]()
    if isinstance(model, nn.Module):
        model.eval()
    with torch.no_grad():
        graph = flexir.capture(model, (x4,))
        small = passes.decompose(graph, lambda node: node.op in PRIMITIVES)
        assert {node.op for node in small} <= PRIMITIVES, small
        expected, made = graph(x4), small(x4)
    for a, b in zip(leaves(expected), leaves(made)):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("norm", [None, "ortho"])
@pytest.mark.parametrize("s, dim", [(None, None), ((4, 7), None), ((5, -1), (0, 2)), (None, (-2,))])
def test_transforms_of_several_dimensions_are_those_of_one_after_another(s, dim, norm):
    from flexir.passes.recipes import spectral

    x = torch.randn(5, 4, 6)
    for name in ("fftn", "ifftn", "rfftn", "irfftn"):
        function, input = getattr(torch.fft, name), x + 0j if name == "irfftn" else x
        expected = function(input, s, dim, norm)
        torch.testing.assert_close(getattr(spectral, name)(input, s, dim, norm), expected)
    for name in ("fftshift", "ifftshift"):
        assert torch.equal(getattr(spectral, name)(x, dim), getattr(torch.fft, name)(x, dim))


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.LSTMCell, nn.GRUCell, nn.RNNCell])
def test_recurrent_layers_come_apart_step_by_step(kind):
    model, x = kind(5, 4), torch.randn(2, 5)
    if issubclass(kind, nn.RNNBase):
        model = kind(5, 4, num_layers=2, bidirectional=True, batch_first=True)
        x = torch.randn(2, 3, 5)
    with torch.no_grad():
        graph = flexir.capture(model, (x,))
        small = passes.decompose(graph, lambda node: node.op in PRIMITIVES)
        assert {node.op for node in small} <= PRIMITIVES
        for a, b in zip(leaves(graph(x)), leaves(small(x))):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_a_grouped_product_is_as_many_products():
    x, w, ends = (
        torch.randn(7, 8),
        torch.randn(3, 8, 16),
        torch.tensor([2, 2, 6], dtype=torch.int32),
    )

    def rows(x):
        return torch.cat([x[:2] @ w[0], x[2:6] @ w[2], torch.zeros(1, 16)])

    from flexir.passes.recipes.products import grouped_mm

    torch.testing.assert_close(grouped_mm(x, w, ends), rows(x))


@pytest.mark.parametrize("shifts, dims", [(1, 0), ((1, -2), (0, 1)), ((4, 0), (0, 1))])
def test_a_roll_is_two_ends_joined(shifts, dims):
    from flexir.passes.recipes.shapes import roll

    assert torch.equal(roll(x4, shifts, dims), torch.roll(x4, shifts, dims))


def test_a_decomposition_is_used_only_if_the_target_takes_all_of_it():
    graph = flexir.capture(lambda x: F.gelu(x), (x4,))
    some = flexir.Target("some")
    for op in ("mul", "add"):
        some.op(op)(lambda ctx, input, other: (ctx.node.op, input, other))
    report = flexir.convert(graph, target=some).report
    assert [e.op for e in report.entries] == ["gelu"]
    assert report.entries[0].lacking == ["erf"]
    more = some.extend("more")
    more.op("erf")(lambda ctx, input: ("erf", input))
    report = flexir.convert(graph, target=more).report
    assert not report.entries and "via decomposition: mul, erf, add" in str(report)
    assert flexir.convert(graph, target=more, decompose=False).report.placeholders == 1


def test_the_logarithm_of_a_sum_of_nothing_is_not_nan():
    from flexir.passes.recipes.reductions import logsumexp

    inf = float("inf")
    x = torch.tensor([[-inf, -inf], [inf, 1.0], [2.0, -inf], [90.0, 91.0]])
    for dim, keepdim in ((1, False), (1, True), (0, False)):
        expected = torch.logsumexp(x, dim, keepdim)
        torch.testing.assert_close(logsumexp(x, dim, keepdim), expected)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
@pytest.mark.parametrize("where", [((2, 3), (12, 1), 1), ((3,), (5,), 0), ((), (), 7)])
def test_a_write_to_places_of_memory_in_the_order_it_lies_in(order, where):
    from flexir.graph.geometry import as_strided_scatter
    from flexir.passes.recipes.indexing import as_strided_scatter as recipe

    input = torch.rand(2, 3, 4).permute(order)
    input = input if order == (0, 1, 2) else torch.empty_strided(input.shape, input.stride())
    input.copy_(torch.rand(input.shape))
    given = (torch.rand(where[0]), *where, input.stride(), torch.float32)
    assert torch.equal(recipe(input, *given), as_strided_scatter(input, *given))


def test_places_that_overlap_are_not_taken_apart():
    from flexir.passes.recipes.indexing import as_strided_scatter as recipe

    with pytest.raises(flexir.Unsupported, match="overlaps itself"):
        recipe(torch.rand(6), torch.rand(3, 2), (3, 2), (1, 1), 0, (1,), torch.float32)


def test_every_recipe_names_arguments_its_op_has():
    from flexir.calls import schemas
    from flexir.calls.schemas import callables, parameter_names
    from flexir.conversion.layers.names import CUSTOM

    for op, functions in RECIPES.items():
        assert op in {*callables(), *CUSTOM} or hasattr(torch.ops.aten, op), op
        names = set(parameter_names(op)) if op in callables() else set()
        for function in functions:
            code = function.__code__
            given = set(code.co_varnames[: code.co_argcount])
            if names and not any(given <= set(s.names) for f in callables()[op]
                                 for s in schemas.signatures(f)):  # fmt: skip
                assert given & names, (op, function)


def test_calls_under_autocast_stay_whole_also_after_others_like_them():
    def model(x, w):
        first = F.linear(x, w)
        with torch.autocast("cpu", torch.bfloat16):
            return first, F.linear(x, w)

    x, w = torch.randn(2, 6), torch.randn(5, 6)
    graph = flexir.capture(model, (x, w))
    small = passes.decompose(graph, lambda node: node.op in PRIMITIVES)
    assert [n.op for n in small if n.op == "linear"] == ["linear"]
    assert [v.dtype for v in small(x, w)] == [torch.float32, torch.bfloat16]


def test_calls_that_lead_to_one_another_are_tried_once_each(monkeypatch):
    tried = []

    def ways(node, known=decomposer._ways):
        tried.append(call_key(node))
        yield from known(node)

    monkeypatch.setattr(decomposer, "_ways", ways)
    graph = flexir.capture(lambda x: (torch.linalg.vector_norm(x) + x).sqrt().norm(), (x4.abs(),))
    apart = Decomposer(lambda node: node.op not in ("linalg_vector_norm", "norm", "sqrt", "pow"))
    assert [apart(node) for node in graph if node.op != "add"] == [None] * 3
    assert len(tried) < 2 * len(set(tried))  # a root is a power, and a power a root
    assert apart.missing["sqrt"] == {"pow"} and {"pow", "sqrt"} <= apart.missing["norm"]


def test_what_draws_numbers_does_not_come_apart():
    graph = flexir.capture(lambda x: F.dropout(x, training=True), (x4,))
    assert Decomposer(lambda node: True)(next(iter(graph))) is None


# --- passes


class Normed(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(3, 8, 3, padding=1, groups=1)
        self.na = nn.BatchNorm2d(8)
        self.b = nn.Conv2d(8, 8, 1, groups=4, bias=False)
        self.nb = nn.BatchNorm2d(8)
        self.c = nn.ConvTranspose2d(8, 6, 2, 2, groups=2)
        self.nc = nn.BatchNorm2d(6)
        self.before = nn.BatchNorm2d(6)
        self.d = nn.Conv2d(6, 4, 3)
        self.e = nn.Linear(4, 5)
        self.ne = nn.BatchNorm1d(5)
        for norm in (m for m in self.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)):
            norm.running_mean.uniform_(-1, 1)
            norm.running_var.uniform_(0.5, 2)
            nn.init.uniform_(norm.weight, 0.5, 2)
            nn.init.uniform_(norm.bias, -1, 1)

    def forward(self, x):
        x = torch.relu(self.na(self.a(x)))
        x = torch.relu(self.nb(self.b(x)))
        x = torch.tanh(self.nc(self.c(x)))
        return self.ne(self.e(self.d(self.before(x)).mean((2, 3))))


def test_batch_norm_disappears_into_every_layer_it_can():
    model, x = Normed().eval(), torch.randn(2, 3, 6, 6)
    with torch.no_grad():
        graph = flexir.capture(model, (x,))
        folded = passes.fold_batch_norm(graph)
    assert not [n for n in folded if n.op == "batch_norm"]
    assert len(folded.history) == 5 and "before into d" in folded.history[3]
    torch.testing.assert_close(folded(x), graph(x), rtol=1e-4, atol=1e-5)
    assert passes.fold_batch_norm(folded) is folded
    assert next(n for n in folded.walk() if n.op == "BatchNorm2d").body == []


def test_a_rewritten_module_is_not_claimed_for_what_it_was():
    model, x = Normed().eval(), torch.randn(2, 3, 6, 6)
    target = flexir.Target("layers")

    @target.module(nn.Conv2d)
    def conv(ctx, module, input):
        return module.weight

    with torch.no_grad():
        folded = passes.fold_batch_norm(flexir.capture(model, (x,)))
    report = flexir.convert(folded, target=target).report
    assert not report.handled


def test_a_batch_norm_somebody_else_reads_stays():
    class Shared(Normed):
        def forward(self, x):
            y = self.a(x)
            return self.na(y), y

    with torch.no_grad():
        graph = flexir.capture(Shared().eval(), (torch.randn(2, 3, 6, 6),))
    assert passes.fold_batch_norm(graph) is graph


def test_noops_constants_copies_and_the_dead_are_removed():
    class Wasteful(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = torch.nn.utils.parametrizations.weight_norm(nn.Conv2d(8, 4, 1))

        def forward(self, x):
            unused = torch.sin(x)  # noqa: F841
            y = F.dropout(x.contiguous().clone().reshape(x.shape), 0.5, False)
            table = torch.arange(6.0) * 2
            turned = y.transpose(2, 3).contiguous()
            return self.conv(y) + table, self.conv(y) * 1.0, turned.view(2, 8, 36)

    with torch.no_grad():
        graph = flexir.capture(Wasteful().eval(), (x4,))
        small = passes.simplify(graph)
        for a, b in zip(graph(x4), small(x4)):
            assert torch.equal(a, b)
    assert sorted(n.op for n in small) == [
        "add",
        "contiguous",
        "conv2d",
        "mul",
        "transpose",
        "view",
    ]
    assert passes.simplify(small) is small


def test_padding_merges_where_it_is_legal():
    class Padded(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(8, 4, 3, padding=1)

        def forward(self, x):
            even = self.conv(F.pad(x, (1, 1, 2, 2)))
            odd = self.conv(F.pad(x, (0, 1, 0, 1)))
            pooled = F.avg_pool2d(F.pad(x, (1, 1, 1, 1)), 3)
            left_out = F.avg_pool2d(F.pad(x, (1, 1, 1, 1)), 3, count_include_pad=False)
            return even, odd, pooled, left_out, F.max_pool2d(F.pad(x, (1, 1, 1, 1)), 3)

    with torch.no_grad():
        graph = flexir.capture(Padded(), (x4,))
        merged = passes.merge_pad(graph)
        for a, b in zip(graph(x4), merged(x4)):
            torch.testing.assert_close(a, b)
    assert [n.op for n in merged].count("pad") == 3
    assert passes.merge_pad(merged) is merged


def test_pools_and_warps():
    def model(x, theta):
        grid = F.affine_grid(theta, [2, 8, 4, 4], align_corners=False)
        warped = F.grid_sample(x, grid, align_corners=False)
        return warped, F.adaptive_avg_pool2d(x, (3, 2)), F.adaptive_max_pool2d(x, (4, 4))

    theta = torch.tensor([[1.0, 0.1, 0], [0, 0.9, 0.1]]).expand(2, 2, 3)
    graph = flexir.capture(model, (x4, theta))
    changed = passes.warp_affine(passes.adaptive_to_pool(graph))
    assert [n.op for n in changed] == ["warp_affine", "avg_pool2d", "adaptive_max_pool2d"]
    for a, b in zip(graph(x4, theta), changed(x4, theta)):
        torch.testing.assert_close(a, b)
    target = flexir.Target("warps")
    target.op("warp_affine")(lambda ctx, input, theta, size, **rest: "warped")
    assert flexir.convert(changed, target=target).outputs[0] == "warped"


RULES = [
    passes.fold_constants, passes.remove_noops, passes.merge_common, passes.remove_dead,
    passes.merge_pad, passes.adaptive_to_pool, passes.fold_batch_norm,
]  # fmt: skip


@programs(200, st.permutations(RULES))
def test_passes_in_any_order_keep_random_programs(steps, outputs, order):
    program = build(steps, outputs)
    args = inputs(torch.Generator().manual_seed(1))
    with torch.no_grad():
        graph = flexir.capture(program, tuple(t.clone() for t in args))
        expected = leaves(graph(*args))
        for rule in order:
            graph = rule(graph)
            assert rule(graph) is graph, rule
        for a, b in zip(expected, leaves(graph(*args))):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5, equal_nan=True)


# --- patterns


@passes.pattern
def silu(x):
    return x * torch.sigmoid(x)


@passes.pattern
def gelu_tanh(x):
    inner = math.sqrt(2 / math.pi) * (x + 0.044715 * torch.pow(x, 3.0))
    return 0.5 * x * (1.0 + torch.tanh(inner))


@passes.pattern
def hand_written_layer_norm(x, weight, bias, *, eps):
    mean = x.mean(-1, keepdim=True)
    var = (x - mean).pow(2).mean(-1, keepdim=True)
    return weight * ((x - mean) / torch.sqrt(var + eps)) + bias


@passes.pattern
def conv_add_relu(x, weight, bias, other, *, stride, padding, dilation, groups):
    return torch.relu(torch.conv2d(x, weight, bias, stride, padding, dilation, groups) + other)


def test_patterns_match_modulo_order_and_names():
    def model(x, w, b):
        a = torch.sigmoid(x) * x
        mean = x.mean(dim=-1, keepdim=True)
        var = torch.mean((x - mean) ** 2, -1, keepdim=True)
        c = b + (x - mean) / (var + 1e-6).sqrt() * w
        d = 0.5 * x * (1 + torch.tanh((x + 0.044715 * x.pow(3)) * 0.7978845608028654))
        return a, c, d

    x, w, b = torch.randn(3, 4), torch.randn(4), torch.randn(4)
    graph = flexir.capture(model, (x, w, b))
    assert len(silu.find(graph)) == 1 and len(gelu_tanh.find(graph)) == 1
    (match,) = hand_written_layer_norm.find(graph)
    assert match.bound["eps"] == 1e-6 and match.bound["bias"] is graph.inputs["b"]
    small = silu.replace(graph, by=F.silu)
    for one in (gelu_tanh, hand_written_layer_norm):
        small = one.replace(small)
    assert [n.op for n in small] == ["silu", "hand_written_layer_norm", "gelu_tanh"]
    for a, c in zip(graph(x, w, b), small(x, w, b)):
        torch.testing.assert_close(a, c)


def test_sizes_in_slices_are_bound():
    @passes.pattern
    def rotary(x, cos, sin, *, half, rest):
        return x * cos + torch.cat((-x[..., half:], x[..., :rest]), dim=-1) * sin

    def model(x, cos, sin):
        first, second = x[..., : x.shape[-1] // 2], x[..., x.shape[-1] // 2 :]
        return (x * cos) + (torch.cat((-second, first), -1) * sin)

    x, cos, sin = torch.randn(3, 2, 8), torch.randn(8), torch.randn(8)
    graph = flexir.capture(model, (x, cos, sin))
    (match,) = rotary.find(graph)
    assert (match.bound["half"], match.bound["rest"]) == (4, 4)
    torch.testing.assert_close(rotary.replace(graph)(x, cos, sin), graph(x, cos, sin))


def test_a_match_with_an_inner_value_used_elsewhere_is_none():
    def model(x):
        gate = torch.sigmoid(x)
        return x * gate, gate

    assert not silu.find(flexir.capture(model, (x4,)))


def test_attributes_are_bound_by_name():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(8, 8, 3, stride=1, padding=1, groups=2)

        def forward(self, x):
            return F.relu(x + self.conv(x), inplace=True)

    graph = flexir.capture(Block(), (x4,))
    (match,) = conv_add_relu.find(graph)
    assert match.bound["groups"] == 2 and match.bound["padding"] == (1, 1)
    fused = conv_add_relu.replace(graph)
    assert [n.op for n in fused] == ["conv_add_relu"]
    torch.testing.assert_close(fused(x4), graph(x4))


# --- granularity


def test_modules_are_claimed_by_path_and_kept_whole():
    model = nn.Sequential(
        nn.Sequential(nn.Linear(3, 3), nn.ReLU()), nn.Sequential(nn.Linear(3, 2), nn.Tanh())
    )
    graph = flexir.capture(model, (torch.randn(1, 3),))
    target = flexir.Target("paths")
    target.op("linear")(lambda ctx, input, weight, bias: ("linear", input))
    target.op("relu")(lambda ctx, input: ("relu", input))

    @target.module("1")
    def second(ctx, module, input):
        return ("second", input)

    assert flexir.convert(graph, target=target).outputs[0] == "second"
    kept = target.extend("kept")
    kept.keep("0.*", nn.Tanh)
    report = flexir.convert(graph, target=kept).report
    assert [(e.op, e.reason) for e in report.entries] == [
        ("Linear", "kept whole, no handler"), ("ReLU", "kept whole, no handler"),
    ]  # fmt: skip


def test_what_is_written_is_merged_with_nothing():
    def model(x):
        into, index = x.new_zeros(4, dtype=torch.int64), x.new_zeros(4, dtype=torch.int64)
        return into.scatter_(0, index, torch.arange(4)), x

    graph = passes.merge_common(flexir.capture(model, torch.ones(4)))
    assert flexir.verify(graph, model, torch.ones(4)).verdict == "exact"


def test_folded_weights_lead_to_the_same_kernels():
    weight = nn.Parameter(torch.randn(1, 16, 16))

    def model(x):
        return (x.transpose(0, 1) @ weight.squeeze(0)).transpose(0, 1)

    with torch.no_grad():
        x = torch.randn(3, 79, 16)
        graph = passes.fold_constants(flexir.capture(model, x))
        assert [n.op for n in graph] == ["transpose", "matmul", "transpose"]
        assert flexir.verify(graph, model, x).verdict == "exact"


def test_memory_that_is_not_written_yet_is_folded_as_zeros():
    def model(x):
        order = torch.empty_like(x, dtype=torch.int64)
        order[torch.tensor([2, 0, 1])] = torch.arange(3)
        return x[order], torch.empty(3)

    graph = passes.fold_constants(flexir.capture(model, (torch.arange(3.0),)))
    assert {node.op for node in graph} == {"getitem"}
    assert graph(torch.arange(3.0))[0].tolist() == [1, 2, 0]
    assert graph(torch.arange(3.0))[1].tolist() == [0, 0, 0]


def test_a_call_whose_handler_declines_is_not_its_own_piece():
    some = flexir.Target("some")

    @some.op("einsum")
    def einsum(ctx, equation, operands):
        raise flexir.Unsupported("products are faster")

    for op in ("unsqueeze", "permute", "view", "reshape", "bmm"):
        some.op(op)(lambda ctx, input, **named: (ctx.node.op, input))
    a = torch.rand(1, 4, 3, 8)
    graph = flexir.capture(lambda a: torch.einsum("bhid, bhjd -> bhij", a, a), (a,))
    report = flexir.convert(graph, target=some).report
    assert not report.entries and report.taken_apart == {"einsum": 1}, report


@pytest.mark.parametrize("reduce", ["sum", "prod", "amax", "amin"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.int64])
def test_a_scatter_that_leaves_out_what_was_there(reduce, dtype):
    x, new = torch.randint(-4, 5, (4, 3)).to(dtype), torch.randint(-4, 5, (2, 3)).to(dtype)
    index = torch.tensor([[0, 3, 3], [0, 1, 3]])

    def model(x, new):
        return x.scatter_reduce(0, index, new, reduce, include_self=False)

    graph = flexir.capture(model, (x, new))
    default = lambda node: node.op != "scatter_reduce" or node.args.get("include_self", True)
    small = passes.decompose(graph, default)
    assert [node.op for node in small] == ["scatter", "scatter_reduce"]
    assert torch.equal(small(x, new), model(x, new))


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("first", [True, False])
def test_sequences_are_padded_one_by_one(side, first):
    def model(a, b):
        return nn.utils.rnn.pad_sequence([a, b], first, 2.0, side)

    a, b = torch.rand(3, 2), torch.rand(5, 2)
    graph = flexir.capture(model, (a, b))
    small = passes.decompose(graph, lambda node: node.op != "pad_sequence")
    assert [node.op for node in small] == ["pad", "pad", "stack"]
    assert torch.equal(small(a, b), model(a, b))


def test_what_reads_only_the_type_of_an_input_is_constant():
    def model(x):
        mask = x.new_zeros(4, 4)
        mask[:2] = 1
        return x + mask.masked_fill(mask != 0, -100.0) + torch.ones_like(x) + x.new_full((4,), 2.0)

    graph = flexir.capture(model, (torch.ones(4, 4),))
    folded = passes.fold_constants(graph)
    assert {node.op for node in folded} == {"add"}
    x = torch.randn(4, 4)
    assert torch.equal(folded(x), model(x))
    sizes = flexir.capture(model, (torch.ones(4, 4),), also=[(torch.ones(1, 4, 4),)])
    live = flexir.capture(torch.zeros_like, (torch.ones(2),), also=[(torch.ones(3),)])
    for one, x in ((sizes, torch.ones(1, 4, 4)), (live, torch.ones(5))):
        assert torch.equal(passes.fold_constants(one)(x), one(x))


def test_names_of_custom_ops_mean_what_their_authors_say():
    library = torch.library.Library("names_of_ours", "DEF")
    for name in ("nonempty", "smooth_like", "new_row"):
        library.define(f"{name}(Tensor x) -> Tensor")
        library.impl(name, lambda x: x * 2, "CPU")
    ours, kept = torch.ops.names_of_ours, torch.full((3,), 4.0)

    def model(x):
        return ours.smooth_like(x) + ours.nonempty(kept) + ours.new_row(x)

    graph = flexir.capture(model, (torch.rand(3),))
    folded, x = passes.fold_constants(graph), torch.rand(3)
    assert torch.equal(folded(x), model(x))


@pytest.mark.parametrize(
    "op, args",
    [
        ("outer", (torch.arange(3.0), torch.arange(4))),
        ("tensordot", (x4.reshape(-1, 2, 2), x4.reshape(2, -1, 2), ([1, 2], [0, 2]))),
        ("tensordot", (torch.rand(2, 3, 4), torch.rand(3, 4, 5))),
        ("tensordot", (torch.rand(2), torch.rand(3), 0)),
        ("isin", (torch.arange(6).view(2, 3), torch.tensor([[1], [5]]))),
        ("diff", (torch.rand(3, 5), 2)),
        ("diff", (torch.rand(3, 5) > 0.5, 1, 0, torch.tensor([[True] * 5]))),
        ("diff", (torch.arange(4), 0)),
        ("one_hot", (torch.tensor([[0, 2], [1, 1]]), 4)),
    ],
)
def test_calls_taken_apart_compute_what_torch_does(op, args):
    function = getattr(torch, op, None) or getattr(F, op)
    torch.testing.assert_close(RECIPES[op][0](*args), function(*args))
