"""Names come from torch: every overridable function binds, and calls back to the same result."""

import difflib
import itertools
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode, get_overridable_functions, resolve_name

import flexir
from flexir.calls.binding import bind
from flexir.calls.names import METADATA, canonical, name_of
from flexir.calls.schemas import _may_draw, callables, op_of, parameter_names, signatures
from flexir.calls.signatures import _UNMARKED_WRITES
from zoo import opdb

# Functions that compute tensors and whose arguments torch names nowhere.
EXCEPTIONS = {
    "torch.sym_sum",  # adds symbolic integers, not tensors
}


def functions():
    for group in get_overridable_functions().values():
        yield from (f for f in group if f not in METADATA)


def test_every_overridable_function_that_computes_tensors_binds():
    every, unbound = 0, []
    for func in functions():
        every += 1
        forms = signatures(func)
        anonymous = any(s.names == ("args",) for s in forms)
        if not forms or anonymous:
            unbound.append(resolve_name(func) or repr(func))
    assert set(unbound) <= EXCEPTIONS
    assert every > 1200 and len(unbound) <= 0.03 * every


@pytest.mark.parametrize(
    "functions",
    [
        (
            torch.add,
            torch.Tensor.add,
            torch.Tensor.add_,
            torch.Tensor.__iadd__,
            torch.Tensor.__radd__,
        ),
        (torch.sub, torch.subtract, torch.Tensor.__rsub__, torch.Tensor.sub_),
        (torch.div, torch.true_divide, torch.Tensor.__truediv__, torch.Tensor.__rdiv__),
        (torch.pow, torch.Tensor.__pow__, torch.Tensor.__rpow__, torch.Tensor.__ipow__),
        (torch.relu, F.relu, torch.relu_, torch.Tensor.relu_),
        (torch.sigmoid, torch.special.expit, torch.Tensor.sigmoid_),
        (torch.clamp, torch.clip, torch.Tensor.clip_),
        (torch.matmul, torch.Tensor.__matmul__, torch.Tensor.__rmatmul__, torch.linalg.matmul),
        (F.softmax, torch.softmax, torch.Tensor.softmax),
        (torch.cat, torch.concat, torch.concatenate),
    ],
)
def test_one_meaning_has_one_name(functions):
    assert len({op_of(f) for f in functions}) == 1


def test_the_synonyms_are_those_of_pytorchs_own_database():
    def plain(name):
        return canonical(name.split("nn.functional.")[-1].removeprefix("torch.").replace(".", "_"))

    # The database lists max/min of two tensors as aliases; as names they mean reductions too.
    known = {("max", "maximum"), ("min", "minimum")}
    wrong = [
        (op.name, alias.name)
        for op in opdb.database()
        for alias in op.aliases
        if plain(op.name) != plain(alias.name) and (op.name, alias.name) not in known
    ]
    assert not wrong


