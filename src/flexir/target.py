"""Convert a graph into *your* representation: a Target holds handlers, ``convert`` runs them.

A Target is a value: there is no global registry, and importing a module registers nothing. What
it cannot take becomes a placeholder and flows on; ``convert`` stops only for an error inside a
handler. This module knows nothing of any particular representation.
"""

from __future__ import annotations

import difflib
import inspect
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch

from . import structure
from .capture import add_note, capture
from .errors import HandlerError, TargetError, Unsupported
from .graph import Graph, Node, TensorType, Value
from .interpreter import interpret
from .report import Report
from .signatures import (
    HINTS,
    callables,
    canonical,
    is_default,
    op_of,
    parameter_names,
    signatures,
)

log = logging.getLogger("flexir")

_OWN_OPS = ("assemble", "as_strided", "as_strided_scatter", "setitem")


class Weight(NamedTuple):
    """A constant of the model: its name, its tensor, and all its names if it is tied."""

    name: str
    tensor: torch.Tensor
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Placeholder:
    """What flows on where nothing handled a call.

    Attributes:
        op: canonical name of the call.
        inputs: its tensor arguments, converted.
        type: dtype, shape and device of the output it stands for.
        reason: why it is a placeholder.
    """

    op: str
    inputs: tuple[Any, ...]
    type: TensorType
    reason: str


@dataclass(frozen=True, slots=True)
class Context:
    """What a handler is given besides the arguments.

    Attributes:
        out: the user's builder, as passed to ``convert(out=...)``.
        node: the call: ``node.op``, ``node.args``, ``node.outputs`` with types, ``node.path``,
            ``node.source``.
        graph: the whole graph.
        reason: for the placeholder handler: why.
    """

    out: Any
    node: Node
    graph: Graph
    reason: str = ""

    @property
    def module(self) -> torch.nn.Module | None:
        """The module called, if this is a module call."""
        return self.node.target if self.node.body is not None else None

    @property
    def type(self) -> TensorType:
        """Type of the first output."""
        return self.node.outputs[0].type

    def weight(self, value: Any) -> Any:
        """The name and tensor of a constant argument; None stays None.

        Raises:
            Unsupported: the argument is computed by the model, not stored in it.
        """
        if value is None:
            return None
        tensor = self.graph.constants.get(value) if isinstance(value, Value) else None
        if tensor is None:
            raise Unsupported("an argument that must be a weight is computed by the model")
        return Weight(value.name, tensor, value.names)


@dataclass(frozen=True, slots=True)
class _Handler:
    """A function and how it wants to be called."""

    function: Callable[..., Any]
    names: frozenset[str]
    required: frozenset[str]
    takes_rest: bool


