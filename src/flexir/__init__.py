"""Convert any PyTorch model into your own representation, with Python and PyTorch alone.

graph  = flexir.capture(model, (x,))          run once, record every call
result = flexir.convert(graph, target)        your handlers, placeholders for the rest
check  = flexir.verify(graph, model, (x,))    the graph is the model, bit for bit
"""

from .capture import capture
from .convert import convert
from .errors import (
    CaptureError,
    Diverged,
    Error,
    GraphError,
    HandlerError,
    TargetError,
    Unsupported,
    UnsupportedError,
)
from .graph import Graph, Node, TensorType, Value
from .interpreter import interpret, replay
from .opaque import opaque
from .target import Target
from .verify import verify

__version__ = "0.1.0"
__all__ = [
    "CaptureError", "Diverged", "Error", "Graph", "GraphError", "HandlerError", "Node", "Target",
    "TargetError", "TensorType", "Unsupported", "UnsupportedError", "Value", "capture", "convert",
    "interpret", "opaque", "replay", "verify",
]  # fmt: skip
