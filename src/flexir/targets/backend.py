"""What the targets here are used through: convert, run, save, the same for all of them.

A target gives a :class:`Backend` what is its own: the passes a graph goes through first, a function
that runs tensors by name through the engine, and one that writes files. Where an engine takes one
size, a graph of live sizes is converted for each combination that is run. Knows no engine.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch.utils._pytree import tree_leaves

import flexir

Tensors = dict[str, torch.Tensor]


@dataclass
class _Made:
    """What is known of an output; nothing in it may lead back to the output itself.

    Attributes:
        graph: what was converted.
        lacking: ops that are placeholders in it.
        live: the graph of live sizes, of one of which this output is.
        config: with what it is converted for others.
        key: the sizes it is for.
        sized: outputs for others.
    """

    graph: flexir.Graph
    lacking: list[str]
    live: flexir.Graph | None = None
    config: Any = None
    key: Any = None
    sized: dict[Any, Any] = field(default_factory=dict)


def _key(args: Any, kwargs: Any) -> Any:
    """The sizes and words of inputs."""
    inputs = args if isinstance(args, flexir.Inputs) else flexir.Inputs(*_listed(args))
    leaves = tree_leaves((inputs.args, {**inputs.kwargs, **(kwargs or {})}))
    return tuple(tuple(x.shape) if isinstance(x, torch.Tensor) else repr(x) for x in leaves)


def _listed(args: Any) -> Any:
    return (args,) if isinstance(args, torch.Tensor) else args


@dataclass(frozen=True)
class Backend:
    """Convert, run and save through one target.

    Args:
        target: its handlers. ``target.run`` becomes ``engine``, for ``result.run``,
            ``flexir.hybrid`` and ``flexir.check_handlers``.
        engine: runs what was made: ``engine(output, tensors)``, by name in and out. Where it gives
            other dtypes or shapes than torch does (without a batch, say), torch's are given back.
        write: writes a file, or several beside it: ``write(output, path)``.
        prepare: passes over the graph, in order.
        sizes: whether the engine takes live sizes; else the graph is converted for each it meets.
        partial: whether a file can show placeholders; else what has some is not written.
        carry: runs tensors and state, by path: ``carry(output, tensors, state)`` gives outputs and
            state. There is none at the first call.
        told: notes in an output what its Result says: ``told(output, result)``.
    """

    target: flexir.Target
    engine: Callable[[Any, Tensors], Tensors]
    write: Callable[[Any, str], None]
    prepare: Sequence[Callable[[flexir.Graph], flexir.Graph]] = ()
    sizes: bool = False
    partial: bool = False
    carry: Callable[[Any, Tensors, Tensors], tuple[Tensors, Tensors]] | None = None
    told: Callable[[Any, Any], None] | None = None
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
            args: inputs of the model; for a Graph, those of the first size, if its sizes are live.
            kwargs: keyword inputs.
            also: further examples, as for ``capture``: sizes that differ are live.
            strict: raise if anything is not in the output.
            config: what the target lets one choose: ``opset=18``.

        Returns:
            a Result; ``output`` is for :meth:`run` and :meth:`save`.

        Raises:
            Error: values decide which of several graphs the examples are.
        """
        with torch.no_grad():
            graph = model
            if not isinstance(model, flexir.Graph):
                graph = flexir.capture(model, args, kwargs, also=also)
        if self.sizes:
            return self._converted(graph, strict, config)
        fixed = graph.at(args, kwargs, blocks=True)
        result = self._converted(fixed, strict, config)
        if fixed is not graph:
            made = self._made[result.output]
            made.live, made.config, made.key = graph, config, _key(args, kwargs)
        return result

    def _converted(self, graph: flexir.Graph, strict: bool, config: Any) -> flexir.Result:
        chosen = self.target.configuration(config)
        with torch.no_grad():
            for one in self.prepare:
                graph = one(graph)
            assert self.target.builder is not None
            out = self.target.builder(**chosen)
            result = flexir.convert(graph, self.target, out=out, strict=strict, config=chosen)
        lacking = sorted({entry.op for entry in result.report.entries})
        self._made[result.output] = _Made(result.graph, lacking)
        if self.told is not None:
            self.told(result.output, result)
        return result

    def at(self, output: Any, *args: Any, **kwargs: Any) -> Any:
        """The output for inputs of these sizes; made when they are first met.

        Args:
            output: what ``convert`` made.
            args: as for the model.
            kwargs: as for the model.

        Raises:
            Diverged: the inputs do not fit those recorded.
        """
        made, key = self._known(output), _key(args, kwargs)
        if made.live is None or key == made.key:
            return output
        if key not in made.sized:
            graph = made.live.at(args, kwargs, blocks=True)
            made.sized[key] = self._converted(graph, False, made.config).output
        return made.sized[key]

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
        output = self.at(output, *args, **kwargs)
        graph = self._whole(output)
        return graph.arrange(self._through(output, graph, graph.bind(*args, **kwargs)))

    def start(self, output: Any) -> Calls:
        """Calls in a row: what one leaves behind, the next begins with.

        Args:
            output: what ``convert`` made.

        Example:
            ``step = start(output); step(x1); step(x2); step.state``
        """
        return Calls(self, output)

    def save(self, output: Any, path: str | os.PathLike[str]) -> None:
        """Write a converted model to a file of the engine's own format, of the first size."""
        if not self.partial:
            self._whole(output)
        self.write(output, os.fspath(path))

    def _known(self, output: Any) -> _Made:
        if output not in self._made:
            raise flexir.Error(f"{output!r:.60} was not made by convert")
        made: _Made = self._made[output]
        return made

    def _whole(self, output: Any) -> flexir.Graph:
        made = self._known(output)
        if made.lacking:
            lacking = ", ".join(made.lacking)
            raise flexir.UnsupportedError(
                f"placeholders do not run: {lacking}. print(result.report) says why"
            )
        return made.graph

    def _through(
        self, output: Any, graph: flexir.Graph, tensors: Tensors, state: Tensors | None = None
    ) -> Tensors:
        """Run, and what torch would have given, by name; ``state`` becomes that after the call."""
        given = {name: torch.as_tensor(t).detach().resolve_conj().resolve_neg()
                 for name, t in tensors.items()}  # fmt: skip
        if state is not None and self.carry is not None:
            made, left = self.carry(output, given, state)
            state.update(left)
        else:
            made = self.engine(output, given)
        found = {}
        for value, name in graph.output_names.items():
            tensor = made[name].to(value.type.dtype)
            if value.is_number:
                type: Any = value.type
                found[name] = type.kind(tensor.item())
            else:
                found[name] = tensor if self.sizes else tensor.reshape(value.type.shape)
        return found


class Calls:
    """A converted model with a memory, as ``start`` makes it.

    Attributes:
        state: path -> the tensor that stands there now; nothing before the first call.
    """

    def __init__(self, backend: Backend, output: Any) -> None:
        self._backend, self._output = backend, output
        self.state: Tensors = {}
        graph = backend._whole(output)
        lost = graph.audit.changes or backend.carry is None and graph.state
        if lost:
            raise flexir.Error(
                f"a second call is another, and {backend.target.name} cannot carry on what the "
                f"first left behind: {lost[0]}"
            )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The next call: what the model returns, in its structure."""
        output = self._backend.at(self._output, *args, **kwargs)
        graph = self._backend._whole(output)
        named = graph.bind(*args, **kwargs)
        return graph.arrange(self._backend._through(output, graph, named, self.state))
