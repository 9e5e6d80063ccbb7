"""One way to call one callable: a Signature names the arguments and turns the names back.

The tables hold what torch itself does not say: other names for one argument, arguments that do
not change values, and writes its schemas fail to mark.

"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import torch

EMPTY = inspect.Parameter.empty
POSITIONAL = inspect.Parameter.POSITIONAL_OR_KEYWORD
KEYWORD = inspect.Parameter.KEYWORD_ONLY
STAR = inspect.Parameter.VAR_POSITIONAL
STARS = inspect.Parameter.VAR_KEYWORD

# One argument has one name in all spellings of an op: the documented one of the plain function.
# Per op, the others; `self` is `input`. A test compares all spellings of all ops.
_PARTS = dict.fromkeys(("sections", "indices", "tensor_indices_or_sections"), "indices_or_sections")
_RENAMED: dict[str, dict[str, str]] = {
    **dict.fromkeys(
        ("dropout", "alpha_dropout", "feature_dropout", "feature_alpha_dropout"),
        {"train": "training"},
    ),
    "split": dict.fromkeys(("split_size", "split_sizes"), "split_size_or_sections"),
    **dict.fromkeys(("tensor_split", "hsplit", "vsplit", "dsplit"), _PARTS),
    **dict.fromkeys(("embedding", "embedding_bag"), {"indices": "input"}),
    "transpose": {"axis0": "dim0", "axis1": "dim1"}, "pow": {"other": "exponent"},
    "getitem": {"key": "indices"}, "setitem": {"key": "indices"},
    **dict.fromkeys(("linalg_inv", "linalg_det", "linalg_slogdet", "lu"), {"A": "input"}),
    "linalg_multi_dot": {"tensors": "matrices"}, "linalg_pinv": {"rcond": "rtol"},
    "linalg_matrix_rank": {"tol": "atol"}, "linalg_householder_product": {"input2": "tau"},
    **dict.fromkeys(("lstm", "gru", "rnn_tanh", "rnn_relu"), {"data": "input"}),
    "isin": {"element": "elements", "test_element": "test_elements"},
    "tensordot": {"self": "a", "other": "b"}, "einsum": {"tensors": "operands"},
    "resize": {"sizes": "size"}, "resize_as": {"the_template": "tensor"},
    "scalar_tensor": {"s": "data"}, "dequantize": {"tensors": "input"},
    "quantize_per_tensor": {
        "tensors": "input", "scales": "scale", "zero_points": "zero_point"},
    "fractional_max_pool2d": {"random_samples": "_random_samples"},
    "fractional_max_pool3d": {"random_samples": "_random_samples"},
}  # fmt: skip


def documented(op: str, name: str) -> str:
    """The one name of an argument of ``op`` that a spelling of it calls ``name``."""
    renamed = _RENAMED.get(op)
    plain = "input" if name == "self" else name
    return plain if renamed is None else renamed.get(name, plain)


# NumPy's spellings, which torch's argument parser takes as well.
_NUMPY = {
    "axis": "dim",
    "keepdims": "keepdim",
    "x": "input",
    "a": "input",
    "x1": "input",
    "x2": "other",
}

# Arguments that choose an implementation, a memory layout or a place for the result, never the
# values of it. They stay in the node for an exact replay; a handler gets them only by naming them.
HINTS = frozenset({
    "inplace", "out", "cudnn_enable", "cudnn_enabled", "benchmark", "deterministic", "allow_tf32",
    "non_blocking", "pin_memory", "generator", "memory_format", "requires_grad", "layout",
    "device", "use_mm_for_euclid_dist", "fused", "copy",
})  # fmt: skip


def is_hint(name: str) -> bool:
    """Whether a handler may leave an argument out whatever its value: it changes no element."""
    return name in HINTS or name.startswith("_")


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
    length: int | None = None


class Signature:
    """One way to call one callable.

    Attributes:
        op: canonical name.
        parameters: in the callable's own order.
        writes: names of arguments the schema marks as written.
        random: True or False where torch says whether it draws random numbers, else None.
        schema: whether it comes from a C++ schema, whose marks can be trusted.
        given: how many arguments are always given by position, those with defaults included.
    """

    __slots__ = ("defaults", "given", "names", "op", "parameters", "random", "schema", "writes")

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
        self.given = 0
        self.names = tuple(p.name for p in self.parameters)
        self.defaults = {p.name: p.default for p in parameters if p.default is not EMPTY}

    def __repr__(self) -> str:
        return f"{self.op}({', '.join(self.names)})"

    def as_called(self, given: int) -> Signature:
        """This signature, for calls that give so many arguments by position.

        Whoever overrides a torch function may tell ``f(x, w, b)`` from ``f(x, w, bias=b)``.
        """
        made = copy.copy(self)
        made.given = given
        return made

    def uncounted(self, named: dict[str, Any]) -> tuple[str, ...]:
        """Names of arguments this call writes without a mark and without counting it."""
        extra = _UNMARKED_WRITES.get(self.op)
        return () if extra is None else tuple(n for n in extra(named) if named.get(n) is not None)

    def may_write(self, named: dict[str, Any]) -> bool:
        """Whether any call that gives these arguments may write one, whatever their values."""
        asks = "inplace" in named or "out" in named
        return bool(self.writes) or asks or self.op in _UNMARKED_WRITES

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
            per parameter: an index into ``args``, a keyword, a slice of ``args``, or EMPTY for
            the default.
        """
        plan: list[Any] = []
        taken, used = 0, set()
        for parameter in self.parameters:
            keyword = _spelling(parameter, kwargs)
            if parameter.kind is STAR:
                plan.append(slice(taken, len(args)))
                taken = len(args)
                continue
            if parameter.kind is STARS:
                plan.append(None)  # its keywords are the last entry of the plan
                continue
            if keyword is not None:
                if not _accepts(parameter, kwargs[keyword], strict):
                    return None
                used.add(keyword)
                plan.append(keyword)
            elif parameter.kind is POSITIONAL and taken < len(args):
                rest = args[taken:]
                if _is_spread(parameter, rest, strict):  # view(2, -1), permute(0, 2, 1)
                    plan.append(slice(taken, len(args)))
                    taken = len(args)
                elif _accepts(parameter, args[taken], strict):
                    plan.append(taken)
                    taken += 1
                else:
                    return None
            elif parameter.default is not EMPTY:
                plan.append(EMPTY)
            elif parameter.accepts == "List[int]" and parameter.call_name == "size":
                plan.append(slice(taken, taken))  # torch.zeros() of no dimensions
            else:
                return None
        if taken < len(args):
            return None
        unknown = kwargs.keys() - used
        if unknown and not (
            self.parameters
            and self.parameters[-1].kind is STARS
            or (self.schema and unknown <= _PYTHON_ONLY)
        ):
            return None
        plan.append(tuple(k for k in kwargs if k in unknown))
        return plan

    def unbind(self, named: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Arguments and keywords that call the callable with these named arguments."""
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        positional = True
        for place, p in enumerate(self.parameters):
            if p.name not in named:
                if p.kind is not STARS:
                    positional = False
                continue
            value = named[p.name]
            if p.kind is STAR:
                args.extend(value)
            elif p.kind is POSITIONAL and positional and (p.default is EMPTY or place < self.given):
                args.append(value)
            elif p.default is EMPTY or not _is_default(value, p.default):
                kwargs[p.call_name] = value
                positional = False
            else:
                positional = False
        for name, value in named.items():
            if name not in self.names:
                kwargs[name] = value
        return args, kwargs


_PYTHON_ONLY = frozenset({"out", "requires_grad"})  # what the parsers add to a schema


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
        and parameter.length is None
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
    if kind == "Tensor":  # ATen ops are given a number where C++ wraps it
        return tensor or (not strict and isinstance(value, (int, float, complex)))
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
        return (
            _is_int(value) and not (strict and tensor) or (not strict and isinstance(value, bool))
        )
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
        return parameter.length is not None and (
            _is_int(value) or (not strict and _is_number(value))
        )
    return True


def same_default(part: Any, default: Any) -> bool:
    """Whether an argument means its default; ``1``, ``(1, 1)`` and ``[1, 1]`` mean the same."""
    if is_default(part, default):
        return True
    if isinstance(default, (list, tuple)) and default:
        if isinstance(part, (list, tuple)):
            return len(part) == len(default) and all(map(is_default, part, default))
        return all(is_default(part, d) for d in default)
    if isinstance(part, (list, tuple)) and part and not isinstance(default, (list, tuple)):
        return all(is_default(p, default) for p in part)
    if isinstance(default, (list, tuple)) and part is None:
        return not default
    if type(part) in (int, float) and type(default) in (int, float):
        return part == default
    return False