# Names that stand at one place in two spellings of an op and mean two things: (op, names): why.
TWO_THINGS = {
    **dict.fromkeys(
        [(op, "correction", "unbiased") for op in ("std", "std_mean", "var", "var_mean")],
        "a number and a yes or no; torch documents both",
    ),
    **dict.fromkeys([("max", "dim", "other"), ("min", "dim", "other")],
                    "along a dimension, or of two tensors"),
    ("scatter", "src", "value"): "torch documents both, a tensor and a number",
    ("view", "dtype", "size"): "another type, or another shape",
    ("view_copy", "dtype", "size"): "another type, or another shape",
    ("to", "dtype", "other"): "a dtype, or a tensor to be like",
    ("to", "device", "other"): "a device, or a tensor to be like",
    ("to_sparse", "layout", "sparse_dim"): "torch documents both forms",
    **dict.fromkeys(
        [(op, "dx", "x") for op in ("cumulative_trapezoid", "trapezoid", "trapz")],
        "places, or one distance",
    ),
    ("elu", "inplace", "scale"): "the C++ form has more arguments",
    ("rrelu", "generator", "inplace"): "the C++ form has more arguments",
    **dict.fromkeys(
        [(f"atleast_{n}d", "input", "tensors") for n in (1, 2, 3)],
        "one tensor below torch, any number above",
    ),
    ("tensordot", "dims", "dims_self"): "one argument for both tensors, or one for each",
    ("normal", "input", "size"): "in place, or of a size",
    **dict.fromkeys(
        [(op, "batch_first", "batch_sizes") for op in ("lstm", "gru", "rnn_tanh", "rnn_relu")],
        "padded, or packed",
    ),
    **dict.fromkeys(
        [("result_type", *names) for names in [
            ("other", "scalar"), ("other", "scalar2"), ("scalar", "scalar1"),
            ("scalar1", "tensor"), ("scalar2", "tensor")]],
        "of tensors and numbers in any order",
    ),
    **dict.fromkeys(
        [
            (f"upsample_{kind}", "scale_factors", scale)
            for kind, scale in [
                ("linear1d", "scales"), ("nearest1d", "scales"), ("nearest2d", "scales_h"),
                ("bilinear2d", "scales_h"), ("bicubic2d", "scales_h"), ("nearest3d", "scales_d"),
                ("trilinear3d", "scales_d"),
            ]
        ],
        "one list, or a number for each dimension",
    ),
    # Two functions of torch that share a name and nothing else.
    ("unfold", "dimension", "kernel_size"): "windows of a dimension, and F.unfold",
    ("unfold", "dilation", "size"): "windows of a dimension, and F.unfold",
    ("unfold", "padding", "step"): "windows of a dimension, and F.unfold",
    ("complex", "input", "real"): "from two tensors, and complex(x)",
    ("index", "indices", "positions"): "advanced indexing, and first-class dimensions",
}  # fmt: skip


def overloads():
    """Canonical op name -> the overloads of ATen that mean it."""
    found = {}
    for schema in torch._C._jit_get_all_schemas():
        space, name = schema.name.split("::")
        full = f"{schema.name}.{schema.overload_name}".rstrip(".")
        if space == "aten" and not name.startswith("__") and torch._C._dispatch_has_kernel(full):
            overload = getattr(getattr(torch.ops.aten, name), schema.overload_name or "default")
            if not any(a.is_out for a in overload._schema.arguments):
                found.setdefault(canonical(name), []).append(overload)
    return found


def forms_of(op, more):
    """Every way to call an op, as names -> names without default."""
    found = {}
    for func in [*callables()[op], *more]:
        if func in METADATA:
            continue
        for signature in signatures(func):
            names = [n for n in signature.names if n not in ("out", "args", "kwargs")]
            assert len(set(names)) == len(names), f"{op} has one name twice: {names}"
            required = [n for n in names if n not in signature.defaults]
            found[tuple(names)] = tuple(required)
    return found


def pairs(forms):
    """Two names for what stands at one place in two forms of an op, or is all that differs."""
    for (a, need_a), (b, need_b) in itertools.combinations(forms.items(), 2):
        found = []
        for tag, i, i2, j, j2 in difflib.SequenceMatcher(None, a, b, False).get_opcodes():
            if tag == "replace":
                found += zip(a[i:i2], b[j:j2])
        only_a = [n for n in need_a if n not in b]
        only_b = [n for n in need_b if n not in a]
        if len(only_a) == len(only_b) == 1:  # wherever they stand: x ** y, and its reversed form
            found += zip(only_a, only_b)
        for x, y in found:
            together = any(x in names and y in names for names in forms)
            if x not in b and y not in a and not together:
                yield tuple(sorted((x, y)))


