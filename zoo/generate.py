"""``generate`` answered by a Program: ``python3 dev.py sweep generate [--every N]``.

Every model of transformers whose ``generate`` runs here, shrunken: causal ones, those with an
encoder and a decoder (text and speech), and those with a recurrent state. Two short generations are
recorded; a third of another prompt, 32 greedy tokens, is answered by the Program alone, while the
model's weights are NaN. Writes ``docs/generate.md``.
"""

from __future__ import annotations

import copy
import itertools
import time
import warnings
from collections import Counter
from typing import Any

import torch

import flexir
from flexir import passes

TOKENS = 32
LENGTH = 48  # of a fixed cache
SHOWN = ((5, 6), (8, 4))  # prompt length and tokens of the generations that are recorded
ASKED = 7  # prompt length of the one that is answered
_AUTOS = ("AutoModelForCausalLM", "AutoModelForSeq2SeqLM", "AutoModelForSpeechSeq2Seq")
_LARGE = 60_000_000  # parameters; what does not shrink below is left out
# Sizes that fit together where the usual small ones do not: heads of mamba, layers of every kind.
_OTHERS: tuple[dict[str, Any], ...] = (
    {},
    {"num_key_value_heads": 4, "rotary_dim": 4, "mamba_n_heads": 4, "mamba_d_head": 16,
     "num_heads": 8, "num_hidden_layers": 8},
    {"mamba_n_heads": 4, "num_hidden_layers": None, "qk_dim_factor": 1.0},
)  # fmt: skip
_FAMILIES = ("causal", "encoder-decoder", "recurrent")


def names() -> list[str]:
    """Every model type with a causal language model, then those with an encoder and a decoder."""
    transformers = library()
    found = []
    for auto in _AUTOS:
        mapping = getattr(transformers, auto)._model_mapping
        kinds = [n for n, cls in transformers.CONFIG_MAPPING.items() if cls in mapping]
        found += [f"{auto}/{name}" for name in sorted(kinds)]
    return found


def check(name: str) -> dict[str, Any]:
    """One model: whether its own driver, answered by a Program, gives its own tokens."""
    warnings.simplefilter("ignore")
    try:
        model = _build(name)
        shown = [(prompt_of(model, length), count) for length, count in SHOWN]
        asked = prompt_of(model, ASKED, other=True)
        again = prompt_of(model, SHOWN[0][0], other=True)
        with torch.no_grad():
            start = time.perf_counter()
            for prompt, count in shown:
                tokens(model, prompt, count)
            eager = time.perf_counter() - start
            wanted = tokens(model, asked, TOKENS)
            wanted_again = tokens(model, again, TOKENS)
    except Exception as error:  # noqa: BLE001  not in the denominator
        return {"verdict": "does not run", "note": f"{type(error).__name__}: {error}"[:200]}
    found: dict[str, Any] = {"family": family(model)}
    with torch.no_grad():
        start = time.perf_counter()
        with flexir.record(model) as program:
            for prompt, count in shown:
                tokens(model, prompt, count)
        seconds = time.perf_counter() - start
        found |= {"ratio": round(seconds / eager, 2), "entries": len(program)}
        empty = _emptied(model)
        verdict, note = _answered(program, empty, asked, wanted)
        found |= {"verdict": verdict, "note": note}
        # the same for tokens that nobody showed at a length that somebody did
        found["at a length shown"] = _answered(program, empty, again, wanted_again)[0]
        if found["family"] != "encoder-decoder":
            found["fixed cache"], found["fixed note"] = fixed(program, empty, asked, wanted)
    return found


def fixed(program: Any, model: Any, prompt: dict[str, Any], wanted: Any) -> tuple[str, str]:
    """The same by graphs whose caches have a fixed length, as static engines need them."""
    try:
        made = passes.fixed_cache(program, LENGTH)
    except flexir.Error as refused:
        return "refused", str(refused)[:600]
    if made is program:
        return "does not grow", ""
    if any(_varies(value) for node in list(made.values())[-1] for value in node.outputs):
        return "varies", ""
    return _answered(program, model, prompt, wanted, run=passes.Grown(program, made))


