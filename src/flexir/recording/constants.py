"""Where a tensor that no call made comes from: a weight, a module's attribute, a global.

Owns the search for what the look at the model before the run (``state``) did not name, and the
names of values that are no call's. A tensor found nowhere was made during the run by something no
watcher sees, and that is said, never passed over.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from types import CodeType, ModuleType
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from ..graph.account import Origin
from ..graph.check import free_name
from ..graph.geometry import copy_like, storage_of, tensor_type
from ..graph.nodes import Value
from ..graph.source import PACKAGE, Source, locate
from ..graph.tree import parts_of
from .memory import Alias
from .state import Holdings


class Origins:
    """The constants of a run.

    Attributes:
        holdings: what the model held before the run.
        entry: code of the frame that runs the model; the caller's frames lie beyond it.
        initial: id of one of ``tensors`` -> its Value as the run began.
        paths: id of a module -> (path, module).
        tensors: id of a weight or attribute -> (tensor, kind, names).
        constants, origins: what becomes the graph's.
        problems: a line for everything the graph cannot vouch for.
        frames: the module calls under way.
        escaped: lines where values left torch for Python.
        lifting: the call under way wraps data that Python has just made.
        ages: what the run makes can be told from what was there before by its age.
    """

    def __init__(self, model: Any, entry: CodeType, held: Holdings | None = None) -> None:
        """Look at a model, unless ``held`` is what it holds."""
        self.holdings = Holdings(model) if held is None else held
        self.paths, self.tensors = self.holdings.paths, self.holdings.tensors
        self.entry = entry
        self.initial: dict[int, Value] = {}
        self.constants: dict[Value, torch.Tensor] = {}
        self.origins: dict[Value, Origin] = {}
        self.problems: list[str] = []
        self.frames: list[Any] = []
        self.escaped: list[Source] = []
        self.names: set[str] = set()
        self.lifting = self.ages = False

    def unique(self, name: str) -> str:
        """A value name not taken yet."""
        return free_name(name, self.names)

    def origin(self, tensor: torch.Tensor, written: bool) -> Value:
        """Name a tensor no call has made: a weight, a constant, or something unseen.

        Args:
            tensor: what was met.
            written: whether the run has written its memory.
        """
        known = self.tensors.get(id(tensor))
        if known is not None and not written:
            _, kind, names = known
            name = names[0]
            if name in self.names:
                name = self.unique(name)
            self.names.add(name)
            value = Value(name, tensor_type(tensor))
            value.names = names
            self.origins[value] = _ORIGINS[kind]
            self.constants[value] = tensor
            self.initial[id(tensor)] = value
            return value
        frame = sys._getframe(2)
        source = locate(frame)
        kind, names = self._kind(tensor, written, frame)
        value = Value(self.unique(names[0]), tensor_type(tensor))
        value.names = names
        escaped = tuple(self.escaped) if kind == "unseen" else ()
        self.origins[value] = Origin(kind, source, escaped)
        self.constants[value] = tensor if kind != "unseen" else copy_like(tensor.detach())
        if kind == "unseen" and not written:
            text = f"{value!r} was made during the run by code no watcher sees, used at {source}"
            if escaped:
                text += f"; it may depend on values that left torch at {escaped[-1]}"
            self.problems.append(text)
        return value

    def _kind(self, tensor: torch.Tensor, written: bool, frame: Any) -> tuple[str, tuple[str, ...]]:
        """Origin and names of a tensor that is no weight or attribute of a known module."""
        if written:
            return "unseen", ("unseen",)
        young = self.ages and _is_young(tensor)
        if not young and (known := search_modules(tensor, self.frames)) is not None:
            return known
        if not young and (name := search_globals(tensor, frame, self.entry)) is not None:
            return "global", (name,)
        if self.lifting and _owns_memory(tensor):
            return "python", ("literal",)
        if self.ages and not young:
            return "cached", ("cached",)
        return "unseen", ("unseen",)

    def unseen(self, tensor: torch.Tensor, alias: Alias) -> None:
        """Memory changed and no recorded call wrote it."""
        source = locate(sys._getframe(2))
        self.problems.append(
            f"the memory of {alias.value!r} was written by code no watcher sees, before {source}"
        )
        memory = alias.memory
        memory.epoch += 1  # what is there now is no longer the constant it was


_ORIGINS = {
    kind: Origin(kind) for kind in ("parameter", "buffer", "attribute", "default", "global")
}


def _owns_memory(tensor: torch.Tensor) -> bool:
    """Whether a tensor's memory is torch's own, not borrowed from NumPy and the like."""
    storage = storage_of(tensor)
    return storage is not None and storage.resizable()


def _is_young(obj: Any) -> bool:
    """Whether the garbage collector has never looked at an object."""
    return any(obj is other for other in gc.get_objects(generation=0))


def search_modules(
    tensor: torch.Tensor, frames: Sequence[Any]
) -> tuple[str, tuple[str, ...]] | None:
    """A tensor kept in an attribute of a module under way, also inside containers and objects."""
    for frame in reversed(frames):
        module, path = frame.node.target, frame.node.path
        if module is None:
            continue
        for name, part in [
            *vars(module).items(),
            *module._parameters.items(),
            *module._buffers.items(),
        ]:
            if name in ("_parameters", "_buffers", "_modules"):
                continue
            found = _find(part, tensor, name, 4)
            if found:
                return "attribute", (f"{path}.{found}".lstrip("."),)
    return None


_CLOSED = (str, int, float, torch.Tensor, torch.nn.Module, type, ModuleType, TorchFunctionMode)


def _find(part: Any, tensor: torch.Tensor, name: str, depth: int) -> str | None:
    """The path from ``part`` to a tensor through containers and attributes."""
    if part is tensor:
        return name
    if depth == 0 or isinstance(part, _CLOSED):
        return None
    items: Any = ()
    if isinstance(part, dict):
        items = part.items()
    elif isinstance(part, (list, tuple)):
        items = enumerate(part)
    elif not callable(part):
        items = parts_of(part).items()
    for key, inner in list(items):
        found = _find(inner, tensor, f"{name}.{key}", depth - 1)
        if found:
            return found
    return None


def search_globals(tensor: torch.Tensor, frame: Any, entry: CodeType) -> str | None:
    """A tensor that a function on the stack reaches from its globals, closure or defaults.

    The caller of the capture, beyond the frame of ``entry``, is not asked: what it holds, the model
    need not have had.
    """
    while frame is not None and frame.f_code is not entry:
        code = frame.f_code
        if code.co_filename.startswith(PACKAGE):
            frame = frame.f_back
            continue
        names = (*code.co_names, *code.co_freevars)
        for name in names:
            scope = frame.f_locals if name in code.co_freevars else frame.f_globals
            part = scope.get(name)
            found = _find(part, tensor, name, 3) if part is not None else None
            if found:
                return found
        self_object = frame.f_locals.get("self")
        if self_object is not None:
            found = _find_in(self_object, tensor)
            if found:
                return found
        frame = frame.f_back
    return None


def _find_in(obj: Any, tensor: torch.Tensor) -> str | None:
    if isinstance(obj, TorchFunctionMode):
        return None
    for name, part in list(parts_of(obj).items()):
        found = _find(part, tensor, f"{type(obj).__name__}.{name}", 3)
        if found:
            return found
    return None
