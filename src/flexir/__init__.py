"""Convert any PyTorch model into your own representation, with Python and PyTorch alone.

graph  = flexir.capture(model, (x,))          run once, record every call
result = flexir.convert(graph, target)        your handlers, placeholders for the rest
check  = flexir.verify(graph, model, (x,))    the graph is the model, bit for bit
"""

import importlib
from typing import TYPE_CHECKING, Any

from . import errors as errors

if TYPE_CHECKING:
    from . import fleet as fleet
    from . import passes as passes
    from . import targets as targets
    from .calls.opaque import opaque
    from .checks.handlers import check_handlers
    from .checks.verify import verify
    from .conversion.context import Context as Context
    from .conversion.convert import convert
    from .conversion.hybrid import hybrid as hybrid
    from .conversion.layers.describe import describe as describe
    from .conversion.stubs import stub
    from .conversion.target import Target
    from .errors import CaptureError as CaptureError
    from .errors import Diverged as Diverged
    from .errors import Error, Unsupported
    from .errors import FormatError as FormatError
    from .errors import GraphError as GraphError
    from .errors import HandlerError as HandlerError
    from .errors import TargetError as TargetError
    from .errors import UnsupportedError as UnsupportedError
    from .files.draw import draw as draw
    from .files.ir.compare import compare
    from .files.ir.diff import diff
    from .files.ir.load import load
    from .files.ir.save import save as save
    from .files.ir.values import golden as golden
    from .fleet import plan
    from .graph.graph import Graph
    from .graph.inputs import Inputs
    from .graph.nodes import Node, TensorType, Value
    from .graph.program import Program as Program
    from .graph.replay import interpret, replay
    from .passes.edit import edit as edit
    from .recording.capture import capture
    from .recording.programs import program as program
    from .recording.programs import record as record

__version__ = "0.1.0"
__all__ = [
    "Error", "Graph", "Inputs", "Node", "Target", "TensorType", "Unsupported", "Value", "capture",
    "check_handlers", "compare", "convert", "diff", "interpret", "load", "opaque",
    "plan", "replay", "stub", "verify",
]  # fmt: skip

_MODULES = {
    "calls.opaque": "opaque",
    "checks.handlers": "check_handlers",
    "checks.verify": "verify",
    "conversion.context": "Context",
    "conversion.convert": "convert",
    "conversion.hybrid": "hybrid",
    "conversion.layers": "describe",
    "conversion.stubs": "stub",
    "conversion.target": "Target",
    "errors": "CaptureError Diverged Error FormatError GraphError HandlerError TargetError "
              "Unsupported UnsupportedError",
    "files.draw": "draw",
    "files.ir": "diff load save",
    "files.ir.compare": "compare",
    "files.ir.values": "golden",
    "fleet": "plan",
    "graph.graph": "Graph",
    "graph.inputs": "Inputs",
    "graph.nodes": "Node TensorType Value",
    "graph.program": "Program",
    "graph.replay": "interpret replay",
    "passes.edit": "edit",
    "recording.capture": "capture",
    "recording.programs": "program record",
}  # fmt: skip
_LATER = {name: module for module, names in _MODULES.items() for name in names.split()}
_PACKAGES = ("fleet", "passes", "targets")


def __dir__() -> list[str]:
    return sorted({*__all__, *_LATER, "errors", *_PACKAGES})


def __getattr__(name: str) -> Any:
    """A public name, looked up when it is first asked for; importing flexir alone costs little."""
    if name in _LATER:
        found = getattr(importlib.import_module(f".{_LATER[name]}", __name__), name)
    elif name in _PACKAGES:
        found = importlib.import_module(f".{name}", __name__)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return globals().setdefault(name, found)
