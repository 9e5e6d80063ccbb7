"""Where signatures come from.

``signatures(func)`` asks torch: ATen schemas for what is written in C++, ``inspect.signature``
for what is written in Python, ``get_testing_overrides`` for the rest. No list of ops is kept
here; the one table spells out forms of C++ parsers that torch describes nowhere.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

import torch

from ..graph import geometry, numbers
from .kinds import EMPTY, Parameter
from .names import OPERATORS, canonical, is_reversed, is_torch, name_of, overloads, qualified_name
from .signatures import (
    KEYWORD,
    POSITIONAL,
    STAR,
    STARS,
    Signature,
    documented,
)

# What derived nodes and calls on numbers call.
_OURS = (geometry.__name__, numbers.__name__)


@lru_cache(maxsize=None)
def op_of(func: Callable[..., Any]) -> str:
    """The canonical op name of a callable.

    A function that is not torch's own keeps its name, qualified where torch has an op of that
    name with a meaning of its own (``mylib::relu``, ``mymodule.relu``).
    """
    name = name_of(func)
    full = qualified_name(func)
    if full is not None:
        if full.split("::")[0] in ("aten", "prims", "prim"):
            return canonical(name)
        return full if canonical(name) in callables() else name
    if is_torch(func) or func.__module__ in _OURS:
        return canonical(name)
    return f"{func.__module__}.{name}" if canonical(name) in callables() else name


def _from_schemas(name: str, op: str, schemas: Iterable[Any]) -> list[Signature]:
    found = []
    for schema in schemas:
        if schema.overload_name.startswith(("prim_",)):
            continue
        if any(a.is_out for a in schema.arguments) or not _is_op(schema):
            continue
        found.append(_from_schema(op, schema))
    return found


def _is_op(schema: Any) -> bool:
    """Whether torch can be called so; the registry also holds what only its scripts can call."""
    full = f"{schema.name}.{schema.overload_name}".rstrip(".")
    return torch._C._dispatch_has_kernel(full)


def _from_schema(op: str, schema: Any) -> Signature:
    parameters, writes = [], []
    for argument in schema.arguments:
        own = argument.name
        name = documented(op, own)
        default = argument.default_value if argument.has_default_value() else EMPTY
        kind = KEYWORD if argument.kwarg_only else POSITIONAL
        parameters.append(
            Parameter(name, _python_name(own), kind, default, _kind(argument), argument.N)
        )
        if argument.alias_info is not None and argument.alias_info.is_write:
            writes.append(name)
    return Signature(op, parameters, writes, _draws(schema), schema=True)


def _draws(schema: Any) -> bool | None:
    """Whether torch tags this schema as drawing random numbers."""
    try:
        namespace, name = schema.name.split("::")
        packet = getattr(getattr(torch.ops, namespace), name)
        tags = getattr(packet, schema.overload_name or "default").tags
    except (AttributeError, RuntimeError):
        return None
    return torch.Tag.nondeterministic_seeded in tags


def _python_name(own: str) -> str:
    return "input" if own == "self" else own


def _kind(argument: Any) -> str:
    kind = str(argument.type)
    real = str(getattr(argument, "real_type", kind))
    for marker, name in (
        ("ScalarType", "dtype"),
        ("Layout", "layout"),
        ("MemoryFormat", "memory_format"),
    ):
        if real.removeprefix("Optional[").removesuffix("]").removesuffix("?") == marker:
            return f"Optional[{name}]" if kind.startswith("Optional[") else name
    return kind


def _from_python(op: str, func: Callable[..., Any], like: Callable[..., Any]) -> Signature | None:
    """A Signature from the Python parameters of ``like``, to call ``func`` with."""
    try:
        parameters = inspect.signature(like).parameters.values()
    except (TypeError, ValueError):
        return None
    made = []
    for position, p in enumerate(parameters):
        name = documented(op, p.name) if p.name != "self" else p.name
        if position == 0 and name in ("self", "tensor", "x") and is_torch(func):
            name = "input"
        kind = POSITIONAL if p.kind is inspect.Parameter.POSITIONAL_ONLY else p.kind
        made.append(Parameter(name, p.name, kind, p.default, None))
    may_draw = not is_torch(func) or _may_draw(func, frozenset())
    return Signature(op, made, random=None if may_draw else False)


def _may_draw(func: Any, seen: frozenset[Any]) -> bool:
    """Whether a Python function of torch names, itself or through others, anything that draws."""
    code = getattr(func, "__code__", None)
    if code is None:
        return True
    cells = [cell.cell_contents for cell in func.__closure__ or ()]
    inner = [f for f in cells if inspect.isfunction(f)]
    for name in code.co_names:
        if any(_draws(schema) for schema in _schemas(f"aten::{canonical(name)}")):
            return True
        for space in (torch.nn.functional, torch.functional):
            if inspect.isfunction(vars(space).get(name)):
                inner.append(vars(space)[name])
    seen = seen | {func}
    return any(_may_draw(f, seen) for f in inner if f not in seen)


# Calls whose C++ parser takes forms that no schema spells out: parameters as in a `def`, their
# kinds where a kind tells one form from another.
_CAST = ("input, *, memory_format=None",)
_MOVE = ("input, device=None, non_blocking=False, *, memory_format=None",)
_MAKE = "*, dtype=None, device=None, requires_grad=False, pin_memory=False"
_SPELLED: dict[str, tuple[str, ...]] = {
    "to": (
        "input, dtype: dtype, non_blocking=False, copy=False, *, memory_format=None",
        "input, device: Device=None, dtype=None, non_blocking=False, copy=False, *, "
        "memory_format=None",
        "input, other: Tensor, non_blocking=False, copy=False, *, memory_format=None",
    ),
    "type_as": ("input, other: Tensor",),
    "type": ("input, dtype=None, non_blocking=False",),
    **dict.fromkeys(("cuda", "xpu", "mtia", "ipu", "hpu"), _MOVE),
    **dict.fromkeys(
        ("cpu", "float", "double", "half", "bfloat16", "int", "long", "short", "char", "byte",
         "bool", "cfloat", "cdouble", "chalf"), _CAST,
    ),
    **dict.fromkeys(("tensor", "as_tensor", "asarray", "scalar_tensor"), (f"data, {_MAKE}",)),
    "new_tensor": (f"input, data, {_MAKE}",),
    "einsum": ("equation, *operands",),
    "nonzero": ("input, *, as_tuple=False",),
    **dict.fromkeys(("size", "stride"), ("input", "input, dim")),
    "__getitem__": ("input, indices",),
    "__setitem__": ("input, indices, value",),
}  # fmt: skip


def _spelled(op: str, text: str, writes: Sequence[str] = ()) -> Signature:
    """The Signature a line of the table above spells out."""
    parameters: list[Parameter] = []
    kind: Any = POSITIONAL
    for part in text.split(", "):
        name, _, default = part.partition("=")
        name, _, accepts = name.partition(": ")
        if part == "*":
            kind = KEYWORD
        elif part.startswith("*"):
            parameters.append(Parameter(part[1:], part[1:], STAR, EMPTY, None))
        else:
            value = ast.literal_eval(default) if default else EMPTY
            accepts = accepts or ("bool" if isinstance(value, bool) else "")
            parameters.append(Parameter(name, name, kind, value, accepts or None))
    return Signature(op, parameters, writes, random=False, schema=True)


@lru_cache(maxsize=None)
def signatures(func: Callable[..., Any]) -> tuple[Signature, ...]:
    """All known ways to call ``func``; empty for a callable torch says nothing about."""
    name, op = name_of(func), op_of(func)
    found = next((made for source in _SOURCES if (made := source(func, name, op))), ())
    in_place = name.endswith("_") and not name.endswith("__")
    if in_place and not isinstance(func, (torch._ops.OpOverload, torch._ops.OpOverloadPacket)):
        found = [s if s.writes else _written_first(s) for s in found]
    for signature in found:
        signature.of_torch = is_torch(func)
    return tuple(found)


def _of_accessor(func: Any, name: str, op: str) -> Sequence[Signature]:
    """A property of tensors, read or assigned."""
    accessor = getattr(func, "__name__", "")
    if accessor == "__set__":
        return (_spelled(name, "input, value", writes=("input",)),)
    return (_spelled(op, "input"),) if accessor == "__get__" else ()


def _of_overload(func: Any, name: str, op: str) -> Sequence[Signature]:
    """A callable of ``torch.ops``."""
    if isinstance(func, torch._ops.OpOverload):
        return (_from_schema_exact(op, func._schema),)
    if isinstance(func, torch._ops.OpOverloadPacket):
        return [_from_schema_exact(op, overload._schema) for overload in overloads(func)]
    return ()


def _of_table(func: Any, name: str, op: str) -> Sequence[Signature]:
    """A call the table above spells out."""
    if name not in _SPELLED or not (_is_builtin(func) or name == "einsum"):
        return ()
    writes = ("input",) if name == "__setitem__" else ()
    return [_spelled(op, text, writes) for text in _SPELLED[name]]


def _of_reversed(func: Any, name: str, op: str) -> Sequence[Signature]:
    """An operator with its operands exchanged: ``1 - x``."""
    return _reversed_forms(op) if is_reversed(name) else ()


def _of_schemas(func: Any, name: str, op: str) -> Sequence[Signature]:
    """A function or method of C++, by the ATen schemas of its name."""
    if not _is_builtin(func):
        return ()
    dunder = name.startswith("__") and name.endswith("__")
    candidates = [name]
    if dunder:
        candidates.append(OPERATORS.get(name.strip("_"), ""))
        if not candidates[-1] and name[2:3] in "ir":
            candidates.append(OPERATORS.get(name[3:-2], ""))
    every = (_from_schemas(name, op, _schemas(f"aten::{one}")) for one in candidates)
    found = next((made for made in every if made), [])
    if dunder:
        found = [_writing(s, name) for s in found]
    if type(func).__name__ == "method_descriptor":
        found = [_self_first(s) for s in found]
    return found


def _of_parameters(func: Any, name: str, op: str) -> Sequence[Signature]:
    """A Python function whose own parameters say more than ``*args, **kwargs``."""
    made = _from_python(op, func, func)
    if made is None or made.parameters and all(p.kind in (STAR, STARS) for p in made.parameters):
        return ()
    return (made,)


def _of_override(func: Any, name: str, op: str) -> Sequence[Signature]:
    """A function torch lists with a stand-in that has its parameters."""
    like = _testing_overrides().get(func)
    made = None if like is None else _from_python(op, func, like)
    return () if made is None else (made,)


def _of_stars(func: Any, name: str, op: str) -> Sequence[Signature]:
    """Any other Python function: ``*args, **kwargs``, but under its own name."""
    made = _from_python(op, func, func)
    return () if made is None else (made,)


# Where signatures come from; the first that knows the callable answers.
_SOURCES: tuple[Callable[[Any, str, str], Sequence[Signature]], ...] = (
    _of_accessor, _of_overload, _of_table, _of_reversed, _of_schemas, _of_parameters,
    _of_override, _of_stars,
)  # fmt: skip


def _written_first(signature: Signature) -> Signature:
    return Signature(
        signature.op, signature.parameters, signature.names[:1], signature.random, signature.schema
    )


def _writing(signature: Signature, name: str) -> Signature:
    """An in-place operator (``__iadd__``) bound through the schema of the plain function."""
    if name.startswith("__i") and name.strip("_") not in OPERATORS and not signature.writes:
        return _written_first(signature)
    return signature


def _self_first(signature: Signature) -> Signature:
    """A method takes ``self`` first, wherever the function has it (``polygamma(n, input)``)."""
    parameters = sorted(signature.parameters, key=lambda p: p.call_name != "input")
    return Signature(signature.op, parameters, signature.writes, signature.random, signature.schema)


def _reversed_forms(op: str) -> list[Signature]:
    """``x.__rsub__(1)``: the first argument is ``other``, the second ``input``."""
    other = Parameter(documented(op, "other"), "self", POSITIONAL, EMPTY, None)
    input = Parameter("input", "other", POSITIONAL, EMPTY, None)
    return [Signature(op, [other, input], random=False)]


def _from_schema_exact(op: str, schema: Any) -> Signature:
    """As :func:`_from_schema`, for ``torch.ops`` callables, which take the schema's own names."""
    made = _from_schema(op, schema)
    exact = [p._replace(call_name=a.name) for p, a in zip(made.parameters, schema.arguments)]
    return Signature(op, exact, made.writes, made.random, schema=True)


