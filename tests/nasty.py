"""Modules that make tracers lose things: aliasing, escapes, state, containers, odd Python.

Each function takes tensors and is a case of its own. ``CASES`` maps a name to (callable, inputs,
expected), where expected is ``exact`` on these and on perturbed inputs, ``diverges`` (exact on
these, refused on perturbed ones), or ``flagged`` (the audit names it).
"""

from __future__ import annotations

import collections
import contextlib
import copy
import functools
import itertools
import threading
import warnings
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

CASES: dict[str, tuple] = {}


def case(expected="exact", inputs=None):
    def declare(thing):
        model = thing() if isinstance(thing, type) else thing
        CASES[thing.__name__] = (model, inputs or (lambda: (torch.randn(4, 6),)), expected)
        return thing

    return declare


def two():
    return torch.randn(4, 6), torch.randn(4, 6)


# --- aliasing


@case()
def write_through_three_views(x):
    y = x.clone()
    y.t()[1:3].reshape(2, 4).unbind(0)[0].add_(5)
    return y


@case()
def view_made_before_two_writes(x):
    y = x * 1
    v, w = y[0], y[:, 0]
    y.add_(1)
    w.mul_(2)
    return v, w, y


@case(inputs=two)
def inputs_that_alias(x, y):
    z = x.view(-1)
    z[:3] = y.view(-1)[:3]
    return x + y, z.sum()


@case()
def write_to_expanded_source(x):
    row = x[:1].clone()
    e = row.expand(4, 6)
    row.add_(1)
    return e + x


@case()
def ping_pong_buffers(x):
    a, b = x.clone(), torch.empty_like(x)
    for _ in range(3):
        torch.mul(a, 2, out=b)
        a, b = b, a
    return a, b


@case()
def accumulate_in_list_of_views(x):
    out = torch.zeros(4, 6)
    for row, target in zip(x, out):
        target.copy_(row).mul_(2)
    return out


@case()
def swap_halves_in_place(x):
    y = x.clone()
    top = y[:2].clone()
    y[:2] = y[2:]
    y[2:] = top
    return y


@case()
def in_place_on_result_of_reshape_that_copies(x):
    y = x.t()
    z = y.reshape(-1)
    z.add_(1)
    return y, z


@case()
def in_place_on_result_of_reshape_that_views(x):
    y = x.clone()
    z = y.reshape(-1)
    z.add_(1)
    return y, z


@case()
def conditional_contiguous(x):
    y = x.clone()
    y.contiguous().add_(1)
    y.t().contiguous().add_(1)
    return y


@case()
def same_tensor_to_two_arguments(x):
    y = x.clone()
    torch.add(y, y, out=y)
    y.addcmul_(y, y)
    return y


@case()
def masked_writes_through_a_view(x):
    y = x.clone()
    y[1:][:, 2:].masked_fill_(torch.ones(3, 4, dtype=torch.bool).triu(), -1.0)
    return y


@case()
def index_put_accumulate(x):
    y = x.clone()
    y.index_put_((torch.tensor([0, 0, 1]),), torch.ones(3, 6), accumulate=True)
    return y


@case()
def square_brackets_of_every_kind(x):
    y = x.clone()
    y[..., -1] = 0
    y[None, 1, ::2] = 1
    y[[0, 2], [1, 3]] = 2
    y[torch.tensor([True, False, False, True])] += 3
    y[1:2, torch.tensor(4)] = 4
    return y


@case()
def relu_in_place_of_a_slice(x):
    y = x * 1
    F.relu(y[:, :3], inplace=True)
    nn.ReLU(inplace=True)(y[2:])
    return y


@case()
def dropout_in_place_in_eval(x):
    return F.dropout(x, 0.5, training=False, inplace=True) + x


@case()
def unbind_and_write_all(x):
    y = x.clone()
    for i, column in enumerate(y.unbind(1)):
        column.fill_(float(i))
    return y


@case()
def nested_splits(x):
    y = x.clone()
    a, b = y.split(2)
    c, d = b.chunk(2, 1)
    d.zero_()
    a.copy_(b)
    return c, d, y


@case()
def data_swap_between_tensors(x):
    a, b = x.clone(), x * 2
    a.data, b.data = b.data, a.data
    a.add_(1)
    return a, b


