"""Run a target's handlers over a graph: claim the call, else descend, else placeholder.

A conversion is the loop of :mod:`flexir.graph.replay` with the meaning "call the user's handler".
It stops only for an error inside a handler; an unhandled call becomes a placeholder, and the
report lists all of it. So it does for what the model does besides returning outputs, if the target
has no handler for that.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal

import torch

from ..calls.signatures import forward_defaults, is_hint, same_default
from ..errors import Error, Unsupported, add_note
from ..graph import tree
from ..graph.graph import Graph
from ..graph.nodes import Node, Value
from ..graph.replay import interpret
from . import blocks, omissions
from .context import Context, Placeholder, Weight
from .keys import Handler
from .omissions import Kept
from .reach import escaping_values, is_needed, needed, varying
from .report import Report
from .returns import lay, lay_each
from .target import Keep, Target

if TYPE_CHECKING:
    from ..passes.decomposer import Decomposer, WaysDown

log = logging.getLogger("flexir")
Status = Literal["handled", "decomposed", "placeholder", "refused", "passed", "escape"]


class _Refused(Exception):
    """A handler cannot take this call; the message is the reason."""


class _Stuck(_Refused):
    """Neither a call, nor what is inside it, nor its pieces can be converted."""


# Exceptions that say nothing of what a handler was given.
_ELSEWHERE = (Error, MemoryError, OSError, ImportError)


class Conversion:
    """The meaning 'call the user's handler'."""

    def __init__(
        self,
        graph: Graph,
        target: Target,
        out: Any,
        decompose: bool,
        lenient: bool = False,
        config: Mapping[str, Any] | None = None,
        ways: WaysDown | None = None,
    ) -> None:
        self.target, self.out, self.lenient = target, out, lenient
        self.config, self.folded = target.configuration(config), dict[Value, torch.Tensor]()
        # Pieces of calls may read constants of their own; handlers find them with the model's.
        self.extra: dict[Value, Any] = {}
        self.graph = dataclasses.replace(graph, constants=ChainMap(self.extra, graph.constants))
        self.apart: Decomposer | None = None
        if decompose:  # a fifth of the time to import flexir, which not everybody needs
            from ..passes.decomposer import Decomposer

            self.apart = Decomposer(self.takes, ways)
        self.report = Report(graph.name, target.name, audit=graph.audit, escapes=graph.escapes)
        self.status: dict[Node, Status] = {}
        self.env: dict[Value, Any] = {}
        self.absent: dict[Value, str] = {}  # inputs that the target declined, and why
        self.pieces: list[tuple[Node, str]] | None = None  # of a call under way: those refused
        self.above: tuple[Node, ...] = ()  # calls whose pieces are under way
        self.declined: dict[Node, str] = {}  # conditions the guard handler was asked about
        self.kept = omissions.kept(graph)
        self.state = {k.initial: k.path for k in self.kept if k.kind == "state"}
        taken = self.takes_state = target.hook("state") is not None
        results = [*graph.output_values, *(k.final for k in self.kept if taken)]
        if target.hook("guard") is not None:
            results += [value for node in omissions.conditions(graph) for value in node.inputs]
        self.bound: dict[Value, Value] = {}  # parameter of a block -> what stands outside for it
        self.needed = needed(graph.nodes, results, self.is_whole)

    def is_whole(self, node: Node) -> bool:
        """Whether a handler may take a module as a whole."""
        return self.target.handler(node) is not None

    @functools.cached_property
    def escaping(self) -> dict[Node, list[Value]]:
        """Found when the first module handler asks."""
        return escaping_values(self.graph)

    def run(self) -> Any:
        """Convert the whole graph; returns what stands for the model's outputs."""
        enter = self.hook("input")
        for value in self.graph.input_values:
            ctx = self.context(Node("input", None, {}))
            try:
                self.env[value] = enter(ctx, value.name, value.type) if enter else value
            except Unsupported as refused:  # a matter of those that read it
                self.absent[value] = f"input {value.name}: {refused}"
        interpret(self.graph.nodes, self.env, self.claim)
        for one in self.kept:
            self._keep(one)
        self._left_out()
        paths = self.graph.modules
        self.report.unmatched = [
            p for p in self.target.patterns if not any(fnmatchcase(path, p) for path in paths)
        ]
        return tree.build(self.graph.outputs, Value, self._output)

    def _output(self, value: Value) -> Any:
        """What stands for an output; a placeholder where nothing can."""
        try:
            return self.look(value)
        except _Refused as refused:
            self._refuse(Node("output", None, {"value": value}), str(refused))
            self.env[value] = Placeholder("output", (), value.type, str(refused))
            return self.env[value]

    def finish(self) -> Any:
        """What the output handler makes of the builder; without one, the builder."""
        hook = self.hook("output")
        if hook is None:
            return self.out
        outputs = {name: self.look(v) for v, name in self.graph.output_names.items()}
        if any(isinstance(made, Placeholder) for made in outputs.values()):
            return self.out
        args = {name: value for value, name in self.graph.output_names.items()}
        node = Node("output", None, args)
        with self._blame(node, "output handler"):
            return hook(self.context(node), outputs)

    def hook(self, name: str) -> Any:
        """One of the target's functions for what is no call."""
        return self.target.hook(name)

    def context(self, node: Node, reason: str = "") -> Context[Any]:
        return Context(
            self.out, node, self.graph, reason, self.env, self.state, self.takes_state, self.target,
            self.config, self.folded, self.bound, functools.partial(blocks.convert_block, self),
        )  # fmt: skip

    def look(self, value: Value) -> Any:
        """What stands for a Value in the user's representation."""
        if value in self.env:
            return self.env[value]
        if value in self.graph.constants:
            hook = self.hook("constant")
            if hook is None:
                return value
            path, tensor = self.state.get(value, ""), self.graph.constants[value]
            weight = Weight(value.name, tensor, value.names, path)
            node = Node("constant", None, {"name": value.name})
            with self._blame(node, "constant handler"):
                try:
                    self.env[value] = hook(self.context(node), weight)
                except Unsupported as refused:
                    raise _Refused(f"constant {value.name}: {refused}") from refused
            return self.env[value]
        absent = f"it reads {value!r}, which a handler before it did not return"
        raise _Refused(self.absent.get(value, absent))

    def claim(self, node: Node, env: dict[Value, Any]) -> bool:
        """Hand a node to its handler; False to descend into a module without one."""
        if node.effects.escape:
            self._escape(node)
            return True
        handler = self.target.handler(node)
        reason = "no handler"
        if handler is not None:
            try:
                self._call(node, handler)
            except (Keep, _Stuck) as whole:
                self._placeholder(node, str(whole))
                return True
            except _Refused as refused:
                reason = str(refused)
            except Unsupported as refused:
                reason = f"handler refused: {refused}"
            else:
                self.status[node] = "handled"
                self.report.handled[node.op] = self.report.handled.get(node.op, 0) + 1
                return True
        if node.body is not None:
            if handler is not None:
                self.report.descended.append((node, reason))
            return False
        if node.effects.same is not None and self._is_needed(node):
            (value,) = node.outputs
            self.status[node] = "passed"
            env[value] = self.look(node.args[node.effects.same])
            self.report.passed[node.op] = self.report.passed.get(node.op, 0) + 1
            return True
        unwanted = self.target.lacks(node.op) or not self._is_needed(node)
        if self.apart is None or unwanted or not self._decompose(node):
            self._placeholder(node, reason)
        return True

    def _is_needed(self, node: Node) -> bool:
        """Whether the output lacks something without this call; a piece of a call is."""
        return self.pieces is not None or is_needed(node, self.needed)

    def takes(self, node: Node) -> bool:
        """Whether a handler would be called for a function call."""
        handler = self.target.handler(node)
        if handler is None:
            return False
        try:
            self._arguments(node, handler)
        except _Refused:
            return False
        return True

    def _decompose(self, node: Node) -> bool:
        """Convert the pieces of a call instead of the call, and of a piece that is declined."""
        assert self.apart is not None
        found = self.apart(node, self.above)
        if found is None:
            return False
        self.extra.update(found.constants)
        above, outer, self.pieces = self.above, self.pieces, []
        self.above = (*above, node)
        for piece in found.nodes:
            self.claim(piece, self.env)
        refused, self.pieces, self.above = self.pieces, outer, above
        if refused and outer is not None:
            return False
        try:
            made = [self.look(value) for value in tree.leaves(found.result, Value)]
        except _Refused as absent:  # an input comes out as it is, and the target has none such
            self._placeholder(node, str(absent))
            return True
        self.env.update(zip(node.returned, made))
        if refused:
            reasons = [why if piece.op == node.op else f"its piece {piece.op}: {why}"
                       for piece, why in refused]  # fmt: skip
            self._refuse(node, "; ".join(dict.fromkeys(reasons)))
        elif outer is None:
            self.report.add_decomposed(node, found.nodes)
            self.status[node] = "decomposed"
        return True

    def _call(self, node: Node, handler: Handler) -> None:
        named = tree.build(self._arguments(node, handler), Value, self.look)
        named.update(blocks.blocks_by_name(node))
        args = () if node.body is None else (node.target,)
        with self._blame(node, "handler"):
            made = handler.function(self.context(node), *args, **named)
            self.env.update(lay(node, made, handler.function.__qualname__))

    @contextlib.contextmanager
    def _blame(self, node: Node, what: str) -> Iterator[None]:
        """Let what is raised inside name the call, or turn it into a refusal.

        A handler that was given a Placeholder and is not prepared for it may raise anything:
        that is no defect of the handler, so it declines. Nothing else is taken for that.
        """
        try:
            yield
        except (Unsupported, _Refused):
            raise
        except Exception as error:
            text = " ".join(f"{type(error).__name__}: {error}".split())
            given = any(isinstance(self.env.get(v), Placeholder) for v in node.inputs)
            if given and not isinstance(error, _ELSEWHERE):
                log.debug("a placeholder was read by %s", node, exc_info=True)
                raise _Stuck(f"reads a placeholder: {text}") from error
            if self.lenient:
                raise _Stuck(f"{what} raised {text}") from error
            add_note(error, f"in the {what} of  {node}   # {node.where}")
            raise

    def _arguments(self, node: Node, handler: Handler) -> dict[str, Any]:
        """The arguments a handler is called with; refuse what it would silently ignore."""
        if node.body is not None and self.escaping.get(node):
            values = ", ".join(map(repr, self.escaping[node][:3]))
            raise _Refused(f"its inner value {values} is used outside the module")
        defaults = (
            node.signature.defaults if node.signature is not None else forward_defaults(node.target)
        )
        named = {}
        for name, part in node.args.items():
            if name in handler.names:
                named[name] = part
            elif is_hint(name):
                continue
            elif handler.takes_rest:
                named[name] = part
            elif name not in defaults or not same_default(part, defaults[name]):
                shown = part if not isinstance(part, Value) else repr(part)
                raise _Refused(f"handler ignores {name}={shown}")
        missing = handler.required - named.keys() - blocks.blocks_by_name(node).keys()
        if missing:
            raise _Refused(f"this form of {node.op} has no {', '.join(sorted(missing))}")
        return named

    def _placeholder(self, node: Node, reason: str) -> None:
        """Put a placeholder in the place of an unhandled call, and tell the report."""
        if not self._is_needed(node):
            self.report.unused[node.op] = self.report.unused.get(node.op, 0) + 1
            return
        if self.pieces is not None:
            self.pieces.append((node, reason))
        else:
            lacking = sorted(self.apart.missing.get(node.op, ())) if self.apart is not None else []
            self._refuse(node, reason, lacking)
        inputs = []
        for value in node.inputs:
            try:
                inputs.append(self.look(value))
            except _Refused:
                inputs.append(value)
        hook = self.hook("placeholder")
        if hook is not None:
            made = hook(self.context(node, reason), inputs)
            self.env.update(lay_each(node, made, hook.__qualname__))
        for value in node.outputs:
            if hook is None or value not in self.env:
                self.env[value] = Placeholder(node.op, tuple(inputs), value.type, reason)

    def _refuse(self, node: Node, reason: str, lacking: Sequence[str] = ()) -> None:
        log.info("unrecognized func %s", node.op)
        self.status[node] = "placeholder" if reason == "no handler" else "refused"
        self.report.add(node, reason, lacking)

    # -- what the model does besides returning outputs

    def _escape(self, node: Node) -> None:
        """Hand a value that left torch to the guard handler."""
        self.status[node] = "escape"
        hook = self.hook("guard")
        if hook is None or node.effects.escape not in ("branch", "value"):
            return

        def call() -> None:
            read = [self.look(value) for value in node.inputs]
            condition = read[0] if len(read) == 1 else tuple(read)
            hook(self.context(node), condition, node.result, node)

        self.declined[node] = self._hand(node, "guard handler", call)
        if not self.declined[node]:
            self.status[node] = "handled"
            self.report.hooked["condition"] += 1

    def _keep(self, one: Kept) -> None:
        """Hand a state or a written input to the state handler."""
        hook, reason = self.hook("state"), "no handler"
        if hook is not None:
            op = "state" if one.kind == "state" else "input"
            node = Node(op, None, {"path": one.path, "final": one.final})

            def call() -> None:
                hook(self.context(node), one.path, self.look(one.initial), self.look(one.final))

            reason = self._hand(node, "state handler", call)
            if not reason:
                self.report.hooked[one.kind] += 1
                return
        self.report.omissions.append(omissions.of_kept(one, reason))

    def _hand(self, node: Node, what: str, call: Callable[[], None]) -> str:
        """Call a handler of what is no call; why it declined, or an empty text."""
        try:
            with self._blame(node, what):
                call()
        except _Refused as refused:
            return str(refused)
        except Unsupported as refused:
            return f"handler refused: {refused}"
        return ""

    def _left_out(self) -> None:
        """Tell the report which conditions the output does not check."""
        may_change = varying(self.graph)
        left = []
        for node in omissions.conditions(self.graph):
            reason = self.declined.get(node, "no handler")
            if node not in self.status:
                self.report.inside += 1
            elif reason and may_change.isdisjoint(node.inputs) and not node.effects.random:
                self.report.fixed += 1
            elif reason:
                left.append(omissions.of_condition(node, reason))
        self.report.omissions[:0] = left
        self.report.omissions += omissions.of_changes(self.graph)
        self.report.omissions += omissions.of_paths(self.graph)
        if not self.target.has("size"):
            self.report.omissions += omissions.of_sizes(self.graph)
