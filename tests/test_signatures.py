"""Names come from torch: every overridable function binds, and calls back to the same result."""

import warnings

import pytest
import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode, get_overridable_functions, resolve_name

from flexir.binding import bind
from flexir.forms import op_of, parameter_names, signatures
from flexir.names import METADATA, canonical, name_of
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
        from flexir.differences import compare_outputs

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
