"""Two sizes shown, a third never: right, refused or wrong? ``python3 dev.py sweep sizes``.

Each case is one model and what varies (``batch``, ``image``, ``length``). The graph of two examples
runs on a third of another size beside the model itself, and so does, for every ``PEER``-th case,
what ``torch.export`` makes of the same inputs with ``Dim.AUTO``. Writes ``docs/sizes.md``.
"""

from __future__ import annotations

import copy
import inspect
import statistics
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.utils._pytree import tree_map

import flexir
from flexir.graph.choice import every

PEER = 6  # torch.export would take most of a sweep; the case is told by its name's checksum
SUITES = {
    "torchvision": ("batch", "image"),
    "timm": ("batch",),
    "transformers": ("batch", "length"),
    "libraries": ("batch",),
}


def names() -> list[str]:
    """Every case as ``suite/what/model``."""
    from zoo import libraries, timm_models, torchvision_models, transformers_models

    found = {
        "torchvision": [e.name for e in torchvision_models.entries()],
        "timm": [e.name for e in timm_models.entries()],
        "transformers": [e.name for e in transformers_models.entries()],
        "libraries": [case.name for case in libraries.cases()],
    }
    return [f"{s}/{what}/{n}" for s, whats in SUITES.items() for what in whats for n in found[s]]


def make(name: str) -> tuple[Any, Any, str]:
    """The model of a case, its inputs, and what varies."""
    from zoo import libraries, timm_models, torchvision_models, transformers_models

    suite, what, model = name.split("/", 2)
    if suite == "libraries":
        made, args, kwargs = libraries.case(model).make()
        return made, (args, kwargs), what
    zoo: Any = {"torchvision": torchvision_models, "timm": timm_models,
                "transformers": transformers_models}[suite]  # fmt: skip
    made, args, kwargs = zoo.entry(model).make()
    return made, (args, kwargs), what


def resized(inputs: Any, what: str, step: int) -> Any:
    """The inputs at another size; 0 and 1 are shown, 2 never, 3 and 4 if those do not do."""
    leaves: list[torch.Tensor] = []
    tree_map(lambda t: leaves.append(t) if isinstance(t, torch.Tensor) and t.ndim else t, inputs)
    if not leaves:
        raise ValueError("no tensors among the inputs")
    generator = torch.Generator().manual_seed(step)
    change: Callable[[torch.Tensor], torch.Tensor]
    if what == "batch":
        change = _batches(leaves[0].shape[0], (2, 3, 5, 4, 6)[step], generator)
    elif what == "image":
        change = _images(step)
    else:
        first = next((t for t in leaves if t.ndim == 2 and not t.is_floating_point()), leaves[0])
        if first.ndim < 2:
            raise ValueError("no sequence among the inputs")
        change = _lengths(first.shape[1], first.shape[1] * (1, 2, 3, 4, 5)[step])
    return tree_map(lambda t: change(t) if isinstance(t, torch.Tensor) and t.ndim else t, inputs)


def _batches(old: int, new: int, generator: torch.Generator) -> Any:
    def change(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.shape[0] != old:
            return tensor
        rows = tensor[torch.arange(new) % old].clone()
        if rows.is_floating_point():
            rows *= 1 + 0.1 * torch.rand(rows.shape, generator=generator).to(rows.dtype)
        return rows

    return change


def _images(step: int) -> Any:
    def change(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.ndim < 3 or not tensor.is_floating_point():
            return tensor
        height, width = tensor.shape[-2] + 32 * step, tensor.shape[-1] + (0, 64, 32, 0, 16)[step]
        rows = torch.arange(height) % tensor.shape[-2]
        return tensor[..., rows, :][..., torch.arange(width) % tensor.shape[-1]].contiguous()

    return change


def _lengths(old: int, new: int) -> Any:
    def change(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.ndim < 2 or tensor.shape[1] != old:
            return tensor
        return tensor[:, torch.arange(new) % old].contiguous()

    return change


def check(name: str) -> dict[str, Any]:
    """One case: what the graph of two examples does at a third size, and what torch.export does."""
    try:
        model, base, what = make(name)
        with torch.no_grad():
            examples = [resized(base, what, step) for step in range(5)]
            if str(_shapes(examples[0])) == str(_shapes(examples[2])):
                return {"verdict": "does not run", "note": "nothing varies"}
            fresh = _twin(model)  # what a model keeps from one call to the next is not ours to show
            truths = [fresh(*_copy(a), **_copy(k)) for a, k in examples[:3]]
    except Exception as error:  # noqa: BLE001  not in the denominator
        return {"verdict": "does not run", "note": f"{type(error).__name__}: {error}"[:200]}
    with torch.no_grad():
        result = _ours(model, examples[:3], truths[2])
        if result["verdict"] == "refused":
            result["with more"] = _with_more(model, examples, truths[2])
        if zlib.crc32(name.encode()) % PEER == 0:
            result |= _theirs(model, examples[:3], truths[2])
    return result


def _ours(model: Any, examples: list[Any], truth: Any) -> dict[str, Any]:
    (args, kwargs), *others, third = examples
    start = time.perf_counter()
    also = [flexir.Inputs(*_copy(a), **_copy(k)) for a, k in others]
    graph = flexir.capture(model, _copy(args), _copy(kwargs), also=also)
    seconds = time.perf_counter() - start
    found = {"seconds": round(seconds, 3), "live": len(graph.live), "variants": len(graph.variants),
             "frozen": [str(one)[:300] for one in graph.frozen]}  # fmt: skip
    try:
        made = graph(*_copy(third[0]), **_copy(third[1]))
    except flexir.errors.Diverged as refused:
        return {**found, "verdict": "refused", "note": str(refused)[:300]}
    except Exception as error:  # noqa: BLE001  the verdict is the failure
        return {**found, "verdict": "error", "note": f"{type(error).__name__}: {error}"[:300]}
    verdict = _verdict(made, truth)
    if verdict["verdict"] == "wrong" and any(node.effects.random for node in every(graph.nodes)):
        check = flexir.verify(
            graph, model, *third, perturb=False
        )  # from one state of the generator
        verdict = {"verdict": "right" if check else "wrong", "difference": check.max_abs}
    return {**found, **verdict}


def _twin(model: Any) -> Any:
    """A copy of a model, so that what it keeps of other sizes does not reach the capture."""
    try:
        return copy.deepcopy(model)
    except Exception:  # noqa: BLE001  some cannot be copied
        return model


def _with_more(model: Any, examples: list[Any], truth: Any) -> str:
    """The verdicts after three and four examples: a path or size that two did not show."""
    first, second, third, *more = examples
    found: list[str] = []
    for many, (args, kwargs) in enumerate(more, 1):
        try:
            model(*_copy(args), **_copy(kwargs))
        except Exception:  # noqa: BLE001  the model itself does not take it
            return ", ".join([*found, "does not run"])
        found.append(_ours(model, [first, second, *more[:many], third], truth)["verdict"])
        if found[-1] == "right":
            break
    return ", ".join(found)


def _theirs(model: Any, examples: list[Any], truth: Any) -> dict[str, Any]:
    (args, kwargs), second, third = examples
    start = time.perf_counter()
    try:
        shapes = _dynamic(model, (args, kwargs), second)
        program = torch.export.export(model, _copy(args), _copy(kwargs), dynamic_shapes=shapes)
        seconds = time.perf_counter() - start
        made = program.module()(*_copy(third[0]), **_copy(third[1]))
    except Exception as error:  # noqa: BLE001  the verdict is the failure
        text = f"{type(error).__name__}: {error}"[:200]
        return {"export": "error", "export_note": text,
                "export_seconds": round(time.perf_counter() - start, 3)}  # fmt: skip
    return {"export": _verdict(made, truth)["verdict"], "export_seconds": round(seconds, 3)}


def _dynamic(model: Any, first: Any, second: Any) -> Any:
    """``Dim.AUTO`` for every size in which the two examples differ."""

    def spec(one: Any, other: Any) -> Any:
        if isinstance(one, torch.Tensor):
            differ = [d for d in range(one.ndim) if one.shape[d] != other.shape[d]]
            return dict.fromkeys(differ, torch.export.Dim.AUTO) or None
        if isinstance(one, dict):
            return {key: spec(part, other[key]) for key, part in one.items()}
        if isinstance(one, (list, tuple)):
            return type(one)(spec(a, b) for a, b in zip(one, other))
        return None

    names = inspect.signature(model.forward)
    bound = [dict(names.bind(*a, **k).arguments) for a, k in (first, second)]
    return spec(*bound)


def _shapes(part: Any) -> Any:
    return tree_map(lambda t: tuple(t.shape) if isinstance(t, torch.Tensor) else t, part)


def _copy(part: Any) -> Any:
    return tree_map(lambda t: t.clone() if isinstance(t, torch.Tensor) else t, part)


def _verdict(made: Any, truth: Any) -> dict[str, Any]:
    worst = difference(made, truth)
    if worst is None:
        return {"verdict": "wrong", "note": f"{len(list(_tensors(made)))} outputs or their shapes"}
    return {"verdict": "right" if worst <= 1e-5 else "wrong", "difference": worst}


def difference(made: Any, truth: Any) -> float | None:
    """The largest difference of any output over its scale; None if there are others."""
    one, other = list(_tensors(made)), list(_tensors(truth))
    if [t.shape for t in one] != [t.shape for t in other]:
        return None
    worst = 0.0
    for a, b in zip(one, other):
        a, b = torch.nan_to_num(a.double()), torch.nan_to_num(b.double())
        scale = max(float(b.abs().max()) if b.numel() else 0.0, 1e-6)
        worst = max(worst, float((a - b).abs().max()) / scale if a.numel() else 0.0)
    return worst


def _tensors(part: Any) -> Iterator[torch.Tensor]:
    if isinstance(part, torch.Tensor):
        yield part if not part.is_complex() else torch.view_as_real(part)
    elif isinstance(part, dict):
        for inner in part.values():
            yield from _tensors(inner)
    elif isinstance(part, (list, tuple)):
        for inner in part:
            yield from _tensors(inner)
    elif hasattr(part, "__dict__"):
        yield from _tensors(vars(part))


def table(results: dict[str, dict[str, Any]]) -> str:
    """The page: a row a suite and what varies, and everything that is not right, one by one."""
    lines = [
        "# Sizes by example", "",
        f"Written by `python3 dev.py sweep sizes`, torch {torch.__version__}. Two sizes are shown "
        "to `capture(also=...)`, a third never is; the denominator is what runs in eager at all "
        "three. *Right*: within 1e-5 of the output's scale (bit-equal: in brackets). *Refused*: "
        "`Diverged`, by name. Beside it, for every "
        f"{PEER}th case that runs, `torch.export` with `Dim.AUTO` for the same sizes, same "
        "inputs.", "",
        "| suite | varies | run | right (bit-equal) | refused | right with one or two more "
        "examples | wrong | error | torch.export right "
        "| ours of the same | its seconds over ours, median |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    details = []
    for suite, whats in SUITES.items():
        for what in whats:
            chosen = {n: r for n, r in results.items() if n.startswith(f"{suite}/{what}/")}
            run = {n: r for n, r in chosen.items() if not r["verdict"].startswith("does not")}
            if not run:
                continue
            count = Counter(r["verdict"] for r in run.values())
            peer = [r for r in run.values() if "export" in r]
            export, same = (Counter(r[key] for r in peer) for key in ("export", "verdict"))
            exact = sum(r.get("difference") == 0.0 for r in run.values())
            ratios = [r["export_seconds"] / r["seconds"] for r in run.values()
                      if r.get("export") == "right" and r.get("seconds")]  # fmt: skip
            other = len(run) - count["right"] - count["refused"] - count["wrong"]
            ratio = f"{statistics.median(ratios):.1f}" if ratios else "-"
            more = sum(r.get("with more", "").endswith("right") for r in run.values())
            ours = 100 * count["right"] / len(run)
            lines.append(
                f"| {suite} | {what} | {len(run)} | {count['right']} ({exact}), {ours:.1f} % "
                f"| {count['refused']} | {more} | {count['wrong']} | {other} "
                f"| {export['right']} of {len(peer)} | {same['right']} | {ratio} |"
            )
            for n, r in sorted(run.items()):
                if r["verdict"] != "right":
                    why = "; ".join([*r.get("frozen", []), r.get("note") or ""])
                    details.append(f"- `{n}`: {r['verdict']}. {' '.join(why.split())[:300]}")
    return (
        "\n".join([*lines, "", "## Not right", "", *(details or ["Everything is right."])]) + "\n"
    )
