"""What the targets here are used through: convert, run, save, the same for all of them.

A target gives a :class:`Door` what is its own: the passes a graph goes through first, a function
that runs tensors by name through the engine, and one that writes files. Knows no engine.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import torch

import flexir

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Door:
    """Convert, run and save through one target.

    Args:
        target: its handlers. ``target.run`` becomes ``engine``, for ``result.run``,
            ``flexir.hybrid`` and ``flexir.check_handlers``.
        engine: runs what was made: ``engine(output, tensors)``, by name in and out. Where it gives
            other dtypes or shapes than torch does (without a batch, say), torch's are given back.
        write: writes a file, or several beside it: ``write(output, path)``.
        prepare: passes over the graph, in order.
        sizes: whether further examples make sizes live; else they are refused.
        partial: whether a file can show placeholders; else what has some is not written.
    """

    target: flexir.Target
    engine: Callable[[Any, Tensors], Tensors]
    write: Callable[[Any, str], None]
    prepare: Sequence[Callable[[flexir.Graph], flexir.Graph]] = ()
    sizes: bool = False
    partial: bool = False
    _made: Any = field(default_factory=WeakKeyDictionary, repr=False)

    def __post_init__(self) -> None:
        @self.target.run
        def run(result: flexir.Result, tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
            named = {v.name: tensor for v, tensor in zip(result.graph.input_values, tensors)}
            made = self._through(result.output, result.graph, named)
            return [made[name] for name in result.graph.output_names.values()]

    def convert(
        self,
        model: Any,
        args: Any = (),
        kwargs: dict[str, Any] | None = None,
        *,
        also: Any = (),
        strict: bool = False,
        **config: Any,
    ) -> flexir.Result:
        """Convert a model, or a Graph.

        Args:
            model: a module, a callable or a Graph.
            args: inputs of the model, nothing for a Graph.
            kwargs: keyword inputs.
            also: further examples, where the engine takes more than one size.
            strict: raise if anything is not in the output.
            config: what the target lets one choose: ``opset=18``.

        Returns:
            a Result; ``output`` is for :meth:`run` and :meth:`save`.

        Raises:
            Error: ``also`` was given, and the engine takes one size.
        """
        if also and not self.sizes:
            raise flexir.Error(
                f"{self.target.name} takes one size: convert each example by itself, without also="
            )
        chosen = self.target.configuration(config)
        with torch.no_grad():
            graph = model
            if not isinstance(model, flexir.Graph):
                graph = flexir.capture(model, args, kwargs, also=also)
            for one in self.prepare:
                graph = one(graph)
            assert self.target.builder is not None
            out = self.target.builder(**chosen)
            result = flexir.convert(graph, self.target, out=out, strict=strict, config=chosen)
        lacking = sorted({entry.op for entry in result.report.entries})
        self._made[result.output] = result.graph, lacking
        return result

    def run(self, output: Any, *args: Any, **kwargs: Any) -> Any:
        """Run a converted model on the engine.

        Args:
            output: what ``convert`` made.
            args: as for the model.
            kwargs: as for the model.

        Returns:
            what the model returns, in its structure.

        Raises:
            Diverged: the inputs do not fit those recorded.
            UnsupportedError: there are placeholders in it.
        """
        graph = self._whole(output)
        return graph.arrange(self._through(output, graph, graph.bind(*args, **kwargs)))

    def save(self, output: Any, path: str | os.PathLike[str]) -> None:
        """Write a converted model to a file of the engine's own format."""
        if not self.partial:
            self._whole(output)
        self.write(output, os.fspath(path))

    def _whole(self, output: Any) -> flexir.Graph:
        if output not in self._made:
            raise flexir.Error(f"{output!r:.60} was not made by convert")
        graph: flexir.Graph
        graph, lacking = self._made[output]
        if lacking:
            raise flexir.UnsupportedError(
                f"placeholders do not run: {', '.join(lacking)}. print(result.report) says why"
            )
        return graph

    def _through(self, output: Any, graph: flexir.Graph, tensors: Tensors) -> Tensors:
        given = {name: t.detach().resolve_conj().resolve_neg() for name, t in tensors.items()}
        made = self.engine(output, given)
        found = {}
        for value, name in graph.output_names.items():
            tensor = made[name].to(value.type.dtype)
            found[name] = tensor if self.sizes else tensor.reshape(value.type.shape)
        return found
