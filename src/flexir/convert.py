"""Run a target's handlers over a graph: claim the call, else descend, else placeholder.

``convert`` is the loop of :mod:`flexir.interpreter` with the meaning "call the user's handler".
It stops only for an error inside a handler; what nobody takes becomes a placeholder, and the
report lists all of it.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import logging
from collections import ChainMap, Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from . import structure
from .capture import capture
from .errors import HandlerError, TargetError, Unsupported, add_note
from .graph import Graph
from .interpreter import interpret
from .nodes import Node, Value
from .report import Report
from .signatures import is_hint, same_default
from .target import Context, Handler, Keep, Placeholder, Target, Weight

if TYPE_CHECKING:
    from .decompose import Decomposer

log = logging.getLogger("flexir")


@dataclass(slots=True)
class Result:
    """What a conversion made.

    Attributes:
        output: your builder ``out``; without one, the same as ``outputs``.
        outputs: what the handlers returned for the model's outputs, in the model's containers.
        report: what was handled and what was not.
        graph: the captured graph.
        status: node -> ``"handled"``, ``"decomposed"`` (into calls that were handled),
            ``"placeholder"``, ``"refused"`` (a placeholder whose handler declined), ``"passed"``
            (a call that changed nothing) or ``"escape"``.
        values: Value -> what stands for it in your representation.
    """

    output: Any
    outputs: Any
    report: Report
    graph: Graph
    status: dict[Node, str] = field(default_factory=dict)
    values: dict[Value, Any] = field(default_factory=dict, repr=False)

    def save(self, path: str, **options: Any) -> None:
        """Save the graph with every call's status; see :func:`flexir.ir.save`."""
        reasons = {node: row.reason for row in self.report.entries for node in row.nodes}
        status = {node: (text, reasons.get(node, "")) for node, text in self.status.items()}
        self.graph.save(path, status=status, **options)

    def draw(self, path: str, **options: Any) -> str:
        """Draw the graph, placeholders red; see :func:`flexir.draw.draw`."""
        from .draw import draw

        return draw(self.graph, path, status=self.status, **options)


def convert(
    model: Any,
    args: Any = (),
    target: Target | None = None,
    out: Any = None,
    *,
    kwargs: dict[str, Any] | None = None,
    strict: bool = False,
    decompose: bool = True,
) -> Result:
    """Capture a model (or take a Graph) and run a target's handlers over it.

    Args:
        model: a module, a callable or a Graph.
        args: inputs of the model, as for ``capture``; nothing for a Graph.
        target: the handlers.
        out: your builder; handlers find it as ``ctx.out``.
        kwargs: keyword inputs of the model.
        strict: raise if anything became a placeholder.
        decompose: take a call that no handler takes apart, if the target takes all the pieces.

    Returns:
        a :class:`Result`.

    Raises:
        UnsupportedError: with ``strict``, listing *all* calls that nothing handled.
        HandlerError: a handler returned the wrong number of outputs.
        Exception: whatever a handler raises, with a note naming the call.
    """
    if isinstance(args, Target) and target is None:
        args, target = (), args
    if target is None:
        raise TargetError("convert needs a target: convert(model, args, target)")
    graph = model if isinstance(model, Graph) else capture(model, args, kwargs)
    result = _Conversion(graph, target, out, decompose).run()
    if strict:
        result.report.raise_if_unsupported()
    return result


def coverage(graph: Graph, target: Target, *, decompose: bool = True) -> Report:
    """What a target would take of a graph, running no handler: by its handlers' arguments alone.

    What a handler refuses only once it runs is not seen.
    """
    check = _Coverage(graph, target, None, decompose)
    interpret(graph.nodes, check.env, check.claim)
    return check.report


class _Refused(Exception):
    """A handler cannot take this call; the message is the reason."""


