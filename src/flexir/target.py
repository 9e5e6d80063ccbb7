"""A Target holds the handlers of one representation, *yours*.

It is a value: there is no global registry, and importing a module registers nothing. What can be
wrong with a handler is found at its decorator. This module runs no handler and knows nothing of
any particular representation.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import torch

from .errors import Error, TargetError, Unsupported
from .forms import callables, op_of, parameter_names, signatures
from .graph import Graph
from .names import canonical
from .nodes import Node, TensorType, Value

_OWN_OPS = ("assemble", "as_strided", "as_strided_scatter", "setitem", "warp_affine")


class Keep(Unsupported):
    """A module that is to stay whole and has no handler."""

    def __init__(self) -> None:
        super().__init__("kept whole, no handler")


class Weight(NamedTuple):
    """A constant of the model: its name, its tensor, and all its names if it is tied."""

    name: str
    tensor: torch.Tensor
    names: tuple[str, ...]

    @classmethod
    def of(cls, value: Value, tensor: torch.Tensor) -> Weight:
        """As it is handed out: it can become an array, which what requires grad cannot."""
        return cls(value.name, tensor.detach(), value.names)


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
    inputs: tuple[Any, ...] = field(repr=False)
    type: TensorType
    reason: str


class OutputType(TensorType):
    """The type of a call's first output; called with an argument, it gives that one's type."""

    ask: Callable[[Any], TensorType]

    def __call__(self, argument: Any) -> TensorType:
        return self.ask(argument)


@dataclass(frozen=True, slots=True)
class Context:
    """What a handler is given besides the arguments.

    Attributes:
        out: the user's builder, as passed to ``convert(out=...)``.
        node: the call: ``node.op``, ``node.args``, ``node.outputs`` with types, ``node.path``,
            ``node.source``.
        graph: the whole graph.
        reason: for the placeholder handler: why.
        values: Value -> what stands for it in your representation, so far.
    """

    out: Any
    node: Node
    graph: Graph
    reason: str = ""
    values: Mapping[Value, Any] = field(default_factory=dict, repr=False)

    @property
    def module(self) -> torch.nn.Module | None:
        """The module called, if this is a module call."""
        return self.node.target if self.node.body is not None else None

    @property
    def type(self) -> OutputType:
        """Type of the first output: ``ctx.type.dtype``, ``ctx.type.shape``.

        ``ctx.type(argument)`` is the type of an argument; see :meth:`type_of`.
        """
        made = OutputType(*self.node.outputs[0].type)
        made.ask = self.type_of
        return made

    def type_of(self, argument: Any) -> TensorType:
        """Type of a tensor argument, as it was handed to the handler, or of a Value.

        Raises:
            Error: it stands for no tensor argument of this call, or for two of different types.
        """
        if isinstance(argument, Value):
            return argument.type
        inputs = self.node.inputs
        found = {v.type: v for v in inputs if self.values.get(v, v) is argument}
        if len(found) == 1:
            return next(iter(found))
        if found:
            both = " and ".join(map(str, found))
            raise Error(f"arguments of types {both} have one stand-in; ask for the type of "
                        "ctx.node.args[name]")  # fmt: skip
        raise Error(f"{argument!r} is no tensor argument of {self.node.op}")

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
        return Weight.of(value, tensor)


@dataclass(frozen=True, slots=True)
class Handler:
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
        self.ops: dict[str, Handler] = {}
        self.modules: dict[type, Handler] = {}
        self.paths: dict[str, Handler] = {}
        self.hooks: dict[str, Callable[..., Any]] = {}

    def __repr__(self) -> str:
        return f"<Target {self.name!r}: {len(self.ops)} ops, {len(self.modules)} modules>"

    def extend(self, name: str, *, without: Sequence[str] = ()) -> Target:
        """A child that falls back to this target and may override its handlers.

        Args:
            name: of the child.
            without: ops the child does not have: neither inherited nor made of others.
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

    def module(self, cls: type[torch.nn.Module] | str) -> Callable[[Callable[..., Any]], Any]:
        """Declare the handler of a module class: ``handler(ctx, module, <forward's arguments>)``.

        It claims every instance of the class and of subclasses that keep its ``forward``; their
        inside is not visited. A string is a pattern of module paths instead (``"layer3.*"``, as in
        :mod:`fnmatch`); it goes before classes.

        Raises:
            TargetError: not a module class, no such argument of ``forward``, or declared twice.
        """
        if isinstance(cls, str) and not hasattr(torch.nn, cls):
            return self._paths(cls)
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

    def _paths(self, pattern: str) -> Callable[[Callable[..., Any]], Any]:
        def declare(function: Callable[..., Any]) -> Callable[..., Any]:
            handler = _inspect(function, skip=2, allowed=None, what=f"modules {pattern!r}")
            self._put(self.paths, pattern, handler, f"modules {pattern!r}")
            return function

        return declare

    def keep(self, *what: type[torch.nn.Module] | str) -> None:
        """Keep modules whole, by class or path pattern, without a handler: each is a placeholder.

        The report lists them as missing, their inside is not visited: "do not decompose this".
        """

        def kept(ctx: Context, module: torch.nn.Module, **named: Any) -> Any:
            raise Keep

        kept.keeps = True
        for one in what:
            self.module(one)(kept)

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

    def _put(self, table: dict[Any, Handler], key: Any, handler: Handler, what: str) -> None:
        if key in table:
            raise TargetError(
                f"target {self.name!r} already has a handler for {what}: "
                f"{table[key].function.__qualname__}. To override it: "
                f"child = target.extend('v2'), then @child..."
            )
        table[key] = handler

    # -- looking up

    def handler(self, node: Node) -> Handler | None:
        """The handler that would take a node, its parent's included."""
        if node.body is None:
            found = self.ops.get(node.op)
        else:
            paths = (h for pattern, h in self.paths.items() if fnmatchcase(node.path, pattern))
            found = next(paths, None)
            owners = type(node.target).__mro__ if self.modules and found is None else ()
            for cls in owners:
                if cls in self.modules and type(node.target).forward is cls.forward:
                    found = self.modules[cls]
                    break
        if found is None and self.parent is not None and node.op not in self.without:
            return self.parent.handler(node)
        return found

    def lacks(self, op: str) -> bool:
        """Whether an op was declared not to be had."""
        here = op in self.without and op not in self.ops
        return here or (self.parent is not None and op not in self.ops and self.parent.lacks(op))

    @property
    def patterns(self) -> list[str]:
        """Patterns of module paths that have handlers, the parent's included."""
        return [*self.paths, *(self.parent.patterns if self.parent is not None else ())]

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
) -> Handler:
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
    return Handler(
        function,
        frozenset(names),
        frozenset(p.name for p in own if p.default is p.empty),
        any(p.kind is p.VAR_KEYWORD for p in parameters),
    )
