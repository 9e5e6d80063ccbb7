"""Signatures of calls, spelled out: what each source of them says of one function."""

import types

import pytest
import torch
import torch.nn.functional as F

from flexir.calls import schemas
from flexir.calls.kinds import EMPTY
from flexir.calls.schemas import KEYWORD, STAR, STARS, callables, op_of, parameter_names, signatures


def described(signature):
    """A signature as it would be written, and what is known besides."""
    parts = []
    for p in signature.parameters:
        if p.kind is KEYWORD and "*" not in parts:
            parts.append("*")
        star = {STAR: "*", STARS: "**"}.get(p.kind, "")
        name = p.name if p.call_name == p.name else f"{p.name}<{p.call_name}>"
        parts.append(star + name + ("" if p.default is EMPTY else f"={p.default}"))
    known = [*(f"writes {name}" for name in signature.writes), f"draws {signature.random}"]
    known += ["schema" if signature.schema else "python"]
    known += [] if signature.of_torch else ["not torch's"]
    return f"{signature.op}({', '.join(parts)}): {', '.join(known)}"


def own(x, *, k=2):
    return x


def in_place_(x, y):
    return x


def forwards(*args, **kwargs):
    return args


T, CAST = torch.Tensor, "input, *, memory_format=None"


@pytest.mark.parametrize("func, expected", [
    (torch.relu, ["relu(input): draws False, schema"]),
    (torch.relu_, ["relu(input): writes input, draws False, schema"]),
    (T.__iand__, ["bitwise_and(input, other): writes input, draws False, schema"] * 2),
    (T.__and__, ["bitwise_and(input, other): draws False, schema"] * 2),
    (T.__iadd__, [
        "add(input, other, *, alpha=1): writes input, draws False, schema",
        "add(input, other, alpha=1): writes input, draws False, schema",
    ]),
    (T.__mul__, ["mul(input, other): draws False, schema"] * 2),
    (T.__imul__, ["mul(input, other): writes input, draws False, schema"] * 2),
    (T.__rsub__, ["sub(other<self>, input<other>): draws False, python"]),
    (T.shape.__get__, ["shape(input): draws False, schema"]),
    (T.data.__set__, ["set_data(input, value): writes input, draws False, schema"]),
    (T.__setitem__, ["setitem(input, indices, value): writes input, draws False, schema"]),
    (T.__getitem__, ["getitem(input, indices): draws False, schema"]),
    (torch.einsum, ["einsum(equation, *operands): draws False, schema"]),
    (torch.nonzero, ["nonzero(input, *, as_tuple=False): draws False, schema"]),
    (torch.polygamma, ["polygamma(n, input): draws False, schema"]),
    (T.polygamma, ["polygamma(input, n): draws False, schema"]),
    (T.normal_, ["normal(input, mean=0.0, std=1.0, *, generator=None): "
                 "writes input, draws True, schema"]),
    (F.dropout, ["dropout(input, p=0.5, training=True, inplace=False): draws None, python"]),
    (F.relu, ["relu(input, inplace=False): draws False, python"]),
    (torch.ops.aten.relu.default, ["relu(input<self>): draws False, schema"]),
    (torch.ops.aten.relu_.default, ["relu(input<self>): writes input, draws False, schema"]),
    (torch.ops.aten.relu_, ["relu(input<self>): writes input, draws False, schema"]),
    (T.cuda, ["cuda(input, device=None, non_blocking=False, *, memory_format=None): "
              "draws False, schema"]),
    (T.size, ["size(input): draws False, schema", "size(input, dim): draws False, schema"]),
    (T.float, [f"float({CAST}): draws False, schema"]),
    (T.__len__, ["len(input<self>): draws False, python"]),
    (T.type_as, ["to(input, other): draws False, schema"]),
    (torch.tensor, ["tensor(data, *, dtype=None, device=None, requires_grad=False, "
                    "pin_memory=False): draws False, schema"]),
    (T.to, [
        "to(input, dtype, non_blocking=False, copy=False, *, memory_format=None): "
        "draws False, schema",
        "to(input, device=None, dtype=None, non_blocking=False, copy=False, *, "
        "memory_format=None): draws False, schema",
        "to(input, other, non_blocking=False, copy=False, *, memory_format=None): "
        "draws False, schema",
    ]),
    (own, ["own(x, *, k=2): draws None, python, not torch's"]),
    (in_place_, ["in_place_(x, y): writes x, draws None, python, not torch's"]),
    (forwards, ["forwards(*args, **kwargs): draws None, python, not torch's"]),
], ids=lambda part: getattr(part, "__qualname__", "") or "expected")  # fmt: skip
def test_the_ways_to_call_a_function(func, expected):
    assert [described(one) for one in signatures(func)] == expected


def test_what_torch_says_nothing_of_has_no_signature():
    assert signatures(type("C", (), {"__name__": "odd", "__module__": "m"})()) == ()


def test_what_torch_lists_with_a_stand_in_has_its_parameters(monkeypatch):
    monkeypatch.setattr(schemas, "_testing_overrides", lambda: {torch.relu: own})
    [found] = schemas._of_override(torch.relu, "relu", "relu")
    assert found.names == ("input", "k") and found.op == "relu"
    assert schemas._of_override(torch.add, "add", "add") == ()


