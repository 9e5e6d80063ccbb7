"""A folder to write handlers in: stubs, samples of real calls, and tests that run them.

A sample is one call, saved as a graph of its own, with the tensors that went in and what torch
made of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from ...conversion.report import function_name
from ...conversion.stubs import stub
from ...errors import Error
from ...graph.graph import Graph
from ...graph.nodes import Node, Value
from ...graph.replay import Environment, replay
from ...passes.edit import call_key
from ...passes.extract import single_call
from .save import save

_SAMPLES = 3  # calls kept of one op
_LARGEST = 1 << 20  # elements of a sample


def write_samples(
    folder: Path | str,
    nodes: Sequence[tuple[Graph, Node]],
    *,
    args: Sequence[Any] | None = None,
    kwargs: dict[str, Any] | None = None,
) -> list[str]:
    """Write ``handlers.py``, ``test_handlers.py`` and samples of every op among the calls.

    Args:
        folder: where; files of yours with these names are never overwritten.
        nodes: calls and the graphs they stand in.
        args: inputs of the one graph, for samples from a real run; without them, tensors of the
            recorded types are drawn and the call is run on those.
        kwargs: keyword inputs.

    Returns:
        the ops of which no sample could be made.

    Raises:
        Error: a file is there already. Needs the extra ``ir``.
    """
    folder = Path(folder)
    for name in ("handlers.py", "test_handlers.py"):
        if (folder / name).exists():
            raise Error(f"{folder / name} is there already; give another folder")
    (folder / "samples").mkdir(parents=True, exist_ok=True)
    groups: dict[str, list[tuple[Graph, Node]]] = {}
    for graph, node in nodes:
        groups.setdefault(node.op, []).append((graph, node))
    real = _run(nodes[0][0], [n for _, n in nodes], args, kwargs) if args is not None else {}
    bare = []
    for op, calls in groups.items():
        made = sum(
            _save(folder / "samples" / f"{function_name(op)}-{number}", graph, node, real.get(node))
            for number, (graph, node) in enumerate(_chosen(calls), 1)
        )
        if not made:
            bare.append(op)
    texts = [stub([node for _, node in calls]) for calls in groups.values()]
    (folder / "handlers.py").write_text(_HANDLERS + "\n\n" + "\n\n\n".join(texts) + "\n")
    (folder / "test_handlers.py").write_text(_TESTS)
    return bare


def _chosen(calls: Sequence[tuple[Graph, Node]]) -> Iterator[tuple[Graph, Node]]:
    """A few small calls that differ."""
    seen: set[Any] = set()
    for graph, node in sorted(calls, key=lambda call: _elements(call[1])):
        key = call_key(node)
        if key not in seen and len(seen) < _SAMPLES and _elements(node) <= _LARGEST:
            seen.add(key)
            yield graph, node


def _elements(node: Node) -> int:
    values = [*node.inputs, *node.outputs]
    return sum(torch.Size(value.type.shape).numel() for value in values)


def _run(graph: Graph, nodes: Sequence[Node], args: Any, kwargs: Any) -> dict[Node, Any]:
    """What went into these calls in a run on ``args``."""
    wanted, found = set(nodes), {}
    env = Environment(graph.constants)

    def watch(node: Node, _: tuple[torch.Tensor, ...]) -> None:
        if node in wanted and _elements(node) <= _LARGEST:
            found[node] = {v: env[v].detach().clone() for v in dict.fromkeys(node.inputs)}

    replay(graph, args, kwargs, watch=watch, env=env)
    return found


def _save(path: Path, graph: Graph, node: Node, real: dict[Value, torch.Tensor] | None) -> bool:
    """One call as a graph with inputs and outputs; False if it does not run on drawn tensors."""
    from safetensors.torch import save_file

    small = single_call(graph, node)
    generator = torch.Generator().manual_seed(0)
    given = dict(zip(small.input_values, (v for v in dict.fromkeys(node.inputs)
                                          if v not in graph.constants)))  # fmt: skip
    inputs = {}
    for value, original in given.items():
        inputs[value.name] = _draw(value, generator) if real is None else real[original]
    if real is None:
        small.constants = {value: _draw(value, generator) for value in small.constants}
    try:
        made = [t.detach() for t in small(**inputs)]
    except Exception:  # noqa: BLE001  drawn tensors need not suit the call (indices out of range)
        return False
    save(small, str(path) + ".flexir")
    tensors = {f"input.{name}": t for name, t in inputs.items()}
    tensors.update({f"output.{i}": t for i, t in enumerate(made)})
    save_file({n: t.detach().to_dense().contiguous().clone() for n, t in tensors.items()},
              str(path) + ".safetensors")  # fmt: skip
    return True


def _draw(value: Value, generator: torch.Generator) -> torch.Tensor:
    kind, shape = value.type.dtype, value.type.shape
    if kind.is_floating_point or kind.is_complex:
        return torch.rand(shape, generator=generator).to(kind)
    return torch.randint(0, 2, shape, generator=generator).to(kind)


_HANDLERS = '''"""Handlers to write, with the configurations seen; test_handlers.py runs them."""

import flexir

ir = flexir.Target("mine")


def builder():
    """What handlers find as ctx.out: one graph of your representation, still empty."""
    return []


def run(result, inputs):
    """Run what a conversion made: ``result.output`` on ``inputs``, a list of tensors.

    Returns the list of outputs: tensors or arrays.
    """
    raise NotImplementedError("run your engine on result.output")
'''

_TESTS = '''"""Every sample is one call of a model: converted alone, run, compared with torch."""

from pathlib import Path

import flexir
import pytest
import torch
from safetensors.torch import load_file

import handlers  # isort: skip

SAMPLES = sorted((Path(__file__).parent / "samples").glob("*.safetensors"))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_handler(path):
    graph = flexir.load(path.with_suffix(".flexir"))
    tensors = load_file(path)
    result = flexir.convert(
        graph, target=handlers.ir, out=handlers.builder(), decompose=False
    )
    assert not result.report.entries, result.report
    names = [value.name for value in graph.input_values]
    made = handlers.run(result, [tensors[f"input.{name}"] for name in names])
    for number, tensor in enumerate(made):
        torch.testing.assert_close(
            torch.as_tensor(tensor),
            tensors[f"output.{number}"],
            rtol=1e-3,
            atol=1e-4,
            equal_nan=True,
        )
'''
