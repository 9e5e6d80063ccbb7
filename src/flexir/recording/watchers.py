"""The two modes that see a run: torch's public calls above, the ATen ops beneath.

They hand what they see to a recorder and know nothing of graphs. ``recorder.busy`` is true while
the recorder itself calls torch; ``recorder.running`` is the recorded call that is running.
"""

from __future__ import annotations

import functools
import sys
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from ..calls.names import ABOUT, MEMORY, METADATA, is_torch_module

_HigherOrder = torch._ops.HigherOrderOperator
_APART = METADATA | ABOUT | MEMORY
_functorch_level = torch._C._functorch.maybe_current_level
_FUNCTIONS = frozenset({type(torch.relu), type(torch.Tensor.relu), type(torch.Tensor.backward)})


class FunctionWatch(TorchFunctionMode):
    """Sees the public torch calls."""

    def __init__(self, recorder: Any) -> None:
        super().__init__()
        self.recorder = recorder

    def __torch_function__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        if func not in _APART and _functorch_level() is None:
            if func.__class__ in _FUNCTIONS or not isinstance(func, _HigherOrder):
                return self.recorder.call(func, args, kwargs or {}, sys._getframe(1))
            return self.through(func, args, kwargs or {})  # torch.cond, ...
        if func in METADATA or _functorch_level() is not None:
            result = func(*args, **kwargs) if kwargs else func(*args)
            return result if self.recorder.numbers is None else self.recorder.escapes.numbered(
                func, args, kwargs, result)  # fmt: skip
        if func in ABOUT:
            result = func(*args, **kwargs) if kwargs else func(*args)
            if self.recorder.numbers is not None and func is torch.Tensor.stride:
                return self.recorder.escapes.numbered(func, args, kwargs, result)
            self.recorder.escapes.asked(func, args, kwargs or {}, result, sys._getframe(1))
            return result
        if is_torch_module(sys._getframe(1).f_globals.get("__name__")):
            return func(*args, **kwargs) if kwargs else func(*args)  # torch keeps it to itself
        return self.recorder.call(func, args, kwargs or {}, sys._getframe(1))

    def through(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        """Run an operator that calls Python functions so that what it does inside is seen.

        Its eager kernel is entered directly, with the modes on: a branch it takes is a guard,
        the calls of its functions are nodes.
        """
        kernel = functools.partial(func.dispatch, torch._C.DispatchKey.CompositeExplicitAutograd)
        witness = self.recorder.witness
        try:
            with self:
                return kernel(*args, **kwargs)
        except AssertionError as error:  # said before it does anything, by kernels like cond's
            if witness is None or "Mode should never be enabled" not in str(error):
                raise
        torch._C._pop_torch_dispatch_stack(None)
        try:
            with self:
                return kernel(*args, **kwargs)
        finally:
            torch._C._push_on_torch_dispatch_stack(witness)


class Witness(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees the ATen ops."""

    def __init__(self, recorder: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.recorder = recorder

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Keep torch from wrapping the method below, which would import the compiler."""
        return False

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        recorder = self.recorder
        if recorder.busy:
            return func(*args, **kwargs) if kwargs else func(*args)
        with torch._C.DisableTorchFunction():
            if recorder.running is not None:
                recorder.below(func, args, kwargs or {})
                return func(*args, **kwargs) if kwargs else func(*args)
            recorder.fallback += 1
            result = recorder.call(func, args, kwargs or {}, sys._getframe(1))
            recorder.table.forget_versions(result)
            return result
