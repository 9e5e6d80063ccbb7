"""What words mean: a MODEL, its INPUTs, a target.

MODEL is ``module.path:attr`` or ``file.py:attr`` (a module, or a function that makes one, or makes
``(model, args[, kwargs])``), ``torchvision:NAME``, ``timm:NAME`` or ``hf-config:path.json``; or a
saved graph, ``net.flexir``, or an entry point of a saved Program, ``net.flexir:decode``.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

import torch

from ..conversion.target import Target
from ..errors import Error
from ..graph import tree
from ..graph.graph import Graph
from ..graph.program import Program

_SPEC = re.compile(
    r"^(?:(?P<name>[A-Za-z_]\w*)=)?(?P<shape>\d+(?:x\d+)*|scalar)(?::(?P<dtype>\w+))?$"
)


class Usage(Error):
    """The command line does not say what to do."""


def find_model(spec: str) -> tuple[Any, Any]:
    """The object a MODEL names, and the module it was found in."""
    where, colon, attribute = spec.rpartition(":")
    if not colon:
        raise Usage(f"{spec!r} is no MODEL: give module:attr, file.py:attr or a saved graph")
    if where in _LIBRARIES:
        return _LIBRARIES[where](attribute), None
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


def _torchvision(name: str) -> torch.nn.Module:
    models = importlib.import_module("torchvision").models
    made: torch.nn.Module = models.get_model(name, weights=None)
    return made


def _timm(name: str) -> torch.nn.Module:
    timm = importlib.import_module("timm")
    made: torch.nn.Module = timm.create_model(name, pretrained=False)
    return made


def _from_config(path: str) -> torch.nn.Module:
    """A transformers model of random weights, as its ``config.json`` describes it."""
    if not Path(path).exists():
        raise Usage(f"there is no file {path}")
    transformers = importlib.import_module("transformers")
    config = transformers.AutoConfig.from_pretrained(path)
    known = [name for name in config.architectures or () if hasattr(transformers, name)]
    build = getattr(transformers, known[0]) if known else transformers.AutoModel.from_config
    made: torch.nn.Module = build(config)
    return made


_LIBRARIES = {"torchvision": _torchvision, "timm": _timm, "hf-config": _from_config}


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


def open_model(
    spec: str,
    args: tuple[Any, ...] = (),
    kwargs: dict[str, Any] | None = None,
    device: str | None = None,
) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    """The model a MODEL names, in eval mode, and its inputs: those given, else guessed ones.

    Args:
        spec: the MODEL.
        args: positional inputs, if given.
        kwargs: keyword inputs, if given.
        device: where to build the model and put its inputs; ``"meta"`` takes no memory.

    Raises:
        Usage: there is no such model, or its inputs cannot be guessed.
    """
    if device is not None:
        with torch.device(device):
            model, args, kwargs = open_model(spec, args, kwargs)
            if isinstance(model, torch.nn.Module):
                model.to(device)
            moved = tree.build((args, kwargs), torch.Tensor, lambda t: t.to(device))
        return (model, *moved)
    thing, module = find_model(spec)
    made = thing if isinstance(thing, torch.nn.Module) else thing()
    model, *own = made if isinstance(made, tuple) else (made,)
    if isinstance(model, torch.nn.Module):
        model.eval()
    if args or kwargs:
        return model, args, kwargs or {}
    if own:
        return model, tuple(own[0]), dict(own[1]) if len(own) > 1 else {}
    return (model, *_guess(model, module, spec))


def read_inputs(specs: list[str]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """(args, kwargs) of INPUT words."""
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
    if size is not None:
        return (torch.randn(1, *size),), {}
    if (name := getattr(model, "main_input_name", None)) and hasattr(model, "config"):
        return (), _of_config(name, model.config, spec)
    raise Usage(f"give the inputs of {spec}, for example: flexir show {spec} 1x3x224x224")


def _of_config(name: str, config: Any, spec: str) -> dict[str, Any]:
    """The main input of a transformers model, by the sizes in its config."""
    if name == "input_ids":
        return {name: torch.arange(16).remainder(config.get_text_config().vocab_size)[None]}
    size, channels = getattr(config, "image_size", None), getattr(config, "num_channels", 3)
    if name != "pixel_values" or size is None:
        raise Usage(f"give the inputs of {spec}: its main one is {name}=...")
    height, width = (size, size) if isinstance(size, int) else size
    return {name: torch.randn(1, channels, height, width)}


def saved(spec: str) -> Graph | Program | None:
    """What a MODEL that names a saved directory holds; None for any other MODEL.

    ``net.flexir`` is a graph or a Program, ``net.flexir:decode`` the graph of one entry point.
    """
    folder, colon, entry = spec.rpartition(":")
    whole = Path(spec).is_dir()
    if not whole and not (colon and Path(folder).is_dir()):
        return None
    from ..files.ir import load

    found: Graph | Program = load(spec if whole else folder)
    if whole:
        return found
    if not isinstance(found, Program) or entry not in found.graphs:
        raise Usage(f"{folder} has no entry point {entry!r}")
    return found[entry]


def saved_graph(spec: str) -> Graph | None:
    """The graph that a MODEL names in a saved directory; None for any other MODEL.

    Raises:
        Usage: it names a whole Program.
    """
    found = saved(spec)
    if isinstance(found, Program):
        raise Usage(f"{spec} is a Program; give one of {', '.join(f'{spec}:{n}' for n in found)}")
    return found


def target_of(spec: str | None) -> Target:
    """The target a ``--target`` names; the describing one without."""
    if spec is None:
        from ..conversion.layers import describe

        return describe
    made, _ = find_model(spec)
    if not isinstance(made, Target):
        raise Usage(f"{spec} is a {type(made).__name__}, not a flexir.Target")
    return made
