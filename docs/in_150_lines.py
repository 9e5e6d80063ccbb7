"""The whole idea, from scratch: watch one run, write down every call, run it again, convert it.

FlexTorchIR is this, made true for all of PyTorch: in-place writes, views, random numbers, module
bodies, values that escape to Python, tensors nobody saw being made. Run it: python3 in_150_lines.py
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

# ---- four small types ----------------------------------------------------------------------------


@dataclass(eq=False)
class Value:
    """A tensor of the graph: an input, a weight, or what one call made. It never changes."""

    name: str
    shape: tuple[int, ...]

    def __repr__(self) -> str:
        return f"%{self.name}"


@dataclass(eq=False)
class Node:
    """One call; its arguments are Python values with Values in place of tensors."""

    op: str
    function: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    output: Value

    def __str__(self) -> str:
        given = [repr(a) for a in self.args] + [f"{k}={v!r}" for k, v in self.kwargs.items()]
        return f"{self.output}: {list(self.output.shape)} = {self.op}({', '.join(given)})"


@dataclass
class Graph:
    """What a run was."""

    inputs: list[Value] = field(default_factory=list)
    constants: dict[Value, torch.Tensor] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    output: Any = None


def swap(part: Any, cls: type, to: Any) -> Any:
    """A nested structure with every instance of a class replaced."""
    if isinstance(part, cls):
        return to(part)
    if type(part) in (list, tuple):
        return type(part)(swap(p, cls, to) for p in part)
    return {k: swap(v, cls, to) for k, v in part.items()} if type(part) is dict else part


# ---- capture: run once, and watch ----------------------------------------------------------------


class Recorder(TorchFunctionMode):
    """torch hands every public call to a mode before making it."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.graph = Graph()
        self.known: dict[int, Value] = {}  # id of a tensor -> its Value
        self.alive: list[torch.Tensor] = []  # the real thing does not keep them: ids would not do
        self.weights = {id(t): n for n, t in [*model.named_parameters(), *model.named_buffers()]}

    def value(self, tensor: torch.Tensor, name: str = "") -> Value:
        if id(tensor) not in self.known:
            made = Value(name or self.weights.get(id(tensor), "constant"), tuple(tensor.shape))
            self.known[id(tensor)] = made
            self.alive.append(tensor)
            if not name:  # no call made it: a weight
                self.graph.constants[made] = tensor
        return self.known[id(tensor)]

    def __torch_function__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = function(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            read = lambda part: swap(part, torch.Tensor, self.value)
            named, keywords = read(args), read(kwargs or {})
            output = self.value(result, str(len(self.graph.nodes)))
            self.graph.nodes.append(Node(function.__name__, function, named, keywords, output))
        return result


def capture(model: torch.nn.Module, *inputs: torch.Tensor) -> Graph:
    recorder = Recorder(model)
    names = list(inspect.signature(model.forward).parameters)
    recorder.graph.inputs = [recorder.value(t, n) for t, n in zip(inputs, names)]
    with torch.no_grad(), recorder:
        result = model(*inputs)
    recorder.graph.output = swap(result, torch.Tensor, recorder.value)
    return recorder.graph


# ---- one loop; what a node means is a parameter --------------------------------------------------


def interpret(graph: Graph, env: dict[Value, Any], meaning: Any) -> Any:
    for node in graph.nodes:
        args, kwargs = swap((node.args, node.kwargs), Value, env.__getitem__)
        env[node.output] = meaning(node, args, kwargs)
    return swap(graph.output, Value, env.__getitem__)


def replay(graph: Graph, *inputs: torch.Tensor) -> Any:
    env = {**graph.constants, **dict(zip(graph.inputs, inputs))}
    with torch.no_grad():
        return interpret(graph, env, lambda node, args, kwargs: node.function(*args, **kwargs))


def convert(graph: Graph, handlers: dict[str, Any]) -> tuple[Any, list[str]]:
    missing = []

    def meaning(node: Node, args: Any, kwargs: Any) -> Any:
        if node.op in handlers:
            return handlers[node.op](*args, **kwargs)
        missing.append(f"{node.op}: no handler")  # a placeholder; the conversion goes on
        return ("PLACEHOLDER", node.op, args)

    names = {v: v.name for v in [*graph.inputs, *graph.constants]}
    return interpret(graph, dict(names), meaning), missing


if __name__ == "__main__":
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten()).eval()
    x, y = torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8)
    graph = capture(net, x)
    print(*graph.nodes, sep="\n")
    assert torch.equal(replay(graph, y), net(y))
    print("replay is bit-equal")
    mine = {"conv2d": lambda x, *_: ("Conv", x), "relu": lambda x, **_: ("Relu", x)}
    print(*convert(graph, mine), sep="\n")
