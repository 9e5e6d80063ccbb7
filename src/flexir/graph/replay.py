"""One loop over a graph; what a node means is a parameter.

``interpret`` walks nodes in order and asks a *meaning* for each. Replay means: call torch.
Conversion means: call the user's handler. A meaning that declines a module node is asked again
for every node of its body.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import torch

from ..errors import Diverged
from . import agreement, numbers, places, tree
from .choice import WITH_BLOCKS, Block, Loop, blocks_of, is_choice
from .generators import Generators, drawing_aside
from .geometry import copy_like
from .graph import Graph
from .inputs import bind_inputs, first_that
from .nodes import Node, Switches, Value
from .outline import Outline, Prepared
from .query import last_readers
from .sole import only_held_by

Meaning = Callable[[Node, dict[Value, Any]], bool]


def interpret(nodes: Sequence[Node], env: dict[Value, Any], meaning: Meaning) -> None:
    """Run nodes in order.

    Args:
        nodes: the nodes, in order of execution.
        env: Value -> what stands for it; read and filled by ``meaning``.
        meaning: ``meaning(node, env)`` binds the node's outputs in ``env`` and returns True, or
            returns False to descend into the body of a module node.
    """
    stack = [iter(nodes)]
    while stack:
        for node in stack[-1]:
            if not meaning(node, env) and node.body is not None:
                stack.append(iter(node.body))
                break
        else:
            stack.pop()


def replay(
    graph: Graph,
    args: Sequence[Any] = (),
    kwargs: dict[str, Any] | None = None,
    *,
    check: bool = True,
    watch: Callable[[Node, tuple[torch.Tensor, ...]], None] | None = None,
    final: dict[str, torch.Tensor] | None = None,
    env: dict[Value, Any] | None = None,
    isolate: bool = False,
    generators: Generators | None = None,
    tell_numbers: bool = False,
    taken: list[Any] | None = None,
    begin: Callable[[Sequence[Value], Sequence[Any]], None] | None = None,
    led: Collection[Node] = (),
    alter: Callable[[Node, dict[Value, Any]], None] | None = None,
    make: Callable[[Any, Sequence[Any], Mapping[str, Any]], Any] | None = None,
    outline: Outline | None = None,
) -> Any:
    """Run a graph with torch, call by call as recorded.

    Args:
        graph: a captured or loaded graph.
        args: inputs as the model took them; tensors of the recorded shapes and dtypes.
        kwargs: keyword inputs.
        check: raise where these inputs would have led the recorded run elsewhere.
        watch: called after each node with its outputs, in the order of ``node.outputs``.
        final: receives the final values of mutations, by name, and of state, by path.
        env: holds, while the replay goes on, the Values it still needs; for ``watch`` to look at.
        isolate: give every call copies of what requires no grad, so that a write the graph knows
            nothing of changes nothing and shows.
        tell_numbers: call ``watch`` also for calls on numbers, and with the numbers they make.
        begin: called when a block begins, with its parameters and what they are.
        taken: gains which way each branch went and how many rounds each loop had, in the order in
            which they began.
        generators: where an earlier call of the same :class:`~flexir.graph.run.Run` left them.
        led: branches of which both blocks run, loops of which one round runs, and conditions that
            are not checked: for callers that want sizes, independent of values.
        alter: called after each node with what its inputs and outputs are, to change the latter.
        make: makes calls: ``make(function, args, kwargs)``; None calls the function.
        outline: what earlier replays found out of the graph, if it has not changed since.

    Returns:
        what the model returned, in the same containers.

    Raises:
        Diverged: an input differs in shape, dtype or literal from the recorded one, a branch
            would be taken otherwise, or a value that Python code took has changed.
    """
    graph = fitting(graph, args, kwargs or {})
    env = Environment(graph.constants) if env is None else env
    free = last_readers(graph) if outline is None else outline.free
    meaning = Replay(graph, check, watch, free, isolate, generators, outline)
    meaning.numbers, meaning.taken, meaning.begin, meaning.led = tell_numbers, taken, begin, led
    meaning.alter, meaning.make = alter, make
    meaning.alike = bind_inputs(graph, args, kwargs or {}, env, as_given=meaning.asks)
    with (
        contextlib.ExitStack() as stack,
        drawing_aside() if meaning.drawing else contextlib.nullcontext(),
        agreement.as_shown(graph, meaning),
    ):
        stack.callback(meaning.restore)
        interpret(meaning.outline.nodes, env, meaning)
        if meaning.drawn:
            meaning.generators.end()
    if meaning.parts:
        agreement.check_there(graph.output_values, env)
    if final is not None:
        final.update({m.name: env[m.final] for m in graph.mutations})
        final.update({s.path: env[s.final] for s in graph.state})
    return tree.build(graph.outputs, Value, env.__getitem__)


def fitting(graph: Graph, args: Sequence[Any], kwargs: dict[str, Any]) -> Graph:
    """The first of a graph and its variants that takes these inputs; the graph if it has none.

    Raises:
        Diverged: none does; the message is that of the first.
    """
    if not graph.variants:
        return graph
    graphs = (graph, *graph.variants)
    alone = [one if not one.variants else dataclasses.replace(one, variants=[]) for one in graphs]
    try:
        return first_that(alone, lambda one: replay(one, args, kwargs))
    except Diverged as first:
        more = f"\n{len(graph.variants)} other paths that examples showed do not fit either"
        raise Diverged(f"{first}{more}", first.node) from first


class Environment(dict[Value, torch.Tensor]):
    """Value -> tensor; a constant is asked for when it is first read, so weights stay unread."""

    def __init__(self, constants: Mapping[Value, torch.Tensor]) -> None:
        self.constants = constants

    def __missing__(self, value: Value) -> torch.Tensor:
        return self.constants[value]


class Replay:
    """The meaning 'call torch'."""

    def __init__(
        self,
        graph: Graph,
        check: bool = True,
        watch: Any = None,
        free: dict[Node, list[Value]] | None = None,
        isolate: bool = False,
        generators: Generators | None = None,
        outline: Outline | None = None,
    ) -> None:
        self.check, self.watch, self.free, self.isolate = check, watch, free or {}, isolate
        self.generators = generators or Generators()
        self.switches: Switches | None = None
        self.regions = contextlib.ExitStack()
        self.outline = outline = Outline(graph) if outline is None else outline
        self.drawing, self.parts, self.asks = outline.drawing, outline.parts, outline.asks
        self.drawn = False
        self.numbers = False
        self.taken: list[Any] | None = None
        self.begin: Callable[[Sequence[Value], Sequence[Any]], None] | None = None
        self.led: Collection[Node] = ()
        self.alter: Callable[[Node, dict[Value, Any]], None] | None = None
        self.make: Callable[[Any, Sequence[Any], Mapping[str, Any]], Any] | None = None
        self.alike = True  # the inputs lie in memory and are differentiated as those recorded
        self.graph = graph
        self.now: Node | None = None  # the call that runs

    def __call__(self, node: Node, env: dict[Value, Any]) -> bool:
        if node.body is not None:
            return False
        prepared = self.outline.calls.get(node)
        if prepared is not None and self.make is None and not self.isolate:
            return self._call(node, prepared, env)
        if node.target.__class__ in WITH_BLOCKS:
            return self._enter(node, env)
        if self.parts:
            agreement.check_there(node.inputs, env, node)
        self.now, effects = node, node.effects
        if effects.escape and not self.check and not effects.writes:
            return self._done(node, env)  # what it told Python is not asked
        if effects.switches is not self.switches:
            self._switch(effects.switches)
        look = env.__getitem__
        if effects.writes or self.isolate or effects.escape == "error":
            isolate = self.isolate or effects.escape == "error"
            look = _copies(node, env, isolate, self._dying(node)).__getitem__
        named, make = {}, self.make
        for name, part in node.args.items():
            if part.__class__ is Value:
                part = look(part)
            elif part.__class__ not in tree.LITERALS:
                part = tree.build(part, Value, look)
            named[name] = part
        if effects.random:
            if not self.drawn:
                self.generators.begin(self.drawing)
                self.drawn = True
            self.generators.prepare(node, named)
        args, kwargs = node.signature.unbind(named)
        if effects.escape == "error":
            if self.check and node not in self.led:
                agreement.check_error(node, functools.partial(node.target, *args, **kwargs))
            return self._done(node, env)
        result = make(node.target, args, kwargs) if make else node.target(*args, **kwargs)
        if effects.escape:
            alike = effects.escape == "about" and self.alike
            if self.check and not alike and node not in self.led:
                agreement.check_escape(node, named, result)
        else:
            _match(node.result, result, env)
            for name, part in effects.writes.items():
                _match(part, named[name], env)
            if effects.memory is not None and self.check:
                agreement.check_memory(node, named, result)
        return self._done(node, env)

    def _choose(self, node: Node, named: dict[str, Any]) -> Sequence[Any]:
        """Run the block of a branch that its condition says."""
        if self.taken is not None:
            self.taken.append(None if node in self.led else named["condition"])
        if node in self.led:
            try:
                both = [self._block(block, named["inputs"]) for _, block in blocks_of(node)]
            except Exception as error:
                raise Diverged(
                    "values decide which way this branch goes; these inputs do not do for both: "
                    f"{type(error).__name__}: {error}\n  at: {node.where}", node
                ) from error  # fmt: skip
            return [one if one is not None else other for one, other in zip(*both)]
        chosen: Block = node.target.block(named["condition"])
        made: Sequence[Any] = self._block(chosen, named["inputs"])
        return made

    def _loop(self, node: Node, named: dict[str, Any]) -> Sequence[Any]:
        """Run the body of a loop, round after round."""
        loop: Loop = node.target
        place = len(self.taken) if self.taken is not None else 0
        if self.taken is not None:
            self.taken.append(None if node in self.led else 0)
        if node in self.led:
            return self._round(node, named)
        count, carried, rounds, goes_on = named["count"], named["carried"], 0, True
        lists: list[list[Any]] = [[] for _ in loop.body.outputs[1 + len(carried) :]]
        while goes_on and (count is None or rounds < count):
            goes_on, *made = self._block(loop.body, (rounds, *carried, *named["inputs"]))
            carried, gained = made[: len(carried)], made[len(carried) :]
            for one, element in zip(lists, gained):
                one += [] if element is None else [element]
            rounds += 1
            if self.taken is not None:
                self.taken[place] = rounds
            if self.check:
                agreement.check_round(node, rounds, rounds == count, goes_on, carried)
        if self.check:
            agreement.check_rounds(node, rounds, goes_on)
        return (*carried, *lists)

    def _round(self, node: Node, named: dict[str, Any]) -> Sequence[Any]:
        """Run the first round of a loop of which values say how many it has."""
        loop: Loop = node.target
        made: Sequence[Any] = self._block(loop.body, (0, *named["carried"], *named["inputs"]))[1:]
        agreement.check_carried(node, named["carried"], made)
        lists = len(named["carried"])
        return [*made[:lists], *([] if one is None else [one] for one in made[lists:])]

    def _block(self, block: Block, given: Sequence[Any]) -> Any:
        if self.begin is not None:
            self.begin(block.parameters, given)
        inner = dict(zip(block.parameters, given))
        interpret(block.nodes, inner, self)
        return tree.build(block.outputs, Value, inner.__getitem__)

    def _call(self, node: Node, call: Prepared, env: dict[Value, Any]) -> bool:
        """Make a call of which nothing is asked but what it makes."""
        self.now, look, effects = node, env.__getitem__, node.effects
        if effects.switches is not self.switches:
            self._switch(effects.switches)
        if effects.writes:
            look = _copies(node, env, False, self._dying(node)).__getitem__
        args = [look(part) if part.__class__ is Value else _built(part, look) for part in call.args]
        kwargs = {name: _built(part, look) for name, part in call.kwargs.items()}
        _match(node.result, node.target(*args, **kwargs), env)
        for name, part in effects.writes.items():
            _match(part, look(node.args[name]), env)
        return self._done(node, env)

    def _enter(self, node: Node, env: dict[Value, Any]) -> bool:
        """Run the blocks of a call."""
        named = {name: tree.build(part, Value, env.__getitem__)
                 for name, part in node.args.items()}  # fmt: skip
        made = self._choose(node, named) if is_choice(node) else self._loop(node, named)
        env.update(zip(node.outputs, made))
        return self._done(node, env)

    def _dying(self, node: Node) -> Sequence[Value]:
        """The Values that nothing reads after a call, nor anybody who watches."""
        return self.free.get(node, ()) if self.watch is None else ()

    def _done(self, node: Node, env: dict[Value, Any]) -> bool:
        """Check what a call made, show it, and let go of what it was the last to read."""
        if self.alter is not None:
            self.alter(node, env)
        if self.check:
            for value in node.outputs:
                agreement.check_type(node, value, env[value])
        if self.watch is not None and (self.numbers or node.target not in numbers.FUNCTIONS):
            told = (v for v in node.outputs if self.numbers or not v.is_number)
            self.watch(node, tuple(env[v] for v in told))
        for value in self.free.get(node, ()):
            env.pop(value, None)
        return True

    def _switch(self, switches: Switches | None) -> None:
        self.regions.close()
        self.regions = regions = contextlib.ExitStack()
        self.switches = switches
        if switches is None:
            return
        if switches.inference:
            regions.enter_context(torch.inference_mode())
        regions.enter_context(torch.set_grad_enabled(switches.grad))
        if switches.default_dtype is not torch.get_default_dtype():
            regions.callback(torch.set_default_dtype, torch.get_default_dtype())
            torch.set_default_dtype(switches.default_dtype)
        on = {device for device, *_ in switches.autocast}
        for device, dtype, cache in switches.autocast:
            regions.enter_context(torch.autocast(device, dtype, cache_enabled=cache))
        for device in {"cpu", "cuda"} - on:
            if torch.is_autocast_enabled(device):
                regions.enter_context(torch.autocast(device, enabled=False))

    def restore(self) -> None:
        """Leave torch's switches as they were found."""
        self.regions.close()


