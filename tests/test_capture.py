"""What a capture records: containers, names, places, modules, state; and what it leaves behind."""

import collections
import dataclasses
import functools
import subprocess
import sys
from collections import namedtuple

import pytest
import torch
import torch.nn.functional as F
from conftest import notes_of
from torch import nn

import flexir

Pair = namedtuple("Pair", "first second")


@dataclasses.dataclass
class Boxes:
    boxes: torch.Tensor
    scores: torch.Tensor
    label: str = "cat"


class Output(collections.OrderedDict):
    """Like a ModelOutput: items and attributes are the same tensors."""

    def __init__(self, **items):
        super().__init__(**items)
        for name, item in items.items():
            setattr(self, name, item)


class Cache:
    def __init__(self, key):
        self.layers = [{"key": key}]
        self.seen = 3


@pytest.mark.parametrize(
    "container",
    [
        lambda x: {"a": x, "b": [x * 2, (x, None)]},
        lambda x: Pair(x, x + 1),
        lambda x: Boxes(x, x + 1, "dog"),
        lambda x: Output(logits=x, hidden=x + 1),
        lambda x: Cache(x * 2),
        lambda x: collections.OrderedDict(a=x, b=x + 1),
        lambda x: collections.defaultdict(list, a=x),
        lambda x: x.max(0),
        lambda x: (3, "text", x.shape, x),
        lambda x: [],
        lambda x: 7,
        lambda x: None,
    ],
)
def test_outputs_come_back_in_their_containers(container):
    def model(x):
        return container(x + 1)

    x = torch.randn(3)
    graph = flexir.capture(model, x)
    made, expected = graph(x), model(x)
    assert type(made) is type(expected)
    assert flexir.verify(graph, model, x).verdict == "exact"


def test_inputs_may_be_containers_too():
    def model(batch, *rest, scale=2.0, **named):
        return batch["x"][0] * scale + rest[0] + named["bias"].boxes

    args = ({"x": [torch.ones(2)]}, torch.ones(2))
    kwargs = {"bias": Boxes(torch.ones(2), torch.zeros(1))}
    graph = flexir.capture(model, args, kwargs)
    assert graph(*args, **kwargs).tolist() == [4, 4]
    with pytest.raises(flexir.Diverged, match="input 'scale' was 2.0 when recorded, now 3.0"):
        graph(*args, scale=3.0, **kwargs)


def test_other_shapes_dtypes_and_missing_inputs_are_refused_by_name():
    graph = flexir.capture(lambda x, y: x + y, (torch.ones(2), torch.ones(2)))
    with pytest.raises(flexir.Diverged, match="input 'y' is .3,."):
        graph(torch.ones(2), torch.ones(3))
    with pytest.raises(flexir.Diverged, match="float64"):
        graph(torch.ones(2, dtype=torch.float64), torch.ones(2))
    with pytest.raises(flexir.Diverged, match="'y' is missing"):
        graph(torch.ones(2))
    with pytest.raises(flexir.Diverged, match="was a tensor when recorded"):
        graph(torch.ones(2), 3)


def test_a_module_call_has_path_count_and_source():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.block = nn.Sequential(nn.Linear(2, 2), nn.ReLU())

        def forward(self, x, gain=1):
            return self.block(self.block(x) * gain)

    graph = flexir.capture(Twice(), torch.ones(1, 2), {"gain": 3})
    linear = [n for n in graph.walk() if n.op == "Linear"]
    assert [(n.path, n.call) for n in linear] == [("block.0", 0), ("block.0", 1)]
    assert all(str(n.source).startswith("test_capture.py:") for n in linear)
    root = graph.nodes[0]
    assert root.op == "Twice" and root.args["gain"] == 3
    assert graph.modules["block.1"] is nn.ReLU


def test_keyword_arguments_of_inner_modules_are_recorded():
    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Bilinear(2, 2, 1)

        def forward(self, x):
            return self.inner(x, input2=x + 1)

    graph = flexir.capture(Outer(), torch.ones(1, 2))
    (inner,) = [n for n in graph.walk() if n.op == "Bilinear"]
    assert list(inner.args) == ["input1", "input2"]
    assert all(isinstance(v, flexir.Value) for v in inner.args.values())


