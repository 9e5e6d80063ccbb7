"""One graph whose tensors grow, once more with slots: of fixed sizes at every position.

Sizes become capacities, numbers that vary become tensors computed from the position. What a call
needs so that empty slots do not matter to it is found by running it, beside the recorded call, at
several positions with other garbage in them: it may need nothing, or the slots of some inputs set
to 0 or to an extreme. So no table of ops says what reads across slots; only of calls that join
and take apart along a dimension (:mod:`.along`) it is said where. What none of this makes right is
refused by name.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch

from ..errors import Error
from ..graph import numbers, tree
from ..graph.account import Mutation, Origin, State
from ..graph.check import finalize, free_name, value_names
from ..graph.choice import blocks_of
from ..graph.escaped import as_literal
from ..graph.graph import Graph
from ..graph.inputs import dense_stride, same_literal, with_keyword
from ..graph.nodes import Node, TensorType, Value
from ..graph.query import last_readers
from ..graph.replay import Replay
from . import along, signs
from .by_position import at_positions, is_known, refused
from .constants import run_defined
from .decomposer import Decomposer
from .edit import Rewritten
from .rewrite import Draft, NoRewrite, Rewrite
from .signs import Overlay
from .slots import Shape, Slots, at, fitted, is_filled, worlds_of

POSITION = "position"


class Padded:
    """The rewriting of one graph; ``graph`` is the new one."""

    def __init__(self, graph: Graph, slots: Slots, shapes: Mapping[Value, Shape]) -> None:
        """Rewrite a graph.

        Args:
            graph: without variants.
            slots: length and step.
            shapes: input -> its sizes; those of a number are its only size.

        Raises:
            Error: something in it does not go with slots; the message names the call.
        """
        self.recorded, self.slots = graph, slots
        names = value_names(graph)
        device = next((v.type.device for v in shapes if not v.is_number), torch.device("cpu"))
        self.word = free_name(POSITION, names | set(graph.inputs))
        position = Value(self.word, TensorType(torch.int64, (), device))
        self.draft = draft = Draft(slots, position, names | {self.word})
        for value, shape in shapes.items():
            if value.is_number:
                draft.over[value] = [at(shape[0], p) for p in slots.positions]
                continue
            draft.shapes[value] = shape
            type = TensorType(value.type.dtype, slots.static(shape), value.type.device)
            draft.env[value] = Value(value.name, type)
        self.free = last_readers(graph)
        self.held = Counter(draft.env.values())  # for how many recorded Values one stands
        self.worlds = worlds_of(graph, slots, draft.constants)
        for world in self.worlds:
            world.begin(shapes, slots, draft.env)
            world.fixed[position] = torch.tensor(world.position, device=device)
        self.meaning = Replay(graph, check=False)
        try:
            nodes, _ = self._body(graph.nodes)
        finally:
            self.meaning.restore()
        self.graph = self._built(nodes)

    # -- the graph

    def _built(self, nodes: list[Node]) -> Graph:
        old, draft = self.recorded, self.draft
        last = Rewrite(draft, next(reversed(list(old))))

        def look(value: Value) -> Any:
            return last.number(value) if draft.varies(value) else last.look(value)

        def inner(part: Any) -> Any:
            return tree.substitute(part, Value, look)

        inputs = tree.substitute(old.inputs, Value, lambda v: None if v.is_number else look(v))
        outputs, left = inner([old.outputs, old.left])  # they share objects
        mutations = [Mutation(m.name, look(m.initial), look(m.final)) for m in old.mutations]
        state = [State(s.path, s.initial, look(s.final)) for s in old.state]
        for node in last.nodes:
            self._run(last, node)
        draft.constants.update(last.constants)
        layouts = {}
        for value, stride in old.layouts.items():
            twin = look(value)
            layouts[twin] = dense_stride(twin.type.shape, stride)
        constants = {**old.constants, **draft.constants}
        made = dataclasses.replace(
            old, parameters=with_keyword(old.parameters, self.word),
            inputs={**inputs, self.word: draft.position},
            outputs=outputs, left=left, nodes=[*nodes, *last.nodes], mutations=mutations,
            state=state, constants=constants, layouts=layouts,
            origins={v: old.origins.get(v, Origin("folded")) for v in constants},
            differentiable={look(v) for v in old.differentiable}, live=[], status={}, unknown={},
            history=[*old.history, f"fixed_cache: {self.slots.length} slots"],
        )  # fmt: skip
        return finalize(made)

    def _run(self, rewrite: Rewrite, node: Node) -> None:
        for world in self.worlds:
            overlay = Overlay(world.fixed, rewrite.constants)
            self.meaning(node, overlay)
            world.fixed.update(overlay)

    def _body(self, nodes: Sequence[Node]) -> tuple[list[Node], bool]:
        """Calls once more; and whether they are others."""
        made: list[Node] = []
        different = False
        for node in nodes:
            if node.body is not None:
                copies, other = self._module(node)
            elif node.target in numbers.FUNCTIONS and is_known(self.draft, node):
                copies, other = [], self._number(node)
            else:
                copies, other = self._call(node)
            made += copies
            different |= other
            for value in self.free.get(node, ()):
                self._let_go(value)
        return made, different

    def _let_go(self, value: Value) -> None:
        """Forget a recorded Value that is not used any more, and its twin, in all worlds."""
        for world in self.worlds:
            world.recorded.pop(value, None)
        twin = self.draft.env.get(value)
        self.held[twin] -= 1
        if twin is None or self.held[twin] > 0:
            return
        gone = [twin, *(made for key, made in self.draft.known.items() if key[0] is twin)]
        for world in self.worlds:
            for one in gone:
                world.fixed.pop(one, None)

    def _module(self, node: Node) -> tuple[list[Node], bool]:
        rewrite = Rewrite(self.draft, node)
        look = self._shown(rewrite)
        args = tree.substitute(node.args, Value, look)
        for one in rewrite.nodes:
            self._run(rewrite, one)
        self._keep(rewrite)
        body, different = self._body(node.body or [])
        different |= any(map(self.draft.varies, node.inputs))
        target = Rewritten(node.target) if different else node.target
        copy = Node(
            node.op, target, args, body=body, path=node.path, call=node.call, source=node.source
        )
        copy.result = tree.substitute(node.result, Value, lambda v: self.draft.env.get(v, v))
        copy.outputs = tuple(copy.returned)
        copy.meta.update(node.meta)
        return [*rewrite.nodes, copy], different

    def _shown(self, rewrite: Rewrite) -> Callable[[Value], Any]:
        return lambda v: rewrite.number(v) if self.draft.varies(v) else rewrite.look(v)

    # -- numbers

    def _number(self, node: Node) -> bool:
        """Work out a number at every position; whether it varies."""
        for world in self.worlds:
            self.meaning(node, world.recorded)
        shapes = [self.draft.shape(v) for v in node.inputs if not v.is_number]
        varies = any(map(is_filled, shapes)) or any(map(self.draft.varies, node.inputs))
        if varies:
            found = at_positions(self.draft, node)
        else:
            recorded = self.worlds[0].recorded
            found = [recorded[v] for v in node.outputs] * len(self.slots.positions)
        self.draft.over.update((v, found) for v in node.outputs)
        return varies

    # -- calls

    def _call(self, node: Node) -> tuple[list[Node], bool]:
        """A call in the first rewrite that is right in every world."""
        if blocks_of(node):
            raise refused(node, "branches and loops have no slots yet")
        for world in self.worlds:
            run_defined(self.meaning, node, world.recorded)
        for value in node.outputs:
            if not value.is_number:
                self.draft.shapes[value] = self._measured(node, value)
        grows = [v for v in dict.fromkeys(node.inputs) if not v.is_number]
        grows = [v for v in grows if is_filled(self.draft.shape(v))]
        varying = [v for v in dict.fromkeys(node.inputs) if self.draft.varies(v)]
        if node.effects.escape and (grows or varying):
            return self._escape(node)
        if not grows and not varying:
            rewrite = Rewrite(self.draft, node)
            rewrite.again(self._args(rewrite, {}))
            for world in self.worlds:
                world.fixed.update((new, world.recorded[old]) for old, new in rewrite.made.items())
            self._keep(rewrite)
            return rewrite.nodes, False
        reason = "no value in its empty slots makes it right"
        for make in self._ways(node, grows, varying):
            rewrite = Rewrite(self.draft, node)
            try:
                make(rewrite)
                if self._holds(rewrite, grows):
                    self._keep(rewrite)
                    return rewrite.nodes, bool(varying) or len(rewrite.nodes) != 1
            except NoRewrite as error:
                reason = str(error)
            rewrite.undo()
        return self._apart(node, reason)

    def _apart(self, node: Node, reason: str) -> tuple[list[Node], bool]:
        """A call as the calls it is made of."""
        pieces = None if node.effects.same else Decomposer(lambda one: one.op != node.op)(node)
        if pieces is None or any(one.op == node.op for one in pieces.nodes):
            raise refused(node, reason)
        self.draft.constants.update(pieces.constants)
        try:
            made, _ = self._body(pieces.nodes)
        except Error as inner:
            raise refused(node, reason) from inner
        for value, piece in zip(node.returned, tree.leaves(pieces.result, Value)):
            self.draft.env[value] = self.draft.env.get(piece, piece)
            self.held[self.draft.env[value]] += 1
        return made, True

    def _measured(self, node: Node, value: Value) -> Shape:
        """The sizes of what a call made."""
        positions = [world.position for world in self.worlds]
        shapes = [tuple(world.recorded[value].shape) for world in self.worlds]
        found = [fitted(sizes, positions) for sizes in zip(*shapes)]
        if None in found:
            sizes = dict(zip(positions, shapes))
            raise refused(node, f"its result is neither of one size nor grows by one: {sizes}")
        return tuple(found)

    def _escape(self, node: Node) -> tuple[list[Node], bool]:
        """What Python took of a tensor with slots; an answer that is always the same is none."""
        if node.effects.escape in ("about", "text") and not node.outputs:
            for world in self.worlds:
                named = {k: tree.build(part, Value, world.recorded.__getitem__)
                         for k, part in node.args.items()}  # fmt: skip
                args, kwargs = node.signature.unbind(named)
                found = as_literal(node.target(*args, **kwargs))
                if node.effects.escape == "about" and not same_literal(found, node.result):
                    raise refused(node, "what it asks has another answer at another position")
            return [], True
        raise refused(node, "Python code looks at what has empty slots")

    def _ways(
        self, node: Node, grows: Sequence[Value], varying: Sequence[Value]
    ) -> Iterator[Callable[[Rewrite], None]]:
        """Rewrites of a call to try, the plainest first."""
        if node.op == "cat" and grows:
            yield along.join
        if node.op == "pad":
            yield along.pad
        if node.op == "getitem" and node.args["input"].__class__ is Value:
            yield along.take
        for fills in _fills(grows):
            for mode in _modes(len(varying)):
                tensors = dict(zip(varying, mode))
                yield functools.partial(self._again, fills=fills, tensors=tensors)

    def _again(
        self, rewrite: Rewrite, *, fills: Mapping[Value, Any], tensors: Mapping[Value, bool]
    ) -> None:
        rewrite.again(self._args(rewrite, fills, tensors), same=not fills and not tensors)

    def _args(
        self,
        rewrite: Rewrite,
        fills: Mapping[Value, Any],
        tensors: Mapping[Value, bool] | None = None,
    ) -> dict[str, Any]:
        """The arguments of a call: what grows with these fills, what varies as tensor or size."""

        def look(value: Value) -> Any:
            if value in fills:
                return rewrite.only(value, fills[value])
            if tensors and value in tensors:
                if tensors[value]:
                    return rewrite.number(value)
                return self.slots.capacity(self._size(value))
            return rewrite.look(value)

        return {k: tree.substitute(part, Value, look) for k, part in rewrite.node.args.items()}

    def _size(self, value: Value) -> Any:
        size = fitted(self.draft.over[value], self.slots.positions)
        if size is None:
            raise NoRewrite(f"{value} is no sum of the position and a number")
        return size

    def _holds(self, rewrite: Rewrite, grows: Sequence[Value]) -> bool:
        """Whether a rewrite gives what the call gave, in every world; the worlds then hold it."""
        overlays = []
        for world in self.worlds:
            overlay = Overlay(world.fixed, rewrite.constants)
            try:
                for node in rewrite.nodes:
                    run_defined(self.meaning, node, overlay)
            except Exception:  # noqa: BLE001  a rewrite that fails is none
                return False
            for old, new in rewrite.made.items():
                if old.is_number:
                    if overlay[new] != world.recorded[old]:
                        return False
                elif not world.agree(
                    overlay[new], world.recorded[old], self.draft.shape(old), self.slots
                ):
                    return False
            overlays.append(overlay)
        if not signs.holds(rewrite, grows, self.worlds, self.meaning):
            return False
        for world, overlay in zip(self.worlds, overlays):
            for old, new in rewrite.made.items():
                if not old.is_number:
                    made = world.recorded[old]
                    overlay[new] = world.filled(overlay[new], made, self.draft.shape(old))
            world.fixed.update(overlay)
        return True

    def _keep(self, rewrite: Rewrite) -> None:
        self.draft.env.update(rewrite.made)
        self.held.update(rewrite.made.values())
        self.draft.known.update(rewrite.known)
        self.draft.constants.update(rewrite.constants)


_FEW = 3  # of numbers that vary: every choice of them is tried, and each doubles the choices


def _modes(count: int) -> Iterator[tuple[bool, ...]]:
    """Which numbers of a call become tensors; the others become sizes."""
    if count > _FEW:
        return iter([(True,) * count, (False,) * count])
    return itertools.product((True, False), repeat=count)


def _fills(grows: Sequence[Value]) -> Iterator[dict[Value, Any]]:
    """What to set empty slots to: nothing, those of one input, those of two."""
    yield {}
    choices = [[(value, fill) for fill in _extremes(value.type.dtype)] for value in grows]
    for one in itertools.chain(*choices):
        yield dict([one])
    for first, second in itertools.combinations(choices, 2):
        for pair in itertools.product(first, second):
            yield dict(pair)


def _extremes(dtype: torch.dtype) -> tuple[Any, ...]:
    if dtype is torch.bool:
        return False, True
    if dtype.is_complex:
        return (0,)
    if dtype.is_floating_point:
        info = torch.finfo(dtype)
        return 0.0, info.min, info.max
    whole = torch.iinfo(dtype)
    return 0, whole.min, whole.max
