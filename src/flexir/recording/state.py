"""What a model keeps from one call to the next: looked at before a run and again after it.

Owns the walk over what a model can reach (modules, attributes, containers, plain objects, closures,
the globals its functions name), the names of the tensors found there, and how all is
put back. It runs nothing and knows nothing of graphs; kinds of things are in ``holders``, how
before and after are compared in ``changed``.
"""

from __future__ import annotations

import functools
import operator
import types
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

import torch

from .attributes import HOOKS, ModuleTree, TensorAttributes, dictionary
from .changed import Changes, path_of
from .functions import CALLED, MAKERS, functions_of, imported, methods_of, module_behind, reach_of
from .holders import (
    BOOKKEEPING,
    FIXED,
    Attributes,
    Cells,
    Globals,
    Holder,
    Mapping,
    Modules,
    Scripted,
    has_attributes,
    is_users,
)
from .innards import Opaque, has_more, holder_of
from .places import forget_at, part_at, places_of, put_at

_first = operator.itemgetter(0)
_STILL = FIXED - {types.ModuleType}  # what is not looked at
_LIMIT = 20_000  # things looked at in one model; more would cost more than the run


class Holdings:
    """What a model holds, as it was when this was made.

    Attributes:
        paths: id of a module -> (path, module).
        tensors: id of a tensor -> (tensor, kind, names); kind as in ``account.Origin``.
        unwatched: paths of what was not looked at because there is too much of it.
    """

    def __init__(self, model: Any) -> None:
        self.paths: dict[int, tuple[str, Any]] = {}
        self.tensors: dict[int, tuple[torch.Tensor, str, tuple[str, ...]]] = {}
        self.unwatched: list[str] = []
        self._holders: dict[int, Holder] = {}
        self._functions: dict[int, types.FunctionType] = {}  # many, and few hold anything
        # lists of numbers and words, many and seldom changed: path, list, what it held
        self._plain: dict[int, tuple[str, list[Any], list[Any]]] = {}
        self._todo: list[tuple[str, str, Any]] = []  # (kind, path, part), last first
        # What classes hold that can be called waits until a function that was looked at names it.
        self._named_in: set[str] = set(CALLED)
        self._unnamed: dict[str, list[tuple[str, str, Any]]] = {}
        self._held_modules: dict[int, tuple[str, types.ModuleType]] = {}
        self._classes: set[int] = set()  # ids of those that were looked at
        self._makers: dict[type, list[types.FunctionType]] = {}  # and until their class is named
        self._tree: ModuleTree | None = None
        if isinstance(model, torch.nn.Module):
            self._tree = ModuleTree(model)
            self._modules(self._tree)
        else:
            self._todo.append(("attribute", "", model))
        for tensor in filter(dictionary, list(map(_first, self.tensors.values()))):
            self._attributes(tensor)
        self._walk()
        self._beside = TensorAttributes(list(map(_first, self.tensors.values())))

    # -- before

    def _modules(self, tree: ModuleTree) -> None:
        """The tree of modules; what else they hold waits, so that weights get their names first."""
        self.paths = {**tree.met, **tree.scripted}
        start = 0
        for stop, path, module in tree.odd:
            self._named(tree.held(start, stop))
            self._odd(path, module)
            start = stop
        self._named(tree.held(start))
        special = [sort for sort in tree.sorts if not _STILL.issuperset(sort.types())]
        for path, names, values in tree.attributes(special) if special else ():
            self._own(path, zip(names, values))
        for cls in dict.fromkeys(tree.classes):
            self._class(cls)

    def _named(self, modules: Iterable[tuple[str, tuple[dict[str, Any], ...]]]) -> None:
        """The tensors of modules get their names; their hooks wait."""
        for path, (parameters, buffers, _, after, before) in modules:
            if parameters:
                self._name_all("parameter", path, parameters)
            if buffers:
                self._name_all("buffer", path, buffers)
            if after or before:
                for name, hooks in zip(HOOKS, (after, before)):
                    self._todo.append(("attribute", f"{path}.{name}" if path else name, hooks))

    def _odd(self, path: str, module: Any) -> None:
        """A module that is met once more: its tensors have two names; or a scripted one."""
        self._name_all("parameter", path, module._parameters)
        self._name_all("buffer", path, module._buffers)
        if isinstance(module, torch.jit.ScriptModule):
            if id(module) not in self._holders:
                self._holders[id(module)] = Scripted(module, path)
            own = self._holders[id(module)].before.items()
            self._own(path, [(k, v) for k, v in own if id(v) not in self.tensors])

    def _own(self, path: str, attributes: Iterable[tuple[str, Any]]) -> None:
        """The attributes of one module."""
        prefix = f"{path}." if path else ""
        for name, part in attributes:
            if part.__class__ in _STILL:
                continue
            if isinstance(part, torch.Tensor):
                self._name_all("attribute", path, {name: part})
            elif part.__class__ in (list, tuple) and _STILL.issuperset(map(type, part)):
                if part.__class__ is list:
                    self._plain[id(part)] = (prefix + name, part, part.copy())
            else:
                self._todo.append(("attribute", prefix + name, part))

    def _name_all(self, kind: str, path: str, group: Any) -> None:
        tensors, prefix = self.tensors, f"{path}." if path else ""
        for name, tensor in group.items():
            known = tensors.get(id(tensor))
            if known is None:
                if tensor is not None:
                    tensors[id(tensor)] = (tensor, kind, (prefix + name,))
            else:  # tied: one tensor, several names
                tensors[id(tensor)] = (tensor, known[1], (*known[2], prefix + name))

    def _walk(self) -> None:
        """Look at everything that waits and at what it holds."""
        todo = self._todo
        while todo or self._look_in_modules():
            kind, path, part = todo.pop()
            if part.__class__ in _STILL:
                continue
            if isinstance(part, torch.Tensor):
                if id(part) not in self.tensors:
                    self.tensors[id(part)] = (part, kind, (path,))
                    if part.__dict__:
                        self._attributes(part)
            elif isinstance(part, tuple):
                inside = enumerate(tuple.__iter__(part))
                todo += [(kind, f"{path}.{i}", inner) for i, inner in inside]
                if part.__class__ is not tuple and has_attributes(part):
                    self._more(kind, path, part)
            elif len(self._holders) + len(self._functions) > _LIMIT:
                self.unwatched.append(path)
            elif part.__class__ is types.FunctionType:
                if is_users(part.__module__):
                    self._function(part)
            elif module := module_behind(part):
                if is_users(module.__name__):
                    self._held_modules.setdefault(id(module), (path, module))
            elif id(part) not in self._holders and id(part) not in self.paths:
                self._look(kind, path, part)

    def _look_in_modules(self) -> bool:
        """Of a Python module that something holds, all that functions name; whether that is more.

        Which function gets hold of it is not known.
        """
        names = frozenset(self._named_in) if self._held_modules else frozenset()
        for path, module in list(self._held_modules.values()):
            self._scope(vars(module), path, names, names)
        return bool(self._todo)

    def _look(self, kind: str, path: str, part: Any) -> None:
        """Remember what one thing holds; its parts wait."""
        if isinstance(part, types.MethodType):
            self._todo.append((kind, path, part.__self__))
        if isinstance(part, functools.partial):
            self._todo += [(kind, path, inner) for inner in (part.func, part.args, part.keywords)]
        if isinstance(part, weakref.ReferenceType) and (target := part()) is not None:
            self._todo.append((kind, path, target))
        self._class(type(part))
        if isinstance(part, type):
            self._class(part)
            makers = (f for base in part.__mro__ for f in self._makers.pop(base, ()))
            self._todo += [("global", path, function) for function in makers]
        else:
            for function in functions_of(part):
                self._function(function)
        if callable(part) and isinstance(part, (types.FunctionType, types.MethodType)):
            return
        holder = holder_of(part, path)
        if holder is None:
            return
        self._holders[id(part)] = holder
        self._children(holder, kind)
        if has_more(part, holder):
            self._more(kind, path, part)

    def _attributes(self, tensor: torch.Tensor) -> None:
        """What a tensor has beside its elements."""
        _, kind, names = self.tensors[id(tensor)]
        holder = self._holders[id(tensor)] = Mapping(tensor.__dict__, names[0])
        self._children(holder, kind)

    def _more(self, kind: str, path: str, part: Any) -> None:
        """What a container has beside its items."""
        if ~id(part) not in self._holders:
            holder = self._holders[~id(part)] = Attributes(part, path)
            self._children(holder, kind)

    def _children(self, holder: Holder, kind: str) -> None:
        contents = holder.before
        if isinstance(holder, Opaque):
            contents = holder.parts()
        prefix = holder.path + "." if holder.path else ""
        pairs = contents.items() if isinstance(contents, dict) else enumerate(contents)
        skipped = BOOKKEEPING if isinstance(holder, Modules) else ("__class__",)
        for key, inner in pairs:
            if inner.__class__ not in _STILL and key not in skipped:
                path = holder.path if isinstance(holder, Cells) else f"{prefix}{key}"
                self._todo.append((kind, path, inner))

    def _all(self) -> list[Holder]:
        """Every holder, those of the modules first."""
        tree = self._tree.holders() if self._tree is not None else []
        return [*tree, *self._holders.values()]

    def _class(self, cls: type) -> None:
        """What a class of the user's own keeps, and what its methods reach once they are named."""
        if id(cls) in self._classes:
            return
        for base in cls.__mro__:
            if id(base) in self._classes:
                continue
            self._classes.add(id(base))
            holder = None if id(base) in self._holders else holder_of(base, base.__name__)
            if holder is not None:
                self._holders[id(base)] = holder
                before = len(self._todo)
                self._children(holder, "attribute")
                parts, self._todo[before:] = self._todo[before:], []
                for kind, path, part in parts:
                    self._once_named(path.rpartition(".")[2], kind, path, part)
                for name, function in methods_of(base):
                    if name in MAKERS:
                        self._makers.setdefault(base, []).append(function)
                    else:
                        self._once_named(name, "global", name, function)

    def _once_named(self, name: str, kind: str, path: str, part: Any) -> None:
        """Look at something in a class, if it can be called once a function names it."""
        waits = callable(part) and name not in self._named_in and not name.startswith("__")
        into = self._unnamed.setdefault(name, []) if waits else self._todo
        into.append((kind, path, part))

    def _function(self, function: types.FunctionType) -> None:
        """What a function keeps in its closure, its defaults, its attributes and its globals."""
        if id(function) in self._functions:
            return
        self._functions[id(function)] = function
        if function.__dict__:
            holder = self._holders[id(function)] = Attributes(function, function.__name__)
            self._children(holder, "global")
        code, given, named = function.__code__, function.__defaults__, function.__kwdefaults__
        for name, cell in zip(code.co_freevars, function.__closure__ or ()):
            if name != "__class__" and id(cell) not in self._holders:
                inside = self._holders[id(cell)] = Cells(cell, name)
                self._children(inside, "global")
        reach = reach_of(code)
        if given or named:
            arguments = reach.given[-len(given or ()) :]
            pairs = (*zip(arguments, given or ()), *(named or {}).items())
            self._todo += [
                ("default", n, part) for n, part in pairs if part.__class__ not in _STILL
            ]
        for name in sorted(reach.mentioned - self._named_in):
            self._named_in.add(name)
            self._todo += self._unnamed.pop(name, ())
        self._scope(function.__globals__, "", reach.variables, reach.names)
        if reach.imports:
            for name, module in imported(function):
                self._scope(vars(module), name, reach.names, reach.names)

    def _scope(
        self, variables: dict[str, Any], path: str, names: frozenset[str], beyond: frozenset[str]
    ) -> None:
        """The variables of a Python module that a function names.

        Args:
            variables: of the Python module.
            path: of the Python module.
            names: of the variables.
            beyond: names of attributes, which are variables of the Python modules found there.
        """
        scope = self._holders.get(id(variables))
        if scope is None:
            scope = self._holders[id(variables)] = Globals(variables, path)
        if not isinstance(scope, Globals) or (names, beyond) in scope.asked:  # all is looked at
            return
        scope.asked.add((names, beyond))
        for name in scope.watch(names):
            part = scope.before[name]
            if isinstance(part, types.ModuleType) and is_users(part.__name__):
                scope.modules.add(name)
            else:
                self._todo.append(("global", path_of(scope, name), part))
        if scope.modules and (modules := names & scope.modules):
            for name in sorted(modules):  # each function may name other variables of theirs
                self._scope(vars(scope.before[name]), path_of(scope, name), beyond, beyond)

    def knows(self, part: Any) -> bool:
        """Whether the model held a thing, or held it by a name, when this was made."""
        known = (self._holders, self.paths, self._plain, self._functions)
        return any(id(part) in things for things in known)

    @property
    def generators(self) -> Iterator[tuple[torch.Generator, bytes]]:
        """The generators of random numbers that the model holds, and where they were."""
        opaque = (one for one in self._holders.values() if one.__class__ is Opaque)
        return ((n.thing, n.before[""]) for n in opaque if isinstance(n.thing, torch.Generator))

    @property
    def functions(self) -> Collection[types.FunctionType]:
        """The functions of the user's own that the model reaches."""
        return self._functions.values()

    # -- after

    def changes(self, carried: Callable[[Any], bool] = lambda thing: False) -> Changes:
        """What is other than it was.

        Args:
            carried: whether the state of a generator is known to the caller.
        """
        own, tree = list(self._holders.values()), self._tree
        suspects = [] if tree is None else tree.suspects()
        found = Changes({id(one.thing): one for one in (self._all() if suspects else own)})
        for holder in (*suspects, *own):
            if holder.stands():
                continue
            if not isinstance(holder, Opaque) or not carried(holder.thing):
                found.contents(holder, holder.before, holder.read())
        for path, part, before in self._plain.values():
            if len(before) != len(part) or not all(map(operator.is_, before, part)):
                found.items(path, before, part)
        for thing in self._gained():
            gained = Mapping(thing.__dict__, self._name(thing), {})
            found.contents(gained, gained.before, gained.read())
        for tensor, what, old, new in self._beside.changes():
            found.pair(f"{self._name(tensor)}.{what}", old, new)
        return found

    def stands(self) -> bool:
        """Whether nothing is other than it was."""
        found = self.changes()
        return not found.replaced and not found.changes

    def restore(self) -> None:
        """Put everything back that was replaced, added or removed; memory that was written is
        the caller's to put back."""
        for holder in self._all():
            if not holder.stands():
                holder.put(holder.before)
        for thing in self._gained():
            thing.__dict__.clear()
        for tensor, what, old, _ in list(self._beside.changes()):
            setattr(tensor, what, old)
        for _, part, before in self._plain.values():
            part[:] = before

    def _gained(self) -> Iterator[Any]:
        """Tensors and functions that have attributes, and had none."""
        things = (*self._beside.gained(), *filter(dictionary, self._functions.values()))
        return (thing for thing in things if id(thing) not in self._holders)

    def _name(self, thing: Any) -> str:
        known = self.tensors.get(id(thing))
        return thing.__name__ if known is None else known[2][0]

    def places(self, tensors: Collection[int]) -> dict[int, list[str]]:
        """Where each of these tensors, by their ids, stood."""
        return places_of(self._all(), tensors) if tensors else {}

    def get(self, path: str) -> Any:
        """What stood at a path; NOTHING where the model has no such place."""
        return part_at(self._all(), path)

    def forget(self, path: str) -> bool:
        """Empty what a function at a path remembers of its results; False if it remembers none."""
        return forget_at(self._all(), path)

    def put(self, path: str, part: Any) -> bool:
        """Put something in the place of this path; False where the model has no such place."""
        return put_at(self._all(), path, part)
