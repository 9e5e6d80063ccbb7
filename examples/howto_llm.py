"""A causal language model's own `generate`, replayed without its weights, token for token.

python howto_llm.py

`generate` runs twice while a Program watches: the first call of the model becomes the entry point
"prefill", those that follow the entry point "decode", with a cache that grows. The Program is
saved. Another process, which has the model's code but no weights, loads it, and the Program answers
every call of `generate` there; then onnxruntime does. Needs: pip install transformers
'flextorchir[ir]'
"""

import importlib.util
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

import flexir

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from zoo.torchvision_ops import ensure

TOKENS = 24


def build(device: str) -> torch.nn.Module:
    """A small Llama of random weights; on the meta device it has none."""
    ensure()  # transformers imports torchvision, which may be built for another torch
    import transformers

    config = transformers.LlamaConfig(
        vocab_size=512, hidden_size=96, intermediate_size=192, num_hidden_layers=3,
        num_attention_heads=6, num_key_value_heads=2, max_position_embeddings=512,
        attn_implementation="eager",
    )  # fmt: skip
    torch.manual_seed(0)
    with torch.device(device):
        return transformers.LlamaForCausalLM(config).eval()


def generate(model: torch.nn.Module, prompt: list[int], tokens: int) -> list[int]:
    """Greedy decoding, by the code of transformers."""
    ids = torch.tensor([prompt])
    with torch.no_grad():
        made = model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens,
            min_new_tokens=tokens, do_sample=False, pad_token_id=0,
        )  # fmt: skip
    return made[0, len(prompt) :].tolist()


def record(path: Path) -> list[int]:
    """Record, save, and return what the model itself says."""
    model = build("cpu")
    with flexir.record(model) as program:
        generate(model, [5, 6, 7, 8, 9], 6)  # two prompts: their lengths are live
        generate(model, [9, 8, 7], 4)
    print(repr(program))
    for name, graph in program.items():
        print(f"  {name}: {len(graph)} calls; live: {', '.join(one.name for one in graph.live)}")
    program.save(path)
    weights = sum(tensor.nbytes for tensor in model.state_dict().values())
    stored = sum(file.stat().st_size for file in path.glob("*.safetensors"))
    share = stored / weights
    print(f"weights on disk: {share:.3f} of the model's, for {len(program)} entry points")
    return generate(model, PROMPT, TOKENS)


PROMPT = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5]


def replay(path: Path) -> list[int]:
    """What the saved Program says where the model has no weights."""
    model = build("meta")
    start = time.perf_counter()
    program = flexir.load(path, imports=["transformers"])
    print(f"loaded in {time.perf_counter() - start:.2f} s; the model is on {model.device}")
    with program.answering(model):
        return generate(model, PROMPT, TOKENS)


def through_onnxruntime(path: Path, tokens: int) -> list[int]:
    """The same driver, every call of the model answered by onnxruntime."""
    from flexir.targets import onnx

    program = flexir.load(path, imports=["transformers"])

    def engine(entry: str, *args: Any, **kwargs: Any) -> Any:
        graph = program[entry].at(flexir.Inputs(*args, **kwargs))  # the graph of these lengths
        result = onnx.convert(graph, strict=True)
        return onnx.run(result.output, *args, **kwargs)

    model = build("meta")
    with program.answering(model, run=engine):
        return generate(model, PROMPT, tokens)


def main() -> None:
    if len(sys.argv) == 3:  # the other process
        path, wanted = Path(sys.argv[1]), [int(word) for word in sys.argv[2].split(",")]
        print("replayed, token for token the same:", replay(path) == wanted)
        if importlib.util.find_spec("onnxruntime") is None:
            print("through onnxruntime: pip install 'flextorchir[onnx]'")
            return
        print("through onnxruntime, the same:", through_onnxruntime(path, 8) == wanted[:8])
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "llm.flexir")
        wanted = record(path)
        print(wanted)
        words = ",".join(map(str, wanted))
        subprocess.run([sys.executable, __file__, str(path), words], check=True)


if __name__ == "__main__":
    main()