class _Conversion:
    """The meaning 'call the user's handler'."""

    def __init__(self, graph: Graph, target: Target, out: Any, decompose: bool) -> None:
        self.target, self.out = target, out
        # Pieces of calls may read constants of their own; handlers find them with the model's.
        self.extra: dict[Value, Any] = {}
        constants = ChainMap(self.extra, graph.constants)
        self.original, self.graph = graph, dataclasses.replace(graph, constants=constants)
        self.apart: Decomposer | None = None
        if decompose:  # a fifth of the time to import flexir, which not everybody needs
            from .decompose import Decomposer

            self.apart = Decomposer(self.takes)
        self.report = Report(graph.name, target.name, audit=graph.audit, escapes=graph.escapes)
        self.status: dict[Node, str] = {}
        self.constants: dict[Value, Any] = {}
        self.env: dict[Value, Any] = {}

    @functools.cached_property
    def escaping(self) -> dict[Node, list[Value]]:
        """Found when the first module handler asks."""
        return escaping_values(self.graph)

    def run(self) -> Result:
        enter = self.hook("input")
        for value in self.graph.input_values:
            node = Node("input", None, {})
            ctx = Context(self.out, node, self.graph)
            self.env[value] = enter(ctx, value.name, value.type) if enter else value
        interpret(self.graph.nodes, self.env, self.claim)
        paths = self.graph.modules
        self.report.unmatched = [
            p for p in self.target.patterns if not any(fnmatchcase(path, p) for path in paths)
        ]
        outputs = structure.build(self.graph.outputs, Value, self.look)
        output = self.out if self.out is not None else outputs
        return Result(output, outputs, self.report, self.original, self.status, self.env)

    def hook(self, name: str) -> Any:
        """One of the target's functions for what is no call."""
        return self.target.hook(name)

    def look(self, value: Value) -> Any:
        """What stands for a Value in the user's representation."""
        if value in self.env:
            return self.env[value]
        if value in self.graph.constants:
            hook = self.hook("constant")
            if hook is None:
                return value
            weight = Weight.of(value, self.graph.constants[value])
            made = hook(Context(self.out, Node("constant", None, {}), self.graph), weight)
            self.env[value] = made
            return made
        raise _Refused(f"it reads {value!r}, which a handler before it did not return")

    def claim(self, node: Node, env: dict[Value, Any]) -> bool:
        """Hand a node to its handler; False to descend into a module nobody takes."""
        if node.body is None and not node.outputs:
            self.status[node] = "escape"
            return True
        handler = self.target.handler(node)
        reason = "no handler"
        if handler is not None:
            try:
                self._call(node, handler)
            except _Refused as refused:
                reason = str(refused)
            except Keep as kept:
                self._placeholder(node, str(kept))
                return True
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
        if node.effects.same is not None:
            (value,) = node.outputs
            self.status[node] = "passed"
            env[value] = self.look(node.args[node.effects.same])
            self.report.passed[node.op] = self.report.passed.get(node.op, 0) + 1
            return True
        unwanted = self.target.lacks(node.op)
        if self.apart is None or unwanted or not self._decompose(node):
            self._placeholder(node, reason)
        return True

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
        """Convert the pieces of a call instead of the call."""
        assert self.apart is not None
        pieces = self.apart(node)
        if pieces is None:
            return False
        self.extra.update(pieces.constants)
        apart, self.apart = self.apart, None  # a piece whose handler declines stays a placeholder
        for piece in pieces.nodes:
            self.claim(piece, self.env)
        self.apart = apart
        for value, made in zip(node.returned, structure.leaves(pieces.result, Value)):
            self.env[value] = self.look(made)
        self.status[node] = "decomposed"
        self.report.decomposed.setdefault(node.op, Counter()).update(n.op for n in pieces.nodes)
        self.report.taken_apart[node.op] = self.report.taken_apart.get(node.op, 0) + 1
        return True

    def _call(self, node: Node, handler: Handler) -> None:
        named = structure.build(self._arguments(node, handler), Value, self.look)
        ctx = Context(self.out, node, self.graph, values=self.env)
        args = (ctx,) if node.body is None else (ctx, node.target)
        try:
            made = handler.function(*args, **named)
        except (Unsupported, _Refused):
            raise
        except Exception as error:
            add_note(error, f"in the handler of  {node}   # {node.where}")
            raise
        self._bind(node, made, handler.function.__qualname__)

    def _arguments(self, node: Node, handler: Handler) -> dict[str, Any]:
        """The arguments a handler is called with; refuse what it would silently ignore."""
        if node.body is not None and self.escaping.get(node):
            values = ", ".join(map(repr, self.escaping[node][:3]))
            raise _Refused(f"its inner value {values} is used outside the module")
        defaults = node.signature.defaults if node.signature is not None else _defaults(node)
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
        missing = handler.required - named.keys()
        if missing:
            raise _Refused(f"this form of {node.op} has no {', '.join(sorted(missing))}")
        return named

    def _bind(self, node: Node, made: Any, who: str) -> None:
        """Give the node's Values what its handler returned, place by place."""
        places = node.returned
        if not places:  # a call that only writes: its Values are what it wrote
            self._bind_flat(node, list(node.outputs), made, who)
        elif not self._bind_like(node.result, made):
            self._bind_flat(node, places, made, who)

    def _bind_like(self, template: Any, made: Any) -> bool:
        """Bind a result laid out as the call's own; False if it is not laid out so."""
        if isinstance(template, Value):
            self.env[template] = made
            return True
        if isinstance(template, structure.Record) and isinstance(template.items, list):
            template = template.items
        if type(template) in (tuple, list) and isinstance(made, (tuple, list)):
            return len(template) == len(made) and all(map(self._bind_like, template, made))
        return next(structure.leaves(template, Value), None) is None

    def _bind_flat(self, node: Node, places: list[Value], made: Any, who: str) -> None:
        if len(places) == 1 and not (isinstance(made, (tuple, list)) and len(made) == 1):
            self.env[places[0]] = made
            return
        if not isinstance(made, (tuple, list)) or len(made) != len(places):
            count = len(made) if isinstance(made, (tuple, list)) else f"one {type(made).__name__}"
            raise HandlerError(
                f"handler {who!r} returned {count}; {node.op} has {len(places)} outputs\n"
                f"  {node}   # {node.where}"
            )
        self.env.update(zip(places, made))

    def _placeholder(self, node: Node, reason: str) -> None:
        log.info("unrecognized func %s", node.op)
        refused = reason != "no handler"
        self.status[node] = "refused" if refused else "placeholder"
        lacking = sorted(self.apart.missing.get(node.op, ())) if self.apart is not None else []
        self.report.add(node, reason, lacking)
        inputs = []
        for value in node.inputs:
            try:
                inputs.append(self.look(value))
            except _Refused:
                inputs.append(value)
        hook = self.hook("placeholder")
        if hook is not None:
            made = hook(Context(self.out, node, self.graph, reason, self.env), inputs)
            self._bind(node, made, hook.__qualname__)
            rest: Sequence[Value] = [v for v in node.outputs if v not in self.env]
        else:
            rest = node.outputs
        for value in rest:
            self.env[value] = Placeholder(node.op, tuple(inputs), value.type, reason)


