"""Runs, scopes and functions made by hand, for tests of what lays runs over each other."""

import dis
import textwrap
import types
from pathlib import Path

import pytest
import torch

from flexir.graph import numbers
from flexir.graph.graph import Graph
from flexir.graph.nodes import Node, NumberType, TensorType, Value
from flexir.recording import parsed
from flexir.recording.deciding import Deciding
from flexir.recording.runs import Recorded
from flexir.recording.scopes import Branch, Scope
from flexir.recording.standing import Held

KEPT: list[Node] = []  # a Value does not hold the call that made it
TENSOR = TensorType(torch.float32, (2, 3), torch.device("cpu"))


def tensor(name="x"):
    return Value(name, TENSOR)


def number(name="n", was=0):
    return Value(name, NumberType(type(was), was))


def call(op, target, *made, **args):
    """A call that makes these Values."""
    node = Node(op, target, args)
    node.outputs, node.result = made, made[0] if len(made) == 1 else made
    for value in made:
        value.producer = node
    KEPT.append(node)
    return node


def computed(function, was=0, **args):
    """A number that is computed."""
    return call(function.__name__, function, number(function.__name__, was), **args).outputs[0]


def size(of, dim=0, was=0):
    """A size of a tensor."""
    return computed(numbers.size, was, input=of, dim=dim)


def code_of(text, place, name="f"):
    """The code of a function that is written in a file of its own."""
    path = place / f"source_{abs(hash(text))}.py"
    path.write_text(textwrap.dedent(text))
    space = {"torch": torch}
    exec(compile(path.read_text(), str(path), "exec"), space)
    return space[name].__code__


def at(code, text):
    """The offset of the last instruction of an expression of a function, as it is written."""
    if not hasattr(code, "co_positions"):
        pytest.skip("before Python 3.11 only lines are known")
    lines = Path(code.co_filename).read_text().splitlines()
    found = []
    for one in dis.get_instructions(code):
        line, start, last, end = parsed.span_at(code, one.offset)
        if line == last and lines[line - 1][start:end] == text:
            found.append(one.offset)
    return found[-1]


def held(code, text=None, tensors=(), spent=(), taken=(), around=(), **plain):
    """What a function holds at an expression: its variables, and those of functions around it."""
    offset = -1 if text is None else at(code, text)
    told = {(0, name): one for name, one in plain.items()}
    kept = {(code.co_name, name): value for name, value in dict(tensors).items()}
    here = {(code.co_name, name): one for name, one in dict(spent).items()}
    gone = {(code.co_name, name): value for name, value in dict(taken).items()}
    frames, offsets = (code, *(one for one, _ in around)), (offset, *(o for _, o in around))
    return Held(frames, offsets, told, kept, here, gone)


def whole(n):
    """What is told of a variable that holds a whole number."""
    return ("int", str(n))


def recorded(standing=(), **more):
    return Recorded(Graph("run"), dict(standing), **more)


def branch(scope, then, otherwise, before=None, born=1):
    """A branch of a scope by which some runs went one way and others another."""
    ways = Scope(then, scope, born), Scope(otherwise, scope, born)
    for way in ways:
        way.before = before
    node = Node("if", None, {"condition": number("c", True), "inputs": ()})
    made = Branch(node, *ways, born)
    scope.branches.append(made)
    return made


class Laid(Deciding):
    """Two runs being laid; what a variable may be read by is not asked."""

    def may_be_read(self, place):
        return True


def body_in(scope, *parts, born=2):
    """The body of a loop with these rounds."""
    made = Scope(parts, scope, born)
    made.loop = types.SimpleNamespace(scope=scope, made={}, place={}, lasts={}, left={}, starts={})
    return made


def stands(laid, scope, *values, like=None, age=1):
    """One Value that stands for one of each run."""
    made = Value("", (like or values[0]).type)
    for r, value in enumerate(values):
        laid.env[r][value] = made
    scope.made[made] = age
    return made


def two_runs(kind=Laid):
    """Two runs that are being laid over each other, with patience."""
    found = kind([recorded(), recorded()])
    found.left = 1000
    return found
