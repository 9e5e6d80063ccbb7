"""A call by name: how its arguments are named, what it writes, what counts as a default."""

import inspect

import pytest
import torch
import torch.nn.functional as F

from flexir.calls import kinds
from flexir.calls.binding import bind, layout_of
from flexir.calls.names import (
    ABOUT,
    MEMORY,
    METADATA,
    canonical,
    is_reversed,
    is_torch,
    is_torch_module,
    name_of,
    overloads,
    qualified_name,
)
from flexir.calls.schemas import callables, parameter_names, signatures
from flexir.calls.signatures import (
    EMPTY,
    KEYWORD,
    POSITIONAL,
    STAR,
    STARS,
    Parameter,
    Signature,
    forward_defaults,
    is_hint,
    same_default,
)

X, Y = torch.ones(2, 3), torch.ones(2, 3)
T = torch.Tensor


def plain(part):
    return [*map(plain, part)] if isinstance(part, (list, tuple)) else (
        "X" if part is X else "Y" if part is Y else part)  # fmt: skip


BOUND = [
    (torch.add, (X, Y), {}, "add", {"input": "X", "other": "Y", "alpha": 1}),
    (torch.add, (X, Y), {"alpha": 2}, "add", {"input": "X", "other": "Y", "alpha": 2}),
    (T.__radd__, (X, 1), {}, "add", {"input": 1, "other": "X"}),
    (T.__rsub__, (X, 1), {}, "sub", {"input": 1, "other": "X"}),
    (T.__iadd__, (X, Y), {}, "add", {"input": "X", "other": "Y"}),
    (torch.sum, (X,), {"axis": 1, "keepdims": True}, "sum",
     {"input": "X", "dim": 1, "keepdim": True}),
    (torch.sum, (X, 0), {}, "sum", {"input": "X", "dim": 0, "keepdim": False}),
    (T.view, (X, 3, 2), {}, "view", {"input": "X", "size": [3, 2]}),
    (T.view, (X, (3, 2)), {}, "view", {"input": "X", "size": [3, 2]}),
    (T.view, (X, torch.int32), {}, "view", {"input": "X", "dtype": torch.int32}),
    (T.permute, (X, 1, 0), {}, "permute", {"input": "X", "dims": [1, 0]}),
    (torch.zeros, (), {}, "zeros", {"size": []}),
    (torch.zeros, (2, 3), {}, "zeros", {"size": [2, 3]}),
    (T.to, (X, torch.float64), {}, "to", {"input": "X", "dtype": torch.float64, "copy": False}),
    (T.to, (X, "cpu"), {}, "to", {"input": "X", "device": "cpu", "dtype": None}),
    (T.to, (X, Y), {}, "to", {"input": "X", "other": "Y"}),
    (T.size, (X, 1), {}, "size", {"input": "X", "dim": 1}),
    (T.__getitem__, (X, 0), {}, "getitem", {"input": "X", "indices": 0}),
    (T.__setitem__, (X, 0, 1), {}, "setitem", {"input": "X", "indices": 0, "value": 1}),
    (torch.einsum, ("ij,ij->i", X, Y), {}, "einsum", {"equation": "ij,ij->i",
                                                     "operands": ["X", "Y"]}),
    (torch.max, (X, 1), {}, "max", {"input": "X", "dim": 1, "keepdim": False}),
    (torch.max, (X, Y), {}, "max", {"input": "X", "other": "Y"}),
    (torch.ops.aten.add.Tensor, (X, Y), {}, "add", {"input": "X", "other": "Y", "alpha": 1}),
    (F.relu, (X,), {"inplace": True}, "relu", {"input": "X", "inplace": True}),
    (torch.where, (X, X, Y), {}, "where", {"condition": "X", "input": "X", "other": "Y"}),
    (T.T.__get__, (X,), {}, "T", {"input": "X"}),
    (T.nonzero, (X,), {}, "nonzero", {"input": "X", "as_tuple": False}),
    (torch.tensor, ([1, 2],), {"dtype": torch.int32}, "tensor",
     {"data": [1, 2], "dtype": torch.int32, "requires_grad": False}),
]  # fmt: skip


@pytest.mark.parametrize("case", range(len(BOUND)))
def test_arguments_have_names(case):
    func, args, kwargs, op, expected = BOUND[case]
    for _ in range(2):  # found, and remembered
        signature, named = bind(func, args, kwargs)
        assert signature.op == op
        found = {name: plain(part) for name, part in named.items()}
        assert {name: found.get(name, "none") for name in expected} == expected


