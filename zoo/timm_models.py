"""timm's models: one of every module file, or all below a size."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import torch

from zoo.entry import Entry
from zoo.torchvision_ops import ensure


def entries(*, below: float | None = None) -> Iterator[Entry]:
    """The smallest model of every module file; with ``below``, all models under so many million
    parameters as well."""
    for names in by_module().values():
        sizes = {name: parameters(name) for name in names}
        smallest = min(sizes, key=lambda name: sizes[name])
        chosen = [smallest]
        if below is not None:
            chosen += [n for n, size in sizes.items() if size < below * 1e6 and n != smallest]
        for name in chosen:
            yield entry(name)


def by_module() -> dict[str, list[str]]:
    """Module file -> names of its models."""
    timm = _timm()
    return {module: timm.list_models(module=module) for module in timm.list_modules()}


def parameters(name: str) -> float:
    """How many parameters a model has; infinite if it does not build here.

    Built on the meta device where that works; some compute on real tensors as they are built.
    """
    for device in ("meta", "cpu"):
        try:
            with torch.device(device), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model = _timm().create_model(name, pretrained=False)
        except Exception:  # noqa: BLE001  not a model of this machine
            continue
        return float(sum(p.numel() for p in model.parameters()))
    return float("inf")


def entry(name: str) -> Entry:
    """The entry of one timm model, at the input size it was made for."""

    def factory() -> torch.nn.Module:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _timm().create_model(name, pretrained=False)  # type: ignore[no-any-return]

    def example() -> tuple[tuple[torch.Tensor, ...], dict[str, torch.Tensor]]:
        size = _timm().get_pretrained_cfg(name).input_size
        return (torch.rand(1, *size),), {}

    return Entry(name, factory, example, "timm")


def _timm():  # type: ignore[no-untyped-def]
    ensure()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import timm
    return timm