def test_one_argument_of_an_op_has_one_name_in_all_its_spellings():
    aten, found = overloads(), {}
    for op in callables():
        forms = forms_of(op, aten.get(op, ()))
        found.update({(op, *pair): list(forms) for pair in pairs(forms)})
    new = [f"{key}: {forms}" for key, forms in found.items() if key not in TWO_THINGS]
    assert not new, "\n".join(new)


@pytest.mark.parametrize(
    ("calls", "names"),
    [
        (
            [(torch.split, 2), (torch.Tensor.split, 2), (torch.ops.aten.split.Tensor, 2),
             (torch.split, [1, 3]), (torch.Tensor.split, [1, 3])],
            ["input", "split_size_or_sections", "dim"],
        ),
        (
            [(torch.tensor_split, 2), (torch.Tensor.tensor_split, (1, 2)),
             (torch.tensor_split, torch.tensor([1, 2]))],
            ["input", "indices_or_sections", "dim"],
        ),
        (
            [(torch.pow, 2), (torch.Tensor.__pow__, 2), (torch.Tensor.__rpow__, 2),
             (torch.Tensor.pow_, 2)],
            ["input", "exponent"],
        ),
    ],
)  # fmt: skip
def test_every_spelling_gives_the_documented_names_and_calls_back(calls, names):
    x = torch.arange(1.0, 5.0)
    for func, given in calls:
        signature, named = bind(func, (x.clone(), given), {})
        assert [name for name in named if name != "out"] == names
        args, kwargs = signature.unbind(named)
        made, wanted = func(*args, **kwargs), func(x.clone(), given)
        assert repr(made) == repr(wanted)


class Rebind(TorchFunctionMode):
    """Calls everything through its named form and compares with the direct call."""

    def __init__(self):
        super().__init__()
        self.calls, self.failures = 0, []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        signature, named = bind(func, args, kwargs)
        again, keywords = signature.unbind(named)
        self.calls += 1
        if signature.names == ("args",):
            self.failures.append(f"{name_of(func)} is not bound")
        state = torch.get_rng_state()
        if signature.written(named):  # both calls would write: bind, do not call twice
            return func(*again, **keywords)
        result = func(*args, **kwargs)
        torch.set_rng_state(state)
        try:
            other = func(*again, **keywords)
        except Exception as error:  # noqa: BLE001  any failure is the finding
            self.failures.append(f"{signature!r}: {error}")
            return result
        from flexir.checks.differences import compare_outputs

        differs = not all(d.equal for d in compare_outputs(result, other))
        torch.set_rng_state(state)
        if differs and all(d.equal for d in compare_outputs(result, func(*args, **kwargs))):
            self.failures.append(f"{signature!r}: another result")
        return result


@pytest.mark.parametrize("part", range(4))
def test_every_op_of_the_database_calls_back_from_its_named_form(part):
    mode = Rebind()
    with torch.no_grad(), warnings.catch_warnings(), opdb._no_garbage():
        warnings.simplefilter("ignore")
        for op in opdb.database()[part::4]:
            dtype = torch.float32
            if not op.supports_dtype(dtype, "cpu"):
                dtype = next(iter(op.dtypes), None)
            if dtype is None:
                continue
            for case in opdb.cases(op, (dtype,), limit=4):
                args, kwargs = opdb._copies(case)
                try:
                    case.function(*args, **kwargs)
                except Exception:  # noqa: BLE001  not a sample of this variant
                    continue
                args, kwargs = opdb._copies(case)
                with mode:
                    case.function(*args, **kwargs)
    assert not mode.failures
    assert mode.calls > 1000


def test_defaults_are_filled_in_and_arguments_documented_names():
    x = torch.ones(1, 1, 4, 4)
    signature, named = bind(F.conv2d, (x, x), {"padding": 1})
    assert signature.op == "conv2d"
    assert named["stride"] in (1, [1, 1]) and named["padding"] == 1 and named["bias"] is None
    assert list(named)[:3] == ["input", "weight", "bias"]
    _, named = bind(torch.Tensor.view, (x, 2, -1), {})
    assert named == {"input": x, "size": (2, -1)} or named["size"] == (2, -1)
    _, named = bind(torch.Tensor.__rsub__, (x, 1), {})
    assert named["input"] == 1 and named["other"] is x
    _, named = bind(torch.sum, (x,), {"axis": 1, "keepdims": True})
    assert named["dim"] == 1 and named["keepdim"] is True