def _varies(value: Any) -> bool:
    return value.is_number or value.type.is_live


def family(model: Any) -> str:
    """Which of the three kinds a model is."""
    if getattr(model, "_is_stateful", False):
        return "recurrent"
    return "encoder-decoder" if model.config.is_encoder_decoder else "causal"


def _answered(
    program: Any, model: Any, prompt: dict[str, Any], wanted: Any, run: Any = None
) -> tuple[str, str]:
    """The verdict on one generation, and why."""
    try:
        with program.answering(model, run=run):
            made = tokens(model, prompt, TOKENS)
    except flexir.Diverged as refused:
        return "refused", str(refused)[:1500]
    except Exception as error:  # noqa: BLE001  the verdict is the failure
        return "error", f"{type(error).__name__}: {error}"[:600]
    same = made.shape == wanted.shape and torch.equal(made, wanted)
    return (
        ("right", "") if same else ("wrong", f"{made.tolist()} instead of {wanted.tolist()}"[:600])
    )


def _emptied(model: Any) -> Any:
    """The model without its weights: whoever reads one gets NaN, or zero."""
    made = copy.deepcopy(model)
    for tensor in made.parameters():
        tensor.data.fill_(float("nan") if tensor.is_floating_point() else 0)
    return made


def tokens(model: Any, prompt: dict[str, Any], count: int) -> torch.Tensor:
    made = model.generate(
        **prompt, max_new_tokens=count, min_new_tokens=count, do_sample=False, num_beams=1
    )
    made = getattr(made, "sequences", made)
    if not isinstance(made, torch.Tensor):
        raise TypeError(f"generate gave a {type(made).__name__}")
    return made


def prompt_of(model: Any, length: int, other: bool = False) -> dict[str, Any]:
    """Inputs of a length, by what the model is first given."""
    name = model.main_input_name
    if name in ("input_ids", "inputs"):
        ids = [5, 6, 7, 8, 9][:length] + [4] * (length - 5)
        return {"input_ids": torch.tensor([[(i + 1 + 3 * other) % 13 + 2 * other for i in ids]])}
    generator = torch.Generator().manual_seed(length + other)
    if name == "input_values":
        return {name: torch.rand(1, 400 * length + 800, generator=generator)}
    if name == "input_features":
        config = getattr(model.config, "audio_config", None) or model.config
        config = getattr(config, "encoder_config", None) or config
        bins = getattr(config, "num_mel_bins", None) or getattr(config, "feature_size", None) or 80
        positions = getattr(config, "max_source_positions", None)
        whole = type(model).__name__.startswith("Whisper")  # takes only one length
        frames = 2 * positions if whole else 8 * length
        shape = (1, bins, frames) if whole else (1, frames, bins)
        return {name: torch.rand(shape, generator=generator)}
    raise ValueError(f"no prompt for {name!r}")


def _build(name: str) -> Any:
    from zoo.transformers_models import shrink

    auto, _, kind = name.partition("/")
    transformers = library()
    cls = transformers.CONFIG_MAPPING[kind]
    found = getattr(transformers, auto)._model_mapping[cls]
    model_cls = found[0] if isinstance(found, (tuple, list)) else found
    error: Exception | None = None
    keeps: tuple[frozenset[str] | None, ...] = (
        frozenset(), frozenset({"head_dim", "hidden_dim", "dim"}), None,
    )  # fmt: skip
    for others, keep in itertools.product(_OTHERS, keeps):
        try:
            config = shrink(cls, keep, others)
            config._attn_implementation = "eager"
            with torch.device("meta"):
                size = sum(p.numel() for p in model_cls(copy.deepcopy(config)).parameters())
            if size > _LARGE:
                raise ValueError(f"does not shrink: {size} parameters")
            torch.manual_seed(0)
            model = model_cls(config).float().eval()
            settle(model)
            with torch.no_grad():
                tokens(model, prompt_of(model, 6), 2)
            return model
        except Exception as failure:  # noqa: BLE001  the next set may do
            error = error or failure
    assert error is not None
    raise error