def test_a_tied_weight_is_one_value_with_several_names():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(5, 3)
            self.head = nn.Linear(3, 5, bias=False)
            self.head.weight = self.embed.weight

        def forward(self, i):
            return self.head(self.embed(i))

    graph = flexir.capture(Tied(), torch.tensor([1, 2]))
    (weight,) = graph.constants
    assert weight.names == ("embed.weight", "head.weight")


def test_every_constant_has_an_origin():
    scale = torch.tensor(2.0)

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))
            self.register_buffer("shift", torch.ones(1))
            self.table = torch.ones(1)
            self.tables = {"a": [torch.ones(1)]}

        def forward(self, x):
            x = x * self.weight + self.shift + self.table + self.tables["a"][0]
            return x * scale * GLOBAL

    graph = flexir.capture(Model(), torch.ones(1))
    found = {v.name: graph.origins[v].kind for v in graph.constants}
    assert found == {
        "weight": "parameter", "shift": "buffer", "table": "attribute",
        "tables.a.0": "attribute", "scale": "global", "GLOBAL": "global",
    }  # fmt: skip
    assert graph.audit.unaccounted == 0


GLOBAL = torch.tensor(3.0)


def test_random_numbers_replay():
    class Noisy(nn.Module):
        def forward(self, x):
            x = F.dropout(x, 0.5) + torch.rand(4)
            return x + torch.randn_like(x).bernoulli_(0.5) + torch.randperm(4)

    model = Noisy().train()
    graph = flexir.capture(model, torch.ones(4))
    assert torch.equal(graph(torch.ones(4)), graph(torch.ones(4)))
    assert flexir.verify(graph, model, torch.ones(4)).verdict == "exact"


def test_a_seed_set_by_the_model_and_a_generator_of_its_own_replay():
    def model(x):
        first = torch.rand(2)
        torch.manual_seed(7)
        generator = torch.Generator().manual_seed(3)
        return x + first + torch.rand(2) + torch.rand(2, generator=generator)

    graph = flexir.capture(model, torch.ones(2))
    torch.rand(5)
    state = torch.get_rng_state()
    assert flexir.verify(graph, model, torch.ones(2)).verdict == "exact"
    assert torch.equal(state, torch.get_rng_state())


def test_autocast_regions_replay():
    linear = nn.Linear(4, 4)

    def model(x):
        a = linear(x)
        with torch.autocast("cpu", torch.bfloat16):
            b = linear(x)
            with torch.autocast("cpu", enabled=False):
                c = linear(x)
        return a, b, c

    graph = flexir.capture(model, torch.randn(2, 4))
    check = flexir.verify(graph, model, torch.randn(2, 4))
    assert check.verdict == "exact", check
    assert [v.type.dtype for v in graph.output_values][1] is torch.bfloat16


def test_training_batchnorm_and_its_buffers():
    model = nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3)).train()
    graph = flexir.capture(model, torch.randn(2, 2, 4, 4))
    assert {m.name for m in graph.mutations} == {
        "1.running_mean", "1.running_var", "1.num_batches_tracked",
    }  # fmt: skip
    assert flexir.verify(graph, model, torch.randn(2, 2, 4, 4)).verdict == "exact"


@pytest.mark.parametrize("audit", [True, False])
def test_torch_is_left_untouched_when_the_model_raises(audit):
    class Bad(nn.Module):
        def forward(self, x):
            return torch.cat([x, torch.ones(2, 2, 2)])

    model = nn.Sequential(nn.ReLU(), Bad())
    with pytest.raises(RuntimeError, match="dimensions") as caught:
        flexir.capture(model, torch.ones(2), audit=audit)
    notes = notes_of(caught.value)
    assert "in the call  cat(" in notes and "in module '1' (Bad)" in notes
    assert not model[1]._forward_hooks and not model[1]._forward_pre_hooks
    assert flexir.capture(nn.ReLU(), torch.ones(2), audit=audit).audit.unaccounted == 0


