"""What leaves torch for Python: values, memory, answers to questions, numbers.

Owns what is recorded of it: the kind of the escape, questions asked once, and, where several
examples are recorded, numbers that know where they come from.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

import torch

from ..calls.binding import layout_of
from ..calls.names import MEMORY, name_of
from ..graph import tree
from ..graph.escaped import as_literal, is_about, is_plain
from ..graph.geometry import fingerprint
from ..graph.nodes import Effects, Escape, Node, NumberType, TensorType, Value
from ..graph.source import Source
from .live import OURS, Expr, assigned, origins_of, plain
from .memory import Alias
from .numbers import SIZES, Numbers
from .ssa import ValueTable
from .standing import Standing
from .switches import SwitchWatch
from .told_lists import ToldLists
from .trace import Frame, Trace, signature_of
from .unused_numbers import is_bent

_PLAIN = (int, float, *OURS)


class Escapes:
    """Records what leaves torch.

    Attributes:
        lines: where values left torch, in order.
        numbers: those that know where they come from, if the run keeps them.
        standing: what Python holds at each call, if the run keeps it.
    """

    def __init__(
        self, recorder: Any, table: ValueTable, trace: Trace, switches: SwitchWatch, numbers: bool
    ) -> None:
        self.recorder, self.table = recorder, table
        self.trace, self.switches = trace, switches
        self.lines: list[Source] = trace.found.escaped
        self.questions: set[Any] = set()  # that stand in the graph
        self.standing: Standing | None = None
        self.numbers: Numbers | None = None
        if numbers:
            self.numbers = Numbers(
                trace.emit,
                self._guard,
                self._listening,
                self._over,
                lambda: trace.count,
                ToldLists(table.read, table.known),
            )

    def kind(self, node: Node, tensors: list[torch.Tensor], result: Any) -> Escape | None:
        """What a call that returned no tensor let out; None if it only asked about a tensor."""
        if is_about(result):
            return None
        if node.target in MEMORY:
            kind: Escape = "memory"
        elif result is None or isinstance(result, bool):  # `x.grad is None`
            kind = "branch"
        elif isinstance(result, str):
            kind = "text"
        else:
            kind = "value" if is_plain(result) else "memory"
        if kind == "memory":
            node.result = fingerprint(tensors[0])
            for tensor in tensors:
                self.table.share(tensor)
        if kind == "text":
            told, text = self.recorder.audit.laundered, f"the text of {node.op}() at {node.source}"
            told += [] if text in told else [text]
        elif node.source is not None:
            self.lines.append(node.source)
        return kind

    def _met(self, tensor: torch.Tensor) -> Alias | None:
        """What a tensor means, if it was recorded and is no weight; it may be a view of one."""
        alias = self.table.aliases.get(id(tensor))
        known = alias is not None and alias.is_of(tensor) and alias.kind != "constant"
        return alias if known else None

    def _of_the_run(self, tensor: torch.Tensor) -> Alias | None:
        """As :meth:`_met`, without tensors on the model's own memory."""
        alias = self._met(tensor)
        return None if alias is None or alias.memory.kind == "constant" else alias

    def asked(
        self, func: Any, args: Any, kwargs: dict[str, Any], result: Any, frame: FrameType
    ) -> None:
        """Record a question about how a tensor lies or is differentiated, and its answer.

        The model's own tensors always answer it alike, and once is enough.
        """
        if self.recorder.busy or self._of_the_run(args[0]) is None:
            return
        with self.recorder.quietly():
            layout, value = layout_of(func, args, kwargs), self.table.read(args[0])
            key = (func, value, repr(args[1:]), repr(kwargs))
            if key in self.questions:
                return
            self.questions.add(key)
            named = tree.template(layout.named(args, kwargs), self.table.read)
            node = self.trace.append(layout.signature.op, func, layout.signature, named, frame)
            node.result = as_literal(result)
            node.effects = Effects(switches=self.switches.now().switches, escape="about")

    # -- numbers that know where they come from

    def _listening(self) -> bool:
        recorder = self.recorder
        ours = recorder.running is None and not recorder.busy
        if not ours or threading.get_ident() != recorder.thread:
            return False
        return torch._C._functorch.maybe_current_level() is None

    def numbered(self, func: Any, args: Any, kwargs: Any, result: Any) -> Any:
        """The answer to a question about sizes, as numbers that know where they come from."""
        name = name_of(func)
        counts = name == "__len__"
        if self.numbers is None or not self._listening() or not (counts or name in SIZES):
            return result
        alias = self._met(args[0])
        if alias is None or alias.value.type.shape != tuple(args[0].shape):  # it was resized
            return result
        if counts:
            self.numbers.counted(alias.value, result, sys._getframe(2))
            return result
        rest = (*args[1:], *(kwargs or {}).values())
        return self.numbers.answer(name, alias.value, rest, result)

    def taken(self, node: Node, result: Any) -> Any:
        """What ``item`` or ``tolist`` gave, as numbers that know where they come from."""
        if self.numbers is None or node.op not in ("item", "tolist"):
            return result  # Python itself asked, and takes plain ones
        made, template = self.numbers.taken(result, node, self.trace.number)
        node.result, node.outputs = template, tuple(tree.leaves(template, Value))
        if node.outputs:
            node.effects = Effects(node.effects.writes, node.effects.switches)
        return made

    def keep_unused(self, inputs: Sequence[Value]) -> None:
        """Write down numbers that Python computed and gave to no call, as some that became plain.

        Each stands at the end of the module that made what it is made of; where several modules
        did, its parts do. Of runs that are laid over each other, those look at them.
        """
        assert self.standing is not None
        left: Sequence[Expr] = []
        if not self.standing.notes:
            left = list(filter(is_bent, self.standing.unused))
            left = self._kept_in(self.trace.frames[0], set(inputs), left)
        while left:
            parts = {part: None for one in left for part in one.args if part.__class__ is Expr}
            left = self._kept_in(self.trace.frames[0], set(inputs), list(parts))

    def _kept_in(self, top: Frame, known: set[Value], unused: Sequence[Expr]) -> Sequence[Expr]:
        """Those of numbers that are not made of what is known in a frame, or in one inside."""
        assert self.numbers is not None
        known = known | {value for node in top.nodes for value in node.outputs}
        here = [one for one in unused if known.issuperset(origins_of(one))]
        left: Sequence[Expr] = [one for one in unused if one not in here]
        for node in [node for node in top.nodes if node.body is not None]:
            left = self._kept_in(Frame(node, node.source), known, left) if left else left
        if here:
            with self.trace.within(top):
                self.numbers.keep(here)
        return left

    # -- what functions tell of their variables

    def told(self, part: Any, kind: TensorType | None, frame: FrameType) -> Any:
        """A variable of a function is set to a number; or it has a list, made or added to now.

        Args:
            part: the number or list.
            kind: of the elements, if it is a variable of lists.
            frame: of the function.

        Returns:
            what the variable is set to instead.
        """
        numbers = self.numbers
        if numbers is None or self.standing is None or not numbers.hears():
            return part
        if kind is None and part.__class__ in _PLAIN:
            known, args = plain(part), {"input": numbers.lower(part)}
            made = self._write(assigned, args, NumberType(type(known), known), frame)
            return numbers.number(known, made)
        if kind is not None and part.__class__ is list:
            with self.recorder.quietly():
                call = numbers.lists.tell(part, kind)
            if call is not None:
                numbers.lists.keep(part, self._write(*call, frame))
        return part

    def comes_to(self, frame: FrameType) -> None:
        """A function comes to a statement that sets a variable, or adds to a list."""
        if self.numbers is not None and self.standing is not None and self.numbers.hears():
            with self.recorder.quietly():
                self.standing.come_to(frame)

    def _write(
        self, func: Callable[..., Any], named: dict[str, Any], type: TensorType, frame: FrameType
    ) -> Value:
        """Record what a function tells of a variable."""
        assert self.standing is not None
        with self.recorder.quietly():
            self.standing.come_to(frame)
            signature = signature_of(func, tuple(named))
            node = self.trace.append(signature.op, func, signature, named, frame)
            value = Value(self.trace.number(), type, node)
            node.result, node.outputs = value, (value,)
            self.standing.note(node, frame)
        return value

    def _guard(
        self, func: Callable[..., Any], named: dict[str, Any], outcome: bool, frame: FrameType
    ) -> None:
        """Record that a comparison of numbers decided something."""
        if self.standing is not None:
            with self.recorder.quietly():
                self.standing.come_to(frame)
        self._condition(func, named, outcome, frame)

    def _over(self, func: Callable[..., Any], named: dict[str, Any], frame: FrameType) -> Node:
        """Record that a comparison of numbers which holds ends a loop."""
        if self.standing is not None:
            with self.recorder.quietly():
                self.standing.over(frame)
        return self._condition(func, named, True, frame)

    def _condition(
        self, func: Callable[..., Any], named: dict[str, Any], outcome: bool, frame: FrameType
    ) -> Node:
        signature = signature_of(func, tuple(named))
        node = self.trace.append(signature.op, func, signature, named, frame)
        node.result = outcome
        node.effects = Effects(switches=self.switches.now().switches, escape="branch")
        if self.standing is not None:
            with self.recorder.quietly():
                self.standing.note(node, frame)
                self.standing.decided(node)
        return node
