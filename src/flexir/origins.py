"""Where a tensor that no call made comes from: a weight, a module's attribute, a global.

Owns the survey of a model's modules and tensors, and the search for the rest. A tensor found
nowhere was made during the run by something no watcher sees; saying so is the recorder's task.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


def survey(model: Any) -> tuple[dict[int, Any], dict[int, Any]]:
    """Paths of modules and names of tensors, by identity.

    Returns:
        id -> (path, module), and id -> (tensor, (kind, names)). Both keep their objects alive,
        so an id cannot come to mean another object.
    """
    paths: dict[int, Any] = {}
    tensors: dict[int, Any] = {}
    stack: list[tuple[str, Any]] = [("", model)] if isinstance(model, torch.nn.Module) else []
    while stack:
        path, module = stack.pop()
        prefix = path + "." if path else ""
        _name_all("parameter", prefix, module._parameters, tensors)
        _name_all("buffer", prefix, module._buffers, tensors)
        for name, part in vars(module).items():
            if part.__class__ not in _NO_TENSORS and issubclass(type(part), torch.Tensor):
                _name_all("attribute", prefix, {name: part}, tensors)
        if id(module) in paths:  # a shared module: its tensors got one more name
            continue
        paths[id(module)] = (path, module)
        for name, child in reversed(list(module._modules.items())):
            if child is not None:
                stack.append((prefix + name, child))
    return paths, tensors


_NO_TENSORS = frozenset({bool, int, float, str, type(None), dict, list, tuple, OrderedDict, set})


def _name_all(kind: str, prefix: str, group: dict[str, Any], tensors: dict[int, Any]) -> None:
    for name, tensor in group.items():
        if tensor is None:
            continue
        if id(tensor) in tensors:  # tied: one tensor, several names
            _, (kind, names) = tensors[id(tensor)]
            tensors[id(tensor)] = (tensor, (kind, (*names, prefix + name)))
        else:
            tensors[id(tensor)] = (tensor, (kind, (prefix + name,)))


def search_modules(
    tensor: torch.Tensor, frames: Sequence[Any]
) -> tuple[str, tuple[str, ...]] | None:
    """A tensor kept in an attribute of a module under way, also inside containers and objects."""
    for frame in reversed(frames):
        if frame.module is None:
            continue
        module = frame.module
        for name, part in [
            *vars(module).items(),
            *module._parameters.items(),
            *module._buffers.items(),
        ]:
            if name in ("_parameters", "_buffers", "_modules"):
                continue
            found = _find(part, tensor, name, 4)
            if found:
                return "attribute", (f"{frame.path}.{found}".lstrip("."),)
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
    elif hasattr(part, "__dict__") and not callable(part):
        items = vars(part).items()
    for key, inner in list(items):
        found = _find(inner, tensor, f"{name}.{key}", depth - 1)
        if found:
            return found
    return None


def search_globals(tensor: torch.Tensor, frame: Any) -> str | None:
    """A tensor that a function on the stack reaches from its globals, closure or defaults."""
    while frame is not None:
        code = frame.f_code
        names = (*code.co_names, *code.co_freevars)
        for name in names:
            part = frame.f_globals.get(name)
            if part is None and name in code.co_freevars:
                part = frame.f_locals.get(name)
            found = _find(part, tensor, name, 3) if part is not None else None
            if found:
                return found
        self_object = frame.f_locals.get("self")
        if self_object is not None and not hasattr(self_object, "memories"):
            found = _find_in(self_object, tensor)
            if found:
                return found
        if frame.f_back is None or code.co_name == "run" and "recorder" in frame.f_locals:
            return None
        frame = frame.f_back
    return None


def _find_in(obj: Any, tensor: torch.Tensor) -> str | None:
    attributes = getattr(obj, "__dict__", None)
    if not isinstance(attributes, dict) or isinstance(obj, TorchFunctionMode):
        return None
    for name, part in list(attributes.items()):
        found = _find(part, tensor, f"{type(obj).__name__}.{name}", 3)
        if found:
            return found
    return None
