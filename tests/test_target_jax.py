"""The JAX target: what XLA computes is what torch computes, or the call is refused."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import flexir

jax = pytest.importorskip("jax", reason="the extra 'jax' is not installed")
np = pytest.importorskip("numpy", reason="the extra 'jax' is not installed")
target = flexir.targets.jax


def converted(model, *args, **kwargs):
    """The result, after its outputs in XLA were compared with eager's."""
    with torch.no_grad():
        expected = model(*args, **kwargs)
    result = target.convert(model, args, kwargs, strict=True)
    made = target.run(result.output, *args, **kwargs)
    torch.testing.assert_close(made, expected, rtol=1e-4, atol=1e-5, equal_nan=True)
    return result


def small():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(8 * 16, 5),
    ).eval()  # fmt: skip


def test_weights_are_named_as_in_the_state_dict():
    model = small()
    result = converted(model, torch.randn(2, 3, 8, 8))
    unread = {"1.num_batches_tracked"}
    assert set(result.output.weights) == set(model.state_dict()) - unread


def test_a_program_is_a_function_that_jit_vmap_and_grad_take():
    model, x = small(), torch.randn(1, 3, 8, 8)
    program = converted(model, x).output
    expected = model(x).detach().numpy()
    jitted = jax.jit(program)(program.weights, x.numpy())
    np.testing.assert_allclose(jitted, expected, rtol=1e-4, atol=1e-5)
    many = torch.randn(3, 1, 3, 8, 8)
    mapped = jax.vmap(program, in_axes=(None, 0))(program.weights, many.numpy())
    each = torch.stack([model(one) for one in many]).detach().numpy()
    np.testing.assert_allclose(mapped, each, rtol=1e-4, atol=1e-5)
    slopes = jax.grad(
        lambda weight: program({**program.weights, "5.weight": weight}, x.numpy()).sum()
    )(program.weights["5.weight"])
    model(x).sum().backward()
    np.testing.assert_allclose(slopes, model[5].weight.grad.numpy(), rtol=1e-4, atol=1e-5)


def test_whole_numbers_have_64_bits_whatever_jax_is_configured_to():
    result = converted(lambda i: i * 2**40 + 1, torch.arange(3))
    assert not jax.config.jax_enable_x64
    assert target.run(result.output, torch.arange(3)).dtype is torch.int64
    jitted = jax.jit(result.output)(result.output.weights, np.arange(3, dtype=np.int32))
    np.testing.assert_array_equal(jitted, np.arange(3) * 2**40 + 1)


def test_what_is_saved_is_run_by_jax_alone(tmp_path):
    from jax import export

    model, x = small(), torch.randn(2, 3, 8, 8)
    result = converted(model, x)
    target.save(result.output, tmp_path / "net.stablehlo")
    loaded = export.deserialize(bytearray((tmp_path / "net.stablehlo").read_bytes()))
    (name,), (output,) = result.output.inputs, result.output.outputs
    made = loaded.call({name: x.numpy()})[output]
    np.testing.assert_allclose(made, model(x).detach().numpy(), rtol=1e-4, atol=1e-5)


def test_an_order_that_torch_leaves_open_is_refused():
    result = target.convert(lambda x: x.unique(sorted=False) + 1, (torch.tensor([1.0, -1.0]),))
    assert "in whatever order" in result.report.entries[0].reason


def test_what_reads_a_placeholder_is_looked_at_too_and_does_not_run():
    result = target.convert(
        lambda x: (x.unique_consecutive() + 1)[None].pinverse(), (torch.eye(2),)
    )
    assert [row.op for row in result.report.entries] == ["unique_consecutive", "pinverse"]
    with pytest.raises(flexir.UnsupportedError, match="print\\(result.report\\)"):
        target.run(result.output, torch.eye(2))
    with pytest.raises(flexir.UnsupportedError, match="unique_consecutive"):
        result.output(result.output.weights, np.eye(2, dtype=np.float32))


def test_a_program_alone_makes_nan_of_more_than_were_true_when_recorded():
    function = lambda x, m: (x[m], m.nonzero(), m[m], x.sum())
    x, mask = torch.randn(2, 3), torch.tensor([[True, False, True], [False, True, True]])
    program = target.convert(function, (x, mask), strict=True).output
    made = jax.jit(program)(program.weights, x.numpy(), torch.ones_like(mask).numpy())
    for leaf in map(np.asarray, jax.tree_util.tree_leaves(made)):
        lost = {"f": leaf != leaf, "i": leaf < -(2**40), "b": ~leaf.astype(bool)}
        assert leaf.size and lost[leaf.dtype.kind].all()


def test_other_inputs_than_recorded_are_refused():
    result = converted(torch.relu, torch.randn(2, 3))
    with pytest.raises(flexir.Diverged):
        result.output(result.output.weights, np.zeros((3, 2), np.float32))


