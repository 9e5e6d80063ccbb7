"""A Target holds the handlers of one representation, *yours*.

It is a value: there is no global registry, and importing a module registers nothing. What can be
wrong with a handler is found at its decorator. This module runs no handler and knows nothing of
any particular representation.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch

from ..errors import TargetError, Unsupported
from ..graph.nodes import Node
from .context import Context
from .keys import Handler, did_you_mean, inspected, resolve


class Keep(Unsupported):
    """A module that is to stay whole and has no handler."""

    def __init__(self) -> None:
        super().__init__("kept whole, no handler")


def kept_whole(ctx: Context[Any], module: torch.nn.Module, **named: Any) -> Any:
    """The handler of modules that are kept whole."""
    raise Keep


class Target:
    """The handlers of one representation.

    Args:
        name: shown in reports.
        parent: see :meth:`extend`.
        without: see :meth:`extend`.
        out: makes the builder that handlers find as ``ctx.out``: a class or a function without
            arguments. ``convert`` uses it when it is given none; so do the command, ``plan`` and
            ``check_handlers``.
        dtypes: torch's dtypes in the words of the representation, for ``ctx.dtype``; one that is
            not there is refused.
        config: what a conversion may choose, with what it is otherwise: ``{"opset": 18}``. Handlers
            find it, with what ``convert(config=...)`` said, in ``ctx.config``.

    Example:
        >>> ir = Target("myir")
        >>> @ir.op("relu")
        ... def relu(ctx, input):
        ...     return ("Relu", input)
    """

    def __init__(
        self,
        name: str,
        parent: Target | None = None,
        without: Sequence[str] = (),
        *,
        out: Callable[[], Any] | None = None,
        dtypes: Mapping[torch.dtype, Any] | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        if out is not None and not callable(out):
            raise TargetError(
                f"out makes a builder for one model: give the class or a function, not {out!r}"
            )
        self.name, self.parent, self.without = name, parent, frozenset(without)
        self.out, self.dtypes, self.config = out, dtypes, dict(config or {})
        self.ops: dict[str, Handler] = {}
        self.modules: dict[type, Handler] = {}
        self.paths: dict[str, Handler] = {}
        self.hooks: dict[str, Callable[..., Any]] = {}

    def __repr__(self) -> str:
        return f"<Target {self.name!r}: {len(self.ops)} ops, {len(self.modules)} modules>"

    def extend(
        self, name: str, *, without: Sequence[str] = (), out: Callable[[], Any] | None = None
    ) -> Target:
        """A child that falls back to this target and may override its handlers.

        Args:
            name: of the child.
            without: ops the child does not have: neither inherited nor made of others.
            out: makes its builder; without, this target's does.
        """
        return Target(name, self, without, out=out)

    # -- declaring

    def op(self, key: str | Callable[..., Any]) -> Callable[[Callable[..., Any]], Any]:
        """Declare the handler of a function: ``handler(ctx, <the op's arguments by name>)``.

        Args:
            key: a canonical op name, or any torch callable of that meaning, or a function made
                with ``flexir.opaque``, or a custom op.

        Keyword-only parameters with defaults are the handler's own and never passed.

        Raises:
            TargetError: no such op, no such argument, a second handler for it, or an op that has
                no output (``tolist``), whose handler would never be called.
        """
        name, known = resolve(key)

        def declare(function: Callable[..., Any]) -> Callable[..., Any]:
            handler = inspected(function, skip=1, allowed=known, what=f"op {name!r}")
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
            handler = inspected(function, skip=2, allowed=known, what=f"module {cls.__name__}")
            self._put(self.modules, cls, handler, f"module {cls.__name__}")
            return function

        return declare

    def _paths(self, pattern: str) -> Callable[[Callable[..., Any]], Any]:
        def declare(function: Callable[..., Any]) -> Callable[..., Any]:
            handler = inspected(function, skip=2, allowed=None, what=f"modules {pattern!r}")
            self._put(self.paths, pattern, handler, f"modules {pattern!r}")
            return function

        return declare

    def keep(self, *what: type[torch.nn.Module] | str) -> None:
        """Keep modules whole, by class or path pattern, without a handler: each is a placeholder.

        The report lists them as missing, their inside is not visited: "do not decompose this".
        """

        for one in what:
            self.module(one)(kept_whole)

    def placeholder(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Declare what a placeholder is in your representation: ``function(ctx, inputs)``.

        ``inputs`` are the converted tensor arguments; return one thing per output, in a tuple; for
        one output, a tuple of one or the thing itself. ``ctx.reason`` says why.

        Without this hook a :class:`.context.Placeholder` flows on. A handler that is given one and
        raises becomes a placeholder, too, with the error in its reason.
        """
        return self._hook("placeholder", function, "(ctx, inputs)")

    def input(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Declare how an input of the graph enters: ``function(ctx, name, type)``."""
        return self._hook("input", function, "(ctx, name, type)")

    def constant(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Declare how a weight or constant enters: ``function(ctx, weight)``, once for each.

        ``weight`` is a :class:`.context.Weight`. Without this hook constants arrive as Values, to
        be opened with ``ctx.weight``. With it, handlers are given what it returned, and
        ``ctx.weight`` opens that.
        """
        return self._hook("constant", function, "(ctx, weight)")

    def output(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Declare how the outputs leave: ``function(ctx, outputs)``, once, after all handlers.

        ``outputs`` has, by name (``logits``, ``past_key_values.layers.0.keys``; ``output`` for a
        lone tensor), what your handlers made of each tensor that the model returns. What it returns
        is ``Result.output``: a finished file, say. ``ctx.graph.bind`` and ``ctx.graph.arrange``
        turn a call's arguments into tensors by name, and tensors by name into what the model
        returns.

        Not called where an output is a :class:`.context.Placeholder`; then ``Result.output`` is
        your builder as it is.
        """
        return self._hook("output", function, "(ctx, outputs)")

    def run(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Declare how what was made is run: ``function(result, tensors)``.

        ``result`` is what ``convert`` gave; ``tensors`` are for ``result.graph.input_values``, in
        order. It returns those of ``result.graph.output_values``, in order: tensors, NumPy arrays
        or a lone one. ``result.run(*args)`` uses it, and ``check_handlers``.
        """
        return self._hook("run", function, "(result, tensors)")

    def guard(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Declare what becomes of the conditions under which the graph is the model.

        ``function(ctx, condition, expected, node)`` is called, in order with the handlers, wherever
        the model took a value out of torch: a bool that decided a branch, or a number. What it
        returns is ignored. Calls whose results only it reads count as work; without it they are no
        work, and the conditions are in the report's list of what is not in the output.

        ``condition`` is what your handlers returned for the tensor asked; a tuple where there were
        several (``torch.equal``). ``expected`` is the recorded value: a bool, a number or a list of
        them; the output means the model where the call ``node.op`` of ``condition`` gives it.
        ``node`` is the call, with ``node.source``; ``node.effects.escape`` is ``"branch"`` or
        ``"value"``. To decline one, raise ``Unsupported``.

        Tensors whose memory Python got (``x.numpy()``) do not come here: no engine could compare
        them with a value. The report names them.
        """
        return self._hook("guard", function, "(ctx, condition, expected, node)")

    def state(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Declare what a call leaves behind: ``function(ctx, path, initial, final)``.

        Called after all handlers, once for each entry of ``graph.state``, and for each input that
        the model writes (``graph.mutations``). What it returns is ignored; without it, all of these
        are in the report's list of what is not in the output. To decline one, raise
        ``Unsupported``.

        ``path`` is where the model keeps it (``encoder.cache.0``), ``final`` what your handlers
        made of the tensor that is there after the call. ``initial`` is what stands for the tensor
        that was there before, the same that every handler was given that read it: what your
        constant handler returned. That was called at the first reading, or just now if nothing read
        it, with ``weight.state`` set to the path and the recorded tensor in ``weight.tensor``. So a
        constant handler that returns a variable for it, and a state handler that assigns ``final``
        to that variable, are all it takes. Without a constant handler ``initial`` is a Value, whose
        tensor is in ``ctx.graph.constants``; ``ctx.weight`` refuses it, lest it be baked in.

        For an input, ``ctx.node.op`` is ``"input"``, ``path`` its name and ``initial`` what your
        input handler made; for state, ``ctx.node.op`` is ``"state"``.
        """
        return self._hook("state", function, "(ctx, path, initial, final)")

    def _hook(self, name: str, function: Callable[..., Any], parameters: str) -> Callable[..., Any]:
        if name in self.hooks:
            raise TargetError(f"target {self.name!r} already has a {name} handler")
        try:
            inspect.signature(function).bind(*parameters.split(", "))
        except TypeError as error:
            raise TargetError(f"the {name} handler must take {parameters}: {error}") from error
        self.hooks[name] = function
        return function

    def _put(self, table: dict[Any, Handler], key: Any, handler: Handler, what: str) -> None:
        if key in table:
            known = f"{what}: {table[key].function.__qualname__}"
            advice = "To override it: child = target.extend('v2'), then @child..."
            raise TargetError(f"target {self.name!r} already has a handler for {known}. {advice}")
        table[key] = handler

    # -- looking up

    def handler(self, node: Node) -> Handler | None:
        """The handler that would take a node, its parent's included."""
        if node.body is None:
            found = self.ops.get(node.op)
        else:
            paths = (h for pattern, h in self.paths.items() if fnmatchcase(node.path, pattern))
            found = next(paths, None)
            own: type[torch.nn.Module] = type(node.target)
            for cls in own.__mro__ if self.modules and found is None else ():
                handler = self.modules.get(cls)
                if handler is not None and own.forward is getattr(cls, "forward", None):
                    found = handler
                    break
        if found is None and self.parent is not None and node.op not in self.without:
            return self.parent.handler(node)
        return found

    def lacks(self, op: str) -> bool:
        """Whether an op was declared unsupported."""
        here = op in self.without and op not in self.ops
        return here or (self.parent is not None and op not in self.ops and self.parent.lacks(op))

    def has(self, op: str) -> bool:
        """Whether there is a handler of an op, the parent's included."""
        inherited = self.parent is not None and op not in self.without and self.parent.has(op)
        return op in self.ops or inherited

    @property
    def patterns(self) -> list[str]:
        """Patterns of module paths that have handlers, the parent's included."""
        return [*self.paths, *(self.parent.patterns if self.parent is not None else ())]

    @property
    def builder(self) -> Callable[[], Any] | None:
        """What makes a builder for one model, the parent's included; None if there is nothing."""
        return self.out if self.out is not None or self.parent is None else self.parent.builder

    @property
    def words(self) -> Mapping[torch.dtype, Any] | None:
        """The table of dtypes, the parent's if it has none of its own."""
        return self.dtypes if self.dtypes is not None or self.parent is None else self.parent.words

    def configuration(self, chosen: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """What handlers find in ``ctx.config``, the parent's included.

        Raises:
            TargetError: there is nothing of a chosen name to choose.
        """
        found = {**(self.parent.configuration() if self.parent is not None else {}), **self.config}
        for name in chosen or ():
            if name not in found:
                hint = did_you_mean(name, found) or "."
                has = f" It has: {', '.join(found)}" if found else ""
                raise TargetError(f"target {self.name!r} has no setting {name!r}{hint}{has}")
        return {**found, **(chosen or {})}

    def hook(self, name: str) -> Callable[..., Any] | None:
        """The handler of what is no call (``"input"``, ``"state"``), the parent's included."""
        found = self.hooks.get(name)
        if found is None and self.parent is not None:
            return self.parent.hook(name)
        return found