@case()
def detach_shares_and_clone_does_not(x):
    y = x.clone()
    d, c = y.detach(), y.clone()
    y.mul_(3)
    d.add_(1)
    return y, d, c


@case()
def complex_views(x):
    z = torch.view_as_complex(x.reshape(4, 3, 2).clone())
    z.imag.neg_()
    z *= 1j
    return torch.view_as_real(z), z.real


@case()
def bit_views(x):
    y = x.clone()
    bits = y.view(torch.int32)
    bits.bitwise_and_(0x7FFFFFFF)
    return y


@case()
def channels_last_and_back(x):
    y = x.reshape(1, 2, 4, 3).to(memory_format=torch.channels_last)
    y.view(1, 2, 12).add_(1) if y.is_contiguous() else y.permute(0, 2, 3, 1).add_(1)
    return y.contiguous()


@case()
def as_strided_window(x):
    y = x.clone()
    w = y.as_strided((3, 4), (7, 1), 2)
    y.add_(1)
    w.mul_(2)
    return w, y


@case()
def sorted_out(x):
    values, order = torch.empty_like(x), torch.empty(4, 6, dtype=torch.int64)
    torch.sort(x, 1, out=(values, order))
    values.neg_()
    return values, order


@case()
def foreach_ops(x):
    parts = [p.clone() for p in x]
    torch._foreach_mul_(parts, 2.0)
    torch._foreach_add_(parts, parts[::-1])
    return parts


# --- state


