"""transformers' architectures from shrunken configurations, with inputs guessed from ``forward``.

Every configuration of the library's mapping is built small (two layers, width 32) and given
inputs by the names of its ``forward``. What does not build or run in eager this way is no entry
of the sweep's denominator; ``entries`` yields all, the sweep finds out.
"""

from __future__ import annotations

import inspect
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from zoo.entry import Entry
from zoo.torchvision_ops import ensure

# Sizes that make a configuration small, by the names configurations use for them.
_SMALL = {
    "hidden_size": 32, "d_model": 32, "n_embd": 32, "dim": 32, "embed_dim": 32, "emb_dim": 32,
    "embedding_size": 32, "decoder_hidden_size": 32, "encoder_hidden_size": 32,
    "hidden_dim": 32, "model_dim": 32, "n_embed": 32, "projection_dim": 32, "d_kv": 8,
    "num_hidden_layers": 2, "n_layer": 2, "n_layers": 2, "num_layers": 2, "encoder_layers": 2,
    "decoder_layers": 2, "num_encoder_layers": 2, "num_decoder_layers": 2, "depth": 2,
    "decoder_num_hidden_layers": 2, "encoder_num_hidden_layers": 2, "num_blocks": 2,
    "num_attention_heads": 4, "n_head": 4, "n_heads": 4, "num_heads": 4,
    "encoder_attention_heads": 4, "decoder_attention_heads": 4, "attention_heads": 4,
    "num_key_value_heads": 2, "num_kv_heads": 2, "head_dim": 8,
    "intermediate_size": 64, "d_ff": 64, "n_inner": 64, "ffn_dim": 64, "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64, "feed_forward_proj_dim": 64, "moe_intermediate_size": 32,
    "shared_expert_intermediate_size": 32, "num_experts": 4, "num_local_experts": 4,
    "n_routed_experts": 4, "num_experts_per_tok": 2, "vocab_size": 128,
    "num_queries": 8, "image_size": 32, "patch_size": 8, "max_position_embeddings": 64,
    "num_codebooks": 2, "codebook_size": 64, "q_lora_rank": 16, "kv_lora_rank": 16,
    "qk_nope_head_dim": 8, "qk_rope_head_dim": 8, "v_head_dim": 8, "n_group": 1, "topk_group": 1,
    "use_pretrained_backbone": False,
}  # fmt: skip
_HINTS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}


def entries() -> Iterator[Entry]:
    """One entry for every model type of the configuration mapping that has a model of its own."""
    transformers = _transformers()
    models = transformers.AutoModel._model_mapping
    for name in sorted(transformers.CONFIG_MAPPING):
        if transformers.CONFIG_MAPPING[name] in models:
            yield entry(name)


def entry(name: str) -> Entry:
    """The entry of one model type."""
    made: dict[str, Any] = {}

    def factory() -> torch.nn.Module:
        transformers = _transformers()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model, config = build(name, transformers)
        made["model"], made["config"] = model, config
        return model

    def example() -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (), inputs(made.pop("model"), made["config"])

    return Entry(name, factory, example, "transformers")


def build(name: str, transformers: Any) -> tuple[torch.nn.Module, Any]:
    """A small model of a type and its configuration; the first set of small sizes that works."""
    cls = transformers.CONFIG_MAPPING[name]
    model_cls = transformers.AutoModel._model_mapping[cls]
    if isinstance(model_cls, (tuple, list)):
        model_cls = model_cls[0]
    error: Exception | None = None
    for keep in ((), ("image_size", "patch_size"), ("head_dim", "hidden_dim", "dim"), "layers"):
        try:
            config = shrink(cls, frozenset(keep) if keep != "layers" else None)
            config._attn_implementation = "eager"
            return model_cls(config).float(), config
        except Exception as failure:  # noqa: BLE001  the next set may do
            error = failure
    assert error is not None
    raise error


def shrink(
    cls: Any, keep: frozenset[str] | None = frozenset(), others: Mapping[str, int] | None = None
) -> Any:
    """A small configuration: sizes by name, sub-configurations shrunken alike.

    Args:
        cls: the configuration class.
        keep: names to leave at their defaults; None shrinks nothing but the number of layers.
        others: sizes to take instead of those that are usual here, by name.
    """
    default = cls()
    changes: dict[str, Any] = {}
    for key, value in vars(default).items():
        if key.startswith("_"):
            continue
        if hasattr(value, "to_dict") and hasattr(value, "model_type"):
            changes[key] = shrink(type(value), keep, others)
        elif type(value) in (int, bool) or value is None or isinstance(value, (list, tuple)):
            if keep is None and "layer" not in key and "depth" not in key:
                continue
            small = others[key] if others and key in others else _small(key, value)
            if small is not None and key not in (keep or ()):
                changes[key] = small
    try:
        return cls(**changes)
    except Exception:  # noqa: BLE001  sub-configurations that want to be dictionaries
        changes = {k: v.to_dict() if hasattr(v, "to_dict") else v for k, v in changes.items()}
        return cls(**changes)


