"""Convert any PyTorch model into your own representation, with Python and PyTorch alone.

graph  = flexir.capture(model, (x,))          run once, record every call
result = flexir.convert(graph, target)        your handlers, placeholders for the rest
check  = flexir.verify(graph, model, (x,))    the graph is the model, bit for bit
"""

import importlib
from typing import TYPE_CHECKING, Any

from . import errors  # noqa: F401
from .calls.opaque import opaque
from .checks.verify import verify
from .conversion.convert import convert
from .conversion.target import Target
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
from .graph.graph import Graph
from .graph.inputs import Inputs
from .graph.nodes import Node, TensorType, Value
from .graph.replay import interpret, replay
from .recording.capture import capture

if TYPE_CHECKING:
    from .checks.handlers import check_handlers
    from .conversion.hybrid import hybrid  # noqa: F401
    from .conversion.layers.describe import describe  # noqa: F401
    from .conversion.stubs import stub
    from .files.draw import draw  # noqa: F401
    from .files.ir import diff, load, save  # noqa: F401
    from .files.ir.compare import compare
    from .files.ir.values import golden  # noqa: F401
    from .fleet import plan
    from .graph.program import Program  # noqa: F401
    from .recording.programs import program, record  # noqa: F401

__version__ = "0.1.0"
__all__ = [
    "Error", "Graph", "Inputs", "Node", "Target", "TensorType", "Unsupported", "Value", "capture",
    "check_handlers", "compare", "convert", "diff", "interpret", "load", "opaque",
    "plan", "replay", "stub", "verify",
]  # fmt: skip

_LATER = {
    "check_handlers": "checks.handlers",
    "compare": "files.ir.compare",
    "describe": "conversion.layers",
    "diff": "files.ir",
    "draw": "files.draw",
    "golden": "files.ir.values",
    "hybrid": "conversion.hybrid",
    "load": "files.ir",
    "plan": "fleet",
    "Program": "graph.program",
    "program": "recording.programs",
    "save": "files.ir",
    "record": "recording.programs",
    "stub": "conversion.stubs",
}  # name -> module that is imported when it is asked for
_PACKAGES = {"fleet": "fleet", "passes": "passes", "targets": "targets"}


def __dir__() -> list[str]:
    return sorted({*__all__, *_LATER, "errors", *_PACKAGES})


def __getattr__(name: str) -> Any:
    if name in _LATER:
        return getattr(importlib.import_module(f".{_LATER[name]}", __name__), name)
    if name in _PACKAGES:
        return importlib.import_module(f".{_PACKAGES[name]}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