def test_outputs_have_the_structure_of_the_model():
    def model(x, *, pair):
        return {"sum": x + pair[0], "both": (pair[1], x.max(1))}

    x = torch.randn(2, 3)
    made = converted(model, x, pair=(x + 1, x * 2)).output
    found = made(made.weights, x.numpy(), pair=(x.numpy(), 2 * x.numpy()))
    assert set(found) == {"sum", "both"}


X = torch.randn(2, 4, 7, 6, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.max_pool2d(x, 3, 2, 1, ceil_mode=True),
        lambda x: F.max_pool2d(x, 3, 2, 1, return_indices=True),
        lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True),
        lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
        lambda x: F.adaptive_avg_pool2d(x, (3, 4)),
        lambda x: F.adaptive_max_pool2d(x, (3, 4)),
        lambda x: F.interpolate(x, scale_factor=1.7, mode="bilinear"),
        lambda x: F.interpolate(x, size=(9, 4), mode="bicubic", align_corners=True),
        lambda x: F.interpolate(x, size=(9, 4), mode="nearest"),
        lambda x: F.conv_transpose2d(x, torch.ones(4, 3, 3, 2), stride=2, padding=1,
                                     output_padding=1, dilation=2, groups=2),
        lambda x: F.pad(x, (1, 2, -1, 3), value=2.0),
        lambda x: F.pad(x, (1, 2, 1, 3), mode="reflect"),
        lambda x: x[0, :, torch.tensor([0, 1])],
        lambda x: x[:, [0, 2], ..., torch.tensor([[1], [-1]])],
        lambda x: x.index_put((torch.tensor([0, 0]),), torch.ones(4, 7, 6), accumulate=True),
        lambda x: torch.remainder(x, -0.3) + torch.fmod(x, -0.3) + torch.floor_divide(x, 0.7),
        lambda x: (x * 10).int() // 3 + (x * 10).long() % -4,
        lambda x: torch.sort(x, descending=True),
        lambda x: (x > 0).sort(dim=1, descending=True, stable=True),
        lambda x: (x * 2).long().sort(dim=1, descending=True, stable=True),
        lambda x: (x * 2).long().pow((x * 3).long()),
        lambda x: F.group_norm(x[:0], 2),
        lambda x: (x.roll(1, 0), x.roll(3), x.roll((1, 2), (0, -1))),
        lambda x: torch.std(x, dim=(1, 3), correction=0),
        lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True),
        lambda x: F.group_norm(x, 2) + F.layer_norm(x, (6,)) + F.instance_norm(x),
        lambda x: F.grid_sample(x, x[:, :2].movedim(1, -1), align_corners=False),
        lambda x: torch.fft.irfft(torch.fft.rfft(x)),
    ],
)  # fmt: skip
def test_it_computes_what_torch_computes(function):
    converted(function, X)


def test_a_write_to_a_view_is_in_the_result():
    def model(x):
        y = x.clone()
        y[:, 1:3, ::2] = 5.0
        y[:, 0][y[:, 0] > 0] = -1.0
        y.select(1, 3).add_(1)
        return y

    converted(model, X)


@pytest.mark.parametrize(
    "name", ["gather", "softmax", "nn.functional.avg_pool2d", "cumsum", "where"]
)
def test_samples_of_the_operator_database_are_right_or_refused(name):
    pytest.importorskip("expecttest", reason="torch's op database needs it")
    targets = pytest.importorskip("zoo.targets", reason="the sweep of targets")
    found = targets.check_op(target, name, 4)
    assert found["samples"]["equal"] and found["verdict"] in ("equal", "placeholders"), found


