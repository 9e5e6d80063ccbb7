"""The nodes of a run in the order they were made, and the module calls they stand in.

Owns numbering and nesting, and the derived calls, which the model did not make: views emitted
again, pieces cut out of memory. Knows nothing of tensors: a call's arguments come as Values.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import torch

from ..calls.schemas import signatures
from ..calls.signatures import Signature
from ..graph import tree
from ..graph.nodes import Effects, Node, TensorType, Value
from ..graph.source import Source, locate
from .constants import Origins
from .effects import inside_autograd_function
from .standing import Standing
from .switches import SwitchWatch

# Young objects are how a tensor made during the run is told from one that was there before
# (``Origins.ages``), and the longer the list of the young, the longer each such look. At this
# many nodes, a large model's, they are collected once in a while all the same, so that what dies in
# cycles does not pile up; from then on the age says nothing.
COLLECT_EVERY = 20_000


class Frame:
    """A module call under way."""

    __slots__ = ("differentiated", "node", "nodes", "source")

    def __init__(self, node: Node, source: Source | None = None) -> None:
        """``source``: the line of all calls inside, if it is the one that called the module."""
        self.node, self.source = node, source
        self.nodes: list[Node] = [] if node.body is None else node.body
        self.differentiated: bool | None = None  # by a custom autograd Function that called it


class Trace:
    """What has been written down of a run.

    Attributes:
        frames: the module calls under way; the first is the run itself.
        classes: path of a module -> its class, for those that were called.
        live: whether sizes may turn out to vary.
    """

    def __init__(self, found: Origins, switches: SwitchWatch, live: bool = False) -> None:
        self.live = live
        self.found, self.switches = found, switches
        self.frames = [Frame(Node("", None, {}))]
        found.frames = self.frames
        self.classes: dict[str, type] = {}
        self.calls: dict[str, int] = {}
        self.torchs: dict[type, bool] = {}  # whether a class of modules is torch's own
        self.count = 0
        self.standing: Standing | None = None  # what Python holds at each call, if that is kept

    def number(self) -> str:
        """The name of the next Value."""
        self.count += 1
        if self.count % COLLECT_EVERY == 0:
            gc.collect(1)
            self.found.ages = False
        return str(self.count)

    def append(
        self,
        op: str,
        func: Any,
        signature: Any,
        named: dict[str, Any],
        frame: FrameType | None = None,
    ) -> Node:
        """Write down a call in the module under way, made at ``frame`` or by this package."""
        top = self.frames[-1]
        source = locate(sys._getframe(1)) if frame is None else top.source or locate(frame)
        node = Node(
            op, func, named,
            signature=signature, path=top.node.path, call=top.node.call, source=source,
        )  # fmt: skip
        top.nodes.append(node)
        if self.standing is not None:
            self.standing.note_rounds(node)
        return node

    def emit(self, func: Callable[..., Any], named: dict[str, Any], type: TensorType) -> Value:
        """Record a derived call, which the model did not make; its one output has this type."""
        signature = signature_of(func, tuple(named))
        node = self.append(signature.op, func, signature, named)
        value = Value(self.number(), type, node)
        node.result, node.outputs = value, (value,)
        if value.is_number:
            node.effects = self.switches.now()
        return value

    def again(self, node: Node, args: dict[str, Any]) -> Node:
        """Record a call once more, on other Values."""
        copy = self.append(node.op, node.target, node.signature, args)
        fresh = {v: Value(self.number(), v.type, copy) for v in node.outputs}
        copy.result = tree.substitute(node.result, Value, lambda v: fresh[v])
        copy.outputs = tuple(fresh.values())
        copy.effects = node.effects
        return copy

    def told(self, value: Value, number: int) -> None:
        """Record that Python was told this number of a tensor, by a call that takes numbers."""
        signature = signature_of(torch.Tensor.item, ("input",))
        node = self.append(signature.op, torch.Tensor.item, signature, {"input": value})
        node.result, node.effects = number, Effects(escape="value")

    # -- module calls

    def path(self, module: torch.nn.Module) -> str:
        """The path of a module; one the model does not hold is named after where it is called."""
        known = self.found.paths.get(id(module))
        if known is None:
            path = f"{self.frames[-1].node.path}.{type(module).__name__}".lstrip(".")
            self.found.paths[id(module)] = known = (path, module)
        return known[0]

    def enter(self, module: torch.nn.Module, named: dict[str, Any], frame: FrameType) -> None:
        """A module is called with these arguments."""
        path, cls = self.path(module), type(module)
        call = self.calls.get(path, 0)
        self.calls[path] = call + 1
        if not call:
            self.classes.setdefault(path, cls)
        source = self.frames[-1].source or locate(frame)
        torchs = self.torchs.get(cls)
        if torchs is None:
            torchs = self.torchs[cls] = cls.__module__.startswith("torch.nn.modules.")
        node = Node(cls.__name__, module, named, None, None, path, call, source)
        # Inside torch's own modules the user's line is the one that called the module.
        self.frames.append(Frame(node, source if torchs else None))

    def leave(self) -> None:
        """The module called last has returned; its node knows what."""
        frame = self.frames.pop()
        frame.node.body = frame.nodes
        self.frames[-1].nodes.append(frame.node)

    @contextlib.contextmanager
    def within(self, frame: Frame) -> Iterator[None]:
        """Context manager: what is written down stands in a module call, under way or not."""
        self.frames.append(frame)
        try:
            yield
        finally:
            self.frames.pop()

    def in_autograd_function(self, frame: FrameType) -> bool:
        """Whether the ``forward`` of a custom ``torch.autograd.Function`` is under way."""
        inside = inside_autograd_function(frame, _CALL_MODULE)
        if inside is not None:
            return inside
        top = self.frames[-1]  # what calls the module is looked at once
        if top.differentiated is None:
            top.differentiated = inside_autograd_function(frame, None) or False
        return top.differentiated


@functools.lru_cache(maxsize=None)
def signature_of(func: Callable[..., Any], names: tuple[str, ...]) -> Signature:
    """The signature of a function this package calls itself, by the arguments it gives."""
    return next(s for s in signatures(func) if set(names) <= set(s.names))


def derived_call(func: Callable[..., Any], args: dict[str, Any]) -> Node:
    """The node of a call that this package makes itself; it stands nowhere yet."""
    signature = signature_of(func, tuple(args))
    return Node(signature.op, func, args, signature=signature)


_CALL_MODULE = torch.nn.Module._call_impl.__code__
