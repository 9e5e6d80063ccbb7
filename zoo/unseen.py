"""One file at sizes nobody showed: ``python3 dev.py sweep targets onnx transformers --unseen``.

Each case is a model and what varies (``batch``, ``length``). It is converted at one size, which
says whether the target can do it at all; then once more with a second size as an example, and that
one output is run at a third, beside the model.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

WHAT = {"torchvision": ("batch",), "timm": ("batch",), "libraries": ("batch",),
        "transformers": ("batch", "length")}  # fmt: skip


def names(suite: str, models: list[str]) -> list[str]:
    """Every case of these models, as ``what/model``."""
    return [f"{what}/{model}" for model in models for what in WHAT[suite]]


def check(target: Any, suite: str, name: str) -> dict[str, Any]:
    """One case through one target; ``verdict`` is of the third size."""
    import torch

    from zoo import sizes, targets

    what = name.partition("/")[0]
    try:
        model, base, _ = sizes.make(f"{suite}/{name}")
        targets.give_values(model)
        with torch.no_grad():
            examples = [sizes.resized(base, what, step) for step in range(3)]
            if str(sizes._shapes(examples[0])) == str(sizes._shapes(examples[2])):
                return {"verdict": "does not run", "note": "nothing varies"}
            truths = [model(*sizes._copy(a), **sizes._copy(k)) for a, k in examples]
    except Exception as error:  # noqa: BLE001  not in the denominator
        return {"verdict": "does not run", "note": f"{type(error).__name__}: {error}"[:200]}
    alone = _one(target, model, examples[:1], examples[0], truths[0])
    if alone["verdict"] != "equal":
        return {**alone, "verdict": "does not run", "note": f"one size: {alone['verdict']}"}
    start = time.perf_counter()
    found = _one(target, model, examples[:2], examples[2], truths[2])
    return {**found, "seconds": round(time.perf_counter() - start, 3)}


def _one(target: Any, model: Any, shown: list[Any], asked: Any, truth: Any) -> dict[str, Any]:
    """Converted from some examples, run on one input."""
    import torch

    import flexir
    from zoo import sizes, targets

    (args, kwargs), *more = [sizes._copy(one) for one in shown]
    try:
        torch.manual_seed(0)
        result = target.convert(model, args, kwargs, also=[flexir.Inputs(*a, **k) for a, k in more])
        left = [one for one in result.report.omissions if one.kind in ("path", "size")]
        if rows := result.report.entries:
            reasons = {row.op: row.reason for row in rows}
            return {"verdict": "placeholders", "missing": reasons, "note": ""}
        made = target.run(result.output, *sizes._copy(asked[0]), **sizes._copy(asked[1]))
    except flexir.errors.Diverged as error:
        return {"verdict": "refused", "note": str(error)[:300]}
    except Exception as error:  # noqa: BLE001  the sweep reports it
        text = " ".join(f"{type(error).__name__}: {error}".split())
        return {"verdict": "engine", "note": text[:500]}
    far = targets.distance(truth, made)
    verdict = "equal" if far <= targets.TOLERANCE else "wrong"
    return {"verdict": verdict, "note": f"{far:.1e}" + "".join(f" {one}" for one in left)[:200]}


def row(engine: str, suite: str, found: dict[str, dict[str, Any]]) -> list[str]:
    """A line for each thing that varies."""
    lines = []
    for what in WHAT.get(suite, ()):
        ran = {n: r for n, r in found.items()
               if n.startswith(f"{what}/") and r["verdict"] != "does not run"}  # fmt: skip
        if ran:
            counts = Counter(r["verdict"] for r in ran.values())
            right = counts.pop("equal", 0)
            rest = ", ".join(f"{n} {verdict}" for verdict, n in counts.items()) or "none otherwise"
            lines += ["", f"{engine}, {suite}, unseen {what}: {right} of {len(ran)} right at the "
                      f"recorded size are right at one never shown, from one file "
                      f"({100 * right / len(ran):.1f} %); {rest}."]  # fmt: skip
    return lines