@pytest.mark.parametrize("case", range(len(BOUND)))
def test_named_arguments_call_the_same(case):
    func, args, kwargs, op, _ = BOUND[case]
    signature, named = bind(func, args, kwargs)
    if named.keys() == {"input", "other"} and is_reversed(name_of(func)):
        return
    again, more = signature.unbind(named)
    _, renamed = bind(func, again, more)
    assert {k: plain(v) for k, v in renamed.items()} == {k: plain(v) for k, v in named.items()}


def test_of_what_torch_says_nothing_about_arguments_stay_a_tuple():
    signature, named = bind(object(), (1, X), {"k": 2})
    assert named["args"][0] == 1 and named["args"][1] is X and named["k"] == 2
    assert not signature.schema


def stranger(a, b=2, *rest, c=3, **more):
    return a


def test_a_function_of_the_user_is_named_by_its_own_parameters():
    signature, named = bind(stranger, (X, 5, 6, 7), {"c": 4, "d": 8})
    assert (signature.op, named) == ("stranger", {"a": X, "b": 5, "rest": (6, 7), "c": 4, "d": 8})
    assert signature.random is None and not signature.of_torch
    assert not signature.leaves_out("b", 2), "defaults of the user's functions are printed"
    assert repr(signature) == "stranger(a, b, rest, c, more)"


def test_what_a_call_writes():
    def written(func, *args, **kwargs):
        signature, named = bind(func, args, kwargs)
        return set(signature.written(named)), signature.may_write(named)

    assert written(torch.add, X, Y) == (set(), False)
    assert written(T.add_, X, Y) == ({"input"}, True)
    assert written(T.__iadd__, X, Y) == ({"input"}, True)
    assert written(T.__setitem__, X, 0, 1) == ({"input"}, True)
    assert written(torch.add, X, Y, out=Y) == ({"out"}, True)
    assert written(F.relu, X, inplace=True) == ({"input"}, True)
    assert written(F.relu, X) == (set(), True)
    assert written(F.relu, X, inplace=False)[0] == set()
    mean = torch.zeros(3)
    assert written(F.batch_norm, X, mean, mean, training=True)[0] == {"running_mean", "running_var"}
    assert written(F.batch_norm, X, mean, mean) == (set(), True)
    assert written(F.batch_norm, X, None, None, training=True)[0] == set()
    index = torch.zeros(2, dtype=torch.long)
    assert written(F.embedding, index, X, max_norm=1.0)[0] == {"weight"}
    assert written(F.embedding, index, X)[0] == set()
    assert written(F.instance_norm, X, mean, mean)[0] == {"running_mean", "running_var"}
    assert written(T.requires_grad_, X)[0] == {"input"}


def test_what_torch_says_of_chance():
    assert bind(torch.add, (X, Y), {})[0].random is False
    assert bind(F.relu, (X,), {})[0].random is False
    assert bind(F.dropout, (X,), {})[0].random in (None, True)
    assert bind(torch.rand, (2,), {})[0].random is True
    assert bind(F.gumbel_softmax, (X,), {})[0].random is None


def test_what_calls_of_the_same_classes_have_in_common():
    layout = layout_of(torch.add, (X, Y), {})
    assert layout is layout_of(torch.add, (Y, X), {})
    assert layout.trusted and layout.never_writes and layout.shallow
    assert layout.structured == ("input", "other")
    assert layout_of(torch.max, (X, 1), {}) is not layout_of(torch.max, (X, Y), {})
    assert (
        not layout_of(T.add_, (X, Y), {}).never_writes and not layout_of(stranger, (X,), {}).trusted
    )
    assert layout_of(torch.cat, ([X, Y],), {}).structured == ("tensors",)
    assert layout_of(torch.add, (X, Y), {"alpha": 2}) is not layout


@pytest.mark.parametrize("part, default, same", [
    (1, 1, True), (1, 2, False), (1, True, False), (1.0, 1, True), (1, 1.0, True), (0.5, 1, False),
    ((1, 1), 1, True), ([1, 1], 1, True), ((1, 2), 1, False), ((), 1, False), (1, (1, 1), True),
    (1, (1, 2), False), ((1, 1), (1, 1), True), ([1, 1], (1, 1), True), ((1,), (1, 1), False),
    (None, None, True), (None, (), True), (None, (1,), False), ("a", "a", True), ("a", "b", False),
    (torch.ones(1), 1, False), (None, 1, False), (1, (), False), (True, True, True),
])  # fmt: skip
def test_what_means_a_default(part, default, same):
    assert same_default(part, default) is same


def test_what_refuses_to_be_compared_is_no_default():
    class Stubborn:
        def __eq__(self, other):
            raise ValueError("no")

    assert not same_default(Stubborn(), Stubborn())
    signature = bind(torch.add, (X, Y), {})[0]
    assert signature.leaves_out("alpha", 1) and not signature.leaves_out("alpha", 2)
    assert not signature.leaves_out("input", 1) and signature.of_torch