def test_an_interrupt_leaves_torch_untouched():
    def model(x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        flexir.capture(model, torch.ones(1))


def test_an_exception_the_model_catches_leaves_the_graph_whole():
    class Fails(nn.Module):
        def forward(self, x):
            x * 2
            raise ValueError

    class Tries(nn.Module):
        def __init__(self):
            super().__init__()
            self.fails, self.works = Fails(), nn.ReLU()

        def forward(self, x):
            try:
                x = self.fails(x)
            except ValueError:
                x = self.works(x)
            return x + 1

    graph = flexir.capture(Tries(), torch.ones(2))
    assert flexir.verify(graph, Tries(), torch.ones(2)).verdict == "exact"
    assert [n.op for n in graph.walk() if n.body is not None] == ["Tries", "Fails", "ReLU"]


def test_captures_do_not_nest():
    def outer(x):
        flexir.capture(torch.relu, x)

    with pytest.raises(flexir.CaptureError, match="already running"):
        flexir.capture(outer, torch.ones(1))


def test_bad_input_is_a_clear_error():
    with pytest.raises(flexir.CaptureError, match="must be callable; got int"):
        flexir.capture(3, torch.ones(1))
    with pytest.raises(flexir.CaptureError, match="args must be a tuple"):
        flexir.capture(torch.relu, {"x": 1})
    with pytest.raises(flexir.TargetError, match="needs a target"):
        flexir.convert(nn.ReLU(), torch.ones(1))


def test_a_module_that_cannot_be_hashed():
    class Unhashable(nn.Module):
        __hash__ = None

        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(2))

        def forward(self, x):
            return x * self.weight

    graph = flexir.capture(Unhashable(), torch.ones(2))
    assert [v.name for v in graph.constants] == ["weight"]
    assert graph(torch.ones(2)).tolist() == [1, 1]


def test_an_input_on_another_device_is_the_models_own_error_with_the_call():
    model = nn.Linear(2, 2)
    with pytest.raises((RuntimeError, NotImplementedError)) as caught:
        flexir.capture(model, torch.ones(1, 2, device="meta"))
    assert "linear(" in notes_of(caught.value)


def test_what_the_watcher_cannot_see_becomes_nodes_of_its_own():
    scripted = torch.jit.script(nn.Sequential(nn.Linear(3, 3), nn.ReLU()))
    for model in (
        scripted,
        lambda x: torch.vmap(lambda row: row.sin() + row.sum())(x),
        lambda x: torch.func.grad(lambda y: (y**3).sum())(x),
        torch.fx.symbolic_trace(nn.Sequential(nn.Linear(3, 3))),
    ):
        graph = flexir.capture(model, torch.randn(2, 3))
        assert graph.audit.unaccounted == 0, graph.audit
        assert flexir.verify(graph, model, torch.randn(2, 3)).verdict == "exact"


def test_a_tensor_from_nowhere_is_reported_and_never_silently_frozen():
    numpy = pytest.importorskip("numpy")

    def model(x):
        return torch.from_numpy(numpy.sin(x.numpy())) + x

    x = torch.randn(3)
    graph = flexir.capture(model, x)
    assert "made during the run by code no watcher sees" in graph.audit.problems[0]
    assert "left torch at test_capture.py" in graph.audit.problems[0]
    assert torch.equal(graph(x), model(x))
    with pytest.raises(flexir.Diverged, match="gave this tensor's memory to Python"):
        graph(x + 1)


def test_a_zero_copy_alias_through_numpy_is_the_same_memory():
    pytest.importorskip("numpy")

    def model(x):
        y = x * 1
        z = torch.from_numpy(y.numpy())
        z.add_(1)
        return y

    x = torch.ones(3)
    graph = flexir.capture(model, x)
    assert graph(x).tolist() == [2, 2, 2]


def test_writes_by_numpy_are_noticed():
    pytest.importorskip("numpy")

    def model(x):
        y = x * 1
        y.numpy()[0] = 9
        return y + 1

    graph = flexir.capture(model, torch.ones(3))
    assert "written by code no watcher sees" in graph.audit.problems[0]
    assert graph(torch.ones(3)).tolist() == [10, 2, 2]


def test_modules_inside_a_transform_have_no_boundary():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3, 3)
            self.weights = nn.Parameter(torch.randn(4, 3, 3))

        def forward(self, x):
            def run(weight):
                return torch.func.functional_call(self.linear, {"weight": weight}, (x,))

            return torch.vmap(run)(self.weights)

    model, x = Model(), torch.randn(2, 3)
    graph = flexir.capture(model, x)
    assert [type(n.target).__name__ for n in graph.walk() if n.body is not None] == ["Model"]
    assert all(type(t) in (torch.Tensor, nn.Parameter) for t in graph.constants.values())
    assert not graph.audit.problems
    assert flexir.verify(graph, model, x).verdict == "exact"


