"""Golden values in a folder: ``values.safetensors`` and ``index.json``, for engines elsewhere."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ...checks.diagnose import distance
from ...graph.graph import Graph
from ...graph.nodes import Node
from ...graph.replay import replay


def golden(
    graph: Graph,
    path: str | os.PathLike[str],
    args: Sequence[Any],
    kwargs: dict[str, Any] | None = None,
) -> None:
    """Write every value of a run to ``path/values.safetensors``, with ``index.json`` in order.

    Keys are the Values' names as the graph prints them; the index gives op, module path, source
    line, shape and dtype of each. Needs the extra ``ir``.
    """
    from safetensors.torch import save_file

    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, torch.Tensor] = {}
    index: list[dict[str, Any]] = []

    def keep(node: Node, tensors: tuple[torch.Tensor, ...]) -> None:
        for value, tensor in zip(node.outputs, tensors):
            found[value.name] = tensor.detach().to_dense().cpu().clone().contiguous()
            index.append({"name": value.name, "op": node.op, "path": node.path,
                          "source": str(node.source or ""), "shape": list(value.type.shape),
                          "dtype": str(value.type.dtype).removeprefix("torch.")})  # fmt: skip

    replay(graph, args, kwargs, watch=keep)
    save_file(found, folder / "values.safetensors")
    (folder / "index.json").write_text(json.dumps(index, indent=1) + "\n")


def compare(a: str | os.PathLike[str], b: str | os.PathLike[str], rtol: float) -> list[str]:
    """A line per value of the first folder's index that differs or is missing in the second."""
    from safetensors import safe_open

    index = json.loads((Path(a) / "index.json").read_text())
    left: Any = safe_open(str(Path(a) / "values.safetensors"), "pt")
    right: Any = safe_open(str(Path(b) / "values.safetensors"), "pt")
    there, lines = set(right.keys()), []
    for entry in index:
        name = entry["name"]
        where = f"%{name} = {entry['op']}   # {entry['path']}  {entry['source']}"
        if name not in there:
            lines.append(f"missing           {where}")
            continue
        want, got = left.get_tensor(name), right.get_tensor(name)
        if want.shape != got.shape:
            lines.append(f"shape {tuple(got.shape)}  {where}")
            continue
        off, scale = distance(want, got)
        if off > rtol * scale:
            lines.append(f"{off / scale:9.2e}         {where}")
    return lines
