"""A causal language model's own `generate`, replayed without its weights, token for token.

python howto_llm.py

`generate` runs twice while a Program watches: the first call of the model becomes the entry point
"prefill", those that follow the entry point "decode", with a cache that grows. The Program is
saved. Another process, which has the model's code but no weights, loads it, and the Program answers
every call of `generate` there. The cache gets a fixed length, so that every size in "decode" is a
number, and an engine in NumPy that knows nothing else answers. Then onnxruntime answers.
Needs: pip install transformers 'flextorchir[ir]'
"""

import importlib.util
import inspect
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
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


# --- an engine that knows no torch and no sizes that vary -----------------------------------------


class Name(str):
    """The name of an array, which is no text of the model."""


def index_copy(input, dim, index, source):
    made = input.copy()
    made[(slice(None),) * dim + (index,)] = source
    return made


def softmax(input, dim, dtype):
    made = np.exp(input - input.max(dim, keepdims=True))
    return made / made.sum(dim, keepdims=True)


OPS = {
    "add": lambda input, other: input + other,
    "cat": lambda tensors, dim: np.concatenate(tensors, dim),
    "cos": lambda input: np.cos(input),
    "embedding": lambda input, weight: weight[input],
    "expand": lambda input, size: np.broadcast_to(input, size),
    "float": lambda input: input.astype(np.float32),
    "getitem": lambda input, indices: input[indices],
    "index_copy": index_copy,
    "le": lambda input, other: input <= other,
    "linear": lambda input, weight: input @ weight.T,
    "matmul": lambda input, other: input @ other,
    "mean": lambda input, dim, keepdim: input.mean(dim, keepdims=keepdim),
    "mul": lambda input, other: input * other,
    "neg": lambda input: -input,
    "pow": lambda input, exponent: input**exponent,
    "reshape": lambda input, shape: input.reshape(shape),
    "rsqrt": lambda input: 1 / np.sqrt(input),
    "silu": lambda input: input / (1 + np.exp(-input)),
    "sin": lambda input: np.sin(input),
    "softmax": softmax,
    "transpose": lambda input, dim0, dim1: np.swapaxes(input, dim0, dim1),
    "unsqueeze": lambda input, dim: np.expand_dims(input, dim),
    "view": lambda input, size: input.reshape(size),
    "where": lambda condition, input, other: np.where(condition, input, np.float32(other)),
}
ir = flexir.Target("numpy", out=lambda: ({}, []))  # arrays by name; steps


@ir.input
def enter(ctx, name, type):
    return Name(name)


@ir.constant
def weight(ctx, weight):
    ctx.out[0][weight.name] = weight.tensor.numpy()
    return Name(weight.name)


def handler(function):
    """What a call becomes, a step; an argument that the function does not take is refused."""
    words = list(inspect.signature(function).parameters)

    def step(ctx, **args):
        (value,) = ctx.node.outputs
        ctx.out[1].append((function, args, value.name))
        return Name(value.name)

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    step.__signature__ = inspect.Signature([inspect.Parameter(n, kind) for n in ("ctx", *words)])
    return step


for op, function in OPS.items():
    ir.op(op)(handler(function))


def look(part: Any, arrays: dict[str, Any]) -> Any:
    """An argument with arrays for names."""
    if isinstance(part, dict):
        return {word: look(one, arrays) for word, one in part.items()}
    if isinstance(part, (list, tuple)):
        return type(part)(look(one, arrays) for one in part)
    return arrays[part] if isinstance(part, Name) else part


def through_numpy(path: Path, tokens: int) -> list[int]:
    """The same driver, its decoding calls answered by the engine above."""
    program = flexir.load(path, imports=["transformers"])
    fixed = flexir.passes.fixed_cache(program, 48)
    graph = flexir.passes.simplify(fixed["decode"])
    result = flexir.convert(graph, target=ir, strict=True)
    weights, steps = result.output
    print(f"through numpy: {len(steps)} steps; a cache is {tuple(graph['index_copy'].type.shape)}")

    def engine(entry: str, feeds: Any) -> dict[str, torch.Tensor]:
        if entry != "decode":
            return grown.replay(entry, feeds)
        arrays = weights | {name: tensor.numpy() for name, tensor in feeds.items()}
        for function, args, name in steps:
            arrays[name] = function(**look(args, arrays))
        named = graph.output_names.items()
        return {name: torch.from_numpy(np.asarray(arrays[v.name])) for v, name in named}

    grown = flexir.passes.Grown(program, fixed, engine)
    model = build("meta")
    with program.answering(model, run=grown):
        return generate(model, PROMPT, tokens)


def main() -> None:
    if len(sys.argv) == 3:  # the other process
        path, wanted = Path(sys.argv[1]), [int(word) for word in sys.argv[2].split(",")]
        print("replayed, token for token the same:", replay(path) == wanted)
        print("  the same:", through_numpy(path, TOKENS) == wanted)
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