def test_a_module_that_returns_a_weight_nobody_else_reads():
    class Zero(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("zero", torch.zeros(()))

        def forward(self, x):
            return x + 1, self.zero

    graph = flexir.capture(nn.Sequential(Zero(), nn.Identity()), torch.ones(2))
    assert [v.name for v in graph.constants] == ["0.zero"]
    inner = nn.Sequential(Zero())
    graph = flexir.capture(lambda x: inner(x)[0], torch.ones(2))
    graph.check()


def test_a_call_is_replayed_as_it_was_called():
    class Picky(torch.Tensor):
        """Like weights of quantization libraries, which read the bias by its position only."""

        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            if func is torch.nn.functional.linear:
                x, weight = args[0], args[1].as_subclass(torch.Tensor)
                return x @ weight.T + (args[2] if len(args) > 2 else 0)
            return super().__torch_function__(func, types, args, kwargs or {})

    model = nn.Linear(3, 2).requires_grad_(False)
    model.weight = nn.Parameter(model.weight.detach().as_subclass(Picky), requires_grad=False)
    for call in (model, lambda x: torch.nn.functional.linear(x, model.weight, bias=model.bias)):
        graph = flexir.capture(call, torch.randn(4, 3))
        assert flexir.verify(graph, call, torch.randn(4, 3)).verdict == "exact"


def test_answers_that_no_element_decides_are_not_escapes():
    def model(x):
        device = torch._C._nn._parse_to(x.device)[0]
        return x + 1 if x == None and device is None else x * 2  # noqa: E711

    graph = flexir.capture(model, torch.ones(3))
    assert [node.op for node in graph] == ["mul"] and not graph.escapes


@pytest.mark.filterwarnings("ignore")
def test_memory_that_escapes_from_a_list_is_watched():
    numpy = pytest.importorskip("numpy")

    @flexir.opaque
    def stack(tensors):
        return numpy.stack([t.numpy() for t in tensors])

    graph = flexir.capture(lambda x: x + float(stack([x, x]).sum()), torch.ones(3))
    assert graph(torch.ones(3)).tolist() == [7, 7, 7]
    with pytest.raises(flexir.Diverged, match="memory"):
        graph(torch.zeros(3))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("layout", [torch.strided, torch.jagged])
def test_nested_tensors_flow(layout):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 4)

        def forward(self, a, b):
            ragged = torch.nested.as_nested_tensor([a, b], layout=layout)
            return self.linear(ragged), ragged.to_padded_tensor(0.0)

    model, args = Model().requires_grad_(False), (torch.randn(3, 4), torch.randn(5, 4))
    graph = flexir.capture(model, args)
    assert graph.output_values[0].type.shape == (2, -1, 4)
    assert flexir.verify(graph, model, args).perturbed == "exact"
    assert flexir.convert(graph, target=flexir.Target("empty")).report.entries
    assert flexir.verify(flexir.passes.simplify(graph), model, args).verdict == "exact"
    doubled = flexir.capture(lambda x: x * 2, graph(*args)[0])
    assert flexir.verify(doubled, lambda x: x * 2, graph(*args)[0]).verdict == "exact"


def test_a_fused_path_nobody_can_watch_is_named():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    model = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False).eval()
    with torch.no_grad():
        check = flexir.verify(
            flexir.capture(model, torch.randn(2, 5, 8)), model, torch.randn(2, 5, 8)
        )
    assert check.verdict == "exact" or "set_fastpath_enabled(False)" in str(check)


@pytest.mark.parametrize("module", ["random", "numpy.random"])
def test_numbers_that_are_not_torchs_are_reported(module):
    draws = pytest.importorskip(module)
    graph = flexir.capture(lambda x: x * draws.uniform(0, 1), torch.ones(3))
    assert f"Python's {module!r}" in graph.audit.problems[0]
    assert not flexir.capture(lambda x: x * torch.rand(1), torch.ones(3)).audit.problems


