"""A streaming model, chunk by chunk, from a saved graph: what a call leaves, the next begins with.

python howto_streaming.py

silero-vad tells speech from noise. It is a scripted module with trained weights that keeps a
context and a recurrent state in its own attributes. One chunk is captured, the graph saved;
another process, without the package and without the model's file, loads it and goes through the
sound. Then onnxruntime does, from a file that takes the state and gives the next.
Needs: pip install --no-deps silero-vad packaging, and 'flextorchir[ir,onnx]'
"""

import importlib.util
import math
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

import flexir

RATE, CHUNK, COUNT = 16_000, 512, 50


def model_file() -> Path | None:
    """The model, in its package."""
    spec = importlib.util.find_spec("silero_vad")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "data" / "silero_vad.jit"


def sound() -> list[torch.Tensor]:
    """A second and a half: a hum whose loudness and pitch move as a voice's do, and pauses."""
    time = torch.arange(CHUNK * COUNT) / RATE
    pitch = 140 + 30 * torch.sin(2 * math.pi * 3 * time)
    phase = 2 * math.pi * torch.cumsum(pitch / RATE, 0)
    voice = sum(torch.sin(n * phase) / n for n in range(1, 20))
    loud = 0.2 * (torch.sin(2 * math.pi * 4 * time) > 0) * (time > 0.4)
    noise = torch.rand(len(time), generator=torch.Generator().manual_seed(0)) - 0.5
    return list((loud * voice + 0.002 * noise).reshape(-1, 1, CHUNK))


def bar(probabilities: list[float]) -> str:
    """Probabilities as a line of text."""
    return "".join(" .:-=+*#%@"[min(int(p * 10), 9)] for p in probabilities)


def go_through(path: Path) -> list[float]:
    """What the saved graph says of each chunk."""
    run = flexir.load(path).start()
    run(torch.zeros(1, CHUNK), RATE)
    return [run(chunk, RATE).item() for chunk in sound()]


def through_onnxruntime(graph: flexir.Graph) -> list[float]:
    """The same by onnxruntime."""
    from flexir.targets import onnx

    run = onnx.start(onnx.convert(graph).output)
    run(torch.zeros(1, CHUNK), RATE)
    return [run(chunk, RATE).item() for chunk in sound()]


def main() -> None:
    if len(sys.argv) == 2:  # the other process
        said = go_through(Path(sys.argv[1]))
        assert "silero_vad" not in sys.modules
        print(*said, sep="\n")
        return
    file = model_file()
    if file is None:
        print("pip install --no-deps silero-vad packaging")
        return
    model = torch.jit.load(str(file)).eval()
    with torch.no_grad():
        # The first call sets plain numbers (the rate, the batch), which no graph carries on.
        model(torch.zeros(1, CHUNK), RATE)
        graph = flexir.capture(model, (torch.zeros(1, CHUNK), RATE))
    print(f"{len(graph)} calls; kept from call to call:")
    for state in graph.state:
        print(f"  {state.path}: {state.final.type}")
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        path = Path(folder, "vad.flexir")
        graph.save(path)
        model.reset_states()
        for _ in range(2):  # the graph begins after one call
            model(torch.zeros(1, CHUNK), RATE)
        wanted = [model(chunk, RATE).item() for chunk in sound()]
        done = subprocess.run(
            [sys.executable, __file__, str(path)], check=True, capture_output=True, text=True
        )
    made = [float(line) for line in done.stdout.split()]
    print(f"model |{bar(wanted)}|")
    print(f"graph |{bar(made)}|")
    equal = sum(a == b for a, b in zip(wanted, made, strict=True))
    print(f"{equal} of {COUNT} chunks equal, bit for bit")
    if importlib.util.find_spec("onnxruntime") is None:
        print("through onnxruntime: pip install 'flextorchir[onnx]'")
        return
    off = max(abs(a - b) for a, b in zip(wanted, through_onnxruntime(graph), strict=True))
    print(f"through onnxruntime, {COUNT} chunks: at most {off:.0e} off")


if __name__ == "__main__":
    main()
