"""Calls on the meta device without torch's compiler.

What torch computes there in Python excludes itself from ``torch.compile`` when it is first called
(``torch._compile``), and imports the compiler for that: seconds, where a process has not done so.
Meanwhile a module stands for it that excludes nothing; whatever else is asked of it is the
compiler's, which is then imported. Owns what is put back: afterwards nothing tells of it.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import torch

_NAME = "torch._dynamo"
_MARK = "__dynamo_disable"  # where a function keeps itself as excluded


class _Aside(ModuleType):
    """Stands for the compiler."""

    def __init__(self) -> None:
        super().__init__(_NAME)
        self.asked: list[Any] = []

    def disable(self, fn: Any = None, *args: Any, **kwargs: Any) -> Any:
        """The function as it is."""
        if fn is None:  # it is asked for a decorator
            return self.__getattr__("disable")(*args, **kwargs)
        self.asked.append(fn)
        return fn

    def __getattr__(self, name: str) -> Any:
        self.leave()
        return getattr(importlib.import_module(_NAME), name)

    def leave(self) -> None:
        """Let the compiler be imported by whoever asks for it."""
        if sys.modules.get(_NAME) is self:
            del sys.modules[_NAME]
        if vars(torch).get("_dynamo") is self:
            del torch._dynamo


@contextlib.contextmanager
def no_compiler() -> Iterator[None]:
    """Context manager: what works on the meta device does not import torch's compiler for it."""
    if _NAME in sys.modules:
        yield
        return
    aside = sys.modules[_NAME] = _Aside()
    try:
        yield
    finally:
        aside.leave()
        for function in aside.asked:
            vars(function).pop(_MARK, None)
