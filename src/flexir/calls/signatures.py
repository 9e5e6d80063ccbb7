"""One way to call one callable: a Signature names the arguments and turns the names back.

The tables hold what torch itself does not say: other names for one argument, arguments that do
not change values, and writes its schemas fail to mark.
"""

from __future__ import annotations

import copy
import inspect
import itertools
from collections.abc import Callable, Iterable, Sequence, Set
from typing import Any, NamedTuple

import torch

from .kinds import EMPTY, Parameter, accepts, is_spread

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


# Where a parameter's argument stands in a call: an index into the positional arguments, a slice of
# them, a keyword, EMPTY for the default, or None for `**kwargs`, whose keywords are in
# `Binding.extra`.
Place = int | slice | str | type | None


class Binding(NamedTuple):
    """How the arguments of a call lie over the parameters of a signature.

    Attributes:
        places: per parameter, where its argument stands.
        extra: keywords that are no parameter of their own.
    """

    places: tuple[Place, ...]
    extra: tuple[str, ...]

    @property
    def n_positional(self) -> int:
        """How many leading parameters are given one positional argument each."""
        leading = itertools.takewhile(lambda place: place.__class__ is int, self.places)
        return sum(1 for _ in leading)


class Signature:
    """One way to call one callable.

    Attributes:
        op: canonical name.
        parameters: in the callable's own order.
        writes: names of arguments the schema marks as written.
        random: True or False where torch says whether it draws random numbers, else None.
        schema: whether it comes from a C++ schema, whose marks can be trusted.
        of_torch: whether the callable is torch's own, whose defaults every reader knows.
        n_positional: how many arguments are always given by position, those with defaults included.
    """

    __slots__ = (
        "defaults", "n_positional", "names", "of_torch", "op", "parameters", "random", "schema",
        "writes",
    )  # fmt: skip

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
        self.n_positional, self.of_torch = 0, False
        self.names = tuple(p.name for p in self.parameters)
        self.defaults = {p.name: p.default for p in parameters if p.default is not EMPTY}

    def __repr__(self) -> str:
        return f"{self.op}({', '.join(self.names)})"

    def as_called(self, n_positional: int) -> Signature:
        """This signature, for calls that give so many arguments by position.

        A ``__torch_function__`` override may tell ``f(x, w, b)`` from ``f(x, w, bias=b)``.
        """
        made = copy.copy(self)
        made.n_positional = n_positional
        return made

    def leaves_out(self, name: str, part: Any) -> bool:
        """Whether a printed call may leave an argument out: it has torch's own default.

        Defaults of the user's functions are printed: where a graph was loaded without the model's
        code, they are not known, and the same graph should print the same.
        """
        return self.of_torch and name in self.defaults and same_default(part, self.defaults[name])

    def unmarked_writes(self, named: dict[str, Any]) -> tuple[str, ...]:
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
            written = written.union(self.unmarked_writes(named))
        if named.get("inplace") is True and self.names[0] in named:
            written = written | {self.names[0]}
        if named.get("out") is not None:
            written = written | {"out"}
        return written

    def bind(self, args: Sequence[Any], kwargs: dict[str, Any], strict: bool) -> Binding | None:
        """How to lay a call's arguments over the parameters, or None if they do not fit."""
        places: list[Place] = []
        taken, used = 0, set()
        for parameter in self.parameters:
            keyword = _spelling(parameter, kwargs)
            if parameter.kind is STARS:
                places.append(None)
            elif keyword is not None and parameter.kind is not STAR:
                if not accepts(parameter, kwargs[keyword], strict):
                    return None
                used.add(keyword)
                places.append(keyword)
            else:
                place = _positional(parameter, args, taken, strict)
                if place is None:
                    return None
                places.append(place)
                if isinstance(place, slice):
                    taken = place.stop
                elif isinstance(place, int):
                    taken += 1
        if taken < len(args):
            return None
        unknown = kwargs.keys() - used
        if unknown and not self._takes_extra(unknown):
            return None
        return Binding(tuple(places), tuple(k for k in kwargs if k in unknown))

    def _takes_extra(self, unknown: Set[str]) -> bool:
        """Whether a call may have keywords that are no parameters."""
        if self.parameters and self.parameters[-1].kind is STARS:
            return True
        return self.schema and unknown <= _PYTHON_ONLY

    def unbind(self, named: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Arguments and keywords that call the callable with these named arguments."""
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        positional, given, bound = True, self.n_positional, 0
        for place, (name, call_name, kind, default, *_) in enumerate(self.parameters):
            if name not in named:
                if kind is not STARS:
                    positional = False
                continue
            value = named[name]
            bound += 1
            if kind is STAR:
                args.extend(value)
            elif positional and kind is POSITIONAL and (default is EMPTY or place < given):
                args.append(value)
            elif default is EMPTY or not _is_default(value, default):
                kwargs[call_name] = value
                positional = False
            else:
                positional = False
        if bound != len(named):
            kwargs.update((n, v) for n, v in named.items() if n not in self.names)
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


def _positional(
    parameter: Parameter, args: Sequence[Any], taken: int, strict: bool
) -> int | slice | type | None:
    """The place of a parameter that no keyword gives, after ``taken`` arguments; None: no fit."""
    if parameter.kind is STAR:
        return slice(taken, len(args))
    if parameter.kind is POSITIONAL and taken < len(args):
        if is_spread(parameter, args[taken:], strict):  # view(2, -1), permute(0, 2, 1)
            return slice(taken, len(args))
        return taken if accepts(parameter, args[taken], strict) else None
    if parameter.default is not EMPTY:
        return EMPTY
    if parameter.accepts == "List[int]" and parameter.call_name == "size":
        return slice(taken, taken)  # torch.zeros() of no dimensions
    return None


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
        return bool(part == default)
    return False


def forward_defaults(module: Any) -> dict[str, Any]:
    """Defaults of a module's ``forward``; none where Python cannot tell."""
    try:
        parameters = inspect.signature(module.forward).parameters.values()
    except (TypeError, ValueError):
        return {}
    return {p.name: p.default for p in parameters if p.default is not p.empty}


def _of_blocks(op: str, *names: str) -> Signature:
    return Signature(op, [Parameter(n, n, POSITIONAL, EMPTY, None) for n in names])


# Of the calls with blocks; see :mod:`flexir.graph.choice`.
IF = _of_blocks("if", "condition", "inputs")
LOOP = _of_blocks("loop", "count", "carried", "inputs")
