"""What the words of a command line mean: models, saved graphs, inputs and targets."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

import torch

from ..capture import capture
from ..errors import Error
from ..graph import Graph
from ..target import Target

_SPEC = re.compile(
    r"^(?:(?P<name>[A-Za-z_]\w*)=)?(?P<shape>\d+(?:x\d+)*|scalar)(?::(?P<dtype>\w+))?$"
)


class Usage(Error):
    """The command line does not say what to do."""


def find(spec: str) -> tuple[Any, Any]:
    """The object a MODEL names, and the module it was found in."""
    where, colon, attribute = spec.rpartition(":")
    if not colon:
        raise Usage(f"{spec!r} is no MODEL: give module:attr, file.py:attr or a saved graph")
    if where in ("torchvision", "timm"):
        return _hub(where, attribute), None
    if where.endswith(".py"):
        found = importlib.util.spec_from_file_location(Path(where).stem, where)
        if found is None or found.loader is None or not Path(where).exists():
            raise Usage(f"there is no file {where}")
        module = importlib.util.module_from_spec(found)
        sys.modules[found.name] = module
        sys.path.insert(0, str(Path(where).resolve().parent))
        found.loader.exec_module(module)
    else:
        sys.path.insert(0, "")
        module = importlib.import_module(where)
    thing: Any = module
    for part in attribute.split("."):
        if not hasattr(thing, part):
            raise Usage(f"{where} has no {attribute!r}")
        thing = getattr(thing, part)
    return thing, module


def _hub(where: str, name: str) -> torch.nn.Module:
    library = importlib.import_module(where)
    if where == "timm":
        return library.create_model(name, pretrained=False)
    return library.models.get_model(name, weights=None)


def tensor(spec: str) -> tuple[str | None, Any]:
    """(name or None, tensor) of one input spec; a file gives a dict."""
    name, equals, path = spec.partition("=@")
    if spec.startswith("@") or equals:
        from safetensors.torch import load_file

        loaded = load_file(path if equals else spec[1:])
        return (name, next(iter(loaded.values()))) if equals else (None, loaded)
    match = _SPEC.match(spec)
    if match is None:
        raise Usage(f"{spec!r} is no input: give [name=]1x3x224x224[:float32] or @file.safetensors")
    shape = () if match["shape"] == "scalar" else tuple(map(int, match["shape"].split("x")))
    dtype = getattr(torch, match["dtype"] or "float32", None)
    if not isinstance(dtype, torch.dtype):
        raise Usage(f"torch has no dtype {match['dtype']!r}")
    generator = torch.Generator().manual_seed(0)
    if dtype.is_floating_point or dtype.is_complex:
        return match["name"], torch.randn(shape, dtype=dtype, generator=generator)
    high = 2 if dtype is torch.bool else 8
    return match["name"], torch.randint(0, high, shape, generator=generator).to(dtype)


def graph_of(options: argparse.Namespace) -> tuple[Graph, Any, tuple[Any, ...], dict[str, Any]]:
    """The graph, the model (None for a saved graph) and its inputs."""
    args, kwargs = _inputs(options.inputs)
    if Path(options.model).is_dir():
        from ..ir import load

        graph = load(options.model)
        if not args and not kwargs:
            values = graph.input_values
            args = tuple(tensor(_spec(v.type))[1] for v in values)
        return graph, None, args, kwargs
    thing, module = find(options.model)
    model = thing if isinstance(thing, torch.nn.Module) else thing()
    if isinstance(model, torch.nn.Module):
        model.eval()
    if not args and not kwargs:
        args, kwargs = _guess(model, module, options.model)
    with torch.no_grad():
        return capture(model, args, kwargs), model, args, kwargs


def _inputs(specs: list[str]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for name, made in map(tensor, specs):
        if isinstance(made, dict):
            kwargs.update(made)
        elif name is None:
            args.append(made)
        else:
            kwargs[name] = made
    return tuple(args), kwargs


def _spec(type: Any) -> str:
    shape = "x".join(map(str, type.shape)) or "scalar"
    return f"{shape}:{str(type.dtype).removeprefix('torch.')}"


def _guess(model: Any, module: Any, spec: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Example inputs beside the factory, or what the model says of itself."""
    example = getattr(module, "example_inputs", None) or getattr(model, "example_inputs", None)
    if example is not None:
        made = example() if callable(example) else example
        if isinstance(made, dict):
            return (), made
        return (tuple(made) if isinstance(made, (tuple, list)) else (made,)), {}
    settings = getattr(model, "pretrained_cfg", None) or {}
    size = settings.get("input_size") if hasattr(settings, "get") else None
    if size is None and spec.startswith("torchvision:"):
        size = (3, 224, 224)
    if size is None:
        raise Usage(f"give the inputs of {spec}, for example: flexir show {spec} 1x3x224x224")
    return (torch.randn(1, *size),), {}


def target_of(spec: str | None) -> Target:
    """The target a ``--target`` names; the describing one without."""
    if spec is None:
        from ..layers import describe

        return describe
    made, _ = find(spec)
    if not isinstance(made, Target):
        raise Usage(f"{spec} is a {type(made).__name__}, not a flexir.Target")
    return made