def _small(key: str, value: Any) -> Any:
    if key in _HINTS and isinstance(value, int):
        return _HINTS[key]
    if key in _SMALL and isinstance(value, int) and not isinstance(value, bool):
        return min(_SMALL[key], value) if value > 0 else value
    if key == "depths" and isinstance(value, (list, tuple)):
        return [1] * len(value)
    return None


def inputs(model: torch.nn.Module, config: Any) -> dict[str, Any]:
    """The first guess at keyword inputs that the model runs on; the first of all if none does."""
    candidates = list(guesses(model, config))
    for guess in candidates:
        features = 0
        for _ in range(2):  # the second time with as many image tokens as the model asks for
            made = dict(guess)
            if features and "input_ids" in made:
                _insert(made, config, features)
            try:
                with torch.no_grad(), warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    model.eval()(**made)
                return made
            except Exception as error:  # noqa: BLE001  the next guess may do
                asked = re.search(r"features:? (\d+)", str(error))
                features = int(asked.group(1)) if asked else 0
                if not features:
                    break
    return candidates[0]


def _insert(made: dict[str, Any], config: Any, count: int) -> None:
    """Put ``count`` image (or audio, video) tokens before the text."""
    tokens = [
        value
        for key, value in vars(config).items()
        if key.split("_")[0] in ("image", "audio", "video")
        and key.endswith(("token_id", "token_index"))
        and isinstance(value, int)
    ]
    if tokens:
        extra = torch.full((1, count), tokens[0])
        made["input_ids"] = torch.cat([extra, made["input_ids"]], 1)
        made["attention_mask"] = torch.ones_like(made["input_ids"])


def guesses(model: torch.nn.Module, config: Any) -> Iterator[dict[str, Any]]:
    """Keyword inputs by the names ``forward`` has, likeliest first."""
    names = inspect.signature(model.forward).parameters
    text = getattr(config, "text_config", None) or config
    vocabulary = max(min(getattr(text, "vocab_size", None) or 99, 99), 8)
    ids = torch.randint(3, vocabulary, (1, 8))
    known = {
        "input_ids": ids,
        "attention_mask": torch.ones(1, 8, dtype=torch.int64),
        "decoder_input_ids": ids.clone(),
        "bbox": torch.zeros(1, 8, 4, dtype=torch.int64),
        "pixel_values": _image(config),
        "input_values": torch.rand(1, 4000),
        "audio_values": torch.rand(1, 1, 4000),
    }
    bins = getattr(config, "num_mel_bins", None) or 80
    length = min(2 * (getattr(config, "max_source_positions", None) or 32), 3000)
    audio = [torch.rand(1, bins, length), torch.rand(1, length, bins), torch.rand(1, 4000)]
    main = getattr(model, "main_input_name", "input_ids")
    required = [n for n, p in names.items() if p.default is p.empty and p.kind.value == 1]
    textual = [n for n in ("input_ids", "attention_mask", "bbox") if n in names]
    visual = [n for n in ("pixel_values",) if n in names]
    decoder = [n for n in ("decoder_input_ids",) if n in names]
    others = [n for n in ("input_values", "audio_values") if n in names]
    plans = [[main, *decoder], [*textual, *decoder], [*textual, *visual], visual, others,
             [*required, *decoder], [*textual, *visual, *decoder]]  # fmt: skip
    if main == "input_ids":
        plans.insert(0, [*textual, *decoder])
    seen = []
    for plan in plans:
        for features in audio if "input_features" in (main, *plan) else audio[:1]:
            guess = {n: {**known, "input_features": features}.get(n) for n in plan}
            guess = {n: v for n, v in guess.items() if v is not None}
            key = [(n, tuple(v.shape)) for n, v in guess.items()]
            if key not in seen and guess:
                seen.append(key)
                yield guess
    if not seen:
        yield {main: ids}


def _image(config: Any) -> torch.Tensor:
    vision = getattr(config, "vision_config", None) or config
    size = getattr(vision, "image_size", None) or 64
    height, width = (size, size) if isinstance(size, int) else tuple(size)[-2:]
    channels = getattr(vision, "num_channels", 3)
    shape = [1, channels, height, width]
    if getattr(vision, "num_frames", None) and "video" in type(config).__name__.lower():
        shape.insert(1, vision.num_frames)
    return torch.rand(shape)


def _transformers():  # type: ignore[no-untyped-def]
    ensure()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import transformers

        transformers.logging.set_verbosity_error()
    return transformers
