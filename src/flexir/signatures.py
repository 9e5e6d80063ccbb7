"""What a torch callable is called, and what its arguments are called.

``bind(func, args, kwargs)`` turns any call of torch into (Signature, {name: value}) with all
defaults filled in; ``Signature.unbind`` turns the named form back into a call. Knowledge comes
from torch: ATen schemas for what is written in C++, ``inspect.signature`` for what is written in
Python, ``torch.overrides.get_testing_overrides`` for the rest. The tables below hold only what
torch itself does not say in one of these places.

One meaning has one name: operators, methods, functions, in-place forms and torch's own synonyms.
"""

from __future__ import annotations

import inspect
import keyword
import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch

_EMPTY = inspect.Parameter.empty
_POSITIONAL = inspect.Parameter.POSITIONAL_OR_KEYWORD
_KEYWORD = inspect.Parameter.KEYWORD_ONLY
_STAR = inspect.Parameter.VAR_POSITIONAL
_STARS = inspect.Parameter.VAR_KEYWORD

# Python's operators, by the function that means the same.
_OPERATORS = {
    "add": "add", "sub": "sub", "mul": "mul", "div": "div", "truediv": "div", "pow": "pow",
    "floordiv": "floor_divide", "mod": "remainder", "matmul": "matmul", "and": "bitwise_and",
    "or": "bitwise_or", "xor": "bitwise_xor", "lshift": "bitwise_left_shift", "ge": "ge",
    "rshift": "bitwise_right_shift", "invert": "bitwise_not", "neg": "neg", "pos": "positive",
    "abs": "abs", "eq": "eq", "ne": "ne", "lt": "lt", "le": "le", "gt": "gt",
    "getitem": "getitem", "setitem": "setitem",
}  # fmt: skip

# torch's synonyms; a test compares them with the aliases PyTorch's own operator database knows.
_SYNONYMS = {
    "absolute": "abs", "arccos": "acos", "arccosh": "acosh", "arcsin": "asin",
    "arcsinh": "asinh", "arctan": "atan", "arctan2": "atan2", "arctanh": "atanh",
    "clip": "clamp", "concat": "cat", "concatenate": "cat", "conj_physical": "conj",
    "divide": "div", "true_divide": "div", "fix": "trunc", "greater": "gt",
    "greater_equal": "ge", "less": "lt", "less_equal": "le", "moveaxis": "movedim",
    "multiply": "mul", "negative": "neg", "not_equal": "ne", "row_stack": "vstack",
    "subtract": "sub", "swapaxes": "transpose", "swapdims": "transpose",
    "special_digamma": "digamma", "special_erf": "erf", "special_erfc": "erfc",
    "special_erfinv": "erfinv", "special_exp2": "exp2", "special_expit": "sigmoid",
    "special_expm1": "expm1", "special_gammaln": "lgamma", "special_i0": "i0",
    "special_log1p": "log1p", "special_log_softmax": "log_softmax", "special_logit": "logit",
    "special_logsumexp": "logsumexp", "special_multigammaln": "mvlgamma",
    "special_polygamma": "polygamma", "special_psi": "digamma", "special_round": "round",
    "special_sinc": "sinc", "special_softmax": "softmax", "special_xlogy": "xlogy",
    "special_gammainc": "igamma", "special_gammaincc": "igammac", "igamma": "igamma",
    "det": "linalg_det", "ger": "outer", "inverse": "linalg_inv", "slogdet": "linalg_slogdet",
    "linalg_matmul": "matmul", "matrix_power": "linalg_matrix_power",
    "matrix_exp": "linalg_matrix_exp", "linalg_matrix_exp": "linalg_matrix_exp",
    "chain_matmul": "linalg_multi_dot", "orgqr": "linalg_householder_product",
    "pixel_shuffle": "pixel_shuffle", "type_as": "to", "numpy_T": "T", "matrix_H": "adjoint",
    "H": "adjoint", "mH": "adjoint", "data": "detach", "adaptive_avg_pool1d": "adaptive_avg_pool1d",
    "max_pool1d_with_indices": "max_pool1d", "max_pool2d_with_indices": "max_pool2d",
    "max_pool3d_with_indices": "max_pool3d", "upsample": "interpolate",
    "resolve_conj": "resolve_conj", "nn_init": "nn_init", "is_nonzero": "bool",
    "adaptive_max_pool1d_with_indices": "adaptive_max_pool1d",
    "adaptive_max_pool2d_with_indices": "adaptive_max_pool2d",
    "adaptive_max_pool3d_with_indices": "adaptive_max_pool3d",
    "fractional_max_pool2d_with_indices": "fractional_max_pool2d",
    "fractional_max_pool3d_with_indices": "fractional_max_pool3d",
    "_threshold": "threshold", "log_sigmoid": "logsigmoid",
}  # fmt: skip
_SYNONYMS = {old: new for old, new in _SYNONYMS.items() if old != new}

