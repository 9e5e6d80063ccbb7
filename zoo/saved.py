"""Save a model's graph here, replay it in a process that cannot import the model's package.

``write`` runs beside the model, ``Reader`` owns the other process. Inputs and outputs travel as
safetensors files beside the graph.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from flexir.fleet import process

# What the reading process must do without: the packages the models come from.
BLOCKED = ("torchvision", "timm", "transformers")


def write(graph: Any, args: Any, kwargs: dict[str, Any], outputs: Any, folder: Path) -> None:
    """Save a graph, the tensors it was called with, and what it must return."""
    from safetensors.torch import save_file

    from flexir.graph import tree
    from flexir.graph.inputs import bind_inputs

    graph.save(str(folder / "net.flexir"))
    env: dict[Any, Any] = {}
    bind_inputs(graph, args, kwargs, env)
    inputs = {value.name: plain(env[value]) for value in graph.input_values}
    found: list[Any] = []
    tree.template(outputs, found.append, deep=True)
    save_file(inputs, folder / "inputs.safetensors")
    save_file({str(i): plain(t) for i, t in enumerate(found)}, folder / "outputs.safetensors")


def plain(tensor: Any) -> Any:
    return tensor.detach().clone().contiguous()


def read(folder: Path) -> str:
    """Load, replay and compare; ``"exact"`` or what differs."""
    import torch
    from safetensors.torch import load_file

    import flexir
    from flexir.graph import tree

    graph = flexir.load(folder / "net.flexir")
    inputs = load_file(folder / "inputs.safetensors")
    expected = load_file(folder / "outputs.safetensors")
    named = tree.build(graph.inputs, flexir.Value, lambda v: inputs[v.name])
    args: list[Any] = []
    for name, kind in graph.parameters:
        if kind == 2 and name in named:  # *args; what stands before it is positional, too
            before = [n for n, k in graph.parameters if k < 2 and n in named]
            args = [named.pop(n) for n in before] + list(named.pop(name))
        elif kind == 4 and name in named:  # **kwargs
            named.update(named.pop(name))
    found: list[torch.Tensor] = []
    with torch.no_grad():
        tree.template(graph(*args, **named), found.append, deep=True)
    if len(found) != len(expected):
        return f"{len(found)} tensors came back, {len(expected)} were expected"
    for number, tensor in enumerate(found):
        other = expected[str(number)]
        same = tensor.dtype == other.dtype and tensor.shape == other.shape
        if not same or not torch.equal(tensor.nan_to_num(), other.nan_to_num()):
            return f"output {number} differs"
    return "exact"


class Reader:
    """The other process."""

    def __init__(self) -> None:
        self.process = process.Process("zoo.saved", batch=1000)

    def ask(self, folder: Path) -> str:
        """The verdict on one folder."""
        try:
            return self.process.ask(str(folder), 300)
        except process.Gone as gone:
            return f"reading: {gone}"


class _Blocked:
    """Refuses to import the packages the models come from."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name.split(".")[0] in BLOCKED:
            raise ImportError(f"{name} is not to be had here")


def main() -> None:
    def prepare() -> None:
        sys.meta_path.insert(0, _Blocked())  # type: ignore[arg-type]
        import torch

        torch.set_num_threads(1)
        from zoo.torchvision_ops import define

        define()  # compiled operators are part of the runtime, not of a model's source

    def answer(folder: str) -> str:
        try:
            return read(Path(folder))
        except Exception as error:  # noqa: BLE001  the answer is the failure
            return f"{type(error).__name__}: {error}"[:500]

    process.serve(answer, prepare)


if __name__ == "__main__":
    main()
