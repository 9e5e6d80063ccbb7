"""The default IR on disk: save, load and compare graphs. See ``docs/format.md``.

Needs the extra ``ir`` (protobuf, safetensors). Never runs code that a file names.
"""

from .diff import Diff, diff
from .load import load
from .save import save

__all__ = ["Diff", "diff", "load", "save"]
