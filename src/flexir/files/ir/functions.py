"""Names of torch callables, and back: a fixed table of what torch offers, never an import.

A graph from a file can name only what stands here: the public functions, methods and properties
of torch that compute with tensors, the operators registered with ``torch.ops``, and the few
functions derived nodes call. Anything else becomes a :class:`MissingFunction` callable.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from typing import Any

import torch

from ...calls.kinds import EMPTY, Parameter
from ...calls.schemas import callables, op_of, signatures
from ...calls.signatures import STAR, STARS, Signature
from ...errors import UnsupportedError
from ...graph import lists, numbers
from ...graph.geometry import as_strided, as_strided_scatter, assemble, setitem

# They compute with tensors, and also read or write files.
_FORBIDDEN = frozenset({"from_file"})


class MissingFunction:
    """Stands for a function this process does not have; the graph around it stays usable."""

    def __init__(self, name: str, why: str = "") -> None:
        self.__name__ = self.__qualname__ = name
        self.why = why
        self.__module__ = name.rpartition(".")[0]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Say what is missing, and how to give it."""
        if self.why:
            raise UnsupportedError(f"this graph calls {self.__name__!r}, but {self.why}")
        raise UnsupportedError(
            f"this graph calls {self.__name__!r}, which is not one of torch's functions; to replay "
            f"it, give the function: flexir.load(path, functions={{{self.__name__!r}: ...}})"
        )

    def __repr__(self) -> str:
        return f"<missing function {self.__name__}>"


def _setters(named: dict[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    """What writes the properties that are read by the named callables."""
    found: dict[str, Callable[..., Any]] = {}
    for name, function in named.items():
        accessor: Any = getattr(function, "__self__", None)
        if name.endswith(".__get__") and hasattr(accessor, "__set__"):
            found[name.replace(".__get__", ".__set__")] = accessor.__set__
    return found


@functools.lru_cache(maxsize=1)
def _tables() -> tuple[dict[str, Callable[..., Any]], dict[Any, str]]:
    """name -> callable, and callable -> name."""
    spaces: list[tuple[str, Any]] = [
        ("torch.nn.functional", torch.nn.functional), ("torch", torch),
        ("torch.linalg", torch.linalg), ("torch.fft", torch.fft), ("torch.special", torch.special),
        ("torch._C._nn", torch._C._nn), ("torch.Tensor", torch.Tensor),
        ("torch._C._VariableFunctions", torch._C._VariableFunctions),
        *((f"torch._C.{name}", getattr(torch._C, name)) for name in ("_sparse", "_nested")),
        ("torch.autograd", torch.autograd), ("torch.nn.init", torch.nn.init),
    ]  # fmt: skip
    known = {id(function) for functions in callables().values() for function in functions}
    named: dict[str, Callable[..., Any]] = {}
    named.update(
        (torch.overrides.resolve_name(function) or "", function)
        for functions in callables().values()
        for function in functions
    )
    named.pop("", None)
    for space, owner in reversed(spaces):  # the first to name a function wins
        for attribute in dir(owner):
            function = getattr(owner, attribute, None)
            name = f"{space}.{attribute}"
            if callable(function) and (id(function) in known or _computes(function, attribute)):
                named.pop(name, None)
                named[name] = function
    named.update(_setters(named))
    for name in [n for n in named if n.rpartition(".")[2] in _FORBIDDEN]:
        del named[name]
    for function in (as_strided, as_strided_scatter, assemble, setitem):
        named[f"flexir.geometry.{function.__name__}"] = function
    for function in numbers.FUNCTIONS:
        named[f"flexir.numbers.{function.__name__}"] = function
    for function in lists.FUNCTIONS:
        named[f"flexir.lists.{function.__name__}"] = function
    return named, {function: name for name, function in named.items()}


def _computes(function: Any, name: str) -> bool:
    """Whether it is an ATen op, private ones included, or Python that asks for overrides."""
    if type(function).__name__ in ("builtin_function_or_method", "method_descriptor"):
        return bool(torch._C._jit_get_schemas_for_operator(f"aten::{name}"))
    code = getattr(function, "__code__", None)
    return code is not None and "handle_torch_function" in code.co_names


def stored_name(function: Any) -> str:
    """The name a function is stored under."""
    if isinstance(function, torch._ops.OpOverload):
        return f"torch.ops.{function}"
    if isinstance(function, torch._ops.OpOverloadPacket):
        return f"torch.ops.{function._qualified_op_name.replace('::', '.')}"
    if isinstance(function, MissingFunction):
        return function.__name__
    known = _tables()[1].get(function)
    if known is not None:
        return known
    module = getattr(function, "__module__", None) or "builtins"
    return f"{module}.{getattr(function, '__qualname__', type(function).__qualname__)}"


def callable_of(name: str, extra: dict[str, Callable[..., Any]]) -> Callable[..., Any]:
    """The callable of a stored name; :class:`MissingFunction` where there is none."""
    if name in extra:
        return extra[name]
    known = _tables()[0].get(name)
    if known is not None:
        return known
    parts = name.split(".")
    if parts[:2] == ["torch", "ops"] and len(parts) in (4, 5):
        found: Any = torch.ops
        try:
            for part in parts[2:]:
                found = getattr(found, part)
        except (AttributeError, RuntimeError):
            return MissingFunction(name)
        if isinstance(found, (torch._ops.OpOverload, torch._ops.OpOverloadPacket)):
            return found
    return MissingFunction(name)


def recorded_signature(target: Any, index: int, args: Collection[str], op: str) -> Signature:
    """The signature the arguments follow: the recorded one if it still has these names."""
    if not isinstance(target, MissingFunction):
        known = signatures(target)
        first = known[index : index + 1]
        for found in (*first, *known):
            rest = set(args) - {*found.names, "out", "requires_grad"}
            if not rest or any(p.kind is STARS for p in found.parameters):
                return found
        op = op_of(target)
    names = ["args"] if "args" in args else []
    return Signature(op, [Parameter(name, name, STAR, EMPTY, None) for name in names])
