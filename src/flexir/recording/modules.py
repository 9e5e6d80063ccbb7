"""Module calls, seen by torch's global hooks, become nodes with bodies.

Owns when a module call begins and ends, also when an exception ends it.
"""

from __future__ import annotations

import sys
from threading import get_ident
from typing import Any

import torch

from ..graph import tree
from ..graph.tree import is_literal
from .parameters import bind_forward

_Tensor = torch.Tensor
_functorch_level = torch._C._functorch.maybe_current_level


class ModuleCalls:
    """Sees module calls and hands them to a recorder's trace."""

    def __init__(self, recorder: Any) -> None:
        self.recorder = recorder
        self.trace, self.table, self.numbers = (
            recorder.trace, recorder.table, recorder.numbers,
        )  # fmt: skip

    def _elsewhere(self) -> bool:
        """Whether a module runs in a recorded call, another thread, or a transform (``vmap``)."""
        recorder = self.recorder
        ours = recorder.running is None and get_ident() == recorder.thread
        return not ours or _functorch_level() is not None

    def enter(self, module: torch.nn.Module, args: tuple[Any, ...]) -> None:
        """A module is about to be called."""
        if self._elsewhere():
            return
        caller, table = sys._getframe(1), self.table
        self.recorder.busy = True
        try:
            with torch._C.DisableTorchFunction():
                standing = self.recorder.standing
                if standing is not None:
                    standing.come_to(caller)
                named = bind_forward(module, args, caller)
                for name, part in named.items():
                    if part.__class__ is _Tensor:
                        named[name] = table.alias(part).value
                    elif not is_literal(part):
                        named[name] = tree.template(part, table.read)
                table.enter()
                if self.numbers is not None:
                    named = self.numbers.lower(named)
                    self.numbers.enter()
                self.trace.enter(module, named, caller)
                if standing is not None:
                    standing.note(self.trace.frames[-1].node, caller)
        finally:
            self.recorder.busy = False

    def leave(self, module: torch.nn.Module, args: tuple[Any, ...], output: Any) -> None:
        """A module returned, or something it called raised."""
        if self._elsewhere():
            return
        self.recorder.busy = True
        try:
            with torch._C.DisableTorchFunction():
                frames = self.trace.frames
                depth = len(frames) - 1
                while depth and frames[depth].node.target is not module:
                    depth -= 1
                if depth:
                    if len(frames) > depth + 1:  # an exception left some open
                        self.close(depth + 1)
                    self._return(output)
        finally:
            self.recorder.busy = False

    def close(self, depth: int) -> None:
        """End the calls that lie deeper: nothing is known of what they returned."""
        while len(self.trace.frames) > depth:
            self._return(None)

    def _return(self, output: Any) -> None:
        node, table = self.trace.frames[-1].node, self.table
        if isinstance(output, _Tensor):  # deriving stale results still belongs to the body
            value = node.result = table.alias(output).value
            node.outputs = (value,)
        else:
            node.result = tree.template(output, table.read)
            if self.numbers is not None:
                node.result = self.numbers.lower(node.result)
            node.outputs = tuple(node.returned)
        if self.numbers is not None:
            self.numbers.leave()
        self.trace.leave()
        table.leave(node.outputs)