class _Coverage(_Conversion):
    """The meaning 'would a handler be called': Values stand for themselves."""

    def hook(self, name: str) -> Any:
        return None

    def look(self, value: Value) -> Any:
        return value

    def _call(self, node: Node, handler: Handler) -> None:
        self._arguments(node, handler)
        if getattr(handler.function, "keeps", False):
            raise Keep


def _defaults(node: Node) -> dict[str, Any]:
    """Defaults of a module's ``forward``."""
    try:
        parameters = inspect.signature(node.target.forward).parameters.values()
    except (TypeError, ValueError):
        return {}
    return {p.name: p.default for p in parameters if p.default is not p.empty}


def escaping_values(graph: Graph) -> dict[Node, list[Value]]:
    """Module node -> Values made inside it that are read outside and are not its results."""
    last: dict[Value, int] = {}
    position = 0
    for node in graph:
        position += 1
        for value in node.inputs:
            last[value] = position
    for value in graph.results:
        last[value] = position + 1
    found: dict[Node, list[Value]] = {}
    _alive(graph.nodes, last, 0, found)
    return found


def _alive(
    nodes: Sequence[Node], last: dict[Value, int], position: int, found: dict[Node, list[Value]]
) -> tuple[list[Value], int]:
    """Values made by ``nodes`` that somebody reads, and the position of the last call."""
    alive: list[Value] = []
    for node in nodes:
        if node.body is None:
            position += 1
            alive += [v for v in node.outputs if v in last]
            continue
        made, position = _alive(node.body, last, position, found)
        inner = [v for v in made if last[v] > position]
        results = set(node.returned)
        if outside := [v for v in inner if v not in results]:
            found[node] = outside
        alive += inner
    return alive, position
