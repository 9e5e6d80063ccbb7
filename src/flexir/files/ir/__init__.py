"""The default IR on disk: save, load and compare graphs. See ``docs/format.md``.

Written against what the package offers everybody; needs the extra ``ir`` (protobuf, safetensors).
"""

from .diff import Difference, diff
from .load import load
from .save import save

__all__ = ["Difference", "diff", "load", "save"]