def test_an_opaque_function_is_one_call():
    numpy = pytest.importorskip("numpy")

    @flexir.opaque
    def halve(x, by=2.0):
        return torch.from_numpy(x.numpy() / numpy.float32(by))

    def model(x):
        return halve(x + 1, by=4.0) * 2

    graph = flexir.capture(model, torch.ones(2))
    assert [n.op for n in graph] == ["add", "halve", "mul"]
    assert graph.audit.unaccounted == 0
    assert graph(torch.full((2,), 7.0)).tolist() == [4, 4]
    assert halve(torch.ones(1)).tolist() == [0.5]


def test_a_branch_is_a_guard_and_another_path_is_refused_by_line():
    def model(x):
        if x.sum() > 0:
            return x + 1
        return x - 1

    graph = flexir.capture(model, torch.ones(2))
    assert len(graph.guards) == 1 and graph.guards[0].result is True
    assert graph(torch.full((2,), 3.0)).tolist() == [4, 4]
    with pytest.raises(flexir.Diverged, match="was True when recorded and is False"):
        graph(-torch.ones(2))
    check = flexir.verify(graph, model, -torch.ones(2))
    assert check.verdict == "diverged" and "test_capture.py" in str(check)


def test_a_value_that_left_torch_is_checked_on_replay():
    def model(x):
        return x * x.max().item()

    graph = flexir.capture(model, torch.tensor([1.0, 2.0]))
    assert graph(torch.tensor([0.0, 2.0])).tolist() == [0, 4]
    with pytest.raises(flexir.Diverged, match="value taken by item.. was 2.0"):
        graph(torch.tensor([1.0, 3.0]))


def test_sizes_that_depend_on_data_are_checked_on_replay():
    def model(x):
        kept = x[x > 0]
        return kept.sum() / kept.shape[0]

    graph = flexir.capture(model, torch.tensor([1.0, -1.0, 2.0]))
    assert graph(torch.tensor([5.0, -1.0, 1.0])) == 3
    with pytest.raises(flexir.Diverged, match="shape"):
        graph(torch.ones(3))


def test_printing_is_no_guard():
    def model(x):
        assert f"{x.sum():.1f}" and repr(x)
        return x + 1

    graph = flexir.capture(model, torch.ones(2))
    assert graph(torch.zeros(2)).tolist() == [1, 1]


def test_inference_mode_inside_the_model():
    def model(x):
        with torch.inference_mode():
            y = x * 2
            y.add_(1)
        return y.clone() + 1

    x = torch.ones(2)
    graph = flexir.capture(model, x)
    assert flexir.verify(graph, model, x).verdict == "exact"


def test_the_default_device_and_dtype_of_the_model_replay():
    def model(x):
        torch.set_default_dtype(torch.float64)
        try:
            return x + torch.ones(2)
        finally:
            torch.set_default_dtype(torch.float32)

    graph = flexir.capture(model, torch.ones(2))
    assert graph(torch.ones(2)).dtype is torch.float64


def test_meta_tensors_capture_without_compute():
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3))
        graph = flexir.capture(model, torch.ones(2, 4))
    assert [n.op for n in graph] == ["linear", "layer_norm"]
    assert graph.output_values[0].type.device.type == "meta"


