"""Run a model once, eagerly, and write down every call.

Three watchers, all of torch's own making and all gone when the run ends, however it ends: a
function mode sees the public torch calls of the user's Python, global module hooks see module
calls, and a dispatch mode beneath, the witness, sees the ATen ops that neither accounts for
(scripted modules, vmap, C++ extensions) and supplies nodes for them. While a recorded function
runs, the witness steps aside: what happens inside belongs to that node.

Nothing is patched, nothing is traced symbolically, no weight is copied unless the run writes it.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from types import FrameType
from typing import Any

import torch
from torch.nn.parameter import is_lazy

from ..calls.binding import form_of
from ..calls.names import MEMORY, name_of
from ..calls.schemas import signatures
from ..calls.signatures import Signature
from ..errors import add_note
from ..graph import tree
from ..graph.account import Audit
from ..graph.answers import answer, is_about, is_plain
from ..graph.check import settle
from ..graph.geometry import copy_like, fingerprint, storage_of, tensor_type
from ..graph.graph import Graph
from ..graph.nodes import Effects, Node, TensorType, Value
from ..graph.source import Source, locate
from ..graph.tree import is_literal, tensors_in
from .constants import Origins
from .effects import beneath, changes_view_only, inside_autograd_function
from .inputs import Given, apart
from .left import mutations, state
from .memory import Alias, Memory, View
from .numbers import SIZES, Numbers
from .parameters import bind_forward, bind_inputs
from .randomness import Draw, Draws, foreign_draws
from .session import collector_at_rest, watching
from .ssa import Memories
from .switches import SwitchWatch
from .watchers import Witness

_Tensor = torch.Tensor
_Parameter = torch.nn.Parameter
_LITERALS = frozenset({int, float, bool, type(None), str, torch.dtype, torch.device})
_stack = torch._C


def record(
    model: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], **options: Any
) -> Graph:
    """As :func:`flexir.capture`, with the options of :class:`Recorder`."""
    with collector_at_rest() as rests:
        recorder = Recorder(model, **options)
        recorder.found.ages = rests
        return recorder.run(args, kwargs)


class _Frame:
    """A module call under way."""

    __slots__ = ("differentiated", "node", "nodes", "source")

    def __init__(self, node: Node) -> None:
        self.node = node
        self.nodes: list[Node] = []
        # Inside torch's own modules the user's line is the one that called the module.
        foreign = type(node.target).__module__.startswith("torch.nn.modules.")
        self.source: Source | None = node.source if foreign else None
        self.differentiated: bool | None = None  # by a custom autograd Function that called it


class Recorder:
    """One run: the tables it fills, and the Graph it becomes.

    ``returned`` is told what the model returned; a run ``among`` several entry points keeps as
    state also what only the others read.
    """

    def __init__(
        self,
        model: Callable[..., Any],
        *,
        witness: bool,
        functions: bool = True,
        watch: Callable[[Node, Sequence[torch.Tensor]], None] | None = None,
        returned: Callable[[Any], None] | None = None,
        among: bool = False,
        numbers: bool = False,
    ) -> None:
        self.model, self.watch, self.functions = model, watch, functions
        self.returned, self.among = returned, among
        self.numbers: Numbers | None = None
        if numbers:
            self.numbers = Numbers(self.emit, self._guard, self._listening)
        self.witness = Witness(self) if witness else None
        self.found = Origins(model, Recorder.run.__code__)
        self.memories = Memories(self.emit, self.found.origin, self.again, self.found.unseen)
        self.audit = Audit(witnessed=witness, problems=self.found.problems)
        self.fallback = 0
        self.owner: Node | None = None  # the recorded call that is running
        self.busy = False  # torch is being called by this recorder itself
        self.frames = [_Frame(Node("", None, {}))]
        self.found.frames = self.frames
        self.calls: dict[str, int] = {}
        self.classes: dict[str, type] = {}
        self.count = 0
        self.thread = threading.get_ident()
        # A call under way that may draw random numbers, and the generator's state before it does.
        self.waiting: tuple[Signature, dict[str, Any], Any] | None = None
        self.drawn: Any = None
        self.beneath = 0  # ATen ops that the witness saw in it
        self.questions: set[Any] = set()  # questions about tensors that stand in the graph
        self.switches = SwitchWatch()
        self.draws = Draws(self.found.holdings.generators)

    # -- the run

    def run(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Graph:
        name = type(self.model).__name__
        if not isinstance(self.model, torch.nn.Module):
            name = getattr(self.model, "__name__", name)
        graph = Graph(
            name, constants=self.found.constants, origins=self.found.origins, audit=self.audit
        )
        if self.numbers is not None:
            args, kwargs = self.numbers.given((args, kwargs))
        graph.parameters, bound, defaults = bind_inputs(self.model, args, kwargs)
        for name, default in defaults.items():
            self.found.tensors[id(default)] = (default, "default", (name,))
        with self._quietly():
            args, kwargs, bound = apart((args, kwargs, bound), self.found.tensors)
            graph.inputs = self._inputs(bound, graph)
            for tensor, kind, _ in list(self.found.tensors.values()):
                # Met now, all at once, they cost less than between convolutions.
                if kind != "default" and not is_lazy(tensor):
                    self.memories.expect(tensor)
        before, given = foreign_draws(), Given(bound)
        with watching(self):
            result = self.model(*args, **kwargs)
            if self.returned is not None:
                self.returned(result)
            with self._quietly():
                self._close(1)
                graph.outputs = tree.template(result, self.memories.read, deep=True)
                if self.numbers is not None:
                    graph.outputs = self.numbers.lower(graph.outputs)
                    self.numbers.open = False
                graph.mutations = mutations(self.memories, self.found)
                holdings = self.found.holdings
                replaced, self.audit.changes = holdings.compare(self.draws.left)
                graph.nodes = self.frames[0].nodes
                graph.state = state(graph, replaced, self.memories, self.found, self.among)
                self.audit.unwatched = holdings.unwatched
                self.audit.problems += given.changed(result)
        after = foreign_draws()
        self.audit.problems += [
            f"numbers were drawn from Python's {name!r}: they, and what they decided, are frozen"
            for name in before
            if before[name] != after[name]
        ]
        self.memories.close()
        self.frames.clear()
        self.witness = None
        graph.modules = self.classes
        self.audit.fallback = self.fallback
        return settle(graph)

    @contextlib.contextmanager
    def _quietly(self) -> Iterator[None]:
        """Work of the recorder's own, which no watcher should record."""
        self.busy = True
        try:
            with torch._C.DisableTorchFunction():
                yield
        finally:
            self.busy = False

    def _inputs(self, bound: dict[str, Any], graph: Graph) -> dict[str, Any]:
        made: dict[int, Value] = {}

        def leaf(tensor: torch.Tensor) -> Value:
            known = made.get(id(tensor))
            if known is None:
                known = made[id(tensor)] = Value("", tensor_type(tensor))
                self.memories.define(tensor, known, kind="input")
                if tensor.layout is torch.strided and not tensor.is_nested:
                    graph.layouts[known] = tensor.stride()
                if tensor.requires_grad:
                    graph.differentiable.add(known)
            return known

        inputs = {n: tree.template(v, leaf, deep=True) for n, v in bound.items()}
        if self.numbers is not None:
            inputs = self.numbers.lower(inputs)
        for path, value in tree.paths(inputs, Value):
            value.name = value.name or self.found.unique(path)
        return inputs

    # -- module calls

    def _elsewhere(self) -> bool:
        """Whether a module runs in a recorded call, another thread, or a transform (``vmap``)."""
        ours = self.owner is None and threading.get_ident() == self.thread
        return not ours or _stack._functorch.maybe_current_level() is not None

    def enter(self, module: torch.nn.Module, args: tuple[Any, ...]) -> None:
        """A module is about to be called."""
        if self._elsewhere():
            return
        self.busy = True
        try:
            with _stack.DisableTorchFunction():
                caller = sys._getframe(1)
                named = bind_forward(module, args, caller)
                memories = self.memories
                for name, part in named.items():
                    if part.__class__ is _Tensor:
                        named[name] = memories.alias(part).value
                    elif not is_literal(part):
                        named[name] = tree.template(part, memories.read)
                path = self.path(module)
                call = self.calls.get(path, 0)
                self.calls[path] = call + 1
                cls = type(module)
                if not call:
                    self.classes.setdefault(path, cls)
                source = self.frames[-1].source or locate(caller)
                memories.enter()
                if self.numbers is not None:
                    named = self.numbers.lower(named)
                    self.numbers.enter()
                self.frames.append(
                    _Frame(Node(cls.__name__, module, named, path=path, call=call, source=source))
                )
        finally:
            self.busy = False

    def leave(self, module: torch.nn.Module, args: tuple[Any, ...], output: Any) -> None:
        """A module returned, or something it called raised."""
        if self._elsewhere():
            return
        self.busy = True
        try:
            with torch._C.DisableTorchFunction():
                depth = len(self.frames) - 1
                while depth and self.frames[depth].node.target is not module:
                    depth -= 1
                if depth:
                    if len(self.frames) > depth + 1:  # an exception left some open
                        self._close(depth + 1)
                    self._pop(output)
        finally:
            self.busy = False

    def _close(self, depth: int) -> None:
        while len(self.frames) > depth:
            self._pop(None)

    def _pop(self, output: Any) -> None:
        frame, memories = self.frames[-1], self.memories
        node = frame.node
        if isinstance(output, _Tensor):  # deriving stale results still belongs to the body
            value = node.result = memories.alias(output).value
            node.outputs = (value,)
        else:
            node.result = tree.template(output, memories.read)
            if self.numbers is not None:
                node.result = self.numbers.lower(node.result)
            node.outputs = tuple(node.returned)
        if self.numbers is not None:
            self.numbers.leave()
        node.body = frame.nodes
        self.frames.pop()
        memories.leave(node.outputs)
        self.frames[-1].nodes.append(node)

    def path(self, module: torch.nn.Module) -> str:
        known = self.found.paths.get(id(module))
        if known is None:
            path = f"{self.frames[-1].node.path}.{type(module).__name__}".lstrip(".")
            self.found.paths[id(module)] = known = (path, module)
        return known[0]

    # -- function calls

    def call(self, func: Any, args: Any, kwargs: dict[str, Any], frame: FrameType) -> Any:
        """Run one torch call, record it, and return what it returned."""
        self.busy = True
        try:
            form = form_of(func, args, kwargs)
            signature, memories = form.signature, self.memories
            tensors: list[tuple[torch.Tensor, Alias]] = []  # every place a tensor stands
            self.found.lifting = func is _LIFT
            template = form.named(args, kwargs)
            for name in form.spots:
                part = template[name]
                if part.__class__ is _Tensor or part.__class__ is _Parameter:
                    alias = memories.alias(part)
                    tensors.append((part, alias))
                    template[name] = alias.value
                elif not is_literal(part):
                    template[name] = tree.template(part, self._reader(tensors))
            if self.numbers is not None:
                template = self.numbers.lower(template)
            top = self.frames[-1]
            node = Node(
                signature.op, func, template, signature=signature,
                path=top.node.path, call=top.node.call, source=top.source or locate(frame),
            )  # fmt: skip
            node.effects = self.switches.now()
            named, marked, generator = {}, _NO_NAMES, None
            if not form.quiet and (marked := signature.written(template)):
                named = form.named(args, kwargs)
                for name in [name for name in named if name in marked]:
                    self._save(named[name], func)
            witness, previous = self.witness, self.owner
            aside = (
                witness is not None
                and (depth := _stack._len_torch_dispatch_stack())
                and _stack._get_dispatch_stack_at(depth - 1) is witness
            )
            if signature.random is not False:
                named = named or form.named(args, kwargs)
                if aside and form.shallow and not signature.random:
                    # Few such calls do draw. Where few ops lie beneath, the witness can tell.
                    self.waiting, self.beneath, aside = (signature, named, tensors), 0, False
                else:
                    generator = self.draws.before(signature, named, tensors)
            # Torch's own marks tell what is written; of other code the witness must see it.
            if not form.trusted or self.switches.inference:
                aside = False
            if aside:
                _stack._pop_torch_dispatch_stack(None)
            self.owner, self.busy = node, False
            try:
                result = func(*args, **kwargs) if kwargs else func(*args)
            except Exception as error:
                self._explain(error, node)
                raise
            finally:
                self.owner, self.busy = previous, True
                if aside:
                    _stack._push_on_torch_dispatch_stack(witness)
                elif self.waiting is not None:
                    generator, self.drawn, self.waiting = self.drawn, None, None
                    form.shallow = self.beneath < 4
            fresh = isinstance(result, _Tensor)
            written: dict[int, torch.Tensor] = {}
            for tensor, alias in tensors:
                if alias.version != -1 and tensor._version != alias.version:
                    written[id(tensor)] = tensor
                if tensor is result:
                    fresh = False
            if marked:
                written = self._marked(marked, named, written, signature)
            draw = None if generator is None else self.draws.after(generator)
            if fresh and not written and draw is None:  # the common case, one tensor made
                value = Value(self._number(), tensor_type(result), node)
                node.result = value
                node.outputs = (value,)
                memories.define(result, value, node, tensors)
                top.nodes.append(node)
                if self.watch is not None:
                    self.watch(node, (result,))
            else:
                named = named or form.named(args, kwargs)
                exact = marked if marked and signature.schema else named
                self._finish(node, named, tensors, written, exact, result, draw, frame)
                if self.numbers is not None and node.effects.escape == "value":
                    return self._taken(node, result)
            return result
        finally:
            self.busy = False

    def _in_autograd_function(self, frame: FrameType) -> bool:
        """Whether the ``forward`` of a custom ``torch.autograd.Function`` is under way."""
        inside = inside_autograd_function(frame, _CALL_MODULE)
        if inside is not None:
            return inside
        top = self.frames[-1]  # what calls the module is looked at once
        if top.differentiated is None:
            top.differentiated = inside_autograd_function(frame, None) or False
        return top.differentiated

    def _reader(self, tensors: list[tuple[torch.Tensor, Alias]]) -> Callable[[torch.Tensor], Value]:
        """Reads the Value of a tensor and notes the tensor."""
        alias_of = self.memories.alias

        def leaf(tensor: torch.Tensor) -> Value:
            alias = alias_of(tensor)
            tensors.append((tensor, alias))
            return alias.value

        return leaf

    def _finish(
        self,
        node: Node,
        named: dict[str, Any],
        tensors: list[tuple[torch.Tensor, Alias]],
        written: dict[int, torch.Tensor],
        exact: Collection[str],
        result: Any,
        draw: Draw | None,
        frame: FrameType,
    ) -> None:
        """Record a call that wrote arguments, drew numbers, or returned not just one new tensor.

        ``exact`` names the arguments that can have been written, ``frame`` made the call.
        """
        memories = self.memories
        fresh: dict[int, Value] = {}
        live: list[torch.Tensor] = []

        def make(tensor: torch.Tensor) -> Value:
            value = fresh.get(id(tensor))
            if value is None:
                fresh[id(tensor)] = value = Value(self._number(), tensor_type(tensor), node)
                live.append(tensor)
            return value

        def make_written(tensor: torch.Tensor) -> Value | None:
            return make(tensor) if id(tensor) in written else None

        node.result = tree.template(result, make)
        writes: dict[str, Any] = {}
        if written:
            for name, part in named.items():
                if name in exact and not is_literal(part):
                    made = tree.template(part, make_written)
                    if made.__class__ is Value or next(tree.leaves(made, Value), None):
                        writes[name] = made
        node.outputs = tuple(fresh.values())
        same = escape = None
        random = draw is not None
        getter = getattr(node.target, "__name__", "") == "__get__"
        if not live and tensors and (result is not None or getter):
            escape = self._escape(node, [t for t, _ in tensors], result)
        elif not (written or random) and isinstance(result, _Tensor):
            same = next((name for name, part in named.items() if part is result), None)
        node.effects = Effects(writes, node.effects.switches, same, escape, random)
        if draw is not None:
            node.effects.generator, node.effects.goes_on = draw.start, draw.goes_on
        only_view = bool(written) and changes_view_only(node.target)
        nodes = self.frames[-1].nodes
        place = len(nodes)
        needed = bool(escape or random or (tensors and result is None and not written))
        views: dict[Memory, View] = {}
        for tensor in live:
            value = fresh[id(tensor)]
            if id(tensor) in written:
                needed |= memories.write(tensor, value, only_view=only_view)
                memories.settle(tensor)
            else:
                memories.define(tensor, value, node, () if writes else tensors, views)
                needed = True
        if needed:  # before what its writes made follow from it
            nodes.insert(place, node)
        if written and self._in_autograd_function(frame):
            for tensor in written.values():
                memories.owe(tensor)
        if self.watch is not None:
            self.watch(node, live)

    def _explain(self, error: Exception, node: Node) -> None:
        """Say in which call an error arose, once."""
        if not getattr(error, "_flexir_noted", False):
            with contextlib.suppress(AttributeError):
                error._flexir_noted = True
            add_note(error, f"in the call  {node}" + (f"   # {node.where}" if node.where else ""))

    def below(self, func: Any, args: Any, kwargs: dict[str, Any]) -> None:
        """An ATen op inside a recorded call: note what it will write and whether it will draw."""
        self.beneath += 1
        seeded, schema = beneath(func)
        if seeded and self.waiting is not None and self.drawn is None:
            self.drawn = self.draws.before(*self.waiting)
        if schema is None:
            return
        for position, argument in enumerate(schema.arguments):
            if argument.alias_info is not None and argument.alias_info.is_write:
                part = args[position] if position < len(args) else kwargs.get(argument.name)
                self.busy = True
                self._save(part, func)
                self.busy = False

    def _save(self, part: Any, func: Any) -> None:
        """Keep the initial value of constants that a call is about to write."""
        memories = self.memories
        for tensor in tensors_in(part):
            alias = memories.aliases.get(id(tensor))
            alone = alias is not None and memories.is_alone(alias, storage_of(tensor))
            if alone and not changes_view_only(func):
                continue
            memory = self._memory_of(tensor)
            if memory is None or memory.kind != "constant":
                continue
            for value in memory.values:
                kept = self.found.constants.get(value)
                if kept is not None and self._memory_of(kept) is memory:
                    self.found.constants[value] = copy_like(kept.detach())

    def _memory_of(self, tensor: torch.Tensor) -> Memory | None:
        return self.memories.memory(storage_of(tensor))

    def _marked(
        self,
        marked: frozenset[str],
        named: dict[str, Any],
        written: dict[int, torch.Tensor],
        signature: Signature,
    ) -> dict[int, torch.Tensor]:
        """Which tensors a call wrote: torch's marks where there are any, else the write counters.

        ``inplace=True`` of a Python function is a wish, not a mark: the counters say whether it
        was heard, but for tensors of inference mode, which have none.
        """
        certain = signature.writes.union(signature.uncounted(named), ("out",))
        sure = {
            id(t): t
            for name in marked
            for t in tensors_in(named.get(name))
            if name in certain or id(t) in written or t.is_inference()
        }
        return sure if signature.schema else {**written, **sure}

    def _number(self) -> str:
        self.count += 1
        if self.count % 20_000 == 0:
            gc.collect(1)
            self.found.ages = False
        return str(self.count)

    # -- values that leave torch

    def asked(
        self, func: Any, args: Any, kwargs: dict[str, Any], result: Any, frame: FrameType
    ) -> None:
        """Record a question about how a tensor lies or is differentiated, and its answer.

        The model's own tensors always answer it alike, and once is enough.
        """
        alias = self.memories.aliases.get(id(args[0]))
        if self.busy or alias is None or not alias.is_of(args[0]):
            return
        if "constant" in (alias.kind, alias.memory.kind):
            return
        with self._quietly():
            form, value = form_of(func, args, kwargs), self.memories.read(args[0])
            key = (func, value, repr(args[1:]), repr(kwargs))
            if key in self.questions:
                return
            self.questions.add(key)
            named = tree.template(form.named(args, kwargs), self.memories.read)
            node = self._append(form.signature.op, func, form.signature, named)
            node.result, node.source = answer(result), self.frames[-1].source or locate(frame)
            switches = self.switches.now().switches
            node.effects = Effects(switches=switches, escape="about")

    def _escape(self, node: Node, tensors: list[torch.Tensor], result: Any) -> str | None:
        if is_about(result):
            return None
        if node.target in MEMORY:
            kind = "memory"
        elif result is None or isinstance(result, bool):  # `x.grad is None`
            kind = "branch"
        elif isinstance(result, str):
            kind = "text"
        else:
            kind = "value" if is_plain(result) else "memory"
        if kind == "memory":
            node.result = fingerprint(tensors[0])
            for tensor in tensors:
                self.memories.share(tensor)
        if kind != "text" and node.source is not None:
            self.found.escaped.append(node.source)
        return kind

    # -- numbers that know where they come from

    def _listening(self) -> bool:
        ours = self.owner is None and not self.busy and threading.get_ident() == self.thread
        return ours and torch._C._functorch.maybe_current_level() is None

    def numbered(self, func: Any, args: Any, kwargs: Any, result: Any) -> Any:
        """The answer to a question about sizes, as numbers that know where they come from."""
        name = name_of(func)
        if self.numbers is None or name not in SIZES or not self._listening():
            return result
        alias = self.memories.aliases.get(id(args[0]))
        if alias is None or not alias.is_of(args[0]):
            return result
        if "constant" in (alias.kind, alias.memory.kind):
            return result
        if alias.value.type.shape != tuple(args[0].shape):  # it was resized
            return result
        rest = (*args[1:], *(kwargs or {}).values())
        return self.numbers.answer(name, alias.value, rest, result)

    def _taken(self, node: Node, result: Any) -> Any:
        """What ``item`` or ``tolist`` gave, as numbers that know where they come from."""
        assert self.numbers is not None
        if node.op not in ("item", "tolist"):
            return result  # Python itself asked, and takes plain ones
        made, template = self.numbers.taken(result, node, self._number)
        node.result, node.outputs = template, tuple(tree.leaves(template, Value))
        if node.outputs:
            effects = node.effects
            node.effects = Effects(effects.writes, effects.switches)
        return made

    def _guard(
        self, func: Callable[..., Any], named: dict[str, Any], outcome: bool, frame: FrameType
    ) -> None:
        """Record that a comparison of numbers decided something."""
        signature = _signature_of(func, tuple(named))
        node = self._append(signature.op, func, signature, named)
        node.source = self.frames[-1].source or locate(frame)
        node.result = outcome
        node.effects = Effects(switches=self.switches.now().switches, escape="branch")

    # -- what Memories asks for

    def emit(self, func: Callable[..., Any], named: dict[str, Any], type: TensorType) -> Value:
        """Record a call nobody made, whose one output has this type."""
        signature = _signature_of(func, tuple(named))
        node = self._append(signature.op, func, signature, named)
        value = Value(self._number(), type, node)
        node.result, node.outputs = value, (value,)
        if value.is_number:
            node.effects = self.switches.now()
        return value

    def again(self, node: Node, args: dict[str, Any]) -> Node:
        """Record a call once more, on other Values."""
        copy = self._append(node.op, node.target, node.signature, args)
        fresh = {v: Value(self._number(), v.type, copy) for v in node.outputs}
        copy.result = tree.substitute(node.result, Value, lambda v: fresh[v])
        copy.outputs = tuple(fresh.values())
        copy.effects = node.effects
        return copy

    def _append(self, op: str, func: Any, signature: Any, named: dict[str, Any]) -> Node:
        top = self.frames[-1]
        source = locate(sys._getframe(2))
        node = Node(
            op, func, named,
            signature=signature, path=top.node.path, call=top.node.call, source=source,
        )  # fmt: skip
        top.nodes.append(node)
        return node


_CALL_MODULE = torch.nn.Module._call_impl.__code__
_NO_NAMES: frozenset[str] = frozenset()
# What torch calls on a tensor it has made of Python numbers; also of NumPy's memory.
_LIFT = torch.ops.aten.lift_fresh.default


@functools.lru_cache(maxsize=None)
def _signature_of(func: Callable[..., Any], names: tuple[str, ...]) -> Signature:
    """The signature of a function this package calls itself, by the arguments it gives."""
    return next(s for s in signatures(func) if set(names) <= set(s.names))