# Documented argument names where the C++ schema uses another one, per op; `self` is `input`.
_RENAMED = {
    "dropout": {"train": "training"}, "alpha_dropout": {"train": "training"},
    "feature_dropout": {"train": "training"}, "feature_alpha_dropout": {"train": "training"},
    "embedding": {"indices": "input"}, "transpose": {
        "dim0": "dim0", "axis0": "dim0", "axis1": "dim1"},
    "conj": {}, "getitem": {"key": "indices"}, "setitem": {"key": "indices"},
    "linalg_inv": {"A": "input"}, "linalg_det": {"A": "input"}, "linalg_slogdet": {"A": "input"},
    "linalg_multi_dot": {"tensors": "matrices"},
    "linalg_householder_product": {"input2": "tau"},
}  # fmt: skip

# NumPy's spellings, which torch's argument parser takes as well.
_NUMPY = {"axis": "dim", "keepdims": "keepdim", "x": "input", "a": "input", "x1": "input", "x2": "other"}

# Arguments that choose an implementation, a memory layout or a place for the result, never the
# values of it. They stay in the node for an exact replay; a handler gets them only by naming them.
HINTS = frozenset({
    "inplace", "out", "cudnn_enable", "cudnn_enabled", "benchmark", "deterministic", "allow_tf32",
    "non_blocking", "pin_memory", "generator", "memory_format", "requires_grad", "layout",
    "device", "use_mm_for_euclid_dist", "fused", "copy", "use_separate_proj_weight", "name",
})  # fmt: skip

# Writes that the schemas do not mark: argument names, given the named arguments of a call.
_UNMARKED_WRITES: dict[str, Callable[[dict[str, Any]], tuple[str, ...]]] = {
    "batch_norm": lambda a: ("running_mean", "running_var") if a.get("training") else (),
    "native_batch_norm": lambda a: ("running_mean", "running_var") if a.get("training") else (),
    "cudnn_batch_norm": lambda a: ("running_mean", "running_var") if a.get("training") else (),
    "sync_batch_norm": lambda a: ("running_mean", "running_var"),
    "instance_norm": lambda a: ("running_mean", "running_var") if a.get("use_input_stats") else (),
    "embedding": lambda a: ("weight",) if a.get("max_norm") is not None else (),
    "embedding_bag": lambda a: ("weight",) if a.get("max_norm") is not None else (),
    "requires_grad": lambda a: ("input",),
    "rrelu_with_noise": lambda a: ("noise",),
    "fused_moving_avg_obs_fake_quant": lambda a: (
        "running_min", "running_max", "scale", "zero_point",
    ),
}  # fmt: skip


class Parameter(NamedTuple):
    """One argument: ``call_name`` is what the callable itself takes where names were unified."""

    name: str
    call_name: str
    kind: Any
    default: Any
    accepts: str | None
    count: int | None = None


