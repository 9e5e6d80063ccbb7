"""What the two modes hand on, to whom, and what they let pass; the recorder is a stand-in."""

from __future__ import annotations

import sys

import pytest
import torch

from flexir.graph.geometry import tensor_type
from flexir.graph.nodes import Effects, Value
from flexir.recording.constants import Origins
from flexir.recording.switches import SwitchWatch
from flexir.recording.trace import COLLECT_EVERY, Trace
from flexir.recording.watchers import FunctionWatch, Witness


class Told:
    """What stands for a recorder, its escapes and its value table, and notes what it is told."""

    def __init__(self):
        self.escapes = self.table = self
        self.busy, self.running, self.numbers, self.witness, self.fallback = (
            False,
            None,
            None,
            None,
            0,
        )
        self.seen = []

    def note(self, what, func, kwargs=None, frame=None):
        at = frame.f_code.co_name if frame is not None else None
        self.seen.append((what, getattr(func, "__name__", str(func)), kwargs, at))

    def call(self, func, args, kwargs, frame):
        self.note("call", func, kwargs, frame)
        return func(*args, **kwargs)

    def numbered(self, func, args, kwargs, result):
        self.note("numbered", func, kwargs)
        return "a number"

    def asked(self, func, args, kwargs, result, frame):
        self.note("asked", func, kwargs, frame)

    def below(self, func, args, kwargs):
        self.note("below", func, kwargs)

    def forget_versions(self, result):
        self.note("forget", type(result))


@pytest.fixture
def told():
    return Told()


@pytest.fixture
def x():
    return torch.arange(24.0).reshape(1, 2, 3, 4)


def test_calls_are_recorded_with_their_keywords_and_the_line_that_made_them(told, x):
    with FunctionWatch(told):
        made = torch.sum(x, dim=1)
    [(what, name, kwargs, at)] = told.seen
    assert (what, name, kwargs) == ("call", "sum", {"dim": 1}) and made.shape == (1, 3, 4)
    assert at == "test_calls_are_recorded_with_their_keywords_and_the_line_that_made_them"


@pytest.mark.parametrize("numbers", [None, "on"])
def test_sizes_are_asked_for_and_become_numbers_only_if_wanted(told, x, numbers):
    told.numbers = numbers
    with FunctionWatch(told):
        answers = [x.size(), x.size(dim=1), x.shape, x.dim()]
    if numbers is None:
        assert answers == [(1, 2, 3, 4), 2, (1, 2, 3, 4), 4] and not told.seen
    else:
        assert answers == ["a number"] * 4
        assert [what for what, *_ in told.seen] == ["numbered"] * 4


def test_questions_about_memory_are_told_with_their_answer(told, x):
    with FunctionWatch(told):
        assert x.is_contiguous(memory_format=torch.channels_last) is False
        assert x.is_contiguous() is True and x.requires_grad is False
        assert x.stride(dim=0) == 24
    asked = [(what, name) for what, name, _, _ in told.seen]
    assert asked[:2] == [("asked", "is_contiguous")] * 2 and len(asked) == 4
    assert told.seen[0][2] == {"memory_format": torch.channels_last} and told.seen[1][2] == {}
    assert all(at == "test_questions_about_memory_are_told_with_their_answer"
               for *_, at in told.seen)  # fmt: skip
    told.numbers, told.seen = "on", []
    with FunctionWatch(told):
        assert x.stride() == "a number" and x.storage_offset() == 0
    assert [what for what, *_ in told.seen] == ["numbered", "asked"]


def test_memory_itself_is_recorded_unless_torch_asks_for_it(told, x):
    with FunctionWatch(told):
        x.data_ptr()
        assert [what for what, *_ in told.seen] == ["call"]
        told.seen.clear()
        asks = eval("lambda x: x.data_ptr()", {"__name__": "torch.somewhere"})
        assert asks(x) == x.data_ptr() and len(told.seen) == 1, "only the one of the test"


def test_what_runs_inside_a_transform_is_no_call_of_its_own(told, x):
    with FunctionWatch(told):
        made = torch.vmap(lambda row: row.sum(dim=0) * row.size(dim=0))(x)
    assert torch.equal(made, x.sum(1) * 2)
    assert not any(what == "call" and name == "sum" for what, name, *_ in told.seen)


def test_the_witness_counts_what_nobody_recorded_and_tells_what_lies_beneath(told, x):
    with Witness(told):
        made = torch.sum(x, dim=1)
        assert told.fallback == 1 and [what for what, *_ in told.seen] == ["call", "forget"]
        told.running, told.seen = "a call", []
        again = x.sum(dim=1)
        assert [what for what, *_ in told.seen] == ["below"] and told.fallback == 1
        told.busy, told.seen = True, []
        third = torch.full_like(x, 2, dtype=torch.int32)
        assert not told.seen and told.fallback == 1
    assert torch.equal(made, again) and third.dtype is torch.int32


@pytest.fixture
def trace():
    return Trace(Origins(lambda: None, (lambda: None).__code__), SwitchWatch())


def test_a_call_that_is_recorded_again_has_the_effects_it_had(trace):
    x = torch.zeros(2)
    value = Value("x", tensor_type(x))
    node = trace.append("view", torch.Tensor.view, None, {"input": value})
    node.effects = Effects(switches=(("grad", False),))
    made = Value("y", tensor_type(x), node)
    node.result, node.outputs = [made, made], (made,)
    other = Value("z", tensor_type(x))
    copy = trace.again(node, {"input": other})
    assert copy.effects == node.effects and copy.args == {"input": other} and copy.op == "view"
    [fresh] = copy.outputs
    assert fresh is not made and copy.result == [fresh, fresh] and fresh.type == made.type
    assert trace.frames[0].nodes == [node, copy] and trace.found.frames is trace.frames


def test_values_are_numbered_and_age_says_nothing_after_many(trace):
    trace.found.ages = True
    assert [trace.number(), trace.number()] == ["1", "2"] and trace.found.ages
    trace.count = COLLECT_EVERY - 2
    assert trace.number() == str(COLLECT_EVERY - 1) and trace.found.ages is True
    assert trace.number() == str(COLLECT_EVERY) and trace.found.ages is False


def test_a_module_the_model_does_not_hold_is_named_after_where_it_is_called(trace):
    outer, inner = torch.nn.Sequential(), torch.nn.ReLU()
    trace.enter(outer, {}, sys._getframe())
    assert trace.path(outer) == "Sequential"
    for call in range(2):
        trace.enter(inner, {}, sys._getframe())
        node = trace.frames[-1].node
        assert (node.path, node.call, node.op) == ("Sequential.ReLU", call, "ReLU")
        assert trace.frames[-1].source is not None, "of a module of torch's the line is the user's"
        trace.leave()
    trace.leave()
    [top] = trace.frames[0].nodes
    assert [one.op for one in top.body] == ["ReLU", "ReLU"]
    assert trace.classes == {"Sequential": torch.nn.Sequential, "Sequential.ReLU": torch.nn.ReLU}
