"""Golden values in a folder: ``values.safetensors`` and ``index.json``, for engines elsewhere.

Owns these two files, written from a replay and compared with others of their kind; no graph is
needed to read them.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ...checks.diagnose import distance
from ...graph.graph import Graph
from ...graph.nodes import Node
from ...graph.program import one_graph
from ...graph.replay import replay


def golden(
    graph: Graph,
    path: str | os.PathLike[str],
    args: Sequence[Any],
    kwargs: dict[str, Any] | None = None,
) -> None:
    """Write every value of a run to ``path/values.safetensors``, with ``index.json`` in order.

    Keys are the Values' names as the graph prints them, in a loop with ``#`` and the round from
    the second on; lists are stacked. The index gives op, module path, source line, shape and
    dtype of each. Needs the extra ``ir``.

    Args:
        graph: of the model.
        path: the folder, made if it is not there; these two files are replaced.
        args: inputs as the model took them; tensors of the recorded shapes and dtypes.
        kwargs: keyword inputs.

    Raises:
        Error: a Program; its entry points are graphs.
        Diverged: the inputs do not fit the graph.
    """
    from safetensors.torch import save_file

    graph = one_graph(graph, "golden")
    folder = Path(path)
    folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, torch.Tensor] = {}
    index: list[dict[str, Any]] = []
    rounds: Counter[str] = Counter()

    def keep(node: Node, made: tuple[Any, ...]) -> None:
        for value, one in zip((v for v in node.outputs if not v.is_number), made):
            if value.is_list and not one:
                continue  # a loop of no rounds
            tensor = (torch.stack(one) if value.is_list else one).detach().to_dense().cpu()
            rounds[value.name] += 1
            name = value.name if rounds[value.name] == 1 else f"{value.name}#{rounds[value.name]}"
            found[name] = tensor.clone().contiguous()
            index.append({"name": name, "op": node.op, "path": node.path,
                          "source": str(node.source or ""), "shape": list(tensor.shape),
                          "dtype": str(tensor.dtype).removeprefix("torch.")})  # fmt: skip

    replay(graph, args, kwargs, watch=keep)
    save_file(found, folder / "values.safetensors")
    (folder / "index.json").write_text(json.dumps(index, indent=1) + "\n")


def differing(a: str | os.PathLike[str], b: str | os.PathLike[str], rtol: float) -> list[str]:
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