def test_gradients_inside_forward_replay():
    class Force(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Linear(3, 1)

        def forward(self, x):
            x = x.detach().requires_grad_()
            energy = self.net(x.tanh()).sum()
            return torch.autograd.grad(energy, x)[0]

    model, x = Force(), torch.randn(2, 3)
    graph = flexir.capture(model, x)
    assert flexir.verify(graph, model, x).verdict == "exact"


def test_sparse_and_complex_and_half_tensors():
    def model(x):
        s = x.to_sparse()
        return (s * 2).to_dense() + torch.sparse.mm(s, x), torch.fft.fft(x).abs(), x.bfloat16()

    x = torch.randn(3, 3)
    graph = flexir.capture(model, x)
    assert flexir.verify(graph, model, x).verdict == "exact"


def test_the_grammar_check_names_what_is_wrong():
    graph = flexir.capture(lambda x: x + 1, torch.ones(1))
    graph.nodes.reverse()
    graph.check()
    graph.nodes[0].args["other"] = flexir.Value("ghost", graph.input_values[0].type)
    with pytest.raises(flexir.GraphError, match="%ghost.* is used before it is made"):
        graph.check()


@pytest.mark.filterwarnings("ignore")
def test_control_flow_operators_are_seen_through():
    def model(x, n):
        y = torch.cond(n > 0, lambda x: x.sin() + n, lambda x: x.cos(), (x,))
        return torch.ops.higher_order.map_impl(lambda row, m: (row * m,), [y], [n])[0] + 1

    x, n = torch.randn(3, 2), torch.tensor(2.0)
    graph = flexir.capture(model, (x, n))
    assert {"gt", "bool", "sin", "mul"} <= {node.op for node in graph}
    assert flexir.verify(graph, model, (x + 1, n * 2)).verdict == "exact"
    with pytest.raises(flexir.Diverged, match="branch"):
        graph(x, -n)


def test_a_tensor_default_is_a_constant_not_an_input():
    def model(x, y=torch.ones(2)):  # noqa: B008
        return x + y

    graph = flexir.capture(model, torch.ones(2))
    assert [v.name for v in graph.input_values] == ["x"]
    assert [o.kind for o in graph.origins.values()] == ["default"]
    assert graph(torch.zeros(2)).tolist() == [1, 1]


def test_a_tensor_kept_in_a_cache_is_told_from_one_made_by_the_unseen():
    import functools

    @functools.lru_cache
    def table(n):
        return torch.arange(float(n))

    def model(x):
        return x + table(3)

    table(3)
    graph = flexir.capture(model, torch.ones(3))
    assert [o.kind for o in graph.origins.values()] == ["global"]  # through what it remembers
    assert graph.audit.unaccounted == 0


def test_a_function_compiled_inside_the_model_runs_as_plain_python(root):
    import subprocess
    import sys

    script = """
import sys, torch, flexir
def model(x):
    return torch.compile(lambda y: y.sin() + 1)(x) * 2
assert "torch._dynamo" not in sys.modules
graph = flexir.capture(model, torch.ones(2))
assert [n.op for n in graph] == ["sin", "add", "mul"], graph
assert not any(type(f).__name__ == "_WhenLoaded" for f in sys.meta_path)
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], cwd=root, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_legacy_constructors_make_constants_of_python_numbers():
    def model(x):
        return torch.IntTensor([2]) * x + torch.Tensor([1.0]) + torch.nn.Parameter(x)

    graph = flexir.capture(model, torch.ones(1))
    assert {o.kind for o in graph.origins.values()} == {"python"}
    assert graph.audit.unaccounted == 0
    assert graph(torch.full((1,), 3.0)).tolist() == [10]


def test_a_capture_leaves_nothing_for_the_garbage_collector():
    import gc

    model = nn.Sequential(*[nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)) for _ in range(10)])
    x = torch.ones(2, 4)
    flexir.capture(model, x)
    gc.collect()
    gc.disable()
    try:
        before = len(gc.get_objects())
        for _ in range(5):
            flexir.capture(model, x)
        assert len(gc.get_objects()) - before < 50
    finally:
        gc.enable()
    assert gc.isenabled()


def entered(function, x):
    """How many Python functions a capture enters: a measure of cost no busy machine disturbs."""
    counts = [0]

    def count(frame, event, argument):
        counts[0] += event == "call"

    flexir.capture(function, (x,))
    sys.setprofile(count)
    try:
        flexir.capture(function, (x,))
    finally:
        sys.setprofile(None)
    return counts[0]


def test_recording_a_call_takes_few_python_calls():
    def chain(x, count):
        for _ in range(count // 2):
            x = torch.relu(x) + x
        return x

    def convolutions(count):
        return nn.Sequential(*[nn.Conv2d(2, 2, 1) for _ in range(count)]).requires_grad_(False)

    few, many = (functools.partial(chain, count=count) for count in (10, 110))
    each = (entered(many, torch.rand(4)) - entered(few, torch.rand(4))) / 100
    assert each < 22.5, each
    x = torch.rand(1, 2, 4, 4)
    each = (entered(convolutions(110), x) - entered(convolutions(10), x)) / 100
    assert each < 73, each  # of which torch enters a dozen


def test_a_forward_that_is_no_method():
    class Static(nn.Module):
        @staticmethod
        def forward(x, scale=2.0):
            return x * scale

    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = Static()

        def forward(self, x):
            return self.inner(x, 3.0)

    graph = flexir.capture(Outer(), torch.ones(2))
    assert graph.nodes[0].body[0].args == {"x": graph.input_values[0], "scale": 3.0}
    assert list(flexir.capture(Static(), torch.ones(2)).inputs) == ["x", "scale"]


def test_mutations_stand_in_the_order_of_the_model():
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Parameter(torch.zeros(4), requires_grad=False)
            self.norm = nn.BatchNorm1d(4)

        def forward(self, x):
            y = self.norm(x)
            self.first.add_(1)
            return y

    graph = flexir.capture(Counting(), torch.randn(3, 4))
    names = ["first", "norm.running_mean", "norm.running_var", "norm.num_batches_tracked"]
    assert [m.name for m in graph.mutations] == names


@pytest.mark.parametrize("audit", [True, False])
def test_draws_are_seen_beneath_functions_that_draw_now_and_then(audit):
    def program(x):
        kept = F.dropout(x, 0.5, False)
        dropped = F.dropout(x, 0.5, True)
        soft = F.gumbel_softmax(x)
        query = x.view(1, 1, 4, 6)
        attended = F.scaled_dot_product_attention(query, query, query, dropout_p=0.5)
        return kept, dropped, soft, F.rrelu(x, training=True), attended

    x = torch.randn(4, 6)
    for _ in range(2):  # the second time, what lies beneath each function is known
        graph = flexir.capture(program, (x,), audit=audit)
        draws = [node.effects.random for node in graph if node.op != "view"]
        assert draws == [False, True, True, True, True]
        assert flexir.verify(graph, program, (x,)).verdict == "exact"


def test_calls_of_one_function_are_told_apart_by_more_than_their_classes():
    def program(x):
        two, three = torch.tensor(2), torch.tensor(3)
        yield x.view(two, -1), x.view(three, 8), x.expand(1, 4, 6), x.reshape([two, 12])
        yield x[[0, 1]], x[0, 1], x[(0, slice(None))], x[None, ..., 0]
        yield torch.add(x, two), torch.add(x, x), torch.full((2,), torch.tensor(1.5))
        yield torch.where(x > 0, x, 0.0), torch.where(x > 0, two, x), torch.where(x > 0)
        yield x.sum((0, 1)), x.sum([0]), torch.std(x, 0), torch.std(x, True), x.max(), x.max(0)
        yield torch.einsum("ij,ij->i", x, x), torch.einsum("ij,ij->i", [x, x])
        yield x.to(torch.float64), x.to("cpu"), x.to(x.double()), x.to(float), x.type(torch.int32)
        image = x.view(1, 1, 4, 6)
        kernel = torch.ones(1, 1, 3, 3)
        yield F.conv2d(image, kernel, None, 1, "same"), F.conv2d(image, kernel, None, (1, 1), 1)

    def whole(x):
        return list(program(x))

    x = torch.randn(4, 6)
    assert flexir.verify(flexir.capture(whole, (x,)), whole, (x,)).verdict == "exact"


def test_a_module_that_first_imports_numpys_generators_is_captured():
    code = (
        "import sys, torch, flexir\n"
        "def model(x):\n"
        "    import numpy.random\n"
        "    return x + 1\n"
        "for name in [n for n in sys.modules if n.split('.')[:2] == ['numpy', 'random']]:\n"
        "    del sys.modules[name]\n"
        "assert flexir.capture(model, (torch.ones(2),)).audit.problems == []\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True
    )
    assert not done.returncode, done.stderr


def test_weights_that_the_first_call_makes_are_made_before():
    model = nn.Sequential(nn.LazyLinear(3), nn.LazyBatchNorm1d(), nn.Dropout()).train()
    model.spare = nn.Sequential(nn.Flatten())
    model[0].unused = nn.LazyLinear(7)  # no call of the model makes these
    x = torch.randn(2, 4)
    with torch.no_grad():
        graph = flexir.capture(model, x)
    assert type(model[0]) is nn.Linear and model.training
    assert not graph.audit.problems and not graph.audit.unaccounted
    assert "0.weight" in graph.origins.values() or any(
        "0.weight" in str(v) for v in graph.constants
    )
    assert int(model[1].num_batches_tracked) == 1  # by the call that was watched
    assert flexir.verify(graph, model, x).verdict == "exact"
