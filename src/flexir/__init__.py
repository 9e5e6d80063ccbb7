"""Convert any PyTorch model into your own representation, with Python and PyTorch alone.

graph  = flexir.capture(model, (x,))          run once, record every call
result = flexir.convert(graph, target)        your handlers, placeholders for the rest
check  = flexir.verify(graph, model, (x,))    the graph is the model, bit for bit
"""

import importlib
from typing import TYPE_CHECKING, Any

from . import errors as errors
from .calls.opaque import opaque
from .checks.verify import verify
from .conversion.convert import convert
from .conversion.target import Target
from .errors import CaptureError as CaptureError
from .errors import Diverged as Diverged
from .errors import Error, Unsupported
from .errors import FormatError as FormatError
from .errors import GraphError as GraphError
from .errors import HandlerError as HandlerError
from .errors import TargetError as TargetError
from .errors import UnsupportedError as UnsupportedError
from .graph.graph import Graph
from .graph.inputs import Inputs
from .graph.nodes import Node, TensorType, Value
from .graph.replay import interpret, replay
from .recording.capture import capture

if TYPE_CHECKING:
    from . import fleet as fleet
    from . import passes as passes
    from . import targets as targets
    from .checks.handlers import check_handlers
    from .conversion.context import Context as Context
    from .conversion.hybrid import hybrid as hybrid
    from .conversion.layers.describe import describe as describe
    from .conversion.stubs import stub
    from .files.draw import draw as draw
    from .files.ir import diff, load
    from .files.ir import save as save
    from .files.ir.compare import compare
    from .files.ir.values import golden as golden
    from .fleet import plan
    from .graph.program import Program as Program
    from .passes.edit import edit as edit
    from .recording.programs import program as program
    from .recording.programs import record as record

__version__ = "0.1.0"
__all__ = [
    "Error", "Graph", "Inputs", "Node", "Target", "TensorType", "Unsupported", "Value", "capture",
    "check_handlers", "compare", "convert", "diff", "interpret", "load", "opaque",
    "plan", "replay", "stub", "verify",
]  # fmt: skip

_LATER = {
    "check_handlers": "checks.handlers",
    "compare": "files.ir.compare",
    "Context": "conversion.context",
    "describe": "conversion.layers",
    "diff": "files.ir",
    "draw": "files.draw",
    "edit": "passes.edit",
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