def settle(model: Any) -> None:
    """The words a generation begins and ends with, which shrunken configurations may lack."""
    settings = model.generation_config
    settings.eos_token_id = None
    for name, token in (("pad", 0), ("bos", 1), ("decoder_start", 2)):
        if getattr(settings, f"{name}_token_id", None) is None:
            setattr(settings, f"{name}_token_id", token)


def library() -> Any:
    from zoo.torchvision_ops import ensure

    ensure()
    import transformers

    transformers.logging.set_verbosity_error()
    return transformers


def table(results: dict[str, dict[str, Any]]) -> str:
    """The page."""
    lines = [
        "# Programs: `generate` answered", "",
        f"Written by `python3 dev.py sweep generate`, torch {torch.__version__}. Shrunken models "
        f"of transformers; two short generations are recorded (`flexir.record`; prompts of "
        f"{SHOWN[0][0]} and {SHOWN[1][0]}), then the model's own `generate` of {TOKENS} greedy "
        f"tokens from a prompt of another length ({ASKED}) is answered by the Program, the model's "
        "weights being NaN. *Right*: the same tokens. *Shown length*: right for other tokens at a "
        "length that was recorded. *Fixed cache*: right by "
        f"`passes.fixed_cache(program, {LENGTH})`, with no size that varies in the decoding graph, "
        "of those whose cache grows. *Ratio*: time of recording over eager time of the same "
        "calls, median and largest; these models are so small that looking at the library's code "
        "takes most of it (`dev.py bench programs` has one of the usual size). "
        "Recurrent: models that transformers calls stateful. The denominator is what `generate` "
        "runs on.", "",
        "| family | run | right | refused | wrong | error | shown length | fixed cache | ratio "
        "| largest |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    run = {n: r for n, r in results.items() if r["verdict"] != "does not run"}
    for kind in _FAMILIES:
        chosen = [r for r in run.values() if r.get("family") == kind]
        if not chosen:
            continue
        count = Counter(r["verdict"] for r in chosen)
        other = len(chosen) - count["right"] - count["refused"] - count["wrong"]
        ratios = sorted(r["ratio"] for r in chosen if "ratio" in r)
        middle = ratios[len(ratios) // 2] if ratios else "-"
        shown = sum(r.get("at a length shown") == "right" for r in chosen)
        cells = (kind, len(chosen), _share(count["right"], len(chosen)), count["refused"],
                 count["wrong"], other, _share(shown, len(chosen)), _fixed(chosen), middle,
                 max(ratios, default="-"))  # fmt: skip
        lines.append(f"| {' | '.join(map(str, cells))} |")
    details = [_detail(name, r) for name, r in sorted(run.items()) if r["verdict"] != "right"]
    details = details or ["Everything is right."]
    left = Counter((r.get("note") or "").split(":")[0] for r in results.values()
                   if r["verdict"] == "does not run")  # fmt: skip
    out = ", ".join(f"{n} {why}" for why, n in left.most_common())
    lines += ["", f"Of {len(results)} tried, {sum(left.values())} do not run: {out}."]
    lines += ["", "## Not right", "", *details]
    odd = [(n, r) for n, r in sorted(run.items())
           if r.get("fixed cache", "right") not in ("right", "does not grow")]  # fmt: skip
    if odd:
        lines += ["", "## Not right with a fixed cache", ""]
        lines += [f"- `{n}`: {r['fixed cache']}. {_short(r['fixed note'])}" for n, r in odd]
    return "\n".join(lines) + "\n"


def _detail(name: str, result: dict[str, Any]) -> str:
    note = _short(result.get("note"))
    return f"- `{name}` ({result.get('family')}): {result['verdict']}. {note}"


def _short(note: str | None) -> str:
    return " ".join((note or "").split())[:400]


def _fixed(chosen: list[dict[str, Any]]) -> str:
    """Right, and wrong ones if there are, of those whose cache grows."""
    count = Counter(r["fixed cache"] for r in chosen if "fixed cache" in r)
    run = count.total() - count["does not grow"]
    return f"{_share(count['right'], run)} of {run}, {count['wrong']} wrong" if run else "-"


def _share(count: int, of: int) -> str:
    return f"{count}, {100 * count / max(of, 1):.1f} %"