def _built(part: Any, look: Callable[[Value], Any]) -> Any:
    return part if part.__class__ in tree.LITERALS else tree.build(part, Value, look)


def _copies(
    node: Node, env: dict[Value, Any], isolate: bool, dying: Sequence[Value]
) -> dict[Value, Any]:
    """The arguments of a writing call: copies of what it writes, at every place of that Value.

    ``dying`` are never read again: where nothing else leads to their memory, it is written over.
    ``isolate`` copies every tensor that requires no grad.
    """
    given = {v: env[v] for v in node.inputs}
    if isolate:
        given = {
            v: copy_like(t) if isinstance(t, torch.Tensor) and not t.requires_grad else t
            for v, t in given.items()
        }
    for name in node.effects.writes:
        for value in tree.leaves(node.args[name], Value):
            own = value in dying and value in env and only_held_by(value, env, given)
            if not own and given[value] is env[value]:
                given[value] = copy_like(env[value])
    return given


def _match(template: Any, made: Any, env: dict[Value, Any]) -> None:
    """Bind the Values of a template to the tensors of a result of the same structure."""
    if template.__class__ is Value:
        env[template] = made
        return
    if template is None:
        return
    for _, (part, one) in places.zip(template, tree.template(made, lambda t: t), leaf=Value):
        if part.__class__ is Value:
            env[part] = one
        elif next(tree.leaves(part, Value), None) is not None:
            shown = tree.show(part, Value)
            raise Diverged(f"a call returned {type(one).__name__}; recorded was {shown}")