def test_hints():
    assert is_hint("inplace") and is_hint("_private") and is_hint("device")
    assert not is_hint("alpha") and not is_hint("dtype")


def test_defaults_of_forward():
    class Module(torch.nn.Module):
        def forward(self, x, scale=2, *, flag=None):
            return x

    assert forward_defaults(Module()) == {"scale": 2, "flag": None}

    class Odd:
        forward = 3

    assert forward_defaults(Odd()) == {}


def of(*parameters):
    return Signature("f", [Parameter(*p) for p in parameters])


def test_plans_of_hand_made_signatures():
    f = of(("a", "a", POSITIONAL, EMPTY, None), ("b", "b", POSITIONAL, 1, None),
           ("c", "c", KEYWORD, EMPTY, None))  # fmt: skip
    assert f.bind((1,), {"c": 2}, True).places == (0, EMPTY, "c")
    assert f.bind((1, 2), {"c": 2}, True).n_positional == 2
    assert f.bind((1,), {}, True) is None and f.bind((), {"c": 1}, True) is None
    assert f.bind((1, 2, 3), {"c": 1}, True) is None, "one too many"
    assert f.bind((1,), {"c": 1, "d": 2}, True) is None, "an unknown keyword"
    assert f.bind((), {"a": 1, "c": 2}, True).places == ("a", EMPTY, "c")
    stars = of(("a", "a", POSITIONAL, EMPTY, None), ("r", "r", STAR, EMPTY, None),
               ("k", "k", STARS, EMPTY, None))  # fmt: skip
    bound = stars.bind((1, 2, 3), {"x": 4}, True)
    assert bound.places == (0, slice(1, 3), None) and bound.extra == ("x",)
    typed = of(("a", "a", POSITIONAL, EMPTY, "int"))
    assert typed.bind((1,), {}, True) and not typed.bind(("w",), {}, True)
    assert typed.bind((), {"a": 1}, True) and not typed.bind((), {"a": "w"}, True)
    schema = Signature("f", f.parameters, schema=True)
    bound = schema.bind((1,), {"c": 1, "out": X}, True)
    assert bound.extra == ("out",) and f.bind((1,), {"c": 1, "out": X}, True) is None


def test_arguments_that_call_again():
    f = of(("a", "a", POSITIONAL, EMPTY, None), ("b", "b", POSITIONAL, 1, None),
           ("c", "see", POSITIONAL, 2, None), ("d", "d", KEYWORD, 3, None))  # fmt: skip
    assert f.unbind({"a": 0, "b": 1, "c": 2, "d": 3}) == ([0], {})
    assert f.unbind({"a": 0, "b": 5, "c": 2, "d": 4}) == ([0], {"b": 5, "d": 4})
    assert f.unbind({"a": 0, "c": 7}) == ([0], {"see": 7})
    assert f.as_called(3).unbind({"a": 0, "b": 1, "c": 2, "d": 3}) == ([0, 1, 2], {})
    assert f.as_called(3).unbind({"b": 1, "c": 2}) == ([], {}), "after a gap only keywords"
    assert f.n_positional == 0 and f.unbind({"a": 0, "x": 9}) == ([0], {"x": 9})


def test_integers_and_numbers_as_torchs_parsers_take_them():
    whole, half, many = torch.tensor(1), torch.tensor(0.5), torch.ones(2, dtype=torch.long)
    for value, is_int, is_number in (
        (1, True, True), (True, False, True), (1.5, False, True), (1j, False, True),
        ("a", False, False), (None, False, False), (whole, True, False), (half, False, False),
        (many, False, False), (torch.tensor(1j), False, False),
    ):  # fmt: skip
        assert (kinds.is_int(value), kinds.parses_as_number(value)) == (is_int, is_number), value
    np = pytest.importorskip("numpy")
    assert kinds.is_int(np.int64(3)) and kinds.parses_as_number(np.float32(3)) and not kinds.is_int(
        np.float32(3))  # fmt: skip