def test_every_spelling_of_a_cast_calls_back():
    x = torch.ones(2)
    for args, kwargs in (
        ((torch.float64,), {}),
        (("cpu",), {}),
        (("cpu", torch.float64), {}),
        (("cpu",), {"dtype": torch.float64}),
        ((torch.device("cpu"),), {"dtype": torch.float64, "non_blocking": True}),
        ((), {"dtype": torch.float64, "device": "cpu"}),
        ((), {"device": torch.device("cpu")}),
        ((torch.ones(1, dtype=torch.float64),), {"copy": True}),
        ((torch.float64, True), {"memory_format": torch.preserve_format}),
    ):
        signature, named = bind(torch.Tensor.to, (x, *args), kwargs)
        again, keywords = signature.unbind(named)
        assert torch.Tensor.to(*again, **keywords).dtype == x.to(*args, **kwargs).dtype


def test_an_unknown_callable_still_flows():
    signature, named = bind(max, (1, 2), {"key": None})
    args, kwargs = signature.unbind(named)
    assert (args, kwargs) == ([1, 2], {"key": None})


def test_argument_names_of_an_op_span_all_its_forms():
    assert {"input", "dim", "keepdim", "other"} <= set(parameter_names("max"))


def test_files_with_the_names_of_each_spelling_still_load(tmp_path):
    pytest.importorskip("google.protobuf")
    pytest.importorskip("safetensors")
    x = torch.arange(8.0)

    def model(x):
        parts = torch.Tensor.split(2**x, 3)
        return parts, x.hsplit(2), torch.resize_as_(x.clone(), parts[0])

    graph = flexir.capture(model, (x,))
    older = {"split": {"split_size_or_sections": "split_size"}, "pow": {"exponent": "other"},
             "hsplit": {"indices_or_sections": "sections"},
             "resize_as": {"tensor": "the_template"}}  # fmt: skip
    renamed = 0
    for node in graph:
        names = older.get(node.op, {})
        renamed += any(name in node.args for name in names)
        node.args = {names.get(name, name): part for name, part in node.args.items()}
    assert renamed == len(older)
    graph.save(tmp_path / "old.flexir")
    loaded = flexir.load(tmp_path / "old.flexir")
    for node in loaded:
        assert not set(node.args) & set(older.get(node.op, {}).values())
    made, wanted = loaded(x), model(x)
    assert all(map(torch.equal, *map(torch.utils._pytree.tree_leaves, (made, wanted))))


@pytest.mark.parametrize("op", ["batch_norm", "native_batch_norm", "cudnn_batch_norm"])
def test_running_statistics_are_written_while_a_model_trains(op):
    writes = _UNMARKED_WRITES[op]
    assert writes({"training": True}) == ("running_mean", "running_var")
    assert writes({"training": False}) == () == writes({})


def test_a_weight_is_written_where_its_rows_are_kept_short():
    for op in ("embedding", "embedding_bag"):
        assert _UNMARKED_WRITES[op]({"max_norm": 1.0}) == ("weight",)
        assert _UNMARKED_WRITES[op]({"max_norm": None}) == ()


def test_a_python_function_may_draw_if_anything_it_names_does():
    assert not _may_draw(F.layer_norm, frozenset())
    assert _may_draw(F.dropout, frozenset()) and _may_draw(F.gumbel_softmax, frozenset())
    assert _may_draw(F.multi_head_attention_forward, frozenset()), "dropout, further down"
    assert _may_draw(torch.add, frozenset()), "nobody can look into what is not Python"
