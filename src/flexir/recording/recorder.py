"""Run a model once, eagerly, and write down every call.

Three watchers, all of torch's own making and all gone when the run ends, however it ends: a
function mode sees the public torch calls of the user's Python, global module hooks see module
calls, and a dispatch mode beneath, the witness, sees the ATen ops that neither accounts for
(scripted modules, vmap, C++ extensions) and supplies nodes for them; inside one it steps aside.

Nothing of torch is patched, nothing is traced symbolically, no weight is copied unless the run
writes it. Runs that are examples of several have stand-ins for some functions of Python.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any

import torch

from ..graph import places, tree
from ..graph.account import Audit
from ..graph.check import finalize
from ..graph.geometry import tensor_type
from ..graph.graph import HELD, Graph
from ..graph.nodes import Node, Value
from ..graph.source import locate
from ..graph.tree import LITERALS, is_literal
from .call import Call
from .changed import lies_in
from .constants import Origins
from .effects import beneath
from .escapes import Escapes
from .given import Given, unshared
from .input_numbers import lend, take_back
from .lazy import NotInitialised, initialise, those_made
from .left import mutations, overlapping, parted, state
from .memory import Alias
from .modules import ModuleCalls
from .parameters import bind_model_call
from .randomness import Draws, drawn_elsewhere, foreign_draws
from .remembered import begun
from .results import failed, told
from .session import collector_at_rest, watching
from .shared import Shared
from .ssa import ValueTable
from .stand_ins import stand_ins
from .standing import Standing
from .state import Holdings
from .switches import SwitchWatch
from .trace import Trace
from .watchers import Witness
from .writes import marked, save_initial, written_by

_Tensor = torch.Tensor
_Parameter = torch.nn.Parameter
_modes = torch._C._len_torch_dispatch_stack
_mode_at = torch._C._get_dispatch_stack_at
_pop_mode = torch._C._pop_torch_dispatch_stack
_push_mode = torch._C._push_on_torch_dispatch_stack

# A Python function with at most so many ATen ops beneath it is cheaper to watch by the witness,
# which sees whether one of them draws, than by reading the generator's state (5 KB) twice.
FEW_OPS = 4


def record_run(
    model: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], **options: Any
) -> Graph:
    """As :func:`flexir.capture`, with the options of :class:`Recorder`."""
    with collector_at_rest() as rests:
        recorder = Recorder(model, **options)
        recorder.found.ages = rests
        try:
            return recorder.run(args, kwargs)
        except NotInitialised:
            initialise(model, args, kwargs)
        recorder = Recorder(model, initialised=True, **options)
        recorder.found.ages = rests
        return recorder.run(args, kwargs)


class Recorder:
    """One run: the tables it fills, and the Graph it becomes.

    ``returned`` is told what the model returned; a run ``among`` several entry points keeps as
    state also what only the others read; weights and state are those of the module ``within`` which
    the call is made, the model by default; ``held`` is what that holds, if it is known already;
    what it holds at the places ``carried`` is an input, and left in it.
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
        standing: Standing | None = None,
        within: torch.nn.Module | None = None,
        held: Holdings | None = None,
        carried: Sequence[str] = (),
        initialised: bool = False,
    ) -> None:
        self.model, self.watch, self.functions = model, watch, functions
        self.returned, self.among, self.carried = returned, among, carried
        self.found = Origins(within or model, _RUN, held)
        self.switches = SwitchWatch()
        self.draws = Draws(one for one, _ in self.found.holdings.generators)
        self.trace = Trace(self.found, self.switches, numbers)
        self.table = ValueTable(self.trace, self.found)
        self.escapes = Escapes(self, self.table, self.trace, self.switches, numbers)
        self.standing = self.escapes.standing = self.trace.standing = standing
        self.numbers, self.memory = self.escapes.numbers, Shared()
        if standing is not None:
            standing.begin(self.found.holdings, self.numbers, self.table, _RUN)
        # Watchers know the recorder, and are let go when the run has ended.
        self.modules: ModuleCalls | None = ModuleCalls(self)
        self.witness = Witness(self) if witness else None
        self.audit = Audit(witnessed=witness, problems=self.found.problems)
        self.fallback = 0
        self.running: Node | None = None  # the recorded call that is running
        self.busy, self.memo = False, begun()  # torch is being called by this recorder itself
        self.initialised, self.thread = initialised, threading.get_ident()
        self.waiting: Call | None = None  # a call under way that may draw random numbers,
        self.drawn, self.beneath = None, 0  # the generator's state before, ATen ops seen in it

    def run(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Graph:
        """Run the model once; the Graph it became."""
        name = type(self.model).__name__
        if not isinstance(self.model, torch.nn.Module):
            name = getattr(self.model, "__name__", name)
        found = self.found
        graph = Graph(name, constants=found.constants, origins=found.origins, audit=self.audit)
        with self._lent(args, kwargs) as (args, kwargs):
            args, kwargs, bound = self._begin(graph, args, kwargs)
            before, given = foreign_draws(), Given(bound)
            with watching(self):
                with stand_ins(wanted=self.numbers is not None):
                    result = self.model(*args, **kwargs)
                with self.quietly():
                    self._end(graph, result, given)
                    self.audit.problems += given.changed(result, HELD if self.carried else "")
        if self.returned is not None:
            self.returned(result if self.numbers is None else take_back(result))
        self.audit.problems += drawn_elsewhere(before)
        self._close()
        return finalize(graph)

    @contextlib.contextmanager
    def _lent(self, args: Any, kwargs: Any) -> Iterator[tuple[Any, Any]]:
        """The arguments with numbers that know where they come from, while the model runs."""
        if self.numbers is None:
            yield args, kwargs
            return
        given = lend((args, dict(kwargs)), self.numbers.given)
        try:
            yield given
        finally:
            self.numbers.close()
            take_back(given)

    def _begin(
        self, graph: Graph, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any], dict[str, Any]]:
        """Give the inputs, and what the model holds, their Values."""
        graph.parameters, bound, defaults = bind_model_call(self.model, args, kwargs)
        for name, default in defaults.items():
            self.found.tensors[id(default)] = (default, "default", (name,))
        with self.quietly():
            args, kwargs, bound = unshared((args, kwargs, bound), self.found.tensors)
            graph.inputs = self._inputs(bound, graph)
            held = [t for t, kind, _ in self.found.tensors.values() if kind != "default"]
            self.table.expect(those_made(held, self.initialised))
        return args, kwargs, bound

    def _end(self, graph: Graph, result: Any, given: Given) -> None:
        """The model has returned: what it returned, and what it left behind."""
        assert self.modules is not None
        self.modules.close(1)
        seen: dict[int, Any] = {}  # what is given and returned is one object
        graph.left = {
            name: tree.template(part, self.table.read, deep=True, seen=seen)
            for name, part in given.parts()
        }
        graph.outputs = tree.template(result, self.table.read, deep=True, seen=seen)
        if self.numbers is not None:
            self.memory.say(self.trace.frames[0].nodes)
            graph.left = self.numbers.lower(graph.left)
            graph.outputs = self.numbers.with_lists(self.numbers.lower(graph.outputs), result)
            if self.standing is not None:
                self.standing.end(self.numbers)
                self.escapes.keep_unused(graph.input_values)
        graph.mutations = mutations(self.table, self.found)
        holdings = self.found.holdings
        found = holdings.changes(self.draws.left)
        replaced = [one for one in found.replaced if not lies_in(one.path, self.carried)]
        changes = [*found.changes, *parted(replaced, self.found), *self.draws.changes()]
        self.audit.changes = [one for one in changes if not lies_in(one.path, self.carried)]
        graph.nodes, graph.modules = self.trace.frames[0].nodes, self.trace.classes
        graph.state = state(graph, replaced, self.table, self.found, self.among)
        self.audit.problems += overlapping(self.table, graph.mutations)
        self.audit.unwatched, self.audit.fallback = holdings.unwatched, self.fallback

    def _close(self) -> None:
        """Let go of what knows this recorder, so that tensors do not wait for the collector."""
        self.table.close()
        self.trace.frames.clear()
        self.witness = self.modules = None
        del self.escapes, self.numbers

    @contextlib.contextmanager
    def quietly(self) -> Iterator[None]:
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
                self.table.define(tensor, known, kind="input")
                if tensor.layout is torch.strided and not tensor.is_nested:
                    graph.layouts[known] = tensor.stride()
                if tensor.requires_grad:
                    graph.differentiable.add(known)
            return known

        inputs = {n: tree.template(v, leaf, deep=True) for n, v in bound.items()}
        if self.numbers is not None:
            inputs = self.numbers.lower(inputs)
        for path, value in places.paths(inputs, Value):
            value.name = value.name or self.found.unique(path)
        return inputs

    # -- function calls

    def call(self, func: Any, args: Any, kwargs: dict[str, Any], frame: FrameType) -> Any:
        """Run one torch call, record it, and return what it returned."""
        self.busy = True
        try:
            call = Call(func, args, kwargs, frame)
            self._read(call)
            if not call.layout.never_writes:
                self._prepare(call)
            self._run(call)
            return self._record(call)
        finally:
            self.busy = False

    def _read(self, call: Call) -> None:
        """Make the node of a call, its arguments the Values that tensors hold now."""
        if self.standing is not None:
            self.standing.come_to(call.frame)
        layout, table, tensors = call.layout, self.table, call.tensors
        self.found.lifting = call.func is _LIFT
        template = layout.named(call.args, call.kwargs)
        for name in layout.structured:
            part = template[name]
            cls = part.__class__
            if cls is _Tensor or cls is _Parameter:
                alias = table.alias(part)
                tensors.append((part, alias))
                template[name] = alias.value
            elif cls not in LITERALS and not is_literal(part):
                template[name] = tree.template(part, self._reader(tensors))
        if self.numbers is not None:
            template = self.numbers.arguments(template, call)
        top, signature = self.trace.frames[-1], layout.signature
        source = top.source or locate(call.frame)
        call.node = node = Node(signature.op, call.func, template, signature, None,
                                top.node.path, top.node.call, source)  # fmt: skip
        node.effects = self.switches.now()
        if self.standing is not None:
            self.standing.note(node, call.frame)

    def _reader(self, tensors: list[tuple[torch.Tensor, Alias]]) -> Callable[[torch.Tensor], Value]:
        """Reads the Value of a tensor and notes the tensor."""
        alias_of = self.table.alias

        def leaf(tensor: torch.Tensor) -> Value:
            alias = alias_of(tensor)
            tensors.append((tensor, alias))
            return alias.value

        return leaf

    def _prepare(self, call: Call) -> None:
        """Keep the initial values of constants that a call says it writes."""
        call.marked = call.signature.written(call.node.args)
        if call.marked:
            for name, part in call.named.items():
                if name in call.marked:
                    save_initial(part, call.func, self.table, self.found)

    def _run(self, call: Call) -> None:
        """Run a call, the witness aside unless it is needed, the generators watched."""
        layout, witness, previous = call.layout, self.witness, self.running
        aside = witness is not None and _modes() > 0
        if not layout.plain or self.switches.inference:
            aside = self._attended(call, aside and _mode_at(_modes() - 1) is witness)
        if aside and (top := _pop_mode(None)) is not witness:  # one of the model's own is on
            _push_mode(top)
            aside = False
        self.running, self.busy = call.node, False
        try:
            kwargs = call.kwargs
            func = call.func if self.memo is None else self.memo.making(call.func)
            call.result = func(*call.args, **kwargs) if kwargs else func(*call.args)
        except Exception as error:
            failed(call, error, self.trace)
            raise
        finally:
            self.running, self.busy = previous, True
            if aside and witness is not None:
                _push_mode(witness)
            elif self.waiting is not None:
                call.generator, self.drawn, self.waiting = self.drawn, None, None
                layout.shallow = self.beneath < FEW_OPS

    def _attended(self, call: Call, aside: bool) -> bool:
        """Watch a call of which torch does not say itself that it draws and writes nothing unseen.

        Args:
            call: about to run.
            aside: the witness is on, and can step aside.

        Returns:
            whether it shall.
        """
        random = call.signature.random
        if random is not False:
            if aside and call.layout.shallow and not random:
                # Few such calls do draw. Where few ops lie beneath, the witness can tell.
                self.waiting, self.beneath = call, 0
                return False
            call.generator = self.draws.before(call.signature, call.named, call.tensors)
        # Torch's own marks tell what is written; of other code the witness must see it.
        return aside and call.layout.trusted and not self.switches.inference

    def _record(self, call: Call) -> Any:
        """Write down what a call returned and changed; what its caller is to get."""
        result, node = call.result, call.node
        fresh = isinstance(result, _Tensor)
        written: dict[int, torch.Tensor] = {}
        for tensor, alias in call.tensors:
            if alias.version != -1 and tensor._version != alias.version:
                written[id(tensor)] = tensor
            if tensor is result:
                fresh = False
        if call.marked:
            written = marked(call, written)
        draw = None if call.generator is None else self.draws.after(call.generator)
        if self.numbers is not None:
            self.memory.note(node, call.named, result)
        if fresh and not written and draw is None:  # the common case, one tensor made
            value = Value(self.trace.number(), tensor_type(result), node)
            node.result = value
            node.outputs = (value,)
            self.table.define(result, value, node, call.tensors)
            self.trace.frames[-1].nodes.append(node)
            if self.watch is not None:
                self.watch(node, (result,))
            return result
        new = told(call, written, draw, self.table, self.escapes)
        if node.effects.escape and self.standing is not None:
            self.standing.decided(node)
        if self.watch is not None:
            self.watch(node, [tensor for tensor, _ in new])
        return self.escapes.taken(node, result) if node.effects.escape == "value" else result

    def below(self, func: Any, args: Any, kwargs: dict[str, Any]) -> None:
        """An ATen op inside a recorded call: note what it will write and whether it will draw."""
        self.beneath += 1
        seeded, schema = beneath(func)
        if seeded and (waiting := self.waiting) is not None and self.drawn is None:
            self.drawn = self.draws.before(waiting.signature, waiting.named, waiting.tensors)
        self.busy, before = True, self.busy
        for part in () if schema is None else written_by(schema, args, kwargs):
            save_initial(part, func, self.table, self.found)
        self.busy = before


_RUN = Recorder.run.__code__
# What torch calls on a tensor it has made of Python numbers; also of NumPy's memory.
_LIFT = torch.ops.aten.lift_fresh.default
