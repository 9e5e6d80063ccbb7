"""A streaming model against its graph, call after call: ``python3 dev.py bench streaming``.

silero-vad, a scripted voice detector with trained weights, keeps a context and a recurrent state.
Its package carries the model: ``.venv/bin/python -m pip install --no-deps silero-vad==6.2.3``.
"""

from __future__ import annotations

import importlib.util
import math
import sys
import warnings
from pathlib import Path

import torch

import flexir

RATE, CHUNK, COUNT = 16_000, 512, 50


def main() -> None:
    spec = importlib.util.find_spec("silero_vad")
    if spec is None or spec.origin is None:
        sys.exit((__doc__ or "").splitlines()[-1])
    file = str(Path(spec.origin).parent / "data/silero_vad.jit")
    warnings.simplefilter("ignore")

    def load() -> torch.nn.Module:
        return torch.jit.load(file, map_location="cpu").eval()

    time = torch.arange(CHUNK * (COUNT + 1)) / RATE
    sound = torch.sin(2 * math.pi * 220 * time * (1 + time)) * torch.rand(len(time))
    first, *chunks = sound.reshape(-1, 1, CHUNK)
    with torch.no_grad():
        graph = flexir.capture(load(), (first, RATE))
        print("captured at the first chunk:", *map(str, graph.audit.changes), sep="\n  ")
        run = graph.start()
        run(first, RATE)
        try:
            run(chunks[0], RATE)
        except flexir.Diverged as error:
            print(f"  the second chunk is refused: {str(error).splitlines()[0]}")
        model, captured = load(), load()
        model(first, RATE)
        captured(first, RATE)
        graph = flexir.capture(captured, (chunks[0], RATE))
        print("captured at the second chunk:", *map(str, graph.state), sep="\n  ")
        run = graph.start()
        equal = sum(torch.equal(run(chunk, RATE), model(chunk, RATE)) for chunk in chunks)
        print(f"  {equal} of {COUNT} chunks in a row bit-equal to the model")


if __name__ == "__main__":
    main()