@case()
class Counter(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("count", torch.zeros(()))

    def forward(self, x):
        self.count += 1
        return x * self.count


@case()
class RunningMean(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(6))

    def forward(self, x):
        self.mean.lerp_(x.mean(0).detach(), 0.1)
        return x - self.mean


@case()
class RingBuffer(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("memory", torch.zeros(3, 6))

    def forward(self, x):
        self.memory.copy_(self.memory.roll(1, 0))
        self.memory[0] = x[0]
        return self.memory.sum(0) + x


@case()
class TrainBatchNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(6)

    def forward(self, x):
        return self.norm(x) + self.norm.running_mean


@case()
class SpectralNorm(nn.Module):
    def __init__(self):
        super().__init__()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.old = torch.nn.utils.spectral_norm(nn.Linear(6, 6))
        self.new = torch.nn.utils.parametrizations.spectral_norm(nn.Linear(6, 6))

    def forward(self, x):
        return self.new(self.old(x))


@case()
class WeightNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = torch.nn.utils.parametrizations.weight_norm(nn.Linear(6, 3))

    def forward(self, x):
        return self.fc(x)


@case(inputs=lambda: (torch.randint(0, 5, (3,)),))
class RenormalizedEmbedding(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(5, 3, max_norm=0.1)

    def forward(self, i):
        return self.table(i)


@case()
class DropoutAndNoise(nn.Module):
    def forward(self, x):
        x = F.dropout(x, 0.3, True) + torch.randn(6) * torch.rand_like(x)
        return x + torch.bernoulli(torch.full_like(x, 0.5)) + F.gumbel_softmax(x.detach())


@case()
class OwnGenerator(nn.Module):
    def __init__(self):
        super().__init__()
        self.generator = torch.Generator().manual_seed(5)

    def forward(self, x):
        self.generator.manual_seed(5)
        return x + torch.randn(6, generator=self.generator)


@case()
class SeedsItself(nn.Module):
    def forward(self, x):
        a = torch.rand(6)
        with torch.random.fork_rng():
            torch.manual_seed(1)
            b = torch.rand(6)
        return x + a + b + torch.rand(6)


@case()
class CachedPositions(nn.Module):
    def __init__(self):
        super().__init__()
        self.cache = {}

    def forward(self, x):
        if x.shape not in self.cache:
            self.cache[x.shape] = torch.arange(float(x.shape[1]))
        return x + self.cache[x.shape]


@case()
class LazyLayer(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.LazyLinear(3)
        self.fc(torch.ones(1, 6))

    def forward(self, x):
        return self.fc(x)


@case()
class SharedLayer(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(6, 6)
        self.b = self.a

    def forward(self, x):
        return self.a(self.b(x)) @ self.b.weight


@case()
class PiecesOfOneParameter(nn.Module):
    def __init__(self):
        super().__init__()
        self.flat = nn.Parameter(torch.randn(42))
        self.weight, self.bias = self.flat[:36].view(6, 6), self.flat[36:]

    def forward(self, x):
        return F.linear(x, self.weight, self.bias) * self.flat[0]


@case()
class HookedOutput(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(6, 6)
        self.fc.register_forward_hook(lambda module, args, output: output * 2)
        self.fc.register_forward_pre_hook(lambda module, args: (args[0] + 1,))

    def forward(self, x):
        return self.fc(x)


@case()
class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.cell = nn.LSTM(6, 3, 2, bidirectional=True), nn.GRUCell(6, 3)

    def forward(self, x):
        y, (h, c) = self.lstm(x[None])
        return y, h, c, self.cell(x)


# --- modes and kinds of tensors


@case()
def autocast_with_cache(x):
    w = torch.eye(6)
    with torch.autocast("cpu", torch.bfloat16):
        a = x @ w
        b = (a @ w).float()
    return a, b @ w


@case()
def inference_mode_inside(x):
    with torch.inference_mode():
        y = x * 2
        y[0] = 1
        z = y.view(-1)
        y.add_(1)
        out = z.clone()
    return out.clone()


@case()
def gradients_inside(x):
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        (g,) = torch.autograd.grad((x**3).sum(), x, create_graph=True)
    return g.detach() + 1


@case()
def func_transforms(x):
    jac = torch.func.jacrev(lambda r: r.sin() * r.sum())(x[0])
    return jac, torch.vmap(torch.dot)(x, x), torch.func.jvp(torch.exp, (x,), (x,))[1]


@case()
class CustomGradient(nn.Module):
    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x)
            return x.mul_(2)

        @staticmethod
        def backward(ctx, g):
            return g * 2

    def forward(self, x):
        y = x.clone()
        return self.Double.apply(y) + y


@case()
def sparse_round_trip(x):
    s = (x * (x > 0)).to_sparse()
    return (s + s).to_dense(), torch.sparse.mm(s, x.t()), s.coalesce().values()


@case()
def half_and_double(x):
    y = x.half()
    y += x
    z = x.double()
    z.mul_(y)
    return y, z, y.type(torch.bfloat16)


@case()
def empty_and_scalar_tensors(x):
    e = x[:0]
    return torch.cat([e, x]), e.sum(), x.sum().reshape(()), torch.tensor([]), x.new_zeros(0, 3)


@case()
class ScriptedPart(nn.Module):
    def __init__(self):
        super().__init__()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.part = torch.jit.script(nn.Sequential(nn.Linear(6, 6), nn.Tanh()))

    def forward(self, x):
        return self.part(x) + 1


@case()
class TracedPart(nn.Module):
    def __init__(self):
        super().__init__()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.part = torch.jit.trace(nn.Linear(6, 6), torch.ones(1, 6))

    def forward(self, x):
        y = self.part(x)
        y.add_(1)
        return y


@case()
class SymbolicPart(nn.Module):
    def __init__(self):
        super().__init__()
        self.part = torch.fx.symbolic_trace(nn.Sequential(nn.Linear(6, 6), nn.ReLU(inplace=True)))

    def forward(self, x):
        return self.part(x)


@case()
def checkpointed(x):
    from torch.utils.checkpoint import checkpoint

    return checkpoint(lambda y: (y * 2).tanh(), x, use_reentrant=False)


# --- escapes


@case("diverges")
def item_as_a_factor(x):
    return x * x.max().item()


@case("diverges")
def float_in_a_slice(x):
    return x[:, : int(x.abs().sum() * 0) + 2] * float(x[0, 0])


@case("diverges", inputs=lambda: (torch.tensor([[1.5, -2.0]]),))
def branch_on_a_sum(x):
    return x + 1 if float(x.sum()) == -0.5 else x - 1


@case("diverges")
def values_through_a_list(x):
    return torch.tensor(x.tolist()) + x


@case("diverges")
def values_through_numpy(x):
    return x + torch.from_numpy(np.sin(x.numpy()))


@case("diverges")
def values_through_numpy_asarray(x):
    return torch.as_tensor(np.asarray(x) * 2) + x


@case("diverges")
def values_through_legacy_constructor(x):
    return torch.Tensor(x.tolist()) + x


@case("diverges")
def a_python_sum_of_items(x):
    return x - sum(v.item() for v in x[0]) / 6


@case("flagged")
def numpy_writes_back(x):
    y = x * 1
    y.numpy()[0] = 7
    return y


@case("diverges")
def numpy_alias_written_by_torch(x):
    y = x * 1
    alias = torch.from_numpy(y.numpy())
    alias.mul_(2)
    return y + 0


@case("flagged")
def another_thread(x):
    made = []
    thread = threading.Thread(target=lambda: made.append(x * 2))
    thread.start()
    thread.join()
    return made[0] + 1


@case()
def printing_only(x):
    with contextlib.suppress(KeyError):
        str(x), repr(x), f"{x.sum():.2f}"
    return x + 1


@case()
def sizes_in_python(x):
    b, c = x.shape
    return x.view(b, c // 2, -1).sum(-1) / len(x) + x.size(0) * x.numel() / x.dim()


@case("diverges", inputs=lambda: (torch.linspace(2.5, 2.9, 20),))
def data_dependent_size(x):
    kept = x[x > 2.7]
    return kept.sum() / max(kept.shape[0], 1)


@case("diverges", inputs=lambda: (torch.tensor(6.0),))
def while_loop(n):
    steps = torch.zeros(())
    while n > 4.5:
        n = n - 0.001 * n
        steps += 1
    return steps


# --- containers and odd Python


@dataclass
class Bundle:
    first: torch.Tensor
    rest: list = field(default_factory=list)


Point = collections.namedtuple("Point", "x y")


@case()
def deep_containers(x):
    return Bundle(x + 1, [Point(x, {"k": (x * 2, None, 3)}), collections.OrderedDict(a=x[0])])


@case(inputs=lambda: ({"b": Bundle(torch.ones(2)), "p": Point(torch.zeros(2), [torch.ones(2)])},))
def containers_in(batch):
    return batch["b"].first + batch["p"].y[0], batch


@case()
def generators_and_closures(x):
    scale = torch.tensor(2.0)
    parts = (row * scale for row in x)
    return functools.reduce(lambda a, b: a + b, itertools.islice(parts, 3))


@case()
def star_arguments(*tensors, **named):
    return sum(tensors) + named.get("bias", 0)


@case()
def exceptions_as_control_flow(x):
    try:
        return x @ x
    except RuntimeError:
        return x @ x.t()


@case()
def deep_copies(x):
    y = copy.deepcopy(x.detach())
    z = copy.copy(y)
    z.add_(1)
    return y, z


@case()
def multiple_returns_of_one_tensor(x):
    y = x * 2
    return y, y, y[0], (y,)


@case()
def returns_its_input(x):
    return x, x.view(-1), x.detach()


@case()
def returns_python_values(x):
    return {"n": 3, "shape": x.shape, "dtype": x.dtype, "y": x.sum(), "none": None}


@case()
class ModuleListAndDict(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(6, 6) for _ in range(3)])
        self.heads = nn.ModuleDict({"a": nn.Linear(6, 1), "b": nn.Linear(6, 2)})
        self.hidden = [nn.Linear(6, 6)]

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        x = self.hidden[0](x)
        return {k: head(x) for k, head in self.heads.items()}


@case()
class CallsForwardDirectly(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(6, 3))

    def forward(self, x):
        return self.inner.forward(x) + self.inner[0].forward(x)


@case()
class MonkeyPatchedForward(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(6, 3)
        forward = self.fc.forward
        self.fc.forward = lambda x, scale=2: forward(x) * scale

    def forward(self, x):
        return self.fc(x, scale=3)


@case()
def deep_chain(x):
    for i in range(300):
        x = x + i
    return x


@case()
class Recursive(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(6, 6)

    def forward(self, x, depth=4):
        return x if depth == 0 else self.forward(self.fc(x), depth - 1) + x


@case()
def default_dtype_and_device(x):
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("cpu"):
            y = torch.ones(6) + torch.tensor(1.0)
    finally:
        torch.set_default_dtype(torch.float32)
    return x + y


@case()
def attention_by_hand(x):
    q, k, v = x[None], x[None] * 2, x[None] + 1
    weights = (q @ k.mT / 6**0.5).softmax(-1)
    mask = torch.ones(4, 4, dtype=torch.bool).tril()
    return weights.masked_fill(~mask, 0) @ v, F.scaled_dot_product_attention(q, k, v)