class Sized(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.head = nn.Embedding(9, 4), nn.Linear(4, 3)

    def forward(self, ids):
        rows, columns = ids.shape
        h = self.table(ids) + torch.arange(columns)[:, None]
        if columns > 3:
            h = h * 2
        return self.head(h.view(rows * columns, 4)).reshape(rows, -1), columns


def test_further_examples_make_sizes_live():
    model, generator = Sized(), torch.Generator().manual_seed(0)
    sizes = [(2, 3), (3, 5), (4, 5), (1, 2), (5, 7), (6, 6)]
    given = [torch.randint(9, size, generator=generator) for size in sizes]
    result = target.convert(model, (given[0],), also=[(i,) for i in given[1:5]], strict=True)
    for ids in given:
        with torch.no_grad():
            expected = model(ids)
        made = target.run(result.output, ids)
        assert made[1] == expected[1]
        torch.testing.assert_close(made[0], expected[0], rtol=1e-4, atol=1e-5)
        arrays = jax.jit(result.output)(result.output.weights, ids.numpy())
        np.testing.assert_allclose(arrays[0], expected[0].numpy(), rtol=1e-4, atol=1e-5)


def positive(x):
    return (x * 2 if x.sum() > 0 else x.exp()) + x.shape[0]


def halved(x):
    while x.norm() > 1:
        x = x / 2
    return x + x.shape[0]


def counted(x):
    n = x.sum().item()
    return x * (n + 1) if n > 2 else x - n


def votes(x):
    count = (1 if x[0] > 0 else 0) + (2 if x[1] > 0 else 0)
    return x * count if count >= 2 else x - count / 4


@pytest.mark.parametrize("model", [positive, halved, counted, votes])
def test_branches_and_loops_that_values_decide_are_computed_by_xla(model):
    one = torch.ones(3)
    shown = [one * 5, -one * 4, torch.ones(4) * 30, -torch.ones(5)]
    if model is votes:  # what two decide together is known as it was shown
        shown += [torch.tensor([1.0, -1.0, 1.0]), torch.tensor([-1.0, 1.0, 1.0])]
    result = target.convert(model, (shown[0],), also=[(x,) for x in shown[1:]], strict=True)
    program = result.output
    assert {"if", "loop"} & {step.call.op for step in program.steps}
    for x in (*shown, one * 1e-2, -torch.ones(6) * 900):
        torch.testing.assert_close(target.run(program, x), model(x))
        np.testing.assert_allclose(jax.jit(program)(program.weights, x.numpy()), model(x), 1e-6)
    many = torch.stack([one * 9, -one, one * 1e-3])
    mapped = jax.vmap(program, in_axes=(None, 0))(program.weights, many.numpy())
    np.testing.assert_allclose(mapped, torch.stack([model(x) for x in many]), 1e-6)


def test_both_ways_of_a_branch_are_in_what_is_saved_and_have_slopes(tmp_path):
    from jax import export

    x = torch.ones(3)
    program = target.convert(positive, (x,), also=[(-x,)], strict=True).output
    target.save(program, tmp_path / "net.stablehlo")
    loaded = export.deserialize(bytearray((tmp_path / "net.stablehlo").read_bytes()))
    for one in (x, -x):
        made = loaded.call({"x": one.numpy()})["output"]
        np.testing.assert_allclose(made, positive(one), 1e-6)
    slopes = jax.grad(lambda x: program(program.weights, x).sum())(-x.numpy())
    np.testing.assert_allclose(slopes, (-x).exp(), 1e-6)


def test_a_program_runs_on_a_mesh_of_devices():
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    model, x = small(), torch.randn(2, 3, 8, 8)
    program = converted(model, x).output
    mesh = Mesh(np.array(jax.devices()[:1]), ("batch",))
    rows, whole = (NamedSharding(mesh, PartitionSpec(*names)) for names in (["batch"], []))
    spread = jax.jit(program, in_shardings=(whole, rows), out_shardings=rows)
    made = spread(program.weights, x.numpy())
    assert made.sharding == rows
    np.testing.assert_allclose(made, model(x).detach().numpy(), rtol=1e-4, atol=1e-5)


def collected(x):
    outs = []
    while x.norm() > 1:
        x = x / 2
        outs.append(x)
    return torch.stack(outs)


def test_what_xla_cannot_hold_is_refused_by_name():
    one = torch.ones(3)
    with pytest.raises(flexir.Error, match="values decide"):  # as many rows as values say
        target.convert(collected, (one * 5,), also=[(one * 40,), (one * 90,)])
    one_way = target.convert(positive, (one,))
    assert [step.call.op for step in one_way.output.steps][-2:] == ["mul", "add"]
    assert "1 condition is not in the output" in str(one_way.report)


class Remembers(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("h", torch.zeros(2, 3))
        self.linear = nn.Linear(3, 3)

    def forward(self, x):
        self.h = torch.tanh(self.linear(x) + self.h)
        return self.h * 2


def test_state_is_taken_and_given_back(tmp_path):
    import copy

    from jax import export

    model, xs = Remembers(), torch.randn(3, 2, 3)
    result = target.convert(copy.deepcopy(model), (xs[0],), strict=True)
    program, state = result.output, {}
    assert "1 state taken" in str(result.report)
    call, step = target.start(program), jax.jit(program.step)
    first = copy.deepcopy(model)(xs[0])
    for x in xs:
        expected = model(x)
        torch.testing.assert_close(call(x), expected.detach())
        made, state = step(program.weights, state, x.numpy())
        np.testing.assert_allclose(made, expected.detach(), rtol=1e-5, atol=1e-6)
        assert set(state) == set(call.state) == {"h"}
    torch.testing.assert_close(target.run(program, xs[0]), first.detach())
    target.save(program, tmp_path / "net.stablehlo")
    loaded = export.deserialize(bytearray((tmp_path / "net.stablehlo").read_bytes()))
    made, left = loaded.call({"x": xs[0].numpy()}, {"h": np.zeros((2, 3), np.float32)})
    np.testing.assert_allclose(made["output"], first.detach(), rtol=1e-5, atol=1e-6)
    assert set(left) == {"h"}
