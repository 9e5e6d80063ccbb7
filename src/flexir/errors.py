"""Every error this package raises on purpose, and notes on those it passes on.

One family: catch :class:`Error` for all of them. Subclasses also inherit the built-in that
describes them, so ``except NotImplementedError`` works where a reader would expect it to.
A message says what happened, where (module path, file:line), the call as printed, and what to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .graph.nodes import Node


class Error(Exception):
    """Base of all errors of this package."""


class CaptureError(Error, RuntimeError):
    """The model could not be watched as asked (an input, an output or a nested capture)."""


class GraphError(Error, ValueError):
    """A graph breaks its own grammar; raised by ``Graph.check``."""


class TargetError(Error, ValueError):
    """A handler was declared wrongly: unknown key, unknown parameter, or declared twice."""


class HandlerError(Error, TypeError):
    """A handler returned what does not fit the outputs of its call; in the command: it raised."""


class UnsupportedError(Error, NotImplementedError):
    """``convert(strict=True)`` met calls, conditions or state without a handler; lists them all."""


class Unsupported(Error, NotImplementedError):
    """Raised *by a handler* to decline one call: it becomes a placeholder with this reason."""


class FormatError(Error, ValueError):
    """A saved graph cannot be trusted or understood; the message names the file and the field."""


class Diverged(Error, RuntimeError):
    """Replay met inputs for which the recorded run would have gone another way.

    Attributes:
        node: the node at which the replay left the recorded path, or None for the inputs.
    """

    def __init__(self, message: str, node: Node | None = None) -> None:
        super().__init__(message)
        self.node = node


def add_note(error: BaseException, text: str) -> None:
    """``error.add_note`` where Python has it (3.11), its effect on the message where not."""
    if hasattr(error, "add_note"):
        error.add_note(text)
    else:
        error.args = (f"{error.args[0] if error.args else ''}\n{text}", *error.args[1:])
