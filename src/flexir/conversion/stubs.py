"""Handlers to start from: real argument names and the configurations seen.

The text is Python that runs as it is; what it lacks raises NotImplementedError.
:mod:`flexir.files.ir.samples` adds tests.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from ..calls.schemas import callables, parameter_names
from ..calls.signatures import is_hint
from ..errors import Error
from ..graph.nodes import Node
from .report import argument_names, configuration, form, handler_text


def stub(what: str | Node | Sequence[Node]) -> str:
    """The text of a handler to start from.

    Args:
        what: an op's name, a call, or several calls of one op: each configuration is listed.

    Returns:
        Python text: the decorator and a function that raises NotImplementedError.

    Raises:
        Error: torch has no op of this name.

    Example:
        >>> print(stub("relu"))
        @ir.op("relu")
        def relu(ctx, input):
            raise NotImplementedError("relu")
    """
    if isinstance(what, str):
        if what not in callables():
            raise Error(f"torch has no function {what!r}; a stub can be made of a call, too")
        names = [n for n in parameter_names(what) if not is_hint(n)]
        return _text(what, names, [])
    nodes = [what] if isinstance(what, Node) else list(what)
    return _text(nodes[0].op, argument_names(nodes), list(dict.fromkeys(map(_seen, nodes))))


def _seen(node: Node) -> str:
    words = configuration(node)
    return form(node) + (f"  with {words}" if words else "")


def _text(op: str, names: Sequence[str], forms: Sequence[str]) -> str:
    """With a comment for every configuration."""
    lines = [f"# {line}" for one in forms[:6] for line in textwrap.wrap(one, 80)]
    if len(forms) > 6:
        lines.append(f"# and {len(forms) - 6} more")
    body = "\n    ".join([*lines, f'raise NotImplementedError("{op}")'])
    return handler_text(op, names, body)
