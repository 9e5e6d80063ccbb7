"""``generate`` answered by a Program: ``python3 dev.py sweep generate``.

Every causal model of transformers whose ``generate`` runs here, shrunken. Two short generations are
recorded; a third of another prompt length, 32 greedy tokens, is answered by the Program alone, with
the model's weights moved to the meta device. Writes ``docs/generate.md``.
"""

from __future__ import annotations

import time
import warnings
from collections import Counter
from typing import Any

import torch

import flexir

TOKENS = 32


def names() -> list[str]:
    """Every model type with a causal language model, then those with an encoder and a decoder."""
    transformers = _transformers()
    found = []
    for auto in ("AutoModelForCausalLM", "AutoModelForSeq2SeqLM"):
        mapping = getattr(transformers, auto)._model_mapping
        kinds = [n for n, cls in transformers.CONFIG_MAPPING.items() if cls in mapping]
        found += [f"{auto}/{name}" for name in sorted(kinds)]
    return found


def check(name: str) -> dict[str, Any]:
    """One model: whether its own driver, answered by a Program, gives its own tokens."""
    warnings.simplefilter("ignore")
    prompts = [torch.tensor([[5, 6, 7, 8, 9][:n] + [4] * (n - 5)]) for n in (5, 8, 7)]
    try:
        model = _build(name)
        with torch.no_grad():
            start = time.perf_counter()
            for prompt, count in zip(prompts, (6, 4)):
                _generate(model, prompt, count)
            eager = time.perf_counter() - start
            wanted = _generate(model, prompts[2], TOKENS)
    except Exception as error:  # noqa: BLE001  not in the denominator
        return {"verdict": "does not run", "note": f"{type(error).__name__}: {error}"[:200]}
    with torch.no_grad():
        start = time.perf_counter()
        with flexir.record(model) as program:
            for prompt, count in zip(prompts, (6, 4)):
                _generate(model, prompt, count)
        seconds = time.perf_counter() - start
        found = {"ratio": round(seconds / eager, 2), "entries": len(program)}
        try:
            with program.answering(model):
                made = _generate(model, prompts[2], TOKENS)
        except flexir.errors.Diverged as refused:
            return {**found, "verdict": "refused", "note": str(refused)[:300]}
        except Exception as error:  # noqa: BLE001  the verdict is the failure
            return {**found, "verdict": "error", "note": f"{type(error).__name__}: {error}"[:300]}
    same = made.shape == wanted.shape and torch.equal(made, wanted)
    return {**found, "verdict": "right" if same else "wrong"}


def _generate(model: Any, prompt: torch.Tensor, count: int) -> torch.Tensor:
    made: torch.Tensor = model.generate(
        prompt, max_new_tokens=count, min_new_tokens=count, do_sample=False
    )
    return made


def _build(name: str) -> Any:
    from zoo.transformers_models import shrink

    auto, _, kind = name.partition("/")
    transformers = _transformers()
    cls = transformers.CONFIG_MAPPING[kind]
    found = getattr(transformers, auto)._model_mapping[cls]
    model_cls = found[0] if isinstance(found, (tuple, list)) else found
    error: Exception | None = None
    torch.manual_seed(0)
    for keep in (frozenset[str](), frozenset({"head_dim", "hidden_dim", "dim"}), None):
        try:
            config = shrink(cls, keep)
            config._attn_implementation = "eager"
            model = model_cls(config).float().eval()
            with torch.no_grad():
                model.generate(torch.tensor([[5, 6, 7]]), max_new_tokens=2, do_sample=False)
            return model
        except Exception as failure:  # noqa: BLE001  the next set may do
            error = failure
    assert error is not None
    raise error


def _transformers() -> Any:
    from zoo.torchvision_ops import ensure

    ensure()
    import transformers

    return transformers


def table(results: dict[str, dict[str, Any]]) -> str:
    """The page."""
    lines = [
        "# Programs: `generate` answered", "",
        f"Written by `python3 dev.py sweep generate`, torch {torch.__version__}. Shrunken models "
        "of transformers; two short generations are recorded (`flexir.record`), then the model's "
        f"own `generate` of {TOKENS} greedy tokens from a prompt of another length is answered by "
        "the Program. *Right*: the same tokens. The denominator is what `generate` runs on.", "",
        "| models | tried | run | right | refused | wrong | error | recording over eager, median |",
        "|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    details = []
    for auto in dict.fromkeys(name.split("/")[0] for name in results):
        chosen = {n: r for n, r in results.items() if n.startswith(auto + "/")}
        run = {n: r for n, r in chosen.items() if r["verdict"] != "does not run"}
        count = Counter(r["verdict"] for r in run.values())
        other = len(run) - count["right"] - count["refused"] - count["wrong"]
        ratios = sorted(r["ratio"] for r in run.values() if "ratio" in r)
        ratio = ratios[len(ratios) // 2] if ratios else "-"
        share = 100 * count["right"] / max(len(run), 1)
        lines.append(f"| {auto} | {len(chosen)} | {len(run)} | {count['right']}, {share:.1f} % "
                     f"| {count['refused']} | {count['wrong']} | {other} | {ratio} |")  # fmt: skip
        for name, r in sorted(run.items()):
            if r["verdict"] != "right":
                note = " ".join((r.get("note") or "").split())[:300]
                details.append(f"- `{name}`: {r['verdict']}. {note}")
    details = details or ["Everything is right."]
    return "\n".join([*lines, "", "## Not right", "", *details]) + "\n"
