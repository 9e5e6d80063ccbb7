"""What functions keep in the variables of Python modules, their own and others', is looked at."""

from __future__ import annotations

import builtins
import sys
import types

import pytest
import torch

import flexir
from flexir.recording.functions import imported, reach_of
from flexir.recording.holders import Globals
from flexir.recording.state import Holdings

SOURCE = {
    "box": "",
    "box.counts": "first = second = third = 0\nlog = []",
    "box.model": """
import importlib
import sys
import torch
from box import counts

runs = 0


def one(x):
    return x * (2 + counts.first)


def two(x):
    counts.second += 1
    return x + counts.second


def far(x):
    from . import counts as inner

    inner.third += 1
    return x - inner.third


def near(x):
    from .counts import log

    log.append(1)
    return x * len(log)


def whole(x):
    import box.counts

    box.counts.third += 1
    return x / box.counts.third


def marking(x):
    one.calls = 1
    return one(x)


def enclosed():
    from box import counts as kept

    def forward(x):
        kept.third += 1
        return x * kept.third

    return forward


def by_setattr(x):
    setattr(counts, "third", counts.third + 1)
    return x * counts.third


def by_dictionary(x):
    vars(counts)["third"] += 1
    return x * counts.third


def by_globals(x):
    globals()["runs"] = globals()["runs"] + 1
    return x * runs


def by_sys_modules(x):
    sys.modules["box.counts"].third += 1
    return x


def by_importlib(x):
    importlib.import_module("box.counts").third += 1
    return x


def by_name_of_dictionary(x):
    kept["third"] += 1
    return x * kept["third"]


def of_builtins(x):
    assert __builtins__ is not None
    return x * x.shape[0]


class Both(torch.nn.Module):
    def forward(self, x):
        return two(one(x))


class Holding(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.held = [counts]

    def forward(self, x):
        self.held[0].third += 1
        return x * self.held[0].third
""",
}


@pytest.fixture
def box(monkeypatch):
    for name, source in SOURCE.items():
        module = types.ModuleType(name)
        module.__package__ = name if name == "box" else "box"
        if name == "box":
            module.__path__ = []
        monkeypatch.setitem(sys.modules, name, module)
        exec(compile(source, f"{name}.py", "exec"), vars(module))
        if name != "box":
            setattr(sys.modules["box"], name.partition(".")[2], module)
    return sys.modules["box"]


def changes(model):
    return {one.path for one in flexir.capture(model, torch.ones(2)).audit.changes}


def test_two_functions_name_other_variables_of_one_module(box):
    assert changes(box.model.Both()) == {"counts.second"}


@pytest.mark.parametrize("name, path", [("far", "third"), ("near", "log"), ("whole", "third")])
def test_a_module_imported_where_it_is_used(box, name, path):
    assert [one.rpartition(".")[2] for one in changes(getattr(box.model, name))] == [path]


@pytest.mark.parametrize(
    "name", ["by_setattr", "by_dictionary", "by_globals", "by_sys_modules", "by_importlib"]
)
def test_a_variable_named_by_a_text(box, name):
    last = {one.rpartition(".")[2] for one in changes(getattr(box.model, name))}
    assert last == ({"runs"} if name == "by_globals" else {"third"})


def test_the_dictionary_of_a_module_is_looked_at_as_the_module(box):
    vars(box.model)["kept"] = vars(box.counts)
    assert changes(box.model.by_name_of_dictionary) == {"kept.third"}
    graph = flexir.capture(box.model.of_builtins, torch.ones(2), also=[torch.ones(3)])
    assert graph.live and type(builtins.range(3)) is builtins.range, "what stands in has left"


def test_the_variables_of_a_function_that_the_model_holds_as_a_dictionary():
    space = {}
    exec("n = 0\ndef count(x):\n    global n\n    n += 1\n    return x * n\n", space)

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.space = space

        def forward(self, x):
            return self.space["count"](x)

    assert changes(Model()) == {"space.n"}


def test_each_set_of_names_is_asked_for_once():
    variables = Globals({"a": 1, "b": 2}, "")
    for name in "abc":  # sets that are gone: the next one may have the id of the last
        variables.watch(frozenset([name]))
    assert list(variables.before) == ["a", "b"]


def test_a_module_that_something_holds(box):
    assert changes(box.model.Holding()) == {"held.0.third"}
    assert changes(box.model.enclosed()) == {"kept.third"}


def test_a_function_that_gains_an_attribute(box):
    held = Holdings(box.model.marking)
    assert held.knows(box.model.one) and held.stands()
    assert changes(box.model.marking) == {"one.calls"}
    assert not held.stands()
    held.restore()
    assert not vars(box.model.one) and held.stands()


def test_what_a_function_names_and_imports(box):
    assert reach_of(box.model.far.__code__) is reach_of(box.model.far.__code__)
    assert reach_of(box.model.near.__code__).imports == ("counts",)
    assert reach_of(box.model.far.__code__).imports == ("",)
    assert dict(imported(box.model.near)) == {"box.counts": box.counts}
    assert dict(imported(box.model.far)) == {"box": box}
    assert dict(imported(box.model.whole)) == {"box": box, "box.counts": box.counts}


def test_an_import_after_many_names_is_found():
    names = "\n".join(f"    b.n{i}" for i in range(300))
    scope = {}
    exec(f"def f(b):\n{names}\n    import far.away\n", scope)
    assert reach_of(scope["f"].__code__).imports == ("far.away",)
