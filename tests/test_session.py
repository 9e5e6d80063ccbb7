"""The time in which a model is watched, and what answers instead of torch, Python or NumPy then."""

from __future__ import annotations

import functools
import gc
import math
import random
import sys
import types

import numpy
import pytest
import torch
from torch import nn

import flexir
from flexir.graph import numbers as calls
from flexir.graph.nodes import NumberType, Value
from flexir.recording.compilers import _WhenLoaded, eager_compilers
from flexir.recording.effects import beneath, changes_view_only
from flexir.recording.live import expression, plain
from flexir.recording.numbers import Numbers
from flexir.recording.randomness import Draws, default_generator, device_of, foreign_draws
from flexir.recording.session import collector_at_rest
from flexir.recording.stand_ins import CachedFunction, MathFunction, behind, stand_ins


def test_the_collector_rests_and_is_on_again_however_it_ends():
    assert gc.isenabled()
    with pytest.raises(KeyError):
        with collector_at_rest() as rests:
            assert rests is True and not gc.isenabled()
            with collector_at_rest() as again:
                assert again is True, "what was made before it has grown up by now"
            assert not gc.isenabled()
            raise KeyError
    assert gc.isenabled()
    gc.disable()
    try:
        with collector_at_rest() as rests:
            assert rests is False, "somebody else has put it to rest"
        assert not gc.isenabled()
    finally:
        gc.enable()


