"""What ``torch.compile`` made runs as plain Python during a run.

Owns the wait for the compiler to be imported; never imports it.
"""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.util
import sys
from collections.abc import Iterator
from typing import Any

import torch

from .standing_in import originals


@contextlib.contextmanager
def eager_compilers() -> Iterator[None]:
    """Context manager: what ``torch.compile`` made runs as plain Python, also if it is made inside.

    The compiler takes over a second to import, so it is told only once it is loaded.
    """
    with contextlib.ExitStack() as stack:

        def tell() -> None:
            stack.enter_context(torch.compiler.set_stance("force_eager"))

        if "torch._dynamo" in sys.modules:
            tell()
        else:
            finder = _WhenLoaded("torch._dynamo", tell)
            sys.meta_path.insert(0, finder)
            stack.callback(finder.leave)
        yield


class _WhenLoaded(importlib.abc.MetaPathFinder):
    """Calls back once a module has been imported, and is gone."""

    def __init__(self, name: str, callback: Any) -> None:
        self.name, self.callback = name, callback

    def leave(self) -> None:
        """Stop waiting."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != self.name:
            return None
        self.leave()
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            return spec
        execute, callback = spec.loader.exec_module, self.callback

        def exec_module(module: Any) -> None:
            with originals():
                execute(module)
            callback()

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec
