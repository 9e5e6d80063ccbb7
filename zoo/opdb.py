"""PyTorch's own operator database as cases to capture: every op, variant, dtype and sample."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

import flexir
from flexir.checks.differences import compare_outputs, compare_tensors
from flexir.graph import tree

DTYPES = (torch.float32, torch.int64, torch.bool, torch.bfloat16, torch.complex64, torch.float64)


@dataclass(frozen=True)
class Case:
    """One call of one variant on one sample."""

    name: str
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What became of a case.

    ``verdict`` is ``exact``, ``diverged`` (refused, not wrong), ``flagged``, ``unrepeatable``
    (eager differs from eager), ``wrong`` or ``crash``.
    """

    name: str
    verdict: str
    note: str = ""


def names() -> list[str]:
    """Names of all ops, with the variant name where there is one."""
    return [op.full_name for op in database()]


def database() -> list[Any]:
    """The op database (needs ``expecttest``)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.testing._internal.common_methods_invocations import op_db
    return list(op_db)


def cases(
    op: Any, dtypes: tuple[torch.dtype, ...] = DTYPES, limit: int | None = None
) -> Iterator[Case]:
    """All cases of one op on the CPU; of each dtype ``limit`` samples at most, evenly chosen."""
    variants = {
        "function": op.op,
        "method": op.method_variant,
        "inplace": op.inplace_variant,
        "operator": op.operator_variant,
        "inplace operator": op.inplace_operator_variant,
    }
    for dtype in dtypes:
        if not op.supports_dtype(dtype, "cpu"):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.manual_seed(0)
            samples = list(op.sample_inputs("cpu", dtype))
        step = -(-len(samples) // limit) if limit and samples else 1
        for number, sample in list(enumerate(samples))[::step]:
            for variant, function in variants.items():
                if function is None:
                    continue
                name = f"{op.full_name} {str(dtype)[6:]} #{number} {variant}"
                yield Case(name, function, (sample.input, *sample.args), dict(sample.kwargs))


def attempt(case: Case) -> Outcome | None:
    """Capture, replay and compare one case; None if it does not run in eager either."""
    with warnings.catch_warnings(), _no_garbage():
        warnings.simplefilter("ignore")
        copies = _copies(case)
        try:
            torch.manual_seed(1)
            expected = case.function(*copies[0], **copies[1])
        except Exception:  # noqa: BLE001  the sample is not for this variant
            return None
        expected_inputs = copies
        copies = _copies(case)
        try:
            torch.manual_seed(1)
            graph = flexir.capture(case.function, *copies)
            torch.manual_seed(2)
            inputs = _copies(case)
            final: dict[str, torch.Tensor] = {}
            made = flexir.replay(graph, *inputs, final=final)
        except flexir.Diverged as error:
            return Outcome(case.name, "diverged", str(error))
        except Exception as error:  # noqa: BLE001  the sweep reports it
            return Outcome(case.name, "crash", f"{type(error).__name__}: {error}")
        differences = [d for d in compare_outputs(expected, made) if not d.equal]
        differences += _compare_inputs(graph, case, expected_inputs, final)
        if differences:
            torch.manual_seed(1)
            copies = _copies(case)
            again = case.function(*copies[0], **copies[1])
            if any(not d.equal for d in compare_outputs(expected, again)):
                return Outcome(case.name, "unrepeatable", "eager differs from eager: memory that "
                               "torch leaves uninitialised")  # fmt: skip
            return Outcome(case.name, "wrong", "; ".join(map(str, differences)))
        if graph.audit.problems:
            return Outcome(case.name, "flagged", graph.audit.problems[0])
        return Outcome(case.name, "exact")


@contextlib.contextmanager
def _no_garbage() -> Iterator[None]:
    """Let torch fill new memory, so that ``empty`` can be compared."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def _compare_inputs(graph: flexir.Graph, case: Case, after: Any, final: Any) -> list[Any]:
    """Inputs the call wrote in eager must be the graph's mutations, no others."""
    before, changed = [], []
    tree.template(_copies(case), before.append, deep=True)
    tree.template(after, changed.append, deep=True)
    values = list(tree.leaves(graph.inputs, flexir.Value))
    found = []
    for value, a, b in zip(values, before, changed):
        if value.name in final:
            found.append(compare_tensors(f"written {value}", b, final[value.name]))
        else:
            found.append(compare_tensors(f"unwritten {value}", b, a))
    return [d for d in found if not d.equal]


def _copies(case: Case) -> tuple[tuple[Any, ...], dict[str, Any]]:
    def copy(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.detach().clone().requires_grad_(False)

    made = tree.template((case.args, case.kwargs), copy, deep=False)
    return tree.build(made, type(None), lambda leaf: leaf)  # type: ignore[no-any-return]
