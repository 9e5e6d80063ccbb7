"""torch's switches that decide the meaning of a call: grad, inference, default dtype, autocast.

Reads them; never sets one.
"""

from __future__ import annotations

from typing import Any

import torch

from ..graph.nodes import Effects, Switches

# Asked at every recorded call, so looked up once.
_any_autocast = torch._C._is_any_autocast_enabled
_in_inference_mode = torch.is_inference_mode_enabled
_grad_enabled = torch.is_grad_enabled
_default_dtype = torch.get_default_dtype


class SwitchWatch:
    """torch's switches as of the last call: grad and inference mode, default dtype, autocast."""

    def __init__(self) -> None:
        self.key: Any = None
        self.effects = Effects(switches=Switches())
        self.inference = False

    def now(self) -> Effects:
        """Effects that say what a call runs under; one object while the switches stay."""
        autocast, inference = _any_autocast(), _in_inference_mode()
        key = (_grad_enabled(), inference, _default_dtype(), autocast)
        if key != self.key or autocast:
            regions = autocast_regions() if autocast else ()
            self.key, self.inference = key, inference
            self.effects = Effects(switches=Switches(key[0], inference, key[2], regions))
        return self.effects


def autocast_regions() -> tuple[tuple[str, torch.dtype, bool], ...]:
    """(device type, dtype, cache enabled) of every autocast region that is on."""
    found = []
    for device in ("cpu", "cuda", "xpu", "mps"):
        try:
            if torch.is_autocast_enabled(device):
                dtype = torch.get_autocast_dtype(device)
                found.append((device, dtype, torch.is_autocast_cache_enabled()))
        except RuntimeError:  # a device this build does not have
            continue
    return tuple(found)
