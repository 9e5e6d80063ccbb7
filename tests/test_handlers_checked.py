"""check_handlers says what it did: compared, refused, not reached; and no bug is too small."""

import pytest
import torch
from torch import nn

import flexir


def target(*ops, **wrong):
    """A target whose layers are functions: those of torch, or what ``wrong`` says instead."""
    ir = flexir.Target("functions")

    @ir.input
    def enter(ctx, name, type):
        return name

    for op in ops:

        @ir.op(op)
        def take(ctx, **args):
            name = f"t{len(ctx.out)}"
            weights = {n: ctx.weight(a).tensor for n, a in args.items()
                       if isinstance(a, flexir.Value)}  # fmt: skip
            called = {**args, **weights}
            function = wrong.get(ctx.node.op, lambda **named: call(ctx.node, named))
            ctx.out.append((name, function, called))
            count = len(ctx.node.returned)
            return tuple(f"{name}.{i}" for i in range(count)) if count > 1 else name

    return ir


def call(node, named):
    args, kwargs = node.signature.unbind(named)
    return node.target(*args, **kwargs)


def run(result, inputs):
    """An engine that, as most, wants arrays: tensors that require grad are an error."""
    names = [value.name for value in result.graph.input_values]
    values = {name: torch.from_numpy(tensor.numpy()) for name, tensor in zip(names, inputs)}
    for name, function, args in result.output:
        given = {n: values.get(a, a) if isinstance(a, str) else a for n, a in args.items()}
        for part in given.values():
            if isinstance(part, torch.Tensor):
                part.numpy()
        made = function(**given)
        if isinstance(made, tuple):
            values.update({f"{name}.{i}": part for i, part in enumerate(made)})
        values[name] = made
    outputs = result.outputs
    return [values[name] for name in (outputs if isinstance(outputs, list) else [outputs])]


def checked(model, x, ir, **options):
    with torch.no_grad():
        graph = flexir.capture(model, (x,))
    return flexir.check_handlers(ir, graph, (x,), run=run, out=list, **options)


def test_three_numbers_and_every_call_that_was_not_compared_by_name():
    ir = target("relu", "mul")

    @ir.op("max_pool2d")
    def max_pool2d(ctx, input, kernel_size, stride):
        raise flexir.Unsupported("only 2x2")

    @ir.op("avg_pool2d")
    def avg_pool2d(ctx, input, kernel_size, stride):
        raise AssertionError("never called: it ignores ceil_mode")

    def model(x):
        x = torch.relu(x) * 2
        x = nn.functional.max_pool2d(x, 3, 1)
        x = nn.functional.avg_pool2d(x, 2, 2, ceil_mode=True)
        x = x.square()  # taken apart: x * x
        return x.sin().cumsum(0), x.cos(), x.sin()  # the second sine is the first

    found = checked(model, torch.randn(1, 2, 8, 8), ir)
    assert [row.node.op for row in found.rows] == ["relu", "mul"] and found.first is None
    assert {row.node.op: row.note for row in found.refused} == {
        "max_pool2d": "handler refused: only 2x2", "avg_pool2d": "handler ignores ceil_mode=True",
    }  # fmt: skip
    reasons = {row.node.op: row.note for row in found.not_reached}
    assert reasons.keys() == {"square", "sin", "cumsum", "cos"}
    assert "pieces" in reasons["square"] and reasons["cumsum"] == "no handler"
    text = str(found)
    assert "only 2x2" in text and "ceil_mode" in text and "cumsum" in text
    last = text.splitlines()[-1]
    assert last == "2 calls compared, all within tolerance; 2 refused, 4 not reached"
    assert found


def test_nothing_compared_is_no_success():
    found = checked(torch.sin, torch.randn(3), target("relu"))
    assert not found and not found.bad
    assert str(found).endswith("no call compared; 0 refused, 1 not reached")


def test_a_call_that_reads_a_weight_is_not_the_call_that_reads_what_was_computed():
    weight = nn.Parameter(torch.randn(3, 3))
    ir = target("relu")

    @ir.op("matmul")
    def matmul(ctx, input, other):
        ctx.out.append(("t", torch.matmul, {"input": input, "other": ctx.weight(other).tensor}))
        return "t"

    found = checked(lambda x: (x @ weight).relu() @ x, torch.randn(3, 3), ir)
    assert [row.node.op for row in found.rows] == ["matmul", "relu"]
    assert [row.node.op for row in found.refused] == ["matmul"]