def test_parameters_that_say_nothing_are_no_source():
    assert schemas._of_parameters(forwards, "forwards", "forwards") == ()
    assert schemas._of_parameters(lambda: None, "f", "f")[0].parameters == ()
    assert schemas._of_stars(forwards, "f", "f")[0].names == ("args", "kwargs")
    assert schemas._of_parameters(torch.relu, "relu", "relu") == ()


def test_only_what_the_table_spells_out_is_taken_from_it():
    assert schemas._of_table(own, "to", "to") == () == schemas._of_table(torch.relu, "relu", "relu")
    assert len(schemas._of_table(torch.einsum, "einsum", "einsum")) == 1
    [line] = schemas._of_table(T.__setitem__, "__setitem__", "setitem")
    assert line.writes == {"input"}
    made = schemas._spelled("op", "a, b: Tensor, c=True, d: Device=None, *rest, *, e=3", ("b",))
    assert [p.name for p in made.parameters] == ["a", "b", "c", "d", "rest", "e"]
    assert [p.accepts for p in made.parameters] == [None, "Tensor", "bool", "Device", None, None]
    kinds = [p.kind for p in made.parameters]
    assert kinds[-2:] == [STAR, KEYWORD] and len(set(kinds[:4])) == 1 and made.writes == {"b"}
    assert [p.default for p in made.parameters] == [EMPTY, EMPTY, True, None, EMPTY, 3]
    assert made.schema is True and made.random is False


def test_an_in_place_operator_writes_its_first_argument():
    [plain] = [one for one in signatures(torch.relu)]
    assert schemas._writing(plain, "__iother__").writes == {"input"}
    assert (
        schemas._writing(plain, "__add__") is plain
        and schemas._writing(plain, "__invert__") is plain
    )
    [written] = signatures(torch.relu_)
    assert schemas._writing(written, "__iother__") is written
    first = schemas._written_first(signatures(F.dropout)[0])
    assert first.writes == {"input"} and first.random is None and first.schema is False
    assert schemas._written_first(plain).schema is True


def test_the_names_of_ops(monkeypatch):
    assert op_of(torch.relu) == op_of(F.relu) == op_of(T.relu_) == "relu"
    assert op_of(own) == "own" and op_of(torch.ops.aten.relu.default) == "relu"

    def relu(x):
        return x

    assert op_of(relu) == f"{__name__}.relu", "torch has an op of that name"


def test_an_op_of_another_library_is_called_by_its_own_name():
    library = torch.library.Library("flexir_tests", "DEF")
    try:
        for name in ("relu", "mine"):
            library.define(f"{name}(Tensor x) -> Tensor")
        assert op_of(torch.ops.flexir_tests.relu.default) == "flexir_tests::relu"
        assert op_of(torch.ops.flexir_tests.mine.default) == "mine"
    finally:
        library._destroy()


def test_what_draws_by_torchs_own_tags():
    def of(name, overload=""):
        every = torch._C._jit_get_schemas_for_operator(f"aten::{name}")
        return next(s for s in every if s.overload_name == overload)

    assert schemas._draws(of("bernoulli")) is True and schemas._draws(of("relu")) is False
    lost = types.SimpleNamespace(name="aten::no_such_op", overload_name="")
    assert schemas._draws(lost) is None


def test_a_python_function_of_torch_draws_if_it_names_one_that_does():
    def calls(name):
        code = own.__code__.replace(co_names=(name,))
        return types.FunctionType(code, {})

    nothing = frozenset()
    assert schemas._may_draw(calls("bernoulli"), nothing) is True
    assert schemas._may_draw(calls("relu_"), nothing) is False
    assert schemas._may_draw(calls("dropout"), nothing) is True
    assert schemas._may_draw(len, nothing) is True, "nothing is known of it"

    def around(inner):
        return lambda: inner

    assert schemas._may_draw(around(calls("bernoulli")), nothing) is True
    assert schemas._may_draw(around(calls("relu")), nothing) is False
    again = around(None)
    again.__closure__[0].cell_contents = again
    assert schemas._may_draw(again, nothing) is False


def test_kinds_of_arguments():
    def kind(type, real=None):
        made = types.SimpleNamespace(type=type)
        if real is not None:
            made.real_type = real
        return schemas._kind(made)

    assert kind("int") == "int" and kind("int", "ScalarType") == "dtype"
    assert kind("Optional[int]", "Optional[ScalarType]") == "Optional[dtype]"
    assert kind("Optional[int]", "ScalarType?") == "Optional[dtype]"
    assert kind("int", "MemoryFormat") == "memory_format" and kind("int", "Layout") == "layout"
    assert kind("Tensor", "Tensor") == "Tensor"


def test_every_name_that_any_form_of_an_op_has():
    names = parameter_names("to")
    assert names[0] == "input" and {"dtype", "device", "other", "copy"} <= set(names)
    assert len(names) == len(set(names)) and parameter_names("no_such_op") == []


def test_public_callables_by_their_meaning():
    found = callables()
    assert {torch.relu, T.relu, F.relu} <= set(found["relu"]) and torch.ones in found["ones"]
    every = {func for funcs in found.values() for func in funcs}
    assert {torch.special.expit, torch.sigmoid} <= set(found["sigmoid"]) and F.softmax in every
    assert torch.fft.fft in found["fft_fft"] and torch.linalg.det in found["linalg_det"]
    assert torch._C._nn.gelu in found["gelu"] and torch.rand in found["rand"]
    assert F._canonical_mask not in every and torch.typename not in every
    assert all(len(funcs) == len(set(funcs)) for funcs in found.values())
