"""``describe``: a ready-made target that names the common layers, one compact line each.

A demonstration and a starting point to copy: it makes a list of :class:`Layer` records and logs
``Converting... Conv2d, C3 N64 K7x7 S2x2 P33 D1x1 G1`` through the logger ``flexir``. Its handlers
use nothing but the public API.
"""

from .describe import Layer, describe

__all__ = ["Layer", "describe"]