def test_an_engine_is_given_nothing_that_requires_grad():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    x = torch.randn(3, 4, requires_grad=True)
    graph = flexir.capture(model, (x,))  # not in no_grad
    found = flexir.check_handlers(target("linear", "relu"), graph, (x,), run=run, out=list)
    assert found and len(found.rows) == 3
    ir, arrays = target("linear", "relu"), []

    @ir.constant
    def constant(ctx, weight):
        arrays.append(weight.tensor.numpy())
        return weight.tensor

    result = flexir.convert(graph, ir, out=[])
    assert run(result, [x.detach()])[0].shape == (3, 2) and len(arrays) == 4


def test_a_module_with_a_handler_is_compared_and_what_is_inside_is_not():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 4)

        def forward(self, x, scale):
            return torch.relu(self.linear(x)).square() * scale

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = Block(), Block()

        def forward(self, x):
            return torch.relu(self.b(self.a(x, 2.0), 3.0))

    def block(wrong):
        ir = target("relu", "linear", "mul")

        @ir.module(Block)
        def take(ctx, module, x, scale):
            if scale == 3.0:
                raise flexir.Unsupported("only twice")
            ctx.out.append(("m", lambda x: module(x, scale).detach() + wrong, {"x": x}))
            return "m"

        return ir

    x = torch.randn(2, 4)
    found = checked(Net(), x, block(0.0))
    assert [row.node.op for row in found.rows] == ["Block", "linear", "relu", "mul"]
    assert [(row.node.op, row.node.path) for row in found.refused] == [("Block", "b")]
    assert [(row.node.op, row.note) for row in found.not_reached] == [("square", "no handler")]
    assert [row.node.path for row in checked(Net(), x, block(1e-3)).bad] == ["a"]


def test_a_call_that_draws_random_numbers_is_not_compared():
    model = nn.Sequential(nn.Dropout(0.5), nn.Sequential(nn.Dropout(0.5), nn.ReLU()))
    ir = target("dropout", "relu")

    @ir.module(nn.Sequential)
    def take(ctx, module, input):
        if module is model:
            raise flexir.Unsupported("not the outer one")
        return "s"

    found = checked(model, torch.randn(8), ir)
    drawn = [row.node.op for row in found.not_reached if "random" in row.note]
    assert drawn == ["Sequential", "dropout"] and not found.rows
    assert [row.note for row in found.refused] == ["handler refused: not the outer one"]


class Addmm(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(8, 4)), nn.Parameter(torch.zeros(4))

    def forward(self, x):
        return torch.addmm(self.bias, x, self.weight)


def test_a_dropped_bias_of_zeros_is_found():
    ir = target("addmm", addmm=lambda input, mat1, mat2, **_: mat1 @ mat2)
    (row,) = checked(Addmm(), torch.randn(3, 8), ir).bad
    assert row.node.op == "addmm" and "random" in row.note
    assert any("input were ignored (0)" in cause for cause in row.causes)
    assert checked(Addmm(), torch.randn(3, 8), target("addmm"))


def test_random_constants_stay_what_their_kernels_need():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.table = nn.BatchNorm1d(4), nn.Embedding(7, 4)
            self.register_buffer("edges", torch.arange(4.0))
            self.register_buffer("index", torch.tensor([6, 0, 3]))
            self.register_buffer("mask", torch.tensor([[0.0, float("-inf"), 0.0, 0.0]]))

        def forward(self, x):
            x = self.norm(x) + self.table(self.index) + self.mask
            return torch.bucketize(x, self.edges)

    ir = target("batch_norm", "embedding", "add", "bucketize")
    found = checked(Net().eval(), torch.randn(3, 4), ir)
    assert found and len(found.rows) == 4 + 1 and not found.refused, str(found)


def test_gelu_by_tanh_is_found_by_the_rounding_of_gelu():
    def tanh(input, **_):
        return nn.functional.gelu(input, approximate="tanh")

    x = torch.randn(64) * 6  # large outputs: 1e-4 of them is more than the two differ
    (row,) = checked(nn.functional.gelu, x, target("gelu", gelu=tanh)).bad
    assert row.max_rel < 1e-4 and any("tanh" in cause for cause in row.causes)
    assert checked(nn.functional.gelu, x, target("gelu", gelu=tanh), rtol=1e-3)


@pytest.mark.parametrize(
    ("op", "model", "other"),
    [
        ("linear", nn.Linear(3000, 2),
         lambda input, weight, bias: sequential(input, weight) + bias),
        ("softmax", nn.Softmax(-1),
         lambda input, dim, **_: input.exp() / input.exp().sum(-1, True)),
        ("layer_norm", nn.LayerNorm(3000),
         lambda input, weight, bias, eps, **_: (input - input.mean(-1, True))
         * (input.var(-1, keepdim=True, correction=0) + eps).rsqrt() * weight + bias),
        ("gelu", nn.GELU(), lambda input, **_: input * 0.5 * (1 + torch.erf(input * 0.5**0.5))),
        ("logsumexp", lambda x: x.logsumexp(1), lambda input, dim, **_: input.exp().sum(1).log()),
    ],
)  # fmt: skip
def test_other_orders_of_rounding_are_no_bugs(op, model, other):
    torch.manual_seed(0)
    assert checked(model, torch.randn(2, 3000) * 3 + 1, target(op, **{op: other}))


