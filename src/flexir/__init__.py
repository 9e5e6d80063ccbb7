"""Convert any PyTorch model into your own representation, with Python and PyTorch alone.

graph  = flexir.capture(model, (x,))          run once, record every call
result = flexir.convert(graph, target)        your handlers, placeholders for the rest
check  = flexir.verify(graph, model, (x,))    the graph is the model, bit for bit
"""

import importlib
from typing import TYPE_CHECKING, Any

from . import errors  # noqa: F401
from .capture import capture
from .convert import convert
from .errors import (  # noqa: F401
    CaptureError,
    Diverged,
    Error,
    FormatError,
    GraphError,
    HandlerError,
    TargetError,
    Unsupported,
    UnsupportedError,
)
from .graph import Graph
from .inputs import Inputs
from .interpreter import interpret, replay
from .nodes import Node, TensorType, Value
from .opaque import opaque
from .target import Target
from .verify import verify

if TYPE_CHECKING:
    from .fleet import plan
    from .golden import check_handlers, compare
    from .ir import diff, load
    from .stubs import stub

__version__ = "0.1.0"
__all__ = [
    "Error", "Graph", "Inputs", "Node", "Target", "TensorType", "Unsupported", "Value", "capture",
    "check_handlers", "compare", "convert", "diff", "interpret", "load", "opaque",
    "plan", "replay", "stub", "verify",
]  # fmt: skip

_LATER = {
    "check_handlers": "golden",
    "compare": "golden",
    "diff": "ir",
    "load": "ir",
    "plan": "fleet",
    "stub": "stubs",
}  # name -> package that is imported when it is asked for
_PACKAGES = ("draw", "fleet", "golden", "ir", "layers", "passes")


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(importlib.import_module(f".{_LATER[name]}", __name__), name)
    if name in _PACKAGES:
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
