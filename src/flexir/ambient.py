"""What decides the meaning of a call besides its arguments: torch's switches and generators."""

from __future__ import annotations

from typing import Any

import torch


def autocast_regions() -> tuple[tuple[str, torch.dtype, bool], ...]:
    found = []
    for device in ("cpu", "cuda", "xpu", "mps"):
        try:
            if torch.is_autocast_enabled(device):
                dtype = torch.get_autocast_dtype(device)
                found.append((device, dtype, torch.is_autocast_cache_enabled()))
        except RuntimeError:  # a device this build does not have
            continue
    return tuple(found)


def device_of(named: dict[str, Any], tensors: list[torch.Tensor]) -> torch.device:
    device = named.get("device")
    if device is not None and not isinstance(device, torch.Tensor):
        return torch.device(device)
    return tensors[0].device if tensors else torch.get_default_device()


def default_generator(device: torch.device) -> torch.Generator | None:
    """The default generator of a device."""
    if device.type == "cuda":
        if not torch.cuda.is_initialized():
            return None
        index = torch.cuda.current_device() if device.index is None else device.index
        return torch.cuda.default_generators[index]
    return torch.default_generator
