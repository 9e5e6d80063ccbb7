"""Complex numbers as pairs of real ones, for engines that have none.

A complex Value becomes two real ones. What is linear is done to each part, what is a product to
both, and a Fourier transform is a product with cosines and sines. Where one call has no rule, or
complex numbers go in or come out, the graph stays as it is, and the conversion names them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..errors import Unsupported
from ..graph import collector, tree
from ..graph.graph import Graph
from ..graph.nodes import Node, Value
from ..recording.recorder import record_run
from .decomposer import evaluate, relocate
from .edit import Edit, copy_node
from .pair_rules import RULES, Pair


@collector.paused()
def real_pairs(graph: Graph) -> Graph:
    """Write complex numbers as pairs of real ones, all of them or none.

    Example:
        >>> import torch, flexir
        >>> graph = flexir.capture(lambda x: torch.fft.rfft(x).abs(), (torch.ones(8),))
        >>> sorted({node.op for node in real_pairs(graph)})
        ['hypot', 'matmul']
    """
    nodes = [n for n in graph if any(map(_is_complex, (*n.inputs, *n.outputs)))]
    if not nodes or any(map(_is_complex, (*graph.input_values, *graph.results))):
        return graph
    edit = Edit(graph)
    pairs: dict[Value, Pair] = {}
    for node in nodes:
        for value in node.inputs:
            if _is_complex(value) and value not in pairs:
                tensor = edit.tensor(value)
                if tensor is None:
                    return graph
                re, im = tensor.real.contiguous(), tensor.imag.contiguous()
                pairs[value] = Pair(
                    edit.constant(f"{value.name}.re", re), edit.constant(f"{value.name}.im", im)
                )
        try:
            made = _rewritten(edit, node, pairs)
        except Unsupported:
            return graph
        for value, part in zip(node.outputs, made):
            if _is_complex(value):
                pairs[value] = part
            else:
                edit.replace(value, part)
        edit.drop(node)
    edit.lines.append(f"{len(nodes)} calls")
    return edit.build("real_pairs")


def _is_complex(value: Value) -> bool:
    return not value.is_number and not value.is_list and value.type.dtype.is_complex


def _rewritten(edit: Edit, node: Node, pairs: dict[Value, Pair]) -> list[Any]:
    """Real calls in front of a complex one; what stands for each of its results."""
    rule = RULES.get(node.op)
    live = any(v.is_number or v.is_list or v.type.is_live for v in (*node.inputs, *node.outputs))
    writes = node.effects.writes and node.op != "setitem"
    if rule is None or live or writes or node.effects.random:
        raise Unsupported(f"no rule for {node.op}")
    read = [v for value in dict.fromkeys(node.inputs) for v in pairs.get(value, (value,))]

    def run(tensors: list[Tensor]) -> Any:
        given = dict(zip(read, tensors))

        def look(value: Value) -> Any:
            pair = pairs.get(value)
            return given[value] if pair is None else Pair(given[pair.re], given[pair.im])

        return _flat(rule(node, tree.build(node.args, Value, look)))

    stand_ins = [torch.empty(v.type.shape, dtype=v.type.dtype, device="meta") for v in read]
    with torch.no_grad():
        small = record_run(run, (stand_ins,), {}, witness=False, functions=True)
    env: dict[Value, Value] = dict(zip(small.input_values, read))
    known: dict[Value, Tensor] = {}  # made of nothing: the cosines of a transform
    for piece in small:
        if piece.effects.escape is not None:
            continue
        copy = copy_node(piece, lambda v: env.get(v, v), lambda n: edit.name(f"{node.op}.{n}"))
        relocate(copy, node, node.outputs[0].type.device)
        env.update(zip(piece.outputs, copy.outputs))
        if known.keys() >= set(copy.inputs):
            known[copy.outputs[0]] = evaluate(copy, known)
            copy.outputs[0].producer = None
            continue
        for value in known.keys() & set(copy.inputs):
            edit.adopt(value, known[value])
        edit.insert(node, [copy])
    found = tree.substitute(small.outputs, Value, lambda v: env.get(v, v))
    for value in known.keys() & set(tree.leaves(found, Value)):
        edit.adopt(value, known[value])
    if any(map(_is_complex, (v for piece in small for v in piece.outputs))):
        raise Unsupported(f"{node.op} stays complex")
    parts = iter(found)
    made = [Pair(next(parts), next(parts)) if _is_complex(value) else next(parts)
            for value in node.outputs]  # fmt: skip
    for value, one in zip(node.outputs, made):
        if any(part.type.shape != value.type.shape for part in _values(one)):
            raise Unsupported(f"{node.op} has another shape")
    return made


def _values(one: Any) -> tuple[Value, ...]:
    return tuple(one) if isinstance(one, Pair) else (one,)


def _flat(made: Any) -> list[Tensor]:
    return [made] if isinstance(made, Tensor) else [part for one in made for part in _flat(one)]
