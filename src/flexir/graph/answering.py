"""A user's own code runs, and calls of the model in it are answered by a Program.

Owns the overrides of ``forward`` by which calls of a model and its parts are caught, and which
entry point a call is for. Computes nothing; that is :mod:`.run`'s matter, or an engine's.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import torch

from ..errors import Diverged
from .inputs import bind_inputs, first_that
from .left import put_back, results_in
from .program import Program, ProgramRun

# answer(path of the module, its own forward, args, kwargs) -> what the caller gets
Answer = Callable[[str, Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]


class ForwardOverrides:
    """Another ``forward`` for a model and for every module in it that has weights.

    While an answer is under way the modules are as they were, so the model can be part of it.
    """

    def __init__(self, model: torch.nn.Module, answer: Answer) -> None:
        self._answer = answer
        self._overrides = []
        for path, module in model.named_modules():
            if path and (isinstance(module, torch.jit.ScriptModule) or not _has_weights(module)):
                continue  # answered by itself
            own = vars(module).get("forward")
            self._overrides.append((vars(module), own, self._override(path, module.forward)))

    def _override(self, path: str, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)  # so that it has its signature
        def forward(*args: Any, **kwargs: Any) -> Any:
            self.remove()
            try:
                return self._answer(path, original, args, kwargs)
            finally:
                self.install()

        return forward

    def install(self) -> None:
        """Let calls be answered."""
        for attributes, _, forward in self._overrides:
            attributes["forward"] = forward

    def remove(self) -> None:
        """Leave the modules as they were found."""
        for attributes, own, _ in self._overrides:
            if own is None:
                attributes.pop("forward", None)
            else:
                attributes["forward"] = own


def _has_weights(module: torch.nn.Module) -> bool:
    tensors = (*module._parameters.values(), *module._buffers.values())
    return any(t is not None for t in tensors) or any(map(_has_weights, module.children()))


@contextlib.contextmanager
def answered_by(model: torch.nn.Module, answer: Answer) -> Iterator[None]:
    """Let calls of a module and of its parts be answered otherwise while the block runs."""
    overrides = ForwardOverrides(model, answer)
    overrides.install()
    try:
        yield
    finally:
        overrides.remove()


@contextlib.contextmanager
def answering(
    program: Program, model: torch.nn.Module, run: Callable[..., Any] | None = None
) -> Iterator[ProgramRun]:
    """See :meth:`Program.answering`."""
    started = program.start()

    def answer(path: str, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        entries = {n: g for n, g in program.items() if program.modules.get(n, "") == path}
        if not entries:
            raise Diverged(
                f"{path or 'the model'} is called, and no entry point is for it; there are "
                f"{', '.join(program)}. Record a run in which it is called"
            )
        reasons = []
        for entry, graph in entries.items():
            try:
                taken = first_that(
                    (graph, *graph.variants),
                    lambda one: bind_inputs(one, args, kwargs, {}, as_given=True),
                )
                if run is None:
                    return started[entry].answer(*args, **kwargs)
                made = run(entry, *args, **kwargs)
                return put_back(taken, args, kwargs, results_in(taken, made))
            except Diverged as error:
                reasons.append(f"  {entry}: {error}")
        raise Diverged("no entry point takes this call\n" + "\n".join(reasons))

    with answered_by(model, answer):
        yield started