class Signature:
    """One way to call one callable.

    Attributes:
        op: canonical name.
        parameters: in the callable's own order.
        writes: names of arguments the schema marks as written.
        random: True or False where torch says whether it draws random numbers, else None.
        schema: whether it comes from a C++ schema, whose marks can be trusted.
    """

    __slots__ = ("defaults", "names", "op", "parameters", "random", "schema", "writes")

    def __init__(
        self,
        op: str,
        parameters: Sequence[Parameter],
        writes: Iterable[str] = (),
        random: bool | None = None,
        schema: bool = False,
    ) -> None:
        self.op, self.parameters = op, tuple(parameters)
        self.writes, self.random, self.schema = frozenset(writes), random, schema
        self.names = tuple(p.name for p in self.parameters)
        self.defaults = {p.name: p.default for p in parameters if p.default is not _EMPTY}

    def __repr__(self) -> str:
        return f"{self.op}({', '.join(self.names)})"

    def uncounted(self, named: dict[str, Any]) -> tuple[str, ...]:
        """Names of arguments this call writes without a mark and without counting it."""
        extra = _UNMARKED_WRITES.get(self.op)
        return () if extra is None else tuple(n for n in extra(named) if named.get(n) is not None)

    def written(self, named: dict[str, Any]) -> frozenset[str]:
        """Names of the arguments that this call may write, known before it runs."""
        written = self.writes
        if self.op in _UNMARKED_WRITES:
            written = written.union(self.uncounted(named))
        if named.get("inplace") is True and self.names[0] in named:
            written = written | {self.names[0]}
        if named.get("out") is not None:
            written = written | {"out"}
        return written

    def plan(self, args: Sequence[Any], kwargs: dict[str, Any], strict: bool) -> list[Any] | None:
        """How to lay a call's arguments over the parameters, or None if they do not fit.

        Returns:
            per parameter: an index into ``args``, a keyword, a slice of ``args``, or _EMPTY for
            the default.
        """
        plan: list[Any] = []
        taken, used = 0, set()
        for parameter in self.parameters:
            keyword = _spelling(parameter, kwargs)
            if parameter.kind is _STAR:
                plan.append(slice(taken, len(args)))
                taken = len(args)
                continue
            if parameter.kind is _STARS:
                continue
            if keyword is not None:
                if not _accepts(parameter, kwargs[keyword], strict):
                    return None
                used.add(keyword)
                plan.append(keyword)
            elif parameter.kind is _POSITIONAL and taken < len(args):
                rest = args[taken:]
                if _is_spread(parameter, rest, strict):  # view(2, -1), permute(0, 2, 1)
                    plan.append(slice(taken, len(args)))
                    taken = len(args)
                elif _accepts(parameter, args[taken], strict):
                    plan.append(taken)
                    taken += 1
                else:
                    return None
            elif parameter.default is not _EMPTY:
                plan.append(_EMPTY)
            elif parameter.accepts == "List[int]" and parameter.call_name == "size":
                plan.append(slice(taken, taken))  # torch.zeros() of no dimensions
            else:
                return None
        if taken < len(args):
            return None
        unknown = kwargs.keys() - used
        if unknown and not (
            self.parameters
            and self.parameters[-1].kind is _STARS
            or (self.schema and unknown <= _PYTHON_ONLY)
        ):
            return None
        plan.append(tuple(k for k in kwargs if k in unknown))
        return plan

    def apply(self, plan: list[Any], args: Sequence[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
        """The named arguments of a call laid out by :meth:`plan`."""
        named = {}
        for parameter, place in zip(self.parameters, plan):
            if place is _EMPTY:
                named[parameter.name] = parameter.default
            elif place.__class__ is slice:
                named[parameter.name] = tuple(args[place])
            elif place.__class__ is int:
                named[parameter.name] = args[place]
            else:
                named[parameter.name] = kwargs[place]
        for keyword in plan[-1]:
            named[keyword] = kwargs[keyword]
        if self.names[:1] == ("other",):  # a reversed operator: read it the way it is written
            return {"input": named["input"], "other": named["other"]}
        return named

    def unbind(self, named: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Arguments and keywords that call the callable with these named arguments."""
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        positional = True
        for p in self.parameters:
            if p.name not in named:
                if p.kind is not _STARS:
                    positional = False
                continue
            value = named[p.name]
            if p.kind is _STAR:
                args.extend(value)
            elif p.kind is _POSITIONAL and positional and p.default is _EMPTY:
                args.append(value)
            elif p.default is _EMPTY or not _is_default(value, p.default):
                kwargs[p.call_name] = value
                positional = False
            else:
                positional = False
        for name, value in named.items():
            if name not in self.names:
                kwargs[name] = value
        return args, kwargs


_PYTHON_ONLY = frozenset({"out", "requires_grad", "pin_memory", "device", "dtype", "layout", "names"})


def _is_default(value: Any, default: Any) -> bool:
    if value is default:
        return True
    if isinstance(value, torch.Tensor) or type(value) is not type(default):
        return False
    try:
        return bool(value == default)
    except Exception:  # noqa: BLE001  an argument of the user's own type may refuse to compare
        return False


is_default = _is_default


def _spelling(parameter: Parameter, kwargs: dict[str, Any]) -> str | None:
    """The keyword under which ``kwargs`` gives this parameter, or None."""
    if not kwargs:
        return None
    for name in (parameter.call_name, parameter.name):
        if name in kwargs:
            return name
    for numpy, name in _NUMPY.items():
        if name == parameter.name and numpy in kwargs:
            return numpy
    return None


def _is_spread(parameter: Parameter, rest: Sequence[Any], strict: bool) -> bool:
    """Whether the remaining arguments are one list of integers given without brackets."""
    return (
        parameter.accepts in ("List[int]", "Optional[List[int]]")
        and parameter.count is None
        and len(rest) >= 1
        and all(_is_int(v) and not (strict and isinstance(v, torch.Tensor)) for v in rest)
    )


def _is_int(value: Any) -> bool:
    if isinstance(value, bool):
        return False
    if isinstance(value, (int, torch.SymInt)):
        return True
    if isinstance(value, torch.Tensor):
        return value.ndim == 0 and not value.is_floating_point() and not value.is_complex()
    return hasattr(value, "__index__")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, complex, torch.SymInt, torch.SymFloat)) or (
        not isinstance(value, torch.Tensor) and hasattr(value, "__float__")
    )


def _accepts(parameter: Parameter, value: Any, strict: bool) -> bool:
    """Whether a value may stand for a parameter of this schema type.

    ``strict`` takes only what torch takes without conversion; otherwise a 0-dim tensor passes
    for a number, and a number for a list of one.
    """
    kind = parameter.accepts
    if kind is None:
        return True
    if kind.startswith("Optional["):
        if value is None:
            return True
        kind = kind[9:-1]
    elif value is None:
        return parameter.default is None
    tensor = isinstance(value, torch.Tensor)
    if kind == "Tensor":
        return tensor
    if kind in ("List[Tensor]", "List[Optional[Tensor]]"):
        return isinstance(value, (tuple, list)) and all(
            v is None or isinstance(v, torch.Tensor) for v in value
        )
    if kind == "dtype":
        return isinstance(value, torch.dtype) or value in (float, int, bool, complex)
    if kind == "layout":
        return isinstance(value, torch.layout)
    if kind == "memory_format":
        return isinstance(value, torch.memory_format)
    if kind == "Device":
        return isinstance(value, (str, torch.device)) or (
            isinstance(value, int) and not isinstance(value, bool)
        )
    if kind == "bool":
        return isinstance(value, bool) or (not strict and (tensor or isinstance(value, int)))
    if kind == "number":
        return _is_number(value) or (not strict and tensor and value.ndim == 0)
    if kind == "float":
        return (_is_number(value) and not isinstance(value, complex)) or (not strict and tensor)
    if kind == "int":
        return _is_int(value) and not (strict and tensor) or (not strict and isinstance(value, bool))
    if kind == "str":
        return isinstance(value, str)
    if kind == "Generator":
        return isinstance(value, torch.Generator)
    if kind.startswith("List["):
        if isinstance(value, (tuple, list)):
            inner = kind[5:-1]
            if inner == "int":
                return all(_is_int(v) or isinstance(v, bool) for v in value)
            if inner == "str":
                return all(isinstance(v, str) for v in value)
            return all(_is_number(v) or isinstance(v, torch.Tensor) for v in value)
        if kind == "List[str]":
            return False
        return parameter.count is not None and (_is_int(value) or (not strict and _is_number(value)))
    return True


# --- where signatures come from -----------------------------------------------------------------


def canonical(name: str) -> str:
    """The canonical op name for a torch function, method, operator or synonym called ``name``."""
    bare = name.strip("_") if name.startswith("__") and name.endswith("__") else None
    if bare is not None:
        for form in (bare, bare[1:] if bare[:1] in "ir" else ""):
            if form in _OPERATORS:
                return _OPERATORS[form]
        return bare
    if name.endswith("_") and not name.endswith("__"):
        name = name[:-1]
    return _SYNONYMS.get(name, name)


def name_of(func: Callable[..., Any]) -> str:
    """The name torch itself gives a callable: ``add_``, ``__radd__``, ``linalg_det``, ``T``."""
    if isinstance(func, torch._ops.OpOverload):
        return func._schema.name.split("::")[-1]
    if isinstance(func, torch._ops.OpOverloadPacket):
        return func._qualified_op_name.split("::")[-1]
    name = getattr(func, "__name__", None) or type(func).__name__
    owner = getattr(func, "__self__", None)
    if name in ("__get__", "__set__", "__delete__") and hasattr(owner, "__name__"):
        return owner.__name__ if name == "__get__" else f"{name.strip('_')}_{owner.__name__}"
    return name


@lru_cache(maxsize=None)
def op_of(func: Callable[..., Any]) -> str:
    """The canonical op name of a callable.

    A function that is not torch's own keeps its name, qualified where torch has an op of that
    name with a meaning of its own (``mylib::relu``, ``mymodule.relu``).
    """
    name = name_of(func)
    if isinstance(func, (torch._ops.OpOverload, torch._ops.OpOverloadPacket)):
        schema = func._schema.name if isinstance(func, torch._ops.OpOverload) else None
        full = schema or func._qualified_op_name  # type: ignore[union-attr]
        if full.split("::")[0] in ("aten", "prims", "prim"):
            return canonical(name)
        return full if canonical(name) in callables() else name
    if is_torch(func):
        return canonical(name)
    return f"{func.__module__}.{name}" if canonical(name) in callables() else name


def _is_reversed(name: str) -> bool:
    """Whether a dunder method computes ``other op self``."""
    bare = name.strip("_")
    return name.startswith("__r") and bare not in _OPERATORS and bare[1:] in _OPERATORS


def _from_schemas(name: str, op: str, schemas: Iterable[Any]) -> list[Signature]:
    found = []
    for schema in schemas:
        if schema.overload_name.startswith(("prim_",)):
            continue
        if any(a.is_out for a in schema.arguments) or not _on_tensors(schema):
            continue
        found.append(_from_schema(op, schema))
    return found


def _on_tensors(schema: Any) -> bool:
    """Whether a schema computes with tensors; the registry also holds scalar arithmetic."""
    parts = (*schema.arguments, *schema.returns)
    return any("Tensor" in str(a.type) for a in parts)


def _from_schema(op: str, schema: Any) -> Signature:
    parameters, writes = [], []
    rename = _RENAMED.get(op, {})
    for argument in schema.arguments:
        own = argument.name
        name = rename.get(own, "input" if own == "self" else own)
        default = argument.default_value if argument.has_default_value() else _EMPTY
        kind = _KEYWORD if argument.kwarg_only else _POSITIONAL
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
    for marker, name in (("ScalarType", "dtype"), ("Layout", "layout"), ("MemoryFormat", "memory_format")):
        if real.removeprefix("Optional[").removesuffix("]").removesuffix("?") == marker:
            return f"Optional[{name}]" if kind.startswith("Optional[") else name
    return kind


def _from_python(op: str, func: Callable[..., Any], like: Callable[..., Any]) -> Signature | None:
    """A Signature from the Python parameters of ``like``, to call ``func`` with."""
    try:
        parameters = inspect.signature(like).parameters.values()
    except (TypeError, ValueError):
        return None
    rename = _RENAMED.get(op, {})
    made = []
    for position, p in enumerate(parameters):
        name = rename.get(p.name, p.name)
        if position == 0 and name in ("self", "tensor", "x") and is_torch(func):
            name = "input"
        kind = _POSITIONAL if p.kind is inspect.Parameter.POSITIONAL_ONLY else p.kind
        accepts = p.annotation if isinstance(p.annotation, str) and p.annotation in _KINDS else None
        made.append(Parameter(name, p.name, kind, p.default, accepts))
    return Signature(op, made)


_KINDS = frozenset({"Tensor", "dtype", "Device", "number", "int", "str", "List[int]"})


# Calls whose C++ parser takes forms that no schema spells out, written as Python signatures.
# fmt: off
def _to_dtype(input: "Tensor", dtype: "dtype", non_blocking=False, copy=False, *, memory_format=None): ...  # noqa: E501, F821
def _to_device(input: "Tensor", device: "Device"=None, dtype=None, non_blocking=False, copy=False, *, memory_format=None): ...  # noqa: E501, F821
def _to_other(input: "Tensor", other: "Tensor", non_blocking=False, copy=False, *, memory_format=None): ...  # noqa: E501, F821
def _type_as(input: "Tensor", other: "Tensor"): ...  # noqa: F821
def _cuda(input, device=None, non_blocking=False, *, memory_format=None): ...
def _cast(input, *, memory_format=None): ...
def _einsum(equation, *operands): ...
def _getitem(input, indices): ...
def _setitem(input, indices, value): ...
def _type(input, dtype=None, non_blocking=False): ...
def _data_get(input): ...
def _data_set(input, value): ...
def _tensor(data, *, dtype=None, device=None, requires_grad=False, pin_memory=False): ...
def _new_tensor(input, data, *, dtype=None, device=None, requires_grad=False, pin_memory=False): ...
def _nonzero(input, *, as_tuple=False): ...
# fmt: on
_SPELLED: dict[str, list[Callable[..., Any]]] = {
    "to": [_to_dtype, _to_device, _to_other], "type_as": [_type_as], "cuda": [_cuda],
    "cpu": [_cast], "xpu": [_cuda], "mtia": [_cuda], "ipu": [_cuda], "hpu": [_cuda],
    "float": [_cast], "double": [_cast], "half": [_cast],
    "bfloat16": [_cast], "int": [_cast], "long": [_cast], "short": [_cast], "char": [_cast],
    "byte": [_cast], "bool": [_cast], "cfloat": [_cast], "cdouble": [_cast], "chalf": [_cast],
    "einsum": [_einsum], "__getitem__": [_getitem], "__setitem__": [_setitem], "type": [_type],
    "tensor": [_tensor], "as_tensor": [_tensor], "asarray": [_tensor],
    "scalar_tensor": [_tensor], "new_tensor": [_new_tensor], "nonzero": [_nonzero],
}  # fmt: skip


@lru_cache(maxsize=None)
def signatures(func: Callable[..., Any]) -> tuple[Signature, ...]:
    """All known ways to call ``func``; empty for a callable torch says nothing about."""
    name = name_of(func)
    op = op_of(func)
    if getattr(func, "__name__", "") == "__set__":
        return (_from_python(name, func, _data_set),)  # type: ignore[return-value]
    if isinstance(func, torch._ops.OpOverload):
        return (_from_schema_exact(op, func._schema),)
    if isinstance(func, torch._ops.OpOverloadPacket):
        return tuple(
            _from_schema_exact(op, getattr(func, overload)._schema) for overload in func.overloads()
        )
    if getattr(func, "__name__", "") == "__get__":
        return (_from_python(op, func, _data_get),)  # type: ignore[return-value]
    if name in _SPELLED and _is_builtin(func):
        made = [s for like in _SPELLED[name] if (s := _from_python(op, func, like))]
        writes = ("input",) if name == "__setitem__" else ()
        return tuple(Signature(s.op, s.parameters, writes, False, schema=True) for s in made)
    if name == "einsum":
        return (_from_python(op, func, _einsum),)  # type: ignore[return-value]
    found: list[Signature] = []
    if _is_builtin(func):
        dunder = name.startswith("__") and name.endswith("__")
        aten = name if not dunder else _OPERATORS.get(name.strip("_"), "")
        names = [name] if not dunder else [name, aten]
        if dunder and not aten and name[2:3] in "ir":
            names.append(_OPERATORS.get(name[3:-2], ""))
        for candidate in names:
            found += _from_schemas(name, op, _schemas(f"aten::{candidate}"))
            if found:
                break
        if dunder and found:
            found = [_writing(s, name) for s in found]
        if type(func).__name__ == "method_descriptor":
            found = [_self_first(s) for s in found]
    if _is_reversed(name):
        return tuple(_reversed_forms(op))
    if not found and (made := _from_python(op, func, func)) is not None:
        bare = all(p.kind in (_STAR, _STARS) for p in made.parameters)
        found = [] if bare and made.parameters else [made]
    if not found and func in _testing_overrides():
        made = _from_python(op, func, _testing_overrides()[func])
        found = [made] if made is not None else []
    if not found and (made := _from_python(op, func, func)) is not None:
        found = [made]
    in_place = name.endswith("_") and not name.endswith("__")
    if in_place:
        found = [s if s.writes else _written_first(s) for s in found]
    return tuple(found)


def _written_first(signature: Signature) -> Signature:
    return Signature(
        signature.op, signature.parameters, signature.names[:1], signature.random, signature.schema
    )


def _writing(signature: Signature, name: str) -> Signature:
    """An in-place operator (``__iadd__``) bound through the schema of the plain function."""
    if name.startswith("__i") and name.strip("_") not in _OPERATORS and not signature.writes:
        return _written_first(signature)
    return signature


def _self_first(signature: Signature) -> Signature:
    """A method takes ``self`` first, wherever the function has it (``polygamma(n, input)``)."""
    parameters = sorted(signature.parameters, key=lambda p: p.call_name != "input")
    return Signature(
        signature.op, parameters, signature.writes, signature.random, signature.schema
    )


def _reversed_forms(op: str) -> list[Signature]:
    """``x.__rsub__(1)``: the first argument is ``other``, the second ``input``."""
    other = Parameter("other", "self", _POSITIONAL, _EMPTY, None)
    input = Parameter("input", "other", _POSITIONAL, _EMPTY, None)
    return [Signature(op, [other, input], random=False)]


def _from_schema_exact(op: str, schema: Any) -> Signature:
    """As :func:`_from_schema`, for ``torch.ops`` callables, which take the schema's own names."""
    made = _from_schema(op, schema)
    exact = [
        p._replace(call_name=a.name) for p, a in zip(made.parameters, schema.arguments)
    ]
    return Signature(op, exact, made.writes, made.random, schema=True)


def is_torch(func: Callable[..., Any]) -> bool:
    """Whether a callable is torch's own, so that its marks and names are torch's."""
    if isinstance(func, type(int.__add__.__get__(1))):  # a property's getter or setter
        func = func.__self__
    module = getattr(func, "__module__", None)
    if module is None:
        module = getattr(getattr(func, "__objclass__", None), "__module__", None) or "torch"
    return module == "torch" or module.startswith("torch.")


def _is_builtin(func: Callable[..., Any]) -> bool:
    return type(func).__name__ in (
        "builtin_function_or_method", "method_descriptor", "wrapper_descriptor", "method-wrapper",
    )  # fmt: skip


def _schemas(name: str) -> list[Any]:
    return torch._C._jit_get_schemas_for_operator(name)


@lru_cache(maxsize=None)
def _testing_overrides() -> dict[Callable[..., Any], Callable[..., Any]]:
    return dict(torch.overrides.get_testing_overrides())


# --- binding ------------------------------------------------------------------------------------

_plans: dict[Any, tuple[Signature, list[Any]]] = {}
_UNKNOWN = Signature("", [Parameter("args", "args", _STAR, _EMPTY, None)])


def bind(func: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[Signature, dict[str, Any]]:
    """Name the arguments of a call.

    A callable nothing is known of, or a call no signature fits, gets the positional arguments as
    one tuple named ``args`` and its keywords as they are; it still replays.

    Returns:
        the Signature that fits, and argument name -> value with defaults filled in.
    """
    key = (func, tuple([_shape(a) for a in args]), tuple([(k, _shape(v)) for k, v in kwargs.items()]) if kwargs else ())
    known = _plans.get(key)
    if known is None:
        known = _find(func, args, kwargs)
        _plans[key] = known
    signature, plan = known
    return signature, signature.apply(plan, args, kwargs)


def _shape(value: Any) -> Any:
    """What about an argument can decide which signature fits."""
    cls = value.__class__
    if cls is tuple or cls is list:
        return (cls, *{v.__class__ for v in value}) if len(value) > 1 else (cls, *[v.__class__ for v in value])
    if isinstance(value, torch.Tensor):
        return value.ndim == 0
    return cls


def _find(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[Signature, list[Any]]:
    for strict in (True, False):
        for signature in signatures(func):
            plan = signature.plan(args, kwargs, strict)
            if plan is not None:
                return signature, plan
    unknown = Signature(op_of(func), _UNKNOWN.parameters)
    return unknown, [slice(0, len(args)), tuple(kwargs)]


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


def is_identifier(name: str) -> bool:
    """Whether an op name can be used as a Python name in a stub."""
    return bool(re.fullmatch(r"[A-Za-z_]\w*", name)) and not keyword.iskeyword(name)