class Target:
    """The handlers of one representation.

    Args:
        name: shown in reports.

    Example:
        >>> ir = Target("myir")
        >>> @ir.op("relu")
        ... def relu(ctx, input):
        ...     return ("Relu", input)
    """

    def __init__(
        self, name: str, parent: Target | None = None, without: Sequence[str] = ()
    ) -> None:
        self.name, self.parent, self.without = name, parent, frozenset(without)
        self.ops: dict[str, _Handler] = {}
        self.modules: dict[type, _Handler] = {}
        self.hooks: dict[str, Callable[..., Any]] = {}

    def __repr__(self) -> str:
        return f"<Target {self.name!r}: {len(self.ops)} ops, {len(self.modules)} modules>"

    def extend(self, name: str, *, without: Sequence[str] = ()) -> Target:
        """A child that falls back to this target and may override its handlers.

        Args:
            name: of the child.
            without: ops the child does not inherit.
        """
        return Target(name, self, without)

    # -- declaring

    def op(self, key: str | Callable[..., Any]) -> Callable[[Callable[..., Any]], Any]:
        """Declare the handler of a function: ``handler(ctx, <the op's arguments by name>)``.

        Args:
            key: a canonical op name, or any torch callable of that meaning, or a function made
                with ``flexir.opaque``, or a custom op.

        Keyword-only parameters with defaults are the handler's own and never passed.

        Raises:
            TargetError: no such op, no such argument, or a second handler for it.
        """
        name, known = _resolve(key)

        def declare(function: Callable[..., Any]) -> Callable[..., Any]:
            handler = _inspect(function, skip=1, allowed=known, what=f"op {name!r}")
            self._put(self.ops, name, handler, f"op {name!r}")
            return function

        return declare

    def module(self, cls: type[torch.nn.Module]) -> Callable[[Callable[..., Any]], Any]:
        """Declare the handler of a module class: ``handler(ctx, module, <forward's arguments>)``.

        It claims every instance of the class and of subclasses that keep its ``forward``; their
        inside is not visited.

        Raises:
            TargetError: not a module class, no such argument of ``forward``, or declared twice.
        """
        if not (isinstance(cls, type) and issubclass(cls, torch.nn.Module)):
            raise TargetError(f"a module handler needs a class of modules; got {cls!r}")
        parameters = list(inspect.signature(cls.forward).parameters.values())[1:]
        variadic = any(p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL) for p in parameters)
        known = None if variadic else [p.name for p in parameters]

        def declare(function: Callable[..., Any]) -> Callable[..., Any]:
            handler = _inspect(function, skip=2, allowed=known, what=f"module {cls.__name__}")
            self._put(self.modules, cls, handler, f"module {cls.__name__}")
            return function

        return declare

    def placeholder(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Declare what a placeholder is in your representation: ``function(ctx, inputs)``.

        ``inputs`` are the converted tensor arguments; return one thing per output, as a handler
        does. ``ctx.reason`` says why.
        """
        return self._hook("placeholder", function)

    def input(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Declare how an input of the graph enters: ``function(ctx, name, type)``."""
        return self._hook("input", function)

    def constant(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Declare how a weight or constant enters: ``function(ctx, weight)``, once for each.

        ``weight`` is a :class:`Weight`. Without this hook constants arrive as Values, to be
        opened with ``ctx.weight``.
        """
        return self._hook("constant", function)

    def _hook(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        if name in self.hooks:
            raise TargetError(f"target {self.name!r} already has a {name} handler")
        self.hooks[name] = function
        return function

    def _put(self, table: dict[Any, _Handler], key: Any, handler: _Handler, what: str) -> None:
        if key in table:
            raise TargetError(
                f"target {self.name!r} already has a handler for {what}: "
                f"{table[key].function.__qualname__}. To override it: "
                f"child = target.extend('v2'), then @child..."
            )
        table[key] = handler

    # -- looking up

    def handler(self, node: Node) -> _Handler | None:
        """The handler that would take a node, its parent's included."""
        if node.body is None:
            found = self.ops.get(node.op)
        else:
            found = None
            for cls in type(node.target).__mro__:
                if cls in self.modules and type(node.target).forward is cls.forward:
                    found = self.modules[cls]
                    break
        if found is None and self.parent is not None and node.op not in self.without:
            return self.parent.handler(node)
        return found

    def hook(self, name: str) -> Callable[..., Any] | None:
        """The placeholder, input or constant handler, the parent's included."""
        found = self.hooks.get(name)
        if found is None and self.parent is not None:
            return self.parent.hook(name)
        return found


def _resolve(key: Any) -> tuple[str, list[str] | None]:
    """Canonical name and known argument names of a handler key."""
    if callable(key):
        name = op_of(key)
        if name in callables():
            return name, parameter_names(name) or None
        names = [n for s in signatures(key) for n in s.names]
        return name, names or None
    if not isinstance(key, str):
        raise TargetError(f"a handler key is an op name or a torch callable; got {key!r}")
    if key in callables():
        return key, parameter_names(key) or None
    if key in _OWN_OPS:
        return key, None
    if "::" in key:  # a custom op: "torchvision::nms"
        return canonical(key.split("::")[1]), None
    if canonical(key) in callables():
        raise TargetError(f"{key!r} is called {canonical(key)!r} here: one meaning, one name")
    near = difflib.get_close_matches(key, [*callables(), *_OWN_OPS], n=3, cutoff=0.6)
    hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
    raise TargetError(f"torch has no function {key!r}{hint}")


def _inspect(
    function: Callable[..., Any], *, skip: int, allowed: list[str] | None, what: str
) -> _Handler:
    parameters = list(inspect.signature(function).parameters.values())
    if len(parameters) < skip and not any(p.kind is p.VAR_POSITIONAL for p in parameters):
        first = "ctx" if skip == 1 else "ctx, module"
        raise TargetError(f"the handler of {what} must take ({first}, ...)")
    own = [
        p
        for p in parameters[skip:]
        if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
        # a keyword-only parameter with a default is the handler's own (`*, kind="Relu"`)
        and not (p.kind is p.KEYWORD_ONLY and p.default is not p.empty)
    ]
    names = [p.name for p in own]
    if allowed is not None:
        for name in names:
            if name not in allowed:
                near = difflib.get_close_matches(name, allowed, n=2, cutoff=0.5)
                hint = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
                raise TargetError(
                    f"{what} has no argument {name!r}{hint or '.'} It has: {', '.join(allowed)}"
                )
    return _Handler(
        function,
        frozenset(names),
        frozenset(p.name for p in own if p.default is p.empty),
        any(p.kind is p.VAR_KEYWORD for p in parameters),
    )


# --- converting ---------------------------------------------------------------------------------


@dataclass(slots=True)
class Result:
    """What a conversion made.

    Attributes:
        output: your builder ``out``; without one, the same as ``outputs``.
        outputs: what the handlers returned for the model's outputs, in the model's containers.
        report: what was handled and what was not.
        graph: the captured graph.
        status: node -> ``"handled"``, ``"placeholder"``, ``"refused"`` (a placeholder whose
            handler declined), ``"passed"`` (a call that changed nothing) or ``"escape"``.
    """

    output: Any
    outputs: Any
    report: Report
    graph: Graph
    status: dict[Node, str] = field(default_factory=dict)

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
) -> Result:
    """Capture a model (or take a Graph) and run a target's handlers over it.

    Args:
        model: a module, a callable or a Graph.
        args: inputs of the model, as for ``capture``; nothing for a Graph.
        target: the handlers.
        out: your builder; handlers find it as ``ctx.out``.
        kwargs: keyword inputs of the model.
        strict: raise if anything became a placeholder.

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
    result = _Conversion(graph, target, out).run()
    if strict:
        result.report.raise_if_unsupported()
    return result


class _Refused(Exception):
    """A handler cannot take this call; the message is the reason."""


class _Conversion:
    """The meaning 'call the user's handler'."""

    def __init__(self, graph: Graph, target: Target, out: Any) -> None:
        self.graph, self.target, self.out = graph, target, out
        self.report = Report(graph.name, target.name, audit=graph.audit, escapes=graph.escapes)
        self.status: dict[Node, str] = {}
        self.escaping = escaping_values(graph)
        self.constants: dict[Value, Any] = {}
        self.env: dict[Value, Any] = {}

    def run(self) -> Result:
        enter = self.target.hook("input")
        for value in self.graph.input_values:
            node = Node("input", None, {})
            ctx = Context(self.out, node, self.graph)
            self.env[value] = enter(ctx, value.name, value.type) if enter else value
        interpret(self.graph.nodes, self.env, self.claim)
        outputs = structure.build(self.graph.outputs, Value, self.look)
        output = self.out if self.out is not None else outputs
        return Result(output, outputs, self.report, self.graph, self.status)

    def look(self, value: Value) -> Any:
        """What stands for a Value in the user's representation."""
        if value in self.env:
            return self.env[value]
        if value in self.graph.constants:
            hook = self.target.hook("constant")
            if hook is None:
                return value
            weight = Weight(value.name, self.graph.constants[value], value.names)
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
        self._placeholder(node, reason)
        return True

    def _call(self, node: Node, handler: _Handler) -> None:
        if node.body is not None and self.escaping.get(node):
            values = ", ".join(map(repr, self.escaping[node][:3]))
            raise _Refused(f"its inner value {values} is used outside the module")
        named = structure.build(self._arguments(node, handler), Value, self.look)
        ctx = Context(self.out, node, self.graph)
        args = (ctx,) if node.body is None else (ctx, node.target)
        try:
            made = handler.function(*args, **named)
        except (Unsupported, _Refused):
            raise
        except Exception as error:
            add_note(error, f"in the handler of  {node}   # {node.where}")
            raise
        self._bind(node, made, handler.function.__qualname__)

    def _arguments(self, node: Node, handler: _Handler) -> dict[str, Any]:
        """The arguments a handler is called with; refuse what it would silently ignore."""
        defaults = node.signature.defaults if node.signature is not None else _defaults(node)
        named = {}
        for name, part in node.args.items():
            if name in handler.names:
                named[name] = part
            elif name in HINTS or name.startswith("_"):
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
        self.report.add(node, reason)
        inputs = []
        for value in node.inputs:
            try:
                inputs.append(self.look(value))
            except _Refused:
                inputs.append(value)
        hook = self.target.hook("placeholder")
        if hook is not None:
            made = hook(Context(self.out, node, self.graph, reason), inputs)
            self._bind(node, made, hook.__qualname__)
            rest: Sequence[Value] = [v for v in node.outputs if v not in self.env]
        else:
            rest = node.outputs
        for value in rest:
            self.env[value] = Placeholder(node.op, tuple(inputs), value.type, reason)


def _defaults(node: Node) -> dict[str, Any]:
    """Defaults of a module's ``forward``."""
    try:
        parameters = inspect.signature(node.target.forward).parameters.values()
    except (TypeError, ValueError):
        return {}
    return {p.name: p.default for p in parameters if p.default is not p.empty}


def same_default(part: Any, default: Any) -> bool:
    """Whether an argument means its default; ``1``, ``(1, 1)`` and ``[1, 1]`` mean the same."""
    if is_default(part, default):
        return True
    if isinstance(default, (list, tuple)) and default:
        if isinstance(part, (list, tuple)):
            return len(part) == len(default) and all(map(is_default, part, default))
        return all(is_default(part, d) for d in default)
    if isinstance(part, (list, tuple)) and part and not isinstance(default, (list, tuple)):
        return all(is_default(p, default) for p in part)
    if isinstance(default, (list, tuple)) and part is None:
        return not default
    if type(part) in (int, float) and type(default) in (int, float):
        return part == default
    return False


def escaping_values(graph: Graph) -> dict[Node, list[Value]]:
    """Module node -> Values made inside it that are read outside and are not its results."""
    last: dict[Value, int] = {}
    position = 0
    for node in graph:
        position += 1
        for value in node.inputs:
            last[value] = position
    for value in [*graph.output_values, *(m.final for m in graph.mutations)]:
        last[value] = position + 1
    found: dict[Node, list[Value]] = {}
    position = 0

    def visit(nodes: Sequence[Node]) -> list[Value]:
        nonlocal position
        alive: list[Value] = []
        for node in nodes:
            if node.body is None:
                position += 1
                alive += [v for v in node.outputs if v in last]
                continue
            inner = [v for v in visit(node.body) if last[v] > position]
            results = set(node.returned)
            outside = [v for v in inner if v not in results]
            if outside:
                found[node] = outside
            alive += inner
        return alive

    visit(graph.nodes)
    return found