def sequential(x, weight):
    """A product summed as engines do that have one accumulator."""
    total = torch.zeros(x.shape[0], weight.shape[0])
    for k in range(x.shape[1]):
        total = total + x[:, k : k + 1] * weight[:, k]
    return total


def test_a_half_precision_model_is_measured_by_half_precision():
    model, x = nn.Linear(64, 8).half(), torch.randn(4, 64).half()

    def wide(input, weight, bias):
        return (input.float() @ weight.float().T + bias.float()).half()

    def dropped(input, weight, bias):
        return input @ weight.T

    assert checked(model, x, target("linear", linear=wide))
    assert not checked(model, x, target("linear", linear=dropped))


def test_a_wrong_element_beside_a_mask_is_found():
    mask = torch.zeros(4, 4).masked_fill(torch.ones(4, 4).triu(1).bool(), torch.finfo().min)

    def wrong(input, other, **_):
        return (input + other).index_add(0, torch.tensor([2]), torch.full((1, 4), 1e-3))

    model = lambda x: x + mask
    assert checked(model, torch.randn(4, 4), target("add"))
    assert not checked(model, torch.randn(4, 4), target("add", add=wrong))


@pytest.mark.parametrize(
    ("op", "model", "wrong"),
    [
        ("add", lambda x: (x * 1000).long() + 10**6, lambda input, other, **_: input + other + 1),
        ("gt", lambda x: x > 0.5, lambda input, other: input > 0.6),
        ("argmax", lambda x: x.argmax(), lambda input, **_: input.argmax() - 1),
    ],
)
def test_whole_numbers_and_bools_are_compared_exactly(op, model, wrong):
    x = torch.linspace(0, 1, 5000)
    others = ("mul", "long", "to", op)
    assert checked(model, x, target(*others))
    assert [row.node.op for row in checked(model, x, target(*others, **{op: wrong})).bad] == [op]


def test_infinity_and_nan_must_stand_where_torch_has_them():
    x = torch.tensor([-1.0, 0.0, 4.0, float("inf")])
    assert checked(torch.log, x, target("log"))
    assert not checked(torch.log, x, target("log", log=lambda input: input.abs().log()))
    nowhere = target("log", log=lambda input: input.clamp(min=1e-30).log())
    (row,) = checked(torch.log, x, nowhere).bad
    assert "2 of 4" in row.note


@pytest.mark.parametrize("sizes", [[2, 2], [1, 3]])
def test_outputs_that_were_exchanged_are_called_so(sizes):
    def swapped(input, split_size_or_sections, dim):
        return torch.split(input, split_size_or_sections, dim)[::-1]

    x = torch.arange(16.0).reshape(4, 4)
    x = x + x.T  # an output is the other's transpose, too
    ir = target("split", "mul", split=swapped)
    (row,) = checked(lambda x: torch.split(x, sizes, 1), x, ir).bad
    assert row.causes[0] == "outputs 0 and 1 were exchanged"


def test_every_output_must_agree_with_a_cause():
    def wrong(input, dim, **_):
        values, indices = torch.max(input, dim)
        return values * 3.0, indices

    ir = target("max", max=wrong)
    (row,) = checked(lambda x: torch.max(x, 1), torch.rand(3, 5), ir).bad
    assert row.causes == ["in output 0, it was multiplied by 3"]

    def reordered(input, chunks, dim):
        a, b, c = torch.chunk(input, chunks, dim)
        return b, c, a

    (row,) = checked(lambda x: x.chunk(3), torch.rand(6), target("chunk", chunk=reordered)).bad
    assert row.causes[0] == "the outputs came in the order 1, 2, 0"


def test_an_engine_that_writes_its_inputs_spoils_nothing():
    def spoiling(input, **_):
        return input.zero_()

    x = torch.randn(4)
    found = checked(lambda x: (x.neg(), x.abs()), x, target("neg", "abs", neg=spoiling))
    assert [row.node.op for row in found.bad] == ["neg"] and x.any()


def test_arrays_read_backwards_and_arrays_that_cannot_be_written_are_taken():
    from flexir.checks.comparison import row_tensor

    np = pytest.importorskip("numpy")
    backwards = np.arange(4.0)[::-1]
    fixed = np.broadcast_to(np.float32(2), (2, 2))
    assert row_tensor(backwards).tolist() == [3, 2, 1, 0] and row_tensor(fixed).sum() == 8
    assert row_tensor(np.float32(1.5)) == 1.5 and row_tensor(2.5) == 2.5
