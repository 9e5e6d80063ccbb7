"""Where a tensor that no call made comes from: what is searched, and what it is then called."""

from __future__ import annotations

import gc
import sys
import types

import numpy
import pytest
import torch
from torch import nn

import flexir
from flexir.graph.nodes import Node
from flexir.recording.constants import (
    Origins,
    _find,
    _is_young,
    _owns_memory,
    search_globals,
    search_modules,
)
from flexir.recording.trace import Frame

T = torch.zeros(3)


class Slotted:
    __slots__ = ("inner",)


def slotted(part):
    made = Slotted()
    made.inner = part
    return made


@pytest.mark.parametrize(
    "part, path",
    [
        (T, "p"), ([1, T], "p.1"), ((T,), "p.0"), ({"k": [T]}, "p.k.0"), (slotted(T), "p.inner"),
        (types.SimpleNamespace(a=types.SimpleNamespace(b=T)), "p.a.b"), ([[[T]]], "p.0.0.0"),
    ],
)  # fmt: skip
def test_a_tensor_is_found_in_containers_and_objects(part, path):
    assert _find(part, T, "p", 4) == path


@pytest.mark.parametrize(
    "part", [torch.zeros(3), [[[[[T]]]]], nn.ParameterList([T]), 3, "T", print, lambda: T, sys, {}]
)
def test_it_is_not_looked_for_too_deep_nor_in_what_is_closed(part):
    assert _find(part, T, "p", 4) is None
    assert _find([T], T, "p", 0) is None and _find(T, T, "p", 0) == "p"


def under_way(*modules):
    return [Frame(Node("", None, {}))] + [
        Frame(Node("m", module, {}, None, None, path)) for path, module in modules
    ]


def test_modules_under_way_are_asked_the_innermost_first():
    outer, inner = nn.Module(), nn.Module()
    kept, weight, buffer = torch.zeros(1), nn.Parameter(torch.zeros(2)), torch.zeros(3)
    inner.box, outer.box = {"a": kept}, [kept]
    frames = under_way(("", outer), ("in", inner))
    assert search_modules(kept, frames) == ("attribute", ("in.box.a",))
    assert search_modules(kept, frames[:2]) == ("attribute", ("box.0",))
    assert search_modules(kept, frames[:1]) is None
    outer.w = weight
    inner.register_buffer("b", buffer)
    assert search_modules(weight, frames) == ("attribute", ("w",))
    assert search_modules(buffer, frames) == ("attribute", ("in.b",))
    assert search_modules(torch.zeros(1), frames) is None


GLOBAL = {"deep": [torch.zeros(4)]}


class Reading:
    def __init__(self):
        self.own = torch.zeros(5)

    def frame(self):
        return sys._getframe()


def test_functions_on_the_stack_are_asked_for_globals_closures_and_their_object():
    closed, entry = [torch.zeros(6)], (lambda: None).__code__

    def inner():
        assert GLOBAL and closed
        return sys._getframe()

    assert search_globals(GLOBAL["deep"][0], inner(), entry) == "GLOBAL.deep.0"
    assert search_globals(closed[0], inner(), entry) == "closed.0"
    assert search_globals(closed[0], inner(), inner.__code__) is None, "beyond the entry"
    assert search_globals(torch.zeros(6), inner(), entry) is None
    reading = Reading()
    assert search_globals(reading.own, reading.frame(), entry) == "Reading.own"


def test_frames_of_this_package_are_passed_over():
    frame = sys._getframe()
    package = types.SimpleNamespace(
        f_code=types.SimpleNamespace(
            co_filename=flexir.__file__, co_names=("box",), co_freevars=()),
        f_globals={"box": [T]}, f_locals={}, f_back=None,
    )  # fmt: skip
    assert search_globals(T, package, frame.f_code) is None
    package.f_code.co_filename = __file__
    assert search_globals(T, package, frame.f_code) == "box.0"


def test_the_young_are_those_the_collector_never_looked_at():
    old = [object()]
    gc.collect()
    young = [object()]
    assert _is_young(young) is True and _is_young(old) is False


def test_memory_of_numpy_is_not_torchs_own():
    assert _owns_memory(torch.zeros(2)) is True
    assert _owns_memory(torch.from_numpy(numpy.zeros(2))) is False


class Box(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2))
        self.same = self.weight


def met(found, tensor, written=False):
    """As two callers of this package further up would say where."""
    return (lambda: found.origin(tensor, written))()


@pytest.fixture
def found():
    return Origins(Box(), met.__code__)


def test_a_weight_has_the_names_it_had_and_one_that_is_free(found):
    weight = next(iter(found.tensors.values()))[0]
    value = met(found, weight)
    assert value.name == "weight" and value.names == ("weight", "same")
    assert found.origins[value].kind == "parameter" and found.constants[value] is weight
    assert found.initial[id(weight)] is value
    again = met(found, weight)
    assert again.name != "weight" and again.names == value.names, "the name is taken"
    assert not found.problems


def test_what_nobody_saw_being_made_is_a_problem_and_a_copy(found):
    found.escaped.append(flexir.graph.source.Source("net.py", 7, "forward"))
    tensor = torch.ones(2)
    value = met(found, tensor)
    [problem] = found.problems
    assert "was made during the run by code no watcher sees" in problem and "net.py:7" in problem
    assert found.origins[value].kind == "unseen" and found.origins[value].escaped
    assert found.constants[value] is not tensor and torch.equal(found.constants[value], tensor)


def test_what_was_written_before_anybody_met_it_is_unseen_without_a_problem(found):
    weight = next(iter(found.tensors.values()))[0]
    value = met(found, weight, written=True)
    assert found.origins[value].kind == "unseen" and value.name == "unseen" and not found.problems


def test_data_of_python_and_what_was_there_before(found):
    tensor = torch.ones(2)
    found.lifting = True
    assert found.origins[met(found, tensor)].kind == "python"
    borrowed = torch.from_numpy(numpy.zeros(2))
    assert found.origins[met(found, borrowed)].kind == "unseen", "NumPy made that"
    found.lifting, found.ages = False, True
    gc.collect()
    assert found.origins[met(found, tensor)].kind == "cached"
    assert found.origins[met(found, torch.ones(2))].kind == "unseen", "it is too young"
