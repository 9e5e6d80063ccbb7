"""The intermediate representation: one Graph of Nodes over Values.

    Graph  ::= inputs, constants, nodes, outputs, mutations
    Node   ::= op(args) -> outputs                        a torch function call
             | op(args) -> outputs { Node* }              a module call, with its body
    args   ::= {name: template}       template: literals and Values in nested containers
    Value  ::= one immutable tensor: a graph input, a constant, or an output of one node

Every write of the original program has become a new Value, so a Value never changes. One name
space spans the whole graph: a body reads values made outside it, and a module's outputs *are*
the values its body made. Claiming a module means skipping its body; descending means running it.

Identity decides equality of Values and Nodes. This module never runs a model and never calls
torch beyond reading dtypes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from . import places, query, tree
from .account import Audit, Frozen, Live, Mutation, Origin, State
from .choice import blocks_of, walk
from .nodes import Node, Value, show_part

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from ..conversion.convert import Result
    from .inputs import Inputs
    from .outline import Outline
    from .run import Run


HELD = "held"  # the input that calls in a row carry from one to the next


@dataclass(eq=False, slots=True)
class Graph:
    """A captured model.

    Attributes:
        name: class name of the model.
        inputs: argument name -> template; the graph's own arguments.
        outputs: template of what the model returned.
        nodes: top-level nodes in order of execution.
        constants: Value -> tensor, for every weight and constant that is read.
        origins: Value -> where that constant came from.
        mutations: memory that existed before and was written.
        state: tensors the model keeps from one call to the next, whether written in place or
            replaced; see :meth:`start`.
        left: argument name -> template of what the call leaves in it, where it changed a container
            or an object it was given; a replay leaves those alone, ``Program.answering`` does not.
        carried: of a graph of calls in a row: attribute of a module -> what stands there before the
            first one. They are the input ``held``; what the call leaves in it, the next is given.
        modules: path -> class of every module that was entered.
        audit: what the witness saw.
        layouts: input Value -> strides it had; a replay lays new inputs out alike, unless the model
            asked how a tensor lies.
        differentiable: inputs that required grad.
        parameters: how ``graph(*args)`` binds positional arguments (names; ``*name``, ``**name``).
        status: of a loaded conversion: node -> (status, reason); see ``Result.status``.
        history: what passes changed, a line each.
        live: sizes and numbers that vary from call to call, as the examples showed them.
        frozen: what varied and is not explained.
        variants: the graphs of other paths that examples showed; a replay takes the first that
            fits its inputs.
        unknown: of a graph saved by a newer version: what this one does not know, kept for saving;
            by Node, by Value of a constant, or None for the graph itself.
    """

    name: str
    parameters: list[tuple[str, int]] = field(default_factory=list)
    inputs: dict[str, Any] = field(default_factory=dict)
    outputs: Any = None
    nodes: list[Node] = field(default_factory=list)
    constants: MutableMapping[Value, torch.Tensor] = field(default_factory=dict)
    origins: dict[Value, Origin] = field(default_factory=dict)
    mutations: list[Mutation] = field(default_factory=list)
    state: list[State] = field(default_factory=list)
    left: dict[str, Any] = field(default_factory=dict)
    carried: dict[str, Any] | None = None
    modules: dict[str, type] = field(default_factory=dict)
    audit: Audit = field(default_factory=Audit)
    layouts: dict[Value, tuple[int, ...]] = field(default_factory=dict)
    differentiable: set[Value] = field(default_factory=set)
    status: dict[Node, tuple[str, str]] = field(default_factory=dict)
    history: list[str] = field(default_factory=list)
    live: list[Live] = field(default_factory=list)
    frozen: list[Frozen] = field(default_factory=list)
    variants: list[Graph] = field(default_factory=list)
    unknown: dict[Node | Value | None, bytes] = field(default_factory=dict)
    _users: Mapping[Value, tuple[Node, ...]] | None = field(default=None, init=False, repr=False)
    _outline: Outline | None = field(default=None, init=False, repr=False)
    _called: bool = field(default=False, init=False, repr=False)

    def walk(self) -> Iterator[Node]:
        """All nodes, module nodes before the nodes of their bodies."""
        return walk(self.nodes, blocks=False)

    def __iter__(self) -> Iterator[Node]:
        """The function calls in order of execution, module boundaries flattened away; an ``if``, a
        ``loop`` is one call, whose blocks :meth:`find` looks into."""
        return (node for node in self.walk() if node.body is None)

    def __len__(self) -> int:
        """How many function calls there are: ``len(list(graph))``."""
        return sum(1 for _ in self)

    def __bool__(self) -> bool:
        """A graph is a graph, also one that calls nothing."""
        return True

    def __getitem__(self, name: str) -> Value:
        """The Value of this name: ``graph["conv.weight"]``, ``graph["%12"]``.

        Raises:
            KeyError: there is none; the message has names that are near.
        """
        return query.value(self, name)

    @property
    def users(self) -> Mapping[Value, tuple[Node, ...]]:
        """Every Value -> the function calls that read it, in order, each once.

        Found once: a graph that was handed out does not change.
        """
        if self._users is None:
            self._users = query.users(self)
        return self._users

    def find(
        self,
        *,
        op: str | None = None,
        path: str | None = None,
        module: type | str | None = None,
    ) -> list[Node]:
        """The calls that answer to everything given, in order of execution.

        Args:
            op: canonical name of an op; ``*`` stands for any letters. Function calls alone.
            path: where the call stands: ``"layer3.*"``, or ``"layer3"`` for exactly there.
            module: class or class name of the module; calls of such modules alone.

        Returns:
            function calls, or module calls where ``module`` is given.

        Example:
            >>> import torch, flexir
            >>> net = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU())
            >>> graph = flexir.capture(net, (torch.ones(1, 2),))
            >>> [node.path for node in graph.find(op="relu")]
            ['1']
            >>> [node.path for node in graph.find(module=torch.nn.Linear)]
            ['0']
        """
        return query.find(self, op, path, module)

    @property
    def input_values(self) -> list[Value]:
        """The Values of the graph's arguments, each once."""
        return list(dict.fromkeys(tree.leaves(self.inputs, Value)))

    @property
    def output_values(self) -> list[Value]:
        """The Values the model returned, in reading order, each once."""
        return list(dict.fromkeys(tree.leaves(self.outputs, Value)))

    @property
    def kept(self) -> list[Mutation | State]:
        """Memory that a run leaves behind otherwise: what it wrote, what its next call reads."""
        return [*self.mutations, *self.state]

    @property
    def results(self) -> list[Value]:
        """What a run is for: what the model returned, what it wrote, what its next call reads."""
        found = [kept.final for kept in self.kept]
        return [*self.output_values, *found, *tree.leaves(self.left, Value)]

    @property
    def output_names(self) -> dict[Value, str]:
        """The Values the model returned, by their first place in what it returned, each unique.

        ``logits``, ``past_key_values.layers.0.keys``; ``output`` for a lone tensor, ``output.0``
        in a tuple. A cache that goes in and comes out has the same name among the inputs.
        """
        from .check import free_name

        names: dict[Value, str] = {}
        taken: set[str] = set()
        for path, value in places.paths(self.outputs, Value):
            if value not in names:
                names[value] = free_name(places.output_name(path), taken)
        return names

    def bind(self, *args: Any, **kwargs: Any) -> dict[str, torch.Tensor]:
        """New inputs by the names of the graph's own: what an engine is fed.

        Args:
            args: as the model takes them.
            kwargs: as the model takes them.

        Returns:
            input name -> tensor or number, without literals.

        Raises:
            Diverged: they do not fit those that were recorded.
        """
        from .inputs import bind_inputs

        found: dict[Value, torch.Tensor] = {}
        bind_inputs(self, args, kwargs, found, as_given=True)
        return {value.name: tensor for value, tensor in found.items()}

    def arrange(self, tensors: Mapping[str, Any]) -> Any:
        """What the model returns, in its own containers, made of an engine's tensors.

        Args:
            tensors: output name (see :attr:`output_names`) -> tensor.

        Raises:
            KeyError: an output is not among them.
        """
        names = self.output_names
        return tree.build(self.outputs, Value, lambda value: tensors[names[value]])

    @property
    def escapes(self) -> list[Node]:
        """Calls whose result left torch for Python; ``node.result`` is the value taken."""
        return [node for node in self if node.effects.escape]

    @property
    def guards(self) -> list[Node]:
        """The escapes that decided a branch, failed, or asked how a tensor lies or is tracked."""
        return [node for node in self if node.effects.escape in ("branch", "about", "error")]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Replay on new inputs; see :func:`flexir.replay`."""
        from .replay import replay

        again, self._called = self._called and not self.variants, True
        return replay(self, args, kwargs, outline=self.outline if again else None)

    @property
    def outline(self) -> Outline:
        """What replays find out, once: a graph that was handed out does not change."""
        if self._outline is None:
            from .outline import Outline

            self._outline = Outline.in_full(self)
        return self._outline

    def at(
        self,
        args: Sequence[Any] | torch.Tensor | Inputs = (),
        kwargs: dict[str, Any] | None = None,
        *,
        blocks: bool = False,
    ) -> Graph:
        """The graph of the sizes of these inputs; see :func:`flexir.graph.sizes.static`."""
        from .inputs import inputs_of
        from .sizes import static

        return static(self, *inputs_of(args, kwargs), blocks=blocks)

    def start(self) -> Run:
        """Calls in a row: what one leaves behind in ``state``, the next begins with.

        Example:
            >>> import torch, flexir
            >>> net = torch.nn.BatchNorm1d(3)  # it keeps running statistics
            >>> run = flexir.capture(net, (torch.rand(4, 3),)).start()
            >>> outputs = [run(torch.rand(4, 3)) for _ in range(2)]
        """
        from .run import Run

        return Run(self)

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        weights: str | None = "copy",
        status: Mapping[Node, tuple[str, str]] | None = None,
        checksums: bool | str = True,
        shard: int = 5 << 30,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """Save as a directory any language can read; see :func:`flexir.save`."""
        from ..files.ir import save

        save(self, path, weights=weights, status=status, checksums=checksums, shard=shard,
             progress=progress)  # fmt: skip

    def draw(
        self,
        path: str | os.PathLike[str],
        *,
        status: Mapping[Node, str] | None = None,
        limit: int = 300,
        beside: Graph | Result | None = None,
        overlays: Mapping[str, Mapping[str, float]] | None = None,
        golden: str | os.PathLike[str] | None = None,
        weights: bool = True,
        graphviz: bool = True,
    ) -> str:
        """Draw into a picture or a page; see :func:`flexir.draw`."""
        from ..files.draw import draw

        return draw(self, path, status=status, limit=limit, beside=beside, overlays=overlays,
                    golden=golden, weights=weights, graphviz=graphviz)  # fmt: skip

    def golden(
        self,
        path: str | os.PathLike[str],
        args: Sequence[Any],
        kwargs: dict[str, Any] | None = None,
    ) -> None:
        """Write every value of a run on ``args`` to a folder; see :func:`flexir.golden`."""
        from ..files.ir.values import golden

        golden(self, path, args, kwargs)

    def check(self) -> Graph:
        """Raise GraphError at the first thing that breaks the grammar.

        Returns:
            the graph itself, so producers can end with ``return graph.check()``.
        """
        from .check import check

        check(self)
        return self

    def text(self, *, bodies: bool = True, numbers: bool = False, defaults: bool = False) -> str:
        """The printed graph, types first, source last; variants after it.

        Args:
            defaults: print arguments that have torch's default, too.
            bodies: print what is inside modules; False prints the top level only.
            numbers: print the calls that compute sizes, too, which otherwise stand as expressions
                where they are read.
        """
        lines = [f"graph {self.name}({', '.join(map(repr, self.input_values))}):"]

        def visit(nodes: Sequence[Node], depth: int) -> None:
            for node in nodes:
                if not numbers and node.makes_number:
                    continue
                text = "    " * depth + node.text(defaults=defaults)
                place = node.where
                where = f"   # {place}" if place else ""
                if blocks := blocks_of(node):
                    lines.append(text + ":" + where)
                    for word, block in blocks if bodies else ():
                        given = ", ".join(map(repr, block.parameters))
                        lines.append("    " * (depth + 1) + f"{word} ({given}):")
                        visit(block.nodes, depth + 2)
                        lines.append("    " * (depth + 2) + f"return {show_part(block.outputs)}")
                    continue
                if node.body and bodies:
                    lines.append(text + ":" + where)
                    visit(node.body, depth + 1)
                else:
                    lines.append(text + where)

        visit(self.nodes, 1)
        lines.append(f"    return {show_part(self.outputs)}")
        lines += [f"    # writes {m.name}: {m.final}" for m in self.mutations]
        lines += [f"    # {state}" for state in self.state]
        lines += [f"    # leaves in {name}: {show_part(part)}" for name, part in self.left.items()]
        lines += [f"    # {one}" for one in (*self.live, *self.frozen)]
        for variant in self.variants:
            lines.append("or " + variant.text(bodies=bodies, numbers=numbers, defaults=defaults))
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f"<Graph {self.name}: {len(self)} calls, {len(self.constants)} constants>"