ACCEPTED = [
    ("Tensor", X, True, True), ("Tensor", 1, False, True), ("Tensor", "a", False, False),
    ("dtype", torch.int8, True, True), ("dtype", float, True, True), ("dtype", 1, False, False),
    ("layout", torch.strided, True, True), ("layout", 1, False, False),
    ("memory_format", torch.channels_last, True, True), ("memory_format", 1, False, False),
    ("Device", "cpu", True, True), ("Device", 0, True, True), ("Device", True, False, False),
    ("Device", torch.device("cpu"), True, True), ("Device", X, False, False),
    ("bool", True, True, True), ("bool", 1, False, True), ("bool", "a", False, False),
    ("bool", X, False, True), ("number", 1.5, True, True), ("number", "a", False, False),
    ("number", torch.tensor(1.0), False, True), ("number", X, False, False),
    ("float", 1, True, True), ("float", 1j, False, False), ("float", X, False, True),
    ("int", 1, True, True), ("int", True, False, True), ("int", 1.5, False, False),
    ("int", torch.tensor(1), False, True), ("str", "a", True, True), ("str", 1, False, False),
    ("Generator", torch.Generator(), True, True), ("Generator", 1, False, False),
    ("Optional[int]", None, True, True), ("Optional[int]", 1, True, True),
    ("int", None, False, False),
    ("Optional[int]", "a", False, False), ("List[int]", [1, 2], True, True),
    ("List[int]", (1, True), True, True), ("List[int]", ["a"], False, False),
    ("List[Tensor]", [X, None], True, True), ("List[Tensor]", [1], False, False),
    ("List[str]", ["a"], True, True), ("List[str]", [1], False, False),
    ("List[float]", [1.5, X], True, True), ("List[float]", ["a"], False, False),
    ("List[int]", 1, False, False), ("List[Tensor]", X, False, False),
    ("unknown", object(), True, True),
]  # fmt: skip


@pytest.mark.parametrize("kind, value, strict, loose", ACCEPTED)
def test_what_a_parameter_accepts(kind, value, strict, loose):
    parameter = Parameter("p", "p", POSITIONAL, EMPTY, kind)
    assert kinds.accepts(parameter, value, True) is strict
    assert kinds.accepts(parameter, value, False) is loose


def test_sizes_given_without_brackets():
    def spread(kind, rest, strict=True):
        return kinds.is_spread(Parameter("size", "size", POSITIONAL, EMPTY, kind), rest, strict)

    assert spread("List[int]", [1, 2]) and spread("Optional[List[int]]", [1])
    assert not spread("List[int]", []) and not spread("List[int]", [1, "a"])
    assert not spread("int", [1, 2]) and not spread("List[int]", [[1, 2]])
    one = torch.tensor(1)
    assert not spread("List[int]", [one]) and spread("List[int]", [one], strict=False)


@pytest.mark.parametrize("name, op", [
    ("add_", "add"), ("__radd__", "add"), ("__iadd__", "add"), ("__add__", "add"),
    ("__and__", "bitwise_and"), ("__invert__", "bitwise_not"), ("__rsub__", "sub"),
    ("__getitem__", "getitem"), ("special_softmax", "softmax"), ("linalg_matmul", "matmul"),
    ("relu", "relu"), ("__len__", "len"), ("my__", "my__"), ("_threshold", "threshold"),
])  # fmt: skip
def test_canonical_names(name, op):
    assert canonical(name) == op


def test_names_of_callables():
    assert name_of(torch.ops.aten.add.Tensor) == "add" == name_of(torch.ops.aten.add)
    assert name_of(T.T.__get__) == "T" and name_of(T.data.__set__) == "set_data"
    assert name_of(F.relu) == "relu" and name_of(torch.nn.ReLU()) == "ReLU"
    assert qualified_name(torch.ops.aten.add) == "aten::add" and qualified_name(F.relu) is None
    assert torch.ops.aten.add.Tensor in overloads(torch.ops.aten.add)
    assert is_reversed("__rsub__") and not is_reversed("__sub__") and not is_reversed("__rshift__")
    assert is_torch(torch.add) and is_torch(F.relu) and is_torch(T.T.__get__) and is_torch(T.add)
    assert not is_torch(stranger) and not is_torch(inspect.signature)
    assert is_torch_module("torch.nn") and not is_torch_module("torchvision")
    assert not is_torch_module(None)


def test_questions_are_sorted_by_what_they_ask():
    assert {T.shape.__get__, T.size, T.dim, torch.is_tensor, T.dtype.__get__} <= METADATA
    assert {T.stride, T.is_leaf.__get__, torch.is_conj, T.requires_grad.__get__} <= ABOUT
    assert {T.data_ptr, T.untyped_storage} <= MEMORY
    assert not METADATA & ABOUT and not ABOUT & MEMORY and T.add not in METADATA


def test_every_callable_of_a_meaning():
    assert {torch.add, T.add, T.add_} <= set(callables()["add"])
    assert F.relu in callables()["relu"] and torch.zeros in callables()["zeros"]
    assert F.conv2d in callables()["conv2d"] or torch.conv2d in callables()["conv2d"]
    assert "nothing" not in callables()
    assert parameter_names("add")[:3] == ["input", "other", "alpha"]
    assert parameter_names("nothing") == []
    assert [s.names for s in signatures(T.size)] == [("input",), ("input", "dim")]
    assert signatures(T.polygamma)[0].names[0] == "input", "a method takes itself first"