def _is_builtin(func: Callable[..., Any]) -> bool:
    return type(func).__name__ in (
        "builtin_function_or_method", "method_descriptor", "wrapper_descriptor", "method-wrapper",
    )  # fmt: skip


def _schemas(name: str) -> list[Any]:
    return torch._C._jit_get_schemas_for_operator(name)


@lru_cache(maxsize=None)
def _testing_overrides() -> dict[Callable[..., Any], Callable[..., Any]]:
    return dict(torch.overrides.get_testing_overrides())


def parameter_names(op: str) -> list[str]:
    """Every argument name any form of a canonical op has, in order of first appearance."""
    names: dict[str, None] = {}
    for func in callables().get(op, ()):
        for signature in signatures(func):
            names.update(dict.fromkeys(signature.names))
    return list(names)


@lru_cache(maxsize=None)
def callables() -> dict[str, list[Callable[..., Any]]]:
    """Canonical op name -> every public torch callable of that meaning, factories included."""
    functional = torch.nn.functional
    spaces = (
        torch, functional, torch.linalg, torch.fft, torch.special, torch._C._nn,
        torch._C.TensorBase, torch.Tensor,
    )  # fmt: skip
    every = [f for fs in torch.overrides.get_overridable_functions().values() for f in fs]
    for space in spaces:
        for name, func in vars(space).items():
            plain = _is_builtin(func) or (inspect.isfunction(func) and space is functional)
            if plain and not name.startswith("_"):
                every.append(func)
    found: dict[str, list[Callable[..., Any]]] = {}
    for func in dict.fromkeys(every):
        found.setdefault(canonical(name_of(func)), []).append(func)
    return found