class Failing(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(2, 2)

    def forward(self, x):
        return self.inner(x)


def test_an_error_says_in_which_module_and_at_which_line_of_the_users():
    with pytest.raises(RuntimeError) as caught:
        flexir.capture(Failing(), torch.ones(3))
    [note] = [one for one in caught.value.__notes__ if one.startswith("while")]
    assert note.startswith(
        "while capturing Failing, in module 'inner' (Linear), at test_session.py:"
    )
    line = Failing.forward.__code__.co_firstlineno + 1
    assert note.endswith(f":{line}")
    with pytest.raises(RuntimeError) as caught:
        flexir.capture(lambda x: x @ x, torch.ones(3, 2))
    [note] = [one for one in caught.value.__notes__ if one.startswith("while")]
    assert note.startswith("while capturing function, at test_session.py:")


def test_captures_do_not_nest_and_one_that_failed_is_over():
    def nesting(x):
        flexir.capture(torch.relu, x)

    with pytest.raises(flexir.CaptureError, match="captures do not nest"):
        flexir.capture(nesting, torch.ones(2))
    assert flexir.capture(torch.relu, torch.ones(2)).nodes


def test_a_compiler_that_is_loaded_later_is_told_once(monkeypatch):
    told = []
    waiting = _WhenLoaded("wave", lambda: told.append(1))
    monkeypatch.delitem(sys.modules, "wave", raising=False)
    monkeypatch.setattr(sys, "meta_path", [waiting, *sys.meta_path])
    import json  # noqa: F401

    assert waiting in sys.meta_path and not told
    import wave

    assert told == [1] and waiting not in sys.meta_path and wave.__name__ == "wave"
    waiting.leave()
    assert _WhenLoaded("no_such_module", print).find_spec("no_such_module") is None


def test_what_was_compiled_runs_as_plain_python(monkeypatch):
    stances = []

    class Stance:
        def __init__(self, name):
            self.name = name

        def __enter__(self):
            stances.append(self.name)

        def __exit__(self, *_):
            stances.append("over")

    monkeypatch.setattr(torch.compiler, "set_stance", Stance)
    monkeypatch.setitem(sys.modules, "torch._dynamo", types.ModuleType("torch._dynamo"))
    with eager_compilers():
        assert stances == ["force_eager"]
    assert stances == ["force_eager", "over"]
    monkeypatch.delitem(sys.modules, "torch._dynamo")
    before = list(sys.meta_path)
    with eager_compilers():
        assert len(sys.meta_path) == len(before) + 1 and len(stances) == 2
    assert sys.meta_path == before and len(stances) == 2, "nobody loaded it"


def given(number, listens=True):
    made = Numbers(lambda f, a, t: Value(f.__name__, t), lambda *_: None, lambda: listens)
    value = Value("n", NumberType(type(number), number))
    return made.number(number, value), value, made


@pytest.mark.parametrize("name", ["sqrt", "log", "log2", "log10", "exp", "isqrt"])
def test_what_math_makes_of_a_number_is_one(name):
    one, value, _ = given(9)
    follow = MathFunction(getattr(math, name))
    made = follow(one)
    assert made == getattr(math, name)(9) and made.expr == expression(
        getattr(calls, name), (value,), plain(made)
    )
    assert type(follow(9)) in (int, float)
    deaf, _, _ = given(9, listens=False)
    assert type(follow(deaf)) in (int, float)


def test_what_math_has_no_meaning_for_is_noted_by_its_line():
    one, value, numbers = given(9)
    assert MathFunction(math.gcd)(one, 6).expr.args == (value, 6)
    for function, args in ((math.sin, ()), (math.log, (3,)), (math.gcd, (6, 3))):
        numbers.laundered.clear()
        made = MathFunction(function)(one, *args)
        assert made == function(9, *args) and type(made) in (int, float)
        [(how, source)] = numbers.laundered
        assert how == f"math.{function.__name__}" and source.file == __file__


def test_a_function_that_remembers_computes_anew_for_numbers_of_the_run():
    asked = []

    @functools.lru_cache(maxsize=None)
    def remembered(*args, **more):
        asked.append(args)
        return 1

    one, _, _ = given(9)
    stand = CachedFunction(remembered)
    for args, more in (((one,), {}), (((1, (one,)),), {}), ((), {"k": one})):
        assert stand(*args, **more) == stand(*args, **more) == 1
    assert len(asked) == 6 and stand(2) == stand(2) == stand(k=2) == stand(k=2) and len(asked) == 8
    assert stand.cache_info().currsize == 2 and behind(stand) is remembered and behind(3) == 3


def test_numpy_asks_numbers():
    one, value, numbers = given(2.5)
    assert numpy.ceil(one) == 3.0 and numpy.add(one, 1) == 3.5 and numpy.maximum(1, one) == 2.5
    assert [one.how for one in numbers.laundered.values()] == ["numpy.ceil", "numpy.add",
                                                              "numpy.maximum"]  # fmt: skip
    numbers.noted = []
    numpy.ceil(one)
    assert [n for _, n in numbers.noted] == [3], "what became plain is what NumPy made"


def test_others_stand_in_only_while_examples_are_recorded(monkeypatch):
    module = types.ModuleType("users_own")
    module.root, module.kept = math.sqrt, functools.lru_cache(len)
    monkeypatch.setitem(sys.modules, "users_own", module)
    with stand_ins(False):
        assert module.root is math.sqrt and math.sqrt.__class__ is type(len)
    root, kept = module.root, module.kept
    with stand_ins(True):
        assert type(module.root) is MathFunction and type(module.kept) is CachedFunction
        assert type(math.sqrt) is MathFunction and math.sqrt(4) == 2
        with stand_ins(True):
            pass
        assert type(module.root) is MathFunction, "until the last one leaves"
    assert module.root is root is math.sqrt and module.kept is kept
    with pytest.raises(KeyError):
        with stand_ins(True):
            module.root = abs
            raise KeyError
    assert module.root is abs and module.kept is kept, "what the model put there stays"


def test_who_drew_and_from_where():
    generator = torch.Generator().manual_seed(3)
    draws = Draws([generator])
    start = generator.get_state()
    assert draws.after(None) is None and draws.after((generator, start)) is None
    assert draws.left(generator) is True and draws.left(3) is False
    torch.rand(1, generator=generator)
    assert draws.left(generator) is False
    first = draws.after((generator, start))
    assert torch.equal(first.start, start) and first.goes_on is True
    assert draws.left(generator) is True
    middle = generator.get_state()
    torch.rand(1, generator=generator)
    second = draws.after((generator, middle))
    assert second.start is None and second.goes_on is False, "it follows from the first"
    generator.manual_seed(5)
    again = generator.get_state()
    torch.rand(1, generator=generator)
    third = draws.after((generator, again))
    assert torch.equal(third.start, again) and third.goes_on is False
    stranger = torch.Generator().manual_seed(1)
    start = stranger.get_state()
    torch.rand(1, generator=stranger)
    assert draws.after((stranger, start)).goes_on is False


def test_python_and_numpy_drew():
    for act, name in ((random.random, "random"), (numpy.random.rand, "numpy.random")):
        before = foreign_draws()
        assert foreign_draws() == before
        act()
        after = foreign_draws()
        assert [one for one in after if after[one] != before[one]] == [name]


def test_the_device_of_a_call():
    meta = torch.ones(1, device="meta")
    assert device_of({"device": "meta"}, []).type == "meta"
    assert device_of({"device": None}, [meta]).type == "meta"
    assert device_of({"device": meta}, [torch.ones(1)]).type == "cpu", "a tensor is no device"
    assert device_of({}, []).type == "cpu"
    assert default_generator(torch.device("cpu")) is torch.default_generator


def test_what_ops_say_of_themselves():
    assert changes_view_only(torch.Tensor.t_) is True and changes_view_only(torch.relu) is False
    assert changes_view_only(torch.Tensor.add_) is False and changes_view_only(len) is False
    aten = torch.ops.aten
    assert beneath(aten.relu.default) == (False, None)
    assert beneath(aten.bernoulli_.float)[0] is True and beneath(aten.rand.default)[0] is True
    assert beneath(aten.add_.Tensor) == (False, aten.add_.Tensor._schema)
